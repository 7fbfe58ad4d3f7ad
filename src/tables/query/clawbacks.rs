//! Earning lines that were clawed back, and which payouts recovered them.

use std::collections::BTreeMap;

use postbook_projections::debts::{Arose, By, Moved, arose};
use postbook_schemas::{Currency, FactId, Instant, OfferRef, Slug};

use super::{and, select};
use crate::tables::{
    Tables,
    db::{Query, Row},
    error::TablesError,
    row::Reader,
};

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
    /// The last fact that lowered the line.
    pub cause: Option<u64>,
    /// Its type, if it was a postback.
    pub reason: Option<String>,
}

/// A line, by the position of its conversion and its place there.
type LineKey = (u64, i64);

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
            "SELECT c.position AS position, c.id AS conversion_id, c.txn_id AS txn_id, \
             c.offer AS offer, c.occurred_at AS occurred_at, e.line AS line, e.rule AS rule, \
             e.partner AS partner, e.currency AS currency, e.payout_id AS payout_id, \
             e.clawed_back_minor AS clawed_back_minor, e.recovered_minor AS recovered_minor, \
             e.written_off_minor AS written_off_minor \
             FROM earnings e JOIN conversions c ON c.position = e.conversion_position \
             WHERE e.clawed_back_minor <> 0",
        );
        narrow(&mut query, filter);
        query.push(" ORDER BY e.partner, e.currency, c.occurred_at, c.id, e.rule");
        let (mut moves, mut reasons) = (BTreeMap::new(), BTreeMap::new());
        self.lines_moved(filter, &mut moves, &mut reasons).await?;
        self.payouts_moved(filter, &mut moves).await?;
        let rows = self.fetch(query).await?;
        let lines = rows.iter().map(|row| {
            let of_line = moves.remove(&line_key(&Reader::new("earnings", row))?);
            clawed_back(row, of_line.unwrap_or_default(), &reasons)
        });
        lines.collect()
    }

    /// What was posted for lines that were clawed back, and the types of postbacks that caused it.
    ///
    /// A postback moves its line when it happened. All else takes effect from when the conversion
    /// happened, but nobody owed anything by it before it was recorded.
    async fn lines_moved(
        &self,
        filter: &ClawbackFilter,
        moves: &mut BTreeMap<LineKey, Vec<Moved>>,
        reasons: &mut BTreeMap<u64, String>,
    ) -> Result<(), TablesError> {
        let mut query = select(
            "SELECT c.position AS position, e.line AS line, p.number AS number, p.cause AS cause, \
             p.effective_at AS effective_at, p.recorded_at AS recorded_at, \
             p.earned_minor - p.reversed_minor - p.clawed_back_minor AS net_minor, \
             (SELECT a.fact_type FROM attempts a WHERE a.position = p.cause) AS fact_type \
             FROM earnings e JOIN conversions c ON c.position = e.conversion_position \
             JOIN postings p ON p.conversion_id = c.id AND p.rule = e.rule \
             AND p.partner = e.partner AND p.currency = e.currency AND p.kind <> 'receivable' \
             WHERE e.clawed_back_minor <> 0",
        );
        narrow(&mut query, filter);
        for row in self.fetch(query).await? {
            let row = Reader::new("postings", &row);
            let cause = row.position("cause")?;
            let (effective_at, recorded_at) = (row.time("effective_at")?, row.time("recorded_at")?);
            let at = match row.text_option("fact_type")? {
                Some(fact_type) => {
                    reasons.insert(cause, fact_type);
                    effective_at
                }
                None => effective_at.max(recorded_at),
            };
            moves.entry(line_key(&row)?).or_default().push(Moved {
                number: row.position("number")?,
                at,
                by: By::Line {
                    net_minor: row.number("net_minor")?,
                    cause,
                },
            });
        }
        Ok(())
    }

    /// What payouts carried of lines that were clawed back, and which of them came back.
    async fn payouts_moved(
        &self,
        filter: &ClawbackFilter,
        moves: &mut BTreeMap<LineKey, Vec<Moved>>,
    ) -> Result<(), TablesError> {
        let mut query = select(
            "SELECT c.position AS position, e.line AS line, p.number AS number, \
             p.effective_at AS effective_at, p.kind AS kind, o.position AS payout, \
             l.amount_minor AS carried_minor \
             FROM earnings e JOIN conversions c ON c.position = e.conversion_position \
             JOIN payout_lines l ON l.subject_id = c.id AND l.rule = e.rule \
             JOIN payouts o ON o.id = l.payout_id AND o.partner = e.partner AND o.currency = e.currency \
             JOIN postings p ON p.payout_id = o.id AND p.kind IN ('payout', 'payout_returned') \
             WHERE e.clawed_back_minor <> 0",
        );
        narrow(&mut query, filter);
        for row in self.fetch(query).await? {
            let row = Reader::new("postings", &row);
            let payout = row.position("payout")?;
            let by = if row.text("kind")? == "payout" {
                By::Sent {
                    payout,
                    carried_minor: row.number("carried_minor")?,
                }
            } else {
                By::Returned { payout }
            };
            moves.entry(line_key(&row)?).or_default().push(Moved {
                number: row.position("number")?,
                at: row.time("effective_at")?,
                by,
            });
        }
        Ok(())
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

/// Of this partner and offer.
fn narrow(query: &mut Query, filter: &ClawbackFilter) {
    let partner = filter.partner.as_ref();
    let partner = partner.map(|partner| partner.as_str().to_owned());
    and(query, "e.partner = ", partner);
    let offer = filter.offer.as_ref();
    let offer = offer.map(|offer| offer.as_str().to_owned());
    and(query, "c.offer = ", offer);
}

fn line_key(row: &Reader<'_>) -> Result<LineKey, TablesError> {
    Ok((row.position("position")?, row.number("line")?))
}

fn clawed_back(
    row: &Row,
    mut moves: Vec<Moved>,
    reasons: &BTreeMap<u64, String>,
) -> Result<ClawedBack, TablesError> {
    let row = Reader::new("earnings", row);
    moves.sort_by_key(|moved| moved.number);
    let Arose { since, cause } = arose(&moves);
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
        // Of two reports that turned out to be one, what was posted for the other is not looked at.
        since: since.or_else(|| moves.iter().map(|moved| moved.at).max()),
        cause,
        reason: cause.and_then(|cause| reasons.get(&cause).cloned()),
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
