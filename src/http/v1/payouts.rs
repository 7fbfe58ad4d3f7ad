//! `/v1/payouts`: money on its way to partners.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use postbook_projections::rows::{PayoutRow, PayoutState};
use postbook_schemas::payout::PayoutMoved;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    super::problem::Problem,
    context::{Actor, Reader},
    fields::{self, Fields, Params},
    page::{page, with_one_more},
    parts::Segment,
    view::PayoutView,
};
use crate::{
    commands::payout::{self, Move, Proposal},
    secrets::Role,
    tables::query::payouts::PayoutFilter,
};

/// What to propose.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct NewPayout {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    partner: String,
    /// The partner's own if absent.
    #[schema(pattern = "^[A-Za-z]{3}$")]
    currency: Option<String>,
    /// All that is payable if absent.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    amount_minor: Option<i64>,
    #[schema(pattern = r"\S", max_length = 1000)]
    reason: String,
}

/// What to say with a move.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct PayoutMove {
    /// The bank's reference.
    #[schema(max_length = 1000)]
    reference: Option<String>,
    #[schema(pattern = r"\S", max_length = 1000)]
    reason: String,
}

/// Payouts in the order in which they were proposed.
#[utoipa::path(get, path = "/v1/payouts", tag = "payouts", params(
    ("partner" = Option<String>, Query),
    ("state" = Option<String>, Query, description = "proposed, approved, sent, settled, failed or returned"),
    ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query),
), responses((status = 200, body = super::page::Page<PayoutView>)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Response, Problem> {
    reader.require_no_offer_scope()?;
    let filter = PayoutFilter {
        partner: reader.partner(params.parsed("partner")?)?,
        state: params.word("state", state, "not a state of a payout")?,
    };
    let slice = params.slice()?;
    params.done()?;
    let rows = reader
        .tables()
        .payouts(&filter, with_one_more(slice))
        .await?;
    let key = |row: &PayoutRow| row.position;
    Ok(page(rows, slice, key, PayoutView::from))
}

pub(super) fn state(word: &str) -> Option<PayoutState> {
    serde_json::from_value(word.into()).ok()
}

/// One payout with its lines.
#[utoipa::path(get, path = "/v1/payouts/{id}", tag = "payouts", params(("id" = String, Path)),
    responses((status = 200, body = PayoutView), (status = 404, description = "there is none")))]
pub(super) async fn one(
    reader: Reader,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<PayoutView>, Problem> {
    params.done()?;
    reader.require_no_offer_scope()?;
    let id = fields::id(&id)?;
    let row = reader.tables().payout(id).await?;
    let row = row
        .and_then(|row| reader.sight().payout(row))
        .ok_or_else(|| Problem::not_found(format!("there is no payout {id}")))?;
    let lines = reader.tables().payout_lines(id).await?;
    Ok(Json(PayoutView::from(row).with_lines(lines)))
}

/// Proposes a payout of what is payable now, or of a part of it.
#[utoipa::path(post, path = "/v1/payouts", tag = "payouts", request_body = NewPayout,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = PayoutView), (status = 409, description = "less is payable")))]
pub(super) async fn propose(actor: Actor, mut fields: Fields) -> Result<Response, Problem> {
    let author = actor.author(Role::Finance, "POST /v1/payouts")?;
    let proposal = Proposal {
        partner: fields.required_parsed("partner")?,
        currency: fields.parsed("currency")?,
        amount_minor: fields.minor("amount_minor")?,
        reason: fields.reason()?,
    };
    fields.done()?;
    let row = payout::propose(&actor.service, &author, &proposal).await?;
    let lines = actor.service.tables.payout_lines(row.id).await?;
    let view = PayoutView::from(row).with_lines(lines);
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

async fn move_on(
    actor: Actor,
    id: String,
    mut fields: Fields,
    step: Move,
    endpoint: &'static str,
) -> Result<Json<PayoutView>, Problem> {
    let author = actor.author(Role::Finance, endpoint)?;
    let moved = PayoutMoved {
        payout_id: fields::id(&id)?,
        reference: fields.text("reference")?,
        reason: Some(fields.reason()?),
    };
    fields.done()?;
    let row = payout::move_on(&actor.service, &author, moved, step).await?;
    Ok(Json(row.into()))
}

macro_rules! moves {
    ($($(#[$doc:meta])* $name:ident = $step:ident, $path:literal;)+) => {$(
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "payouts", request_body = PayoutMove,
            params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
            responses((status = 200, body = PayoutView),
                (status = 409, description = "its state does not allow it")))]
        pub(super) async fn $name(
            actor: Actor,
            Segment(id): Segment,
            fields: Fields,
        ) -> Result<Json<PayoutView>, Problem> {
            move_on(actor, id, fields, Move::$step, concat!("POST ", $path)).await
        }
    )+};
}

moves! {
    /// A second person agrees.
    approve = Approve, "/v1/payouts/{id}/approve";
    /// It was handed to the bank.
    send = Send, "/v1/payouts/{id}/send";
    /// It arrived.
    settle = Settle, "/v1/payouts/{id}/settle";
    /// It cannot be made.
    fail = Fail, "/v1/payouts/{id}/fail";
    /// It came back.
    return_it = Return, "/v1/payouts/{id}/return";
}
