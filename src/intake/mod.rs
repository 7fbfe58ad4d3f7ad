//! Requests become facts: a postback is read, decided, kept, and only then answered.
//!
//! The way of a postback: [`request`] → [`fields`] → [`evidence`] (which uses [`credentials`],
//! [`signature`] and [`form`]) → [`decide`] → [`record`] → log → [`answer`]. Clicks go through [`click`].

pub mod answer;
pub mod bulk;
pub mod click;
pub mod credentials;
pub mod decide;
mod differences;
pub mod evidence;
pub mod fields;
pub mod form;
pub mod legacy;
pub mod rate;
pub mod record;
pub mod redact;
pub mod refusal;
pub mod request;
pub mod signature;

use postbook_schemas::{Envelope, Fact, FactId, Outcome};

use self::{
    answer::{Answer, Taken},
    evidence::{Evidence, Target},
    record::Candidate,
    refusal::Refusal,
    request::{Endpoint, Request},
};
use crate::{
    service::Service,
    store::{Appended, StoreError},
};

/// How often a repeat is compared with facts whose keys only look alike; more than one in a row
/// will not be seen.
const LOOK_ALIKES_MAX: usize = 8;

/// Takes one postback: every attempt ends in exactly one outcome, and is in the log before it is
/// answered. If it cannot be kept, the sender is told to send it again.
pub async fn postback(service: &Service, request: &Request) -> Answer {
    match take(service, request).await {
        Ok((outcome, answer)) => {
            service.meters.attempt(outcome);
            answer
        }
        Err(error) => {
            service.meters.attempt_failed();
            // Where too many wait, a line for each would only add to it: the counter tells.
            if !matches!(error, StoreError::Busy) {
                tracing::error!(%error, "a postback could not be kept");
            }
            Answer::unavailable()
        }
    }
}

async fn take(service: &Service, request: &Request) -> Result<(Outcome, Answer), StoreError> {
    let now = service.clock.now();
    let evidence = evidence::gather(service, request, now).await?;
    let id = service.clock.new_id();
    if let Some(refusal) = decide::refusal(&evidence) {
        let limited = refusal.outcome == Outcome::RateLimited;
        if limited && !service.limits.keeps_another(now) {
            service.meters.network.attempt_beyond_limits();
            return Err(StoreError::Busy);
        }
        let append = record::rejected(&evidence, &service.secrets, id, &refusal);
        service.append(append).await?;
        let mut answer = Answer::refused(&refusal, id, decide::warnings(&evidence));
        answer.retry_after = evidence.limited.filter(|_| limited);
        return Ok((refusal.outcome, answer));
    }
    if let Some(offer) = evidence.legacy_offer() {
        service.legacy.took(offer, &service.meters);
    }
    let candidate = record::candidate(&evidence, &service.secrets, id).ok_or(
        StoreError::Closed("an attempt was neither refused nor understood, which is a bug"),
    )?;
    match keep(service, &evidence, &candidate).await? {
        Kept::New => accepted(service, &evidence, &candidate).await,
        Kept::Repeats(first) => duplicate(service, &evidence, &candidate, &first).await,
    }
}

/// Says what would become of a postback, and keeps nothing. Whether it repeats another is as of
/// now: only an append decides it for good.
///
/// # Errors
/// The log could not be read.
pub async fn preview(
    service: &Service,
    request: &Request,
) -> Result<(Outcome, Option<Refusal>), StoreError> {
    let evidence = evidence::gather(service, request, service.clock.now()).await?;
    if let Some(refusal) = decide::refusal(&evidence) {
        return Ok((refusal.outcome, Some(refusal)));
    }
    let id = service.clock.new_id();
    let candidate = record::candidate(&evidence, &service.secrets, id);
    if let Some(key) = candidate.and_then(|candidate| candidate.dedupe_key)
        && let Some(position) = service.log.store().find(&key).await?
    {
        let first = evidence::read_fact(service, position).await?;
        if dedupe_key(&first.fact) == Some(&*key) {
            return Ok((Outcome::Duplicate, None));
        }
    }
    Ok((decide::acceptance(&evidence), None))
}

enum Kept {
    New,
    Repeats(Box<Envelope>),
}

