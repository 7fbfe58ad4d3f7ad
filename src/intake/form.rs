//! The form of a postback: texts become values, or the first that cannot is named.

use std::{borrow::Cow, collections::BTreeMap};

use postbook_schemas::{
    Change, Currency, Event, Exact, Instant, Kind, Status, configuration::Offer, fact::FactType,
    mapping::AmountUnit, postback::References,
};

use super::{
    fields::{Fields, Name, SUBS},
    mapping::{Rules, standard_unit},
    redact,
    refusal::Refusal,
};

/// Longest id, in characters.
const ID_LENGTH_MAX: usize = 256;

/// Longest text that is only passed through, in characters.
const TEXT_LENGTH_MAX: usize = 1_024;

/// How far ahead of our clock a sender's may be.
const AHEAD_DAYS_MAX: u32 = 1;

/// A postback whose fields all have the right form.
#[derive(Clone, Debug)]
pub struct Form {
    /// What is said.
    pub event: Event,
    /// The event word as received; absent where the offer's default held.
    pub event_word: Option<String>,
    /// What it refers to.
    pub references: References,
    /// Amount in minor units; never negative for changes.
    pub amount_minor: Option<i64>,
    /// The currency given, else the offer's.
    pub currency: Currency,
    /// The `payout` parameter.
    pub payout: Option<Payout>,
    /// Lots or units.
    pub quantity: Option<Exact>,
    /// The status given.
    pub status: Option<Status>,
    /// `sub1` to `sub5`.
    pub subs: BTreeMap<String, String>,
    /// `metadata.*`.
    pub metadata: BTreeMap<String, String>,
    /// When it happened, as the sender says.
    pub timestamp: Option<Instant>,
    /// The `Idempotency-Key`.
    pub idempotency_key: Option<String>,
}

/// The `payout` parameter: commission that the advertiser calculated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payout {
    /// In minor units.
    pub minor: i64,
    /// In major units, as limits are written.
    pub major: Exact,
}

/// Checks the form of a postback for an offer: first what is missing, then what cannot be used.
///
/// # Errors
/// A field is missing, or its value cannot be used.
pub fn check(
    fields: &Fields<'_>,
    idempotency_key: Option<&str>,
    offer: &Offer,
    now: Instant,
) -> Result<Form, Refusal> {
    let word = fields.get(Name::Event);
    let event = Event::parse(word.unwrap_or(&offer.default_event), &offer.goals);
    missing(fields, event.as_ref())?;
    test(fields)?;
    let event = event.ok_or_else(|| {
        Refusal::invalid("event", "neither a built-in event nor a goal of the offer")
    })?;
    let currency = currency(fields, offer)?;
    Ok(Form {
        references: references(fields)?,
        amount_minor: amount(fields, currency, &event)?,
        payout: payout(fields, currency)?,
        quantity: quantity(fields)?,
        status: status(fields)?,
        subs: subs(fields)?,
        metadata: metadata(fields)?,
        timestamp: timestamp(fields, now)?,
        idempotency_key: idempotency(idempotency_key)?,
        event_word: fields.event_word().map(str::to_owned),
        event,
        currency,
    })
}

/// Whether a postback refers to anything at all: without knowing its offer, no more can be said.
///
/// # Errors
/// `click_id` is missing, and everything that could stand in for it.
pub fn missing(fields: &Fields<'_>, event: Option<&Event>) -> Result<(), Refusal> {
    let given = |name| fields.get(name).is_some();
    let attributes = given(Name::ClickId) || given(Name::CouponCode) || given(Name::CustomerId);
    let (refers, needs) = match event {
        Some(Event::Report(_)) => (
            attributes,
            "a report needs one of click_id, coupon_code and customer_id",
        ),
        Some(Event::Change(_) | Event::Abuse(_)) | None => (
            attributes || given(Name::TxnId),
            "one of click_id, coupon_code, customer_id and txn_id is needed",
        ),
    };
    if !refers {
        return Err(Refusal::missing("click_id", needs));
    }
    if event == Some(&Event::Change(Change::Status)) && !given(Name::Status) {
        return Err(Refusal::missing("status", "a status change needs a status"));
    }
    Ok(())
}

