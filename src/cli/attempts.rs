//! `postbook attempts`: postback attempts, whatever became of them, and why one did not arrive.

use clap::Args;
use postbook_schemas::{FactId, Instant, OfferRef, Outcome};

use super::{exit::CliError, global::Global, output, reader::Reader, values};
use crate::{
    inquiry::{
        attempt::{self, AttemptTold},
        checks::{self, Checks, Subject},
    },
    tables::query::{Slice, attempts::AttemptFilter},
};

/// Shows postback attempts, newest last; with --click, --txn, --customer or --attempt the five
/// checks of a postback that did not arrive.
#[derive(Debug, Args)]
pub(super) struct Attempts {
    /// Walks through the five checks for this click
    #[arg(long, value_name = "ID", group = "subject")]
    click: Option<String>,
    /// Walks through the five checks for this transaction
    #[arg(long, value_name = "ID", group = "subject")]
    txn: Option<String>,
    /// Walks through the five checks for this customer
    #[arg(long, value_name = "ID", group = "subject")]
    customer: Option<String>,
    /// Shows this attempt whole, and walks through its five checks
    #[arg(long, value_name = "ID", group = "subject")]
    attempt: Option<FactId>,
    /// Only with this outcome
    #[arg(long, value_name = "CODE", value_parser = outcome)]
    outcome: Option<Outcome>,
    /// Only at this offer
    #[arg(long, value_name = "BRAND/OFFER")]
    offer: Option<OfferRef>,
    /// Only with this click id
    #[arg(long, value_name = "ID")]
    click_id: Option<String>,
    /// Only with this transaction
    #[arg(long, value_name = "ID")]
    txn_id: Option<String>,
    /// Only with this event id
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// Only with this customer
    #[arg(long, value_name = "ID")]
    customer_id: Option<String>,
    /// Only such as were received at this time or later
    #[arg(long, value_name = "TIME", value_parser = values::start)]
    from: Option<Instant>,
    /// Only such as were received before this time
    #[arg(long, value_name = "TIME", value_parser = values::start)]
    to: Option<Instant>,
    /// Only repeats that say something else than the first
    #[arg(long)]
    differs: bool,
    /// The position after which to begin
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
}

fn outcome(code: &str) -> Result<Outcome, String> {
    Outcome::from_code(code).ok_or_else(|| {
        let codes: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.code()).collect();
        format!("not an outcome: {}", codes.join(", "))
    })
}

impl Attempts {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let reader = Reader::open(global).await?;
        let result = match self.subject() {
            Some(subject) => self.walk(&reader, &subject, global.json).await,
            None => self.list(&reader, global.json).await,
        };
        reader.close().await;
        result
    }

    fn subject(&self) -> Option<Subject> {
        let click = self.click.clone().map(Subject::Click);
        let txn = || self.txn.clone().map(Subject::Txn);
        let customer = || self.customer.clone().map(Subject::Customer);
        let attempt = || self.attempt.map(Subject::Attempt);
        click.or_else(txn).or_else(customer).or_else(attempt)
    }

    async fn list(self, reader: &Reader, as_json: bool) -> Result<(), CliError> {
        let filter = AttemptFilter {
            outcome: self.outcome,
            offer: self.offer,
            click_id: self.click_id,
            txn_id: self.txn_id,
            event_id: self.event_id,
            customer_id: self.customer_id,
            from: self.from,
            to: self.to,
            differs: self.differs,
            without_click: false,
        };
        let slice = Slice {
            after: self.after,
            limit: self.limit,
        };
        let directory = reader.directory().await?;
        let told = attempt::search(&reader.sources(&directory), filter, slice).await?;
        if as_json {
            return output::json(&serde_json::json!({ "items": told }));
        }
        let headers = [
            "position", "time", "outcome", "offer", "event", "txn", "click", "field", "detail",
        ];
        let rows = told.iter().map(row);
        output::line(&output::table(&headers, rows, headers.len()))
    }

    async fn walk(
        &self,
        reader: &Reader,
        subject: &Subject,
        as_json: bool,
    ) -> Result<(), CliError> {
        let directory = reader.directory().await?;
        let sources = reader.sources(&directory);
        let checks = checks::walk(&sources, subject, self.offer.as_ref()).await?;
        if as_json {
            return output::json(&checks);
        }
        if let Subject::Attempt(id) = subject
            && let Some(row) = reader.tables.attempt(*id).await?
        {
            show(&attempt::tell(&sources, row).await?)?;
        }
        show_checks(&checks)
    }
}

