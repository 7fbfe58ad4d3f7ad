//! Payouts: their state, which lines they carried, and what later payouts recovered (SPEC 8, 9).

use std::collections::BTreeMap;

use postbook_schemas::{
    BALANCE_MINOR_MAX, Currency, FactId, Instant, Slug, decision::BalanceWrittenOff,
    payout::PayoutProposed,
};

use crate::{
    order::OrderKey,
    rows::{Memo, PayoutState},
};

/// One payout, as far as facts tell. A move may be known before the proposal.
#[derive(Clone, Debug, Default)]
pub struct Payout {
    /// Where and how it was proposed.
    pub proposed: Option<(OrderKey, u64, PayoutProposed)>,
    /// How it moved on, in any order.
    pub moves: Vec<(OrderKey, PayoutState, Option<String>)>,
    /// Whether its money counts as paid in the book.
    pub is_carried: bool,
}

impl Payout {
    /// Its last move, in the order of facts; of moves at one instant (a clock that was set back
    /// gives such) the one that is further on its way.
    pub fn last_move(&self) -> Option<&(OrderKey, PayoutState, Option<String>)> {
        let by_way = |(order, state, _): &(OrderKey, PayoutState, Option<String>)| {
            (order.occurred_at, *state)
        };
        self.moves
            .iter()
            .max_by(|a, b| by_way(a).cmp(&by_way(b)).then_with(|| a.0.cmp(&b.0)))
    }

    /// The reference that was given last.
    pub fn reference(&self) -> Option<&String> {
        let given = self
            .moves
            .iter()
            .filter(|(_, _, reference)| reference.is_some());
        let last = given.max_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(&b.1)));
        last.and_then(|(_, _, reference)| reference.as_ref())
    }

    /// Its state.
    pub fn state(&self) -> PayoutState {
        self.last_move()
            .map_or(PayoutState::Proposed, |(_, state, _)| *state)
    }

    /// Whom it pays and how it stands, without the lines it carries.
    #[must_use]
    pub fn without_lines(&self) -> Self {
        let proposed = self.proposed.as_ref().map(|(order, position, proposed)| {
            let head = PayoutProposed {
                payout_id: proposed.payout_id,
                partner: proposed.partner.clone(),
                amount_minor: proposed.amount_minor,
                currency: proposed.currency,
                lines: Vec::new(),
                reason: String::new(),
            };
            (order.clone(), *position, head)
        });
        Self {
            proposed,
            moves: self.moves.clone(),
            is_carried: self.is_carried,
        }
    }

    /// Whether its money is on the way or has arrived.
    pub fn should_be_carried(&self) -> bool {
        self.proposed.is_some() && matches!(self.state(), PayoutState::Sent | PayoutState::Settled)
    }
}

/// A subject of payouts: an earning line by conversion and rule, or an adjustment.
pub type Subject = (FactId, Option<String>);

/// Which payouts carried which lines, and what people gave up of whose debts.
#[derive(Clone, Debug, Default)]
pub struct Carriers {
    by_subject: BTreeMap<Subject, BTreeMap<(OrderKey, FactId), i64>>,
    given_up: BTreeMap<Subject, BTreeMap<(Slug, Currency), GivenUp>>,
}

/// What people gave up of a line's debt, and when they did so last.
#[derive(Clone, Copy, Debug)]
struct GivenUp {
    minor: i64,
    last_at: Instant,
}

/// What payouts carry of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Now, recoveries deducted.
    pub now_minor: i64,
    /// At its highest, in the order of the payouts.
    pub peak_minor: i64,
    /// The last payout that added to it.
    pub payout_id: Option<FactId>,
    /// What people gave up of its debt.
    pub given_up_minor: i64,
}

impl Carriers {
    /// What payouts carry now of a subject that is no earning line.
    pub fn sum(&self, id: FactId) -> i64 {
        let payouts = self.by_subject.get(&(id, None)).into_iter().flatten();
        payouts.fold(0, |sum, (_, &minor)| sum.saturating_add(minor))
    }

