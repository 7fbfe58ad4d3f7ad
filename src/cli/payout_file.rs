//! Files between payouts and banks: `postbook payout file` and `postbook payout reconcile`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use postbook_projections::rows::PayoutState;
use postbook_schemas::{Currency, Slug};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    exit::{CliError, Exit},
    global::Global,
    output,
    through::{Through, body, reason, with_service},
};
use crate::commands::payout::{self, BankLine, BankResult, FileFormat, FileRequest, Move};

/// Which file to print.
#[derive(Debug, Args)]
pub(super) struct File {
    /// In which form
    #[arg(long, value_enum, default_value_t = Form::Csv)]
    format: Form,
    /// Payouts in this state
    #[arg(long, value_enum, default_value_t = State::Approved)]
    state: State,
    /// The brand whose account pays; the only one that has an account if absent
    #[arg(long, value_name = "BRAND")]
    brand: Option<Slug>,
    /// On which day, as 2026-01-31; today if absent
    #[arg(long, value_name = "DAY", value_parser = day)]
    execution_date: Option<String>,
    #[command(flatten)]
    through: Through,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Csv,
    #[value(name = "pain.001")]
    Pain001,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    Approved,
    Sent,
}

fn day(text: &str) -> Result<String, String> {
    let is_day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() && text.len() == 10;
    is_day
        .then(|| text.to_owned())
        .ok_or_else(|| format!("`{text}` is not a day: write 2026-01-31"))
}

impl File {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let format = match self.format {
            Form::Csv => FileFormat::Csv,
            Form::Pain001 => FileFormat::Pain001,
        };
        let state = match self.state {
            State::Approved => PayoutState::Approved,
            State::Sent => PayoutState::Sent,
        };
        let bytes = if let Some(remote) = self.through.remote()? {
            let brand = self.brand.map(|brand| format!("&brand={brand}"));
            let day = self
                .execution_date
                .map(|day| format!("&execution_date={day}"));
            let path = format!(
                "/v1/payout-files/{}?state={}{}{}",
                format.word(),
                state.code(),
                brand.unwrap_or_default(),
                day.unwrap_or_default()
            );
            remote.get(&path).await?.body.to_vec()
        } else {
            let request = FileRequest {
                format,
                state,
                brand: self.brand,
                execution_date: self.execution_date,
            };
            let made = with_service(global, async |service| {
                Ok(payout::file(service, &request).await?)
            });
            let made = made.await?;
            output::note(&format!("{} payouts", made.payouts.len()));
            made.bytes
        };
        let written = io::stdout().lock().write_all(&bytes);
        written.map_err(CliError::failed)
    }
}

/// What the bank says.
#[derive(Debug, Args)]
pub(super) struct Reconcile {
    /// CSV with the columns `end_to_end_id`, `status` (settled, failed, returned), `amount`,
    /// `currency`, `reference`
    file: PathBuf,
    /// Only show what it would do
    #[arg(long)]
    dry_run: bool,
    /// Why; kept with the facts
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    #[command(flatten)]
    through: Through,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    end_to_end_id: String,
    status: String,
    amount: String,
    currency: Currency,
    #[serde(default)]
    reference: Option<String>,
}

impl Reconcile {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let lines = read(&self.file)?;
        let dry_run = self.dry_run;
        let why = match self.reason.as_deref() {
            Some(text) => reason(text)?,
            None => String::new(),
        };
        let items = if let Some(remote) = self.through.remote()? {
            let body = body([
                ("items", lines.iter().map(said).collect()),
                ("reason", json!(self.reason)),
                ("dry_run", json!(dry_run)),
            ]);
            let mut answer = remote.post("/v1/payout-results", &body).await?;
            let items = answer.get_mut("items").map(Value::take);
            serde_json::from_value(items.unwrap_or_default()).map_err(CliError::failed)?
        } else {
            let author = self.through.author("postbook payout reconcile");
            let results = with_service(global, async |service| {
                Ok(payout::reconcile(service, &author, &lines, &why, dry_run).await?)
            });
            results_json(&lines, &results.await?)
        };
        print(&lines, &items, global.json)?;
        let is_fine = |item: &Value| {
            let fine = [
                BankResult::Moved,
                BankResult::WouldMove,
                BankResult::Already,
            ];
            fine.iter()
                .any(|it| it.code() == output::text(item, "result"))
        };
        if items.iter().all(is_fine) {
            return Ok(());
        }
        Err(CliError::new(
            Exit::Partly,
            "some lines do not fit their payouts",
        ))
    }
}

fn read(path: &std::path::Path) -> Result<Vec<BankLine>, CliError> {
    let refused = |line: usize, what: String| {
        CliError::new(
            Exit::Refused,
            format!("{}: line {line}: {what}", path.display()),
        )
    };
    let mut reader = csv::Reader::from_path(path)
        .map_err(|error| CliError::failed(format!("{}: {error}", path.display())))?;
    let mut lines = Vec::new();
    for (number, said) in (2..).zip(reader.deserialize::<Said>()) {
        let said = said.map_err(|error| refused(number, error.to_string()))?;
        let became = match said.status.as_str() {
            "settled" => Move::Settle,
            "failed" => Move::Fail,
            "returned" => Move::Return,
            other => {
                let what = format!("status: `{other}` is none of settled, failed, returned");
                return Err(refused(number, what));
            }
        };
        let amount = said.currency.parse_major(&said.amount);
        lines.push(BankLine {
            end_to_end_id: said.end_to_end_id,
            became,
            amount_minor: amount.map_err(|error| refused(number, format!("amount: {error}")))?,
            currency: said.currency,
            reference: said.reference.filter(|text| !text.is_empty()),
        });
    }
    Ok(lines)
}

/// A line as `/v1` takes it.
fn said(line: &BankLine) -> Value {
    let status = match line.became {
        Move::Fail => "failed",
        Move::Return => "returned",
        Move::Settle | Move::Approve | Move::Send => "settled",
    };
    body([
        ("end_to_end_id", json!(line.end_to_end_id)),
        ("status", json!(status)),
        ("amount_minor", json!(line.amount_minor)),
        ("currency", json!(line.currency)),
        ("reference", json!(line.reference)),
    ])
}

/// What became of each line, as `/v1` answers it.
fn results_json(lines: &[BankLine], results: &[BankResult]) -> Vec<Value> {
    let each = lines.iter().zip(results);
    each.map(
        |(line, result)| json!({ "end_to_end_id": line.end_to_end_id, "result": result.code() }),
    )
    .collect()
}

fn print(lines: &[BankLine], items: &[Value], as_json: bool) -> Result<(), CliError> {
    if as_json {
        return output::json(&json!({ "items": items }));
    }
    let rows = lines.iter().zip(items).map(|(line, item)| {
        vec![
            line.end_to_end_id.clone(),
            output::text(item, "result").to_owned(),
            output::money(line.amount_minor, line.currency),
        ]
    });
    let headers = ["end-to-end id", "result", "amount"];
    output::line(&output::table(&headers, rows, 2))
}
