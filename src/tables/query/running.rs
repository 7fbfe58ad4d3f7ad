//! Balances from running sums: the totals, less what takes effect or becomes payable later.

use std::collections::{BTreeMap, BTreeSet};

use postbook_projections::rows::Account;
use postbook_schemas::{Instant, Slug};

use super::{
    balances::{AsOf, Balance, added_up, memo_sums},
    select,
    total::{sum, total},
};
use crate::tables::{
    Tables,
    db::{Query, Snapshot},
    error::TablesError,
    row::Reader,
    sums::{AMOUNTS, TOTALS, hour_of, next_hour},
};

/// The sums of a partner in one currency, as a table or a part of one says them.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    postings: i64,
    pending_minor: i128,
    approved_minor: i128,
    payable_minor: i128,
    memo: Balance,
}

/// A partner's balances by currency; `None` if the running sums do not say them: of a time before the
/// last posting, or where a sum is too large to be kept.
pub(super) async fn read(
    snapshot: &mut Snapshot,
    partner: &Slug,
    as_of: AsOf,
) -> Result<Option<BTreeMap<String, Balance>>, TablesError> {
    let Some(mut sums) = totals(snapshot, partner, as_of).await? else {
        return Ok(None);
    };
    if sums.is_empty() || as_of.effective == Instant::MAX {
        return Ok(Some(balances(sums)));
    }
    for row in &snapshot
        .fetch(later_hours(partner, as_of.effective))
        .await?
    {
        let row = Reader::new("balance_hours", row);
        if row.number("hours")? != row.number("kept")? {
            return Ok(None);
        }
        let later = Sums {
            postings: row.number("posting_count")?,
            pending_minor: total(&row, "pending_minor")?,
            approved_minor: total(&row, "approved_minor")?,
            payable_minor: total(&row, "payable_minor")?,
            memo: Balance::memo(|column| total(&row, column))?,
        };
        subtract(&mut sums, &row, later)?;
    }
    // Of the hour itself, what comes after its moment: line by line.
    for (table, query) in [
        ("postings", later_memos(partner, as_of.effective)),
        ("entries", later_effects(partner, as_of.effective)),
        ("entries", later_payables(partner, as_of.effective)),
    ] {
        for row in &snapshot.fetch(query).await? {
            let row = Reader::new(table, row);
            subtract(&mut sums, &row, later(table, &row)?)?;
        }
    }
    Ok(Some(balances(sums)))
}

async fn totals(
    snapshot: &mut Snapshot,
    partner: &Slug,
    as_of: AsOf,
) -> Result<Option<BTreeMap<String, Sums>>, TablesError> {
    let mut query = select("SELECT * FROM balance_totals WHERE partner = ");
    query.push_bind(partner.as_str().to_owned());
    let mut totals = BTreeMap::new();
    for row in &snapshot.fetch(query).await? {
        let row = Reader::new("balance_totals", row);
        let recorded_at = row.time("recorded_at")?;
        let Some(sums) = kept(&row)? else {
            return Ok(None);
        };
        if as_of.effective < recorded_at || as_of.known < recorded_at {
            return Ok(None);
        }
        totals.insert(row.text("currency")?.into_owned(), sums);
    }
    Ok(Some(totals))
}

/// The sums of a row, if all are kept.
fn kept(row: &Reader<'_>) -> Result<Option<Sums>, TablesError> {
    for column in TOTALS {
        if row.number_option(column)?.is_none() {
            return Ok(None);
        }
    }
    let number = |column: &str| row.number(column).map(i128::from);
    let approved_minor = number("approved_minor")?;
    Ok(Some(Sums {
        postings: row.number("posting_count")?,
        pending_minor: number("pending_minor")?,
        approved_minor,
        payable_minor: approved_minor,
        memo: Balance::memo(number)?,
    }))
}

fn later_hours(partner: &Slug, at: Instant) -> Query {
    // A sum that is not kept makes its row's sum absent.
    let mut query = select(format!(
        "SELECT currency, COUNT(*) AS hours, COUNT({}) AS kept, \
         CAST(SUM(posting_count) AS BIGINT) AS posting_count, {} \
         FROM balance_hours WHERE partner = ",
        AMOUNTS.join(" + "),
        AMOUNTS.map(|column| sum(column, column)).join(", ")
    ));
    query
        .push_bind(partner.as_str().to_owned())
        .push(" AND hour > ")
        .push_bind(hour_of(at))
        .push(" GROUP BY currency");
    query
}

