//! The seats in which debts are given up, and proposals to do so are declined.

use postbook_schemas::FactType;

use super::super::{record::CommandError, seats};
use crate::store::LogStore;

pub(super) use seats::TRIES;

/// The key of the next seat.
pub(super) async fn next(store: &dyn LogStore) -> Result<String, CommandError> {
    let types = [FactType::BalanceWrittenOff, FactType::AdjustmentDeclined];
    Ok(seats::next(store, "write-off-seat", &types).await?)
}

/// The refusal of somebody who lost every seat.
pub(super) fn taken() -> CommandError {
    let detail = "other debts are being given up at the same time";
    CommandError::Conflict(detail.to_owned())
}
