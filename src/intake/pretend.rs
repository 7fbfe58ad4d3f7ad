//! Dry runs: what attempts would become, also in view of those before them in the same run.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use postbook_schemas::{
    Attempt, Envelope, Event, Fact, FactId, Instant, Outcome, Source, dedupe,
    postback::{AbuseReport, ChangeReport, Report},
};

use super::{
    again, dedupe_key, differences,
    evidence::Evidence,
    lookup::{self, Target},
    record::Candidate,
};
use crate::{service::Service, store::StoreError};

/// How many facts are held whole, some 2 KB each; of more only that there was one.
const WHOLE_MAX: usize = 10_000;

/// What the log would hold besides what it holds. Keys are held by hashes: files may be long, and
/// what is told of them binds nobody.
#[derive(Debug, Default)]
pub struct Pretend {
    firsts: BTreeMap<u64, Option<Box<Envelope>>>,
    first_ids: BTreeSet<FactId>,
    references: BTreeSet<u64>,
}

/// The first attempt with a key.
enum First {
    Whole(Box<Envelope>),
    Only,
}

/// What would become of an attempt that nothing refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Would {
    /// A fact with this outcome.
    BeNew(Outcome),
    /// A repeat.
    Repeat {
        /// Of which fact; absent if that would only be there too.
        first_id: Option<FactId>,
        /// Whether it says something else, as far as the first is held.
        differs: bool,
    },
}

impl Pretend {
    /// What would become of an attempt that nothing refuses; the next ones find it then.
    pub(crate) async fn conclude(
        &mut self,
        service: &Service,
        evidence: &mut Evidence<'_>,
    ) -> Result<Would, StoreError> {
        let mut candidate = candidate(service, evidence)?;
        let first = self.first(service, &candidate).await?;
        if let Some(First::Only) = first {
            return Ok(Would::Repeat {
                first_id: None,
                differs: false,
            });
        }
        if let Some(First::Whole(first)) = first {
            if !again::becomes_status_change(evidence, &first) {
                let form = evidence.good_form();
                let is_known = !self.first_ids.contains(&first.id);
                return Ok(Would::Repeat {
                    first_id: is_known.then_some(first.id),
                    differs: form
                        .is_some_and(|form| !differences::between(&first, form).is_empty()),
                });
            }
            candidate = self::candidate(service, evidence)?;
        }
        let outcome = self.outcome(evidence, &candidate);
        self.remember(evidence, *candidate);
        Ok(Would::BeNew(outcome))
    }

    async fn first(
        &self,
        service: &Service,
        candidate: &Candidate,
    ) -> Result<Option<First>, StoreError> {
        let Some(key) = &candidate.dedupe_key else {
            return Ok(None);
        };
        if let Some(first) = self.firsts.get(&hash(key)) {
            let whole = first.clone().map(First::Whole);
            return Ok(Some(whole.unwrap_or(First::Only)));
        }
        let Some(position) = service.log.store().find(key).await? else {
            return Ok(None);
        };
        let first = lookup::read_fact(service, position).await?;
        let is_it = dedupe_key(&first.fact) == Some(key);
        Ok(is_it.then(|| First::Whole(Box::new(first))))
    }

    /// A change does not wait for a conversion that the same run would bring.
    fn outcome(&self, evidence: &Evidence<'_>, candidate: &Candidate) -> Outcome {
        let (Some(offer), Some(form)) = (evidence.reference(), evidence.good_form()) else {
            return candidate.outcome;
        };
        let is_waiting = candidate.outcome == Outcome::Parked && evidence.target == Target::Unknown;
        let keys = dedupe::reference_keys(offer, &form.references);
        match keys.first() {
            Some(key) if is_waiting && self.references.contains(&hash(key)) => Outcome::Accepted,
            _ => candidate.outcome,
        }
    }

    fn remember(&mut self, evidence: &Evidence<'_>, candidate: Candidate) {
        if let (Some(offer), Some(form)) = (evidence.reference(), evidence.good_form())
            && matches!(form.event, Event::Report(_))
            && candidate.outcome == Outcome::Accepted
        {
            let keys = dedupe::reference_keys(offer, &form.references);
            self.references.extend(keys.iter().map(|key| hash(key)));
        }
        let Some(key) = candidate.dedupe_key else {
            return;
        };
        let is_whole = self.first_ids.len() < WHOLE_MAX;
        let first = is_whole.then(|| {
            self.first_ids.insert(candidate.id);
            let timestamp = evidence.good_form().and_then(|form| form.timestamp);
            Box::new(Envelope {
                id: candidate.id,
                occurred_at: timestamp.unwrap_or(evidence.now),
                recorded_at: Instant::EPOCH,
                actor: String::new(),
                source: Source::default(),
                reason: None,
                fact: bare(candidate.fact),
            })
        });
        self.firsts.insert(hash(&key), first);
    }
}

/// A short name of a text, the same in every run of the program.
pub(super) fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn candidate(service: &Service, evidence: &Evidence<'_>) -> Result<Box<Candidate>, StoreError> {
    super::candidate(service, evidence, service.clock.new_id())
}

/// A fact without its request: of a whole file only what repeats are compared by is held.
fn bare(fact: Fact) -> Fact {
    let attempt = Attempt::default();
    if let Some(report) = fact.as_report() {
        return Fact::of_report(Report {
            attempt,
            ..report.clone()
        });
    }
    match fact {
        Fact::AbuseReported(report) => Fact::AbuseReported(AbuseReport { attempt, ..report }),
        other => match other.as_change() {
            Some(change) => Fact::of_change(ChangeReport {
                attempt,
                ..change.clone()
            }),
            None => other,
        },
    }
}
