//! Closed months, statements, and the sums that a month's statements are made of.

use postbook_projections::rows::PostingKind;
use postbook_schemas::{Currency, FactId, Instant, Month, OfferRef, Slug};
use sqlx::{Row, sqlite::SqliteRow};

use super::{Slice, and, id_bytes, select};
use crate::tables::{
    Tables,
    batch::{ClosedPeriod, StatementRow},
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
    pub amount_minor: i64,
}

/// What a partner had coming before a month and has coming after it, by the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The partner.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    /// Before.
    pub opening_minor: i64,
    /// After: not approved.
    pub pending_minor: i64,
    /// After: approved, but held.
    pub held_minor: i64,
    /// After: payable.
    pub payable_minor: i64,
}

/// The sides of postings that are a partner's balance.
const OWED: &str = "FROM postings p JOIN entries e ON e.posting = p.number \
     JOIN accounts a ON a.id = e.account_id AND a.kind IN ('pending', 'approved') ";

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
        query.push_bind(id_bytes(id));
        let rows = self.fetch(query).await?;
        rows.first().map(row::statement).transpose()
    }

    /// What changed balances in the months after `after` up to `period`, caused before the position
    /// `before`.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn movements(
        &self,
        after: Option<Month>,
        period: Month,
        before: u64,
    ) -> Result<Vec<Movement>, TablesError> {
        let mut query = select(
            "SELECT p.partner AS partner, p.currency AS currency, p.kind AS kind, \
             p.corrects AS corrects, c.offer AS offer, p.rule AS rule, \
             CASE WHEN p.conversion_id IS NULL THEN p.payout_id END AS payout_id, \
             CASE WHEN p.conversion_id IS NULL AND p.kind <> 'carryover' THEN p.cause END AS cause, \
             MIN(p.effective_at) AS effective_at, COUNT(DISTINCT p.number) AS postings, \
             -SUM(e.amount_minor) AS amount_minor ",
        );
        query
            .push(OWED)
            .push("LEFT JOIN conversions c ON c.id = p.conversion_id WHERE p.period > ")
            .push_bind(after.map_or_else(String::new, |month| month.to_string()))
            .push(" AND p.period <= ")
            .push_bind(period.to_string())
            .push(" AND p.cause < ")
            .push_bind(i64::try_from(before).unwrap_or(i64::MAX))
            .push(" GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 8");
        let rows = self.fetch(query).await?;
        rows.iter().map(movement).collect()
    }

    /// What partners had coming after the month `after` and have coming after `period`, by what was
    /// caused before the position `before`.
    ///
    /// # Errors
    /// The tables cannot be read, or a sum is beyond 64 bits.
    pub async fn standings(
        &self,
        after: Option<Month>,
        period: Month,
        before: u64,
    ) -> Result<Vec<Standing>, TablesError> {
        let mut query = select(
            "SELECT p.partner AS partner, p.currency AS currency, \
             -SUM(CASE WHEN p.period <= ",
        );
        query
            .push_bind(after.map_or_else(String::new, |month| month.to_string()))
            .push(
                " THEN e.amount_minor ELSE 0 END) AS opening_minor, \
                 -SUM(CASE WHEN a.kind = 'pending' THEN e.amount_minor ELSE 0 END) \
                 AS pending_minor, \
                 -SUM(CASE WHEN a.kind = 'approved' THEN e.amount_minor ELSE 0 END) \
                 AS approved_minor, \
                 -SUM(CASE WHEN a.kind = 'approved' AND e.available_at >= ",
            )
            .push_bind(period.end().micros())
            .push(" THEN e.amount_minor ELSE 0 END) AS held_minor ")
            .push(OWED)
            .push("WHERE p.period <= ")
            .push_bind(period.to_string())
            .push(" AND p.cause < ")
            .push_bind(i64::try_from(before).unwrap_or(i64::MAX))
            .push(" GROUP BY 1, 2 ORDER BY 1, 2");
        let rows = self.fetch(query).await?;
        rows.iter().map(standing).collect()
    }

    /// How many lines of a month's conversions still wait: not approved, and without a rate.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn waiting(&self, from: Instant, to: Instant) -> Result<(u64, u64), TablesError> {
        let mut query = select(
            "SELECT COALESCE(SUM(e.state = 'pending'), 0) AS pending, \
             COALESCE(SUM(e.reason = 'awaiting_fx'), 0) AS awaiting_fx \
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
        let reading = TablesError::sql("read");
        let pending: i64 = row.try_get("pending").map_err(&reading)?;
        let awaiting_fx: i64 = row.try_get("awaiting_fx").map_err(&reading)?;
        Ok((pending.unsigned_abs(), awaiting_fx.unsigned_abs()))
    }
}

fn movement(row: &SqliteRow) -> Result<Movement, TablesError> {
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
        amount_minor: row.number("amount_minor")?,
    })
}

fn standing(row: &SqliteRow) -> Result<Standing, TablesError> {
    let row = Reader::new("postings", row);
    let held_minor = row.number("held_minor")?;
    Ok(Standing {
        partner: row.parsed("partner")?,
        currency: row.parsed("currency")?,
        opening_minor: row.number("opening_minor")?,
        pending_minor: row.number("pending_minor")?,
        held_minor,
        payable_minor: row.number("approved_minor")? - held_minor,
    })
}
