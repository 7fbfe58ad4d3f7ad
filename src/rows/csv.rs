//! CSV with a row of headers: quoted line feeds, and rows that are broken.

use std::io::{BufRead, Seek};

use super::{
    Cells, Row, RowsError,
    lines::{Lines, NOT_UTF8, Read, TOO_LONG, is_blank, unmarked},
};

/// The cells of a record, or why it cannot be read, with the number of its first line.
type Record = (u64, Result<Vec<String>, String>);

/// The rows of CSV.
#[derive(Debug)]
pub struct CsvRows<R> {
    lines: Lines<R>,
    delimiter: u8,
    headers: Vec<String>,
}

impl<R: BufRead + Seek> CsvRows<R> {
    pub(super) fn open(reader: R, delimiter: u8) -> Result<Self, RowsError> {
        let mut rows = Self {
            lines: Lines::new(reader),
            delimiter,
            headers: Vec::new(),
        };
        let Some((line, record)) = rows.record()? else {
            return Err(RowsError::NoHeaders);
        };
        let headers = record.map_err(|why| RowsError::Headers { line, why })?;
        rows.headers = headers
            .iter()
            .map(|header| header.trim().to_owned())
            .collect();
        for (index, header) in rows.headers.iter().enumerate() {
            let is_repeated = rows.headers.iter().take(index).any(|other| other == header);
            if header.is_empty() || is_repeated {
                let why = format!("`{header}` is empty or repeated");
                return Err(RowsError::Headers { line, why });
            }
        }
        Ok(rows)
    }

    pub(super) fn offset(&self) -> u64 {
        self.lines.offset
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>, RowsError> {
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

    /// The next record that is not empty.
    ///
    /// A quote that is never closed would swallow the rest of the file: such a record is given up
    /// after its first line, and reading goes on with the second.
    fn record(&mut self) -> Result<Option<Record>, RowsError> {
        let mut text = Vec::new();
        loop {
            text.clear();
            match self.lines.read(&mut text)? {
                Read::End => return Ok(None),
                Read::TooLong => return Ok(Some((self.lines.number, Err(TOO_LONG.to_owned())))),
                Read::Line if is_blank(&text) => {}
                Read::Line => break,
            }
        }
        let (number, offset) = (self.lines.number, self.lines.offset);
        let mut looked_at = text.len() - unmarked(&text).len();
        let mut place = Place::CellStart;
        loop {
            let new = text.get(looked_at..).unwrap_or_default();
            place = new
                .iter()
                .fold(place, |place, byte| place.after(*byte, self.delimiter));
            looked_at = text.len();
            if place != Place::Quoted {
                return Ok(Some((number, self.parse(&text))));
            }
            if self.lines.read(&mut text)? != Read::Line {
                self.lines.back_to(number, offset)?;
                let why = "a quote is opened and not closed".to_owned();
                return Ok(Some((number, Err(why))));
            }
        }
    }

    fn parse(&self, text: &[u8]) -> Result<Vec<String>, String> {
        let text = str::from_utf8(unmarked(text)).map_err(|_| NOT_UTF8.to_owned())?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .buffer_capacity(text.len().max(64))
            .from_reader(text.as_bytes());
        let mut record = csv::StringRecord::new();
        if let Err(error) = reader.read_record(&mut record) {
            return Err(error.to_string());
        }
        let rest = usize::try_from(reader.position().byte()).ok();
        let rest = rest.and_then(|read| text.get(read..)).unwrap_or_default();
        if !rest.trim_matches(['\r', '\n']).is_empty() {
            return Err("a carriage return stands within the row".to_owned());
        }
        Ok(record.iter().map(str::to_owned).collect())
    }
}

/// Where in a record a byte stands. A quote opens a cell only at its beginning: within one, as in
/// `5" screen`, it is a character like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    CellStart,
    Plain,
    Quoted,
    /// After a quote in a quoted cell: another one makes it a character, anything else closes it.
    QuoteSeen,
}

impl Place {
    fn after(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::QuoteSeen,
            (Self::CellStart | Self::QuoteSeen, b'"') | (Self::Quoted, _) => Self::Quoted,
            (_, byte) if byte == delimiter || byte == b'\n' || byte == b'\r' => Self::CellStart,
            (Self::CellStart | Self::Plain | Self::QuoteSeen, _) => Self::Plain,
        }
    }
}
