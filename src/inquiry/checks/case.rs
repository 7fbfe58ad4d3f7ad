//! Gathers what the five checks look at.

use std::sync::Arc;

use postbook_projections::rows::{AttemptRow, ConversionRow};
use postbook_schemas::{
    Instant, OfferRef, Outcome,
    configuration::{Link, Offer},
};

use super::{
    super::{
        Sources,
        attempt::{self, AttemptTold},
        find::{self, Found},
    },
    Subject,
};
use crate::{
    commands::record::CommandError,
    tables::query::{Slice, attempts::AttemptFilter, conversions::ConversionFilter},
};

/// Most attempts and conversions that are looked at: a subject with more is no riddle.
const ROWS_MAX: u32 = 50;

/// Most refused attempts of each outcome that are shown although they name no click.
const NEARBY_MAX: u32 = 3;

/// What an attempt is refused for before its click id could be read or believed.
const SPEECHLESS: &[Outcome] = &[
    Outcome::PayloadTooLarge,
    Outcome::InsecureTransport,
    Outcome::RateLimited,
    Outcome::AddressNotAllowed,
    Outcome::BadCredentials,
    Outcome::BadSignature,
    Outcome::StaleTimestamp,
    Outcome::Malformed,
    Outcome::MissingField,
];

/// Everything that the checks look at.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) click_id: Option<String>,
    pub(super) click: Option<Found>,
    /// The link of the click as it stands now.
    pub(super) link: Option<Link>,
    /// The offer of the click as it stands now.
    pub(super) offer: Option<Arc<Offer>>,
    /// The attempts that are about the subject, in the order in which they came.
    pub(super) attempts: Vec<AttemptTold>,
    /// Refused attempts at the click's offer since then that name no click.
    pub(super) nearby: Vec<AttemptTold>,
    pub(super) conversions: Vec<ConversionRow>,
    pub(super) now: Instant,
}

impl Case {
    /// Whether anything about the subject was taken.
    pub(super) fn is_taken(&self) -> bool {
        let taken = |attempt: &AttemptTold| !attempt.outcome.is_rejection();
        !self.conversions.is_empty() || self.attempts.iter().any(taken)
    }

    pub(super) async fn gather(
        sources: &Sources<'_>,
        subject: &Subject,
        only: Option<&OfferRef>,
    ) -> Result<Self, CommandError> {
        let mut rows = attempts(sources, subject, only).await?;
        let mut told = attempt::tell_all(sources, rows.clone()).await?;
        let others = read_again(sources, &told).await?;
        told.extend(attempt::tell_all(sources, others.clone()).await?);
        told.sort_by_key(|attempt| attempt.position);
        rows.extend(others);
        let conversions = conversions(sources, subject, &rows, only).await?;
        let click_id = match subject {
            Subject::Click(click_id) => Some(click_id.clone()),
            _ => click_of(&rows, &conversions),
        };
        let click = match &click_id {
            Some(click_id) => find::click(sources, click_id).await?,
            None => None,
        };
        let click = click.filter(|found| only.is_none_or(|only| found.click.offer == *only));
        let nearby = match &click {
            Some(found) if rows.is_empty() => nearby(sources, found).await?,
            _ => Vec::new(),
        };
        let directory = sources.directory;
        let link = click.as_ref().and_then(|found| found.click.link.as_ref());
        Ok(Self {
            link: link
                .and_then(|slug| directory.link(slug.as_str()))
                .map(|entry| entry.link.clone()),
            offer: click
                .as_ref()
                .and_then(|found| directory.offer(found.click.offer.as_str()))
                .map(Arc::clone),
            attempts: told,
            nearby: attempt::tell_all(sources, nearby).await?,
            click_id,
            click,
            conversions,
            now: sources.now,
        })
    }
}

const fn first(limit: u32) -> Slice {
    Slice { after: 0, limit }
}

