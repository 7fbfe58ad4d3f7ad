//! The parameters of a kept request, as far as they can be read.

use std::collections::BTreeMap;

use postbook_schemas::RawRequest;
use serde_json::value::RawValue;

use crate::intake::{fields::pairs, mapping::Rules};

/// Longest value that is shown, in characters; the whole one is in the request.
const RECEIVED_LENGTH_MAX: usize = 200;

/// The parameters by their names; nested ones by their paths, where a mapping leads there.
pub(super) fn parameters(request: &RawRequest, rules: Option<&Rules>) -> BTreeMap<String, String> {
    let mut received = BTreeMap::new();
    if let Some(query) = &request.query {
        add_pairs(query, &mut received);
    }
    let Some(body) = &request.body else {
        return received;
    };
    if body.trim_start().starts_with('{') {
        add_members("", body, rules, &mut received);
    } else if body.contains('=') {
        add_pairs(body, &mut received);
    }
    received
}

fn add_pairs(text: &str, received: &mut BTreeMap<String, String>) {
    for (name, value) in pairs::split(text) {
        let decoded = |text: &str| pairs::decode(text).map_or(text.to_owned(), Into::into);
        received.insert(decoded(name), shown(&decoded(value)));
    }
}

fn add_members(
    prefix: &str,
    object: &str,
    rules: Option<&Rules>,
    received: &mut BTreeMap<String, String>,
) {
    // Numbers are shown by their text: 49.90 is not 49.9.
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(object).unwrap_or_default();
    for (name, raw) in members {
        let path = format!("{prefix}{name}");
        let is_object = raw.get().starts_with('{');
        if is_object && rules.is_some_and(|rules| rules.leads_below(&path)) {
            add_members(&format!("{path}."), raw.get(), rules, received);
            continue;
        }
        let text = serde_json::from_str::<String>(raw.get()).ok();
        let text = text.unwrap_or_else(|| raw.get().to_owned());
        received.insert(path, shown(&text));
    }
}

fn shown(text: &str) -> String {
    if text.chars().count() <= RECEIVED_LENGTH_MAX {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(RECEIVED_LENGTH_MAX).collect();
    beginning + "…"
}
