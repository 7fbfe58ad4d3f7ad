//! `GET /v1/conversions`: what happened at the advertisers, and what it earns.

use axum::{Json, response::Response};
use postbook_projections::rows::ConversionRow;
use postbook_schemas::{Instant, Status};

use super::{
    super::problem::Problem,
    context::Reader,
    conversions_then,
    fields::{self, Params},
    page::{page, with_one_more},
    parts::Segment,
    view::Conversion,
};
use crate::{
    commands::past,
    tables::query::{balances::AsOf, conversions::ConversionFilter},
};

/// Conversions in the order in which they were first reported: as they stand, or as of one time as known at
/// another. A page of how they were may show fewer than its limit and yet not be the last.
#[utoipa::path(get, path = "/v1/conversions", tag = "conversions", params(
    ("offer" = Option<String>, Query, description = "brand/offer"),
    ("partner" = Option<String>, Query, description = "credited to this partner"),
    ("txn_id" = Option<String>, Query), ("click_id" = Option<String>, Query),
    ("customer_id" = Option<String>, Query),
    ("status" = Option<String>, Query, description = "pending, approved, rejected or reversed"),
    ("from" = Option<String>, Query, description = "occurred at or after this time"),
    ("to" = Option<String>, Query, description = "occurred before this time"),
    ("sandbox" = Option<bool>, Query, description = "include test traffic"),
    ("as_of" = Option<String>, Query, description = "what had happened by then"),
    ("known_at" = Option<String>, Query, description = "as far as it was recorded by then"),
    ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query, description = "1 to 1000, default 100"),
), responses((status = 200, body = super::page::Page<Conversion>)))]
pub(super) async fn list(reader: Reader, mut params: Params) -> Result<Response, Problem> {
    let now = reader.service.clock.now();
    let status = params.word(
        "status",
        |word| {
            Status::ALL
                .iter()
                .copied()
                .find(|status| status.code() == word)
        },
        "pending, approved, rejected or reversed",
    )?;
    let names = reader.service.secrets.pseudonyms();
    let kept = |id: Option<String>| id.map(|id| names.id(&id).into_owned());
    let filter = ConversionFilter {
        offer: reader.offer(params.parsed("offer")?)?,
        partner: reader.partner(params.parsed("partner")?)?,
        txn_id: kept(params.text("txn_id")),
        click_id: kept(params.text("click_id")),
        customer_id: kept(params.text("customer_id")),
        status: status.map(|status| (status, now)),
        from: params.time("from")?,
        to: params.time("to")?,
        sandbox: params.flag("sandbox")?,
    };
    let (effective, known) = (params.time("as_of")?, params.time("known_at")?);
    let slice = params.slice()?;
    params.done()?;
    if effective.is_some() || known.is_some() {
        let as_of = AsOf {
            effective: effective.unwrap_or(now),
            known: known.unwrap_or(Instant::MAX),
        };
        return conversions_then::list(&reader, filter, as_of, slice).await;
    }
    let rows = reader
        .tables()
        .conversions(&filter, with_one_more(slice))
        .await?;
    let rows = rows.into_iter();
    let rows = rows.filter_map(|row| reader.sight().conversion(row));
    let key = |row: &ConversionRow| row.position;
    let view = |row| Conversion::at(row, now);
    Ok(page(rows.collect(), slice, key, view))
}

/// One conversion, as it stands or as of one time as known at another.
#[utoipa::path(get, path = "/v1/conversions/{id}", tag = "conversions",
    params(("id" = String, Path), ("as_of" = Option<String>, Query, description = "what had happened by then"),
        ("known_at" = Option<String>, Query, description = "as far as it was recorded by then")),
    responses((status = 200, body = Conversion), (status = 404, description = "there is none")))]
pub(super) async fn one(
    reader: Reader,
    Segment(id): Segment,
    mut params: Params,
) -> Result<Json<Conversion>, Problem> {
    let (effective, known) = (params.time("as_of")?, params.time("known_at")?);
    params.done()?;
    let now = reader.service.clock.now();
    let row = visible(&reader, &id).await?;
    if effective.is_none() && known.is_none() {
        return Ok(Json(Conversion::at(row, now)));
    }
    let as_of = AsOf {
        effective: effective.unwrap_or(now),
        known: known.unwrap_or(Instant::MAX),
    };
    let service = &*reader.service;
    let then = past::conversion(service.into(), &service.projector, &row, as_of).await?;
    let then = then.and_then(|row| reader.sight().conversion(row));
    let missing = || Problem::not_found(format!("there was no conversion {id} then"));
    Ok(Json(Conversion::at(
        then.ok_or_else(missing)?,
        as_of.effective,
    )))
}

/// As much of the conversion as the caller may see; for others it does not exist.
pub(super) async fn visible(reader: &Reader, id: &str) -> Result<ConversionRow, Problem> {
    let id = fields::id(id)?;
    let missing = || Problem::not_found(format!("there is no conversion {id}"));
    let row = reader.tables().conversion(id).await?;
    let row = row.and_then(|row| reader.sight().conversion(row));
    row.ok_or_else(missing)
}
