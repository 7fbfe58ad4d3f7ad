//! What makes a postback unique (SPEC 3.4).
//!
//! Reports: `event_id`, else `txn_id` per kind, else click or customer for kinds that happen once,
//! else the `Idempotency-Key`. Changes may rightly repeat on one transaction (two partial refunds),
//! so without an `event_id` or `Idempotency-Key` a refund, chargeback or chargeback won is told
//! apart by its amount and timestamp; a status is not deduplicated at all, since `approved` after
//! `rejected` is news even if it was said before, and saying it twice changes nothing.

use crate::{Abuse, Change, FactId, Instant, Kind, OfferRef, postback::References};

/// Separates the parts of a key: no field may contain it (intake refuses control characters).
const SEPARATOR: &str = "\u{1f}";

fn key(parts: &[&str]) -> String {
    parts.join(SEPARATOR)
}

/// The dedupe key of a report.
pub fn report_key(
    offer: &OfferRef,
    kind: &Kind,
    references: &References,
    idempotency_key: Option<&str>,
) -> Option<String> {
    let offer = offer.as_str();
    if let Some(event_id) = &references.event_id {
        return Some(key(&["event", offer, event_id]));
    }
    if let Some(txn_id) = &references.txn_id {
        return Some(key(&["txn", offer, kind.code(), txn_id]));
    }
    if kind.happens_once() {
        if let Some(click_id) = &references.click_id {
            return Some(key(&["click", offer, kind.code(), click_id]));
        }
        if let Some(customer_id) = &references.customer_id {
            return Some(key(&["customer", offer, kind.code(), customer_id]));
        }
    }
    idempotency_key.map(|given| key(&["idempotency", offer, given]))
}

/// The dedupe key of a change.
pub fn change_key(
    offer: &OfferRef,
    change: Change,
    references: &References,
    amount_minor: Option<i64>,
    timestamp: Option<Instant>,
    idempotency_key: Option<&str>,
) -> Option<String> {
    if let Some(given) = given_key(offer, references, idempotency_key) {
        return Some(given);
    }
    let txn_id = references.txn_id.as_deref()?;
    match change {
        Change::Status => None,
        Change::Refund | Change::Chargeback | Change::ChargebackWon => {
            let amount = amount_minor.map_or_else(|| "all".to_owned(), |minor| minor.to_string());
            let time = timestamp.map_or_else(String::new, |time| time.to_string());
            Some(key(&[
                "change",
                offer.as_str(),
                change.code(),
                txn_id,
                &amount,
                &time,
            ]))
        }
    }
}

/// The dedupe key of an abuse report. Saying it twice changes nothing, so only ids that the sender
/// gave make one.
pub fn abuse_key(
    offer: &OfferRef,
    _abuse: Abuse,
    references: &References,
    idempotency_key: Option<&str>,
) -> Option<String> {
    given_key(offer, references, idempotency_key)
}

fn given_key(
    offer: &OfferRef,
    references: &References,
    idempotency_key: Option<&str>,
) -> Option<String> {
    if let Some(event_id) = &references.event_id {
        return Some(key(&["event", offer.as_str(), event_id]));
    }
    idempotency_key.map(|given| key(&["idempotency", offer.as_str(), given]))
}

/// The key of a signed postback that nothing else makes unique: its signature.
pub fn signature_key(offer: &OfferRef, signature_hex: &str) -> String {
    key(&["signature", offer.as_str(), signature_hex])
}

/// The key of a fact that another process has left to be appended: appended once, whoever does it.
pub fn left_fact_key(id: &FactId) -> String {
    key(&["left", &id.to_string()])
}

/// The key of test traffic, which never meets a real one.
pub fn sandbox_key(real: &str) -> String {
    key(&["sandbox", real])
}

/// The key of a click that was recorded elsewhere under its own id.
pub fn foreign_click_key(click_id: &str) -> String {
    key(&["foreign-click", click_id])
}

/// The reference keys under which later changes find a conversion: transaction, click, customer.
pub fn reference_keys(offer: &OfferRef, references: &References) -> Vec<String> {
    let offer = offer.as_str();
    [
        ("ref-txn", &references.txn_id),
        ("ref-click", &references.click_id),
        ("ref-customer", &references.customer_id),
    ]
    .into_iter()
    .filter_map(|(name, id)| id.as_ref().map(|id| key(&[name, offer, id])))
    .collect()
}

/// The reference key of a customer who is bound to a partner at an offer.
pub fn bound_customer_key(offer: &OfferRef, customer_id: &str) -> String {
    key(&["bound-customer", offer.as_str(), customer_id])
}
