//! Attempts that are read again: as a repeat that brings news, or by `postbook requeue`.

use std::sync::Arc;

use bytes::Bytes;
use postbook_schemas::{
    Change, Envelope, Event, FactId, Instant, RawRequest, Requeued, Source, Status,
    configuration::Offer, postback::Rejected,
};

use super::{
    credentials::Admission,
    decide,
    evidence::{Evidence, Told},
    fields,
    lookup::Target,
    mapping::Rules,
    request::{Endpoint, Imported, Method, Request},
};
use crate::{service::Service, store::StoreError};

/// A refused attempt, and who has it read again.
#[derive(Clone, Debug)]
pub struct Again {
    /// The attempt: the id of its `postback.rejected`.
    pub attempt_id: FactId,
    /// When it had come in.
    pub received_at: Instant,
    /// What it had been let in under.
    pub admission: Admission,
    /// The request as it was kept.
    pub raw: RawRequest,
    /// Who has it read again.
    pub actor: Arc<str>,
    /// Where that was asked for, with the address that the attempt had come from.
    pub source: Source,
    /// Why.
    pub reason: String,
}

impl Again {
    /// What the fact says of it.
    pub fn requeued(&self) -> Requeued {
        Requeued {
            attempt_id: self.attempt_id,
            reason: self.reason.clone(),
        }
    }
}

/// Gathers the evidence about an attempt that was let in and refused for what it said: the same
/// request, at the time when it came in, under the mapping that is given now.
///
/// # Errors
/// The log could not be read.
pub async fn gather<'r>(
    service: &Service,
    request: &'r Request,
    offer: Arc<Offer>,
    rules: Option<&Arc<Rules>>,
    again: Again,
) -> Result<Evidence<'r>, StoreError> {
    let directory = service.directory.load_full();
    let read = fields::read(request, rules, service.secrets.pseudonyms());
    let reference = offer.reference();
    let told = Told::Offer(offer, reference);
    let mut evidence = Evidence::new(request, again.received_at, read, told);
    evidence.admission = Some(Ok(again.admission.clone()));
    evidence.again = Some(Box::new(again));
    evidence.check_form(service, &directory);
    if decide::refusal(&evidence).is_none() {
        evidence.look_up(service, &directory).await?;
    }
    Ok(evidence)
}

/// The key under which a refused attempt says what became of it.
pub fn key(attempt_id: FactId) -> String {
    format!("requeued\u{1f}{attempt_id}")
}

/// Why a kept request cannot be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It was refused before its credentials were found to be right.
    #[error("it was not let in")]
    NotLetIn,
    /// Only a part of it was kept.
    #[error("its body was not kept whole")]
    Cut,
    /// It was read under a mapping that is not in the log.
    #[error(
        "it was read under a mapping of its file alone: import the file again, with that mapping corrected"
    )]
    OwnMapping,
    /// It came in otherwise than postbacks do.
    #[error("its request was not kept in a way that can be read")]
    Unknown,
}

/// The request of a refused attempt as it was kept, to be read again. The address and the encryption
/// of its connection are not judged a second time.
///
/// # Errors
/// It was not let in, or not kept whole.
pub fn request(envelope: &Envelope, rejected: &Rejected) -> Result<Request, Unreadable> {
    let kept = &rejected.attempt.request;
    if rejected.attempt.credential.is_none() {
        return Err(Unreadable::NotLetIn);
    }
    if kept.body_hex.is_some() || kept.body_bytes.is_some() {
        return Err(Unreadable::Cut);
    }
    let attempt = &rejected.attempt;
    if attempt
        .mapping
        .as_ref()
        .is_some_and(|used| used.position.is_none())
    {
        return Err(Unreadable::OwnMapping);
    }
    let row = attempt.imported.as_ref();
    let endpoint = match (envelope.source.endpoint.as_str(), &rejected.offer, row) {
        ("/postback", ..) => Endpoint::Postback,
        ("/api/postback", Some(offer), _) | (_, Some(offer), Some(_)) => {
            Endpoint::Offer(offer.to_string())
        }
        _ => return Err(Unreadable::Unknown),
    };
    let imported = row.map(|row| {
        Arc::new(Imported {
            caller: None,
            row: row.clone(),
            rules: None,
        })
    });
    let body = Bytes::from(kept.body.clone().unwrap_or_default());
    let method = if kept.method == Method::Get.as_str() {
        Method::Get
    } else {
        Method::Post
    };
    Ok(Request {
        query: kept.query.clone(),
        content_type: kept.content_type.clone(),
        idempotency_key: kept.idempotency_key.clone(),
        body_bytes: body.len() as u64,
        body,
        imported,
        ..Request::bare(endpoint, method, kept.path.clone())
    })
}

/// Where the mapping says so, a report that repeats another with another status is a change of its
/// status, and the evidence is made to say that. Nothing goes back to `pending` in this way: late
/// or repeated first messages must not undo what came after them.
pub(crate) fn becomes_status_change(evidence: &mut Evidence<'_>, first: &Envelope) -> bool {
    let by_mapping = evidence.fields.rules();
    let is_meant = by_mapping.is_some_and(Rules::repeat_changes_status);
    let Some(report) = first.fact.as_report().filter(|_| is_meant) else {
        return false;
    };
    if decide::is_sandbox(evidence) {
        return false;
    }
    let Some(Ok(form)) = &mut evidence.form else {
        return false;
    };
    let is_news = form
        .status
        .is_some_and(|status| status != Status::Pending && Some(status) != report.status);
    if !is_news || !matches!(form.event, Event::Report(_)) {
        return false;
    }
    form.event = Event::Change(Change::Status);
    // What makes the repeat a repeat would make the change one too.
    form.references = report.references.clone();
    form.references.event_id = None;
    form.idempotency_key = None;
    form.amount_minor = None;
    evidence.target = Target::Conversion(first.id);
    true
}
