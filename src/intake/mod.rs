//! Requests become facts: a postback is read, decided, kept, and only then answered.
//!
//! The way of a postback: [`request`] → [`fields`] → [`evidence`] (which uses [`credentials`],
//! [`signature`] and [`form`]) → [`decide`] → [`record`] → log → [`answer`]. Clicks go through [`click`].

pub mod again;
pub mod answer;
pub mod bulk;
pub mod click;
pub mod credentials;
pub mod decide;
pub(crate) mod differences;
pub mod evidence;
pub mod fields;
pub mod form;
pub mod legacy;
pub mod lookup;
pub mod mapping;
pub mod personal;
pub mod pretend;
pub mod rate;
pub mod record;
pub mod redact;
pub mod refusal;
pub mod request;
pub mod scrub;
pub mod signature;

use postbook_schemas::{Envelope, Fact, FactId, Instant, Outcome};

use self::{
    answer::{Answer, Taken},
    evidence::Evidence,
    lookup::Target,
    pretend::{Pretend, Would},
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
    let (mut evidence, refusal) = judge(service, request, now).await?;
    if evidence.fields.personal {
        service.meters.redacted();
    }
    let id = service.clock.new_id();
    if let Some(refusal) = refusal {
        // Whatever else it is refused for: what is kept of a flood has its bound.
        if evidence.limited.is_some() && !service.limits.keeps_another(now) {
            service.meters.network.attempt_beyond_limits();
            return Err(StoreError::Busy);
        }
        let append = record::rejected(&evidence, &service.secrets, id, &refusal);
        service.append(append).await?;
        let mut answer = Answer::refused(&refusal, id, decide::warnings(&evidence));
        let is_told = refusal.outcome == Outcome::RateLimited;
        answer.retry_after = evidence.limited.filter(|_| is_told);
        return Ok((refusal.outcome, answer));
    }
    if let Some(offer) = evidence.legacy_offer() {
        service.legacy.took(offer, &service.meters);
    }
    match conclude(service, &mut evidence, id).await? {
        Concluded::New(candidate, _) => accepted(service, &evidence, &candidate).await,
        Concluded::Repeat(repeat) => duplicate(service, &evidence, &repeat).await,
    }
}

/// What is known of a request, and whether it is refused. Nobody is refused for a credential before it was
/// looked whether it was made a moment ago.
async fn judge<'r>(
    service: &Service,
    request: &'r Request,
    now: Instant,
) -> Result<(Box<Evidence<'r>>, Option<Refusal>), StoreError> {
    let evidence = evidence::gather(service, request, now).await?;
    let refusal = decide::refusal(&evidence);
    let is_unknown = refusal.as_ref().is_some_and(|refusal| {
        matches!(
            refusal.outcome,
            Outcome::BadCredentials | Outcome::BadSignature
        )
    });
    let looked = async || {
        let changed = service.secrets.look_again().await;
        changed.map_err(|error| StoreError::failed("read", error))
    };
    if !is_unknown || !looked().await? {
        return Ok((evidence, refusal));
    }
    let evidence = evidence::gather(service, request, now).await?;
    let refusal = decide::refusal(&evidence);
    Ok((evidence, refusal))
}

/// What became of an attempt that nothing refuses.
#[derive(Debug)]
pub(crate) enum Concluded {
    /// Its fact is in the log, here.
    New(Box<Candidate>, u64),
    /// It repeats another.
    Repeat(Repeat),
}

/// A repeat that is in the log.
#[derive(Debug)]
pub(crate) struct Repeat {
    /// Its own id.
    pub(crate) id: FactId,
    /// Where it is.
    pub(crate) position: u64,
    /// The first one.
    pub(crate) first: Box<Envelope>,
    /// Whether it says something else.
    pub(crate) differs: bool,
}

