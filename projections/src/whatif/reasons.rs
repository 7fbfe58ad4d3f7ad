//! Why a line would change.

use std::{collections::BTreeSet, sync::Arc};

use postbook_schemas::{Envelope, Fact};

use super::{
    Before,
    rows::{LineKind, Reason},
};
use crate::{conversion::Conversion, posted::PostedLine};

/// The reasons, from what differs besides the amount; if nothing does, it is what others do.
pub(super) fn reasons(
    found: Option<(Option<&Before>, &Conversion)>,
    (old, new): (Option<&PostedLine>, Option<&PostedLine>),
    line: LineKind,
    facts: &[Envelope],
) -> BTreeSet<Reason> {
    let mut reasons = BTreeSet::new();
    let (before, after) = match found {
        Some((Some(before), after)) => (before, after),
        Some((None, _)) => return BTreeSet::from([Reason::New]),
        None => return BTreeSet::from([Reason::Month]),
    };
    if before.attribution.partner != after.attribution.partner {
        reasons.insert(Reason::Attribution);
    }
    let version = |line: &PostedLine| Arc::clone(&line.terms_version);
    let is_repriced = old.map(version) != new.map(version);
    if is_repriced && (reasons.is_empty() || (old.is_some() && new.is_some())) {
        reasons.insert(Reason::Terms);
    }
    if reasons.is_empty() && line != LineKind::Carryover && has_rate(facts) {
        reasons.insert(Reason::Rate);
    }
    if reasons.is_empty() && has_derivation(facts) {
        reasons.insert(Reason::Derivation);
    }
    if reasons.is_empty() {
        reasons.insert(Reason::Others);
    }
    reasons
}

fn has_derivation(facts: &[Envelope]) -> bool {
    let mut versions = facts.iter().map(|envelope| &envelope.fact);
    versions.any(|fact| matches!(fact, Fact::DerivationAdopted(_)))
}

fn has_rate(facts: &[Envelope]) -> bool {
    let mut rates = facts.iter().map(|envelope| &envelope.fact);
    rates.any(|fact| matches!(fact, Fact::FxRateRecorded(_)))
}
