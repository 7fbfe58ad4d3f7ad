//! One way to both databases: an embedded file and a PostgreSQL server.
//!
//! Statements are written once, in what both dialects have in common, so that both give the same
//! answers. What they do not have in common is in `files` and `server` beside this.

mod pool;
mod query;
mod row;
pub(in crate::tables) mod value;

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tokio::time::timeout;

pub use self::pool::Readers;
pub(in crate::tables) use self::{
    pool::{Miss, Pool, Snapshot},
    query::Query,
    row::Row,
};
use super::error::TablesError;
use crate::store::postgres::Server;

/// A server that takes longer for a statement is not there any more, even if nobody has said so. A
/// connection on which that happened is of no use afterwards.
const STATEMENT_MAX: Duration = Duration::from_mins(1);

/// A connection of one's own.
#[derive(Debug)]
pub(in crate::tables) enum Connection {
    File(SqliteConnection),
    Server(Box<PgConnection>, Server),
}

/// A connection in somebody's hand.
#[derive(Debug)]
pub(in crate::tables) enum Conn<'c> {
    File(&'c mut SqliteConnection),
    Server(&'c mut PgConnection, &'c Server),
}

impl Connection {
    pub(in crate::tables) fn hand(&mut self) -> Conn<'_> {
        match self {
            Self::File(connection) => Conn::File(connection),
            Self::Server(connection, server) => Conn::Server(connection, server),
        }
    }

    /// Closes it in order.
    pub(in crate::tables) async fn close(self) -> Result<(), TablesError> {
        match self {
            Self::File(connection) => {
                let closed = connection.close().await;
                closed.map_err(|source| TablesError::on(None, "closed", source))
            }
            Self::Server(connection, server) => {
                let closed = in_time(connection.close()).await;
                closed.map_err(|source| TablesError::on(Some(&server), "closed", source))
            }
        }
    }
}

impl Conn<'_> {
    /// The same for a while.
    pub(in crate::tables) fn lend(&mut self) -> Conn<'_> {
        match self {
            Self::File(connection) => Conn::File(connection),
            Self::Server(connection, server) => Conn::Server(connection, server),
        }
    }

    /// The rows that a statement answers.
    pub(in crate::tables) fn fetch(&mut self, query: Query) -> BoxFuture<'_, Answer<Vec<Row>>> {
        Box::pin(async move {
            match self {
                Self::File(connection) => {
                    let rows = query.for_file().fetch_all(&mut **connection).await;
                    let rows = rows.map_err(|source| TablesError::on(None, "read", source))?;
                    Ok(rows.into_iter().map(Row::File).collect())
                }
                Self::Server(connection, server) => {
                    let rows = in_time(query.for_server().fetch_all(&mut **connection)).await;
                    let rows = rows.map_err(|source| TablesError::on(Some(server), "read", source));
                    Ok(rows?.into_iter().map(Row::Server).collect())
                }
            }
        })
    }

    /// Executes a statement; says how many rows it changed.
    pub(in crate::tables) fn execute(&mut self, query: Query) -> BoxFuture<'_, Answer<u64>> {
        Box::pin(async move {
            match self {
                Self::File(connection) => {
                    let done = query.for_file().execute(&mut **connection).await;
                    done.map(|done| done.rows_affected())
                        .map_err(|source| TablesError::on(None, "written", source))
                }
                Self::Server(connection, server) => {
                    let done = in_time(query.for_server().execute(&mut **connection)).await;
                    done.map(|done| done.rows_affected())
                        .map_err(|source| TablesError::on(Some(server), "written", source))
                }
            }
        })
    }

    /// A step of writing without values.
    pub(in crate::tables) fn step(&mut self, sql: impl Into<String>) -> BoxFuture<'_, Answer<()>> {
        let server = match self {
            Self::File(_) => None,
            Self::Server(_, server) => Some(Server::clone(server)),
        };
        let running = self.run(sql, "written");
        let Some(server) = server else {
            return running;
        };
        Box::pin(async move {
            let done = timeout(STATEMENT_MAX, running).await;
            done.unwrap_or_else(|_| Err(TablesError::on(Some(&server), "written", late())))
        })
    }

    /// Runs statements without values, as long as it takes. They are text of this program.
    pub(in crate::tables) fn run<'r>(
        &'r mut self,
        sql: impl Into<String>,
        doing: &'static str,
    ) -> BoxFuture<'r, Answer<()>> {
        let script = sqlx::raw_sql(AssertSqlSafe(sql.into()));
        Box::pin(async move {
            match self {
                Self::File(connection) => {
                    let done = script.execute(&mut **connection).await;
                    done.map(drop)
                        .map_err(|source| TablesError::on(None, doing, source))
                }
                Self::Server(connection, server) => {
                    let done = script.execute(&mut **connection).await;
                    done.map(drop)
                        .map_err(|source| TablesError::on(Some(server), doing, source))
                }
            }
        })
    }
}

type Answer<T> = Result<T, TablesError>;

/// A statement that must not take for ever: a way to the server may be gone without a word.
pub(in crate::tables) async fn in_time<T>(
    statement: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    in_time_of(STATEMENT_MAX, statement).await
}

async fn in_time_of<T>(
    time: Duration,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let answered = timeout(time, statement).await;
    answered.unwrap_or_else(|_| Err(late()))
}

fn late() -> sqlx::Error {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
