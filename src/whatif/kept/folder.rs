//! What-ifs in files of their own in a data directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{COUNT_MAX, FOLDER, KeptError, packed, unpacked};
use crate::whatif::Whatif;

/// The end of the files' names.
const SUFFIX: &str = ".json.zst";

/// The what-ifs of a data directory.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    folder: PathBuf,
}

impl Folder {
    /// Those of this data directory. The folder is made with the first.
    pub(super) fn of(data: &Path) -> Self {
        Self {
            folder: data.join(FOLDER),
        }
    }

    /// Keeps a what-if, unless it is there: whoever made it first has made it. Answers what is kept.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn keep(&self, whatif: Whatif) -> Result<Whatif, KeptError> {
        if let Ok(Some(known)) = self.read(&whatif.hash) {
            return Ok(known);
        }
        let path = self.path(&whatif.hash);
        let packed = packed(&whatif)?;
        let failed = |source| KeptError::File {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        self.make_room().map_err(failed)?;
        // The server and a verb beside it may try the same at once.
        let beside = format!(".{}-{}", whatif.hash, std::process::id());
        let beside = self.folder.join(beside);
        fs::write(&beside, packed).map_err(failed)?;
        fs::rename(&beside, &path).map_err(failed)?;
        Ok(whatif)
    }

    /// The only what-if whose hash begins so.
    pub(super) fn find(&self, hash: &str) -> Result<Option<Whatif>, KeptError> {
        let known = self.hashes()?;
        let mut like = known.iter().filter(|known| known.starts_with(hash));
        match (like.next(), like.next()) {
            (Some(only), None) => self.read(only),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(KeptError::Ambiguous(hash.to_owned())),
        }
    }

    /// All of them, the newest first.
    ///
    /// # Errors
    /// The folder or a file cannot be read.
    pub(super) fn all(&self) -> Result<Vec<Whatif>, KeptError> {
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
        unpacked(hash, &packed).map(Some)
    }

    /// Removes the oldest while there are too many.
    fn make_room(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let made_at = entry.metadata().and_then(|file| file.modified());
            files.extend(unless_gone(made_at)?.map(|made_at| (made_at, entry.path())));
        }
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(COUNT_MAX);
        for (_, path) in files.into_iter().take(surplus) {
            unless_gone(fs::remove_file(path))?;
        }
        Ok(())
    }
}

/// Another process may have removed it, or given it its name, meanwhile.
fn unless_gone<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}
