//! Personal data in values: e-mail addresses, card numbers and phone numbers are found by their form.
//!
//! An id may well be a number, so what merely is a run of digits is no phone number: there must be
//! a `+`, brackets, or the grouping of one. A card number has 13 to 19 digits, begins as cards do
//! (2 to 6) and its check digit is right.

mod names;

use std::{borrow::Cow, fmt};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use self::names::is_personal_name;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An e-mail address.
    Email,
    /// The number of a payment card.
    Card,
    /// A phone number.
    Phone,
}

/// Digits of card numbers.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Digits of phone numbers, as E.164 has them; shorter ones are local and say nothing alone.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// How often a text may have been percent-encoded besides the once that readers undo.
const ENCODINGS_MAX: usize = 3;
/// What stands between the digits of cards and phone numbers.
const SEPARATORS: &[u8] = b" -.()/+";

/// Whether bytes as they came in, encodings and all, may hold personal data: a look at each byte
/// that lets most requests pass. It may be wrong, but only by saying yes.
pub fn may_hold(bytes: &[u8]) -> bool {
    if memchr::memchr(b'@', bytes).is_some() {
        return true;
    }
    let mut run = Run::default();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        // Most bytes are in no number: they cost a look into a table and no more.
        if IS_PLAIN[usize::from(byte)] {
            run = Run::default();
            let plain = bytes[at..].iter();
            at += plain
                .take_while(|byte| IS_PLAIN[usize::from(**byte)])
                .count();
            continue;
        }
        let before = at.checked_sub(1).map(|before| bytes[before]);
        at += 1;
        match byte {
            b'0'..=b'9' => run.digit(byte),
            b'%' => match bytes.get(at..at + 2) {
                // Of `@`, of `%` (which may hide anything), and of digits.
                Some(b"40" | b"25") => return true,
                // A digit that nobody needs to encode; where nothing is decoded, what follows it.
                Some(&[b'3', digit @ b'0'..=b'9']) => {
                    run.digit(digit);
                    run.is_marked = true;
                    at += 2;
                }
                Some(two) if two.iter().all(u8::is_ascii_hexdigit) => {
                    run.is_marked = true;
                    at += 2;
                }
                // Decoded, what follows may become part of it: `%%340` is `%40`.
                _ => return true,
            },
            b'\\' if bytes[at..].starts_with(b"u00") => return true,
            // Before a number in JSON a space says nothing; within one it does, twice too.
            b' ' if matches!(before, Some(b':' | b',' | b'\n')) => run = Run::default(),
            b' ' if before == Some(b' ') && run.is_fresh() => {}
            b'+' | b' ' | b'(' | b')' | b'/' => run.is_marked = true,
            b'-' | b'.' => run.is_grouped |= run.digits > 0,
            _ => run = Run::default(),
        }
        if run.may_be_card() || run.may_be_phone() {
            return true;
        }
    }
    false
}

/// A run of digits and what may stand between them.
#[derive(Default)]
struct Run {
    digits: usize,
    first: u8,
    /// With a `-` or `.` in it, as many ids and days have.
    is_grouped: bool,
    /// With something in or before it that numbers seldom have.
    is_marked: bool,
}

impl Run {
    fn digit(&mut self, digit: u8) {
        if self.digits == 0 {
            self.first = digit;
        }
        self.digits += 1;
    }

    /// Whether nothing of a number was seen yet.
    fn is_fresh(&self) -> bool {
        self.digits == 0 && !self.is_grouped && !self.is_marked
    }

    /// Whole runs that do not begin as cards do are let pass: times in milliseconds above all.
    fn may_be_card(&self) -> bool {
        let is_whole = !self.is_grouped && !self.is_marked;
        self.digits >= *CARD_DIGITS.start() && (!is_whole || (b'2'..=b'6').contains(&self.first))
    }

    /// With `-` and `.` alone only the American form is one, which has ten digits.
    fn may_be_phone(&self) -> bool {
        let enough = if self.is_marked {
            *PHONE_DIGITS.start()
        } else {
            10
        };
        (self.is_marked || self.is_grouped) && self.digits >= enough
    }
}

/// Bytes that end a run of digits, whatever stands beside them.
const IS_PLAIN: [bool; 256] = {
    let mut is_plain = [true; 256];
    let others = b"0123456789%\\ +()/-.";
    let mut at = 0;
    while at < others.len() {
        is_plain[others[at] as usize] = false;
        at += 1;
    }
    is_plain
};

/// What personal data a text holds, if any; decoded further where it was percent-encoded again.
pub fn find(text: &str) -> Option<Finding> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..ENCODINGS_MAX {
        if let Some(finding) = find_as_it_stands(&text) {
            return Some(finding);
        }
        if !text.contains('%') {
            return None;
        }
        text = Cow::Owned(decoded(&text));
    }
    find_as_it_stands(&text)
}

/// Decoded once; what is broken, as it often is where something went wrong, stays as it stands.
fn decoded(text: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(text);
    decoded.decode_utf8_lossy().into_owned()
}

fn find_as_it_stands(text: &str) -> Option<Finding> {
    if holds_email(text) {
        Some(Finding::Email)
    } else if holds_card(text) {
        Some(Finding::Card)
    } else if holds_phone(text) {
        Some(Finding::Phone)
    } else {
        None
    }
}

