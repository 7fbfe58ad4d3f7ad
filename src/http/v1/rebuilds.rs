//! `/v1/rebuilds`, `/v1/generations`: building the read models again while they answer.

use std::sync::Arc;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use postbook_schemas::Instant;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::problem::Problem,
    context::Actor,
    fields::{Fields, Params},
};
use crate::{
    commands::rebuild::{self, Outcome, Rebuild},
    secrets::Role,
    service::Service,
    tables::generation::Generation,
};

/// A rebuild as it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Rebuild)]
pub(super) struct RebuildView {
    /// `running`, `identical`, `differed` (the old read models were wrong, and are replaced),
    /// `not_compared` (they were of another form), `cancelled` or `failed`.
    state: &'static str,
    /// `waiting`, `resuming`, `folding`, `indexing`, `switching` or `ended`.
    phase: &'static str,
    actor: String,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    started_at: Instant,
    /// Facts up to here are done.
    position: u64,
    /// Where it is going.
    head: u64,
    facts_per_second: u64,
    elapsed_ms: u64,
    /// How long the rest takes at this rate, while it is running.
    left_ms: Option<u64>,
    /// Where live and rebuilt read models were compared.
    compared_at: Option<u64>,
    live_digest: Option<String>,
    rebuilt_digest: Option<String>,
    /// The generation that is in force since.
    generation: Option<i64>,
    /// How long the live read models stood still for the switch.
    paused_us: Option<u64>,
    /// Why it failed.
    detail: Option<String>,
}

impl From<Rebuild> for RebuildView {
    fn from(rebuild: Rebuild) -> Self {
        let progress = rebuild.progress;
        let is_running = rebuild.outcome == Outcome::Running;
        let left = progress.left().filter(|_| is_running);
        let mut view = Self {
            state: state(&rebuild.outcome),
            phase: progress.phase.code(),
            actor: rebuild.actor.to_string(),
            started_at: rebuild.started_at,
            position: progress.position,
            head: progress.head,
            facts_per_second: progress.facts_per_second(),
            elapsed_ms: whole(progress.elapsed.as_millis()),
            left_ms: left.map(|left| whole(left.as_millis())),
            compared_at: None,
            live_digest: None,
            rebuilt_digest: None,
            generation: None,
            paused_us: None,
            detail: None,
        };
        match rebuild.outcome {
            Outcome::Running | Outcome::Cancelled => {}
            Outcome::Failed(why) => view.detail = Some(why),
            Outcome::Done(rebuilt) => {
                view.generation = Some(rebuilt.generation);
                view.paused_us = Some(whole(rebuilt.paused.as_micros()));
                let compared = rebuilt.compared;
                view.compared_at = compared.map(|compared| compared.position);
                view.live_digest = compared.map(|compared| compared.live.to_string());
                view.rebuilt_digest = compared.map(|compared| compared.rebuilt.to_string());
            }
        }
        view
    }
}

fn state(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Running => "running",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed(_) => "failed",
        Outcome::Done(rebuilt) if rebuilt.compared.is_none() => "not_compared",
        Outcome::Done(rebuilt) if rebuilt.is_identical() => "identical",
        Outcome::Done(_) => "differed",
    }
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Generations of the read models.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Generations {
    items: Vec<GenerationView>,
}

/// One generation of the read models.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Generation)]
pub(super) struct GenerationView {
    number: i64,
    /// `in_force`, `kept` (it was, until the last switch) or `unfinished`.
    purpose: &'static str,
    bytes: u64,
}

impl Generations {
    fn of(generations: &[Generation]) -> Self {
        let items = generations.iter().map(|generation| GenerationView {
            number: generation.number,
            purpose: generation.purpose.code(),
            bytes: generation.bytes,
        });
        Self {
            items: items.collect(),
        }
    }
}

/// Begins to build the read models again from the log, beside the live ones.
#[utoipa::path(post, path = "/v1/rebuilds", tag = "operation",
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202, body = RebuildView, description = "it has begun"),
        (status = 409, description = "one is under way")))]
pub(super) async fn begin(actor: Actor, fields: Fields) -> Result<Response, Problem> {
    let author = actor.author(Role::Admin, "POST /v1/rebuilds")?;
    fields.done()?;
    let begun = rebuild::begin(&actor.service, &author.actor, author.idempotency_key)?;
    Ok((StatusCode::ACCEPTED, Json(RebuildView::from(begun))).into_response())
}

/// How far the last rebuild of this process is, or what came of it.
#[utoipa::path(get, path = "/v1/rebuilds/last", tag = "operation",
    responses((status = 200, body = RebuildView),
        (status = 404, description = "there was none since the start")))]
pub(super) async fn last(actor: Actor, params: Params) -> Result<Json<RebuildView>, Problem> {
    actor.author(Role::Viewer, "GET /v1/rebuilds/last")?;
    params.done()?;
    let last = actor.service.rebuilds.last();
    let last = last.ok_or_else(|| Problem::not_found("nothing was rebuilt since the start"))?;
    Ok(Json(last.into()))
}

/// Ends the rebuild that is under way; the next one goes on from there.
#[utoipa::path(post, path = "/v1/rebuilds/last/cancel", tag = "operation",
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202, body = RebuildView, description = "it ends at its next page"),
        (status = 409, description = "none is under way")))]
pub(super) async fn cancel(actor: Actor, fields: Fields) -> Result<Response, Problem> {
    actor.author(Role::Admin, "POST /v1/rebuilds/last/cancel")?;
    fields.done()?;
    let cancelled = actor.service.rebuilds.cancel()?;
    Ok((StatusCode::ACCEPTED, Json(RebuildView::from(cancelled))).into_response())
}

/// The generations of the read models that there are.
#[utoipa::path(get, path = "/v1/generations", tag = "operation",
    responses((status = 200, body = Generations)))]
pub(super) async fn generations(
    actor: Actor,
    params: Params,
) -> Result<Json<Generations>, Problem> {
    actor.author(Role::Viewer, "GET /v1/generations")?;
    params.done()?;
    Ok(Json(Generations::of(&list(&actor.service).await?)))
}

async fn list(service: &Arc<Service>) -> Result<Vec<Generation>, Problem> {
    Ok(service.tables.generations().await?)
}

/// Removes the generation that was in force before, and one that was not finished.
#[utoipa::path(post, path = "/v1/generations/release", tag = "operation",
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = Generations, description = "those that went"),
        (status = 409, description = "one is under construction")))]
pub(super) async fn release(actor: Actor, fields: Fields) -> Result<Json<Generations>, Problem> {
    actor.author(Role::Admin, "POST /v1/generations/release")?;
    fields.done()?;
    let released = rebuild::release(&actor.service).await?;
    Ok(Json(Generations::of(&released)))
}
