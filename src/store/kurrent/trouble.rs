//! What goes wrong with a server and its client, and what of it passes.

use std::time::Duration;

use eventstore::Error;
use tokio::time::{Instant, sleep};

use crate::store::StoreError;

/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest time between a conflict and the next try.
const CONFLICT_PAUSE_MAX: Duration = Duration::from_millis(3);

/// The names of gRPC's codes that pass: a server that is busy, restarting or electing a leader.
const PASSING: &[&str] = &[
    "Aborted",
    "Cancelled",
    "ResourceExhausted",
    "FailedPrecondition",
];

/// Why something could not be done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The stream does not end where it was expected to.
    Conflict,
    /// The server, the way there, or the client.
    Client(Error),
    /// The answer was none, or not whole.
    NoAnswer(&'static str),
    /// There was no answer in time.
    Late,
    /// What is kept there or here, or what was to be.
    Log(StoreError),
}

impl Trouble {
    /// Whether it may be gone after a while.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Client(error) => match error {
                Error::ServerError(_)
                | Error::NotLeaderException(_)
                | Error::ConnectionClosed
                | Error::GrpcConnectionError(_)
                | Error::InternalClientError
                | Error::DeadlineExceeded
                | Error::InitializationError(_) => true,
                // Aborted is a server whose own time was over: the append may yet be done.
                Error::Grpc { code, .. } => PASSING.contains(&format!("{code:?}").as_str()),
                _ => false,
            },
            Self::Conflict | Self::NoAnswer(_) | Self::Late => true,
            Self::Log(_) => false,
        }
    }

    /// Whether the client is to be made anew. One whose first connection has failed never makes
    /// another; after other failures it connects again by itself.
    pub(super) fn breaks_client(&self) -> bool {
        matches!(
            self,
            Self::Late
                | Self::Client(
                    Error::ConnectionClosed
                        | Error::GrpcConnectionError(_)
                        | Error::InternalClientError
                        | Error::InitializationError(_)
                )
        )
    }

    /// As callers of the store are told.
    pub(super) fn told(self, doing: &'static str) -> StoreError {
        match self {
            Self::Conflict => StoreError::failed(doing, "other nodes append to it all the time"),
            Self::Client(Error::ResourceDeleted) => {
                StoreError::failed(doing, "its stream was deleted on the server")
            }
            Self::Client(error) => StoreError::failed(doing, error),
            Self::NoAnswer(what) => StoreError::failed(doing, what),
            Self::Late => StoreError::failed(doing, "the server has not answered in time"),
            Self::Log(error) => error,
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::WrongExpectedVersion { .. } => Self::Conflict,
            other => Self::Client(other),
        }
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
    pub(super) async fn after(self, trouble: Trouble) -> Result<(), Trouble> {
        if !trouble.is_passing() || Instant::now() >= self.until {
            return Err(trouble);
        }
        tracing::debug!(?trouble, "the log's server is asked again");
        let pause = match trouble {
            // Nodes that were refused at once must not come again at once.
            Trouble::Conflict => CONFLICT_PAUSE_MAX.mul_f32(rand::random()),
            _ => PAUSE,
        };
        sleep(pause).await;
        Ok(())
    }
}
