//! A directory in the data directory that is gone after use: for read models of one's own.

use std::path::{Path, PathBuf};

use super::{exit::CliError, output};

/// A directory that is gone after use.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one for a verb.
    pub(super) fn try_new(data: &Path, verb: &str) -> Result<Self, CliError> {
        let path = data.join(format!("{verb}-{}", std::process::id()));
        let made = std::fs::create_dir_all(data).and_then(|()| std::fs::create_dir(&path));
        made.map_err(|error| CliError::failed(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            output::note(&format!("note: {} stays: {error}", self.0.display()));
        }
    }
}
