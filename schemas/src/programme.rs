//! Programme files: what `postbook apply` reads (SPEC 18).

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Instant,
    configuration::{Brand, Coupon, FxRate, Link, Offer, Partner},
    mapping::Mapping,
    terms::Terms,
};

/// A programme file. Everything is optional; files may build on each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Programme {
    /// Advertisers.
    #[serde(default, rename = "brand", skip_serializing_if = "Vec::is_empty")]
    pub brands: Vec<Brand>,
    /// Their programmes.
    #[serde(default, rename = "offer", skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<Offer>,
    /// Affiliates.
    #[serde(default, rename = "partner", skip_serializing_if = "Vec::is_empty")]
    pub partners: Vec<Partner>,
    /// Short links.
    #[serde(default, rename = "link", skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Coupons.
    #[serde(default, rename = "coupon", skip_serializing_if = "Vec::is_empty")]
    pub coupons: Vec<Coupon>,
    /// How the senders of offers name and write things.
    #[serde(default, rename = "mapping", skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<Mapping>,
    /// Exchange rates.
    #[serde(default, rename = "fx_rate", skip_serializing_if = "Vec::is_empty")]
    pub fx_rates: Vec<FxRate>,
    /// Commercial rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<Terms>,
}

impl Programme {
    /// A programme file.
    ///
    /// # Errors
    /// The text is not TOML of this form; the error says line and column.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// The name of a version of terms: `t-` and the first twelve hexadecimal digits of the SHA-256 of
/// the terms as JSON.
///
/// # Panics
/// Never: terms can be written as JSON.
pub fn terms_version(terms: &Terms) -> String {
    let json = serde_json::to_vec(terms).expect("terms hold texts, numbers and lists");
    let digest = hex::encode(Sha256::digest(json));
    format!("t-{}", digest.get(..12).unwrap_or(&digest))
}

/// An instant in a TOML file (a date-time with an offset) or in JSON (a text).
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenInstant {
    Text(String),
    Toml(toml::value::Datetime),
}

impl WrittenInstant {
    fn read<E: serde::de::Error>(self) -> Result<Instant, E> {
        let text = match self {
            Self::Text(text) => text,
            Self::Toml(datetime) => datetime.to_string(),
        };
        Instant::parse_rfc3339(&text).ok_or_else(|| {
            E::custom(format!(
                "`{text}` is not a time with an offset, as 2026-01-01T00:00:00Z"
            ))
        })
    }
}

pub(crate) fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
    WrittenInstant::deserialize(deserializer)?.read()
}

pub(crate) fn instant_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Instant>, D::Error> {
    Option::<WrittenInstant>::deserialize(deserializer)?
        .map(WrittenInstant::read)
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::{Approval, OnRefund, PartnerScope, TierMode};

    /// The example of SPEC 18, word for word where it matters.
    const EXAMPLE: &str = r#"
        [[brand]]
        slug = "acme"
        currency = "USD"

        [[offer]]
        brand = "acme"
        slug = "casino"
        currency = "USD"
        destination = "https://acme.example/landing"
        click_param = "cid"
        click_window_days = 30
        retention_days = 90
        attribution = ["click_id", "coupon_code", "customer_id"]
        sandbox = false
        require_https = false
        allow_addresses = ["127.0.0.0/8"]
        require_signature = false
        default_event = "sale"
        goals = ["vip_upgrade"]

        [[partner]]
        slug = "p1"
        currency = "USD"
        parent = "p0"

        [[link]]
        slug = "abc"
        offer = "acme/casino"
        partner = "p1"
        campaign = "spring-sale"

        [[coupon]]
        code = "PARTNER20"
        offer = "acme/casino"
        partner = "p1"

        [[fx_rate]]
        base = "EUR"
        quote = "USD"
        rate = "1.0842"
        at = 2026-01-01T00:00:00Z

        [[terms]]
        offer = "acme/casino"
        partner = "*"
        effective_from = 2026-01-01T00:00:00Z
        time_zone = "UTC"

        [[terms.rule]]
        id = "ftd-cpa"
        on = "ftd"
        cpa = "250.00"
        currency = "USD"
        group = "first-deposit"
        hold_days = 14
        approval = "after 7 days"
        when = { amount_at_least = "20.00", country = ["DE"], within_days_of_registration = 30, requires = ["kyc"] }
        cap = { count = 100, per = "month" }
        tiers = { by = "count", per = "month", mode = "all", steps = [{ from = 3, cpa = "275.00" }, { from = 5, cpa = "300.00" }] }
        on_refund = "full_if_total"
        on_chargeback = "full"
        clawback_days = 90
    "#;

    #[test]
    fn the_example_of_the_specification_is_read() {
        let programme = Programme::parse(EXAMPLE).expect("the example is a programme");
        let terms = programme.terms.first().expect("one terms");
        let rule = terms.rules.first().expect("one rule");
        assert_eq!(terms.partner, PartnerScope::All);
        assert_eq!(rule.approval, Approval::AfterDays(7));
        assert_eq!(rule.on_refund, Some(OnRefund::FullIfTotal));
        assert_eq!(
            rule.tiers.as_ref().map(|tiers| tiers.mode),
            Some(TierMode::All)
        );
        assert_eq!(
            terms.effective_from.to_string(),
            "2026-01-01T00:00:00.000000Z"
        );
    }

    #[test]
    fn what_is_written_as_json_is_read_again() {
        let programme = Programme::parse(EXAMPLE).expect("the example is a programme");
        let json = serde_json::to_string(&programme).expect("it can be written");
        let again: Programme = serde_json::from_str(&json).expect("it can be read");
        assert_eq!(again, programme);
    }

    #[test]
    fn a_misspelt_key_is_an_error_that_names_it() {
        let error =
            Programme::parse("[[brand]]\nslug = \"a\"\ncurency = \"USD\"").expect_err("typo");
        assert!(error.to_string().contains("curency"), "{error}");
    }
}
