//! `GET /v1/conversions/{id}/explain`: why a conversion earns what it earns, step by step.

use axum::Json;
use postbook_projections::explain::Explanation;
use serde_json::Value;

use super::{
    super::problem::Problem,
    context::{Reader, internal},
    conversions::visible,
    fields::Params,
    parts::Segment,
};
use crate::commands::explain;

/// Why a conversion earns what it earns: facts, attribution, terms, status, changes, postings,
/// payouts, in this order. Every number names the position of the fact it comes from.
#[utoipa::path(get, path = "/v1/conversions/{id}/explain", tag = "conversions",
    params(("id" = String, Path)),
    responses((status = 200, body = serde_json::Value), (status = 404, description = "there is none")))]
pub(super) async fn conversion(
    reader: Reader,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<Value>, Problem> {
    params.done()?;
    let row = visible(&reader, &id).await?;
    let explanation: Explanation = explain::conversion(
        (&*reader.service).into(),
        row,
        reader.sight().only_partner(),
    )
    .await?;
    let json = serde_json::to_value(explanation).map_err(|error| internal(&error))?;
    Ok(Json(json))
}
