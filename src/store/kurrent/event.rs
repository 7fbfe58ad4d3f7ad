//! A fact as an event: its line is the data, byte for byte; what else is remembered is the metadata.

use bytes::Bytes;
use eventstore::{EventData, RecordedEvent};
use postbook_schemas::{Instant, traffic::Device};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::store::{
    ClickHead, StoreError,
    layout::{
        kept::{Kept, recorded_at},
        row::damaged,
    },
    line,
};

/// What an append is told apart by.
pub(super) type Batch = Uuid;

/// What is remembered of a fact besides its line.
#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    /// Which append it belongs to, and
    group: Batch,
    /// which fact of it this is,
    at: u32,
    /// of how many.
    of: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<Key>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    click: Option<Click>,
}

/// A key's fingerprint in hex.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key {
    Unique(String),
    Reference(String),
}

/// The index entry of a click with a seat.
#[derive(Debug, Serialize, Deserialize)]
struct Click {
    link: u64,
    occurred_at: Instant,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    device: Device,
}

/// An event of ours.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) batch: Batch,
    pub(super) at: u32,
    pub(super) of: u32,
    pub(super) kept: Kept,
}

/// The id of an event: the same whenever the same append is sent again, and never that of another, so
/// that a server which takes a repetition for done has the same bytes.
fn event_id(batch: Batch, at: u32) -> Uuid {
    let hash = Sha256::new()
        .chain_update(batch.as_bytes())
        .chain_update(at.to_le_bytes())
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The id of the event that [`write`] makes.
pub(super) fn id(batch: Batch, at: usize) -> [u8; 16] {
    *event_id(batch, u32::try_from(at).unwrap_or(u32::MAX)).as_bytes()
}

/// The event of a fact, which is number `at` of `of` in its append; and about how many bytes it takes.
pub(super) fn write(
    batch: Batch,
    at: usize,
    of: usize,
    kept: &Kept,
) -> Result<(EventData, usize), StoreError> {
    let number = |count| u32::try_from(count).map_err(unfit);
    let (at, of) = (number(at)?, number(of)?);
    let metadata = Metadata {
        group: batch,
        at,
        of,
        keys: kept.keys.iter().map(|&key| Key::of(key)).collect(),
        click: kept.seat.as_ref().map(Click::of),
    };
    let metadata = serde_json::to_vec(&metadata).map_err(unfit)?;
    let name = line::type_name(&kept.line);
    let name = name.ok_or_else(|| StoreError::failed("written", "a fact has no type"))?;
    let text = std::str::from_utf8(&kept.line).map_err(unfit)?;
    // Written as it is: the client writes JSON itself, and nothing else as such.
    let raw: &RawValue = serde_json::from_str(text).map_err(unfit)?;
    let bytes = kept.line.len() + metadata.len() + 2 * name.len() + OVERHEAD_BYTES;
    let event = EventData::json(name, &raw).map_err(unfit)?;
    let event = event
        .id(event_id(batch, at))
        .metadata(Bytes::from(metadata));
    Ok((event, bytes))
}

/// What an event takes besides data, metadata and type.
const OVERHEAD_BYTES: usize = 64;

/// Reads an event; nothing if it is not one of ours. `position` is the one that it would have.
pub(super) fn read(event: &RecordedEvent, position: u64) -> Result<Option<Read>, StoreError> {
    let wrong = |what: &str| damaged(position, what);
    let Ok(metadata) = serde_json::from_slice::<Metadata>(&event.custom_metadata) else {
        return match recorded_at(&event.data) {
            Ok(_) => Err(wrong("its metadata cannot be read")),
            Err(_) => Ok(None),
        };
    };
    let keys = metadata.keys.iter().map(Key::read).collect::<Option<_>>();
    let click = metadata.click.as_ref().map(Click::read).transpose();
    let kept = Kept {
        recorded_at: recorded_at(&event.data).map_err(|what| damaged(position, what))?,
        line: event.data.to_vec(),
        seat: click.map_err(|()| wrong("its index entry cannot be read"))?,
        keys: keys.ok_or_else(|| wrong("one of its keys is no fingerprint"))?,
    };
    Ok(Some(Read {
        batch: metadata.group,
        at: metadata.at,
        of: metadata.of,
        kept,
    }))
}

impl Key {
    fn of((fingerprint, unique): (u64, bool)) -> Self {
        let text = format!("{fingerprint:016x}");
        if unique {
            Self::Unique(text)
        } else {
            Self::Reference(text)
        }
    }

    fn read(&self) -> Option<(u64, bool)> {
        let (text, unique) = match self {
            Self::Unique(text) => (text, true),
            Self::Reference(text) => (text, false),
        };
        Some((u64::from_str_radix(text, 16).ok()?, unique))
    }
}

impl Click {
    fn of(head: &ClickHead) -> Self {
        let country = head
            .country
            .map(|code| code.map(char::from).iter().collect());
        Self {
            link: head.link_position,
            occurred_at: head.occurred_at,
            country,
            device: head.device,
        }
    }

    fn read(&self) -> Result<ClickHead, ()> {
        let country = self.country.as_ref().map(|code| code.as_bytes().try_into());
        Ok(ClickHead {
            link_position: self.link,
            occurred_at: self.occurred_at,
            country: country.transpose().map_err(|_| ())?,
            device: self.device,
        })
    }
}

fn unfit(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::failed("written", error)
}
