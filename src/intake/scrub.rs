//! Overwrites tokens and secrets in what is about to be kept, wherever they stand.
//!
//! Every fact comes by here on its way to the log, whoever made it: [`Scrub`] is called by the
//! log itself. The length stays, so JSON stays JSON, and what is overwritten ends with a mark that
//! is the same for the same secret: ids that hold secrets still tell things apart.

use std::sync::LazyLock;

use memchr::{memchr, memmem::Finder};
use postbook_schemas::envelope::Draft;

use super::form::{self, Form};
use crate::{
    secrets::{OFFER_SECRET_LENGTH, Secrets, TOKEN_LENGTH, TOKEN_PREFIX},
    store::writer::Scrub,
};

/// What is looked for in every fact, made ready once.
static TOKEN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(TOKEN_PREFIX));
static WEBHOOK_KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("whs"));

/// How Standard Webhooks' keys begin; public ones (`whpk_`) are no secrets.
const WEBHOOK_KEY_PREFIXES: [&[u8]; 2] = [b"whsec_", b"whsk_"];

/// Shorter ones are no keys, which have 24 bytes or more.
const WEBHOOK_KEY_LENGTH_MIN: usize = 22;

/// How a text is written, which tells what a letter behind a backslash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// As JSON: there it is part of an escape, and none of a secret.
    Json,
    /// As it stands.
    Plain,
}

impl Scrub for Secrets {
    fn scrub(&self, draft: &mut Draft) {
        scrub(&mut draft.data, self);
        if let Some(clean) = without_secrets(&draft.source.endpoint, self) {
            draft.source.endpoint = clean;
        }
        if let Some(clean) = without_secrets(&draft.actor, self) {
            draft.actor = clean.into();
        }
    }
}

/// Overwrites tokens and offer secrets wherever they stand in a fact's data, which is JSON: whatever
/// a sender has put one in, it does not get into the log.
pub fn scrub(data: &mut [u8], secrets: &Secrets) {
    overwrite_all(data, Written::Json, secrets);
}

/// A text without tokens and secrets; `None` if it has none, which takes a look or two to tell.
pub(crate) fn without_secrets(text: &str, secrets: &Secrets) -> Option<String> {
    let bytes = text.as_bytes();
    let is_suspect = |finder: &Finder<'_>| finder.find(bytes).is_some();
    let may_hold = next_run(bytes, 0).is_some()
        || (memchr(b'_', bytes).is_some() && (is_suspect(&TOKEN) || is_suspect(&WEBHOOK_KEY)));
    if !may_hold {
        return None;
    }
    let mut clean = bytes.to_vec();
    overwrite_all(&mut clean, Written::Plain, secrets);
    (clean != bytes).then(|| String::from_utf8_lossy(&clean).into_owned())
}

/// Bytes in which no token or secret is left, before any of them are cut or written in hexadecimal,
/// which would hide the rest of one.
pub(super) fn before_cutting(bytes: &[u8], secrets: &Secrets) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    overwrite_all(&mut bytes, Written::Plain, secrets);
    bytes
}

/// Not more than `bytes_max` bytes of a text. What is cut has no secrets in it: the rest of one
/// would not be known again.
pub(super) fn cut(text: &str, bytes_max: usize, secrets: &Secrets) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let clean = without_secrets(text, secrets);
    let text = clean.as_deref().unwrap_or(text);
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

/// Overwrites tokens and secrets in what a postback says, before its keys are made: what is compared
/// with the log must be as it is in the log.
pub(super) fn scrub_form(form: &mut Form, secrets: &Secrets) {
    let ids = form::ids_mut(&mut form.references).into_iter();
    let ids = ids.chain([&mut form.idempotency_key]);
    let passed_through = form.subs.values_mut().chain(form.metadata.values_mut());
    for text in ids.flatten().chain(passed_through) {
        if let Some(clean) = without_secrets(text, secrets) {
            *text = clean;
        }
    }
}

fn overwrite_all(data: &mut [u8], written: Written, secrets: &Secrets) {
    overwrite_tokens(data, secrets);
    overwrite_webhook_keys(data, secrets);
    overwrite_offer_secrets(data, written, secrets);
}

