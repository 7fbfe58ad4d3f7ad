//! Running sums of what is posted for partners, so that a balance need not walk over postings.
//!
//! Two tables, written in the transaction that writes the postings. `balance_totals` has all that was
//! ever posted for a partner in a currency. `balance_hours` has what of it was still to come when it
//! was recorded, by the hour in which it takes effect or becomes payable: a hold, an approval after
//! some days, the end of a month. So a balance of any time from the last posting on is the total less
//! the hours that come after, however much was posted before.
//!
//! A sum that comes near the end of 64 bits is not kept (NULL): whoever asks then adds up postings.

use std::collections::BTreeMap;

use postbook_projections::rows::{Account, Entry, Memo, Posting, PostingKind};
use postbook_schemas::{Currency, Instant, Slug};

use super::insert::{Insert, Insertions, Kind, Values};

/// An hour in microseconds.
const HOUR_US: i64 = 3_600_000_000;

/// How far from zero a sum is kept. All of a row together then still fit 64 bits.
const LIMIT_MINOR: i64 = 400_000_000_000_000_000;

/// The amounts of a row of `balance_hours`.
pub(super) const AMOUNTS: [&str; 10] = [
    "pending_minor",
    "approved_minor",
    "earned_minor",
    "reversed_minor",
    "clawed_back_minor",
    "recovered_minor",
    "written_off_minor",
    "adjusted_minor",
    "paid_minor",
    "payable_minor",
];

/// The amounts of a row of `balance_totals`: in the end, all that is approved is payable.
pub(super) const TOTALS: &[&str] = AMOUNTS.split_at(9).0;

/// The memo totals, which postings carry under the same names.
pub(super) const MEMO: &[&str] = TOTALS.split_at(2).1;

/// The first instant of the hour of an instant.
pub(super) fn hour_of(at: Instant) -> i64 {
    at.micros().div_euclid(HOUR_US) * HOUR_US
}

/// The first instant of the hour after.
pub(super) fn next_hour(at: Instant) -> i64 {
    hour_of(at) + HOUR_US
}

/// What is added to a row.
#[derive(Clone, Copy, Debug)]
struct Sums {
    postings: i64,
    recorded_at: Instant,
    /// In the order of [`AMOUNTS`]; what the partner has coming is positive. `None`: too far from zero.
    amounts: [Option<i64>; 10],
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            postings: 0,
            recorded_at: Instant::MIN,
            amounts: [Some(0); 10],
        }
    }
}

impl Sums {
    fn add(&mut self, amounts: [i64; 10], postings: i64) {
        self.postings += postings;
        for (sum, amount) in self.amounts.iter_mut().zip(amounts) {
            let together = sum.and_then(|sum| sum.checked_add(amount));
            *sum = together.filter(|sum| (-LIMIT_MINOR..=LIMIT_MINOR).contains(sum));
        }
    }

    fn is_nothing(&self) -> bool {
        self.postings == 0 && self.amounts == [Some(0); 10]
    }
}

