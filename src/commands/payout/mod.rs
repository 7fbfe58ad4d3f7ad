//! Payouts: proposed from what is due, approved by a second person, then moved on.
//!
//! Each move is appended under a key that only one move can have: out of a state, of a payout; out of
//! `proposed` and `approved`, of a partner, since approvals look at what approved payouts to the partner claim
//! already, and whoever sends looks at what others have sent.

mod bank;
mod file;
mod pain;
mod propose;

use postbook_projections::rows::{PayoutRow, PayoutState};
use postbook_schemas::{Fact, FactId, Instant, Slug, payout::PayoutMoved};

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

    /// The move that a fact is, and of which payout.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other facts move no payout"
    )]
    fn of(fact: &Fact) -> Option<(Self, FactId)> {
        let (step, moved) = match fact {
            Fact::PayoutApproved(moved) => (Self::Approve, moved),
            Fact::PayoutSent(moved) => (Self::Send, moved),
            Fact::PayoutSettled(moved) => (Self::Settle, moved),
            Fact::PayoutFailed(moved) => (Self::Fail, moved),
            Fact::PayoutReturned(moved) => (Self::Return, moved),
            _ => return None,
        };
        Some((step, moved.payout_id))
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

/// How often a move that looks at the partner's other payouts looks again after one of them moved.
const TRIES: usize = 8;

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
    let id = moved.payout_id;
    let fact = step.fact(moved);
    for _ in 0..TRIES {
        record::catch_up(service).await?;
        let before = payout(service, id).await?;
        // Counted and weighed before the payout is looked at: whatever is decided in between is seen
        // there, or takes the seat. A payout that nobody has moved by then was weighed as it is.
        let counts = Counts::of(service, &before.partner).await?;
        let weighed = weigh(service, &before, step).await;
        let row = payout(service, id).await?;
        let unique = seat(&row, counts);
        if let Some(position) = answered_at(service, author).await? {
            let first = record::read(service, position).await?.envelope.fact;
            if Move::of(&first) != Some((step, id)) {
                return Err(record::used_for_something_else());
            }
            return payout_at(service, id, position).await;
        }
        refuse_out_of_turn(step, &row)?;
        if step == Move::Approve {
            refuse_own(service, author, &row).await?;
        }
        weighed?;
        let references = author.unique_key().into_iter().collect();
        let kept = record::append(service, author, &fact, Some(unique), references).await?;
        let position = kept.recorded.position;
        if !kept.is_repeat || answered_at(service, author).await? == Some(position) {
            return payout_at(service, id, position).await;
        }
        let by = &kept.recorded.envelope;
        if Move::of(&by.fact).is_some_and(|(_, moved)| moved == id) {
            let detail = format!("the payout was moved on by {} at the same time", by.actor);
            return Err(CommandError::Conflict(detail));
        }
    }
    Err(CommandError::Conflict(
        "other payouts to this partner are being decided at the same time".to_owned(),
    ))
}

/// How many of a partner's payouts have left the states in which they are weighed against each other.
#[derive(Clone, Copy, Debug)]
struct Counts {
    /// Approved or given up.
    decided: usize,
    /// Sent, whatever the bank said then, or given up.
    gone: usize,
}

impl Counts {
    async fn of(service: &Service, partner: &Slug) -> Result<Self, CommandError> {
        let all = PayoutFilter {
            partner: Some(partner.clone()),
            state: None,
        };
        let all = service.tables.payouts(&all, Slice::ALL).await?;
        let mut counts = Self {
            decided: 0,
            gone: 0,
        };
        for payout in &all {
            counts.decided += usize::from(payout.state != PayoutState::Proposed);
            let is_open = matches!(payout.state, PayoutState::Proposed | PayoutState::Approved);
            counts.gone += usize::from(!is_open);
        }
        Ok(counts)
    }
}

/// The key that only one move out of a payout's state can have, whoever else asks at the same time.
fn seat(row: &PayoutRow, counts: Counts) -> String {
    let of_partner = |name, count: usize| key(&[name, row.partner.as_str(), &count.to_string()]);
    match row.state {
        PayoutState::Proposed => of_partner("payout-decision", counts.decided),
        PayoutState::Approved => of_partner("payout-departure", counts.gone),
        PayoutState::Sent | PayoutState::Settled | PayoutState::Failed | PayoutState::Returned => {
            key(&["payout", &row.id.to_string(), row.state.code()])
        }
    }
}

