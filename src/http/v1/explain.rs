//! `…/explain`: where amounts come from, step by step: of conversions, balances, payouts, statements.

use axum::Json;
use postbook_projections::explain::Explanation;
use postbook_schemas::{Instant, Slug};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::{
    super::problem::Problem,
    context::{Reader, internal},
    conversions::visible,
    fields::{self, Params},
    parts::Segment,
};
use crate::{
    commands::{explain, explain_sums},
    tables::query::balances::AsOf,
};

/// Why a conversion earns what it earns: facts, attribution, terms, status, changes, postings,
/// payouts, in this order. Every number names the position of the fact it comes from.
#[utoipa::path(get, path = "/v1/conversions/{id}/explain", tag = "conversions",
    params(("id" = String, Path)),
    responses((status = 200, body = serde_json::Value), (status = 404, description = "there is none")))]
pub(super) async fn conversion(
    reader: Reader,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<Box<RawValue>>, Problem> {
    params.done()?;
    let row = visible(&reader, &id).await?;
    let explanation: Explanation = explain::conversion(
        (&*reader.service).into(),
        row,
        reader.sight().only_partner(),
    )
    .await?;
    Ok(Json(raw(&explanation)?))
}

/// Explanations, each a tree of steps.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Explained {
    #[schema(value_type = Vec<serde_json::Value>)]
    items: Vec<Box<RawValue>>,
}

fn explained(all: &[Explanation]) -> Result<Json<Explained>, Problem> {
    let items = all.iter().map(raw).collect::<Result<_, _>>()?;
    Ok(Json(Explained { items }))
}

/// An explanation as JSON. Its amounts may be beyond 64 bits, which no [`serde_json::Value`] holds.
fn raw(explanation: &Explanation) -> Result<Box<RawValue>, Problem> {
    to_raw_value(explanation).map_err(|error| internal(&error))
}

/// Where a partner's balances come from: the buckets, and the postings that add up to them, by month, kind and
/// rule, each with the first and last fact that caused one.
#[utoipa::path(get, path = "/v1/partners/{slug}/balances/explain", tag = "balances", params(
    ("slug" = String, Path), ("currency" = Option<String>, Query, description = "only this one"),
    ("as_of" = Option<String>, Query, description = "default: now"),
    ("known_at" = Option<String>, Query, description = "default: all that is recorded"),
), responses((status = 200, body = Explained)))]
pub(super) async fn balances(
    reader: Reader,
    Segment(slug): Segment,
    mut params: Params,
) -> Result<Json<Explained>, Problem> {
    reader.require_no_offer_scope()?;
    let missing = || Problem::not_found(format!("there is no partner `{slug}`"));
    let partner = Slug::try_new(&slug).map_err(|_| missing())?;
    reader.partner(Some(partner.clone()))?;
    let only = params.parsed("currency")?;
    let as_of = AsOf {
        effective: params
            .time("as_of")?
            .unwrap_or_else(|| reader.service.clock.now()),
        known: params.time("known_at")?.unwrap_or(Instant::MAX),
    };
    params.done()?;
    let sources = (&*reader.service).into();
    explained(&explain_sums::balances(sources, &partner, only, as_of).await?)
}

/// Where a payout's amount comes from: who moved it on, and the lines that it carries.
#[utoipa::path(get, path = "/v1/payouts/{id}/explain", tag = "payouts",
    params(("id" = String, Path)), responses((status = 200, body = Explained)))]
pub(super) async fn payout(
    reader: Reader,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<Explained>, Problem> {
    params.done()?;
    reader.require_no_offer_scope()?;
    let id = fields::id(&id)?;
    let row = reader.tables().payout(id).await?;
    let row = row
        .and_then(|row| reader.sight().payout(row))
        .ok_or_else(|| Problem::not_found(format!("there is no payout {id}")))?;
    let with_names = reader.sight().only_partner().is_none();
    let sources = (&*reader.service).into();
    let one = explain_sums::payout(sources, &row, with_names).await?;
    explained(&[one])
}

/// Where the lines of a statement come from: the postings that each sums.
#[utoipa::path(get, path = "/v1/statements/{id}/explain", tag = "statements",
    params(("id" = String, Path), ("line" = Option<u32>, Query, description = "only this one, from 0")),
    responses((status = 200, body = Explained)))]
pub(super) async fn statement(
    reader: Reader,
    Segment(id): Segment,
    mut params: Params,
) -> Result<Json<Explained>, Problem> {
    let line = params.parsed::<usize>("line")?;
    params.done()?;
    reader.require_no_offer_scope()?;
    let id = fields::id(&id)?;
    let row = reader.tables().statement(id).await?;
    let row = row
        .filter(|row| reader.sight().sees(&row.partner))
        .ok_or_else(|| Problem::not_found(format!("there is no statement {id}")))?;
    let sources = (&*reader.service).into();
    explained(&explain_sums::statement(sources, &row, line).await?)
}
