//! Where the facts are that concern a conversion.

use std::collections::BTreeSet;

use postbook_projections::rows::ConversionRow;

use super::select;
use crate::tables::{Tables, error::TablesError, row::Reader};

impl Tables {
    /// The positions of all facts that concern a conversion: that reported it, changed it, decided
    /// about it, paid it, moved a payout that pays it, or named its transaction in vain.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn timeline(&self, conversion: &ConversionRow) -> Result<BTreeSet<u64>, TablesError> {
        let id = || conversion.id;
        let mut query = select("SELECT position FROM touches WHERE subject_id = ");
        query
            .push_bind(id())
            .push(
                " UNION SELECT t.position FROM payout_lines l \
                 JOIN touches t ON t.subject_id = l.payout_id WHERE l.subject_id = ",
            )
            .push_bind(id())
            .push(" UNION SELECT cause AS position FROM postings WHERE conversion_id = ")
            .push_bind(id());
        if let Some(txn_id) = &conversion.txn_id {
            query
                .push(" UNION SELECT position FROM attempts WHERE txn_id = ")
                .push_bind(txn_id.clone())
                .push(" AND offer = ")
                .push_bind(conversion.offer.as_str().to_owned());
        }
        let mut positions = BTreeSet::from([conversion.position]);
        for row in self.fetch(query).await? {
            positions.insert(Reader::new("touches", &row).position("position")?);
        }
        Ok(positions)
    }
}
