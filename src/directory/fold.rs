//! Folds configuration facts into a directory.

use std::{collections::BTreeMap, sync::Arc};

use postbook_schemas::{Envelope, Fact, FactId, Instant, configuration::TermsPublished};

use super::{Directory, DirectoryError, FACT_TYPES, LinkEntry};
use crate::{
    intake::mapping::{Origin, Rules},
    store::{Filter, LogStore},
};

/// Bytes that are read from the log at a time.
const PAGE_BYTES: usize = 1 << 20;

/// Which of two definitions of one thing is newer.
pub type Stamp = (Instant, FactId);

/// A definition and when it was made.
#[derive(Clone, Debug)]
pub struct Stamped<T> {
    /// When, and by which fact.
    pub stamp: Stamp,
    /// The definition.
    pub value: T,
}

/// A version of terms.
pub type TermsVersion = TermsPublished;

impl Directory {
    /// The programme as the log has it now.
    ///
    /// # Errors
    /// The log cannot be read, or holds a fact that cannot be understood.
    pub async fn load(store: &dyn LogStore) -> Result<Self, DirectoryError> {
        Self::default().brought_up_to_date(store).await
    }

    /// This directory with what the log has gained since.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn brought_up_to_date(
        mut self,
        store: &dyn LogStore,
    ) -> Result<Self, DirectoryError> {
        let head = store.head();
        let filter = Filter::only(FACT_TYPES);
        let mut from = self.head + 1;
        while from <= head {
            let page = store.read(from, head, filter, PAGE_BYTES).await?;
            for (position, line) in page.lines() {
                let envelope = Envelope::decode(line)
                    .map_err(|source| DirectoryError::Decode { position, source })?;
                self.apply(position, &envelope);
            }
            from = page.next.max(from + 1);
        }
        self.head = head.max(self.head);
        Ok(self)
    }

    /// Folds one fact in; facts that define nothing change nothing.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a fold over configuration: no other fact concerns it"
    )]
    pub fn apply(&mut self, position: u64, envelope: &Envelope) {
        let stamp = (envelope.occurred_at, envelope.id);
        match &envelope.fact {
            Fact::BrandDefined(brand) => {
                put(&mut self.brands, brand.slug.clone(), stamp, brand.clone());
            }
            Fact::OfferDefined(offer) => {
                let offer = Arc::new(offer.clone());
                put(&mut self.offers, offer.reference(), stamp, offer);
            }
            Fact::PartnerDefined(partner) => {
                let slug = partner.slug.clone();
                put(&mut self.partners, slug, stamp, partner.clone());
            }
            Fact::LinkDefined(link) => {
                let link = link.clone();
                let entry = Arc::new(LinkEntry { position, link });
                self.links_by_position.insert(position, Arc::clone(&entry));
                put(&mut self.links, entry.link.slug.clone(), stamp, entry);
            }
            Fact::CouponDefined(coupon) => {
                let key = (coupon.code.to_lowercase(), coupon.offer.clone());
                let assignments = self.coupons.entry(key).or_default();
                put(assignments, coupon.effective_from, stamp, coupon.clone());
            }
            Fact::TermsPublished(published) => {
                let terms = &published.terms;
                let versions = self.terms.entry(terms.offer.clone()).or_default();
                let key = (terms.partner.clone(), terms.effective_from);
                put(versions, key, stamp, published.clone());
            }
            Fact::FxRateRecorded(rate) => {
                let key = (rate.base, rate.quote, rate.at);
                put(&mut self.fx_rates, key, stamp, rate.clone());
            }
            Fact::MappingDefined(mapping) => {
                let offer = mapping.offer.clone();
                let rules = (!mapping.is_none())
                    .then(|| Arc::new(Rules::new(mapping, Origin::Position(position))));
                put(&mut self.mappings, offer, stamp, rules);
            }
            Fact::EndpointDefined(endpoint) => {
                let key = (endpoint.partner.clone(), endpoint.offer.clone());
                put(&mut self.endpoints, key, stamp, endpoint.clone());
            }
            Fact::DerivationAdopted(adopted) => {
                let known = self.derivation.as_ref();
                if known.is_none_or(|known| known.stamp < stamp) {
                    let value = adopted.version;
                    self.derivation = Some(Stamped { stamp, value });
                }
            }
            _ => {}
        }
        self.head = self.head.max(position);
    }
}

fn put<K: Ord, T>(map: &mut BTreeMap<K, Stamped<T>>, key: K, stamp: Stamp, value: T) {
    match map.get(&key) {
        Some(known) if known.stamp > stamp => {}
        _ => {
            map.insert(key, Stamped { stamp, value });
        }
    }
}

#[cfg(test)]
mod tests {
    use postbook_schemas::{Slug, configuration::Brand, envelope::Source};

    use super::*;

    fn brand_fact(micros: i64, name: &str) -> Envelope {
        Envelope {
            id: FactId::nil(),
            occurred_at: Instant::from_micros(micros),
            recorded_at: Instant::EPOCH,
            actor: "test".to_owned(),
            source: Source::default(),
            reason: None,
            fact: Fact::BrandDefined(Brand {
                slug: Slug::try_new("acme").unwrap(),
                name: Some(name.to_owned()),
                currency: postbook_schemas::Currency::USD,
                bank: None,
            }),
        }
    }

    #[test]
    fn the_newest_definition_holds_in_any_order() {
        for order in [[1, 2], [2, 1]] {
            let mut directory = Directory::default();
            for (position, micros) in (1..).zip(order) {
                directory.apply(position, &brand_fact(micros, &micros.to_string()));
            }
            let name = directory.brand("acme").unwrap().name.as_deref();
            assert_eq!(name, Some("2"), "{order:?}");
        }
    }
}
