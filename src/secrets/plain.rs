//! Tokens and secrets in plain text: made, read, hashed.

use std::fmt;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ed25519_dalek::VerifyingKey;
use rand::RngExt;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::SecretsError;

const LETTERS_AND_DIGITS: &[u8; 62] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Length of the part of a token that is secret: 62^43 is more than 2^256.
const TOKEN_SECRET_LENGTH: usize = 43;

/// Length of an offer secret, which is letters and digits.
pub(crate) const OFFER_SECRET_LENGTH: usize = 64;

const ID_LENGTH: usize = 10;

/// Every token begins so, which lets secret scanners (ours too) find one that has strayed.
pub(crate) const TOKEN_PREFIX: &str = "pb_";

/// Whole length of a token.
pub(crate) const TOKEN_LENGTH: usize = TOKEN_PREFIX.len() + ID_LENGTH + 1 + TOKEN_SECRET_LENGTH;

/// How Standard Webhooks writes shared secrets and public keys: this, and base64.
const WEBHOOK_SECRET_PREFIX: &str = "whsec_";
const WEBHOOK_PUBLIC_KEY_PREFIX: &str = "whpk_";

/// How long a Standard Webhooks secret may be, in bytes.
const WEBHOOK_SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Base64 as Standard Webhooks writes it; senders that leave the padding out are understood.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// SHA-256 of a token or secret. They are long and random, so a slow hash would add nothing.
pub(super) type Hash = [u8; 32];

/// A token or secret in plain text, to be shown once.
pub struct Plain(Zeroizing<String>);

impl Plain {
    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The same key as Standard Webhooks writes it: `whsec_` and the base64 of the text's bytes.
    #[must_use]
    pub fn for_webhooks(&self) -> Self {
        let base64 = Zeroizing::new(BASE64.encode(self.0.as_bytes()));
        Self(Zeroizing::new(format!(
            "{WEBHOOK_SECRET_PREFIX}{}",
            *base64
        )))
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain(hidden)")
    }
}

pub(super) fn hash_of(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

/// A new token, `pb_<id>_<secret>`, with its id.
pub(super) fn new_token() -> (String, Plain) {
    let id = new_id();
    let secret = Zeroizing::new(random_text(TOKEN_SECRET_LENGTH));
    let plain = format!("{TOKEN_PREFIX}{id}_{}", *secret);
    (id, Plain(Zeroizing::new(plain)))
}

/// A new offer secret.
pub(super) fn new_offer_secret() -> Plain {
    Plain(Zeroizing::new(random_text(OFFER_SECRET_LENGTH)))
}

/// A new id by which facts name a key.
pub(super) fn new_id() -> String {
    random_text(ID_LENGTH)
}

/// New random bytes for a key.
pub(super) fn new_key() -> [u8; 32] {
    rand::rng().random()
}

/// The id in a token; `None` for a text that has not the form of one.
pub(super) fn token_id(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
    (id.len() == ID_LENGTH && secret.len() == TOKEN_SECRET_LENGTH).then_some(id)
}

/// The bytes of a secret as Standard Webhooks writes it.
///
/// # Errors
/// It is not one; the text is not repeated.
pub(super) fn webhook_secret(text: &str) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    let bytes = text
        .strip_prefix(WEBHOOK_SECRET_PREFIX)
        .and_then(|base64| BASE64.decode(base64).ok())
        .map(Zeroizing::new);
    bytes
        .filter(|bytes| WEBHOOK_SECRET_BYTES.contains(&bytes.len()))
        .ok_or(SecretsError::NoKey(
            "a signing secret is `whsec_` and the base64 of 24 to 64 bytes",
        ))
}

/// The public key that Standard Webhooks writes so.
///
/// # Errors
/// It is not one.
pub(super) fn webhook_public_key(text: &str) -> Result<VerifyingKey, SecretsError> {
    let bytes = text
        .strip_prefix(WEBHOOK_PUBLIC_KEY_PREFIX)
        .and_then(|base64| BASE64.decode(base64).ok())
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    public_key(bytes.ok_or(SecretsError::NoKey(
        "a public key is `whpk_` and the base64 of 32 bytes",
    ))?)
}

/// The public key of these bytes.
///
/// # Errors
/// It is not one, or one under which anybody could sign.
pub(super) fn public_key(bytes: [u8; 32]) -> Result<VerifyingKey, SecretsError> {
    let key = VerifyingKey::from_bytes(&bytes).ok();
    key.filter(|key| !key.is_weak())
        .ok_or(SecretsError::NoKey("these bytes are no Ed25519 public key"))
}

/// Secrets are never under test control: they come from the machine's randomness always.
fn random_text(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .map(|_| char::from(LETTERS_AND_DIGITS[rng.random_range(0..LETTERS_AND_DIGITS.len())]))
        .collect()
}
