//! The reference of programme files names every key there is.

use std::collections::BTreeSet;

use postbook_schemas::json_schema;
use serde_json::Value;

const TERMS: &str = include_str!("../../docs/reference/terms.md");

/// All property names anywhere in a schema.
fn keys(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                found.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| keys(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_programme_files_is_explained() {
    let mut found = BTreeSet::new();
    keys(&json_schema::programme_schema(), &mut found);
    assert!(found.len() > 50, "the schema has keys: {found:?}");
    let is_explained = |key: &String| {
        [format!("`{key}`"), format!(".{key}`"), format!("[[{key}]]")]
            .iter()
            .any(|written| TERMS.contains(written.as_str()))
    };
    let missing: Vec<_> = found.iter().filter(|key| !is_explained(key)).collect();
    assert!(
        missing.is_empty(),
        "docs/reference/terms.md lacks {missing:?}"
    );
}
