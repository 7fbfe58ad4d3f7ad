//! A dry run: what attempts would become, also in view of those before them in the same run.

use std::collections::{BTreeMap, BTreeSet};

use postbook_schemas::{Envelope, Event, Instant, Outcome, Source, dedupe};

use super::row::{Becomes, Reading};
use crate::{
    commands::record::CommandError,
    intake::{
        self, again, decide, differences,
        evidence::Evidence,
        lookup::{self, Target},
        record::{self, Candidate},
    },
    service::Service,
    store::StoreError,
};

/// What the log would hold besides what it holds.
#[derive(Debug, Default)]
pub(super) struct Pretend {
    firsts: BTreeMap<String, Envelope>,
    references: BTreeSet<String>,
}

impl Pretend {
    /// What would become of an attempt that nothing refuses; the next ones find it then.
    pub(super) async fn conclude(
        &mut self,
        service: &Service,
        evidence: &mut Evidence<'_>,
    ) -> Result<Becomes, CommandError> {
        let mut candidate = candidate(service, evidence)?;
        if let Some(first) = self.first(service, &candidate).await? {
            if !again::becomes_status_change(evidence, &first) {
                let form = evidence.good_form();
                let is_known = !self.firsts.values().any(|known| known.id == first.id);
                return Ok(Becomes::Repeat {
                    first_id: is_known.then_some(first.id),
                    differs: form
                        .is_some_and(|form| !differences::between(&first, form).is_empty()),
                    position: None,
                    reading: Reading::of(evidence),
                });
            }
            candidate = self::candidate(service, evidence)?;
        }
        let outcome = self.outcome(evidence, &candidate);
        let becomes = Becomes::Fact {
            outcome,
            fact_id: None,
            position: None,
            reading: Reading::of(evidence),
            warnings: decide::warnings(evidence),
        };
        self.remember(evidence, candidate);
        Ok(becomes)
    }

    async fn first(
        &self,
        service: &Service,
        candidate: &Candidate,
    ) -> Result<Option<Envelope>, CommandError> {
        let Some(key) = &candidate.dedupe_key else {
            return Ok(None);
        };
        if let Some(first) = self.firsts.get(key) {
            return Ok(Some(first.clone()));
        }
        let Some(position) = service.log.store().find(key).await? else {
            return Ok(None);
        };
        let first = lookup::read_fact(service, position).await?;
        Ok((intake::dedupe_key(&first.fact) == Some(key)).then_some(first))
    }

    /// A change does not wait for a conversion that the same run would bring.
    fn outcome(&self, evidence: &Evidence<'_>, candidate: &Candidate) -> Outcome {
        let (Some(offer), Some(form)) = (evidence.offer(), evidence.good_form()) else {
            return candidate.outcome;
        };
        let is_waiting = candidate.outcome == Outcome::Parked && evidence.target == Target::Unknown;
        let keys = dedupe::reference_keys(&offer.reference(), &form.references);
        match keys.first() {
            Some(key) if is_waiting && self.references.contains(key) => Outcome::Accepted,
            _ => candidate.outcome,
        }
    }

    fn remember(&mut self, evidence: &Evidence<'_>, candidate: Candidate) {
        if let (Some(offer), Some(form)) = (evidence.offer(), evidence.good_form())
            && matches!(form.event, Event::Report(_))
            && candidate.outcome == Outcome::Accepted
        {
            let keys = dedupe::reference_keys(&offer.reference(), &form.references);
            self.references.extend(keys);
        }
        if let Some(key) = candidate.dedupe_key {
            let first = Envelope {
                id: candidate.id,
                occurred_at: evidence
                    .good_form()
                    .and_then(|form| form.timestamp)
                    .unwrap_or(evidence.now),
                recorded_at: Instant::EPOCH,
                actor: String::new(),
                source: Source::default(),
                fact: candidate.fact,
            };
            self.firsts.insert(key, first);
        }
    }
}

fn candidate(service: &Service, evidence: &Evidence<'_>) -> Result<Candidate, CommandError> {
    let id = service.clock.new_id();
    let candidate = record::candidate(evidence, &service.secrets, id);
    candidate.ok_or(CommandError::Store(StoreError::Closed(
        "an attempt was neither refused nor understood, which is a bug",
    )))
}
