//! Many postbacks out of a file, each through the same decisions as one over HTTP.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;
use postbook_schemas::{OfferRef, Outcome};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::sync::Mutex;

use super::{BulkResult, File, Line, LineAnswer, Sending};
use crate::{
    intake::{
        self,
        fields::{self, Name},
        mapping::Rules,
        personal::Pseudonyms,
        pretend::{Pretend, Would, hash},
        request::{Endpoint, Imported, Method, Request},
    },
    service::Service,
    store::StoreError,
};

/// How many rows are under way at once: enough to fill commits, but a few rows go one by one.
const LANES_MAX: usize = 256;
const ROWS_OF_A_LANE: usize = 4;

/// What is said of a repeat that differs.
const DIFFERS: &str = "it says something else than the first";

/// The status of an answer that says that the postback could not be kept.
const UNAVAILABLE: u16 = 503;

/// A row as it stands in a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'l> {
    /// Its number in the file.
    row: u64,
    /// Its fields, a JSON object as the body of a postback.
    #[serde(borrow)]
    fields: &'l RawValue,
}

/// Takes one postback a line: `{"row": 12, "fields": {…}}`.
///
/// Rows that name the same transaction, click or customer are taken in their order, so that a
/// refund comes after its sale; the others beside each other.
///
/// # Errors
/// The log could not be read or written; sent again, rows that are there already are duplicates.
pub async fn take(
    service: &Service,
    sending: &Sending,
    file: &File,
    offer: &OfferRef,
    lines: Vec<Line>,
) -> BulkResult {
    let mut answers = BTreeMap::new();
    let mut lanes: BTreeMap<u64, Vec<(u64, Request)>> = BTreeMap::new();
    let directory = service.directory.load_full();
    let own = sending.rules.as_ref();
    let rules = own.or_else(|| directory.mapping(offer.as_str()));
    let names = service.secrets.pseudonyms();
    let lane_count = match sending.dry_run {
        // What is kept nowhere is not waited for.
        Some(_) => 1,
        None => (lines.len() / ROWS_OF_A_LANE).clamp(1, LANES_MAX) as u64,
    };
    for line in lines {
        match request(&line, sending, file, offer) {
            Ok(request) => {
                let lane = match subject(&request, rules, names) {
                    Some(subject) => hash(&subject),
                    None => line.number,
                };
                let lane = lanes.entry(lane % lane_count).or_default();
                lane.push((line.number, request));
            }
            Err(detail) => {
                answers.insert(line.number, LineAnswer::malformed(line.number, detail));
            }
        }
    }
    let lanes = lanes
        .into_values()
        .map(|rows| Box::pin(lane(service, rows, sending.dry_run.as_deref())));
    for lane in join_all(lanes).await {
        answers.extend(lane?.into_iter().map(|answer| (answer.line, answer)));
    }
    Ok(answers.into_values().collect())
}

/// What the decisions are asked about: the row as a request to the offer's endpoint.
fn request(
    line: &Line,
    sending: &Sending,
    file: &File,
    offer: &OfferRef,
) -> Result<Request, String> {
    let text = line.text.as_ref().map_err(|fault| (*fault).to_owned())?;
    let row: Row<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let endpoint = Endpoint::Offer(offer.as_str().to_owned());
    let path = format!("/api/postback/{offer}");
    let body = row.fields.get().as_bytes().to_vec();
    Ok(Request {
        content_type: Some("application/json".to_owned()),
        body_bytes: body.len() as u64,
        body: body.into(),
        imported: Some(Arc::new(Imported {
            caller: Some(Arc::clone(&sending.caller)),
            row: file.row(row.row),
            rules: sending.rules.clone(),
        })),
        ..Request::bare(endpoint, Method::Post, path)
    })
}

/// What a row is about, as far as that can be told.
fn subject(request: &Request, rules: Option<&Arc<Rules>>, names: &Pseudonyms) -> Option<String> {
    let (fields, _) = fields::read(request, rules, names);
    [Name::TxnId, Name::ClickId, Name::CustomerId]
        .into_iter()
        .find_map(|name| fields.get(name).map(str::to_owned))
}

async fn lane(
    service: &Service,
    rows: Vec<(u64, Request)>,
    dry_run: Option<&Mutex<Pretend>>,
) -> Result<Vec<LineAnswer>, StoreError> {
    let mut answers = Vec::with_capacity(rows.len());
    for (line, request) in rows {
        let answer = match dry_run {
            Some(pretend) => previewed(service, &request, &mut *pretend.lock().await).await?,
            None => taken(service, &request).await?,
        };
        answers.push(LineAnswer { line, ..answer });
    }
    Ok(answers)
}

async fn taken(service: &Service, request: &Request) -> Result<LineAnswer, StoreError> {
    let answer = intake::postback(service, request).await;
    if answer.status == UNAVAILABLE {
        return Err(StoreError::Busy);
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    if answer.is_problem {
        return Ok(LineAnswer {
            outcome: text(&body, "code").unwrap_or_default(),
            http_status: answer.status,
            id: text(&body, "attempt_id"),
            field: text(&body, "field"),
            detail: text(&body, "detail"),
            ..LineAnswer::default()
        });
    }
    let data = &body["data"];
    let status = text(data, "status").unwrap_or_default();
    let outcome = Outcome::from_code(&status).unwrap_or(Outcome::Accepted);
    let mut details = answer.warnings;
    if data["differs"].as_bool() == Some(true) {
        details.insert(0, DIFFERS.to_owned());
    }
    Ok(LineAnswer {
        outcome: outcome.code().to_owned(),
        http_status: answer.status,
        id: text(data, "conversionId").or_else(|| text(data, "attemptId")),
        detail: Some(details.join("; ")).filter(|detail| !detail.is_empty()),
        ..LineAnswer::default()
    })
}

async fn previewed(
    service: &Service,
    request: &Request,
    pretend: &mut Pretend,
) -> Result<LineAnswer, StoreError> {
    let answer = |outcome: Outcome| LineAnswer {
        outcome: outcome.code().to_owned(),
        http_status: outcome.http_status(),
        ..LineAnswer::default()
    };
    Ok(match intake::preview(service, request, pretend).await? {
        Ok(Would::BeNew(outcome)) => answer(outcome),
        Ok(Would::Repeat { differs, .. }) => LineAnswer {
            detail: differs.then(|| DIFFERS.to_owned()),
            ..answer(Outcome::Duplicate)
        },
        Err(refusal) => LineAnswer {
            field: refusal.field.map(Cow::into_owned),
            detail: Some(refusal.detail.into_owned()),
            ..answer(refusal.outcome)
        },
    })
}
