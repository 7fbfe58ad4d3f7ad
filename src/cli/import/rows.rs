//! The rows of a file, one by one, whichever way it is written.

use std::{fs, io::BufReader, path::Path};

use clap::ValueEnum;

use super::{
    super::exit::{CliError, Exit},
    csv::CsvRows,
    ndjson::NdjsonRows,
};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Comma-separated values with a row of headers
    Csv,
    /// One JSON object a line
    Ndjson,
}

impl Format {
    /// As the name of a file says.
    pub(super) fn of(path: &Path) -> Result<Self, CliError> {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        match ending.to_str() {
            Some("csv" | "tsv" | "txt") => Ok(Self::Csv),
            Some("ndjson" | "jsonl" | "json") => Ok(Self::Ndjson),
            _ => {
                let message =
                    "the file's name does not say how it is written: --format csv or ndjson";
                Err(CliError::new(Exit::Usage, message))
            }
        }
    }
}

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The number of the line that it begins on, as editors count.
    pub(super) number: u64,
    /// What it says, or why it cannot be read.
    pub(super) cells: Result<Cells, String>,
}

/// What a row says.
#[derive(Clone, Debug)]
pub(super) enum Cells {
    /// Columns with their names.
    Columns(Vec<(String, String)>),
    /// A JSON object.
    Object(String),
}

/// The rows of a file.
#[derive(Debug)]
pub(super) enum Rows {
    Csv(CsvRows),
    Ndjson(NdjsonRows),
}

impl Rows {
    pub(super) fn open(
        reader: BufReader<fs::File>,
        format: Format,
        delimiter: u8,
    ) -> Result<Self, CliError> {
        Ok(match format {
            Format::Csv => Self::Csv(CsvRows::open(reader, delimiter)?),
            Format::Ndjson => Self::Ndjson(NdjsonRows::new(reader)),
        })
    }

    /// The next row that is not empty.
    pub(super) fn next(&mut self) -> Result<Option<Row>, CliError> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::Ndjson(rows) => rows.next(),
        }
    }

    /// How much of the file has been read, in bytes.
    pub(super) fn offset(&self) -> u64 {
        match self {
            Self::Csv(rows) => rows.offset(),
            Self::Ndjson(rows) => rows.offset(),
        }
    }

    /// Leaves out the rows up to this number, which have a result already.
    pub(super) fn skip_to_after(&mut self, number: u64) -> Result<(), CliError> {
        if number == 0 {
            return Ok(());
        }
        while let Some(row) = self.next()? {
            if row.number >= number {
                break;
            }
        }
        Ok(())
    }
}
