//! `postbook payout`: proposes, settles and lists payouts.

use clap::{Args, Subcommand};
use postbook_projections::rows::PayoutRow;
use postbook_schemas::{Currency, FactId, Slug, payout::PayoutMoved};
use serde_json::json;

use super::{
    exit::{CliError, Exit},
    global::Global,
    output, own,
    reader::Reader,
};
use crate::{
    commands::{
        payout::{self, Move, Proposal},
        record::Author,
    },
    tables::query::{Slice, payouts::PayoutFilter},
};

/// Proposes, settles and lists payouts.
#[derive(Debug, Args)]
pub(super) struct Payout {
    #[command(subcommand)]
    verb: PayoutVerb,
}

#[derive(Debug, Subcommand)]
enum PayoutVerb {
    /// Proposes what is payable to a partner
    Propose {
        /// Whom to pay
        partner: Slug,
        /// In which currency; the partner's own if absent
        #[arg(long, value_name = "CUR")]
        currency: Option<Currency>,
        /// How much, in minor units; all that is payable if absent
        #[arg(long, value_name = "MINOR")]
        amount_minor: Option<i64>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Says that a payout arrived
    Settle {
        /// The payout
        id: FactId,
        /// The bank's reference
        #[arg(long, value_name = "TEXT")]
        reference: Option<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Lists payouts
    List {
        /// Only of this partner
        #[arg(long, value_name = "PARTNER")]
        partner: Option<Slug>,
    },
}

impl Payout {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        match self.verb {
            PayoutVerb::Propose {
                partner,
                currency,
                amount_minor,
                reason,
            } => {
                require_reason(&reason)?;
                let proposal = Proposal {
                    partner,
                    currency,
                    amount_minor,
                    reason,
                };
                let service = own::open(global).await?;
                let proposed = async {
                    own::caught_up(&service).await?;
                    Ok(
                        payout::propose(&service, &author("postbook payout propose"), &proposal)
                            .await?,
                    )
                };
                let row: Result<_, CliError> = proposed.await;
                service.shut_down().await;
                print_one(&row?, global.json)
            }
            PayoutVerb::Settle {
                id,
                reference,
                reason,
            } => {
                require_reason(&reason)?;
                let moved = PayoutMoved {
                    payout_id: id,
                    reference,
                    reason: Some(reason),
                };
                let service = own::open(global).await?;
                let settled = async {
                    own::caught_up(&service).await?;
                    let author = author("postbook payout settle");
                    Ok(payout::move_on(&service, &author, moved, Move::Settle).await?)
                };
                let row: Result<_, CliError> = settled.await;
                service.shut_down().await;
                print_one(&row?, global.json)
            }
            PayoutVerb::List { partner } => list(partner, global).await,
        }
    }
}

fn require_reason(reason: &str) -> Result<(), CliError> {
    if reason.trim().is_empty() {
        return Err(CliError::new(
            Exit::Usage,
            "--reason must not be empty: it is kept with the change",
        ));
    }
    Ok(())
}

fn author(endpoint: &'static str) -> Author {
    Author {
        actor: own::ACTOR.into(),
        endpoint,
        idempotency_key: None,
    }
}

async fn list(partner: Option<Slug>, global: &Global) -> Result<(), CliError> {
    let reader = Reader::open(global).await?;
    let filter = PayoutFilter {
        partner,
        state: None,
    };
    let all = Slice {
        after: 0,
        limit: u32::MAX,
    };
    let rows = reader.tables.payouts(&filter, all).await;
    reader.close().await;
    let rows = rows?;
    if global.json {
        return output::json(&json!({ "items": rows }));
    }
    let table = rows.iter().map(|row| {
        vec![
            row.id.to_string(),
            row.partner.to_string(),
            row.state.code().to_owned(),
            row.reference.clone().unwrap_or_default(),
            output::time(row.proposed_at),
            output::money(row.amount_minor, row.currency),
        ]
    });
    let headers = ["id", "partner", "state", "reference", "proposed", "amount"];
    output::line(&output::table(&headers, table, 5))
}

fn print_one(row: &PayoutRow, as_json: bool) -> Result<(), CliError> {
    if as_json {
        return output::json(row);
    }
    output::line(&format!(
        "{} {}: {} to {} ({} lines)",
        row.state.code(),
        row.id,
        output::money(row.amount_minor, row.currency),
        row.partner,
        row.lines
    ))
}
