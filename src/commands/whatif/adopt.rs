//! Adoption: a second person makes what was tried hold, as it was shown or not at all.

use std::sync::Arc;

use postbook_schemas::{
    Envelope, Fact, FactId, FactType, Source,
    envelope::{Draft, Recorded},
    whatif::WhatifAdopted,
};
use serde_json::{Value, json};

use super::{
    WhatifError, actor,
    derive::{self, Tried, mappings},
    find, keep,
};
use crate::{
    commands::{
        programme::apply,
        record::{self, Author, CommandError, PATIENCE, key},
        requeue::{self, LIMIT_MAX, Requeue},
        seats,
    },
    service::Service,
    store::{Append, Appended, Filter},
    whatif::Whatif,
};

/// How much of the log is read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// How many positions of facts in between are named.
const MEANWHILE_MAX: usize = 1_000;

/// What came of adopting.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// The adoption in the log.
    pub recorded: Recorded,
    /// Whether it was adopted before.
    pub is_repeat: bool,
    /// Facts other than clicks and refusals that came in between the derivation and the adoption:
    /// they are derived under the new definitions like all that comes after.
    pub meanwhile: Vec<u64>,
    /// How many refused attempts became facts under an adopted mapping.
    pub requeued: usize,
}

impl Adopted {
    /// As answers show it.
    pub fn to_json(&self) -> Value {
        let envelope = &self.recorded.envelope;
        let Fact::WhatifAdopted(adopted) = &envelope.fact else {
            return Value::Null;
        };
        json!({
            "hash": adopted.hash,
            "position": self.recorded.position,
            "adopted_by": envelope.actor,
            "adopted_at": envelope.recorded_at,
            "reason": adopted.reason,
            "proposed_by": adopted.proposed_by,
            "proposed_at": adopted.proposed_at,
            "at_position": adopted.at_position,
            "facts": adopted.facts,
            "already_adopted": self.is_repeat,
            "meanwhile": self.meanwhile,
            "requeued": self.requeued,
        })
    }
}

/// Makes what was tried hold. It is derived again first: if it would change something else now, nothing
/// is appended, and what it is now is kept under its own hash.
///
/// # Errors
/// There is no such what-if, whoever made it would adopt it, the log has moved on, or something failed.
pub async fn adopt(
    service: &Service,
    author: &Author,
    hash: &str,
    reason: String,
) -> Result<Adopted, WhatifError> {
    let whatif = find(&service.whatifs, hash).await?;
    let facts = whatif.facts()?;
    if let Some(recorded) = adoption(service, &whatif.hash).await? {
        return finish(service, author, &facts, recorded, true).await;
    }
    if whatif.made_by == *author.actor {
        let detail = "a what-if is adopted by another person than the one who made it";
        return Err(CommandError::Forbidden(detail.to_owned()).into());
    }
    // Nobody of this process defines anything between the derivation and the append; if another node
    // does, it has the seat, and what is adopted is derived again.
    let alone = apply::alone().await;
    for _ in 0..seats::TRIES {
        record::catch_up(service).await?;
        // In this order: who adopts it in between is then found, or takes the seat.
        let seat = apply::next_seat(&**service.log.store()).await?;
        let now = derived_again(service, &whatif).await;
        if let Some(recorded) = adoption(service, &whatif.hash).await? {
            drop(alone);
            return finish(service, author, &facts, recorded, true).await;
        }
        let now = now?;
        if now.hash != whatif.hash {
            return Err(WhatifError::MovedOn {
                was: Box::new(whatif),
                now: Box::new(keep(service, now).await?),
            });
        }
        let appended = append(service, author, &now, &facts, &reason, seat).await?;
        let Some(position) = appended else {
            continue;
        };
        drop(alone);
        let recorded = record::read(service, position).await?;
        service
            .refresh_directory()
            .await
            .map_err(|error| WhatifError::Programme(error.into()))?;
        let last = position.saturating_add(facts.len() as u64);
        _ = service.projector.wait_for(last, PATIENCE).await;
        return finish(service, author, &facts, recorded, false).await;
    }
    let detail = "others change the programme at the same time: adopt it again";
    Err(CommandError::Conflict(detail.to_owned()).into())
}

/// Where a what-if was adopted, if it was.
///
/// # Errors
/// The log cannot be read.
pub async fn adoption(service: &Service, hash: &str) -> Result<Option<Recorded>, CommandError> {
    let Some(position) = service.log.store().find(&adopted_key(hash)).await? else {
        return Ok(None);
    };
    let recorded = record::read(service, position).await?;
    // A key may only look alike.
    let is_it =
        matches!(&recorded.envelope.fact, Fact::WhatifAdopted(adopted) if adopted.hash == hash);
    Ok(is_it.then_some(recorded))
}

