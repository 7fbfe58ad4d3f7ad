//! What of a line's debt was given up, as a posting.

use std::sync::Arc;

use postbook_schemas::{FactId, Instant};

use crate::{
    posted::{Cause, Overflow, PostedLine},
    rows::{Account, Entry, Memo, Posting, PostingKind},
};

/// The posting that writes off more of a line's debt, or less.
///
/// # Errors
/// The amount cannot be negated.
pub fn written_off(
    line: &PostedLine,
    more_minor: i64,
    (conversion_id, effective_at): (FactId, Instant),
    cause: &Cause,
) -> Result<Posting, Overflow> {
    let entry = |account, amount_minor| Entry {
        account,
        amount_minor,
        available_at: None,
    };
    let owed = more_minor.checked_neg().ok_or(Overflow)?;
    Ok(Posting {
        number: 0,
        cause: cause.position,
        kind: PostingKind::WriteOff,
        conversion_id: Some(conversion_id),
        rule: Some(Arc::clone(&line.rule)),
        terms_version: Some(Arc::clone(&line.terms_version)),
        partner: line.partner.clone(),
        currency: line.currency,
        payout_id: None,
        effective_at,
        recorded_at: cause.recorded_at,
        period: cause.period(),
        entries: vec![
            entry(Account::Approved(line.partner.clone()), owed),
            entry(Account::WriteOff, more_minor),
        ],
        memo: Memo {
            written_off_minor: more_minor,
            ..Memo::default()
        },
    })
}
