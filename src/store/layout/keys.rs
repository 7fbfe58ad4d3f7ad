//! The index of unique and reference keys: keyed 64-bit fingerprints in memory.
//!
//! A fingerprint and its position take 12 bytes; with hashbrown's control byte and load factor a
//! key costs 15 to 30 bytes of memory, about 22 on average. Nothing of the index is written with a
//! commit but the fingerprints themselves, next to the facts: at start it is built from there.

use std::sync::{PoisonError, RwLock};

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use super::row::damaged;
use crate::store::StoreError;

/// The low byte of a fingerprint chooses the shard, so that no table grows for long at a time and
/// a look-up waits for one shard only.
const SHARDS: usize = 256;

/// A keyed hash of a key; unique and reference keys of the same text have different ones.
pub(in crate::store) type Fingerprint = u64;

/// 56 bits of fingerprint (the shard has the other 8) and 40 bits of position.
type Entry = [u32; 3];

/// A key of a fact, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct KeptKey {
    /// Which fact of the row.
    pub(in crate::store) offset: u32,
    /// Whether the fact was appended under this key, and not only refers to it.
    pub(in crate::store) unique: bool,
    /// The key's fingerprint.
    pub(in crate::store) fingerprint: Fingerprint,
}

const UNIQUE_BIT: u32 = 1 << 31;
const KEPT_BYTES: usize = 12;

impl KeptKey {
    /// Appends the key's 12 bytes.
    pub(in crate::store) fn write(self, bytes: &mut Vec<u8>) {
        let flag = if self.unique { UNIQUE_BIT } else { 0 };
        bytes.extend_from_slice(&(self.offset | flag).to_le_bytes());
        bytes.extend_from_slice(&self.fingerprint.to_le_bytes());
    }

    /// Reads the keys of a row; `None` if the bytes are no list of keys.
    pub(in crate::store) fn read_all(bytes: &[u8]) -> Option<impl Iterator<Item = Self>> {
        let (keys, rest) = bytes.as_chunks::<KEPT_BYTES>();
        rest.is_empty().then(|| keys.iter().map(Self::read))
    }

    fn read(bytes: &[u8; KEPT_BYTES]) -> Self {
        let [a, b, c, d, fingerprint @ ..] = *bytes;
        let offset = u32::from_le_bytes([a, b, c, d]);
        Self {
            offset: offset & !UNIQUE_BIT,
            unique: offset & UNIQUE_BIT != 0,
            fingerprint: u64::from_le_bytes(fingerprint),
        }
    }
}

/// Where keys were first used.
pub(in crate::store) struct KeyIndex {
    unique: SipHasher13,
    reference: SipHasher13,
    shards: Box<[RwLock<HashTable<Entry>>]>,
}

impl std::fmt::Debug for KeyIndex {
    // The key of the fingerprints stays secret: who knows it can make keys that look alike.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyIndex").finish_non_exhaustive()
    }
}

impl KeyIndex {
    /// An empty index.
    pub(in crate::store) fn new(secret: &[u8; 32]) -> Self {
        let word = |at: usize| {
            let bytes: [u8; 8] = std::array::from_fn(|byte| secret[at * 8 + byte]);
            u64::from_le_bytes(bytes)
        };
        Self {
            unique: SipHasher13::new_with_keys(word(0), word(1)),
            reference: SipHasher13::new_with_keys(word(2), word(3)),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
        }
    }

    /// The fingerprint of a unique key.
    pub(in crate::store) fn of_unique(&self, key: &str) -> Fingerprint {
        self.unique.hash(key.as_bytes())
    }

    /// The fingerprint of a reference key.
    pub(in crate::store) fn of_reference(&self, key: &str) -> Fingerprint {
        self.reference.hash(key.as_bytes())
    }

    /// The first position with this fingerprint, but for those that are known to look alike only.
    pub(in crate::store) fn first(&self, fingerprint: Fingerprint, not_at: &[u64]) -> Option<u64> {
        let shard = self.shard(fingerprint).read();
        let table = shard.unwrap_or_else(PoisonError::into_inner);
        table
            .iter_hash(spread(fingerprint))
            .filter(|entry| fingerprint_of(**entry) == fingerprint >> 8)
            .map(|entry| position_of(*entry))
            .filter(|position| !not_at.contains(position))
            .min()
    }

