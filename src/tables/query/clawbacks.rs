//! Earning lines that were clawed back, and which payouts recovered them.

use postbook_schemas::{Currency, FactId, Instant, OfferRef, Slug};

use super::{and, select};
use crate::tables::{Tables, db::Row, error::TablesError, row::Reader};

/// Which clawbacks.
#[derive(Clone, Debug, Default)]
pub struct ClawbackFilter {
    /// Of this partner.
    pub partner: Option<Slug>,
    /// Of this offer.
    pub offer: Option<OfferRef>,
}

/// A line that earned less after a payout carried it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClawedBack {
    /// The conversion.
    pub conversion_id: FactId,
    /// The advertiser's transaction.
    pub txn_id: Option<String>,
    /// The offer.
    pub offer: OfferRef,
    /// The rule.
    pub rule: String,
    /// Who owes it.
    pub partner: Slug,
    /// In which currency.
    pub currency: Currency,
    /// The last payout that paid it.
    pub payout_id: Option<FactId>,
    /// How much.
    pub clawed_back_minor: i64,
    /// How much of it later payouts recovered.
    pub recovered_minor: i64,
    /// How much of the rest was given up of this very debt.
    pub written_off_minor: i64,
    /// When the conversion happened.
    pub occurred_at: Instant,
    /// Since when it is owed.
    pub since: Option<Instant>,
    /// The last fact that clawed back.
    pub cause: Option<u64>,
    /// Its type, if it was a postback.
    pub reason: Option<String>,
}

/// What a payout recovered of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Who owed it.
    pub partner: Slug,
    /// The conversion.
    pub conversion_id: FactId,
    /// The rule.
    pub rule: String,
    /// The payout.
    pub payout_id: FactId,
    /// How much.
    pub amount_minor: i64,
}

impl Tables {
    /// Lines that were clawed back, in the order in which they are recovered.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn clawed_back(
        &self,
        filter: &ClawbackFilter,
    ) -> Result<Vec<ClawedBack>, TablesError> {
        let mut query = select(
            "SELECT t.*, (SELECT a.fact_type FROM attempts a WHERE a.position = t.cause) AS reason \
             FROM (SELECT c.position AS position, c.id AS conversion_id, c.txn_id AS txn_id, \
             c.offer AS offer, c.occurred_at AS occurred_at, e.rule AS rule, \
             e.partner AS partner, e.currency AS currency, e.payout_id AS payout_id, \
             e.clawed_back_minor AS clawed_back_minor, e.recovered_minor AS recovered_minor, \
             e.written_off_minor AS written_off_minor, \
             e.line AS line, MIN(p.effective_at) AS since, MAX(p.cause) AS cause \
             FROM earnings e JOIN conversions c ON c.position = e.conversion_position \
             LEFT JOIN postings p ON p.conversion_id = c.id AND p.rule = e.rule \
             AND p.partner = e.partner AND p.kind = 'clawback' \
             WHERE e.clawed_back_minor <> 0",
        );
        let partner = filter.partner.as_ref();
        let partner = partner.map(|partner| partner.as_str().to_owned());
        and(&mut query, "e.partner = ", partner);
        let offer = filter.offer.as_ref();
        let offer = offer.map(|offer| offer.as_str().to_owned());
        and(&mut query, "c.offer = ", offer);
        query.push(
            " GROUP BY c.position, e.conversion_position, e.line) t \
             ORDER BY partner, currency, occurred_at, conversion_id, rule",
        );
        let rows = self.fetch(query).await?;
        rows.iter().map(clawed_back).collect()
    }

    /// What payouts recovered, by line and payout.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn recoveries(&self, partner: Option<&Slug>) -> Result<Vec<Recovery>, TablesError> {
        let mut query = select(
            "SELECT p.partner AS partner, l.subject_id AS conversion_id, l.rule AS rule, l.payout_id AS payout_id, \
             CAST(-SUM(l.amount_minor) AS BIGINT) AS amount_minor FROM payouts p \
             JOIN payout_lines l ON l.payout_id = p.id \
             WHERE p.state IN ('sent', 'settled') AND l.amount_minor < 0 AND l.rule IS NOT NULL",
        );
        let partner = partner.map(|partner| partner.as_str().to_owned());
        and(&mut query, "p.partner = ", partner);
        query.push(
            " GROUP BY p.position, l.subject_id, l.rule, l.payout_id \
             ORDER BY p.position, l.subject_id, l.rule",
        );
        let rows = self.fetch(query).await?;
        rows.iter().map(recovery).collect()
    }
}

fn clawed_back(row: &Row) -> Result<ClawedBack, TablesError> {
    let row = Reader::new("earnings", row);
    Ok(ClawedBack {
        conversion_id: row.id("conversion_id")?,
        txn_id: row.text_option("txn_id")?,
        offer: row.parsed("offer")?,
        rule: row.text("rule")?.into_owned(),
        partner: row.parsed("partner")?,
        currency: row.parsed("currency")?,
        payout_id: row.id_option("payout_id")?,
        clawed_back_minor: row.number("clawed_back_minor")?,
        recovered_minor: row.number("recovered_minor")?,
        written_off_minor: row.number("written_off_minor")?,
        occurred_at: row.time("occurred_at")?,
        since: row.time_option("since")?,
        cause: row.number_option("cause")?.map(i64::cast_unsigned),
        reason: row.text_option("reason")?,
    })
}

fn recovery(row: &Row) -> Result<Recovery, TablesError> {
    let row = Reader::new("payout_lines", row);
    Ok(Recovery {
        partner: row.parsed("partner")?,
        conversion_id: row.id("conversion_id")?,
        rule: row.text("rule")?.into_owned(),
        payout_id: row.id("payout_id")?,
        amount_minor: row.number("amount_minor")?,
    })
}