async fn attempts(
    sources: &Sources<'_>,
    subject: &Subject,
    only: Option<&OfferRef>,
) -> Result<Vec<AttemptRow>, CommandError> {
    let mut filter = AttemptFilter {
        offer: only.cloned(),
        ..AttemptFilter::default()
    };
    match subject {
        Subject::Click(click_id) => filter.click_id = Some(click_id.clone()),
        Subject::Txn(txn_id) => filter.txn_id = Some(txn_id.clone()),
        Subject::Customer(customer_id) => filter.customer_id = Some(customer_id.clone()),
        Subject::Attempt(id) => {
            let row = sources.tables.attempt(*id).await?;
            let row = row.filter(|row| only.is_none() || row.offer.as_ref() == only);
            let missing = || CommandError::NotFound(format!("there is no attempt {id}"));
            return Ok(vec![row.ok_or_else(missing)?]);
        }
    }
    Ok(sources.tables.attempts(&filter, first(ROWS_MAX)).await?)
}

/// The other side of each attempt that was read again: the refusal, and what that became. Under the
/// mapping that was wrong, the refusal may name nothing that it is found by.
async fn read_again(
    sources: &Sources<'_>,
    told: &[AttemptTold],
) -> Result<Vec<AttemptRow>, CommandError> {
    let became = told
        .iter()
        .filter_map(|one| Some(one.became.as_ref()?.position));
    let before = told
        .iter()
        .filter_map(|one| one.requeued.as_ref()?.position);
    let mut positions: Vec<u64> = became.chain(before).collect();
    positions.retain(|position| told.iter().all(|one| one.position != *position));
    positions.sort_unstable();
    positions.dedup();
    let mut rows = Vec::new();
    for position in positions {
        let slice = Slice {
            after: position - 1,
            limit: 1,
        };
        let found = sources
            .tables
            .attempts(&AttemptFilter::default(), slice)
            .await?;
        rows.extend(found.into_iter().filter(|row| row.position == position));
    }
    Ok(rows)
}

/// The conversions that the subject names, or that its attempts reported.
async fn conversions(
    sources: &Sources<'_>,
    subject: &Subject,
    attempts: &[AttemptRow],
    only: Option<&OfferRef>,
) -> Result<Vec<ConversionRow>, CommandError> {
    let mut filter = ConversionFilter {
        offer: only.cloned(),
        sandbox: true,
        ..ConversionFilter::default()
    };
    match subject {
        Subject::Click(click_id) => filter.click_id = Some(click_id.clone()),
        Subject::Txn(txn_id) => filter.txn_id = Some(txn_id.clone()),
        Subject::Customer(customer_id) => filter.customer_id = Some(customer_id.clone()),
        Subject::Attempt(id) => {
            // A refusal may have become one when it was read again.
            for id in attempts.iter().map(|row| row.id).chain([*id]) {
                if let Some(conversion) = sources.tables.conversion(id).await? {
                    return Ok(vec![conversion]);
                }
            }
            // A repeat, a change or a refusal: what it names may be known from another attempt.
            let Some(row) = attempts.last() else {
                return Ok(Vec::new());
            };
            filter.offer = row.offer.clone().or(filter.offer);
            filter.txn_id.clone_from(&row.txn_id);
            if filter.txn_id.is_none() {
                filter.click_id.clone_from(&row.click_id);
            }
            if filter.txn_id.is_none() && filter.click_id.is_none() {
                return Ok(Vec::new());
            }
        }
    }
    Ok(sources.tables.conversions(&filter, first(ROWS_MAX)).await?)
}

/// The click that attempts name, or that their conversions are credited by.
fn click_of(attempts: &[AttemptRow], conversions: &[ConversionRow]) -> Option<String> {
    let named = attempts.iter().find_map(|row| row.click_id.clone());
    let credited = || {
        let mut attributions = conversions.iter().map(|conversion| &conversion.attribution);
        attributions.find_map(|attribution| attribution.click_id.clone())
    };
    named.or_else(credited)
}

async fn nearby(sources: &Sources<'_>, click: &Found) -> Result<Vec<AttemptRow>, CommandError> {
    let slice = Slice {
        after: click.position,
        limit: NEARBY_MAX,
    };
    let mut found = Vec::new();
    for &outcome in SPEECHLESS {
        let filter = AttemptFilter {
            outcome: Some(outcome),
            offer: Some(click.click.offer.clone()),
            without_click: true,
            ..AttemptFilter::default()
        };
        found.extend(sources.tables.attempts(&filter, slice).await?);
    }
    found.sort_by_key(|row| row.position);
    Ok(found)
}
