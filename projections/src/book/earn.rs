//! Derives the earning lines of a conversion and posts what differs from what was posted before.

use std::{collections::BTreeSet, rc::Rc, sync::Arc};

use postbook_schemas::{Currency, Slug, Status, ZeroReason};

use super::{
    Book,
    approval::{standing, unless_awaited},
    lines::{line, zero_line},
    months::fenced_month,
    seen::{Matched, Seen, Situation},
    uplines::Below,
    volume::works_off,
};
use crate::{
    numbers::ConversionNumber,
    posted::{About, Cause, Overflow, Owed, PostedLine, differences},
    pricing::{Given, Remaining},
    rows::{Changes, EarningLine},
    rules::CompiledRule,
};

type Touched = BTreeSet<ConversionNumber>;

/// The lines of a conversion: as rows, and as they are posted.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) rows: Vec<EarningLine>,
    pub(super) posted: Vec<PostedLine>,
}

impl Lines {
    pub(super) fn push(&mut self, (row, posted): (EarningLine, PostedLine)) {
        self.rows.push(row);
        self.posted.push(posted);
    }
}

/// One partner's own lines for one conversion, while they are made.
pub(super) struct Sheet<'a> {
    pub(super) number: ConversionNumber,
    pub(super) partner: &'a Slug,
    pub(super) currency: Currency,
    pub(super) matched: Rc<Matched>,
    pub(super) situation: Rc<Situation>,
    /// Why they are worth nothing now, whatever the rules give.
    pub(super) lost: Option<ZeroReason>,
}

/// What a chargeback costs besides, or why that is not known.
pub(super) type Fee = Result<i64, ZeroReason>;

impl Book {
    /// Derives the lines of the touched conversions and posts the differences.
    pub(super) fn derive_lines(
        &mut self,
        touched: Touched,
        seen: &mut Seen,
        cause: &Cause,
        changes: &mut Changes,
    ) -> Result<(), Overflow> {
        // A cap by amount or an advance hands a change on to later members, and from there to
        // those of another; what comes first does not change with what comes after, so this ends.
        let mut all = touched.clone();
        let mut next = touched;
        let mut last = None;
        while let Some(number) = next.pop_first() {
            if self.conversion(number).pools.is_empty() {
                continue;
            }
            let mut later = Touched::new();
            let lines = self.lines_of(number, seen, &mut later)?;
            last = Some((number, lines));
            all.extend(later.iter().copied());
            next.append(&mut later);
        }
        // A single one need not be derived twice.
        let mut last = last.filter(|_| all.len() == 1);
        let mut fences = BTreeSet::new();
        for number in all {
            let lines = match last.take() {
                Some((_, lines)) => lines,
                None => self.lines_of(number, seen, &mut Touched::new())?,
            };
            self.post(number, lines, (seen, &mut fences), cause, changes)?;
        }
        self.end_months(&fences, cause, changes)
    }

    fn post(
        &mut self,
        number: ConversionNumber,
        mut lines: Lines,
        (seen, fences): (&mut Seen, &mut BTreeSet<u128>),
        cause: &Cause,
        changes: &mut Changes,
    ) -> Result<(), Overflow> {
        self.fence_in(number, &mut lines);
        self.await_rates(number, seen);
        let conversion = self.conversion(number);
        let given_up_at = |line: &PostedLine| {
            let owner = (&line.partner, line.currency);
            self.carriers
                .given_up_at(&conversion.aliases, &line.rule, owner)
        };
        let about = About {
            id: conversion.id(),
            offer: &conversion.offer,
            occurred_at: conversion.occurred_at(),
            given_up_at: &given_up_at,
        };
        changes.postings.extend(differences(
            &conversion.posted,
            &lines.posted,
            about,
            cause,
        )?);
        let row = self.row(number, lines.rows, seen);
        changes.conversions.push(row);
        let before = std::mem::take(&mut self.conversion_mut(number).posted);
        self.count_in_months(&before, &lines.posted, fences);
        let mut posted = lines.posted;
        posted.shrink_to_fit();
        self.conversion_mut(number).posted = posted;
        Ok(())
    }

    /// Says of each line in which fenced month it counts.
    fn fence_in(&self, number: ConversionNumber, lines: &mut Lines) {
        let conversion = self.conversion(number);
        for line in &mut lines.posted {
            if line.owed == Owed::ToPartner && line.amount_minor != 0 {
                let terms = self.terms_of(conversion, &line.partner);
                line.carry = terms.and_then(|terms| {
                    fenced_month(&terms, conversion, &line.partner, line.currency)
                });
            }
        }
    }

