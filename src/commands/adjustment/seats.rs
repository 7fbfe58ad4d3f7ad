//! Seats: the order in which debts are given up, and proposals to do so are declined.
//!
//! No lock keeps two of these apart. Each is appended under the number of those before it; the log
//! lets one in for each number, also when several nodes ask, and the others look again.

use postbook_schemas::FactType;

use super::super::record::{CommandError, key};
use crate::store::{Filter, LogStore};

/// How often somebody who lost a seat looks again.
pub(super) const TRIES: usize = 8;

/// Bytes that are read from the log at a time.
const PAGE_BYTES: usize = 1 << 20;

/// The key of the next seat.
pub(super) async fn next(store: &dyn LogStore) -> Result<String, CommandError> {
    let filter = Filter::only(&[FactType::BalanceWrittenOff, FactType::AdjustmentDeclined]);
    let (head, mut from, mut taken) = (store.head(), 1, 0);
    while from <= head {
        let page = store.read(from, head, filter, PAGE_BYTES).await?;
        taken += page.lines().count();
        from = page.next.max(from + 1);
    }
    Ok(key(&["write-off-seat", &taken.to_string()]))
}

/// The refusal of somebody who lost every seat.
pub(super) fn taken() -> CommandError {
    let detail = "other debts are being given up at the same time";
    CommandError::Conflict(detail.to_owned())
}
