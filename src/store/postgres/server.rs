//! Which server, and how connections to it are made.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use tokio::time::timeout;

use crate::store::StoreError;

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Classes of SQLSTATE of a server that takes no connection now: the way there, too many of them, an
/// operator who intervenes.
const AWAY: &[&str] = &["08", "53", "57"];

/// Parameters of a URL; others are refused, since one that is misspelt would be ignored in silence.
const PARAMETERS: &[&str] = &[
    "application_name",
    "host",
    "hostaddr",
    "options",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
];

/// A PostgreSQL server, a database there, and who asks. Its URL may hold a password and is not shown.
#[derive(Clone)]
pub struct Server {
    options: Arc<PgConnectOptions>,
    /// Host, port and database, for people.
    name: String,
}

impl Server {
    /// The server of a URL. Over the network connections are encrypted unless the URL says
    /// `sslmode=disable`.
    ///
    /// # Errors
    /// The URL cannot be understood.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
        let mut says_mode = false;
        for (name, _) in form_urlencoded::parse(parameters.as_bytes()) {
            says_mode |= name == "sslmode";
            if !PARAMETERS.contains(&&*name) && !name.starts_with("options[") {
                let what = format!("its URL has a parameter `{name}`, which is not known");
                return Err(StoreError::Url(what));
            }
        }
        let options = PgConnectOptions::from_str(url);
        let mut options = options.map_err(|error| StoreError::Url(error.to_string()))?;
        if !says_mode && !is_near(&options) {
            options = options.ssl_mode(PgSslMode::Require);
        }
        if options.get_application_name().is_none() {
            options = options.application_name("postbook");
        }
        let name = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let database = options.get_database().unwrap_or(options.get_username());
        Ok(Self {
            name: format!("{name}/{database}"),
            options: Arc::new(options),
        })
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> sqlx::Result<PgConnection> {
        let connecting = PgConnection::connect_with(&self.options);
        let connected = timeout(CONNECT_MAX, connecting).await;
        connected.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
    }

    /// The first connection, which shows whether the server is there.
    ///
    /// # Errors
    /// It cannot be reached, or does not let this role in; the error names it.
    pub(crate) async fn reach(&self) -> Result<PgConnection, StoreError> {
        self.connect().await.map_err(|error| self.told(error))
    }

    fn told(&self, error: sqlx::Error) -> StoreError {
        let server = self.to_string();
        if is_away(&error) {
            let cause = Arc::new(error);
            return StoreError::Unreachable { server, cause };
        }
        StoreError::failed("opened", format!("{server}: {error}"))
    }

    /// Connections that are made when they are needed.
    pub(crate) fn pool(&self, connections: u32) -> PgPool {
        self.pool_with(connections, "")
    }

    /// The same, each with these settings from its beginning.
    pub(crate) fn pool_with(&self, connections: u32, settings: impl Into<Arc<str>>) -> PgPool {
        let settings: Arc<str> = settings.into();
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(CONNECT_MAX)
            // A query that meets a connection which has broken since is made again.
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let settings = Arc::clone(&settings);
                Box::pin(async move {
                    if !settings.is_empty() {
                        let set = sqlx::raw_sql(AssertSqlSafe(settings.to_string()));
                        set.execute(connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(PgConnectOptions::clone(&self.options))
    }
}

/// Whether a connection could not be made because the server is away, starts, ends or is full.
pub(crate) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            AWAY.iter().any(|class| code.starts_with(class))
        }
        _ => false,
    }
}

/// Whether nobody else can listen on the way.
fn is_near(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_loopback = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    options.get_socket().is_some() || host == "localhost" || is_loopback || host.starts_with('/')
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        // Settings may name another schema, whose log is another one.
        let settings = |server: &Self| server.options.get_options().map(str::to_owned);
        self.name == other.name && settings(self) == settings(other)
    }
}

impl Eq for Server {}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> PgSslMode {
        Server::parse(url).unwrap().options.get_ssl_mode()
    }

    #[test]
    fn what_goes_over_the_network_is_encrypted_unless_said_otherwise() {
        assert!(matches!(
            mode("postgres://db.example/p"),
            PgSslMode::Require
        ));
        assert!(matches!(mode("postgres://127.0.0.1/p"), PgSslMode::Prefer));
        let off = "postgres://db.example/p?sslmode=disable";
        assert!(matches!(mode(off), PgSslMode::Disable));
        let full = "postgres://db.example/p?sslmode=verify-full";
        assert!(matches!(mode(full), PgSslMode::VerifyFull));
    }

    #[test]
    fn another_schema_is_another_place() {
        let parse = |url| Server::parse(url).unwrap();
        let one = parse("postgres://me@db.example/p?options[search_path]=one");
        assert_eq!(one, one.clone());
        assert_ne!(
            one,
            parse("postgres://me@db.example/p?options[search_path]=two")
        );
    }

    #[test]
    fn neither_names_nor_errors_show_a_password() {
        let server = Server::parse("postgres://me:hush@db.example:5433/p").unwrap();
        assert_eq!(server.to_string(), "db.example:5433/p");
        assert!(!format!("{server:?}").contains("hush"));
        for url in [
            "postgres://me:hush@db.example/p?pasword=hush",
            "postgres://me:hush@db.example:port/p",
        ] {
            let error = Server::parse(url).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
