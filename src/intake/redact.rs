//! Keeps secrets and personal data out of what is kept of a request.

use std::borrow::Cow;

use postbook_schemas::RawRequest;

use super::{
    fields::{self, Fields, Name, SUBS, pairs},
    mapping::Rules,
    personal::{self, Finding, PSEUDONYM_PREFIX, Pseudonyms},
    request::Request,
    scrub,
};
use crate::secrets::Secrets;

/// What stands in place of what was taken out.
pub const REDACTED: &str = "[redacted]";

const WITHHELD: &str = "[withheld: it cannot be read, and names a secret or personal data]";

/// Bytes that are kept of a body that is too large or no text.
const CUT_BYTES: usize = 4 * 1024;

/// Bytes that are kept of the path and of each header of whoever was not let in.
const HEAD_BYTES: usize = 512;

/// Bytes that are kept of the path of whoever is over a limit.
const BRIEF_PATH_BYTES: usize = 128;

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
    "secure",
];

/// Whether a parameter of this name must not be kept.
pub fn is_sensitive(name: &str) -> bool {
    is_secret(name) || is_personal(name)
}

/// Whether a parameter of this name holds personal data. Names may have been encoded twice.
pub fn is_personal(name: &str) -> bool {
    if name.contains('%')
        && let Some(decoded) = pairs::decode(name)
    {
        return personal::is_personal_name(&decoded);
    }
    personal::is_personal_name(name)
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// Whether a text names a secret or personal data, wherever in it.
pub fn names_any(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| lower.contains(secret)) || names_personal(text)
}

/// Whether a text names personal data, wherever in it.
pub fn names_personal(text: &str) -> bool {
    let mut words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
    words.any(is_personal)
}

/// Whether a value was taken out before: what stands in its place is no value.
pub fn is_redacted(text: &str) -> bool {
    text == REDACTED || text.starts_with(PSEUDONYM_PREFIX)
}

/// Says of values whether they may be kept, and what takes the place of those that may not.
#[derive(Clone, Copy, Debug)]
pub struct Cleaner<'a> {
    rules: Option<&'a Rules>,
    pseudonyms: Option<&'a Pseudonyms>,
}

impl<'a> Cleaner<'a> {
    /// Under a mapping, and with names for personal data.
    pub const fn new(rules: Option<&'a Rules>, pseudonyms: Option<&'a Pseudonyms>) -> Self {
        Self { rules, pseudonyms }
    }

    /// What takes the place of a parameter's value; `None` if the value may be kept. E-mail
    /// addresses and card numbers get a pseudonym: read again under another mapping, they may turn
    /// out to be an id.
    pub fn value(&self, parameter: &str, text: &str) -> Option<Cow<'static, str>> {
        if text.is_empty() {
            return None;
        }
        let fills = |wanted: fn(Name) -> bool| self.fills(parameter, wanted);
        let is_signature = self
            .rules
            .is_some_and(|rules| rules.carries_signature(parameter));
        if is_secret(parameter) || is_signature || fills(|name| name == Name::Secret) {
            return Some(REDACTED.into());
        }
        if text.starts_with(PSEUDONYM_PREFIX) {
            return None;
        }
        let is_person = is_personal(parameter) && fills(Name::is_reference);
        match personal::find(text) {
            Some(Finding::Email | Finding::Card) => return Some(self.pseudonym(text)),
            _ if is_person => return Some(self.pseudonym(text)),
            Some(Finding::Phone) if !fills(|name| !SUBS.contains(&name)) => {
                return Some(REDACTED.into());
            }
            Some(Finding::Phone) | None => {}
        }
        let is_json_of_any = text.trim_start().starts_with(['{', '[']) && names_any(text);
        (is_personal(parameter) || is_json_of_any).then_some(REDACTED.into())
    }

    fn fills(&self, parameter: &str, wanted: fn(Name) -> bool) -> bool {
        let mapped = self.rules.and_then(|rules| rules.fields_of(parameter));
        match mapped {
            Some(fields) => fields.iter().any(|(name, _)| wanted(*name)),
            None => Name::parse(parameter).is_some_and(wanted),
        }
    }

    fn pseudonym(&self, text: &str) -> Cow<'static, str> {
        self.pseudonyms
            .map_or(REDACTED.into(), |pseudonyms| pseudonyms.of(text).into())
    }

    /// Whether a text that cannot be taken apart may hold what must not be kept.
    fn fears(&self, text: &str) -> bool {
        names_any(text)
            || self.rules.is_some_and(Rules::carries_secrets)
            || (personal::may_hold(text.as_bytes()) && personal::find(text).is_some())
    }
}

/// What is kept of a request.
pub fn kept(
    request: &Request,
    fields: &Fields<'_>,
    readable: bool,
    secrets: &Secrets,
) -> RawRequest {
    let clean = readable && !fields.sensitive;
    let cleaner = fields.cleaner();
    let mut kept = RawRequest {
        method: request.method.as_str().to_owned(),
        path: without_personal_data(&request.path),
        query: request.query.as_ref().map(|query| {
            if clean {
                query.clone()
            } else {
                without_sensitive_pairs(query, &cleaner)
            }
        }),
        content_type: request.content_type.as_deref().map(without_personal_data),
        idempotency_key: request.idempotency_key.as_deref().map(|key| {
            let may_hold = personal::may_hold(key.as_bytes());
            if may_hold {
                secrets.pseudonyms().id(key).into_owned()
            } else {
                key.to_owned()
            }
        }),
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
        Ok(body) if !too_large => {
            kept.body = Some(without_sensitive_members(body, &cleaner));
        }
        _ => keep_cut(
            &mut kept,
            scrub::before_cutting(&request.body, secrets),
            &cleaner,
        ),
    }
    kept
}

