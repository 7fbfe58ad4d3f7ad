//! What is known of tokens and offers' keys, in memory: every check is made against this.

use std::{collections::BTreeMap, sync::Arc};

use postbook_schemas::{Instant, OfferRef};
use subtle::{Choice, ConstantTimeEq};

use super::{
    SecretCheck, TokenInfo,
    caller::Caller,
    offer_key::{KeyKind, MacBytes, OfferKey, OfferKeyInfo, SignatureBytes},
    plain::{self, Hash, hash_of},
    traces::Traces,
};

/// What signatures of an offer can be checked with now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Means {
    /// A shared secret.
    pub hmac: bool,
    /// A public key.
    pub ed25519: bool,
    /// A secret of which only a hash was kept, which can check none.
    pub only_hash: bool,
}

pub(super) struct Token {
    hash: Hash,
    pub(super) info: TokenInfo,
    caller: Arc<Caller>,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) tokens: BTreeMap<Arc<str>, Token>,
    pub(super) offers: BTreeMap<OfferRef, Vec<OfferKey>>,
    pub(super) traces: Traces,
}

impl Known {
    pub(super) fn add_token(&mut self, info: TokenInfo, hash: Hash) {
        let caller = Arc::new(Caller::new(&info));
        let id = Arc::clone(&info.id);
        self.tokens.insert(id, Token { hash, info, caller });
    }

    pub(super) fn add_offer_key(&mut self, key: OfferKey) {
        let keys = self.offers.entry(key.info.offer.clone()).or_default();
        keys.push(key);
    }

    pub(super) fn offer_key(&self, id: &str) -> Option<&OfferKeyInfo> {
        let mut keys = self.offers.values().flatten().map(|key| &key.info);
        keys.find(|info| &*info.id == id)
    }

    pub(super) fn verify_token(&self, given: &str) -> Option<Arc<Caller>> {
        let token = self.tokens.get(plain::token_id(given)?)?;
        let same = bool::from(token.hash.ct_eq(&hash_of(given)));
        (same && token.info.revoked_at.is_none()).then(|| Arc::clone(&token.caller))
    }

    pub(super) fn verify_secret(&self, offer: &str, given: &str, now: Instant) -> SecretCheck {
        let Some(keys) = self.offers.get(offer) else {
            return SecretCheck::NoneMade;
        };
        let hash = hash_of(given);
        let mut found = SecretCheck::Wrong;
        for key in keys.iter().filter(|key| key.info.kind == KeyKind::Secret) {
            let in_force = Choice::from(u8::from(key.info.in_force(now)));
            if bool::from(key.is_hash(&hash) & in_force) {
                found = SecretCheck::Valid(Arc::clone(&key.info.id));
            }
        }
        found
    }

    pub(super) fn means(&self, offer: &str, now: Instant) -> Means {
        self.in_force(offer, now)
            .fold(Means::default(), |means, key| Means {
                hmac: means.hmac || key.does_hmac(),
                ed25519: means.ed25519 || key.does_ed25519(),
                only_hash: means.only_hash || !key.info.signs,
            })
    }

    pub(super) fn signed_hmac(
        &self,
        offer: &str,
        message: &[&[u8]],
        macs: &[MacBytes],
        now: Instant,
    ) -> Option<Arc<str>> {
        let keys = self.in_force(offer, now);
        let mut found = keys.filter(|key| key.signed_hmac(message, macs));
        found.next_back().map(|key| Arc::clone(&key.info.id))
    }

    pub(super) fn signed_ed25519(
        &self,
        offer: &str,
        message: &[u8],
        signatures: &[SignatureBytes],
        now: Instant,
    ) -> Option<Arc<str>> {
        let keys = self.in_force(offer, now);
        let mut found = keys.filter(|key| key.signed_ed25519(message, signatures));
        found.next_back().map(|key| Arc::clone(&key.info.id))
    }

    fn in_force(&self, offer: &str, now: Instant) -> impl DoubleEndedIterator<Item = &OfferKey> {
        let keys = self.offers.get(offer).map_or(&[][..], Vec::as_slice);
        keys.iter().filter(move |key| key.info.in_force(now))
    }
}
