//! What one would otherwise take, as processes of their own, and the PostgreSQL that one of them needs.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use clap::ValueEnum;
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection, PgPool, postgres::PgPoolOptions};

use crate::support::{
    command::output,
    http::{Connection, get},
};

/// Which rival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rival {
    /// Reads the body and answers: what HTTP alone costs.
    Empty,
    /// Inserts one row per request and answers after the commit.
    Postgres,
    /// No rival, but what one of the subjects has its log on.
    #[cfg(feature = "kurrentdb")]
    FakeKurrentdb,
}

impl Rival {
    /// Its name as an argument.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Postgres => "postgres",
            #[cfg(feature = "kurrentdb")]
            Self::FakeKurrentdb => "fake-kurrentdb",
        }
    }
}

const ANSWER: &str = r#"{"status":"ok","click_id":"k3p9x7qWmB","campaign":"spring-sale","matched":true,"conversion_id":"01970000-0000-7000-8000-000000000068"}"#;

type Json = ([(&'static str, &'static str); 1], &'static str);

const JSON: Json = ([("content-type", "application/json")], ANSWER);

/// Serves as a rival until the process is killed.
pub(crate) fn serve(rival: Rival, postgres: Option<&str>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let router = match rival {
            Rival::Empty => Router::new().route("/postback", post(empty)),
            Rival::Postgres => {
                let pool = open(postgres.unwrap_or_default()).await?;
                Router::new()
                    .route("/postback", post(insert))
                    .with_state(pool)
            }
            #[cfg(feature = "kurrentdb")]
            Rival::FakeKurrentdb => {
                let fake = fake_kurrentdb::FakeKurrentdb::start().await;
                println!("listening on http://{}", fake.address());
                return std::future::pending().await;
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        axum::serve(
            axum::serve::ListenerExt::tap_io(listener, |stream| {
                stream.set_nodelay(true).unwrap_or_default();
            }),
            router,
        )
        .await?;
        Ok(())
    })
}

async fn empty(body: Bytes) -> Json {
    std::hint::black_box(body);
    JSON
}

async fn open(url: &str) -> anyhow::Result<PgPool> {
    let pool = PgPoolOptions::new()
        .max_connections(16)
        .min_connections(16)
        .connect(url)
        .await?;
    for statement in [
        "DROP TABLE IF EXISTS postbacks",
        "CREATE TABLE postbacks (id BIGSERIAL PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, \
         body JSONB NOT NULL, received_at TIMESTAMPTZ NOT NULL DEFAULT now())",
    ] {
        sqlx::query(statement).execute(&pool).await?;
    }
    Ok(pool)
}

#[derive(Deserialize)]
struct Postback<'a> {
    #[serde(borrow)]
    txn_id: &'a str,
}

async fn insert(State(pool): State<PgPool>, body: String) -> Result<Json, StatusCode> {
    let postback: Postback<'_> =
        serde_json::from_str(&body).map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)?;
    let done = sqlx::query(
        "INSERT INTO postbacks (event_id, body) VALUES ($1, $2::jsonb) ON CONFLICT (event_id) DO NOTHING",
    )
    .bind(postback.txn_id)
    .bind(&body)
    .execute(&pool)
    .await
    .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    if done.rows_affected() == 1 {
        Ok(JSON)
    } else {
        Err(StatusCode::CONFLICT)
    }
}

/// A PostgreSQL cluster of our own; ended when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: PathBuf,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its folder goes away in any case.
        output(&mut script("stop", &self.folder)).map_or_else(drop, drop);
    }
}

fn script(action: &str, folder: &Path) -> Command {
    let mut command = Command::new("bash");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/postgres"))
        .arg(action)
        .arg(folder);
    command
}

/// The URL of a PostgreSQL: the given one, else that of a cluster of our own, else none.
pub(crate) fn postgres(given: Option<String>, folder: &Path) -> (Option<Cluster>, Option<String>) {
    if given.is_some() {
        return (None, given);
    }
    let folder = folder.join("postgres");
    let started = output(&mut script("start", &folder))
        .and_then(|_| Ok(std::fs::read_to_string(folder.join("url"))?));
    match started {
        Ok(url) => (Some(Cluster { folder }), Some(url)),
        Err(error) => {
            println!("without PostgreSQL: {error:#}");
            (None, None)
        }
    }
}

/// A database of its own on a server, by its URL. It is left there: the cluster is temporary, or its
/// owner's to look at.
pub(crate) fn new_database(url: &str) -> anyhow::Result<String> {
    let name = format!("bench_{:016x}", rand::random::<u64>());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await?;
        connection.close().await
    })?;
    let (server, _) = url.rsplit_once('/').context("the URL names a database")?;
    Ok(format!("{server}/{name}"))
}

/// Whether the read models of a `postbook serve` are at the head of its log.
pub(crate) fn has_caught_up(address: SocketAddr) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = Connection::init(address).await?;
        let answer = connection.ask(&get("/readyz", "")).await?;
        let ready: serde_json::Value = serde_json::from_slice(answer.body)?;
        Ok(ready["lag"] == 0)
    })
}
