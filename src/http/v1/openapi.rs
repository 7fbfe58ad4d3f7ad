//! `GET /v1/openapi.json`: what this interface is, for programs.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::OpenApi;

/// The interface, as OpenAPI 3.1.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Postbook",
        description = "An event-sourced conversion ledger for affiliate and partner marketing. \
            Money is in whole minor units, times are RFC 3339, errors are application/problem+json. \
            Every request takes Authorization: Bearer with a token."
    ),
    paths(
        super::conversions::list,
        super::conversions::one,
        super::timeline::of_conversion,
        super::explain::conversion,
        super::balances::of_partner,
        super::postings::list,
        super::trial_balance::all,
        super::attempts::list,
        super::attempts::one,
        super::checks::of_attempt,
        super::checks::of_click,
        super::checks::search,
        super::parked::list,
        crate::http::clicks::record,
        crate::http::bulk::postbacks,
        super::events::list,
        super::periods::list,
        super::periods::close,
        super::statements::of_partner,
        super::statements::list,
        super::statements::one,
        super::payouts::list,
        super::payouts::one,
        super::payouts::propose,
        super::payouts::approve,
        super::payouts::send,
        super::payouts::settle,
        super::payouts::fail,
        super::payouts::return_it,
        super::payout_runs::propose_all,
        super::payout_runs::file,
        super::payout_runs::results,
        super::clawbacks::list,
        super::programme::apply,
        super::requeue::requeue,
        super::decisions::decide,
        super::adjustments::adjust,
        super::adjustments::write_off,
        super::adjustments::approve,
        super::attribution_corrections::correct,
    )
)]
struct Document;

/// The document as it is kept in `schemas/openapi.json`.
///
/// # Panics
/// Never: the document consists of texts, numbers and lists.
pub fn document() -> String {
    let json = Document::openapi()
        .to_pretty_json()
        .expect("texts, numbers and lists can be written as JSON");
    json + "\n"
}

pub(super) async fn serve() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, document()).into_response()
}
