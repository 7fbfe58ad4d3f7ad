//! `postbook attempts`: postback attempts, whatever became of them.

use clap::Args;
use postbook_projections::rows::AttemptRow;
use postbook_schemas::{OfferRef, Outcome};

use super::{exit::CliError, global::Global, output, reader::Reader};
use crate::tables::query::{Slice, attempts::AttemptFilter};

/// Shows postback attempts, newest last.
#[derive(Debug, Args)]
pub(super) struct Attempts {
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
    /// Only with this customer
    #[arg(long, value_name = "ID")]
    customer_id: Option<String>,
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
        let filter = AttemptFilter {
            outcome: self.outcome,
            offer: self.offer,
            click_id: self.click_id,
            txn_id: self.txn_id,
            customer_id: self.customer_id,
        };
        let slice = Slice {
            after: self.after,
            limit: self.limit,
        };
        let rows = reader.tables.attempts(&filter, slice).await;
        reader.close().await;
        let rows = rows?;
        if global.json {
            return output::json(&serde_json::json!({ "items": rows }));
        }
        let headers = [
            "position", "time", "outcome", "offer", "event", "txn", "click", "field", "detail",
        ];
        output::line(&output::table(
            &headers,
            rows.iter().map(row),
            headers.len(),
        ))
    }
}

fn row(attempt: &AttemptRow) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        attempt.position.to_string(),
        output::time(attempt.recorded_at),
        attempt.outcome.code().to_owned(),
        attempt
            .offer
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        text(&attempt.event),
        text(&attempt.txn_id),
        text(&attempt.click_id),
        text(&attempt.field),
        text(&attempt.detail),
    ]
}
