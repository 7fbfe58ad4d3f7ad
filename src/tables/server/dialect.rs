//! The tables as a server makes them: out of the one text that says what they are.

/// What SQLite and a server say differently in the text of the tables: text by the bytes of its UTF-8,
/// so that it is in the same order everywhere.
const WORDS: &[(&str, &str)] = &[
    ("INTEGER PRIMARY KEY", "BIGINT PRIMARY KEY"),
    (" BLOB", " BYTEA"),
    (" TEXT", " TEXT COLLATE \"C\""),
    (" WITHOUT ROWID", ""),
];

/// How SQLite's views show a time, before and after its column.
const TIME: (&str, &str) = ("strftime('%Y-%m-%dT%H:%M:%fZ', ", " / 1e6, 'unixepoch')");

/// How they show an id.
const ID: (&str, &str) = ("lower(hex(", "))");

/// The tables.
pub(super) fn tables() -> String {
    let mut sql = include_str!("../schema.sql").to_owned();
    for (embedded, server) in WORDS {
        sql = sql.replace(embedded, server);
    }
    sql
}

/// The names of the tables.
pub(super) fn table_names() -> impl Iterator<Item = &'static str> {
    names(include_str!("../schema.sql"), "CREATE TABLE ")
}

fn names(sql: &'static str, words: &'static str) -> impl Iterator<Item = &'static str> {
    let lines = sql.lines().filter_map(move |line| line.strip_prefix(words));
    lines.filter_map(|rest| rest.split([' ', '(']).next())
}

/// The names of the views for people, and what they select.
pub(super) fn views() -> Vec<(&'static str, String)> {
    let sql = include_str!("../views.sql");
    let parts = sql.split("CREATE VIEW ").skip(1);
    parts
        .filter_map(|part| part.split_once(" AS\n"))
        .map(|(name, select)| {
            let select = select.split(';').next().unwrap_or_default();
            let times = within(select, TIME, |column| {
                format!("('epoch'::timestamptz + {column} * interval '1 microsecond')")
            });
            let ids = within(&times, ID, |column| {
                format!("encode({column}, 'hex')::uuid")
            });
            (name, ids)
        })
        .collect()
}

/// Writes anew what stands between two words.
fn within(sql: &str, (before, after): (&str, &str), write: impl Fn(&str) -> String) -> String {
    let mut parts = sql.split(before);
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inner, rest) = part.split_once(after).unwrap_or((part, ""));
        written.push_str(&write(inner));
        written.push_str(rest);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_other_dialect_is_left() {
        let views: String = views().into_iter().map(|(_, select)| select).collect();
        let sql = tables() + &views;
        for word in ["INTEGER", "BLOB", "ROWID", "strftime", "hex(", "unixepoch"] {
            assert!(!sql.contains(word), "{word}");
        }
    }

    #[test]
    fn every_table_and_view_is_found() {
        let tables: Vec<_> = table_names().collect();
        let count = include_str!("../schema.sql")
            .matches("CREATE TABLE")
            .count();
        assert_eq!(tables.len(), count);
        assert!(
            tables.contains(&"meta") && tables.contains(&"touches"),
            "{tables:?}"
        );
        let count = include_str!("../views.sql").matches("CREATE VIEW").count();
        assert_eq!(views().len(), count);
    }
}
