//! Balances, as of any effective time and as known at any recorded time.

use std::collections::BTreeMap;

use postbook_schemas::{Instant, Slug};

use super::{
    running, select,
    total::{sum, total},
};
use crate::tables::{
    Tables,
    db::{Query, Row, Snapshot},
    error::TablesError,
    row::Reader,
    sums::MEMO,
};

/// The two times that a balance is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    /// What had taken effect by then.
    pub effective: Instant,
    /// As far as it had been recorded by then.
    pub known: Instant,
}

/// A partner's balance in one currency (SPEC 7). What the partner has coming is positive. Each amount
/// fits 64 bits; sums of them may not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of SPEC 7")]
pub struct Balance {
    pub pending_minor: i128,
    pub held_minor: i128,
    pub payable_minor: i128,
    pub paid_minor: i128,
    pub earned_minor: i128,
    pub reversed_minor: i128,
    pub clawed_back_minor: i128,
    pub recovered_minor: i128,
    pub written_off_minor: i128,
    pub adjusted_minor: i128,
}

impl AsOf {
    /// All that is in the book, whenever it takes effect.
    pub const ALL: Self = Self {
        effective: Instant::MAX,
        known: Instant::MAX,
    };
}

impl Balance {
    /// Only the memo totals, column by column.
    pub(super) fn memo(
        read: impl Fn(&str) -> Result<i128, TablesError>,
    ) -> Result<Self, TablesError> {
        Ok(Self {
            earned_minor: read("earned_minor")?,
            reversed_minor: read("reversed_minor")?,
            clawed_back_minor: read("clawed_back_minor")?,
            recovered_minor: read("recovered_minor")?,
            written_off_minor: read("written_off_minor")?,
            adjusted_minor: read("adjusted_minor")?,
            paid_minor: read("paid_minor")?,
            ..Self::default()
        })
    }

    /// What is clawed back and neither recovered nor written off.
    pub fn outstanding_minor(&self) -> i128 {
        self.clawed_back_minor - self.recovered_minor - self.written_off_minor
    }

    /// What the partner has coming, by the memo totals.
    fn told_minor(&self) -> i128 {
        self.earned_minor - self.reversed_minor - self.clawed_back_minor
            + self.written_off_minor
            + self.adjusted_minor
            - self.paid_minor
    }

    /// Whether the identity of SPEC 7 holds.
    pub fn adds_up(&self) -> bool {
        self.pending_minor + self.held_minor + self.payable_minor == self.told_minor()
    }
}

/// The sum of one account in one currency; debits positive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountTotal {
    /// The account.
    pub account: String,
    /// The currency.
    pub currency: String,
    /// Minor units of it.
    pub amount_minor: i128,
}

impl Tables {
    /// A partner's balances by currency.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn balances(
        &self,
        partner: &Slug,
        as_of: AsOf,
    ) -> Result<BTreeMap<String, Balance>, TablesError> {
        // All sums are of one moment.
        read(&mut self.snapshot().await?, partner, as_of).await
    }

    /// The sum of every account. Each currency adds up to zero, as of whatever time.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn trial_balance(&self, as_of: AsOf) -> Result<Vec<AccountTotal>, TablesError> {
        let mut query = select(format!(
            "SELECT a.name AS name, e.currency AS currency, {} \
             FROM entries e JOIN accounts a ON a.id = e.account_id WHERE e.effective_at <= ",
            sum("e.amount_minor", "amount_minor")
        ));
        query
            .push_bind(as_of.effective.micros())
            .push(" AND e.recorded_at <= ")
            .push_bind(as_of.known.micros())
            .push(" GROUP BY a.id, e.currency ORDER BY e.currency, a.name");
        let rows = self.fetch(query).await?;
        rows.iter()
            .map(|row| {
                let row = Reader::new("entries", row);
                Ok(AccountTotal {
                    account: row.text("name")?.into_owned(),
                    currency: row.text("currency")?.into_owned(),
                    amount_minor: total(&row, "amount_minor")?,
                })
            })
            .collect()
    }

    /// Partners whose balance is not what its memo totals say (SPEC 7): none, if the book is sound.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn unsound_balances(&self) -> Result<Vec<String>, TablesError> {
        let told = select(format!(
            "SELECT partner, currency, {} FROM postings GROUP BY partner, currency",
            memo_sums()
        ));
        let owed = select(format!(
            "SELECT a.partner AS partner, e.currency AS currency, {} \
             FROM entries e JOIN accounts a ON a.id = e.account_id \
             WHERE a.kind IN ('pending', 'approved') GROUP BY a.partner, e.currency",
            sum("e.amount_minor", "amount_minor")
        ));
        let mut snapshot = self.snapshot().await?;
        let mut off = BTreeMap::<(String, String), i128>::new();
        let mut add = |row: &Reader<'_>, minor: i128| -> Result<(), TablesError> {
            let (partner, currency) = (row.text("partner")?, row.text("currency")?);
            let sum = off.entry((partner.into_owned(), currency.into_owned()));
            *sum.or_default() += minor;
            Ok(())
        };
        for row in &snapshot.fetch(told).await? {
            let row = Reader::new("postings", row);
            let memo = Balance::memo(|column| total(&row, column))?;
            add(&row, memo.told_minor())?;
        }
        for row in &snapshot.fetch(owed).await? {
            let row = Reader::new("entries", row);
            // What is owed is negative in the ledger.
            add(&row, total(&row, "amount_minor")?)?;
        }
        off.retain(|_, off| *off != 0);
        let named = off.into_keys();
        Ok(named
            .map(|(partner, currency)| format!("{partner} in {currency}"))
            .collect())
    }

    /// Whether the partner has an account or a conversion.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn has_partner(&self, partner: &Slug) -> Result<bool, TablesError> {
        let mut query = select("SELECT id FROM accounts WHERE partner = ");
        query
            .push_bind(partner.as_str().to_owned())
            .push(" LIMIT 1");
        Ok(!self.fetch(query).await?.is_empty())
    }
}

