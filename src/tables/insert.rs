//! Many rows in one statement: what makes writing fast.
//!
//! A statement costs a trip to the connection's thread, so rows go into a file by the hundred. Each
//! table has its statements in three sizes, prepared once; every number of rows is made of those. A
//! server takes the rows of a table as one stream instead (`COPY`), in its own binary form.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

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
const SIZES: [usize; 4] = [512, 64, 8, 1];

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
                // One allocation instead of two.
                Cell::Text(text) => add_to_file(arguments, Arc::<str>::from(text)),
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
    pub(super) fn of<'r, R>(
        &'r self,
        mut rows: impl Iterator<Item = R> + Send + 'r,
        count: usize,
        bind: impl Fn(&mut Values, R) + Send + 'r,
    ) -> Insertions<'r> {
        Insertions {
            insert: self,
            left: count,
            bind_next: Box::new(move |values| {
                if let Some(row) = rows.next() {
                    bind(values, row);
                }
            }),
        }
    }
}

/// Where rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Server,
}

/// Rows that are to be added, a statement at a time.
pub(super) struct Insertions<'r> {
    insert: &'r Insert,
    left: usize,
    bind_next: Box<dyn FnMut(&mut Values) + Send + 'r>,
}

impl Insertions<'_> {
    /// Adds them. While a file takes the rows of one statement, those of the next are bound.
    pub(super) async fn run(mut self, connection: &mut Conn<'_>) -> Result<(), TablesError> {
        let mut next = self.next_statement();
        while let Some((statement, values)) = next {
            next = match (&mut *connection, values) {
                (Conn::File(connection), Values::File(arguments)) => {
                    let query = sqlx::query_with(statement, arguments);
                    let mut running = pin!(query.execute(&mut **connection));
                    // Handed to the connection's thread by being asked for the first time.
                    let begun = poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await;
                    let following = self.next_statement();
                    let done = match begun {
                        Poll::Ready(done) => done,
                        Poll::Pending => running.await,
                    };
                    done.map_err(|source| TablesError::on(None, "written", source))?;
                    following
                }
                (Conn::Server(connection, server), Values::Server(arguments)) => {
                    let done = sqlx::query_with(statement, arguments);
                    let done = in_time(done.execute(&mut **connection)).await;
                    done.map_err(|source| TablesError::on(Some(server), "written", source))?;
                    self.next_statement()
                }
                (Conn::Server(connection, server), Values::Stream(stream)) => {
                    let copied = in_time(copy(connection, statement.as_str(), stream)).await;
                    copied.map_err(|source| TablesError::on(Some(server), "written", source))?;
                    self.next_statement()
                }
                (Conn::File(_), _) | (_, Values::File(_)) => {
                    let mixed = sqlx::Error::Protocol("rows of another database".to_owned());
                    return Err(TablesError::on(None, "written", mixed));
                }
            }
        }
        Ok(())
    }

    /// The largest statement that the rows that are left fill, with their values.
    fn next_statement(&mut self) -> Option<(SqlStr, Values)> {
        let Insert {
            way,
            columns,
            statements,
        } = self.insert;
        let fits = |size: usize| self.left >= size || *way == Way::Stream;
        let mut fitting = statements.iter().filter(|(size, _)| fits(*size));
        let (size, statement) = fitting.next().filter(|_| self.left > 0)?;
        let taken = self.left.min(*size);
        let mut values = Values::of(*way, taken * columns);
        for _ in 0..taken {
            values.begin_row(*columns);
            (self.bind_next)(&mut values);
        }
        self.left -= taken;
        Some((statement.clone(), values))
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
