//! Payouts and what they carry.

use postbook_projections::rows::{PayoutRow, PayoutState};
use postbook_schemas::{FactId, Slug};

use super::{Slice, and, select};
use crate::tables::{Tables, batch::CarriedLine, error::TablesError, row};

/// Which payouts.
#[derive(Clone, Debug, Default)]
pub struct PayoutFilter {
    /// Of this partner.
    pub partner: Option<Slug>,
    /// In this state.
    pub state: Option<PayoutState>,
}

impl Tables {
    /// Payouts in the order in which they were proposed.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn payouts(
        &self,
        filter: &PayoutFilter,
        slice: Slice,
    ) -> Result<Vec<PayoutRow>, TablesError> {
        let mut query = select("SELECT * FROM payouts WHERE position > ");
        query.push_bind(slice.after.cast_signed());
        and(
            &mut query,
            "partner = ",
            filter
                .partner
                .as_ref()
                .map(|partner| partner.as_str().to_owned()),
        );
        and(&mut query, "state = ", filter.state.map(PayoutState::code));
        query
            .push(" ORDER BY position LIMIT ")
            .push_bind(slice.limit);
        let rows = self.fetch(query).await?;
        rows.iter().map(row::payout).collect()
    }

    /// One payout.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn payout(&self, id: FactId) -> Result<Option<PayoutRow>, TablesError> {
        let mut query = select("SELECT * FROM payouts WHERE id = ");
        query.push_bind(id);
        self.fetch(query)
            .await?
            .first()
            .map(row::payout)
            .transpose()
    }

    /// What a payout carries.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn payout_lines(&self, id: FactId) -> Result<Vec<CarriedLine>, TablesError> {
        let mut query = select("SELECT * FROM payout_lines WHERE payout_id = ");
        query.push_bind(id).push(" ORDER BY line");
        let rows = self.fetch(query).await?;
        rows.iter().map(row::carried_line).collect()
    }

    /// Which payouts carry a conversion or adjustment.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn payouts_of(&self, subject: FactId) -> Result<Vec<PayoutRow>, TablesError> {
        let mut query = select(
            "SELECT * FROM payouts WHERE id IN \
             (SELECT payout_id FROM payout_lines WHERE subject_id = ",
        );
        query.push_bind(subject).push(") ORDER BY position");
        let rows = self.fetch(query).await?;
        rows.iter().map(row::payout).collect()
    }
}
