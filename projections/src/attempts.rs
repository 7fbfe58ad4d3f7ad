//! The row of a postback attempt, from its fact.

use postbook_schemas::{
    Envelope, Fact, OfferRef, Outcome,
    postback::{References, Rejected},
};

use crate::rows::AttemptRow;

/// The row of an attempt; `None` if the fact is no attempt.
pub(crate) fn attempt_row(position: u64, envelope: &Envelope) -> Option<AttemptRow> {
    let (outcome, offer, references, event, rejected) = parts(&envelope.fact)?;
    Some(AttemptRow {
        position,
        id: envelope.id,
        outcome,
        fact_type: envelope.fact.fact_type().name().to_owned(),
        offer: offer.cloned(),
        click_id: references.click_id.clone(),
        txn_id: references.txn_id.clone(),
        customer_id: references.customer_id.clone(),
        event_id: references.event_id.clone(),
        event: event.map(str::to_owned),
        field: rejected.and_then(|rejected| rejected.field.clone()),
        detail: rejected.map(|rejected| rejected.detail.clone()),
        differs: matches!(
            &envelope.fact,
            Fact::PostbackRepeated(repeated) if !repeated.differences.is_empty()
        ),
        endpoint: envelope.source.endpoint.clone(),
        address: envelope.source.address.clone(),
        recorded_at: envelope.recorded_at,
    })
}

type Parts<'a> = (
    Outcome,
    Option<&'a OfferRef>,
    &'a References,
    Option<&'a str>,
    Option<&'a Rejected>,
);

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all other facts are no attempts"
)]
fn parts(fact: &Fact) -> Option<Parts<'_>> {
    if let Some(report) = fact.as_report() {
        let event = Some(report.kind.code());
        return Some((
            report.outcome,
            Some(&report.offer),
            &report.references,
            event,
            None,
        ));
    }
    if let Some(change) = fact.as_change() {
        let event = Some(change.change.code());
        return Some((
            change.outcome,
            Some(&change.offer),
            &change.references,
            event,
            None,
        ));
    }
    match fact {
        Fact::AbuseReported(abuse) => Some((
            abuse.outcome,
            Some(&abuse.offer),
            &abuse.references,
            Some(abuse.abuse.code()),
            None,
        )),
        Fact::PostbackRejected(rejected) => {
            let Rejected {
                outcome,
                offer,
                references,
                ..
            } = rejected;
            Some((*outcome, offer.as_ref(), references, None, Some(rejected)))
        }
        Fact::PostbackRepeated(repeated) => Some((
            repeated.outcome,
            Some(&repeated.offer),
            &repeated.references,
            None,
            None,
        )),
        _ => None,
    }
}
