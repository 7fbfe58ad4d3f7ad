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
    ("period" = Option<String>, Query, description = "the month in which it was posted, YYYY-MM"),
    ("conversion" = Option<String>, Query, description = "id of a conversion"),
    ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query),
), responses((status = 200, body = super::page::Page<PostingView>)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Response, Problem> {
    reader.require_no_offer_scope()?;
    let filter = PostingFilter {
        partner: reader.partner(params.parsed("partner")?)?,
        period: params.word("period", month, "not a month: write YYYY-MM")?,
        conversion_id: params.parsed("conversion")?,
    };
    let slice = params.slice()?;
    params.done()?;
    let rows = reader
        .tables()
        .postings(&filter, with_one_more(slice))
        .await?;
    let key = |row: &Posting| row.number;
    Ok(page(rows, slice, key, PostingView::from))
}

fn month(text: &str) -> Option<String> {
    let (year, month) = text.split_once('-')?;
    let are_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let is_month = year.len() == 4
        && month.len() == 2
        && are_digits(year)
        && are_digits(month)
        && ("01"..="12").contains(&month);
    is_month.then(|| text.to_owned())
}
