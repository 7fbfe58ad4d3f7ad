//! What the fake keeps: events in streams, and what an append does to them.

use std::collections::HashMap;

use crate::wire::streams::append_request::options::Expected;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id: high and low half.
    pub id: (i64, i64),
    /// Type and kind of content.
    pub metadata: HashMap<String, String>,
    /// What the writer says of it.
    pub own_metadata: Vec<u8>,
    /// What it says.
    pub data: Vec<u8>,
    /// Its place among all events.
    pub commit: u64,
}

/// All streams.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    streams: HashMap<String, Vec<Event>>,
    commit: u64,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is there, now or since it was sent before.
    Done,
    /// The stream does not end where it was expected to.
    Conflict,
    /// It is larger than a server takes.
    TooLarge,
}

/// What a server takes in one append unless it is told otherwise.
pub(crate) const APPEND_BYTES_MAX: usize = 1 << 20;

impl Kept {
    pub(crate) fn stream(&self, name: &str) -> &[Event] {
        self.streams.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn stream_mut(&mut self, name: &str) -> &mut Vec<Event> {
        self.streams.entry(name.to_owned()).or_default()
    }

    pub(crate) fn append(
        &mut self,
        name: &str,
        expected: &Expected,
        events: Vec<Event>,
    ) -> Outcome {
        let size = |event: &Event| {
            let name = event.metadata.get("type").map_or(0, String::len);
            event.data.len() + event.own_metadata.len() + 2 * name
        };
        if events.iter().map(size).sum::<usize>() > APPEND_BYTES_MAX {
            return Outcome::TooLarge;
        }
        let there = self.stream(name).len();
        let wanted = match expected {
            Expected::Revision(revision) => {
                usize::try_from(*revision).map_or(usize::MAX, |n| n + 1)
            }
            Expected::NoStream(_) => 0,
            Expected::StreamExists(_) if there == 0 => return Outcome::Conflict,
            Expected::Any(_) | Expected::StreamExists(_) => there,
        };
        if wanted > there {
            return Outcome::Conflict;
        }
        if wanted < there {
            // An append that is there already, event by event, is done; anything else comes too late.
            let after = &self.stream(name)[wanted..];
            let is_there = after.len() >= events.len()
                && after
                    .iter()
                    .zip(&events)
                    .all(|(one, other)| one.id == other.id);
            return if is_there {
                Outcome::Done
            } else {
                Outcome::Conflict
            };
        }
        for mut event in events {
            self.commit += 1;
            event.commit = self.commit;
            self.stream_mut(name).push(event);
        }
        Outcome::Done
    }
}
