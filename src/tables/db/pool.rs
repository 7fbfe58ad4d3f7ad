//! Connections that read the generation in force, several at a time.
//!
//! On a server another node may put another generation in force. So each look begins with the question
//! which one is, over the same connection, and within a snapshot as of the same moment: what is read is
//! of one generation, the one that was in force when reading began. The question also tells whether the
//! connection is still of use, so that it costs no more than the pool's own test would.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, Postgres, SqlStr, Sqlite, SqlitePool, Transaction};

use super::{Conn, Query, Row, in_time_of};
use crate::{
    store::postgres::Server,
    tables::{Checkpoint, checkpoint, error::TablesError},
};

/// How long a server may take to say which generation is in force.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Connections for reading.
#[derive(Debug)]
pub(in crate::tables) enum Pool {
    File(SqlitePool),
    Server {
        pool: PgPool,
        server: Server,
        /// The question which generation is in force.
        look: SqlStr,
    },
}

/// Connections that read one generation.
#[derive(Debug)]
pub struct Readers {
    pub(in crate::tables) pool: Pool,
    pub(in crate::tables) generation: i64,
}

/// The tables as they are at one moment.
#[derive(Debug)]
pub(in crate::tables) enum Snapshot {
    File(Transaction<'static, Sqlite>),
    Server(Transaction<'static, Postgres>, Server),
}

/// Why nothing was read.
#[derive(Debug)]
pub(in crate::tables) enum Miss {
    /// Another generation is in force.
    Moved(i64),
    /// A connection that was kept has broken meanwhile, or its generation is gone.
    Stale(TablesError),
    /// It cannot be read.
    Failed(TablesError),
}

impl From<TablesError> for Miss {
    fn from(error: TablesError) -> Self {
        if error.is_gone() {
            Self::Stale(error)
        } else {
            Self::Failed(error)
        }
    }
}

impl Snapshot {
    pub(in crate::tables) fn hand(&mut self) -> Conn<'_> {
        match self {
            Self::File(transaction) => Conn::File(transaction),
            Self::Server(transaction, server) => Conn::Server(transaction, server),
        }
    }

    /// The rows that a statement answers.
    pub(in crate::tables) async fn fetch(&mut self, query: Query) -> Result<Vec<Row>, TablesError> {
        self.hand().fetch(query).await
    }
}

impl Readers {
    /// How far their generation has come, in force or not.
    ///
    /// # Errors
    /// It cannot be read, or is of another form.
    pub async fn checkpoint(&self) -> Result<Checkpoint, TablesError> {
        match &self.pool {
            Pool::File(pool) => {
                let mut connection = pool.acquire().await.map_err(at_file)?;
                checkpoint::read(Conn::File(&mut connection)).await
            }
            Pool::Server { pool, server, .. } => {
                let connection = pool.acquire().await;
                let mut connection =
                    connection.map_err(|source| TablesError::on(Some(server), "read", source))?;
                checkpoint::read(Conn::Server(&mut connection, server)).await
            }
        }
    }

    pub(in crate::tables) async fn fetch(&self, query: Query) -> Result<Vec<Row>, Miss> {
        match &self.pool {
            Pool::File(pool) => {
                let mut connection = pool.acquire().await.map_err(at_file)?;
                Ok(Conn::File(&mut connection).fetch(query).await?)
            }
            Pool::Server { pool, server, look } => {
                let failed = |source| TablesError::on(Some(server), "read", source);
                let mut connection = pool.acquire().await.map_err(failed)?;
                if let Err(miss) = self.look(&mut connection, server, look.clone()).await {
                    if matches!(miss, Miss::Stale(_)) {
                        connection.close_on_drop();
                    }
                    return Err(miss);
                }
                let rows = Conn::Server(&mut connection, server).fetch(query).await;
                if rows.as_ref().is_err_and(TablesError::is_passing) {
                    connection.close_on_drop();
                }
                Ok(rows?)
            }
        }
    }

    /// What is read of it is of one moment.
    pub(in crate::tables) async fn snapshot(&self) -> Result<Snapshot, Miss> {
        match &self.pool {
            Pool::File(pool) => Ok(Snapshot::File(pool.begin().await.map_err(at_file)?)),
            Pool::Server { pool, server, look } => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                let failed = |source| TablesError::on(Some(server), "read", source);
                let mut begun = match in_time_of(LOOK_MAX, pool.begin_with(begin)).await {
                    Ok(begun) => begun,
                    Err(error @ sqlx::Error::PoolTimedOut) => return Err(failed(error).into()),
                    Err(error) => return Err(Miss::Stale(failed(error))),
                };
                self.look(&mut begun, server, look.clone()).await?;
                Ok(Snapshot::Server(begun, server.clone()))
            }
        }
    }

    /// Whether the generation is in force.
    async fn look(
        &self,
        connection: &mut PgConnection,
        server: &Server,
        look: SqlStr,
    ) -> Result<(), Miss> {
        let found = sqlx::query_scalar(look).fetch_one(connection);
        match in_time_of(LOOK_MAX, found).await {
            Ok(generation) if generation == self.generation => Ok(()),
            Ok(generation) => Err(Miss::Moved(generation)),
            Err(source) => Err(Miss::Stale(TablesError::on(Some(server), "read", source))),
        }
    }

    pub(in crate::tables) async fn close(&self) {
        match &self.pool {
            Pool::File(pool) => pool.close().await,
            Pool::Server { pool, .. } => pool.close().await,
        }
    }
}

fn at_file(source: sqlx::Error) -> TablesError {
    TablesError::on(None, "read", source)
}