/// A partner's balances by currency, from a snapshot: from running sums where they say it, else from
/// postings.
pub(super) async fn read(
    snapshot: &mut Snapshot,
    partner: &Slug,
    as_of: AsOf,
) -> Result<BTreeMap<String, Balance>, TablesError> {
    match running::read(snapshot, partner, as_of).await? {
        Some(balances) => Ok(balances),
        None => added_up(snapshot, partner, as_of).await,
    }
}

/// A partner's balances by currency, added up from postings.
pub(super) async fn added_up(
    snapshot: &mut Snapshot,
    partner: &Slug,
    as_of: AsOf,
) -> Result<BTreeMap<String, Balance>, TablesError> {
    let mut balances = BTreeMap::<String, Balance>::new();
    for row in &snapshot.fetch(bucket_query(partner, as_of)).await? {
        add_bucket(row, &mut balances)?;
    }
    for row in &snapshot.fetch(memo_query(partner, as_of)).await? {
        add_memo(row, &mut balances)?;
    }
    Ok(balances)
}

fn bucket_query(partner: &Slug, as_of: AsOf) -> Query {
    let mut query = select(format!(
        "SELECT e.currency AS currency, a.kind AS kind, {}, {} \
         FROM accounts a JOIN entries e ON e.account_id = a.id WHERE a.partner = ",
        sum("e.amount_minor", "total_minor"),
        // A number of this program, which stands twice.
        sum(
            &format!(
                "CASE WHEN e.available_at > {} THEN e.amount_minor ELSE 0 END",
                as_of.effective.micros()
            ),
            "held_minor"
        )
    ));
    query
        .push_bind(partner.as_str().to_owned())
        .push(" AND e.effective_at <= ")
        .push_bind(as_of.effective.micros())
        .push(" AND e.recorded_at <= ")
        .push_bind(as_of.known.micros())
        .push(" GROUP BY a.kind, e.currency");
    query
}

fn memo_query(partner: &Slug, as_of: AsOf) -> Query {
    let mut query = select(format!(
        "SELECT currency, {} FROM postings WHERE kind <> 'receivable' AND partner = ",
        memo_sums()
    ));
    query
        .push_bind(partner.as_str().to_owned())
        .push(" AND effective_at <= ")
        .push_bind(as_of.effective.micros())
        .push(" AND recorded_at <= ")
        .push_bind(as_of.known.micros())
        .push(" GROUP BY currency");
    query
}

/// The columns that say the sums of memo totals.
pub(super) fn memo_sums() -> String {
    let sums = MEMO.iter().map(|column| sum(column, column));
    sums.collect::<Vec<_>>().join(", ")
}

/// Liabilities are credits, which are negative in the ledger.
fn add_bucket(row: &Row, balances: &mut BTreeMap<String, Balance>) -> Result<(), TablesError> {
    let row = Reader::new("entries", row);
    let balance = balances
        .entry(row.text("currency")?.into_owned())
        .or_default();
    let (all, held) = (total(&row, "total_minor")?, total(&row, "held_minor")?);
    if row.text("kind")? == "pending" {
        balance.pending_minor = -all;
    } else {
        balance.held_minor = -held;
        balance.payable_minor = held - all;
    }
    Ok(())
}

fn add_memo(row: &Row, balances: &mut BTreeMap<String, Balance>) -> Result<(), TablesError> {
    let row = Reader::new("postings", row);
    let memo = Balance::memo(|column| total(&row, column))?;
    let balance = balances
        .entry(row.text("currency")?.into_owned())
        .or_default();
    *balance = Balance {
        pending_minor: balance.pending_minor,
        held_minor: balance.held_minor,
        payable_minor: balance.payable_minor,
        ..memo
    };
    Ok(())
}
