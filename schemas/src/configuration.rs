//! The programme: brands, offers, partners, links, coupons, rates and endpoints as facts.

use std::num::NonZeroU32;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Currency, Exact, Instant, OfferRef, Slug,
    bank::{Bank, RecoveryLimit},
    terms::Terms,
    traffic::Device,
};

/// Data of `brand.defined`: an advertiser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Brand {
    /// Its name in addresses.
    pub slug: Slug,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The currency of its offers unless they say otherwise.
    #[serde(default = "usd")]
    pub currency: Currency,
    /// The account that payouts are made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank: Option<Bank>,
}

/// Data of `offer.defined`: one programme of a brand.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of a configuration file"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The brand.
    pub brand: Slug,
    /// Its name in addresses.
    pub slug: Slug,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The currency of postbacks that name none.
    #[serde(default = "usd")]
    pub currency: Currency,
    /// Where visitors are sent; may carry macros.
    pub destination: String,
    /// The parameter that hands on the click id.
    #[serde(default = "cid")]
    pub click_param: String,
    /// How long a click can be credited.
    #[serde(default = "days_30")]
    pub click_window_days: u32,
    /// How long after it a click is still accepted.
    #[serde(default = "days_90")]
    pub retention_days: u32,
    /// The candidates of attribution, in order.
    #[serde(default = "default_candidates")]
    pub attribution: Vec<Candidate>,
    /// Whether all its postbacks are tests.
    #[serde(default)]
    pub sandbox: bool,
    /// Whether plain HTTP is refused.
    #[serde(default)]
    pub require_https: bool,
    /// From where postbacks may come; from anywhere if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub allow_addresses: Vec<IpNet>,
    /// How many postbacks one address may send; any number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Whether every postback must be signed.
    #[serde(default)]
    pub require_signature: bool,
    /// How far a signed timestamp may be from now, in either direction.
    #[serde(default = "seconds_300")]
    pub signature_tolerance_seconds: u32,
    /// Whether postbacks without a secret are accepted while the offer has none (deprecated).
    #[serde(default)]
    pub legacy_without_secret: bool,
    /// The event of postbacks that name none.
    #[serde(default = "sale")]
    pub default_event: String,
    /// Goals beyond the built-in kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<String>,
    /// For partners without one of their own: payouts to all partners leave out whoever has less coming, in major units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout_threshold: Option<Exact>,
    /// For partners without one of their own: how much of what is owed one payout recovers; all of it if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_limit: Option<RecoveryLimit>,
    /// Rules that choose another destination; the first match holds.
    #[serde(default, rename = "route", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

impl Offer {
    /// The offer's reference.
    pub fn reference(&self) -> OfferRef {
        OfferRef::new(&self.brand, &self.slug)
    }
}

/// How many requests one address may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// So many a second in the long run, at least 1.
    pub per_second: NonZeroU32,
    /// So many at once, at least 1; those of one second if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
}

/// What can attribute a conversion.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Candidate {
    /// The click whose id came back.
    ClickId,
    /// The partner to whom the coupon belongs.
    CouponCode,
    /// The partner to whom the customer is bound.
    CustomerId,
}

impl Candidate {
    /// The word used in facts and answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ClickId => "click_id",
            Self::CouponCode => "coupon_code",
            Self::CustomerId => "customer_id",
        }
    }
}

/// A routing rule of an offer: all conditions that are given must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Where matching visitors are sent.
    pub destination: String,
    /// From one of these countries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub country: Vec<String>,
    /// On one of these devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device: Vec<Device>,
    /// From this instant.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::programme::instant_option"
    )]
    pub from: Option<Instant>,
    /// Before this instant.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::programme::instant_option"
    )]
    pub until: Option<Instant>,
    /// This part of the visitors, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
}

/// Data of `partner.defined`: the affiliate who is credited and paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partner {
    /// Its name in addresses.
    pub slug: Slug,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the partner is paid in.
    #[serde(default = "usd")]
    pub currency: Currency,
    /// The partner above, who may earn overrides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Slug>,
    /// Payouts to all partners leave out whoever has less coming, in major units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout_threshold: Option<Exact>,
    /// How much of what is owed one payout recovers; all of it if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_limit: Option<RecoveryLimit>,
    /// The account that payouts are made to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank: Option<Bank>,
    /// Adjustments and write-offs that bring what one person posted alone within 24 hours to more than
    /// this, in major units, take a second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_person_above: Option<Exact>,
}

/// Data of `link.defined`: a short slug of one offer and one partner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The path of the short link.
    pub slug: Slug,
    /// The offer.
    pub offer: OfferRef,
    /// The partner.
    pub partner: Slug,
    /// The campaign that answers name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Another destination than the offer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
}

/// Data of `coupon.defined`: whoever uses it is credited to its partner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coupon {
    /// The code; upper and lower case do not matter.
    pub code: String,
    /// The offer.
    pub offer: OfferRef,
    /// The partner.
    pub partner: Slug,
    /// From when, in event time; for ever if absent, which corrects earlier assignments.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::programme::instant_option"
    )]
    pub effective_from: Option<Instant>,
}

/// Data of `fx_rate.recorded`: one unit of `base` is `rate` units of `quote`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FxRate {
    /// The currency that is converted.
    pub base: Currency,
    /// The currency it becomes.
    pub quote: Currency,
    /// How many units of `quote` one unit of `base` is.
    pub rate: Exact,
    /// From when it holds.
    #[serde(deserialize_with = "crate::programme::instant")]
    pub at: Instant,
    /// Who published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Data of `terms.published`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TermsPublished {
    /// Names this version: `t-` and the first twelve hexadecimal digits of the SHA-256 of the terms
    /// as JSON.
    pub version: String,
    /// The terms.
    pub terms: Terms,
}

/// Data of `endpoint.defined`: where a partner wants to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// The partner.
    pub partner: Slug,
    /// For one offer; for all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferRef>,
    /// The URL, with macros.
    pub url: String,
}

/// What a credential is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// An API token.
    Token,
    /// An offer's postback secret.
    OfferSecret,
    /// A secret of the sender's that only checks signatures.
    SigningSecret,
    /// The sender's public key, which only checks signatures.
    PublicKey,
}

/// Data of `credential.rotated`. The secret itself lives outside the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CredentialRotated {
    /// What it is for.
    pub credential: CredentialKind,
    /// The id by which facts name it.
    pub key_id: String,
    /// The offer it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferRef>,
    /// The partner it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<Slug>,
    /// The role of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The name of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Until when the one before stays valid; not at all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_valid_until: Option<Instant>,
    /// When it was revoked, if that is what happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Instant>,
}

fn usd() -> Currency {
    Currency::USD
}

fn cid() -> String {
    "cid".to_owned()
}

fn days_30() -> u32 {
    30
}

fn days_90() -> u32 {
    90
}

fn seconds_300() -> u32 {
    300
}

fn sale() -> String {
    "sale".to_owned()
}

fn default_candidates() -> Vec<Candidate> {
    vec![
        Candidate::ClickId,
        Candidate::CouponCode,
        Candidate::CustomerId,
    ]
}
