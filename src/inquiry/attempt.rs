//! One attempt told whole: what its row says, and what only its fact keeps.

use postbook_projections::rows::AttemptRow;
use postbook_schemas::{Attempt, Fact, Instant, OfferRef, Outcome, RawRequest, postback::Rejected};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Sources,
    expected::{self, Expected, Under},
};
use crate::{
    commands::{
        record::{self, CommandError},
        requeue,
    },
    intake::mapping::{Origin, Rules},
    tables::query::{Slice, attempts::AttemptFilter},
};

/// A postback attempt, whatever became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptTold {
    /// Where its fact is in the log.
    pub position: u64,
    /// Its id, which the answer named.
    pub id: Uuid,
    /// When its fact was recorded.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub recorded_at: Instant,
    /// What became of it.
    #[schema(value_type = String)]
    pub outcome: Outcome,
    /// The status it was answered with.
    pub http_status: u16,
    /// The type of its fact.
    #[serde(rename = "type")]
    pub fact_type: String,
    /// Where it came in.
    pub endpoint: String,
    /// From where, truncated.
    pub address: Option<String>,
    /// Who sent it, as far as that is known.
    pub actor: String,
    /// The offer, where it was known.
    pub offer: Option<String>,
    /// What it was about.
    pub event: Option<String>,
    /// The click id it gave.
    pub click_id: Option<String>,
    /// The transaction it gave.
    pub txn_id: Option<String>,
    /// The event id it gave.
    pub event_id: Option<String>,
    /// The customer it gave.
    pub customer_id: Option<String>,
    /// The coupon it gave.
    pub coupon_code: Option<String>,
    /// Under what it was let in; absent where it was refused before or for that.
    pub credential: Option<CredentialTold>,
    /// Of a refusal: the field at fault.
    pub field: Option<String>,
    /// Of a refusal: what the sender was told.
    pub detail: Option<String>,
    /// What the sender was told beside the outcome.
    pub warnings: Vec<String>,
    /// Of a repeat: the fact that it repeats.
    pub first_id: Option<Uuid>,
    /// Of a repeat: the fields that say something else than the first.
    pub differences: Vec<DifferenceTold>,
    /// Of a refusal: what was expected beside what was received.
    pub expected: Vec<Expected>,
    /// Of a refusal: what it became when it was read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub became: Option<BecameTold>,
    /// The refused attempt that it is, read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requeued: Option<RequeuedTold>,
    /// The request as received, without secrets and personal data.
    pub request: RequestTold,
}

/// Under what an attempt was let in.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Credential)]
pub struct CredentialTold {
    /// How strong it is: `none`, `secret`, `token`, `hmac` or `standard_webhooks`.
    pub strength: String,
    /// Which key or token, by id.
    pub key_id: Option<String>,
}

/// What a refused attempt became when it was read again.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Became)]
pub struct BecameTold {
    /// Where its fact is in the log.
    pub position: u64,
    /// The id of that.
    pub fact_id: Uuid,
    /// What became of it.
    #[schema(value_type = String)]
    pub outcome: Outcome,
}

/// The refused attempt that another is, read again.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RequeuedFrom)]
pub struct RequeuedTold {
    /// Its id.
    pub attempt_id: Uuid,
    /// Where its fact is in the log; absent where it is not found.
    pub position: Option<u64>,
    /// Why it was read again.
    pub reason: String,
}

/// One field that differs between a repeat and the first.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Difference)]
pub struct DifferenceTold {
    /// The field.
    pub field: String,
    /// The first one's value.
    pub first: Option<String>,
    /// The repeat's value.
    pub repeat: Option<String>,
}

/// A request as received, without secrets and personal data.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = KeptRequest)]
pub struct RequestTold {
    /// `GET` or `POST`.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The content type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in hexadecimal where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_hex: Option<String>,
    /// The whole length of a body that was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
}

/// Searches attempts, and tells them whole. Ids that are personal data are found by themselves or by
/// the names that they are kept under.
///
/// # Errors
/// The log or the read models cannot be read.
pub async fn search(
    sources: &Sources<'_>,
    filter: AttemptFilter,
    slice: Slice,
) -> Result<Vec<AttemptTold>, CommandError> {
    let kept = |id: Option<String>| id.map(|id| sources.pseudonyms.id(&id).into_owned());
    let filter = AttemptFilter {
        click_id: kept(filter.click_id),
        txn_id: kept(filter.txn_id),
        event_id: kept(filter.event_id),
        customer_id: kept(filter.customer_id),
        ..filter
    };
    let rows = sources.tables.attempts(&filter, slice).await?;
    tell_all(sources, rows).await
}

/// Tells attempts whole, in their order.
///
/// # Errors
/// The log cannot be read.
pub async fn tell_all(
    sources: &Sources<'_>,
    rows: Vec<AttemptRow>,
) -> Result<Vec<AttemptTold>, CommandError> {
    let mut told = Vec::with_capacity(rows.len());
    for row in rows {
        told.push(tell(sources, row).await?);
    }
    Ok(told)
}

