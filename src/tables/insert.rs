//! Many rows in one statement: what makes writing fast.
//!
//! A statement costs a trip to the connection's thread, so rows go into a file by the hundred. Each
//! table has its statements in three sizes, prepared once; every number of rows is made of those. A
//! server takes the rows of a table as one stream instead (`COPY`), in its own binary form.

use sqlx::{
    Arguments as _, AssertSqlSafe, PgConnection, SqlSafeStr, SqlStr, postgres::PgArguments,
    sqlite::SqliteArguments,
};

use super::{
    db::{
        Conn, in_time,
        value::{add_to_file, add_to_server, without_nul},
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
    way: Way,
    columns: usize,
    /// Each with how many rows it takes.
    statements: Vec<(usize, SqlStr)>,
}

/// How rows are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To a file, with the statement.
    Rows,
    /// To a server, with the statement.
    NumberedRows,
    /// To a server, as a stream.
    Stream,
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

impl<T: Into<Self>> From<Option<T>> for Cell<'_> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of the rows of one statement.
#[derive(Debug)]
pub(super) enum Values {
    File(SqliteArguments),
    Server(PgArguments),
    Stream(Vec<u8>),
}

impl Values {
    fn of(way: Way, count: usize) -> Self {
        match way {
            Way::Rows => {
                let mut arguments = SqliteArguments::default();
                arguments.reserve(count, 0);
                Self::File(arguments)
            }
            Way::NumberedRows => Self::Server(PgArguments::default()),
            Way::Stream => Self::Stream(COPY_HEADER.to_vec()),
        }
    }

    fn begin_row(&mut self, columns: usize) {
        if let Self::Stream(stream) = self {
            let columns = i16::try_from(columns).unwrap_or(i16::MAX);
            stream.extend_from_slice(&columns.to_be_bytes());
        }
    }

    /// The next value.
    pub(super) fn push<'r>(&mut self, cell: impl Into<Cell<'r>>) {
        match self {
            Self::File(arguments) => match cell.into() {
                Cell::Null => add_to_file(arguments, None::<i64>),
                Cell::Number(number) => add_to_file(arguments, number),
                Cell::Text(text) => add_to_file(arguments, text),
                Cell::Bytes(bytes) => add_to_file(arguments, bytes.to_vec()),
            },
            Self::Server(arguments) => match cell.into() {
                Cell::Null => add_to_server(arguments, None::<i64>),
                Cell::Number(number) => add_to_server(arguments, number),
                Cell::Text(text) => add_to_server(arguments, without_nul(text).into_owned()),
                Cell::Bytes(bytes) => add_to_server(arguments, bytes.to_vec()),
            },
            Self::Stream(stream) => match cell.into() {
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
    pub(super) fn new(to: Kind, table: &str, columns: &[&str]) -> Self {
        let way = match to {
            Kind::File => Way::Rows,
            Kind::Server => Way::Stream,
        };
        Self::by(way, table, columns, "")
    }

    /// The same, with what is to become of rows that are there already.
    pub(super) fn adding(to: Kind, table: &str, columns: &[&str], on_conflict: &str) -> Self {
        let way = match to {
            Kind::File => Way::Rows,
            Kind::Server => Way::NumberedRows,
        };
        Self::by(way, table, columns, on_conflict)
    }

    fn by(way: Way, table: &str, columns: &[&str], on_conflict: &str) -> Self {
        let into = format!("{table} ({})", columns.join(","));
        if way == Way::Stream {
            let copy = format!("COPY {into} FROM STDIN (FORMAT binary)");
            let copy = AssertSqlSafe(copy).into_sql_str();
            return Self {
                way,
                columns: columns.len(),
                statements: vec![(usize::MAX, copy)],
            };
        }
        let statements = SIZES.map(|size| {
            let mut places = (1..=size * columns.len()).map(|number| match way {
                Way::NumberedRows => format!("${number}"),
                Way::Rows | Way::Stream => "?".to_owned(),
            });
            let rows: Vec<String> = (0..size)
                .map(|_| places.by_ref().take(columns.len()).collect::<Vec<_>>())
                .map(|row| format!("({})", row.join(",")))
                .collect();
            let sql = format!("INSERT INTO {into} VALUES {}{on_conflict}", rows.join(","));
            (size, AssertSqlSafe(sql).into_sql_str())
        });
        Self {
            way,
            columns: columns.len(),
            statements: statements.to_vec(),
        }
    }

    /// Adds rows; `bind` pushes the values of one, in the order of the columns.
    pub(super) fn of<R>(
        &self,
        mut rows: impl Iterator<Item = R>,
        count: usize,
        bind: impl Fn(&mut Values, R),
    ) -> Insertions {
        let mut insertions = Vec::new();
        let mut left = count;
        for (size, statement) in &self.statements {
            while left > 0 && (left >= *size || self.way == Way::Stream) {
                let taken = left.min(*size);
                let mut values = Values::of(self.way, taken * self.columns);
                for row in rows.by_ref().take(taken) {
                    values.begin_row(self.columns);
                    bind(&mut values, row);
                }
                insertions.push((statement.clone(), values));
                left -= taken;
            }
        }
        Insertions(insertions)
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
                (Conn::Server(connection, server), Values::Server(arguments)) => {
                    let done = sqlx::query_with(statement, arguments);
                    let done = in_time(done.execute(&mut **connection)).await;
                    done.map_err(|source| TablesError::on(Some(server), "written", source))?;
                }
                (Conn::Server(connection, server), Values::Stream(stream)) => {
                    let copied = in_time(copy(connection, statement.as_str(), stream)).await;
                    copied.map_err(|source| TablesError::on(Some(server), "written", source))?;
                }
                (Conn::File(_), _) | (_, Values::File(_)) => {
                    let mixed = sqlx::Error::Protocol("rows of another database".to_owned());
                    return Err(TablesError::on(None, "written", mixed));
                }
            }
        }
        Ok(())
    }
}

async fn copy(
    connection: &mut PgConnection,
    statement: &str,
    mut stream: Vec<u8>,
) -> sqlx::Result<()> {
    stream.extend_from_slice(&COPY_TRAILER);
    let mut copy = connection.copy_in_raw(statement).await?;
    copy.send(stream).await?;
    copy.finish().await.map(drop)
}
