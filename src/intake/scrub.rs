//! Overwrites tokens and secrets in what is about to be kept, wherever they stand.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::secrets::{Secrets, TOKEN_LENGTH, TOKEN_PREFIX};

/// What is looked for in every fact, made ready once.
static TOKEN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(TOKEN_PREFIX));
static WEBHOOK_KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("whs"));

/// Overwrites tokens and offer secrets wherever they stand in a fact's data: whatever parameter
/// a sender has put one in, it does not get into the log. The length stays, so JSON stays JSON.
pub fn scrub(data: &mut [u8], secrets: &Secrets) {
    let mut from = 0;
    while let Some(found) = TOKEN.find(&data[from..]) {
        let start = from + found;
        let token = data[start..]
            .iter()
            .take(TOKEN_LENGTH)
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
        from = start + TOKEN_PREFIX.len();
        if token == TOKEN_LENGTH {
            data[start..start + token].fill(b'*');
            from = start + token;
        }
    }
    scrub_webhook_keys(data);
    for (start, end) in secret_like(data) {
        let known = std::str::from_utf8(&data[start..end])
            .is_ok_and(|text| secrets.is_any_offer_secret(text));
        if known {
            data[start..end].fill(b'*');
        }
    }
}

/// Overwrites keys as Standard Webhooks writes them (`whsec_…`, `whsk_…`); public ones are none.
fn scrub_webhook_keys(data: &mut [u8]) {
    let mut from = 0;
    while let Some(found) = WEBHOOK_KEY.find(&data[from..]) {
        let start = from + found;
        from = start + 3;
        let is_key = [&b"whsec_"[..], b"whsk_"]
            .iter()
            .any(|prefix| data[start..].starts_with(prefix));
        if is_key {
            let rest = data[start..].iter();
            let length = rest
                .take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=_".contains(byte))
                .count();
            data[start..start + length].fill(b'*');
        }
    }
}

/// The runs of exactly 64 letters and digits, which is the form of an offer secret.
fn secret_like(data: &[u8]) -> Vec<(usize, usize)> {
    const LENGTH: usize = 64;
    let mut runs = Vec::new();
    let mut end = 0;
    // A run of 64 covers one of any 64 neighbouring places, so most bytes need no look.
    while end + LENGTH <= data.len() {
        let window = end + LENGTH - 1;
        if !data[window].is_ascii_alphanumeric() {
            end = window + 1;
            continue;
        }
        let before = data[..window].iter().rev();
        let start = window
            - before
                .take_while(|byte| byte.is_ascii_alphanumeric())
                .count();
        let after = data[window..].iter();
        let stop = window
            + after
                .take_while(|byte| byte.is_ascii_alphanumeric())
                .count();
        if stop - start == LENGTH {
            runs.push((start, stop));
        }
        end = stop;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_exactly_64_are_found_wherever_they_stand() {
        let secret = "aB3".repeat(22)[..64].to_owned();
        for before in 0..130 {
            let text = format!("{}\"{secret}\" tail", "x".repeat(before));
            let found = secret_like(text.as_bytes());
            assert!(found.contains(&(before + 1, before + 65)), "{before}");
        }
        assert_eq!(secret_like("x".repeat(65).as_bytes()), []);
        assert_eq!(secret_like(secret.as_bytes()), [(0, 64)]);
    }

    #[test]
    fn keys_of_standard_webhooks_are_overwritten_wherever_they_stand() {
        for (text, clean) in [
            ("a whsec_ab+/cd== b", "a ************** b"),
            ("\"whsk_abc\",\"whpk_abc\"", "\"********\",\"whpk_abc\""),
            ("whs whsx_abc", "whs whsx_abc"),
        ] {
            let mut data = text.as_bytes().to_vec();
            scrub_webhook_keys(&mut data);
            assert_eq!(String::from_utf8(data).unwrap(), clean);
        }
    }
}
