//! What differs between two mappings of an offer, field by field and word by word.

use postbook_schemas::mapping::Mapping;
use serde_json::Value;

/// What differs, as `fields.click_id subid → clickid, cid`.
pub(super) fn differences(before: &Mapping, now: &Mapping) -> Vec<String> {
    if now.is_none() {
        return vec!["taken away: the standard names hold again".to_owned()];
    }
    let (old, new) = (entries(before), entries(now));
    let mut keys: Vec<&String> = old.iter().chain(&new).map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    let find = |entries: &[(String, String)], key: &str| {
        let found = entries.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.clone())
    };
    keys.into_iter()
        .filter_map(|key| match (find(&old, key), find(&new, key)) {
            (before, now) if before == now => None,
            (None, Some(now)) => Some(format!("{key} = {now}")),
            (Some(before), now) => {
                let now = now.unwrap_or_else(|| "none".to_owned());
                Some(format!("{key} {before} → {now}"))
            }
            (None, None) => None,
        })
        .collect()
}

/// All that a mapping says but its offer, as paths and texts.
fn entries(mapping: &Mapping) -> Vec<(String, String)> {
    let Ok(Value::Object(keys)) = serde_json::to_value(mapping) else {
        return Vec::new();
    };
    let mut entries = Vec::new();
    for (key, value) in keys.into_iter().filter(|(key, _)| key != "offer") {
        match value {
            Value::Object(words) => {
                let words = words.into_iter();
                entries.extend(words.map(|(word, value)| (format!("{key}.{word}"), shown(&value))));
            }
            value => entries.push((key, shown(&value))),
        }
    }
    entries
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(names) if names.is_empty() => "nothing".to_owned(),
        Value::Array(names) => {
            let names: Vec<_> = names.iter().map(shown).collect();
            names.join(" or ")
        }
        value => value.to_string(),
    }
}
