//! The PostgreSQL that tests are given, each in a schema of its own.

use std::{path::Path, str::FromStr};

use postbook::tables::location::Location;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

/// A schema of its own on the server of `TEST_POSTGRES_URL`; it goes when it is dropped.
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    /// A new schema; `None`, and a line that says so, if there is no server.
    pub(crate) async fn make() -> Option<Self> {
        let (server, name) = server_and_name()?;
        run_at(&server, &format!("CREATE SCHEMA {name}")).await;
        Some(Self { server, name })
    }

    /// The URL under which a log is kept in the schema.
    pub(crate) fn url(&self) -> String {
        let sign = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{sign}options[search_path]={}", self.server, self.name)
    }

    /// Read models in the schema.
    pub(crate) fn read_models(&self) -> Location {
        Location::choose(Some(&self.url()), Path::new("")).expect("the URL is one")
    }

    /// The same, by way of another address.
    pub(crate) fn read_models_by_way_of(&self, address: std::net::SocketAddr) -> Location {
        let url = self.url_by_way_of(address);
        Location::choose(Some(&url), Path::new("")).expect("the URL is one")
    }

    /// The name of the schema.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The same, by way of another address.
    pub(crate) fn url_by_way_of(&self, address: std::net::SocketAddr) -> String {
        let host = self.host();
        let url = self.url();
        assert!(url.contains(&host), "TEST_POSTGRES_URL names {host}");
        url.replacen(&host, &address.to_string(), 1)
    }

    /// Host and port of the server.
    pub(crate) fn host(&self) -> String {
        host(&self.server)
    }

    /// A connection of somebody else, in the schema.
    pub(crate) async fn connect(&self) -> PgConnection {
        let connection = PgConnection::connect(&self.url()).await;
        connection.expect("the server answers")
    }

    /// Runs statements in the schema.
    pub(crate) async fn run(&self, statements: &str) {
        let mut connection = self.connect().await;
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()))
            .execute(&mut connection)
            .await;
        done.expect("the statements run");
        connection.close().await.expect("the connection closes");
    }
}

/// A database of its own on the server of `TEST_POSTGRES_URL`, for tests with roles: they are a server's,
/// so their names begin with the database's. It goes when it is dropped, and they with it.
pub(crate) struct Database {
    server: String,
    pub(crate) name: String,
}

impl Database {
    /// A new database; `None`, and a line that says so, if there is no server.
    pub(crate) async fn make() -> Option<Self> {
        let (server, name) = server_and_name()?;
        run_at(&server, &format!("CREATE DATABASE {name}")).await;
        Some(Self { server, name })
    }

    /// The URL under which a role connects to it.
    pub(crate) fn url(&self, role: &str) -> String {
        format!("postgres://{role}@{}/{}", host(&self.server), self.name)
    }

    /// Runs statements as the role of `TEST_POSTGRES_URL`.
    pub(crate) async fn run(&self, statements: &str) {
        let options = PgConnectOptions::from_str(&self.server).expect("the server has a URL");
        run_at(&self.url(options.get_username()), statements).await;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statements = [
            format!("DROP DATABASE {} WITH (FORCE)", self.name),
            format!(
                "DO $$ DECLARE one text; BEGIN \
                 FOR one IN SELECT rolname FROM pg_roles WHERE starts_with(rolname, '{}') LOOP \
                 EXECUTE 'DROP ROLE ' || quote_ident(one); END LOOP; END $$",
                self.name
            ),
        ];
        run_after(&self.server, statements.into(), &self.name);
    }
}

/// The server that tests are given, and a name that nobody has there.
#[expect(clippy::disallowed_methods, reason = "tests have no command line")]
#[expect(clippy::print_stderr, reason = "what is left out is said")]
fn server_and_name() -> Option<(String, String)> {
    let Ok(server) = std::env::var("TEST_POSTGRES_URL") else {
        eprintln!("SKIPPED on PostgreSQL: TEST_POSTGRES_URL is not set");
        return None;
    };
    Some((server, format!("test_{:032x}", rand::random::<u128>())))
}

fn host(server: &str) -> String {
    let options = PgConnectOptions::from_str(server).expect("the server has a URL");
    format!("{}:{}", options.get_host(), options.get_port())
}

/// Runs statements once a test is over, whose own runtime may be ending.
#[expect(clippy::print_stderr, reason = "somebody may want to clean up")]
fn run_after(server: &str, statements: Vec<String>, name: &str) {
    let server = server.to_owned();
    let running = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be made");
        for statement in statements {
            runtime.block_on(run_at(&server, &statement));
        }
    });
    if running.join().is_err() {
        eprintln!("what a test made was left: {name}");
    }
}

async fn run_at(server: &str, statement: &str) {
    let mut connection = PgConnection::connect(server)
        .await
        .expect("the server answers");
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await;
    done.expect("the statement runs");
    connection.close().await.expect("the connection closes");
}

impl Drop for Schema {
    fn drop(&mut self) {
        // With the generations of read models that are kept beside it.
        let name = &self.name;
        let of_it = format!("(n.nspname = '{name}' OR starts_with(n.nspname, '{name}_g'))");
        // The runtime that would end what is still being read may be the one that waits here.
        let statement = format!(
            "DO $$ DECLARE one text; BEGIN \
             PERFORM pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE {of_it} AND l.pid <> pg_backend_pid(); \
             FOR one IN SELECT n.nspname FROM pg_namespace n WHERE {of_it} LOOP \
             EXECUTE 'DROP SCHEMA ' || quote_ident(one) || ' CASCADE'; END LOOP; END $$"
        );
        run_after(&self.server, vec![statement], name);
    }
}