    /// Remembers a key. Of a reference only the first position is kept; a unique key has several
    /// only if different texts look alike.
    pub(in crate::store) fn insert(&self, fingerprint: Fingerprint, position: u64, unique: bool) {
        let shard = self.shard(fingerprint).write();
        let mut table = shard.unwrap_or_else(PoisonError::into_inner);
        let known = table
            .iter_hash(spread(fingerprint))
            .filter(|entry| fingerprint_of(**entry) == fingerprint >> 8)
            .any(|entry| !unique || position_of(*entry) == position);
        if !known {
            table.insert_unique(spread(fingerprint), entry(fingerprint, position), |held| {
                spread(fingerprint_of(*held) << 8)
            });
        }
    }

    /// Remembers the keys of a row of `count` facts, as they are kept.
    pub(in crate::store) fn insert_row(
        &self,
        first: u64,
        count: u32,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let keys = KeptKey::read_all(bytes)
            .ok_or_else(|| damaged(first, "the keys of the row are no list of keys"))?;
        for key in keys {
            if key.offset >= count {
                return Err(damaged(first, "a key of the row belongs to no fact of it"));
            }
            self.insert(key.fingerprint, first + u64::from(key.offset), key.unique);
        }
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low byte is meant")]
    fn shard(&self, fingerprint: Fingerprint) -> &RwLock<HashTable<Entry>> {
        &self.shards[usize::from(fingerprint as u8)]
    }
}

/// The table's hash of a fingerprint, without the byte that all of a shard have in common.
fn spread(fingerprint: Fingerprint) -> u64 {
    (fingerprint >> 8)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_right(20)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the parts are cut out on purpose"
)]
fn entry(fingerprint: Fingerprint, position: u64) -> Entry {
    let rest = fingerprint >> 8;
    let high = ((rest >> 32) as u32) << 8 | ((position >> 32) as u32 & 0xff);
    [rest as u32, high, position as u32]
}

fn fingerprint_of([low, high, _]: Entry) -> u64 {
    u64::from(high >> 8) << 32 | u64::from(low)
}

fn position_of([_, high, low]: Entry) -> u64 {
    u64::from(high & 0xff) << 32 | u64::from(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_that_look_alike_keep_all_their_positions() {
        let index = KeyIndex::new(&[3; 32]);
        for position in [7, 5, 9] {
            index.insert(42, position, true);
        }
        assert_eq!(index.first(42, &[]), Some(5));
        assert_eq!(index.first(42, &[5]), Some(7));
        assert_eq!(index.first(42, &[5, 7, 9]), None);
        assert_eq!(index.first(42 + 256, &[]), None);
    }

    #[test]
    fn a_reference_keeps_its_first_position() {
        let index = KeyIndex::new(&[3; 32]);
        index.insert(42, 5, false);
        index.insert(42, 9, false);
        assert_eq!(index.first(42, &[5]), None);
    }

    proptest! {
        #[test]
        fn what_was_inserted_is_found(
            keys in prop::collection::btree_map(any::<u64>(), 1_u64..1 << 40, 1..300),
        ) {
            let index = KeyIndex::new(&[3; 32]);
            for (&fingerprint, &position) in &keys {
                index.insert(fingerprint, position, true);
            }
            for (&fingerprint, &position) in &keys {
                prop_assert_eq!(index.first(fingerprint, &[]), Some(position));
                prop_assert!(keys.contains_key(&(fingerprint ^ 1))
                    || index.first(fingerprint ^ 1, &[]).is_none());
            }
        }

        #[test]
        fn kept_keys_are_read_back(offset in 0_u32..1 << 31, unique: bool, fingerprint: u64) {
            let key = KeptKey { offset, unique, fingerprint };
            let mut bytes = Vec::new();
            key.write(&mut bytes);
            prop_assert_eq!(KeptKey::read_all(&bytes).unwrap().collect::<Vec<_>>(), vec![key]);
            prop_assert!(KeptKey::read_all(&bytes[1..]).is_none());
        }
    }
}
