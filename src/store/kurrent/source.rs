//! The stream of a log on its server, as it is read.

use eventstore::{EventData, RecordedEvent};

use super::{
    connection::Connection,
    server::Server,
    tail::{EVENTS, Reader},
    trouble::Trouble,
};
use crate::store::{StoreError, layout::row::damaged, sqlite::Mark};

/// A stream and the way there.
#[derive(Debug)]
pub(super) struct Source {
    server: Server,
    connection: Connection,
    stream: String,
}

impl Source {
    /// The stream of a server's facts.
    pub(super) fn new(server: Server, connection: Connection) -> Self {
        Self {
            stream: server.stream(),
            server,
            connection,
        }
    }

    /// Appends events to the stream while it has so many.
    pub(super) async fn append(&self, there: u64, events: Vec<EventData>) -> Result<(), Trouble> {
        self.connection.append(&self.stream, there, events).await
    }

    /// The last event; nothing where there is no stream.
    pub(super) async fn last(&self) -> Result<Option<RecordedEvent>, Trouble> {
        self.connection.last(&self.stream).await
    }

    /// Events from the last one on that is known.
    pub(super) async fn page_after(
        &self,
        reader: &Reader,
        head: u64,
    ) -> Result<Vec<RecordedEvent>, Trouble> {
        let events = self.connection.read(&self.stream, reader.from(), EVENTS);
        let Some(events) = events.await? else {
            return match reader.seen {
                None => Ok(Vec::new()),
                Some(_) => Err(self.lost(head).into()),
            };
        };
        if events.is_empty() && reader.seen.is_some() {
            let last = self.last().await?;
            if last.is_none_or(|last| last.revision < reader.from()) {
                return Err(self.lost(head).into());
            }
        }
        Ok(events)
    }

    /// A server that has lost what it had confirmed was restored, or is an older copy: going on would
    /// give positions away a second time.
    pub(super) fn lost(&self, head: u64) -> StoreError {
        let what = format!(
            "the server's log in {} ends before it, although this node has seen facts up to {head}: it \
             was restored from an older copy",
            self.server
        );
        damaged(head, what)
    }

    /// Whether there is a whole group after an event: what is void or others' does not count.
    pub(super) async fn has_facts_after(&self, mark: Option<Mark>) -> Result<bool, Trouble> {
        let mut reader = Reader::after(mark);
        loop {
            let events = self.page_after(&reader, 0).await?;
            let new = reader.new_of(&events, 0)?;
            if new.is_empty() {
                return Ok(false);
            }
            for event in new {
                if reader.take(event, 0)?.is_some() {
                    return Ok(true);
                }
            }
        }
    }
}
