//! Facts one by one, for a server that keeps each by itself; and rows made of them.

use postbook_schemas::{ClickIdKey, Instant, envelope::RawEnvelope};

use super::{
    encode::{self, LEVEL, ROW_BYTES},
    heads::{self, Heads},
    keys::{Fingerprint, KeptKey, KeyIndex},
    lines::{Packer, Unpacker},
    part::seated_bit,
    places::{Place, Places},
    row::{ROW_FACTS, Row, damaged},
};
use crate::store::{
    Append, Appended, ClickHead, StoreError, line,
    merkle::{Frontier, leaf_hash},
};

/// A fact as it is kept, with what is remembered of it besides its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Kept {
    pub(in crate::store) line: Vec<u8>,
    /// The index entry of a click with a seat.
    pub(in crate::store) seat: Option<ClickHead>,
    pub(in crate::store) recorded_at: Instant,
    /// Fingerprints of its keys, and which of them are unique ones.
    pub(in crate::store) keys: Vec<(Fingerprint, bool)>,
}

/// Facts of a group that are not known yet, as they will be kept from a position on, and the answers
/// for all of the group.
pub(in crate::store) fn admit(
    group: &[Append],
    first_position: u64,
    recorded_at: Instant,
    index: &KeyIndex,
    click_ids: &ClickIdKey,
) -> (Vec<Kept>, Vec<Appended>) {
    let (mut appended, mut keys) = (Vec::with_capacity(group.len()), Vec::new());
    let admitted = encode::admit(
        group,
        first_position,
        recorded_at,
        index,
        &mut appended,
        &mut keys,
    );
    let mut keys = keys.into_iter().peekable();
    let mut kept = Vec::with_capacity(admitted.len());
    for fact in admitted {
        let id = fact.append.seat.map(|_| click_ids.encode(fact.position));
        let mut line = Vec::new();
        line::write(fact.append, recorded_at, id, &mut line);
        if let Some(Appended::At { click_id, .. }) = appended.get_mut(fact.answer) {
            *click_id = id;
        }
        let mut own = Vec::new();
        while let Some((fingerprint, _, unique)) =
            keys.next_if(|&(_, position, _)| position == fact.position)
        {
            own.push((fingerprint, unique));
        }
        kept.push(Kept {
            line,
            seat: fact.append.seat,
            recorded_at,
            keys: own,
        });
    }
    (kept, appended)
}

/// Facts laid out as rows.
#[derive(Debug)]
pub(in crate::store) struct Laid {
    pub(in crate::store) rows: Vec<Row>,
    /// The index entries of their clicks.
    pub(in crate::store) heads: Vec<Heads>,
    /// Their keys: fingerprint, position, whether it is a unique one.
    pub(in crate::store) keys: Vec<(Fingerprint, u64, bool)>,
    /// The tree after them.
    pub(in crate::store) frontier: Frontier,
    /// When the last of them was recorded.
    pub(in crate::store) recorded_to: Option<Instant>,
}

/// Lays out facts that follow those of `frontier`.
pub(in crate::store) fn lay(
    facts: &[Kept],
    frontier: Frontier,
    recorded_to: Option<Instant>,
) -> Result<Laid, StoreError> {
    let mut laid = Laid {
        rows: Vec::new(),
        heads: Vec::new(),
        keys: Vec::new(),
        frontier,
        recorded_to,
    };
    let mut packer = Packer::new(LEVEL)?;
    let mut rest = facts;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take(ROW_FACTS).take_while(|fact| {
            let fits = bytes < ROW_BYTES;
            bytes += fact.line.len();
            fits
        });
        let (stretch, after) = rest.split_at(fitting.count());
        laid.add_row(stretch, &mut packer)?;
        rest = after;
    }
    Ok(laid)
}

