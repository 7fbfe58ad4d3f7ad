//! What a balance is made of: postings by sort, and the facts that touched something.

use postbook_projections::explain::sums::Sort;
use postbook_schemas::{Currency, FactId, Slug};

use super::{
    balances::AsOf,
    select,
    total::{sum, total},
};
use crate::tables::{Tables, error::TablesError, row::Reader};

impl Tables {
    /// A partner's postings in a currency, added up by month, kind and rule.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn sorts(
        &self,
        partner: &Slug,
        currency: Currency,
        as_of: AsOf,
    ) -> Result<Vec<Sort>, TablesError> {
        let mut query = select(format!(
            "SELECT p.period AS period, p.corrects AS corrects, p.kind AS kind, p.rule AS rule, \
             COUNT(DISTINCT p.number) AS count, {}, \
             MIN(p.cause) AS first, MAX(p.cause) AS last \
             FROM postings p JOIN entries e ON e.posting = p.number \
             JOIN accounts a ON a.id = e.account_id AND a.kind IN ('pending', 'approved') \
             WHERE p.partner = ",
            sum("e.amount_minor", "amount_minor")
        ));
        query
            .push_bind(partner.as_str().to_owned())
            .push(" AND p.currency = ")
            .push_bind(currency.code().to_owned())
            .push(" AND e.effective_at <= ")
            .push_bind(as_of.effective.micros())
            .push(" AND e.recorded_at <= ")
            .push_bind(as_of.known.micros())
            .push(" GROUP BY 1, 2, 3, 4 ORDER BY 1, 2 NULLS FIRST, 3, 4 NULLS FIRST");
        let rows = self.fetch(query).await?;
        rows.iter()
            .map(|row| {
                let row = Reader::new("postings", row);
                Ok(Sort {
                    period: row.parsed("period")?,
                    corrects: row.parsed_option("corrects")?,
                    kind: row.text("kind")?.into_owned(),
                    rule: row.text_option("rule")?,
                    count: row.number("count")?.cast_unsigned(),
                    amount_minor: -total(&row, "amount_minor")?,
                    first: row.position("first")?,
                    last: row.position("last")?,
                })
            })
            .collect()
    }

    /// Where the facts are that touched a conversion or payout after the one that made it.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn touched(&self, subject: FactId) -> Result<Vec<u64>, TablesError> {
        let mut query = select("SELECT position FROM touches WHERE subject_id = ");
        query.push_bind(subject).push(" ORDER BY position");
        let rows = self.fetch(query).await?;
        rows.iter()
            .map(|row| Reader::new("touches", row).position("position"))
            .collect()
    }
}
