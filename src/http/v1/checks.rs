//! The five checks of a postback that did not arrive.

use axum::Json;

use super::{
    super::problem::Problem,
    attempts::refuse_partners,
    context::Reader,
    fields::{self, Params},
    parts::Segment,
};
use crate::inquiry::checks::{self, Checks, Subject};

/// The five checks of one click: click seen, id handed on, request received, answer given, where
/// it landed.
#[utoipa::path(get, path = "/v1/clicks/{click_id}/checks", tag = "intake",
    params(("click_id" = String, Path)), responses((status = 200, body = Checks)))]
pub(super) async fn of_click(
    reader: Reader,
    Segment(click_id): Segment,
    params: Params,
) -> Result<Json<Checks>, Problem> {
    params.done()?;
    walk(&reader, &Subject::Click(click_id)).await
}

/// The five checks of what one attempt was about.
#[utoipa::path(get, path = "/v1/attempts/{id}/checks", tag = "intake",
    params(("id" = String, Path)),
    responses((status = 200, body = Checks), (status = 404, description = "there is none")))]
pub(super) async fn of_attempt(
    reader: Reader,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<Checks>, Problem> {
    params.done()?;
    walk(&reader, &Subject::Attempt(fields::id(&id)?)).await
}

/// The five checks of a click, a transaction, a customer or an attempt.
#[utoipa::path(get, path = "/v1/checks", tag = "intake", params(
    ("click_id" = Option<String>, Query, description = "exactly one of the four"),
    ("txn_id" = Option<String>, Query), ("customer_id" = Option<String>, Query),
    ("attempt_id" = Option<String>, Query),
), responses((status = 200, body = Checks), (status = 404, description = "there is no such attempt"),
    (status = 422, description = "not exactly one of the four")))]
pub(super) async fn search(reader: Reader, mut params: Params) -> Result<Json<Checks>, Problem> {
    refuse_partners(&reader)?;
    let mut subjects = Vec::new();
    subjects.extend(params.text("click_id").map(Subject::Click));
    subjects.extend(params.text("txn_id").map(Subject::Txn));
    subjects.extend(params.text("customer_id").map(Subject::Customer));
    if let Some(id) = params.text("attempt_id") {
        subjects.push(Subject::Attempt(fields::id(&id)?));
    }
    params.done()?;
    let detail = "give exactly one of click_id, txn_id, customer_id and attempt_id";
    match subjects.as_slice() {
        [] => Err(Problem::missing("click_id", detail)),
        [only] => walk(&reader, only).await,
        _ => Err(Problem::invalid("click_id", detail)),
    }
}

async fn walk(reader: &Reader, subject: &Subject) -> Result<Json<Checks>, Problem> {
    refuse_partners(reader)?;
    let directory = reader.service.directory.load_full();
    let sources = reader.sources(&directory);
    let checks = checks::walk(&sources, subject, reader.sight().only_offer()).await?;
    Ok(Json(checks))
}
