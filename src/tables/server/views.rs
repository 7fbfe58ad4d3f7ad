//! What other tools connect to: views in the schema that stays, of the generation in force.
//!
//! Whoever reads one of them reads one generation, however long it takes: a view changes only while
//! nobody is in the middle of a statement on any of them. A switch does not wait for that, since a
//! report may take minutes; the views then follow when it has ended.

use std::{sync::Arc, time::Duration};

use super::{Place, dialect, pointer, quoted};
use crate::tables::{
    db::{Conn, Query},
    error::TablesError,
    row::Reader,
};

/// How long a change of the views waits for those who read them: shorter than it takes a server to find
/// two sessions that wait for each other, so that it never ends a report for it (a second by default).
const PATIENCE: &str = "100ms";

/// The time between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// The statements that make the views show a generation.
pub(super) fn show(place: &Place, generation: i64) -> String {
    let schema = quoted(&place.schema(generation));
    let mut statements = vec![format!("SET LOCAL search_path = {schema}")];
    statements.extend(dialect::table_names().map(|table| {
        let view = place.stable(table);
        format!("CREATE OR REPLACE VIEW {view} AS SELECT * FROM {schema}.{table}")
    }));
    statements.extend(dialect::views().into_iter().map(|(name, select)| {
        let view = place.stable(name);
        format!("CREATE OR REPLACE VIEW {view} AS {select}")
    }));
    let table = place.stable(pointer::TABLE);
    statements.push(format!(
        "UPDATE {table} SET shown = {generation} WHERE one = 1"
    ));
    statements.join(";\n")
}

/// Makes the views show a generation within a transaction, which goes on if they cannot.
pub(super) async fn show_within(
    place: &Place,
    mut connection: Conn<'_>,
    generation: i64,
) -> Result<(), TablesError> {
    let mut shown = try_script(connection.lend(), &show(place, generation)).await;
    if shown.as_ref().is_err_and(TablesError::is_another_form) {
        let script = make_anew(place, connection.lend(), generation).await?;
        shown = try_script(connection, &script).await;
    }
    shown
}

/// Runs statements within a transaction, which goes on without them if they cannot be run.
async fn try_script(mut connection: Conn<'_>, script: &str) -> Result<(), TablesError> {
    let script = format!(
        "SAVEPOINT views; SET LOCAL lock_timeout = '{PATIENCE}'; {script}; RELEASE SAVEPOINT views"
    );
    let Err(error) = connection.run(script, "shown").await else {
        return Ok(());
    };
    let back = connection.run("ROLLBACK TO SAVEPOINT views", "shown").await;
    back.and(Err(error))
}

/// The statements that make the views anew, of tables of another form: who could read the old ones can
/// read the new ones. What others have built on the old ones stops it.
async fn make_anew(
    place: &Place,
    mut connection: Conn<'_>,
    generation: i64,
) -> Result<String, TablesError> {
    let sql = "SELECT c.relname::text AS name, r.rolname::text AS role FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace \
               CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee \
               WHERE n.nspname = $1 AND c.relkind = 'v' AND a.privilege_type = 'SELECT' \
               AND a.grantee <> c.relowner";
    let rows = connection
        .fetch(Query::new(sql).bind(place.base.as_str()))
        .await?;
    let names = || {
        let views = dialect::views().into_iter().map(|(name, _)| name);
        dialect::table_names().chain(views)
    };
    let views: Vec<_> = names().map(|name| place.stable(name)).collect();
    let mut statements = vec![
        format!("DROP VIEW IF EXISTS {}", views.join(", ")),
        show(place, generation),
    ];
    for row in &rows {
        let row = Reader::new("pg_class", row);
        let (name, role) = (row.text("name")?, row.text_option("role")?);
        if names().any(|known| known == name) {
            let role = role.map_or_else(|| "PUBLIC".to_owned(), |role| quoted(&role));
            statements.push(format!("GRANT SELECT ON {} TO {role}", place.stable(&name)));
        }
    }
    Ok(statements.join(";\n"))
}

/// Makes the views show the generation in force, as soon as nobody is in the middle of reading them.
pub(super) async fn show_later(place: Arc<Place>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        match place.show().await {
            Ok(()) => return,
            Err(error) if error.is_passing() => {}
            Err(error) => {
                tracing::error!(%error, "the views of the read models still show the generation before");
                return;
            }
        }
    }
}

impl Place {
    /// The generation that the views show, if it is not the one in force.
    pub(in crate::tables) async fn shown_otherwise(&self) -> Result<Option<i64>, TablesError> {
        let mut connection = self.connect().await?;
        let pointer = pointer::find(self, connection.hand()).await?;
        connection.close().await?;
        let behind = pointer.filter(|pointer| pointer.shown != pointer.generation);
        Ok(behind.map(|pointer| pointer.shown))
    }

    /// Makes the views show the generation in force if they do not.
    pub(in crate::tables) async fn show(&self) -> Result<(), TablesError> {
        let mut connection = self.connect().await?;
        let mut hand = connection.hand();
        let pointer = pointer::find(self, hand.lend()).await?;
        let Some(generation) = pointer
            .filter(|pointer| pointer.shown != pointer.generation)
            .map(|pointer| pointer.generation)
        else {
            return connection.close().await;
        };
        hand.run("BEGIN", "shown").await?;
        // Held, so that no other generation is put in force meanwhile.
        let sql = format!(
            "SELECT generation FROM {} WHERE one = 1 AND generation = $1 FOR UPDATE",
            self.stable(pointer::TABLE)
        );
        let held = hand.fetch(Query::new(sql).bind(generation)).await?;
        if !held.is_empty() {
            show_within(self, hand.lend(), generation).await?;
        }
        hand.run("COMMIT", "shown").await?;
        connection.close().await
    }
}
