//! From a group of facts to rows: who is known already, the lines, their hashes and indexes.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use hashbrown::HashMap;
use postbook_schemas::{ClickId, ClickIdKey, Instant};

use super::{
    heads::{self, Heads},
    keys::{Fingerprint, KeptKey, KeyIndex},
    lines::Packer,
    places::Places,
    row::{ROW_FACTS, Row, damaged},
};
use crate::store::{
    Append, Appended, StoreError, line,
    merkle::{Frontier, Hash, leaf_hash},
};

/// A row is full at this much data, too.
pub(super) const ROW_BYTES: usize = 4 << 20;

/// How many keys most facts have.
const KEYS_EACH: usize = 5;

/// Live groups are compressed quickly; merging compresses again.
pub(super) const LEVEL: i32 = 1;

/// A group as it will be kept.
#[derive(Debug)]
pub(in crate::store) struct Encoded {
    /// The rows to write.
    pub(in crate::store) rows: Vec<Row>,
    /// The index entries of their clicks.
    pub(in crate::store) heads: Vec<Heads>,
    /// The answers.
    pub(in crate::store) appended: Vec<Appended>,
    /// The new keys: fingerprint, position, whether it is a unique one.
    pub(in crate::store) keys: Vec<(Fingerprint, u64, bool)>,
    /// The tree after the group.
    pub(in crate::store) frontier: Frontier,
    /// When the group is recorded.
    pub(in crate::store) recorded_at: Instant,
}

/// A fact that is not known yet, and its position.
pub(super) struct Admitted<'a> {
    pub(super) append: &'a Append,
    pub(super) position: u64,
    /// Which answer is its.
    pub(super) answer: usize,
}

/// Encodes a group that follows the facts of `frontier`.
pub(in crate::store) fn encode(
    encoder: &mut Encoder,
    group: &[Append],
    recorded_at: Instant,
    mut frontier: Frontier,
    index: &KeyIndex,
    click_ids: &ClickIdKey,
) -> Result<Encoded, StoreError> {
    group.iter().try_for_each(line::refuse_unfit)?;
    let mut appended = Vec::with_capacity(group.len());
    let mut keys = Vec::with_capacity(group.len() * KEYS_EACH);
    let admitted = admit(
        group,
        frontier.size() + 1,
        recorded_at,
        index,
        &mut appended,
        &mut keys,
    );
    let stretches = cut(&admitted);
    let parts = if let [stretch] = stretches[..] {
        vec![encoder.encode(stretch, recorded_at, &keys, click_ids)?]
    } else {
        encode_in_parallel(&stretches, recorded_at, &keys, click_ids)?
    };
    let mut rows = Vec::with_capacity(parts.len());
    let mut heads = Vec::with_capacity(parts.len());
    for (stretch, mut part) in stretches.into_iter().zip(parts) {
        part.leaves.into_iter().for_each(|leaf| frontier.push(leaf));
        part.row.frontier = frontier.to_bytes();
        rows.push(part.row);
        heads.push(part.heads);
        for (admitted, id) in stretch.iter().zip(part.click_ids) {
            if let Appended::At { click_id, .. } = &mut appended[admitted.answer] {
                *click_id = id;
            }
        }
    }
    Ok(Encoded {
        rows,
        heads,
        appended,
        keys,
        frontier,
        recorded_at,
    })
}

/// Gives positions to the facts that are not known yet, and answers for all.
pub(super) fn admit<'a>(
    group: &'a [Append],
    mut position: u64,
    recorded_at: Instant,
    index: &KeyIndex,
    appended: &mut Vec<Appended>,
    keys: &mut Vec<(Fingerprint, u64, bool)>,
) -> Vec<Admitted<'a>> {
    let mut admitted = Vec::with_capacity(group.len());
    let mut in_group: HashMap<&str, u64> = HashMap::with_capacity(group.len());
    for append in group {
        if append.with_previous
            && let Some(&known @ Appended::Known { .. }) = appended.last()
        {
            appended.push(known);
            continue;
        }
        if let Some(key) = &append.unique {
            let fingerprint = index.of_unique(key);
            let known = index.first(fingerprint, &append.not_at);
            if let Some(first) = known.or_else(|| in_group.get(key.as_str()).copied()) {
                appended.push(Appended::Known { position: first });
                continue;
            }
            in_group.insert(key, position);
            keys.push((fingerprint, position, true));
        }
        for key in &append.references {
            let fingerprint = index.of_reference(key);
            if index.first(fingerprint, &[]).is_none() {
                keys.push((fingerprint, position, false));
            }
        }
        admitted.push(Admitted {
            append,
            position,
            answer: appended.len(),
        });
        appended.push(Appended::At {
            position,
            recorded_at,
            click_id: None,
        });
        position += 1;
    }
    admitted
}

