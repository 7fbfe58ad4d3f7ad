//! Why the read models could not be read or written.

use thiserror::Error;

/// Why the read models could not be read or written.
#[derive(Debug, Error)]
pub enum TablesError {
    /// The database failed.
    #[error("the read models could not be {doing}: {source}")]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// A file of the read models could not be made, replaced or removed.
    #[error("the read models could not be {doing}: {source}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The tables are of another form than this program writes.
    #[error("the read models are of form {found}, and this program's of form {known}")]
    OtherForm {
        /// The form of the tables.
        found: i64,
        /// The form that this program writes.
        known: i64,
    },
    /// A row holds what this program never writes.
    #[error("row {row} of `{table}` in the read models is damaged: {what}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// Its key.
        row: String,
        /// What is wrong with it.
        what: String,
    },
}

impl TablesError {
    /// Names what was being done when the database failed.
    pub fn sql(doing: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Sql { doing, source }
    }

    /// Names what was being done when the system failed.
    pub fn file(doing: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::File { doing, source }
    }
}
