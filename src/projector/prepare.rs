//! From kept lines to facts, with the clicks that they name.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use postbook_projections::ClickSeen;
use postbook_schemas::{ClickIdKey, Envelope, Fact, OfferRef, Slug, dedupe, traffic::Click};

use super::ProjectorError;
use crate::store::{ClickHead, LogStore, Page};

/// Facts in order, with the clicks that they name: `None` for ids that name no click.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) facts: Vec<(u64, Envelope)>,
    pub(super) clicks: HashMap<String, Option<ClickSeen>>,
    /// Offers whose clicks come with their subs.
    pub(super) with_subs: HashSet<OfferRef>,
    /// Everything up to here is in `facts` or was filtered out.
    pub(super) position: u64,
}

/// Finds the clicks that facts name.
#[derive(Clone, Debug)]
pub(super) struct Preparer {
    store: Arc<dyn LogStore>,
    click_ids: Arc<ClickIdKey>,
    /// Offer and partner of each `link.defined`, by position: what the index entry of a click
    /// leaves out.
    links: Arc<Mutex<HashMap<u64, (OfferRef, Slug)>>>,
    /// Offers whose terms look at the subs of clicks: found out while folding, used while preparing.
    subs_wanted: Arc<Mutex<HashSet<OfferRef>>>,
}

impl Preparer {
    pub(super) fn new(store: Arc<dyn LogStore>, click_ids: Arc<ClickIdKey>) -> Self {
        Self {
            store,
            click_ids,
            links: Arc::default(),
            subs_wanted: Arc::default(),
        }
    }

    /// Decodes a page and finds the clicks of its facts. A fact that cannot be read ends the page:
    /// those before it still count.
    pub(super) async fn prepare(&self, page: &Arc<Page>) -> (Prepared, Option<ProjectorError>) {
        let position = page.next.saturating_sub(1);
        let with_subs = self.lock_subs().clone();
        let (preparer, page) = (self.clone(), Arc::clone(page));
        let work = move || preparer.decode(&page);
        let decoded = match tokio::task::spawn_blocking(work).await {
            Ok(decoded) => decoded,
            Err(error) => return (Prepared::default(), Some(stopped(&error))),
        };
        let mut prepared = Prepared {
            facts: decoded.facts,
            clicks: decoded
                .named
                .iter()
                .map(|named| (named.id.clone(), None))
                .collect(),
            with_subs,
            position: match &decoded.poison {
                Some(ProjectorError::Poison { position, .. }) => position.saturating_sub(1),
                _ => position,
            },
        };
        match self.find_all(decoded.named, &mut prepared.clicks).await {
            Ok(()) => (prepared, decoded.poison),
            Err(error) => (Prepared::default(), Some(error)),
        }
    }

    fn decode(&self, page: &Page) -> Decoded {
        let mut decoded = Decoded::default();
        let mut seen = HashSet::new();
        let mut links = Vec::new();
        for (position, line) in page.lines() {
            let envelope = match Envelope::decode(line) {
                Ok(envelope) => envelope,
                Err(error) => {
                    decoded.poison = Some(ProjectorError::Poison {
                        position,
                        what: error.to_string(),
                    });
                    break;
                }
            };
            if let Fact::LinkDefined(link) = &envelope.fact {
                links.push((position, (link.offer.clone(), link.partner.clone())));
            }
            if let Some(id) = named_click(&envelope.fact)
                && seen.insert(id.to_owned())
            {
                decoded.named.push(Named {
                    id: id.to_owned(),
                    position: self.click_ids.decode(id),
                });
            }
            decoded.facts.push((position, envelope));
        }
        let mut known = self
            .links
            .lock()
            .expect("no thread panics while it inserts");
        known.extend(links);
        decoded
    }

    /// Finds clicks: those with ids of ours all at once by the position that the id stands for, the
    /// others by key.
    async fn find_all(
        &self,
        named: Vec<Named>,
        clicks: &mut HashMap<String, Option<ClickSeen>>,
    ) -> Result<(), ProjectorError> {
        let positions = named.iter().filter_map(|named| named.position).collect();
        let mut heads = self.store.clicks(positions).await?.into_iter();
        for Named { id, position } in named {
            let head = position.and_then(|_| heads.next()).flatten();
            let click = match (head, position) {
                (Some(head), Some(position)) => self.seated(&id, position, head).await?,
                _ => self.foreign(&id).await?,
            };
            clicks.insert(id, click);
        }
        Ok(())
    }

