//! How the rows of each table are laid out as columns.

use std::collections::HashMap;

use postbook_projections::rows::{
    Account, AttemptRow, CarryoverRow, ConversionRow, EarningLine, ParkedRow, PayoutRow, Posting,
};
use postbook_schemas::{Currency, FactId, Instant, ZeroReason};

use super::{
    batch::{Adjustment, CarriedLine, ClosedPeriod, StatementRow, Touch},
    insert::{Insert, Insertions, Kind, Values},
    words,
};

/// The prepared insertions of all tables.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    attempts: Insert,
    conversions: Insert,
    earnings: Insert,
    postings: Insert,
    entries: Insert,
    payouts: Insert,
    parked: Insert,
    payout_lines: Insert,
    carryovers: Insert,
    adjustments: Insert,
    touches: Insert,
    periods: Insert,
    issued: Insert,
}

#[rustfmt::skip]
impl Statements {
    /// The insertions into tables of this kind.
    pub(super) fn of(kind: Kind) -> Self {
        Self {
            attempts: Insert::new(kind, "attempts", &[
                "position", "id", "outcome", "fact_type", "offer", "click_id", "txn_id", "customer_id",
                "event_id", "event", "field", "detail", "differs", "endpoint", "address", "recorded_at",
            ]),
            conversions: Insert::new(kind, "conversions", &[
                "position", "id", "offer", "kind", "txn_id", "click_id", "customer_id", "coupon_code",
                "partner", "attributed_by", "attributed_click_id", "attribution_reason", "losers",
                "status", "approves_at", "amount_minor", "refunded_minor", "over_refunded_minor",
                "charged_back_minor", "currency", "occurred_at", "recorded_at", "sandbox",
            ]),
            earnings: Insert::new(kind, "earnings", &[
                "conversion_position", "line", "rule", "terms_version", "partner", "amount_minor",
                "currency", "state", "reason", "available_at", "earned_minor", "reversed_minor",
                "clawed_back_minor", "recovered_minor", "written_off_minor", "carried_minor", "payout_id",
            ]),
            postings: Insert::new(kind, "postings", &[
                "number", "cause", "kind", "conversion_id", "rule", "terms_version", "partner",
                "currency", "payout_id", "effective_at", "recorded_at", "period", "corrects", "earned_minor",
                "reversed_minor", "clawed_back_minor", "recovered_minor", "written_off_minor",
                "adjusted_minor", "paid_minor",
            ]),
            entries: Insert::new(kind, "entries", &[
                "posting", "side", "account_id", "currency", "amount_minor", "available_at",
                "effective_at", "recorded_at",
            ]),
            payouts: Insert::new(kind, "payouts", &[
                "position", "id", "partner", "currency", "amount_minor", "recovered_minor",
                "line_count", "state", "reference", "proposed_at", "changed_at",
            ]),
            parked: Insert::new(kind, "parked", &[
                "position", "waiting", "offer", "change", "txn_id", "click_id", "customer_id",
                "recorded_at",
            ]),
            payout_lines: Insert::new(kind, "payout_lines", &[
                "payout_id", "line", "subject_id", "rule", "amount_minor",
            ]),
            adjustments: Insert::new(kind, "adjustments", &[
                "position", "id", "partner", "amount_minor", "currency", "reason", "occurred_at",
                "recorded_at",
            ]),
            carryovers: Insert::new(kind, "carryovers", &[
                "id", "partner", "currency", "offer", "month", "amount_minor", "ends_at",
                "available_at",
            ]),
            touches: Insert::new(kind, "touches", &["subject_id", "position"]),
            periods: Insert::new(kind, "periods", &["position", "period", "actor", "reason", "closed_at"]),
            issued: Insert::new(kind, "statements", &[
                "position", "id", "partner", "currency", "period", "number", "opening_minor",
                "closing_minor", "issued_at",
            ]),
        }
    }
}

fn id(id: &FactId) -> &[u8] {
    id.as_bytes()
}

impl Statements {
    pub(super) fn attempts<'r>(&'r self, rows: &'r [AttemptRow]) -> Insertions<'r> {
        self.attempts.of(rows.iter(), rows.len(), |values, row| {
            values.push(row.position.cast_signed());
            values.push(id(&row.id));
            values.push(row.outcome.code());
            values.push(row.fact_type.as_str());
            values.text(row.offer.as_ref().map(AsRef::as_ref));
            values.text(row.click_id.as_deref());
            values.text(row.txn_id.as_deref());
            values.text(row.customer_id.as_deref());
            values.text(row.event_id.as_deref());
            values.text(row.event.as_deref());
            values.text(row.field.as_deref());
            values.text(row.detail.as_deref());
            values.push(i64::from(row.differs));
            values.push(row.endpoint.as_str());
            values.text(row.address.as_deref());
            values.push(row.recorded_at.micros());
        })
    }

