//! Seats: an order among decisions that look at each other, without a lock.
//!
//! Whoever decides counts the decisions that it knows of, looks at what they left, and appends its own
//! under the number that comes next. The log lets one in for each number, also when several nodes
//! ask; the others look again.

use postbook_schemas::{FactType, Slug};

use super::record::{CommandError, key};
use crate::store::{Filter, LogStore, StoreError};

/// How often somebody who lost a seat looks again.
pub(super) const TRIES: usize = 8;

/// How often somebody who lost one of the seats at a partner's money looks again: many may sit there.
pub(super) const PARTNER_TRIES: usize = 64;

/// Bytes that are read from the log at a time.
const PAGE_BYTES: usize = 1 << 20;

/// The refusal of somebody who lost every seat at a partner's money.
pub(super) fn none_left() -> CommandError {
    let detail = "others say something of the partner's money at the same time";
    CommandError::Conflict(detail.to_owned())
}

/// The key of the next seat of this name, which facts of these types take. It must be known before
/// anything is looked at that such a fact could change: what is decided in between is then seen, or
/// has taken the seat.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn next(
    store: &dyn LogStore,
    name: &str,
    types: &[FactType],
) -> Result<String, StoreError> {
    let (filter, head) = (Filter::only(types), store.head());
    let (mut from, mut taken) = (1, 0);
    while from <= head {
        let page = store.read(from, head, filter, PAGE_BYTES).await?;
        taken += page.lines().count();
        from = page.next.max(from + 1);
    }
    Ok(key(&[name, &taken.to_string()]))
}

/// The key of the next seat at a partner's money, which whoever looks at what others said of it takes:
/// proposals of payouts, debts that are given up, what declines that, and what counts towards the limit of
/// one person. As with [`next`], it must be known before anything is looked at.
///
/// Each seat is taken by somebody who saw the one before taken, so the next is found by asking for few
/// of them, however many there are.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn of_partner(store: &dyn LogStore, partner: &Slug) -> Result<String, StoreError> {
    let seat = |number: u64| key(&["partner-seat", partner.as_str(), &number.to_string()]);
    // All before `taken` are taken; `free` is looked at next, and is free in the end.
    let (mut taken, mut free) = (0, 0);
    while store.find(&seat(free)).await?.is_some() {
        taken = free + 1;
        free = 2 * free + 1;
    }
    while taken < free {
        let middle = taken + (free - taken) / 2;
        if store.find(&seat(middle)).await?.is_some() {
            taken = middle + 1;
        } else {
            free = middle;
        }
    }
    Ok(seat(free))
}
