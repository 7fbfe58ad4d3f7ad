//! What a refused attempt should have said, beside what it said.

use std::collections::BTreeMap;

use postbook_schemas::{
    Currency, Kind, Outcome, RawRequest, configuration::Offer, postback::Rejected,
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::intake::{
    fields::{Name, pairs},
    request::BODY_BYTES_MAX,
};

/// Longest value that is shown, in characters; the whole one is in the request.
const RECEIVED_LENGTH_MAX: usize = 200;

/// What other trackers call our fields. Whoever sends one of these has not set up a mapping.
const ALIASES: &[(&str, Name)] = &[
    ("cid", Name::ClickId),
    ("clickid", Name::ClickId),
    ("click", Name::ClickId),
    ("subid", Name::ClickId),
    ("sub_id", Name::ClickId),
    ("aff_sub", Name::ClickId),
    ("externalid", Name::ClickId),
    ("external_id", Name::ClickId),
    ("transaction_id", Name::TxnId),
    ("transactionid", Name::TxnId),
    ("txid", Name::TxnId),
    ("tid", Name::TxnId),
    ("order_id", Name::TxnId),
    ("orderid", Name::TxnId),
    ("user_id", Name::CustomerId),
    ("player_id", Name::CustomerId),
    ("sum", Name::Amount),
    ("revenue", Name::Amount),
    ("price", Name::Amount),
    ("total", Name::Amount),
    ("goal", Name::Event),
    ("type", Name::Event),
    ("action", Name::Event),
    ("coupon", Name::CouponCode),
    ("promo_code", Name::CouponCode),
    ("time", Name::Timestamp),
    ("ts", Name::Timestamp),
];

/// One parameter of a refused attempt: what was expected, and what came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Expected {
    /// The parameter, or the part of the request.
    pub parameter: String,
    /// What is expected there.
    pub expected: String,
    /// What came; absent where nothing did, or where it is not kept.
    pub received: Option<String>,
    /// Whether this is what the attempt was refused for.
    pub at_fault: bool,
}

/// Everything that a refused attempt sent beside what was expected, what is at fault first.
pub fn beside_received(rejected: &Rejected, offer: Option<&Offer>) -> Vec<Expected> {
    let request = &rejected.attempt.request;
    let received = received(request);
    let mut rows = at_the_door(rejected, request, offer);
    let currency = received
        .get(Name::Currency.as_str())
        .and_then(|code| Currency::from_code(code))
        .or(offer.map(|offer| offer.currency))
        .unwrap_or(Currency::USD);
    let fault = rejected.field.as_deref();
    let is_new = |rows: &[Expected], name: &str| rows.iter().all(|row| row.parameter != name);
    for name in fault.into_iter().chain(missing(rejected).iter().copied()) {
        if is_new(&rows, name) {
            rows.push(Expected {
                parameter: name.to_owned(),
                expected: expectation(name, currency, offer),
                received: received.get(name).cloned(),
                at_fault: fault == Some(name),
            });
        }
    }
    for (name, value) in &received {
        if is_new(&rows, name) {
            rows.push(Expected {
                parameter: name.clone(),
                expected: expectation(name, currency, offer),
                received: Some(value.clone()),
                at_fault: false,
            });
        }
    }
    rows
}

