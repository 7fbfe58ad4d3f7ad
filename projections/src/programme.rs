//! The programme as the facts define it: offers, partners, coupons, terms and rates.
//!
//! The newest definition holds, by the order of facts; coupons and rates also have a time from when
//! they hold. Definitions may arrive after what they concern.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, LazyLock},
};

use postbook_schemas::{
    Currency, Fact, FactId, Instant, OfferRef, Slug,
    configuration::{Candidate, Coupon, FxRate, Offer, Partner, TermsPublished},
    terms::PartnerScope,
};
use rust_decimal::Decimal;
use smallvec::SmallVec;

use crate::{derivation::Derivation, order::OrderKey, rules::CompiledTerms};

/// The newest of something, by the order of facts.
#[derive(Clone, Debug)]
struct Newest<T> {
    order: OrderKey,
    value: T,
}

/// What attribution needs to know of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferSettings {
    /// How long a click can be credited, in days.
    pub click_window_days: u32,
    /// The candidates, in order.
    pub candidates: Vec<Candidate>,
    /// The currency of amounts that name none.
    pub currency: Currency,
}

impl OfferSettings {
    fn of(offer: &Offer) -> Self {
        Self {
            click_window_days: offer.click_window_days,
            candidates: offer.attribution.clone(),
            currency: offer.currency,
        }
    }

    /// What holds for an offer that is not defined yet.
    fn undefined() -> Self {
        Self {
            click_window_days: 30,
            candidates: vec![
                Candidate::ClickId,
                Candidate::CouponCode,
                Candidate::CustomerId,
            ],
            currency: Currency::USD,
        }
    }
}

/// What is known of a partner: what it is paid in, by its newest definition, and who was above it
/// from when.
#[derive(Clone, Debug)]
struct PartnerKnown {
    currency: Newest<Currency>,
    parents: BTreeMap<OrderKey, Option<Slug>>,
}

/// Whose a coupon was: by start (none sorts first) and order of facts.
type Assignments = BTreeMap<(Option<Instant>, OrderKey), Slug>;

/// The version of the derivation that is in force, among those that are known.
#[derive(Clone, Debug)]
struct InForce {
    known: &'static [Derivation],
    adopted: Option<Newest<&'static Derivation>>,
}

impl Default for InForce {
    fn default() -> Self {
        Self {
            known: Derivation::KNOWN,
            adopted: None,
        }
    }
}

/// The programme so far.
#[derive(Clone, Debug, Default)]
pub struct Programme {
    derivation: InForce,
    offers: BTreeMap<OfferRef, Newest<OfferSettings>>,
    partners: BTreeMap<Slug, PartnerKnown>,
    coupons: BTreeMap<OfferRef, BTreeMap<String, Assignments>>,
    rates: BTreeMap<(Currency, Currency), BTreeMap<(Instant, OrderKey), Decimal>>,
    terms: BTreeMap<OfferRef, Vec<Arc<CompiledTerms>>>,
    offer_names: BTreeSet<OfferRef>,
    partner_names: BTreeSet<Slug>,
}

impl Programme {
    /// A programme that is derived by one of these versions.
    pub fn with_derivations(known: &'static [Derivation]) -> Self {
        Self {
            derivation: InForce {
                known,
                adopted: None,
            },
            ..Self::default()
        }
    }