    /// Books the lines of a payout, or takes them out again.
    pub fn set(&mut self, order: &OrderKey, payout: &PayoutProposed, carried: bool) {
        for line in &payout.lines {
            let subject = (line.subject_id, line.rule.clone());
            let payouts = self.by_subject.entry(subject.clone()).or_default();
            let key = (order.clone(), payout.payout_id);
            if carried {
                let amount = payouts.entry(key).or_insert(0);
                *amount = bounded(amount.saturating_add(line.amount_minor));
            } else {
                payouts.remove(&key);
                if payouts.is_empty() {
                    self.by_subject.remove(&subject);
                }
            }
        }
    }

    /// Books what somebody gave up of a partner's debts at a time.
    pub fn give_up(&mut self, written_off: &BalanceWrittenOff, at: Instant) {
        for line in &written_off.lines {
            let subject = (line.subject_id, line.rule.clone());
            let of_line = self.given_up.entry(subject).or_default();
            let owner = (written_off.partner.clone(), written_off.currency);
            let given_up = of_line.entry(owner).or_insert(GivenUp {
                minor: 0,
                last_at: at,
            });
            given_up.minor = bounded(given_up.minor.saturating_add(line.amount_minor));
            given_up.last_at = given_up.last_at.max(at);
        }
    }

    /// What payouts carry of some conversions.
    #[must_use]
    pub fn of_subjects<'a>(&self, ids: impl Iterator<Item = &'a FactId>) -> Self {
        let mut some = Self::default();
        if self.by_subject.is_empty() {
            return some;
        }
        for id in ids {
            some.by_subject.extend(of_id(&self.by_subject, id));
            some.given_up.extend(of_id(&self.given_up, id));
        }
        some
    }

    /// The rules under which payouts carried something of a conversion, with those payouts.
    pub fn lines(&self, ids: &[FactId]) -> Vec<(String, FactId)> {
        if self.by_subject.is_empty() {
            return Vec::new();
        }
        let of_id = |id: &FactId| {
            let from = (*id, None);
            let all = self.by_subject.range(from..);
            let id = *id;
            all.take_while(move |((subject, _), _)| *subject == id)
        };
        let lines = ids
            .iter()
            .flat_map(of_id)
            .filter_map(|((_, rule), payouts)| Some((rule.clone()?, payouts)));
        lines
            .flat_map(|(rule, payouts)| payouts.keys().map(move |(_, id)| (rule.clone(), *id)))
            .collect()
    }

    /// What payouts carry of a line; the conversion may be known under several ids, and only
    /// payouts of the line's partner count.
    pub fn of(
        &self,
        ids: &[FactId],
        rule: &str,
        partner: (&Slug, Currency),
        is_partners: impl Fn(&FactId) -> bool,
    ) -> Carried {
        if self.by_subject.is_empty() {
            return Carried::default();
        }
        let given_up_minor = self.given_up_of(ids, rule, partner);
        let mut payouts: Vec<(&(OrderKey, FactId), i64)> = ids
            .iter()
            .filter_map(|id| self.by_subject.get(&(*id, Some(rule.to_owned()))))
            .flatten()
            .filter(|((_, payout), _)| is_partners(payout))
            .map(|(key, &amount)| (key, amount))
            .collect();
        payouts.sort_unstable();
        let nothing = Carried {
            given_up_minor,
            ..Carried::default()
        };
        payouts
            .into_iter()
            .fold(nothing, |so_far, ((_, payout), amount)| {
                let now_minor = bounded(so_far.now_minor.saturating_add(amount));
                let payout_id = if amount > 0 {
                    Some(*payout)
                } else {
                    so_far.payout_id
                };
                Carried {
                    now_minor,
                    peak_minor: so_far.peak_minor.max(now_minor),
                    payout_id,
                    given_up_minor,
                }
            })
    }

    fn given_up_of(&self, ids: &[FactId], rule: &str, partner: (&Slug, Currency)) -> i64 {
        let all = self.all_given_up(ids, rule, partner);
        all.fold(0, |sum, given_up| sum.saturating_add(given_up.minor))
    }

    /// When people last gave up something of a line's debt.
    pub fn given_up_at(
        &self,
        ids: &[FactId],
        rule: &str,
        partner: (&Slug, Currency),
    ) -> Option<Instant> {
        let all = self.all_given_up(ids, rule, partner);
        all.map(|given_up| given_up.last_at).max()
    }

    fn all_given_up(
        &self,
        ids: &[FactId],
        rule: &str,
        (partner, currency): (&Slug, Currency),
    ) -> impl Iterator<Item = &GivenUp> {
        // Most logs have none: nothing is looked up there.
        let ids = if self.given_up.is_empty() { &[] } else { ids };
        ids.iter().filter_map(move |id| {
            let of_line = self.given_up.get(&(*id, Some(rule.to_owned())))?;
            of_line.get(&(partner.clone(), currency))
        })
    }
}

