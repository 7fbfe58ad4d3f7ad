//! Click ids: a keyed permutation of the click's position in the log (SPEC 4).
//!
//! The permutation is FF1 of NIST SP 800-38G with AES-256 over ten numerals of radix 58, so an id is
//! unguessable without the key, unique because it is a permutation, and its click is found by
//! decoding instead of an index. A guessed id decodes to a position that holds no click.

use std::fmt;

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};

/// Letters and digits without I, l, 0 and O, which people mistake for each other.
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const LENGTH: usize = 10;
const RADIX: u64 = 58;

/// A click id that this service gave out: ten characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClickId([u8; LENGTH]);

impl ClickId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl fmt::Display for ClickId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ClickId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The secret key that turns positions into click ids and back.
pub struct ClickIdKey(FF1<Aes256>);

impl ClickIdKey {
    /// A permutation under a key of 32 secret bytes.
    ///
    /// # Panics
    /// Never: 58 is a radix that FF1 allows.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(FF1::new(key, 58).expect("FF1 allows every radix from 2 to 65536"))
    }

    /// The id of the click at this number (its position in the log).
    ///
    /// # Panics
    /// Never: ten numerals are within what FF1 allows for this radix.
    pub fn encode(&self, number: u64) -> ClickId {
        let mut rest = number;
        let mut numerals = vec![0_u16; LENGTH];
        for numeral in numerals.iter_mut().rev() {
            *numeral = u16::try_from(rest % RADIX).unwrap_or(0);
            rest /= RADIX;
        }
        let sealed = self
            .0
            .encrypt(&[], &FlexibleNumeralString::from(numerals))
            .expect("ten numerals below 58 are a valid FF1 input");
        let mut id = [0; LENGTH];
        for (byte, numeral) in id.iter_mut().zip(Vec::<u16>::from(sealed)) {
            *byte = ALPHABET.get(usize::from(numeral)).copied().unwrap_or(b'1');
        }
        ClickId(id)
    }

    /// The number that an id stands for; `None` for a text that is no id of ours in form. Whether a
    /// click lives at that number is for the log to say.
    pub fn decode(&self, text: &str) -> Option<u64> {
        if text.len() != LENGTH {
            return None;
        }
        let numerals: Vec<u16> = text
            .bytes()
            .map(|byte| {
                let index = ALPHABET.iter().position(|&letter| letter == byte)?;
                u16::try_from(index).ok()
            })
            .collect::<Option<_>>()?;
        let open = self
            .0
            .decrypt(&[], &FlexibleNumeralString::from(numerals))
            .ok()?;
        Vec::<u16>::from(open)
            .into_iter()
            .try_fold(0_u64, |number, numeral| {
                number.checked_mul(RADIX)?.checked_add(u64::from(numeral))
            })
    }
}

impl fmt::Debug for ClickIdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClickIdKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_decodes_to_its_number(number in 0_u64..430_804_206_899_405_824) {
            let key = ClickIdKey::new(&[7; 32]);
            let id = key.encode(number);
            prop_assert_eq!(key.decode(id.as_str()), Some(number));
            prop_assert!(id.as_str().bytes().all(|b| ALPHABET.contains(&b)));
        }
    }

    #[test]
    fn neighbours_look_unrelated_and_keys_differ() {
        let (one, other) = (ClickIdKey::new(&[1; 32]), ClickIdKey::new(&[2; 32]));
        assert_ne!(
            one.encode(1).as_str().get(..4),
            one.encode(2).as_str().get(..4)
        );
        assert_ne!(one.encode(1), other.encode(1));
    }

    #[test]
    fn a_text_of_another_form_is_no_id() {
        let key = ClickIdKey::new(&[7; 32]);
        for text in [
            "",
            "test",
            "abcdefghiO",
            "abcdefghi0",
            "abcdefghijk",
            "äbcdefghi",
        ] {
            assert_eq!(key.decode(text), None, "{text}");
        }
    }
}
