//! Conversions with their earning lines.

use std::collections::BTreeMap;

use postbook_projections::rows::ConversionRow;
use postbook_schemas::{FactId, Instant, OfferRef, Slug, Status};

use super::{Slice, and, and_in, select};
use crate::tables::{Tables, db::Query, error::TablesError, row};

/// Which conversions.
#[derive(Clone, Debug, Default)]
pub struct ConversionFilter {
    /// Of this offer.
    pub offer: Option<OfferRef>,
    /// Credited to this partner.
    pub partner: Option<Slug>,
    /// With this transaction.
    pub txn_id: Option<String>,
    /// With this click id.
    pub click_id: Option<String>,
    /// Of this customer.
    pub customer_id: Option<String>,
    /// With this status at this time.
    pub status: Option<(Status, Instant)>,
    /// Not before.
    pub from: Option<Instant>,
    /// Before.
    pub to: Option<Instant>,
    /// Test traffic too.
    pub sandbox: bool,
}

impl Tables {
    /// Conversions in the order in which they were first reported.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn conversions(
        &self,
        filter: &ConversionFilter,
        slice: Slice,
    ) -> Result<Vec<ConversionRow>, TablesError> {
        let mut query = select("SELECT * FROM conversions WHERE position > ");
        query.push_bind(slice.after.cast_signed());
        let text = |text: &Option<String>| text.clone();
        and(
            &mut query,
            "offer = ",
            filter.offer.as_ref().map(|offer| offer.as_str().to_owned()),
        );
        and(
            &mut query,
            "partner = ",
            filter
                .partner
                .as_ref()
                .map(|partner| partner.as_str().to_owned()),
        );
        and(&mut query, "txn_id = ", text(&filter.txn_id));
        and(&mut query, "click_id = ", text(&filter.click_id));
        and(&mut query, "customer_id = ", text(&filter.customer_id));
        and(
            &mut query,
            "occurred_at >= ",
            filter.from.map(Instant::micros),
        );
        and(&mut query, "occurred_at < ", filter.to.map(Instant::micros));
        if let Some((status, now)) = filter.status {
            query.push(" AND ");
            and_status(&mut query, status, now);
        }
        if !filter.sandbox {
            query.push(" AND sandbox = 0");
        }
        query
            .push(" ORDER BY position LIMIT ")
            .push_bind(slice.limit);
        let rows = self.fetch(query).await?;
        let conversions = rows.iter().map(row::conversion).collect::<Result<_, _>>()?;
        self.with_earnings(conversions).await
    }

    /// One conversion.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn conversion(&self, id: FactId) -> Result<Option<ConversionRow>, TablesError> {
        let mut query = select("SELECT * FROM conversions WHERE id = ");
        query.push_bind(id);
        let rows = self.fetch(query).await?;
        let conversions = rows.iter().map(row::conversion).collect::<Result<_, _>>()?;
        Ok(self.with_earnings(conversions).await?.pop())
    }

    async fn with_earnings(
        &self,
        conversions: Vec<ConversionRow>,
    ) -> Result<Vec<ConversionRow>, TablesError> {
        if conversions.is_empty() {
            return Ok(conversions);
        }
        let mut by_position: BTreeMap<u64, ConversionRow> = conversions
            .into_iter()
            .map(|conversion| (conversion.position, conversion))
            .collect();
        let positions: Vec<u64> = by_position.keys().copied().collect();
        let mut query = select("SELECT * FROM earnings WHERE 1 = 1");
        and_in(&mut query, "conversion_position", &positions);
        query.push(" ORDER BY conversion_position, line");
        for row in self.fetch(query).await? {
            let (position, line) = row::earning(&row)?;
            if let Some(conversion) = by_position.get_mut(&position) {
                conversion.earnings.push(line);
            }
        }
        Ok(by_position.into_values().collect())
    }
}

/// A pending conversion whose time has come counts as approved.
fn and_status(query: &mut Query, status: Status, now: Instant) {
    match status {
        Status::Approved => {
            query
                .push("(status = 'approved' OR (status = 'pending' AND approves_at <= ")
                .push_bind(now.micros())
                .push("))");
        }
        Status::Pending => {
            query
                .push("status = 'pending' AND (approves_at IS NULL OR approves_at > ")
                .push_bind(now.micros())
                .push(")");
        }
        Status::Rejected | Status::Reversed => {
            query.push("status = ").push_bind(status.code());
        }
    }
}
