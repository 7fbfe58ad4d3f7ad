//! The lease on the server that has the read models: one row, which ends by the server's clock.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use sqlx::{Connection, PgConnection, Row, postgres::PgRow};
use tokio::sync::Mutex;

use super::{Holder, LeaseError, LeaseStore, Session, Standing};
use crate::store::postgres::Server;

/// The row is made when it is first asked for. Its term goes on from the one in which the read models
/// were written last, should the row be lost.
const MAKE: &str = "
    CREATE TABLE IF NOT EXISTS projection_lease (
        one BIGINT PRIMARY KEY CHECK (one = 1),
        holder TEXT NOT NULL,
        session TEXT NOT NULL,
        term BIGINT NOT NULL,
        expires_at TIMESTAMPTZ NOT NULL,
        wanted BIGINT NOT NULL DEFAULT 0
    );
    INSERT INTO projection_lease (one, holder, session, term, expires_at)
        SELECT 1, '', '', coalesce((SELECT max(term) FROM read_models), 0), '-infinity'
        ON CONFLICT DO NOTHING";

/// Takes or renews; no row if somebody else has it.
const TAKE: &str = "
    UPDATE projection_lease SET
        term = term + CASE
            WHEN session = $2 AND expires_at > clock_timestamp() THEN 0 ELSE 1 END,
        holder = $1, session = $2,
        expires_at = clock_timestamp() + $3 * interval '1 microsecond'
    WHERE one = 1 AND (session = $2 OR expires_at <= clock_timestamp())
    RETURNING holder, term, wanted, 0::BIGINT AS renewed";

/// A lease that was given up was not renewed.
const LOOK: &str = "
    SELECT holder, term, wanted, expires_at > clock_timestamp() AS holds,
        CASE WHEN isfinite(expires_at) THEN (extract(epoch FROM expires_at) * 1000000)::BIGINT
            ELSE 0 END AS renewed
    FROM projection_lease WHERE one = 1";

const WANT: &str = "
    UPDATE projection_lease SET wanted = $1 WHERE one = 1 AND wanted < $1";

const GIVE_UP: &str = "
    UPDATE projection_lease SET expires_at = '-infinity' WHERE one = 1 AND session = $1";

/// Settings of its connection: a term that was given out is not forgotten, and nobody waits for long.
const SETTINGS: &str = "SET synchronous_commit = on; SET statement_timeout = '2s'; \
    SET lock_timeout = '1s'";

/// Who has the lease, on a server.
#[derive(Debug)]
pub struct ServerLeases {
    server: Server,
    /// The connection over which the last answer came. One over which none came is not used again:
    /// the way to the server may be gone without a word.
    connection: Mutex<Option<PgConnection>>,
}

impl ServerLeases {
    /// On the server, in the current schema of its connections.
    pub fn of(server: &Server) -> Self {
        Self {
            server: server.clone(),
            connection: Mutex::default(),
        }
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let kept = self.connection.lock().await.take();
        if let Some(connection) = kept {
            return Ok(connection);
        }
        let mut connection = self.server.connect().await?;
        sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
        Ok(connection)
    }

    async fn keep(&self, connection: PgConnection) {
        *self.connection.lock().await = Some(connection);
    }

    async fn ask_or_make(
        &self,
        session: &Session,
        lasts: Duration,
        wanted: u64,
    ) -> sqlx::Result<Standing> {
        let mut connection = self.connect().await?;
        let standing = match ask(&mut connection, session, lasts).await {
            Err(error) if is_missing(&error) => {
                sqlx::raw_sql(MAKE).execute(&mut connection).await?;
                ask(&mut connection, session, lasts).await?
            }
            answer => answer?,
        };
        if !standing.is_own && standing.wanted < wanted {
            let want = sqlx::query(WANT).bind(wanted.cast_signed());
            want.execute(&mut connection).await?;
        }
        self.keep(connection).await;
        Ok(standing)
    }

    async fn give_up_now(&self, session: &Session) -> sqlx::Result<()> {
        let mut connection = self.connect().await?;
        let given_up = sqlx::query(GIVE_UP).bind(&*session.id);
        given_up.execute(&mut connection).await?;
        connection.close().await
    }
}

async fn ask(
    connection: &mut PgConnection,
    session: &Session,
    lasts: Duration,
) -> sqlx::Result<Standing> {
    let micros = i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX);
    let taken = sqlx::query(TAKE)
        .bind(&*session.node)
        .bind(&*session.id)
        .bind(micros);
    let taken = taken.fetch_optional(&mut *connection).await?;
    let is_own = taken.is_some();
    let row = match taken {
        Some(row) => row,
        None => sqlx::query(LOOK).fetch_one(connection).await?,
    };
    standing(&row, is_own)
}

fn standing(row: &PgRow, is_own: bool) -> sqlx::Result<Standing> {
    let node: String = row.try_get("holder")?;
    let holder = Holder {
        node: node.into(),
        term: row.try_get("term")?,
    };
    Ok(Standing {
        holder,
        is_own,
        renewed: row.try_get("renewed")?,
        wanted: row.try_get::<i64, _>("wanted")?.cast_unsigned(),
    })
}

/// Who has the lease of the read models on a server, if it was ever taken, and whether it still holds.
///
/// # Errors
/// The server cannot be asked.
pub async fn look(server: &Server) -> Result<Option<(Holder, bool)>, LeaseError> {
    let mut connection = server.connect().await?;
    let found = match sqlx::query(LOOK).fetch_optional(&mut connection).await {
        Err(error) if is_missing(&error) => None,
        found => found?,
    };
    connection.close().await?;
    let Some(row) = found else {
        return Ok(None);
    };
    Ok(Some((standing(&row, false)?.holder, row.try_get("holds")?)))
}

/// Whether the table or its row is not there yet.
fn is_missing(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    matches!(error, sqlx::Error::RowNotFound) || code.as_deref() == Some("42P01")
}

impl From<sqlx::Error> for LeaseError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

impl LeaseStore for ServerLeases {
    fn take<'s>(
        &'s self,
        session: &'s Session,
        lasts: Duration,
        wanted: u64,
    ) -> BoxFuture<'s, Result<Standing, LeaseError>> {
        async move {
            let standing = self.ask_or_make(session, lasts, wanted).await;
            Ok(standing?)
        }
        .boxed()
    }

    fn give_up<'s>(&'s self, session: &'s Session) -> BoxFuture<'s, Result<(), LeaseError>> {
        async move { Ok(self.give_up_now(session).await?) }.boxed()
    }
}
