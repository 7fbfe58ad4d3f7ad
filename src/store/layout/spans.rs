//! Parts of the log that are held in memory, bounded in bytes; the longest unused are dropped.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Something that was read of a stretch of the log.
pub(in crate::store) trait Span {
    /// Where the stretch begins.
    fn first_position(&self) -> u64;

    /// How many positions it has.
    fn count(&self) -> u64;

    /// About how much memory it takes.
    fn bytes(&self) -> usize;
}

/// Stretches of the log by position. What is kept never changes, so an entry is right for ever; only
/// its bounds may be out of date once rows were merged, and then the longer one takes its place.
#[derive(Debug)]
pub(in crate::store) struct Spans<T> {
    bytes_max: usize,
    uses: AtomicU64,
    held: RwLock<Held<T>>,
}

#[derive(Debug)]
struct Held<T> {
    by_first: BTreeMap<u64, Entry<T>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<T> {
    span: Arc<T>,
    last_use: AtomicU64,
}

impl<T: Span> Spans<T> {
    /// Nothing, with room for about this much.
    pub(in crate::store) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            uses: AtomicU64::new(0),
            held: RwLock::new(Held {
                by_first: BTreeMap::new(),
                bytes: 0,
            }),
        }
    }

    /// The stretch that holds this position, if it is in memory.
    pub(in crate::store) fn get(&self, position: u64) -> Option<Arc<T>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let (_, entry) = held.by_first.range(..=position).next_back()?;
        if position >= end(&*entry.span) {
            return None;
        }
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        entry.last_use.store(now, Ordering::Relaxed);
        Some(Arc::clone(&entry.span))
    }

    /// Holds a stretch in memory, instead of those that it contains.
    pub(in crate::store) fn insert(&self, span: Arc<T>) {
        let (first, end_of_span) = (span.first_position(), end(&*span));
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let before = held.by_first.range(..=first).next_back();
        if before.is_some_and(|(_, entry)| end(&*entry.span) >= end_of_span) {
            return;
        }
        let contained: Vec<u64> = held
            .by_first
            .range(first..end_of_span)
            .map(|(&first, _)| first)
            .collect();
        for contained in contained {
            held.remove(contained);
        }
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        held.bytes += span.bytes();
        let last_use = AtomicU64::new(now);
        held.by_first.insert(first, Entry { span, last_use });
        if held.bytes > self.bytes_max {
            held.drop_unused(self.bytes_max - self.bytes_max / 8);
        }
    }
}

impl<T: Span> Held<T> {
    fn remove(&mut self, first: u64) {
        if let Some(entry) = self.by_first.remove(&first) {
            self.bytes -= entry.span.bytes();
        }
    }

    fn drop_unused(&mut self, bytes: usize) {
        let mut by_use: Vec<(u64, u64)> = self
            .by_first
            .iter()
            .map(|(&first, entry)| (entry.last_use.load(Ordering::Relaxed), first))
            .collect();
        by_use.sort_unstable();
        // The last one stays, however large: it has just been asked for.
        by_use.pop();
        for (_, first) in by_use {
            if self.bytes <= bytes {
                return;
            }
            self.remove(first);
        }
    }
}

fn end<T: Span>(span: &T) -> u64 {
    span.first_position() + span.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Stretch(u64, u64);

    impl Span for Stretch {
        fn first_position(&self) -> u64 {
            self.0
        }

        fn count(&self) -> u64 {
            self.1
        }

        fn bytes(&self) -> usize {
            100
        }
    }

    fn found(spans: &Spans<Stretch>, position: u64) -> Option<(u64, u64)> {
        spans.get(position).map(|stretch| (stretch.0, stretch.1))
    }

    #[test]
    fn a_longer_stretch_replaces_what_it_contains_whichever_comes_first() {
        let spans = Spans::new(1_000);
        for stretch in [Stretch(1, 2), Stretch(3, 4), Stretch(1, 6), Stretch(3, 4)] {
            spans.insert(Arc::new(stretch));
        }
        for position in 1..=6 {
            assert_eq!(found(&spans, position), Some((1, 6)));
        }
        assert_eq!(found(&spans, 7), None);
    }

    #[test]
    fn the_longest_unused_is_dropped() {
        let spans = Spans::new(300);
        for first in [1, 2, 3] {
            spans.insert(Arc::new(Stretch(first, 1)));
        }
        assert!(spans.get(1).is_some());
        spans.insert(Arc::new(Stretch(4, 1)));
        assert_eq!(found(&spans, 2), None);
        assert_eq!(found(&spans, 1), Some((1, 1)));
        assert_eq!(found(&spans, 4), Some((4, 1)));
    }
}