/// The key under which the adoption of a what-if is found.
fn adopted_key(hash: &str) -> String {
    key(&["whatif", hash, "0"])
}

async fn derived_again(service: &Service, whatif: &Whatif) -> Result<Whatif, WhatifError> {
    let definitions = whatif.report.definitions.iter();
    let tried = definitions
        .zip(whatif.facts()?)
        .map(|(definition, fact)| Tried {
            subject: definition.subject.clone(),
            details: definition.details.clone(),
            fact,
        });
    let report = derive::report(service, tried.collect()).await?;
    Ok(Whatif::new(
        report,
        whatif.made_by.clone(),
        service.clock.now(),
    ))
}

/// Appends the adoption and its definitions together; says where, or nothing if somebody else has taken
/// the seat.
async fn append(
    service: &Service,
    author: &Author,
    whatif: &Whatif,
    facts: &[Fact],
    reason: &str,
    seat: String,
) -> Result<Option<u64>, WhatifError> {
    let now = service.clock.now();
    let newest = service
        .projector
        .ask(move |book, _| book.next_definition(now))
        .await?;
    let ids: Vec<FactId> = facts.iter().map(|_| service.clock.new_id()).collect();
    let adopted = Fact::WhatifAdopted(WhatifAdopted {
        hash: whatif.hash.clone(),
        at_position: whatif.report.at_position,
        proposed_by: whatif.made_by.clone(),
        proposed_at: whatif.made_at,
        reason: reason.to_owned(),
        facts: ids.clone(),
    });
    let source = Source {
        endpoint: author.endpoint.to_owned(),
        address: None,
    };
    let all = std::iter::once((service.clock.new_id(), &adopted)).chain(ids.into_iter().zip(facts));
    let mut appends: Vec<Append> = all
        .map(|(id, fact)| Append {
            // Newer than all others, also while the clock stands still or was set back.
            draft: Draft::new(id, Some(newest), actor(author), source.clone(), fact),
            unique: None,
            not_at: Vec::new(),
            references: Vec::new(),
            seat: None,
            with_previous: true,
        })
        .collect();
    if let Some(adoption) = appends.first_mut() {
        adoption.unique = Some(seat);
        adoption.references.push(adopted_key(&whatif.hash));
    }
    let appended = service.log.append_all(appends).await?;
    Ok(match appended.first() {
        Some(Appended::At { position, .. }) => Some(*position),
        Some(Appended::Known { .. }) | None => None,
    })
}

/// Does what follows from an adoption in the log, as often as it is asked for: attempts that were refused
/// are read under adopted mappings.
async fn finish(
    service: &Service,
    author: &Author,
    facts: &[Fact],
    recorded: Recorded,
    is_repeat: bool,
) -> Result<Adopted, WhatifError> {
    let Fact::WhatifAdopted(adopted) = &recorded.envelope.fact else {
        return Err(CommandError::Late.into());
    };
    let mut requeued = 0;
    for (offer, _) in mappings(facts) {
        let mut asked = Requeue {
            offer: offer.clone(),
            from: None,
            to: None,
            outcomes: Vec::new(),
            after: 0,
            limit: LIMIT_MAX,
            draft: None,
            apply: Some(format!(
                "what-if {} was adopted: {}",
                adopted.hash, adopted.reason
            )),
            actor: Arc::clone(&author.actor),
            endpoint: author.endpoint.to_owned(),
        };
        loop {
            let done = requeue::requeue(service, &asked).await?;
            requeued += done.appended();
            match done.next_after {
                Some(after) => asked.after = after,
                None => break,
            }
        }
    }
    let meanwhile = meanwhile(service, adopted.at_position, recorded.position).await?;
    Ok(Adopted {
        recorded,
        is_repeat,
        meanwhile,
        requeued,
    })
}

/// The facts between two positions that could change what is derived.
async fn meanwhile(service: &Service, after: u64, before: u64) -> Result<Vec<u64>, WhatifError> {
    let store = service.log.store();
    let (mut from, to) = (after.saturating_add(1), before.saturating_sub(1));
    let mut positions = Vec::new();
    while from <= to && positions.len() < MEANWHILE_MAX {
        let filter = Filter::without_seated_clicks();
        let page = store.read(from, to, filter, PAGE_BYTES).await?;
        for (position, line) in page.lines() {
            let envelope = Envelope::decode(line)
                .map_err(|source| CommandError::Unreadable { position, source })?;
            let ignored = [
                FactType::PostbackRejected,
                FactType::PostbackRepeated,
                FactType::ClickRecorded,
            ];
            if !ignored.contains(&envelope.fact.fact_type()) {
                positions.push(position);
            }
        }
        from = if page.ends.is_empty() {
            to + 1
        } else {
            page.next.max(from + 1)
        };
    }
    positions.truncate(MEANWHILE_MAX);
    Ok(positions)
}
