//! The programme as defined so far, folded from configuration facts.

use std::collections::{BTreeMap, BTreeSet};

use postbook_schemas::{
    Currency, Envelope, Fact, FactId, FactType, Instant, OfferRef, Slug,
    configuration::{Brand, Coupon, FxRate, Link, Offer, Partner, TermsPublished},
    mapping::Mapping,
    terms::PartnerScope,
};

use super::source::ProgrammeFile;

/// What tells one coupon assignment from another: code, offer and from when.
pub(super) type CouponKey = (String, OfferRef, Option<Instant>);
/// What tells one exchange rate from another.
pub(super) type RateKey = (Currency, Currency, Instant);
/// What tells one set of terms from another; publishing again under the same key makes a version.
pub(super) type TermsKey = (OfferRef, PartnerScope, Instant);

/// The programme as defined so far. Of several definitions of one thing the newest holds, by
/// `occurred_at` and id, in whatever order they are folded.
#[derive(Clone, Debug, Default)]
pub struct Known {
    brands: Latest<Slug, Brand>,
    offers: Latest<OfferRef, Offer>,
    partners: Latest<Slug, Partner>,
    links: Latest<Slug, Link>,
    coupons: Latest<CouponKey, Coupon>,
    mappings: Latest<OfferRef, Mapping>,
    rates: Latest<RateKey, FxRate>,
    terms: Latest<TermsKey, TermsPublished>,
    defined_at: Option<Instant>,
    partners_with_history: BTreeSet<Slug>,
}

impl Known {
    /// The types of facts that matter here.
    pub const TYPES: &'static [FactType] = &[
        FactType::BrandDefined,
        FactType::OfferDefined,
        FactType::PartnerDefined,
        FactType::LinkDefined,
        FactType::CouponDefined,
        FactType::MappingDefined,
        FactType::FxRateRecorded,
        FactType::TermsPublished,
    ];

    /// Folds one fact; facts of other types change nothing.
    pub fn fold(&mut self, envelope: Envelope) {
        let stamp = (envelope.occurred_at, envelope.id);
        self.defined_at = self.defined_at.max(Some(envelope.occurred_at));
        match envelope.fact {
            Fact::BrandDefined(brand) => self.brands.put(brand.slug.clone(), stamp, brand),
            Fact::OfferDefined(offer) => self.offers.put(offer.reference(), stamp, offer),
            Fact::PartnerDefined(partner) => {
                self.partners.put(partner.slug.clone(), stamp, partner);
            }
            Fact::LinkDefined(link) => self.links.put(link.slug.clone(), stamp, link),
            Fact::CouponDefined(coupon) => self.coupons.put(coupon_key(&coupon), stamp, coupon),
            Fact::MappingDefined(mapping) => {
                self.mappings.put(mapping.offer.clone(), stamp, mapping);
            }
            Fact::FxRateRecorded(rate) => self.rates.put(rate_key(&rate), stamp, rate),
            Fact::TermsPublished(published) => {
                let terms = &published.terms;
                let key = (
                    terms.offer.clone(),
                    terms.partner.clone(),
                    terms.effective_from,
                );
                self.terms.put(key, stamp, published);
            }
            _ => {}
        }
    }

    /// When the newest definition happened.
    pub fn defined_at(&self) -> Option<Instant> {
        self.defined_at
    }

    /// All partners, by slug.
    pub fn partner_slugs(&self) -> Vec<Slug> {
        self.partners.iter().map(|(slug, _)| slug.clone()).collect()
    }

    /// Whether a partner is defined.
    pub fn has_partner(&self, partner: &Slug) -> bool {
        self.partners.get(partner).is_some()
    }

    /// The partners to whom the files give another currency.
    pub(super) fn currency_changes(&self, files: &[ProgrammeFile]) -> Vec<Slug> {
        let partners = files.iter().flat_map(|file| &file.programme().partners);
        partners
            .filter(|partner| {
                let before = self.partners.get(&partner.slug);
                before.is_some_and(|before| before.currency != partner.currency)
            })
            .map(|partner| partner.slug.clone())
            .collect()
    }

    /// Says that postings concern this partner already, so that its currency must stay.
    pub fn has_history(&mut self, partner: Slug) {
        self.partners_with_history.insert(partner);
    }

    pub(super) fn brands(&self) -> &Latest<Slug, Brand> {
        &self.brands
    }

    pub(super) fn offers(&self) -> &Latest<OfferRef, Offer> {
        &self.offers
    }

    pub(super) fn partners(&self) -> &Latest<Slug, Partner> {
        &self.partners
    }

    pub(super) fn links(&self) -> &Latest<Slug, Link> {
        &self.links
    }

    pub(super) fn coupons(&self) -> &Latest<CouponKey, Coupon> {
        &self.coupons
    }

    pub(super) fn mappings(&self) -> &Latest<OfferRef, Mapping> {
        &self.mappings
    }

    pub(super) fn rates(&self) -> &Latest<RateKey, FxRate> {
        &self.rates
    }

    pub(super) fn terms(&self) -> &Latest<TermsKey, TermsPublished> {
        &self.terms
    }

    pub(super) fn is_bound_to_currency(&self, partner: &Slug) -> bool {
        self.partners_with_history.contains(partner)
    }
}

/// The key of a coupon; upper and lower case do not matter.
pub(super) fn coupon_key(coupon: &Coupon) -> CouponKey {
    (
        coupon.code.to_lowercase(),
        coupon.offer.clone(),
        coupon.effective_from,
    )
}

/// The key of an exchange rate.
pub(super) fn rate_key(rate: &FxRate) -> RateKey {
    (rate.base, rate.quote, rate.at)
}

/// Definitions by key, the newest of each.
#[derive(Clone, Debug)]
pub(super) struct Latest<K, V>(BTreeMap<K, ((Instant, FactId), V)>);

impl<K, V> Default for Latest<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V> Latest<K, V> {
    fn put(&mut self, key: K, stamp: (Instant, FactId), value: V) {
        if self.0.get(&key).is_none_or(|(known, _)| *known <= stamp) {
            self.0.insert(key, (stamp, value));
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, (_, value))| (key, value))
    }
}
