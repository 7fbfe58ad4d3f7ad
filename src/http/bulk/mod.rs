//! Many clicks or postbacks in one request: NDJSON in, an answer per line out.
//!
//! The body is read, appended and forgotten group by group; only the answers are held until the
//! end, since many clients read nothing before they have sent everything. What a request may hold
//! is limited, and so is how many of them are under way: memory stays bounded.

mod lines;

use std::{fmt::Display, str::FromStr, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use postbook_schemas::OfferRef;
use serde::{Deserialize, Deserializer, de};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::lines::{End, Lines};
use super::{auth::Authenticated, problem::Problem};
use crate::{
    commands::draft_mapping,
    intake::bulk::{self, BulkResult, File, Line, LineAnswer, Sending},
    secrets::Role,
    service::Service,
};

/// How many such requests are under way at once.
const REQUESTS_MAX: usize = 4;

const NDJSON: &str = "application/x-ndjson";

/// A place for each request that may be under way.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Semaphore>);

impl Default for Slots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(REQUESTS_MAX)))
    }
}

impl Slots {
    fn take(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.0.try_acquire().map_err(|_| {
            Problem::unavailable("too many requests of many lines are under way; nothing was taken")
        })
    }
}

/// What the query of a bulk request says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    #[serde(deserialize_with = "given")]
    offer: Option<String>,
    #[serde(deserialize_with = "given")]
    file: Option<String>,
    #[serde(deserialize_with = "given")]
    sha256: Option<String>,
    #[serde(deserialize_with = "given")]
    dry_run: Option<bool>,
}

/// What is empty counts as not given, as in all of `/v1`.
fn given<'de, D, T>(value: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(value)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(de::Error::custom)
}

/// What the query says, or what is wrong with it.
pub(super) fn asked(asked: Result<Query<Asked>, QueryRejection>) -> Result<Asked, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::invalid("query", error.body_text()))?;
    Ok(asked)
}

/// Whether a request is one of many lines.
pub(super) fn is_ndjson(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE);
    given
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| {
            let essence = essence.trim();
            essence.eq_ignore_ascii_case(NDJSON)
                || essence.eq_ignore_ascii_case("application/jsonl")
        })
}

/// One click a line.
pub(super) async fn clicks(
    service: Arc<Service>,
    slots: &Slots,
    caller: Authenticated,
    asked: Asked,
    body: Body,
) -> Result<Response, Problem> {
    let sending = asked.sending(caller)?;
    let slot = slots.take()?;
    let mut lines = Lines::new(body);
    let first = lines.group().await;
    run(slot, lines, first, Taker::Clicks(service, sending)).await
}

/// Rows of a file as postbacks of one offer, each through the same decisions as one over HTTP:
/// a line is `{"row": 12, "fields": {…}}`. A first line `{"mapping": "…"}`, which is not answered, may
/// hold a programme file (TOML) with the `[[mapping]]` that the rows are read under, in the place of
/// the offer's.
#[utoipa::path(post, path = "/v1/imports/postbacks", tag = "intake", params(
    ("offer" = String, Query, description = "brand/offer"),
    ("file" = String, Query, description = "the file's name, for the facts"),
    ("sha256" = String, Query, description = "of the file; with a row's number it makes unique what nothing else does"),
    ("dry_run" = Option<bool>, Query, description = "keep nothing, only tell"),
), request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, description = "a `LineAnswer` per line", body = String, content_type = "application/x-ndjson")))]
pub(super) async fn postbacks(
    State(service): State<Arc<Service>>,
    Extension(slots): Extension<Slots>,
    caller: Authenticated,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Role::Ingest)?;
    let asked = self::asked(asked)?;
    if !is_ndjson(request.headers()) {
        return Err(Problem::invalid(
            "Content-Type",
            "send application/x-ndjson",
        ));
    }
    let offer = asked.offer()?;
    let mut sending = asked.sending(caller)?;
    let Some(file) = sending.file.clone() else {
        return Err(Problem::missing("file", "name the file and its sha256"));
    };
    let slot = slots.take()?;
    let mut lines = Lines::new(request.into_body());
    let mut first = lines.group().await;
    if let Some(text) = own_mapping(&mut first) {
        if !sending.caller.is_for(&offer) {
            return Err(Problem::invalid("offer", "the token is not for this offer"));
        }
        sending.rules = draft_mapping::read(&service, &offer, &text).await?;
    }
    let taker = Taker::Postbacks(service, sending, file, offer);
    run(slot, lines, first, taker).await
}

