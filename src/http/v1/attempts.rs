//! `GET /v1/attempts`: every postback that came in, whatever became of it.

use axum::{Json, response::Response};
use postbook_schemas::Outcome;

use super::{
    super::problem::Problem,
    context::Reader,
    fields::{self, Params},
    page::{page, with_one_more},
    parts::Segment,
};
use crate::{
    inquiry::attempt::{self, AttemptTold},
    tables::query::attempts::AttemptFilter,
};

/// Attempts in the order in which they came, each whole: the raw request, how it was
/// authenticated, for a refusal what was expected beside what was received, and where it was read
/// again, what it became. Ids that are personal data are found by themselves.
#[utoipa::path(get, path = "/v1/attempts", tag = "intake", params(
    ("outcome" = Option<String>, Query, description = "one of the closed list, as bad_credentials"),
    ("offer" = Option<String>, Query, description = "brand/offer"),
    ("click_id" = Option<String>, Query), ("txn_id" = Option<String>, Query),
    ("event_id" = Option<String>, Query), ("customer_id" = Option<String>, Query),
    ("from" = Option<String>, Query, description = "received at or after this time"),
    ("to" = Option<String>, Query, description = "received before this time"),
    ("differs" = Option<bool>, Query, description = "only repeats that differ from the first"),
    ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query, description = "1 to 1000, default 100"),
), responses((status = 200, body = super::page::Page<AttemptTold>)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Response, Problem> {
    refuse_partners(&reader)?;
    let filter = AttemptFilter {
        outcome: params.word("outcome", Outcome::from_code, "not an outcome")?,
        offer: reader.offer(params.parsed("offer")?)?,
        click_id: params.text("click_id"),
        txn_id: params.text("txn_id"),
        event_id: params.text("event_id"),
        customer_id: params.text("customer_id"),
        from: params.time("from")?,
        to: params.time("to")?,
        differs: params.flag("differs")?,
        without_click: false,
    };
    let slice = params.slice()?;
    params.done()?;
    let directory = reader.service.directory.load_full();
    let sources = reader.sources(&directory);
    let told = attempt::search(&sources, filter, with_one_more(slice)).await?;
    Ok(page(
        told,
        slice,
        |told: &AttemptTold| told.position,
        |told| told,
    ))
}

/// One attempt, by the id that its answer named.
#[utoipa::path(get, path = "/v1/attempts/{id}", tag = "intake",
    params(("id" = String, Path)),
    responses((status = 200, body = AttemptTold), (status = 404, description = "there is none")))]
pub(super) async fn one(
    reader: Reader,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<AttemptTold>, Problem> {
    params.done()?;
    refuse_partners(&reader)?;
    let id = fields::id(&id)?;
    let row = reader.tables().attempt(id).await?;
    let only = reader.sight().only_offer();
    let row = row
        .filter(|row| only.is_none() || row.offer.as_ref() == only)
        .ok_or_else(|| Problem::not_found(format!("there is no attempt {id}")))?;
    let directory = reader.service.directory.load_full();
    Ok(Json(attempt::tell(&reader.sources(&directory), row).await?))
}

/// What senders said is between them and whoever runs this.
pub(super) fn refuse_partners(reader: &Reader) -> Result<(), Problem> {
    if reader.sight().only_partner().is_some() {
        return Err(Problem::forbidden("attempts are the advertisers' business"));
    }
    Ok(())
}
