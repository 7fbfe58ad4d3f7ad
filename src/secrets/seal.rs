//! Seals offers' secrets at rest with a master key that is kept elsewhere.

use std::{fmt, fs, path::Path};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::RngExt;
use zeroize::Zeroizing;

use super::SecretsError;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// The first byte of what is kept says in which form the rest is.
const OPEN: u8 = 0;
const SEALED: u8 = 1;

/// Longest key file that is read: the digits, and white space around them.
const FILE_BYTES_MAX: u64 = 1_024;

/// The key under which offers' secrets are sealed.
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

/// What was kept, as far as it could be read.
pub(super) enum Kept {
    /// The secret.
    Read(Zeroizing<Vec<u8>>),
    /// It is sealed, and no master key was given.
    Locked,
}

impl MasterKey {
    /// Reads a key file: 64 hexadecimal digits, as `openssl rand -hex 32` prints them.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, SecretsError> {
        let refuse = |why: String| SecretsError::MasterKeyFile {
            path: path.to_owned(),
            why,
        };
        let length = fs::metadata(path).map(|metadata| metadata.len());
        if length.is_ok_and(|bytes| bytes > FILE_BYTES_MAX) {
            return Err(refuse("it is too long for a key".to_owned()));
        }
        let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        let text = Zeroizing::new(text);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(text.trim(), &mut key[..]).map_err(|_| {
            refuse(
                "it does not hold 64 hexadecimal digits, as `openssl rand -hex 32` prints them"
                    .to_owned(),
            )
        })?;
        Ok(Self(key))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }

    /// `of` says what is sealed, so that a row cannot be put in another's place.
    fn seal(&self, of: &str, plain: &[u8]) -> Result<Vec<u8>, SecretsError> {
        let nonce: [u8; NONCE_BYTES] = rand::rng().random();
        let payload = Payload {
            msg: plain,
            aad: of.as_bytes(),
        };
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SecretsError::Damaged("a secret is too long to be sealed"))?;
        Ok([&[SEALED][..], &nonce, &sealed].concat())
    }

    fn unseal(&self, of: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: sealed,
            aad: of.as_bytes(),
        };
        let plain = self.cipher().decrypt(&XNonce::from(*nonce), payload);
        plain.ok().map(Zeroizing::new)
    }
}

/// The bytes that are kept of a secret: sealed, if there is a master key.
pub(super) fn to_keep(
    master: Option<&MasterKey>,
    of: &str,
    plain: &[u8],
) -> Result<Vec<u8>, SecretsError> {
    match master {
        Some(master) => master.seal(of, plain),
        None => Ok([&[OPEN][..], plain].concat()),
    }
}

/// Reads what was kept.
pub(super) fn read(
    master: Option<&MasterKey>,
    of: &str,
    kept: &[u8],
) -> Result<Kept, SecretsError> {
    match (kept.split_first(), master) {
        (Some((&OPEN, plain)), _) => Ok(Kept::Read(Zeroizing::new(plain.to_vec()))),
        (Some((&SEALED, _)), None) => Ok(Kept::Locked),
        (Some((&SEALED, sealed)), Some(master)) => master
            .unseal(of, sealed)
            .map(Kept::Read)
            .ok_or(SecretsError::WrongMasterKey),
        _ => Err(SecretsError::Damaged("a secret is in no known form")),
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MasterKey {
        MasterKey(Zeroizing::new([byte; KEY_BYTES]))
    }

    fn plain(kept: Result<Kept, SecretsError>) -> Option<Vec<u8>> {
        match kept {
            Ok(Kept::Read(plain)) => Some(plain.to_vec()),
            Ok(Kept::Locked) | Err(_) => None,
        }
    }

    #[test]
    fn what_is_sealed_opens_under_its_key_and_name_only() {
        let kept = to_keep(Some(&key(1)), "a", b"secret").expect("sealed");
        assert!(memchr::memmem::find(&kept, b"secret").is_none());
        assert_eq!(
            plain(read(Some(&key(1)), "a", &kept)).as_deref(),
            Some(&b"secret"[..])
        );
        assert!(plain(read(Some(&key(2)), "a", &kept)).is_none());
        assert!(plain(read(Some(&key(1)), "b", &kept)).is_none());
        assert!(matches!(read(None, "a", &kept), Ok(Kept::Locked)));
        let open = to_keep(None, "a", b"secret").expect("kept");
        assert_eq!(
            plain(read(None, "b", &open)).as_deref(),
            Some(&b"secret"[..])
        );
    }
}
