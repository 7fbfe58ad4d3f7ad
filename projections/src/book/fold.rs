//! Takes each fact to what it concerns, and names the conversions it can touch.

use std::collections::BTreeSet;

use postbook_schemas::{
    Envelope, Fact, Outcome,
    postback::{ChangeReport, Report},
};

use super::Book;
use crate::{
    attempts::attempt_row,
    conversion::{Changed, Conversion, Keys},
    numbers::ConversionNumber,
    order::{OrderKey, short},
    posted::{Cause, Overflow},
    programme::coupon_code,
    rows::{Changes, ParkedRow},
};

type Touched = BTreeSet<ConversionNumber>;

impl Book {
    /// Folds one fact; a fact that is folded already changes nothing.
    pub(super) fn fold(
        &mut self,
        position: u64,
        envelope: &Envelope,
        changes: &mut Changes,
    ) -> Result<(), Overflow> {
        if self.ids.contains_key(&envelope.id) || !self.remember(position, envelope) {
            return Ok(());
        }
        changes.attempts.extend(attempt_row(position, envelope));
        let first_posting = changes.postings.len();
        let mut touched = Touched::new();
        let happened = self.take_in(position, envelope, changes, &mut touched);
        let cause = Cause {
            position,
            recorded_at: envelope.recorded_at,
            happened_at: happened.then_some(envelope.occurred_at),
        };
        let (cause, touched) = self.together(envelope, cause, touched);
        self.settle(touched, &cause, changes)?;
        self.pay(envelope, &cause, first_posting, changes)?;
        for posting in changes.postings.iter_mut().skip(first_posting) {
            self.postings = self.postings.saturating_add(1);
            posting.number = self.postings;
            posting.period = self.period_of(posting);
        }
        Ok(())
    }

    /// Remembers that a fact is folded; false if it was before. Reports are remembered by their
    /// conversions, clicks not at all: they change nothing twice.
    fn remember(&mut self, position: u64, envelope: &Envelope) -> bool {
        let is_click = matches!(envelope.fact, Fact::ClickRecorded(_));
        envelope.fact.as_report().is_some()
            || is_click
            || self.folded.insert(envelope.id, position).is_none()
    }

    /// Takes a fact in; true if it is something that happened, false if it says how things are.
    fn take_in(
        &mut self,
        position: u64,
        envelope: &Envelope,
        changes: &mut Changes,
        touched: &mut Touched,
    ) -> bool {
        match &envelope.fact {
            Fact::RegistrationReported(report)
            | Fact::FtdReported(report)
            | Fact::RevenueReported(report)
            | Fact::GoalReported(report)
            | Fact::ReactivationReported(report) => {
                self.take_report(position, envelope, report, changes, touched);
            }
            Fact::RefundReported(change)
            | Fact::ChargebackReported(change)
            | Fact::ChargebackWon(change)
            | Fact::StatusChanged(change) => {
                self.take_change(position, envelope, change, changes, touched);
            }
            Fact::AbuseReported(_)
            | Fact::ConversionDecided(_)
            | Fact::AttributionCorrected(_)
            | Fact::PayoutProposed(_)
            | Fact::PayoutApproved(_)
            | Fact::PayoutSent(_)
            | Fact::PayoutSettled(_)
            | Fact::PayoutFailed(_)
            | Fact::PayoutReturned(_)
            | Fact::AdjustmentPosted(_)
            | Fact::BalanceWrittenOff(_) => self.take_decision(position, envelope, touched),
            Fact::ClickRecorded(_)
            | Fact::OfferDefined(_)
            | Fact::PartnerDefined(_)
            | Fact::CouponDefined(_)
            | Fact::TermsPublished(_)
            | Fact::FxRateRecorded(_)
            | Fact::DerivationAdopted(_) => {
                self.take_definition(position, envelope, touched);
                return false;
            }
            Fact::PeriodClosed(closed) => {
                self.close(closed.period);
                return false;
            }
            Fact::PostbackRejected(_)
            | Fact::PostbackRepeated(_)
            | Fact::DisputeOpened(_)
            | Fact::DisputeCommented(_)
            | Fact::DisputeResolved(_)
            | Fact::ReconciliationRecorded(_)
            | Fact::ReconciliationResolved(_)
            | Fact::BrandDefined(_)
            | Fact::LinkDefined(_)
            | Fact::MappingDefined(_)
            | Fact::EndpointDefined(_)
            | Fact::CredentialRotated(_)
            | Fact::DeliverySucceeded(_)
            | Fact::DeliveryFailed(_)
            | Fact::DeliveryAbandoned(_)
            | Fact::StatementIssued(_)
            | Fact::AdjustmentProposed(_)
            | Fact::AdjustmentDeclined(_)
            | Fact::WhatifAdopted(_) => return false,
        }
        true
    }

