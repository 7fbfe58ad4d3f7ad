//! `POST /v1/programme`: plans programme files and applies them, all or nothing.

use axum::{
    Json,
    body::Bytes,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    super::problem::{PROBLEM_JSON, Problem},
    context::{Actor, internal},
    fields::{Params, free_text},
    parts::Whole,
};
use crate::{
    commands::{
        programme::{
            self as programmes, ProgrammeFile,
            apply::{ApplyError, Applying},
        },
        record::PATIENCE,
    },
    secrets::Role,
};

/// The largest programme.
pub(super) const BODY_BYTES_MAX: usize = 16 << 20;

const ENDPOINT: &str = "POST /v1/programme";

/// Programme files.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProgramme {
    files: Vec<File>,
    /// Only plan.
    #[serde(default)]
    dry_run: bool,
    /// Why; kept with the facts.
    #[schema(max_length = 1000)]
    reason: Option<String>,
    /// Without a second person, also where closed months or payouts have told of what changes.
    #[serde(default)]
    anyway: bool,
}

/// One programme file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Its name, for messages.
    pub(super) name: String,
    /// TOML.
    pub(super) text: String,
}

/// What is applied, or would be.
#[derive(Serialize, ToSchema)]
pub(super) struct AppliedView {
    changes: Vec<Value>,
    unchanged: usize,
    /// What a plan would change of what is posted already; null where that is nothing, and where it is
    /// applied.
    posted: Option<PostedView>,
    first_position: Option<u64>,
    last_position: Option<u64>,
}

/// What a plan would change of what is posted already.
#[derive(Serialize, ToSchema)]
pub(super) struct PostedView {
    /// How many lines.
    lines: u64,
    /// How many of these belong to closed months.
    closed_lines: u64,
    /// How many of these a payout has carried.
    carried_lines: u64,
    /// By `currency` the `difference_minor` that would be posted for partners.
    differences: Vec<Value>,
    /// All of this in a line, and what to do instead.
    text: String,
}

/// Plans programme files and applies them. The body is JSON, or one file as `application/toml` (then
/// `?dry_run=true` only plans, and `reason` and `anyway` are parameters too). Answers what changes;
/// mistakes come with file, line and key.
#[utoipa::path(post, path = "/v1/programme", tag = "programme",
    request_body(content((NewProgramme = "application/json"), (String = "application/toml"))),
    params(("dry_run" = Option<bool>, Query, description = "only plan"),
        ("reason" = Option<String>, Query, description = "why; kept with the facts"),
        ("anyway" = Option<bool>, Query, description = "without a second person, also where closed months or payouts have told of what changes"),
        ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = AppliedView, description = "what is applied, or would be"),
        (status = 409, description = "it changes lines of closed months or that payouts carried (`needs_second_person`), or the key came with another request"),
        (status = 422, body = Refused, content_type = "application/problem+json", description = "mistakes in the files, or no reason")))]
pub(super) async fn apply(
    actor: Actor,
    mut params: Params,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Response, Problem> {
    let author = actor.author(Role::Admin, ENDPOINT)?;
    let dry_run = params.parsed::<bool>("dry_run")?;
    let anyway = params.parsed::<bool>("anyway")?;
    let reason = params.text("reason");
    params.done()?;
    let asked = read(&headers, &body)?;
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for File { name, text } in asked.files {
        match ProgrammeFile::try_new(&name, &text) {
            Ok(file) => read.push(file),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Ok(refused(&problems));
    }
    let reason = reason.or(asked.reason).unwrap_or_default();
    let applying = Applying {
        author,
        reason: free_text("reason", &reason)?.map(Into::into),
        anyway: anyway.unwrap_or(asked.anyway),
        is_dry_run: dry_run.unwrap_or(asked.dry_run),
        patience: PATIENCE,
    };
    match programmes::apply::apply(&actor.service, read, applying).await {
        Ok(applied) => Ok(Json(applied.to_json()).into_response()),
        Err(ApplyError::Problems(problems)) => Ok(refused(&problems)),
        Err(error) => Err(error.into()),
    }
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        let told = error.to_string();
        match error {
            ApplyError::Store(error) => error.into(),
            ApplyError::Command(error) => error.into(),
            ApplyError::Unexplained => Self::missing("reason", told),
            ApplyError::Settled(_) => {
                let title = "A second person is needed";
                Self::new(StatusCode::CONFLICT, "needs_second_person", title, told)
            }
            ApplyError::Underivable(why) => {
                tracing::warn!(why, "what a programme would change could not be derived");
                Self::unavailable("the book cannot be asked for now")
            }
            ApplyError::Problems(_) => Self::invalid("files", told),
            ApplyError::Unreadable { .. } | ApplyError::Directory(_) => internal(&error),
        }
    }
}

fn read(headers: &HeaderMap, body: &Bytes) -> Result<NewProgramme, Problem> {
    if !is_toml(headers) {
        return serde_json::from_slice(body)
            .map_err(|error| Problem::invalid("body", format!("not programme files: {error}")));
    }
    Ok(NewProgramme {
        files: vec![toml_file(body)?],
        dry_run: false,
        reason: None,
        anyway: false,
    })
}

/// Whether the body is one programme file as it is.
pub(super) fn is_toml(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/toml"))
}

/// A programme file that is a body.
pub(super) fn toml_file(body: &Bytes) -> Result<File, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Problem::invalid("body", format!("not UTF-8: {error}")))?;
    Ok(File {
        name: "programme.toml".to_owned(),
        text: text.to_owned(),
    })
}

/// Programme files with mistakes. Nothing of them was applied.
#[derive(Serialize, ToSchema)]
#[schema(as = ProgrammeRefused)]
pub(super) struct Refused {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
    /// Every mistake, in the order of files and lines; absent where the request itself is wrong.
    #[schema(required = false)]
    problems: Vec<Mistake>,
}

/// A mistake in a programme file.
#[derive(Serialize, ToSchema)]
struct Mistake {
    file: String,
    line: usize,
    /// What it is about, as `offer acme/casino`.
    subject: Option<String>,
    key: Option<String>,
    detail: String,
    /// All of this in a line.
    text: String,
}

/// 422 with every mistake.
pub(super) fn refused(problems: &[programmes::Problem]) -> Response {
    let mistakes = problems.iter().map(|problem| Mistake {
        file: problem.file.clone(),
        line: problem.line,
        subject: problem.subject.clone(),
        key: problem.key.clone(),
        detail: problem.detail.clone(),
        text: problem.to_string(),
    });
    let body = Refused {
        r#type: "about:blank",
        title: "Programme refused",
        status: 422,
        code: "programme_refused",
        detail: format!("{} mistakes; nothing was applied", problems.len()),
        problems: mistakes.collect(),
    };
    let mut response = (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, PROBLEM_JSON);
    response
}
