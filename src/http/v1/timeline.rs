//! `GET /v1/conversions/{id}/timeline`: every fact that concerns a conversion.

use axum::Json;
use postbook_schemas::{Envelope, Instant, Source, envelope::Recorded};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    super::problem::Problem,
    context::{Reader, internal},
    conversions::visible,
    fields::Params,
    parts::Segment,
};
use crate::commands::record;

/// The facts that concern a conversion, in the order of the log.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Timeline {
    items: Vec<TimelineFact>,
}

/// One fact of a timeline.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct TimelineFact {
    position: u64,
    id: Uuid,
    #[serde(rename = "type")]
    fact_type: &'static str,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    occurred_at: Instant,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    recorded_at: Instant,
    actor: String,
    #[schema(value_type = Object)]
    source: Source,
    data: Value,
}

/// Every fact that concerns a conversion: what reported, changed, decided about, paid it, or named
/// its transaction in vain.
#[utoipa::path(get, path = "/v1/conversions/{id}/timeline", tag = "conversions",
    params(("id" = String, Path)),
    responses((status = 200, body = Timeline), (status = 404, description = "there is none")))]
pub(super) async fn of_conversion(
    reader: Reader,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<Timeline>, Problem> {
    params.done()?;
    let conversion = visible(&reader, &id).await?;
    let mut items = Vec::new();
    let sight = reader.sight();
    let payouts = reader.tables().payouts_of(conversion.id).await?.into_iter();
    let payouts = payouts.filter_map(|row| sight.payout(row));
    let payouts = payouts.map(|row| row.id).collect();
    for position in reader.tables().timeline(&conversion).await? {
        let Recorded { position, envelope } = record::read(&reader.service, position).await?;
        if sight.fact(&envelope.fact, &payouts) {
            items.push(view(position, envelope)?);
        }
    }
    if sight.only_partner().is_some() {
        // A partner sees what happened, not the advertiser's requests nor who works here.
        for item in &mut items {
            item.data = Value::Null;
            item.actor.clear();
            "".clone_into(&mut item.source.endpoint);
            item.source.address = None;
        }
    }
    Ok(Json(Timeline { items }))
}

fn view(position: u64, envelope: Envelope) -> Result<TimelineFact, Problem> {
    let data =
        serde_json::from_slice(&envelope.fact.to_json()).map_err(|error| internal(&error))?;
    Ok(TimelineFact {
        position,
        id: envelope.id,
        fact_type: envelope.fact.fact_type().name(),
        occurred_at: envelope.occurred_at,
        recorded_at: envelope.recorded_at,
        actor: envelope.actor,
        source: envelope.source,
        data,
    })
}
