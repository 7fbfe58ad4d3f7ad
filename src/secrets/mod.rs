//! Tokens, offer secrets and keys: what must never be in the log.
//!
//! They live in a small file of their own, tokens and offer secrets only as SHA-256. Every check is
//! made in memory, in constant time where a secret is compared.

mod caller;
mod file;
mod plain;

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use ed25519_dalek::SigningKey;
use postbook_schemas::{Instant, OfferRef};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

use crate::intake::personal::Pseudonyms;

pub(crate) use self::plain::{TOKEN_LENGTH, TOKEN_PREFIX};
pub use self::{
    caller::{Caller, Role, Scope, UnknownRole},
    plain::Plain,
};
use self::{
    file::{SecretRow, SecretsFile, TokenRow},
    plain::{Hash, hash_of},
};

/// Why secrets could not be read or changed.
#[derive(Debug, Error)]
pub enum SecretsError {
    /// The data directory or the file could not be made or read.
    #[error("the secrets could not be {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file's database failed.
    #[error("the secrets could not be {doing}: {source}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        source: sqlx::Error,
    },
    /// What is kept contradicts itself.
    #[error("the secrets file is damaged: {0}")]
    Damaged(&'static str),
    /// There is no token with this id.
    #[error("there is no token `{0}`")]
    NoSuchToken(String),
}

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

/// An offer's secret as lists show it: never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferSecretInfo {
    /// Its id.
    pub id: Arc<str>,
    /// The offer.
    pub offer: OfferRef,
    /// When it was made.
    pub created_at: Instant,
    /// Until when it is accepted; without end if absent.
    pub valid_until: Option<Instant>,
}

/// What a check of an offer secret says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretCheck {
    /// The offer never had a secret.
    NoneMade,
    /// It is one of the offer's secrets: this one.
    Valid(Arc<str>),
    /// It is not.
    Wrong,
}

struct Token {
    hash: Hash,
    info: TokenInfo,
    caller: Arc<Caller>,
}

struct OfferSecret {
    hash: Hash,
    info: OfferSecretInfo,
}

#[derive(Default)]
struct Known {
    tokens: BTreeMap<Arc<str>, Token>,
    offers: BTreeMap<OfferRef, Vec<OfferSecret>>,
}

/// Tokens, offer secrets and keys.
pub struct Secrets {
    file: SecretsFile,
    click_id_key: [u8; 32],
    pseudonyms: Pseudonyms,
    signing_key: SigningKey,
    known: ArcSwap<Known>,
}

impl Secrets {
    /// Opens the secrets in a data directory; makes both where they are missing.
    ///
    /// # Errors
    /// The directory or the file cannot be made, read or understood.
    pub async fn open(data: &Path) -> Result<Self, SecretsError> {
        let file = SecretsFile::open(data).await?;
        let click_id_key = file.key("click_id").await?;
        let pseudonyms = Pseudonyms::new(file.key("pseudonyms").await?);
        let signing_key = SigningKey::from_bytes(&file.key("log_signing").await?);
        let secrets = Self {
            file,
            click_id_key,
            pseudonyms,
            signing_key,
            known: ArcSwap::default(),
        };
        secrets.reload().await?;
        Ok(secrets)
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

    /// Makes a token. The token itself is handed out once and not kept.
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
        let (id, plain) = plain::new_token();
        let info = TokenInfo {
            id: id.into(),
            name: name.into(),
            role,
            scope,
            created_at: now,
            revoked_at: None,
        };
        self.file.add_token(&info, &hash_of(plain.reveal())).await?;
        self.reload().await?;
        Ok((info, plain))
    }

