//! `/v1/statements`: what partners were told about closed months.

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use postbook_schemas::{Currency, Instant, Slug};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    super::problem::Problem,
    context::{Reader, internal},
    fields::{self, Params},
    page::{page, with_one_more},
    parts::Segment,
};
use crate::{
    statement::{Format, Issued},
    tables::{batch::StatementRow, query::periods::StatementFilter},
};

/// A statement in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Statement)]
pub(super) struct StatementView {
    id: Uuid,
    position: u64,
    partner: String,
    #[schema(value_type = String)]
    currency: Currency,
    period: String,
    number: u64,
    opening_minor: i64,
    closing_minor: i64,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    issued_at: Instant,
}

impl From<StatementRow> for StatementView {
    fn from(row: StatementRow) -> Self {
        Self {
            id: row.id,
            position: row.position,
            partner: row.partner.to_string(),
            currency: row.currency,
            period: row.period.to_string(),
            number: row.number,
            opening_minor: row.opening_minor,
            closing_minor: row.closing_minor,
            issued_at: row.issued_at,
        }
    }
}

/// A partner's statements in the order in which they were issued.
#[utoipa::path(get, path = "/v1/partners/{slug}/statements", tag = "statements", params(
    ("slug" = String, Path), ("period" = Option<String>, Query),
    ("as_of" = Option<String>, Query, description = "of months that had ended by then"),
    ("known_at" = Option<String>, Query, description = "issued by then"),
    ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query),
), responses((status = 200, body = super::page::Page<StatementView>)))]
pub(super) async fn of_partner(
    reader: Reader,
    Segment(slug): Segment,
    params: Params,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found(format!("there is no partner `{slug}`"));
    let partner = Slug::try_new(&slug).map_err(|_| missing())?;
    let partner = reader.partner(Some(partner))?;
    if reader.service.directory.load().partner(&slug).is_none() {
        return Err(missing());
    }
    shown(reader, partner, params).await
}

/// Statements in the order in which they were issued.
#[utoipa::path(get, path = "/v1/statements", tag = "statements", params(
    ("partner" = Option<String>, Query), ("period" = Option<String>, Query),
    ("as_of" = Option<String>, Query, description = "of months that had ended by then"),
    ("known_at" = Option<String>, Query, description = "issued by then"),
    ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query),
), responses((status = 200, body = super::page::Page<StatementView>)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Response, Problem> {
    let partner = reader.partner(params.parsed("partner")?)?;
    shown(reader, partner, params).await
}

async fn shown(
    reader: Reader,
    partner: Option<Slug>,
    mut params: Params,
) -> Result<Response, Problem> {
    reader.require_no_offer_scope()?;
    let filter = StatementFilter {
        partner,
        period: params.parsed("period")?,
        ended_by: params.time("as_of")?,
        issued_by: params.time("known_at")?,
    };
    let slice = params.slice()?;
    params.done()?;
    let rows = reader.tables().statements(&filter, with_one_more(slice));
    let key = |row: &StatementRow| row.position;
    Ok(page(rows.await?, slice, key, StatementView::from))
}

/// One statement: JSON, or CSV or a page to print by `.csv` or `.html` after the id or by `Accept`.
/// The same statement is always answered with the same bytes.
#[utoipa::path(get, path = "/v1/statements/{id}", tag = "statements",
    params(("id" = String, Path, description = "with `.json`, `.csv` or `.html` if wanted")),
    responses((status = 200, description = "the statement as it was issued",
        content((serde_json::Value = "application/json"), (String = "text/csv"), (String = "text/html"))),
        (status = 404, description = "there is none")))]
pub(super) async fn one(
    reader: Reader,
    Segment(name): Segment,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Problem> {
    params.done()?;
    reader.require_no_offer_scope()?;
    let (id, format) = match name.rsplit_once('.') {
        Some((id, suffix)) => {
            let format = Format::from_word(suffix);
            let missing = || Problem::not_found(format!("statements have no `.{suffix}`"));
            (id, format.ok_or_else(missing)?)
        }
        None => (name.as_str(), accepted(&headers)),
    };
    let id = fields::id(id)?;
    let row = reader.tables().statement(id).await?;
    let row = row
        .filter(|row| reader.sight().sees(&row.partner))
        .ok_or_else(|| Problem::not_found(format!("there is no statement {id}")))?;
    let store = reader.service.log.store();
    let issued = Issued::read(&**store, row.position).await;
    let issued = issued.map_err(|error| internal(&error))?;
    let bytes = issued.document(format);
    Ok((answer_headers(format), bytes).into_response())
}

fn answer_headers(format: Format) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static(format.content_type());
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=31536000, immutable"),
    );
    if format == Format::Html {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
        );
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
    }
    headers
}

/// The first kind in `Accept` that statements have.
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
