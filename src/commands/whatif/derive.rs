//! Derives a report: takes an excerpt of the live book away, and folds into it what adopting would
//! append.

use postbook_projections::{
    Book,
    whatif::{self as compare, Definition, Reach, Report},
};
use postbook_schemas::{
    Envelope, Fact, FactId, Instant, OfferRef, Source, mapping::Mapping, whatif::WhatifAdopted,
};

use super::{WhatifError, blocking};
use crate::{
    commands::{record::CommandError, requeue},
    intake::mapping::Rules,
    service::Service,
};

/// A definition that is tried.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    pub(super) subject: String,
    pub(super) details: Vec<String>,
    pub(super) fact: Fact,
}

/// The report of what is tried, as the log stands.
pub(super) async fn report(service: &Service, tried: Vec<Tried>) -> Result<Report, WhatifError> {
    let facts: Vec<Fact> = tried.iter().map(|tried| tried.fact.clone()).collect();
    let would_be = would_be(service, &facts).await?;
    let Excerpt {
        book,
        at_position,
        replaces,
        defined_at,
    } = excerpt(service, &facts, &would_be).await?;
    let envelopes = pretended(service, defined_at, facts, would_be);
    let book = complete(service, book, &envelopes).await?;
    let rows = blocking(move || compare::compare(book, at_position, &envelopes)).await?;
    let overflow = |what: String| WhatifError::invalid("files", what);
    let definitions = tried.into_iter().zip(replaces).map(|(tried, replaces)| {
        Definition::try_new(&tried.fact, tried.subject, tried.details, replaces)
    });
    let report = Report {
        at_position,
        definitions: definitions
            .collect::<Result<_, _>>()
            .map_err(|error| overflow(error.to_string()))?,
        rows: rows.map_err(|error| overflow(error.to_string()))?,
    };
    if report.totals().is_none() {
        return Err(overflow("a total does not fit 64 bits".to_owned()));
    }
    Ok(report)
}

/// What definitions would change of what is posted already, in figures. `beside` is defined with them
/// and touches nothing by itself.
pub(super) async fn reach(
    service: &Service,
    beside: Vec<Fact>,
    facts: Vec<Fact>,
) -> Result<Reach, WhatifError> {
    let excerpt = excerpt(service, &facts, &[]).await?;
    let all = beside.into_iter().chain(facts).collect();
    let envelopes = pretended(service, excerpt.defined_at, all, Vec::new());
    let book = complete(service, excerpt.book, &envelopes).await?;
    let at_position = excerpt.at_position;
    let reached = blocking(move || compare::reach(book, at_position, &envelopes)).await?;
    reached.map_err(|error| WhatifError::invalid("files", error.to_string()))
}

/// The facts that adopting would append, in order.
fn pretended(
    service: &Service,
    now: Instant,
    facts: Vec<Fact>,
    would_be: Vec<Envelope>,
) -> Vec<Envelope> {
    let envelope = |id: FactId, fact: Fact| Envelope {
        id,
        occurred_at: now,
        recorded_at: now,
        actor: String::new(),
        source: Source::default(),
        reason: None,
        fact,
    };
    let adoption_id = service.clock.new_id();
    let ids: Vec<FactId> = facts.iter().map(|_| service.clock.new_id()).collect();
    let adoption = Fact::WhatifAdopted(WhatifAdopted {
        hash: String::new(),
        at_position: 0,
        proposed_by: String::new(),
        proposed_at: now,
        reason: String::new(),
        facts: ids.clone(),
    });
    let definitions = ids
        .into_iter()
        .zip(facts)
        .map(|(id, fact)| envelope(id, fact));
    std::iter::once(envelope(adoption_id, adoption))
        .chain(definitions)
        .chain(would_be)
        .collect()
}

/// An excerpt of the live book.
struct Excerpt {
    book: Book,
    /// How far it has come.
    at_position: u64,
    /// What each definition takes the place of.
    replaces: Vec<Option<u64>>,
    /// When the definitions happen, to be the newest.
    defined_at: Instant,
}

async fn excerpt(
    service: &Service,
    facts: &[Fact],
    would_be: &[Envelope],
) -> Result<Excerpt, WhatifError> {
    let definitions = facts.len();
    let others = would_be.iter().map(|envelope| envelope.fact.clone());
    let facts: Vec<Fact> = facts.iter().cloned().chain(others).collect();
    let now = service.clock.now();
    let asked = service.projector.ask(move |book, position| {
        let touching: Vec<&Fact> = facts.iter().collect();
        let definitions = facts.iter().take(definitions);
        Excerpt {
            book: book.excerpt(&touching),
            at_position: position,
            replaces: definitions.map(|fact| book.replaced_by(fact)).collect(),
            defined_at: book.next_definition(now),
        }
    });
    Ok(asked.await?)
}

/// Hands the book what it knows not yet of clicks that the facts ask for.
async fn complete(
    service: &Service,
    mut book: Book,
    envelopes: &[Envelope],
) -> Result<Book, WhatifError> {
    for envelope in envelopes {
        for id in book.wanted_subs(&envelope.fact) {
            if let Some(click) = service.projector.click(&id).await? {
                book.learn_subs(click);
            }
        }
        if let Some(id) = book.wanted_click(envelope)
            && let Some(click) = service.projector.click(id).await?
        {
            book.see_click(click);
        }
    }
    Ok(book)
}

/// The conversions and changes that refused attempts would become under draft mappings.
async fn would_be(service: &Service, facts: &[Fact]) -> Result<Vec<Envelope>, CommandError> {
    let mut all = Vec::new();
    for (offer, mapping) in mappings(facts) {
        let rules = (!mapping.is_none()).then(|| std::sync::Arc::new(Rules::draft(mapping)));
        all.extend(requeue::would_be(service, offer, rules).await?);
    }
    Ok(all)
}

/// The draft mappings among definitions, with their offers.
pub(super) fn mappings(facts: &[Fact]) -> impl Iterator<Item = (&OfferRef, &Mapping)> {
    facts.iter().filter_map(|fact| match fact {
        Fact::MappingDefined(mapping) => Some((&mapping.offer, mapping)),
        _ => None,
    })
}
