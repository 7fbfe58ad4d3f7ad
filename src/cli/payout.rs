//! `postbook payout`: proposes payouts, moves them on and lists them.

use clap::{Args, Subcommand, ValueEnum};
use postbook_projections::rows::{PayoutRow, PayoutState};
use postbook_schemas::{Currency, Slug};
use serde_json::{Value, json};

use super::{
    exit::CliError,
    global::Global,
    output, payout_file,
    payout_steps::Steps,
    reader::Reader,
    through::{Through, body, reason, with_service},
};
use crate::{
    commands::payout::{self, Move, Proposal, Proposed},
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
    Propose(Propose),
    /// Agrees to payouts that another person proposed
    Approve(Steps),
    /// Says that payouts were handed to the bank
    Send(Steps),
    /// Says that payouts arrived
    Settle(Steps),
    /// Says that payouts cannot be made
    Fail(Steps),
    /// Says that payouts came back
    Return(Steps),
    /// Prints the payouts in a state as a file for the bank
    File(payout_file::File),
    /// Moves payouts on as a file of the bank says
    Reconcile(payout_file::Reconcile),
    /// Lists payouts
    List {
        /// Only to this partner
        #[arg(long, value_name = "PARTNER")]
        partner: Option<Slug>,
        /// Only in this state
        #[arg(long, value_enum)]
        state: Option<State>,
        #[command(flatten)]
        through: Through,
    },
}

#[derive(Debug, Args)]
struct Propose {
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
    /// Why; kept with the facts
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    through: Through,
}

/// A state of payouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    Proposed,
    Approved,
    Sent,
    Settled,
    Failed,
    Returned,
}

impl From<State> for PayoutState {
    fn from(state: State) -> Self {
        match state {
            State::Proposed => Self::Proposed,
            State::Approved => Self::Approved,
            State::Sent => Self::Sent,
            State::Settled => Self::Settled,
            State::Failed => Self::Failed,
            State::Returned => Self::Returned,
        }
    }
}

impl Payout {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        match self.verb {
            PayoutVerb::Propose(propose) => propose.run(global).await,
            PayoutVerb::Approve(steps) => steps.run(Move::Approve, global).await,
            PayoutVerb::Send(steps) => steps.run(Move::Send, global).await,
            PayoutVerb::Settle(steps) => steps.run(Move::Settle, global).await,
            PayoutVerb::Fail(steps) => steps.run(Move::Fail, global).await,
            PayoutVerb::Return(steps) => steps.run(Move::Return, global).await,
            PayoutVerb::File(file) => file.run(global).await,
            PayoutVerb::Reconcile(reconcile) => reconcile.run(global).await,
            PayoutVerb::List {
                partner,
                state,
                through,
            } => {
                let items = list(partner, state.map(Into::into), &through, global).await?;
                if global.json {
                    return output::json(&json!({ "items": items }));
                }
                output::line(&table(&items))
            }
        }
    }
}

impl Propose {
    async fn run(self, global: &Global) -> Result<(), CliError> {
        let reason = reason(&self.reason)?;
        let Some(partner) = self.partner else {
            let answer = propose_all(&reason, &self.through, global).await?;
            return print_run(&answer, global.json);
        };
        let answer = if let Some(remote) = self.through.remote()? {
            let body = body([
                ("partner", json!(partner)),
                ("currency", json!(self.currency)),
                ("amount_minor", json!(self.amount_minor)),
                ("reason", json!(reason)),
            ]);
            remote.post("/v1/payouts", &body).await?
        } else {
            let author = self.through.author("postbook payout propose");
            let proposal = Proposal {
                partner,
                currency: self.currency,
                amount_minor: self.amount_minor,
                reason,
            };
            let row = with_service(global, async |service| {
                Ok(payout::propose(service, &author, &proposal).await?)
            });
            item(&row.await?)
        };
        print_one(&answer, global.json)
    }
}

