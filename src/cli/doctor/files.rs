//! What can be told of a data directory without opening its databases: disk, modes, lock.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{Finding, Health};

/// Less room than this is a warning: a full disk stops intake.
const ROOM_BYTES_MIN: u64 = 1 << 30;

/// Looks at the data directory from outside, and at the directories of the secrets, if they are in one,
/// and of the lock, which are others where `--log` names one.
pub(super) fn look(data: &Path, secrets_in: Option<&Path>, locked: &Path) -> Vec<Finding> {
    let mut findings = vec![directory(data)];
    if data.is_dir() {
        findings.push(disk(data));
        findings.extend(secrets_in.map(|directory| secrets(&directory.join("secrets.sqlite"))));
        findings.push(lock(&locked.join("log.lock")));
    }
    findings
}

fn directory(data: &Path) -> Finding {
    let what = "data directory";
    match fs::metadata(data) {
        Ok(metadata) if metadata.is_dir() => {
            Finding::new(what, Health::Good, data.display().to_string())
        }
        Ok(_) => Finding::new(
            what,
            Health::Bad,
            format!("{} is no directory", data.display()),
        ),
        Err(error) => Finding::new(what, Health::Bad, format!("{}: {error}", data.display())),
    }
}

fn disk(data: &Path) -> Finding {
    match fs4::available_space(data) {
        Ok(bytes) => {
            let health = if bytes < ROOM_BYTES_MIN {
                Health::Bad
            } else {
                Health::Good
            };
            let gib = bytes >> 30;
            Finding::new("disk", health, format!("{gib} GiB free"))
        }
        Err(error) => Finding::new("disk", Health::Note, format!("cannot be asked: {error}")),
    }
}

fn secrets(path: &Path) -> Finding {
    let what = "secrets";
    match fs::metadata(path) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            if mode.trailing_zeros() >= 6 {
                return Finding::new(what, Health::Good, format!("mode {mode:04o}"));
            }
            let detail = format!(
                "mode {mode:04o} lets others read tokens' hashes and keys: chmod 600 {}",
                path.display()
            );
            Finding::new(what, Health::Bad, detail)
        }
        Err(error) => Finding::new(what, Health::Bad, format!("{}: {error}", path.display())),
    }
}

fn lock(path: &Path) -> Finding {
    let what = "lock";
    let Ok(file) = fs::File::open(path) else {
        return Finding::new(what, Health::Good, "free");
    };
    if file.try_lock_shared().is_ok() {
        return Finding::new(what, Health::Good, "free");
    }
    let holder = fs::read_to_string(path).unwrap_or_default();
    let detail = format!("held by process {}", holder.trim());
    Finding::new(what, Health::Note, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_others_can_read_are_bad() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets.sqlite");
        fs::write(&path, "").unwrap();
        for (mode, health) in [(0o600, Health::Good), (0o644, Health::Bad)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(secrets(&path).health, health);
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_bad() {
        let nowhere = Path::new("/nowhere/at/all");
        let findings = look(nowhere, Some(nowhere), nowhere);
        assert_eq!(findings.len(), 1);
        assert!(findings.iter().all(|finding| finding.health == Health::Bad));
    }
}
