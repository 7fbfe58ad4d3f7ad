//! The one order of facts: by when they happened, never by when they arrived (SPEC 3.4).

use std::sync::Arc;

use postbook_schemas::{FactId, Instant};
use sha2::{Digest, Sha256};

/// Where a fact stands among others: `(occurred_at, dedupe key, id)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey {
    /// When it happened.
    pub occurred_at: Instant,
    /// Its dedupe key; empty if it has none.
    pub dedupe_key: Arc<str>,
    /// Its id.
    pub id: FactId,
}

impl OrderKey {
    /// Before every fact.
    pub fn first() -> Self {
        Self::plain(Instant::from_micros(i64::MIN), FactId::from_u128(0))
    }

    /// The key of a fact without a dedupe key.
    pub fn plain(occurred_at: Instant, id: FactId) -> Self {
        Self {
            occurred_at,
            dedupe_key: Arc::from(""),
            id,
        }
    }

    /// The key of a fact.
    pub fn new(occurred_at: Instant, dedupe_key: Option<&str>, id: FactId) -> Self {
        Self {
            occurred_at,
            dedupe_key: Arc::from(dedupe_key.unwrap_or("")),
            id,
        }
    }
}

/// A short name for a text key: the first 128 bits of its SHA-256. Two keys that share a name would
/// have to be found on purpose, which nobody can.
pub fn short(parts: &[&str]) -> u128 {
    short_with(parts, &[])
}

/// As [`short`], of texts and some bytes.
pub fn short_with(parts: &[&str], bytes: &[u8]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0x1f]);
    }
    hash.update(bytes);
    let digest = hash.finalize();
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().zip(digest) {
        *to = from;
    }
    u128::from_be_bytes(name)
}
