//! Derives again what a fact can touch, in five steps that each need only the ones before: own
//! credit and bonds, what counts, attribution, pools, lines.

use std::collections::BTreeSet;

use postbook_schemas::{Change, Instant, Kind};
use smallvec::SmallVec;

use super::{Book, earn::is_taken_back, seen::Seen};
use crate::{
    attribution::{Correction, Evidence, attribute},
    conversion::{Abused, Changed, Conversion, Corrected, Decided},
    groups::{Bond, Group},
    numbers::{ConversionNumber, GroupKey},
    posted::{Cause, Overflow},
    rows::{Attribution, Changes, ParkedRow},
    standing::{StatusSince, status_by_facts},
};

type Touched = BTreeSet<ConversionNumber>;

/// The numbers that are touched now, while more are being touched: mostly one.
fn as_they_are(touched: &Touched) -> SmallVec<[ConversionNumber; 4]> {
    touched.iter().copied().collect()
}

impl Book {
    /// Brings everything that depends on the touched conversions up to date, and posts the
    /// differences.
    pub(super) fn settle(
        &mut self,
        mut touched: Touched,
        cause: &Cause,
        changes: &mut Changes,
    ) -> Result<(), Overflow> {
        if touched.is_empty() {
            return Ok(());
        }
        for number in as_they_are(&touched) {
            self.derive_bond(number, &mut touched);
        }
        let mut seen = Seen::default();
        for number in as_they_are(&touched) {
            self.derive_counting(number, &mut seen, &mut touched);
        }
        for &number in &touched {
            let mut attribution = self.attribution(self.conversion(number), true, true);
            attribution.losers.shrink_to_fit();
            self.conversion_mut(number).attribution = attribution;
        }
        for number in as_they_are(&touched) {
            self.derive_pools(number, &mut seen, &mut touched);
        }
        self.derive_lines(touched, &mut seen, cause, changes)
    }

    /// Who would be credited, with or without the customer's bond and the corrections of people.
    pub(super) fn attribution(
        &self,
        conversion: &Conversion,
        with_bond: bool,
        with_corrections: bool,
    ) -> Attribution {
        let references = &conversion.references;
        let settings = self.programme.offer(&conversion.offer);
        let occurred_at = conversion.occurred_at();
        let click_id = references.click_id.as_deref();
        let code = references.coupon_code.as_deref();
        let bond = self
            .group(conversion.keys.customer)
            .and_then(|group| group.bond.as_deref());
        let evidence = Evidence {
            offer: &conversion.offer,
            occurred_at,
            click: click_id.map(|id| (id, self.clicks.get(id).map(AsRef::as_ref))),
            coupon: code.map(|code| {
                (
                    code,
                    self.programme.coupon(&conversion.offer, code, occurred_at),
                )
            }),
            // A conversion does not attribute itself by the bond that it made.
            has_customer: with_bond && references.customer_id.is_some(),
            bond: bond.filter(|bond| with_bond && bond.order != conversion.order),
            correction: if with_corrections {
                self.correction(conversion)
            } else {
                Correction::None
            },
        };
        attribute(&evidence, settings)
    }

