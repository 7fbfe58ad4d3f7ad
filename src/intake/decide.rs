//! The one place that decides what becomes of an attempt: the outcomes in their order (SPEC 3.2).
//!
//! Everything here is a pure function of the evidence. A duplicate is known only once the log has
//! been asked to append, atomically: it comes before the outcomes that this file ends with.

use postbook_schemas::{Event, Instant, Outcome, configuration::Candidate};

use super::{
    credentials::{self, Shown},
    evidence::{Evidence, Told, is_parked},
    fields::Name,
    form,
    lookup::{ClickCheck, FoundClick},
    refusal::Refusal,
    request::{BODY_BYTES_MAX, Endpoint},
    signature::Checked,
};
use crate::directory::PayoutLimit;

type Step = fn(&Evidence<'_>) -> Option<Refusal>;

/// The reasons to refuse, in order of precedence: the rejections of [`Outcome::ALL`], each with the
/// look at the evidence that finds it.
const STEPS: &[(Outcome, Step)] = &[
    (Outcome::PayloadTooLarge, payload_too_large),
    (Outcome::InsecureTransport, insecure_transport),
    (Outcome::UnknownOffer, unknown_offer),
    (Outcome::RateLimited, rate_limited),
    (Outcome::AddressNotAllowed, address_not_allowed),
    (Outcome::BadCredentials, bad_credentials),
    (Outcome::BadSignature, bad_signature),
    (Outcome::StaleTimestamp, stale_timestamp),
    (Outcome::Malformed, malformed),
    (Outcome::MissingField, missing_field),
    (Outcome::InvalidValue, invalid_value),
    (Outcome::PayoutNotAllowed, payout_not_allowed),
    (Outcome::UnknownClick, unknown_click),
    (Outcome::ExpiredClick, expired_click),
];

/// The first reason to refuse an attempt, if there is one.
pub fn refusal(evidence: &Evidence<'_>) -> Option<Refusal> {
    // What is read again was let in when it came: only what it says is judged anew.
    let from = match evidence.again {
        Some(_) => Outcome::Malformed,
        None => Outcome::PayloadTooLarge,
    };
    let mut steps = STEPS.iter().filter(|(outcome, _)| *outcome >= from);
    steps.find_map(|(_, step)| step(evidence))
}

/// Whether an attempt is refused before anybody asks who sent it: for its size, transport, offer, rate
/// or address.
pub fn is_turned_away(evidence: &Evidence<'_>) -> bool {
    let mut before = STEPS
        .iter()
        .take_while(|(outcome, _)| *outcome < Outcome::BadCredentials);
    before.any(|(_, step)| step(evidence).is_some())
}

/// What becomes of an attempt that nothing refuses and that is no duplicate.
pub fn acceptance(evidence: &Evidence<'_>) -> Outcome {
    let sandbox = is_sandbox(evidence);
    let parked = evidence
        .good_form()
        .is_some_and(|form| is_parked(form, evidence.target));
    match (sandbox, parked) {
        (true, _) => Outcome::Sandbox,
        (false, true) => Outcome::Parked,
        (false, false) => Outcome::Accepted,
    }
}

/// Whether an attempt is test traffic: all of its offer's is, or it says so itself.
pub fn is_sandbox(evidence: &Evidence<'_>) -> bool {
    let is_offers = evidence.offer().is_some_and(|offer| offer.sandbox);
    is_offers || is_test(evidence)
}

/// Whether an attempt says itself that it is a test, for which only a manager is let in.
fn is_test(evidence: &Evidence<'_>) -> bool {
    evidence.fields.is_test() == Some(true)
}

/// Whether a click or coupon attributes a report, so that its customer is bound by it.
pub fn matched_without_customer(evidence: &Evidence<'_>) -> bool {
    let (Some(offer), Some(form)) = (evidence.offer(), evidence.good_form()) else {
        return false;
    };
    let at = form.timestamp.unwrap_or(evidence.now);
    offer.attribution.iter().any(|candidate| match candidate {
        Candidate::ClickId => own_click(evidence).is_some_and(|click| {
            click.occurred_at <= at && at <= click.occurred_at.plus_days(offer.click_window_days)
        }),
        Candidate::CouponCode => evidence.coupon,
        Candidate::CustomerId => false,
    })
}

/// Whether a click, coupon or customer attributes a report, as the sender is told.
pub fn matched(evidence: &Evidence<'_>) -> bool {
    let by_customer = evidence.customer
        && evidence
            .offer()
            .is_some_and(|offer| offer.attribution.contains(&Candidate::CustomerId));
    by_customer || matched_without_customer(evidence)
}

/// What the sender should know although the attempt is not refused.
pub fn warnings(evidence: &Evidence<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |is: bool, text: &str| {
        if is {
            warnings.push(text.to_owned());
        }
    };
    warn(
        evidence.legacy_offer().is_some(),
        "deprecated: this offer accepts postbacks without a secret; make one and send it",
    );
    let signed = evidence.signature.verified();
    let key = evidence.request.idempotency_key.as_deref();
    warn(
        signed.is_some_and(|signed| key.is_some() && key != signed.message_id()),
        "Idempotency-Key is not signed and does not count on a signed postback",
    );
    let asks_for_signature = evidence
        .offer()
        .is_some_and(|offer| offer.require_signature);
    warn(
        asks_for_signature
            && is_test(evidence)
            && evidence.signature == Checked::Absent
            && evidence.request.imported.is_none()
            && matches!(evidence.admission, Some(Ok(_))),
        "this offer requires signed postbacks: the test was taken for its token, unsigned",
    );
    warn(
        evidence.fields.personal,
        "personal data was redacted: names, e-mail addresses, phone and card numbers do not belong here",
    );
    let form = evidence.good_form();
    warn(
        form.is_some_and(|form| form.payout.is_some())
            && evidence.payout_limit == PayoutLimit::NoRule,
        "no rule of the terms looks at payout",
    );
    let click = found_click(evidence);
    let other = evidence.reference().zip(click);
    warn(
        other.is_some_and(|(offer, click)| click.offer != *offer),
        "the click belongs to another offer and does not attribute",
    );
    // Where nothing else attributes it, the attempt is refused, which says so already.
    let other_reference = has_other_reference(evidence);
    warn(
        other_reference && evidence.click == ClickCheck::NeverGivenOut,
        "the click_id was never given out and does not attribute",
    );
    warn(
        other_reference && is_expired(evidence),
        "the click is older than the retention and does not attribute",
    );
    let without_amount = form
        .is_some_and(|form| form.amount_minor.is_none() && matches!(form.event, Event::Report(_)));
    if let Some(name) = evidence.fields.unread_amount().filter(|_| without_amount) {
        warnings.push(format!(
            "no amount was read: {name} is not read as one; a mapping may be missing or wrong"
        ));
    }
    warnings
}

fn found_click<'e>(evidence: &'e Evidence<'_>) -> Option<&'e FoundClick> {
    match &evidence.click {
        ClickCheck::Found(click) => Some(click),
        ClickCheck::Unasked | ClickCheck::NeverGivenOut => None,
    }
}

fn own_click<'e>(evidence: &'e Evidence<'_>) -> Option<&'e FoundClick> {
    let offer = evidence.reference()?;
    found_click(evidence).filter(|click| click.offer == *offer && !is_expired(evidence))
}

fn is_expired(evidence: &Evidence<'_>) -> bool {
    let expires = |click: &FoundClick| -> Option<Instant> {
        Some(
            click
                .occurred_at
                .plus_days(evidence.offer()?.retention_days),
        )
    };
    found_click(evidence)
        .and_then(expires)
        .is_some_and(|expiry| expiry < judged_at(evidence))
}

/// As of when a click is too old: now, but of a row of a file when the row happened.
fn judged_at(evidence: &Evidence<'_>) -> Instant {
    let imported = evidence.request.imported.as_ref();
    let happened = imported.and_then(|_| evidence.good_form()?.timestamp);
    happened.unwrap_or(evidence.now)
}

/// Whether anything but the click says whom or what the attempt is about: a coupon or customer,
/// and for anything but a report the transaction.
fn has_other_reference(evidence: &Evidence<'_>) -> bool {
    let given = |name| evidence.fields.get(name).is_some();
    let is_report = evidence
        .good_form()
        .is_none_or(|form| matches!(form.event, Event::Report(_)));
    given(Name::CouponCode) || given(Name::CustomerId) || (!is_report && given(Name::TxnId))
}

fn payload_too_large(evidence: &Evidence<'_>) -> Option<Refusal> {
    evidence.request.is_too_large().then(|| {
        let detail = format!("at most {BODY_BYTES_MAX} bytes are taken");
        Refusal::new(Outcome::PayloadTooLarge, detail)
    })
}

fn insecure_transport(evidence: &Evidence<'_>) -> Option<Refusal> {
    let refused = evidence.offer()?.require_https && !evidence.request.peer.https;
    refused.then(|| Refusal::new(Outcome::InsecureTransport, "this offer takes HTTPS only"))
}

fn unknown_offer(evidence: &Evidence<'_>) -> Option<Refusal> {
    let field = |detail| match evidence.request.endpoint {
        Endpoint::Postback => Refusal::of(Outcome::UnknownOffer, "offer", detail),
        Endpoint::Offer(_) => Refusal::new(Outcome::UnknownOffer, detail),
    };
    match evidence.told {
        Told::Offer(..) => None,
        Told::Unknown => Some(field("there is no such offer")),
        // Whoever is not let in is told so, and what cannot be read or names nothing is told later.
        Told::Not => {
            let let_in = matches!(evidence.shown, Shown::Token(_));
            let readable = evidence.fault.is_none();
            let told_later = unplaced_form(evidence).is_some() || only_an_unknown_click(evidence);
            (let_in && readable && !told_later).then(|| {
                field("the offer cannot be told: send offer as brand/offer, or use its own token")
            })
        }
    }
}

fn only_an_unknown_click(evidence: &Evidence<'_>) -> bool {
    evidence.click == ClickCheck::NeverGivenOut && !has_other_reference(evidence)
}

/// What can be said about the form while the offer is not known.
fn unplaced_form(evidence: &Evidence<'_>) -> Option<Refusal> {
    match evidence.told {
        Told::Not => form::missing(&evidence.fields, None).err(),
        Told::Offer(..) | Told::Unknown => None,
    }
}

fn rate_limited(evidence: &Evidence<'_>) -> Option<Refusal> {
    evidence.limited.map(|_| {
        let detail = match evidence.told {
            Told::Offer(..) => "too many postbacks for this offer from this address",
            Told::Unknown | Told::Not => "too many requests from this address",
        };
        Refusal::new(Outcome::RateLimited, detail)
    })
}

fn address_not_allowed(evidence: &Evidence<'_>) -> Option<Refusal> {
    if evidence.request.imported.is_some() {
        return None;
    }
    let allowed = &evidence.offer()?.allow_addresses;
    let address = evidence.request.peer.address.to_canonical();
    let refused = !allowed.is_empty() && !allowed.iter().any(|net| net.contains(&address));
    refused.then(|| {
        let detail = "this address is not on the offer's list";
        Refusal::new(Outcome::AddressNotAllowed, detail)
    })
}

fn bad_credentials(evidence: &Evidence<'_>) -> Option<Refusal> {
    let why = match (&evidence.admission, &evidence.shown) {
        (Some(Ok(_)), _) | (None, Shown::Token(_)) => return None,
        // Where nothing but a signature is shown, it is the signature that is wrong.
        (Some(Err(_)), Shown::Nothing | Shown::NoSecretMade)
            if matches!(evidence.signature, Checked::Wrong(_)) =>
        {
            return None;
        }
        (Some(Err(why)), _) | (None, Shown::BadToken(why)) => *why,
        (None, _) => credentials::nothing_shown(&evidence.request.endpoint),
    };
    Some(Refusal::new(Outcome::BadCredentials, why))
}

fn bad_signature(evidence: &Evidence<'_>) -> Option<Refusal> {
    let why = match &evidence.signature {
        Checked::Wrong(why) => *why,
        // A row of a file is vouched for by who imports it, and a test by its manager's token.
        Checked::Absent
            if evidence.offer()?.require_signature
                && evidence.request.imported.is_none()
                && !is_test(evidence) =>
        {
            "this offer requires signed postbacks: send X-TDS-Signature, or webhook-id, \
             webhook-timestamp and webhook-signature"
        }
        Checked::Right(_) | Checked::Absent => return None,
    };
    Some(Refusal::new(Outcome::BadSignature, why))
}

fn stale_timestamp(evidence: &Evidence<'_>) -> Option<Refusal> {
    let signed_at = evidence.signature.verified()?.signed_at_seconds?;
    let tolerance = i64::from(evidence.offer()?.signature_tolerance_seconds);
    let age = evidence.now.micros().div_euclid(1_000_000) - signed_at;
    (age.abs() > tolerance).then(|| {
        let where_from = if age > 0 { "old" } else { "ahead" };
        let age = age.abs();
        let detail = format!(
            "the signed timestamp is {age} s {where_from}; at most {tolerance} s are allowed"
        );
        Refusal::new(Outcome::StaleTimestamp, detail)
    })
}

fn malformed(evidence: &Evidence<'_>) -> Option<Refusal> {
    evidence.fault.as_ref().map(|fault| Refusal {
        outcome: Outcome::Malformed,
        detail: fault.detail.into(),
        field: fault.field.clone(),
    })
}

fn missing_field(evidence: &Evidence<'_>) -> Option<Refusal> {
    unplaced_form(evidence).or_else(|| of_form(evidence, Outcome::MissingField))
}

fn invalid_value(evidence: &Evidence<'_>) -> Option<Refusal> {
    of_form(evidence, Outcome::InvalidValue)
}

fn of_form(evidence: &Evidence<'_>, outcome: Outcome) -> Option<Refusal> {
    let refusal = evidence.form.as_ref()?.as_ref().err()?;
    (refusal.outcome == outcome).then(|| refusal.clone())
}

fn payout_not_allowed(evidence: &Evidence<'_>) -> Option<Refusal> {
    let payout = evidence.good_form()?.payout?;
    match evidence.payout_limit {
        PayoutLimit::AtMost(max) if payout.major > max => {
            let detail = format!("the terms allow at most {max}");
            Some(Refusal::of(Outcome::PayoutNotAllowed, "payout", detail))
        }
        PayoutLimit::AtMost(_) | PayoutLimit::Unlimited | PayoutLimit::NoRule => None,
    }
}

fn unknown_click(evidence: &Evidence<'_>) -> Option<Refusal> {
    let refused = evidence.click == ClickCheck::NeverGivenOut && !has_other_reference(evidence);
    let click_id = evidence.fields.get(Name::ClickId).unwrap_or("");
    let detail = if click_id.contains(['{', '}']) {
        "the click_id was never given out: a macro seems not to have been replaced"
    } else {
        "the click_id was never given out"
    };
    refused.then(|| Refusal::of(Outcome::UnknownClick, "click_id", detail))
}

fn expired_click(evidence: &Evidence<'_>) -> Option<Refusal> {
    let refused = is_expired(evidence) && !has_other_reference(evidence);
    let days = evidence.offer()?.retention_days;
    refused.then(|| {
        let detail = format!("the click is older than the {days} days that clicks are kept for");
        Refusal::of(Outcome::ExpiredClick, "click_id", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_the_rejections_in_the_order_of_the_list() {
        let steps: Vec<Outcome> = STEPS.iter().map(|&(outcome, _)| outcome).collect();
        let rejections: Vec<Outcome> = Outcome::ALL
            .iter()
            .copied()
            .filter(|outcome| outcome.is_rejection())
            .collect();
        assert_eq!(steps, rejections);
    }
}
