//! `/v1/terms`: the terms that price conversions of a time, as known at another; and new ones.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use postbook_schemas::{Instant, Slug, programme::terms_version};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    super::problem::Problem,
    context::{Actor, Reader, internal},
    fields::{Fields, Params},
    programme::AppliedView,
};
use crate::{
    commands::{
        past,
        programme::{
            self, ProgrammeFile,
            apply::{ApplyError, Applying},
        },
        record::PATIENCE,
    },
    secrets::Role,
    tables::query::balances::AsOf,
};

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
    /// Why they were published, if that was said.
    reason: Option<String>,
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
            reason: found.reason,
            terms: serde_json::to_value(terms).map_err(|error| internal(&error))?,
        })
    });
    let items = items.collect::<Result<_, Problem>>()?;
    Ok(Json(TermsList { items }))
}

const ENDPOINT: &str = "POST /v1/terms";

/// Terms to publish: the keys of `[[terms]]` in a programme file, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct NewTerms {
    offer: String,
    /// `*`, which is the default, or one partner's slug.
    partner: Option<String>,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    effective_from: Instant,
    /// Default: UTC.
    time_zone: Option<String>,
    carryover: Option<String>,
    fence: Option<String>,
    high_roller_from: Option<String>,
    /// As `[[terms.rule]]`.
    rule: Vec<Value>,
    /// As `[[terms.price]]`.
    price: Option<Vec<Value>>,
    #[schema(pattern = r"\S", max_length = 1000)]
    reason: String,
    /// Only plan.
    dry_run: Option<bool>,
    /// Without a second person, also where closed months or payouts have told of what changes: takes an
    /// admin.
    anyway: Option<bool>,
}

/// What is published, or would be.
#[derive(Serialize, ToSchema)]
pub(super) struct PublishedView {
    version: String,
    offer: String,
    partner: String,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    effective_from: Instant,
    #[serde(flatten)]
    applied: AppliedView,
}

/// Publishes terms, checked and planned as a programme file with nothing else is. They price
/// conversions from `effective_from` on.
#[utoipa::path(post, path = "/v1/terms", tag = "programme", request_body = NewTerms,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = PublishedView, description = "they are published"),
        (status = 200, body = PublishedView, description = "with `dry_run` the plan; without, they held already"),
        (status = 409, description = "they change lines of closed months or that payouts carried (`needs_second_person`), or the key came with another request")))]
pub(super) async fn publish(actor: Actor, mut fields: Fields) -> Result<Response, Problem> {
    let anyway = fields.flag("anyway")?;
    let needed = if anyway { Role::Admin } else { Role::Manager };
    let applying = Applying {
        author: actor.author(needed, ENDPOINT)?,
        reason: Some(fields.reason()?.into()),
        anyway,
        is_dry_run: fields.flag("dry_run")?,
        patience: PATIENCE,
    };
    let file = ProgrammeFile::of_terms(fields.rest()).map_err(|problem| wrong(&[problem]))?;
    let terms = file.programme().terms.first().cloned();
    let terms = terms.ok_or_else(Problem::internal)?;
    let applied = match programme::apply::apply(&actor.service, vec![file], applying).await {
        Ok(applied) => applied,
        Err(ApplyError::Problems(problems)) => return Err(wrong(&problems)),
        Err(error) => return Err(error.into()),
    };
    let status = match applied.positions {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    let mut view = applied.to_json();
    view["version"] = terms_version(&terms).into();
    view["offer"] = terms.offer.to_string().into();
    view["partner"] = terms.partner.to_string().into();
    view["effective_from"] = terms.effective_from.to_string().into();
    Ok((status, Json(view)).into_response())
}

/// What is wrong with terms: the first key at fault as the field, and all that there is.
fn wrong(problems: &[programme::Problem]) -> Problem {
    let key = problems.first().and_then(|problem| problem.key.clone());
    let key = key.map(|key| key.trim_start_matches("terms[0].").to_owned());
    let told = problems.iter().map(|problem| {
        let place = [&problem.subject, &problem.key];
        let place = place.into_iter().flatten().map(|text| format!("{text}: "));
        place.collect::<String>().replace("terms[0].", "") + &problem.detail
    });
    let detail = told.collect::<Vec<_>>().join("; ");
    Problem::invalid(key.unwrap_or_else(|| "body".to_owned()), detail)
}
