//! `/v1/whatifs`: what drafts would change, and their adoption by a second person.

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use postbook_schemas::Instant;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    super::problem::{PROBLEM_JSON, Problem},
    context::{Actor, Reader, internal},
    fields::{Fields, Params, cursor},
    parts::{Segment, Whole},
    programme::{self, File},
};
use crate::{
    commands::{
        programme::ProgrammeFile,
        record::Author,
        whatif::{self, Drafts, WhatifError, changed},
    },
    projector::ProjectorError,
    secrets::Role,
    whatif::{Format, Whatif},
};

const ENDPOINT: &str = "POST /v1/whatifs";
const ADOPT: &str = "POST /v1/whatifs/{hash}/adopt";

/// What to try.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWhatif {
    /// Programme files: what they define otherwise than it is now is tried.
    #[serde(default)]
    files: Vec<File>,
    /// Another version of the derivation.
    derivation: Option<u32>,
    /// As if terms and coupons in them held from then on, whatever they say.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    from: Option<Instant>,
}

/// A what-if: what is tried and what it would change. Differences of closed months would be posted in
/// the open month `posted_in`.
#[derive(Serialize, ToSchema)]
pub(super) struct WhatifView {
    hash: String,
    at_position: u64,
    made_by: String,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    made_at: Instant,
    definitions: Vec<Value>,
    conversions: u64,
    lines: usize,
    posted_in: Option<String>,
    totals: Vec<Value>,
    partners: Vec<Value>,
    offers: Vec<Value>,
    periods: Vec<Value>,
    items: Vec<Value>,
    next_cursor: Option<String>,
    /// Its adoption, if it was adopted.
    adopted: Option<Value>,
}

/// An adoption.
#[derive(Serialize, ToSchema)]
pub(super) struct AdoptedView {
    hash: String,
    position: u64,
    adopted_by: String,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    adopted_at: Instant,
    reason: String,
    proposed_by: String,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    proposed_at: Instant,
    at_position: u64,
    facts: Vec<uuid::Uuid>,
    already_adopted: bool,
    /// Facts that came in between the derivation and the adoption.
    meanwhile: Vec<u64>,
    requeued: usize,
}

/// Why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct Adopt {
    #[schema(pattern = r"\S", max_length = 1000)]
    reason: String,
}

/// The what-ifs that are kept, without their lines.
#[derive(Serialize, ToSchema)]
pub(super) struct WhatifList {
    items: Vec<Value>,
}

/// The log has moved on since: nothing was adopted. `now` is what it would change now.
#[derive(Serialize, ToSchema)]
pub(super) struct MovedOn {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
    /// The hash of what it is now.
    now: String,
    /// What differs: lines that are `added`, `gone` and `other`, with their counts.
    changed: Value,
}

/// Says what drafts of terms, offers, coupons, exchange rates and mappings would change, to the cent.
/// Nothing is written in log or read models. The body is JSON, or one file as `application/toml`.
#[utoipa::path(post, path = "/v1/whatifs", tag = "what-if",
    request_body(content((NewWhatif = "application/json"), (String = "application/toml"))),
    params(("from" = Option<String>, Query, description = "with `application/toml`: as if terms and coupons held from then on")),
    responses((status = 200, body = WhatifView),
        (status = 422, body = programme::Refused, content_type = "application/problem+json", description = "mistakes in the files, or nothing to try")))]
pub(super) async fn make(
    actor: Actor,
    mut params: Params,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Response, Problem> {
    let author = author(&actor, ENDPOINT)?;
    let from = params.time("from")?;
    params.done()?;
    let asked = if programme::is_toml(&headers) {
        NewWhatif {
            files: vec![programme::toml_file(&body)?],
            derivation: None,
            from,
        }
    } else {
        let asked: NewWhatif = serde_json::from_slice(&body)
            .map_err(|error| Problem::invalid("body", format!("not a what-if: {error}")))?;
        NewWhatif {
            from: asked.from.or(from),
            ..asked
        }
    };
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for File { name, text } in &asked.files {
        match ProgrammeFile::try_new(name, text) {
            Ok(file) => files.push(file),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Ok(programme::refused(&problems));
    }
    let drafts = Drafts {
        files,
        from: asked.from,
        derivation: asked.derivation,
    };
    match whatif::whatif(&actor.service, &author, drafts).await {
        Ok(made) => Ok(Json(view(&made, 0, PAGE_ROWS, Value::Null)).into_response()),
        Err(error) => answer(error),
    }
}

/// How many lines are answered with what was made; the others by cursor.
const PAGE_ROWS: usize = 100;

/// Whoever decides about conversions or about money may try and adopt.
fn author(actor: &Actor, endpoint: &'static str) -> Result<Author, Problem> {
    let as_manager = actor.author(Role::Manager, endpoint);
    as_manager.or_else(|_| actor.author(Role::Finance, endpoint))
}

fn view(whatif: &Whatif, skip: usize, limit: usize, adopted: Value) -> Value {
    let mut view = whatif.to_json(skip, limit);
    let next = skip.saturating_add(limit);
    let more = whatif.report.rows.len() > next;
    view["next_cursor"] = json!(more.then(|| cursor(next as u64)));
    view["adopted"] = adopted;
    view
}

/// The what-ifs that are kept, the newest first.
#[utoipa::path(get, path = "/v1/whatifs", tag = "what-if", responses((status = 200, body = WhatifList)))]
pub(super) async fn list(reader: Reader, params: Params) -> Result<Json<WhatifList>, Problem> {
    params.done()?;
    reader.caller.require_unscoped()?;
    let all = whatif::all(&reader.service).await.map_err(problem)?;
    let mut items = Vec::with_capacity(all.len());
    for one in all {
        let mut item = one.to_json(0, 0);
        item["adopted"] = adoption(&reader, &one.hash).await?;
        if let Some(item) = item.as_object_mut() {
            item.remove("items");
        }
        items.push(item);
    }
    Ok(Json(WhatifList { items }))
}

/// One what-if by its hash (or its beginning, at least 8 digits): JSON in pages, or all lines as CSV or a
/// page to print by `.csv` or `.html` after the hash or by `Accept`.
#[utoipa::path(get, path = "/v1/whatifs/{hash}", tag = "what-if",
    params(("hash" = String, Path, description = "with `.json`, `.csv` or `.html` if wanted"),
        ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, description = "what would change",
        content((WhatifView = "application/json"), (String = "text/csv"), (String = "text/html")))))]
