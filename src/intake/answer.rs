//! What senders are answered: the shapes of the two dialects, and problems (RFC 9457).

use postbook_schemas::{FactId, Outcome};
use serde::Serialize;
use utoipa::ToSchema;

use super::{refusal::Refusal, request::Endpoint};

/// An answer, before it is HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Whether the body is a problem.
    pub is_problem: bool,
    /// The body, JSON.
    pub body: Vec<u8>,
    /// What the sender should know all the same.
    pub warnings: Vec<String>,
    /// After how many seconds to try again.
    pub retry_after: Option<u32>,
}

/// What the answer to an attempt that was not refused says.
#[derive(Clone, Debug)]
pub struct Taken<'a> {
    /// `accepted`, `parked`, `sandbox` or `duplicate`.
    pub outcome: Outcome,
    /// The click id that was sent.
    pub click_id: Option<&'a str>,
    /// The campaign of the click.
    pub campaign: Option<&'a str>,
    /// Whether anything attributes it.
    pub matched: bool,
    /// The conversion: of a change the one it changes, if that is known.
    pub conversion_id: Option<FactId>,
    /// Of a duplicate: whether its content differs from the first one's.
    pub differs: Option<bool>,
    /// The fact that was kept of this attempt.
    pub attempt_id: FactId,
}

/// The answer to a postback that was taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Taken)]
pub struct PostbackBody<'a> {
    /// `ok`, `duplicate`, `sandbox` or `parked`.
    status: &'static str,
    /// The click id that was sent.
    click_id: Option<&'a str>,
    /// The campaign of the click.
    campaign: Option<&'a str>,
    /// Whether a click, coupon or customer attributes it.
    matched: bool,
    /// The conversion: of a change the one it changes.
    #[schema(value_type = uuid::Uuid)]
    #[serde(skip_serializing_if = "Option::is_none")]
    conversion_id: Option<FactId>,
    /// Of a duplicate: whether its content differs from the first one's.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    differs: Option<bool>,
    /// The attempt, where there is no conversion to name.
    #[schema(value_type = uuid::Uuid)]
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_id: Option<FactId>,
}

/// The answer to a postback that was taken on an offer's own endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OfferTaken)]
pub struct OfferBody {
    data: OfferData,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OfferTakenData)]
pub struct OfferData {
    /// `ok`, `duplicate`, `sandbox` or `parked`.
    status: &'static str,
    /// The conversion: of a change the one it changes.
    #[schema(value_type = uuid::Uuid)]
    #[serde(rename = "conversionId", skip_serializing_if = "Option::is_none")]
    conversion_id: Option<FactId>,
    /// Of a duplicate: whether its content differs from the first one's.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    differs: Option<bool>,
    /// The attempt, where there is no conversion to name.
    #[schema(value_type = uuid::Uuid)]
    #[serde(rename = "attemptId", skip_serializing_if = "Option::is_none")]
    attempt_id: Option<FactId>,
}

/// A problem as RFC 9457 has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// Names the kind of problem.
    pub r#type: String,
    /// The kind of problem in words.
    pub title: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem for programs.
    pub code: &'a str,
    /// What is wrong this time.
    pub detail: &'a str,
    /// The field at fault.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'a str>,
    /// The fact that was kept of the attempt.
    #[schema(value_type = uuid::Uuid)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_id: Option<FactId>,
}

/// The JSON of an answer's body.
///
/// # Panics
/// Never: bodies hold texts and numbers.
pub fn json(body: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::with_capacity(256);
    serde_json::to_writer(&mut json, body)
        .expect("a body of texts and numbers can be written as JSON");
    json
}

impl<'a> ProblemBody<'a> {
    /// A problem of a kind.
    pub fn new(status: u16, code: &'a str, title: &'a str, detail: &'a str) -> Self {
        Self {
            r#type: format!("urn:postbook:problem:{code}"),
            title,
            status,
            code,
            detail,
            field: None,
            attempt_id: None,
        }
    }
}

impl Answer {
    /// The answer to an attempt that was not refused.
    pub fn taken(endpoint: &Endpoint, taken: &Taken<'_>, warnings: Vec<String>) -> Self {
        let status = match taken.outcome {
            Outcome::Duplicate => "duplicate",
            Outcome::Sandbox => "sandbox",
            Outcome::Parked => "parked",
            _ => "ok",
        };
        // Where there is no conversion to name, the attempt is what support can look up.
        let attempt_id = taken.conversion_id.is_none().then_some(taken.attempt_id);
        let body = match endpoint {
            Endpoint::Postback => json(&PostbackBody {
                status,
                click_id: taken.click_id,
                campaign: taken.campaign,
                matched: taken.matched,
                conversion_id: taken.conversion_id,
                differs: taken.differs,
                attempt_id,
            }),
            Endpoint::Offer(_) => json(&OfferBody {
                data: OfferData {
                    status,
                    conversion_id: taken.conversion_id,
                    differs: taken.differs,
                    attempt_id,
                },
            }),
        };
        Self {
            status: taken.outcome.http_status(),
            is_problem: false,
            body,
            warnings,
            retry_after: None,
        }
    }

    /// The answer to an attempt that was refused.
    pub fn refused(refusal: &Refusal, attempt_id: FactId, warnings: Vec<String>) -> Self {
        let status = refusal.outcome.http_status();
        let code = refusal.outcome.code();
        let body = json(&ProblemBody {
            field: refusal.field.as_deref(),
            attempt_id: Some(attempt_id),
            ..ProblemBody::new(status, code, title(refusal.outcome), &refusal.detail)
        });
        Self {
            status,
            is_problem: true,
            body,
            warnings,
            retry_after: None,
        }
    }

    /// The answer where the fact could not be kept: nothing was taken, and it should be sent again.
    pub fn unavailable() -> Self {
        let detail = "the postback could not be kept; nothing of it was: send it again";
        let body = ProblemBody::new(503, "unavailable", "Try again", detail);
        Self {
            status: 503,
            is_problem: true,
            body: json(&body),
            warnings: Vec::new(),
            retry_after: Some(1),
        }
    }
}

/// The kind of problem that an outcome is, in words.
pub fn title(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::PayloadTooLarge => "Payload too large",
        Outcome::InsecureTransport => "HTTPS required",
        Outcome::UnknownOffer => "Unknown offer",
        Outcome::RateLimited => "Too many requests",
        Outcome::AddressNotAllowed => "Address not allowed",
        Outcome::BadCredentials => "Bad credentials",
        Outcome::BadSignature => "Bad signature",
        Outcome::StaleTimestamp => "Stale timestamp",
        Outcome::Malformed => "Malformed request",
        Outcome::MissingField => "Missing field",
        Outcome::InvalidValue => "Invalid value",
        Outcome::PayoutNotAllowed => "Payout not allowed",
        Outcome::UnknownClick => "Unknown click",
        Outcome::ExpiredClick => "Expired click",
        Outcome::Duplicate => "Duplicate",
        Outcome::Sandbox => "Sandbox",
        Outcome::Parked => "Parked",
        Outcome::Accepted => "Accepted",
    }
}
