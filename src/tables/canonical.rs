//! Rows as bytes, in one way only: what the digest of the read models is made of.
//!
//! Each row is a tag of its table and its fields in the order written here. A text is its length
//! (four bytes) and its bytes, a number eight bytes, an id sixteen, all little-endian; whatever may
//! be absent has a byte before it that says whether it is there. So no two different rows have the
//! same bytes, and the bytes do not depend on a database's way of storing them.

use postbook_projections::rows::{
    AttemptRow, CarryoverRow, ConversionRow, EarningLine, Entry, ParkedRow, PayoutRow, Posting,
};
use postbook_schemas::{FactId, Instant, Month};

use super::{
    batch::{Adjustment, CarriedLine, ClosedPeriod, StatementRow, Touch},
    words,
};

/// A row with one form in bytes.
pub trait Canonical {
    /// Appends the row's bytes.
    fn write_canonical(&self, out: &mut Bytes);
}

/// Bytes being written.
#[derive(Clone, Debug, Default)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// What was written.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Starts again with a table's tag.
    pub fn begin(&mut self, tag: u8) {
        self.0.clear();
        self.0.push(tag);
    }

    fn text(&mut self, text: &str) {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn count(&mut self, count: u64) {
        self.0.extend_from_slice(&count.to_le_bytes());
    }

    fn time(&mut self, time: Instant) {
        self.number(time.micros());
    }

    fn month(&mut self, month: Month) {
        self.text(&month.to_string());
    }

    fn id(&mut self, id: FactId) {
        self.0.extend_from_slice(id.as_bytes());
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn text_option(&mut self, text: Option<&str>) {
        self.option(text, Self::text);
    }
}

impl Canonical for AttemptRow {
    fn write_canonical(&self, out: &mut Bytes) {
        out.begin(1);
        out.count(self.position);
        out.id(self.id);
        out.text(self.outcome.code());
        out.text(&self.fact_type);
        out.text_option(self.offer.as_ref().map(AsRef::as_ref));
        out.text_option(self.click_id.as_deref());
        out.text_option(self.txn_id.as_deref());
        out.text_option(self.customer_id.as_deref());
        out.text_option(self.event_id.as_deref());
        out.text_option(self.event.as_deref());
        out.text_option(self.field.as_deref());
        out.text_option(self.detail.as_deref());
        out.0.push(u8::from(self.differs));
        out.text(&self.endpoint);
        out.text_option(self.address.as_deref());
        out.time(self.recorded_at);
    }
}

impl Canonical for ConversionRow {
    fn write_canonical(&self, out: &mut Bytes) {
        out.begin(2);
        out.count(self.position);
        out.id(self.id);
        out.text(self.offer.as_str());
        out.text(self.kind.code());
        out.text_option(self.txn_id.as_deref());
        out.text_option(self.click_id.as_deref());
        out.text_option(self.customer_id.as_deref());
        out.text_option(self.coupon_code.as_deref());
        out.text_option(self.attribution.partner.as_ref().map(AsRef::as_ref));
        out.text_option(self.attribution.by.map(words::attributed_by));
        out.text_option(self.attribution.click_id.as_deref());
        out.text(&self.attribution.reason);
        out.count(self.attribution.losers.len() as u64);
        for loser in &self.attribution.losers {
            out.text(loser.by.code());
            out.text_option(loser.partner.as_ref().map(AsRef::as_ref));
            out.text(&loser.reason);
        }
        out.text(self.status.code());
        out.option(self.approves_at, Bytes::time);
        out.option(self.amount_minor, Bytes::number);
        out.number(self.refunded_minor);
        out.number(self.over_refunded_minor);
        out.number(self.charged_back_minor);
        out.text(self.currency.code());
        out.time(self.occurred_at);
        out.time(self.recorded_at);
        out.0.push(u8::from(self.sandbox));
        out.count(self.earnings.len() as u64);
        for line in &self.earnings {
            write_line(line, out);
        }
    }
}

fn write_line(line: &EarningLine, out: &mut Bytes) {
    out.text_option(line.rule.as_deref());
    out.text_option(line.terms_version.as_deref());
    out.text_option(line.partner.as_ref().map(AsRef::as_ref));
    out.number(line.amount_minor);
    out.text_option(line.currency.as_ref().map(postbook_schemas::Currency::code));
    out.text(line.state.code());
    out.text_option(line.reason.map(postbook_schemas::ZeroReason::code));
    out.option(line.available_at, Bytes::time);
    out.number(line.earned_minor);
    out.number(line.reversed_minor);
    out.number(line.clawed_back_minor);
    out.number(line.recovered_minor);
    out.number(line.written_off_minor);
    out.number(line.carried_minor);
    out.option(line.payout_id, Bytes::id);
}

impl Canonical for Posting {
    fn write_canonical(&self, out: &mut Bytes) {
        out.begin(3);
        out.count(self.number);
        out.count(self.cause);
        out.text(self.kind.code());
        out.option(self.conversion_id, Bytes::id);
        out.text_option(self.rule.as_deref());
        out.text_option(self.terms_version.as_deref());
        out.text(self.partner.as_str());
        out.text(self.currency.code());
        out.option(self.payout_id, Bytes::id);
        out.time(self.effective_at);
        out.time(self.recorded_at);
        out.month(self.period.month);
        out.option(self.period.corrects, Bytes::month);
        let memo = &self.memo;
        for amount in [
            memo.earned_minor,
            memo.reversed_minor,
            memo.clawed_back_minor,
            memo.recovered_minor,
            memo.written_off_minor,
            memo.adjusted_minor,
            memo.paid_minor,
        ] {
            out.number(amount);
        }
        out.count(self.entries.len() as u64);
        for Entry {
            account,
            amount_minor,
            available_at,
        } in &self.entries
        {
            out.text(words::account_kind(account));
            out.text_option(words::account_partner(account));
            out.text_option(words::account_offer(account));
            out.number(*amount_minor);
            out.option(*available_at, Bytes::time);
        }
    }
}

impl Canonical for PayoutRow {
    fn write_canonical(&self, out: &mut Bytes) {
        out.begin(4);
        out.count(self.position);
        out.id(self.id);
        out.text(self.partner.as_str());
        out.text(self.currency.code());
        out.number(self.amount_minor);
        out.number(self.recovered_minor);
        out.count(self.lines);
        out.text(self.state.code());
        out.text_option(self.reference.as_deref());
        out.time(self.proposed_at);
        out.time(self.changed_at);
    }
}

impl Canonical for ParkedRow {
    fn write_canonical(&self, out: &mut Bytes) {
        out.begin(5);
        out.count(self.position);
        out.0.push(u8::from(self.waiting));
        out.text(self.offer.as_str());
        out.text(&self.change);
        out.text_option(self.txn_id.as_deref());
        out.text_option(self.click_id.as_deref());
        out.text_option(self.customer_id.as_deref());
        out.time(self.recorded_at);
    }
}

impl Canonical for CarryoverRow {
    fn write_canonical(&self, out: &mut Bytes) {
        out.begin(11);
        out.id(self.id);
        out.text(self.partner.as_str());
        out.text(self.currency.code());
        out.text_option(self.offer.as_ref().map(AsRef::as_ref));
        out.month(self.month);
        out.number(self.amount_minor);
        out.time(self.ends_at);
        out.time(self.available_at);
    }
}

impl Canonical for CarriedLine {
    fn write_canonical(&self, out: &mut Bytes) {
        out.begin(6);
        out.id(self.payout_id);
        out.count(self.line);
        out.id(self.subject_id);
        out.text_option(self.rule.as_deref());
        out.number(self.amount_minor);
    }
}

impl Canonical for Adjustment {
    fn write_canonical(&self, out: &mut Bytes) {
        out.begin(7);
        out.count(self.position);
        out.id(self.id);
        out.text(self.partner.as_str());
        out.number(self.amount_minor);
        out.text(self.currency.code());
        out.text(&self.reason);
        out.time(self.occurred_at);
        out.time(self.recorded_at);
    }
}

impl Canonical for Touch {
    fn write_canonical(&self, out: &mut Bytes) {
        out.begin(8);
        out.id(self.subject_id);
        out.count(self.position);
    }
}

impl Canonical for ClosedPeriod {
    fn write_canonical(&self, out: &mut Bytes) {
        out.begin(9);
        out.count(self.position);
        out.month(self.period);
        out.text(&self.actor);
        out.text(&self.reason);
        out.time(self.closed_at);
    }
}

impl Canonical for StatementRow {
    fn write_canonical(&self, out: &mut Bytes) {
        out.begin(10);
        out.count(self.position);
        out.id(self.id);
        out.text(self.partner.as_str());
        out.text(self.currency.code());
        out.month(self.period);
        out.count(self.number);
        out.number(self.opening_minor);
        out.number(self.closing_minor);
        out.time(self.issued_at);
    }
}
