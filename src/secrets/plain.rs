//! New tokens and secrets in plain text, and their hashes.

use std::fmt;

use rand::RngExt;
use sha2::{Digest, Sha256};

const LETTERS_AND_DIGITS: &[u8; 62] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Length of the part of a token that is secret: 62^43 is more than 2^256.
const TOKEN_SECRET_LENGTH: usize = 43;
const OFFER_SECRET_LENGTH: usize = 64;
const ID_LENGTH: usize = 10;

/// Every token begins so, which lets secret scanners (ours too) find one that has strayed.
pub(crate) const TOKEN_PREFIX: &str = "pb_";

/// Whole length of a token.
pub(crate) const TOKEN_LENGTH: usize = TOKEN_PREFIX.len() + ID_LENGTH + 1 + TOKEN_SECRET_LENGTH;

/// SHA-256 of a token or secret. They are long and random, so a slow hash would add nothing.
pub(super) type Hash = [u8; 32];

/// A token or secret in plain text, to be shown once.
pub struct Plain(String);

impl Plain {
    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
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
    let id = random_text(ID_LENGTH);
    let secret = random_text(TOKEN_SECRET_LENGTH);
    let plain = format!("{TOKEN_PREFIX}{id}_{secret}");
    (id, Plain(plain))
}

/// A new offer secret with an id by which facts name it.
pub(super) fn new_offer_secret() -> (String, Plain) {
    (
        random_text(ID_LENGTH),
        Plain(random_text(OFFER_SECRET_LENGTH)),
    )
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

/// Secrets are never under test control: they come from the machine's randomness always.
fn random_text(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .map(|_| char::from(LETTERS_AND_DIGITS[rng.random_range(0..LETTERS_AND_DIGITS.len())]))
        .collect()
}
