//! `GET /v1/openapi.json`: what this interface is, for programs.
//!
//! Handlers describe what is their own. What all of them share (who is let in, what a parameter of a
//! name may be, how errors look) is said once in `openapi/` and added to each, so that a new handler
//! cannot forget it.

mod answers;
mod parameters;
mod postbacks;

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::{
    http::{ops, redirect},
    intake::answer::{OfferBody, OfferData, PostbackBody, ProblemBody},
};

/// The interface, as OpenAPI 3.1.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Postbook",
        description = "An event-sourced conversion ledger for affiliate and partner marketing. \
            Money is in whole minor units, times are RFC 3339, errors are application/problem+json. \
            A parameter or field that is empty counts as not given."
    ),
    paths(
        redirect::follow,
        ops::healthz,
        ops::readyz,
        ops::metrics,
        self::serve,
        super::conversions::list,
        super::conversions::one,
        super::timeline::of_conversion,
        super::explain::conversion,
        super::explain::balances,
        super::explain::payout,
        super::explain::statement,
        super::terms::list,
        super::terms::publish,
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
        super::whatifs::make,
        super::whatifs::list,
        super::whatifs::one,
        super::whatifs::adopt,
        super::decisions::decide,
        super::adjustments::adjust,
        super::adjustments::write_off,
        super::adjustments::approve,
        super::adjustments::decline,
        super::adjustments::list,
        super::attribution_corrections::correct,
        super::rebuilds::begin,
        super::rebuilds::last,
        super::rebuilds::cancel,
        super::rebuilds::generations,
        super::rebuilds::release,
    ),
    components(schemas(ProblemBody<'static>, PostbackBody<'static>, OfferBody, OfferData, crate::intake::bulk::LineAnswer, super::programme::Refused))
)]
struct Document;

static DOCUMENT: LazyLock<String> = LazyLock::new(write);

/// The document as it is kept in `schemas/openapi.json`.
pub fn document() -> String {
    DOCUMENT.clone()
}

fn write() -> String {
    let mut document =
        serde_json::to_value(Document::openapi()).expect("it consists of texts, numbers and lists");
    document["components"]["securitySchemes"] = security_schemes();
    let paths = object(&mut document["paths"]);
    if let Some(follow) = paths.get_mut("/{slug}") {
        // Whoever only looks is answered as whoever follows.
        follow["head"] = follow["get"].clone();
        follow["head"]["summary"] = "Says where a link leads, and records nothing.".into();
        // As of `/postback`.
        let other = "The name is that of another path, which takes no HEAD.";
        follow["head"]["responses"]["405"] = json!({ "description": other });
    }
    paths.extend(postbacks::paths());
    for (path, methods) in paths {
        for (method, operation) in object(methods) {
            operation["operationId"] = operation_id(method, path).into();
            if path.starts_with("/v1/") && path != "/v1/openapi.json" {
                operation["security"] = json!([{ "token": [] }]);
            }
            parameters::complete(path, operation);
            answers::complete(path, method, operation);
        }
    }
    let text = serde_json::to_string_pretty(&document);
    text.expect("it consists of texts, numbers and lists") + "\n"
}

/// `get_v1_payouts_id`: names that generators of clients can use.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    [method]
        .into_iter()
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

fn security_schemes() -> Value {
    let key = |place: &str, name: &str, description: &str| json!({ "type": "apiKey", "in": place, "name": name, "description": description });
    json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of `postbook token create`. Its role and scope say what it may do.",
        },
        "secret_header": key("header", "X-Postback-Secret", "The offer's secret. Goes before the parameter."),
        "secret_parameter": key("query", "secret", "The offer's secret, in the query or the body."),
        "tds_signature": key("header", "X-TDS-Signature", "HMAC-SHA256 in hexadecimal over the raw body, without one over the raw query, by the offer's secret."),
        "tds_signature_parameter": key("query", "signature", "As `X-TDS-Signature`, where no header can be set."),
        "standard_webhooks": key("header", "webhook-signature", "Standard Webhooks v1 or v1a, with `webhook-id` and `webhook-timestamp`."),
    })
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("OpenAPI has an object here")
}

/// The whole interface, as it is described here.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "operation",
    responses((status = 200, body = serde_json::Value, description = "OpenAPI 3.1")))]
pub(super) async fn serve() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, DOCUMENT.as_str()).into_response()
}
