//! The tables of the log on a server: made once, checked whenever it is opened.

use postbook_schemas::ClickIdKey;
use sqlx::{Connection, PgConnection, Row as _};

use super::row::{COLUMNS, whole};
use crate::store::{
    StoreError,
    layout::{bound, part::seated_bit},
};

/// What makes each version of the layout out of the one before.
const MIGRATIONS: &[&str] = &[include_str!("migrations/1.sql")];

/// The version that this program makes and reads.
fn layout_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// What is known of the log when it is opened.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    /// The key of the fingerprints of keys, chosen at random when the tables were made.
    pub(super) fingerprint_key: [u8; 32],
    /// The advisory lock that appends take in turn.
    pub(super) lock_key: i64,
    /// Where nodes tell each other of new facts.
    pub(super) channel: String,
}

/// Makes the tables where they are missing, and refuses a server that forgets what it has confirmed.
pub(super) async fn open_to_write(connection: &mut PgConnection) -> Result<Opened, StoreError> {
    require_durable(connection).await?;
    let names = names(connection).await?;
    lay_out(connection, names.0).await?;
    open(connection, names).await
}

/// Whether the tables are there.
pub(super) async fn is_there(connection: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(version(connection).await? > 0)
}

/// Refuses tables of another layout, and makes none.
pub(super) async fn open_to_read(connection: &mut PgConnection) -> Result<Opened, StoreError> {
    let names = names(connection).await?;
    if !is_there(connection).await? {
        return Err(StoreError::failed(
            "opened",
            "the database has no log in its current schema",
        ));
    }
    open(connection, names).await
}

/// Settings of a connection that appends: a node that is stopped in the middle holds up the others for
/// so long only.
pub(super) async fn prepare_to_append(connection: &mut PgConnection) -> sqlx::Result<()> {
    let settings = "SET idle_in_transaction_session_timeout = '5s'; \
                    SET statement_timeout = '20s'; SET lock_timeout = 0; \
                    SET default_transaction_isolation = 'read committed'";
    sqlx::raw_sql(settings).execute(&mut *connection).await?;
    let row = sqlx::query("SELECT current_setting('synchronous_commit') = 'off'");
    if row.fetch_one(&mut *connection).await?.try_get(0)? {
        let on = sqlx::raw_sql("SET synchronous_commit = on");
        on.execute(connection).await?;
    }
    Ok(())
}

async fn require_durable(connection: &mut PgConnection) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', \
         pg_is_in_recovery()",
    );
    let row = row.fetch_one(connection).await.map_err(opened)?;
    let refuse = |what: &'static str| Err(StoreError::failed("opened", what));
    if row.get(2) {
        return refuse("the server is a standby, which takes nothing new");
    }
    if !row.get::<bool, _>(0) {
        return refuse("the server runs with fsync off, so that what it confirms can be lost");
    }
    if !row.get::<bool, _>(1) {
        tracing::warn!(
            "the server runs with full_page_writes off: a crash can damage the log unless its disk \
             writes whole pages"
        );
    }
    Ok(())
}

/// The lock of appends and the channel of news: other schemas of the database have other ones.
async fn names(connection: &mut PgConnection) -> Result<(i64, String), StoreError> {
    let row = sqlx::query(
        "SELECT oid::bigint FROM pg_namespace \
         WHERE nspname = current_schema()",
    );
    let row = row.fetch_optional(connection).await.map_err(opened)?;
    let row = row.ok_or_else(|| StoreError::failed("opened", "its search_path names no schema"))?;
    let schema: i64 = row.get(0);
    // The upper half tells these locks from those of other programs.
    Ok((0x706f_7374 << 32 | schema, format!("postbook_log_{schema}")))
}

/// Refuses a log whose click ids are those of another key.
pub(super) async fn require_click_ids(
    connection: &mut PgConnection,
    click_ids: &ClickIdKey,
) -> Result<(), StoreError> {
    match meta(connection, bound::CLICK_ID_OF_0).await? {
        Some(kept) => bound::require_key(&kept, click_ids),
        None => require_first_click(connection, click_ids).await,
    }
}

