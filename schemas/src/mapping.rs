//! Mappings: how the sender of an offer's postbacks names and writes things.

pub mod presets;

use std::{borrow::Cow, collections::BTreeMap};

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{OfferRef, Status};

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $code:literal;)+) => {
        /// A field of a postback that a mapping can name.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        pub enum Field {
            $($(#[$doc])* #[serde(rename = $code)] $variant,)+
        }

        impl Field {
            /// All fields.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The field's own name.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }
        }
    };
}

fields! {
    /// The click id that was handed on.
    ClickId = "click_id";
    /// The kind of event.
    Event = "event";
    /// Money, in major units unless `amount_unit` says otherwise.
    Amount = "amount";
    /// Money, in minor units unless `amount_unit` says otherwise.
    Value = "value";
    /// The currency of the money.
    Currency = "currency";
    /// The advertiser's id of the transaction.
    TxnId = "txn_id";
    /// The advertiser's id of this very event.
    EventId = "event_id";
    /// The advertiser's id of the customer.
    CustomerId = "customer_id";
    /// The status of the conversion.
    Status = "status";
    /// Commission that the advertiser calculated.
    Payout = "payout";
    /// Lots or units.
    Quantity = "quantity";
    /// The coupon that was used.
    CouponCode = "coupon_code";
    /// Passed through.
    Sub1 = "sub1";
    /// Passed through.
    Sub2 = "sub2";
    /// Passed through.
    Sub3 = "sub3";
    /// Passed through.
    Sub4 = "sub4";
    /// Passed through.
    Sub5 = "sub5";
    /// When it happened.
    Timestamp = "timestamp";
    /// The offer's secret.
    Secret = "secret";
    /// The signature, of queries.
    Signature = "signature";
    /// Whether it is a test.
    Test = "test";
}

impl Field {
    /// Whether a mapping may give it a value where the sender gives none. What tells one postback
    /// from another, or lets it in, must come with it.
    pub const fn may_have_default(self) -> bool {
        !matches!(
            self,
            Self::ClickId
                | Self::TxnId
                | Self::EventId
                | Self::CustomerId
                | Self::CouponCode
                | Self::Timestamp
                | Self::Secret
                | Self::Signature
                | Self::Test
        )
    }
}

/// Data of `mapping.defined`, and `[[mapping]]` of programme files. The newest of an offer holds,
/// whole: one with nothing in it takes the mapping away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The offer.
    pub offer: OfferRef,
    /// The convention it builds on. What that says is written into the fact when the programme is
    /// applied, so that a later release of it changes nothing by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Field to the parameters that may carry it, in order of preference: the first that is given
    /// counts. A path as `data.order.id` leads into nested JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<Field, Parameters>,
    /// The unit of `amount`, `value` and `payout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_unit: Option<AmountUnit>,
    /// What stands before the decimals of money and quantities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal_separator: Option<DecimalSeparator>,
    /// The sender's words for events. Built-in words and goals need no entry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, String>,
    /// The sender's words for statuses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub statuses: BTreeMap<String, Status>,
    /// How times are written: `unix`, `unix_ms`, `rfc3339`, or a pattern as `%d.%m.%Y %H:%M`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_format: Option<String>,
    /// The time zone of times that name none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time_zone_option"
    )]
    #[schemars(with = "Option<String>")]
    pub time_zone: Option<Tz>,
    /// Values of fields that the sender leaves out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub defaults: BTreeMap<Field, String>,
    /// Whether a report that repeats another with another status changes the conversion's status:
    /// so senders write who know one message only. Otherwise it is a `duplicate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_changes_status: Option<bool>,
}

/// The unit of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AmountUnit {
    /// `49.90`.
    Major,
    /// `4990`.
    Minor,
}

/// What stands before decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DecimalSeparator {
    /// `49.90`.
    #[serde(rename = ".")]
    Point,
    /// `49,90`.
    #[serde(rename = ",")]
    Comma,
}

/// Names of parameters, in order of preference; one may be written without a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(with = "OneOrMany")]
pub struct Parameters(pub Vec<String>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = OneOrMany::deserialize(deserializer)
            .map_err(|_| serde::de::Error::custom("write a parameter's name, or a list of them"))?;
        Ok(match read {
            OneOrMany::One(name) => Self(vec![name]),
            OneOrMany::Many(names) => Self(names),
        })
    }
}

impl Mapping {
    /// A mapping of an offer with nothing in it.
    pub const fn none(offer: OfferRef) -> Self {
        Self {
            offer,
            preset: None,
            fields: BTreeMap::new(),
            amount_unit: None,
            decimal_separator: None,
            events: BTreeMap::new(),
            statuses: BTreeMap::new(),
            timestamp_format: None,
            time_zone: None,
            defaults: BTreeMap::new(),
            repeat_changes_status: None,
        }
    }

    /// Whether it says nothing, so that the offer has no mapping.
    pub fn is_none(&self) -> bool {
        *self == Self::none(self.offer.clone())
    }

    /// This mapping with what its preset says where it says nothing itself: fields, words and
    /// defaults one by one. Doing it again changes nothing. An unknown preset is left alone.
    #[must_use]
    pub fn with_preset(mut self) -> Self {
        let Some(base) = self.preset.as_deref().and_then(presets::find) else {
            return self;
        };
        let mut base = base.mapping();
        // A parameter that the mapping gives to a field is not the preset's to give to another.
        let own = |field: Field, name: &String| {
            let mut others = self.fields.iter();
            others.any(|(other, names)| !may_share(field, *other) && names.0.contains(name))
        };
        for (field, names) in &mut base.fields {
            names.0.retain(|name| !own(*field, name));
        }
        fill(&mut self.fields, base.fields);
        fill(&mut self.events, base.events);
        fill(&mut self.statuses, base.statuses);
        fill(&mut self.defaults, base.defaults);
        self.amount_unit = self.amount_unit.or(base.amount_unit);
        self.decimal_separator = self.decimal_separator.or(base.decimal_separator);
        self.timestamp_format = self.timestamp_format.or(base.timestamp_format);
        self.time_zone = self.time_zone.or(base.time_zone);
        self.repeat_changes_status = self.repeat_changes_status.or(base.repeat_changes_status);
        self
    }
}

/// Whether one parameter may fill both fields: some senders say what happened and how it stands in
/// one word.
pub fn may_share(one: Field, other: Field) -> bool {
    matches!(
        (one, other),
        (Field::Event, Field::Status) | (Field::Status, Field::Event)
    )
}

fn fill<K: Ord, V>(own: &mut BTreeMap<K, V>, base: BTreeMap<K, V>) {
    for (key, value) in base {
        own.entry(key).or_insert(value);
    }
}

/// Time zones as IANA names.
mod time_zone_option {
    use super::{Cow, Deserialize, Deserializer, Tz};

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that serde asks for"
    )]
    pub(super) fn serialize<S: serde::Serializer>(
        zone: &Option<Tz>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match zone {
            Some(zone) => serializer.serialize_str(zone.name()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Tz>, D::Error> {
        let name = Cow::<'_, str>::deserialize(deserializer)?;
        name.parse().map(Some).map_err(|_| {
            serde::de::Error::custom(format!(
                "`{name}` is not a time zone: write an IANA name, as Europe/Berlin"
            ))
        })
    }
}
