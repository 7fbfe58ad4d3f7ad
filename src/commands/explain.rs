//! Gathers what an explanation of a conversion stands on.

use std::collections::BTreeSet;

use postbook_projections::{
    explain::{
        self, Evidence, Explanation, Told,
        trace::{Shared, Trace},
    },
    rows::{ConversionRow, Posting},
};
use postbook_schemas::{
    ClickIdKey, Envelope, Fact, FactId, FactType, Month, Slug, configuration::TermsPublished,
    dedupe, envelope::Recorded,
};

use super::record::{self, CommandError};
use crate::{
    projector::Projector,
    service::Service,
    sight::Sight,
    store::{Filter, LogStore},
    tables::{
        Tables,
        query::{Slice, periods::StatementFilter, postings::PostingFilter},
    },
};

/// How many bytes of terms are read at a time.
const PAGE_BYTES: usize = 1 << 18;

/// What an explanation is read from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The log.
    pub store: &'a dyn LogStore,
    /// The read models.
    pub tables: &'a Tables,
    /// Turns click ids into positions.
    pub click_ids: &'a ClickIdKey,
    /// The live book, where it is at hand: it knows tiers, caps and rates.
    pub projector: Option<&'a Projector>,
}

impl<'a> From<&'a Service> for Sources<'a> {
    fn from(service: &'a Service) -> Self {
        Self {
            store: &**service.log.store(),
            tables: &service.tables,
            click_ids: &service.click_ids,
            projector: Some(&service.projector),
        }
    }
}

/// Explains a conversion, of which a partner hands in what it sees; for a partner only as far as it
/// concerns that partner.
///
/// # Errors
/// The log or the read models cannot be read.
pub async fn conversion(
    sources: Sources<'_>,
    conversion: ConversionRow,
    only: Option<&Slug>,
) -> Result<Explanation, CommandError> {
    let sight = Sight::of_partner(only);
    let payouts = sources.tables.payouts_of(conversion.id).await?;
    let payouts: Vec<_> = payouts
        .into_iter()
        .filter_map(|row| sight.payout(row))
        .collect();
    let own = payouts.iter().map(|payout| payout.id).collect();
    let mut facts = Vec::new();
    for position in sources.tables.timeline(&conversion).await? {
        let mut recorded = record::read_from(sources.store, position).await?;
        if !sight.fact(&recorded.envelope.fact, &own) {
            continue;
        }
        if only.is_some() {
            leave_out_who(&mut recorded.envelope);
        }
        facts.push(recorded);
    }
    let filter = sight.postings(PostingFilter {
        conversion_id: Some(conversion.id),
        ..PostingFilter::default()
    });
    let all = Slice {
        after: 0,
        limit: u32::MAX,
    };
    let postings = sources.tables.postings(&filter, all).await?;
    let versions = conversion
        .earnings
        .iter()
        .filter_map(|line| line.terms_version.as_deref().map(str::to_owned))
        .collect();
    let trace = trace(sources, conversion.id, &facts, only).await?;
    let evidence = Evidence {
        click_position: click_position(sources, &conversion).await?,
        terms: terms(sources, &versions).await?,
        conversion,
        facts,
        statements: statements(sources, &postings).await?,
        trace,
        postings,
        payouts,
    };
    Ok(explain::explain(&evidence))
}

/// A partner is not told who works here, nor what they write about other partners.
fn leave_out_who(envelope: &mut Envelope) {
    let is_decided = matches!(
        envelope.fact,
        Fact::ConversionDecided(_) | Fact::AttributionCorrected(_)
    );
    let who = if is_decided {
        "the programme"
    } else {
        "the service"
    };
    who.clone_into(&mut envelope.actor);
    if let Fact::AttributionCorrected(corrected) = &mut envelope.fact {
        "the reason is the programme's".clone_into(&mut corrected.reason);
    }
}