pub(super) async fn one(
    reader: Reader,
    Segment(name): Segment,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Problem> {
    let slice = params.slice()?;
    params.done()?;
    reader.caller.require_unscoped()?;
    let (hash, format) = match name.rsplit_once('.') {
        Some((hash, suffix)) => {
            let format = Format::from_word(suffix);
            let missing = || Problem::not_found(format!("what-ifs have no `.{suffix}`"));
            (hash, format.ok_or_else(missing)?)
        }
        None => (name.as_str(), accepted(&headers)),
    };
    let found = whatif::find(&reader.service.whatifs, hash)
        .await
        .map_err(problem)?;
    if format == Format::Json {
        let adopted = adoption(&reader, &found.hash).await?;
        let skip = usize::try_from(slice.after).unwrap_or(usize::MAX);
        let limit = usize::try_from(slice.limit).unwrap_or(usize::MAX);
        return Ok(Json(view(&found, skip, limit, adopted)).into_response());
    }
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static(format.content_type());
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok((headers, found.document(format)).into_response())
}

async fn adoption(reader: &Reader, hash: &str) -> Result<Value, Problem> {
    let adopted = whatif::adoption(&reader.service, hash).await?;
    Ok(adopted.map_or(Value::Null, |recorded| {
        let envelope = recorded.envelope;
        json!({
            "position": recorded.position,
            "adopted_by": envelope.actor,
            "adopted_at": envelope.recorded_at,
        })
    }))
}

/// Makes what was tried hold, and posts the differences; those of closed months as corrections in the
/// first open one. By another person than the one who made it. Adopting again answers the same.
#[utoipa::path(post, path = "/v1/whatifs/{hash}/adopt", tag = "what-if", request_body = Adopt,
    params(("hash" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = AdoptedView),
        (status = 200, body = AdoptedView, description = "it was adopted before"),
        (status = 403, description = "by whoever made it"),
        (status = 409, body = MovedOn, content_type = "application/problem+json", description = "the log has moved on: `now` is what it is now")))]
pub(super) async fn adopt(
    actor: Actor,
    Segment(hash): Segment,
    mut fields: Fields,
) -> Result<Response, Problem> {
    let author = author(&actor, ADOPT)?;
    let reason = fields.reason()?;
    fields.done()?;
    match whatif::adopt(&actor.service, &author, &hash, reason).await {
        Ok(adopted) => {
            let status = if adopted.is_repeat {
                StatusCode::OK
            } else {
                StatusCode::CREATED
            };
            Ok((status, Json(adopted.to_json())).into_response())
        }
        Err(error) => answer(error),
    }
}

/// Errors that say more than a problem does.
fn answer(error: WhatifError) -> Result<Response, Problem> {
    match error {
        WhatifError::Problems(problems) => Ok(programme::refused(&problems)),
        WhatifError::MovedOn { was, now } => Ok(moved_on(&was, &now)),
        other => Err(problem(other)),
    }
}

fn problem(error: WhatifError) -> Problem {
    match error {
        WhatifError::Command(error) => error.into(),
        WhatifError::Projector(ProjectorError::Store(error)) => error.into(),
        WhatifError::Projector(ProjectorError::Stopped(why)) => {
            tracing::warn!(why, "a what-if could not be derived");
            Problem::unavailable("the book cannot be asked for now")
        }
        WhatifError::Kept(error @ crate::whatif::kept::KeptError::Ambiguous(_)) => {
            Problem::conflict(error.to_string())
        }
        other => internal(&other),
    }
}

fn moved_on(was: &Whatif, now: &Whatif) -> Response {
    let body = MovedOn {
        r#type: "about:blank",
        title: "The log has moved on",
        status: 409,
        code: "moved_on",
        detail: format!(
            "nothing was adopted: it would change something else now; look at {} and adopt that",
            now.hash
        ),
        now: now.hash.clone(),
        changed: changed(was, now).to_json(),
    };
    let mut response = (StatusCode::CONFLICT, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
    response
}

/// The first kind in `Accept` that what-ifs have.
fn accepted(headers: &HeaderMap) -> Format {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    let kinds = accept.unwrap_or_default().split(',');
    let found = kinds
        .filter_map(|kind| kind.split(';').next())
        .find_map(|kind| match kind.trim() {
            "application/json" => Some(Format::Json),
            "text/csv" => Some(Format::Csv),
            "text/html" => Some(Format::Html),
            _ => None,
        });
    found.unwrap_or(Format::Json)
}