    /// Makes a new secret for an offer; those before it stay valid for `overlap_micros`. The secret
    /// itself is handed out once and not kept.
    ///
    /// # Errors
    /// The file could not be written.
    pub async fn rotate_offer_secret(
        &self,
        offer: &OfferRef,
        overlap_micros: i64,
        now: Instant,
    ) -> Result<(OfferSecretInfo, Plain), SecretsError> {
        let (id, plain) = plain::new_offer_secret();
        let info = OfferSecretInfo {
            id: id.into(),
            offer: offer.clone(),
            created_at: now,
            valid_until: None,
        };
        let until = now.plus_micros(overlap_micros.max(0));
        self.file
            .add_secret(&info, &hash_of(plain.reveal()), until)
            .await?;
        self.reload().await?;
        Ok((info, plain))
    }

    /// Revokes a token; it is refused from now on.
    ///
    /// # Errors
    /// There is no such token, or the file could not be written.
    pub async fn revoke_token(&self, id: &str, now: Instant) -> Result<TokenInfo, SecretsError> {
        let missing = || SecretsError::NoSuchToken(id.to_owned());
        if !self.known.load().tokens.contains_key(id) {
            return Err(missing());
        }
        self.file.revoke_token(id, now).await?;
        self.reload().await?;
        let known = self.known.load();
        known
            .tokens
            .get(id)
            .map(|token| token.info.clone())
            .ok_or_else(missing)
    }

    /// All tokens that were ever made, by id.
    pub fn tokens(&self) -> Vec<TokenInfo> {
        let known = self.known.load();
        known.tokens.values().map(|t| t.info.clone()).collect()
    }

    /// All secrets that an offer ever had, oldest first.
    pub fn offer_secrets(&self, offer: &str) -> Vec<OfferSecretInfo> {
        let known = self.known.load();
        let secrets = known.offers.get(offer).map_or(&[][..], Vec::as_slice);
        secrets.iter().map(|secret| secret.info.clone()).collect()
    }

    /// Whose token this is; nobody's if it is unknown, wrong or revoked.
    pub fn verify_token(&self, given: &str) -> Option<Arc<Caller>> {
        let id = plain::token_id(given)?;
        let known = self.known.load();
        let token = known.tokens.get(id)?;
        let same = bool::from(token.hash.ct_eq(&hash_of(given)));
        (same && token.info.revoked_at.is_none()).then(|| Arc::clone(&token.caller))
    }

    /// Whether this is a secret of the offer that is valid now. All of the offer's secrets are
    /// compared, whichever fits, so that the time taken tells nothing.
    pub fn verify_offer_secret(&self, offer: &str, given: &str, now: Instant) -> SecretCheck {
        let known = self.known.load();
        let Some(secrets) = known.offers.get(offer) else {
            return SecretCheck::NoneMade;
        };
        let hash = hash_of(given);
        let mut found = SecretCheck::Wrong;
        for secret in secrets {
            let in_force = secret.info.valid_until.is_none_or(|until| now < until);
            let fits = secret.hash.ct_eq(&hash) & Choice::from(u8::from(in_force));
            if bool::from(fits) {
                found = SecretCheck::Valid(Arc::clone(&secret.info.id));
            }
        }
        found
    }

    /// Whether the offer ever had a secret.
    pub fn has_offer_secret(&self, offer: &str) -> bool {
        self.known.load().offers.contains_key(offer)
    }

    /// Whether this text is any offer's secret, past ones included: for keeping it out of the log.
    pub fn is_any_offer_secret(&self, text: &str) -> bool {
        let hash = hash_of(text);
        let known = self.known.load();
        let mut secrets = known.offers.values().flatten();
        secrets.any(|secret| bool::from(secret.hash.ct_eq(&hash)))
    }

    async fn reload(&self) -> Result<(), SecretsError> {
        let mut known = Known::default();
        for TokenRow { info, hash } in self.file.tokens().await? {
            let caller = Arc::new(Caller::new(&info));
            let id = Arc::clone(&info.id);
            known.tokens.insert(id, Token { hash, info, caller });
        }
        for SecretRow { info, hash } in self.file.secrets().await? {
            let secrets = known.offers.entry(info.offer.clone()).or_default();
            secrets.push(OfferSecret { hash, info });
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
