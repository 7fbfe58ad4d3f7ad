//! A row of the log: a stretch of facts as it is kept.

use postbook_schemas::Instant;
use sha2::{Digest, Sha256};

use super::places::Places;
use crate::store::StoreError;

/// Rows grow to about this many facts when they are merged; larger groups are cut to it.
pub(in crate::store) const ROW_FACTS: usize = 4_096;

/// A whole row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Row {
    pub(in crate::store) first_position: u64,
    pub(in crate::store) count: u32,
    pub(in crate::store) recorded_from: Instant,
    pub(in crate::store) recorded_to: Instant,
    pub(in crate::store) types: u64,
    pub(in crate::store) merged: bool,
    pub(in crate::store) frontier: Vec<u8>,
    pub(in crate::store) keys: Vec<u8>,
    pub(in crate::store) places: Vec<u8>,
    pub(in crate::store) facts: Vec<u8>,
    pub(in crate::store) heads: Vec<u8>,
    pub(in crate::store) clicks: Vec<u8>,
}

impl Row {
    /// Where the row ends.
    pub(in crate::store) fn last_position(&self) -> u64 {
        self.first_position + u64::from(self.count) - 1
    }

    /// Which facts have seats.
    pub(in crate::store) fn places(&self) -> Result<Places, StoreError> {
        parse_places(self.first_position, self.count, &self.places)
    }

    /// What protects the columns that no leaf hash covers. The lines themselves are proven by the
    /// tree, whose state is sealed here.
    pub(in crate::store) fn seal(&self) -> Vec<u8> {
        let mut hasher = Sha256::new();
        hasher.update(self.first_position.to_le_bytes());
        hasher.update(self.count.to_le_bytes());
        hasher.update(self.recorded_from.micros().to_le_bytes());
        hasher.update(self.recorded_to.micros().to_le_bytes());
        hasher.update(self.types.to_le_bytes());
        for column in [&self.frontier, &self.keys, &self.places, &self.heads] {
            hasher.update((column.len() as u64).to_le_bytes());
            hasher.update(column);
        }
        let hash: [u8; 32] = hasher.finalize().into();
        hash[..16].to_vec()
    }
}

/// Reads the places of a row of `count` facts.
pub(in crate::store) fn parse_places(
    first: u64,
    count: u32,
    bytes: &[u8],
) -> Result<Places, StoreError> {
    Places::from_bytes(bytes)
        .filter(|places| places.count() == count)
        .ok_or_else(|| damaged(first, "the places of the row do not fit its count"))
}

/// Damage at a position.
pub(in crate::store) fn damaged(position: u64, what: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        position,
        what: what.into(),
    }
}