/// Refuses a log whose click ids are those of another key, and remembers the key if it does not yet. A
/// role that may only add to the log leaves that to the owner.
pub(super) async fn bind_click_ids(
    connection: &mut PgConnection,
    click_ids: &ClickIdKey,
) -> Result<(), StoreError> {
    require_click_ids(connection, click_ids).await?;
    let may = "SELECT NOT EXISTS (SELECT 1 FROM log_meta WHERE name = $1) \
               AND has_table_privilege('log_meta', 'INSERT')";
    let may = sqlx::query_scalar(may).bind(bound::CLICK_ID_OF_0);
    if !may.fetch_one(&mut *connection).await.map_err(opened)? {
        return Ok(());
    }
    let bind = sqlx::query("INSERT INTO log_meta VALUES ($1, $2) ON CONFLICT DO NOTHING");
    let bind = bind.bind(bound::CLICK_ID_OF_0);
    let bind = bind.bind(click_ids.encode(0).as_str().as_bytes());
    bind.execute(&mut *connection).await.map_err(opened)?;
    // Another node may have come first.
    require_click_ids(connection, click_ids).await
}

async fn require_first_click(
    connection: &mut PgConnection,
    click_ids: &ClickIdKey,
) -> Result<(), StoreError> {
    let first = format!(
        "SELECT {COLUMNS} FROM log_groups WHERE types & $1 <> 0 ORDER BY first_position LIMIT 1"
    );
    let first = sqlx::query(sqlx::AssertSqlSafe(first)).bind(seated_bit().cast_signed());
    let first = first.fetch_optional(connection).await.map_err(opened)?;
    match first.as_ref().map(whole) {
        Some(Ok(row)) => bound::require_key_of(&row, click_ids),
        _ => Ok(()),
    }
}

/// Whether there is a log that has facts.
pub(super) async fn has_facts(connection: &mut PgConnection) -> Result<bool, StoreError> {
    if !is_there(connection).await? {
        return Ok(false);
    }
    let any = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM log_groups)");
    any.fetch_one(connection).await.map_err(opened)
}

async fn lay_out(connection: &mut PgConnection, lock_key: i64) -> Result<(), StoreError> {
    if version(connection).await? >= layout_version() {
        return Ok(());
    }
    let mut transaction = connection.begin().await.map_err(opened)?;
    // Two nodes that are started at once do it one after the other.
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock_key);
    lock.execute(&mut *transaction).await.map_err(opened)?;
    let from = version(&mut transaction).await?;
    for (number, migration) in (1_i64..).zip(MIGRATIONS).skip_while(|(n, _)| *n <= from) {
        let step = sqlx::raw_sql(*migration).execute(&mut *transaction).await;
        step.map_err(opened)?;
        put(&mut transaction, "layout", &number.to_le_bytes()).await?;
    }
    if from == 0 {
        let key: [u8; 32] = rand::random();
        put(&mut transaction, "fingerprint_key", &key).await?;
    }
    transaction.commit().await.map_err(opened)
}

/// Takes over the fingerprint key of a log that is copied; the tables must be empty.
pub(super) async fn put_fingerprint_key(
    connection: &mut PgConnection,
    key: &[u8; 32],
) -> Result<(), StoreError> {
    put(connection, "fingerprint_key", key).await
}

async fn put(connection: &mut PgConnection, name: &str, value: &[u8]) -> Result<(), StoreError> {
    let put = sqlx::query(
        "INSERT INTO log_meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2",
    );
    let put = put.bind(name).bind(value).execute(connection).await;
    put.map(drop).map_err(opened)
}

async fn open(
    connection: &mut PgConnection,
    (lock_key, channel): (i64, String),
) -> Result<Opened, StoreError> {
    let found = version(connection).await?;
    if found != layout_version() {
        let known = layout_version();
        let what = format!("its layout is version {found}; this program knows version {known}");
        return Err(StoreError::failed("opened", what));
    }
    let key = meta(connection, "fingerprint_key").await?;
    let key = key.and_then(|key| <[u8; 32]>::try_from(key).ok());
    Ok(Opened {
        fingerprint_key: key
            .ok_or_else(|| StoreError::failed("opened", "its fingerprint key has not 32 bytes"))?,
        lock_key,
        channel,
    })
}

/// The version of the layout; 0 where there are no tables.
async fn version(connection: &mut PgConnection) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "SELECT count(*) > 0 FROM pg_tables \
         WHERE schemaname = current_schema() AND tablename = 'log_meta'",
    );
    let row = row.fetch_one(&mut *connection).await.map_err(opened)?;
    if !row.get::<bool, _>(0) {
        return Ok(0);
    }
    let layout = meta(connection, "layout").await?;
    let layout = layout.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    layout
        .map(i64::from_le_bytes)
        .ok_or_else(|| StoreError::failed("opened", "its layout has no version"))
}

async fn meta(connection: &mut PgConnection, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let value = sqlx::query_scalar("SELECT value FROM log_meta WHERE name = $1").bind(name);
    value.fetch_optional(connection).await.map_err(opened)
}

fn opened(error: sqlx::Error) -> StoreError {
    StoreError::failed("opened", error)
}