fn row(told: &AttemptTold) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        told.position.to_string(),
        output::time(told.recorded_at),
        told.outcome.code().to_owned(),
        text(&told.offer),
        text(&told.event),
        text(&told.txn_id),
        text(&told.click_id),
        text(&told.field),
        detail(told),
    ]
}

/// What the sender was told; of a repeat, how it differs; of what was read again, the other.
fn detail(told: &AttemptTold) -> String {
    let differences = told.differences.iter().map(|one| {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        format!(
            "{} {} → {}",
            one.field,
            or_none(&one.first),
            or_none(&one.repeat)
        )
    });
    let own = told.detail.clone().into_iter();
    let became = told
        .became
        .iter()
        .map(|became| format!("requeued: {} at {}", became.outcome.code(), became.position));
    let requeued = told
        .requeued
        .iter()
        .map(|requeued| match requeued.position {
            Some(position) => format!("requeued from {position}"),
            None => format!("requeued from {}", requeued.attempt_id),
        });
    let all = own.chain(differences).chain(became).chain(requeued);
    all.collect::<Vec<_>>().join(", ")
}

/// One attempt whole.
fn show(told: &AttemptTold) -> Result<(), CliError> {
    let credential = told.credential.as_ref().map(|credential| {
        let key = credential.key_id.as_deref().unwrap_or("no key");
        format!("{} {key}", credential.strength)
    });
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let lines = [
        ("attempt", told.id.to_string()),
        ("position", told.position.to_string()),
        ("received", told.recorded_at.to_string()),
        (
            "outcome",
            format!("{} ({})", told.outcome.code(), told.http_status),
        ),
        ("detail", detail(told)),
        ("field", text(&told.field)),
        ("warnings", told.warnings.join("; ")),
        (
            "requeued",
            told.requeued
                .as_ref()
                .map(|requeued| requeued.reason.clone())
                .unwrap_or_default(),
        ),
        ("endpoint", told.endpoint.clone()),
        ("address", text(&told.address)),
        (
            "credential",
            credential.unwrap_or_else(|| "none".to_owned()),
        ),
        ("query", text(&told.request.query)),
        ("body", text(&told.request.body)),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        output::line(&format!("{name:<12}{}", output::indented(value, 12)))?;
    }
    if !told.expected.is_empty() {
        let rows = told.expected.iter().map(|row| {
            let mark = if row.at_fault { "!" } else { "" };
            let received = row.received.clone().unwrap_or_else(|| "nothing".to_owned());
            vec![mark.to_owned(), row.label(), received, row.expected.clone()]
        });
        let headers = ["", "parameter", "received", "expected"];
        output::line("")?;
        output::line(&output::table(&headers, rows, headers.len()))?;
    }
    output::line("")
}

fn show_checks(checks: &Checks) -> Result<(), CliError> {
    for (number, check) in (1..).zip(&checks.checks) {
        let (name, state) = (check.name.replace('_', " "), check.state.code());
        let detail = output::indented(&check.detail, 28);
        output::line(&format!("{number} {name:<17}{state:<9}{detail}"))?;
        for shown in &check.evidence {
            let shows = output::indented(&shown.shows, 16);
            output::line(&format!("    {:>10}  {shows}", shown.position))?;
        }
        if let Some(next) = &check.next {
            output::line(&format!("    look at   {next}"))?;
        }
    }
    Ok(())
}
