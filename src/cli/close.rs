//! `postbook close`: looks at a month's statements, or freezes them.

use clap::Args;
use postbook_schemas::Month;
use serde_json::{Map, Value, json};

use super::{
    exit::CliError,
    global::Global,
    output,
    reader::Reader,
    through::{Through, body, reason, with_service},
};
use crate::{
    commands::period::{self, Closed, Closing, Preview, Untold},
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
    #[command(flatten)]
    through: Through,
}

impl Close {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let answer = if let Some(remote) = self.through.remote()? {
            let body = body([
                ("reason", json!(self.reason)),
                ("dry_run", json!(self.dry_run)),
                ("early", json!(self.early)),
            ]);
            let path = format!("/v1/periods/{}/close", self.period);
            remote.post(&path, &body).await?
        } else if self.dry_run {
            let reader = Reader::open(global).await?;
            let preview = period::preview(&reader.tables, self.period).await;
            reader.close().await;
            preview_json(self.period, &preview?)
        } else {
            let closing = Closing {
                period: self.period,
                early: self.early,
                reason: reason(self.reason.as_deref().unwrap_or_default())?,
            };
            let author = self.through.author("postbook close");
            let closed = with_service(global, async |service| {
                Ok(period::close(service, &author, &closing).await?)
            });
            closed_json(&closed.await?)
        };
        if global.json {
            output::json(&answer)
        } else if self.dry_run {
            print_preview(&answer)
        } else {
            print_closed(&answer)
        }
    }
}

/// What closing would do, as `/v1` answers it.
fn preview_json(period: Month, preview: &Preview) -> Value {
    let statements: Vec<_> = preview
        .drafts
        .told
        .iter()
        .map(|draft| {
            let lines: Map<String, Value> = draft
                .summary()
                .into_iter()
                .map(|(word, minor)| (word.to_owned(), output::sum(minor)))
                .collect();
            json!({
                "partner": draft.partner, "currency": draft.currency, "number": draft.number,
                "opening_minor": draft.opening_minor, "lines_minor": lines,
                "closing_minor": draft.closing_minor,
                "pending_minor": draft.pending_minor,
                "held_minor": draft.held_minor,
                "payable_minor": draft.payable_minor,
            })
        })
        .collect();
    json!({
        "period": period, "dry_run": true, "pending_lines": preview.pending_lines,
        "awaiting_fx_lines": preview.awaiting_fx_lines, "statements": statements,
        "untold": untold_json(&preview.drafts.untold),
    })
}

fn untold_json(untold: &[Untold]) -> Vec<Value> {
    let item = |untold: &Untold| {
        json!({
            "partner": untold.partner, "currency": untold.currency,
            "closing_minor": output::sum(untold.closing_minor),
        })
    };
    untold.iter().map(item).collect()
}

/// What closing did, as `/v1` answers it.
fn closed_json(closed: &Closed) -> Value {
    let statements: Vec<_> = closed.statements.iter().map(item).collect();
    json!({
        "period": closed.closed.period, "dry_run": false,
        "position": closed.closed.position, "closed_at": closed.closed.closed_at,
        "statements": statements, "untold": untold_json(&closed.untold),
    })
}

fn statements(answer: &Value) -> &[Value] {
    let statements = answer.get("statements").and_then(Value::as_array);
    statements.map_or(&[], Vec::as_slice)
}

/// The name of a statement for people, `p1-0007`.
fn name(statement: &Value) -> String {
    let number = statement.get("number").and_then(Value::as_u64).unwrap_or(0);
    format!("{}-{number:04}", output::text(statement, "partner"))
}

fn print_preview(answer: &Value) -> Result<(), CliError> {
    let rows = statements(answer).iter().map(|draft| {
        let currency = output::text(draft, "currency");
        let lines = draft.get("lines_minor").and_then(Value::as_object);
        let lines = lines.into_iter().flatten().map(|(word, minor)| {
            let line = json!({ "currency": currency, "minor": minor });
            format!("{word} {}", output::major_of(&line, "minor"))
        });
        let mut row = vec![
            output::text(draft, "partner").to_owned(),
            currency.to_owned(),
            name(draft),
            lines.collect::<Vec<_>>().join(", "),
        ];
        let amounts = [
            "opening_minor",
            "closing_minor",
            "pending_minor",
            "held_minor",
            "payable_minor",
        ];
        row.extend(amounts.map(|name| output::major_of(draft, name)));
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
    print_untold(answer)?;
    let count = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    output::line(&format!(
        "{} lines not approved yet, {} without an exchange rate; nothing was written",
        count("pending_lines"),
        count("awaiting_fx_lines")
    ))
}

fn print_closed(answer: &Value) -> Result<(), CliError> {
    let position = answer.get("position").and_then(Value::as_u64).unwrap_or(0);
    let period = output::text(answer, "period");
    output::line(&format!("closed {period} at position {position}"))?;
    output::line(&list(statements(answer)))?;
    print_untold(answer)
}

/// Who is told nothing, and why.
fn print_untold(answer: &Value) -> Result<(), CliError> {
    let untold = answer.get("untold").and_then(Value::as_array);
    for one in untold.into_iter().flatten() {
        output::line(&format!(
            "no statement for {} in {}: a figure is beyond what a statement holds; the next one \
             that fits tells of this month too",
            output::text(one, "partner"),
            output::text(one, "currency"),
        ))?;
    }
    Ok(())
}

/// A statement in a list, for programs.
pub(super) fn item(row: &StatementRow) -> Value {
    json!({
        "id": row.id, "position": row.position, "partner": row.partner, "currency": row.currency,
        "period": row.period, "number": row.number, "opening_minor": row.opening_minor,
        "closing_minor": row.closing_minor, "issued_at": row.issued_at,
    })
}

/// Statements as a table, for people.
pub(super) fn list(statements: &[Value]) -> String {
    let rows = statements.iter().map(|statement| {
        vec![
            name(statement),
            output::text(statement, "id").to_owned(),
            output::text(statement, "period").to_owned(),
            output::text(statement, "currency").to_owned(),
            output::major_of(statement, "opening_minor"),
            output::major_of(statement, "closing_minor"),
        ]
    });
    let headers = ["statement", "id", "month", "currency", "opening", "closing"];
    output::table(&headers, rows, 4)
}
