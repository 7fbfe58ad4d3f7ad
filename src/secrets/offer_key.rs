//! An offer's keys: what postbacks are let in by, and what their signatures are checked with.

use std::sync::Arc;

use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use postbook_schemas::{Instant, OfferRef};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{
    SecretsError,
    plain::{self, Hash},
};

/// An HMAC-SHA256.
pub type MacBytes = [u8; 32];

/// An Ed25519 signature.
pub type SignatureBytes = [u8; 64];

/// What an offer's key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// The 64 characters that are sent as `secret`, and that sign.
    Secret,
    /// A secret of the sender's that only signs.
    SigningSecret,
    /// The sender's public key.
    PublicKey,
}

impl KeyKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[Self::Secret, Self::SigningSecret, Self::PublicKey];

    /// The word used on the command line and in the file.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::SigningSecret => "signing_secret",
            Self::PublicKey => "public_key",
        }
    }

    pub(super) fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }
}

/// An offer's key as lists show it: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferKeyInfo {
    /// Its id.
    pub id: Arc<str>,
    /// The offer.
    pub offer: OfferRef,
    /// What it is for.
    pub kind: KeyKind,
    /// When it was made or added.
    pub created_at: Instant,
    /// Until when it holds; without end if absent.
    pub valid_until: Option<Instant>,
    /// Whether signatures can be checked with it: not with secrets of which only a hash was kept.
    pub signs: bool,
}

impl OfferKeyInfo {
    /// Whether it holds at this time.
    pub fn in_force(&self, now: Instant) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }

    /// What it is sealed as: one row's secret cannot be put in another's place.
    pub(super) fn seal_name(&self) -> String {
        format!("{}\u{1f}{}\u{1f}{}", self.kind.code(), self.offer, self.id)
    }
}

/// The bytes of a key, before they are kept.
pub struct KeyBytes {
    pub(super) hash: Hash,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

impl KeyBytes {
    /// Of an offer secret: the key is its 64 characters.
    pub(super) fn of_secret(text: &str) -> Self {
        Self {
            hash: plain::hash_of(text),
            bytes: Zeroizing::new(text.as_bytes().to_vec()),
        }
    }

    /// Of a secret that only signs, as Standard Webhooks writes it.
    ///
    /// # Errors
    /// It is not one.
    pub fn of_signing_secret(text: &str) -> Result<Self, SecretsError> {
        Ok(Self {
            hash: plain::hash_of(text),
            bytes: plain::webhook_secret(text)?,
        })
    }

    /// Of a public key, as Standard Webhooks writes it.
    ///
    /// # Errors
    /// It is not one.
    pub fn of_public_key(text: &str) -> Result<Self, SecretsError> {
        let key = plain::webhook_public_key(text)?;
        Ok(Self {
            hash: plain::hash_of(text),
            bytes: Zeroizing::new(key.to_bytes().to_vec()),
        })
    }
}

impl std::fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyBytes(hidden)")
    }
}

/// What a key checks signatures with, ready for use.
enum Checks {
    /// HMAC with the key taken in already.
    Hmac(Box<Hmac<Sha256>>),
    /// Ed25519.
    Ed25519(Box<VerifyingKey>),
    /// Nothing: only a hash was kept, or it is sealed and no master key was given.
    Nothing,
}

/// An offer's key, ready for use.
pub(super) struct OfferKey {
    pub(super) info: OfferKeyInfo,
    hash: Hash,
    checks: Checks,
}

impl OfferKey {
    /// A key out of its row; `bytes` where they could be read.
    pub(super) fn new(
        info: OfferKeyInfo,
        hash: Hash,
        bytes: Option<&[u8]>,
    ) -> Result<Self, SecretsError> {
        let checks = match (info.kind, bytes) {
            (_, None) => Checks::Nothing,
            (KeyKind::Secret | KeyKind::SigningSecret, Some(bytes)) => {
                let hmac = Hmac::new_from_slice(bytes)
                    .map_err(|_| SecretsError::Damaged("a secret is no key"))?;
                Checks::Hmac(Box::new(hmac))
            }
            (KeyKind::PublicKey, Some(bytes)) => {
                let bytes = bytes
                    .try_into()
                    .map_err(|_| SecretsError::Damaged("a public key is not 32 bytes long"))?;
                Checks::Ed25519(Box::new(plain::public_key(bytes)?))
            }
        };
        Ok(Self { info, hash, checks })
    }

    /// Whether this hash is that of the key's text.
    pub(super) fn is_hash(&self, hash: &Hash) -> Choice {
        self.hash.ct_eq(hash)
    }

    pub(super) fn does_hmac(&self) -> bool {
        matches!(self.checks, Checks::Hmac(_))
    }

    pub(super) fn does_ed25519(&self) -> bool {
        matches!(self.checks, Checks::Ed25519(_))
    }

    /// Whether one of these is the message's HMAC under this key. All are compared, so that the time
    /// taken tells nothing.
    pub(super) fn signed_hmac(&self, message: &[&[u8]], macs: &[MacBytes]) -> bool {
        let Checks::Hmac(begun) = &self.checks else {
            return false;
        };
        let mut hmac = Hmac::clone(begun);
        for part in message {
            hmac.update(part);
        }
        let right: MacBytes = hmac.finalize().into_bytes().into();
        let fits = macs.iter().map(|mac| mac.ct_eq(&right));
        bool::from(fits.fold(Choice::from(0), |any, one| any | one))
    }

    /// Whether one of these is a signature of the message by this key.
    pub(super) fn signed_ed25519(&self, message: &[u8], signatures: &[SignatureBytes]) -> bool {
        let Checks::Ed25519(key) = &self.checks else {
            return false;
        };
        let mut signatures = signatures.iter().map(Signature::from_bytes);
        signatures.any(|signature| key.verify_strict(message, &signature).is_ok())
    }
}
