//! `/healthz`, `/readyz` and `/metrics`: for whoever runs the service.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::service::Service;

/// Facts that the read models may be behind before the service calls itself not ready.
const LAG_MAX: u64 = 100_000;

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// The process answers.
pub(super) async fn healthz() -> impl IntoResponse {
    Json(Health { status: "ok" })
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    log_head: u64,
    projector_position: u64,
    lag: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    projector_failed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    projector_trouble: Option<String>,
}

/// Postbacks can be kept, and what is read is nearly current.
pub(super) async fn readyz(State(service): State<Arc<Service>>) -> Response {
    let log_head = service.log.store().head();
    let projector_position = service.projector.position();
    let lag = log_head.saturating_sub(projector_position);
    let projector_failed = service.projector.failed();
    let ready = projector_failed.is_none() && lag <= LAG_MAX;
    let (code, status) = if ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    let body = Readiness {
        status,
        log_head,
        projector_position,
        lag,
        projector_failed,
        projector_trouble: service.projector.trouble(),
    };
    (code, Json(body)).into_response()
}

/// Everything that is counted, in Prometheus' text format.
pub(super) async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let head = service.log.store().head();
    let failed = service.projector.failed().is_some();
    let position = service.projector.position();
    service.meters.places(head, position, failed);
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    (
        [(header::CONTENT_TYPE, content_type)],
        service.meters.render(),
    )
}