    /// The last correction of who is credited.
    fn correction(&self, conversion: &Conversion) -> Correction<'_> {
        if self.corrections.is_empty() {
            return Correction::None;
        }
        let all = conversion
            .aliases
            .iter()
            .filter_map(|id| self.corrections.get(id))
            .flatten();
        match all.max_by(|a, b| a.order.cmp(&b.order)) {
            None => Correction::None,
            Some(Corrected {
                partner: Some(partner),
                ..
            }) => Correction::To(partner),
            Some(Corrected { partner: None, .. }) => Correction::ToNobody,
        }
    }

    /// Derives who a conversion credits by itself, and whom that binds its customer to.
    fn derive_bond(&mut self, number: ConversionNumber, touched: &mut Touched) {
        let conversion = self.conversion(number);
        let key = conversion.keys.customer.filter(|_| !conversion.sandbox);
        if key.is_none() {
            return;
        }
        let own_credit = self.attribution(conversion, false, true).partner;
        let changed = conversion.own_credit != own_credit;
        self.conversion_mut(number).own_credit = own_credit;
        let Some(group) = self.group(key) else {
            return;
        };
        let conversion = self.conversion(number);
        let is_bond = group
            .bond
            .as_ref()
            .is_some_and(|bond| bond.order == conversion.order);
        if !changed && !is_bond && (conversion.own_credit.is_none() || group.bond.is_some()) {
            return;
        }
        let bond = self.first_credit(group);
        if bond.as_ref() != group.bond.as_deref() {
            touched.extend(group.conversions.iter().copied());
            if let Some(group) = key.and_then(|key| self.groups.get_mut(&key)) {
                group.bond = bond.map(Box::new);
            }
        }
    }

    /// The first conversion of a customer that credits a partner by itself.
    fn first_credit(&self, group: &Group) -> Option<Bond> {
        let members = group
            .conversions
            .iter()
            .map(|&number| self.conversion(number));
        let credited = members.filter(|conversion| conversion.own_credit.is_some());
        let first = credited.min_by(|a, b| a.order.cmp(&b.order))?;
        Some(Bond {
            order: first.order.clone(),
            partner: first.own_credit.clone()?,
        })
    }

    /// Derives whether a conversion counts among its customer's, and when the first of its kind
    /// happened; the others are touched where their terms look at that.
    fn derive_counting(
        &mut self,
        number: ConversionNumber,
        seen: &mut Seen,
        touched: &mut Touched,
    ) {
        let conversion = self.conversion(number);
        let situation = self.situation(number, seen);
        let status = situation.status.map(|since| since.status);
        let counts = !conversion.sandbox && !status.is_some_and(is_taken_back);
        if counts == conversion.counts {
            return;
        }
        let (kind, keys) = (conversion.kind.clone(), conversion.keys);
        self.conversion_mut(number).counts = counts;
        for key in [keys.click, keys.customer].into_iter().flatten() {
            let first = |book: &Self| book.group(Some(key))?.firsts.values().min();
            let before = first(self);
            self.derive_first(key, &kind);
            // Among those whose customer a click's others do not share, it may move where the first of
            // all does not.
            let is_shared = keys.customer.is_none() && self.names_customers(key);
            let moved = first(self) != before || is_shared;
            self.touch_lookers(key, &kind, moved, touched);
        }
    }

    /// Touches the conversions of a group whose terms look at others of this kind, or at when the first
    /// of all happened, if that has `moved`.
    fn touch_lookers(&self, key: GroupKey, kind: &Kind, moved: bool, touched: &mut Touched) {
        let members = self.group(Some(key)).into_iter();
        for &member in members.flat_map(|group| &group.conversions) {
            let conversion = self.conversion(member);
            let mut terms = self.programme.all_terms(&conversion.offer).iter();
            if terms.any(|terms| terms.lookers.look(&conversion.kind, kind, moved)) {
                touched.insert(member);
            }
        }
    }

    /// Whether any conversion of a group names its customer.
    fn names_customers(&self, key: GroupKey) -> bool {
        let members = self.group(Some(key)).into_iter();
        let mut members = members.flat_map(|group| &group.conversions);
        members.any(|&member| self.conversion(member).keys.customer.is_some())
    }

    /// Derives when the first conversion of a kind happened in a group.
    pub(super) fn derive_first(&mut self, key: GroupKey, kind: &Kind) {
        let Some(group) = self.groups.get(&key) else {
            return;
        };
        let members = group
            .conversions
            .iter()
            .map(|&member| self.conversion(member));
        let first = members
            .filter(|member| member.counts && member.kind == *kind)
            .map(Conversion::occurred_at)
            .min();
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        group.firsts.set(kind, first);
    }

    /// The status that facts give a conversion.
    pub(super) fn status_by_facts(
        &self,
        conversion: &Conversion,
        changes: &[&Changed],
    ) -> Option<StatusSince> {
        let mut decisions: Vec<&Decided> = Vec::new();
        if !self.decisions.is_empty() {
            let ids = conversion.aliases.iter();
            decisions.extend(ids.filter_map(|id| self.decisions.get(id)).flatten());
            decisions.sort_by(|a, b| a.order.cmp(&b.order));
        }
        let reported = conversion.status.map(|status| StatusSince {
            status,
            since: conversion.occurred_at(),
            is_first: true,
        });
        status_by_facts(reported, changes, &decisions)
    }

    /// The changes that concern a conversion, in the order of facts: those of its transaction, and
    /// those of its click or customer that mean it.
    pub(super) fn changes_of(&self, conversion: &Conversion) -> Vec<&Changed> {
        let keys = conversion.keys;
        let mut changes: Vec<&Changed> = Vec::new();
        changes.extend(self.group(keys.txn).into_iter().flat_map(Group::changes));
        for group in [keys.click, keys.customer]
            .into_iter()
            .filter_map(|key| self.group(key))
        {
            changes.extend(group.changes().iter().filter(|change| {
                self.target(group, change)
                    .is_some_and(|target| target.order == conversion.order)
            }));
        }
        changes.sort_by(|a, b| a.order.cmp(&b.order));
        changes
    }

    /// The conversion that a change means which names only a click or customer: the last one before
    /// it, and for money the last one that brought some in: a loss is nothing to give back.
    pub(super) fn target(&self, group: &Group, change: &Changed) -> Option<&Conversion> {
        let members = group
            .conversions
            .iter()
            .map(|&number| self.conversion(number));
        members
            .filter(|member| member.occurred_at() <= change.order.occurred_at)
            .filter(|member| {
                change.change == Change::Status
                    || member.amount_minor.is_some_and(|amount| amount > 0)
            })
            .max_by(|a, b| a.order.cmp(&b.order))
    }

    /// Whether it was reported for abuse until then.
    pub(super) fn is_abused(&self, conversion: &Conversion, until: Instant) -> bool {
        let mut abuses = self.abuses_of(conversion);
        abuses.any(|abuse| abuse.order.occurred_at <= until)
    }

    /// The abuse that concerns a conversion: of its transaction, and of its click or customer since it
    /// happened.
    pub(super) fn abuses_of<'a>(
        &'a self,
        conversion: &Conversion,
    ) -> impl Iterator<Item = &'a Abused> + use<'a> {
        let keys = conversion.keys;
        let happened_at = conversion.occurred_at();
        let of_txn = self.group(keys.txn).into_iter().flat_map(Group::abuses);
        let groups = [keys.click, keys.customer].into_iter();
        let of_others = groups
            .filter_map(|key| self.group(key))
            .flat_map(Group::abuses);
        of_txn.chain(of_others.filter(move |abuse| abuse.order.occurred_at >= happened_at))
    }

    /// Takes the changes under a key that have found a conversion off the list of those that wait.
    pub(super) fn unpark(&mut self, key: GroupKey) -> Vec<ParkedRow> {
        let Some(group) = self.groups.get(&key) else {
            return Vec::new();
        };
        let found: Vec<u64> = group
            .changes()
            .iter()
            .filter(|change| {
                let waits = self.parked.get(&change.position);
                waits.is_some_and(|(_, row)| {
                    let by_txn = row.txn_id.is_some() && !group.conversions.is_empty();
                    by_txn || (row.txn_id.is_none() && self.target(group, change).is_some())
                })
            })
            .map(|change| change.position)
            .collect();
        let rows = found
            .iter()
            .filter_map(|position| self.parked.remove(position));
        rows.map(|(_, row)| ParkedRow {
            waiting: false,
            ..row
        })
        .collect()
    }
}