fn overwrite(secret: &mut [u8], secrets: &Secrets) {
    let mark = secrets.pseudonyms().mark(secret);
    secret.fill(b'*');
    if let Some(end) = secret.last_chunk_mut() {
        *end = mark;
    }
}

fn overwrite_tokens(data: &mut [u8], secrets: &Secrets) {
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
            overwrite(&mut data[start..start + token], secrets);
            from = start + token;
        }
    }
}

fn overwrite_webhook_keys(data: &mut [u8], secrets: &Secrets) {
    let mut from = 0;
    while let Some(found) = WEBHOOK_KEY.find(&data[from..]) {
        let start = from + found;
        let length = webhook_key_length(&data[start..]);
        if length >= WEBHOOK_KEY_LENGTH_MIN {
            overwrite(&mut data[start..start + length], secrets);
        }
        from = start + length.max(3);
    }
}

/// How long the key is that a text begins with; 0 if it begins with none.
fn webhook_key_length(text: &[u8]) -> usize {
    let is_prefix = |prefix: &&&[u8]| text.starts_with(prefix);
    let Some(prefix) = WEBHOOK_KEY_PREFIXES.iter().find(is_prefix) else {
        return 0;
    };
    let mut length = prefix.len();
    loop {
        match base64_length(&text[length..]) {
            0 => return length,
            more => length += more,
        }
    }
}

/// How many bytes the letter of base64 takes that a text begins with, as it stands or escaped for
/// JSON (`\/`, `\u002f`) or a query (`%2F`, `%252F`), once or more often; 0 if it begins with none.
fn base64_length(text: &[u8]) -> usize {
    let is_code = |code: &[u8]| {
        let codes = [b"2b", b"2f", b"3d"];
        codes
            .iter()
            .any(|known| code.eq_ignore_ascii_case(&known[..]))
    };
    match text {
        [b'+' | b'/' | b'=' | b'_', ..] => 1,
        [byte, ..] if byte.is_ascii_alphanumeric() => 1,
        [b'%', rest @ ..] => {
            let again = rest
                .chunks_exact(2)
                .take_while(|code| code == b"25")
                .count()
                * 2;
            let code = rest.get(again..again + 2);
            code.filter(|code| is_code(code)).map_or(0, |_| again + 3)
        }
        [b'\\', ..] => {
            let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
            match &text[slashes..] {
                [b'/', ..] => slashes + 1,
                [b'u', b'0', b'0', high, low, ..] if is_code(&[*high, *low]) => slashes + 5,
                _ => 0,
            }
        }
        _ => 0,
    }
}

fn overwrite_offer_secrets(data: &mut [u8], written: Written, secrets: &Secrets) {
    let mut from = 0;
    while let Some((start, stop)) = next_run(data, from) {
        let mut at = match written {
            Written::Json => start + escape_length(data, start),
            Written::Plain => start,
        };
        while let Some(found) = secrets.find_offer_secret(&data[at..stop]) {
            let end = at + found + OFFER_SECRET_LENGTH;
            overwrite(&mut data[at + found..end], secrets);
            at = end;
        }
        from = stop;
    }
}

/// How much of a run of letters and digits in JSON belongs to the escape before it: overwritten, it
/// would be JSON no more.
fn escape_length(data: &[u8], start: usize) -> usize {
    let before = data[..start].iter().rev();
    let is_escape = before.take_while(|byte| **byte == b'\\').count() % 2 == 1;
    match data[start] {
        _ if !is_escape => 0,
        b'u' => 5,
        _ => 1,
    }
}

/// The next run of letters and digits that is long enough for an offer secret, from `from` on.
fn next_run(data: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut from = from;
    // Such a run covers one of any 64 neighbouring places, so most bytes need no look.
    loop {
        let middle = from + OFFER_SECRET_LENGTH - 1;
        if !data.get(middle)?.is_ascii_alphanumeric() {
            from = middle + 1;
            continue;
        }
        let is_in_run = |byte: &&u8| byte.is_ascii_alphanumeric();
        let before = data[from..middle].iter().rev();
        let start = middle - before.take_while(is_in_run).count();
        let stop = middle + data[middle..].iter().take_while(is_in_run).count();
        if stop - start >= OFFER_SECRET_LENGTH {
            return Some((start, stop));
        }
        from = stop;
    }
}

#[cfg(test)]
mod tests;
