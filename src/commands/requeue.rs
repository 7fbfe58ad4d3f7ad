//! Reads refused attempts again under a corrected mapping, and appends what they should have become.
//!
//! An attempt is judged as it was when it came in: who sent it and when stay as they were, only what
//! it says is read anew. A repeat stays a repeat, so doing it twice is harmless.

mod once;
mod row;

use std::sync::Arc;

use postbook_schemas::{
    Envelope, Fact, FactId, FactType, Instant, OfferRef, Outcome, Source, envelope::Recorded,
    postback::Rejected,
};
use tokio::sync::Mutex;

use self::row::Reading;
pub use self::row::{Becomes, Requeued, Row};
use super::{
    draft_mapping,
    record::{self, CommandError, PATIENCE},
};
use crate::{
    intake::{
        self, Concluded,
        again::{self, Again},
        credentials::Admission,
        decide,
        evidence::Evidence,
        mapping::Rules,
        pretend::{Pretend, Would},
    },
    service::Service,
    store::{Filter, LogStore},
};

/// Two at once would both find an attempt not requeued yet, and both say that they requeue it. Between
/// nodes the log lets one in, and the other keeps a repeat, or nothing.
static REQUEUING: Mutex<()> = Mutex::const_new(());

/// How much of the log is read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// Most attempts that are read again at a time.
pub const LIMIT_MAX: u32 = 10_000;

/// The outcomes that another mapping may change: all that say what is wrong with the content.
/// Whoever was not let in is not let in afterwards.
pub fn outcomes() -> impl Iterator<Item = Outcome> {
    let all = Outcome::ALL.iter().copied();
    all.filter(|outcome| outcome.is_rejection() && *outcome >= Outcome::Malformed)
}

/// What is to be read again, and how.
#[derive(Clone, Debug)]
pub struct Requeue {
    /// Attempts at this offer.
    pub offer: OfferRef,
    /// Received at this time or later.
    pub from: Option<Instant>,
    /// Received before this time.
    pub to: Option<Instant>,
    /// Refused so; all that can be if empty.
    pub outcomes: Vec<Outcome>,
    /// After this position.
    pub after: u64,
    /// At most so many.
    pub limit: u32,
    /// A programme file with a draft of the offer's mapping; the mapping in force if absent.
    pub draft: Option<String>,
    /// Append the facts, for this reason; only look if absent.
    pub apply: Option<String>,
    /// How facts name whoever asks.
    pub actor: Arc<str>,
    /// The endpoint or command.
    pub endpoint: String,
}

/// Reads refused attempts again.
///
/// # Errors
/// There is no such offer, the draft is wrong, an outcome cannot be requeued, or the log failed.
pub async fn requeue(service: &Service, asked: &Requeue) -> Result<Requeued, CommandError> {
    check(asked)?;
    let directory = service.directory.load_full();
    let offer = directory.offer(asked.offer.as_str());
    let offer = Arc::clone(
        offer
            .ok_or_else(|| CommandError::NotFound(format!("there is no offer {}", asked.offer)))?,
    );
    let rules = match &asked.draft {
        Some(text) => draft_mapping::read(service, &asked.offer, text).await?,
        None => directory.mapping(asked.offer.as_str()).cloned(),
    };
    let _alone = REQUEUING.lock().await;
    let mut run = Run {
        service,
        asked,
        offer,
        rules,
        pretend: Pretend::default(),
        done: Requeued::new(asked.apply.is_some()),
        would_be: None,
        last_id: FactId::nil(),
    };
    run.all().await?;
    if let Some(last) = run.done.last_appended() {
        // The facts are kept whether or not the read models show them in time.
        _ = service.projector.wait_for(last, PATIENCE).await;
    }
    Ok(run.done)
}

fn check(asked: &Requeue) -> Result<(), CommandError> {
    if let Some(outcome) = asked
        .outcomes
        .iter()
        .find(|outcome| !outcomes().any(|one| one == **outcome))
    {
        let names: Vec<_> = outcomes().map(Outcome::code).collect();
        return Err(CommandError::Invalid {
            field: "outcomes",
            detail: format!(
                "`{}` cannot be requeued, only {}",
                outcome.code(),
                names.join(", ")
            ),
        });
    }
    if asked.draft.is_some() && asked.apply.is_some() {
        return Err(CommandError::Invalid {
            field: "mapping",
            detail: "a draft can only be tried: apply it first (`postbook apply`), so that its \
                     facts say which mapping read them"
                .to_owned(),
        });
    }
    Ok(())
}

