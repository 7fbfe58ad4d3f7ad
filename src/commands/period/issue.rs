//! Statements on their way into the log: each a fact, with the words of whoever caused what it tells.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use postbook_projections::rows::PostingKind;
use postbook_schemas::{
    Envelope, Fact, Instant, Source, envelope,
    statement::{StatementEntry, StatementIssued, StatementLine},
};

use super::{
    super::record::{self, Author, CommandError, key},
    draft::Draft,
};
use crate::{
    service::Service,
    store::{Append, LogStore},
    tables::{batch::ClosedPeriod, query::periods::Movement},
};

/// How many statements are on their way into the log at a time.
const AT_ONCE: usize = 256;

/// Appends the statements of a closed month, each once.
pub(super) async fn append_all(
    service: &Service,
    author: &Author,
    closed: &ClosedPeriod,
    drafts: Vec<Draft>,
) -> Result<(), CommandError> {
    stream::iter(drafts)
        .map(|draft| append(service, author, closed, draft))
        .buffered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

async fn append(
    service: &Service,
    author: &Author,
    closed: &ClosedPeriod,
    draft: Draft,
) -> Result<(), CommandError> {
    let unique = key(&[
        "statement",
        &closed.period.to_string(),
        draft.partner.as_str(),
        draft.currency.code(),
    ]);
    let issued = issued(service, closed, draft).await?;
    let source = Source {
        endpoint: author.endpoint.to_owned(),
        address: None,
    };
    let fact = Fact::StatementIssued(issued);
    let id = service.clock.new_id();
    service
        .append(Append {
            draft: envelope::Draft::new(id, None, Arc::clone(&author.actor), source, &fact),
            unique: Some(unique),
            not_at: Vec::new(),
            references: Vec::new(),
            seat: None,
            with_previous: false,
        })
        .await?;
    Ok(())
}

async fn issued(
    service: &Service,
    closed: &ClosedPeriod,
    draft: Draft,
) -> Result<StatementIssued, CommandError> {
    let mut lines = Vec::with_capacity(draft.movements.len());
    for movement in draft.movements {
        lines.extend(lines_of(&**service.log.store(), movement).await?);
    }
    lines.sort_by(|a, b| {
        let key = |line: &StatementLine| (line.corrects, line.entry, line.at);
        key(a).cmp(&key(b))
    });
    let directory = service.directory.load();
    let partner = directory.partner(draft.partner.as_str());
    Ok(StatementIssued {
        form: StatementIssued::FORM,
        number: draft.number,
        partner_name: partner.and_then(|partner| partner.name.clone()),
        partner: draft.partner,
        currency: draft.currency,
        period: closed.period,
        closed_at_position: closed.position,
        closed_at: closed.closed_at,
        opening_minor: draft.opening_minor,
        lines,
        closing_minor: draft.closing_minor,
        pending_minor: draft.pending_minor,
        held_minor: draft.held_minor,
        payable_minor: draft.payable_minor,
    })
}

/// The line of a statement that tells of a movement, with the words of whoever caused it; several where
/// the sum does not fit one.
async fn lines_of(
    store: &dyn LogStore,
    movement: Movement,
) -> Result<Vec<StatementLine>, CommandError> {
    let mut left = movement.amount_minor;
    let mut line = StatementLine {
        entry: entry(movement.kind).ok_or_else(|| {
            let kind = movement.kind.code();
            CommandError::Conflict(format!("postings of kind `{kind}` move a balance"))
        })?,
        corrects: movement.corrects,
        offer: movement.offer,
        rule: movement.rule,
        subject_id: movement.payout_id,
        at: None,
        note: None,
        postings: movement.postings,
        amount_minor: part(&mut left),
    };
    if let Some(position) = movement.cause {
        let recorded = record::read_from(store, position).await?;
        explain(&mut line, &recorded.envelope, movement.effective_at);
    }
    let mut lines = vec![line];
    while left != 0 {
        let mut rest = lines[0].clone();
        // The postings were counted in the first.
        (rest.postings, rest.amount_minor) = (0, part(&mut left));
        lines.push(rest);
    }
    Ok(lines)
}

/// As much of a sum as fits 64 bits, taken off it.
fn part(left: &mut i128) -> i64 {
    let part = i64::try_from(*left).unwrap_or(if *left < 0 { i64::MIN } else { i64::MAX });
    *left -= i128::from(part);
    part
}

fn explain(line: &mut StatementLine, cause: &Envelope, at: Instant) {
    line.at = Some(at);
    match &cause.fact {
        Fact::AdjustmentPosted(posted) => {
            line.subject_id = Some(cause.id);
            line.note = Some(posted.reason.clone());
        }
        Fact::BalanceWrittenOff(posted) => {
            line.subject_id = Some(cause.id);
            line.note = Some(posted.reason.clone());
        }
        Fact::PayoutSent(moved)
        | Fact::PayoutSettled(moved)
        | Fact::PayoutFailed(moved)
        | Fact::PayoutReturned(moved) => line.note.clone_from(&moved.reference),
        _ => {}
    }
}

/// What a kind of posting is on a statement; the others move nothing that a partner has coming.
fn entry(kind: PostingKind) -> Option<StatementEntry> {
    match kind {
        PostingKind::Earning => Some(StatementEntry::Earning),
        PostingKind::Reversal => Some(StatementEntry::Reversal),
        PostingKind::Clawback => Some(StatementEntry::Clawback),
        PostingKind::Restoration => Some(StatementEntry::Restoration),
        PostingKind::Carryover => Some(StatementEntry::CarryoverReset),
        PostingKind::Adjustment => Some(StatementEntry::Adjustment),
        PostingKind::WriteOff => Some(StatementEntry::WriteOff),
        PostingKind::Payout => Some(StatementEntry::Payout),
        PostingKind::PayoutReturned => Some(StatementEntry::PayoutReturned),
        PostingKind::Approval | PostingKind::Receivable | PostingKind::Reclassification => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_does_not_fit_a_line_stands_in_several() {
        let (min, max) = (i128::from(i64::MIN), i128::from(i64::MAX));
        for (sum, parts) in [
            (0, vec![0]),
            (max, vec![i64::MAX]),
            (max + 1, vec![i64::MAX, 1]),
            (2 * min - 5, vec![i64::MIN, i64::MIN, -5]),
        ] {
            let mut left = sum;
            let mut found = vec![part(&mut left)];
            while left != 0 {
                found.push(part(&mut left));
            }
            assert_eq!(found, parts);
        }
    }
}
