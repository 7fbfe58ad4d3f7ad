//! How a conversion stands, and what refunds, chargebacks and abuse have taken of it.

use postbook_schemas::{Fact, FactId, Status, postback::ChangeReport};

use super::{
    Evidence, Step, add, derived, facts, money,
    trace::{RateTrace, Undone},
};

/// The status, who said so, and what undid all of it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all other facts say nothing of this"
)]
pub(super) fn status(evidence: &Evidence) -> Step {
    let row = &evidence.conversion;
    let mut says = row.status.code().to_owned();
    if let Some(at) = row.approves_at {
        add(&mut says, format_args!(", approved by itself at {at}"));
    }
    let said = facts::own(evidence).filter_map(|fact| {
        let says = match &fact.envelope.fact {
            Fact::ConversionDecided(decided) => {
                let word = serde_json::to_value(decided.decision).ok()?;
                let word = word.as_str().unwrap_or_default().to_owned();
                format!(
                    "{} decided to {word} it: {}",
                    fact.envelope.actor, decided.reason
                )
            }
            other => {
                let status = match (other.as_report(), other.as_change()) {
                    (Some(report), _) => report.status?,
                    (_, Some(change)) => change.status?,
                    _ => return None,
                };
                format!("the advertiser says {}", status.code())
            }
        };
        Some(Step::new("said", says).at(fact.position))
    });
    let said: Vec<Step> = said.collect();
    let undone = evidence.trace.as_ref().and_then(|trace| trace.undone);
    match undone.filter(|_| row.status == Status::Reversed) {
        Some(undone) => says.push_str(taken_by(undone)),
        None if row.status == Status::Reversed && said.is_empty() => {
            says.push_str(": nothing of it is left");
        }
        None if said.is_empty() => {
            says.push_str(": nobody said otherwise, so the rule's approval decides");
        }
        None => {}
    }
    Step::new("status", says).at(row.position).with(said)
}

fn taken_by(undone: Undone) -> &'static str {
    match undone {
        Undone::Refunds => ": all of it was refunded",
        Undone::Chargeback => ": all of it was charged back",
        Undone::Both => ": all of it was refunded and charged back",
        Undone::Abuse => ": for abuse",
    }
}

/// What refunds, chargebacks and abuse have taken.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all other facts say nothing of this"
)]
pub(super) fn changes(evidence: &Evidence) -> Option<Step> {
    let row = &evidence.conversion;
    let took = facts::own(evidence).filter_map(|fact| {
        let envelope = &fact.envelope;
        let says = match &envelope.fact {
            Fact::RefundReported(change) => format!("refund of {}", asked(change)),
            Fact::ChargebackReported(change) => format!("chargeback of {}", asked(change)),
            Fact::ChargebackWon(change) => format!("chargeback of {} won", asked(change)),
            Fact::AbuseReported(abuse) => format!("abuse: {}", abuse.abuse.code()),
            _ => return None,
        };
        let mut says = format!("{says}, at {}", envelope.occurred_at);
        let rate = rate_of_change(evidence, envelope.id);
        if rate.is_some_and(|rate| rate.rate.is_none()) {
            says.push_str(": waits for an exchange rate");
        }
        let rate = rate.map(derived::rate).into_iter();
        let step = Step::new("change", says).at(fact.position);
        Some(step.with(rate.collect()))
    });
    let took: Vec<Step> = took.collect();
    if took.is_empty() {
        return None;
    }
    let mut says = format!(
        "refunded {}, charged back {}",
        money(row.refunded_minor, row.currency),
        money(row.charged_back_minor, row.currency)
    );
    if row.over_refunded_minor > 0 {
        add(
            &mut says,
            format_args!(
                ", and {} more refunded than there was",
                money(row.over_refunded_minor, row.currency)
            ),
        );
    }
    Some(Step::new("changes", says).with(took))
}

/// The exchange rate of a change in another currency.
fn rate_of_change(evidence: &Evidence, id: FactId) -> Option<&RateTrace> {
    let mut rates = evidence.trace.as_ref()?.change_rates.iter();
    rates.find(|(of, _)| *of == id).map(|(_, rate)| rate)
}

fn asked(change: &ChangeReport) -> String {
    match (change.amount_minor, change.currency) {
        (Some(minor), Some(currency)) => money(minor, currency),
        _ => "all that remained".to_owned(),
    }
}
