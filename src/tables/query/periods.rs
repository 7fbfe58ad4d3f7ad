//! Closed months, statements, and the sums that a month's statements are made of.

use std::collections::BTreeMap;

use postbook_projections::rows::PostingKind;
use postbook_schemas::{Currency, FactId, Instant, Month, OfferRef, Slug};

use super::{
    Slice, and, select,
    total::{sum, total},
};
use crate::tables::{
    Tables,
    batch::{ClosedPeriod, StatementRow},
    db::{Query, Row},
    error::TablesError,
    row::{self, Reader},
    words,
};

/// Which statements.
#[derive(Clone, Debug, Default)]
pub struct StatementFilter {
    /// Of this partner.
    pub partner: Option<Slug>,
    /// Of this month.
    pub period: Option<Month>,
    /// Of months that had ended by then.
    pub ended_by: Option<Instant>,
    /// Issued by then.
    pub issued_by: Option<Instant>,
}

/// What postings of one sort do to a partner's balance in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The partner.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    /// The sort.
    pub kind: PostingKind,
    /// The closed month that is corrected.
    pub corrects: Option<Month>,
    /// The offer of the conversions.
    pub offer: Option<OfferRef>,
    /// The rule.
    pub rule: Option<String>,
    /// The payout that was made or came back.
    pub payout_id: Option<FactId>,
    /// The fact, where no conversion is behind it; not of ends of months, which are summed.
    pub cause: Option<u64>,
    /// When the first of them took effect.
    pub effective_at: Instant,
    /// How many there are.
    pub postings: u64,
    /// What they add up to; positive in the partner's favour.
    pub amount_minor: i128,
}

/// What a partner has coming after a month, by the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The partner.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    /// Not approved.
    pub pending_minor: i128,
    /// Approved, but held.
    pub held_minor: i128,
    /// Payable.
    pub payable_minor: i128,
}

/// The sides of postings that are a partner's balance.
/// In this order, from the postings that are asked for: SQLite would read all entries instead.
const OWED: &str = "FROM postings p CROSS JOIN entries e CROSS JOIN accounts a ";

/// What makes them so.
const IS_OWED: &str = "WHERE e.posting = p.number AND a.id = e.account_id \
     AND a.kind IN ('pending', 'approved') ";

/// Whom and what sums are of; what is available from the end of the month on is held.
fn sums(period: Month) -> String {
    let held = format!(
        "CASE WHEN e.available_at >= {} THEN e.amount_minor ELSE 0 END",
        period.end().micros()
    );
    format!(
        "SELECT a.partner AS partner, e.currency AS currency, a.kind AS kind, {}, {} ",
        sum("e.amount_minor", "total_minor"),
        sum(&held, "held_minor")
    )
}

