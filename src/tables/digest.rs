//! The digest of the read models: one figure for all their rows.
//!
//! It is the sum, modulo 2^256, of the SHA-256 of each row's [canonical bytes](super::canonical). A
//! sum does not depend on the order of the rows, nor on how they were put into batches, and a row
//! that is replaced takes its old share with it. So live tables, rebuilt tables and a plain scan
//! over the tables must all show the same figure.

use std::{collections::HashMap, fmt};

use postbook_schemas::FactId;
use sha2::{Digest as _, Sha256};

use super::{
    batch::Batch,
    canonical::{Bytes, Canonical},
};

/// A sum of hashes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest([u64; 4]);

impl Digest {
    /// The share of one row.
    pub fn of(row: &impl Canonical, scratch: &mut Bytes) -> Self {
        row.write_canonical(scratch);
        Self::from_bytes(&Sha256::digest(scratch.as_slice()).into())
    }

    /// From the form that [`Self::to_bytes`] gives.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut limbs = [0; 4];
        for (limb, chunk) in limbs.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *limb = u64::from_le_bytes(*chunk);
        }
        Self(limbs)
    }

    /// Thirty-two bytes, the smallest first.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *chunk = limb.to_le_bytes();
        }
        bytes
    }

    /// Adds a share.
    pub fn add(&mut self, share: Self) {
        let mut carry = false;
        for (limb, other) in self.0.iter_mut().zip(share.0) {
            let (sum, over) = limb.overflowing_add(other);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over || over_again;
        }
    }

    /// Takes a share out again.
    pub fn subtract(&mut self, share: Self) {
        let mut borrow = false;
        for (limb, other) in self.0.iter_mut().zip(share.0) {
            let (rest, under) = limb.overflowing_sub(other);
            let (rest, under_again) = rest.overflowing_sub(u64::from(borrow));
            *limb = rest;
            borrow = under || under_again;
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Keeps the digest while batches come, with the shares of all rows that may still be replaced
/// (about 60 bytes a conversion: a small part of what the book itself remembers of it).
#[derive(Clone, Debug, Default)]
pub struct Running {
    sum: Digest,
    conversions: Shares,
    payouts: HashMap<FactId, Digest>,
    parked: HashMap<u64, Digest>,
    carryovers: HashMap<FactId, Digest>,
    scratch: Bytes,
}

impl Running {
    /// The digest of all that was applied.
    pub fn digest(&self) -> Digest {
        self.sum
    }

    /// Takes a batch into account.
    pub fn apply(&mut self, batch: &Batch) {
        for (id, row) in batch.conversions() {
            let share = row.map(|row| Digest::of(row, &mut self.scratch));
            let old = self.conversions.replace(id, share);
            if let Some(share) = share {
                self.sum.add(share);
            }
            if let Some(old) = old {
                self.sum.subtract(old);
            }
        }
        for row in batch.payouts() {
            let share = Digest::of(row, &mut self.scratch);
            replace(&mut self.sum, &mut self.payouts, row.id, Some(share));
        }
        for row in batch.parked() {
            let share = Digest::of(row, &mut self.scratch);
            replace(&mut self.sum, &mut self.parked, row.position, Some(share));
        }
        for row in batch.carryovers() {
            let share = Digest::of(row, &mut self.scratch);
            replace(&mut self.sum, &mut self.carryovers, row.id, Some(share));
        }
        self.add_all(batch.attempts());
        self.add_all(batch.postings());
        self.add_all(batch.carried_lines());
        self.add_all(batch.adjustments());
        self.add_all(batch.touches());
        self.add_all(batch.periods());
        self.add_all(batch.statements());
    }

    fn add_all(&mut self, rows: &[impl Canonical]) {
        for row in rows {
            self.sum.add(Digest::of(row, &mut self.scratch));
        }
    }
}

/// The shares of very many rows, in a list: a table that grows is half empty.
#[derive(Clone, Debug, Default)]
struct Shares {
    places: HashMap<FactId, u32>,
    digests: Vec<Digest>,
    /// Places whose row is gone.
    free: Vec<u32>,
}

impl Shares {
    /// Puts another share in place of the one of a row, or takes it out; the one that was there.
    fn replace(&mut self, id: FactId, share: Option<Digest>) -> Option<Digest> {
        let known = self.places.get(&id).copied();
        let Some(share) = share else {
            let place = self.places.remove(&id)?;
            self.free.push(place);
            return self.at(place).copied();
        };
        if let Some(known) = known.and_then(|place| self.at(place)) {
            return Some(std::mem::replace(known, share));
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.digests.push(Digest::default());
            u32::try_from(self.digests.len()).unwrap_or(u32::MAX) - 1
        });
        self.places.insert(id, place);
        if let Some(new) = self.at(place) {
            *new = share;
        }
        None
    }

    fn at(&mut self, place: u32) -> Option<&mut Digest> {
        self.digests.get_mut(usize::try_from(place).ok()?)
    }
}

fn replace<K: std::hash::Hash + Eq>(
    sum: &mut Digest,
    shares: &mut HashMap<K, Digest>,
    key: K,
    share: Option<Digest>,
) {
    let old = match share {
        Some(share) => {
            sum.add(share);
            shares.insert(key, share)
        }
        None => shares.remove(&key),
    };
    if let Some(old) = old {
        sum.subtract(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_added_can_be_taken_out_in_any_order(shares: Vec<[u8; 32]>) {
            let mut sum = Digest::default();
            for share in &shares {
                sum.add(Digest::from_bytes(share));
            }
            for share in shares.iter().rev() {
                sum.subtract(Digest::from_bytes(share));
            }
            prop_assert_eq!(sum, Digest::default());
        }
    }

    proptest! {
        #[test]
        fn shares_are_kept_by_row(steps: Vec<(u8, Option<[u8; 32]>)>) {
            let (mut shares, mut known) = (Shares::default(), HashMap::new());
            for (row, share) in steps {
                let row = FactId::from_u128(u128::from(row % 8));
                let share = share.map(|bytes| Digest::from_bytes(&bytes));
                let old = match share {
                    Some(share) => known.insert(row, share),
                    None => known.remove(&row),
                };
                prop_assert_eq!(shares.replace(row, share), old);
            }
        }
    }

    #[test]
    fn carries_run_through_all_limbs() {
        let mut sum = Digest([u64::MAX, u64::MAX, u64::MAX, 0]);
        sum.add(Digest([1, 0, 0, 0]));
        assert_eq!(sum, Digest([0, 0, 0, 1]));
        sum.subtract(Digest([1, 0, 0, 0]));
        assert_eq!(sum, Digest([u64::MAX, u64::MAX, u64::MAX, 0]));
    }
}
