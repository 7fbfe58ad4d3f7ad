//! Tokens, offers' keys and our own: what must never be in the log.
//!
//! They live in a small file of their own, or in tables beside a log on a server: tokens only as SHA-256,
//! offers' secrets so that signatures can be checked with them, sealed if there is a master key. Every check is made in memory, in
//! constant time where a secret is compared.

mod again;
mod caller;
mod checks;
mod error;
mod known;
mod offer_key;
mod open;
mod plain;
mod seal;
mod store;
mod traces;
mod unrecorded;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwap;
use ed25519_dalek::SigningKey;
use postbook_schemas::{Instant, OfferRef};

use crate::intake::personal::Pseudonyms;

pub(crate) use self::plain::{BASE64, OFFER_SECRET_LENGTH, TOKEN_LENGTH, TOKEN_PREFIX};
use self::{
    again::Looks,
    known::Known,
    offer_key::OfferKey,
    plain::hash_of,
    store::{OfferKeyRow, SecretsStore, TokenRow},
};
pub use self::{
    caller::{Caller, Role, Scope, UnknownRole},
    checks::SecretCheck,
    error::SecretsError,
    known::Means,
    offer_key::{KeyBytes, KeyKind, MacBytes, OfferKeyInfo, SignatureBytes},
    plain::Plain,
    seal::MasterKey,
    store::Place,
    unrecorded::Unrecorded,
};

/// A token as lists show it: never the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its id.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its role.
    pub role: Role,
    /// What it is for.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Instant,
    /// When it was revoked.
    pub revoked_at: Option<Instant>,
}

/// Tokens, offers' keys and our own.
pub struct Secrets {
    store: SecretsStore,
    master: Option<MasterKey>,
    is_locked: bool,
    click_id_key: [u8; 32],
    pseudonyms: Pseudonyms,
    signing_key: SigningKey,
    version: AtomicI64,
    looks: Looks,
    known: ArcSwap<Known>,
}

/// A new token: what is kept of it, and itself, to be shown once.
pub fn new_token(role: Role, name: &str, scope: Scope, now: Instant) -> (TokenInfo, Plain) {
    let (id, plain) = plain::new_token();
    let info = TokenInfo {
        id: id.into(),
        name: name.into(),
        role,
        scope,
        created_at: now,
        revoked_at: None,
    };
    (info, plain)
}

/// A new key of an offer, as lists will show it.
pub fn new_offer_key(offer: &OfferRef, kind: KeyKind, now: Instant) -> OfferKeyInfo {
    OfferKeyInfo {
        id: plain::new_id().into(),
        offer: offer.clone(),
        kind,
        created_at: now,
        valid_until: None,
        signs: true,
    }
}

/// A new offer secret: itself, to be shown once, and the key that it is.
pub fn new_offer_secret() -> (Plain, KeyBytes) {
    let plain = plain::new_offer_secret();
    let bytes = KeyBytes::of_secret(plain.reveal());
    (plain, bytes)
}

impl Secrets {
    /// Refuses to go on with sealed secrets and no master key.
    ///
    /// # Errors
    /// [`SecretsError::Locked`].
    pub fn require_unlocked(&self) -> Result<(), SecretsError> {
        if self.is_locked {
            return Err(SecretsError::Locked);
        }
        Ok(())
    }

    /// Seals the offers' secrets under another master key, or under none.
    ///
    /// # Errors
    /// They are locked, or the file could not be written.
    pub async fn reseal(self, to: Option<&MasterKey>) -> Result<(), SecretsError> {
        self.require_unlocked()?;
        self.store.reseal(self.master.as_ref(), to).await
    }

    /// The key that turns positions into click ids.
    pub fn click_id_key(&self) -> &[u8; 32] {
        &self.click_id_key
    }

    /// The names that take the place of personal data.
    pub fn pseudonyms(&self) -> &Pseudonyms {
        &self.pseudonyms
    }

    /// The key that will sign checkpoints of the log.
    pub fn log_signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// Makes a token, without a fact. The token itself is handed out once and not kept.
    ///
    /// # Errors
    /// The file could not be written.
    pub async fn create_token(
        &self,
        role: Role,
        name: &str,
        scope: Scope,
        now: Instant,
    ) -> Result<(TokenInfo, Plain), SecretsError> {
        let (info, plain) = new_token(role, name, scope, now);
        self.add_token(&info, &plain, None).await?;
        Ok((info, plain))
    }

    /// Makes a new secret for an offer, without a fact; those before it stay valid for
    /// `overlap_micros`. The secret itself is handed out once.
    ///
    /// # Errors
    /// The file could not be written.
    pub async fn rotate_offer_secret(
        &self,
        offer: &OfferRef,
        overlap_micros: i64,
        now: Instant,
    ) -> Result<(OfferKeyInfo, Plain), SecretsError> {
        let info = new_offer_key(offer, KeyKind::Secret, now);
        let (plain, bytes) = new_offer_secret();
        let ends = now.plus_micros(overlap_micros.max(0));
        self.add_offer_key(&info, &bytes, Some(ends), None).await?;
        Ok((info, plain))
    }