impl Tables {
    /// Closed months in the order in which they were closed.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn closed_periods(&self) -> Result<Vec<ClosedPeriod>, TablesError> {
        let rows = self
            .fetch(select("SELECT * FROM periods ORDER BY position"))
            .await?;
        rows.iter().map(row::closed_period).collect()
    }

    /// The months that have postings, after `after`, in order.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn months_with_postings(
        &self,
        after: Option<Month>,
    ) -> Result<Vec<Month>, TablesError> {
        let mut query = select("SELECT DISTINCT period FROM postings WHERE period > ");
        query
            .push_bind(after.map_or_else(String::new, |month| month.to_string()))
            .push(" ORDER BY period");
        let rows = self.fetch(query).await?;
        rows.iter()
            .map(|row| Reader::new("postings", row).parsed("period"))
            .collect()
    }

    /// Statements in the order in which they were issued.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn statements(
        &self,
        filter: &StatementFilter,
        slice: Slice,
    ) -> Result<Vec<StatementRow>, TablesError> {
        let mut query = select("SELECT * FROM statements WHERE position > ");
        query.push_bind(slice.after.cast_signed());
        let partner = filter.partner.as_ref();
        and(
            &mut query,
            "partner = ",
            partner.map(|partner| partner.as_str().to_owned()),
        );
        let period = filter.period.map(|period| period.to_string());
        and(&mut query, "period = ", period);
        // Months are written so that they sort by time; the one in which a time lies has not ended.
        let first_open = filter.ended_by.map(|at| Month::of(at).to_string());
        and(&mut query, "period < ", first_open);
        let issued_by = filter.issued_by.map(Instant::micros);
        and(&mut query, "issued_at <= ", issued_by);
        query
            .push(" ORDER BY position LIMIT ")
            .push_bind(slice.limit);
        let rows = self.fetch(query).await?;
        rows.iter().map(row::statement).collect()
    }

    /// One statement.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn statement(&self, id: FactId) -> Result<Option<StatementRow>, TablesError> {
        let mut query = select("SELECT * FROM statements WHERE id = ");
        query.push_bind(id);
        let rows = self.fetch(query).await?;
        rows.first().map(row::statement).transpose()
    }

    /// What changed balances in the months after `after` up to `period`, caused before the position
    /// `before`, and what partners have coming after `period`: both of one moment.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn month(
        &self,
        after: Option<Month>,
        period: Month,
        before: u64,
    ) -> Result<(Vec<Movement>, Vec<Standing>), TablesError> {
        let mut snapshot = self.snapshot().await?;
        let moved = snapshot
            .fetch(movements(None, after, period, before))
            .await?;
        let mut standings = BTreeMap::new();
        for row in &snapshot.fetch(all_sums(period)).await? {
            add(&mut standings, row, 1)?;
        }
        for row in &snapshot.fetch(later_sums(period)).await? {
            add(&mut standings, row, -1)?;
        }
        let moved: Result<_, _> = moved.iter().map(movement).collect();
        Ok((moved?, standings.into_values().collect()))
    }

    /// What changed one partner's balance in a currency in the months after `after` up to `period`,
    /// caused before the position `before`.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn movements_of(
        &self,
        of: (&Slug, Currency),
        after: Option<Month>,
        period: Month,
        before: u64,
    ) -> Result<Vec<Movement>, TablesError> {
        let query = movements(Some(of), after, period, before);
        self.fetch(query).await?.iter().map(movement).collect()
    }

    /// How many lines of a month's conversions still wait: not approved, and without a rate.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn waiting(&self, from: Instant, to: Instant) -> Result<(u64, u64), TablesError> {
        let mut query = select(
            "SELECT COUNT(CASE WHEN e.state = 'pending' THEN 1 END) AS pending, \
             COUNT(CASE WHEN e.reason = 'awaiting_fx' THEN 1 END) AS awaiting_fx \
             FROM conversions c JOIN earnings e ON e.conversion_position = c.position \
             WHERE c.sandbox = 0 AND c.occurred_at >= ",
        );
        query
            .push_bind(from.micros())
            .push(" AND c.occurred_at < ")
            .push_bind(to.micros());
        let rows = self.fetch(query).await?;
        let Some(row) = rows.first() else {
            return Ok((0, 0));
        };
        let row = Reader::new("earnings", row);
        Ok((row.position("pending")?, row.position("awaiting_fx")?))
    }
}

fn movements(
    of: Option<(&Slug, Currency)>,
    after: Option<Month>,
    period: Month,
    before: u64,
) -> Query {
    let mut query = select(format!(
        "SELECT p.partner AS partner, p.currency AS currency, p.kind AS kind, \
         p.corrects AS corrects, c.offer AS offer, p.rule AS rule, \
         CASE WHEN p.conversion_id IS NULL THEN p.payout_id END AS payout_id, \
         CASE WHEN p.kind = 'write_off' OR p.conversion_id IS NULL AND p.kind <> 'carryover' \
         THEN p.cause END AS cause, \
         MIN(p.effective_at) AS effective_at, COUNT(DISTINCT p.number) AS postings, {} ",
        sum("e.amount_minor", "amount_minor")
    ));
    query
        .push(OWED)
        .push("LEFT JOIN conversions c ON c.id = p.conversion_id ")
        .push(IS_OWED)
        .push("AND p.period > ")
        .push_bind(after.map_or_else(String::new, |month| month.to_string()))
        .push(" AND p.period <= ")
        .push_bind(period.to_string())
        .push(" AND p.cause < ")
        .push_bind(i64::try_from(before).unwrap_or(i64::MAX));
    let (partner, currency) = of.unzip();
    let partner = partner.map(|partner| partner.as_str().to_owned());
    and(&mut query, "p.partner = ", partner);
    let currency = currency.map(|currency| currency.code().to_owned());
    and(&mut query, "p.currency = ", currency);
    query.push(
        " GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 \
             ORDER BY 1, 2, 3, 4 NULLS FIRST, 5 NULLS FIRST, 6 NULLS FIRST, \
             8 NULLS FIRST, 7 NULLS FIRST",
    );
    query
}

