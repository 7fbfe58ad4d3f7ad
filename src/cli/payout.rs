//! `postbook payout`: proposes payouts, moves them on and lists them.

use clap::{Args, Subcommand};
use postbook_projections::rows::PayoutRow;
use postbook_schemas::{Currency, FactId, Slug, payout::PayoutMoved};
use serde_json::json;

use super::{
    exit::{CliError, Exit},
    global::Global,
    output, own, payout_file,
    reader::Reader,
};
use crate::{
    commands::{
        payout::{self, Move, Proposal, Proposed},
        record::Author,
    },
    service::Service,
    tables::query::{Slice, payouts::PayoutFilter},
};

/// Proposes, approves, sends, settles and lists payouts.
#[derive(Debug, Args)]
pub(super) struct Payout {
    #[command(subcommand)]
    verb: PayoutVerb,
}

#[derive(Debug, Subcommand)]
enum PayoutVerb {
    /// Proposes what is payable to a partner, or to all that have their threshold coming
    Propose {
        /// Whom to pay
        #[arg(required_unless_present = "all")]
        partner: Option<Slug>,
        /// Everybody who has at least the threshold coming
        #[arg(long, conflicts_with_all = ["partner", "currency", "amount_minor"])]
        all: bool,
        /// In which currency; the partner's own if absent
        #[arg(long, value_name = "CUR")]
        currency: Option<Currency>,
        /// How much, in minor units; all that is payable if absent
        #[arg(long, value_name = "MINOR")]
        amount_minor: Option<i64>,
        #[command(flatten)]
        by: By,
    },
    /// Agrees to a payout that another person proposed
    Approve(Step),
    /// Says that a payout was handed to the bank
    Send(Step),
    /// Says that a payout arrived
    Settle(Step),
    /// Says that a payout cannot be made
    Fail(Step),
    /// Says that a payout came back
    Return(Step),
    /// Prints the payouts in a state as a file for the bank
    File(payout_file::File),
    /// Moves payouts on as a file of the bank says
    Reconcile(payout_file::Reconcile),
    /// Lists payouts
    List {
        /// Only of this partner
        #[arg(long, value_name = "PARTNER")]
        partner: Option<Slug>,
    },
}

/// Who says so, and why.
#[derive(Debug, Args)]
pub(super) struct By {
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who you are, so that a second person can be told from the first
    #[arg(long = "as", value_name = "NAME")]
    name: Option<Slug>,
}

#[derive(Debug, Args)]
struct Step {
    /// The payout
    id: FactId,
    /// The bank's reference
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    #[command(flatten)]
    by: By,
}

impl By {
    /// The reason and the author, if there is a reason.
    pub(super) fn author(self, endpoint: &'static str) -> Result<(String, Author), CliError> {
        require_reason(&self.reason)?;
        let actor = match self.name {
            Some(name) => format!("{}:{name}", own::ACTOR).into(),
            None => own::ACTOR.into(),
        };
        let author = Author {
            actor,
            endpoint,
            idempotency_key: None,
        };
        Ok((self.reason, author))
    }
}

impl Payout {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        match self.verb {
            PayoutVerb::Propose {
                partner,
                currency,
                amount_minor,
                by,
                ..
            } => {
                let (reason, author) = by.author("postbook payout propose")?;
                let Some(partner) = partner else {
                    return propose_all(&reason, &author, global).await;
                };
                let proposal = Proposal {
                    partner,
                    currency,
                    amount_minor,
                    reason,
                };
                let row = with_service(global, async |service| {
                    Ok(payout::propose(service, &author, &proposal).await?)
                });
                print_one(&row.await?, global.json)
            }
            PayoutVerb::Approve(step) => {
                step.run(Move::Approve, "postbook payout approve", global)
                    .await
            }
            PayoutVerb::Send(step) => step.run(Move::Send, "postbook payout send", global).await,
            PayoutVerb::Settle(step) => {
                step.run(Move::Settle, "postbook payout settle", global)
                    .await
            }
            PayoutVerb::Fail(step) => step.run(Move::Fail, "postbook payout fail", global).await,
            PayoutVerb::Return(step) => {
                step.run(Move::Return, "postbook payout return", global)
                    .await
            }
            PayoutVerb::File(file) => file.run(global).await,
            PayoutVerb::Reconcile(reconcile) => reconcile.run(global).await,
            PayoutVerb::List { partner } => list(partner, global).await,
        }
    }
}

impl Step {
    async fn run(
        self,
        step: Move,
        endpoint: &'static str,
        global: &Global,
    ) -> Result<(), CliError> {
        let (reason, author) = self.by.author(endpoint)?;
        let moved = PayoutMoved {
            payout_id: self.id,
            reference: self.reference,
            reason: Some(reason),
        };
        let row = with_service(global, async |service| {
            Ok(payout::move_on(service, &author, moved, step).await?)
        });
        print_one(&row.await?, global.json)
    }
}

/// Opens the service, does something with it once it has caught up, and lets go of it.
pub(super) async fn with_service<T>(
    global: &Global,
    work: impl AsyncFnOnce(&Service) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let service = own::open(global).await?;
    let done = match own::caught_up(&service).await {
        Ok(()) => work(&service).await,
        Err(error) => Err(error),
    };
    service.shut_down().await;
    done
}

async fn propose_all(reason: &str, author: &Author, global: &Global) -> Result<(), CliError> {
    let all = with_service(global, async |service| {
        Ok(payout::propose_all(service, author, reason).await?)
    });
    let (mut payouts, mut skipped) = (Vec::new(), Vec::new());
    for one in all.await? {
        match one {
            Proposed::Payout(row) => payouts.push(row),
            Proposed::Skipped {
                partner,
                currency,
                payable_minor,
                why,
            } => skipped.push((partner, currency, payable_minor, why.code())),
        }
    }
    if global.json {
        let skipped: Vec<_> = skipped
            .iter()
            .map(|(partner, currency, payable_minor, why)| {
                json!({ "partner": partner, "currency": currency,
                    "payable_minor": payable_minor, "why": why })
            })
            .collect();
        return output::json(&json!({ "payouts": payouts, "skipped": skipped }));
    }
    output::line(&table(&payouts))?;
    for (partner, currency, payable_minor, why) in skipped {
        let payable = output::money(payable_minor, currency);
        output::line(&format!("not paid: {partner}, {payable} payable: {why}"))?;
    }
    Ok(())
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
    output::line(&table(&rows))
}

fn table(rows: &[PayoutRow]) -> String {
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
    output::table(&headers, table, 5)
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
