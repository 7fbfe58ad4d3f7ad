//! What a bank says became of payments, by their end-to-end ids.

use postbook_projections::rows::PayoutState;
use postbook_schemas::{Currency, FactId, payout::PayoutMoved};

use super::{
    super::record::{self, Author, CommandError, key},
    Move, move_on,
};
use crate::service::Service;

/// A line of a bank's answer.
#[derive(Clone, Debug)]
pub struct BankLine {
    /// The payment.
    pub end_to_end_id: String,
    /// What became of it: settled, failed or returned.
    pub became: Move,
    /// Minor units of `currency`.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// The bank's reference.
    pub reference: Option<String>,
}

/// What a line of a bank's answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankResult {
    /// The payout was moved on.
    Moved,
    /// It would be.
    WouldMove,
    /// It is there already.
    Already,
    /// No payout has this end-to-end id.
    Unknown,
    /// The payout is of another amount.
    AmountDiffers,
    /// The payout is in another currency.
    CurrencyDiffers,
    /// The payout's state does not allow it.
    NotAllowed,
}

impl BankResult {
    /// The word used in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::WouldMove => "would_move",
            Self::Already => "already",
            Self::Unknown => "unknown",
            Self::AmountDiffers => "amount_differs",
            Self::CurrencyDiffers => "currency_differs",
            Self::NotAllowed => "not_allowed",
        }
    }
}

/// Moves payouts on as a bank says, line by line; a line that does not fit its payout changes
/// nothing and says why. Saying the same again changes nothing.
///
/// # Errors
/// The log or the tables fail; what was moved before stays.
pub async fn reconcile(
    service: &Service,
    author: &Author,
    lines: &[BankLine],
    reason: &str,
    dry_run: bool,
) -> Result<Vec<BankResult>, CommandError> {
    record::catch_up(service).await?;
    let mut results = Vec::with_capacity(lines.len());
    for (number, line) in lines.iter().enumerate() {
        let result = one(service, author, line, (number, reason), dry_run).await?;
        results.push(result);
    }
    Ok(results)
}

async fn one(
    service: &Service,
    author: &Author,
    line: &BankLine,
    (number, reason): (usize, &str),
    dry_run: bool,
) -> Result<BankResult, CommandError> {
    let Ok(id) = line.end_to_end_id.parse::<FactId>() else {
        return Ok(BankResult::Unknown);
    };
    let Some(row) = service.tables.payout(id).await? else {
        return Ok(BankResult::Unknown);
    };
    if row.currency != line.currency {
        return Ok(BankResult::CurrencyDiffers);
    }
    if row.amount_minor != line.amount_minor {
        return Ok(BankResult::AmountDiffers);
    }
    if is_there(line.became, row.state) {
        return Ok(BankResult::Already);
    }
    if !line.became.is_allowed_from(row.state) || row.state == PayoutState::Proposed {
        return Ok(BankResult::NotAllowed);
    }
    if dry_run {
        return Ok(BankResult::WouldMove);
    }
    let author = Author {
        idempotency_key: author
            .idempotency_key
            .as_ref()
            .map(|given| key(&[given, &number.to_string()])),
        ..author.clone()
    };
    let moved = PayoutMoved {
        payout_id: id,
        reference: line.reference.clone(),
        reason: Some(reason.to_owned()),
    };
    match move_on(service, &author, moved, line.became).await {
        Ok(_) => Ok(BankResult::Moved),
        Err(CommandError::Conflict(_)) => Ok(BankResult::NotAllowed),
        Err(error) => Err(error),
    }
}

fn is_there(became: Move, state: PayoutState) -> bool {
    matches!(
        (became, state),
        (Move::Settle, PayoutState::Settled)
            | (Move::Fail, PayoutState::Failed)
            | (Move::Return, PayoutState::Returned)
    )
}
