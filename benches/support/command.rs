//! Commands of the program under test, and folders to run them in.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The `postbook` program under test on a data directory.
pub(crate) fn postbook(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postbook"));
    command.arg("--data").arg(data).env("RUST_LOG", "warn");
    command
}

/// Runs a command to its end and returns what it prints.
///
/// # Errors
/// It fails; the error has what it said.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(
        output.status.success(),
        "{command:?} failed:\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}

/// A folder for data, on the disk that the system keeps temporary files on.
///
/// # Errors
/// It cannot be made.
pub(crate) fn scratch(name: &str) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(name).tempdir()
}

/// Writes a programme file and applies it.
///
/// # Errors
/// The programme is refused.
pub(crate) fn apply(data: &Path, programme: &str) -> anyhow::Result<()> {
    let file: PathBuf = data.with_extension("toml");
    fs::write(&file, programme)?;
    output(postbook(data).arg("apply").arg(&file))?;
    Ok(())
}