    /// Remembers which rates turn changes in another currency into the conversion's own.
    fn await_rates(&mut self, number: ConversionNumber, seen: &mut Seen) {
        let situation = self.situation(number, seen);
        let own = self.conversion(number).currency;
        for &other in &situation.others {
            let users = self.rate_users.entry((other, own)).or_default();
            users.insert(number);
        }
        for other in self.looked_at(number) {
            let to = self
                .programme
                .offer_currency(&self.conversion(number).offer);
            let users = self.rate_users.entry((other, to)).or_default();
            users.insert(number);
        }
    }

    /// The currencies, other than the offer's, of amounts that conditions of its terms look at.
    fn looked_at(&self, number: ConversionNumber) -> Vec<Currency> {
        let conversion = self.conversion(number);
        let terms = self.programme.all_terms(&conversion.offer);
        let to = self.programme.offer_currency(&conversion.offer);
        let mut currencies = Vec::new();
        if terms.iter().any(|terms| terms.looks_at_amounts) {
            currencies.extend(Some(conversion.currency).filter(|&own| own != to));
        }
        if terms.iter().any(|terms| terms.looks_at_totals) {
            let keys = [conversion.keys.customer, conversion.keys.click];
            let groups = keys.into_iter().filter_map(|key| self.group(key));
            let members = groups.flat_map(|group| &group.conversions);
            let all = members.map(|&member| self.conversion(member).currency);
            currencies.extend(all.filter(|&other| other != to));
        }
        currencies
    }

    /// The lines of a conversion as the facts stand: of who is credited and those above, of who
    /// would be without people's corrections (worth nothing now), and of whoever was paid for it.
    fn lines_of(
        &mut self,
        number: ConversionNumber,
        seen: &mut Seen,
        later: &mut Touched,
    ) -> Result<Lines, Overflow> {
        let mut lines = Lines::default();
        let conversion = self.conversion(number);
        if conversion.sandbox {
            lines
                .rows
                .push(zero_line(None, None, None, ZeroReason::Sandbox));
            return Ok(lines);
        }
        let credited = conversion.attribution.partner.clone();
        if let Some(partner) = &credited {
            self.lines_for(number, partner, None, (seen, later), &mut lines)?;
            self.price_lines(number, partner, seen, &mut lines);
        } else {
            let outside = conversion.attribution.reason == "outside_window";
            let reason = if outside {
                ZeroReason::OutsideWindow
            } else {
                ZeroReason::Unattributed
            };
            lines.rows.push(zero_line(None, None, None, reason));
        }
        if !self.corrections.is_empty() {
            let conversion = self.conversion(number);
            let uncorrected = self.attribution(conversion, true, false).partner;
            if let Some(partner) = uncorrected.filter(|p| credited.as_ref() != Some(p)) {
                let lost = Some(ZeroReason::Unattributed);
                let mut base = Lines::default();
                self.lines_for(number, &partner, lost, (seen, later), &mut base)?;
                // Also what earned nothing, if a payout carries something of it: that is due back.
                let kept = base.rows.into_iter();
                let kept = kept.filter(|row| row.earned_minor != 0 || row.carried_minor != 0);
                lines.rows.extend(kept);
                lines.posted.extend(base.posted);
            }
        }
        self.paid_lines(number, &mut lines.rows, &mut lines.posted)?;
        Ok(lines)
    }

    /// The lines that the rules give one partner and those above; all worth nothing if they are
    /// `lost`.
    fn lines_for(
        &mut self,
        number: ConversionNumber,
        partner: &Slug,
        lost: Option<ZeroReason>,
        (seen, later): (&mut Seen, &mut Touched),
        lines: &mut Lines,
    ) -> Result<(), Overflow> {
        let some = || Some(partner.clone());
        let Some(currency) = self.programme.partner_currency(partner) else {
            let reason = ZeroReason::AwaitingFx;
            lines.rows.push(zero_line(None, some(), None, reason));
            return Ok(());
        };
        let Some(matched) = self.matched(number, partner, 0, seen) else {
            let reason = ZeroReason::NoRule;
            lines
                .rows
                .push(zero_line(None, some(), Some(currency), reason));
            return Ok(());
        };
        let sheet = Sheet {
            number,
            partner,
            currency,
            matched,
            situation: self.situation(number, seen),
            lost,
        };
        let below = self.own_lines(&sheet, later, lines)?;
        if let Some(below) = below {
            self.upline_lines(number, partner, &below, (seen, later), lines)?;
        }
        let matched = &*sheet.matched;
        lines.rows.extend(matched.untaken().map(|(rule, reason)| {
            let rule = Some((&*matched.terms, rule));
            zero_line(rule, some(), Some(currency), reason)
        }));
        if matched.rules.is_empty() && matched.unmet.is_empty() {
            let reason = ZeroReason::NoRule;
            lines
                .rows
                .push(zero_line(None, some(), Some(currency), reason));
        }
        Ok(())
    }

