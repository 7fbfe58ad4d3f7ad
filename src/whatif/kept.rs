//! Where what-ifs wait for somebody to adopt them: files of their own in the data directory, beside log
//! and read models, neither of which a what-if touches.
//!
//! What is kept is what was shown. It may be deleted at any time: whoever wants it again tries it
//! again, and gets the same hash while nothing has changed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Error as JsonError;
use thiserror::Error;

use super::Whatif;

/// The folder in the data directory.
pub const FOLDER: &str = "whatifs";

/// The end of the files' names.
const SUFFIX: &str = ".json.zst";

/// How many are kept; the oldest go first.
const FILES_MAX: usize = 1_000;

/// How hard reports are compressed: they are read seldom and are much alike in themselves.
const LEVEL: i32 = 3;

/// The largest report that is read again, unpacked.
const BYTES_MAX: usize = 1 << 31;

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
    /// The file was changed, or written by another version.
    #[error("{path} is not a what-if: {source}")]
    Form {
        /// The file.
        path: PathBuf,
        /// Why.
        source: JsonError,
    },
    /// Its content has another hash than its name says.
    #[error("{path} is not what was tried: its content has another hash")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Several begin so.
    #[error("{0} begins the hashes of several what-ifs: write more of it")]
    Ambiguous(String),
}

/// The what-ifs of a data directory.
#[derive(Clone, Debug)]
pub struct Whatifs {
    folder: PathBuf,
}

impl Whatifs {
    /// Those of this data directory. The folder is made with the first.
    pub fn of(data: &Path) -> Self {
        Self {
            folder: data.join(FOLDER),
        }
    }

    /// Keeps a what-if, unless it is there: whoever made it first has made it. Answers what is kept.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn keep(&self, whatif: Whatif) -> Result<Whatif, KeptError> {
        if let Ok(Some(known)) = self.read(&whatif.hash) {
            return Ok(known);
        }
        let path = self.path(&whatif.hash);
        let written = serde_json::to_vec(&whatif).map_err(|source| KeptError::Form {
            path: path.clone(),
            source,
        })?;
        let failed = |source| KeptError::File {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        self.make_room().map_err(failed)?;
        let packed = zstd::encode_all(written.as_slice(), LEVEL).map_err(failed)?;
        let beside = self.folder.join(format!(".{}", whatif.hash));
        fs::write(&beside, packed).map_err(failed)?;
        fs::rename(&beside, &path).map_err(failed)?;
        Ok(whatif)
    }

    /// The what-if of this hash, or of the only one that begins so.
    ///
    /// # Errors
    /// The file cannot be read or is not what its name says.
    pub fn find(&self, hash: &str) -> Result<Option<Whatif>, KeptError> {
        let is_hex = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !(8..=64).contains(&hash.len()) || !is_hex {
            return Ok(None);
        }
        let hash = hash.to_ascii_lowercase();
        let known = self.hashes()?;
        let mut like = known.iter().filter(|known| known.starts_with(&hash));
        match (like.next(), like.next()) {
            (Some(only), None) => self.read(only),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(KeptError::Ambiguous(hash)),
        }
    }

    /// All of them, the newest first.
    ///
    /// # Errors
    /// The folder or a file cannot be read.
    pub fn all(&self) -> Result<Vec<Whatif>, KeptError> {
        let hashes = self.hashes()?;
        let read = hashes.iter().map(|hash| self.read(hash));
        let mut all: Vec<Whatif> = read
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        all.sort_by(|a, b| b.made_at.cmp(&a.made_at).then_with(|| a.hash.cmp(&b.hash)));
        Ok(all)
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.folder.join(format!("{hash}{SUFFIX}"))
    }

    fn hashes(&self) -> Result<Vec<String>, KeptError> {
        let failed = |source| KeptError::File {
            path: self.folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut hashes = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let hash = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            hashes.extend(hash.map(str::to_owned));
        }
        hashes.sort();
        Ok(hashes)
    }

    fn read(&self, hash: &str) -> Result<Option<Whatif>, KeptError> {
        let path = self.path(hash);
        let failed = |source| KeptError::File {
            path: path.clone(),
            source,
        };
        let packed = match fs::read(&path) {
            Ok(packed) => packed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut decoder = zstd::Decoder::new(packed.as_slice()).map_err(failed)?;
        let mut written = Vec::new();
        let limit = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX);
        io::Read::read_to_end(&mut io::Read::take(&mut decoder, limit), &mut written)
            .map_err(failed)?;
        let whatif: Whatif =
            serde_json::from_slice(&written).map_err(|source| KeptError::Form {
                path: path.clone(),
                source,
            })?;
        if whatif.hash == hash && whatif.report.hash() == hash {
            Ok(Some(whatif))
        } else {
            Err(KeptError::Changed { path })
        }
    }

    /// Removes the oldest while there are too many.
    fn make_room(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(FILES_MAX);
        for (_, path) in files.into_iter().take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}