/// What a run of postings adds to the running sums.
#[derive(Clone, Debug, Default)]
pub(super) struct Added<'p> {
    totals: BTreeMap<(&'p Slug, Currency), Sums>,
    hours: BTreeMap<(&'p Slug, Currency, i64), Sums>,
}

impl<'p> Added<'p> {
    pub(super) fn by(postings: &'p [Posting]) -> Self {
        let mut added = Self::default();
        for posting in postings {
            // What the advertiser owes is in no partner's balance.
            if posting.kind != PostingKind::Receivable {
                added.post(posting);
            }
        }
        added.hours.retain(|_, sums| !sums.is_nothing());
        added
    }

    fn post(&mut self, posting: &'p Posting) {
        let at = posting.effective_at;
        let memo = memo_amounts(&posting.memo);
        self.add((&posting.partner, posting, at), memo, 1);
        for entry in &posting.entries {
            let Some((partner, amounts)) = account_amounts(entry) else {
                continue;
            };
            self.add((partner, posting, at), amounts, 0);
            if matches!(entry.account, Account::Approved(_)) {
                let payable_at = entry.available_at.map_or(at, |held| held.max(at));
                let mut amounts = [0; 10];
                amounts[9] = own(entry.amount_minor);
                self.add_to_hour((partner, posting, payable_at), amounts, 0);
            }
        }
    }

    fn add(&mut self, place: Place<'p>, amounts: [i64; 10], postings: i64) {
        let (partner, posting, _) = place;
        let sums = self.totals.entry((partner, posting.currency)).or_default();
        sums.recorded_at = sums.recorded_at.max(posting.recorded_at);
        sums.add(amounts, postings);
        self.add_to_hour(place, amounts, postings);
    }

    fn add_to_hour(&mut self, place: Place<'p>, amounts: [i64; 10], postings: i64) {
        let (partner, posting, at) = place;
        if at > posting.recorded_at {
            let hour = (partner, posting.currency, hour_of(at));
            self.hours.entry(hour).or_default().add(amounts, postings);
        }
    }
}

/// Whose sums, by which posting, and when it takes effect.
type Place<'p> = (&'p Slug, &'p Posting, Instant);

/// Liabilities are credits, which are negative in the ledger; the smallest number has no opposite, and
/// is beyond what is kept.
fn own(amount_minor: i64) -> i64 {
    amount_minor.checked_neg().unwrap_or(i64::MAX)
}

fn account_amounts(entry: &Entry) -> Option<(&Slug, [i64; 10])> {
    let mut amounts = [0; 10];
    let (partner, place) = match &entry.account {
        Account::Pending(partner) => (partner, 0),
        Account::Approved(partner) => (partner, 1),
        _ => return None,
    };
    amounts[place] = own(entry.amount_minor);
    Some((partner, amounts))
}

fn memo_amounts(memo: &Memo) -> [i64; 10] {
    [
        0,
        0,
        memo.earned_minor,
        memo.reversed_minor,
        memo.clawed_back_minor,
        memo.recovered_minor,
        memo.written_off_minor,
        memo.adjusted_minor,
        memo.paid_minor,
        0,
    ]
}

/// The statements that add to the running sums.
#[derive(Clone, Debug)]
pub(super) struct SumStatements {
    totals: Insert,
    hours: Insert,
}

impl SumStatements {
    /// The statements for tables of this kind.
    pub(super) fn of(kind: Kind) -> Self {
        let (totals, hours) = (TOTALS, &AMOUNTS[..]);
        let with = |keys: &[&'static str], amounts: &[&'static str]| [keys, amounts].concat();
        Self {
            totals: Insert::adding(
                kind,
                "balance_totals",
                &with(
                    &["partner", "currency", "recorded_at", "posting_count"],
                    totals,
                ),
                &on_conflict("balance_totals", "partner, currency", totals),
            ),
            hours: Insert::adding(
                kind,
                "balance_hours",
                &with(&["partner", "currency", "hour", "posting_count"], hours),
                &on_conflict("balance_hours", "partner, currency, hour", hours),
            ),
        }
    }
}

/// What becomes of a row that is there.
fn on_conflict(table: &str, keys: &str, amounts: &[&str]) -> String {
    let mut set = vec![format!(
        "posting_count = {table}.posting_count + excluded.posting_count"
    )];
    if table == "balance_totals" {
        set.push(format!(
            "recorded_at = CASE WHEN excluded.recorded_at > {table}.recorded_at \
             THEN excluded.recorded_at ELSE {table}.recorded_at END"
        ));
    }
    set.extend(amounts.iter().map(|amount| {
        let sum = format!("{table}.{amount} + excluded.{amount}");
        format!("{amount} = CASE WHEN ABS({sum}) <= {LIMIT_MINOR} THEN {sum} END")
    }));
    format!(" ON CONFLICT ({keys}) DO UPDATE SET {}", set.join(", "))
}

impl SumStatements {
    pub(super) fn totals<'r>(&'r self, added: &'r Added<'_>) -> Insertions<'r> {
        let rows = added.totals.iter();
        self.totals.of(
            rows,
            added.totals.len(),
            |values, ((partner, currency), sums)| {
                values.push(partner.as_str());
                values.push(currency.code());
                values.push(sums.recorded_at.micros());
                push(values, sums, 9);
            },
        )
    }

    pub(super) fn hours<'r>(&'r self, added: &'r Added<'_>) -> Insertions<'r> {
        let rows = added.hours.iter();
        self.hours.of(
            rows,
            added.hours.len(),
            |values, ((partner, currency, hour), sums)| {
                values.push(partner.as_str());
                values.push(currency.code());
                values.push(*hour);
                push(values, sums, 10);
            },
        )
    }
}

fn push(values: &mut Values, sums: &Sums, amounts: usize) {
    values.push(sums.postings);
    for amount in sums.amounts.iter().take(amounts) {
        values.push(*amount);
    }
}
