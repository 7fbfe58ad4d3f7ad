//! Checking: the mirror by itself, and then line by line against what the server has.

use super::{
    source::Source,
    tail::{ENDED_EARLY, READ_MAX, Reader},
    trouble::Patience,
};
use crate::store::{Filter, LogStore, StoreError, layout::row::damaged, sqlite::SqliteStore};

/// Lines of the mirror that are compared at a time, in bytes.
const PAGE_BYTES: usize = 4 << 20;

/// Checks a mirror and its source; the error names the first position at which something is wrong.
pub(super) async fn check(
    source: &Source,
    mirror: &SqliteStore,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), StoreError> {
    Comparing { source, mirror }.check(progress).await
}

struct Comparing<'c> {
    source: &'c Source,
    mirror: &'c SqliteStore,
}

impl Comparing<'_> {
    async fn check(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<(), StoreError> {
        let head = self.mirror.head();
        self.mirror.check(&|_| {}).await?;
        let (mut reader, mut compared) = (Reader::default(), 0);
        while compared < head {
            let facts = self.facts_after(&mut reader, compared).await?;
            if facts.is_empty() {
                return Err(damaged(
                    compared + 1,
                    "the server has no facts from here on",
                ));
            }
            compared = self.compare(&facts, compared, head).await?;
            progress(compared);
        }
        if head == 0 {
            progress(0);
        }
        Ok(())
    }

    /// Lines of the next groups that the server has; none at its end.
    async fn facts_after(
        &self,
        reader: &mut Reader,
        head: u64,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let patience = Patience::of(READ_MAX);
        let mut lines = Vec::new();
        while lines.is_empty() {
            let page = self.source.page_after(reader, head).await;
            let page = page.and_then(|events| {
                let new = events.len() - reader.new_of(&events, head)?.len();
                Ok((events, new))
            });
            let (events, new) = match page {
                Ok(page) => page,
                Err(trouble) => {
                    let passed = patience.after(trouble).await;
                    passed.map_err(|trouble| trouble.told("read"))?;
                    continue;
                }
            };
            if events.len() == new {
                if self.is_all(reader, head).await? {
                    break;
                }
                let passed = patience.after(ENDED_EARLY).await;
                passed.map_err(|trouble| trouble.told("read"))?;
            }
            for event in &events[new..] {
                let position = head + lines.len() as u64 + 1;
                if let Some(group) = reader.take(event, position)? {
                    lines.extend(group.facts.into_iter().map(|fact| fact.line));
                }
            }
        }
        Ok(lines)
    }

    /// Whether the server has nothing after what was read.
    async fn is_all(&self, reader: &Reader, head: u64) -> Result<bool, StoreError> {
        match self.source.last().await {
            Ok(Some(last)) => Ok(last.revision < reader.count()),
            Ok(None) => Err(damaged(head, "the server has no such stream any more")),
            // It is asked again.
            Err(_) => Ok(false),
        }
    }

    /// Compares lines of the server with those of the mirror, up to its end.
    async fn compare(&self, lines: &[Vec<u8>], before: u64, head: u64) -> Result<u64, StoreError> {
        let end = head.min(before + lines.len() as u64);
        let mut compared = before;
        while compared < end {
            let page = self.mirror.read(compared + 1, end, Filter::ALL, PAGE_BYTES);
            for (position, line) in page.await?.lines() {
                let index = usize::try_from(position - before - 1).ok();
                let other = index.and_then(|index| lines.get(index));
                if other.is_none_or(|other| other != line) {
                    let what = "the server has another line than this node's mirror";
                    return Err(damaged(position, what));
                }
                compared = position;
            }
        }
        Ok(compared)
    }
}
