//! Copying a log into another store, row by row: positions, bytes, hashes and keys stay the same.

use futures_util::future::BoxFuture;

use super::{
    StoreError,
    layout::{cut, row::Row},
};

/// The rows of a log.
pub(super) trait Rows: Send {
    /// The key of the fingerprints of keys.
    fn fingerprint_key(&mut self) -> BoxFuture<'_, Result<[u8; 32], StoreError>>;

    /// The position of the last fact.
    fn head(&mut self) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Some rows in order, from the one on that holds the fact after a position.
    fn after(&mut self, position: u64) -> BoxFuture<'_, Result<Vec<Row>, StoreError>>;
}

/// A log that takes rows.
pub(super) trait TakesRows: Rows {
    /// Takes over the key of the fingerprints, while the log is empty.
    fn take_key(&mut self, key: [u8; 32]) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Appends rows in one commit; refuses them if they do not follow the last fact.
    fn take(&mut self, rows: Vec<Row>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Lets go of files.
    fn finish(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Copies what is missing; returns up to where both are the same now. `progress` is told how far it has
/// come.
pub(super) async fn copy(
    from: &mut dyn Rows,
    to: &mut dyn TakesRows,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<u64, StoreError> {
    let (end, mut reached) = (from.head().await?, to.head().await?);
    let key = from.fingerprint_key().await?;
    if reached == 0 {
        to.take_key(key).await?;
    } else if to.fingerprint_key().await? != key {
        let what = "it holds another log: its keys have other fingerprints";
        return Err(StoreError::failed("written", what));
    }
    if reached > end {
        let what = format!("it has {reached} facts, the log to be copied {end}");
        return Err(StoreError::failed("written", what));
    }
    while reached < end {
        let mut rows = from.after(reached).await?;
        let Some(first) = rows.first_mut() else {
            let what = "the facts from here on are missing".to_owned();
            return Err(StoreError::Damaged {
                position: reached + 1,
                what,
            });
        };
        if first.first_position <= reached {
            *first = cut::after(first, reached)?;
        }
        let last = rows.last().map_or(reached, Row::last_position);
        to.take(rows).await?;
        reached = last;
        progress(reached);
    }
    Ok(reached)
}