    /// Finds one click, subs included.
    pub(super) async fn find_one(&self, id: &str) -> Result<Option<ClickSeen>, ProjectorError> {
        let Some(position) = self.click_ids.decode(id) else {
            return self.foreign(id).await;
        };
        match self.store.clicks(vec![position]).await?.first() {
            Some(Some(_)) => self.read(id, position).await,
            _ => self.foreign(id).await,
        }
    }

    async fn seated(
        &self,
        id: &str,
        position: u64,
        head: ClickHead,
    ) -> Result<Option<ClickSeen>, ProjectorError> {
        let link = {
            let links = self
                .links
                .lock()
                .expect("no thread panics while it inserts");
            links.get(&head.link_position).cloned()
        };
        let Some((offer, partner)) = link else {
            return self.read(id, position).await;
        };
        if self.wants_subs(&offer) {
            return self.read(id, position).await;
        }
        Ok(Some(ClickSeen {
            click_id: id.to_owned(),
            position,
            offer,
            partner,
            occurred_at: head.occurred_at,
            country: head
                .country
                .and_then(|code| std::str::from_utf8(&code).ok().map(str::to_owned)),
            device: head.device,
            subs: std::collections::BTreeMap::new(),
        }))
    }

    fn wants_subs(&self, offer: &OfferRef) -> bool {
        self.lock_subs().contains(offer)
    }

    fn lock_subs(&self) -> std::sync::MutexGuard<'_, HashSet<OfferRef>> {
        self.subs_wanted
            .lock()
            .expect("no thread panics while it inserts")
    }

    /// Notes that an offer's terms look at subs.
    pub(super) fn want_subs(&self, offer: &OfferRef) {
        self.lock_subs().insert(offer.clone());
    }

    async fn foreign(&self, id: &str) -> Result<Option<ClickSeen>, ProjectorError> {
        match self.store.find(&dedupe::foreign_click_key(id)).await? {
            Some(position) => self.read(id, position).await,
            None => Ok(None),
        }
    }

    /// Reads a click's line. The store may have found one that only looks alike, so the id is
    /// compared.
    async fn read(&self, id: &str, position: u64) -> Result<Option<ClickSeen>, ProjectorError> {
        let Some(line) = self.store.read_one(position).await? else {
            return Ok(None);
        };
        let poison = |error: postbook_schemas::DecodeError| ProjectorError::Poison {
            position,
            what: error.to_string(),
        };
        let envelope = Envelope::decode(&line).map_err(poison)?;
        Ok(match envelope.fact {
            Fact::ClickRecorded(click) if click.click_id == id => {
                Some(seen(position, envelope.occurred_at, click))
            }
            _ => None,
        })
    }
}

#[derive(Debug, Default)]
struct Decoded {
    facts: Vec<(u64, Envelope)>,
    named: Vec<Named>,
    poison: Option<ProjectorError>,
}

/// A click id that a fact names, and the position it stands for if it has the form of ours.
#[derive(Debug)]
struct Named {
    id: String,
    position: Option<u64>,
}

fn seen(position: u64, occurred_at: postbook_schemas::Instant, click: Click) -> ClickSeen {
    ClickSeen {
        click_id: click.click_id,
        position,
        offer: click.offer,
        partner: click.partner,
        occurred_at,
        country: click.country,
        device: click.device,
        subs: click
            .parameters
            .into_iter()
            .filter(|(name, _)| name.starts_with("sub"))
            .collect(),
    }
}

/// The click id that a fact names, if the book might ask for it.
fn named_click(fact: &Fact) -> Option<&str> {
    let references = &fact.as_report()?.references;
    references.click_id.as_deref()
}

pub(super) fn stopped(error: &tokio::task::JoinError) -> ProjectorError {
    ProjectorError::Stopped(error.to_string())
}
