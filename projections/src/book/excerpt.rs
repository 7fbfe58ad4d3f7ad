//! A smaller book with all that some facts can touch, for deriving what they would change.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use postbook_schemas::{Fact, Instant, OfferRef};

use super::Book;
use crate::{
    conversion::{Conversion, Keys},
    numbers::ConversionNumber,
    order::short,
    programme::coupon_code,
};

impl Book {
    /// A book that holds what these facts can touch and, under other numbers, is in the same state
    /// about it: applying them to it derives and posts what applying them to this one would.
    ///
    /// Conversions meet only within an offer: transactions, clicks and customers are an offer's, and
    /// so are tiers, caps and advances. What partners have in common over offers (months below zero,
    /// what payouts carried) is kept in sums, which are taken over as they are.
    #[must_use]
    pub fn excerpt(&self, facts: &[&Fact]) -> Self {
        let mut offers = BTreeSet::new();
        for fact in facts {
            match self.offers_of(fact) {
                Some(of_fact) => offers.extend(of_fact),
                None => return self.clone(),
            }
        }
        let mut taken: Vec<ConversionNumber> = offers
            .iter()
            .filter_map(|offer| self.by_offer.get(offer))
            .flatten()
            .copied()
            .collect();
        taken.sort_unstable();
        let mut excerpt = Self {
            programme: self.programme.clone(),
            fences: self.fences.clone(),
            folded: HashMap::new(),
            payouts: self
                .payouts
                .iter()
                .map(|(id, it)| (*id, it.without_lines()))
                .collect(),
            postings: self.postings,
            closed_through: self.closed_through,
            ..Self::default()
        };
        let mut numbers = vec![None; self.conversions.len()];
        for (new, &old) in taken.iter().enumerate() {
            if let Some(number) = numbers.get_mut(old) {
                *number = Some(new);
            }
        }
        let renumbered = |old: ConversionNumber| numbers.get(old).copied().flatten();
        for &old in &taken {
            self.copy_conversion(old, &renumbered, &mut excerpt);
        }
        for fact in facts {
            self.copy_groups(fact_keys(fact), &renumbered, &mut excerpt);
        }
        for (pair, users) in &self.rate_users {
            let users = users.iter().filter_map(|&user| renumbered(user)).collect();
            excerpt.rate_users.insert(*pair, users);
        }
        let aliases = excerpt.conversions.iter().flat_map(|it| &it.aliases);
        excerpt.carriers = self.carriers.of_subjects(aliases);
        excerpt
    }

    /// Whether there is a conversion that a definition can touch: of its offer, and not before it
    /// holds.
    pub fn can_be_touched_by(&self, definition: &Fact) -> bool {
        let from = holds_from(definition);
        let happens_then = |number: &ConversionNumber| {
            let conversion = self.conversion(*number);
            from.is_none_or(|from| conversion.occurred_at() >= from)
        };
        match self.offers_of(definition) {
            None => !self.conversions.is_empty(),
            Some(offers) => offers
                .iter()
                .filter_map(|offer| self.by_offer.get(offer))
                .flatten()
                .any(happens_then),
        }
    }

