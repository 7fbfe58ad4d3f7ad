//! What can be paid, and which lines a payout carries: debts as far as the limit allows, the oldest first, then what has
//! been payable longest.
//!
//! What is sent is never more than what is payable, debts deducted. A limit does not make a payout
//! larger: it makes it carry less of both, so that debts are recovered over several payouts.

use postbook_schemas::{
    AMOUNT_MINOR_MAX, Currency, FactId, Instant, OfferRef, bank::RecoveryLimit, payout::PayoutLine,
};

/// An earning line, adjustment or end of a month whose amount is not what payouts carry of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueLine {
    /// The conversion, the adjustment's fact, or the carryover.
    pub subject_id: FactId,
    /// The rule; absent where there is no conversion.
    pub rule: Option<String>,
    /// The offer of the conversion or of the carryover's fence.
    pub offer: Option<OfferRef>,
    /// What is to be paid; negative: what is to be recovered. What open payouts reserve is taken
    /// off, see [`not_reserved`].
    pub amount_minor: i64,
    /// From when it can be paid or recovered; absent while it is not approved.
    pub available_at: Option<Instant>,
    /// When the conversion happened, the adjustment took effect or the month ended.
    pub occurred_at: Instant,
}

impl DueLine {
    /// What is due of an earning line, or of the end of a month, whose amount is `self.amount_minor`: what
    /// is due at once, and what is once the line is payable, see [`due`]; what open payouts reserve is
    /// taken off.
    pub fn parts(self, settled_minor: i64, reserved_minor: i64) -> impl Iterator<Item = Self> {
        let (at_once, waiting) = due(self.amount_minor, settled_minor);
        let at_once_now = not_reserved(at_once, reserved_minor);
        let covered = at_once.saturating_sub(at_once_now);
        let waiting_now = not_reserved(waiting, reserved_minor.saturating_sub(covered));
        let first = Self {
            amount_minor: at_once_now,
            available_at: Some(self.occurred_at),
            ..self.clone()
        };
        let second = Self {
            amount_minor: waiting_now,
            ..self
        };
        [first, second]
            .into_iter()
            .filter(|line| line.amount_minor != 0)
    }

    /// As the end of a month: what a month gives back is taken at once, also before the month has ended.
    #[must_use]
    pub fn debt_at_once(self) -> Self {
        let is_debt = self.amount_minor < 0;
        Self {
            available_at: if is_debt {
                Some(Instant::MIN)
            } else {
                self.available_at
            },
            ..self
        }
    }
}

/// What is due of a line: what payouts have paid or recovered beyond it and must be set right at once, and
/// what they have not carried yet, which is due once the line is payable. `settled_minor` is what they
/// carry, less what was given up.
pub fn due(amount_minor: i64, settled_minor: i64) -> (i64, i64) {
    let lasting = lasting(amount_minor, settled_minor);
    (
        lasting.saturating_sub(settled_minor),
        amount_minor.saturating_sub(lasting),
    )
}

/// What of a line's amount has been paid or recovered already, and so waits for nobody any more.
pub fn lasting(amount_minor: i64, settled_minor: i64) -> i64 {
    amount_minor.clamp(settled_minor.min(0), settled_minor.max(0))
}

/// What of an amount that is due, to one or the other side, no open payout has reserved.
///
/// A line may change after it was reserved. Until that payout is sent nobody owes for it more than is
/// due as things stand, so what is left is between nothing and that.
pub fn not_reserved(due_minor: i64, reserved_minor: i64) -> i64 {
    let left = due_minor.saturating_sub(reserved_minor);
    left.clamp(due_minor.min(0), due_minor.max(0))
}

/// What a payout can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available {
    debts: Vec<DueLine>,
    earned: Vec<DueLine>,
    /// The most that can be sent.
    pub most_minor: i64,
}

impl Available {
    /// Sorts what is due by now. Debts that were written off are not recovered, the oldest first; `free`
    /// is what is payable and not reserved. Both are sums, which may be beyond 64 bits.
    pub fn new(
        due: Vec<DueLine>,
        now: Instant,
        written_off: impl Into<i128>,
        free: impl Into<i128>,
    ) -> Self {
        let payable = due.into_iter();
        let payable = payable.filter(|line| line.available_at.is_some_and(|at| at <= now));
        let (mut debts, mut earned): (Vec<_>, Vec<_>) =
            payable.partition(|line| line.amount_minor < 0);
        debts.sort_by_key(|line| (line.occurred_at, line.subject_id, line.rule.clone()));
        earned.sort_by_key(|line| {
            (
                line.available_at,
                line.occurred_at,
                line.subject_id,
                line.rule.clone(),
            )
        });
        let mut forgiven = written_off.into().max(0);
        for debt in &mut debts {
            let owed = debt.amount_minor.saturating_neg();
            let part = i64::try_from(forgiven).map_or(owed, |forgiven| forgiven.min(owed));
            debt.amount_minor = debt.amount_minor.saturating_add(part);
            forgiven = forgiven.saturating_sub(i128::from(part));
        }
        debts.retain(|debt| debt.amount_minor != 0);
        let all = debts.iter().chain(&earned);
        let sum: i128 = all.map(|line| i128::from(line.amount_minor)).sum();
        // No payout is larger than amounts may be: the rest is paid by another.
        let most = sum.min(free.into()).min(i128::from(AMOUNT_MINOR_MAX));
        Self {
            debts,
            earned,
            most_minor: i64::try_from(most).unwrap_or(i64::MIN),
        }
    }

    /// Whatever a payout may carry.
    pub fn lines(&self) -> impl Iterator<Item = &DueLine> {
        self.debts.iter().chain(&self.earned)
    }