fn refuse_out_of_turn(step: Move, row: &PayoutRow) -> Result<(), CommandError> {
    if step.is_allowed_from(row.state) {
        return Ok(());
    }
    let (word, state) = (step.word(), row.state.code());
    let hint = match (row.state, step) {
        (PayoutState::Proposed, Move::Send | Move::Settle) => " before it is approved",
        _ => "",
    };
    let detail = format!("the payout is {state} and cannot be {word}{hint}");
    Err(CommandError::Conflict(detail))
}

async fn refuse_own(
    service: &Service,
    author: &Author,
    row: &PayoutRow,
) -> Result<(), CommandError> {
    let proposer = record::read(service, row.position).await?.envelope.actor;
    if proposer != *author.actor {
        return Ok(());
    }
    let detail = "a payout is approved by another person than the one who proposed it";
    Err(CommandError::Forbidden(detail.to_owned()))
}

/// Where the fact is that answered the same request before, by its key.
async fn answered_at(service: &Service, author: &Author) -> Result<Option<u64>, CommandError> {
    match author.unique_key() {
        Some(own) => Ok(service.log.store().find(&own).await?),
        None => Ok(None),
    }
}

/// Refuses a step that needs the payout to be payable, where it is not by now: what is payable may have fallen
/// since the payout was proposed, or since it was approved.
async fn weigh(service: &Service, row: &PayoutRow, step: Move) -> Result<(), CommandError> {
    let claimed = match step {
        // Approved payouts have the first claim.
        Move::Approve => Some(claimed_by_others(service, row).await?),
        // Whoever is sent first gets it.
        Move::Send => None,
        // What happened at the bank happened, whatever is payable by now.
        Move::Settle | Move::Fail | Move::Return => return Ok(()),
    };
    refuse_waiting(service, row).await?;
    let payable = payable(service, row).await?;
    if i128::from(row.amount_minor) <= payable - claimed.unwrap_or(0) {
        return Ok(());
    }
    let currency = row.currency;
    let of_which = claimed.map_or_else(String::new, |claimed| {
        let claimed = currency.format_major(claimed);
        format!(", of which approved payouts claim {claimed}")
    });
    Err(CommandError::Conflict(format!(
        "{} are payable now{of_which}: fail this payout of {} and propose what is left",
        currency.format_money(payable),
        currency.format_major(row.amount_minor)
    )))
}

/// Refuses to pay what nobody would be paid now: a line waits again since the payout was proposed.
async fn refuse_waiting(service: &Service, row: &PayoutRow) -> Result<(), CommandError> {
    let now = service.clock.now();
    let waiting = service.tables.waiting_minor(row.id, now).await?;
    if waiting == 0 {
        return Ok(());
    }
    let currency = row.currency;
    Err(CommandError::Conflict(format!(
        "{} of it wait again, pending or on hold: fail this payout of {} and propose what is payable",
        currency.format_money(waiting),
        currency.format_major(row.amount_minor)
    )))
}

/// What is payable now to whom a payout goes.
async fn payable(service: &Service, row: &PayoutRow) -> Result<i128, CommandError> {
    let now = AsOf {
        effective: service.clock.now(),
        known: Instant::MAX,
    };
    let balances = service.tables.balances(&row.partner, now).await?;
    let balance = balances.get(row.currency.code());
    Ok(balance.map_or(0, |balance| balance.payable_minor))
}

async fn claimed_by_others(service: &Service, row: &PayoutRow) -> Result<i128, CommandError> {
    let approved = PayoutFilter {
        partner: Some(row.partner.clone()),
        state: Some(PayoutState::Approved),
    };
    let approved = service.tables.payouts(&approved, Slice::ALL).await?;
    let others = approved
        .iter()
        .filter(|other| other.currency == row.currency && other.id != row.id);
    Ok(others.map(|other| i128::from(other.amount_minor)).sum())
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
