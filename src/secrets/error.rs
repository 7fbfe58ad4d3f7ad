//! Why secrets cannot be read or changed. No message repeats one.

use std::path::PathBuf;

use thiserror::Error;

use crate::store::StoreError;

/// Why secrets could not be read or changed.
#[derive(Debug, Error)]
pub enum SecretsError {
    /// The data directory or the file could not be made or read.
    #[error("the secrets could not be {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file's database failed.
    #[error("the secrets could not be {doing}: {source}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        source: sqlx::Error,
    },
    /// The server that has them cannot be reached.
    #[error(transparent)]
    Server(StoreError),
    /// What is kept contradicts itself.
    #[error("the secrets file is damaged: {0}")]
    Damaged(&'static str),
    /// The file of the master key cannot be used.
    #[error("the master key in {path} cannot be used: {why}")]
    MasterKeyFile {
        /// Where it is.
        path: PathBuf,
        /// Why; never what is in it.
        why: String,
    },
    /// The secrets are sealed, and no master key was given.
    #[error("the offers' secrets are sealed: name their master key with --secrets-key-file")]
    Locked,
    /// The master key is not the one that the secrets are sealed with.
    #[error("the master key is not the one that the offers' secrets are sealed with")]
    WrongMasterKey,
    /// There is a log with facts, and no keys where they belong.
    #[error(
        "the log has facts, but its secrets are not {0}: click ids that were given out, tokens and \
         offers' secrets are known by them alone, and none are made anew. Restore them from the backup of \
         the log (docs/operating/restoring.md); to begin an empty log, name another directory or database"
    )]
    Lost(String),
    /// The place that secrets are copied to has keys of another log.
    #[error("there are keys of another log already, whose click ids would find nothing here")]
    OtherKeys,
    /// There is no token with this id.
    #[error("there is no token `{0}`")]
    NoSuchToken(String),
    /// There is no offer's key with this id.
    #[error("there is no secret or key `{0}`")]
    NoSuchKey(String),
    /// A text is not the key that it should be.
    #[error("{0}")]
    NoKey(&'static str),
}