    fn take_report(
        &mut self,
        position: u64,
        envelope: &Envelope,
        report: &Report,
        changes: &mut Changes,
        touched: &mut Touched,
    ) {
        let order = OrderKey::new(
            envelope.occurred_at,
            report.dedupe_key.as_deref(),
            envelope.id,
        );
        let key = report
            .dedupe_key
            .as_deref()
            .map(|key| short(&["dedupe", key]).to_be_bytes());
        if let Some(&number) = key.and_then(|key| self.by_dedupe_key.get(&key)) {
            self.merge(number, position, envelope, report, order, changes, touched);
            return;
        }
        let number = self.conversions.len();
        let mut conversion = Conversion::new(position, envelope.recorded_at, order, report);
        conversion.offer = self.programme.shared_offer(&conversion.offer);
        self.ids.insert(envelope.id, number);
        self.by_dedupe_key.extend(key.map(|key| (key, number)));
        self.by_offer
            .entry(conversion.offer.clone())
            .or_default()
            .push(number);
        self.conversions.push(Box::new(conversion));
        self.join_groups(number, changes, touched);
        touched.insert(number);
    }

    /// A second report under one dedupe key (which intake does not let in, but another store's log
    /// may hold): the earlier of the two, in the order of facts, is the conversion.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call site; a struct would say no more"
    )]
    fn merge(
        &mut self,
        number: ConversionNumber,
        position: u64,
        envelope: &Envelope,
        report: &Report,
        order: OrderKey,
        changes: &mut Changes,
        touched: &mut Touched,
    ) {
        self.ids.insert(envelope.id, number);
        let known = self.conversion_mut(number);
        known.aliases.push(envelope.id);
        touched.insert(number);
        if known.order <= order {
            return;
        }
        let mut earlier = Conversion::new(position, envelope.recorded_at, order, report);
        earlier.aliases.clone_from(&known.aliases);
        earlier.posted = std::mem::take(&mut known.posted);
        changes.merged.push(known.id());
        self.leave_pools(number, touched);
        self.leave_groups(number, touched);
        *self.conversion_mut(number) = earlier;
        self.join_groups(number, changes, touched);
    }

    /// Takes a conversion out of its groups, with the bond and the first of its kind that it may
    /// have been there; the others are touched, and derive those anew.
    fn leave_groups(&mut self, number: ConversionNumber, touched: &mut Touched) {
        let conversion = self.conversion_mut(number);
        conversion.counts = false;
        let (keys, order) = (conversion.keys, conversion.order.clone());
        let kind = conversion.kind.clone();
        for key in [keys.txn, keys.click, keys.customer].into_iter().flatten() {
            let Some(group) = self.groups.get_mut(&key) else {
                continue;
            };
            group.conversions.retain(|member| *member != number);
            touched.extend(group.conversions.iter().copied());
            if group.bond.as_ref().is_some_and(|bond| bond.order == order) {
                group.bond = None;
            }
            self.derive_first(key, &kind);
        }
    }

    /// Enters a conversion under its transaction, click, customer and coupon, and touches the
    /// others there whose changes it may draw to itself.
    fn join_groups(
        &mut self,
        number: ConversionNumber,
        changes: &mut Changes,
        touched: &mut Touched,
    ) {
        let conversion = self.conversion(number);
        let keys = conversion.keys;
        if let Some(code) = &conversion.references.coupon_code {
            let key = short(&["coupon", conversion.offer.as_str(), &coupon_code(code)]);
            self.by_coupon.entry(key).or_default().push(number);
        }
        for key in [keys.txn, keys.click, keys.customer].into_iter().flatten() {
            let group = self.groups.entry(key).or_default();
            if !group.changes().is_empty() {
                touched.extend(group.conversions.iter().copied());
            }
            group.add(number);
            if !group.changes().is_empty() {
                changes.parked.extend(self.unpark(key));
            }
        }
    }

    fn take_change(
        &mut self,
        position: u64,
        envelope: &Envelope,
        report: &ChangeReport,
        changes: &mut Changes,
        touched: &mut Touched,
    ) {
        if report.outcome == Outcome::Sandbox {
            return;
        }
        let order = OrderKey::new(
            envelope.occurred_at,
            report.dedupe_key.as_deref(),
            envelope.id,
        );
        let keys = Keys::of(&report.offer, &report.references, false);
        let Some(key) = keys.txn.or(keys.click).or(keys.customer) else {
            return;
        };
        let group = self.groups.entry(key).or_default();
        if !group.add_change(Changed::new(position, order, report)) {
            return;
        }
        touched.extend(group.conversions.iter().copied());
        let row = ParkedRow {
            position,
            waiting: true,
            offer: report.offer.clone(),
            change: report.change.code().to_owned(),
            txn_id: report.references.txn_id.clone(),
            click_id: report.references.click_id.clone(),
            customer_id: report.references.customer_id.clone(),
            recorded_at: envelope.recorded_at,
        };
        self.parked.insert(position, (key, row.clone()));
        if self
            .unpark(key)
            .iter()
            .all(|resolved| resolved.position != position)
        {
            changes.parked.push(row);
        }
    }
}
