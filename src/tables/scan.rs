//! The digest of the tables as they stand, from every row read back.

use std::collections::BTreeMap;

use super::{
    Tables,
    canonical::{Bytes, Canonical},
    db::{Query, Row, Snapshot},
    digest::Digest,
    error::TablesError,
    row,
};

/// How many rows are read at a time.
const PAGE: i64 = 4096;

impl Tables {
    /// Adds up all rows. Equals the digest of the checkpoint unless somebody changed the tables.
    ///
    /// # Errors
    /// The tables cannot be read, or a row holds what this program never writes.
    pub async fn scan_digest(&self) -> Result<Digest, TablesError> {
        // All tables are read as of one moment.
        let connection = &mut self.snapshot().await?;
        let mut sum = Digest::default();
        add_keyed(connection, &mut sum, "attempts", "position", row::attempt).await?;
        add_conversions(connection, &mut sum).await?;
        add_postings(connection, &mut sum).await?;
        add_keyed(connection, &mut sum, "payouts", "position", row::payout).await?;
        add_keyed(connection, &mut sum, "parked", "position", row::parked).await?;
        add_keyed(
            connection,
            &mut sum,
            "adjustments",
            "position",
            row::adjustment,
        )
        .await?;
        let closed = row::closed_period;
        add_keyed(connection, &mut sum, "periods", "position", closed).await?;
        let issued = row::statement;
        add_keyed(connection, &mut sum, "statements", "position", issued).await?;
        add_all(connection, &mut sum, "payout_lines", row::carried_line).await?;
        add_all(connection, &mut sum, "touches", row::touch).await?;
        add_all(connection, &mut sum, "carryovers", row::carryover).await?;
        Ok(sum)
    }
}

async fn page(
    connection: &mut Snapshot,
    table: &str,
    key: &str,
    after: i64,
) -> Result<Vec<Row>, TablesError> {
    let sql = format!("SELECT * FROM {table} WHERE {key} > $1 ORDER BY {key} LIMIT {PAGE}");
    connection.fetch(Query::new(sql).bind(after)).await
}

async fn add_keyed<R: Canonical>(
    connection: &mut Snapshot,
    sum: &mut Digest,
    table: &'static str,
    key: &'static str,
    read: fn(&Row) -> Result<R, TablesError>,
) -> Result<(), TablesError> {
    let (mut after, mut scratch) = (0, Bytes::default());
    loop {
        let rows = page(connection, table, key, after).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = row::Reader::new(table, last).number(key)?;
        for row in &rows {
            sum.add(Digest::of(&read(row)?, &mut scratch));
        }
    }
}

/// Tables without a number to go on from: small ones.
async fn add_all<R: Canonical>(
    connection: &mut Snapshot,
    sum: &mut Digest,
    table: &'static str,
    read: fn(&Row) -> Result<R, TablesError>,
) -> Result<(), TablesError> {
    let mut scratch = Bytes::default();
    let every = Query::new(format!("SELECT * FROM {table}"));
    let rows = connection.fetch(every).await?;
    for row in &rows {
        sum.add(Digest::of(&read(row)?, &mut scratch));
    }
    Ok(())
}

async fn add_conversions(connection: &mut Snapshot, sum: &mut Digest) -> Result<(), TablesError> {
    let (mut after, mut scratch) = (0, Bytes::default());
    loop {
        let rows = page(connection, "conversions", "position", after).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        let to = row::Reader::new("conversions", last).number("position")?;
        let mut conversions = BTreeMap::new();
        for row in &rows {
            let conversion = row::conversion(row)?;
            conversions.insert(conversion.position, conversion);
        }
        let lines = "SELECT * FROM earnings WHERE conversion_position > $1 \
                     AND conversion_position <= $2 ORDER BY conversion_position, line";
        for row in between(connection, lines, after, to).await? {
            let (position, line) = row::earning(&row)?;
            conversions
                .get_mut(&position)
                .ok_or_else(|| orphan("earnings", position))?
                .earnings
                .push(line);
        }
        for conversion in conversions.values() {
            sum.add(Digest::of(conversion, &mut scratch));
        }
        after = to;
    }
}

async fn add_postings(connection: &mut Snapshot, sum: &mut Digest) -> Result<(), TablesError> {
    let (mut after, mut scratch) = (0, Bytes::default());
    loop {
        let rows = page(connection, "postings", "number", after).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        let to = row::Reader::new("postings", last).number("number")?;
        let mut postings = BTreeMap::new();
        for row in &rows {
            let posting = row::posting(row)?;
            postings.insert(posting.number, posting);
        }
        let entries = format!(
            "SELECT {} FROM entries e JOIN accounts a ON a.id = e.account_id \
             WHERE e.posting > $1 AND e.posting <= $2 ORDER BY e.posting, e.side",
            row::ENTRY_COLUMNS
        );
        for row in between(connection, &entries, after, to).await? {
            let (number, entry) = row::entry(&row)?;
            postings
                .get_mut(&number)
                .ok_or_else(|| orphan("entries", number))?
                .entries
                .push(entry);
        }
        for posting in postings.values() {
            sum.add(Digest::of(posting, &mut scratch));
        }
        after = to;
    }
}

async fn between(
    connection: &mut Snapshot,
    sql: &str,
    after: i64,
    to: i64,
) -> Result<Vec<Row>, TablesError> {
    connection.fetch(Query::new(sql).bind(after).bind(to)).await
}

fn orphan(table: &'static str, row: u64) -> TablesError {
    TablesError::Damaged {
        table,
        row: row.to_string(),
        what: "belongs to nothing".to_owned(),
    }
}