/// A first line that brings the mapping of the rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnMapping {
    mapping: String,
}

/// Takes the mapping off the first lines, if they begin with one.
fn own_mapping(first: &mut Vec<Line>) -> Option<String> {
    let text = first.first()?.text.as_deref().ok()?;
    let own: OwnMapping = serde_json::from_str(text).ok()?;
    first.remove(0);
    Some(own.mapping)
}

/// What takes the lines.
enum Taker {
    Clicks(Arc<Service>, Sending),
    Postbacks(Arc<Service>, Sending, File, OfferRef),
}

impl Taker {
    async fn take(&self, lines: Vec<Line>) -> BulkResult {
        match self {
            Self::Clicks(service, sending) => bulk::clicks::record(service, sending, lines).await,
            Self::Postbacks(service, sending, file, offer) => {
                bulk::postbacks::take(service, sending, file, offer, lines).await
            }
        }
    }
}

impl Asked {
    fn offer(&self) -> Result<OfferRef, Problem> {
        let given = self.offer.as_deref();
        given
            .ok_or_else(|| Problem::missing("offer", "`offer` is missing: brand/offer"))?
            .parse()
            .map_err(|error: postbook_schemas::NameError| {
                Problem::invalid("offer", error.to_string())
            })
    }

    fn sending(&self, caller: Authenticated) -> Result<Sending, Problem> {
        let file = match (&self.file, &self.sha256) {
            (None, None) => None,
            (Some(name), Some(sha256)) => Some(File::try_new(name, sha256).map_err(|error| {
                let field = match error {
                    bulk::FileError::Name => "file",
                    bulk::FileError::Sha256 => "sha256",
                };
                Problem::invalid(field, error.to_string())
            })?),
            (None, Some(_)) => return Err(Problem::missing("file", "name the file too")),
            (Some(_), None) => return Err(Problem::missing("sha256", "give the file's hash too")),
        };
        Ok(Sending {
            caller: caller.0,
            file,
            rules: None,
            dry_run: self.dry_run.unwrap_or(false).then(Arc::default),
        })
    }
}

/// Reads the next lines while those before them are appended.
async fn run(
    _slot: SemaphorePermit<'_>,
    mut lines: Lines,
    mut waiting: Vec<Line>,
    taker: Taker,
) -> Result<Response, Problem> {
    let mut out = Vec::new();
    let mut is_first = true;
    while let Some(from) = waiting.first().map(|line| line.number) {
        let (answers, next) = tokio::join!(taker.take(std::mem::take(&mut waiting)), lines.group());
        match answers {
            Ok(answers) => answers.iter().for_each(|answer| write(&mut out, answer)),
            Err(error) => {
                tracing::error!(%error, "lines could not be kept");
                let detail = "from this line on nothing may have been kept: send them again";
                if is_first {
                    return Err(Problem::unavailable(
                        "the lines could not be kept: send them again",
                    ));
                }
                write(&mut out, &LineAnswer::stopped(from, detail));
                return Ok(response(out));
            }
        }
        is_first = false;
        waiting = next;
    }
    if let Some(End::Early(why)) = lines.end() {
        write(&mut out, &LineAnswer::stopped(lines.next_number(), why));
    }
    Ok(response(out))
}

fn write(out: &mut Vec<u8>, answer: &LineAnswer) {
    out.extend_from_slice(&crate::intake::answer::json(answer));
    out.push(b'\n');
}

fn response(out: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, NDJSON)], out).into_response()
}
