//! Many rows in one statement: what makes writing fast.
//!
//! A statement costs a trip to the connection's thread, so rows go into a file by the hundred. Each
//! table has its statements in three sizes, prepared once; every number of rows is made of those. A
//! server takes the rows of a table as one stream instead (`COPY`), in its own binary form.

use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr, SqlStr, sqlite::SqliteArguments};

use super::{
    db::{
        Conn, in_time,
        value::{add_to_file, without_nul},
    },
    error::TablesError,
};

/// How many rows the statements take.
const SIZES: [usize; 3] = [128, 8, 1];

/// What a stream of rows begins with: its signature, no flags, no extension.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What it ends with: a row of minus one columns.
const COPY_TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// The statements that add rows to one table.
#[derive(Clone, Debug)]
pub(super) struct Insert {
    to: Kind,
    columns: usize,
    statements: [SqlStr; 3],
    copy: SqlStr,
}

/// One value of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'r> {
    Null,
    Number(i64),
    Text(&'r str),
    Bytes(&'r [u8]),
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<'r> From<&'r str> for Cell<'r> {
    fn from(text: &'r str) -> Self {
        Self::Text(text)
    }
}

impl<'r> From<&'r [u8]> for Cell<'r> {
    fn from(bytes: &'r [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'r, T: Into<Cell<'r>>> From<Option<T>> for Cell<'r> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of the rows of one statement.
#[derive(Debug)]
pub(super) enum Values {
    File(SqliteArguments),
    Server(Vec<u8>),
}

impl Values {
    /// The next value.
    pub(super) fn push<'r>(&mut self, cell: impl Into<Cell<'r>>) {
        match self {
            Self::File(arguments) => match cell.into() {
                Cell::Null => add_to_file(arguments, None::<i64>),
                Cell::Number(number) => add_to_file(arguments, number),
                Cell::Text(text) => add_to_file(arguments, text),
                Cell::Bytes(bytes) => add_to_file(arguments, bytes.to_vec()),
            },
            Self::Server(stream) => match cell.into() {
                Cell::Null => stream.extend_from_slice(&(-1_i32).to_be_bytes()),
                Cell::Number(number) => put(stream, &number.to_be_bytes()),
                Cell::Text(text) => put(stream, without_nul(text).as_bytes()),
                Cell::Bytes(bytes) => put(stream, bytes),
            },
        }
    }

    /// The next value, a text that may be absent.
    pub(super) fn text(&mut self, text: Option<&str>) {
        self.push(text);
    }
}

/// A value with its length before it.
fn put(stream: &mut Vec<u8>, bytes: &[u8]) {
    // Lines of facts have at most some megabytes, and values are parts of them.
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    stream.extend_from_slice(&length.to_be_bytes());
    stream.extend_from_slice(bytes);
}

impl Insert {
    /// The statements for these columns of a table.
    pub(super) fn new(to: Kind, table: &'static str, columns: &[&'static str]) -> Self {
        let row = format!("({})", vec!["?"; columns.len()].join(","));
        let statements = SIZES.map(|size| {
            let rows = vec![row.as_str(); size].join(",");
            let sql = format!("INSERT INTO {table} ({}) VALUES {rows}", columns.join(","));
            AssertSqlSafe(sql).into_sql_str()
        });
        let copy = format!(
            "COPY {table} ({}) FROM STDIN (FORMAT binary)",
            columns.join(",")
        );
        Self {
            to,
            columns: columns.len(),
            statements,
            copy: AssertSqlSafe(copy).into_sql_str(),
        }
    }

    /// Adds rows; `bind` pushes the values of one, in the order of the columns.
    pub(super) fn of<R>(
        &self,
        rows: impl Iterator<Item = R>,
        count: usize,
        bind: impl Fn(&mut Values, R),
    ) -> Insertions {
        match self.to {
            Kind::File => self.of_file(rows, count, bind),
            Kind::Server => self.of_server(rows, count, bind),
        }
    }

    fn of_file<R>(
        &self,
        mut rows: impl Iterator<Item = R>,
        count: usize,
        bind: impl Fn(&mut Values, R),
    ) -> Insertions {
        let mut insertions = Vec::new();
        let mut left = count;
        for (size, statement) in SIZES.into_iter().zip(&self.statements) {
            while left >= size {
                let mut arguments = SqliteArguments::default();
                sqlx::Arguments::reserve(&mut arguments, size * self.columns, 0);
                let mut values = Values::File(arguments);
                for row in rows.by_ref().take(size) {
                    bind(&mut values, row);
                }
                insertions.push((statement.clone(), values));
                left -= size;
            }
        }
        Insertions(insertions)
    }

    fn of_server<R>(
        &self,
        rows: impl Iterator<Item = R>,
        count: usize,
        bind: impl Fn(&mut Values, R),
    ) -> Insertions {
        if count == 0 {
            return Insertions(Vec::new());
        }
        let columns = i16::try_from(self.columns).unwrap_or(i16::MAX);
        let mut values = Values::Server(COPY_HEADER.to_vec());
        for row in rows.take(count) {
            if let Values::Server(stream) = &mut values {
                stream.extend_from_slice(&columns.to_be_bytes());
            }
            bind(&mut values, row);
        }
        if let Values::Server(stream) = &mut values {
            stream.extend_from_slice(&COPY_TRAILER);
        }
        Insertions(vec![(self.copy.clone(), values)])
    }
}

/// Where rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Server,
}

/// Statements with their values, ready to be run.
#[derive(Debug)]
pub(super) struct Insertions(Vec<(SqlStr, Values)>);

impl Insertions {
    /// Runs them.
    pub(super) async fn run(self, connection: &mut Conn<'_>) -> Result<(), TablesError> {
        for (statement, values) in self.0 {
            match (&mut *connection, values) {
                (Conn::File(connection), Values::File(arguments)) => {
                    let done = sqlx::query_with(statement, arguments);
                    let done = done.execute(&mut **connection).await;
                    done.map_err(|source| TablesError::on(None, "written", source))?;
                }
                (Conn::Server(connection, server), Values::Server(stream)) => {
                    let copied = in_time(copy(connection, statement.as_str(), stream)).await;
                    copied.map_err(|source| TablesError::on(Some(server), "written", source))?;
                }
                (Conn::File(_), Values::Server(_)) | (Conn::Server(..), Values::File(_)) => {
                    let mixed = sqlx::Error::Protocol("rows of another database".to_owned());
                    return Err(TablesError::on(None, "written", mixed));
                }
            }
        }
        Ok(())
    }
}

async fn copy(connection: &mut PgConnection, statement: &str, stream: Vec<u8>) -> sqlx::Result<()> {
    let mut copy = connection.copy_in_raw(statement).await?;
    copy.send(stream).await?;
    copy.finish().await.map(drop)
}
