//! Where what-ifs wait for somebody to adopt them: beside log and read models, neither of which a
//! what-if touches. In files of the data directory, or, where nodes share a server, in a table there:
//! what was tried on one node is adopted on another.
//!
//! What is kept is what was shown. It may be deleted at any time: whoever wants it again tries it
//! again, and gets the same hash while nothing has changed.

mod folder;
mod server;

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde_json::Error as JsonError;
use thiserror::Error;

use self::{folder::Folder, server::Table};
use super::Whatif;
use crate::store::postgres::Server;

/// The folder in the data directory.
pub const FOLDER: &str = "whatifs";

/// How many are kept; the oldest go first.
const COUNT_MAX: usize = 1_000;

/// How hard reports are compressed: they are read seldom and are much alike in themselves.
const LEVEL: i32 = 3;

/// The largest report that is read again, unpacked.
const BYTES_MAX: u64 = 1 << 31;

/// Why a what-if cannot be kept or read.
#[derive(Debug, Error)]
pub enum KeptError {
    /// The folder.
    #[error("{path} cannot be used: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server.
    #[error("the table of what-ifs cannot be used: {0}")]
    Server(#[from] sqlx::Error),
    /// What is kept was changed, or written by another version.
    #[error("{hash} is not a what-if: {source}")]
    Form {
        /// The hash.
        hash: String,
        /// Why.
        source: JsonError,
    },
    /// Its content has another hash than its name says.
    #[error("{0} is not what was tried: its content has another hash")]
    Changed(String),
    /// Several begin so.
    #[error("{0} begins the hashes of several what-ifs: write more of it")]
    Ambiguous(String),
    /// The program ends.
    #[error("nobody keeps what-ifs any more: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// The what-ifs that are kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Whatifs(Kept);

#[derive(Clone, Debug)]
enum Kept {
    Folder(Folder),
    Table(Table),
}

impl Whatifs {
    /// Those of this data directory. The folder is made with the first.
    pub fn of(data: &Path) -> Self {
        Self(Kept::Folder(Folder::of(data)))
    }

    /// Those on a server, for all nodes. The table is made with the first.
    pub fn on(server: &Server) -> Self {
        Self(Kept::Table(Table::of(server)))
    }

    /// Keeps a what-if, unless it is there: whoever made it first has made it. Answers what is kept.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn keep(&self, whatif: Whatif) -> Result<Whatif, KeptError> {
        match &self.0 {
            Kept::Folder(folder) => apart(folder, move |folder| folder.keep(whatif)).await?,
            Kept::Table(table) => table.keep(whatif).await,
        }
    }

    /// The what-if of this hash, or of the only one that begins so.
    ///
    /// # Errors
    /// It cannot be read or is not what its name says.
    pub async fn find(&self, hash: &str) -> Result<Option<Whatif>, KeptError> {
        let is_hex = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !(8..=64).contains(&hash.len()) || !is_hex {
            return Ok(None);
        }
        let hash = hash.to_ascii_lowercase();
        match &self.0 {
            Kept::Folder(folder) => apart(folder, move |folder| folder.find(&hash)).await?,
            Kept::Table(table) => table.find(&hash).await,
        }
    }

    /// All of them, the newest first.
    ///
    /// # Errors
    /// One cannot be read.
    pub async fn all(&self) -> Result<Vec<Whatif>, KeptError> {
        let mut all = match &self.0 {
            Kept::Folder(folder) => apart(folder, Folder::all).await??,
            Kept::Table(table) => table.all().await?,
        };
        all.sort_by(|a, b| b.made_at.cmp(&a.made_at).then_with(|| a.hash.cmp(&b.hash)));
        Ok(all)
    }
}

/// Waits for the disk, and packs, on a thread that may take its time.
async fn apart<R: Send + 'static>(
    folder: &Folder,
    work: impl FnOnce(&Folder) -> R + Send + 'static,
) -> Result<R, KeptError> {
    let folder = folder.clone();
    Ok(tokio::task::spawn_blocking(move || work(&folder)).await?)
}

/// A what-if as it is kept.
fn packed(whatif: &Whatif) -> Result<Vec<u8>, KeptError> {
    let form = |source| KeptError::Form {
        hash: whatif.hash.clone(),
        source,
    };
    let written = serde_json::to_vec(whatif).map_err(form)?;
    let packed = zstd::encode_all(written.as_slice(), LEVEL);
    packed.map_err(|error| form(JsonError::io(error)))
}

/// The what-if that was kept under a hash.
fn unpacked(hash: &str, packed: &[u8]) -> Result<Whatif, KeptError> {
    let form = |source| KeptError::Form {
        hash: hash.to_owned(),
        source,
    };
    let mut written = Vec::new();
    let unpacking = zstd::Decoder::new(packed)
        .and_then(|decoder| decoder.take(BYTES_MAX).read_to_end(&mut written));
    unpacking.map_err(|error| form(JsonError::io(error)))?;
    let whatif: Whatif = serde_json::from_slice(&written).map_err(form)?;
    if whatif.hash == hash && whatif.report.hash() == hash {
        Ok(whatif)
    } else {
        Err(KeptError::Changed(hash.to_owned()))
    }
}