    /// Keeps a token that [`new_token`] made, and the fact that it was made.
    ///
    /// # Errors
    /// The file could not be written.
    pub async fn add_token(
        &self,
        info: &TokenInfo,
        plain: &Plain,
        fact: Option<&Unrecorded>,
    ) -> Result<(), SecretsError> {
        let hash = hash_of(plain.reveal());
        self.store.add_token(info, &hash, fact).await?;
        self.reload().await
    }

    /// Revokes a token; it is refused from now on.
    ///
    /// # Errors
    /// There is no such token, or the file could not be written.
    pub async fn revoke_token(
        &self,
        id: &str,
        now: Instant,
        fact: Option<&Unrecorded>,
    ) -> Result<TokenInfo, SecretsError> {
        self.token(id)?;
        self.store.revoke_token(id, now, fact).await?;
        self.reload().await?;
        self.token(id)
    }

    /// The token with this id.
    ///
    /// # Errors
    /// There is none.
    pub fn token(&self, id: &str) -> Result<TokenInfo, SecretsError> {
        let known = self.known.load();
        let token = known.tokens.get(id).map(|token| token.info.clone());
        token.ok_or_else(|| SecretsError::NoSuchToken(id.to_owned()))
    }

    /// Adds a key to an offer, and the fact that it was added. If `ends` is given, those of its kind
    /// before it end then.
    ///
    /// # Errors
    /// The file is locked, or could not be written.
    pub async fn add_offer_key(
        &self,
        info: &OfferKeyInfo,
        bytes: &KeyBytes,
        ends: Option<Instant>,
        fact: Option<&Unrecorded>,
    ) -> Result<(), SecretsError> {
        self.require_unlocked()?;
        let master = self.master.as_ref();
        self.store
            .add_offer_key(info, bytes, ends, master, fact)
            .await?;
        self.reload().await
    }

    /// Ends an offer's key now.
    ///
    /// # Errors
    /// There is no such key, or the file could not be written.
    pub async fn revoke_offer_key(
        &self,
        id: &str,
        now: Instant,
        fact: Option<&Unrecorded>,
    ) -> Result<OfferKeyInfo, SecretsError> {
        self.offer_key(id)?;
        self.store.end_offer_key(id, now, fact).await?;
        self.reload().await?;
        self.offer_key(id)
    }

    /// The offer's key with this id.
    ///
    /// # Errors
    /// There is none.
    pub fn offer_key(&self, id: &str) -> Result<OfferKeyInfo, SecretsError> {
        let known = self.known.load();
        let info = known.offer_key(id).cloned();
        info.ok_or_else(|| SecretsError::NoSuchKey(id.to_owned()))
    }

    /// All tokens that were ever made, by id.
    pub fn tokens(&self) -> Vec<TokenInfo> {
        let known = self.known.load();
        known.tokens.values().map(|t| t.info.clone()).collect()
    }

    /// All keys that an offer ever had, oldest first.
    pub fn offer_keys(&self, offer: &str) -> Vec<OfferKeyInfo> {
        let known = self.known.load();
        let keys = known.offers.get(offer).map_or(&[][..], Vec::as_slice);
        keys.iter().map(|key| key.info.clone()).collect()
    }

    /// Reads the file again if another process has changed it; says whether it had.
    ///
    /// # Errors
    /// The file cannot be read; what was known stays.
    pub async fn refresh(&self) -> Result<bool, SecretsError> {
        let version = self.store.version().await?;
        if version == self.version() {
            return Ok(false);
        }
        self.reload().await?;
        self.version.store(version, Ordering::Release);
        Ok(true)
    }

    /// A number that changes whenever changes of another process were taken up.
    pub fn version(&self) -> i64 {
        self.version.load(Ordering::Acquire)
    }

    /// The facts that wait to be appended to the log, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn unrecorded(&self) -> Result<Vec<Unrecorded>, SecretsError> {
        self.store.unrecorded().await
    }

    /// Forgets a fact that is in the log now.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn recorded(&self, fact: &Unrecorded) -> Result<(), SecretsError> {
        self.store.recorded(fact).await
    }

    async fn reload(&self) -> Result<(), SecretsError> {
        let mut known = Known::default();
        for TokenRow { info, hash } in self.store.tokens().await? {
            known.add_token(info, hash);
        }
        for OfferKeyRow { info, hash, kept } in self.store.offer_keys().await? {
            let kept = kept
                .map(|kept| seal::read(self.master.as_ref(), &info.seal_name(), &kept))
                .transpose()?;
            let bytes = match &kept {
                Some(seal::Kept::Read(bytes)) => Some(&bytes[..]),
                // Another process has sealed what this one opened: what was known stays.
                Some(seal::Kept::Locked) if !self.is_locked => return Err(SecretsError::Locked),
                Some(seal::Kept::Locked) | None => None,
            };
            if info.kind == KeyKind::Secret {
                known.traces.add(hash, bytes);
            }
            known.add_offer_key(OfferKey::new(info, hash, bytes)?);
        }
        self.known.store(Arc::new(known));
        Ok(())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(hidden)")
    }
}

#[cfg(test)]
mod tests;
