//! `GET /v1/parked`: changes that wait for their conversion.

use axum::response::Response;
use postbook_projections::rows::ParkedRow;

use super::{
    super::problem::Problem,
    attempts::refuse_partners,
    context::Reader,
    fields::Params,
    page::{page, with_one_more},
    view::ParkedView,
};

/// Changes that wait for their conversion, the oldest first.
#[utoipa::path(get, path = "/v1/parked", tag = "intake", params(
    ("offer" = Option<String>, Query),
    ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query),
), responses((status = 200, body = super::page::Page<ParkedView>)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Response, Problem> {
    refuse_partners(&reader)?;
    let offer = reader.offer(params.parsed("offer")?)?;
    let slice = params.slice()?;
    params.done()?;
    let rows = reader
        .tables()
        .parked(offer.as_ref(), with_one_more(slice))
        .await?;
    let key = |row: &ParkedRow| row.position;
    Ok(page(rows, slice, key, ParkedView::from))
}
