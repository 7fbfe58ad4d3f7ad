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
/// status of the advertiser; `None` leaves it to the rule's approval. What is overruled, or says what holds
/// already, changes nothing: a repeated `approved` does not prolong a hold.
///
/// `changes` and `decisions` are in the order of facts.
pub fn status_by_facts(
    reported: Option<StatusSince>,
    changes: &[&Changed],
    decisions: &[&Decided],
) -> Option<StatusSince> {
    let mut said = reported;
    let mut holds = reported;
    let mut decided = None;
    let told = changes
        .iter()
        .filter_map(|change| Some((&change.order, change.status?)));
    let mut told = told.peekable();
    let mut decisions = decisions.iter().peekable();
    loop {
        let is_told_first = match (told.peek(), decisions.peek()) {
            (Some((order, _)), Some(decision)) => **order <= decision.order,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_told_first {
            said = told
                .next()
                .map(|(order, status)| run(said, status, order.occurred_at));
        } else if let Some(decision) = decisions.next() {
            let at = decision.order.occurred_at;
            decided = status_of(decision.decision).map(|status| (status, at));
        } else {
            return holds;
        }
        // A decision that is taken back leaves everything as if it had not been.
        holds = decided.map_or(said, |(status, at)| Some(run(holds, status, at)));
    }
}

/// What holds once a fact says so: saying the same again does not begin it anew.
fn run(so_far: Option<StatusSince>, status: Status, since: Instant) -> StatusSince {
    so_far
        .filter(|before| before.status == status)
        .unwrap_or(StatusSince {
            status,
            since,
            is_first: so_far.is_none(),
        })
}

/// The status that a decision gives; none if it takes back the one before.
fn status_of(decision: Decision) -> Option<Status> {
    match decision {
        Decision::Approve => Some(Status::Approved),
        Decision::Reject => Some(Status::Rejected),
        Decision::Reverse => Some(Status::Reversed),
        Decision::Release => None,
    }
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
