//! NDJSON: one object a line.

use std::io::{BufRead, Seek};

use super::{
    Cells, Row, RowsError,
    lines::{Lines, NOT_UTF8, Read, TOO_LONG, is_blank, unmarked},
};

/// The rows of NDJSON.
#[derive(Debug)]
pub struct NdjsonRows<R>(Lines<R>);

impl<R: BufRead + Seek> NdjsonRows<R> {
    pub(super) fn new(reader: R) -> Self {
        Self(Lines::new(reader))
    }

    pub(super) fn offset(&self) -> u64 {
        self.0.offset
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>, RowsError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let cells = match self.0.read(&mut line)? {
                Read::End => return Ok(None),
                Read::TooLong => Err(TOO_LONG.to_owned()),
                Read::Line if is_blank(&line) => continue,
                Read::Line => object(unmarked(&line).trim_ascii()),
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
