//! Payouts: proposed from what is due, then moved on.
//!
//! No lock keeps two proposals apart. Each is appended under a key made of the partner and the
//! number of payouts that it knew of; the log lets only one in, also when several nodes propose, and
//! the other looks again at what is left.

use postbook_projections::rows::{PayoutRow, PayoutState};
use postbook_schemas::{
    Currency, Fact, FactId, Instant, Slug,
    payout::{PayoutLine, PayoutMoved, PayoutProposed},
};

use super::{
    adjustment::partner_currency,
    record::{self, Author, CommandError, key},
};
use crate::{
    service::Service,
    tables::query::{
        balances::AsOf,
        due::{Due, DueLine},
    },
};

/// How often a proposal that lost a race looks again.
const TRIES: usize = 8;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Whom to pay.
    pub partner: Slug,
    /// In which currency; the partner's own if absent.
    pub currency: Option<Currency>,
    /// How much; all that is payable if absent.
    pub amount_minor: Option<i64>,
    /// Why.
    pub reason: String,
}

/// Proposes a payout of what is payable now, recoveries first, then the oldest lines.
///
/// # Errors
/// Less is payable than asked for, or nothing; or the log cannot be written.
pub async fn propose(
    service: &Service,
    author: &Author,
    proposal: &Proposal,
) -> Result<PayoutRow, CommandError> {
    let currency = match proposal.currency {
        Some(currency) => {
            partner_currency(service, &proposal.partner)?;
            currency
        }
        None => partner_currency(service, &proposal.partner)?,
    };
    for _ in 0..TRIES {
        record::catch_up(service).await?;
        if let Some(first) = earlier(service, author, proposal).await? {
            return Ok(first);
        }
        let now = service.clock.now();
        let as_of = AsOf {
            effective: now,
            known: Instant::MAX,
        };
        let due = service
            .tables
            .due(&proposal.partner, currency, as_of)
            .await?;
        let known = due.payouts;
        let lines = choose_lines(due, now, proposal, currency)?;
        let fact = Fact::PayoutProposed(PayoutProposed {
            payout_id: service.clock.new_id(),
            partner: proposal.partner.clone(),
            amount_minor: lines.iter().map(|line| line.amount_minor).sum(),
            currency,
            lines,
            reason: proposal.reason.clone(),
        });
        let unique = key(&[
            "payout-proposal",
            proposal.partner.as_str(),
            &known.to_string(),
        ]);
        let references = author.unique_key().into_iter().collect();
        let kept = record::append(service, author, &fact, Some(unique), references).await?;
        if !kept.is_repeat
            && let Fact::PayoutProposed(proposed) = &kept.recorded.envelope.fact
        {
            return moved_payout(service, proposed.payout_id).await;
        }
    }
    Err(CommandError::Conflict(
        "other payouts to this partner are being proposed at the same time".to_owned(),
    ))
}

/// The payout that an earlier request with the same key proposed.
async fn earlier(
    service: &Service,
    author: &Author,
    proposal: &Proposal,
) -> Result<Option<PayoutRow>, CommandError> {
    let Some(key) = author.unique_key() else {
        return Ok(None);
    };
    let Some(position) = service.log.store().find(&key).await? else {
        return Ok(None);
    };
    match record::read(service, position).await?.envelope.fact {
        Fact::PayoutProposed(first) if first.partner == proposal.partner => {
            payout(service, first.payout_id).await.map(Some)
        }
        _ => Err(record::used_for_something_else()),
    }
}

fn choose_lines(
    due: Due,
    now: Instant,
    proposal: &Proposal,
    currency: Currency,
) -> Result<Vec<PayoutLine>, CommandError> {
    let (balance, reserved) = (due.balance, due.reserved_minor);
    let free = balance.payable_minor - reserved;
    let (lines, available) = available_lines(due.lines, now, balance.written_off_minor);
    let most = free.min(available);
    let wanted = proposal.amount_minor.unwrap_or(most);
    if wanted <= 0 || wanted > most {
        return Err(CommandError::Conflict(format!(
            "{wanted} {currency} minor units cannot be paid: payable {}, reserved by open payouts \
             {reserved}, available {most}, held {}, pending {}, to recover {}",
            balance.payable_minor,
            balance.held_minor,
            balance.pending_minor,
            balance.outstanding_minor(),
        )));
    }
    Ok(take(lines, wanted))
}

/// The lines that can be paid or recovered now in the order in which they are taken, and their sum.
/// Debts that were written off are not recovered, the oldest first.
fn available_lines(due: Vec<DueLine>, now: Instant, written_off: i64) -> (Vec<DueLine>, i64) {
    let (mut debts, mut earned): (Vec<_>, Vec<_>) =
        due.into_iter().partition(|line| line.amount_minor < 0);
    earned.retain(|line| line.available_at.is_some_and(|at| at <= now));
    debts.sort_by_key(|line| (line.occurred_at, line.subject_id, line.rule.clone()));
    earned.sort_by_key(|line| {
        (
            line.available_at,
            line.occurred_at,
            line.subject_id,
            line.rule.clone(),
        )
    });
    let mut forgiven = written_off.max(0);
    for debt in &mut debts {
        let part = forgiven.min(-debt.amount_minor);
        debt.amount_minor += part;
        forgiven -= part;
    }
    debts.retain(|debt| debt.amount_minor != 0);
    let lines: Vec<DueLine> = debts.into_iter().chain(earned).collect();
    let sum = lines
        .iter()
        .fold(0_i64, |sum, line| sum.saturating_add(line.amount_minor));
    (lines, sum)
}

/// Lines that add up to `wanted`; the last is split.
fn take(lines: Vec<DueLine>, wanted: i64) -> Vec<PayoutLine> {
    let mut left = wanted;
    let mut taken = Vec::new();
    for line in lines {
        let amount_minor = if line.amount_minor < 0 {
            line.amount_minor
        } else {
            line.amount_minor.min(left)
        };
        if amount_minor == 0 {
            break;
        }
        left -= amount_minor;
        taken.push(PayoutLine {
            subject_id: line.subject_id,
            rule: line.rule,
            amount_minor,
        });
    }
    taken
}

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
}

impl Move {
    fn is_allowed_from(self, state: PayoutState) -> bool {
        use PayoutState::{Approved, Proposed, Sent};
        match self {
            Self::Approve => state == Proposed,
            Self::Send => matches!(state, Proposed | Approved),
            Self::Settle | Self::Fail => matches!(state, Proposed | Approved | Sent),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Send => "sent",
            Self::Settle => "settled",
            Self::Fail => "failed",
        }
    }

    fn fact(self, moved: PayoutMoved) -> Fact {
        match self {
            Self::Approve => Fact::PayoutApproved(moved),
            Self::Send => Fact::PayoutSent(moved),
            Self::Settle => Fact::PayoutSettled(moved),
            Self::Fail => Fact::PayoutFailed(moved),
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
        let detail = format!("the payout is {state} and cannot be {word}");
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
    if kept.is_repeat && kept.recorded.envelope.fact.fact_type() != fact.fact_type() {
        return Err(CommandError::Conflict(
            "the payout was moved on by somebody else at the same time".to_owned(),
        ));
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
