//! Changes that wait for their conversion.

use postbook_projections::rows::ParkedRow;
use postbook_schemas::OfferRef;

use super::{Slice, and, select};
use crate::tables::{Tables, error::TablesError, row};

impl Tables {
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
