//! Reads the fields of a postback out of query, form or JSON, as texts and nothing more.

mod json;
mod mapped;
mod name;
pub(crate) mod pairs;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

pub(super) use self::json::replacements;
pub use self::name::{Name, SUBS};
use super::{
    mapping::Rules,
    personal::{self, Finding, Pseudonyms},
    redact::{self, Cleaner, REDACTED},
    request::{Method, Request},
};

/// Most parameters that are looked at.
const PARAMETERS_MAX: usize = 1_000;

/// What others call the amount. Whoever sends one that is not read has no mapping, or a wrong one.
const AMOUNT_NAMES: &[&str] = &["amount", "value", "sum", "revenue", "price", "total"];

/// Why a request could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, never quoting the request.
    pub detail: &'static str,
    /// The field it is about.
    pub field: Option<Cow<'static, str>>,
}

impl Fault {
    /// A fault of the request as a whole.
    pub const fn new(detail: &'static str) -> Self {
        Self {
            detail,
            field: None,
        }
    }

    fn of(detail: &'static str, field: impl Into<Cow<'static, str>>) -> Self {
        Self {
            detail,
            field: Some(field.into()),
        }
    }
}

/// What can be in a field.
enum Value<'r> {
    /// Nothing: JSON `null`, or an empty text, which is what an unused macro leaves.
    Empty,
    /// A text, or a number or truth value by its text.
    Scalar(Cow<'r, str>),
    /// A JSON list, as its text.
    List(&'r str),
    /// A JSON object, as its text.
    Object(&'r str),
}

/// The fields of a request as texts, as far as they are known to intake.
#[derive(Clone, Default)]
pub struct Fields<'r> {
    known: [Option<Cow<'r, str>>; Name::ALL.len()],
    /// `metadata.*` and the entries of a `metadata` object.
    pub metadata: BTreeMap<Cow<'r, str>, Cow<'r, str>>,
    /// Whether the request may hold what must not be kept: a secret, personal data, or something
    /// nested that was not looked into.
    pub sensitive: bool,
    /// Whether personal data was found: by a parameter's name, or by the form of its value.
    pub personal: bool,
    /// A parameter that was not read, by a name that others call the amount.
    unread_amount: Option<&'static str>,
    parameters: usize,
    /// The offer's mapping, where it has one.
    rules: Option<Arc<Rules>>,
    /// Under a mapping: the rank of the parameter that each field came from.
    ranks: Vec<(Name, usize)>,
    /// Whether the event is the mapping's default.
    is_event_default: bool,
    /// The sender's words that the mapping translated.
    words: BTreeMap<Name, String>,
    /// Names for personal data; only where the request may hold any.
    pseudonyms: Option<Pseudonyms>,
}

impl<'r> Fields<'r> {
    /// The text of a field.
    pub fn get(&self, name: Name) -> Option<&str> {
        self.known[name as usize].as_deref()
    }

    /// The mapping that it was read under.
    pub fn rules(&self) -> Option<&Rules> {
        self.rules.as_deref()
    }

    /// The event word as the sender wrote it; absent where a default holds.
    pub fn event_word(&self) -> Option<&str> {
        let said = self.words.get(&Name::Event).map(String::as_str);
        let given = self.get(Name::Event).filter(|_| !self.is_event_default);
        said.or(given)
    }

    /// The sender's own words, where the mapping translated them.
    pub fn words(&self) -> &BTreeMap<Name, String> {
        &self.words
    }

    /// A field whose value was taken out when the request was kept; of what is only passed through,
    /// and of secrets, none is missed.
    pub fn redacted(&self) -> Option<&'static str> {
        let missed = |name: &&Name| !SUBS.contains(name) && **name != Name::Secret;
        let mut names = Name::ALL.iter().filter(missed);
        let found = names.find(|name| self.get(**name) == Some(REDACTED));
        found.map(|name| name.as_str())
    }

    /// What of the request may be kept, and as what.
    pub fn cleaner(&self) -> Cleaner<'_> {
        Cleaner::new(self.rules(), self.pseudonyms.as_ref())
    }

    /// Whether it says to be a test; `None` if what it says is neither yes nor no.
    pub fn is_test(&self) -> Option<bool> {
        match self.get(Name::Test) {
            None | Some("0" | "false" | "no") => Some(false),
            Some("1" | "true" | "yes") => Some(true),
            Some(_) => None,
        }
    }

    /// A parameter that was not read, by a name that others call the amount.
    pub fn unread_amount(&self) -> Option<&'static str> {
        self.unread_amount
    }

    fn add(&mut self, name: &str, value: Value<'r>) -> Result<(), Fault> {
        self.parameters += 1;
        if self.parameters > PARAMETERS_MAX {
            return Err(Fault::new("more than 1000 parameters"));
        }
        if self.rules.is_some() && self.add_mapped(name, &value)? {
            return Ok(());
        }
        if let Some(known) = self.known(name) {
            self.sensitive |= known == Name::Secret;
            return match value {
                Value::Empty => Ok(()),
                Value::Scalar(text) => self.set(known, text),
                Value::List(_) => Err(Fault::of("a list where one value belongs", known.as_str())),
                Value::Object(_) => Err(Fault::of(
                    "an object where one value belongs",
                    known.as_str(),
                )),
            };
        }
        self.look_for_personal_data(name, &value);
        if matches!(value, Value::Scalar(_)) {
            let named = AMOUNT_NAMES.iter().find(|known| **known == name);
            self.unread_amount = self.unread_amount.or(named.copied());
        }
        if name == "metadata" {
            return match value {
                Value::Object(object) => json::read_metadata(object, self),
                Value::Empty => Ok(()),
                Value::Scalar(_) | Value::List(_) => {
                    Err(Fault::of("metadata is an object of texts", "metadata"))
                }
            };
        }
        match (name.strip_prefix("metadata."), value) {
            (Some(key), Value::Scalar(text)) => self.add_metadata(key.to_owned().into(), text),
            (Some(_), Value::List(_) | Value::Object(_)) => {
                Err(Fault::of("metadata holds single values", "metadata"))
            }
            // Senders add parameters of their own; they are in the raw request that is kept.
            (Some(_), Value::Empty) | (None, _) => Ok(()),
        }
    }

    fn set(&mut self, name: Name, text: Cow<'r, str>) -> Result<(), Fault> {
        let text = self.without_personal_data(name, text);
        let place = &mut self.known[name as usize];
        if place.is_some() {
            return Err(Fault::of("given more than once", name.as_str()));
        }
        *place = Some(text);
        Ok(())
    }

    fn add_metadata(&mut self, key: Cow<'r, str>, text: Cow<'r, str>) -> Result<(), Fault> {
        self.personal |= redact::is_personal(&key);
        let (mut key, mut text) = (key, text);
        if self.pseudonyms.is_some() {
            for part in [&mut key, &mut text] {
                if personal::find(part).is_some() {
                    self.personal = true;
                    *part = REDACTED.into();
                }
            }
        }
        match self.metadata.insert(key, text) {
            None => Ok(()),
            Some(_) => Err(Fault::of("given more than once", "metadata")),
        }
    }

    /// Notes whether a parameter that is no field holds what must not be kept.
    fn look_for_personal_data(&mut self, name: &str, value: &Value<'r>) {
        self.sensitive |= redact::is_sensitive(name);
        let is_named = redact::is_personal(name);
        let is_held = match value {
            Value::Empty => false,
            Value::Scalar(text) => {
                let is_json = text.starts_with(['{', '[']);
                self.sensitive |= is_json;
                (self.pseudonyms.is_some() && personal::find(text).is_some())
                    || (is_json && redact::names_personal(text))
            }
            Value::List(raw) | Value::Object(raw) => {
                self.sensitive = true;
                redact::names_personal(raw)
                    || (self.pseudonyms.is_some() && json::holds_personal_data(raw))
            }
        };
        let names_someone = self.pseudonyms.is_some() && personal::find(name).is_some();
        self.personal |= (is_named && !matches!(value, Value::Empty)) || is_held || names_someone;
    }

    /// A value as it may be kept in a fact: of ids the pseudonym, of what is passed through nothing.
    fn without_personal_data(&mut self, name: Name, text: Cow<'r, str>) -> Cow<'r, str> {
        let Some(pseudonyms) = &self.pseudonyms else {
            return text;
        };
        let finding = personal::find(&text);
        let is_sub = SUBS.contains(&name);
        match finding {
            None => text,
            // An id may look like a phone number, and a time too.
            Some(Finding::Phone) if !is_sub => text,
            Some(_) if is_sub => {
                self.personal = true;
                REDACTED.into()
            }
            Some(_) if name.is_reference() => {
                self.personal = true;
                pseudonyms.of(&text).into()
            }
            Some(_) => {
                self.personal |= name != Name::Secret;
                text
            }
        }
    }
}