async fn propose_all(reason: &str, through: &Through, global: &Global) -> Result<Value, CliError> {
    if let Some(remote) = through.remote()? {
        let body = json!({ "reason": reason });
        return remote.post("/v1/payout-runs", &body).await;
    }
    let author = through.author("postbook payout propose");
    let all = with_service(global, async |service| {
        Ok(payout::propose_all(service, &author, reason).await?)
    });
    let (mut payouts, mut skipped) = (Vec::new(), Vec::new());
    for one in all.await? {
        match one {
            Proposed::Payout(row) => payouts.push(item(&row)),
            Proposed::Skipped {
                partner,
                currency,
                payable_minor,
                why,
            } => skipped.push(json!({
                "partner": partner, "currency": currency,
                "payable_minor": output::sum(payable_minor), "why": why.code(),
            })),
        }
    }
    Ok(json!({ "payouts": payouts, "skipped": skipped }))
}

fn print_run(answer: &Value, as_json: bool) -> Result<(), CliError> {
    if as_json {
        return output::json(answer);
    }
    let of = |name: &str| {
        let list = answer.get(name).and_then(Value::as_array);
        list.map_or(&[][..], Vec::as_slice)
    };
    output::line(&table(of("payouts")))?;
    for skipped in of("skipped") {
        let payable = output::money_of(skipped, "payable_minor");
        let (partner, why) = (
            output::text(skipped, "partner"),
            output::text(skipped, "why"),
        );
        let why = match why {
            "negative" => "the balance is carried until it is positive",
            "nothing_payable" => "open payouts reserve it, or nothing of it is due",
            "below_threshold" => "less can be paid than the threshold",
            other => other,
        };
        output::line(&format!("not paid: {partner}, {payable} payable: {why}"))?;
    }
    Ok(())
}

/// Payouts as `/v1` answers them.
pub(super) async fn list(
    partner: Option<Slug>,
    state: Option<PayoutState>,
    through: &Through,
    global: &Global,
) -> Result<Vec<Value>, CliError> {
    if let Some(remote) = through.remote()? {
        let partner = partner.map_or_else(String::new, |it| format!("&partner={it}"));
        let state = state.map_or_else(String::new, |it| format!("&state={}", it.code()));
        return remote.list(&format!("/v1/payouts?{partner}{state}")).await;
    }
    let reader = Reader::open(global).await?;
    let filter = PayoutFilter { partner, state };
    let rows = reader.tables.payouts(&filter, Slice::ALL).await;
    reader.close().await;
    Ok(rows?.iter().map(item).collect())
}

/// A payout as `/v1` answers it.
pub(super) fn item(row: &PayoutRow) -> Value {
    json!({
        "id": row.id, "position": row.position, "partner": row.partner,
        "currency": row.currency, "amount_minor": row.amount_minor,
        "recovered_minor": row.recovered_minor, "state": row.state.code(),
        "reference": row.reference, "proposed_at": row.proposed_at,
        "changed_at": row.changed_at, "line_count": row.lines,
    })
}

fn table(items: &[Value]) -> String {
    let rows = items.iter().map(|item| {
        let text = |name: &str| output::text(item, name).to_owned();
        vec![
            text("id"),
            text("partner"),
            text("state"),
            text("reference"),
            output::time_of(item, "proposed_at"),
            output::major_of(item, "recovered_minor"),
            output::money_of(item, "amount_minor"),
        ]
    });
    let headers = [
        "id",
        "partner",
        "state",
        "reference",
        "proposed",
        "recovered",
        "amount",
    ];
    output::table(&headers, rows, 5)
}

/// Prints a payout.
pub(super) fn print_one(item: &Value, as_json: bool) -> Result<(), CliError> {
    if as_json {
        return output::json(item);
    }
    let lines = match item.get("line_count").and_then(Value::as_u64) {
        Some(1) => "1 line".to_owned(),
        lines => format!("{} lines", lines.unwrap_or(0)),
    };
    output::line(&format!(
        "{} {}: {} to {} ({lines})",
        output::text(item, "state"),
        output::text(item, "id"),
        output::money_of(item, "amount_minor"),
        output::text(item, "partner"),
    ))
}
