//! `postbook adjustment`: amounts that no conversion explains, debts given up, and what a second
//! person says to them.

use clap::{Args, Subcommand, ValueEnum};
use postbook_schemas::{Currency, Fact, FactId, Slug, decision::AdjustmentKind};
use serde_json::{Value, json};

use super::{
    decide::{kept_json, print_kept},
    exit::CliError,
    global::Global,
    output,
    reader::Reader,
    through::{Through, body, reason, with_service},
};
use crate::commands::{
    adjustment::{self, Amount, EntryFilter, EntryState},
    record::Kept,
};

/// Posts amounts that no conversion explains, gives up debts, and lists both.
#[derive(Debug, Args)]
pub(super) struct Adjustment {
    #[command(subcommand)]
    verb: AdjustmentVerb,
}

#[derive(Debug, Subcommand)]
enum AdjustmentVerb {
    /// Posts an amount, positive in the partner's favour; above the partner's limit it is proposed
    Post(Said),
    /// Gives up a debt, at most what is outstanding; above the partner's limit it is proposed
    WriteOff(Said),
    /// Agrees to what another person proposed
    Approve {
        /// The proposal
        id: FactId,
        /// Why; kept with the fact
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        through: Through,
    },
    /// Declines what was proposed, or takes it back
    Decline {
        /// The proposal
        id: FactId,
        /// Why not; kept with the fact
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        through: Through,
    },
    /// Lists what was posted, what waits for a second person, and what was declined
    List {
        /// Only of this partner
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
struct Said {
    /// Whom it concerns
    partner: Slug,
    /// How much, in minor units
    #[arg(long, value_name = "MINOR", allow_negative_numbers = true)]
    amount_minor: i64,
    /// In which currency; the partner's own if absent
    #[arg(long, value_name = "CUR")]
    currency: Option<Currency>,
    /// Why; kept with the fact
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    through: Through,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    Proposed,
    Posted,
    Declined,
}

impl From<State> for EntryState {
    fn from(state: State) -> Self {
        match state {
            State::Proposed => Self::Proposed,
            State::Posted => Self::Posted,
            State::Declined => Self::Declined,
        }
    }
}

impl Adjustment {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        match self.verb {
            AdjustmentVerb::Post(said) => said.enter(AdjustmentKind::Adjustment, global).await,
            AdjustmentVerb::WriteOff(said) => said.enter(AdjustmentKind::WriteOff, global).await,
            AdjustmentVerb::Approve {
                id,
                reason,
                through,
            } => approve(id, reason, &through, global).await,
            AdjustmentVerb::Decline {
                id,
                reason,
                through,
            } => decline(id, &reason, &through, global).await,
            AdjustmentVerb::List {
                partner,
                state,
                through,
            } => list(partner, state.map(Into::into), &through, global).await,
        }
    }
}

impl Said {
    async fn enter(self, kind: AdjustmentKind, global: &Global) -> Result<(), CliError> {
        let reason = reason(&self.reason)?;
        let (path, endpoint) = match kind {
            AdjustmentKind::Adjustment => ("/v1/adjustments", "postbook adjustment post"),
            AdjustmentKind::WriteOff => ("/v1/write-offs", "postbook adjustment write-off"),
        };
        let answer = if let Some(remote) = self.through.remote()? {
            let body = body([
                ("partner", json!(self.partner)),
                ("amount_minor", json!(self.amount_minor)),
                ("currency", json!(self.currency)),
                ("reason", json!(reason)),
            ]);
            remote.post(path, &body).await?
        } else {
            let author = self.through.author(endpoint);
            let amount = Amount {
                kind,
                partner: self.partner,
                amount_minor: self.amount_minor,
                currency: self.currency,
                reason,
            };
            let entered = with_service(global, async |service| {
                Ok(adjustment::adjust(service, &author, amount).await?)
            });
            entered_json(&entered.await?)
        };
        print_entered(&answer, global.json)
    }
}

/// What was entered, as `/v1` answers it.
fn entered_json(entered: &Kept) -> Value {
    match &entered.recorded.envelope.fact {
        Fact::AdjustmentProposed(proposed) => json!({
            "proposal_id": proposed.proposal_id, "position": entered.recorded.position,
            "detail": adjustment::ABOVE_LIMIT,
        }),
        _ => kept_json(entered),
    }
}

fn print_entered(answer: &Value, as_json: bool) -> Result<(), CliError> {
    match answer.get("proposal_id").and_then(Value::as_str) {
        Some(proposal) if !as_json => {
            let detail = adjustment::ABOVE_LIMIT;
            output::line(&format!("proposed {proposal}: {detail}"))
        }
        _ => print_kept(answer, as_json),
    }
}

async fn approve(
    id: FactId,
    why: Option<String>,
    through: &Through,
    global: &Global,
) -> Result<(), CliError> {
    let because = why.as_deref().map(reason).transpose()?;
    let answer = if let Some(remote) = through.remote()? {
        let path = format!("/v1/adjustments/{id}/approve");
        remote.post(&path, &json!({ "reason": because })).await?
    } else {
        let author = through.author("postbook adjustment approve");
        let kept = with_service(global, async |service| {
            Ok(adjustment::approve(service, &author, id, because).await?)
        });
        kept_json(&kept.await?)
    };
    print_kept(&answer, global.json)
}

async fn decline(
    id: FactId,
    why: &str,
    through: &Through,
    global: &Global,
) -> Result<(), CliError> {
    let reason = reason(why)?;
    let answer = if let Some(remote) = through.remote()? {
        let path = format!("/v1/adjustments/{id}/decline");
        remote.post(&path, &json!({ "reason": reason })).await?
    } else {
        let author = through.author("postbook adjustment decline");
        let kept = with_service(global, async |service| {
            Ok(adjustment::decline(service, &author, id, reason).await?)
        });
        kept_json(&kept.await?)
    };
    print_kept(&answer, global.json)
}

async fn list(
    partner: Option<Slug>,
    state: Option<EntryState>,
    through: &Through,
    global: &Global,
) -> Result<(), CliError> {
    let items = if let Some(remote) = through.remote()? {
        let partner = partner.map_or_else(String::new, |it| format!("&partner={it}"));
        let state = state.map_or_else(String::new, |it| format!("&state={}", it.code()));
        remote
            .list(&format!("/v1/adjustments?{partner}{state}"))
            .await?
    } else {
        let reader = Reader::open(global).await?;
        let filter = EntryFilter { partner, state };
        let entries = adjustment::entries(&*reader.store, &filter).await;
        reader.close().await;
        entries?.iter().map(|entry| json!(entry)).collect()
    };
    if global.json {
        return output::json(&json!({ "items": items }));
    }
    let rows = items.iter().map(|item| {
        let text = |name: &str| output::text(item, name).to_owned();
        vec![
            text("id"),
            text("kind"),
            text("state"),
            text("partner"),
            text("by"),
            text("decided_by"),
            text("reason"),
            output::money_of(item, "amount_minor"),
        ]
    });
    let headers = [
        "id",
        "kind",
        "state",
        "partner",
        "by",
        "decided by",
        "reason",
        "amount",
    ];
    output::line(&output::table(&headers, rows, 7))
}
