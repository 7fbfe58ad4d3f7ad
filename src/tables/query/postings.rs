//! Postings with their entries.

use std::collections::BTreeMap;

use postbook_projections::rows::{Entry, Posting};
use postbook_schemas::{FactId, Month, Slug};

use super::{Slice, and, and_in, select};
use crate::tables::{Tables, error::TablesError, row};

/// Which postings.
#[derive(Clone, Debug, Default)]
pub struct PostingFilter {
    /// Of this partner.
    pub partner: Option<Slug>,
    /// Without what is posted beside the partner's money: what the advertiser owes for it.
    pub only_theirs: bool,
    /// In the books of this month.
    pub period: Option<Month>,
    /// About this conversion.
    pub conversion_id: Option<FactId>,
}

impl Tables {
    /// Postings in the order in which they were posted.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn postings(
        &self,
        filter: &PostingFilter,
        slice: Slice,
    ) -> Result<Vec<Posting>, TablesError> {
        let mut query = select("SELECT * FROM postings WHERE number > ");
        query.push_bind(slice.after.cast_signed());
        and(
            &mut query,
            "partner = ",
            filter
                .partner
                .as_ref()
                .map(|partner| partner.as_str().to_owned()),
        );
        and(
            &mut query,
            "period = ",
            filter.period.map(|period| period.to_string()),
        );
        and(&mut query, "conversion_id = ", filter.conversion_id);
        if filter.only_theirs {
            query.push(" AND kind <> 'receivable'");
        }
        query.push(" ORDER BY number LIMIT ").push_bind(slice.limit);
        let rows = self.fetch(query).await?;
        let mut postings: Vec<Posting> = rows.iter().map(row::posting).collect::<Result<_, _>>()?;
        let numbers: Vec<u64> = postings.iter().map(|posting| posting.number).collect();
        let mut entries = self.entries(&numbers).await?;
        for posting in &mut postings {
            posting.entries = entries.remove(&posting.number).unwrap_or_default();
        }
        Ok(postings)
    }

    async fn entries(&self, postings: &[u64]) -> Result<BTreeMap<u64, Vec<Entry>>, TablesError> {
        let mut entries = BTreeMap::<u64, Vec<Entry>>::new();
        if postings.is_empty() {
            return Ok(entries);
        }
        let mut query = select("SELECT ");
        query
            .push(row::ENTRY_COLUMNS)
            .push(" FROM entries e JOIN accounts a ON a.id = e.account_id WHERE 1 = 1");
        and_in(&mut query, "e.posting", postings);
        query.push(" ORDER BY e.posting, e.side");
        for row in self.fetch(query).await? {
            let (number, entry) = row::entry(&row)?;
            entries.entry(number).or_default().push(entry);
        }
        Ok(entries)
    }
}