/// What payouts carry of one line, held within what differences of such sums still fit 64 bits. No payout
/// that was proposed here carries a line twice, so that nothing comes near it.
fn bounded(minor: i64) -> i64 {
    minor.clamp(-BALANCE_MINOR_MAX, BALANCE_MINOR_MAX)
}

/// The lines of one conversion.
fn of_id<'a, T: Clone>(
    lines: &'a BTreeMap<Subject, T>,
    id: &'a FactId,
) -> impl Iterator<Item = (Subject, T)> + use<'a, T> {
    let lines = lines.range((*id, None)..);
    let lines = lines.take_while(move |((subject, _), _)| subject == id);
    lines.map(|(subject, of_line)| (subject.clone(), of_line.clone()))
}

/// The memo totals of an earning line, from sets of facts alone, so that they do not depend on the
/// order of arrival (`docs/decisions` says why): `base` is what the line is worth without its own
/// reversals, `net` what it is worth now.
///
/// A line that no payout carried is reversed; one that was carried is clawed back as far as it fell
/// below the highest amount ever carried, and what later payouts took off again is recovered.
/// Always: earned − reversed − clawed back = net. What people gave up of a debt is written off as long
/// as there is the debt.
pub fn line_memo(base_minor: i64, net_minor: i64, carried: &Carried) -> Option<Memo> {
    if carried.peak_minor <= 0 {
        return Some(Memo {
            earned_minor: base_minor,
            reversed_minor: base_minor.checked_sub(net_minor)?,
            ..Memo::default()
        });
    }
    let earned_minor = base_minor.max(carried.peak_minor).max(net_minor);
    let clawed_back_minor = carried.peak_minor.checked_sub(net_minor)?.max(0);
    let off_again = carried.peak_minor.checked_sub(carried.now_minor)?;
    let recovered_minor = off_again.min(clawed_back_minor);
    let still_owed = clawed_back_minor.checked_sub(recovered_minor)?;
    Some(Memo {
        earned_minor,
        reversed_minor: earned_minor
            .checked_sub(clawed_back_minor)?
            .checked_sub(net_minor)?,
        clawed_back_minor,
        recovered_minor,
        written_off_minor: carried.given_up_minor.min(still_owed).max(0),
        ..Memo::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// base, net, carried now, highest carried → earned, reversed, clawed back, recovered
    const EXAMPLES: &[(i64, i64, i64, i64, [i64; 4])] = &[
        (100, 100, 0, 0, [100, 0, 0, 0]),
        (100, 70, 0, 0, [100, 30, 0, 0]),
        (100, 70, 100, 100, [100, 0, 30, 0]),
        (100, 70, 70, 100, [100, 0, 30, 30]),
        (100, 100, 70, 100, [100, 0, 0, 0]),
        (100, 20, 50, 50, [100, 50, 30, 0]),
        (0, 0, 100, 100, [100, 0, 100, 0]),
        (100, -15, 100, 100, [100, 0, 115, 0]),
        (-50, -50, 0, 0, [-50, 0, 0, 0]),
        (-50, -50, -50, 0, [-50, 0, 0, 0]),
    ];

    #[test]
    fn memo_totals_follow_the_worked_examples() {
        for &(base, net, now_minor, peak_minor, expected) in EXAMPLES {
            let carried = Carried {
                now_minor,
                peak_minor,
                ..Carried::default()
            };
            let memo = line_memo(base, net, &carried).expect("small numbers");
            let actual = [
                memo.earned_minor,
                memo.reversed_minor,
                memo.clawed_back_minor,
                memo.recovered_minor,
            ];
            assert_eq!(actual, expected, "{base} {net} {now_minor} {peak_minor}");
        }
    }
}
