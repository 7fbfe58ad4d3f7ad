//! Turns a decided attempt into the fact that is kept of it.

use std::{collections::BTreeMap, sync::Arc};

use postbook_schemas::{
    Attempt, Event, Fact, FactId, Instant, MappingUsed, OfferRef, Outcome, RawRequest, dedupe,
    envelope::{Draft, Source},
    postback::{AbuseReport, ChangeReport, References, Rejected, Repeated, Report},
};

use super::{
    again, credentials, decide, differences,
    evidence::Evidence,
    form::{self, Form},
    mapping::Origin,
    redact,
    refusal::Refusal,
    request::{Endpoint, kept_address},
};
use crate::{secrets::Secrets, store::Append};

/// An attempt that nothing refuses, ready to be appended unless it repeats another.
#[derive(Debug)]
pub struct Candidate {
    /// Its id; that of the conversion, for a report.
    pub id: FactId,
    /// The fact.
    pub fact: Fact,
    /// `accepted`, `parked` or `sandbox`.
    pub outcome: Outcome,
    /// Whether anything attributes it.
    pub matched: bool,
    /// What makes it unique.
    pub dedupe_key: Option<String>,
    occurred_at: Option<Instant>,
    references: Vec<String>,
}

/// The attempt that nothing refuses, as a fact. `None` if there is no form, which the decision has
/// refused before.
pub fn candidate(evidence: &Evidence<'_>, secrets: &Secrets, id: FactId) -> Option<Box<Candidate>> {
    let reference = evidence.reference()?;
    let form = evidence.good_form()?;
    let outcome = decide::acceptance(evidence);
    let matched = decide::matched(evidence);
    let verified = evidence.signature.verified();
    let given = form.idempotency_key.as_deref();
    let imported = evidence.request.imported.as_ref();
    let row_key = imported.map(|imported| imported.row_key());
    // A row is told by its place in the file only where the sender's own words tell nothing:
    // else what came over HTTP before would come a second time.
    let real_key = dedupe_key(reference, form, given)
        .or_else(|| verified.and_then(|verified| verified.dedupe_key(reference)))
        .or_else(|| dedupe_key(reference, form, Some(&row_key?)));
    let dedupe_key = if outcome == Outcome::Sandbox {
        real_key.map(|key| dedupe::sandbox_key(&key))
    } else {
        real_key
    };
    let mut references = match (&form.event, outcome) {
        // Test traffic must not be found by changes to real conversions.
        (Event::Report(_), Outcome::Accepted) => found_by(evidence, reference, form),
        _ => Vec::new(),
    };
    references.extend(again_key(evidence));
    Some(Box::new(Candidate {
        id,
        fact: fact(
            form,
            attempt(evidence, secrets),
            reference.clone(),
            outcome,
            matched,
            dedupe_key.clone(),
        ),
        outcome,
        matched,
        dedupe_key,
        occurred_at: form.timestamp.or(received_before(evidence)),
        references,
    }))
}

fn dedupe_key(offer: &OfferRef, form: &Form, idempotency_key: Option<&str>) -> Option<String> {
    match &form.event {
        Event::Report(kind) => dedupe::report_key(offer, kind, &form.references, idempotency_key),
        Event::Change(change) => dedupe::change_key(
            offer,
            *change,
            &form.references,
            form.amount_minor,
            form.timestamp,
            idempotency_key,
        ),
        Event::Abuse(abuse) => dedupe::abuse_key(offer, *abuse, &form.references, idempotency_key),
    }
}

/// The keys under which changes find a report, and later reports its customer's partner.
fn found_by(evidence: &Evidence<'_>, offer: &OfferRef, form: &Form) -> Vec<String> {
    let mut keys = dedupe::reference_keys(offer, &form.references);
    if let Some(customer_id) = &form.references.customer_id
        && decide::matched_without_customer(evidence)
    {
        keys.push(dedupe::bound_customer_key(offer, customer_id));
    }
    keys
}