/// The references, checked for form.
///
/// # Errors
/// An id is too long or has control characters.
pub fn references(fields: &Fields<'_>) -> Result<References, Refusal> {
    let id = |name| text(fields, name, ID_LENGTH_MAX);
    Ok(References {
        txn_id: id(Name::TxnId)?,
        event_id: id(Name::EventId)?,
        click_id: id(Name::ClickId)?,
        customer_id: id(Name::CustomerId)?,
        coupon_code: id(Name::CouponCode)?,
    })
}

/// The references of a refused attempt, as far as they have the right form.
pub fn readable_references(fields: &Fields<'_>) -> References {
    let id = |name| text(fields, name, ID_LENGTH_MAX).ok().flatten();
    References {
        txn_id: id(Name::TxnId),
        event_id: id(Name::EventId),
        click_id: id(Name::ClickId),
        customer_id: id(Name::CustomerId),
        coupon_code: id(Name::CouponCode),
    }
}

/// All ids of references, to be changed before they are kept.
pub(super) fn ids_mut(references: &mut References) -> [&mut Option<String>; 5] {
    [
        &mut references.txn_id,
        &mut references.event_id,
        &mut references.click_id,
        &mut references.customer_id,
        &mut references.coupon_code,
    ]
}

fn text(fields: &Fields<'_>, name: Name, length_max: usize) -> Result<Option<String>, Refusal> {
    let Some(text) = fields.get(name) else {
        return Ok(None);
    };
    checked_text(name.as_str(), text, length_max)?;
    Ok(Some(text.to_owned()))
}

fn checked_text(field: &'static str, text: &str, length_max: usize) -> Result<(), Refusal> {
    // A byte is at most a character: most texts need not be counted.
    if text.len() > length_max && text.chars().count() > length_max {
        let detail = format!("longer than {length_max} characters");
        return Err(Refusal::invalid(field, detail));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::invalid(
            field,
            "control characters are not allowed",
        ));
    }
    Ok(())
}

fn currency(fields: &Fields<'_>, offer: &Offer) -> Result<Currency, Refusal> {
    let own = offer.currency;
    let Some(code) = fields.get(Name::Currency) else {
        return Ok(own);
    };
    // Nearly all say what the offer says: there is nothing to look up.
    if code.eq_ignore_ascii_case(own.code()) {
        return Ok(own);
    }
    Currency::from_code(code)
        .ok_or_else(|| Refusal::invalid("currency", "not an ISO 4217 currency with minor units"))
}

fn test(fields: &Fields<'_>) -> Result<(), Refusal> {
    match fields.is_test() {
        Some(_) => Ok(()),
        None => Err(Refusal::invalid("test", "write 1 or 0")),
    }
}

/// A number of a field, with a point before its decimals.
fn decimal<'f>(fields: &'f Fields<'_>, name: Name) -> Result<Option<Cow<'f, str>>, Refusal> {
    let Some(text) = fields.get(name) else {
        return Ok(None);
    };
    let Some(rules) = fields.rules() else {
        return Ok(Some(text.into()));
    };
    let detail = "a point, where the offer's mapping says that a comma stands before decimals";
    let decimal = rules.decimal(text);
    decimal
        .map(Some)
        .ok_or_else(|| Refusal::invalid(name.as_str(), detail))
}

/// The money of a field in minor units, as the mapping or the field itself says what unit it is in.
fn money(fields: &Fields<'_>, name: Name, currency: Currency) -> Result<Option<i64>, Refusal> {
    let Some(text) = decimal(fields, name)? else {
        return Ok(None);
    };
    let unit = fields
        .rules()
        .map_or_else(|| standard_unit(name), |rules| rules.unit(name));
    let minor = match unit {
        AmountUnit::Major => currency.parse_major(&text),
        AmountUnit::Minor => Currency::parse_minor(&text),
    };
    minor
        .map(Some)
        .map_err(|error| Refusal::invalid(name.as_str(), error.to_string()))
}

fn amount(fields: &Fields<'_>, currency: Currency, event: &Event) -> Result<Option<i64>, Refusal> {
    let major = money(fields, Name::Amount, currency)?;
    let minor = money(fields, Name::Value, currency)?;
    let (amount, field) = match (major, minor) {
        (Some(major), Some(minor)) if major != minor => {
            let detail = "amount (major units) and value (minor units) are given and differ";
            return Err(Refusal::invalid("value", detail));
        }
        (Some(major), _) => (major, "amount"),
        (None, Some(minor)) => (minor, "value"),
        (None, None) => return Ok(None),
    };
    match event {
        // Some senders write what goes back with a minus, some without.
        Event::Change(_) => Ok(Some(amount.saturating_abs())),
        Event::Report(kind) if amount < 0 && !may_be_negative(kind) => Err(Refusal::invalid(
            field,
            "only revenue may be negative: report a refund or a chargeback",
        )),
        Event::Report(_) | Event::Abuse(_) => Ok(Some(amount)),
    }
}

