//! Lines out of rows of which only some columns were selected.

use postbook_schemas::FactType;
use tokio::task;

use super::{
    heads::Heads,
    lines::{HeldLines, Lines, Unpacker},
    places::{Place, Places},
    row::{damaged, parse_places},
};
use crate::store::{
    Filter, Page, StoreError, line,
    merkle::{Frontier, Hash, leaf_hash},
};

/// Less than this is unpacked where it is read; more is handed to another thread.
const UNPACK_APART_BYTES: u64 = 64 << 10;

/// The bit of clicks with a seat.
pub(in crate::store) fn seated_bit() -> u64 {
    Filter::bit(FactType::ClickRecorded)
}

/// What pages and roots are made from.
pub(in crate::store) trait Part {
    /// Where the row begins.
    fn first_position(&self) -> u64;

    /// How many facts it has.
    fn count(&self) -> u32;

    /// The set of their types.
    fn types(&self) -> u64;

    /// Which of them have seats.
    fn places(&self) -> &[u8];

    /// The lines of all but clicks with a seat, if they were selected.
    fn facts(&self) -> Option<&[u8]>;

    /// The lines of clicks with a seat, if they were selected.
    fn clicks(&self) -> Option<&[u8]>;

    /// Where the row ends.
    fn last_position(&self) -> u64 {
        self.first_position() + u64::from(self.count()) - 1
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Wanted {
    pub(in crate::store) from: u64,
    pub(in crate::store) to: u64,
    pub(in crate::store) filter: Filter,
    pub(in crate::store) bytes_max: usize,
}

/// The first page that has a line that is wanted, or an empty one at the end of what is asked for.
/// `next_page` makes one of the next rows; perhaps none of theirs is wanted.
pub(in crate::store) async fn first_page<F, R>(
    mut wanted: Wanted,
    mut next_page: F,
) -> Result<Page, StoreError>
where
    F: FnMut(Wanted) -> R,
    R: Future<Output = Result<Page, StoreError>>,
{
    while wanted.from <= wanted.to {
        let page = next_page(wanted).await?;
        if !page.ends.is_empty() {
            return Ok(page);
        }
        wanted.from = page.next;
    }
    Ok(Page {
        next: wanted.from,
        ..Page::default()
    })
}

/// As [`fill`], on another thread where there is much to unpack.
pub(in crate::store) async fn fill_apart<P: Part + Send + 'static>(
    page: Page,
    rows: Vec<P>,
    wanted: Wanted,
    unpacked_bytes: u64,
) -> Result<Page, StoreError> {
    if unpacked_bytes <= UNPACK_APART_BYTES {
        return fill(page, &rows, wanted);
    }
    let filling = task::spawn_blocking(move || fill(page, &rows, wanted));
    filling
        .await
        .map_err(|error| StoreError::failed("read", error))?
}

/// Puts the lines that are wanted onto the page, until it is full.
pub(in crate::store) fn fill(
    mut page: Page,
    rows: &[impl Part],
    wanted: Wanted,
) -> Result<Page, StoreError> {
    let mut unpacker = Unpacker::new()?;
    for row in rows {
        let row = Unpacked::try_new(row, &mut unpacker)?;
        for (position, place) in (row.first..).zip(row.places.iter()) {
            if position < wanted.from || position > wanted.to {
                continue;
            }
            let Some(line) = row.wanted_line(position, place, wanted.filter)? else {
                continue;
            };
            if !page.ends.is_empty() && page.bytes.len() + line.len() > wanted.bytes_max {
                page.next = position;
                return Ok(page);
            }
            page.push(position, line);
        }
    }
    Ok(page)
}

/// The tree hash up to a position within a row, from the state of the tree before the row.
pub(in crate::store) fn root_within(
    row: &impl Part,
    before: &[u8],
    size: u64,
) -> Result<Hash, StoreError> {
    let first = row.first_position();
    let mut frontier = Frontier::from_bytes(first - 1, before)
        .ok_or_else(|| damaged(first, "the tree before it is of another size"))?;
    let unpacked = Unpacked::try_new(row, &mut Unpacker::new()?)?;
    for place in unpacked.places.iter() {
        if frontier.size() == size {
            break;
        }
        let line = unpacked.line(place);
        let line = line.ok_or_else(|| damaged(frontier.size() + 1, "its line is missing"))?;
        frontier.push(leaf_hash(line));
    }
    Ok(frontier.root())
}

/// The lines of one kind, which were selected, to be held in memory.
pub(in crate::store) fn hold(row: &impl Part, seated: bool) -> Result<HeldLines, StoreError> {
    let unpacked = Unpacked::try_new(row, &mut Unpacker::new()?)?;
    let lines = if seated {
        unpacked.clicks
    } else {
        unpacked.facts
    };
    let lines = lines.ok_or_else(|| damaged(unpacked.first, "its lines are missing"))?;
    Ok(HeldLines::new(unpacked.first, unpacked.places, lines))
}

/// The index entries of a row, compressed as they are kept.
pub(in crate::store) fn heads(row: &impl Part, packed: &[u8]) -> Result<Heads, StoreError> {
    let first = row.first_position();
    let entries = Unpacker::new()?.unpack_bytes(packed);
    let entries = entries.map_err(|what| damaged(first, what))?;
    let places = parse_places(first, row.count(), row.places())?;
    Heads::new(first, places, &entries)
        .ok_or_else(|| damaged(first, "index entries and places do not fit"))
}

/// A row with the lines that were selected.
struct Unpacked {
    first: u64,
    types: u64,
    places: Places,
    facts: Option<Lines>,
    clicks: Option<Lines>,
}

impl Unpacked {
    fn try_new(row: &impl Part, unpacker: &mut Unpacker) -> Result<Self, StoreError> {
        let first = row.first_position();
        let places = parse_places(first, row.count(), row.places())?;
        let mut unpack = |blob: Option<&[u8]>, count| {
            let unpacked = blob.map(|blob| unpacker.unpack(blob, count));
            unpacked.transpose().map_err(|what| damaged(first, what))
        };
        Ok(Self {
            first,
            types: row.types(),
            facts: unpack(row.facts(), places.count() - places.seated())?,
            clicks: unpack(row.clicks(), places.seated())?,
            places,
        })
    }

    fn line(&self, place: Place) -> Option<&[u8]> {
        match place {
            Place::Seated(index) => self.clicks.as_ref()?.get(index),
            Place::Unseated(index) => self.facts.as_ref()?.get(index),
        }
    }

    /// The line at a place, if it is asked for.
    fn wanted_line(
        &self,
        position: u64,
        place: Place,
        filter: Filter,
    ) -> Result<Option<&[u8]>, StoreError> {
        let is_seated = matches!(place, Place::Seated(_));
        let selected = if is_seated { &self.clicks } else { &self.facts };
        if selected.is_none() {
            return Ok(None);
        }
        let line = self.line(place);
        let line = line.ok_or_else(|| damaged(position, "its line is missing from its row"))?;
        let others = self.types & !filter.bits() & !seated_bit();
        if is_seated || others == 0 {
            return Ok(Some(line));
        }
        let bit = line::bit_of_unseated(line)
            .ok_or_else(|| damaged(position, "its type is not known to this program"))?;
        Ok((bit & filter.bits() != 0).then_some(line))
    }
}
