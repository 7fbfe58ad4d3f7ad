//! Fields under an offer's mapping: other names, other words, and values for what is left out.

use std::sync::Arc;

use super::{Fault, Fields, Name, Value};
use crate::intake::redact;

impl<'r> Fields<'r> {
    /// The field that a parameter is by its standard name, unless the mapping gives that field
    /// parameters of its own.
    pub(super) fn known(&self, name: &str) -> Option<Name> {
        let known = Name::parse(name)?;
        match &self.rules {
            Some(rules) if rules.takes(known) => None,
            _ => Some(known),
        }
    }

    /// Whether a path of the mapping leads below this one.
    pub(super) fn leads_below(&self, path: &str) -> bool {
        let rules = self.rules.as_ref();
        rules.is_some_and(|rules| rules.leads_below(path))
    }

    /// Adds a parameter to the fields that the mapping has it fill; whether there are any.
    pub(super) fn add_mapped(&mut self, parameter: &str, value: &Value<'r>) -> Result<bool, Fault> {
        let Some(rules) = self.rules.clone() else {
            return Ok(false);
        };
        if rules.carries_signature(parameter) {
            self.sensitive = true;
            return Ok(true);
        }
        let Some(fields) = rules.fields_of(parameter) else {
            return Ok(false);
        };
        self.sensitive |= redact::is_sensitive(parameter) || rules.carries_secret(parameter);
        for &(name, rank) in fields {
            match value {
                Value::Empty => {}
                Value::Scalar(text) => {
                    let is_person = name.is_reference() && redact::is_personal(parameter);
                    let text = match &self.pseudonyms {
                        Some(pseudonyms) if is_person && !redact::is_redacted(text) => {
                            self.personal = true;
                            pseudonyms.of(text).into()
                        }
                        _ => text.clone(),
                    };
                    self.set_ranked(name, rank, text)?;
                }
                Value::List(_) => {
                    return Err(Fault::of("a list where one value belongs", name.as_str()));
                }
                Value::Object(_) => {
                    return Err(Fault::of(
                        "an object where one value belongs",
                        name.as_str(),
                    ));
                }
            }
        }
        Ok(true)
    }

    /// Of several parameters for one field the preferred one counts, in whatever order they come.
    fn set_ranked(
        &mut self,
        name: Name,
        rank: usize,
        text: std::borrow::Cow<'r, str>,
    ) -> Result<(), Fault> {
        match self.ranks.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) if *known == rank => {
                return Err(Fault::of("given more than once", name.as_str()));
            }
            Some((_, known)) if *known < rank => return Ok(()),
            Some((_, known)) => *known = rank,
            None => self.ranks.push((name, rank)),
        }
        self.known[name as usize] = None;
        self.set(name, text)
    }

    /// Puts the mapping's meaning in place of the sender's words, and its values where none is.
    pub(super) fn translate(&mut self) {
        let Some(rules) = self.rules.as_ref().map(Arc::clone) else {
            return;
        };
        for (name, word) in [
            (
                Name::Event,
                self.get(Name::Event).and_then(|word| rules.event(word)),
            ),
            (
                Name::Status,
                self.get(Name::Status)
                    .and_then(|word| rules.status(word))
                    .map(postbook_schemas::Status::code),
            ),
        ] {
            let Some(meaning) = word.map(str::to_owned) else {
                continue;
            };
            let said = self.known[name as usize].replace(meaning.into());
            self.words.insert(
                name,
                said.map(std::borrow::Cow::into_owned).unwrap_or_default(),
            );
        }
        for (name, value) in rules.defaults() {
            let place = &mut self.known[*name as usize];
            if place.is_none() {
                *place = Some(value.clone().into());
                self.is_event_default |= *name == Name::Event;
            }
        }
    }
}