    /// A partner's own lines, and what they come to for those above; `None` if there are none.
    pub(super) fn own_lines(
        &mut self,
        sheet: &Sheet<'_>,
        later: &mut Touched,
        lines: &mut Lines,
    ) -> Result<Option<Below>, Overflow> {
        let &Sheet {
            number,
            partner,
            currency,
            ..
        } = sheet;
        let terms = Arc::clone(&sheet.matched.terms);
        let given = self.given(sheet, later);
        let mut below: Option<Below> = None;
        for (rule, given, fee) in given {
            let conversion = self.conversion(number);
            let stands = standing(rule, sheet.situation.status, conversion.occurred_at());
            let carried = self.carried(conversion, &rule.id, partner, currency);
            let awaits_rate = fee == Err(ZeroReason::AwaitingFx)
                || self.awaits_rate(rule, number, &sheet.situation);
            let own = Below {
                currency,
                base_minor: given.base_minor,
                net_minor: given.net_minor,
                reason: given.reason,
                standing: stands,
                awaits_rate,
            };
            below = Some(below.map_or(own, |below| below.with(&own)));
            let (given, stands) = unless_awaited(awaits_rate, given, stands, &carried);
            let made = line((&terms, rule), partner, currency, &given, stands, &carried);
            lines.push(made.ok_or(Overflow)?);
        }
        Ok(below)
    }

    /// What each rule gives, its tiers, advance, cap and fee included, and the fee: neither a cap nor an
    /// advance has a say in that.
    pub(super) fn given<'s>(
        &mut self,
        sheet: &'s Sheet<'_>,
        later: &mut Touched,
    ) -> Vec<(&'s CompiledRule, Given, Fee)> {
        let &Sheet {
            number,
            partner,
            currency,
            ..
        } = sheet;
        let mut all = Vec::with_capacity(sheet.matched.rules.len());
        for (rule, pools) in sheet.matched.rules() {
            let left = self.left_of(sheet, rule);
            let volume = self.volume(pools.tiers, number);
            let given = self.priced(rule, number, currency, &left, volume.as_ref());
            let fee = self.fee(rule, number, currency, &left);
            all.push((rule, pools.cap, fee, given));
        }
        let terms = &sheet.matched.terms;
        let has_advance = terms.has_advance();
        for (rule, cap, _, given) in &mut all {
            if !(has_advance && works_off(rule)) {
                *given = self.capped((rule, *cap), number, currency, *given, later);
            }
        }
        if has_advance {
            let advanced = all.iter().filter(|(rule, ..)| rule.advance);
            let advanced = advanced.map(|(.., given)| given.net_minor);
            let advanced = advanced.fold(0, i64::saturating_add);
            let shares = all.iter_mut().filter(|(rule, ..)| works_off(rule));
            let mut shares: Vec<&mut Given> = shares.map(|(.., given)| given).collect();
            self.beyond_advance(terms, number, partner, (advanced, &mut shares), later);
            for (rule, cap, _, given) in all.iter_mut().filter(|(rule, ..)| works_off(rule)) {
                *given = self.capped((rule, *cap), number, currency, *given, later);
            }
        }
        let given = all.into_iter().map(|(rule, _, fee, given)| {
            let given = match fee {
                Ok(fee_minor) => given.less_fee(fee_minor),
                Err(ZeroReason::OutOfRange) => Given::nothing(ZeroReason::OutOfRange),
                // It is taken off once it is known.
                Err(_) => given,
            };
            (rule, given, fee)
        });
        given.collect()
    }

    pub(super) fn left_of(&self, sheet: &Sheet<'_>, rule: &CompiledRule) -> Remaining {
        let nothing = |reason, fee| Remaining {
            part: 0,
            of: 1,
            fee,
            reason: Some(reason),
        };
        if let Some(reason) = sheet.lost {
            return nothing(reason, false);
        }
        let left = self.left(rule, sheet.number, &sheet.situation);
        let status = sheet.situation.status;
        // The fee is the bank's: a status that says again that the sale is undone does not give it back.
        match status.filter(|since| is_taken_back(since.status)) {
            Some(_) => nothing(ZeroReason::Rejected, left.fee),
            None => left,
        }
    }
}

pub(super) fn is_taken_back(status: Status) -> bool {
    matches!(status, Status::Rejected | Status::Reversed)
}
