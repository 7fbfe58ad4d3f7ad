//! What postbacks become: reports, changes, abuse, and attempts that are none of these.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Abuse, Attempt, Change, Currency, Exact, FactId, Kind, OfferRef, Outcome, Status};

/// What a postback refers to: any of these may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct References {
    /// The advertiser's id of the transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn_id: Option<String>,
    /// The advertiser's id of this very event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The click id that was handed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click_id: Option<String>,
    /// The advertiser's id of the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The coupon that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
}

/// Data of the five facts that report a conversion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// `accepted` or `sandbox`.
    pub outcome: Outcome,
    /// The offer.
    pub offer: OfferRef,
    /// The kind of conversion.
    pub kind: Kind,
    /// The event word as received; absent where the offer's default held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// What it refers to.
    #[serde(flatten)]
    pub references: References,
    /// Amount in minor units of `currency`; may be negative for revenue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<i64>,
    /// The currency of the amounts.
    pub currency: Currency,
    /// Commission that the advertiser calculated, in minor units of `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout_minor: Option<i64>,
    /// Lots or units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Exact>,
    /// The status that came with the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// `sub1` to `sub5` as received.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subs: BTreeMap<String, String>,
    /// `metadata.*` as received.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// What makes it unique (SPEC 3.4); absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    /// What the sender was told: whether a click, coupon or customer attributed it on arrival.
    pub matched: bool,
    /// The attempt.
    pub attempt: Attempt,
}

/// Data of `refund.reported`, `chargeback.reported`, `chargeback.won` and `status.changed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeReport {
    /// `accepted`, `parked` or `sandbox`.
    pub outcome: Outcome,
    /// The offer.
    pub offer: OfferRef,
    /// What changed.
    pub change: Change,
    /// The conversion it changes: by `txn_id`, else by click or customer.
    #[serde(flatten)]
    pub references: References,
    /// How much, in minor units of `currency`, never negative; absent means all that remains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<i64>,
    /// The currency of the amount; absent where no amount was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// The new status, of `status.changed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What makes it unique; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    /// The attempt.
    pub attempt: Attempt,
}

/// Data of `abuse.reported`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AbuseReport {
    /// `accepted` or `sandbox`.
    pub outcome: Outcome,
    /// The offer.
    pub offer: OfferRef,
    /// What the customer did.
    pub abuse: Abuse,
    /// Whom or what it concerns: one transaction by `txn_id`, else a customer or a click.
    #[serde(flatten)]
    pub references: References,
    /// What makes it unique; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    /// The attempt.
    pub attempt: Attempt,
}

/// Data of `postback.rejected`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rejected {
    /// Why.
    pub outcome: Outcome,
    /// What the sender was told.
    pub detail: String,
    /// The field that is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The offer, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferRef>,
    /// What it referred to, as far as it could be read.
    #[serde(flatten)]
    pub references: References,
    /// The attempt.
    pub attempt: Attempt,
}

/// Data of `postback.repeated`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repeated {
    /// `duplicate`.
    pub outcome: Outcome,
    /// The offer.
    pub offer: OfferRef,
    /// The id of the first fact with the same key.
    pub first_id: FactId,
    /// The key that was seen before.
    pub dedupe_key: String,
    /// The fields whose values differ from the first one's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What it referred to.
    #[serde(flatten)]
    pub references: References,
    /// The attempt.
    pub attempt: Attempt,
}

/// One field that differs between a repeat and the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The field.
    pub field: String,
    /// The first one's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The repeat's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<String>,
}
