//! Payouts: proposed from what is due, approved by a second person, then moved on.

mod bank;
mod file;
mod propose;

use postbook_projections::rows::{PayoutRow, PayoutState};
use postbook_schemas::{Fact, FactId, payout::PayoutMoved};

use super::record::{self, Author, CommandError, key};
use crate::service::Service;

pub use bank::{BankLine, BankResult, reconcile};
pub use file::{FileFormat, FileRequest, PayoutFile, file};
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
    if let Some(key) = author.unique_key()
        && service.log.store().find(&key).await?.is_some()
    {
        return Ok(row);
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
    let references = author.unique_key().into_iter().collect();
    let fact = step.fact(moved);
    let kept = record::append(service, author, &fact, Some(unique), references).await?;
    if kept.is_repeat && !is_sent_again(service, author, kept.recorded.position).await? {
        let by = &kept.recorded.envelope.actor;
        let detail = format!("the payout was moved on by {by} at the same time");
        return Err(CommandError::Conflict(detail));
    }
    moved_payout(service, id).await
}

/// Whether the fact at a position answers the same request, by its key.
async fn is_sent_again(
    service: &Service,
    author: &Author,
    position: u64,
) -> Result<bool, CommandError> {
    match author.unique_key() {
        Some(own) => Ok(service.log.store().find(&own).await? == Some(position)),
        None => Ok(false),
    }
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
