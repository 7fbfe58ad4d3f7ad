//! Many rows in one statement: what makes writing fast.
//!
//! A statement costs a trip to the connection's thread, so rows go in by the hundred. Each table has
//! its statements in three sizes, prepared once; every number of rows is made of those.

use sqlx::{
    Arguments, AssertSqlSafe, Encode, SqlSafeStr, SqlStr, Sqlite, SqliteConnection, Type,
    sqlite::SqliteArguments,
};

/// How many rows the statements take.
const SIZES: [usize; 3] = [128, 8, 1];

/// The statements that add rows to one table.
#[derive(Clone, Debug)]
pub(super) struct Insert {
    columns: usize,
    statements: [SqlStr; 3],
}

/// The values of the rows of one statement.
#[derive(Debug)]
pub(super) struct Values(SqliteArguments);

impl Values {
    /// The next value.
    pub(super) fn push<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(&mut self, value: T) {
        self.0
            .add(value)
            .expect("numbers, texts and bytes can always be handed to SQLite");
    }

    /// The next value, a text that may be absent.
    pub(super) fn text(&mut self, text: Option<&str>) {
        self.push(text);
    }
}

impl Insert {
    /// The statements for these columns of a table.
    pub(super) fn new(table: &'static str, columns: &[&'static str]) -> Self {
        Self::adding(table, columns, "")
    }

    /// The same, with what is to become of rows that are there already.
    pub(super) fn adding(table: &str, columns: &[&str], on_conflict: &str) -> Self {
        let row = format!("({})", vec!["?"; columns.len()].join(","));
        let statements = SIZES.map(|size| {
            let rows = vec![row.as_str(); size].join(",");
            let sql = format!(
                "INSERT INTO {table} ({}) VALUES {rows}{on_conflict}",
                columns.join(",")
            );
            AssertSqlSafe(sql).into_sql_str()
        });
        Self {
            columns: columns.len(),
            statements,
        }
    }

    /// The statements that add these rows; `bind` pushes the values of one, in the order of the
    /// columns.
    pub(super) fn of<R>(
        &self,
        mut rows: impl Iterator<Item = R>,
        count: usize,
        bind: impl Fn(&mut Values, R),
    ) -> Insertions {
        let mut insertions = Vec::new();
        let mut left = count;
        for (size, statement) in SIZES.into_iter().zip(&self.statements) {
            while left >= size {
                let mut values = Values(SqliteArguments::default());
                values.0.reserve(size * self.columns, 0);
                for row in rows.by_ref().take(size) {
                    bind(&mut values, row);
                }
                insertions.push((statement.clone(), values.0));
                left -= size;
            }
        }
        Insertions(insertions)
    }
}

/// Statements with their values, ready to be run.
#[derive(Debug)]
pub(super) struct Insertions(Vec<(SqlStr, SqliteArguments)>);

impl Insertions {
    /// Runs them.
    pub(super) async fn run(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        for (statement, values) in self.0 {
            sqlx::query_with(statement, values)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}
