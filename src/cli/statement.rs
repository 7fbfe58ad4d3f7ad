//! `postbook statement`: what a partner was told about a month.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use postbook_schemas::{Instant, Month, Slug};
use serde_json::json;

use super::{
    close,
    exit::{CliError, Exit},
    global::Global,
    output,
    reader::Reader,
    values,
};
use crate::{
    statement::{Format, Issued, StatementError},
    tables::{
        batch::StatementRow,
        query::{Slice, periods::StatementFilter},
    },
};

/// Prints a partner's statement, or lists them.
#[derive(Debug, Args)]
pub(super) struct Statement {
    /// The partner
    partner: Slug,
    /// The month, as 2026-01; lists the partner's statements if absent
    period: Option<Month>,
    /// In which form
    #[arg(long, value_enum, default_value_t = Form::Csv)]
    format: Form,
    /// Which currency, where there are several statements for the month
    #[arg(long, value_name = "CUR")]
    currency: Option<postbook_schemas::Currency>,
    /// Only of months that had ended by then
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    as_of: Option<Instant>,
    /// Only what was issued by then
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    known_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Json,
    Csv,
    Html,
}

impl From<Form> for Format {
    fn from(form: Form) -> Self {
        match form {
            Form::Json => Self::Json,
            Form::Csv => Self::Csv,
            Form::Html => Self::Html,
        }
    }
}

impl Statement {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let reader = Reader::open(global).await?;
        let done = self.show(&reader, global.json).await;
        reader.close().await;
        done
    }

    async fn show(&self, reader: &Reader, as_json: bool) -> Result<(), CliError> {
        let filter = StatementFilter {
            partner: Some(self.partner.clone()),
            period: self.period,
            ended_by: self.as_of,
            issued_by: self.known_at,
        };
        let mut rows = reader.tables.statements(&filter, Slice::ALL).await?;
        rows.retain(|row| self.currency.is_none_or(|wanted| wanted == row.currency));
        let Some(period) = self.period else {
            let items: Vec<_> = rows.iter().map(close::item).collect();
            if as_json {
                return output::json(&json!({ "items": items }));
            }
            return output::line(&close::list(&items));
        };
        let format = if as_json {
            Format::Json
        } else {
            self.format.into()
        };
        match rows.as_slice() {
            [row] => print(reader, row, format).await,
            [] => Err(CliError::new(
                Exit::NotFound,
                format!("there is no statement of {} for {period}", self.partner),
            )),
            _ => Err(CliError::new(
                Exit::Usage,
                "there are statements in several currencies: choose one with --currency",
            )),
        }
    }
}

async fn print(reader: &Reader, row: &StatementRow, format: Format) -> Result<(), CliError> {
    let issued = Issued::read(&*reader.store, row.position).await?;
    let written = io::stdout().lock().write_all(&issued.document(format));
    written.map_err(CliError::failed)
}

impl From<StatementError> for CliError {
    fn from(error: StatementError) -> Self {
        match error {
            StatementError::Store(error) => error.into(),
            StatementError::Unreadable { .. }
            | StatementError::NoStatement(_)
            | StatementError::UnknownForm { .. } => Self::new(Exit::Unsound, error),
        }
    }
}