/// What partners have coming by all that is in the book: read from one index.
fn all_sums(period: Month) -> Query {
    let mut query = select(sums(period));
    query.push(
        "FROM accounts a CROSS JOIN entries e \
         WHERE e.account_id = a.id AND a.kind IN ('pending', 'approved') GROUP BY 1, 2, 3",
    );
    query
}

/// How much of this is of the months after `period`. A closed month gets no more postings, so what
/// is left is what there was when it was closed.
fn later_sums(period: Month) -> Query {
    let mut query = select(sums(period));
    query
        .push(OWED)
        .push(IS_OWED)
        .push("AND p.period > ")
        .push_bind(period.to_string())
        .push(" GROUP BY 1, 2, 3");
    query
}

/// Adds the sums in a row to a partner's standing, or takes them off.
fn add(
    standings: &mut BTreeMap<(Slug, Currency), Standing>,
    row: &Row,
    sign: i128,
) -> Result<(), TablesError> {
    let row = Reader::new("entries", row);
    let (partner, currency): (Slug, Currency) = (row.parsed("partner")?, row.parsed("currency")?);
    let standing = standings
        .entry((partner.clone(), currency))
        .or_insert(Standing {
            partner,
            currency,
            pending_minor: 0,
            held_minor: 0,
            payable_minor: 0,
        });
    // Liabilities are credits, which are negative in the ledger.
    let all = -sign * total(&row, "total_minor")?;
    let held = -sign * total(&row, "held_minor")?;
    if row.text("kind")? == "pending" {
        standing.pending_minor += all;
    } else {
        standing.held_minor += held;
        standing.payable_minor += all - held;
    }
    Ok(())
}

fn movement(row: &Row) -> Result<Movement, TablesError> {
    let row = Reader::new("postings", row);
    Ok(Movement {
        partner: row.parsed("partner")?,
        currency: row.parsed("currency")?,
        kind: row.word("kind", words::parse_posting_kind)?,
        corrects: row.parsed_option("corrects")?,
        offer: row.parsed_option("offer")?,
        rule: row.text_option("rule")?,
        payout_id: row.id_option("payout_id")?,
        cause: row.number_option("cause")?.map(i64::cast_unsigned),
        effective_at: row.time("effective_at")?,
        postings: row.position("postings")?,
        amount_minor: -total(&row, "amount_minor")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQLite would do for a query, as a text.
    async fn plan(tables: &Tables, query: Query) -> String {
        tables.plan(query).await.expect("the query can be planned")
    }

    #[tokio::test]
    async fn closing_reads_the_postings_of_the_month_and_one_index_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let tables = Tables::open(folder.path()).await.expect("tables open");
        let month: Month = "2026-05".parse().expect("a month");
        for query in [movements(None, Some(month), month, 1), later_sums(month)] {
            let plan = plan(&tables, query).await;
            assert!(plan.starts_with("SEARCH p USING "), "{plan}");
            assert!(plan.contains("INDEX postings_period"), "{plan}");
            assert!(plan.contains("SEARCH e USING PRIMARY KEY"), "{plan}");
            assert!(!plan.contains("SCAN"), "{plan}");
        }
        let plan = plan(&tables, all_sums(month)).await;
        let index = "SEARCH e USING COVERING INDEX entries_account";
        assert!(plan.contains(index), "{plan}");
    }
}