/// How the lines were derived, asked of the live book; of a partner's explanation only its own lines.
async fn trace(
    sources: Sources<'_>,
    id: FactId,
    facts: &[Recorded],
    only: Option<&Slug>,
) -> Result<Option<Trace>, CommandError> {
    let Some(projector) = sources.projector else {
        return Ok(None);
    };
    // Payouts may be large, and are about no one conversion.
    let about = facts.iter();
    let about = about.filter(|fact| explain::is_about_one(&fact.envelope.fact));
    let facts: Vec<Recorded> = about.cloned().collect();
    let asked = projector.ask(move |book, _| book.trace(&id, &facts)).await;
    let mut trace = asked.map_err(|error| {
        tracing::warn!(%error, "an explanation goes without the steps of its derivation");
    });
    if let (Ok(Some(trace)), Some(only)) = (&mut trace, only) {
        trace.sources.clear();
        trace.unmet.retain(|unmet| unmet.partner == *only);
        trace.lines.retain(|line| line.partner == *only);
        for line in &mut trace.lines {
            if line.below_minor.take().is_some() {
                line.left = (1, 1);
            }
        }
        for other in &mut trace.others {
            other.of = None;
            other.shared = other.shared.take().filter(|it| is_seen(it, only));
        }
    }
    Ok(trace.unwrap_or_default())
}

/// Whether a partner may know that this is shared: not the rules of partners above.
fn is_seen(shared: &Shared, only: &Slug) -> bool {
    match shared {
        Shared::Tiers(_, partner) | Shared::Cap(_, partner) => partner == only,
        Shared::Transaction | Shared::Customer | Shared::Click => true,
    }
}

/// The statements in which these postings stand.
async fn statements(sources: Sources<'_>, postings: &[Posting]) -> Result<Vec<Told>, CommandError> {
    let places: BTreeSet<(Slug, Month)> = postings
        .iter()
        .map(|posting| (posting.partner.clone(), posting.period.month))
        .collect();
    let mut told = Vec::new();
    for (partner, period) in places {
        let filter = StatementFilter {
            partner: Some(partner),
            period: Some(period),
            ..StatementFilter::default()
        };
        let all = Slice {
            after: 0,
            limit: u32::MAX,
        };
        let rows = sources.tables.statements(&filter, all).await?;
        told.extend(rows.into_iter().map(|row| Told {
            position: row.position,
            id: row.id,
            number: row.number,
            partner: row.partner,
            period: row.period,
            currency: row.currency,
        }));
    }
    Ok(told)
}

async fn click_position(
    sources: Sources<'_>,
    conversion: &ConversionRow,
) -> Result<Option<u64>, CommandError> {
    let Some(id) = &conversion.attribution.click_id else {
        return Ok(None);
    };
    let store = sources.store;
    if let Some(position) = sources.click_ids.decode(id)
        && let Some(Some(_)) = store.clicks(vec![position]).await?.first()
    {
        return Ok(Some(position));
    }
    Ok(store.find(&dedupe::foreign_click_key(id)).await?)
}

/// Versions of terms, with their positions.
async fn terms(
    sources: Sources<'_>,
    versions: &BTreeSet<String>,
) -> Result<Vec<(u64, TermsPublished)>, CommandError> {
    let mut found = Vec::new();
    if versions.is_empty() {
        return Ok(found);
    }
    let store = sources.store;
    let (mut from, head) = (1, store.head());
    let filter = Filter::only(&[FactType::TermsPublished]);
    while from <= head {
        let page = store.read(from, head, filter, PAGE_BYTES).await?;
        for (position, line) in page.lines() {
            let envelope = Envelope::decode(line)
                .map_err(|source| CommandError::Unreadable { position, source })?;
            if let Fact::TermsPublished(published) = envelope.fact
                && versions.contains(&published.version)
            {
                found.push((position, published));
            }
        }
        from = if page.ends.is_empty() {
            head + 1
        } else {
            page.next.max(from + 1)
        };
    }
    Ok(found)
}
