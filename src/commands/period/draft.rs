//! The statements of a month, made from the books.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};
use postbook_projections::rows::PostingKind;
use postbook_schemas::{
    Currency, Envelope, Fact, Instant, Month, Slug, Source, envelope,
    statement::{StatementEntry, StatementIssued, StatementLine},
};

use super::super::record::{self, Author, CommandError, key};
use crate::{
    service::Service,
    store::{Append, LogStore},
    tables::{
        Tables,
        batch::ClosedPeriod,
        query::{
            Slice,
            periods::{Movement, Standing, StatementFilter},
        },
    },
};

/// How many statements are on their way into the log at a time.
const AT_ONCE: usize = 256;

/// A statement before its month is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The partner.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    /// The number that it takes among the partner's statements.
    pub number: u64,
    /// What the partner had coming before.
    pub opening_minor: i64,
    /// What changed it; of what people did, `cause` is still a position.
    pub movements: Vec<Movement>,
    /// What the partner has coming after.
    pub closing_minor: i64,
    /// Of this: not approved yet, held, payable.
    pub standing: Standing,
}

type Key = (Slug, Currency);

/// The statements of a month, of all partners who had something coming or something happen.
/// `last` is the month closed before it; only what was caused before the position `before` counts.
///
/// # Errors
/// The tables cannot be read, or contradict statements that were issued before.
pub async fn drafts(
    tables: &Tables,
    last: Option<Month>,
    period: Month,
    before: u64,
) -> Result<Vec<Draft>, CommandError> {
    let (moved, standings) = tables.month(last, period, before).await?;
    let mut movements: BTreeMap<Key, Vec<Movement>> = BTreeMap::new();
    for movement in moved {
        if movement.amount_minor != 0 {
            let key = (movement.partner.clone(), movement.currency);
            movements.entry(key).or_default().push(movement);
        }
    }
    let earlier = Earlier::read(tables, period).await?;
    let mut numbers = earlier.numbers;
    let mut drafts = Vec::new();
    for standing in standings {
        let key = (standing.partner.clone(), standing.currency);
        let movements = movements.remove(&key).unwrap_or_default();
        let told = earlier.closings.get(&key).copied();
        let closing_minor = standing.pending_minor + standing.held_minor + standing.payable_minor;
        let sum: i64 = movements.iter().map(|movement| movement.amount_minor).sum();
        // What was told to the partner stands; before the first statement the books do.
        let opening_minor = told.unwrap_or(closing_minor - sum);
        if opening_minor + sum != closing_minor {
            return Err(CommandError::Conflict(format!(
                "the books of {} in {} do not lead from {opening_minor}, told in the last \
                 statement, to {closing_minor}: run `postbook verify`",
                standing.partner, standing.currency
            )));
        }
        if movements.is_empty() && closing_minor == 0 && standing.pending_minor == 0 {
            continue;
        }
        let number = numbers.entry(standing.partner.clone()).or_insert(0);
        *number += 1;
        drafts.push(Draft {
            partner: standing.partner.clone(),
            currency: standing.currency,
            number: *number,
            opening_minor,
            movements,
            closing_minor,
            standing,
        });
    }
    Ok(drafts)
}

/// What partners were told before a month.
#[derive(Debug, Default)]
struct Earlier {
    numbers: BTreeMap<Slug, u64>,
    closings: BTreeMap<Key, i64>,
}

impl Earlier {
    async fn read(tables: &Tables, period: Month) -> Result<Self, CommandError> {
        let mut earlier = Self::default();
        let mut statements = tables
            .statements(&StatementFilter::default(), Slice::ALL)
            .await?;
        statements.retain(|statement| statement.period < period);
        statements.sort_by_key(|statement| statement.period);
        for statement in statements {
            let number = earlier
                .numbers
                .entry(statement.partner.clone())
                .or_insert(0);
            *number = statement.number.max(*number);
            let key = (statement.partner, statement.currency);
            earlier.closings.insert(key, statement.closing_minor);
        }
        Ok(earlier)
    }
}

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
        lines.push(line(&**service.log.store(), movement).await?);
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
        pending_minor: draft.standing.pending_minor,
        held_minor: draft.standing.held_minor,
        payable_minor: draft.standing.payable_minor,
    })
}

/// A line of a statement, with the words of whoever caused it.
async fn line(store: &dyn LogStore, movement: Movement) -> Result<StatementLine, CommandError> {
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
        amount_minor: movement.amount_minor,
    };
    if let Some(position) = movement.cause {
        let recorded = record::read_from(store, position).await?;
        explain(&mut line, &recorded.envelope, movement.effective_at);
    }
    Ok(line)
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

impl Draft {
    /// The lines by what they are about, without what only the log says of them.
    pub fn summary(&self) -> BTreeMap<&'static str, i64> {
        let mut sums = BTreeMap::new();
        for movement in &self.movements {
            let is_clawback = movement.kind == PostingKind::Clawback;
            let word = if movement.corrects.is_some() && !is_clawback {
                "correction"
            } else {
                movement.kind.code()
            };
            *sums.entry(word).or_insert(0) += movement.amount_minor;
        }
        sums
    }
}