fn holds_email(text: &str) -> bool {
    text.match_indices('@').any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let host = text[at + 1..]
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-')))
            .next()
            .unwrap_or_default();
        let has_dot = host
            .trim_end_matches('.')
            .split_once('.')
            .is_some_and(|(name, rest)| !name.is_empty() && !rest.is_empty());
        // Other spaces than that of ASCII come along when an address is copied.
        before.is_some_and(|c| !c.is_ascii_whitespace()) && has_dot
    })
}

/// Runs of digits with single or double separators between them, as groups.
fn digit_runs(text: &str) -> Vec<Vec<&str>> {
    let mut runs: Vec<Vec<&str>> = Vec::new();
    let (bytes, mut at, mut last_end) = (text.as_bytes(), 0, None);
    while at < bytes.len() {
        let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) else {
            break;
        };
        let start = at + start;
        let length = bytes[start..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let between = last_end.map(|end: usize| &bytes[end..start]);
        let joined = between.is_some_and(|between| {
            between.len() <= 2 && between.iter().all(|byte| SEPARATORS.contains(byte))
        });
        let group = &text[start..start + length];
        match runs.last_mut() {
            Some(run) if joined => run.push(group),
            _ => runs.push(vec![group]),
        }
        at = start + length;
        last_end = Some(at);
    }
    runs
}

fn holds_card(text: &str) -> bool {
    digit_runs(text).iter().any(|run| {
        // A card may stand beside other numbers: any neighbouring groups may make it up.
        (0..run.len()).any(|first| {
            let mut digits = String::new();
            run[first..].iter().any(|group| {
                digits.push_str(group);
                digits.len() <= *CARD_DIGITS.end() && is_card(&digits)
            })
        })
    })
}

fn is_card(digits: &str) -> bool {
    let begins = digits.starts_with(['2', '3', '4', '5', '6']);
    if !begins || !CARD_DIGITS.contains(&digits.len()) {
        return false;
    }
    let sum: u32 = digits
        .bytes()
        .rev()
        .zip([1, 2].into_iter().cycle())
        .map(|(byte, weight)| {
            let product = u32::from(byte - b'0') * weight;
            product / 10 + product % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

fn holds_phone(text: &str) -> bool {
    let after_plus = text.match_indices('+').any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric()) && starts_with_phone(&text[at + 1..])
    });
    // A form turns a `+` that was not encoded into a space.
    let after_space = || {
        let rest = text.strip_prefix(' ');
        rest.is_some_and(|rest| starts_with_phone(rest) && is_only_digits(rest))
    };
    after_plus || after_space() || is_grouped_phone(text.trim())
}

fn is_only_digits(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_digit() || SEPARATORS.contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

fn starts_with_phone(text: &str) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_digit() || SEPARATORS.contains(byte);
    let digits = text.bytes().take_while(|byte| allowed(byte));
    PHONE_DIGITS.contains(&digits.filter(u8::is_ascii_digit).count())
}

/// The whole text is digits in the groups of a phone number: `(0170) 1234567`, `030/1234567`,
/// `555-123-4567`. Days (`2026-06-15`) and addresses (`192.0.2.1`) are grouped otherwise.
fn is_grouped_phone(text: &str) -> bool {
    if !is_only_digits(text)
        || !text.starts_with(['(', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
    {
        return false;
    }
    let groups: Vec<&str> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|group| !group.is_empty())
        .collect();
    let digits: usize = groups.iter().map(|group| group.len()).sum();
    if groups.len() < 2 || !PHONE_DIGITS.contains(&digits) {
        return false;
    }
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_american = matches!(lengths[..], [3, 3, 4] | [1, 3, 3, 4]);
    let has_trunk_zero =
        text.starts_with('0') && lengths[0] >= 3 && digits >= 9 && text.contains([' ', '/']);
    text.starts_with('(') || is_american || has_trunk_zero
}

/// Puts names in place of personal data that is used as an id: the same person has the same name,
/// here and nowhere else, and nobody can tell the person from it without the key.
#[derive(Clone)]
pub struct Pseudonyms([u8; 32]);

/// What every pseudonym begins with.
pub const PSEUDONYM_PREFIX: &str = "pii:";

impl Pseudonyms {
    /// Those of a key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The name of a text. Letters' case, space around it and separators of digits do not matter.
    ///
    /// # Panics
    /// Never: any key will do for HMAC.
    pub fn of(&self, text: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(plain_form(text).as_bytes());
        let digest = mac.finalize().into_bytes();
        format!("{PSEUDONYM_PREFIX}{}", hex::encode(&digest[..16]))
    }

    /// What a secret that was overwritten ends with: tells it from others, and not what it is.
    ///
    /// # Panics
    /// Never: any key will do for HMAC.
    pub fn mark(&self, secret: &[u8]) -> [u8; 16] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(b"secret\x1f");
        mac.update(secret);
        let digest = mac.finalize().into_bytes();
        let mut mark = [0; 16];
        hex::encode_to_slice(&digest[..8], &mut mark).expect("a byte is two digits");
        mark
    }

    /// The id as it is kept and searched by: its pseudonym if it is an e-mail address or a card
    /// number, else itself.
    pub fn id<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match find(text) {
            Some(Finding::Email | Finding::Card) => self.of(text).into(),
            Some(Finding::Phone) | None => text.into(),
        }
    }
}

fn plain_form(text: &str) -> String {
    let mut text = text.trim().to_lowercase();
    for _ in 0..ENCODINGS_MAX {
        if text.contains('%') {
            text = decoded(&text).trim().to_lowercase();
        }
    }
    if is_only_digits(&text) {
        text.retain(|c| c.is_ascii_digit());
    }
    text
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms(hidden)")
    }
}

#[cfg(test)]
mod tests;
