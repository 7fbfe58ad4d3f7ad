//! The reference store: everything in memory, simple enough to be obviously right.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use futures_util::future::{BoxFuture, FutureExt, ready};
use postbook_schemas::{ClickIdKey, Instant};
use tokio::sync::watch;

use super::{
    Append, Appended, Asked, ClickHead, Filter, Head, LogStore, Page, StoreError, line, merkle,
};

/// A log that is gone when its process is.
#[derive(Debug)]
pub struct MemoryStore {
    click_ids: Arc<ClickIdKey>,
    kept: RwLock<Kept>,
    head: watch::Sender<u64>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    facts: Vec<KeptFact>,
    unique: HashMap<String, Vec<u64>>,
    references: HashMap<String, u64>,
    recorded_to: Option<Instant>,
    closed: bool,
}

#[derive(Clone, Debug)]
struct KeptFact {
    line: Vec<u8>,
    bit: u64,
    seat: Option<ClickHead>,
}

impl MemoryStore {
    /// An empty log.
    pub fn new(click_ids: Arc<ClickIdKey>) -> Self {
        Self {
            click_ids,
            kept: RwLock::default(),
            head: watch::Sender::new(0),
        }
    }

    fn kept(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().expect("no thread panics while it reads")
    }

    fn kept_mut(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept
            .write()
            .expect("no thread panics while it appends")
    }

    fn append_now(&self, group: &[Append], now: Instant) -> Result<Vec<Appended>, StoreError> {
        group.iter().try_for_each(line::refuse_unfit)?;
        let mut kept = self.kept_mut();
        if kept.closed {
            return Err(StoreError::Closed("the log was closed"));
        }
        let recorded_at = kept.recorded_to.map_or(now, |last| last.max(now));
        let mut appended = Vec::with_capacity(group.len());
        for append in group {
            let is_left_out = append.with_previous;
            let before = appended.last().copied();
            appended.push(match before {
                Some(known @ Appended::Known { .. }) if is_left_out => known,
                _ => kept.append(append, recorded_at, &self.click_ids),
            });
        }
        let head = kept.head();
        drop(kept);
        self.head.send_if_modified(|seen| {
            let moved = *seen != head;
            *seen = head;
            moved
        });
        Ok(appended)
    }

    fn read_now(&self, from: u64, to: u64, filter: Filter, bytes_max: usize) -> Page {
        let kept = self.kept();
        let mut page = Page {
            next: from.max(1),
            ..Page::default()
        };
        while page.next <= to.min(kept.head()) {
            let fact = &kept.facts[index(page.next)];
            if filter.bits() & fact.bit != 0 {
                if !page.ends.is_empty() && page.bytes.len() + fact.line.len() > bytes_max {
                    break;
                }
                page.push(page.next, &fact.line);
            }
            page.next += 1;
        }
        page
    }

    fn root_now(&self, size: u64) -> Result<merkle::Hash, StoreError> {
        let kept = self.kept();
        let lines = usize::try_from(size)
            .ok()
            .and_then(|size| kept.facts.get(..size));
        let lines = lines.ok_or_else(|| StoreError::beyond_head(size, kept.head()))?;
        let leaves: Vec<_> = lines
            .iter()
            .map(|fact| merkle::leaf_hash(&fact.line))
            .collect();
        Ok(merkle::root_of(&leaves))
    }
}

impl Kept {
    fn head(&self) -> u64 {
        self.facts.len() as u64
    }

    fn append(&mut self, append: &Append, recorded_at: Instant, ids: &ClickIdKey) -> Appended {
        let position = self.head() + 1;
        if let Some(key) = &append.unique {
            let holders = self.unique.entry(key.clone()).or_default();
            if let Some(&first) = holders.iter().find(|held| !append.not_at.contains(held)) {
                return Appended::Known { position: first };
            }
            holders.push(position);
        }
        for key in &append.references {
            self.references.entry(key.clone()).or_insert(position);
        }
        let click_id = append.seat.map(|_| ids.encode(position));
        let mut bytes = Vec::new();
        line::write(append, recorded_at, click_id, &mut bytes);
        self.facts.push(KeptFact {
            line: bytes,
            bit: line::bit(append),
            seat: append.seat,
        });
        self.recorded_to = Some(recorded_at);
        Appended::At {
            position,
            recorded_at,
            click_id,
        }
    }

    fn fact(&self, position: u64) -> Option<&KeptFact> {
        self.facts.get(index(position))
    }
}

/// Positions count from 1; position 0 gets an index that nothing has.
fn index(position: u64) -> usize {
    usize::try_from(position.wrapping_sub(1)).unwrap_or(usize::MAX)
}

impl LogStore for MemoryStore {
    fn append(&self, group: Vec<Append>, now: Instant) -> Asked<'_, Vec<Appended>> {
        ready(self.append_now(&group, now)).boxed()
    }

    fn head(&self) -> u64 {
        *self.head.borrow()
    }

    fn follow(&self) -> Head {
        self.head.subscribe()
    }

    fn read(&self, from: u64, to: u64, filter: Filter, bytes_max: usize) -> Asked<'_, Page> {
        ready(Ok(self.read_now(from, to, filter, bytes_max))).boxed()
    }

    fn read_one(&self, position: u64) -> Asked<'_, Option<Vec<u8>>> {
        let line = self.kept().fact(position).map(|fact| fact.line.clone());
        ready(Ok(line)).boxed()
    }

    fn find(&self, key: &str) -> Asked<'_, Option<u64>> {
        let kept = self.kept();
        let unique = kept.unique.get(key).and_then(|held| held.first());
        let first = unique.into_iter().chain(kept.references.get(key)).min();
        ready(Ok(first.copied())).boxed()
    }

    fn clicks(&self, positions: Vec<u64>) -> Asked<'_, Vec<Option<ClickHead>>> {
        let kept = self.kept();
        let seats = positions
            .into_iter()
            .map(|position| kept.fact(position).and_then(|fact| fact.seat))
            .collect();
        ready(Ok(seats)).boxed()
    }

    fn root(&self, size: u64) -> Asked<'_, [u8; 32]> {
        ready(self.root_now(size)).boxed()
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Sync)) -> Asked<'a, ()> {
        // What is in memory was never written and cannot have been damaged.
        progress(self.head());
        ready(Ok(())).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.kept_mut().closed = true;
        ready(()).boxed()
    }
}
