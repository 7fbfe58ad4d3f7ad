//! The file of results: what became of each row, and how far an import has come.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::super::exit::{CliError, Exit};
use crate::intake::bulk::LineAnswer;

const HEADERS: &str = "row,outcome,status,id,field,detail";

/// What the results belong to; kept beside them, so that they are never taken for another's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) kind: String,
    pub(super) sha256: String,
    pub(super) offer: Option<String>,
    pub(super) target: String,
    /// What tells the log there from one that took its place; absent while it is empty, and where
    /// only a server knows it.
    #[serde(default)]
    pub(super) log: Option<String>,
    pub(super) dry_run: bool,
    /// What tells the mapping and columns from others.
    #[serde(default)]
    pub(super) mapping: Option<String>,
}

/// Results being written.
#[derive(Debug)]
pub(super) struct Results {
    path: PathBuf,
    file: fs::File,
}

/// What became of all rows.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Summary {
    /// How many rows have a result.
    pub(super) rows: u64,
    /// How many of them were refused.
    pub(super) failed: u64,
    /// How many rows by outcome.
    pub(super) outcomes: BTreeMap<String, u64>,
    /// The file of results.
    pub(super) results: String,
}

#[derive(Deserialize)]
struct Kept {
    outcome: String,
    status: u16,
}

impl Results {
    /// Opens the results of an import, and says up to which row there are any.
    pub(super) fn open(path: &Path, state: &State) -> Result<(Self, u64), CliError> {
        let failed = |error: std::io::Error| {
            CliError::failed(format!("{} cannot be written: {error}", path.display()))
        };
        // An import that was refused before its first row leaves nothing to go on with.
        let is_new = !path.exists() || state_path(path).exists() && is_without_rows(path);
        if is_new {
            write_state(&state_path(path), state).map_err(failed)?;
        } else {
            check_state(path, state)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let (done_to, whole_bytes) = written(&file).map_err(failed)?;
        // The last line may be half-written if the program was killed.
        file.set_len(whole_bytes).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        if whole_bytes == 0 {
            file.write_all(format!("{HEADERS}\n").as_bytes())
                .map_err(failed)?;
        }
        let path = path.to_owned();
        Ok((Self { path, file }, done_to))
    }

    /// Adds the results of a batch.
    pub(super) fn write(&mut self, answers: &[LineAnswer]) -> Result<(), CliError> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for answer in answers {
            let id = answer.id.as_ref().or(answer.click_id.as_ref());
            let text = |text: Option<&String>| text.cloned().unwrap_or_default();
            writer
                .write_record([
                    answer.line.to_string(),
                    answer.outcome.clone(),
                    answer.http_status.to_string(),
                    text(id),
                    text(answer.field.as_ref()),
                    // One line a row, so that a half-written one can be told.
                    text(answer.detail.as_ref()).replace(['\n', '\r'], " "),
                ])
                .map_err(CliError::failed)?;
        }
        let bytes = writer.into_inner().map_err(CliError::failed)?;
        self.file.write_all(&bytes).map_err(CliError::failed)
    }

    /// Adds up all results, those of earlier runs too.
    pub(super) fn summary(&self) -> Result<Summary, CliError> {
        let mut summary = Summary {
            results: self.path.display().to_string(),
            ..Summary::default()
        };
        let mut reader = csv::Reader::from_path(&self.path).map_err(CliError::failed)?;
        for result in reader.deserialize::<Kept>() {
            let result = result.map_err(CliError::failed)?;
            summary.rows += 1;
            summary.failed += u64::from(!(200..300).contains(&result.status));
            *summary.outcomes.entry(result.outcome).or_default() += 1;
        }
        Ok(summary)
    }
}

fn is_without_rows(path: &Path) -> bool {
    let empty = HEADERS.len() as u64 + 1;
    fs::metadata(path).is_ok_and(|metadata| metadata.len() <= empty)
}

fn state_path(path: &Path) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".state");
    PathBuf::from(name)
}

/// Written before the results, so that there are never results without it.
fn write_state(path: &Path, state: &State) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(state)?;
    fs::write(path, text + "\n")
}

fn check_state(path: &Path, state: &State) -> Result<(), CliError> {
    let refused = |why: &str| {
        let message = format!(
            "{} holds results {why}: name another file with --results, or remove it",
            path.display()
        );
        CliError::new(Exit::Refused, message)
    };
    let text = fs::read_to_string(state_path(path))
        .map_err(|_| refused("of something else (its .state is missing)"))?;
    let known: State =
        serde_json::from_str(&text).map_err(|_| refused("whose .state cannot be read"))?;
    let State {
        kind,
        sha256,
        offer,
        target,
        log,
        dry_run,
        mapping,
    } = &known;
    match () {
        () if *kind != state.kind => Err(refused(&format!("of {kind}"))),
        () if *sha256 != state.sha256 => {
            Err(refused("of another file, or of this one before it changed"))
        }
        () if *offer != state.offer => Err(refused("for another offer")),
        () if *target != state.target => Err(refused(&format!("of an import into {target}"))),
        () if log.is_some() && *log != state.log => {
            Err(refused(&format!("of another log that was in {target}")))
        }
        () if *dry_run != state.dry_run && *dry_run => Err(refused("of a dry run")),
        () if *dry_run != state.dry_run => Err(refused("of an import that was no dry run")),
        () if *mapping != state.mapping => Err(refused("of other columns or another mapping")),
        () => Ok(()),
    }
}

/// The last row that has a result, and how many bytes of the file are whole lines.
fn written(file: &fs::File) -> std::io::Result<(u64, u64)> {
    let mut reader = BufReader::new(file);
    let (mut row, mut bytes, mut line) = (0, 0, Vec::new());
    loop {
        line.clear();
        let count = reader.read_until(b'\n', &mut line)?;
        if count == 0 || line.last() != Some(&b'\n') {
            return Ok((row, bytes));
        }
        bytes += count as u64;
        let number = line.split(|byte| *byte == b',').next();
        let number = number.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        row = number.unwrap_or(row);
    }
}
