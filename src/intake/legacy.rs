//! Offers that still take postbacks without a secret: counted, and told in the log once each.

use std::{collections::BTreeSet, sync::Mutex};

use postbook_schemas::OfferRef;

use crate::meters::Meters;

/// Which offers were told of since the process began.
#[derive(Debug, Default)]
pub struct Legacy(Mutex<BTreeSet<OfferRef>>);

impl Legacy {
    /// Counts a postback that was taken without a secret; the first of each offer is told in the log.
    ///
    /// # Panics
    /// Never: no thread panics while it adds an offer.
    pub fn took(&self, offer: OfferRef, meters: &Meters) {
        meters.legacy_postback();
        let mut told = self
            .0
            .lock()
            .expect("no thread panics while it adds an offer");
        if !told.contains(&offer) {
            tracing::warn!(
                %offer,
                "deprecated: the offer takes postbacks without a secret; make one with `postbook secret rotate`"
            );
            told.insert(offer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_postback_is_counted() {
        let (legacy, meters) = (Legacy::default(), Meters::new());
        for name in ["acme/a", "acme/a", "acme/b"] {
            legacy.took(OfferRef::try_new(name).expect("an offer"), &meters);
        }
        let text = meters.render();
        assert!(text.contains("postbook_legacy_postbacks_total 3"), "{text}");
        assert_eq!(legacy.0.lock().expect("free").len(), 2);
    }
}
