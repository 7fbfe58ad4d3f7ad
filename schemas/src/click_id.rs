//! Click ids: a keyed permutation of the click's position in the log (SPEC 4).
//!
//! The permutation is FF1 of NIST SP 800-38G with AES-256 over ten numerals of radix 58, so an id is
//! unguessable without the key, unique because it is a permutation, and its click is found by
//! decoding instead of an index. A guessed id decodes to a position that holds no click.
//!
//! Ten numerals of radix 58 halve into two numbers below 58^5, which fit 64 bits, so the rounds are
//! written out here for that size: the `fpe` crate computes with numbers of any size and takes ten
//! times as long, once for every click and postback. It is the oracle of the tests instead.

use std::fmt;

use aes::{
    Aes256,
    cipher::{
        Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
        KeyInit, consts::U16,
    },
};

/// Letters and digits without I, l, 0 and O, which people mistake for each other.
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const LENGTH: usize = 10;
const RADIX: u64 = 58;
/// 58^5: what each half of the numerals counts to.
const HALF: u64 = 656_356_768;
const ROUNDS: u8 = 10;
/// The first block of FF1's function, fixed by radix 58, ten numerals and no tweak: version,
/// method and addition, radix in three bytes, rounds, length of a half, length, length of the tweak.
const PARAMETERS: [u8; 16] = [1, 2, 1, 0, 0, 58, ROUNDS, 5, 0, 0, 0, 10, 0, 0, 0, 0];

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
pub struct ClickIdKey {
    cipher: Aes256,
    /// The cipher over [`PARAMETERS`], which every round begins with.
    parameters: u128,
}

impl ClickIdKey {
    /// A permutation under a key of 32 secret bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        let cipher = Aes256::new(&Array::from(*key));
        let mut block = Array::from(PARAMETERS);
        cipher.encrypt_block(&mut block);
        Self {
            cipher,
            parameters: u128::from_be_bytes(block.into()),
        }
    }

    /// The id of the click at this number (its position in the log), which is below 58^10.
    pub fn encode(&self, number: u64) -> ClickId {
        let (a, b) = self.permute(((number / HALF) % HALF, number % HALF), Direction::There);
        let mut rest = a.wrapping_mul(HALF).wrapping_add(b);
        let mut id = [0; LENGTH];
        for byte in id.iter_mut().rev() {
            let numeral = usize::try_from(rest % RADIX).unwrap_or(0);
            *byte = ALPHABET.get(numeral).copied().unwrap_or(b'1');
            rest /= RADIX;
        }
        ClickId(id)
    }

    /// The number that an id stands for; `None` for a text that is no id of ours in form. Whether a
    /// click lives at that number is for the log to say.
    pub fn decode(&self, text: &str) -> Option<u64> {
        if text.len() != LENGTH {
            return None;
        }
        let sealed = text.bytes().try_fold(0_u64, |number, byte| {
            number.checked_mul(RADIX)?.checked_add(numeral(byte)?)
        })?;
        let (a, b) = self.permute((sealed / HALF, sealed % HALF), Direction::Back);
        a.checked_mul(HALF)?.checked_add(b)
    }

    fn permute(&self, mut halves: (u64, u64), direction: Direction) -> (u64, u64) {
        self.cipher.encrypt_with_backend(Rounds {
            parameters: self.parameters,
            halves: &mut halves,
            direction,
        });
        halves
    }
}

#[derive(Clone, Copy)]
enum Direction {
    There,
    Back,
}

/// All rounds in one visit to the cipher, which prepares its keys anew for each visit.
struct Rounds<'h> {
    parameters: u128,
    halves: &'h mut (u64, u64),
    direction: Direction,
}

impl BlockSizeUser for Rounds<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Rounds<'_> {
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        // FF1's function of one half, below 58^5: the first eight bytes of the cipher-block chain
        // over the parameters and a block that ends with the round and the half in four bytes.
        let of = |round: u8, half: u64| {
            let input = (u128::from(round) << 32) | u128::from(half);
            let mut block = Array::from((self.parameters ^ input).to_be_bytes());
            backend.encrypt_block_inplace(&mut block);
            let output = u128::from_be_bytes(block.into()) >> 64;
            u64::try_from(output).unwrap_or(0) % HALF
        };
        let (mut a, mut b) = *self.halves;
        match self.direction {
            Direction::There => {
                for round in 0..ROUNDS {
                    let c = a.wrapping_add(of(round, b)) % HALF;
                    (a, b) = (b, c);
                }
            }
            Direction::Back => {
                for round in (0..ROUNDS).rev() {
                    let c = b.wrapping_add(HALF).wrapping_sub(of(round, a)) % HALF;
                    (b, a) = (a, c);
                }
            }
        }
        *self.halves = (a, b);
    }
}

/// The place of a letter in [`ALPHABET`], by the runs of the alphabet.
fn numeral(letter: u8) -> Option<u64> {
    let (first, numeral_of_first) = match letter {
        b'1'..=b'9' => (b'1', 0),
        b'A'..=b'H' => (b'A', 9),
        b'J'..=b'N' => (b'J', 17),
        b'P'..=b'Z' => (b'P', 22),
        b'a'..=b'k' => (b'a', 33),
        b'm'..=b'z' => (b'm', 44),
        _ => return None,
    };
    Some(u64::from(letter.abs_diff(first)).saturating_add(numeral_of_first))
}

impl fmt::Debug for ClickIdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClickIdKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fpe::ff1::{FF1, FlexibleNumeralString};
    use proptest::prelude::*;

    /// The same id by another implementation of FF1.
    fn oracle(key: &[u8; 32], number: u64) -> String {
        let mut rest = number;
        let mut numerals: Vec<u16> = std::iter::repeat_with(|| {
            let numeral = rest % RADIX;
            rest /= RADIX;
            u16::try_from(numeral).expect("below 58")
        })
        .take(LENGTH)
        .collect();
        numerals.reverse();
        let cipher = FF1::<Aes256>::new(key, 58).expect("a radix");
        let sealed = cipher
            .encrypt(&[], &FlexibleNumeralString::from(numerals))
            .expect("numerals");
        let sealed = Vec::<u16>::from(sealed);
        let letter = |numeral| ALPHABET.get(usize::from(numeral)).copied().map(char::from);
        sealed.into_iter().filter_map(letter).collect()
    }

    proptest! {
        #[test]
        fn an_id_decodes_to_its_number(number in 0_u64..430_804_206_899_405_824) {
            let key = ClickIdKey::new(&[7; 32]);
            let id = key.encode(number);
            prop_assert_eq!(key.decode(id.as_str()), Some(number));
            prop_assert_eq!(id.as_str(), oracle(&[7; 32], number));
            prop_assert!(id.as_str().bytes().all(|b| ALPHABET.contains(&b)));
        }
    }

    #[test]
    fn every_byte_has_its_place_in_the_alphabet_or_none() {
        for byte in 0..=u8::MAX {
            let place = ALPHABET.iter().position(|&letter| letter == byte);
            assert_eq!(numeral(byte), place.map(|place| place as u64), "{byte}");
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