fn later_memos(partner: &Slug, at: Instant) -> Query {
    let mut query = select(format!(
        "SELECT currency, COUNT(*) AS posting_count, {} FROM postings \
         WHERE kind <> 'receivable' AND effective_at > recorded_at AND partner = ",
        memo_sums()
    ));
    query.push_bind(partner.as_str().to_owned());
    within(&mut query, "effective_at", at);
    query.push(" GROUP BY currency");
    query
}

/// What takes effect later within the hour, and what of it is not held any longer then. SQLite keeps the order
/// of cross joins: the index of entries wants the currency before the time.
fn later_effects(partner: &Slug, at: Instant) -> Query {
    let mut query = select(format!(
        "SELECT e.currency AS currency, a.kind AS kind, {}, {} FROM accounts a \
         CROSS JOIN balance_totals t CROSS JOIN entries e WHERE e.account_id = a.id \
         AND e.currency = t.currency AND a.name IN (",
        sum("e.amount_minor", "total_minor"),
        sum(
            "CASE WHEN e.available_at > e.effective_at THEN 0 ELSE e.amount_minor END",
            "payable_minor"
        )
    ));
    query
        .push_bind(Account::Pending(partner.clone()).to_string())
        .push(", ")
        .push_bind(Account::Approved(partner.clone()).to_string())
        .push(") AND t.partner = ")
        .push_bind(partner.as_str().to_owned());
    within(&mut query, "e.effective_at", at);
    query.push(" GROUP BY a.kind, e.currency");
    query
}

/// What is held until later within the hour. A condition on a join would not lead SQLite to the index of what is
/// held while nothing is.
fn later_payables(partner: &Slug, at: Instant) -> Query {
    let mut query = select(format!(
        "SELECT e.currency AS currency, 'held' AS kind, 0 AS total_minor_high, \
         0 AS total_minor_low, {} FROM accounts a CROSS JOIN entries e WHERE e.account_id = a.id \
         AND e.available_at > e.recorded_at AND e.available_at > e.effective_at AND a.name = ",
        sum("e.amount_minor", "payable_minor")
    ));
    query.push_bind(Account::Approved(partner.clone()).to_string());
    within(&mut query, "e.available_at", at);
    query.push(" GROUP BY e.currency");
    query
}

fn within(query: &mut Query, column: &'static str, at: Instant) {
    query
        .push(" AND ")
        .push(column)
        .push(" > ")
        .push_bind(at.micros())
        .push(" AND ")
        .push(column)
        .push(" < ")
        .push_bind(next_hour(at));
}

fn later(table: &'static str, row: &Reader<'_>) -> Result<Sums, TablesError> {
    let mut later = Sums::default();
    if table == "postings" {
        later.postings = row.number("posting_count")?;
        later.memo = Balance::memo(|column| total(row, column))?;
        return Ok(later);
    }
    let (all, payable) = (total(row, "total_minor")?, total(row, "payable_minor")?);
    // Liabilities are credits, which are negative in the ledger.
    match &*row.text("kind")? {
        "pending" => later.pending_minor = -all,
        kind => {
            later.payable_minor = -payable;
            later.approved_minor = if kind == "approved" { -all } else { 0 };
        }
    }
    Ok(later)
}

/// Takes what comes later out of the sums of its currency.
fn subtract(
    sums: &mut BTreeMap<String, Sums>,
    row: &Reader<'_>,
    later: Sums,
) -> Result<(), TablesError> {
    let currency = row.text("currency")?;
    let Some(sums) = sums.get_mut(&*currency) else {
        return Err(row.damaged("currency", "there is no total"));
    };
    sums.less(later);
    Ok(())
}

impl Sums {
    fn less(&mut self, later: Self) {
        self.postings -= later.postings;
        let (memo, of) = (&mut self.memo, later.memo);
        for (sum, later) in [
            (&mut self.pending_minor, later.pending_minor),
            (&mut self.approved_minor, later.approved_minor),
            (&mut self.payable_minor, later.payable_minor),
            (&mut memo.earned_minor, of.earned_minor),
            (&mut memo.reversed_minor, of.reversed_minor),
            (&mut memo.clawed_back_minor, of.clawed_back_minor),
            (&mut memo.recovered_minor, of.recovered_minor),
            (&mut memo.written_off_minor, of.written_off_minor),
            (&mut memo.adjusted_minor, of.adjusted_minor),
            (&mut memo.paid_minor, of.paid_minor),
        ] {
            *sum -= later;
        }
    }
}

