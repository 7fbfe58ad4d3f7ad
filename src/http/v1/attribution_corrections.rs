//! `POST /v1/attribution-corrections`: a person says who is credited.

use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{super::problem::Problem, context::Actor, fields::Fields, kept::kept};
use crate::{commands::correction, secrets::Role};

/// Who is credited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct NewCorrection {
    #[schema(value_type = Uuid)]
    conversion_id: String,
    /// Nobody if absent.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    partner: Option<String>,
    #[schema(pattern = r"\S", max_length = 1000)]
    reason: String,
}

/// Credits a conversion to a partner, or to nobody, whatever its candidates say.
#[utoipa::path(post, path = "/v1/attribution-corrections", tag = "decisions",
    request_body = NewCorrection, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = super::kept::KeptFact),
        (status = 404, description = "there is no such conversion")))]
pub(super) async fn correct(actor: Actor, mut fields: Fields) -> Result<Response, Problem> {
    let author = actor.author(Role::Manager, "POST /v1/attribution-corrections")?;
    let conversion_id = fields.required_parsed("conversion_id")?;
    let partner = fields.parsed("partner")?;
    let reason = fields.reason()?;
    fields.done()?;
    let corrected = correction::correct(&actor.service, &author, conversion_id, partner, reason);
    Ok(kept(&corrected.await?))
}
