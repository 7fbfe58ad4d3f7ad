//! Checking rows: each is compared with what was remembered of it.

use postbook_schemas::{ClickIdKey, Instant, envelope::RawEnvelope};

use super::{
    heads::HEAD_BYTES,
    keys::{KeptKey, KeyIndex},
    lines::Unpacker,
    part::seated_bit,
    places::Place,
    row::{Row, damaged},
};
use crate::store::{
    StoreError, line,
    merkle::{Frontier, leaf_hash},
};

/// What was checked so far.
#[derive(Debug)]
pub(in crate::store) struct Checked {
    frontier: Frontier,
    recorded_to: Instant,
}

impl Default for Checked {
    fn default() -> Self {
        Self {
            frontier: Frontier::default(),
            recorded_to: Instant::MIN,
        }
    }
}

impl Checked {
    /// How many facts were checked.
    pub(in crate::store) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Checks the row that follows; the error names the first position at which something is wrong.
    pub(in crate::store) fn check(
        &mut self,
        row: &Row,
        keys: &KeyIndex,
        click_ids: &ClickIdKey,
    ) -> Result<(), StoreError> {
        let next = self.frontier.size() + 1;
        if row.first_position != next {
            return Err(damaged(next, "the facts from here on are missing"));
        }
        check_keys(row, keys)?;
        let types = self.check_lines(row, click_ids)?;
        if types != row.types {
            return Err(damaged(
                next,
                "the row is said to hold other types of facts",
            ));
        }
        if self.recorded_to != row.recorded_to {
            return Err(damaged(next, "the row is said to end at another time"));
        }
        if self.frontier.to_bytes() != row.frontier {
            return Err(damaged(next, "the lines do not fit the tree"));
        }
        Ok(())
    }

    /// Checks the lines of a row, adds them to the tree, and returns the set of their types.
    fn check_lines(&mut self, row: &Row, click_ids: &ClickIdKey) -> Result<u64, StoreError> {
        let first = row.first_position;
        let places = row.places()?;
        let mut unpacker = Unpacker::new()?;
        let entries = unpacker.unpack_bytes(&row.heads);
        let entries = entries.map_err(|what| damaged(first, what))?;
        if entries.len() != places.seated() as usize * HEAD_BYTES {
            return Err(damaged(first, "index entries and places do not fit"));
        }
        let mut unpack = |blob: &[u8], count| {
            let unpacked = unpacker.unpack(blob, count);
            unpacked.map_err(|what| damaged(first, what))
        };
        let facts = unpack(&row.facts, places.count() - places.seated())?;
        let clicks = unpack(&row.clicks, places.seated())?;
        let mut types = 0;
        for (position, place) in (first..).zip(places.iter()) {
            let (line, bit) = match place {
                Place::Seated(index) => (clicks.get(index), Some(seated_bit())),
                Place::Unseated(index) => {
                    let line = facts.get(index);
                    (line, line.and_then(line::bit_of_unseated))
                }
            };
            let line = line.ok_or_else(|| damaged(position, "its line is missing"))?;
            types |= bit.ok_or_else(|| damaged(position, "its type is not known"))?;
            self.check_line(position, line)?;
            if matches!(place, Place::Seated(_)) {
                check_click_id(position, line, click_ids)?;
            }
        }
        Ok(types)
    }

    fn check_line(&mut self, position: u64, line: &[u8]) -> Result<(), StoreError> {
        let envelope: RawEnvelope<'_> = serde_json::from_slice(line)
            .map_err(|error| damaged(position, format!("its line is no fact: {error}")))?;
        if envelope.recorded_at < self.recorded_to {
            return Err(damaged(
                position,
                "it was recorded before the fact before it",
            ));
        }
        self.recorded_to = envelope.recorded_at;
        self.frontier.push(leaf_hash(line));
        Ok(())
    }
}

fn check_keys(row: &Row, index: &KeyIndex) -> Result<(), StoreError> {
    let first = row.first_position;
    let keys = KeptKey::read_all(&row.keys)
        .ok_or_else(|| damaged(first, "the keys of the row are no list of keys"))?;
    for key in keys {
        let position = first + u64::from(key.offset);
        let found = index.first(key.fingerprint, &[]);
        if key.offset >= row.count || found.is_none_or(|found| found > position) {
            return Err(damaged(position, "one of its keys cannot be found"));
        }
    }
    Ok(())
}

fn check_click_id(position: u64, line: &[u8], click_ids: &ClickIdKey) -> Result<(), StoreError> {
    if line::click_id(line) == Some(click_ids.encode(position).as_str()) {
        Ok(())
    } else {
        Err(damaged(
            position,
            "its click id is not the one of its position",
        ))
    }
}
