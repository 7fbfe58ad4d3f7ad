//! What one person may post for a partner without a second one: no more than the partner's limit within
//! 24 hours, however many amounts it is split into.
//!
//! Counted is what the same person posted alone for the partner in the currency, adjustments and
//! write-offs, each by its size. No lock keeps two of them apart: each takes a seat at the partner's
//! money.

use postbook_schemas::{Currency, Envelope, Fact, FactId, FactType, Slug};

use super::super::record::{Author, CommandError};
use crate::{service::Service, store::Filter};

/// Over how much time is counted, in microseconds.
const WINDOW_US: i64 = 24 * 3_600_000_000;

/// Bytes that are read from the log at a time.
const PAGE_BYTES: usize = 1 << 20;

/// The partner's limit in a currency, if it has one. In another currency than the partner's it is
/// zero: that may be worth more.
pub(super) fn of(service: &Service, partner: &Slug, currency: Currency) -> Option<i64> {
    let directory = service.directory.load();
    let partner = directory.partner(partner.as_str())?;
    let limit = partner.second_person_above?;
    let is_own = currency == partner.currency;
    Some(
        limit
            .to_minor(currency)
            .ok()
            .filter(|_| is_own)
            .unwrap_or(0),
    )
}

/// Whether one more amount goes beyond a limit, after what its author said alone.
pub(super) fn would_be_exceeded(limit: i64, said_minor: i128, amount_minor: i64) -> bool {
    said_minor + i128::from(amount_minor).abs() > i128::from(limit).abs()
}

/// What the amounts come to, each by its size, that the author posted alone within the window for a
/// partner in a currency.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn said(
    service: &Service,
    author: &Author,
    partner: &Slug,
    currency: Currency,
) -> Result<i128, CommandError> {
    let store = service.log.store();
    let filter = Filter::only(&[FactType::AdjustmentPosted, FactType::BalanceWrittenOff]);
    let since = service.clock.now().plus_micros(-WINDOW_US);
    let (head, mut from, mut said) = (store.head(), 1, 0);
    while from <= head {
        let page = store.read(from, head, filter, PAGE_BYTES).await?;
        for (position, line) in page.lines() {
            let envelope = Envelope::decode(line)
                .map_err(|source| CommandError::Unreadable { position, source })?;
            let Some(one) = One::of(&envelope.fact) else {
                continue;
            };
            let is_alone = one.proposal_id.is_none() && envelope.actor == *author.actor;
            if !is_alone || (one.partner, one.currency) != (partner, currency) {
                continue;
            }
            if envelope.recorded_at > since {
                said += i128::from(one.amount_minor).abs();
            }
        }
        from = page.next.max(from + 1);
    }
    Ok(said)
}

/// An adjustment or write-off that was posted.
struct One<'f> {
    partner: &'f Slug,
    currency: Currency,
    amount_minor: i64,
    proposal_id: Option<FactId>,
}

impl<'f> One<'f> {
    fn of(fact: &'f Fact) -> Option<Self> {
        match fact {
            Fact::AdjustmentPosted(posted) => Some(Self {
                partner: &posted.partner,
                currency: posted.currency,
                amount_minor: posted.amount_minor,
                proposal_id: posted.proposal_id,
            }),
            Fact::BalanceWrittenOff(posted) => Some(Self {
                partner: &posted.partner,
                currency: posted.currency,
                amount_minor: posted.amount_minor,
                proposal_id: posted.proposal_id,
            }),
            _ => None,
        }
    }
}
