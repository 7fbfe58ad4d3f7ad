//! The lock on a data directory: one process writes its log, the second is told who does.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use super::StoreError;

const FILE_NAME: &str = "log.lock";

/// Held as long as it lives; the operating system lets go of it when the process ends, however it
/// ends.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock.
    pub(super) fn take(directory: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(directory).map_err(|error| StoreError::failed("opened", error))?;
        let path = directory.join(FILE_NAME);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| StoreError::failed("opened", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(directory, &mut file)),
            Err(TryLockError::Error(error)) => return Err(StoreError::failed("opened", error)),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| StoreError::failed("opened", error))?;
        Ok(Self { _file: file })
    }
}

fn in_use(directory: &Path, file: &mut File) -> StoreError {
    let mut holder = String::new();
    // The holder may be between taking the lock and writing its number; the refusal stands anyway.
    let read = file.read_to_string(&mut holder);
    let process = match (read, holder.trim()) {
        (Ok(_), number) if !number.is_empty() => format!("process {number}"),
        _ => "another process".to_owned(),
    };
    StoreError::InUse(format!(
        "the log in {} is in use by {process}: stop it first, or choose another data directory",
        directory.display()
    ))
}