/// Expectations of the request as a whole.
fn at_the_door(rejected: &Rejected, request: &RawRequest, offer: Option<&Offer>) -> Vec<Expected> {
    let is_offer_path = request.path.starts_with("/api/postback/");
    let (parameter, expected, received) = match rejected.outcome {
        Outcome::PayloadTooLarge => (
            "body",
            format!("at most {BODY_BYTES_MAX} bytes"),
            request.body_bytes.map(|bytes| format!("{bytes} bytes")),
        ),
        Outcome::InsecureTransport => ("transport", "HTTPS".to_owned(), Some("HTTP".to_owned())),
        Outcome::AddressNotAllowed => {
            let allowed = offer
                .map(|offer| &*offer.allow_addresses)
                .unwrap_or_default();
            let list: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            ("address", format!("one of {}", list.join(", ")), None)
        }
        Outcome::BadCredentials if is_offer_path => (
            "X-Postback-Secret",
            "the offer's secret of 64 characters, as this header or as the parameter secret"
                .to_owned(),
            None,
        ),
        Outcome::BadCredentials => (
            "Authorization",
            "Bearer and a token with the role ingest, for this offer".to_owned(),
            None,
        ),
        Outcome::UnknownOffer if is_offer_path => (
            "path",
            "/api/postback/brand/offer with slugs that exist".to_owned(),
            Some(request.path.clone()),
        ),
        Outcome::Malformed if rejected.field.is_none() => (
            "body",
            "one JSON object, or a form, in UTF-8 and with the Content-Type to match".to_owned(),
            Some(format!(
                "Content-Type: {}",
                request.content_type.as_deref().unwrap_or("none")
            )),
        ),
        _ => return Vec::new(),
    };
    vec![Expected {
        parameter: parameter.to_owned(),
        expected,
        received,
        at_fault: true,
    }]
}

/// What could have stood in for a missing field.
fn missing(rejected: &Rejected) -> &'static [&'static str] {
    let needs_reference = rejected.outcome == Outcome::MissingField
        && rejected.field.as_deref() == Some(Name::ClickId.as_str());
    if needs_reference {
        &["coupon_code", "customer_id"]
    } else {
        &[]
    }
}

/// What a parameter is expected to hold.
fn expectation(parameter: &str, currency: Currency, offer: Option<&Offer>) -> String {
    let Some(name) = Name::parse(parameter) else {
        return unknown(parameter);
    };
    let click_param = offer.map_or("cid", |offer| &*offer.click_param);
    match name {
        Name::ClickId => format!(
            "the id that the destination was handed as {click_param}, at most 256 characters"
        ),
        Name::Event => event(offer),
        Name::Amount => format!(
            "decimal major units with at most {} decimals for {currency}",
            currency.exponent()
        ),
        Name::Value => format!("whole minor units of {currency}, without a point"),
        Name::Currency => "an ISO 4217 code, as USD".to_owned(),
        Name::TxnId | Name::EventId | Name::CustomerId | Name::CouponCode => {
            "a text of at most 256 characters".to_owned()
        }
        Name::Status => "pending, approved, rejected, reversed or a common synonym".to_owned(),
        Name::Payout => format!(
            "decimal major units with at most {} decimals for {currency}, not above what the \
             terms allow",
            currency.exponent()
        ),
        Name::Quantity => "a number that is not negative, with at most 12 decimals".to_owned(),
        Name::Sub1 | Name::Sub2 | Name::Sub3 | Name::Sub4 | Name::Sub5 => {
            "a text of at most 1024 characters".to_owned()
        }
        Name::Timestamp => {
            "seconds or milliseconds since 1970, or RFC 3339; at most a day ahead".to_owned()
        }
        Name::Offer => "brand/offer with slugs that exist".to_owned(),
        Name::Test => "1 or true of a manager who tests, or 0 or false".to_owned(),
        Name::Secret => "the offer's secret of 64 characters".to_owned(),
    }
}

fn event(offer: Option<&Offer>) -> String {
    let kinds: Vec<_> = Kind::BUILT_IN.iter().map(Kind::code).collect();
    let goals = offer.map(|offer| &*offer.goals).unwrap_or_default();
    let default = offer.map_or("sale", |offer| &*offer.default_event);
    let mut text = format!(
        "one of {}, or a change as refund or status",
        kinds.join(", ")
    );
    if !goals.is_empty() {
        text.push_str(", or a goal of the offer: ");
        text.push_str(&goals.join(", "));
    }
    text + "; without it: " + default
}

/// A parameter that no field takes: perhaps one goes by this name elsewhere.
fn unknown(parameter: &str) -> String {
    if parameter == "metadata" || parameter.starts_with("metadata.") {
        return "single values, each a text of at most 1024 characters".to_owned();
    }
    let lower = parameter.to_ascii_lowercase();
    let meant = ALIASES.iter().find(|(alias, _)| *alias == lower);
    let by_case = || Name::parse(&lower).map(Name::as_str);
    match meant.map(|(_, name)| name.as_str()).or_else(by_case) {
        Some(field) => {
            format!("nothing: no field has this name, {field} may be meant (a mapping can say so)")
        }
        None => "nothing: no field has this name, it is only kept".to_owned(),
    }
}

