//! `GET /v1/events`: the kept facts, straight from the log.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use postbook_schemas::{FactType, envelope::RawEnvelope};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    super::problem::Problem,
    context::{Reader, internal},
    fields::Params,
};
use crate::store::Filter;

/// How many bytes of lines are read at a time.
const PAGE_BYTES: usize = 1 << 18;

/// Kept lines.
#[derive(Serialize, ToSchema)]
pub(super) struct Events {
    items: Vec<Event>,
    /// Where to go on; `null` at the end of the log.
    next_from: Option<u64>,
}

/// A kept line, its position before it. `docs/reference/facts.md` says what each type holds.
#[derive(Serialize, ToSchema)]
struct Event {
    position: u64,
    id: Uuid,
    r#type: String,
    version: u32,
    occurred_at: chrono::DateTime<chrono::Utc>,
    recorded_at: chrono::DateTime<chrono::Utc>,
    actor: String,
    #[schema(value_type = Object)]
    source: serde_json::Value,
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

/// Facts from a position on. Each item is the kept line with its position before it.
#[utoipa::path(get, path = "/v1/events", tag = "log", params(
    ("from" = Option<u64>, Query, minimum = 1, description = "the first position; default 1"),
    ("type" = Option<String>, Query, description = "only facts of this type, as ftd.reported"),
    ("limit" = Option<u32>, Query),
), responses((status = 200, body = Events)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Response, Problem> {
    reader.caller.require_unscoped()?;
    let from = params.word(
        "from",
        |text| {
            text.parse::<i64>()
                .ok()
                .filter(|&from| from > 0)
                .map(i64::unsigned_abs)
        },
        "a position: a whole number from 1",
    )?;
    let fact_type = params.word("type", FactType::from_name, "not a type of fact")?;
    let limit = params.limit()?;
    params.done()?;
    let found = gather(&reader, from.unwrap_or(1), fact_type, limit).await?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, found).into_response())
}

/// Puts kept lines into an answer as they are, without reading and writing them again.
async fn gather(
    reader: &Reader,
    mut from: u64,
    fact_type: Option<FactType>,
    limit: u32,
) -> Result<Vec<u8>, Problem> {
    let store = reader.service.log.store();
    let head = store.head();
    // Clicks are kept in two places, and only the filter for everything reads both.
    let filter = match fact_type {
        None | Some(FactType::ClickRecorded) => Filter::ALL,
        Some(other) => Filter::only(&[other]),
    };
    let mut out = b"{\"items\":[".to_vec();
    let mut count = 0;
    'pages: while from <= head && count < limit {
        let page = store.read(from, head, filter, PAGE_BYTES).await?;
        if page.ends.is_empty() {
            from = head + 1;
        }
        for (position, line) in page.lines() {
            from = position + 1;
            if !is_of_type(line, fact_type)? {
                continue;
            }
            if count > 0 {
                out.push(b',');
            }
            out.extend_from_slice(format!("{{\"position\":{position},").as_bytes());
            out.extend_from_slice(line.get(1..).unwrap_or_default());
            count += 1;
            if count == limit {
                break 'pages;
            }
        }
        from = from.max(page.next);
    }
    let next = if from <= head {
        from.to_string()
    } else {
        "null".to_owned()
    };
    out.extend_from_slice(format!("],\"next_from\":{next}}}").as_bytes());
    Ok(out)
}

fn is_of_type(line: &[u8], fact_type: Option<FactType>) -> Result<bool, Problem> {
    let Some(fact_type) = fact_type else {
        return Ok(true);
    };
    let raw: RawEnvelope<'_> = serde_json::from_slice(line).map_err(|error| internal(&error))?;
    Ok(raw.fact_type == fact_type.name())
}
