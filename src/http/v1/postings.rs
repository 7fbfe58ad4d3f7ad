//! `GET /v1/postings`: the ledger.

use axum::response::Response;
use postbook_projections::rows::Posting;

use super::{
    super::problem::Problem,
    context::Reader,
    fields::Params,
    page::{page, with_one_more},
    view::PostingView,
};
use crate::tables::query::postings::PostingFilter;

/// Postings in the order in which they were posted.
#[utoipa::path(get, path = "/v1/postings", tag = "balances", params(
    ("partner" = Option<String>, Query),
    ("period" = Option<String>, Query, description = "the month in whose books it stands, YYYY-MM"),
    ("conversion" = Option<String>, Query, description = "id of a conversion"),
    ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query),
), responses((status = 200, body = super::page::Page<PostingView>)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Response, Problem> {
    reader.require_no_offer_scope()?;
    let filter = PostingFilter {
        only_theirs: false,
        partner: reader.partner(params.parsed("partner")?)?,
        period: params.parsed("period")?,
        conversion_id: params.parsed("conversion")?,
    };
    let slice = params.slice()?;
    params.done()?;
    let rows = reader
        .tables()
        .postings(&reader.sight().postings(filter), with_one_more(slice))
        .await?;
    let key = |row: &Posting| row.number;
    Ok(page(rows, slice, key, PostingView::from))
}
