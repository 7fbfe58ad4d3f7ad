//! What goes wrong with a server, and what of it passes.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::store::StoreError;

/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Classes of SQLSTATE that pass: connections, too little of something, a rollback that asks to try
/// again, an operator who intervenes, a server that has just become a standby.
const PASSING: &[&str] = &["08", "40", "53", "57", "25006"];

/// A server that takes longer for a page of rows is not there any more, even if nobody has said so.
const READ_MAX: Duration = Duration::from_secs(20);

/// A query that must not take for ever: a way to the server may be gone without a word.
pub(super) async fn in_time<T>(query: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let answered = timeout(READ_MAX, query).await;
    answered.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Why something could not be done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server, or the way there.
    Sql(sqlx::Error),
    /// What is kept there, or what was to be.
    Log(StoreError),
}

impl Trouble {
    /// Whether it may be gone after a while.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => {
                let code = error.code().unwrap_or_default();
                PASSING.iter().any(|class| code.starts_with(class))
            }
            Self::Sql(sqlx::Error::Configuration(_) | sqlx::Error::PoolClosed) | Self::Log(_) => {
                false
            }
            Self::Sql(_) => true,
        }
    }

    /// As callers of the store are told.
    pub(super) fn told(self, doing: &'static str) -> StoreError {
        match self {
            Self::Sql(error) => StoreError::failed(doing, error),
            Self::Log(error) => error,
        }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Log(error)
    }
}

/// For how long something is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    until: Instant,
}

impl Patience {
    /// From now on for so long.
    pub(super) fn of(time: Duration) -> Self {
        Self {
            until: Instant::now() + time,
        }
    }

    /// Waits a little after a trouble that passes.
    ///
    /// # Errors
    /// The trouble, if it does not pass or has lasted too long.
    pub(super) async fn after(self, trouble: impl Into<Trouble>) -> Result<(), Trouble> {
        let trouble = trouble.into();
        if !trouble.is_passing() || Instant::now() >= self.until {
            return Err(trouble);
        }
        tracing::debug!(?trouble, "the log's server is asked again");
        sleep(PAUSE).await;
        Ok(())
    }
}
