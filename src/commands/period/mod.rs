//! Closing a month: looked at first, then frozen, then told to every partner.
//!
//! `period.closed` is the cut: every fact before it is in the month's statements, and what takes
//! effect in the month but comes after it is posted in the next open one. The log lets in one such
//! fact a month, whoever else closes at the same time. The statements follow, each a fact of its
//! own under its own key; if the service dies in between, closing again adds those that are missing.

mod draft;
mod issue;

use postbook_schemas::{Fact, Month, decision::PeriodClosed};

use super::record::{self, Author, CommandError, key};
use crate::{
    service::Service,
    tables::{
        Tables,
        batch::{ClosedPeriod, StatementRow},
        query::{Slice, periods::StatementFilter},
    },
};

pub use draft::{Draft, Drafts, Untold, drafts};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Closing {
    /// The month.
    pub period: Month,
    /// Close it although it is not over.
    pub early: bool,
    /// Why.
    pub reason: String,
}

/// What closing a month would do, or did.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The statements.
    pub drafts: Drafts,
    /// Lines of the month's conversions that are not approved yet.
    pub pending_lines: u64,
    /// Lines of the month's conversions that wait for an exchange rate.
    pub awaiting_fx_lines: u64,
}

/// A closed month.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Who closed it, when, where in the log.
    pub closed: ClosedPeriod,
    /// What was told to partners.
    pub statements: Vec<StatementRow>,
    /// Who could not be told.
    pub untold: Vec<Untold>,
}

/// The last month that is closed.
///
/// # Errors
/// The tables cannot be read.
pub async fn closed_through(tables: &Tables) -> Result<Option<Month>, CommandError> {
    let closed = tables.closed_periods().await?;
    Ok(closed.iter().map(|closed| closed.period).max())
}

/// What closing a month now would do.
///
/// # Errors
/// It cannot be closed now, or the tables cannot be read.
pub async fn preview(tables: &Tables, closing: Month) -> Result<Preview, CommandError> {
    let last = refuse_out_of_turn(tables, closing).await?;
    let drafts = drafts(tables, last, closing, u64::MAX).await?;
    let (pending_lines, awaiting_fx_lines) = tables
        .waiting(last.map_or(Month::MIN.start(), Month::end), closing.end())
        .await?;
    Ok(Preview {
        drafts,
        pending_lines,
        awaiting_fx_lines,
    })
}

/// Closes a month and issues its statements.
///
/// # Errors
/// It is not over, closed already, or not the next; or the log cannot be written.
pub async fn close(
    service: &Service,
    author: &Author,
    closing: &Closing,
) -> Result<Closed, CommandError> {
    record::catch_up(service).await?;
    let before = service.tables.closed_periods().await?;
    if let Some(last) = before.iter().max_by_key(|closed| closed.period) {
        issue(service, author, last, &before).await?;
    }
    let period = closing.period;
    let unique = key(&["period", &period.to_string()]);
    // Weighed before it is asked whether this was closed by the same request: that closes it for both.
    let weighed = match refuse_unfinished(service, closing) {
        Ok(()) => refuse_out_of_turn(&service.tables, period).await,
        Err(refused) => Err(refused),
    };
    if !is_sent_again(service, author, period).await? {
        weighed?;
        let fact = Fact::PeriodClosed(PeriodClosed {
            period,
            reason: closing.reason.clone(),
        });
        let references = author.unique_key().into_iter().collect();
        let kept = record::append(service, author, &fact, Some(unique), references).await?;
        if kept.is_repeat && !is_sent_again(service, author, period).await? {
            let by = &kept.recorded.envelope;
            return Err(closed_already(
                period,
                &by.actor,
                &by.recorded_at.to_string(),
            ));
        }
        record::catch_up(service).await?;
    }
    let all = service.tables.closed_periods().await?;
    let Some(closed) = all.iter().find(|closed| closed.period == period) else {
        return Err(record::used_for_something_else());
    };
    let (statements, untold) = issue(service, author, closed, &all).await?;
    Ok(Closed {
        closed: closed.clone(),
        statements,
        untold,
    })
}

