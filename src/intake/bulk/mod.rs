//! Many clicks or postbacks at once, line by line: each has its own outcome, and none holds up
//! the others.

pub mod clicks;
pub mod postbacks;

use std::sync::Arc;

use postbook_schemas::FileRow;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::{mapping::Rules, pretend::Pretend, redact, request::file_source};
use crate::{secrets::Caller, store::StoreError};

/// Longest line, in bytes: as long as a postback's body may be.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Most lines that are handed to the log at once.
pub const GROUP_LINES: usize = 2_048;

/// Longest name of a file, in characters.
const FILE_LENGTH_MAX: usize = 128;

/// One line as it was read.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Its text, or why there is none.
    pub text: Result<String, &'static str>,
}

impl Line {
    /// A line of bytes, which must be UTF-8.
    pub fn new(number: u64, bytes: Vec<u8>) -> Self {
        let text = String::from_utf8(bytes)
            .map_err(|_| "the line is not UTF-8 (another encoding, such as Latin-1?)");
        Self { number, text }
    }

    /// A line that is longer than what is read.
    pub fn too_long(number: u64) -> Self {
        let text = Err("the line is longer than 65536 bytes");
        Self { number, text }
    }
}

/// What became of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineAnswer {
    /// The number of the line in the request, from 1.
    pub line: u64,
    /// Of clicks `recorded`, `duplicate` or why not; of postbacks an outcome of the closed list.
    pub outcome: String,
    /// The status that the line alone would have been answered with.
    pub http_status: u16,
    /// Of clicks: the id they came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click_id: Option<String>,
    /// Of postbacks: the conversion, else the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Of clicks: where the fact is in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl LineAnswer {
    /// A line that cannot be read.
    pub fn malformed(line: u64, detail: impl Into<String>) -> Self {
        Self {
            line,
            outcome: "malformed".to_owned(),
            http_status: 422,
            detail: Some(detail.into()),
            ..Self::default()
        }
    }

    /// From this line on nothing was taken.
    pub fn stopped(line: u64, detail: impl Into<String>) -> Self {
        Self {
            line,
            outcome: STOPPED.to_owned(),
            http_status: 503,
            detail: Some(detail.into()),
            ..Self::default()
        }
    }

    /// Whether the line was taken, now or before.
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.http_status)
    }
}

/// The outcome of the line from which on nothing was taken.
pub const STOPPED: &str = "stopped";

/// Who sends many lines, and out of what.
#[derive(Clone, Debug)]
pub struct Sending {
    /// Who.
    pub caller: Arc<Caller>,
    /// Out of which file, if it is one.
    pub file: Option<File>,
    /// Under which mapping its rows are read, if not under the offer's.
    pub rules: Option<Arc<Rules>>,
    /// Where nothing is kept and what would become of each line is only told: what the lines before
    /// would have brought.
    pub dry_run: Option<Arc<Mutex<Pretend>>>,
}

/// A file that is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    name: String,
    sha256: String,
}

/// Why a file cannot be named like that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FileError {
    /// The name.
    #[error("a name of 1 to 128 characters without control characters")]
    Name,
    /// The hash.
    #[error("the SHA-256 of the file: 64 hexadecimal digits in lower case")]
    Sha256,
}

impl File {
    /// A file by its name and the SHA-256 of its content. A name with personal data in it is not kept:
    /// the hash tells which file it was.
    ///
    /// # Errors
    /// The name is no fit text, or the hash is none.
    pub fn try_new(name: &str, sha256: &str) -> Result<Self, FileError> {
        let is_name = (1..=FILE_LENGTH_MAX).contains(&name.chars().count())
            && !name.chars().any(char::is_control);
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !is_name {
            return Err(FileError::Name);
        }
        if sha256.len() != 64 || !sha256.bytes().all(is_digit) {
            return Err(FileError::Sha256);
        }
        Ok(Self {
            name: redact::without_personal_data(name),
            sha256: sha256.to_owned(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SHA-256 of its content in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// How facts name it as their source.
    pub fn source(&self) -> String {
        file_source(&self.name, &self.sha256)
    }

    /// One of its rows.
    pub fn row(&self, row: u64) -> FileRow {
        FileRow {
            file: self.name.clone(),
            sha256: self.sha256.clone(),
            row,
        }
    }
}

/// Why lines were not taken: none of them was, or they can be sent again.
pub type BulkResult = Result<Vec<LineAnswer>, StoreError>;
