//! What one would otherwise do: the same fold, fed row by row from PostgreSQL.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::TryStreamExt;
use postbook::store::{Filter, LogStore};
use postbook_projections::{Book, Changes, ClickSeen};
use postbook_schemas::{Envelope, Fact};
use sqlx::{Connection, PgConnection, Row};

/// How many facts at most: the rival's time grows with them, its rate does not.
const FACTS_MAX: u64 = 500_000;
/// Lines in one insertion.
const PAGE_BYTES: usize = 1 << 20;

/// Facts a second in both ways of feeding a fold from rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// One statement streams all rows in order.
    pub(crate) streamed: f64,
    /// One statement for each row, as whoever keeps a position in a table does.
    pub(crate) one_by_one: f64,
}

/// Copies facts into a table and folds them from there.
///
/// # Errors
/// PostgreSQL or the log fail.
pub(crate) async fn measure(store: &Arc<dyn LogStore>, url: &str) -> anyhow::Result<Rates> {
    let mut connection = PgConnection::connect(url).await?;
    let facts = store.head().min(FACTS_MAX);
    copy(store, facts, &mut connection).await?;
    let started = Instant::now();
    let mut fold = Fold::default();
    let mut rows = sqlx::query("SELECT position, line FROM bench_facts ORDER BY position")
        .fetch(&mut connection);
    while let Some(row) = rows.try_next().await? {
        fold.apply(row.get(0), row.get(1))?;
    }
    drop(rows);
    let streamed = rate(facts, started.elapsed());
    let few = facts / 20;
    let started = Instant::now();
    let mut fold = Fold::default();
    for position in 1..=i64::try_from(few)? {
        let row = sqlx::query("SELECT position, line FROM bench_facts WHERE position = $1")
            .bind(position)
            .fetch_one(&mut connection)
            .await?;
        fold.apply(row.get(0), row.get(1))?;
    }
    let one_by_one = rate(few, started.elapsed());
    sqlx::query("DROP TABLE bench_facts")
        .execute(&mut connection)
        .await?;
    Ok(Rates {
        streamed,
        one_by_one,
    })
}

async fn copy(
    store: &Arc<dyn LogStore>,
    facts: u64,
    connection: &mut PgConnection,
) -> anyhow::Result<()> {
    for statement in [
        "DROP TABLE IF EXISTS bench_facts",
        "CREATE TABLE bench_facts (position BIGINT PRIMARY KEY, line TEXT NOT NULL)",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    let mut from = 1;
    while from <= facts {
        let page = store.read(from, facts, Filter::ALL, PAGE_BYTES).await?;
        let (mut positions, mut lines) = (Vec::new(), Vec::new());
        for (position, line) in page.lines() {
            positions.push(i64::try_from(position)?);
            lines.push(std::str::from_utf8(line)?.to_owned());
        }
        sqlx::query("INSERT INTO bench_facts SELECT * FROM unnest($1::bigint[], $2::text[])")
            .bind(positions)
            .bind(lines)
            .execute(&mut *connection)
            .await?;
        from = page.next.max(from + 1);
    }
    Ok(())
}

/// The same book; clicks are remembered as they come by.
#[derive(Default)]
struct Fold {
    book: Book,
    clicks: std::collections::HashMap<String, ClickSeen>,
    changes: Changes,
}

impl Fold {
    fn apply(&mut self, position: i64, line: &str) -> anyhow::Result<()> {
        let position = u64::try_from(position)?;
        let envelope = Envelope::decode(line.as_bytes())?;
        if let Fact::ClickRecorded(click) = envelope.fact {
            let seen = ClickSeen {
                click_id: click.click_id.clone(),
                position,
                offer: click.offer,
                partner: click.partner,
                occurred_at: envelope.occurred_at,
                country: click.country,
                device: click.device,
                subs: std::collections::BTreeMap::new(),
            };
            self.clicks.insert(click.click_id, seen);
            return Ok(());
        }
        if let Some(wanted) = self.book.wanted_click(&envelope)
            && let Some(click) = self.clicks.get(wanted)
        {
            self.book.see_click(click.clone());
        }
        self.book.apply(position, &envelope, &mut self.changes)?;
        // Rows are dropped: the rival is not asked to write them.
        self.changes = Changes::default();
        Ok(())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of facts, far below 2^52"
)]
fn rate(facts: u64, elapsed: Duration) -> f64 {
    facts as f64 / elapsed.as_secs_f64()
}