/// What all refused attempts at an offer that another mapping may change would become under these
/// rules: facts that are in no log, each with the id of its attempt.
///
/// # Errors
/// There is no such offer, or the log failed.
pub async fn would_be(
    service: &Service,
    offer: &OfferRef,
    rules: Option<Arc<Rules>>,
) -> Result<Vec<Envelope>, CommandError> {
    let directory = service.directory.load_full();
    let known = directory.offer(offer.as_str()).map(Arc::clone);
    let known =
        known.ok_or_else(|| CommandError::NotFound(format!("there is no offer {offer}")))?;
    let asked = Requeue {
        offer: offer.clone(),
        from: None,
        to: None,
        outcomes: Vec::new(),
        after: 0,
        limit: u32::MAX,
        draft: None,
        apply: None,
        actor: Arc::from(""),
        endpoint: String::new(),
    };
    let mut run = Run {
        service,
        asked: &asked,
        offer: known,
        rules,
        pretend: Pretend::default(),
        done: Requeued::new(false),
        would_be: Some(Vec::new()),
        last_id: FactId::nil(),
    };
    run.all().await?;
    Ok(run.would_be.unwrap_or_default())
}

/// One run over the log.
struct Run<'a> {
    service: &'a Service,
    asked: &'a Requeue,
    offer: Arc<postbook_schemas::configuration::Offer>,
    rules: Option<Arc<Rules>>,
    pretend: Pretend,
    done: Requeued,
    /// The facts that a dry run would append, if somebody asks for them.
    would_be: Option<Vec<Envelope>>,
    /// The last id that was given out.
    last_id: FactId,
}