/// The parameters of a kept request, as far as they can be read.
fn received(request: &RawRequest) -> BTreeMap<String, String> {
    let mut received = BTreeMap::new();
    if let Some(query) = &request.query {
        add_pairs(query, &mut received);
    }
    let Some(body) = &request.body else {
        return received;
    };
    if !body.trim_start().starts_with('{') {
        if body.contains('=') {
            add_pairs(body, &mut received);
        }
        return received;
    }
    // Numbers are shown by their text: 49.90 is not 49.9.
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body).unwrap_or_default();
    for (name, raw) in members {
        let text = serde_json::from_str::<String>(raw.get()).ok();
        let text = text.unwrap_or_else(|| raw.get().to_owned());
        received.insert(name, shown(&text));
    }
    received
}

fn add_pairs(text: &str, received: &mut BTreeMap<String, String>) {
    for (name, value) in pairs::split(text) {
        let decoded = |text: &str| pairs::decode(text).map_or(text.to_owned(), Into::into);
        received.insert(decoded(name), shown(&decoded(value)));
    }
}

fn shown(text: &str) -> String {
    if text.chars().count() <= RECEIVED_LENGTH_MAX {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(RECEIVED_LENGTH_MAX).collect();
    beginning + "…"
}

#[cfg(test)]
mod tests {
    use postbook_schemas::Attempt;

    use super::*;

    fn rejected(outcome: Outcome, field: Option<&str>, body: &str) -> Rejected {
        Rejected {
            outcome,
            detail: String::new(),
            field: field.map(str::to_owned),
            offer: None,
            references: postbook_schemas::postback::References::default(),
            attempt: Attempt {
                request: RawRequest {
                    method: "POST".to_owned(),
                    path: "/postback".to_owned(),
                    body: Some(body.to_owned()),
                    ..RawRequest::default()
                },
                ..Attempt::default()
            },
        }
    }

    fn told(outcome: Outcome, field: Option<&str>, body: &str) -> Vec<String> {
        let rows = beside_received(&rejected(outcome, field, body), None);
        let line = |row: Expected| {
            let received = row.received.unwrap_or_else(|| "nothing".to_owned());
            let mark = if row.at_fault { "!" } else { " " };
            format!("{mark}{} ← {received}: {}", row.parameter, row.expected)
        };
        rows.into_iter().map(line).collect()
    }

    #[test]
    fn the_field_at_fault_comes_first_with_what_it_should_be() {
        let rows = told(
            Outcome::InvalidValue,
            Some("amount"),
            r#"{"click_id":"a","amount":49.990}"#,
        );
        assert_eq!(
            rows,
            [
                "!amount ← 49.990: decimal major units with at most 2 decimals for USD",
                " click_id ← a: the id that the destination was handed as cid, at most 256 \
                 characters",
            ]
        );
        let yen = r#"{"currency":"JPY","amount":"1.5"}"#;
        let rows = told(Outcome::InvalidValue, Some("amount"), yen);
        assert!(rows[0].ends_with("at most 0 decimals for JPY"), "{rows:?}");
    }

    #[test]
    fn what_is_missing_is_shown_beside_names_that_other_trackers_use() {
        let rows = told(
            Outcome::MissingField,
            Some("click_id"),
            "cid=k3&Amount=1&x=2",
        );
        assert!(rows[0].starts_with("!click_id ← nothing"), "{rows:?}");
        assert!(rows[1].starts_with(" coupon_code ← nothing"), "{rows:?}");
        assert!(rows[3].contains("amount may be meant"), "{rows:?}");
        assert!(rows[4].contains("click_id may be meant"), "{rows:?}");
        assert!(rows[5].contains("it is only kept"), "{rows:?}");
    }
}
