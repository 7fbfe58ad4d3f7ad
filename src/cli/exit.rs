//! How the program ends: exit codes that mean something, and the message that goes with them.

use std::{fmt::Display, process::ExitCode};

use crate::{secrets::SecretsError, store::StoreError};

/// Exit codes; `docs/reference/cli.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// It could not be done: a file, the network or the program itself failed.
    Failed = 1,
    /// The command line cannot be understood. Clap uses the same number.
    Usage = 2,
    /// A rule forbids it: nothing was changed.
    Refused = 3,
    /// The data directory is in use, or the server cannot be reached. Trying again may help.
    Unavailable = 4,
    /// What was asked for is not there.
    NotFound = 5,
    /// A check found something wrong.
    Unsound = 6,
    /// Done, but parts of it were refused: each has its reason.
    Partly = 7,
}

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub(super) struct CliError {
    /// How the program ends.
    pub(super) exit: Exit,
    /// What people are told on standard error.
    pub(super) message: String,
}

impl CliError {
    /// An error with its exit code.
    pub(super) fn new(exit: Exit, message: impl Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
        }
    }

    /// Something failed.
    pub(super) fn failed(message: impl Display) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The code the process ends with.
    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InUse(message) => Self::new(
                Exit::Unavailable,
                format!(
                    "{message}\nhint: verbs that write go through a running server with --server URL --token T"
                ),
            ),
            StoreError::OtherKeys => Self::new(Exit::Refused, error),
            StoreError::Url(_) => Self::new(Exit::Usage, error),
            StoreError::Busy | StoreError::Unreachable { .. } => {
                Self::new(Exit::Unavailable, error)
            }
            StoreError::Damaged { .. } => Self::new(Exit::Unsound, error),
            _ => Self::failed(error),
        }
    }
}

impl From<SecretsError> for CliError {
    fn from(error: SecretsError) -> Self {
        match error {
            SecretsError::Server(StoreError::Unreachable { .. }) => {
                Self::new(Exit::Unavailable, error)
            }
            SecretsError::NoSuchToken(_) | SecretsError::NoSuchKey(_) => {
                Self::new(Exit::NotFound, error)
            }
            SecretsError::NoKey(_)
            | SecretsError::Locked
            | SecretsError::Lost(_)
            | SecretsError::WrongMasterKey
            | SecretsError::MasterKeyFile { .. } => Self::new(Exit::Refused, error),
            _ => Self::failed(error),
        }
    }
}
