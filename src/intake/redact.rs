//! Keeps secrets and personal data out of what is kept of a request.

use std::borrow::Cow;

use postbook_schemas::RawRequest;

use super::{
    fields::{self, Fields, pairs},
    request::Request,
};
use crate::secrets::{Secrets, TOKEN_LENGTH, TOKEN_PREFIX};

/// What stands in place of what was taken out.
pub const REDACTED: &str = "[redacted]";

const WITHHELD: &str = "[withheld: it cannot be read, and names a secret or personal data]";

/// Bytes that are kept of a body that is too large or no text.
const CUT_BYTES: usize = 4 * 1024;

/// Names, or parts of them, of parameters that hold secrets.
const SECRET_NAMES: &[&str] = &[
    "secret",
    "token",
    "passw",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
    "signature",
];

/// Names of parameters that hold personal data.
const PERSONAL_NAMES: &[&str] = &[
    "email",
    "e-mail",
    "e_mail",
    "mail",
    "email_address",
    "phone",
    "phone_number",
    "telephone",
    "tel",
    "msisdn",
    "name",
    "first_name",
    "firstname",
    "last_name",
    "lastname",
    "full_name",
    "fullname",
    "surname",
    "address",
    "street",
    "birthdate",
    "birthday",
    "date_of_birth",
    "dob",
    "passport",
];

/// Whether a parameter of this name must not be kept.
pub fn is_sensitive(name: &str) -> bool {
    is_secret(name) || is_personal(name)
}

/// Whether a parameter of this name holds personal data.
pub fn is_personal(name: &str) -> bool {
    let name = name.strip_prefix("metadata.").unwrap_or(name);
    PERSONAL_NAMES
        .iter()
        .any(|personal| personal.eq_ignore_ascii_case(name))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// Whether a text names anything sensitive, wherever in it.
pub fn names_any(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let mut words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
    SECRET_NAMES.iter().any(|secret| text.contains(secret)) || words.any(is_personal)
}

/// What is kept of a request.
pub fn kept(
    request: &Request,
    fields: &Fields<'_>,
    readable: bool,
    secrets: &Secrets,
) -> RawRequest {
    let clean = readable && !fields.sensitive;
    let mut kept = RawRequest {
        method: request.method.as_str().to_owned(),
        path: request.path.clone(),
        query: request.query.as_ref().map(|query| {
            if clean {
                query.clone()
            } else {
                without_sensitive_pairs(query)
            }
        }),
        content_type: request.content_type.clone(),
        ..RawRequest::default()
    };
    if request.body.is_empty() {
        return kept;
    }
    let too_large = request.is_too_large();
    if too_large {
        kept.body_bytes = Some(request.body_bytes);
    }
    match std::str::from_utf8(&request.body) {
        Ok(body) if clean && !too_large => kept.body = Some(body.to_owned()),
        Ok(body) if !too_large => kept.body = Some(without_sensitive_members(body)),
        _ => keep_cut(&mut kept, scrubbed(&request.body, secrets)),
    }
    kept
}

/// Cuts what is kept of whoever was not let in: a stranger must not fill the disk with bodies of the
/// largest size that is read.
pub fn cut_short(kept: &mut RawRequest, secrets: &Secrets) {
    let body_bytes = kept.body.as_ref().map_or(0, String::len);
    if body_bytes > CUT_BYTES {
        kept.body_bytes.get_or_insert(body_bytes as u64);
    }
    for text in [&mut kept.body, &mut kept.query].into_iter().flatten() {
        if text.len() > CUT_BYTES {
            let whole = scrubbed(text.as_bytes(), secrets);
            *text = String::from_utf8_lossy(&whole).into_owned();
            text.truncate(text.floor_char_boundary(CUT_BYTES));
        }
    }
}

/// A body in which no token or secret is left, before any of it is cut or written in hexadecimal,
/// which would hide the rest of one.
fn scrubbed(body: &[u8], secrets: &Secrets) -> Vec<u8> {
    let mut body = body.to_vec();
    scrub(&mut body, secrets);
    body
}

fn keep_cut(kept: &mut RawRequest, body: Vec<u8>) {
    if names_any(&String::from_utf8_lossy(&body)) {
        kept.body = Some(WITHHELD.to_owned());
        return;
    }
    if body.len() > CUT_BYTES {
        kept.body_bytes.get_or_insert(body.len() as u64);
    }
    match String::from_utf8(body) {
        Ok(mut text) => {
            text.truncate(text.floor_char_boundary(CUT_BYTES));
            kept.body = Some(text);
        }
        Err(bytes) => {
            let mut bytes = bytes.into_bytes();
            bytes.truncate(CUT_BYTES);
            kept.body_hex = Some(hex::encode(bytes));
        }
    }
}

fn without_sensitive_pairs(text: &str) -> String {
    let pairs = text.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let sensitive = pairs::decode(name).is_none_or(|name| is_sensitive(&name));
        // A broken value may run into what follows; its name says whether that matters.
        if sensitive && !value.is_empty() {
            Cow::Owned(format!("{name}={REDACTED}"))
        } else {
            Cow::Borrowed(pair)
        }
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn without_sensitive_members(body: &str) -> String {
    if !body.trim_start().starts_with(['{', '[']) {
        return without_sensitive_pairs(body);
    }
    if !names_any(body) {
        return body.to_owned();
    }
    let Some(ranges) = fields::sensitive_ranges(body) else {
        return WITHHELD.to_owned();
    };
    let mut kept = String::with_capacity(body.len());
    let mut from = 0;
    for range in ranges {
        kept.push_str(&body[from..range.start]);
        kept.push_str("\"[redacted]\"");
        from = range.end;
    }
    kept.push_str(&body[from..]);
    kept
}

/// Overwrites tokens and offer secrets wherever they stand in a fact's data: whatever parameter
/// a sender has put one in, it does not get into the log. The length stays, so JSON stays JSON.
pub fn scrub(data: &mut [u8], secrets: &Secrets) {
    let mut from = 0;
    while let Some(found) = memchr::memmem::find(&data[from..], TOKEN_PREFIX.as_bytes()) {
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
    while let Some(found) = memchr::memmem::find(&data[from..], b"whs") {
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

    #[test]
    fn sensitive_members_are_taken_out_and_the_rest_stays_as_it_is() {
        let body =
            r#"{"secret" : "x", "amount": 1.50, "a":{"email":"a@b.c","n":1},"l":[{"phone":1}]}"#;
        let kept = r#"{"secret" : "[redacted]", "amount": 1.50, "a":{"email":"[redacted]","n":1},"l":"[redacted]"}"#;
        assert_eq!(without_sensitive_members(body), kept);
        assert_eq!(without_sensitive_members(r#"{"secret":"x"#), WITHHELD);
        assert_eq!(
            without_sensitive_pairs("a=1&Secret=x&email=a%40b&%zz=1&name"),
            "a=1&Secret=[redacted]&email=[redacted]&%zz=[redacted]&name"
        );
    }
}
