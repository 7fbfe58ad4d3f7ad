//! `POST /v1/adjustments`: an amount that no conversion explains.

use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{super::problem::Problem, context::Actor, fields::Fields, kept::kept};
use crate::{commands::adjustment, secrets::Role};

/// What to post.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct NewAdjustment {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    partner: String,
    /// Positive in the partner's favour.
    #[schema(minimum = -1_000_000_000_000_000_i64, maximum = 1_000_000_000_000_000_i64)]
    amount_minor: i64,
    /// The partner's own if absent.
    #[schema(pattern = "^[A-Za-z]{3}$")]
    currency: Option<String>,
    #[schema(pattern = r"\S", max_length = 1000)]
    reason: String,
}

/// Posts an amount that no conversion explains.
#[utoipa::path(post, path = "/v1/adjustments", tag = "decisions", request_body = NewAdjustment,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = super::kept::KeptFact)))]
pub(super) async fn adjust(actor: Actor, mut fields: Fields) -> Result<Response, Problem> {
    let author = actor.author(Role::Finance, "POST /v1/adjustments")?;
    let partner = fields.required_parsed("partner")?;
    let amount_minor = fields
        .minor("amount_minor")?
        .ok_or_else(|| Problem::missing("amount_minor", "`amount_minor` is missing"))?;
    let currency = fields.parsed("currency")?;
    let reason = fields.reason()?;
    fields.done()?;
    let adjusted = adjustment::adjust(
        &actor.service,
        &author,
        partner,
        amount_minor,
        currency,
        reason,
    );
    Ok(kept(&adjusted.await?))
}
