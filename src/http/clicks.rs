//! `POST /v1/clicks`: clicks made elsewhere, one or many.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, FromRequest, Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    auth::Authenticated,
    bulk::{self, Asked, Slots},
    problem::Problem,
};
use crate::{
    intake::click::foreign::{self, Fault, ForeignClick, Recorded},
    secrets::Role,
    service::Service,
};

/// Largest request that is read whole, in bytes, and most clicks in one.
const BODY_BYTES_MAX: usize = 16 << 20;
const CLICKS_MAX: usize = 10_000;

/// The routes of clicks and postbacks in bulk.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/v1/clicks", post(record))
        .route("/v1/imports/postbacks", post(bulk::postbacks))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(Extension(Slots::default()))
        .with_state(service)
}

/// `{"items": […]}`.
#[derive(Deserialize, ToSchema)]
#[schema(as = ManyClicks)]
pub(super) struct Many {
    items: Vec<ForeignClick>,
}

/// What became of a click.
#[derive(Serialize, ToSchema)]
#[schema(as = ClickItem)]
pub(super) struct Item {
    click_id: String,
    /// `recorded`, `duplicate` or `rejected`.
    status: &'static str,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

/// What became of many, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = ClickItems)]
pub(super) struct Items {
    items: Vec<Item>,
}

/// Records clicks that were made elsewhere, under their own ids: one as a JSON object, up to 10,000
/// as `{"items": […]}`, or as NDJSON up to 100,000, one a line, each answered by a line. A click
/// whose id is known is a duplicate: everything may be sent again.
#[utoipa::path(post, path = "/v1/clicks", tag = "intake", params(
    ("file" = Option<String>, Query, description = "of NDJSON: the file it is from, for the facts"),
    ("sha256" = Option<String>, Query, description = "of NDJSON: the hash of that file"),
    ("dry_run" = Option<bool>, Query, description = "of NDJSON: keep nothing, only tell"),
), request_body(content((Clicks = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "known before; or of many, what became of each",
            content((Told = "application/json"), (String = "application/x-ndjson"))),
        (status = 201, body = Item, description = "recorded")))]
pub(super) async fn record(
    State(service): State<Arc<Service>>,
    Extension(slots): Extension<Slots>,
    caller: Authenticated,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Role::Ingest)?;
    let asked = bulk::asked(asked)?;
    if bulk::is_ndjson(request.headers()) {
        return bulk::clicks(service, &slots, caller, asked, request.into_body()).await;
    }
    let (clicks, is_many) = read(request).await?;
    let ids: Vec<String> = clicks.iter().map(|click| click.click_id.clone()).collect();
    let recorded = foreign::record(&service, &caller, clicks, "/v1/clicks").await;
    let recorded = recorded.map_err(|error| {
        tracing::error!(%error, "clicks could not be kept");
        Problem::unavailable("the clicks could not be kept; none of them was: send them again")
    })?;
    if is_many {
        let items = ids
            .into_iter()
            .zip(recorded)
            .map(|(id, what)| item(id, what));
        let items = items.collect();
        return Ok(Json(Items { items }).into_response());
    }
    one(ids, recorded)
}

/// The clicks of a body of JSON, and whether it is a list.
async fn read(request: axum::http::Request<Body>) -> Result<(Vec<ForeignClick>, bool), Problem> {
    let body = Bytes::from_request(request, &()).await.map_err(|_| {
        let detail = "the body is larger than 16 MiB, or broke off";
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            "Payload too large",
            detail,
        )
    })?;
    // The two forms are told apart first, so that an error is about the one that was meant.
    let is_many = serde_json::from_slice::<Form<'_>>(&body).is_ok_and(|form| form.items.is_some());
    let clicks = if is_many {
        serde_json::from_slice::<Many>(&body).map(|many| many.items)
    } else {
        serde_json::from_slice::<ForeignClick>(&body).map(|click| vec![click])
    };
    let clicks = clicks.map_err(|error| malformed(&error))?;
    if clicks.len() > CLICKS_MAX {
        return Err(Problem::invalid(
            "items",
            "more than 10000 clicks in one request: send NDJSON",
        ));
    }
    Ok((clicks, is_many))
}

/// One click, or many.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewClicks)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "describes the body, whose two forms are told apart by hand"
)]
pub(super) enum Clicks {
    /// One.
    One(Box<ForeignClick>),
    /// Up to 10,000.
    Many(Many),
}

/// What became of one, or of many.
#[derive(Serialize, ToSchema)]
#[schema(as = ClicksTold)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the answer")]
pub(super) enum Told {
    /// Of one.
    One(Item),
    /// Of many.
    Many(Items),
}

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow)]
    items: Option<&'a serde_json::value::RawValue>,
}

fn malformed(error: &serde_json::Error) -> Problem {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "malformed", "Malformed request", error.to_string())
}

fn one(ids: Vec<String>, recorded: Vec<Recorded>) -> Result<Response, Problem> {
    let (Some(id), Some(what)) = (ids.into_iter().next(), recorded.into_iter().next()) else {
        return Err(Problem::internal());
    };
    let status = match &what {
        Recorded::New { .. } => StatusCode::CREATED,
        Recorded::Known { .. } => StatusCode::OK,
        Recorded::Refused(fault) => return Err(refused(fault)),
    };
    Ok((status, Json(item(id, what))).into_response())
}

fn refused(fault: &Fault) -> Problem {
    if fault.missing {
        Problem::missing(fault.field, fault.detail)
    } else {
        Problem::invalid(fault.field, fault.detail)
    }
}

fn item(click_id: String, what: Recorded) -> Item {
    let (status, fault) = match what {
        Recorded::New { .. } => ("recorded", None),
        Recorded::Known { .. } => ("duplicate", None),
        Recorded::Refused(fault) => ("rejected", Some(fault)),
    };
    Item {
        click_id,
        status,
        field: fault.as_ref().map(|fault| fault.field),
        detail: fault.as_ref().map(|fault| fault.detail),
    }
}