fn fact(
    form: &Form,
    attempt: Attempt,
    offer: OfferRef,
    outcome: Outcome,
    matched: bool,
    dedupe_key: Option<String>,
) -> Fact {
    let references = form.references.clone();
    match &form.event {
        Event::Report(kind) => Fact::of_report(Report {
            outcome,
            offer,
            kind: kind.clone(),
            event: form.event_word.clone(),
            references,
            amount_minor: form.amount_minor,
            currency: form.currency,
            payout_minor: form.payout.map(|payout| payout.minor),
            quantity: form.quantity,
            status: form.status,
            subs: form.subs.clone(),
            metadata: form.metadata.clone(),
            dedupe_key,
            matched,
            attempt,
        }),
        Event::Change(change) => Fact::of_change(ChangeReport {
            outcome,
            offer,
            change: *change,
            references,
            amount_minor: form.amount_minor,
            currency: form.amount_minor.map(|_| form.currency),
            status: (*change == postbook_schemas::Change::Status)
                .then_some(form.status)
                .flatten(),
            dedupe_key,
            attempt,
        }),
        Event::Abuse(abuse) => Fact::AbuseReported(AbuseReport {
            outcome,
            offer,
            abuse: *abuse,
            references,
            dedupe_key,
            attempt,
        }),
    }
}

/// When an attempt that is read again had come in.
fn received_before(evidence: &Evidence<'_>) -> Option<Instant> {
    Some(evidence.again.as_ref()?.received_at)
}

/// The key under which a refused attempt says what became of it.
fn again_key(evidence: &Evidence<'_>) -> Option<String> {
    Some(again::key(evidence.again.as_ref()?.attempt_id))
}

fn attempt(evidence: &Evidence<'_>, secrets: &Secrets) -> Attempt {
    let request = match &evidence.again {
        Some(again) => again.raw.clone(),
        None => raw_request(evidence, secrets),
    };
    let admission = evidence.admission.as_ref();
    let credential = admission
        .and_then(|admission| admission.as_ref().ok())
        .map(|admission| admission.credential.clone());
    let mapping = evidence.fields.rules().map(|rules| {
        let (position, sha256) = match rules.origin() {
            Origin::Position(position) => (Some(*position), None),
            Origin::Draft(sha256) => (None, Some(sha256.clone())),
        };
        MappingUsed {
            position,
            sha256,
            words: words(evidence),
        }
    });
    let imported = evidence.request.imported.as_ref();
    Attempt {
        credential,
        request,
        warnings: decide::warnings(evidence),
        mapping,
        imported: imported.map(|imported| imported.row.clone()),
        requeued: evidence.again.as_ref().map(|again| again.requeued()),
    }
}

/// Longest id, in bytes, that is kept of an attempt over a limit: that of a UUID and more.
const BRIEF_ID_BYTES_MAX: usize = 64;

/// Whoever is over a limit sends again, and may send at any rate: what it sent is not kept, so that
/// it cannot fill the disk.
fn brief_attempt(evidence: &Evidence<'_>, secrets: &Secrets) -> Attempt {
    let request = evidence.request;
    Attempt {
        credential: None,
        request: RawRequest {
            method: request.method.as_str().to_owned(),
            path: redact::brief_path(request, secrets),
            body_bytes: (request.body_bytes > 0).then_some(request.body_bytes),
            ..RawRequest::default()
        },
        ..Attempt::default()
    }
}

/// What an attempt over a limit refers to, without ids that would cost more than the rest.
fn brief_references(evidence: &Evidence<'_>) -> References {
    let mut references = form::readable_references(&evidence.fields);
    for id in form::ids_mut(&mut references) {
        id.take_if(|id| id.len() > BRIEF_ID_BYTES_MAX);
    }
    references
}

fn raw_request(evidence: &Evidence<'_>, secrets: &Secrets) -> RawRequest {
    let readable = evidence.fault.is_none() && !evidence.request.is_too_large();
    let mut request = redact::kept(evidence.request, &evidence.fields, readable, secrets);
    let is_let_in = matches!(evidence.admission, Some(Ok(_)));
    let is_known = matches!(evidence.shown, credentials::Shown::Token(_));
    if !is_let_in && !is_known {
        redact::cut_short(&mut request, secrets);
    }
    request
}