impl Laid {
    fn add_row(&mut self, facts: &[Kept], packer: &mut Packer) -> Result<(), StoreError> {
        let first_position = self.frontier.size() + 1;
        let (mut places, mut types) = (Places::default(), 0);
        let (mut lines, mut clicks, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        let mut keys = Vec::new();
        for (offset, fact) in (0..).zip(facts) {
            let position = self.frontier.size() + 1;
            if self.recorded_to.is_some_and(|last| fact.recorded_at < last) {
                let what = "it was recorded before the fact before it";
                return Err(damaged(position, what));
            }
            self.recorded_to = Some(fact.recorded_at);
            let kind = if fact.seat.is_some() {
                &mut clicks
            } else {
                &mut lines
            };
            kind.extend_from_slice(&fact.line);
            kind.push(b'\n');
            let bit = match &fact.seat {
                Some(seat) => {
                    heads::write(seat, &mut entries)?;
                    Some(seated_bit())
                }
                None => line::bit_of_unseated(&fact.line),
            };
            types |= bit.ok_or_else(|| damaged(position, "its type is not known"))?;
            places.push(fact.seat.is_some());
            for &(fingerprint, unique) in &fact.keys {
                let key = KeptKey {
                    offset,
                    unique,
                    fingerprint,
                };
                key.write(&mut keys);
                self.keys.push((fingerprint, position, unique));
            }
            self.frontier.push(leaf_hash(&fact.line));
        }
        let times = facts.first().zip(facts.last());
        let (recorded_from, recorded_to) = times
            .map_or((Instant::EPOCH, Instant::EPOCH), |(first, last)| {
                (first.recorded_at, last.recorded_at)
            });
        self.rows.push(Row {
            first_position,
            count: places.count(),
            recorded_from,
            recorded_to,
            types,
            merged: false,
            frontier: self.frontier.to_bytes(),
            keys,
            places: places.to_bytes(),
            facts: packer.pack(&lines)?,
            heads: packer.pack(&entries)?,
            clicks: packer.pack(&clicks)?,
        });
        let heads = Heads::new(first_position, places, &entries)
            .ok_or_else(|| damaged(first_position, "index entries and places do not fit"))?;
        self.heads.push(heads);
        Ok(())
    }
}

/// The facts of a row, one by one.
pub(in crate::store) fn facts_of(row: &Row) -> Result<Vec<Kept>, StoreError> {
    let first = row.first_position;
    let wrong = |what: String| damaged(first, what);
    let (places, mut unpacker) = (row.places()?, Unpacker::new()?);
    let facts = unpacker.unpack(&row.facts, places.count() - places.seated());
    let facts = facts.map_err(wrong)?;
    let clicks = unpacker.unpack(&row.clicks, places.seated());
    let clicks = clicks.map_err(wrong)?;
    let entries = unpacker.unpack_bytes(&row.heads).map_err(wrong)?;
    let heads = Heads::new(first, places.clone(), &entries)
        .ok_or_else(|| damaged(first, "index entries and places do not fit"))?;
    let keys = KeptKey::read_all(&row.keys)
        .ok_or_else(|| damaged(first, "the keys of the row are no list of keys"))?;
    let mut kept = Vec::with_capacity(row.count as usize);
    for (position, place) in (first..).zip(places.iter()) {
        let line = match place {
            Place::Seated(index) => clicks.get(index),
            Place::Unseated(index) => facts.get(index),
        };
        let line = line.ok_or_else(|| damaged(position, "its line is missing"))?;
        kept.push(Kept {
            recorded_at: recorded_at(line).map_err(|what| damaged(position, what))?,
            line: line.to_vec(),
            seat: heads.get(position),
            keys: Vec::new(),
        });
    }
    for key in keys {
        let fact = kept.get_mut(key.offset as usize);
        let fact =
            fact.ok_or_else(|| damaged(first, "a key of the row belongs to no fact of it"))?;
        fact.keys.push((key.fingerprint, key.unique));
    }
    Ok(kept)
}

/// When the fact of a line was recorded; says why the line is no fact.
pub(in crate::store) fn recorded_at(line: &[u8]) -> Result<Instant, String> {
    let envelope: RawEnvelope<'_> =
        serde_json::from_slice(line).map_err(|error| format!("its line is no fact: {error}"))?;
    Ok(envelope.recorded_at)
}

#[cfg(test)]
mod tests {
    use postbook_schemas::traffic::Device;
    use proptest::prelude::*;

    use super::*;

    fn fact() -> impl Strategy<Value = Kept> {
        let keys = prop::collection::vec((any::<u64>(), any::<bool>()), 0..3);
        (any::<bool>(), 0_u64..1_000, keys).prop_map(|(is_click, number, keys)| {
            let name = if is_click {
                "click.recorded"
            } else {
                "revenue.reported"
            };
            let line = format!(
                r#"{{"id":"018f0000-0000-7000-8000-000000000000","type":"{name}","version":1,"occurred_at":"2026-01-01T00:00:00Z","recorded_at":"2026-01-01T00:00:00Z","actor":"a","source":{{"endpoint":"e"}},"data":{{"number":{number}}}}}"#
            );
            let seat = ClickHead {
                link_position: number,
                occurred_at: Instant::EPOCH,
                country: None,
                device: Device::Mobile,
            };
            Kept {
                recorded_at: recorded_at(line.as_bytes()).expect("the line is a fact"),
                line: line.into_bytes(),
                seat: is_click.then_some(seat),
                keys,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn facts_come_out_of_rows_as_they_went_in(
            facts in prop::collection::vec(fact(), 0..300),
            copies in 1_usize..40,
        ) {
            let facts: Vec<_> = std::iter::repeat_n(facts, copies).flatten().collect();
            let laid = lay(&facts, Frontier::default(), None).expect("they can be laid out");
            prop_assert_eq!(laid.frontier.size(), facts.len() as u64);
            let mut kept = Vec::new();
            for row in &laid.rows {
                prop_assert_eq!(row.first_position, kept.len() as u64 + 1);
                kept.extend(facts_of(row).expect("a row has its facts"));
            }
            prop_assert!(kept == facts);
            let keys: usize = facts.iter().map(|fact| fact.keys.len()).sum();
            prop_assert_eq!(laid.keys.len(), keys);
        }
    }
}
