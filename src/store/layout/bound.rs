//! Whose click ids a log has: it remembers the key by the id that number 0 has under it.
//!
//! Logs of earlier versions do not remember it, and are asked for their first click.

use postbook_schemas::ClickIdKey;

use super::{lines::Unpacker, places::Place, row::Row};
use crate::store::{StoreError, line};

/// The name under which the id of number 0 is kept.
pub(in crate::store) const CLICK_ID_OF_0: &str = "click_id_of_0";

/// Refuses a key under which number 0 has another id than the one that is kept.
pub(in crate::store) fn require_key(kept: &[u8], click_ids: &ClickIdKey) -> Result<(), StoreError> {
    if kept == click_ids.encode(0).as_str().as_bytes() {
        Ok(())
    } else {
        Err(StoreError::OtherKeys)
    }
}

/// Refuses a key that gives the first click of a row another id than it has. A row that cannot be read
/// proves nothing: checking the log names it.
pub(in crate::store) fn require_key_of(
    row: &Row,
    click_ids: &ClickIdKey,
) -> Result<(), StoreError> {
    match first_click(row) {
        Some((position, id)) if id != click_ids.encode(position).as_str() => {
            Err(StoreError::OtherKeys)
        }
        _ => Ok(()),
    }
}

/// Position and id of the first click with a seat.
fn first_click(row: &Row) -> Option<(u64, String)> {
    let places = row.places().ok()?;
    let clicks = Unpacker::new().ok()?.unpack(&row.clicks, places.seated());
    let clicks = clicks.ok()?;
    let id = line::click_id(clicks.get(0)?)?.to_owned();
    let is_click = |place| matches!(place, Place::Seated(_));
    let offset = places.iter().position(is_click)?;
    Some((row.first_position + u64::try_from(offset).ok()?, id))
}
