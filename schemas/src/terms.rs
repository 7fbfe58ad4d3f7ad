//! Terms: a version of the commercial rules of an offer, as written in TOML and kept in the log.

mod total;

use std::{borrow::Cow, fmt};

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use total::{Measure, Total, Totals};

use crate::{Currency, Exact, Instant, Kind, OfferRef, Rate, Slug, traffic::Device};

/// Terms of an offer for all partners or one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The offer.
    pub offer: OfferRef,
    /// `*` for all partners, or one partner's slug.
    #[serde(default)]
    pub partner: PartnerScope,
    /// From when they hold, in event time.
    #[serde(deserialize_with = "crate::programme::instant")]
    pub effective_from: Instant,
    /// Whose months and days are meant.
    #[serde(default = "utc", with = "time_zone")]
    #[schemars(with = "String")]
    pub time_zone: Tz,
    /// What becomes of a month that ends below zero.
    #[serde(default, skip_serializing_if = "Carryover::is_carry")]
    pub carryover: Carryover,
    /// Whose month it is.
    #[serde(default, skip_serializing_if = "Fence::is_partner")]
    pub fence: Fence,
    /// With `carryover = "reset"`: whoever loses at least this much in a month that is below zero in all is
    /// a high roller, against whom it is carried; in major units of the partner's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_roller_from: Option<Exact>,
    /// The rules, in order.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
    /// What the advertiser owes for conversions that are credited to a partner, as rules.
    #[serde(default, rename = "price", skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<Rule>,
}

/// What becomes of a month that ends below zero.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Carryover {
    /// It is carried into the months after it.
    #[default]
    Carry,
    /// It is given up: the next month begins at zero.
    Reset,
}

impl Carryover {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands out references"
    )]
    fn is_carry(&self) -> bool {
        *self == Self::Carry
    }
}

/// Within which fence a month's earnings are summed: what is below zero in one fence takes nothing
/// from another.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Fence {
    /// All that the partner earns under terms of the same carryover.
    #[default]
    Partner,
    /// The partner's earnings at this offer.
    Offer,
    /// The partner's earnings with each customer at this offer.
    Customer,
}

impl Fence {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands out references"
    )]
    fn is_partner(&self) -> bool {
        *self == Self::Partner
    }
}

/// For whom terms hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub enum PartnerScope {
    /// All partners who have no terms of their own.
    #[default]
    All,
    /// One partner.
    One(Slug),
}

impl fmt::Display for PartnerScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::One(partner) => f.write_str(partner.as_str()),
        }
    }
}

impl Serialize for PartnerScope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PartnerScope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        if text == "*" {
            return Ok(Self::All);
        }
        Slug::try_new(&text)
            .map(Self::One)
            .map_err(serde::de::Error::custom)
    }
}

/// One rule: what a matching conversion earns. Exactly one of `cpa`, `revshare`, `per_unit`,
/// `param` and `override` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The rule's name, unique within its terms.
    pub id: String,
    /// The kind of conversion it prices.
    pub on: OnKind,
    /// A fixed amount, in major units of `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpa: Option<Exact>,
    /// A share of the conversion's net amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revshare: Option<Rate>,
    /// An amount for each lot or unit, in major units of `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_unit: Option<Exact>,
    /// The postback's `payout` parameter, up to `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<bool>,
    /// A share of the earnings of the partners below.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub override_rate: Option<Rate>,
    /// Of an override: how many levels below those partners are; all levels if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// Of a `cpa`: the customer's `revshare` must first exceed it, and pays only what is above.
    #[serde(default, skip_serializing_if = "is_false")]
    pub advance: bool,
    /// The largest `payout` parameter, in major units of the conversion's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Exact>,
    /// The currency of `cpa`, `per_unit` and `chargeback_fee`; the offer's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Rules of one group are alternatives: the first that matches is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Days after approval before the earning is payable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_days: Option<u32>,
    /// What approves a conversion that has no status.
    #[serde(default)]
    pub approval: Approval,
    /// What must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// How much it may give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Cap>,
    /// Steps that change the price with volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Tiers>,
    /// What a refund takes; `proportional` for `revshare`, else `full_if_total`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_refund: Option<OnRefund>,
    /// What a chargeback takes; `full` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_chargeback: Option<OnChargeback>,
    /// A fee that a chargeback costs besides, in major units of `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chargeback_fee: Option<Exact>,
    /// What abuse by the customer takes.
    #[serde(default)]
    pub on_abuse: OnAbuse,
    /// Changes that happen later than this many days after the conversion have no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clawback_days: Option<u32>,
}

/// The kind that a rule prices; synonyms are understood.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct OnKind(pub Kind);

impl Default for OnKind {
    fn default() -> Self {
        Self(Kind::Sale)
    }
}

