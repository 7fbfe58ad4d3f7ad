//! The numbers of accounts, as their table has them.

use std::collections::HashMap;

use postbook_projections::rows::Account;

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