fn may_be_negative(kind: &Kind) -> bool {
    kind.fact_type() == FactType::RevenueReported
}

fn payout(fields: &Fields<'_>, currency: Currency) -> Result<Option<Payout>, Refusal> {
    let Some(minor) = money(fields, Name::Payout, currency)? else {
        return Ok(None);
    };
    if minor < 0 {
        return Err(Refusal::invalid("payout", "a payout is not negative"));
    }
    let major = Exact::parse(&currency.format_major(minor))
        .ok_or_else(|| Refusal::invalid("payout", "out of range"))?;
    Ok(Some(Payout { minor, major }))
}

fn quantity(fields: &Fields<'_>) -> Result<Option<Exact>, Refusal> {
    let Some(text) = decimal(fields, Name::Quantity)? else {
        return Ok(None);
    };
    match Exact::parse(&text) {
        Some(quantity) if !quantity.is_negative() => Ok(Some(quantity)),
        Some(_) => Err(Refusal::invalid("quantity", "a quantity is not negative")),
        None => Err(Refusal::invalid(
            "quantity",
            "not a number: write digits, with a point before at most 12 decimals",
        )),
    }
}

fn status(fields: &Fields<'_>) -> Result<Option<Status>, Refusal> {
    let Some(word) = fields.get(Name::Status) else {
        return Ok(None);
    };
    let detail = "not a status: pending, approved, rejected or reversed";
    Status::parse(word)
        .map(Some)
        .ok_or_else(|| Refusal::invalid("status", detail))
}

fn subs(fields: &Fields<'_>) -> Result<BTreeMap<String, String>, Refusal> {
    let mut subs = BTreeMap::new();
    for name in SUBS {
        if let Some(text) = text(fields, name, TEXT_LENGTH_MAX)? {
            subs.insert(name.as_str().to_owned(), text);
        }
    }
    Ok(subs)
}

fn metadata(fields: &Fields<'_>) -> Result<BTreeMap<String, String>, Refusal> {
    let mut metadata = BTreeMap::new();
    for (key, text) in &fields.metadata {
        if key.is_empty() || key.len() > ID_LENGTH_MAX || key.chars().any(char::is_control) {
            return Err(Refusal::invalid(
                "metadata",
                "a key is empty, too long or not text",
            ));
        }
        if text.chars().count() > TEXT_LENGTH_MAX || text.contains('\0') {
            let detail = "a value is longer than 1024 characters or has NUL characters";
            return Err(Refusal::invalid("metadata", detail));
        }
        let kept = if redact::is_sensitive(key) || text.starts_with('{') && redact::names_any(text)
        {
            redact::REDACTED
        } else {
            text
        };
        metadata.insert(key.to_string(), kept.to_owned());
    }
    Ok(metadata)
}

fn timestamp(fields: &Fields<'_>, now: Instant) -> Result<Option<Instant>, Refusal> {
    let Some(text) = fields.get(Name::Timestamp) else {
        return Ok(None);
    };
    let rules = fields.rules();
    let time = rules.map_or_else(|| Instant::parse_timestamp(text), |rules| rules.time(text));
    let time = time.ok_or_else(|| {
        let detail = match rules.and_then(Rules::time_form) {
            Some(form) => format!("not a time as the offer's mapping has them: `{form}`"),
            None => "not a time: write seconds or milliseconds since 1970, or RFC 3339".to_owned(),
        };
        Refusal::invalid("timestamp", detail)
    })?;
    if time > now.plus_days(AHEAD_DAYS_MAX) {
        return Err(Refusal::invalid("timestamp", "more than a day ahead"));
    }
    Ok(Some(time))
}

fn idempotency(key: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(key) = key else {
        return Ok(None);
    };
    checked_text("Idempotency-Key", key, ID_LENGTH_MAX)?;
    Ok((!key.is_empty()).then(|| key.to_owned()))
}
