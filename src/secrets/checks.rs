//! Checks of what senders show: tokens, offer secrets, signatures.

use std::sync::Arc;

use postbook_schemas::Instant;

use super::{Caller, MacBytes, Means, Secrets, SignatureBytes};

/// What a check of an offer secret says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretCheck {
    /// The offer never had a secret or a key.
    NoneMade,
    /// It is one of the offer's secrets: this one.
    Valid(Arc<str>),
    /// It is not.
    Wrong,
}

impl Secrets {
    /// Whose token this is; nobody's if it is unknown, wrong or revoked.
    pub fn verify_token(&self, given: &str) -> Option<Arc<Caller>> {
        self.known.load().verify_token(given)
    }

    /// Whether this is a secret of the offer that is valid now. All of the offer's secrets are
    /// compared, whichever fits, so that the time taken tells nothing.
    pub fn verify_offer_secret(&self, offer: &str, given: &str, now: Instant) -> SecretCheck {
        self.known.load().verify_secret(offer, given, now)
    }

    /// What signatures of an offer can be checked with now.
    pub fn means(&self, offer: &str, now: Instant) -> Means {
        self.known.load().means(offer, now)
    }

    /// The newest of the offer's secrets in force under which one of these is the message's
    /// HMAC-SHA256.
    pub fn signed_hmac(
        &self,
        offer: &str,
        message: &[&[u8]],
        macs: &[MacBytes],
        now: Instant,
    ) -> Option<Arc<str>> {
        self.known.load().signed_hmac(offer, message, macs, now)
    }

    /// The newest of the offer's public keys in force by which one of these is a signature of the
    /// message.
    pub fn signed_ed25519(
        &self,
        offer: &str,
        message: &[u8],
        signatures: &[SignatureBytes],
        now: Instant,
    ) -> Option<Arc<str>> {
        let known = self.known.load();
        known.signed_ed25519(offer, message, signatures, now)
    }

    /// Whether the offer ever had a secret or a key.
    pub fn has_offer_secret(&self, offer: &str) -> bool {
        self.known.load().offers.contains_key(offer)
    }

    /// Where in a run of letters and digits the first secret of any offer begins, past ones included:
    /// for keeping it out of the log.
    pub fn find_offer_secret(&self, run: &[u8]) -> Option<usize> {
        self.known.load().traces.find(run)
    }
}
