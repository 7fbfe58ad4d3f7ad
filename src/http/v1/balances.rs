//! `GET /v1/partners/{slug}/balances`: what a partner has coming, as of any time.

use axum::Json;
use postbook_schemas::{Instant, Slug};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::problem::Problem, context::Reader, fields::Params, parts::Segment, view::BalanceView,
};
use crate::tables::query::balances::AsOf;

/// Balances by currency.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Balances {
    items: Vec<BalanceView>,
}

/// A partner's balances: what had taken effect at `as_of`, as far as it was recorded at `known_at`.
#[utoipa::path(get, path = "/v1/partners/{slug}/balances", tag = "balances", params(
    ("slug" = String, Path), ("as_of" = Option<String>, Query, description = "default: now"),
    ("known_at" = Option<String>, Query, description = "default: all that is recorded"),
), responses((status = 200, body = Balances), (status = 404, description = "there is no such partner")))]
pub(super) async fn of_partner(
    reader: Reader,
    Segment(slug): Segment,
    mut params: Params,
) -> Result<Json<Balances>, Problem> {
    reader.require_no_offer_scope()?;
    let missing = || Problem::not_found(format!("there is no partner `{slug}`"));
    let partner = Slug::try_new(&slug).map_err(|_| missing())?;
    reader.partner(Some(partner.clone()))?;
    let as_of = AsOf {
        effective: params
            .time("as_of")?
            .unwrap_or_else(|| reader.service.clock.now()),
        known: params.time("known_at")?.unwrap_or(Instant::MAX),
    };
    params.done()?;
    let balances = reader.tables().balances(&partner, as_of).await?;
    let is_known = || reader.service.directory.load().partner(&slug).is_some();
    if balances.is_empty() && !is_known() && !reader.tables().has_partner(&partner).await? {
        return Err(missing());
    }
    Ok(Json(Balances {
        items: balances.into_iter().map(BalanceView::from).collect(),
    }))
}
