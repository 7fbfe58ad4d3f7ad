//! `postbook close`: looks at a month's statements, or freezes them.

use clap::Args;
use postbook_schemas::{Currency, Month};
use serde_json::json;

use super::{
    exit::{CliError, Exit},
    global::Global,
    output, own,
    reader::Reader,
};
use crate::{
    commands::{
        period::{self, Closed, Closing, Preview},
        record::Author,
    },
    tables::batch::StatementRow,
};

/// Closes a month: freezes its books and issues its statements.
#[derive(Debug, Args)]
pub(super) struct Close {
    /// The month, as 2026-01
    period: Month,
    /// Only show what closing would do
    #[arg(long)]
    dry_run: bool,
    /// Close it although it is not over
    #[arg(long)]
    early: bool,
    /// Why; kept with the fact
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
}

impl Close {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        if self.dry_run {
            let reader = Reader::open(global).await?;
            let preview = period::preview(&reader.tables, self.period).await;
            reader.close().await;
            return print_preview(self.period, &preview?, global.json);
        }
        let reason = self.reason.unwrap_or_default();
        if reason.trim().is_empty() {
            return Err(CliError::new(
                Exit::Usage,
                "--reason must not be empty: it is kept with the change",
            ));
        }
        let closing = Closing {
            period: self.period,
            early: self.early,
            reason,
        };
        let author = Author {
            actor: own::ACTOR.into(),
            endpoint: "postbook close",
            idempotency_key: None,
        };
        let service = own::open(global).await?;
        let closed = async {
            own::caught_up(&service).await?;
            Ok(period::close(&service, &author, &closing).await?)
        };
        let closed: Result<Closed, CliError> = closed.await;
        service.shut_down().await;
        print_closed(&closed?, global.json)
    }
}

fn print_preview(period: Month, preview: &Preview, as_json: bool) -> Result<(), CliError> {
    if as_json {
        let statements: Vec<_> = preview
            .drafts
            .iter()
            .map(|draft| {
                json!({
                    "partner": draft.partner, "currency": draft.currency, "number": draft.number,
                    "opening_minor": draft.opening_minor, "lines_minor": draft.summary(),
                    "closing_minor": draft.closing_minor,
                    "pending_minor": draft.standing.pending_minor,
                    "held_minor": draft.standing.held_minor,
                    "payable_minor": draft.standing.payable_minor,
                })
            })
            .collect();
        return output::json(&json!({
            "period": period, "dry_run": true, "pending_lines": preview.pending_lines,
            "awaiting_fx_lines": preview.awaiting_fx_lines, "statements": statements,
        }));
    }
    let rows = preview.drafts.iter().map(|draft| {
        let lines = draft.summary().into_iter();
        let lines: Vec<String> = lines
            .map(|(word, minor)| format!("{word} {}", draft.currency.format_major(minor)))
            .collect();
        let mut row = vec![
            draft.partner.to_string(),
            draft.currency.to_string(),
            format!("{}-{:04}", draft.partner, draft.number),
            lines.join(", "),
        ];
        row.extend(
            [
                draft.opening_minor,
                draft.closing_minor,
                draft.standing.pending_minor,
                draft.standing.held_minor,
                draft.standing.payable_minor,
            ]
            .map(|minor| draft.currency.format_major(minor)),
        );
        row
    });
    let headers = [
        "partner",
        "currency",
        "statement",
        "lines",
        "opening",
        "closing",
        "pending",
        "held",
        "payable",
    ];
    output::line(&output::table(&headers, rows, 4))?;
    output::line(&format!(
        "{} lines not approved yet, {} without an exchange rate; nothing was written",
        preview.pending_lines, preview.awaiting_fx_lines
    ))
}

fn print_closed(closed: &Closed, as_json: bool) -> Result<(), CliError> {
    if as_json {
        let statements: Vec<_> = closed.statements.iter().map(item).collect();
        return output::json(&json!({
            "period": closed.closed.period, "dry_run": false,
            "position": closed.closed.position, "closed_at": closed.closed.closed_at,
            "statements": statements,
        }));
    }
    output::line(&format!(
        "closed {} at position {}",
        closed.closed.period, closed.closed.position
    ))?;
    output::line(&list(&closed.statements))
}

/// A statement in a list, for programs.
pub(super) fn item(row: &StatementRow) -> serde_json::Value {
    json!({
        "id": row.id, "position": row.position, "partner": row.partner, "currency": row.currency,
        "period": row.period, "number": row.number, "opening_minor": row.opening_minor,
        "closing_minor": row.closing_minor, "issued_at": row.issued_at,
    })
}

/// Statements as a table, for people.
pub(super) fn list(rows: &[StatementRow]) -> String {
    let table = rows.iter().map(|row| {
        let major = |minor: i64, currency: Currency| currency.format_major(minor);
        vec![
            format!("{}-{:04}", row.partner, row.number),
            row.id.to_string(),
            row.period.to_string(),
            row.currency.to_string(),
            major(row.opening_minor, row.currency),
            major(row.closing_minor, row.currency),
        ]
    });
    let headers = ["statement", "id", "month", "currency", "opening", "closing"];
    output::table(&headers, table, 4)
}
