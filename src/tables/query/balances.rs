//! Balances, as of any effective time and as known at any recorded time.

use std::collections::BTreeMap;

use postbook_schemas::{Instant, Slug};

use super::{running, select};
use crate::tables::{
    Tables,
    db::{Query, Row, Snapshot},
    error::TablesError,
    row::Reader,
};

/// The two times that a balance is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    /// What had taken effect by then.
    pub effective: Instant,
    /// As far as it had been recorded by then.
    pub known: Instant,
}

/// A partner's balance in one currency (SPEC 7). What the partner has coming is positive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of SPEC 7")]
pub struct Balance {
    pub pending_minor: i64,
    pub held_minor: i64,
    pub payable_minor: i64,
    pub paid_minor: i64,
    pub earned_minor: i64,
    pub reversed_minor: i64,
    pub clawed_back_minor: i64,
    pub recovered_minor: i64,
    pub written_off_minor: i64,
    pub adjusted_minor: i64,
}

impl AsOf {
    /// All that is in the book, whenever it takes effect.
    pub const ALL: Self = Self {
        effective: Instant::MAX,
        known: Instant::MAX,
    };
}

impl Balance {
    /// What is clawed back and neither recovered nor written off.
    pub fn outstanding_minor(&self) -> i64 {
        self.clawed_back_minor - self.recovered_minor - self.written_off_minor
    }

    /// Whether the identity of SPEC 7 holds.
    pub fn adds_up(&self) -> bool {
        let have = [
            self.pending_minor,
            self.held_minor,
            self.payable_minor,
            self.paid_minor,
        ];
        let come = [
            self.earned_minor,
            -self.reversed_minor,
            -self.clawed_back_minor,
            self.written_off_minor,
            self.adjusted_minor,
        ];
        let sum = |amounts: &[i64]| amounts.iter().copied().map(i128::from).sum::<i128>();
        sum(&have) == sum(&come)
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
    pub amount_minor: i64,
}

impl Tables {
    /// A partner's balances by currency.
    ///
    /// # Errors
    /// The tables cannot be read, or a sum is beyond 64 bits.
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
    /// The tables cannot be read, or a sum is beyond 64 bits.
    pub async fn trial_balance(&self, as_of: AsOf) -> Result<Vec<AccountTotal>, TablesError> {
        let mut query = select(
            "SELECT a.name AS name, e.currency AS currency, \
             CAST(SUM(e.amount_minor) AS BIGINT) AS amount_minor \
             FROM entries e JOIN accounts a ON a.id = e.account_id WHERE e.effective_at <= ",
        );
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
                    amount_minor: row.number("amount_minor")?,
                })
            })
            .collect()
    }

    /// Partners whose balance is not what its memo totals say (SPEC 7): none, if the book is sound.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn unsound_balances(&self) -> Result<Vec<String>, TablesError> {
        let query = select(
            "SELECT p.partner AS partner, p.currency AS currency FROM (\
             SELECT partner, currency, SUM(earned_minor - reversed_minor - clawed_back_minor \
             + written_off_minor + adjusted_minor - paid_minor) AS told_minor \
             FROM postings GROUP BY partner, currency) p LEFT JOIN (\
             SELECT a.partner AS partner, e.currency AS currency, -SUM(e.amount_minor) AS owed_minor \
             FROM entries e JOIN accounts a ON a.id = e.account_id \
             WHERE a.kind IN ('pending', 'approved') GROUP BY a.partner, e.currency) b \
             ON b.partner = p.partner AND b.currency = p.currency \
             WHERE p.told_minor <> COALESCE(b.owed_minor, 0) ORDER BY 1, 2",
        );
        let rows = self.fetch(query).await?;
        rows.iter()
            .map(|row| {
                let row = Reader::new("postings", row);
                Ok(format!(
                    "{} in {}",
                    row.text("partner")?,
                    row.text("currency")?
                ))
            })
            .collect()
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
    let mut query = select(
        "SELECT e.currency AS currency, a.kind AS kind, CAST(SUM(e.amount_minor) AS BIGINT) AS total_minor, \
         CAST(SUM(CASE WHEN e.available_at > ",
    );
    query
        .push_bind(as_of.effective.micros())
        .push(
            " THEN e.amount_minor ELSE 0 END) AS BIGINT) AS held_minor \
             FROM accounts a JOIN entries e ON e.account_id = a.id WHERE a.partner = ",
        )
        .push_bind(partner.as_str().to_owned())
        .push(" AND e.effective_at <= ")
        .push_bind(as_of.effective.micros())
        .push(" AND e.recorded_at <= ")
        .push_bind(as_of.known.micros())
        .push(" GROUP BY a.kind, e.currency");
    query
}

fn memo_query(partner: &Slug, as_of: AsOf) -> Query {
    let mut query = select(
        "SELECT currency, CAST(SUM(earned_minor) AS BIGINT) AS earned_minor, CAST(SUM(reversed_minor) AS BIGINT) AS reversed_minor, \
         CAST(SUM(clawed_back_minor) AS BIGINT) AS clawed_back_minor, CAST(SUM(recovered_minor) AS BIGINT) AS recovered_minor, \
         CAST(SUM(written_off_minor) AS BIGINT) AS written_off_minor, CAST(SUM(adjusted_minor) AS BIGINT) AS adjusted_minor, \
         CAST(SUM(paid_minor) AS BIGINT) AS paid_minor FROM postings WHERE kind <> 'receivable' AND partner = ",
    );
    query
        .push_bind(partner.as_str().to_owned())
        .push(" AND effective_at <= ")
        .push_bind(as_of.effective.micros())
        .push(" AND recorded_at <= ")
        .push_bind(as_of.known.micros())
        .push(" GROUP BY currency");
    query
}

/// Liabilities are credits, which are negative in the ledger.
fn add_bucket(row: &Row, balances: &mut BTreeMap<String, Balance>) -> Result<(), TablesError> {
    let row = Reader::new("entries", row);
    let balance = balances
        .entry(row.text("currency")?.into_owned())
        .or_default();
    let (total, held) = (row.number("total_minor")?, row.number("held_minor")?);
    if row.text("kind")? == "pending" {
        balance.pending_minor = -total;
    } else {
        balance.held_minor = -held;
        balance.payable_minor = held - total;
    }
    Ok(())
}

fn add_memo(row: &Row, balances: &mut BTreeMap<String, Balance>) -> Result<(), TablesError> {
    let row = Reader::new("postings", row);
    let balance = balances
        .entry(row.text("currency")?.into_owned())
        .or_default();
    balance.earned_minor = row.number("earned_minor")?;
    balance.reversed_minor = row.number("reversed_minor")?;
    balance.clawed_back_minor = row.number("clawed_back_minor")?;
    balance.recovered_minor = row.number("recovered_minor")?;
    balance.written_off_minor = row.number("written_off_minor")?;
    balance.adjusted_minor = row.number("adjusted_minor")?;
    balance.paid_minor = row.number("paid_minor")?;
    Ok(())
}
