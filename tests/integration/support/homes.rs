//! Every place where read models can be, each new and for one test.

use postbook::tables::{Tables, location::Location};
use sqlx::AssertSqlSafe;

use super::postgres::Schema;

/// A place for read models; what is in it goes with it.
pub(crate) struct Home {
    pub(crate) location: Location,
    pub(crate) data: tempfile::TempDir,
    pub(crate) schema: Option<Schema>,
}

impl Home {
    /// One of each sort. Where there is no server a line says that it is left out.
    pub(crate) async fn all() -> Vec<Self> {
        let mut homes = vec![Self::embedded()];
        homes.extend(Self::on_server().await);
        homes
    }

    fn embedded() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory can be made");
        Self {
            location: Location::Directory(data.path().to_owned()),
            data,
            schema: None,
        }
    }

    /// On the server, if there is one.
    pub(crate) async fn on_server() -> Option<Self> {
        let schema = Schema::make().await?;
        Some(Self {
            location: schema.read_models(),
            schema: Some(schema),
            ..Self::embedded()
        })
    }

    /// Opens the read models.
    pub(crate) async fn open(&self) -> Tables {
        let tables = Tables::open_at(&self.location, self.data.path()).await;
        tables.expect("the tables open")
    }

    /// Somebody else runs a statement on a generation's tables.
    pub(crate) async fn run(&self, generation: i64, sql: &str) {
        match &self.schema {
            None => {
                let name = format!("readmodels-{generation}.sqlite");
                let path = self.data.path().join(name);
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                let pool = sqlx::SqlitePool::connect_with(options).await.expect("open");
                let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&pool);
                done.await.expect("the statement runs");
                pool.close().await;
            }
            Some(schema) => {
                let name = schema.name();
                let sql = format!("SET search_path = {name}_g{generation}; {sql}");
                schema.run(&sql).await;
            }
        }
    }
}