/// Tells one attempt whole.
///
/// # Errors
/// The log cannot be read.
pub async fn tell(sources: &Sources<'_>, row: AttemptRow) -> Result<AttemptTold, CommandError> {
    let recorded = record::read_from(sources.store, row.position).await?;
    let envelope = recorded.envelope;
    let attempt = envelope.fact.attempt();
    let references = envelope.fact.references();
    let request = attempt.map(|attempt| attempt.request.clone());
    let mut told = AttemptTold {
        position: row.position,
        id: row.id,
        recorded_at: row.recorded_at,
        outcome: row.outcome,
        http_status: row.outcome.http_status(),
        fact_type: row.fact_type,
        endpoint: row.endpoint,
        address: row.address,
        actor: envelope.actor.clone(),
        offer: row.offer.map(|offer| offer.to_string()),
        event: row.event,
        click_id: row.click_id,
        txn_id: row.txn_id,
        event_id: row.event_id,
        customer_id: row.customer_id,
        coupon_code: references.and_then(|all| all.coupon_code.clone()),
        credential: attempt.and_then(credential),
        field: row.field,
        detail: row.detail,
        warnings: attempt
            .map(|attempt| attempt.warnings.clone())
            .unwrap_or_default(),
        first_id: None,
        differences: Vec::new(),
        expected: Vec::new(),
        became: None,
        requeued: None,
        request: request.unwrap_or_default().into(),
    };
    if let Some(requeued) = attempt.and_then(|attempt| attempt.requeued.as_ref()) {
        let before = sources.tables.attempt(requeued.attempt_id).await?;
        told.requeued = Some(RequeuedTold {
            attempt_id: requeued.attempt_id,
            position: before.map(|row| row.position),
            reason: requeued.reason.clone(),
        });
    }
    match &envelope.fact {
        Fact::PostbackRejected(rejected) => {
            told.expected = beside_received(sources, rejected).await?;
            told.became = became(sources, told.id, rejected.outcome).await?;
        }
        Fact::PostbackRepeated(repeated) => {
            told.first_id = Some(repeated.first_id);
            told.differences = repeated.differences.iter().map(difference).collect();
        }
        _ => {}
    }
    Ok(told)
}

/// What was expected beside what was received, under the mapping that the attempt was read under,
/// which need not be the one in force.
async fn beside_received(
    sources: &Sources<'_>,
    rejected: &Rejected,
) -> Result<Vec<Expected>, CommandError> {
    let directory = sources.directory;
    let name = rejected.offer.as_ref().map_or("", OfferRef::as_str);
    let offer = directory.offer(name).map(|offer| &**offer);
    let beside = |under| expected::beside_received(rejected, offer, under);
    let Some(used) = &rejected.attempt.mapping else {
        return Ok(beside(Under::Standard));
    };
    let Some(position) = used.position else {
        return Ok(beside(Under::Unkept));
    };
    let origin = Origin::Position(position);
    if let Some(rules) = directory.mapping(name)
        && *rules.origin() == origin
    {
        return Ok(beside(Under::Mapping(rules)));
    }
    let defined = record::read_from(sources.store, position).await?;
    Ok(match &defined.envelope.fact {
        Fact::MappingDefined(mapping) => beside(Under::Mapping(&Rules::new(mapping, origin))),
        _ => beside(Under::Standard),
    })
}

async fn became(
    sources: &Sources<'_>,
    id: Uuid,
    outcome: Outcome,
) -> Result<Option<BecameTold>, CommandError> {
    if !requeue::outcomes().any(|one| one == outcome) {
        return Ok(None);
    }
    let became = requeue::became(sources.store, id).await?;
    Ok(became.and_then(|became| {
        Some(BecameTold {
            position: became.position,
            fact_id: became.envelope.id,
            outcome: became.envelope.fact.outcome()?,
        })
    }))
}

fn credential(attempt: &Attempt) -> Option<CredentialTold> {
    let credential = attempt.credential.as_ref()?;
    let strength = serde_json::to_value(credential.strength).ok()?;
    Some(CredentialTold {
        strength: strength.as_str()?.to_owned(),
        key_id: credential.key_id.clone(),
    })
}

fn difference(difference: &postbook_schemas::postback::Difference) -> DifferenceTold {
    DifferenceTold {
        field: difference.field.clone(),
        first: difference.first.clone(),
        repeat: difference.repeat.clone(),
    }
}

impl From<RawRequest> for RequestTold {
    fn from(kept: RawRequest) -> Self {
        Self {
            method: kept.method,
            path: kept.path,
            query: kept.query,
            content_type: kept.content_type,
            body: kept.body,
            body_hex: kept.body_hex,
            body_bytes: kept.body_bytes,
        }
    }
}