/// Issues the statements of the last closed month that are missing since the service ended between
/// the cut and the last of them. Returns how many there were to add.
///
/// # Errors
/// The tables or the log cannot be read or written.
pub async fn complete(service: &Service, author: &Author) -> Result<usize, CommandError> {
    let all = service.tables.closed_periods().await?;
    let Some(last) = all.iter().max_by_key(|closed| closed.period) else {
        return Ok(0);
    };
    let filter = StatementFilter {
        partner: None,
        period: Some(last.period),
        ..StatementFilter::default()
    };
    let before = service.tables.statements(&filter, Slice::ALL).await?.len();
    let (issued, _) = issue(service, author, last, &all).await?;
    Ok(issued.len().saturating_sub(before))
}

/// Whether the same request closed this month before.
async fn is_sent_again(
    service: &Service,
    author: &Author,
    period: Month,
) -> Result<bool, CommandError> {
    let Some(own) = author.unique_key() else {
        return Ok(false);
    };
    let Some(position) = service.log.store().find(&own).await? else {
        return Ok(false);
    };
    match record::read(service, position).await?.envelope.fact {
        Fact::PeriodClosed(first) if first.period == period => Ok(true),
        _ => Err(record::used_for_something_else()),
    }
}

/// A month is over when it is over in the time zones of all terms: until then what happens in it is
/// told in its statements rather than as a correction.
fn refuse_unfinished(service: &Service, closing: &Closing) -> Result<(), CommandError> {
    let period = closing.period;
    let now = service.clock.now();
    if now < period.start() {
        // What happens until then would have no month left to stand in.
        let detail = format!("{period} has not begun: it cannot be closed");
        return Err(CommandError::Conflict(detail));
    }
    let directory = service.directory.load();
    let zones = directory.terms().map(|version| version.terms.time_zone);
    let ends = zones.map(|zone| (period.end_in(zone), zone.name()));
    let utc = (period.end(), "UTC");
    let (end, zone) = ends.fold(utc, |last, end| if end.0 > last.0 { end } else { last });
    if closing.early || now >= end {
        return Ok(());
    }
    Err(CommandError::Conflict(format!(
        "{period} is not over before {end} (its end in {zone}): say `early` to close it all the same"
    )))
}

/// Months are closed in their order. Returns the last that is closed.
async fn refuse_out_of_turn(tables: &Tables, period: Month) -> Result<Option<Month>, CommandError> {
    let closed = tables.closed_periods().await?;
    if let Some(by) = closed.iter().find(|closed| closed.period >= period) {
        let at = by.closed_at.to_string();
        return Err(closed_already(period, &by.actor, &at));
    }
    let last = closed.iter().map(|closed| closed.period).max();
    let open = tables.months_with_postings(last).await?;
    match open.first() {
        Some(first) if *first < period => Err(CommandError::Conflict(format!(
            "{first} has postings and is open: close it first"
        ))),
        _ => Ok(last),
    }
}

fn closed_already(period: Month, actor: &str, at: &str) -> CommandError {
    CommandError::Conflict(format!("{period} was closed by {actor} at {at}"))
}

/// Issues the statements of a closed month that are missing, and returns all of them, and who cannot be
/// told.
async fn issue(
    service: &Service,
    author: &Author,
    closed: &ClosedPeriod,
    all: &[ClosedPeriod],
) -> Result<(Vec<StatementRow>, Vec<Untold>), CommandError> {
    let last = all
        .iter()
        .map(|closed| closed.period)
        .filter(|&earlier| earlier < closed.period)
        .max();
    let Drafts { told, untold } =
        drafts(&service.tables, last, closed.period, closed.position).await?;
    let filter = StatementFilter {
        partner: None,
        period: Some(closed.period),
        ..StatementFilter::default()
    };
    let issued = service.tables.statements(&filter, Slice::ALL).await?;
    if issued.len() < told.len() {
        issue::append_all(service, author, closed, told).await?;
        record::catch_up(service).await?;
        let issued = service.tables.statements(&filter, Slice::ALL).await?;
        return Ok((issued, untold));
    }
    Ok((issued, untold))
}
