//! The answer to a request whose fact is in the log.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use postbook_schemas::Instant;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::commands::record::Kept;

/// A fact that was kept. A repeat of the request is answered with the same.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct KeptFact {
    id: Uuid,
    position: u64,
    #[serde(rename = "type")]
    fact_type: &'static str,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    recorded_at: Instant,
}

pub(super) fn kept(kept: &Kept) -> Response {
    let envelope = &kept.recorded.envelope;
    let body = KeptFact {
        id: envelope.id,
        position: kept.recorded.position,
        fact_type: envelope.fact.fact_type().name(),
        recorded_at: envelope.recorded_at,
    };
    (StatusCode::CREATED, Json(body)).into_response()
}
