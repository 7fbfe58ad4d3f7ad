//! The numbers of accounts, as their table has them.

use std::collections::HashMap;

use postbook_projections::rows::{Account, Posting};

use super::{
    db::{Conn, Query},
    error::TablesError,
    row::Reader,
    words,
};

/// The accounts that have numbers.
pub(super) async fn read(mut connection: Conn<'_>) -> Result<HashMap<Account, i64>, TablesError> {
    let query = Query::new("SELECT id, kind, partner, offer FROM accounts");
    let mut accounts = HashMap::new();
    for row in connection.fetch(query).await? {
        let row = Reader::new("accounts", &row);
        let (kind, partner, offer) = (
            row.text("kind")?,
            row.text_option("partner")?,
            row.text_option("offer")?,
        );
        let account = words::parse_account(&kind, partner.as_deref(), offer.as_deref());
        let account =
            account.ok_or_else(|| row.damaged("kind", format_args!("unknown account `{kind}`")))?;
        accounts.insert(account, row.number("id")?);
    }
    Ok(accounts)
}

/// Gives numbers to the accounts of postings that were not used before, and says which.
pub(super) async fn add(
    mut connection: Conn<'_>,
    postings: &[Posting],
    accounts: &mut HashMap<Account, i64>,
    added: &mut Vec<Account>,
) -> Result<(), TablesError> {
    for entry in postings.iter().flat_map(|posting| &posting.entries) {
        if accounts.contains_key(&entry.account) {
            continue;
        }
        let id = i64::try_from(accounts.len()).unwrap_or(i64::MAX) + 1;
        let sql = "INSERT INTO accounts (id, name, kind, partner, offer) \
                   VALUES ($1, $2, $3, $4, $5)";
        let insert = Query::new(sql)
            .bind(id)
            .bind(entry.account.to_string())
            .bind(words::account_kind(&entry.account))
            .bind(words::account_partner(&entry.account))
            .bind(words::account_offer(&entry.account));
        connection.execute(insert).await?;
        accounts.insert(entry.account.clone(), id);
        added.push(entry.account.clone());
    }
    Ok(())
}
