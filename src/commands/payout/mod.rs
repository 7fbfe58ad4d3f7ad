//! Payouts: proposed from what is due, approved by a second person, then moved on.

mod bank;
mod file;
mod pain;
mod propose;

use postbook_projections::rows::{PayoutRow, PayoutState};
use postbook_schemas::{Fact, FactId, Instant, payout::PayoutMoved};

use super::record::{self, Author, CommandError, PATIENCE, key};
use crate::{
    service::Service,
    tables::query::{Slice, balances::AsOf, payouts::PayoutFilter},
};

pub use bank::{BankLine, BankResult, reconcile};
pub use file::{FileFormat, FileRequest, PayoutFile, file};
pub use pain::name_for_banks;
pub use propose::{Proposal, Proposed, Skip, propose, propose_all};

/// What can be done with a payout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// A second person agrees.
    Approve,
    /// It was handed to the bank.
    Send,
    /// It arrived.
    Settle,
    /// It cannot be made.
    Fail,
    /// It came back.
    Return,
}

impl Move {
    fn is_allowed_from(self, state: PayoutState) -> bool {
        use PayoutState::{Approved, Proposed, Sent, Settled};
        match self {
            Self::Approve => state == Proposed,
            Self::Send => state == Approved,
            Self::Settle => matches!(state, Approved | Sent),
            Self::Fail => matches!(state, Proposed | Approved | Sent),
            Self::Return => matches!(state, Sent | Settled),
        }
    }

    /// Whether a fact is this move of a payout.
    fn is_said_by(self, fact: &Fact, id: FactId) -> bool {
        match (self, fact) {
            (Self::Approve, Fact::PayoutApproved(moved))
            | (Self::Send, Fact::PayoutSent(moved))
            | (Self::Settle, Fact::PayoutSettled(moved))
            | (Self::Fail, Fact::PayoutFailed(moved))
            | (Self::Return, Fact::PayoutReturned(moved)) => moved.payout_id == id,
            _ => false,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Send => "sent",
            Self::Settle => "settled",
            Self::Fail => "failed",
            Self::Return => "returned",
        }
    }

    fn fact(self, moved: PayoutMoved) -> Fact {
        match self {
            Self::Approve => Fact::PayoutApproved(moved),
            Self::Send => Fact::PayoutSent(moved),
            Self::Settle => Fact::PayoutSettled(moved),
            Self::Fail => Fact::PayoutFailed(moved),
            Self::Return => Fact::PayoutReturned(moved),
        }
    }
}

/// Moves a payout on. It comes to each state once, so a repeat answers what the first did.
///
/// # Errors
/// There is no such payout, its state does not allow it, or its proposer would approve it.
pub async fn move_on(
    service: &Service,
    author: &Author,
    moved: PayoutMoved,
    step: Move,
) -> Result<PayoutRow, CommandError> {
    record::catch_up(service).await?;
    let id = moved.payout_id;
    let row = payout(service, id).await?;
    // Only one move leaves a state, whoever else asks at the same time.
    let unique = key(&["payout", &id.to_string(), row.state.code()]);
    if let Some(position) = answered_at(service, author).await? {
        let first = record::read(service, position).await?.envelope.fact;
        if !step.is_said_by(&first, id) {
            return Err(record::used_for_something_else());
        }
        return payout_at(service, id, position).await;
    }
    if !step.is_allowed_from(row.state) {
        let (word, state) = (step.word(), row.state.code());
        let hint = match (row.state, step) {
            (PayoutState::Proposed, Move::Send | Move::Settle) => " before it is approved",
            _ => "",
        };
        let detail = format!("the payout is {state} and cannot be {word}{hint}");
        return Err(CommandError::Conflict(detail));
    }
    let proposer = record::read(service, row.position).await?.envelope.actor;
    if step == Move::Approve && proposer == *author.actor {
        let detail = "a payout is approved by another person than the one who proposed it";
        return Err(CommandError::Forbidden(detail.to_owned()));
    }
    if step == Move::Approve {
        refuse_above_payable(service, &row).await?;
    }
    let references = author.unique_key().into_iter().collect();
    let fact = step.fact(moved);
    let kept = record::append(service, author, &fact, Some(unique), references).await?;
    if kept.is_repeat && answered_at(service, author).await? != Some(kept.recorded.position) {
        let by = &kept.recorded.envelope.actor;
        let detail = format!("the payout was moved on by {by} at the same time");
        return Err(CommandError::Conflict(detail));
    }
    moved_payout(service, id).await
}

/// Where the fact is that answered the same request before, by its key.
async fn answered_at(service: &Service, author: &Author) -> Result<Option<u64>, CommandError> {
    match author.unique_key() {
        Some(own) => Ok(service.log.store().find(&own).await?),
        None => Ok(None),
    }
}

/// What is payable may have fallen since the payout was proposed, and approved payouts have the
/// first claim on it. Later moves are not refused: they say what happened at the bank.
async fn refuse_above_payable(service: &Service, row: &PayoutRow) -> Result<(), CommandError> {
    let now = AsOf {
        effective: service.clock.now(),
        known: Instant::MAX,
    };
    let balances = service.tables.balances(&row.partner, now).await?;
    let balance = balances.get(row.currency.code());
    let payable = balance.map_or(0, |balance| balance.payable_minor);
    let approved = PayoutFilter {
        partner: Some(row.partner.clone()),
        state: Some(PayoutState::Approved),
    };
    let approved = service.tables.payouts(&approved, Slice::ALL).await?;
    let claimed = approved
        .iter()
        .filter(|other| other.currency == row.currency && other.id != row.id)
        .fold(0_i64, |sum, other| sum.saturating_add(other.amount_minor));
    if row.amount_minor <= payable.saturating_sub(claimed) {
        return Ok(());
    }
    let currency = row.currency;
    Err(CommandError::Conflict(format!(
        "{payable} {currency} minor units are payable now, of which approved payouts claim \
         {claimed}: fail this payout of {} and propose what is left",
        row.amount_minor
    )))
}

/// A payout as it is once the read models show the fact at a position, which is about it.
async fn payout_at(
    service: &Service,
    id: FactId,
    position: u64,
) -> Result<PayoutRow, CommandError> {
    if !service.projector.wait_for(position, PATIENCE).await {
        return Err(CommandError::Late);
    }
    moved_payout(service, id).await
}

/// A payout that was moved just now: if it is not there, the read models are behind.
async fn moved_payout(service: &Service, id: FactId) -> Result<PayoutRow, CommandError> {
    let row = service.tables.payout(id).await?;
    row.ok_or(CommandError::Late)
}

async fn payout(service: &Service, id: FactId) -> Result<PayoutRow, CommandError> {
    let row = service.tables.payout(id).await?;
    row.ok_or_else(|| CommandError::NotFound(format!("there is no payout {id}")))
}
