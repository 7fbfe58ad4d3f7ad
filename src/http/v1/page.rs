//! Lists in pages.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::cursor;
use crate::tables::query::Slice;

/// A page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    items: Vec<T>,
    /// Where the next page begins; `null` on the last one.
    next_cursor: Option<String>,
}

/// A page out of rows of which one more was fetched than it shows, so that the last page knows it
/// is the last.
pub(super) fn page<R, T: Serialize>(
    mut rows: Vec<R>,
    slice: Slice,
    key: impl Fn(&R) -> u64,
    view: impl Fn(R) -> T,
) -> Response {
    let limit = usize::try_from(slice.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|row| cursor(key(row)));
    let items = rows.into_iter().map(view).collect();
    Json(Page { items, next_cursor }).into_response()
}

/// A page that ends before it is full, since what comes after was not looked at.
pub(super) fn short_page<T: Serialize>(items: Vec<T>, after: u64) -> Response {
    let next_cursor = Some(cursor(after));
    Json(Page { items, next_cursor }).into_response()
}

/// The slice to fetch for a page.
pub(super) fn with_one_more(slice: Slice) -> Slice {
    Slice {
        limit: slice.limit + 1,
        ..slice
    }
}
