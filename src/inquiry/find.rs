//! Finds a click and what is known about it, by the id that was handed on.

use postbook_schemas::{Envelope, Fact, dedupe, traffic::Click};

use super::Sources;
use crate::commands::record::{self, CommandError};

/// A click with its fact.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) position: u64,
    pub(super) envelope: Envelope,
    pub(super) click: Click,
}

/// The click with an id: ours by decoding it, one from elsewhere by its key.
pub(super) async fn click(
    sources: &Sources<'_>,
    click_id: &str,
) -> Result<Option<Found>, CommandError> {
    if let Some(position) = sources.click_ids.decode(click_id)
        && (1..=sources.store.head()).contains(&position)
        && let Some(found) = at(sources, position, click_id).await?
    {
        return Ok(Some(found));
    }
    match sources
        .store
        .find(&dedupe::foreign_click_key(click_id))
        .await?
    {
        Some(position) => at(sources, position, click_id).await,
        None => Ok(None),
    }
}

/// The click at a position, if it is the one that is looked for: keys may only look alike.
async fn at(
    sources: &Sources<'_>,
    position: u64,
    click_id: &str,
) -> Result<Option<Found>, CommandError> {
    let envelope = record::read_from(sources.store, position).await?.envelope;
    Ok(match &envelope.fact {
        Fact::ClickRecorded(click) if click.click_id == click_id => Some(Found {
            position,
            click: click.clone(),
            envelope,
        }),
        _ => None,
    })
}
