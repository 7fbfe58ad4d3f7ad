//! Lines of a file, and those that are JSON objects.

use std::{
    fs,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
};

use super::{
    super::exit::CliError,
    rows::{Cells, Row},
};

/// Longest line, in bytes: with its row number it must fit into a line of a request.
pub(super) const LINE_BYTES_MAX: usize = 63 * 1024;

/// What is said of a line that is longer.
pub(super) const TOO_LONG: &str = "the row is longer than 63 KiB";

/// What is said of a line that is no text.
pub(super) const NOT_UTF8: &str =
    "the row is not UTF-8: save the file as UTF-8 (it may be Latin-1 or Windows-1252)";

/// The lines of a file, never held whole.
#[derive(Debug)]
pub(super) struct Lines {
    reader: BufReader<fs::File>,
    /// How many lines were read.
    pub(super) number: u64,
    /// How many bytes were read.
    pub(super) offset: u64,
}

/// A line as it was read.
#[derive(Debug)]
pub(super) enum Read {
    /// The end of the file.
    End,
    /// A line with its line feed, if it has one.
    Line,
    /// A line that is too long; it was read over.
    TooLong,
}

impl Lines {
    pub(super) fn new(reader: BufReader<fs::File>) -> Self {
        Self {
            reader,
            number: 0,
            offset: 0,
        }
    }

    /// Adds the next line to `line`, unless that makes it longer than a row may be.
    pub(super) fn read(&mut self, line: &mut Vec<u8>) -> Result<Read, CliError> {
        let (mut count, mut is_too_long) = (0, false);
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CliError::failed(error)),
            };
            if buffer.is_empty() {
                break;
            }
            let found = memchr::memchr(b'\n', buffer);
            let taken = found.map_or(buffer.len(), |at| at + 1);
            is_too_long |= line.len() + taken > LINE_BYTES_MAX;
            if !is_too_long {
                line.extend_from_slice(buffer.get(..taken).unwrap_or_default());
            }
            self.reader.consume(taken);
            count += taken;
            if found.is_some() {
                break;
            }
        }
        if count == 0 {
            return Ok(Read::End);
        }
        self.number += 1;
        self.offset += count as u64;
        Ok(if is_too_long {
            Read::TooLong
        } else {
            Read::Line
        })
    }

    /// Goes back to where this line ended.
    pub(super) fn back_to(&mut self, number: u64, offset: u64) -> Result<(), CliError> {
        self.reader
            .seek(SeekFrom::Start(offset))
            .map_err(CliError::failed)?;
        self.number = number;
        self.offset = offset;
        Ok(())
    }
}

/// A line without its line feed and the spaces around it.
pub(super) fn trimmed(line: &[u8]) -> &[u8] {
    // What some programs write before the first line of UTF-8.
    line.strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(line)
        .trim_ascii()
}

/// The rows of NDJSON.
#[derive(Debug)]
pub(super) struct NdjsonRows(Lines);

impl NdjsonRows {
    pub(super) fn new(reader: BufReader<fs::File>) -> Self {
        Self(Lines::new(reader))
    }

    pub(super) fn offset(&self) -> u64 {
        self.0.offset
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>, CliError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let cells = match self.0.read(&mut line)? {
                Read::End => return Ok(None),
                Read::TooLong => Err(TOO_LONG.to_owned()),
                Read::Line if trimmed(&line).is_empty() => continue,
                Read::Line => object(trimmed(&line)),
            };
            let number = self.0.number;
            return Ok(Some(Row { number, cells }));
        }
    }
}

fn object(line: &[u8]) -> Result<Cells, String> {
    let text = str::from_utf8(line).map_err(|_| NOT_UTF8.to_owned())?;
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(Cells::Object(text.to_owned())),
        Err(error) => Err(format!("not a JSON object: {error}")),
    }
}
