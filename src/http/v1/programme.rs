//! `POST /v1/programme`: plans programme files and applies them, all or nothing.

use axum::{
    Json,
    body::Bytes,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use postbook_schemas::Source;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    super::problem::{PROBLEM_JSON, Problem},
    context::{Actor, internal},
    fields::Params,
    parts::Whole,
};
use crate::{
    commands::programme::{
        self as programmes, ProgrammeFile,
        apply::{ApplyError, Applying},
    },
    secrets::Role,
};

/// The largest programme.
pub(super) const BODY_BYTES_MAX: usize = 16 << 20;

const ENDPOINT: &str = "POST /v1/programme";

/// Programme files.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Files {
    files: Vec<File>,
    /// Only plan.
    #[serde(default)]
    dry_run: bool,
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
    first_position: Option<u64>,
    last_position: Option<u64>,
}

/// Plans programme files and applies them. The body is JSON, or one file as `application/toml` (then
/// `?dry_run=true` only plans). Answers what changes; mistakes come with file, line and key.
#[utoipa::path(post, path = "/v1/programme", tag = "programme",
    request_body(content((Files = "application/json"), (String = "application/toml"))),
    params(("dry_run" = Option<bool>, Query, description = "only plan")),
    responses((status = 200, body = AppliedView, description = "what is applied, or would be"),
        (status = 422, body = Refused, content_type = "application/problem+json", description = "mistakes in the files")))]
pub(super) async fn apply(
    actor: Actor,
    mut params: Params,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Response, Problem> {
    let author = actor.author(Role::Admin, ENDPOINT)?;
    let dry_run = params.parsed::<bool>("dry_run")?;
    params.done()?;
    let Files {
        files,
        dry_run: said,
    } = read(&headers, &body)?;
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for File { name, text } in files {
        match ProgrammeFile::try_new(&name, &text) {
            Ok(file) => read.push(file),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Ok(refused(&problems));
    }
    let applying = Applying {
        actor: author.actor,
        source: Source {
            endpoint: ENDPOINT.to_owned(),
            address: None,
        },
        is_dry_run: dry_run.unwrap_or(said),
    };
    match programmes::apply::apply(&actor.service, read, applying).await {
        Ok(applied) => Ok(Json(applied.to_json()).into_response()),
        Err(ApplyError::Problems(problems)) => Ok(refused(&problems)),
        Err(ApplyError::Store(error)) => Err(error.into()),
        Err(ApplyError::Command(error)) => Err(error.into()),
        Err(error @ (ApplyError::Unreadable { .. } | ApplyError::Directory(_))) => {
            Err(internal(&error))
        }
    }
}

fn read(headers: &HeaderMap, body: &Bytes) -> Result<Files, Problem> {
    if !is_toml(headers) {
        return serde_json::from_slice(body)
            .map_err(|error| Problem::invalid("body", format!("not programme files: {error}")));
    }
    Ok(Files {
        files: vec![toml_file(body)?],
        dry_run: false,
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
