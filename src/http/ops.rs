//! `/healthz`, `/readyz` and `/metrics`: for whoever runs the service.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{commands::rebuild::Outcome, projector::lease::Role, service::Service};

/// Facts that the read models may be behind before the service calls itself not ready.
const LAG_MAX: u64 = 100_000;

pub(super) const HEALTHZ: &str = "/healthz";
pub(super) const READYZ: &str = "/readyz";
pub(super) const METRICS: &str = "/metrics";

/// All of these: no link can have such a slug.
pub(super) const PATHS: [&str; 3] = [HEALTHZ, READYZ, METRICS];

/// The process answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    status: &'static str,
    /// `projecting` if this node writes the read models, `following` if another one does.
    role: &'static str,
}

/// The word for what a node is to the read models.
fn word(role: &Role) -> &'static str {
    match role {
        Role::Projecting(_) => "projecting",
        Role::Following(_) => "following",
    }
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation",
    responses((status = 200, body = Health, description = "it does")))]
pub(super) async fn healthz(State(service): State<Arc<Service>>) -> impl IntoResponse {
    Json(Health {
        status: "ok",
        role: word(&service.projector.role()),
    })
}

/// Whether the service can do its work.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    /// `ready` or `not_ready`.
    status: &'static str,
    /// `projecting` if this node writes the read models, `following` if another one does.
    role: &'static str,
    /// How other nodes name this one, where they share its read models.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// The node that writes the shared read models, as far as is known.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    projecting_node: Option<String>,
    /// Grows whenever another node takes over.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<i64>,
    log_head: u64,
    projector_position: u64,
    lag: u64,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    projector_failed: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    projector_trouble: Option<String>,
    /// The read models are being built again, since they were of another form or not what the log
    /// says.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    building: Option<Building>,
}

/// How far the read models have come that are built again before they are current.
#[derive(Serialize, ToSchema)]
pub(super) struct Building {
    /// Facts up to here are done.
    position: u64,
    head: u64,
    facts_per_second: u64,
    left_ms: Option<u64>,
    /// Whether the old ones answer meanwhile.
    old_ones_answer: bool,
}

/// Postbacks can be kept, and what is read is nearly current.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200, body = Readiness, description = "ready"),
        (status = 503, body = Readiness, description = "not ready, and why")))]
pub(super) async fn readyz(State(service): State<Arc<Service>>) -> Response {
    let log_head = service.log.store().head();
    let projector_position = service.projector.position();
    let lag = log_head.saturating_sub(projector_position);
    let projector_failed = service.projector.failed();
    let building = service.projector.building().map(|progress| Building {
        position: progress.position,
        head: progress.head,
        facts_per_second: progress.facts_per_second(),
        left_ms: progress
            .left()
            .map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        old_ones_answer: service.tables.are_readable(),
    });
    let readable = service.tables.are_readable();
    let ready = projector_failed.is_none() && readable && lag <= LAG_MAX;
    let (code, status) = if ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    let role = service.projector.role();
    let node = service.projector.node().map(ToString::to_string);
    let (projecting_node, term) = match &role {
        Role::Projecting(term) => (node.clone(), node.is_some().then_some(*term)),
        Role::Following(by) => by.as_ref().map(|by| (by.node.to_string(), by.term)).unzip(),
    };
    let body = Readiness {
        status,
        role: word(&role),
        node,
        projecting_node,
        term,
        log_head,
        projector_position,
        lag,
        projector_failed,
        projector_trouble: service.projector.trouble(),
        building,
    };
    (code, Json(body)).into_response()
}

/// Everything that is counted, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, body = String, content_type = "text/plain", description = "in Prometheus' text format")))]
pub(super) async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let head = service.log.store().head();
    let failed = service.projector.failed().is_some();
    let position = service.projector.position();
    service.meters.places(head, position, failed);
    let rebuild = service
        .rebuilds
        .last()
        .filter(|last| last.outcome == Outcome::Running);
    let rebuild = rebuild.map(|last| last.progress);
    let building = service.projector.building().or(rebuild);
    service.meters.building(building.unwrap_or_default());
    service.meters.role(&service.projector.role());
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    (
        [(header::CONTENT_TYPE, content_type)],
        service.meters.render(),
    )
}
