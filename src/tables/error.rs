//! Why the read models could not be read or written.

use thiserror::Error;

use crate::store::postgres::Server;

/// Classes of SQLSTATE that pass: connections, too little of something, a rollback that asks to try
/// again, an operator who intervenes, a server that has just become a standby.
const PASSING: &[&str] = &["08", "40", "53", "57", "25006", "55P03"];

/// SQLSTATEs of what is not there any more: a table, a schema.
const GONE: &[&str] = &["42P01", "3F000"];

/// Why the read models could not be read or written.
#[derive(Debug, Error)]
pub enum TablesError {
    /// The embedded database failed.
    #[error("the read models could not be {doing}: {source}")]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The server failed, or the way there.
    #[error("the read models at {server} could not be {doing}: {source}")]
    Server {
        /// Which: host, port and database.
        server: String,
        /// What was being done.
        doing: &'static str,
        /// What was said.
        source: sqlx::Error,
    },
    /// What the server or its URL is like does not do.
    #[error("the read models cannot be kept there: {0}")]
    Unsuitable(String),
    /// Somebody else has written the tables, put others in force, or may write them now. Nothing was
    /// written.
    #[error("the read models were written by somebody else meanwhile")]
    Overtaken,
    /// Another process builds the next generation.
    #[error("another process is building read models there")]
    UnderWay,
    /// A file of the read models could not be made, replaced or removed.
    #[error("the read models could not be {doing}: {source}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The tables are of another form than this program writes.
    #[error("the read models are of form {found}, and this program's of form {known}")]
    OtherForm {
        /// The form of the tables.
        found: i64,
        /// The form that this program writes.
        known: i64,
    },
    /// There are none where they are looked for.
    #[error(
        "there are no read models at {0} yet: `postbook serve` or `postbook replay` makes them"
    )]
    Absent(String),
    /// A row holds what this program never writes.
    #[error("row {row} of `{table}` in the read models is damaged: {what}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// Its key.
        row: String,
        /// What is wrong with it.
        what: String,
    },
}

impl TablesError {
    /// Names what was being done when the embedded database failed.
    pub fn sql(doing: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::on(None, doing, source)
    }

    /// Names what was being done when the system failed.
    pub fn file(doing: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::File { doing, source }
    }

    /// Names where and what was being done when a database failed.
    pub(super) fn on(server: Option<&Server>, doing: &'static str, source: sqlx::Error) -> Self {
        match server {
            None => Self::Sql { doing, source },
            Some(server) => Self::Server {
                server: server.to_string(),
                doing,
                source,
            },
        }
    }

    /// Whether it may be over after a while: a server that is away, or busy.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Server { source, .. } => match source {
                sqlx::Error::Database(error) => {
                    let code = error.code().unwrap_or_default();
                    PASSING.iter().any(|class| code.starts_with(class))
                }
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether a view cannot show tables because their columns are others.
    pub(super) fn is_another_form(&self) -> bool {
        self.code().is_some_and(|code| code == "42P16")
    }

    /// Whether the tables that were asked are gone: another generation is in force.
    pub(super) fn is_gone(&self) -> bool {
        self.code().is_some_and(|code| GONE.contains(&&*code))
    }

    /// What a server calls it.
    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        let Self::Server { source, .. } = self else {
            return None;
        };
        source.as_database_error()?.code()
    }
}
