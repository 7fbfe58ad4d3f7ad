//! `/v1`: the programming interface. A file per noun.

mod adjustments;
mod attempts;
mod attribution_corrections;
mod balances;
mod checks;
mod clawbacks;
mod context;
mod conversions;
mod conversions_then;
mod decisions;
mod events;
mod explain;
mod fields;
mod kept;
pub mod openapi;
mod page;
mod parked;
mod parts;
mod payout_runs;
mod payouts;
mod periods;
mod postings;
mod programme;
mod rebuilds;
mod requeue;
mod statements;
mod terms;
mod timeline;
mod trial_balance;
mod view;
mod whatifs;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};

use crate::service::Service;

/// The routes below `/v1`.
pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/v1/openapi.json", get(openapi::serve))
        .route("/v1/conversions", get(conversions::list))
        .route("/v1/conversions/{id}", get(conversions::one))
        .route(
            "/v1/conversions/{id}/timeline",
            get(timeline::of_conversion),
        )
        .route("/v1/partners/{slug}/balances", get(balances::of_partner))
        .route("/v1/postings", get(postings::list))
        .route("/v1/trial-balance", get(trial_balance::all))
        .route("/v1/attempts", get(attempts::list))
        .route("/v1/attempts/{id}", get(attempts::one))
        .route("/v1/attempts/{id}/checks", get(checks::of_attempt))
        .route("/v1/clicks/{click_id}/checks", get(checks::of_click))
        .route("/v1/checks", get(checks::search))
        .route("/v1/parked", get(parked::list))
        .route("/v1/events", get(events::list))
        .route("/v1/periods", get(periods::list))
        .route("/v1/periods/{period}/close", post(periods::close))
        .route(
            "/v1/partners/{slug}/statements",
            get(statements::of_partner),
        )
        .route("/v1/statements", get(statements::list))
        .route("/v1/statements/{id}", get(statements::one))
        .route("/v1/payouts", get(payouts::list).post(payouts::propose))
        .route("/v1/payouts/{id}", get(payouts::one))
        .route("/v1/payouts/{id}/approve", post(payouts::approve))
        .route("/v1/payouts/{id}/send", post(payouts::send))
        .route("/v1/payouts/{id}/settle", post(payouts::settle))
        .route("/v1/payouts/{id}/fail", post(payouts::fail))
        .route("/v1/payouts/{id}/return", post(payouts::return_it))
        .route("/v1/payout-runs", post(payout_runs::propose_all))
        .route("/v1/payout-files/{format}", get(payout_runs::file))
        .route("/v1/payout-results", post(payout_runs::results))
        .route("/v1/clawbacks", get(clawbacks::list))
        .route(
            "/v1/programme",
            post(programme::apply).layer(DefaultBodyLimit::max(programme::BODY_BYTES_MAX)),
        )
        .route("/v1/decisions", post(decisions::decide))
        .route(
            "/v1/adjustments",
            get(adjustments::list).post(adjustments::adjust),
        )
        .route(
            "/v1/adjustments/{proposal_id}/approve",
            post(adjustments::approve),
        )
        .route(
            "/v1/adjustments/{proposal_id}/decline",
            post(adjustments::decline),
        )
        .route("/v1/write-offs", post(adjustments::write_off))
        .route(
            "/v1/attribution-corrections",
            post(attribution_corrections::correct),
        )
        .merge(operation())
        .merge(derived())
        .with_state(service)
}

/// What whoever runs the service does to it.
fn operation() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/requeue", post(requeue::requeue))
        .route("/v1/rebuilds", post(rebuilds::begin))
        .route("/v1/rebuilds/last", get(rebuilds::last))
        .route("/v1/rebuilds/last/cancel", post(rebuilds::cancel))
        .route("/v1/generations", get(rebuilds::generations))
        .route("/v1/generations/release", post(rebuilds::release))
}

/// The routes to what is derived on demand: explanations, what-ifs, how things were.
fn derived() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/conversions/{id}/explain", get(explain::conversion))
        .route(
            "/v1/partners/{slug}/balances/explain",
            get(explain::balances),
        )
        .route("/v1/payouts/{id}/explain", get(explain::payout))
        .route("/v1/statements/{id}/explain", get(explain::statement))
        .route("/v1/terms", get(terms::list).post(terms::publish))
        .route(
            "/v1/whatifs",
            get(whatifs::list)
                .post(whatifs::make)
                .layer(DefaultBodyLimit::max(programme::BODY_BYTES_MAX)),
        )
        .route("/v1/whatifs/{hash}", get(whatifs::one))
        .route("/v1/whatifs/{hash}/adopt", post(whatifs::adopt))
}
