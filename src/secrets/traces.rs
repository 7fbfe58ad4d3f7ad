//! Finds offers' secrets in runs of letters and digits, in a few steps a byte however many there are.
//!
//! A fingerprint is rolled over the run. Only where it is that of a secret, a hash is made, so
//! that long runs cost no more than others; and of a secret it tells 64 of some 380 bits.

use subtle::ConstantTimeEq;

use super::plain::{self, Hash, OFFER_SECRET_LENGTH, hash_of};

/// Where a secret of which only a hash was kept is looked for in a run, besides its end: where it
/// begins, and after what an escape (`\n`, `%3D`, `\u001f`) adds in front.
const BEGINNINGS: [usize; 4] = [0, 1, 2, 5];

/// What all offers' secrets are recognised by, past ones too.
pub(super) struct Traces {
    base: u64,
    /// The base to the power of the places behind the first.
    first_weight: u64,
    fingerprints: Vec<u64>,
    /// One bit for all fingerprints that begin alike: nearly all others need no further look.
    beginnings: [u64; 64],
    hashes: Vec<Hash>,
    are_some_only_hashes: bool,
}

impl Default for Traces {
    /// None yet. The base is another each time, so that nobody can make texts that look like secrets.
    fn default() -> Self {
        let key = plain::new_key();
        let base = key
            .first_chunk()
            .map_or(1, |first| u64::from_le_bytes(*first))
            | 1;
        let first_weight =
            (1..OFFER_SECRET_LENGTH).fold(1, |weight: u64, _| weight.wrapping_mul(base));
        Self {
            base,
            first_weight,
            fingerprints: Vec::new(),
            beginnings: [0; 64],
            hashes: Vec::new(),
            are_some_only_hashes: false,
        }
    }
}

impl Traces {
    /// Adds a secret by its hash; its text where that is known.
    pub(super) fn add(&mut self, hash: Hash, text: Option<&[u8]>) {
        self.hashes.push(hash);
        let Some(text) = text.filter(|text| text.len() == OFFER_SECRET_LENGTH) else {
            self.are_some_only_hashes = true;
            return;
        };
        let fingerprint = self.fingerprint(text);
        let (word, bit) = place(fingerprint);
        self.beginnings[word] |= bit;
        let at = self
            .fingerprints
            .partition_point(|known| *known < fingerprint);
        self.fingerprints.insert(at, fingerprint);
    }

    /// Where the first secret begins in a run of letters and digits.
    pub(super) fn find(&self, run: &[u8]) -> Option<usize> {
        let rolled = self.find_rolling(run);
        if !self.are_some_only_hashes {
            return rolled;
        }
        let last = run.len().checked_sub(OFFER_SECRET_LENGTH)?;
        let mut places = BEGINNINGS.into_iter().filter(|at| *at < last).chain([last]);
        let hashed = places.find(|at| self.is_secret(&run[*at..*at + OFFER_SECRET_LENGTH]));
        rolled.into_iter().chain(hashed).min()
    }

    fn find_rolling(&self, run: &[u8]) -> Option<usize> {
        if self.fingerprints.is_empty() || run.len() < OFFER_SECRET_LENGTH {
            return None;
        }
        let (first, rest) = run.split_at(OFFER_SECRET_LENGTH);
        let mut fingerprint = self.fingerprint(first);
        let mut at = 0;
        loop {
            let is_it =
                self.knows(fingerprint) && self.is_secret(&run[at..at + OFFER_SECRET_LENGTH]);
            if is_it {
                return Some(at);
            }
            let next = *rest.get(at)?;
            let without_first =
                fingerprint.wrapping_sub(u64::from(run[at]).wrapping_mul(self.first_weight));
            fingerprint = self.with(without_first, next);
            at += 1;
        }
    }

    fn knows(&self, fingerprint: u64) -> bool {
        let (word, bit) = place(fingerprint);
        self.beginnings[word] & bit != 0 && self.fingerprints.binary_search(&fingerprint).is_ok()
    }

    fn is_secret(&self, text: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(text) else {
            return false;
        };
        let hash = hash_of(text);
        self.hashes
            .iter()
            .any(|known| bool::from(known.ct_eq(&hash)))
    }

    fn fingerprint(&self, text: &[u8]) -> u64 {
        text.iter().fold(0, |sum, byte| self.with(sum, *byte))
    }

    fn with(&self, sum: u64, byte: u8) -> u64 {
        sum.wrapping_mul(self.base).wrapping_add(byte.into())
    }
}

/// The bit of a fingerprint's beginning; its end says little.
fn place(fingerprint: u64) -> (usize, u64) {
    let [.., high, low] = (fingerprint >> 52).to_be_bytes();
    let beginning = usize::from(high) << 8 | usize::from(low);
    (beginning / 64, 1 << (beginning % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(number: u8) -> String {
        let hash = hash_of(&number.to_string());
        hex::encode(hash)
    }

    fn traces(secrets: &[String], are_known: bool) -> Traces {
        let mut traces = Traces::default();
        for secret in secrets {
            traces.add(hash_of(secret), are_known.then_some(secret.as_bytes()));
        }
        traces
    }

    #[test]
    fn a_secret_is_found_wherever_it_begins() {
        let secrets: Vec<_> = (0..200).map(secret).collect();
        let traces = traces(&secrets, true);
        for (before, secret) in secrets.iter().enumerate() {
            let run = format!("{}{secret}{}", "x".repeat(before), "y".repeat(before % 7));
            assert_eq!(traces.find(run.as_bytes()), Some(before));
            let other = format!("{}{}y", "x".repeat(before), &secret[..63]);
            assert_eq!(traces.find(other.as_bytes()), None);
        }
        assert_eq!(traces.find(&secrets[0].as_bytes()[1..]), None);
    }

    #[test]
    fn the_first_of_several_is_told() {
        let secrets = [secret(1), secret(2)];
        let run = format!("a{}{}", secrets[1], secrets[0]);
        for are_known in [true, false] {
            let traces = traces(&secrets, are_known);
            assert_eq!(traces.find(run.as_bytes()), Some(1), "{are_known}");
            assert_eq!(traces.find(&run.as_bytes()[65..]), Some(0), "{are_known}");
        }
    }

    #[test]
    fn a_secret_of_which_only_a_hash_was_kept_is_found_at_the_ends_of_a_run() {
        let traces = traces(&[secret(1)], false);
        for (run, at) in [
            (secret(1), Some(0)),
            (format!("n{}", secret(1)), Some(1)),
            (format!("3D{}tail", secret(1)), Some(2)),
            (format!("u001f{}u001f", secret(1)), Some(5)),
            (format!("{}{}", "x".repeat(999), secret(1)), Some(999)),
            (secret(2), None),
            ("x".repeat(63), None),
        ] {
            assert_eq!(traces.find(run.as_bytes()), at, "{run}");
        }
    }
}
