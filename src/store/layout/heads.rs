//! Index entries of clicks: 16 bytes each, compressed on disk, and those that are in memory.

use postbook_schemas::{Instant, traffic::Device};

use super::{
    places::{Place, Places},
    spans::Span,
};
use crate::store::{ClickHead, StoreError};

/// Bytes of a kept entry: link position (5), country (2), device (1), occurred at (8).
pub(in crate::store) const HEAD_BYTES: usize = 16;

/// The largest link position that five bytes can hold.
const LINK_POSITION_MAX: u64 = (1 << 40) - 1;

/// Appends the bytes of an entry.
pub(in crate::store) fn write(head: &ClickHead, bytes: &mut Vec<u8>) -> Result<(), StoreError> {
    if head.link_position > LINK_POSITION_MAX {
        return Err(StoreError::failed(
            "written",
            "a link position is beyond 40 bits",
        ));
    }
    let device = Device::ALL.iter().position(|&device| device == head.device);
    let device = device.and_then(|index| u8::try_from(index).ok());
    bytes.extend_from_slice(&head.link_position.to_le_bytes()[..5]);
    bytes.extend_from_slice(&head.country.unwrap_or([0, 0]));
    bytes.push(device.unwrap_or(u8::MAX));
    bytes.extend_from_slice(&head.occurred_at.micros().to_le_bytes());
    Ok(())
}

fn read(bytes: &[u8; HEAD_BYTES]) -> ClickHead {
    let mut link_position = [0; 8];
    link_position[..5].copy_from_slice(&bytes[..5]);
    let mut occurred_at = [0; 8];
    occurred_at.copy_from_slice(&bytes[8..]);
    let country = [bytes[5], bytes[6]];
    ClickHead {
        link_position: u64::from_le_bytes(link_position),
        occurred_at: Instant::from_micros(i64::from_le_bytes(occurred_at)),
        country: (country != [0, 0]).then_some(country),
        device: Device::ALL
            .get(usize::from(bytes[7]))
            .copied()
            .unwrap_or_default(),
    }
}

/// The index entries of a row.
#[derive(Clone, Debug)]
pub(in crate::store) struct Heads {
    first_position: u64,
    places: Places,
    entries: Box<[u8]>,
}

impl Heads {
    /// The entries of the row that begins at this position; `None` if there are not as many
    /// entries as places.
    pub(in crate::store) fn new(
        first_position: u64,
        places: Places,
        entries: &[u8],
    ) -> Option<Self> {
        let fits = entries.len() == places.seated() as usize * HEAD_BYTES;
        fits.then(|| Self {
            first_position,
            places,
            entries: entries.into(),
        })
    }

    /// The entry of the click at this position, if one with a seat is there.
    pub(in crate::store) fn get(&self, position: u64) -> Option<ClickHead> {
        let Place::Seated(index) = self.place(position)? else {
            return None;
        };
        let (entries, _) = self.entries.as_chunks::<HEAD_BYTES>();
        entries.get(index as usize).map(read)
    }

    /// Where the line of the fact at this position is.
    pub(in crate::store) fn place(&self, position: u64) -> Option<Place> {
        let offset = position.checked_sub(self.first_position)?;
        self.places.place(u32::try_from(offset).ok()?)
    }
}

impl Span for Heads {
    fn first_position(&self) -> u64 {
        self.first_position
    }

    fn count(&self) -> u64 {
        u64::from(self.places.count())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.places.bytes() + self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_are_read_back(
            link_position in 0..=LINK_POSITION_MAX,
            micros in Instant::MIN.micros()..=Instant::MAX.micros(),
            country in prop::option::of([b'A'..=b'Z', b'A'..=b'Z']),
            device in prop::sample::select(Device::ALL),
        ) {
            let occurred_at = Instant::from_micros(micros);
            let head = ClickHead { link_position, occurred_at, country, device };
            let mut bytes = Vec::new();
            write(&head, &mut bytes).unwrap();
            prop_assert_eq!(read(bytes.first_chunk().unwrap()), head);
            prop_assert_eq!(bytes.len(), HEAD_BYTES);
        }
    }
}
