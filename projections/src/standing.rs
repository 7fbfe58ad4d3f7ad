//! How a conversion stands: its status and what refunds and chargebacks have taken (SPEC 6).

use postbook_schemas::{Change, Instant, Status, decision::Decision};

use crate::conversion::{Changed, Decided};

/// The status that facts give, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusSince {
    /// The status.
    pub status: Status,
    /// When the unbroken run of facts that say so began.
    pub since: Instant,
    /// Whether no fact said anything else before.
    pub is_first: bool,
}

/// The status of a conversion by facts: the last decision unless it was released, else the last
/// status of the advertiser; `None` leaves it to the rule's approval. A decision that agrees with what the
/// advertiser had said goes on from there.
///
/// `changes` and `decisions` are in the order of facts.
pub fn status_by_facts(
    reported: Option<StatusSince>,
    changes: &[&Changed],
    decisions: &[&Decided],
) -> Option<StatusSince> {
    let decided = decisions.iter().fold(None, |so_far, decided| {
        let status = match decided.decision {
            Decision::Approve => Status::Approved,
            Decision::Reject => Status::Rejected,
            Decision::Reverse => Status::Reversed,
            Decision::Release => return None,
        };
        Some(run(so_far, status, decided.order.occurred_at))
    });
    let said = changes
        .iter()
        .filter_map(|change| Some((change.status?, change.order.occurred_at)))
        .fold(reported, |so_far, (status, at)| {
            Some(run(so_far, status, at))
        });
    let (Some(decided), Some(said)) = (decided, said) else {
        return decided.or(said);
    };
    if !decided.is_first || said.since > decided.since {
        return Some(decided);
    }
    let disagreed = StatusSince {
        is_first: false,
        ..decided
    };
    Some(if decided.status == said.status {
        said
    } else {
        disagreed
    })
}

/// Saying the same status again does not begin it anew, so that a repeated `approved` does not
/// prolong a hold.
fn run(so_far: Option<StatusSince>, status: Status, at: Instant) -> StatusSince {
    let is_first = so_far.is_none();
    so_far
        .filter(|before| before.status == status)
        .unwrap_or(StatusSince {
            status,
            since: at,
            is_first,
        })
}

/// What refunds and chargebacks have taken of an amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Refunded, at most the amount.
    pub refunded_minor: i64,
    /// Refunded beyond the amount.
    pub over_refunded_minor: i64,
    /// Charged back and not won.
    pub charged_back_minor: i64,
    /// Whether anything was refunded, also where there is no amount.
    pub refunded: bool,
    /// Whether a chargeback stands, also where there is no amount.
    pub charged_back: bool,
}

/// One change with its amount in the conversion's currency; `None` means all that remains.
#[derive(Clone, Copy, Debug)]
pub struct MoneyChange {
    /// What changed.
    pub change: Change,
    /// When.
    pub occurred_at: Instant,
    /// How much.
    pub amount_minor: Option<i64>,
}

/// What changes, in the order of facts, take of an amount (`None` and negative amounts have nothing
/// to take: any refund or chargeback is then a total one).
///
/// What was charged back cannot be refunded as well. Such a refund is remembered, and holds as soon as the
/// chargeback is won.
pub fn taken(amount_minor: Option<i64>, changes: impl Iterator<Item = MoneyChange>) -> Taken {
    let amount = amount_minor.unwrap_or(0).max(0);
    let mut taken = changes.fold(Taken::default(), |said, change| step(amount, said, &change));
    let refundable = amount.saturating_sub(taken.charged_back_minor);
    taken.refunded_minor = taken.refunded_minor.min(refundable);
    taken
}

/// Adds a change; of refunds, whatever was charged back meanwhile.
fn step(amount: i64, mut said: Taken, change: &MoneyChange) -> Taken {
    let not_refunded = amount.saturating_sub(said.refunded_minor);
    match change.change {
        Change::Refund => {
            let asked = change.amount_minor.unwrap_or(not_refunded);
            let applied = asked.min(not_refunded);
            said.refunded_minor = said.refunded_minor.saturating_add(applied);
            let over = asked.saturating_sub(applied);
            said.over_refunded_minor = said.over_refunded_minor.saturating_add(over);
            said.refunded = said.refunded || asked > 0 || amount == 0;
        }
        Change::Chargeback => {
            let remaining = not_refunded.saturating_sub(said.charged_back_minor).max(0);
            let applied = change.amount_minor.unwrap_or(remaining).min(remaining);
            said.charged_back_minor = said.charged_back_minor.saturating_add(applied);
            // The bank's fee is due also where a refund has left nothing to take.
            said.charged_back = true;
        }
        Change::ChargebackWon => {
            let won = change.amount_minor.unwrap_or(said.charged_back_minor);
            said.charged_back_minor = said.charged_back_minor.saturating_sub(won).max(0);
            said.charged_back = said.charged_back && said.charged_back_minor > 0;
        }
        Change::Status => {}
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(list: &[(Change, Option<i64>)]) -> Taken {
        taken(
            Some(100),
            list.iter().map(|&(change, amount_minor)| MoneyChange {
                change,
                occurred_at: Instant::EPOCH,
                amount_minor,
            }),
        )
    }

    #[test]
    fn partial_refunds_add_up_to_at_most_the_amount_and_the_rest_is_flagged() {
        let taken = changes(&[(Change::Refund, Some(30)), (Change::Refund, Some(90))]);
        assert_eq!((taken.refunded_minor, taken.over_refunded_minor), (100, 20));
    }

    #[test]
    fn a_refund_without_an_amount_takes_what_remains() {
        let taken = changes(&[(Change::Refund, Some(30)), (Change::Refund, None)]);
        assert_eq!((taken.refunded_minor, taken.over_refunded_minor), (100, 0));
    }

    #[test]
    fn a_chargeback_that_is_won_takes_nothing() {
        let taken = changes(&[(Change::Chargeback, None), (Change::ChargebackWon, None)]);
        assert_eq!(taken, Taken::default());
    }

    #[test]
    fn a_refund_of_what_was_charged_back_holds_once_that_is_won() {
        use Change::{Chargeback, ChargebackWon, Refund};
        for refund in [None, Some(100)] {
            let both = changes(&[(Chargeback, None), (Refund, refund)]);
            assert_eq!((both.refunded_minor, both.charged_back_minor), (0, 100));
            let won = changes(&[(Chargeback, None), (Refund, refund), (ChargebackWon, None)]);
            assert_eq!((won.refunded_minor, won.charged_back_minor), (100, 0));
            assert_eq!((both.over_refunded_minor, won.over_refunded_minor), (0, 0));
        }
    }

    #[test]
    fn a_chargeback_of_what_was_refunded_takes_nothing_and_is_one() {
        let taken = changes(&[(Change::Refund, None), (Change::Chargeback, None)]);
        assert_eq!((taken.refunded_minor, taken.charged_back_minor), (100, 0));
        assert!(taken.charged_back);
    }

    #[test]
    fn a_chargeback_after_a_refund_takes_only_the_rest() {
        let taken = changes(&[(Change::Refund, Some(30)), (Change::Chargeback, Some(100))]);
        assert_eq!((taken.refunded_minor, taken.charged_back_minor), (30, 70));
    }
}
