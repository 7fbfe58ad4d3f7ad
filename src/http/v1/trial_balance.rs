//! `GET /v1/trial-balance`: every account, and that each currency adds up to zero.

use std::collections::BTreeMap;

use axum::Json;
use postbook_schemas::Instant;
use serde::Serialize;
use utoipa::ToSchema;

use super::{super::problem::Problem, context::Reader, fields::Params};
use crate::tables::query::balances::AsOf;

/// Sums of all accounts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct TrialBalance {
    items: Vec<Account>,
    /// The sum of each currency: zero.
    totals: Vec<Total>,
}

/// An account's sum, which may be beyond 64 bits; debits positive.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the name in the answer")]
struct Account {
    account: String,
    currency: String,
    amount_minor: i128,
}

/// A currency's sum.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Total {
    currency: String,
    amount_minor: i128,
}

/// Every account as of a time and as known at a time, and that each currency adds up to zero.
#[utoipa::path(get, path = "/v1/trial-balance", tag = "balances", params(
    ("as_of" = Option<String>, Query, description = "default: all that is posted, whenever it takes effect"),
    ("known_at" = Option<String>, Query, description = "default: all that is recorded")),
    responses((status = 200, body = TrialBalance)))]
pub(super) async fn all(reader: Reader, mut params: Params) -> Result<Json<TrialBalance>, Problem> {
    reader.caller.require_unscoped()?;
    let as_of = AsOf {
        effective: params.time("as_of")?.unwrap_or(Instant::MAX),
        known: params.time("known_at")?.unwrap_or(Instant::MAX),
    };
    params.done()?;
    let mut sums = BTreeMap::<String, i128>::new();
    let mut items = Vec::new();
    for total in reader.tables().trial_balance(as_of).await? {
        *sums.entry(total.currency.clone()).or_default() += total.amount_minor;
        items.push(Account {
            account: total.account,
            currency: total.currency,
            amount_minor: total.amount_minor,
        });
    }
    let totals = sums.into_iter().map(|(currency, amount_minor)| Total {
        currency,
        amount_minor,
    });
    Ok(Json(TrialBalance {
        items,
        totals: totals.collect(),
    }))
}
