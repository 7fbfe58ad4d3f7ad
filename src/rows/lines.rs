//! The lines of a file, never held whole.

use std::io::{BufRead, ErrorKind, Seek, SeekFrom};

use super::RowsError;

/// Longest row, in bytes: with its number it must fit into a line of a request.
pub(super) const ROW_BYTES_MAX: usize = 63 * 1024;

/// What is said of a row that is longer.
pub(super) const TOO_LONG: &str = "the row is longer than 63 KiB";

/// What is said of a row that is no text.
pub(super) const NOT_UTF8: &str =
    "the row is not UTF-8: save the file as UTF-8 (it may be Latin-1 or Windows-1252)";

/// The lines of a file.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    /// How many lines were read.
    pub(super) number: u64,
    /// How many bytes were read.
    pub(super) offset: u64,
}

/// A line as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// The end of the file.
    End,
    /// A line with its line feed, if it has one.
    Line,
    /// A line that is too long; it was read over.
    TooLong,
}

impl<R: BufRead + Seek> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            number: 0,
            offset: 0,
        }
    }

    /// Adds the next line to `line`, unless that makes it longer than a row may be.
    pub(super) fn read(&mut self, line: &mut Vec<u8>) -> Result<Read, RowsError> {
        let (mut count, mut is_too_long) = (0, false);
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if buffer.is_empty() {
                break;
            }
            let found = memchr::memchr(b'\n', buffer);
            let taken = found.map_or(buffer.len(), |at| at + 1);
            is_too_long |= line.len() + taken > ROW_BYTES_MAX;
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

    /// Goes back to where a line ended.
    pub(super) fn back_to(&mut self, number: u64, offset: u64) -> Result<(), RowsError> {
        self.reader.seek(SeekFrom::Start(offset))?;
        self.number = number;
        self.offset = offset;
        Ok(())
    }
}

/// A line without the mark that some programs begin a file of UTF-8 with.
pub(super) fn unmarked(line: &[u8]) -> &[u8] {
    line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
}

/// Whether there is nothing on a line.
pub(super) fn is_blank(line: &[u8]) -> bool {
    unmarked(line).trim_ascii().is_empty()
}
