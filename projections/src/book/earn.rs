//! Derives the earning lines of a conversion and posts what differs from what was posted before.

use std::collections::BTreeSet;

use postbook_schemas::{Currency, FactId, Instant, Slug, Status, ZeroReason};

use super::{
    Book,
    lines::{Situation, line, standing, zero_line},
};
use crate::{
    conversion::Conversion,
    numbers::ConversionNumber,
    payouts::{Carried, line_memo},
    posted::{Cause, Overflow, PostedLine, Standing, differences},
    pricing::Remaining,
    rows::{Changes, ConversionRow, EarningLine, LineState},
    standing::taken,
};

type Touched = BTreeSet<ConversionNumber>;
type Lines = (Vec<EarningLine>, Vec<PostedLine>);

impl Book {
    /// Derives the lines of the touched conversions and posts the differences.
    pub(super) fn derive_lines(
        &mut self,
        touched: Touched,
        cause: &Cause,
        changes: &mut Changes,
    ) -> Result<(), Overflow> {
        // A cap by amount hands a change on to later members; their prices before the cap do not
        // change with it, so this ends.
        let mut all = touched.clone();
        let mut next = touched;
        while let Some(number) = next.pop_first() {
            if self.conversion(number).pools.is_empty() {
                continue;
            }
            let mut later = Touched::new();
            self.lines_of(number, &mut later)?;
            all.extend(later.iter().copied());
            next.append(&mut later);
        }
        for number in all {
            self.post(number, cause, changes)?;
        }
        Ok(())
    }

    fn post(
        &mut self,
        number: ConversionNumber,
        cause: &Cause,
        changes: &mut Changes,
    ) -> Result<(), Overflow> {
        let (rows, posted) = self.lines_of(number, &mut Touched::new())?;
        self.await_rates(number);
        let conversion = self.conversion(number);
        let about = (conversion.id(), &conversion.offer, conversion.occurred_at());
        changes
            .postings
            .extend(differences(&conversion.posted, &posted, about, cause)?);
        let row = self.row(conversion, rows);
        self.conversion_mut(number).posted = posted;
        changes.conversions.push(row);
        Ok(())
    }

    /// Remembers which rates turn changes in another currency into the conversion's own.
    fn await_rates(&mut self, number: ConversionNumber) {
        let conversion = self.conversion(number);
        let own = conversion.currency;
        let others: Vec<Currency> = self
            .changes_of(conversion)
            .iter()
            .filter_map(|change| change.currency.filter(|&currency| currency != own))
            .collect();
        for other in others {
            self.rate_users
                .entry((other, own))
                .or_default()
                .insert(number);
        }
    }

    /// The lines of a conversion as the facts stand: of who is credited, of who would be without
    /// people's corrections (worth nothing now), and of whoever was paid for it.
    fn lines_of(
        &mut self,
        number: ConversionNumber,
        later: &mut Touched,
    ) -> Result<Lines, Overflow> {
        let (mut rows, mut posted) = (Vec::new(), Vec::new());
        let conversion = self.conversion(number);
        if conversion.sandbox {
            rows.push(zero_line(None, None, None, ZeroReason::Sandbox));
            return Ok((rows, posted));
        }
        let attribution = conversion.attribution.clone();
        if let Some(partner) = &attribution.partner {
            self.lines_for(number, partner, None, later, &mut rows, &mut posted)?;
        } else {
            let outside = attribution.reason == "outside_window";
            let reason = if outside {
                ZeroReason::OutsideWindow
            } else {
                ZeroReason::Unattributed
            };
            rows.push(zero_line(None, None, None, reason));
        }
        if !self.corrections.is_empty() {
            let conversion = self.conversion(number);
            let uncorrected = self.attribution(conversion, true, false).partner;
            if let Some(partner) = uncorrected.filter(|p| attribution.partner.as_ref() != Some(p)) {
                let lost = Some(ZeroReason::Unattributed);
                let mut base_rows = Vec::new();
                self.lines_for(number, &partner, lost, later, &mut base_rows, &mut posted)?;
                rows.extend(base_rows.into_iter().filter(|row| row.earned_minor != 0));
            }
        }
        self.paid_lines(number, &mut rows, &mut posted)?;
        Ok((rows, posted))
    }