/// How a body is written.
enum BodyForm {
    Json,
    Form,
}

/// Reads the fields of a request, under the offer's mapping if it has one. What was read before a
/// fault stands, so that a refusal can still say what it referred to.
pub fn read<'r>(
    request: &'r Request,
    rules: Option<&Arc<Rules>>,
    names: &Pseudonyms,
) -> (Fields<'r>, Option<Fault>) {
    let may_hold = |bytes: &[u8]| personal::may_hold(bytes);
    let is_suspect = !request.is_too_large()
        && (request
            .query
            .as_ref()
            .is_some_and(|q| may_hold(q.as_bytes()))
            || may_hold(&request.body));
    let names_persons = rules.is_some_and(|rules| rules.names_persons());
    let mut fields = Fields {
        rules: rules.map(Arc::clone),
        pseudonyms: (is_suspect || names_persons).then(|| names.clone()),
        ..Fields::default()
    };
    fields.sensitive = fields.pseudonyms.is_some();
    let fault = read_into(request, &mut fields).err();
    fields.translate();
    (fields, fault)
}

fn read_into<'r>(request: &'r Request, fields: &mut Fields<'r>) -> Result<(), Fault> {
    if request.is_too_large() {
        return Ok(());
    }
    if let Some(query) = &request.query {
        pairs::read(query, fields)?;
    }
    if let Some(fault) = &request.body_fault {
        return Err(fault.clone());
    }
    // A GET has no body to speak of; what some clients send along is not looked at.
    if request.method == Method::Get || request.body.is_empty() {
        return Ok(());
    }
    let body = std::str::from_utf8(&request.body)
        .map_err(|_| Fault::new("the body is not valid UTF-8"))?;
    match body_form(request.content_type.as_deref(), body)? {
        BodyForm::Json => json::read(body, fields),
        BodyForm::Form => pairs::read(body.trim_end_matches(['\r', '\n']), fields),
    }
}

fn body_form(content_type: Option<&str>, body: &str) -> Result<BodyForm, Fault> {
    let looks_like_json = body.trim_start().starts_with(['{', '[']);
    let essence = content_type.map_or("", |given| given.split(';').next().unwrap_or("").trim());
    if essence.eq_ignore_ascii_case("application/json")
        || essence.to_ascii_lowercase().ends_with("+json")
    {
        return Ok(BodyForm::Json);
    }
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        if looks_like_json {
            return Err(Fault::new(
                "the body is JSON but its content type says form: send Content-Type: application/json",
            ));
        }
        return Ok(BodyForm::Form);
    }
    if essence.is_empty() || essence.eq_ignore_ascii_case("text/plain") {
        return Ok(if looks_like_json {
            BodyForm::Json
        } else {
            BodyForm::Form
        });
    }
    Err(Fault::new(
        "the content type is neither application/json nor application/x-www-form-urlencoded",
    ))
}

impl std::fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // One of the fields is a secret.
        f.debug_struct("Fields").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
