//! A schema on a PostgreSQL server for read models that are built to be measured.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// A schema of its own.
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    pub(crate) async fn make(server: &str) -> anyhow::Result<Self> {
        let schema = Self {
            server: server.to_owned(),
            name: format!("bench_{:016x}", rand::random::<u64>()),
        };
        schema
            .run(&format!("CREATE SCHEMA {}", schema.name))
            .await?;
        Ok(schema)
    }

    /// The URL under which read models are kept in the schema.
    pub(crate) fn url(&self) -> String {
        let sign = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{sign}options[search_path]={}", self.server, self.name)
    }

    /// Removes it, with the generations beside it.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        let name = &self.name;
        self.run(&format!(
            "DO $$ DECLARE one text; BEGIN FOR one IN SELECT nspname FROM pg_namespace \
             WHERE nspname = '{name}' OR starts_with(nspname, '{name}_g') LOOP \
             EXECUTE 'DROP SCHEMA ' || quote_ident(one) || ' CASCADE'; END LOOP; END $$"
        ))
        .await
    }

    async fn run(&self, sql: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.server).await?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    }
}