/// The path of an attempt of which little is kept.
pub fn brief_path(request: &Request, secrets: &Secrets) -> String {
    let path = without_personal_data(&request.path);
    scrub::cut(&path, BRIEF_PATH_BYTES, secrets)
}

/// Cuts what is kept of whoever was not let in: a stranger must not fill the disk with bodies, paths
/// and headers of the largest size that is read.
pub fn cut_short(kept: &mut RawRequest, secrets: &Secrets) {
    let body_bytes = kept.body.as_ref().map_or(0, String::len);
    if body_bytes > CUT_BYTES {
        kept.body_bytes.get_or_insert(body_bytes as u64);
    }
    for text in [&mut kept.body, &mut kept.query].into_iter().flatten() {
        if text.len() > CUT_BYTES {
            *text = scrub::cut(text, CUT_BYTES, secrets);
        }
    }
    let headers = [&mut kept.content_type, &mut kept.idempotency_key];
    for text in headers.into_iter().flatten().chain([&mut kept.path]) {
        if text.len() > HEAD_BYTES {
            *text = scrub::cut(text, HEAD_BYTES, secrets);
        }
    }
}

fn keep_cut(kept: &mut RawRequest, body: Vec<u8>, cleaner: &Cleaner<'_>) {
    if cleaner.fears(&String::from_utf8_lossy(&body)) {
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

/// A path, header or name of a file as it is kept: they have no business with personal data.
pub(super) fn without_personal_data(text: &str) -> String {
    if personal::may_hold(text.as_bytes()) && personal::find(text).is_some() {
        return REDACTED.to_owned();
    }
    text.to_owned()
}

fn without_sensitive_pairs(text: &str, cleaner: &Cleaner<'_>) -> String {
    let pairs = text.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(decoded) = pairs::decode(name) else {
            // A name that cannot be read may be any name.
            let name = if cleaner.fears(name) { REDACTED } else { name };
            return match value {
                "" => Cow::Owned(name.to_owned()),
                _ => Cow::Owned(format!("{name}={REDACTED}")),
            };
        };
        let is_name_kept = personal::find(&decoded).is_none();
        // A broken value may run into what follows; its name says whether that matters.
        let instead = match pairs::decode(value) {
            Some(value) => cleaner.value(&decoded, &value),
            None if is_sensitive(&decoded) || personal::may_hold(value.as_bytes()) => {
                Some(REDACTED.into())
            }
            None => cleaner.value(&decoded, value),
        };
        match (is_name_kept, instead) {
            (true, None) => Cow::Borrowed(pair),
            (true, Some(instead)) => Cow::Owned(format!("{name}={instead}")),
            (false, _) if value.is_empty() => Cow::Borrowed(REDACTED),
            (false, None) => Cow::Owned(format!("{REDACTED}={value}")),
            (false, Some(instead)) => Cow::Owned(format!("{REDACTED}={instead}")),
        }
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn without_sensitive_members(body: &str, cleaner: &Cleaner<'_>) -> String {
    if !body.trim_start().starts_with(['{', '[']) {
        return without_sensitive_pairs(body, cleaner);
    }
    let Some(replacements) = fields::replacements(body, cleaner) else {
        let kept = if cleaner.fears(body) { WITHHELD } else { body };
        return kept.to_owned();
    };
    let mut kept = String::with_capacity(body.len());
    let mut from = 0;
    for (range, instead) in replacements {
        kept.push_str(&body[from..range.start]);
        kept.push_str(&instead);
        from = range.end;
    }
    kept.push_str(&body[from..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensitive_members_are_taken_out_and_the_rest_stays_as_it_is() {
        let names = Pseudonyms::new([1; 32]);
        let cleaner = Cleaner::new(None, Some(&names));
        let deep = (0..20).fold("\"Ann\"".to_owned(), |deep, _| format!("[{deep}]"));
        let below = format!(
            r#"{{"name":{{"first":"Ann","l":["Smith"]}},"address":{{"line1":5}},"item":{{"name":"x"}},"buyer":{{"name":{deep}}}}}"#
        );
        let kept = r#"{"name":{"first":"[redacted]","l":["[redacted]"]},"address":{"line1":"[redacted]"},"item":{"name":"x"},"buyer":{"name":"#;
        let kept_below = without_sensitive_members(&below, &cleaner);
        assert!(
            kept_below.starts_with(kept) && !kept_below.contains("Ann"),
            "{kept_below}"
        );
        let body = r#"{"secret" : "x", "amount": 1.50, "a":{"email":"ann","n":1},"l":[{"phone":1}], "x\u0040y.z":"4111111111111111"}"#;
        let card = names.of("4111111111111111");
        let kept = format!(
            r#"{{"secret" : "[redacted]", "amount": 1.50, "a":{{"email":"[redacted]","n":1}},"l":[{{"phone":"[redacted]"}}], "[redacted]":"{card}"}}"#
        );
        assert_eq!(without_sensitive_members(body, &cleaner), kept);
        assert_eq!(
            without_sensitive_members(r#"{"secret":"x"#, &cleaner),
            WITHHELD
        );
        assert_eq!(
            without_sensitive_members(r#"{"a":"ann@b.org"#, &cleaner),
            WITHHELD
        );
        let email = names.of("a@b.org");
        assert_eq!(
            without_sensitive_pairs(
                "a=1&Secret=x&email=a%40b.org&%zz=1&name&c@d.org=2",
                &cleaner
            ),
            format!("a=1&Secret=[redacted]&email={email}&%zz=[redacted]&name&[redacted]=2")
        );
    }
}