async fn keep(
    service: &Service,
    evidence: &Evidence<'_>,
    candidate: &Candidate,
) -> Result<Kept, StoreError> {
    let mut not_at = Vec::new();
    loop {
        let append = candidate.append(evidence, &service.secrets, &not_at);
        let position = match service.append(append).await? {
            Appended::At { .. } => return Ok(Kept::New),
            Appended::Known { position } => position,
        };
        let first = evidence::read_fact(service, position).await?;
        if dedupe_key(&first.fact) == candidate.dedupe_key.as_deref() {
            return Ok(Kept::Repeats(Box::new(first)));
        }
        if not_at.len() >= LOOK_ALIKES_MAX {
            let what = "too many facts have keys that look alike".to_owned();
            return Err(StoreError::Damaged { position, what });
        }
        not_at.push(position);
    }
}

fn dedupe_key(fact: &Fact) -> Option<&str> {
    if let Fact::AbuseReported(report) = fact {
        return report.dedupe_key.as_deref();
    }
    let report = fact.as_report().map(|report| &report.dedupe_key);
    let change = fact.as_change().map(|change| &change.dedupe_key);
    report.or(change)?.as_deref()
}

async fn accepted(
    service: &Service,
    evidence: &Evidence<'_>,
    candidate: &Candidate,
) -> Result<(Outcome, Answer), StoreError> {
    let is_report = candidate.fact.as_report().is_some();
    let conversion_id = match evidence.target {
        Target::Conversion(id) => Some(id),
        Target::Unasked | Target::Unknown => is_report.then_some(candidate.id),
    };
    let campaign = campaign(service, evidence).await?;
    let taken = Taken {
        outcome: candidate.outcome,
        click_id: click_id(evidence),
        campaign: campaign.as_deref(),
        matched: if is_report {
            candidate.matched
        } else {
            conversion_id.is_some()
        },
        conversion_id,
        differs: None,
        attempt_id: candidate.id,
    };
    let endpoint = &evidence.request.endpoint;
    let answer = Answer::taken(endpoint, &taken, decide::warnings(evidence));
    Ok((candidate.outcome, answer))
}

async fn duplicate(
    service: &Service,
    evidence: &Evidence<'_>,
    candidate: &Candidate,
    first: &Envelope,
) -> Result<(Outcome, Answer), StoreError> {
    let id = service.clock.new_id();
    let repeated = record::repeated(evidence, &service.secrets, candidate, first)
        .ok_or(StoreError::Closed("a repeat has no key, which is a bug"))?;
    let differs = !repeated.differences.is_empty();
    let append = record::repeated_append(evidence, &service.secrets, id, repeated);
    service.append(append).await?;
    let (conversion_id, matched) = conversion_of(service, first).await?;
    let campaign = campaign(service, evidence).await?;
    let taken = Taken {
        outcome: Outcome::Duplicate,
        click_id: click_id(evidence),
        campaign: campaign.as_deref(),
        matched,
        conversion_id,
        differs: Some(differs),
        attempt_id: id,
    };
    let endpoint = &evidence.request.endpoint;
    let answer = Answer::taken(endpoint, &taken, decide::warnings(evidence));
    Ok((Outcome::Duplicate, answer))
}

/// The conversion that a fact reported or is about, and whether it was matched.
async fn conversion_of(
    service: &Service,
    first: &Envelope,
) -> Result<(Option<FactId>, bool), StoreError> {
    if let Some(report) = first.fact.as_report() {
        return Ok((Some(first.id), report.matched));
    }
    let (offer, references) = match (&first.fact, first.fact.as_change()) {
        (Fact::AbuseReported(report), _) => (&report.offer, &report.references),
        (_, Some(change)) => (&change.offer, &change.references),
        _ => return Ok((None, false)),
    };
    Ok(
        match evidence::find_target(service, offer, references).await? {
            Target::Conversion(id) => (Some(id), true),
            Target::Unasked | Target::Unknown => (None, false),
        },
    )
}

fn click_id<'e>(evidence: &'e Evidence<'_>) -> Option<&'e str> {
    let form = evidence.good_form()?;
    form.references.click_id.as_deref()
}

/// The campaign that the answer names: the link's, else the `utm_campaign` of the click.
async fn campaign(
    service: &Service,
    evidence: &Evidence<'_>,
) -> Result<Option<String>, StoreError> {
    let evidence::ClickCheck::Found(click) = &evidence.click else {
        return Ok(None);
    };
    if click.campaign.is_some() || evidence.request.endpoint != Endpoint::Postback {
        return Ok(click.campaign.clone());
    }
    let envelope = evidence::read_fact(service, click.position).await?;
    Ok(match envelope.fact {
        Fact::ClickRecorded(mut click) => click.parameters.remove("utm_campaign"),
        _ => None,
    })
}