    /// The offers whose conversions a fact can touch; `None` if it can touch any.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever is not known to keep to an offer may touch all"
    )]
    fn offers_of(&self, fact: &Fact) -> Option<BTreeSet<OfferRef>> {
        if let Some(report) = fact.as_report() {
            return Some(BTreeSet::from([report.offer.clone()]));
        }
        if let Some(change) = fact.as_change() {
            return Some(BTreeSet::from([change.offer.clone()]));
        }
        Some(match fact {
            Fact::OfferDefined(offer) => BTreeSet::from([offer.reference()]),
            Fact::CouponDefined(coupon) => BTreeSet::from([coupon.offer.clone()]),
            Fact::TermsPublished(published) => BTreeSet::from([published.terms.offer.clone()]),
            Fact::AbuseReported(report) => BTreeSet::from([report.offer.clone()]),
            Fact::FxRateRecorded(rate) => {
                let users = self.rate_users.get(&(rate.base, rate.quote));
                let users = users.into_iter().flatten();
                users
                    .map(|&user| self.conversion(user).offer.clone())
                    .collect()
            }
            Fact::MappingDefined(_) | Fact::WhatifAdopted(_) => BTreeSet::new(),
            _ => return None,
        })
    }

    fn copy_conversion(
        &self,
        old: ConversionNumber,
        renumbered: &impl Fn(ConversionNumber) -> Option<ConversionNumber>,
        excerpt: &mut Self,
    ) {
        let conversion = self.conversion(old).clone();
        let new = excerpt.conversions.len();
        for id in &conversion.aliases {
            excerpt.ids.insert(*id, new);
            let decided = self.decisions.get(id).map(|all| (*id, all.clone()));
            excerpt.decisions.extend(decided);
            let corrected = self.corrections.get(id).map(|all| (*id, all.clone()));
            excerpt.corrections.extend(corrected);
        }
        if !conversion.order.dedupe_key.is_empty() {
            let key = short(&["dedupe", &conversion.order.dedupe_key]);
            excerpt.by_dedupe_key.insert(key.to_be_bytes(), new);
        }
        let of_offer = excerpt
            .by_offer
            .entry(conversion.offer.clone())
            .or_default();
        of_offer.push(new);
        if let Some(code) = &conversion.references.coupon_code {
            let key = short(&["coupon", conversion.offer.as_str(), &coupon_code(code)]);
            excerpt.by_coupon.entry(key).or_default().push(new);
        }
        if let Some(id) = &conversion.references.click_id
            && let Some(click) = self.clicks.get(id)
        {
            excerpt.clicks.insert(id.clone(), click.clone());
        }
        self.copy_groups(conversion.keys, renumbered, excerpt);
        for key in &conversion.pools {
            if !excerpt.pools.contains_key(key)
                && let Some(pool) = self.pools.get(key)
            {
                let mut pool = pool.clone();
                pool.renumber(renumbered);
                excerpt.pools.insert(*key, pool);
            }
        }
        excerpt.conversions.push(Box::new(conversion));
    }

    fn copy_groups(
        &self,
        keys: Keys,
        renumbered: &impl Fn(ConversionNumber) -> Option<ConversionNumber>,
        excerpt: &mut Self,
    ) {
        for key in [keys.txn, keys.click, keys.customer].into_iter().flatten() {
            if excerpt.groups.contains_key(&key) {
                continue;
            }
            if let Some(group) = self.groups.get(&key) {
                let members = group.conversions.iter();
                let conversions = members.filter_map(|&old| renumbered(old)).collect();
                let mut copy = group.clone();
                copy.conversions = conversions;
                excerpt.groups.insert(key, copy);
            }
        }
    }

    /// All conversions, in order of arrival.
    pub(crate) fn conversions(&self) -> impl Iterator<Item = &Conversion> {
        self.conversions.iter().map(AsRef::as_ref)
    }
}

/// From when a definition holds, in event time; for all time if absent.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all others hold for all time"
)]
fn holds_from(definition: &Fact) -> Option<Instant> {
    match definition {
        Fact::TermsPublished(published) => Some(published.terms.effective_from),
        Fact::CouponDefined(coupon) => coupon.effective_from,
        Fact::FxRateRecorded(rate) => Some(rate.at),
        _ => None,
    }
}

/// The keys under which a report or change finds others.
fn fact_keys(fact: &Fact) -> Keys {
    let report = fact.as_report().map(|it| (&it.offer, &it.references));
    let change = fact.as_change().map(|it| (&it.offer, &it.references));
    report
        .or(change)
        .map_or_else(Keys::default, |(offer, references)| {
            Keys::of(offer, references, false)
        })
}
