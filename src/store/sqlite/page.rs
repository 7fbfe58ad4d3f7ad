//! Reading on: pages of lines from a position, only such as a filter asks for.

use futures_util::TryStreamExt;
use sqlx::{Row as _, sqlite::SqliteRow};
use tokio::task;

use super::{
    Shared,
    lines::{Lines, Unpacker, unpacked_bytes},
    load::read_failed,
    places::Place,
    read::seated_bit,
    row::{damaged, first_position, parse_places},
};
use crate::store::{Filter, Page, StoreError, line};

/// Rows from the one that holds a position on. Columns that are not asked for are not read.
const ROWS_FROM: &str = "\
    SELECT first_position, count, types, places, \
        CASE WHEN types & ?3 THEN facts END, \
        CASE WHEN types & ?4 THEN clicks END \
    FROM groups \
    WHERE first_position >= (SELECT max(first_position) FROM groups WHERE first_position <= ?1) \
        AND first_position <= ?2 AND (types & ?3 OR types & ?4) \
    ORDER BY first_position";

/// Less than this is unpacked where it is read; more is handed to another thread.
const UNPACK_APART_BYTES: u64 = 64 << 10;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    from: u64,
    to: u64,
    filter: Filter,
    bytes_max: usize,
}

impl Shared {
    /// Lines from a position on.
    pub(super) async fn read(
        &self,
        from: u64,
        to: u64,
        filter: Filter,
        bytes_max: usize,
    ) -> Result<Page, StoreError> {
        let mut wanted = Wanted {
            from: from.max(1),
            to: to.min(self.head()),
            filter,
            bytes_max,
        };
        loop {
            if wanted.from > wanted.to {
                return Ok(Page {
                    next: wanted.from,
                    ..Page::default()
                });
            }
            let page = self.next_page(wanted).await?;
            if !page.ends.is_empty() {
                return Ok(page);
            }
            wanted.from = page.next;
        }
    }

    /// Lines of the next rows; perhaps none, but then of what comes before `next`.
    async fn next_page(&self, wanted: Wanted) -> Result<Page, StoreError> {
        let bits = wanted.filter.bits();
        let mut rows = sqlx::query(ROWS_FROM)
            .bind(wanted.from.cast_signed())
            .bind(wanted.to.cast_signed())
            .bind((bits & !seated_bit()).cast_signed())
            .bind((bits & seated_bit()).cast_signed())
            .fetch(&self.readers);
        let (mut batch, mut bytes) = (Vec::new(), 0_u64);
        let mut last = wanted.to;
        while let Some(row) = rows.try_next().await.map_err(read_failed)? {
            for column in [4, 5] {
                let blob: Option<&[u8]> = row.try_get(column).map_err(read_failed)?;
                bytes = bytes.saturating_add(blob.map_or(0, unpacked_bytes));
            }
            let end = first_position(&row) + u64::from(row.get::<u32, _>(1)) - 1;
            batch.push(row);
            if bytes >= wanted.bytes_max as u64 {
                last = end.min(wanted.to);
                break;
            }
        }
        drop(rows);
        let page = Page {
            next: last + 1,
            ..Page::default()
        };
        if bytes <= UNPACK_APART_BYTES {
            return fill(page, &batch, wanted);
        }
        let filling = task::spawn_blocking(move || fill(page, &batch, wanted));
        filling
            .await
            .map_err(|error| StoreError::failed("read", error))?
    }
}

/// Puts the lines that are wanted onto the page, until it is full.
fn fill(mut page: Page, rows: &[SqliteRow], wanted: Wanted) -> Result<Page, StoreError> {
    let mut unpacker = Unpacker::new()?;
    for row in rows {
        let row = Unpacked::new(row, &mut unpacker)?;
        for (position, place) in (row.first..).zip(row.places.iter()) {
            if position < wanted.from || position > wanted.to {
                continue;
            }
            let Some(line) = row.line(position, place, wanted.filter)? else {
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

/// A row with the lines that were asked for.
struct Unpacked {
    first: u64,
    types: u64,
    places: super::places::Places,
    facts: Option<Lines>,
    clicks: Option<Lines>,
}

impl Unpacked {
    fn new(row: &SqliteRow, unpacker: &mut Unpacker) -> Result<Self, StoreError> {
        let first = first_position(row);
        let places = parse_places(first, row.get(1), row.get(3))?;
        let mut unpack = |column: usize, count| {
            let blob: Option<&[u8]> = row.get(column);
            let unpacked = blob.map(|blob| unpacker.unpack(blob, count));
            unpacked.transpose().map_err(|what| damaged(first, what))
        };
        Ok(Self {
            first,
            types: row.get::<i64, _>(2).cast_unsigned(),
            facts: unpack(4, places.count() - places.seated())?,
            clicks: unpack(5, places.seated())?,
            places,
        })
    }

    /// The line at a place, if it is asked for.
    fn line(
        &self,
        position: u64,
        place: Place,
        filter: Filter,
    ) -> Result<Option<&[u8]>, StoreError> {
        let (lines, index) = match place {
            Place::Seated(index) => (&self.clicks, index),
            Place::Unseated(index) => (&self.facts, index),
        };
        let Some(lines) = lines else {
            return Ok(None);
        };
        let line = lines.get(index);
        let line = line.ok_or_else(|| damaged(position, "its line is missing from its row"))?;
        let others = self.types & !filter.bits() & !seated_bit();
        if matches!(place, Place::Seated(_)) || others == 0 {
            return Ok(Some(line));
        }
        let bit = line::bit_of_unseated(line)
            .ok_or_else(|| damaged(position, "its type is not known to this program"))?;
        Ok((bit & filter.bits() != 0).then_some(line))
    }
}
