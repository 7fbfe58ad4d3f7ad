//! The programme as intake needs it: folded from configuration facts, never changed in place.

mod fold;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use postbook_schemas::{
    Currency, DecodeError, Exact, Instant, Kind, OfferRef, Slug,
    configuration::{Brand, Coupon, Endpoint, FxRate, Link, Offer, Partner},
    fact::FactType,
    terms::PartnerScope,
};
use thiserror::Error;

pub use self::fold::{Stamp, Stamped, TermsVersion};
use crate::{intake::mapping::Rules, store::StoreError};

/// First path segments that the service needs itself, so that no link can have them.
pub const RESERVED_PATHS: &[&str] = &[
    "api",
    "assets",
    "docs",
    "favicon.ico",
    "healthz",
    "metrics",
    "openapi.json",
    "postback",
    "readyz",
    "robots.txt",
    "static",
    "ui",
    "v1",
];

/// Whether a link cannot have this slug, since the service needs the path itself.
pub fn is_reserved(slug: &str) -> bool {
    RESERVED_PATHS
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(slug))
}

/// The facts that a directory is folded from.
pub const FACT_TYPES: &[FactType] = &[
    FactType::FxRateRecorded,
    FactType::BrandDefined,
    FactType::OfferDefined,
    FactType::PartnerDefined,
    FactType::LinkDefined,
    FactType::CouponDefined,
    FactType::MappingDefined,
    FactType::EndpointDefined,
    FactType::TermsPublished,
    FactType::DerivationAdopted,
];

/// Why the programme could not be read from the log.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fact could not be understood.
    #[error("the fact at position {position} cannot be understood: {source}")]
    Decode {
        /// Where.
        position: u64,
        /// Why.
        source: DecodeError,
    },
}

/// A link with the position of the fact that defined it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEntry {
    /// Position of its `link.defined`.
    pub position: u64,
    /// The link.
    pub link: Link,
}

/// The programme as of one position. Of several definitions of one thing, the newest by time and
/// id holds, in whatever order they were appended.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    head: u64,
    brands: BTreeMap<Slug, Stamped<Brand>>,
    offers: BTreeMap<OfferRef, Stamped<Arc<Offer>>>,
    partners: BTreeMap<Slug, Stamped<Partner>>,
    links: BTreeMap<Slug, Stamped<Arc<LinkEntry>>>,
    links_by_position: HashMap<u64, Arc<LinkEntry>>,
    coupons: BTreeMap<(String, OfferRef), BTreeMap<Option<Instant>, Stamped<Coupon>>>,
    terms: BTreeMap<OfferRef, BTreeMap<(PartnerScope, Instant), Stamped<TermsVersion>>>,
    fx_rates: BTreeMap<(Currency, Currency, Instant), Stamped<FxRate>>,
    mappings: BTreeMap<OfferRef, Stamped<Option<Arc<Rules>>>>,
    endpoints: BTreeMap<(Slug, Option<OfferRef>), Stamped<Endpoint>>,
    derivation: Option<Stamped<u32>>,
}

/// The most that a `payout` parameter may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayoutLimit {
    /// No rule of the offer looks at the parameter.
    NoRule,
    /// A rule takes it, whatever it is.
    Unlimited,
    /// At most this, in major units of the conversion's currency.
    AtMost(Exact),
}

impl Directory {
    /// The position up to which facts are folded in.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The version of the derivation that is in force.
    pub fn derivation(&self) -> u32 {
        self.derivation.as_ref().map_or(1, |stamped| stamped.value)
    }

    /// A brand.
    pub fn brand(&self, slug: &str) -> Option<&Brand> {
        self.brands.get(slug).map(|stamped| &stamped.value)
    }

    /// An offer by its written form `brand/offer`.
    pub fn offer(&self, reference: &str) -> Option<&Arc<Offer>> {
        self.offers.get(reference).map(|stamped| &stamped.value)
    }

    /// An offer by its written form, and its reference.
    pub fn named_offer(&self, reference: &str) -> Option<(&OfferRef, &Arc<Offer>)> {
        let (reference, stamped) = self.offers.get_key_value(reference)?;
        Some((reference, &stamped.value))
    }

