//! CSV with a row of headers: quoted line feeds, and rows that are broken.

use std::{fs, io::BufReader};

use super::{
    super::exit::{CliError, Exit},
    ndjson::{Lines, NOT_UTF8, Read, TOO_LONG, trimmed},
    rows::{Cells, Row},
};

/// Reads the value of `--delimiter`.
pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [only] if only.is_ascii() && !b"\"\r\n".contains(only) => Ok(*only),
        _ => Err("one character, or `tab`".to_owned()),
    }
}

/// The cells of a record, or why it cannot be read, with the number of its first line.
type Record = (u64, Result<Vec<String>, String>);

/// The rows of CSV.
#[derive(Debug)]
pub(super) struct CsvRows {
    lines: Lines,
    delimiter: u8,
    headers: Vec<String>,
}

impl CsvRows {
    pub(super) fn open(reader: BufReader<fs::File>, delimiter: u8) -> Result<Self, CliError> {
        let mut rows = Self {
            lines: Lines::new(reader),
            delimiter,
            headers: Vec::new(),
        };
        let Some((number, record)) = rows.record()? else {
            return Err(CliError::new(
                Exit::Usage,
                "the file is empty: it has no row of headers",
            ));
        };
        let headers = record.map_err(|why| {
            CliError::new(Exit::Usage, format!("line {number}, the headers: {why}"))
        })?;
        rows.headers = headers
            .iter()
            .map(|header| header.trim().to_owned())
            .collect();
        for (index, header) in rows.headers.iter().enumerate() {
            let is_repeated = rows.headers.iter().take(index).any(|other| other == header);
            if header.is_empty() || is_repeated {
                let message =
                    format!("line {number}, the headers: `{header}` is empty or repeated");
                return Err(CliError::new(Exit::Usage, message));
            }
        }
        Ok(rows)
    }

    pub(super) fn offset(&self) -> u64 {
        self.lines.offset
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>, CliError> {
        let Some((number, record)) = self.record()? else {
            return Ok(None);
        };
        let cells = record.and_then(|record| {
            if record.len() != self.headers.len() {
                return Err(format!(
                    "{} columns, where the headers have {}",
                    record.len(),
                    self.headers.len()
                ));
            }
            let named = self.headers.iter().cloned().zip(record);
            Ok(Cells::Columns(named.collect()))
        });
        Ok(Some(Row { number, cells }))
    }

    /// The next record that is not empty, with the number of its first line.
    ///
    /// A quote that is never closed would swallow the rest of the file: such a record is given up
    /// after its first line, and reading goes on with the second.
    fn record(&mut self) -> Result<Option<Record>, CliError> {
        let mut text = Vec::new();
        loop {
            text.clear();
            match self.lines.read(&mut text)? {
                Read::End => return Ok(None),
                Read::TooLong => return Ok(Some((self.lines.number, Err(TOO_LONG.to_owned())))),
                Read::Line if trimmed(&text).is_empty() => {}
                Read::Line => break,
            }
        }
        let (number, offset) = (self.lines.number, self.lines.offset);
        while has_open_quote(&text) {
            if !matches!(self.lines.read(&mut text)?, Read::Line) {
                self.lines.back_to(number, offset)?;
                let why = "a quote is opened and not closed".to_owned();
                return Ok(Some((number, Err(why))));
            }
        }
        Ok(Some((number, self.parse(&text))))
    }

    fn parse(&self, text: &[u8]) -> Result<Vec<String>, String> {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        let text = str::from_utf8(text).map_err(|_| NOT_UTF8.to_owned())?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .buffer_capacity(text.len().max(64))
            .from_reader(text.as_bytes());
        let mut record = csv::StringRecord::new();
        match reader.read_record(&mut record) {
            Ok(_) => Ok(record.iter().map(str::to_owned).collect()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Quotes within a quoted cell are doubled, so that an odd number of them leaves one open.
fn has_open_quote(text: &[u8]) -> bool {
    memchr::memchr_iter(b'"', text).count() % 2 == 1
}
