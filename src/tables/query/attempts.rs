//! Attempts, and what is asked about one of them.

use postbook_projections::rows::AttemptRow;
use postbook_schemas::{FactId, Instant, OfferRef, Outcome};

use super::{Slice, and, select};
use crate::tables::{Tables, db::Query, error::TablesError, row};

/// How long after a request came in its fact is looked for: far longer than a writer ever takes,
/// for the case that the machine's clock was put back in between.
const RECORDED_WITHIN_US: i64 = 6 * 3_600_000_000;

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
    /// With this event id.
    pub event_id: Option<String>,
    /// With this customer.
    pub customer_id: Option<String>,
    /// Received at this time or later.
    pub from: Option<Instant>,
    /// Received before this time.
    pub to: Option<Instant>,
    /// Only repeats that say something else than the first.
    pub differs: bool,
    /// Only such as name no click.
    pub without_click: bool,
}

impl AttemptFilter {
    fn names_an_id(&self) -> bool {
        let ids = [
            &self.click_id,
            &self.txn_id,
            &self.event_id,
            &self.customer_id,
        ];
        ids.into_iter().any(Option::is_some)
    }
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
        let query = self.attempts_query(filter, slice).await?;
        let rows = self.fetch(query).await?;
        rows.iter().map(row::attempt).collect()
    }

    /// How the database goes about a search: for the tests that keep searches fast.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn attempts_plan(&self, filter: &AttemptFilter) -> Result<String, TablesError> {
        let first = Slice { after: 0, limit: 1 };
        let query = self.attempts_query(filter, first).await?;
        self.plan(query).await
    }

    async fn attempts_query(
        &self,
        filter: &AttemptFilter,
        slice: Slice,
    ) -> Result<Query, TablesError> {
        let mut after = slice.after;
        if let Some(from) = filter.from {
            after = after.max(self.last_attempt_before(from).await?);
        }
        let mut query = select("SELECT * FROM attempts WHERE position > ");
        query.push_bind(after.cast_signed());
        if let Some(to) = filter.to {
            let last = self.last_attempt_before(to).await?;
            and(&mut query, "position <= ", Some(last.cast_signed()));
        }
        // An id names few rows: no other index may come before its own. Without one, the partial
        // indexes are taken, which SQLite does only if their condition is repeated.
        if filter.names_an_id() {
            query.push(if filter.differs {
                " AND +differs = 1"
            } else {
                ""
            });
        } else {
            let is_seldom = filter.outcome.is_some_and(|one| one != Outcome::Accepted);
            query.push(if is_seldom {
                " AND outcome <> 'accepted'"
            } else {
                ""
            });
            query.push(if filter.differs {
                " AND differs = 1"
            } else {
                ""
            });
        }
        if filter.without_click {
            query.push(" AND click_id IS NULL");
        }
        and(&mut query, "outcome = ", filter.outcome.map(Outcome::code));
        let offer = filter.offer.as_ref().map(OfferRef::as_str);
        and(&mut query, "offer = ", offer.map(str::to_owned));
        and(&mut query, "click_id = ", filter.click_id.clone());
        and(&mut query, "txn_id = ", filter.txn_id.clone());
        and(&mut query, "event_id = ", filter.event_id.clone());
        and(&mut query, "customer_id = ", filter.customer_id.clone());
        query
            .push(" ORDER BY position LIMIT ")
            .push_bind(slice.limit);
        Ok(query)
    }

    /// The position of the last attempt that was recorded before a time; 0 if there is none.
    ///
    /// The time of recording never falls from one position to the next (obligation 11 of the log),
    /// so that some twenty looks at the primary key do what an index of the times would.
    async fn last_attempt_before(&self, time: Instant) -> Result<u64, TablesError> {
        let (mut before, mut not_before) = (0, self.checkpoint().await?.position.cast_signed());
        while before < not_before {
            // The first attempt past the middle tells for all positions up to it.
            let middle = before + (not_before - before) / 2;
            let mut query = select("SELECT position, recorded_at FROM attempts WHERE position > ");
            query.push_bind(middle).push(" ORDER BY position LIMIT 1");
            let rows = self.fetch(query).await?;
            let Some(row) = rows.first().map(|row| row::Reader::new("attempts", row)) else {
                not_before = middle;
                continue;
            };
            if row.number("recorded_at")? < time.micros() {
                before = row.number("position")?;
            } else {
                not_before = middle;
            }
        }
        Ok(before.cast_unsigned())
    }

    /// The attempt with an id.
    ///
    /// An id tells when the request came in, and its fact stands soon after that: no index of ids
    /// is kept for the sake of a question that is asked now and then.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn attempt(&self, id: FactId) -> Result<Option<AttemptRow>, TablesError> {
        let Some(begun) = begun_at(id) else {
            return Ok(None);
        };
        let from = self.last_attempt_before(begun).await?;
        let to = begun.plus_micros(RECORDED_WITHIN_US);
        let to = self.last_attempt_before(to).await?;
        let mut query = select("SELECT * FROM attempts WHERE position > ");
        query.push_bind(from.cast_signed());
        and(&mut query, "position <= ", Some(to.cast_signed()));
        and(&mut query, "id = ", Some(id));
        query.push(" ORDER BY position LIMIT 1");
        let rows = self.fetch(query).await?;
        rows.first().map(row::attempt).transpose()
    }
}

/// When a `UUIDv7` was made, to the millisecond.
fn begun_at(id: FactId) -> Option<Instant> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Some(Instant::from_micros(
        micros.checked_add(i64::from(nanos / 1_000))?,
    ))
}
