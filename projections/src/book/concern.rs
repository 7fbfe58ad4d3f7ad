//! Tells which facts are about a conversion, and by what those of others touch it.

use std::collections::BTreeSet;

use postbook_schemas::{Envelope, Fact, FactId, envelope::Recorded};

use super::{Book, seen::Seen, volume::rule_pools};
use crate::{
    conversion::{Conversion, Keys},
    explain::trace::{OtherTrace, Shared},
    numbers::ConversionNumber,
};

impl Book {
    /// The facts that are about a conversion: its reports, the changes and abuse that mean it, and what
    /// people decided and corrected.
    pub(super) fn own_facts(&self, number: ConversionNumber) -> BTreeSet<FactId> {
        let conversion = self.conversion(number);
        let mut own: BTreeSet<FactId> = conversion.aliases.iter().copied().collect();
        let changes = self.changes_of(conversion).into_iter();
        own.extend(changes.map(|change| change.order.id));
        own.extend(self.abuses_of(conversion).map(|abuse| abuse.order.id));
        for id in &conversion.aliases {
            let decided = self.decisions.get(id).into_iter().flatten();
            own.extend(decided.map(|decided| decided.order.id));
            let corrected = self.corrections.get(id).into_iter().flatten();
            own.extend(corrected.map(|corrected| corrected.order.id));
        }
        own
    }

    /// Those of some facts that are about other conversions, and what this one has in common with them.
    pub(super) fn others(
        &self,
        number: ConversionNumber,
        own: &BTreeSet<FactId>,
        facts: &[Recorded],
        seen: &mut Seen,
    ) -> Vec<OtherTrace> {
        let others = facts
            .iter()
            .map(|fact| &fact.envelope)
            .filter(|envelope| !own.contains(&envelope.id));
        let traced = others.filter_map(|envelope| {
            let other = self.meant(envelope).filter(|&other| other != number)?;
            let conversion = self.conversion(other);
            let txn_id = conversion.references.txn_id.as_deref();
            Some(OtherTrace {
                id: envelope.id,
                of: Some(txn_id.map_or_else(|| conversion.id().to_string(), str::to_owned)),
                shared: self.shared(number, other, seen),
            })
        });
        traced.collect()
    }

    /// The conversion that a fact is about, or the first of several.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other facts are about no conversion, or report one"
    )]
    fn meant(&self, envelope: &Envelope) -> Option<ConversionNumber> {
        match &envelope.fact {
            Fact::ConversionDecided(data) => self.ids.get(&data.conversion_id).copied(),
            Fact::AttributionCorrected(data) => self.ids.get(&data.conversion_id).copied(),
            Fact::AbuseReported(abuse) => {
                let keys = Keys::of(&abuse.offer, &abuse.references, false);
                let group = self.group(keys.txn.or(keys.customer).or(keys.click))?;
                group.conversions.first().copied()
            }
            other => match other.as_change() {
                Some(change) => {
                    let keys = Keys::of(&change.offer, &change.references, false);
                    let group = self.group(keys.txn.or(keys.click).or(keys.customer))?;
                    if keys.txn.is_some() {
                        return group.conversions.first().copied();
                    }
                    let mut changes = group.changes().iter();
                    let change = changes.find(|change| change.order.id == envelope.id)?;
                    let target = self.target(group, change)?;
                    self.ids.get(&target.id()).copied()
                }
                None => self.ids.get(&envelope.id).copied(),
            },
        }
    }

    /// What a conversion has in common with another, so that facts of that one touch it.
    fn shared(
        &self,
        number: ConversionNumber,
        other: ConversionNumber,
        seen: &mut Seen,
    ) -> Option<Shared> {
        let (keys, others) = (self.conversion(number).keys, self.conversion(other).keys);
        if keys.txn.is_some() && keys.txn == others.txn {
            return Some(Shared::Transaction);
        }
        if let Some(pool) = self.shared_pool(number, self.conversion(other), seen) {
            return Some(pool);
        }
        if keys.customer.is_some() && keys.customer == others.customer {
            return Some(Shared::Customer);
        }
        (keys.click.is_some() && keys.click == others.click).then_some(Shared::Click)
    }

    /// The tiers or the cap in which both count, of the credited partner or of one above.
    fn shared_pool(
        &self,
        number: ConversionNumber,
        other: &Conversion,
        seen: &mut Seen,
    ) -> Option<Shared> {
        if other.offer != self.conversion(number).offer {
            return None;
        }
        let partner = self.conversion(number).attribution.partner.clone()?;
        let mut partners = vec![(partner.clone(), 0)];
        partners.extend(self.uplines_of(number, &partner));
        for (partner, level) in partners.into_iter().filter(|(it, _)| other.concerns(it)) {
            let Some(matched) = self.matched(number, &partner, level, seen) else {
                continue;
            };
            for (rule, pools) in matched.rules().filter(|(rule, _)| rule.on == other.kind) {
                let theirs = rule_pools(&matched.terms, rule, other, &partner);
                if pools.tiers.is_some() && pools.tiers == theirs.tiers {
                    return Some(Shared::Tiers(rule.id.to_string(), partner));
                }
                if pools.cap.is_some() && pools.cap == theirs.cap {
                    return Some(Shared::Cap(rule.id.to_string(), partner));
                }
            }
        }
        None
    }
}