impl Serialize for OnKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OnKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Kind::deserialize(deserializer).map(Self)
    }
}

/// What approves a conversion that has no status: `auto`, `manual`, `status` or `after N days`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub enum Approval {
    /// It is approved at once.
    #[default]
    Auto,
    /// A manager approves.
    Manual,
    /// A status from the advertiser approves.
    Status,
    /// It is approved this many days after it occurred.
    AfterDays(u32),
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Manual => f.write_str("manual"),
            Self::Status => f.write_str("status"),
            Self::AfterDays(days) => write!(f, "after {days} days"),
        }
    }
}

impl Serialize for Approval {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Approval {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        match &*text {
            "auto" => return Ok(Self::Auto),
            "manual" => return Ok(Self::Manual),
            "status" => return Ok(Self::Status),
            _ => {}
        }
        let days = text
            .strip_prefix("after ")
            .and_then(|rest| {
                rest.strip_suffix(" days")
                    .or_else(|| rest.strip_suffix(" day"))
            })
            .and_then(|days| days.parse().ok());
        days.map(Self::AfterDays).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is not an approval: write auto, manual, status or after N days"
            ))
        })
    }
}

/// Conditions of a rule; all that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The conversion's amount is at least this, in major units of the offer's currency; an amount
    /// in another is converted, as of when it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_at_least: Option<Exact>,
    /// The click came from one of these countries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub country: Vec<String>,
    /// The click came from one of these devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device: Vec<Device>,
    /// `sub1` is one of these: the report's own, else the click's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub1: Vec<String>,
    /// `sub2` is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub2: Vec<String>,
    /// `sub3` is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub3: Vec<String>,
    /// `sub4` is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub4: Vec<String>,
    /// `sub5` is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub5: Vec<String>,
    /// The customer registered at most this many days before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_days_of_registration: Option<u32>,
    /// The customer has conversions of all these kinds, whenever.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Kind>,
    /// What the customer has done of a kind adds up to something: amounts, conversions or quantities.
    #[serde(default, skip_serializing_if = "Totals::is_empty")]
    pub total_at_least: Totals,
}

impl When {
    /// Whether it asks for any of `sub1` to `sub5`.
    pub fn looks_at_subs(&self) -> bool {
        [&self.sub1, &self.sub2, &self.sub3, &self.sub4, &self.sub5]
            .iter()
            .any(|wanted| !wanted.is_empty())
    }
}

/// A time over which something is counted.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A calendar day of the terms' time zone.
    Day,
    /// A calendar month of the terms' time zone.
    Month,
    /// All time.
    Life,
}

/// How much a rule may give to one partner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// At most this many conversions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// At most this much, in major units of the partner's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Exact>,
    /// Over which time.
    pub per: Period,
}

/// Steps that change the price of a rule with volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tiers {
    /// What is counted.
    pub by: TierBy,
    /// Over which time.
    pub per: Period,
    /// Whether reaching a step reprices what came before it.
    pub mode: TierMode,
    /// The steps, rising.
    pub steps: Vec<TierStep>,
}

/// What tiers count.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TierBy {
    /// Conversions that the rule prices.
    Count,
    /// Their amounts, in major units of the offer's currency.
    Amount,
}

/// Whether reaching a step reprices what came before it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TierMode {
    /// All of the period is repriced.
    All,
    /// Only what lies above the step.
    Above,
}

/// One step: from this volume on, this price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierStep {
    /// From this count, or this amount in major units.
    pub from: Exact,
    /// The fixed amount, of a `cpa` rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpa: Option<Exact>,
    /// The share, of a `revshare` rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revshare: Option<Rate>,
    /// The amount per unit, of a `per_unit` rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_unit: Option<Exact>,
}

/// What a refund takes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnRefund {
    /// The same part of the earning as of the amount.
    Proportional,
    /// All of the earning once all of the amount is refunded, else nothing.
    FullIfTotal,
    /// All of the earning at the first refund.
    Full,
    /// Nothing.
    Keep,
}

/// What a chargeback takes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnChargeback {
    /// All of the earning.
    Full,
    /// The same part of the earning as of the amount.
    Proportional,
    /// Nothing.
    Keep,
}

/// What abuse by the customer takes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnAbuse {
    /// All of the earning.
    #[default]
    Full,
    /// Nothing.
    Keep,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn utc() -> Tz {
    Tz::UTC
}

/// Time zones as IANA names.
mod time_zone {
    use std::borrow::Cow;

    use chrono_tz::Tz;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands out references"
    )]
    pub(super) fn serialize<S: Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(zone.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
        let name = Cow::<'_, str>::deserialize(deserializer)?;
        name.parse()
            .map_err(|_| serde::de::Error::custom(format!("`{name}` is not a time zone")))
    }
}
