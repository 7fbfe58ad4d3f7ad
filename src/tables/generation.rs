//! The files of generations: which there are, which is in force, and how one is put in its place.

use std::path::{Path, PathBuf};

use super::{FILE_NAME, error::TablesError};

/// What a generation of the read models is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It answers.
    InForce,
    /// It answered before the one in force; kept until it is released.
    Kept,
    /// It is being built, or a rebuild of it was interrupted.
    Unfinished,
}

impl Purpose {
    /// The word used in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::Kept => "kept",
            Self::Unfinished => "unfinished",
        }
    }
}

/// A generation of the read models, as its files show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: i64,
    /// What it is there for.
    pub purpose: Purpose,
    /// The room that its files take.
    pub bytes: u64,
}

/// The generations of a data directory, oldest first.
///
/// # Errors
/// The directory cannot be read.
pub fn list(directory: &Path) -> Result<Vec<Generation>, TablesError> {
    let current = in_force(directory);
    let mut generations: Vec<_> = numbers(directory)?
        .into_iter()
        .map(|number| Generation {
            number,
            purpose: match number.cmp(&current) {
                std::cmp::Ordering::Less => Purpose::Kept,
                std::cmp::Ordering::Equal => Purpose::InForce,
                std::cmp::Ordering::Greater => Purpose::Unfinished,
            },
            bytes: files(directory, number)
                .filter_map(|file| file.metadata().ok())
                .map(|metadata| metadata.len())
                .sum(),
        })
        .collect();
    generations.sort_unstable_by_key(|generation| generation.number);
    Ok(generations)
}

fn numbers(directory: &Path) -> Result<Vec<i64>, TablesError> {
    let reading = TablesError::file("listed");
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(&reading)? {
        let path = entry.map_err(&reading)?.path();
        let is_main_file = path.extension().is_some_and(|suffix| suffix == "sqlite");
        numbers.extend(number_of(&path).filter(|_| is_main_file));
    }
    Ok(numbers)
}

/// The generation in force: the one that the link names; 0 if there is none.
pub(super) fn in_force(directory: &Path) -> i64 {
    let target = std::fs::read_link(directory.join(FILE_NAME)).unwrap_or_default();
    number_of(&target).unwrap_or(0)
}

fn number_of(path: &Path) -> Option<i64> {
    let name = path.file_stem()?.to_str()?;
    name.strip_prefix("readmodels-")?.parse().ok()
}

/// Where a generation is.
pub(super) fn path(directory: &Path, generation: i64) -> PathBuf {
    directory.join(format!("readmodels-{generation}.sqlite"))
}

/// Puts a generation in force: moves the link, in one step.
pub(super) fn put_in_force(directory: &Path, generation: i64) -> Result<(), TablesError> {
    let switching = TablesError::file("switched");
    let next = directory.join("readmodels.next");
    if next.is_symlink() {
        std::fs::remove_file(&next).map_err(&switching)?;
    }
    let target = path(Path::new(""), generation);
    std::os::unix::fs::symlink(target, &next).map_err(&switching)?;
    std::fs::rename(&next, directory.join(FILE_NAME)).map_err(&switching)
}

/// Removes all generations but the one in force and, if wanted, the one before it. Says which went.
pub(super) fn release(directory: &Path, keep_last: bool) -> Result<Vec<Generation>, TablesError> {
    let mut released = list(directory)?;
    let last = released
        .iter()
        .filter(|generation| generation.purpose == Purpose::Kept)
        .map(|generation| generation.number)
        .max()
        .filter(|_| keep_last);
    released.retain(|generation| match generation.purpose {
        Purpose::InForce => false,
        Purpose::Kept => Some(generation.number) != last,
        Purpose::Unfinished => !keep_last,
    });
    for generation in &released {
        remove(directory, generation.number);
    }
    Ok(released)
}

/// Removes a generation's files, those that are there. A file that stays is only wasted room.
pub(super) fn remove(directory: &Path, generation: i64) {
    for file in files(directory, generation) {
        if let Err(error) = std::fs::remove_file(&file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, ?file, "a file of an old generation of the read models stays");
        }
    }
}

/// The files that a generation may have; the main one last, so that a removal that is interrupted
/// can be done again.
fn files(directory: &Path, generation: i64) -> impl Iterator<Item = PathBuf> {
    let path = path(directory, generation);
    ["-wal", "-shm", "-journal", ""]
        .into_iter()
        .map(move |suffix| {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers_by_purpose(directory: &Path) -> Vec<(i64, Purpose)> {
        let generations = list(directory).expect("the directory can be read");
        let pairs = generations
            .iter()
            .map(|generation| (generation.number, generation.purpose));
        pairs.collect()
    }

    #[test]
    fn the_last_one_is_kept_until_it_is_released() {
        let directory = tempfile::tempdir().expect("a directory");
        for number in 1..=5 {
            std::fs::write(path(directory.path(), number), "x").expect("a file");
        }
        put_in_force(directory.path(), 4).expect("the link");
        let before = [
            (1, Purpose::Kept),
            (2, Purpose::Kept),
            (3, Purpose::Kept),
            (4, Purpose::InForce),
            (5, Purpose::Unfinished),
        ];
        assert_eq!(numbers_by_purpose(directory.path()), before);
        release(directory.path(), true).expect("files can go");
        assert_eq!(numbers_by_purpose(directory.path()), before[2..]);
        let released = release(directory.path(), false).expect("files can go");
        assert_eq!(released.len(), 2);
        assert_eq!(numbers_by_purpose(directory.path()), before[3..4]);
    }

    #[test]
    fn the_link_is_no_generation_and_moves_over_a_broken_one() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(in_force(directory.path()), 0);
        std::fs::write(path(directory.path(), 7), "x").expect("a file");
        std::os::unix::fs::symlink("nowhere", directory.path().join("readmodels.next"))
            .expect("a link");
        put_in_force(directory.path(), 7).expect("the link");
        assert_eq!(in_force(directory.path()), 7);
        assert_eq!(
            numbers_by_purpose(directory.path()),
            [(7, Purpose::InForce)]
        );
    }
}
