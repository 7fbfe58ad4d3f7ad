//! `GET /v1/terms`: the terms that price conversions of a time, as known at another.

use axum::Json;
use postbook_schemas::{Instant, Slug};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    super::problem::Problem,
    context::{Reader, internal},
    fields::Params,
};
use crate::{commands::past, tables::query::balances::AsOf};

/// Terms that hold.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct TermsList {
    items: Vec<TermsView>,
}

/// One version of terms.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct TermsView {
    version: String,
    offer: String,
    /// `*` or the partner's slug.
    partner: String,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    effective_from: Instant,
    /// Where they were published.
    position: u64,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    recorded_at: Instant,
    published_by: String,
    /// As they are written in a programme file.
    terms: Value,
}

/// The terms that price conversions of the time `as_of`, as known at `known_at`: of each offer and partner
/// the version that is in force.
#[utoipa::path(get, path = "/v1/terms", tag = "programme", params(
    ("offer" = Option<String>, Query), ("partner" = Option<String>, Query, description = "its own terms and those for all"),
    ("as_of" = Option<String>, Query, description = "when conversions happen; default: now"),
    ("known_at" = Option<String>, Query, description = "default: all that is recorded"),
), responses((status = 200, body = TermsList)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Json<TermsList>, Problem> {
    reader.caller.require_unscoped()?;
    let offer = params.parsed("offer")?;
    let partner: Option<Slug> = params.parsed("partner")?;
    let as_of = AsOf {
        effective: params
            .time("as_of")?
            .unwrap_or_else(|| reader.service.clock.now()),
        known: params.time("known_at")?.unwrap_or(Instant::MAX),
    };
    params.done()?;
    let store = reader.service.log.store();
    let found = past::terms(&**store, offer.as_ref(), partner.as_ref(), as_of).await?;
    let items = found.into_iter().map(|found| {
        let terms = found.published.terms;
        Ok(TermsView {
            version: found.published.version,
            offer: terms.offer.to_string(),
            partner: terms.partner.to_string(),
            effective_from: terms.effective_from,
            position: found.position,
            recorded_at: found.recorded_at,
            published_by: found.actor,
            terms: serde_json::to_value(terms).map_err(|error| internal(&error))?,
        })
    });
    let items = items.collect::<Result<_, Problem>>()?;
    Ok(Json(TermsList { items }))
}