impl Run<'_> {
    async fn all(&mut self) -> Result<(), CommandError> {
        let store = Arc::clone(self.service.log.store());
        let filter = Filter::only(&[FactType::PostbackRejected]);
        // Those that come in meanwhile are for the next run.
        let (head, mut from) = (store.head(), self.asked.after + 1);
        while from <= head {
            let page = store.read(from, head, filter, PAGE_BYTES).await?;
            for (position, line) in page.lines() {
                let envelope = Envelope::decode(line)
                    .map_err(|source| CommandError::Unreadable { position, source })?;
                if let Fact::PostbackRejected(rejected) = &envelope.fact
                    && self.is_asked_for(&envelope, rejected)
                {
                    let row = self.one(position, &envelope, rejected).await?;
                    self.done.rows.push(row);
                    if self.done.rows.len() >= self.asked.limit as usize {
                        self.done.next_after = Some(position);
                        return Ok(());
                    }
                }
            }
            from = page.next.max(from + 1);
        }
        Ok(())
    }

    fn is_asked_for(&self, envelope: &Envelope, rejected: &Rejected) -> bool {
        let asked = self.asked;
        rejected.offer.as_ref() == Some(&asked.offer)
            && outcomes().any(|outcome| outcome == rejected.outcome)
            && (asked.outcomes.is_empty() || asked.outcomes.contains(&rejected.outcome))
            && asked.from.is_none_or(|from| envelope.recorded_at >= from)
            && asked.to.is_none_or(|to| envelope.recorded_at < to)
    }

    async fn one(
        &mut self,
        position: u64,
        envelope: &Envelope,
        rejected: &Rejected,
    ) -> Result<Row, CommandError> {
        let row = |becomes| Row::new(position, envelope, rejected, becomes);
        let store = &**self.service.log.store();
        if let Some(before) = became(store, envelope.id).await? {
            let position = before.position;
            return Ok(row(Becomes::RequeuedBefore { position }));
        }
        let request = match again::request(envelope, rejected) {
            Ok(request) => request,
            Err(why) => return Ok(row(Becomes::Unreadable(why.to_string()))),
        };
        let (offer, rules) = (Arc::clone(&self.offer), self.rules.as_ref());
        let known = self.again(envelope, rejected);
        let mut evidence = again::gather(self.service, &request, offer, rules, known).await?;
        if let Some(field) = evidence.fields.redacted() {
            let why = format!("{field} was redacted when it was kept, and cannot come back");
            return Ok(row(Becomes::Unreadable(why)));
        }
        if let Some(refusal) = decide::refusal(&evidence) {
            return Ok(row(Becomes::Refused(refusal)));
        }
        let becomes = if self.asked.apply.is_some() {
            self.conclude(&mut evidence).await?
        } else {
            self.pretended(&mut evidence).await?
        };
        Ok(row(becomes))
    }

    fn again(&self, envelope: &Envelope, rejected: &Rejected) -> Again {
        let credential = rejected.attempt.credential.clone();
        Again {
            attempt_id: envelope.id,
            received_at: envelope.recorded_at,
            admission: Admission {
                credential: credential.unwrap_or(postbook_schemas::Credential {
                    strength: postbook_schemas::Strength::None,
                    key_id: None,
                }),
                actor: envelope.actor.as_str().into(),
            },
            raw: rejected.attempt.request.clone(),
            actor: Arc::clone(&self.asked.actor),
            source: Source {
                endpoint: self.asked.endpoint.clone(),
                address: envelope.source.address.clone(),
            },
            reason: self.asked.apply.clone().unwrap_or_default(),
        }
    }

    async fn pretended(&mut self, evidence: &mut Evidence<'_>) -> Result<Becomes, CommandError> {
        let envelope = self.envelope(evidence)?;
        let would = self.pretend.conclude(self.service, evidence).await?;
        if let (Would::BeNew(_), Some(all)) = (&would, &mut self.would_be) {
            all.extend(envelope);
        }
        let reading = Reading::of(evidence);
        Ok(match would {
            Would::BeNew(outcome) => Becomes::Fact {
                outcome,
                fact_id: None,
                position: None,
                reading,
                warnings: decide::warnings(evidence),
            },
            Would::Repeat { first_id, differs } => Becomes::Repeat {
                first_id,
                differs,
                position: None,
                reading,
            },
        })
    }

    fn envelope(&self, evidence: &Evidence<'_>) -> Result<Option<Envelope>, CommandError> {
        let Some(again) = evidence.again.as_ref().filter(|_| self.would_be.is_some()) else {
            return Ok(None);
        };
        let candidate = intake::candidate(self.service, evidence, again.attempt_id)?;
        let timestamp = evidence.good_form().and_then(|form| form.timestamp);
        Ok(Some(Envelope {
            id: again.attempt_id,
            occurred_at: timestamp.unwrap_or(evidence.now),
            recorded_at: self.service.clock.now(),
            actor: String::new(),
            source: Source::default(),
            reason: None,
            fact: candidate.fact,
        }))
    }

    /// An id behind all before it, also within a millisecond: of facts that happened at the same time the later
    /// attempt is to count as the later one.
    fn next_id(&mut self) -> FactId {
        let after_last = FactId::from_u128(self.last_id.as_u128().saturating_add(1));
        self.last_id = self.service.clock.new_id().max(after_last);
        self.last_id
    }

    async fn conclude(&mut self, evidence: &mut Evidence<'_>) -> Result<Becomes, CommandError> {
        let id = self.next_id();
        let candidate = intake::candidate(self.service, evidence, id)?;
        if candidate.dedupe_key.is_none() {
            return self.keep_once(evidence, &candidate).await;
        }
        let concluded = intake::conclude(self.service, evidence, id).await?;
        Ok(match concluded {
            Concluded::New(candidate, position) => Becomes::Fact {
                outcome: candidate.outcome,
                fact_id: Some(candidate.id),
                position: Some(position),
                reading: Reading::of(evidence),
                warnings: decide::warnings(evidence),
            },
            Concluded::Repeat(repeat) => Becomes::Repeat {
                first_id: Some(repeat.first.id),
                differs: repeat.differs,
                position: Some(repeat.position),
                reading: Reading::of(evidence),
            },
        })
    }
}

/// What a refused attempt became, if it was requeued.
///
/// # Errors
/// The log failed.
pub async fn became(
    store: &dyn LogStore,
    attempt_id: FactId,
) -> Result<Option<Recorded>, CommandError> {
    let Some(position) = store.find(&again::key(attempt_id)).await? else {
        return Ok(None);
    };
    let recorded = record::read_from(store, position).await?;
    // A key may only look alike.
    let is_it = is_requeued(&recorded.envelope, attempt_id);
    Ok(is_it.then_some(recorded))
}

fn is_requeued(envelope: &Envelope, attempt_id: FactId) -> bool {
    let attempt = envelope.fact.attempt();
    let requeued = attempt.and_then(|attempt| attempt.requeued.as_ref());
    requeued.is_some_and(|requeued| requeued.attempt_id == attempt_id)
}
