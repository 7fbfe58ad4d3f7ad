//! What a parameter is expected to hold, in words.

use postbook_schemas::{Kind, mapping::AmountUnit};

use super::Beside;
use crate::intake::{
    fields::Name,
    mapping::{Rules, standard_unit},
};

/// What a parameter for the signature is expected to hold.
pub(super) const SIGNATURE: &str = "the 64 hexadecimal digits of the HMAC-SHA256 over the query";

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

/// What a field is expected to hold.
pub(super) fn of_field(name: Name, beside: &Beside<'_>) -> String {
    let click_param = beside.offer.map_or("cid", |offer| &*offer.click_param);
    let text = match name {
        Name::ClickId => format!(
            "the id that the destination was handed as {click_param}, at most 256 characters"
        ),
        Name::Event => event(beside),
        Name::Amount | Name::Value => money(name, beside),
        Name::Currency => "an ISO 4217 code, as USD".to_owned(),
        Name::TxnId | Name::EventId | Name::CustomerId | Name::CouponCode => {
            "a text of at most 256 characters".to_owned()
        }
        Name::Status => {
            own_words(beside, Name::Status)
                + "pending, approved, rejected, reversed or a common synonym"
        }
        Name::Payout => money(name, beside) + ", not above what the terms allow",
        Name::Quantity => {
            "a number that is not negative, with at most 12 decimals".to_owned() + comma(beside)
        }
        Name::Sub1 | Name::Sub2 | Name::Sub3 | Name::Sub4 | Name::Sub5 => {
            "a text of at most 1024 characters".to_owned()
        }
        Name::Timestamp => time(beside),
        Name::Offer => "brand/offer with slugs that exist".to_owned(),
        Name::Test => "1 or true of a manager who tests, or 0 or false".to_owned(),
        Name::Secret => "the offer's secret of 64 characters".to_owned(),
    };
    match default(name, beside) {
        Some(default) => format!("{text}; without it: {default}"),
        None => text,
    }
}

fn money(name: Name, beside: &Beside<'_>) -> String {
    let currency = beside.currency;
    let unit = beside
        .rules
        .map_or(standard_unit(name), |rules| rules.unit(name));
    match unit {
        AmountUnit::Major => format!(
            "decimal major units with at most {} decimals for {currency}{}",
            currency.exponent(),
            comma(beside)
        ),
        AmountUnit::Minor => format!("whole minor units of {currency}, without a point"),
    }
}

fn comma(beside: &Beside<'_>) -> &'static str {
    if beside.rules.is_some_and(Rules::is_decimal_comma) {
        ", after a comma"
    } else {
        ""
    }
}

fn time(beside: &Beside<'_>) -> String {
    match beside.rules.and_then(Rules::time_form) {
        Some(form) => format!("a time written as {form}; at most a day ahead"),
        None => "seconds or milliseconds since 1970, or RFC 3339; at most a day ahead".to_owned(),
    }
}

fn event(beside: &Beside<'_>) -> String {
    let kinds: Vec<_> = Kind::BUILT_IN.iter().map(Kind::code).collect();
    let goals = beside.offer.map(|offer| &*offer.goals).unwrap_or_default();
    let mut text = format!(
        "{}one of {}, or a change as refund or status",
        own_words(beside, Name::Event),
        kinds.join(", ")
    );
    if !goals.is_empty() {
        text.push_str(", or a goal of the offer: ");
        text.push_str(&goals.join(", "));
    }
    text
}

/// The sender's words with their meaning, and what leads on to the words that always hold.
fn own_words(beside: &Beside<'_>, name: Name) -> String {
    let words = beside.rules.map(|rules| rules.words(name));
    match words.filter(|words| !words.is_empty()) {
        Some(words) => {
            let words: Vec<_> = words
                .iter()
                .map(|(word, meaning)| format!("{word} ({meaning})"))
                .collect();
            format!("{}, or ", words.join(", "))
        }
        None => String::new(),
    }
}

/// What holds where a field is left out.
fn default<'b>(name: Name, beside: &'b Beside<'_>) -> Option<&'b str> {
    let defaults = beside.rules.map(Rules::defaults);
    let own = defaults
        .into_iter()
        .flatten()
        .find(|(field, _)| *field == name)
        .map(|(_, value)| value.as_str());
    let of_offer = || beside.offer.map_or("sale", |offer| &*offer.default_event);
    own.or_else(|| (name == Name::Event).then(of_offer))
}

/// A field that no parameter carries.
pub(super) fn never_read(name: Name) -> String {
    format!("nothing: the mapping reads {} from nowhere", name.as_str())
}

/// A standard name that the mapping does not read its field from.
pub(super) fn elsewhere(name: Name, beside: &Beside<'_>) -> String {
    let names = beside.sender_names(name);
    if beside.is_never_read(name) {
        return never_read(name);
    }
    format!("nothing: the mapping reads {} from {names}", name.as_str())
}

/// A parameter that no field takes: perhaps one goes by this name elsewhere.
pub(super) fn unknown(parameter: &str, beside: &Beside<'_>) -> String {
    if parameter == "metadata" || parameter.starts_with("metadata.") {
        return "single values, each a text of at most 1024 characters".to_owned();
    }
    let lower = parameter.to_ascii_lowercase();
    let meant = ALIASES.iter().find(|(alias, _)| *alias == lower);
    let Some(field) = meant.map(|(_, name)| *name).or_else(|| Name::parse(&lower)) else {
        return "nothing: no field has this name, it is only kept".to_owned();
    };
    let hint = if beside.rules.is_some_and(|rules| rules.takes(field)) {
        format!("the mapping reads it from {}", beside.sender_names(field))
    } else {
        "a mapping can say so".to_owned()
    };
    format!(
        "nothing: no field has this name, {} may be meant ({hint})",
        field.as_str()
    )
}
