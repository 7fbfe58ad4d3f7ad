//! The facts behind a conversion: which are about itself, and how the others came to touch it.

use postbook_schemas::{Fact, envelope::Recorded, postback::References};

use super::{
    Evidence, Step,
    trace::{OtherTrace, Shared},
};
use crate::rows::ConversionRow;

/// The facts that are about the conversion itself.
pub(super) fn own(evidence: &Evidence) -> impl Iterator<Item = &Recorded> {
    let facts = evidence.facts.iter();
    facts.filter(|fact| match &evidence.trace {
        Some(trace) => trace.own.contains(&fact.envelope.id),
        None => seems_own(&evidence.conversion, fact),
    })
}

/// A fact by its type, with whoever recorded it, and what else there is to say of it.
pub(super) fn named(evidence: &Evidence, fact: &Recorded) -> Step {
    let envelope = &fact.envelope;
    let mut says = format!(
        "{} by {} at {}",
        envelope.fact.fact_type().name(),
        envelope.actor,
        envelope.recorded_at
    );
    if let Fact::WhatifAdopted(adopted) = &envelope.fact {
        let (who, when, why) = (&adopted.proposed_by, adopted.proposed_at, &adopted.reason);
        says = format!("{says}, tried by {who} at {when}: {why}");
    }
    if let Some(of) = of_another(evidence, fact) {
        says = format!("{says}, {of}");
    }
    Step::new("fact", says).at(fact.position)
}

/// Of which other conversion a fact is, and by what it touched this one.
fn of_another(evidence: &Evidence, fact: &Recorded) -> Option<String> {
    let Some(trace) = &evidence.trace else {
        let is_others = is_about_one(&fact.envelope.fact) && !seems_own(&evidence.conversion, fact);
        return is_others.then(|| "of another conversion".to_owned());
    };
    let mut others = trace.others.iter();
    let other = others.find(|other| other.id == fact.envelope.id);
    other.map(touched_by)
}

/// Whether a fact is about one conversion, whichever: these are looked at to see whose they are.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all other facts report or change a conversion, or are about none"
)]
pub fn is_about_one(fact: &Fact) -> bool {
    match fact {
        Fact::ConversionDecided(_) | Fact::AttributionCorrected(_) | Fact::AbuseReported(_) => true,
        other => other.as_report().is_some() || other.as_change().is_some(),
    }
}

fn touched_by(other: &OtherTrace) -> String {
    let of = other.of.as_deref().unwrap_or("another conversion");
    match &other.shared {
        Some(Shared::Transaction) => format!("of {of} in the same transaction"),
        Some(Shared::Tiers(rule, partner)) => {
            format!("of {of}, which shares the tiers of {rule} of {partner}")
        }
        Some(Shared::Cap(rule, partner)) => {
            format!("of {of}, which shares the cap of {rule} of {partner}")
        }
        Some(Shared::Customer) => format!("of {of} of the same customer"),
        Some(Shared::Click) => format!("of {of} of the same click"),
        None => format!("of {of}"),
    }
}

/// Whether a fact names the conversion, as far as can be told without the book: of a change that names
/// only a customer or click nobody else knows which conversion it means.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all other facts are about no conversion, or report or change one"
)]
fn seems_own(conversion: &ConversionRow, fact: &Recorded) -> bool {
    match &fact.envelope.fact {
        Fact::ConversionDecided(data) => data.conversion_id == conversion.id,
        Fact::AttributionCorrected(data) => data.conversion_id == conversion.id,
        Fact::AbuseReported(abuse) => names(&abuse.references, conversion),
        other => match other.as_change() {
            Some(change) => names(&change.references, conversion),
            None => fact.envelope.id == conversion.id,
        },
    }
}

fn names(references: &References, conversion: &ConversionRow) -> bool {
    let is = |named: &Option<String>, own: &Option<String>| named.is_some() && named == own;
    if references.txn_id.is_some() {
        return references.txn_id == conversion.txn_id;
    }
    is(&references.customer_id, &conversion.customer_id)
        || is(&references.click_id, &conversion.click_id)
}
