//! Looks up in the log what a postback refers to: its click, its customer's bond, what it changes.

use postbook_schemas::{Envelope, Fact, FactId, Instant, OfferRef, dedupe, postback::References};

use crate::{directory::Directory, service::Service, store::StoreError};

/// The click that an attempt names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClickCheck {
    /// None is named, or it has not been looked up.
    Unasked,
    /// Its id was never given out.
    NeverGivenOut,
    /// This one.
    Found(FoundClick),
}

/// A click as far as intake needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundClick {
    /// Its place in the log.
    pub position: u64,
    /// The offer of its link.
    pub offer: OfferRef,
    /// The campaign of its link.
    pub campaign: Option<String>,
    /// When the link was followed.
    pub occurred_at: Instant,
}

/// What a change or abuse report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// It has not been looked up, or the attempt is a report.
    Unasked,
    /// Nothing that is known yet.
    Unknown,
    /// The conversion that was first reported by this fact.
    Conversion(FactId),
}

/// Finds a click by the id that was handed on: by decoding an id of ours, by key one from elsewhere.
pub(super) async fn find_click(
    service: &Service,
    directory: &Directory,
    click_id: &str,
) -> Result<ClickCheck, StoreError> {
    let store = service.log.store();
    if let Some(position) = service.click_ids.decode(click_id)
        && position <= store.head()
        && let Some(head) = store.clicks(vec![position]).await?.pop().flatten()
    {
        return Ok(match directory.link_at(head.link_position) {
            Some(entry) => ClickCheck::Found(FoundClick {
                position,
                offer: entry.link.offer.clone(),
                campaign: entry.link.campaign.clone(),
                occurred_at: head.occurred_at,
            }),
            None => read_click(service, position, click_id).await?,
        });
    }
    match store.find(&dedupe::foreign_click_key(click_id)).await? {
        Some(position) => read_click(service, position, click_id).await,
        None => Ok(ClickCheck::NeverGivenOut),
    }
}

async fn read_click(
    service: &Service,
    position: u64,
    click_id: &str,
) -> Result<ClickCheck, StoreError> {
    let envelope = read_fact(service, position).await?;
    Ok(match envelope.fact {
        Fact::ClickRecorded(click) if click.click_id == click_id => ClickCheck::Found(FoundClick {
            position,
            offer: click.offer,
            campaign: click.campaign,
            occurred_at: envelope.occurred_at,
        }),
        // A key that only looks alike.
        _ => ClickCheck::NeverGivenOut,
    })
}

pub(super) async fn is_bound(
    service: &Service,
    offer: &OfferRef,
    customer_id: &str,
) -> Result<bool, StoreError> {
    let key = dedupe::bound_customer_key(offer, customer_id);
    let Some(position) = service.log.store().find(&key).await? else {
        return Ok(false);
    };
    let envelope = read_fact(service, position).await?;
    Ok(envelope.fact.as_report().is_some_and(|report| {
        report.offer == *offer && report.references.customer_id.as_deref() == Some(customer_id)
    }))
}

/// Finds the conversion that a change is about: by transaction, else by click, else by customer.
pub async fn find_target(
    service: &Service,
    offer: &OfferRef,
    references: &References,
) -> Result<Target, StoreError> {
    let keys = dedupe::reference_keys(offer, references);
    let Some(key) = keys.first() else {
        return Ok(Target::Unknown);
    };
    let Some(position) = service.log.store().find(key).await? else {
        return Ok(Target::Unknown);
    };
    let envelope = read_fact(service, position).await?;
    Ok(match envelope.fact.as_report() {
        Some(report) if dedupe::reference_keys(&report.offer, &report.references).contains(key) => {
            Target::Conversion(envelope.id)
        }
        _ => Target::Unknown,
    })
}

/// Reads a fact that the log has said to be there.
///
/// # Errors
/// The log could not be read, or is damaged at this place.
pub async fn read_fact(service: &Service, position: u64) -> Result<Envelope, StoreError> {
    let damaged = |what: String| StoreError::Damaged { position, what };
    let line = service.log.store().read_one(position).await?;
    let line = line.ok_or_else(|| damaged("a fact that has a key is missing".to_owned()))?;
    Envelope::decode(&line).map_err(|error| damaged(error.to_string()))
}
