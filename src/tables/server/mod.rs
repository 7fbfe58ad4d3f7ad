//! Read models on a PostgreSQL server: a schema for each generation, and one that stays.
//!
//! The schema that stays is the current one of the URL's connections. In it are `read_models`, one row
//! that says which generation is in force, and views of its tables, to which other tools connect. The
//! tables of generation 7 are in a schema of their own beside it, with `_g7` after the name. A switch is
//! one change of that one row: whoever reads asks for it first, over the same connection (see `db`), so
//! that all nodes go over at once and nobody reads of two generations.

mod dialect;
mod fence;
mod generations;
mod pointer;
mod views;

use std::{
    fmt::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use sqlx::{AssertSqlSafe, SqlSafeStr as _};
use tokio::time::timeout;

pub(super) use self::fence::Fence;
use super::{
    Checkpoint,
    analysis::Analysis,
    checkpoint,
    connect::Building,
    db::{Connection, Pool, Query, Readers},
    digest::Digest,
    error::TablesError,
    row::Reader,
    write::Writer,
};
use crate::store::postgres::Server;

/// Connections for reading at the same time.
const READERS: u32 = 8;

/// The longest name of the schema that stays; those of generations are longer, and a server cuts names
/// off after 63 bytes.
const NAME_MAX: usize = 48;

/// How long it may take to connect and ask what is there.
const OPEN_MAX: Duration = Duration::from_secs(20);

/// Settings of every connection. A plan is compiled for large reports of others, not for short queries.
const SETTINGS: &str = "SET jit = off; SET statement_timeout = 0; SET lock_timeout = 0; \
    SET default_transaction_isolation = 'read committed'; ";

/// Settings of a connection that writes. What a crash of the server takes with it is derived again; a
/// node that is stopped in the middle of a transaction holds up the others for so long only.
const WRITING: &str = "SET synchronous_commit = off; \
    SET idle_in_transaction_session_timeout = '10s'; ";

/// Where read models are on a server.
#[derive(Clone, Debug)]
pub(super) struct Place {
    server: Server,
    /// The schema that stays.
    base: String,
    /// Its number, for locks.
    oid: i64,
}

impl Place {
    /// The place that a server's URL names.
    pub(super) async fn find(server: &Server) -> Result<Self, TablesError> {
        let mut connection = open(server, "").await?;
        let sql = "SELECT n.oid::bigint AS oid, current_schema()::text AS name, \
                   current_setting('server_encoding') AS encoding \
                   FROM pg_namespace n WHERE n.nspname = current_schema()";
        let rows = connection.hand().fetch(Query::new(sql)).await?;
        let refuse = |what: &str| Err(TablesError::Unsuitable(format!("{server}: {what}")));
        let Some(row) = rows.first().map(|row| Reader::new("pg_namespace", row)) else {
            return refuse("its search_path names no schema");
        };
        if row.text("encoding")? != "UTF8" {
            return refuse("the database's encoding is not UTF8");
        }
        let base = row.text("name")?.into_owned();
        if base.len() > NAME_MAX {
            return refuse("the name of its current schema is longer than 48 bytes");
        }
        let oid = row.number("oid")?;
        connection.close().await?;
        Ok(Self {
            server: server.clone(),
            base,
            oid,
        })
    }

    /// The server.
    pub(super) fn on(&self) -> &Server {
        &self.server
    }

    /// The schema of a generation.
    fn schema(&self, generation: i64) -> String {
        format!("{}_g{generation}", self.base)
    }

    /// A table or view of the schema that stays, as statements name it.
    fn stable(&self, name: &str) -> String {
        format!("{}.{}", quoted(&self.base), quoted(name))
    }

    /// A connection to no generation in particular.
    async fn connect(&self) -> Result<Connection, TablesError> {
        open(&self.server, "").await
    }

    /// A connection that writes a generation.
    async fn connect_to(&self, generation: i64) -> Result<Connection, TablesError> {
        let mut settings = WRITING.to_owned();
        _ = write!(
            settings,
            "SET search_path = {}",
            quoted(&self.schema(generation))
        );
        open(&self.server, &settings).await
    }

    /// Connections that read a generation, made when they are needed.
    pub(super) fn readers(&self, generation: i64) -> Readers {
        let settings = format!(
            "{SETTINGS}SET default_transaction_read_only = on; SET search_path = {}",
            quoted(&self.schema(generation))
        );
        let look = format!(
            "SELECT generation FROM {} WHERE one = 1",
            self.stable(pointer::TABLE)
        );
        Readers {
            pool: Pool::Server {
                pool: self.server.pool_with(READERS, settings),
                server: self.server.clone(),
                look: AssertSqlSafe(look).into_sql_str(),
            },
            generation,
        }
    }

    /// Opens the read models to write them, and makes empty ones where there are none. Says which
    /// generation is in force, and its form.
    pub(super) async fn open(self: &Arc<Self>) -> Result<(i64, i64), TablesError> {
        let mut connection = self.connect().await?;
        let generation = match pointer::find(self, connection.hand()).await? {
            Some(pointer) => {
                if pointer.shown != pointer.generation {
                    tokio::spawn(views::show_later(Arc::clone(self)));
                }
                pointer.generation
            }
            None => self.lay_out(&mut connection).await?,
        };
        connection.close().await?;
        Ok((generation, self.form_of(generation).await?))
    }

    /// The generation in force and its form; nothing is made.
    pub(super) async fn in_force(&self) -> Result<(i64, i64), TablesError> {
        let generation = self.in_force_number().await?;
        Ok((generation, self.form_of(generation).await?))
    }

    /// The number of the generation in force.
    pub(super) async fn in_force_number(&self) -> Result<i64, TablesError> {
        let mut connection = self.connect().await?;
        let found = pointer::find(self, connection.hand()).await?;
        connection.close().await?;
        let found = found.ok_or_else(|| TablesError::Absent(self.server.to_string()))?;
        Ok(found.generation)
    }

    /// The form of a generation.
    pub(super) async fn form_of(&self, generation: i64) -> Result<i64, TablesError> {
        let mut connection = self.connect_to(generation).await?;
        let form = checkpoint::form_of(connection.hand()).await?;
        connection.close().await?;
        Ok(form)
    }

    /// Makes what stays, and the first generation.
    async fn lay_out(&self, connection: &mut Connection) -> Result<i64, TablesError> {
        let mut hand = connection.hand();
        hand.run("BEGIN", "made").await?;
        // Two nodes that are started at once do it one after the other.
        let lock = Query::new("SELECT pg_advisory_xact_lock($1)").bind(pointer::lock_key(self.oid));
        hand.fetch(lock).await?;
        if let Some(pointer) = pointer::find(self, hand.lend()).await? {
            hand.run("ROLLBACK", "made").await?;
            return Ok(pointer.generation);
        }
        let generation = 1;
        let first = generations::make(self, generation, Building::Live);
        hand.run(first, "made").await?;
        checkpoint::begin(hand.lend(), Checkpoint::start(generation)).await?;
        hand.run(pointer::make(self, generation), "made").await?;
        hand.run(views::show(self, generation), "made").await?;
        hand.run("COMMIT", "made").await?;
        Ok(generation)
    }

    /// The writer of a generation.
    pub(super) async fn writer(
        self: &Arc<Self>,
        generation: i64,
        building: Building,
        term: Option<i64>,
    ) -> Result<Writer, TablesError> {
        let fence = Fence::of(self, generation, building, term).await?;
        let mut connection = fence.connect().await?;
        let checkpoint = checkpoint::read(connection.hand()).await?;
        Writer::init(connection, checkpoint, Some(fence), Analysis::NEVER).await
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, schema {}", self.server, self.base)
    }
}

impl Checkpoint {
    /// Of a generation without rows.
    pub(super) fn start(generation: i64) -> Self {
        Self {
            generation,
            position: 0,
            digest: Digest::default(),
        }
    }
}

async fn open(server: &Server, settings: &str) -> Result<Connection, TablesError> {
    let opening = async {
        let mut connection = server.connect().await?;
        let settings = format!("{SETTINGS}{settings}");
        let set = sqlx::raw_sql(AssertSqlSafe(settings));
        set.execute(&mut connection).await?;
        Ok(connection)
    };
    let opened = timeout(OPEN_MAX, opening).await;
    let opened = opened.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    let opened = opened.map_err(|source| TablesError::on(Some(server), "opened", source))?;
    Ok(Connection::Server(Box::new(opened), server.clone()))
}

/// A name in a statement, whatever it is.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
