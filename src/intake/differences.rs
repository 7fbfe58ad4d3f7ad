//! How a repeated postback differs from the first one.

use postbook_schemas::{
    Abuse, Change, Envelope, Event, Fact,
    postback::{Difference, References},
};

use super::form::Form;

/// The fields whose values differ between the first fact and a repeat of it.
pub(crate) fn between(first: &Envelope, repeat: &Form) -> Vec<Difference> {
    let mut found = Found(Vec::new());
    match &first.fact {
        Fact::AbuseReported(report) => {
            found.compare(
                "event",
                Some(report.abuse.code()),
                Some(word(&repeat.event)),
            );
            found.references(&report.references, &repeat.references);
        }
        fact => {
            if let Some(report) = fact.as_report() {
                found.compare("event", Some(report.kind.code()), Some(word(&repeat.event)));
                found.references(&report.references, &repeat.references);
                found.compare("amount_minor", report.amount_minor, repeat.amount_minor);
                found.compare("currency", Some(report.currency), Some(repeat.currency));
                let payout = repeat.payout.map(|payout| payout.minor);
                found.compare("payout_minor", report.payout_minor, payout);
                found.compare("quantity", report.quantity, repeat.quantity);
                let status = |status: postbook_schemas::Status| status.code();
                found.compare(
                    "status",
                    report.status.map(status),
                    repeat.status.map(status),
                );
                found.maps("", &report.subs, &repeat.subs);
                found.maps("metadata.", &report.metadata, &repeat.metadata);
            } else if let Some(change) = fact.as_change() {
                found.compare(
                    "event",
                    Some(change.change.code()),
                    Some(word(&repeat.event)),
                );
                found.references(&change.references, &repeat.references);
                found.compare("amount_minor", change.amount_minor, repeat.amount_minor);
                let currency = repeat.amount_minor.map(|_| repeat.currency);
                found.compare("currency", change.currency, currency);
                if change.change == Change::Status {
                    let code = |status: postbook_schemas::Status| status.code();
                    found.compare("status", change.status.map(code), repeat.status.map(code));
                }
            }
        }
    }
    if let Some(timestamp) = repeat.timestamp {
        found.compare("timestamp", Some(first.occurred_at), Some(timestamp));
    }
    found.0
}

fn word(event: &Event) -> &str {
    match event {
        Event::Report(kind) => kind.code(),
        Event::Change(change) => Change::code(*change),
        Event::Abuse(abuse) => Abuse::code(*abuse),
    }
}

struct Found(Vec<Difference>);

impl Found {
    fn compare<T: PartialEq + ToString>(
        &mut self,
        field: impl Into<String>,
        first: Option<T>,
        repeat: Option<T>,
    ) {
        if first != repeat {
            self.0.push(Difference {
                field: field.into(),
                first: first.map(|value| value.to_string()),
                repeat: repeat.map(|value| value.to_string()),
            });
        }
    }

    fn references(&mut self, first: &References, repeat: &References) {
        for (field, first, repeat) in [
            ("txn_id", &first.txn_id, &repeat.txn_id),
            ("event_id", &first.event_id, &repeat.event_id),
            ("click_id", &first.click_id, &repeat.click_id),
            ("customer_id", &first.customer_id, &repeat.customer_id),
            ("coupon_code", &first.coupon_code, &repeat.coupon_code),
        ] {
            self.compare(field, first.as_deref(), repeat.as_deref());
        }
    }

    fn maps(
        &mut self,
        prefix: &str,
        first: &std::collections::BTreeMap<String, String>,
        repeat: &std::collections::BTreeMap<String, String>,
    ) {
        let only_new = repeat.keys().filter(|key| !first.contains_key(*key));
        for key in first.keys().chain(only_new) {
            let field = format!("{prefix}{key}");
            self.compare(field, first.get(key), repeat.get(key));
        }
    }
}
