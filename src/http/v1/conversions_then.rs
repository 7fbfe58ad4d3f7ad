//! `GET /v1/conversions` as of one time as known at another: how conversions were.

use axum::response::Response;
use postbook_projections::rows::ConversionRow;
use postbook_schemas::Status;

use super::{
    super::problem::Problem,
    context::Reader,
    page::{page, short_page},
    view::Conversion,
};
use crate::{
    commands::past,
    tables::query::{Slice, balances::AsOf, conversions::ConversionFilter},
};

/// How many conversions are looked at together, and for one page: whom one is credited to and its status
/// may have been others, so they cannot be looked up. A page may show fewer than it might.
const TOGETHER: u32 = 100;
const FOR_A_PAGE: usize = 1_000;

/// A page of conversions as they were, those that the filter meant then.
pub(super) async fn list(
    reader: &Reader,
    filter: ConversionFilter,
    as_of: AsOf,
    slice: Slice,
) -> Result<Response, Problem> {
    let happened = as_of.effective.plus_micros(1);
    let candidates = ConversionFilter {
        partner: None,
        status: None,
        to: Some(filter.to.map_or(happened, |to| to.min(happened))),
        ..filter.clone()
    };
    let service = &*reader.service;
    let limit = usize::try_from(slice.limit).unwrap_or(usize::MAX);
    let together = slice.limit.saturating_add(1).min(TOGETHER);
    let (mut found, mut looked_at, mut after) = (Vec::new(), 0, slice.after);
    loop {
        let part = Slice {
            after,
            limit: together,
        };
        let mut rows = reader.tables().conversions(&candidates, part).await?;
        let is_full = rows.len() >= usize::try_from(together).unwrap_or(usize::MAX);
        let read = rows.len();
        // In the order in which they were recorded: nothing after was known.
        rows.retain(|row| row.recorded_at <= as_of.known);
        let is_last = !is_full || rows.len() < read;
        after = rows.last().map_or(after, |row| row.position);
        looked_at += read;
        let then = past::conversions(service.into(), &service.projector, &rows, as_of).await?;
        let meant = then.into_iter().filter(|row| is_meant(row, &filter, as_of));
        found.extend(meant.filter_map(|row| reader.sight().conversion(row)));
        let view = |row| Conversion::at(row, as_of.effective);
        if is_last || found.len() > limit {
            return Ok(page(found, slice, |row| row.position, view));
        }
        if looked_at >= FOR_A_PAGE {
            return Ok(short_page(found.into_iter().map(view).collect(), after));
        }
    }
}

/// Whether the filter meant a conversion as it was.
fn is_meant(row: &ConversionRow, filter: &ConversionFilter, as_of: AsOf) -> bool {
    let partner = filter.partner.as_ref();
    let is_credited = partner.is_none_or(|wanted| row.attribution.partner.as_ref() == Some(wanted));
    let is_due = row.approves_at.is_some_and(|at| at <= as_of.effective);
    let status = match row.status {
        Status::Pending if is_due => Status::Approved,
        status => status,
    };
    is_credited && filter.status.is_none_or(|(wanted, _)| wanted == status)
}
