//! `GET /v1/clawbacks`: what partners owe, and what became of it.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::{super::problem::Problem, context::Reader, fields::Params};
use crate::{
    commands::clawbacks::{self, Clawback, ClawbackTotal},
    tables::query::clawbacks::ClawbackFilter,
};

/// Debts, and their totals by partner, offer, reason and age.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Clawbacks {
    items: Vec<Clawback>,
    totals: Vec<ClawbackTotal>,
}

/// Lines that earned less after a payout carried them, in the order in which they are recovered.
#[utoipa::path(get, path = "/v1/clawbacks", tag = "payouts", params(
    ("partner" = Option<String>, Query), ("offer" = Option<String>, Query),
    ("outstanding" = Option<bool>, Query, description = "only what is neither recovered nor written off"),
), responses((status = 200, body = Clawbacks)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Json<Clawbacks>, Problem> {
    reader.require_no_offer_scope()?;
    let filter = ClawbackFilter {
        partner: reader.partner(params.parsed("partner")?)?,
        offer: params.parsed("offer")?,
    };
    let only_outstanding = params.flag("outstanding")?;
    params.done()?;
    let store = reader.service.log.store();
    let now = reader.service.clock.now();
    let mut items = clawbacks::list(reader.tables(), &**store, &filter, now).await?;
    if only_outstanding {
        items.retain(|clawback| clawback.outstanding_minor != 0);
    }
    let totals = clawbacks::totals(&items);
    Ok(Json(Clawbacks { items, totals }))
}