    /// The version of the derivation that is in force.
    pub fn derivation(&self) -> &'static Derivation {
        let InForce { known, adopted } = &self.derivation;
        adopted
            .as_ref()
            .map_or_else(|| Derivation::first(known), |newest| newest.value)
    }

    /// Whether a version of the derivation can be brought into force.
    pub fn knows_derivation(&self, version: u32) -> bool {
        Derivation::find(self.derivation.known, version).is_some()
    }

    /// Brings a version of the derivation into force; true if that changes what is derived, `None`
    /// if it is not known here.
    pub fn adopt_derivation(&mut self, order: OrderKey, version: u32) -> Option<bool> {
        let before = self.derivation().version;
        let value = Derivation::find(self.derivation.known, version)?;
        let adopted = &mut self.derivation.adopted;
        if adopted.as_ref().is_none_or(|newest| newest.order < order) {
            *adopted = Some(Newest { order, value });
        }
        Some(self.derivation().version != before)
    }

    /// The settings of an offer.
    pub fn offer(&self, offer: &OfferRef) -> &OfferSettings {
        static UNDEFINED: LazyLock<OfferSettings> = LazyLock::new(OfferSettings::undefined);
        let known = self.offers.get(offer);
        known.map_or(&UNDEFINED, |newest| &newest.value)
    }

    /// The currency of an offer's amounts that name none.
    pub fn offer_currency(&self, offer: &OfferRef) -> Currency {
        self.offers
            .get(offer)
            .map_or(Currency::USD, |newest| newest.value.currency)
    }

    /// Defines an offer; true if that changes what is derived.
    pub fn define_offer(&mut self, order: OrderKey, offer: &Offer) -> bool {
        let reference = offer.reference();
        let before = self.offer(&reference).clone();
        define(
            &mut self.offers,
            reference.clone(),
            order,
            OfferSettings::of(offer),
        );
        before != *self.offer(&reference)
    }

    /// What a partner is paid in; `None` until the partner is defined.
    pub fn partner_currency(&self, partner: &Slug) -> Option<Currency> {
        self.partners.get(partner).map(|known| known.currency.value)
    }

    /// Who was above a partner at a time: by the last definition until then, and before the first
    /// by the first.
    fn parent(&self, partner: &Slug, at: Instant) -> Option<&Slug> {
        let parents = &self.partners.get(partner)?.parents;
        let held = parents.iter().rfind(|(order, _)| order.occurred_at <= at);
        let (_, parent) = held.or_else(|| parents.iter().next())?;
        parent.as_ref()
    }

    /// The partners above one at a time, the nearest first. A circle, which `apply` refuses, ends
    /// where it closes.
    pub fn uplines(&self, partner: &Slug, at: Instant) -> SmallVec<[Slug; 2]> {
        let mut above = SmallVec::<[Slug; 2]>::new();
        let mut below = partner;
        while let Some(parent) = self.parent(below, at) {
            if parent == partner || above.contains(parent) {
                break;
            }
            above.push(parent.clone());
            below = parent;
        }
        above
    }

    /// Defines a partner; true if that changes what is derived.
    pub fn define_partner(&mut self, order: OrderKey, partner: &Partner) -> bool {
        let newest = Newest {
            order: order.clone(),
            value: partner.currency,
        };
        let known = match self.partners.entry(partner.slug.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(PartnerKnown {
                    currency: newest,
                    parents: BTreeMap::from([(order, partner.parent.clone())]),
                });
                return true;
            }
            Entry::Occupied(known) => known.into_mut(),
        };
        let before = (known.currency.value, known.parents.clone());
        if known.currency.order < newest.order {
            known.currency = newest;
        }
        known.parents.insert(order, partner.parent.clone());
        let changed_above = before.1.values().any(|parent| *parent != partner.parent)
            || known.parents.values().any(Option::is_some);
        before.0 != known.currency.value || changed_above
    }

    /// Whose coupon it was at a time.
    pub fn coupon(&self, offer: &OfferRef, code: &str, at: Instant) -> Option<&Slug> {
        let assignments = self.coupons.get(offer)?.get(&coupon_code(code))?;
        // Without a start an assignment holds for all time; it sorts before those with one.
        assignments
            .iter()
            .rfind(|((from, _), _)| from.is_none_or(|from| from <= at))
            .map(|(_, partner)| partner)
    }

    /// Assigns a coupon.
    pub fn define_coupon(&mut self, order: OrderKey, coupon: &Coupon) {
        self.coupons
            .entry(coupon.offer.clone())
            .or_default()
            .entry(coupon_code(&coupon.code))
            .or_default()
            .insert((coupon.effective_from, order), coupon.partner.clone());
    }

    /// The newest rate at a time: how much of `quote` one unit of `base` is.
    pub fn rate(&self, base: Currency, quote: Currency, at: Instant) -> Option<Decimal> {
        let rates = self.rates.get(&(base, quote))?;
        rates
            .iter()
            .rfind(|((from, _), _)| *from <= at)
            .map(|(_, &rate)| rate)
    }

    /// The fact that recorded the newest rate at a time, and from when that holds.
    pub fn rate_fact(
        &self,
        base: Currency,
        quote: Currency,
        at: Instant,
    ) -> Option<(FactId, Instant)> {
        let rates = self.rates.get(&(base, quote))?;
        let ((from, order), _) = rates.iter().rfind(|((from, _), _)| *from <= at)?;
        Some((order.id, *from))
    }

    /// The fact that says whose coupon it was at a time.
    pub fn coupon_fact(&self, offer: &OfferRef, code: &str, at: Instant) -> Option<FactId> {
        let assignments = self.coupons.get(offer)?.get(&coupon_code(code))?;
        let mut keys = assignments.keys().rev();
        keys.find(|(from, _)| from.is_none_or(|from| from <= at))
            .map(|(_, order)| order.id)
    }

    /// The fact that defines an offer.
    pub fn offer_fact(&self, offer: &OfferRef) -> Option<FactId> {
        self.offers.get(offer).map(|newest| newest.order.id)
    }

    /// Records a rate.
    pub fn record_rate(&mut self, order: OrderKey, rate: &FxRate) {
        self.rates
            .entry((rate.base, rate.quote))
            .or_default()
            .insert((rate.at, order), rate.rate.decimal());
    }

    /// Publishes terms.
    pub fn publish_terms(&mut self, order: OrderKey, published: &TermsPublished) {
        let all = self.terms.entry(published.terms.offer.clone()).or_default();
        if all.iter().all(|known| known.order.id != order.id) {
            all.push(Arc::new(CompiledTerms::new(order, published)));
        }
    }

    /// The terms for a conversion: the partner's own before those for all, then the newest that
    /// were effective when it happened.
    pub fn terms(
        &self,
        offer: &OfferRef,
        partner: &Slug,
        at: Instant,
    ) -> Option<Arc<CompiledTerms>> {
        let all = self.terms.get(offer)?;
        let newest = |scope: &PartnerScope| {
            all.iter()
                .filter(|terms| terms.scope == *scope && terms.effective_from <= at)
                .max_by(|a, b| (a.effective_from, &a.order).cmp(&(b.effective_from, &b.order)))
        };
        newest(&PartnerScope::One(partner.clone()))
            .or_else(|| newest(&PartnerScope::All))
            .cloned()
    }

    /// The fact that a definition takes the place of: the one that defined the same thing, from the
    /// same time on, last.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other facts define nothing that is looked at here"
    )]
    pub fn replaced_by(&self, fact: &Fact) -> Option<FactId> {
        match fact {
            Fact::OfferDefined(offer) => Some(self.offers.get(&offer.reference())?.order.id),
            Fact::CouponDefined(coupon) => {
                let of_offer = self.coupons.get(&coupon.offer)?;
                let mut all = of_offer.get(&coupon_code(&coupon.code))?.keys().rev();
                all.find(|(from, _)| *from == coupon.effective_from)
                    .map(|(_, order)| order.id)
            }
            Fact::FxRateRecorded(rate) => {
                let mut all = self.rates.get(&(rate.base, rate.quote))?.keys().rev();
                all.find(|(at, _)| *at == rate.at)
                    .map(|(_, order)| order.id)
            }
            Fact::TermsPublished(published) => {
                let terms = &published.terms;
                let all = self.terms.get(&terms.offer)?.iter();
                all.filter(|known| {
                    known.scope == terms.partner && known.effective_from == terms.effective_from
                })
                .map(|known| &known.order)
                .max()
                .map(|order| order.id)
            }
            _ => None,
        }
    }

    /// All terms of an offer.
    pub fn all_terms(&self, offer: &OfferRef) -> &[Arc<CompiledTerms>] {
        self.terms.get(offer).map_or(&[], Vec::as_slice)
    }

    /// The one shared copy of an offer's name, so that a million conversions do not hold a million.
    pub fn shared_offer(&mut self, offer: &OfferRef) -> OfferRef {
        if let Some(known) = self.offer_names.get(offer) {
            return known.clone();
        }
        self.offer_names.insert(offer.clone());
        offer.clone()
    }

    /// The one shared copy of a partner's name.
    pub fn shared_partner(&mut self, partner: &Slug) -> Slug {
        if let Some(known) = self.partner_names.get(partner) {
            return known.clone();
        }
        self.partner_names.insert(partner.clone());
        partner.clone()
    }
}

fn define<K: Ord, V>(map: &mut BTreeMap<K, Newest<V>>, key: K, order: OrderKey, value: V) {
    match map.get_mut(&key) {
        Some(newest) if newest.order >= order => {}
        Some(newest) => *newest = Newest { order, value },
        None => {
            map.insert(key, Newest { order, value });
        }
    }
}

/// The written form of a coupon code under which it is compared.
pub fn coupon_code(code: &str) -> String {
    code.trim().to_uppercase()
}