    /// The lines that the rules give one partner; all worth nothing if they are `lost`.
    fn lines_for(
        &mut self,
        number: ConversionNumber,
        partner: &Slug,
        lost: Option<ZeroReason>,
        later: &mut Touched,
        rows: &mut Vec<EarningLine>,
        posted: &mut Vec<PostedLine>,
    ) -> Result<(), Overflow> {
        let conversion = self.conversion(number);
        let some = Some(partner.clone());
        let Some(currency) = self.programme.partner_currency(partner) else {
            rows.push(zero_line(None, some, None, ZeroReason::AwaitingFx));
            return Ok(());
        };
        let Some(matched) = self.matched(conversion, partner) else {
            rows.push(zero_line(None, some, Some(currency), ZeroReason::NoRule));
            return Ok(());
        };
        let terms = matched.terms;
        let occurred_at = conversion.occurred_at();
        let Situation { status, money, .. } = self.situation(conversion);
        for rule in matched
            .rules
            .iter()
            .filter_map(|&place| terms.rules.get(place))
        {
            let conversion = self.conversion(number);
            let situation = Situation {
                conversion,
                status,
                money: money.clone(),
            };
            let (_, mut left) = self.left(rule, &situation);
            let carried = self.carried(conversion, &rule.id, partner, currency);
            let refused = status.filter(|since| is_taken_back(since.status));
            if let Some(reason) = lost.or(refused.map(|_| ZeroReason::Rejected)) {
                left = Remaining {
                    part: 0,
                    of: 1,
                    fee: false,
                    reason: Some(reason),
                };
            }
            let given = self.given(&terms, rule, number, partner, currency, &left, later);
            let standing = standing(rule, status, occurred_at);
            let (row, line) = line(
                (&terms, rule),
                partner,
                currency,
                &given,
                standing,
                &carried,
            )
            .ok_or(Overflow)?;
            rows.push(row);
            posted.push(line);
        }
        if matched.rules.is_empty() {
            let unmet = matched
                .unmet
                .iter()
                .filter_map(|&place| terms.rules.get(place));
            rows.extend(unmet.map(|rule| {
                let reason = ZeroReason::ConditionUnmet;
                zero_line(Some((&terms, rule)), some.clone(), Some(currency), reason)
            }));
            if matched.unmet.is_empty() {
                rows.push(zero_line(None, some, Some(currency), ZeroReason::NoRule));
            }
        }
        Ok(())
    }

    /// Lines that a payout carried and that no rule gives any more: the partner owes them.
    fn paid_lines(
        &self,
        number: ConversionNumber,
        rows: &mut Vec<EarningLine>,
        posted: &mut Vec<PostedLine>,
    ) -> Result<(), Overflow> {
        let conversion = self.conversion(number);
        for (rule, payout_id) in self.carriers.lines(&conversion.aliases) {
            let Some((partner, currency)) = self.payee(&payout_id) else {
                continue;
            };
            let is_known = posted.iter().any(|line| {
                line.rule == rule && line.partner == *partner && line.currency == currency
            });
            if is_known {
                continue;
            }
            let carried = self.carried(conversion, &rule, partner, currency);
            let memo = line_memo(0, 0, &carried).ok_or(Overflow)?;
            let before = conversion.posted.iter().find(|line| line.rule == rule);
            let terms_version = before.map_or_else(String::new, |line| line.terms_version.clone());
            let mut row = zero_line(
                None,
                Some(partner.clone()),
                Some(currency),
                ZeroReason::Unattributed,
            );
            row.rule = Some(rule.clone());
            row.earned_minor = memo.earned_minor;
            row.clawed_back_minor = memo.clawed_back_minor;
            row.recovered_minor = memo.recovered_minor;
            row.carried_minor = carried.now_minor;
            row.payout_id = carried.payout_id;
            rows.push(row);
            posted.push(PostedLine {
                rule,
                terms_version,
                partner: partner.clone(),
                currency,
                amount_minor: 0,
                standing: Standing::Pending { approves: None },
                memo,
                payout_id: carried.payout_id,
            });
        }
        Ok(())
    }

