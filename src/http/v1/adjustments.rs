//! `/v1/adjustments`, `/v1/write-offs`: amounts that no conversion explains, debts given up, and
//! what a second person says to them.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use postbook_schemas::{Fact, decision::AdjustmentKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    super::problem::Problem,
    context::{Actor, Reader},
    fields::{self, Fields, Params},
    kept::kept,
    page::{page, with_one_more},
    parts::Segment,
};
use crate::{
    commands::{
        adjustment::{self, Amount, Entry, EntryFilter, EntryState},
        record::Kept,
    },
    secrets::Role,
};

/// What to post.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct NewAdjustment {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    partner: String,
    /// Positive in the partner's favour.
    #[schema(minimum = -1_000_000_000_000_000_i64, maximum = 1_000_000_000_000_000_i64)]
    amount_minor: i64,
    /// The partner's own if absent.
    #[schema(pattern = "^[A-Za-z]{3}$")]
    currency: Option<String>,
    #[schema(pattern = r"\S", max_length = 1000)]
    reason: String,
}

/// What to give up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct NewWriteOff {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    partner: String,
    /// How much of the debt.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    amount_minor: i64,
    /// The partner's own if absent.
    #[schema(pattern = "^[A-Za-z]{3}$")]
    currency: Option<String>,
    #[schema(pattern = r"\S", max_length = 1000)]
    reason: String,
}

/// Something that a second person has to agree to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Awaiting {
    proposal_id: Uuid,
    position: u64,
    detail: &'static str,
}

/// Adjustments and write-offs in the order in which they were first said: what is in the books, what
/// waits for a second person, what was declined, and who said so.
#[utoipa::path(get, path = "/v1/adjustments", tag = "decisions", params(
    ("partner" = Option<String>, Query),
    ("state" = Option<String>, Query, description = "proposed, posted or declined"),
    ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query),
), responses((status = 200, body = super::page::Page<Entry>)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Response, Problem> {
    reader.caller.require_unscoped()?;
    let expected = "not a state of an adjustment: proposed, posted, declined";
    let filter = EntryFilter {
        partner: params.parsed("partner")?,
        state: params.word("state", EntryState::from_word, expected)?,
    };
    let slice = params.slice()?;
    params.done()?;
    let store = reader.service.log.store();
    let mut entries = adjustment::entries(&**store, &filter).await?;
    entries.retain(|entry| entry.position > slice.after);
    entries.truncate(usize::try_from(with_one_more(slice).limit).unwrap_or(usize::MAX));
    Ok(page(entries, slice, |entry| entry.position, |entry| entry))
}

/// Posts an amount that no conversion explains.
#[utoipa::path(post, path = "/v1/adjustments", tag = "decisions", request_body = NewAdjustment,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = super::kept::KeptFact),
        (status = 202, body = Awaiting, description = "above the limit: a second person has to agree")))]
pub(super) async fn adjust(actor: Actor, fields: Fields) -> Result<Response, Problem> {
    enter(
        actor,
        fields,
        AdjustmentKind::Adjustment,
        "POST /v1/adjustments",
    )
    .await
}

/// Gives up a debt, at most what is outstanding.
#[utoipa::path(post, path = "/v1/write-offs", tag = "decisions", request_body = NewWriteOff,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = super::kept::KeptFact),
        (status = 202, body = Awaiting, description = "above the limit: a second person has to agree"),
        (status = 409, description = "less is outstanding")))]
pub(super) async fn write_off(actor: Actor, fields: Fields) -> Result<Response, Problem> {
    enter(
        actor,
        fields,
        AdjustmentKind::WriteOff,
        "POST /v1/write-offs",
    )
    .await
}

async fn enter(
    actor: Actor,
    mut fields: Fields,
    kind: AdjustmentKind,
    endpoint: &'static str,
) -> Result<Response, Problem> {
    let author = actor.author(Role::Finance, endpoint)?;
    let amount = Amount {
        kind,
        partner: fields.required_parsed("partner")?,
        amount_minor: fields
            .minor("amount_minor")?
            .ok_or_else(|| Problem::missing("amount_minor", "`amount_minor` is missing"))?,
        currency: fields.parsed("currency")?,
        reason: fields.reason()?,
    };
    fields.done()?;
    let entered = adjustment::adjust(&actor.service, &author, amount).await?;
    Ok(answer(&entered))
}

fn answer(entered: &Kept) -> Response {
    let Fact::AdjustmentProposed(proposed) = &entered.recorded.envelope.fact else {
        return kept(entered);
    };
    let body = Awaiting {
        proposal_id: proposed.proposal_id,
        position: entered.recorded.position,
        detail: adjustment::ABOVE_LIMIT,
    };
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

/// Why a second person agrees.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct Agree {
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

/// Agrees to an adjustment or write-off that somebody else proposed.
#[utoipa::path(post, path = "/v1/adjustments/{proposal_id}/approve", tag = "decisions", request_body = Option<Agree>,
    params(("proposal_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = super::kept::KeptFact),
        (status = 403, description = "by whoever proposed it"),
        (status = 409, description = "agreed to before")))]
pub(super) async fn approve(
    actor: Actor,
    Segment(id): Segment,
    mut fields: Fields,
) -> Result<Response, Problem> {
    let endpoint = "POST /v1/adjustments/{proposal_id}/approve";
    let author = actor.author(Role::Finance, endpoint)?;
    let because = fields.text("reason")?;
    fields.done()?;
    let id = fields::id(&id)?;
    let agreed = adjustment::approve(&actor.service, &author, id, because).await?;
    Ok(kept(&agreed))
}

/// Why not.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct Decline {
    #[schema(pattern = r"\S", max_length = 1000)]
    reason: String,
}

/// Declines an adjustment or write-off that was proposed, or takes back what one proposed oneself.
#[utoipa::path(post, path = "/v1/adjustments/{proposal_id}/decline", tag = "decisions", request_body = Decline,
    params(("proposal_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = super::kept::KeptFact),
        (status = 409, description = "agreed to or declined before")))]
pub(super) async fn decline(
    actor: Actor,
    Segment(id): Segment,
    mut fields: Fields,
) -> Result<Response, Problem> {
    let endpoint = "POST /v1/adjustments/{proposal_id}/decline";
    let author = actor.author(Role::Finance, endpoint)?;
    let reason = fields.reason()?;
    fields.done()?;
    let id = fields::id(&id)?;
    Ok(kept(
        &adjustment::decline(&actor.service, &author, id, reason).await?,
    ))
}
