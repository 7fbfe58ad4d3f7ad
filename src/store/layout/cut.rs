//! The end of a row as a row of its own: for going on within what was merged meanwhile.

use super::{
    heads::HEAD_BYTES,
    keys::KeptKey,
    lines::{Packer, Unpacker},
    places::{Place, Places},
    row::{Row, damaged},
};
use crate::store::{StoreError, line};

/// As rows are compressed that are read for ever.
const LEVEL: i32 = 9;

/// The facts of a row after a position within it.
pub(in crate::store) fn after(row: &Row, position: u64) -> Result<Row, StoreError> {
    let first = row.first_position;
    let wrong = |what: String| damaged(first, what);
    let dropped = u32::try_from(position + 1 - first).unwrap_or(u32::MAX);
    let (kept_places, mut unpacker) = (row.places()?, Unpacker::new()?);
    let seated = kept_places.seated();
    let unseated = kept_places.count() - seated;
    let facts = unpacker.unpack(&row.facts, unseated).map_err(wrong)?;
    let clicks = unpacker.unpack(&row.clicks, seated).map_err(wrong)?;
    let heads = unpacker.unpack_bytes(&row.heads).map_err(wrong)?;
    let (mut places, mut types) = (Places::default(), 0);
    let (mut left_facts, mut left_clicks) = (Vec::new(), Vec::new());
    let mut left_heads = heads.len();
    for place in kept_places.iter().skip(dropped as usize) {
        let (kept, left) = match place {
            Place::Seated(index) => (clicks.get(index), &mut left_clicks),
            Place::Unseated(index) => (facts.get(index), &mut left_facts),
        };
        let kept = kept.ok_or_else(|| damaged(first, "a line is missing"))?;
        left.extend_from_slice(kept);
        left.push(b'\n');
        let bit = match place {
            Place::Seated(index) => {
                left_heads = left_heads.min(index as usize * HEAD_BYTES);
                Some(super::part::seated_bit())
            }
            Place::Unseated(_) => line::bit_of_unseated(kept),
        };
        types |= bit.ok_or_else(|| damaged(first, "the type of a fact is not known"))?;
        places.push(matches!(place, Place::Seated(_)));
    }
    let kept_keys = KeptKey::read_all(&row.keys);
    let kept_keys = kept_keys.ok_or_else(|| damaged(first, "its keys are no list of keys"))?;
    let mut keys = Vec::new();
    for key in kept_keys.filter(|key| key.offset >= dropped) {
        let offset = key.offset - dropped;
        KeptKey { offset, ..key }.write(&mut keys);
    }
    let mut packer = Packer::new(LEVEL)?;
    Ok(Row {
        first_position: position + 1,
        count: places.count(),
        // Somewhere within the row: only its end is looked at.
        recorded_from: row.recorded_from,
        recorded_to: row.recorded_to,
        types,
        merged: row.merged,
        frontier: row.frontier.clone(),
        keys,
        places: places.to_bytes(),
        facts: packer.pack(&left_facts)?,
        heads: packer.pack(&heads[left_heads..])?,
        clicks: packer.pack(&left_clicks)?,
    })
}

#[cfg(test)]
mod tests {
    use postbook_schemas::Instant;

    use super::*;
    use crate::store::layout::heads::Heads;

    /// Clicks at the even places, facts with a key each at the odd ones.
    fn row() -> Row {
        let mut packer = Packer::new(LEVEL).expect("a context");
        let (mut places, mut keys) = (Places::default(), Vec::new());
        let (mut facts, mut clicks, mut heads) = (Vec::new(), Vec::new(), Vec::new());
        let id = "0".repeat(36);
        for offset in 0..9_u32 {
            places.push(offset % 2 == 0);
            if offset % 2 == 0 {
                clicks.extend_from_slice(format!("click {offset}\n").as_bytes());
                heads.extend_from_slice(&[offset.to_le_bytes()[0]; HEAD_BYTES]);
                continue;
            }
            let line = format!(r#"{{"id":"{id}","type":"revenue.reported","offset":{offset}}}"#);
            facts.extend_from_slice(line.as_bytes());
            facts.push(b'\n');
            let (unique, fingerprint) = (true, u64::from(offset));
            KeptKey {
                offset,
                unique,
                fingerprint,
            }
            .write(&mut keys);
        }
        Row {
            first_position: 11,
            count: 9,
            recorded_from: Instant::EPOCH,
            recorded_to: Instant::EPOCH,
            types: 0,
            merged: true,
            frontier: vec![7],
            keys,
            places: places.to_bytes(),
            facts: packer.pack(&facts).expect("packed"),
            heads: packer.pack(&heads).expect("packed"),
            clicks: packer.pack(&clicks).expect("packed"),
        }
    }

    #[test]
    fn what_comes_after_a_position_is_what_it_was() {
        let row = row();
        for position in 11..19_u64 {
            let cut = after(&row, position).expect("it is within the row");
            let dropped = u32::try_from(position - 10).expect("small");
            assert_eq!(
                (cut.first_position, cut.last_position()),
                (position + 1, 19)
            );
            assert_eq!(cut.frontier, row.frontier);
            let mut unpacker = Unpacker::new().expect("a context");
            let places = cut.places().expect("they fit the count");
            let facts = unpacker.unpack(&cut.facts, places.count() - places.seated());
            let clicks = unpacker.unpack(&cut.clicks, places.seated());
            let (facts, clicks) = (facts.expect("lines"), clicks.expect("lines"));
            for (offset, place) in (dropped..).zip(places.iter()) {
                let expected = match place {
                    Place::Seated(index) => (clicks.get(index), format!("click {offset}")),
                    Place::Unseated(index) => (facts.get(index), format!("\"offset\":{offset}}}")),
                };
                let line = std::str::from_utf8(expected.0.expect("a line")).expect("UTF-8");
                assert!(line.ends_with(&expected.1), "{line}");
            }
            let heads = unpacker.unpack_bytes(&cut.heads).expect("entries");
            assert!(Heads::new(cut.first_position, places, &heads).is_some());
            let keys = KeptKey::read_all(&cut.keys).expect("keys");
            for key in keys {
                assert_eq!(u64::from(key.offset + dropped), key.fingerprint);
            }
        }
    }
}
