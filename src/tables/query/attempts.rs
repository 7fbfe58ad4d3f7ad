//! Attempts and parked changes.

use postbook_projections::rows::{AttemptRow, ParkedRow};
use postbook_schemas::{OfferRef, Outcome};

use super::{Slice, and, select};
use crate::tables::{Tables, error::TablesError, row};

/// Which attempts.
#[derive(Clone, Debug, Default)]
pub struct AttemptFilter {
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// At this offer.
    pub offer: Option<OfferRef>,
    /// With this click id.
    pub click_id: Option<String>,
    /// With this transaction.
    pub txn_id: Option<String>,
    /// With this customer.
    pub customer_id: Option<String>,
}

impl Tables {
    /// Attempts in the order in which they came.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn attempts(
        &self,
        filter: &AttemptFilter,
        slice: Slice,
    ) -> Result<Vec<AttemptRow>, TablesError> {
        let mut query = select("SELECT * FROM attempts WHERE position > ");
        query.push_bind(slice.after.cast_signed());
        and(&mut query, "outcome = ", filter.outcome.map(Outcome::code));
        and(
            &mut query,
            "offer = ",
            filter.offer.as_ref().map(|offer| offer.as_str().to_owned()),
        );
        and(&mut query, "click_id = ", filter.click_id.clone());
        and(&mut query, "txn_id = ", filter.txn_id.clone());
        and(&mut query, "customer_id = ", filter.customer_id.clone());
        query
            .push(" ORDER BY position LIMIT ")
            .push_bind(slice.limit);
        let rows = self.fetch(query).await?;
        rows.iter().map(row::attempt).collect()
    }

    /// Changes that wait for their conversion.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn parked(
        &self,
        offer: Option<&OfferRef>,
        slice: Slice,
    ) -> Result<Vec<ParkedRow>, TablesError> {
        let mut query = select("SELECT * FROM parked WHERE waiting = 1 AND position > ");
        query.push_bind(slice.after.cast_signed());
        and(
            &mut query,
            "offer = ",
            offer.map(|offer| offer.as_str().to_owned()),
        );
        query
            .push(" ORDER BY position LIMIT ")
            .push_bind(slice.limit);
        let rows = self.fetch(query).await?;
        rows.iter().map(row::parked).collect()
    }
}
