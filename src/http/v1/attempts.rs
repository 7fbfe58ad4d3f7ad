//! `GET /v1/attempts`: every postback that came in, whatever became of it.

use axum::response::Response;
use postbook_projections::rows::AttemptRow;
use postbook_schemas::Outcome;

use super::{
    super::problem::Problem,
    context::Reader,
    fields::Params,
    page::{page, with_one_more},
    view::AttemptView,
};
use crate::tables::query::attempts::AttemptFilter;

/// Attempts in the order in which they came.
#[utoipa::path(get, path = "/v1/attempts", tag = "intake", params(
    ("outcome" = Option<String>, Query), ("offer" = Option<String>, Query),
    ("click_id" = Option<String>, Query), ("txn_id" = Option<String>, Query),
    ("customer_id" = Option<String>, Query),
    ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query),
), responses((status = 200, body = super::page::Page<AttemptView>)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Response, Problem> {
    if reader.caller.only_partner().is_some() {
        return Err(Problem::forbidden("attempts are the advertisers' business"));
    }
    let filter = AttemptFilter {
        outcome: params.word("outcome", Outcome::from_code, "not an outcome")?,
        offer: reader.offer(params.parsed("offer")?)?,
        click_id: params.text("click_id"),
        txn_id: params.text("txn_id"),
        customer_id: params.text("customer_id"),
    };
    let slice = params.slice()?;
    params.done()?;
    let rows = reader
        .tables()
        .attempts(&filter, with_one_more(slice))
        .await?;
    let key = |row: &AttemptRow| row.position;
    Ok(page(rows, slice, key, AttemptView::from))
}
