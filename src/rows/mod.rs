//! The rows of files that people bring, one by one, whichever way they are written.

mod csv;
mod lines;
mod ndjson;

use std::io::{self, BufRead, Seek};

use thiserror::Error;

pub use self::{csv::CsvRows, ndjson::NdjsonRows};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Values between delimiters, with a row of headers.
    Csv {
        /// What stands between values.
        delimiter: u8,
    },
    /// One JSON object a line.
    Ndjson,
}

/// Why a file has no rows.
#[derive(Debug, Error)]
pub enum RowsError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It has no row of headers.
    #[error("the file is empty: it has no row of headers")]
    NoHeaders,
    /// Its row of headers cannot be used.
    #[error("line {line}, the headers: {why}")]
    Headers {
        /// Where they are.
        line: u64,
        /// What is wrong with them.
        why: String,
    },
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The number of the line that it begins on, as editors count.
    pub number: u64,
    /// What it says, or why it cannot be read.
    pub cells: Result<Cells, String>,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cells {
    /// Columns with their names.
    Columns(Vec<(String, String)>),
    /// A JSON object.
    Object(String),
}

/// The rows of a file. A row that is broken costs only itself, and no row is held with another.
#[derive(Debug)]
pub enum Rows<R> {
    /// Of CSV.
    Csv(CsvRows<R>),
    /// Of NDJSON.
    Ndjson(NdjsonRows<R>),
}

impl<R: BufRead + Seek> Rows<R> {
    /// The rows of a file from its beginning.
    ///
    /// # Errors
    /// It cannot be read, or has no headers where it needs some.
    pub fn open(reader: R, format: Format) -> Result<Self, RowsError> {
        Ok(match format {
            Format::Csv { delimiter } => Self::Csv(CsvRows::open(reader, delimiter)?),
            Format::Ndjson => Self::Ndjson(NdjsonRows::new(reader)),
        })
    }

    /// The next row that is not empty.
    ///
    /// # Errors
    /// The file cannot be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "reading on may fail, which ends no iteration"
    )]
    pub fn next(&mut self) -> Result<Option<Row>, RowsError> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::Ndjson(rows) => rows.next(),
        }
    }

    /// How much of the file has been read, in bytes.
    pub fn offset(&self) -> u64 {
        match self {
            Self::Csv(rows) => rows.offset(),
            Self::Ndjson(rows) => rows.offset(),
        }
    }

    /// Leaves out the rows up to this number.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn skip_to_after(&mut self, number: u64) -> Result<(), RowsError> {
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const CSV: Format = Format::Csv { delimiter: b',' };

    fn all(bytes: &[u8], format: Format) -> Vec<Row> {
        let Ok(mut rows) = Rows::open(Cursor::new(bytes), format) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            all.push(row);
        }
        assert_eq!(rows.offset(), bytes.len() as u64, "the whole file is read");
        all
    }

    /// Bytes in which quotes, delimiters and line feeds are frequent.
    fn messy() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            Just(b'"'),
            Just(b','),
            Just(b'\n'),
            Just(b'\r'),
            Just(b'a'),
            Just(b'{'),
            Just(b'}'),
            any::<u8>()
        ];
        prop::collection::vec(byte, 0..200)
    }

    #[test]
    fn a_quote_within_a_cell_is_a_character_and_costs_no_row() {
        let text = "a,b\n5\" screen,1\n2,2\n6\" screen,3\n\"7\"\" screen\",4\n";
        let first = |row: &Row| match row.cells.as_ref().unwrap() {
            Cells::Columns(cells) => cells[0].1.clone(),
            Cells::Object(_) => String::new(),
        };
        let read: Vec<_> = all(text.as_bytes(), CSV).iter().map(first).collect();
        assert_eq!(read, ["5\" screen", "2", "6\" screen", "7\" screen"]);
    }

    #[test]
    fn what_stands_behind_a_carriage_return_is_not_lost_silently() {
        let rows = all(b"a,b\n1,2\r3,4\n5,6\r\n", CSV);
        assert!(rows[0].cells.is_err(), "{rows:?}");
        assert_eq!(rows.len(), 2);
    }

    proptest! {
        /// Read line by line, a file says the same as read whole by the library alone.
        #[test]
        fn rows_are_those_of_the_whole_file(text in "(?s)[a\",\n]{0,60}") {
            let text = format!("x,y\n{text}");
            let rows = all(text.as_bytes(), CSV);
            if rows.iter().all(|row| row.cells.is_ok()) {
                let mut whole = ::csv::ReaderBuilder::new();
                let mut whole = whole.flexible(true).from_reader(text.as_bytes());
                // Blank lines in front of a record are left out by both.
                let records = whole.records().map(|record| record.unwrap());
                let records: Vec<Vec<_>> = records
                    .map(|record| record.iter().map(str::to_owned).collect())
                    .collect();
                let cells = rows.into_iter().map(|row| match row.cells {
                    Ok(Cells::Columns(cells)) => cells.into_iter().map(|(_, text)| text).collect(),
                    _ => Vec::new(),
                });
                prop_assert_eq!(cells.collect::<Vec<Vec<_>>>(), records);
            }
        }
        #[test]
        fn whatever_a_file_holds_its_rows_come_in_order_and_end(bytes in messy()) {
            for format in [CSV, Format::Ndjson] {
                let rows = all(&bytes, format);
                prop_assert!(rows.is_sorted_by(|a, b| a.number < b.number));
            }
        }

        #[test]
        fn what_is_written_as_csv_is_read_back(
            cells in prop::collection::vec(("[a-z\"\n, é]{0,12}", "[a-z\"\n, é]{1,12}"), 0..20)
        ) {
            let mut writer = ::csv::Writer::from_writer(Vec::new());
            writer.write_record(["a", "b"]).unwrap();
            for (a, b) in &cells {
                writer.write_record([a, b]).unwrap();
            }
            let rows = all(&writer.into_inner().unwrap(), CSV);
            let read: Vec<_> = rows.into_iter().map(|row| row.cells).collect();
            let expected = cells.into_iter().map(|(a, b)| {
                Ok(Cells::Columns(vec![("a".to_owned(), a), ("b".to_owned(), b)]))
            });
            prop_assert_eq!(read, expected.collect::<Vec<_>>());
        }

        #[test]
        fn a_quote_that_is_never_closed_costs_one_row(good in 0_usize..20) {
            let text = format!("a,b\n1,2\n\"3,4\n{}", "5,6\n".repeat(good));
            let rows = all(text.as_bytes(), CSV);
            let broken: Vec<_> = rows.iter().filter(|row| row.cells.is_err()).collect();
            prop_assert_eq!(broken.len(), 1);
            prop_assert_eq!(broken[0].number, 3);
            prop_assert_eq!(rows.len(), good + 2);
        }
    }
}