    pub(super) fn conversions<'r>(&'r self, rows: &'r [&'r ConversionRow]) -> Insertions<'r> {
        self.conversions.of(rows.iter(), rows.len(), |values, row| {
            conversion(values, row);
        })
    }

    pub(super) fn earnings<'r>(&'r self, rows: &'r [&'r ConversionRow]) -> Insertions<'r> {
        let count = rows.iter().map(|row| row.earnings.len()).sum();
        let lines = rows.iter().flat_map(|row| {
            (0_i64..)
                .zip(&row.earnings)
                .map(|(number, line)| (row.position, number, line))
        });
        self.earnings
            .of(lines, count, |values, (position, number, line)| {
                values.push(position.cast_signed());
                values.push(number);
                earning(values, line);
            })
    }

    pub(super) fn postings<'r>(&'r self, rows: &'r [Posting]) -> Insertions<'r> {
        self.postings.of(rows.iter(), rows.len(), |values, row| {
            values.push(row.number.cast_signed());
            values.push(row.cause.cast_signed());
            values.push(row.kind.code());
            values.push(row.conversion_id.as_ref().map(id));
            values.text(row.rule.as_deref());
            values.text(row.terms_version.as_deref());
            values.push(row.partner.as_str());
            values.push(row.currency.code());
            values.push(row.payout_id.as_ref().map(id));
            values.push(row.effective_at.micros());
            values.push(row.recorded_at.micros());
            values.push(row.period.month.to_string().as_str());
            let corrects = row.period.corrects.map(|month| month.to_string());
            values.text(corrects.as_deref());
            values.push(row.memo.earned_minor);
            values.push(row.memo.reversed_minor);
            values.push(row.memo.clawed_back_minor);
            values.push(row.memo.recovered_minor);
            values.push(row.memo.written_off_minor);
            values.push(row.memo.adjusted_minor);
            values.push(row.memo.paid_minor);
        })
    }

    pub(super) fn entries<'r>(
        &'r self,
        postings: &'r [Posting],
        accounts: &'r HashMap<Account, i64>,
    ) -> Insertions<'r> {
        let count = postings.iter().map(|posting| posting.entries.len()).sum();
        let entries = postings.iter().flat_map(|posting| {
            (0_i64..)
                .zip(&posting.entries)
                .map(move |(side, entry)| (posting, side, entry))
        });
        self.entries
            .of(entries, count, |values, (posting, side, entry)| {
                values.push(posting.number.cast_signed());
                values.push(side);
                values.push(accounts.get(&entry.account).copied());
                values.push(posting.currency.code());
                values.push(entry.amount_minor);
                values.push(entry.available_at.map(Instant::micros));
                values.push(posting.effective_at.micros());
                values.push(posting.recorded_at.micros());
            })
    }

    pub(super) fn payouts<'r>(&'r self, rows: &'r [&'r PayoutRow]) -> Insertions<'r> {
        self.payouts.of(rows.iter(), rows.len(), |values, row| {
            values.push(row.position.cast_signed());
            values.push(id(&row.id));
            values.push(row.partner.as_str());
            values.push(row.currency.code());
            values.push(row.amount_minor);
            values.push(row.recovered_minor);
            values.push(row.lines.cast_signed());
            values.push(row.state.code());
            values.text(row.reference.as_deref());
            values.push(row.proposed_at.micros());
            values.push(row.changed_at.micros());
        })
    }

    pub(super) fn parked<'r>(&'r self, rows: &'r [&'r ParkedRow]) -> Insertions<'r> {
        self.parked.of(rows.iter(), rows.len(), |values, row| {
            values.push(row.position.cast_signed());
            values.push(i64::from(row.waiting));
            values.push(row.offer.as_str());
            values.push(row.change.as_str());
            values.text(row.txn_id.as_deref());
            values.text(row.click_id.as_deref());
            values.text(row.customer_id.as_deref());
            values.push(row.recorded_at.micros());
        })
    }

    pub(super) fn carried_lines<'r>(&'r self, rows: &'r [CarriedLine]) -> Insertions<'r> {
        self.payout_lines
            .of(rows.iter(), rows.len(), |values, row| {
                values.push(id(&row.payout_id));
                values.push(row.line.cast_signed());
                values.push(id(&row.subject_id));
                values.text(row.rule.as_deref());
                values.push(row.amount_minor);
            })
    }

    pub(super) fn adjustments<'r>(&'r self, rows: &'r [Adjustment]) -> Insertions<'r> {
        self.adjustments.of(rows.iter(), rows.len(), |values, row| {
            values.push(row.position.cast_signed());
            values.push(id(&row.id));
            values.push(row.partner.as_str());
            values.push(row.amount_minor);
            values.push(row.currency.code());
            values.push(row.reason.as_str());
            values.push(row.occurred_at.micros());
            values.push(row.recorded_at.micros());
        })
    }

    pub(super) fn carryovers<'r>(&'r self, rows: &'r [&'r CarryoverRow]) -> Insertions<'r> {
        self.carryovers.of(rows.iter(), rows.len(), |values, row| {
            values.push(id(&row.id));
            values.push(row.partner.as_str());
            values.push(row.currency.code());
            values.text(row.offer.as_ref().map(AsRef::as_ref));
            values.push(row.month.to_string().as_str());
            values.push(row.amount_minor);
            values.push(row.ends_at.micros());
            values.push(row.available_at.micros());
        })
    }

    pub(super) fn periods<'r>(&'r self, rows: &'r [ClosedPeriod]) -> Insertions<'r> {
        self.periods.of(rows.iter(), rows.len(), |values, row| {
            values.push(row.position.cast_signed());
            values.push(row.period.to_string().as_str());
            values.push(row.actor.as_str());
            values.push(row.reason.as_str());
            values.push(row.closed_at.micros());
        })
    }

    pub(super) fn statements<'r>(&'r self, rows: &'r [StatementRow]) -> Insertions<'r> {
        self.issued.of(rows.iter(), rows.len(), |values, row| {
            values.push(row.position.cast_signed());
            values.push(id(&row.id));
            values.push(row.partner.as_str());
            values.push(row.currency.code());
            values.push(row.period.to_string().as_str());
            values.push(row.number.cast_signed());
            values.push(row.opening_minor);
            values.push(row.closing_minor);
            values.push(row.issued_at.micros());
        })
    }

    pub(super) fn touches<'r>(&'r self, rows: &'r [Touch]) -> Insertions<'r> {
        self.touches.of(rows.iter(), rows.len(), |values, row| {
            values.push(id(&row.subject_id));
            values.push(row.position.cast_signed());
        })
    }
}