fn words(evidence: &Evidence<'_>) -> BTreeMap<String, String> {
    let words = evidence.fields.words().iter();
    words
        .map(|(name, word)| (name.as_str().to_owned(), word.clone()))
        .collect()
}

fn actor(evidence: &Evidence<'_>) -> Arc<str> {
    if let Some(again) = &evidence.again {
        return Arc::clone(&again.actor);
    }
    match (&evidence.admission, &evidence.shown) {
        (Some(Ok(admission)), _) => Arc::clone(&admission.actor),
        (_, credentials::Shown::Token(caller)) => Arc::clone(&caller.actor),
        _ => credentials::anonymous(),
    }
}

fn source(evidence: &Evidence<'_>) -> Source {
    if let Some(imported) = &evidence.request.imported {
        return Source {
            endpoint: imported.source(),
            address: None,
        };
    }
    if let Some(again) = &evidence.again {
        return again.source.clone();
    }
    let endpoint = match &evidence.request.endpoint {
        Endpoint::Postback => "/postback",
        Endpoint::Offer(_) => "/api/postback",
    };
    Source {
        endpoint: endpoint.to_owned(),
        address: Some(kept_address(evidence.request.peer.address)),
    }
}

impl Candidate {
    /// The append of this attempt. `not_at` are positions that were found to hold another key.
    pub fn append(&self, evidence: &Evidence<'_>, not_at: &[u64]) -> Append {
        Append {
            draft: draft(evidence, self.id, self.occurred_at, &self.fact),
            unique: self.dedupe_key.clone(),
            not_at: not_at.to_vec(),
            references: self.references.clone(),
            seat: None,
            with_previous: false,
        }
    }
}

fn draft(evidence: &Evidence<'_>, id: FactId, occurred_at: Option<Instant>, fact: &Fact) -> Draft {
    Draft::new(id, occurred_at, actor(evidence), source(evidence), fact)
}

fn plain_append(draft: Draft) -> Append {
    Append {
        draft,
        unique: None,
        not_at: Vec::new(),
        references: Vec::new(),
        seat: None,
        with_previous: false,
    }
}

/// The append of an attempt that is refused.
pub fn rejected(
    evidence: &Evidence<'_>,
    secrets: &Secrets,
    id: FactId,
    refusal: &Refusal,
) -> Append {
    let (references, attempt) = if evidence.limited.is_some() {
        (brief_references(evidence), brief_attempt(evidence, secrets))
    } else {
        let references = form::readable_references(&evidence.fields);
        (references, attempt(evidence, secrets))
    };
    let fact = Fact::PostbackRejected(Rejected {
        outcome: refusal.outcome,
        detail: refusal.detail.to_string(),
        field: refusal.field.as_ref().map(ToString::to_string),
        offer: evidence.reference().cloned(),
        references,
        attempt,
    });
    plain_append(draft(evidence, id, None, &fact))
}

/// The fact of an attempt that repeats an earlier one, whose fact is given.
pub fn repeated(
    evidence: &Evidence<'_>,
    secrets: &Secrets,
    candidate: &Candidate,
    first: &postbook_schemas::Envelope,
) -> Option<Repeated> {
    let form = evidence.good_form()?;
    Some(Repeated {
        outcome: Outcome::Duplicate,
        offer: evidence.reference()?.clone(),
        first_id: first.id,
        dedupe_key: candidate.dedupe_key.clone()?,
        differences: differences::between(first, form),
        references: form.references.clone(),
        attempt: attempt(evidence, secrets),
    })
}

/// The append of a repeat.
pub fn repeated_append(evidence: &Evidence<'_>, id: FactId, repeated: Repeated) -> Append {
    let fact = Fact::PostbackRepeated(repeated);
    let draft = draft(evidence, id, received_before(evidence), &fact);
    Append {
        references: again_key(evidence).into_iter().collect(),
        ..plain_append(draft)
    }
}
