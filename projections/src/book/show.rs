//! A conversion as a row: its status and what payouts carry of its lines.

use std::sync::Arc;

use postbook_schemas::{Currency, FactId, Instant, Slug, Status, ZeroReason};

use super::{
    Book,
    approval::standing,
    earn::is_taken_back,
    lines::zero_line,
    seen::{Seen, Situation},
};
use crate::{
    conversion::Conversion,
    explain::trace::Undone,
    numbers::ConversionNumber,
    payouts::{Carried, line_memo},
    posted::{Overflow, Owed, PostedLine, Standing},
    rows::{ConversionRow, EarningLine, LineState},
    standing::taken,
};

impl Book {
    /// Lines that a payout carried and that no rule gives any more: the partner owes them.
    pub(super) fn paid_lines(
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
                *line.rule == *rule && line.partner == *partner && line.currency == currency
            });
            if is_known {
                continue;
            }
            let carried = self.carried(conversion, &rule, partner, currency);
            let memo = line_memo(0, 0, &carried).ok_or(Overflow)?;
            let before = conversion.posted.iter().find(|line| *line.rule == *rule);
            let terms_version =
                before.map_or_else(|| Arc::from(""), |line| Arc::clone(&line.terms_version));
            let rule: Arc<str> = Arc::from(rule);
            let mut row = zero_line(
                None,
                Some(partner.clone()),
                Some(currency),
                ZeroReason::Unattributed,
            );
            row.rule = Some(Arc::clone(&rule));
            row.earned_minor = memo.earned_minor;
            row.clawed_back_minor = memo.clawed_back_minor;
            row.recovered_minor = memo.recovered_minor;
            row.written_off_minor = memo.written_off_minor;
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
                carried_minor: carried.now_minor,
                payout_id: carried.payout_id,
                owed: Owed::ToPartner,
                carry: None,
            });
        }
        Ok(())
    }

    fn payee(&self, payout_id: &FactId) -> Option<(&Slug, Currency)> {
        let (_, _, proposed) = self.payouts.get(payout_id)?.proposed.as_ref()?;
        Some((&proposed.partner, proposed.currency))
    }

    pub(super) fn carried(
        &self,
        conversion: &Conversion,
        rule: &str,
        partner: &Slug,
        currency: Currency,
    ) -> Carried {
        let owner = (partner, currency);
        self.carriers
            .of(&conversion.aliases, rule, owner, |payout_id| {
                self.payee(payout_id) == Some(owner)
            })
    }

    pub(super) fn row(
        &self,
        number: ConversionNumber,
        earnings: Vec<EarningLine>,
        seen: &mut Seen,
    ) -> ConversionRow {
        let conversion = self.conversion(number);
        let situation = self.situation(number, seen);
        let taken = taken(conversion.amount_minor, situation.money.iter().copied());
        let (status, approves_at) = self.shown_status(number, &situation, &earnings, seen);
        let references = &conversion.references;
        ConversionRow {
            id: conversion.id(),
            position: conversion.position,
            offer: conversion.offer.clone(),
            kind: conversion.kind.clone(),
            txn_id: references.txn_id.as_deref().map(str::to_owned),
            click_id: references.click_id.as_deref().map(str::to_owned),
            customer_id: references.customer_id.as_deref().map(str::to_owned),
            coupon_code: references.coupon_code.as_deref().map(str::to_owned),
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

    /// What has undone all of a conversion.
    pub(super) fn undone(&self, conversion: &Conversion, situation: &Situation) -> Option<Undone> {
        let amount = conversion.amount_minor.unwrap_or(0).max(0);
        let taken = taken(conversion.amount_minor, situation.money.iter().copied());
        let gone = taken
            .refunded_minor
            .saturating_add(taken.charged_back_minor);
        match (taken.refunded, taken.charged_back) {
            (true, true) if gone >= amount => Some(Undone::Both),
            (true, false) if gone >= amount => Some(Undone::Refunds),
            (false, true) if gone >= amount => Some(Undone::Chargeback),
            _ => self
                .is_abused(conversion, Instant::MAX)
                .then_some(Undone::Abuse),
        }
    }

    /// The status that is shown: what facts or approval say, and `reversed` where refunds, a
    /// chargeback or abuse have undone all of it.
    fn shown_status(
        &self,
        number: ConversionNumber,
        situation: &Situation,
        earnings: &[EarningLine],
        seen: &mut Seen,
    ) -> (Status, Option<Instant>) {
        let conversion = self.conversion(number);
        let by_facts = situation.status.map(|since| since.status);
        if let Some(status) = by_facts.filter(|status| is_taken_back(*status)) {
            return (status, None);
        }
        if self.undone(conversion, situation).is_some() {
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
            let matched = self.matched(number, partner, 0, seen)?;
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
