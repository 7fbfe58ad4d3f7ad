//! The line that is kept of a fact, and the click id that is written into it.

use postbook_schemas::{ClickId, FactType, Instant};

use super::{Append, Filter, StoreError};

/// How the data of a click with a seat begins; ten characters of click id follow.
const CLICK_ID_FIELD: &[u8] = b"{\"click_id\":\"";
const CLICK_ID_LENGTH: usize = 10;

/// Where the name of the type begins in every line: after `{"id":"`, a UUID and `","type":"`.
const TYPE_START: usize = 7 + 36 + 10;

/// Appends the line of a fact to `bytes`, without a line feed. The id takes the place of the one in
/// the data.
pub(super) fn write(
    append: &Append,
    recorded_at: Instant,
    click_id: Option<ClickId>,
    bytes: &mut Vec<u8>,
) {
    append.draft.write_line(recorded_at, bytes);
    if let Some(click_id) = click_id {
        // The data is what the line ends with, but for one brace.
        let start = bytes.len() - 1 - append.draft.data.len() + CLICK_ID_FIELD.len();
        bytes[start..start + CLICK_ID_LENGTH].copy_from_slice(click_id.as_str().as_bytes());
    }
}

/// The bit of a fact in a [`Filter`].
pub(super) fn bit(append: &Append) -> u64 {
    if append.draft.fact_type == FactType::ClickRecorded && append.seat.is_none() {
        Filter::UNSEATED_CLICK
    } else {
        Filter::bit(append.draft.fact_type)
    }
}

/// The bit of a kept line that is not a click with a seat; `None` for a type nobody knows.
pub(super) fn bit_of_unseated(line: &[u8]) -> Option<u64> {
    match FactType::from_name(type_name(line)?)? {
        FactType::ClickRecorded => Some(Filter::UNSEATED_CLICK),
        other => Some(Filter::bit(other)),
    }
}

/// The name of the type in a kept line.
pub(super) fn type_name(line: &[u8]) -> Option<&str> {
    let rest = line.get(TYPE_START..)?;
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}

/// The click id in a kept line of a click with a seat.
pub(super) fn click_id(line: &[u8]) -> Option<&str> {
    let start =
        memchr::memmem::find(line, b",\"data\":{\"click_id\":\"")? + 8 + CLICK_ID_FIELD.len();
    std::str::from_utf8(line.get(start..start + CLICK_ID_LENGTH)?).ok()
}

/// Refuses what cannot be kept as one line, or as a click with a seat.
pub(super) fn refuse_unfit(append: &Append) -> Result<(), StoreError> {
    let data = &append.draft.data;
    if memchr::memchr(b'\n', data).is_some() {
        return Err(unfit("the data of a fact holds a line feed"));
    }
    if append.seat.is_none() {
        return Ok(());
    }
    if append.draft.fact_type != FactType::ClickRecorded {
        return Err(unfit("only a click can have a seat"));
    }
    let end = CLICK_ID_FIELD.len() + CLICK_ID_LENGTH;
    if !data.starts_with(CLICK_ID_FIELD) || data.get(end) != Some(&b'"') {
        return Err(unfit(
            "the data of a click with a seat must begin with a click_id of ten characters",
        ));
    }
    Ok(())
}

fn unfit(what: &'static str) -> StoreError {
    StoreError::failed("written", what)
}
