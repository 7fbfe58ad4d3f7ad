//! The file that is imported: what it is called, and what it hashes to.

use std::{
    fs,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::super::exit::{CliError, Exit};
use crate::intake::bulk::File;

/// How much is read at a time.
const BUFFER_BYTES: usize = 1 << 18;

/// A file to import.
#[derive(Debug)]
pub(super) struct Input {
    path: PathBuf,
    /// Its SHA-256 in hexadecimal.
    pub(super) sha256: String,
    /// How long it is, in bytes.
    pub(super) length: u64,
}

impl Input {
    /// Reads the file once through, for its hash: what was done with it before is told by that.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let mut input = Self {
            path: path.to_owned(),
            sha256: String::new(),
            length: 0,
        };
        let mut reader = input.reader()?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = reader
                .read(&mut buffer)
                .map_err(|error| input.failed(&error))?;
            if count == 0 {
                break;
            }
            hash.update(buffer.get(..count).unwrap_or_default());
            input.length += count as u64;
        }
        input.sha256 = hex::encode(hash.finalize());
        Ok(input)
    }

    /// The file from its beginning.
    pub(super) fn reader(&self) -> Result<BufReader<fs::File>, CliError> {
        let file = fs::File::open(&self.path).map_err(|error| self.failed(&error))?;
        Ok(BufReader::with_capacity(BUFFER_BYTES, file))
    }

    /// The file as facts name it.
    pub(super) fn named(&self) -> Result<File, CliError> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        File::try_new(&name, &self.sha256).map_err(|error| {
            CliError::new(Exit::Usage, format!("{}: {error}", self.path.display()))
        })
    }

    fn failed(&self, error: &std::io::Error) -> CliError {
        CliError::failed(format!("{} cannot be read: {error}", self.path.display()))
    }
}