    /// A partner.
    pub fn partner(&self, slug: &str) -> Option<&Partner> {
        self.partners.get(slug).map(|stamped| &stamped.value)
    }

    /// A link by its slug.
    pub fn link(&self, slug: &str) -> Option<&Arc<LinkEntry>> {
        self.links.get(slug).map(|stamped| &stamped.value)
    }

    /// The link that was defined at a position, also if it has been defined anew since.
    pub fn link_at(&self, position: u64) -> Option<&Arc<LinkEntry>> {
        self.links_by_position.get(&position)
    }

    /// All links ever defined, by position.
    pub fn links_by_position(&self) -> &HashMap<u64, Arc<LinkEntry>> {
        &self.links_by_position
    }

    /// Whether a coupon of the offer was in force at an instant.
    pub fn coupon(&self, offer: &OfferRef, code: &str, at: Instant) -> Option<&Coupon> {
        let assignments = self.coupons.get(&(code.to_lowercase(), offer.clone()))?;
        let (_, newest) = assignments.range(..=Some(at)).next_back()?;
        Some(&newest.value)
    }

    /// The offers that know a coupon code.
    pub fn offers_of_coupon(&self, code: &str) -> impl Iterator<Item = &OfferRef> {
        let code = code.to_lowercase();
        self.coupons
            .keys()
            .filter(move |(own, _)| *own == code)
            .map(|(_, offer)| offer)
    }

    /// The most that a `payout` parameter of this kind may say at an instant: the largest that any
    /// terms in force then allow, for whichever partner.
    pub fn payout_limit(&self, offer: &OfferRef, kind: &Kind, at: Instant) -> PayoutLimit {
        let mut in_force: BTreeMap<&PartnerScope, &TermsVersion> = BTreeMap::new();
        for ((scope, from), version) in self.terms.get(offer).into_iter().flatten() {
            if *from <= at {
                in_force.insert(scope, &version.value);
            }
        }
        let rules = in_force.values().flat_map(|version| &version.terms.rules);
        let taking = rules.filter(|rule| rule.param == Some(true) && rule.on.0 == *kind);
        taking.fold(PayoutLimit::NoRule, |limit, rule| match (limit, rule.max) {
            (PayoutLimit::Unlimited, _) | (_, None) => PayoutLimit::Unlimited,
            (PayoutLimit::NoRule, Some(max)) => PayoutLimit::AtMost(max),
            (PayoutLimit::AtMost(other), Some(max)) => PayoutLimit::AtMost(other.max(max)),
        })
    }

    /// All brands.
    pub fn brands(&self) -> impl Iterator<Item = &Brand> {
        self.brands.values().map(|stamped| &stamped.value)
    }

    /// All offers.
    pub fn offers(&self) -> impl Iterator<Item = &Arc<Offer>> {
        self.offers.values().map(|stamped| &stamped.value)
    }

    /// All partners.
    pub fn partners(&self) -> impl Iterator<Item = &Partner> {
        self.partners.values().map(|stamped| &stamped.value)
    }

    /// All links, as defined last.
    pub fn links(&self) -> impl Iterator<Item = &Arc<LinkEntry>> {
        self.links.values().map(|stamped| &stamped.value)
    }

    /// All assignments of coupons.
    pub fn coupons(&self) -> impl Iterator<Item = &Coupon> {
        let assignments = self.coupons.values().flat_map(BTreeMap::values);
        assignments.map(|stamped| &stamped.value)
    }

    /// All versions of terms that hold: the newest of each offer, scope and effective time.
    pub fn terms(&self) -> impl Iterator<Item = &TermsVersion> {
        let versions = self.terms.values().flat_map(BTreeMap::values);
        versions.map(|stamped| &stamped.value)
    }

    /// All exchange rates.
    pub fn fx_rates(&self) -> impl Iterator<Item = &FxRate> {
        self.fx_rates.values().map(|stamped| &stamped.value)
    }

    /// The mapping of an offer, as intake applies it.
    pub fn mapping(&self, offer: &str) -> Option<&Arc<Rules>> {
        self.mappings.get(offer)?.value.as_ref()
    }

    /// All endpoints of partners.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values().map(|stamped| &stamped.value)
    }
}
