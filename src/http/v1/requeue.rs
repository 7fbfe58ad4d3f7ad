//! `POST /v1/requeue`: refused attempts are read again under the offer's mapping.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use postbook_schemas::{Instant, OfferRef, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{super::problem::Problem, context::Actor, parts::Whole};
use crate::{
    commands::requeue::{self as command, LIMIT_MAX},
    secrets::Role,
};

const ENDPOINT: &str = "POST /v1/requeue";

/// What is to be read again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Requeue {
    /// Attempts at this offer.
    #[schema(value_type = String)]
    offer: OfferRef,
    /// Received at this time or later.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    from: Option<Instant>,
    /// Received before this time.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    to: Option<Instant>,
    /// Refused so: `malformed`, `missing_field`, `invalid_value`, `payout_not_allowed`,
    /// `unknown_click` or `expired_click`; all of them if absent.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    outcomes: Vec<Outcome>,
    /// A programme file (TOML) with a draft of the mapping, for dry runs.
    mapping: Option<String>,
    /// Only look.
    #[serde(default = "yes")]
    #[schema(default = true)]
    dry_run: bool,
    /// Why; needed where facts are appended.
    reason: Option<String>,
    /// The position after which to begin.
    #[serde(default)]
    after: u64,
    /// At most so many, up to 10000.
    #[serde(default = "limit_default")]
    #[schema(default = 1000, minimum = 1, maximum = 10_000)]
    limit: u32,
}

const fn yes() -> bool {
    true
}

const fn limit_default() -> u32 {
    1_000
}

/// What became of the attempts, or would.
#[derive(Serialize, ToSchema)]
pub(super) struct RequeuedView {
    /// Whether facts were appended.
    applied: bool,
    /// An attempt each: what it `was`, and what it `becomes`.
    items: Vec<Value>,
    /// Where to go on, if there are more.
    next_after: Option<u64>,
}

/// Reads refused attempts again, as they came in, under the offer's mapping as it is now: what was
/// let in and refused for what it said. Appends nothing unless `dry_run` is false.
#[utoipa::path(post, path = "/v1/requeue", tag = "intake", request_body = Requeue,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = RequeuedView),
        (status = 404, description = "there is no such offer")))]
pub(super) async fn requeue(actor: Actor, Whole(body): Whole) -> Result<Response, Problem> {
    let author = actor.author(Role::Manager, ENDPOINT)?;
    let asked: Requeue = serde_json::from_slice(&body)
        .map_err(|error| Problem::invalid("body", format!("not a requeue: {error}")))?;
    if !(1..=LIMIT_MAX).contains(&asked.limit) {
        return Err(Problem::invalid("limit", "a whole number from 1 to 10000"));
    }
    let reason = asked.reason.filter(|reason| !reason.trim().is_empty());
    if reason
        .as_ref()
        .is_some_and(|reason| reason.chars().count() > 1_000)
    {
        return Err(Problem::invalid("reason", "at most 1000 characters"));
    }
    let apply = match (asked.dry_run, reason) {
        (true, _) => None,
        (false, Some(reason)) => Some(reason),
        (false, None) => {
            let detail = "say why: `reason` is kept with the facts";
            return Err(Problem::missing("reason", detail));
        }
    };
    let asked = command::Requeue {
        offer: asked.offer,
        from: asked.from,
        to: asked.to,
        outcomes: asked.outcomes,
        after: asked.after,
        limit: asked.limit,
        draft: asked.mapping,
        apply,
        actor: author.actor,
        endpoint: ENDPOINT.to_owned(),
    };
    let done = command::requeue(&actor.service, &asked).await?;
    Ok(Json(done.to_json()).into_response())
}
