//! Programme files: what `postbook apply` reads (SPEC 18).

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

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
    /// The text is not TOML of this form.
    pub fn parse(text: &str) -> Result<Self, ProgrammeError> {
        toml::from_str(text).map_err(|error| ProgrammeError::new(text, &error))
    }
}

/// Why a text is not a programme file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ProgrammeError {
    message: String,
    span: Option<Range<usize>>,
}

impl ProgrammeError {
    fn new(text: &str, error: &toml::de::Error) -> Self {
        let span = error.span();
        let mut message = error.message().to_owned();
        // The reader of TOML says only where the key stands, which a line alone may not tell.
        if message == "duplicate key"
            && let Some(key) = span.clone().and_then(|span| text.get(span))
        {
            message = format!("duplicate key `{}`", key.trim_matches(['"', '\'']));
        }
        Self { message, span }
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it stands in the text, in bytes.
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
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
    use serde_json::Value;

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

    #[test]
    fn a_repeated_key_is_named_where_it_stands_again() {
        for (text, key) in [
            ("[[brand]]\nslug = 'a'\nslug = 'b'", "slug"),
            ("[[brand]]\nslug = 'a'\n\"slug\" = 'b'", "slug"),
            ("x = { a = 1, a = 2 }", "a"),
            ("[a]\n[b]\n[a]", "a"),
        ] {
            let error = Programme::parse(text).expect_err("a repeated key");
            assert_eq!(error.message(), format!("duplicate key `{key}`"));
            let again = error.span().and_then(|span| text.get(..span.start));
            assert!(again.is_some_and(|before| before.contains(key)), "{text}");
        }
    }

    /// Whether a schema allows a value; patterns, formats and bounds are not looked at.
    fn allows(root: &Value, schema: &Value, value: &Value) -> bool {
        let referred = schema.get("$ref").and_then(Value::as_str);
        let is_as_referred = referred.is_none_or(|path| {
            let referred = root.pointer(path.trim_start_matches('#'));
            referred.is_some_and(|referred| allows(root, referred, value))
        });
        let is_of_type = schema.get("type").is_none_or(|types| {
            let several = types.as_array().map(Vec::as_slice);
            let types = several.unwrap_or(std::slice::from_ref(types));
            types.iter().any(|one| is_of_type(one, value))
        });
        let is_one_of = ["anyOf", "oneOf"].iter().all(|key| {
            let ways = schema.get(key).and_then(Value::as_array);
            ways.is_none_or(|ways| ways.iter().any(|way| allows(root, way, value)))
        });
        let is_constant = schema.get("const").is_none_or(|constant| constant == value);
        let required = schema.get("required").and_then(Value::as_array);
        let is_complete = required.into_iter().flatten().all(|name| {
            let name = name.as_str().unwrap_or_default();
            !value.is_object() || value.get(name).is_some()
        });
        let mut fields = value.as_object().into_iter().flatten();
        let are_fields = fields.all(|(name, field)| {
            let known = schema.get("properties").and_then(|all| all.get(name));
            known.map_or(
                schema.get("additionalProperties") != Some(&Value::Bool(false)),
                |known| allows(root, known, field),
            )
        });
        let mut items = value.as_array().into_iter().flatten();
        let are_items = items.all(|item| {
            let known = schema.get("items");
            known.is_none_or(|known| allows(root, known, item))
        });
        is_as_referred
            && is_of_type
            && is_one_of
            && is_constant
            && is_complete
            && are_fields
            && are_items
    }

    fn is_of_type(name: &Value, value: &Value) -> bool {
        match name.as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("boolean") => value.is_boolean(),
            Some("null") => value.is_null(),
            other => unreachable!("no value of our schemas is {other:?}"),
        }
    }

    /// Whether the schema of programme files allows a text of TOML.
    fn is_allowed(text: &str) -> bool {
        let schema = crate::json_schema::programme_schema();
        // To a schema a time is a text, as editors hand it over too.
        let at = "2026-01-01T00:00:00Z";
        let text = text.replace(at, &format!("\"{at}\""));
        let value: Value = toml::from_str(&text).expect("it is TOML");
        allows(&schema, &schema, &value)
    }

    #[test]
    fn the_schema_allows_what_is_read_and_nothing_else() {
        assert!(is_allowed(EXAMPLE));
        for (written, other, is_read) in [
            ("cpa = \"250.00\"", "cpa = 250", true),
            ("cpa = \"250.00\"", "cpa = 250.5", false),
            ("from = 3", "from = \"3\"", true),
            ("from = 3", "from = 2.5", false),
            ("from = 3", "form = 3", false),
            ("count = 100", "count = \"100\"", false),
            ("mode = \"all\"", "mode = \"some\"", false),
        ] {
            let text = EXAMPLE.replace(written, other);
            assert_ne!(text, EXAMPLE, "{written}");
            assert_eq!(Programme::parse(&text).is_ok(), is_read, "{other}");
            assert_eq!(is_allowed(&text), is_read, "{other}");
        }
    }
}
