//! Seats: an order among decisions that look at each other, without a lock.
//!
//! Whoever decides counts the decisions that it knows of, looks at what they left, and appends its own
//! under the number that comes next. The log lets one in for each number, also when several nodes
//! ask; the others look again.

use postbook_schemas::FactType;

use super::record::key;
use crate::store::{Filter, LogStore, StoreError};

/// How often somebody who lost a seat looks again.
pub(super) const TRIES: usize = 8;

/// Bytes that are read from the log at a time.
const PAGE_BYTES: usize = 1 << 20;

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
