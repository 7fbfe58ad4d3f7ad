//! Commands of the program under test, and folders to run them in.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where a `postbook` under test keeps things.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its data directory.
    pub(crate) data: PathBuf,
    /// The URL of a log elsewhere.
    pub(crate) log: Option<String>,
    /// The URL of read models elsewhere.
    pub(crate) projections: Option<String>,
}

impl<P: AsRef<Path>> From<P> for Node {
    fn from(data: P) -> Self {
        Self {
            data: data.as_ref().to_owned(),
            log: None,
            projections: None,
        }
    }
}

/// The `postbook` program under test on a data directory, or as a node of a log elsewhere.
pub(crate) fn postbook(node: impl Into<Node>) -> Command {
    let node = node.into();
    let mut command = Command::new(env!("CARGO_BIN_EXE_postbook"));
    command.arg("--data").arg(node.data).env("RUST_LOG", "warn");
    if let Some(log) = node.log {
        // It holds a password, perhaps: not an argument that everybody sees.
        command.env("POSTBOOK_LOG", log);
    }
    if let Some(projections) = node.projections {
        command.env("POSTBOOK_PROJECTIONS", projections);
    }
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
pub(crate) fn apply(node: impl Into<Node>, programme: &str) -> anyhow::Result<()> {
    let node = node.into();
    let file: PathBuf = node.data.with_extension("toml");
    fs::write(&file, programme)?;
    output(postbook(node).arg("apply").arg(&file))?;
    Ok(())
}
