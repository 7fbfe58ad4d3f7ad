//! `POST /v1/decisions`: a manager approves, rejects, reverses or releases a conversion.

use axum::response::Response;
use postbook_schemas::decision::Decision;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{super::problem::Problem, context::Actor, fields::Fields, kept::kept};
use crate::{commands::decision, secrets::Role};

/// What was decided.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct NewDecision {
    #[schema(value_type = Uuid)]
    conversion_id: String,
    /// `approve`, `reject`, `reverse` or `release`.
    #[schema(pattern = "^(approve|reject|reverse|release)$")]
    decision: String,
    #[schema(pattern = r"\S", max_length = 1000)]
    reason: String,
}

/// Decides about a conversion. A decision outranks the advertiser's status until it is released.
#[utoipa::path(post, path = "/v1/decisions", tag = "decisions", request_body = NewDecision,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = super::kept::KeptFact),
        (status = 404, description = "there is no such conversion")))]
pub(super) async fn decide(actor: Actor, mut fields: Fields) -> Result<Response, Problem> {
    let author = actor.author(Role::Manager, "POST /v1/decisions")?;
    let conversion_id = fields.required_parsed("conversion_id")?;
    let word = fields.required("decision")?;
    let decision: Decision = serde_json::from_value(word.into())
        .map_err(|_| Problem::invalid("decision", "approve, reject, reverse or release"))?;
    let reason = fields.reason()?;
    fields.done()?;
    let decided = decision::decide(&actor.service, &author, conversion_id, decision, reason);
    Ok(kept(&decided.await?))
}