    /// Lines that add up to `sent`, which is at most [`Self::most_minor`].
    pub fn take(
        self,
        sent: i64,
        limit: Option<RecoveryLimit>,
        currency: Currency,
    ) -> Vec<PayoutLine> {
        let debts = self.debts.iter();
        let owed: i128 = debts.map(|debt| i128::from(debt.amount_minor)).sum();
        let owed = owed.saturating_neg();
        let most = limit.map(|limit| i128::from(limit.most_minor(sent, currency)));
        let recovered = most.map_or(owed, |most| most.min(owed));
        let mut taken = part(self.debts, recovered.saturating_neg());
        taken.extend(part(
            self.earned,
            recovered.saturating_add(i128::from(sent)),
        ));
        taken
    }
}

/// Lines from the front that add up to `wanted`, all of its sign; the last is split, and so is one that is
/// larger than amounts may be.
fn part(lines: Vec<DueLine>, wanted: i128) -> Vec<PayoutLine> {
    let mut left = wanted;
    let mut taken = Vec::new();
    for line in lines {
        if left == 0 {
            break;
        }
        let own = i128::from(line.amount_minor);
        let mut rest = if wanted < 0 {
            own.max(left)
        } else {
            own.min(left)
        };
        left = left.saturating_sub(rest);
        while rest != 0 {
            let most = i128::from(AMOUNT_MINOR_MAX);
            let amount = rest.clamp(most.saturating_neg(), most);
            rest = rest.saturating_sub(amount);
            taken.push(PayoutLine {
                subject_id: line.subject_id,
                rule: line.rule.clone(),
                amount_minor: i64::try_from(amount).unwrap_or(0),
            });
        }
    }
    taken
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small amounts")]
mod tests {
    use postbook_schemas::FactId;
    use proptest::prelude::*;

    use super::*;

    fn due(number: u128, amount_minor: i64) -> DueLine {
        DueLine {
            subject_id: FactId::from_u128(number),
            rule: Some("r".to_owned()),
            offer: None,
            amount_minor,
            available_at: Some(Instant::EPOCH),
            occurred_at: Instant::from_micros(i64::try_from(number).unwrap()),
        }
    }

    fn amounts(lines: &[PayoutLine]) -> Vec<i64> {
        lines.iter().map(|line| line.amount_minor).collect()
    }

    fn chosen(due_minor: &[i64], limit: Option<&str>) -> Vec<i64> {
        let due = (1..)
            .zip(due_minor)
            .map(|(number, &amount)| due(number, amount));
        let available = Available::new(due.collect(), Instant::MAX, 0, i64::MAX);
        let limit = limit.map(|text| RecoveryLimit::try_from(text.to_owned()).unwrap());
        let most = available.most_minor;
        amounts(&available.take(most, limit, Currency::USD))
    }

    #[test]
    fn what_is_reserved_leaves_no_more_than_is_due_and_nothing_of_the_other_sign() {
        for (due, reserved, left) in [
            (500, 0, 500),
            (500, 200, 300),
            (500, 500, 0),
            // Reserved before it fell: the debt begins when the payout is sent.
            (0, 500, 0),
            (300, 500, 0),
            // Recovered by an open payout, or won back since.
            (-125, -125, 0),
            (-125, -25, -100),
            (0, -125, 0),
            (500, -125, 500),
            // Reserved again while it is owed.
            (-125, 500, -125),
            (i64::MIN, i64::MAX, i64::MIN),
        ] {
            assert_eq!(not_reserved(due, reserved), left, "{due} {reserved}");
        }
    }

    #[test]
    fn debts_are_recovered_oldest_first_up_to_the_limit() {
        assert_eq!(chosen(&[-30, 100, -50, 20], None), [-30, -50, 100, 20]);
        assert_eq!(chosen(&[-30, 100, -50, 20], Some("0.45")), [-30, -15, 85]);
        assert_eq!(chosen(&[-30, 100, -50, 20], Some("50%")), [-30, -10, 80]);
        assert_eq!(chosen(&[-30, 100, -50, 20], Some("0%")), [40]);
    }

    #[test]
    fn what_is_larger_than_amounts_may_be_is_paid_in_parts() {
        let most = AMOUNT_MINOR_MAX;
        assert_eq!(chosen(&[3 * most], None), [most]);
        let lines = chosen(&[-3 * most, 3 * most, 3 * most], None);
        assert!(lines.iter().all(|line| line.abs() <= most), "{lines:?}");
        let sum: i128 = lines.iter().map(|&line| i128::from(line)).sum();
        assert_eq!(sum, i128::from(most));
        let many = vec![i64::MAX / 2; 40];
        assert_eq!(chosen(&many, None), [most]);
    }

    proptest! {
        #[test]
        fn a_payout_sends_what_was_asked_and_recovers_no_more_than_the_limit(
            amounts in proptest::collection::vec(-1_000_i64..2_000, 1..12),
            free in 0_i64..5_000,
            share in 0_u32..=100,
            part in 1_i64..=4,
        ) {
            let due = (1..).zip(&amounts).map(|(number, &amount)| due(number, amount)).collect();
            let available = Available::new(due, Instant::MAX, 0, free);
            prop_assume!(available.most_minor > 0);
            let sent = (available.most_minor / part).max(1);
            let limit = RecoveryLimit::try_from(format!("{share}%")).unwrap();
            let lines = available.take(sent, Some(limit), Currency::USD);
            prop_assert_eq!(lines.iter().map(|line| line.amount_minor).sum::<i64>(), sent);
            let paid: i64 = lines.iter().map(|line| line.amount_minor.max(0)).sum();
            prop_assert!((paid - sent) * 100 <= paid * i64::from(share));
        }
    }
}
