//! What became of each attempt that was read again, for tables and for programs.

use postbook_schemas::{Envelope, Event, FactId, Instant, Outcome, postback::Rejected};
use serde::Serialize;
use serde_json::{Value, json};

use crate::intake::{evidence::Evidence, refusal::Refusal};

/// What became of the attempts, or would.
#[derive(Clone, Debug)]
pub struct Requeued {
    /// An attempt each, in the order in which they came in.
    pub rows: Vec<Row>,
    /// Where to go on, if there are more than were asked for.
    pub next_after: Option<u64>,
    is_applied: bool,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where its `postback.rejected` is.
    pub position: u64,
    /// Its id.
    pub attempt_id: FactId,
    /// When it came in.
    pub received_at: Instant,
    /// How it had ended.
    pub was: Outcome,
    /// The field that had been at fault.
    pub was_field: Option<String>,
    /// What the sender had been told.
    pub was_detail: String,
    /// What becomes of it.
    pub becomes: Becomes,
}

/// What becomes of an attempt.
#[derive(Clone, Debug)]
pub enum Becomes {
    /// It is a fact.
    Fact {
        /// `accepted`, `parked` or `sandbox`.
        outcome: Outcome,
        /// The id of its fact, once it is appended.
        fact_id: Option<FactId>,
        /// Where that is.
        position: Option<u64>,
        /// What it says.
        reading: Reading,
        /// What the sender would have been warned of.
        warnings: Vec<String>,
    },
    /// It says what was said before.
    Repeat {
        /// The first one; absent if that is in the same dry run.
        first_id: Option<FactId>,
        /// Whether it says something else.
        differs: bool,
        /// Where the repeat is, once it is appended.
        position: Option<u64>,
        /// What it says.
        reading: Reading,
    },
    /// It fails still.
    Refused(Refusal),
    /// It became a fact before, here.
    RequeuedBefore {
        /// Where that is.
        position: u64,
    },
    /// It cannot be read again.
    Unreadable(String),
}

/// What an attempt says, read under the mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The kind of conversion, the change or the abuse.
    pub event: String,
    /// The transaction.
    pub txn_id: Option<String>,
    /// The click.
    pub click_id: Option<String>,
    /// The customer.
    pub customer_id: Option<String>,
    /// The coupon.
    pub coupon_code: Option<String>,
    /// The amount in minor units.
    pub amount_minor: Option<i64>,
    /// Its currency.
    pub currency: String,
    /// The status.
    pub status: Option<&'static str>,
    /// When it happened.
    pub occurred_at: Instant,
}

impl Reading {
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        let form = evidence.good_form();
        let references = form.map(|form| form.references.clone()).unwrap_or_default();
        let event = form.map(|form| match &form.event {
            Event::Report(kind) => kind.code().to_owned(),
            Event::Change(change) => change.code().to_owned(),
            Event::Abuse(abuse) => abuse.code().to_owned(),
        });
        Self {
            event: event.unwrap_or_default(),
            txn_id: references.txn_id,
            click_id: references.click_id,
            customer_id: references.customer_id,
            coupon_code: references.coupon_code,
            amount_minor: form.and_then(|form| form.amount_minor),
            currency: form
                .map(|form| form.currency.to_string())
                .unwrap_or_default(),
            status: form
                .and_then(|form| form.status)
                .map(postbook_schemas::Status::code),
            occurred_at: form.and_then(|form| form.timestamp).unwrap_or(evidence.now),
        }
    }
}

impl Row {
    pub(super) fn new(
        position: u64,
        envelope: &Envelope,
        rejected: &Rejected,
        becomes: Becomes,
    ) -> Self {
        Self {
            position,
            attempt_id: envelope.id,
            received_at: envelope.recorded_at,
            was: rejected.outcome,
            was_field: rejected.field.clone(),
            was_detail: rejected.detail.clone(),
            becomes,
        }
    }

    fn to_json(&self) -> Value {
        let mut row = json!({
            "position": self.position,
            "attempt_id": self.attempt_id,
            "received_at": self.received_at,
            "was": {
                "outcome": self.was.code(), "field": self.was_field, "detail": self.was_detail,
            },
        });
        row["becomes"] = match &self.becomes {
            Becomes::Fact {
                outcome,
                fact_id,
                position,
                reading,
                warnings,
            } => json!({
                "result": "fact", "outcome": outcome.code(), "fact_id": fact_id,
                "position": position, "reads": reading, "warnings": warnings,
            }),
            Becomes::Repeat {
                first_id,
                differs,
                position,
                reading,
            } => json!({
                "result": "repeat", "outcome": Outcome::Duplicate.code(), "first_id": first_id,
                "differs": differs, "position": position, "reads": reading,
            }),
            Becomes::Refused(refusal) => json!({
                "result": "refused", "outcome": refusal.outcome.code(), "field": refusal.field,
                "detail": refusal.detail,
            }),
            Becomes::RequeuedBefore { position } => {
                json!({ "result": "requeued_before", "position": position })
            }
            Becomes::Unreadable(why) => json!({ "result": "unreadable", "detail": why }),
        };
        row
    }
}

impl Requeued {
    pub(super) fn new(is_applied: bool) -> Self {
        Self {
            rows: Vec::new(),
            next_after: None,
            is_applied,
        }
    }

    /// How many facts were appended.
    pub fn appended(&self) -> usize {
        let facts = self.rows.iter().filter(|row| {
            matches!(
                &row.becomes,
                Becomes::Fact {
                    position: Some(_),
                    ..
                }
            )
        });
        facts.count()
    }

    pub(super) fn last_appended(&self) -> Option<u64> {
        let positions = self.rows.iter().filter_map(|row| match &row.becomes {
            Becomes::Fact { position, .. } | Becomes::Repeat { position, .. } => *position,
            Becomes::Refused(_) | Becomes::RequeuedBefore { .. } | Becomes::Unreadable(_) => None,
        });
        positions.max()
    }

    /// As `POST /v1/requeue` answers it and `postbook requeue --json` prints it.
    pub fn to_json(&self) -> Value {
        let items: Vec<_> = self.rows.iter().map(Row::to_json).collect();
        json!({ "applied": self.is_applied, "items": items, "next_after": self.next_after })
    }
}