    fn payee(&self, payout_id: &FactId) -> Option<(&Slug, Currency)> {
        let (_, _, proposed) = self.payouts.get(payout_id)?.proposed.as_ref()?;
        Some((&proposed.partner, proposed.currency))
    }

    fn carried(
        &self,
        conversion: &Conversion,
        rule: &str,
        partner: &Slug,
        currency: Currency,
    ) -> Carried {
        self.carriers.of(&conversion.aliases, rule, |payout_id| {
            self.payee(payout_id) == Some((partner, currency))
        })
    }

    fn row(&self, conversion: &Conversion, earnings: Vec<EarningLine>) -> ConversionRow {
        let situation = self.situation(conversion);
        let taken = taken(conversion.amount_minor, situation.money.iter().copied());
        let (status, approves_at) = self.shown_status(&situation, &earnings, conversion);
        let references = &conversion.references;
        ConversionRow {
            id: conversion.id(),
            position: conversion.position,
            offer: conversion.offer.clone(),
            kind: conversion.kind.clone(),
            txn_id: references.txn_id.clone(),
            click_id: references.click_id.clone(),
            customer_id: references.customer_id.clone(),
            coupon_code: references.coupon_code.clone(),
            attribution: conversion.attribution.clone(),
            status,
            approves_at,
            amount_minor: conversion.amount_minor,
            refunded_minor: taken.refunded_minor,
            over_refunded_minor: taken.over_refunded_minor,
            charged_back_minor: taken.charged_back_minor,
            currency: conversion.currency,
            occurred_at: conversion.occurred_at(),
            recorded_at: conversion.recorded_at,
            sandbox: conversion.sandbox,
            earnings,
        }
    }

    /// The status that is shown: what facts or approval say, and `reversed` where refunds, a
    /// chargeback or abuse have undone all of it.
    fn shown_status(
        &self,
        situation: &Situation<'_>,
        earnings: &[EarningLine],
        conversion: &Conversion,
    ) -> (Status, Option<Instant>) {
        let by_facts = situation.status.map(|since| since.status);
        if let Some(status) = by_facts.filter(|status| is_taken_back(*status)) {
            return (status, None);
        }
        let amount = conversion.amount_minor.unwrap_or(0).max(0);
        let taken = taken(conversion.amount_minor, situation.money.iter().copied());
        let gone = taken
            .refunded_minor
            .saturating_add(taken.charged_back_minor);
        let undone = (taken.refunded || taken.charged_back) && gone >= amount;
        if undone || self.is_abused(conversion, Instant::MAX) {
            return (Status::Reversed, None);
        }
        if let Some(status) = by_facts {
            return (status, None);
        }
        let is_pending = earnings.iter().any(|line| line.state == LineState::Pending)
            && !earnings
                .iter()
                .any(|line| line.state == LineState::Approved);
        if !is_pending {
            return (Status::Approved, None);
        }
        let approves_at = conversion.attribution.partner.as_ref().and_then(|partner| {
            let matched = self.matched(conversion, partner)?;
            let rules = matched
                .rules
                .iter()
                .filter_map(|&place| matched.terms.rules.get(place));
            rules
                .filter_map(
                    |rule| match standing(rule, None, conversion.occurred_at()) {
                        Standing::Pending { approves } => approves.map(|(at, _)| at),
                        Standing::Approved { .. } => None,
                    },
                )
                .min()
        });
        (Status::Pending, approves_at)
    }
}

fn is_taken_back(status: Status) -> bool {
    matches!(status, Status::Rejected | Status::Reversed)
}