/// Appends an attempt that nothing refuses, as what it is or as a repeat.
pub(crate) async fn conclude(
    service: &Service,
    evidence: &mut Evidence<'_>,
    id: FactId,
) -> Result<Concluded, StoreError> {
    let candidate = candidate(service, evidence, id)?;
    let first = match keep(service, evidence, &candidate).await? {
        Kept::New(position) => return Ok(Concluded::New(candidate, position)),
        Kept::Repeats(first) => first,
    };
    if again::becomes_status_change(evidence, &first) {
        let candidate = self::candidate(service, evidence, id)?;
        if let Kept::New(position) = keep(service, evidence, &candidate).await? {
            return Ok(Concluded::New(candidate, position));
        }
    }
    let id = service.clock.new_id();
    let repeated = record::repeated(evidence, &service.secrets, &candidate, &first)
        .ok_or(StoreError::Closed("a repeat has no key, which is a bug"))?;
    let differs = !repeated.differences.is_empty();
    let append = record::repeated_append(evidence, id, repeated);
    let (Appended::At { position, .. } | Appended::Known { position }) =
        service.append(append).await?;
    Ok(Concluded::Repeat(Repeat {
        id,
        position,
        first,
        differs,
    }))
}

/// The fact that an attempt which nothing refuses would become.
pub(crate) fn candidate(
    service: &Service,
    evidence: &Evidence<'_>,
    id: FactId,
) -> Result<Box<Candidate>, StoreError> {
    let candidate = record::candidate(evidence, &service.secrets, id);
    candidate.ok_or(StoreError::Closed(
        "an attempt was neither refused nor understood, which is a bug",
    ))
}

/// Says what would become of a postback, and keeps nothing. Whether it repeats another is as of
/// now, and in view of those that `pretend` was told of before: only an append decides it for good.
///
/// # Errors
/// The log could not be read.
pub async fn preview(
    service: &Service,
    request: &Request,
    pretend: &mut Pretend,
) -> Result<Result<Would, Refusal>, StoreError> {
    let mut evidence = evidence::gather(service, request, service.clock.now()).await?;
    if let Some(refusal) = decide::refusal(&evidence) {
        return Ok(Err(refusal));
    }
    pretend.conclude(service, &mut evidence).await.map(Ok)
}

enum Kept {
    New(u64),
    Repeats(Box<Envelope>),
}

async fn keep(
    service: &Service,
    evidence: &Evidence<'_>,
    candidate: &Candidate,
) -> Result<Kept, StoreError> {
    let mut not_at = Vec::new();
    loop {
        let append = candidate.append(evidence, &not_at);
        let position = match service.append(append).await? {
            Appended::At { position, .. } => return Ok(Kept::New(position)),
            Appended::Known { position } => position,
        };
        let first = lookup::read_fact(service, position).await?;
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

pub(crate) fn dedupe_key(fact: &Fact) -> Option<&str> {
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
    repeat: &Repeat,
) -> Result<(Outcome, Answer), StoreError> {
    let (conversion_id, matched) = conversion_of(service, &repeat.first).await?;
    let campaign = campaign(service, evidence).await?;
    let taken = Taken {
        outcome: Outcome::Duplicate,
        click_id: click_id(evidence),
        campaign: campaign.as_deref(),
        matched,
        conversion_id,
        differs: Some(repeat.differs),
        attempt_id: repeat.id,
    };
    let endpoint = &evidence.request.endpoint;
    let answer = Answer::taken(endpoint, &taken, decide::warnings(evidence));
    Ok((Outcome::Duplicate, answer))
}

/// The conversion that a fact reported or is about, and whether it was matched.
pub(crate) async fn conversion_of(
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
        match lookup::find_target(service, offer, references).await? {
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
    let lookup::ClickCheck::Found(click) = &evidence.click else {
        return Ok(None);
    };
    if click.campaign.is_some() || evidence.request.endpoint != Endpoint::Postback {
        return Ok(click.campaign.clone());
    }
    let envelope = lookup::read_fact(service, click.position).await?;
    Ok(match envelope.fact {
        Fact::ClickRecorded(mut click) => click.parameters.remove("utm_campaign"),
        _ => None,
    })
}
