//! Checks of mappings: what they name must be there, and what they say must be usable.

use std::collections::BTreeMap;

use postbook_schemas::{
    Currency, Event, Exact, Status,
    configuration::Offer,
    mapping::{Field, Mapping, may_share, presets},
};

use super::{
    check::{World, unknown},
    source::{Place, Problem},
};
use crate::intake::mapping::TimeFormat;

/// Longest name of a parameter, and longest word.
const NAME_LENGTH_MAX: usize = 128;

/// Checks a mapping.
pub(super) fn check(
    world: &World<'_>,
    place: &Place<'_>,
    mapping: &Mapping,
    problems: &mut Vec<Problem>,
) {
    let mut wrong = |key: &str, detail: String| problems.push(place.problem(key, detail));
    let offer = world.offer(&mapping.offer);
    if offer.is_none() {
        wrong("offer", unknown("offer", &mapping.offer));
    }
    if let Some(name) = mapping.preset.as_deref()
        && presets::find(name).is_none()
    {
        let names = presets::names();
        wrong("preset", format!("{}: {names}", unknown("preset", name)));
    }
    check_fields(mapping, &mut wrong);
    if let Some(offer) = offer {
        check_events(mapping, offer, &mut wrong);
    }
    for word in mapping.statuses.keys() {
        check_word("statuses", word, &mut wrong);
    }
    check_times(mapping, &mut wrong);
    for (field, value) in &mapping.defaults {
        if let Some(detail) = wrong_default(*field, value, offer) {
            wrong(&format!("defaults.{}", field.code()), detail);
        }
    }
}

fn check_fields(mapping: &Mapping, wrong: &mut impl FnMut(&str, String)) {
    let mut taken: BTreeMap<&str, Field> = BTreeMap::new();
    for (field, names) in &mapping.fields {
        let key = format!("fields.{}", field.code());
        for name in &names.0 {
            if !is_parameter(name) {
                wrong(&key, format!("`{name}` cannot be the name of a parameter"));
            }
            match taken.insert(name, *field) {
                Some(other) if other == *field => wrong(&key, format!("`{name}` is named twice")),
                Some(other) if !may_share(*field, other) => {
                    let detail = format!("`{name}` is read as {} already", other.code());
                    wrong(&key, detail);
                }
                _ => {}
            }
        }
    }
}

fn is_parameter(name: &str) -> bool {
    let is_allowed = |c: char| !c.is_control() && !c.is_whitespace() && !"&=?#%+\"".contains(c);
    !name.is_empty() && name.len() <= NAME_LENGTH_MAX && name.chars().all(is_allowed)
}

fn check_word(table: &str, word: &str, wrong: &mut impl FnMut(&str, String)) {
    if word.is_empty() || word.len() > NAME_LENGTH_MAX || word.chars().any(char::is_control) {
        wrong(table, format!("`{word}` cannot be a word"));
    }
}

fn check_events(mapping: &Mapping, offer: &Offer, wrong: &mut impl FnMut(&str, String)) {
    for (word, event) in &mapping.events {
        check_word("events", word, wrong);
        if Event::parse(event, &offer.goals).is_none() {
            let detail = format!("`{event}` is neither a built-in event nor a goal of the offer");
            wrong(&format!("events.{word}"), detail);
        }
    }
}

fn check_times(mapping: &Mapping, wrong: &mut impl FnMut(&str, String)) {
    let Some(format) = mapping.timestamp_format.as_deref() else {
        return;
    };
    if let Err(detail) = TimeFormat::check(format) {
        wrong("timestamp_format", format!("`{format}`: {detail}"));
    }
    if format.starts_with("unix") && mapping.time_zone.is_some() {
        wrong("time_zone", format!("times as `{format}` are of no zone"));
    }
}

fn wrong_default(field: Field, value: &str, offer: Option<&Offer>) -> Option<String> {
    if !field.may_have_default() {
        let code = field.code();
        return Some(format!(
            "{code} must come with the postback: it has no default"
        ));
    }
    let is_usable = match field {
        Field::Event => offer.is_none_or(|offer| Event::parse(value, &offer.goals).is_some()),
        Field::Currency => Currency::from_code(value).is_some(),
        Field::Status => Status::parse(value).is_some(),
        Field::Amount | Field::Value | Field::Payout | Field::Quantity => {
            Exact::parse(value).is_some()
        }
        _ => !value.is_empty() && value.len() <= NAME_LENGTH_MAX,
    };
    (!is_usable).then(|| format!("`{value}` cannot be used as {}", field.code()))
}