fn conversion(values: &mut Values, row: &ConversionRow) {
    let attribution = &row.attribution;
    values.push(row.position.cast_signed());
    values.push(id(&row.id));
    values.push(row.offer.as_str());
    values.push(row.kind.code());
    values.text(row.txn_id.as_deref());
    values.text(row.click_id.as_deref());
    values.text(row.customer_id.as_deref());
    values.text(row.coupon_code.as_deref());
    values.text(attribution.partner.as_ref().map(AsRef::as_ref));
    values.text(attribution.by.map(words::attributed_by));
    values.text(attribution.click_id.as_deref());
    values.push(&*attribution.reason);
    let losers = serde_json::to_string(&attribution.losers);
    values.push(&*losers.expect("a list of texts can be written as JSON"));
    values.push(row.status.code());
    values.push(row.approves_at.map(Instant::micros));
    values.push(row.amount_minor);
    values.push(row.refunded_minor);
    values.push(row.over_refunded_minor);
    values.push(row.charged_back_minor);
    values.push(row.currency.code());
    values.push(row.occurred_at.micros());
    values.push(row.recorded_at.micros());
    values.push(i64::from(row.sandbox));
}

fn earning(values: &mut Values, line: &EarningLine) {
    values.text(line.rule.as_deref());
    values.text(line.terms_version.as_deref());
    values.text(line.partner.as_ref().map(AsRef::as_ref));
    values.push(line.amount_minor);
    values.text(line.currency.as_ref().map(Currency::code));
    values.push(line.state.code());
    values.text(line.reason.map(ZeroReason::code));
    values.push(line.available_at.map(Instant::micros));
    values.push(line.earned_minor);
    values.push(line.reversed_minor);
    values.push(line.clawed_back_minor);
    values.push(line.recovered_minor);
    values.push(line.written_off_minor);
    values.push(line.carried_minor);
    values.push(line.payout_id.as_ref().map(id));
}