/// Balances of currencies in which something was posted by then.
fn balances(sums: BTreeMap<String, Sums>) -> BTreeMap<String, Balance> {
    let known = sums.into_iter().filter(|(_, sums)| sums.postings != 0);
    known
        .map(|(currency, sums)| {
            let balance = Balance {
                pending_minor: sums.pending_minor,
                held_minor: sums.approved_minor - sums.payable_minor,
                payable_minor: sums.payable_minor,
                ..sums.memo
            };
            (currency, balance)
        })
        .collect()
}

impl Tables {
    /// Partners whose balances are not the same from running sums and from postings, now and at other
    /// times from now on: none, if the read models are sound.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn unlike_balances(&self, now: Instant) -> Result<Vec<String>, TablesError> {
        let mut snapshot = self.snapshot().await?;
        let query = select(
            "SELECT partner FROM accounts WHERE partner IS NOT NULL \
             UNION SELECT partner FROM balance_totals UNION SELECT partner FROM balance_hours \
             ORDER BY 1",
        );
        let mut partners = BTreeSet::new();
        for row in &snapshot.fetch(query).await? {
            let row = Reader::new("balance_totals", row);
            let partner = Slug::try_new(&row.text("partner")?);
            partners.insert(partner.map_err(|error| row.damaged("partner", error))?);
        }
        let times = [now, now.plus_days(1), now.plus_days(30), Instant::MAX];
        let mut unlike = Vec::new();
        for partner in partners {
            for effective in times {
                let as_of = AsOf {
                    effective,
                    known: Instant::MAX,
                };
                let Some(running) = read(&mut snapshot, &partner, as_of).await? else {
                    continue;
                };
                if running != added_up(&mut snapshot, &partner, as_of).await? {
                    unlike.push(partner.to_string());
                    break;
                }
            }
        }
        Ok(unlike)
    }
}

#[cfg(test)]
mod tests {
    use postbook_projections::{
        Changes,
        rows::{Entry, InPeriod, Memo, Posting, PostingKind},
    };
    use postbook_schemas::Currency;

    use super::*;
    use crate::tables::{batch::Batch, digest::Running};

    fn begin() -> Instant {
        Instant::from_micros(1_780_000_000_000_000)
    }

    /// What is approved, a second after the one before, and held for a day or not.
    fn posting(partner: &Slug, number: u64, is_held: bool) -> Posting {
        let seconds = i64::try_from(number).expect("a small number") * 1_000_000;
        let at = begin().plus_micros(seconds);
        Posting {
            number,
            cause: number,
            kind: PostingKind::Earning,
            conversion_id: None,
            rule: None,
            terms_version: None,
            partner: partner.clone(),
            currency: Currency::USD,
            payout_id: None,
            effective_at: at,
            recorded_at: at,
            period: InPeriod::plain("2026-05".parse().expect("a month")),
            entries: vec![Entry {
                account: Account::Approved(partner.clone()),
                amount_minor: -100,
                available_at: is_held.then(|| at.plus_days(1)),
            }],
            memo: Memo::default(),
        }
    }

    /// Found by the benchmark beside a rebuild: each balance walked through all that its partner had ever
    /// been approved, since nothing told the planner that an account has many entries.
    #[tokio::test]
    async fn what_comes_later_is_found_by_its_time_also_where_nothing_was_built_again() {
        for is_held in [true, false] {
            let folder = tempfile::tempdir().expect("a folder");
            let tables = Tables::open(folder.path()).await.expect("tables open");
            let mut writer = tables.writer().await.expect("nobody else writes");
            let partner = Slug::try_new("p1").expect("a slug");
            let mut running = Running::default();
            for first in [1, 2_001] {
                let mut batch = Batch::default();
                for number in first..first + 2_000 {
                    let mut changes = Changes {
                        postings: vec![posting(&partner, number, is_held)],
                        ..Changes::default()
                    };
                    batch.absorb(number, &mut changes);
                }
                running.apply(&batch);
                let written = writer.write(&batch, running.digest()).await;
                written.expect("the batch is written");
            }
            for (query, index) in [
                (
                    later_effects(&partner, begin()),
                    "entries_account (account_id=? AND currency=? AND effective_at>? AND effective_at<?)",
                ),
                (
                    later_payables(&partner, begin()),
                    "entries_held (account_id=? AND available_at>? AND available_at<?)",
                ),
            ] {
                let plan = tables.plan(query).await.expect("the query can be planned");
                assert!(plan.contains(index), "{is_held}: {plan}");
            }
        }
    }
}