/// Cuts a large group into stretches of the size of a row.
fn cut<'a, 'b>(mut facts: &'b [Admitted<'a>]) -> Vec<&'b [Admitted<'a>]> {
    let mut stretches = Vec::new();
    while !facts.is_empty() {
        let mut bytes = 0;
        let fitting = facts.iter().take(ROW_FACTS).take_while(|fact| {
            let fits = bytes < ROW_BYTES;
            bytes += fact.append.draft.data.len();
            fits
        });
        let (stretch, rest) = facts.split_at(fitting.count());
        stretches.push(stretch);
        facts = rest;
    }
    stretches
}

/// A row whose place in the tree is not known yet.
struct Part {
    row: Row,
    heads: Heads,
    leaves: Vec<Hash>,
    click_ids: Vec<Option<ClickId>>,
}

fn encode_in_parallel(
    stretches: &[&[Admitted<'_>]],
    recorded_at: Instant,
    keys: &[(Fingerprint, u64, bool)],
    click_ids: &ClickIdKey,
) -> Result<Vec<Part>, StoreError> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let parts = Mutex::new(Vec::with_capacity(stretches.len()));
    thread::scope(|scope| {
        for _ in 0..threads.min(stretches.len()) {
            scope.spawn(|| {
                let mut encoder = Encoder::default();
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(stretch) = stretches.get(index)
                {
                    let part = encoder.encode(stretch, recorded_at, keys, click_ids);
                    let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
                    parts.push((index, part));
                }
            });
        }
    });
    let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.sort_unstable_by_key(|&(index, _)| index);
    parts.into_iter().map(|(_, part)| part).collect()
}

/// Buffers and a compression context that are used again and again.
#[derive(Debug, Default)]
pub(in crate::store) struct Encoder {
    facts: Vec<u8>,
    clicks: Vec<u8>,
    packer: Option<Packer>,
}

impl Encoder {
    fn encode(
        &mut self,
        stretch: &[Admitted<'_>],
        recorded_at: Instant,
        keys: &[(Fingerprint, u64, bool)],
        click_id_key: &ClickIdKey,
    ) -> Result<Part, StoreError> {
        self.facts.clear();
        self.clicks.clear();
        let mut heads = Vec::new();
        let mut places = Places::default();
        let mut types = 0;
        let mut leaves = Vec::with_capacity(stretch.len());
        let mut click_ids = Vec::with_capacity(stretch.len());
        for fact in stretch {
            let seat = fact.append.seat.as_ref();
            let lines = if seat.is_some() {
                &mut self.clicks
            } else {
                &mut self.facts
            };
            let click_id = seat.map(|_| click_id_key.encode(fact.position));
            let start = lines.len();
            line::write(fact.append, recorded_at, click_id, lines);
            leaves.push(leaf_hash(&lines[start..]));
            lines.push(b'\n');
            seat.map_or(Ok(()), |seat| heads::write(seat, &mut heads))?;
            places.push(seat.is_some());
            types |= line::bit(fact.append);
            click_ids.push(click_id);
        }
        let packer = match &mut self.packer {
            Some(packer) => packer,
            none => none.insert(Packer::new(LEVEL)?),
        };
        let first_position = stretch.first().map_or(0, |fact| fact.position);
        let row = Row {
            first_position,
            count: places.count(),
            recorded_from: recorded_at,
            recorded_to: recorded_at,
            types,
            merged: false,
            frontier: Vec::new(),
            keys: kept_keys(keys, first_position, places.count()),
            places: places.to_bytes(),
            facts: packer.pack(&self.facts)?,
            heads: packer.pack(&heads)?,
            clicks: packer.pack(&self.clicks)?,
        };
        let heads = Heads::new(first_position, places, &heads)
            .ok_or_else(|| damaged(first_position, "index entries and places do not fit"))?;
        Ok(Part {
            row,
            heads,
            leaves,
            click_ids,
        })
    }
}

/// The keys of a row's facts as they are kept.
fn kept_keys(keys: &[(Fingerprint, u64, bool)], first_position: u64, count: u32) -> Vec<u8> {
    let start = keys.partition_point(|&(_, position, _)| position < first_position);
    let end = first_position + u64::from(count);
    let mut bytes = Vec::new();
    for &(fingerprint, position, unique) in &keys[start..] {
        if position >= end {
            break;
        }
        let offset = u32::try_from(position - first_position).unwrap_or(u32::MAX);
        let key = KeptKey {
            offset,
            unique,
            fingerprint,
        };
        key.write(&mut bytes);
    }
    bytes
}
