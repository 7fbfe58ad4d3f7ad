//! The committed JSON Schemas are those of the Rust types.

use std::{collections::BTreeSet, fs};

use crate::support::repository::root;

/// Writes what differs, and fails once: the difference is then seen in review.
#[test]
fn committed_schemas_are_those_of_the_types() {
    let folder = root().join("schemas");
    let mut rewritten = Vec::new();
    for (path, content) in postbook_schemas::json_schema::files() {
        let file = folder.join(&path);
        if fs::read_to_string(&file).is_ok_and(|committed| committed == content) {
            continue;
        }
        fs::create_dir_all(file.parent().expect("it lies below schemas/"))
            .expect("schemas/ can be written");
        fs::write(&file, content).expect("schemas/ can be written");
        rewritten.push(path);
    }
    assert!(
        rewritten.is_empty(),
        "these files differed from the types and were rewritten, commit them: {rewritten:?}"
    );
}

#[test]
fn no_schema_is_left_over() {
    let generated: BTreeSet<_> = postbook_schemas::json_schema::files()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    for entry in fs::read_dir(root().join("schemas/facts")).expect("schemas/facts is there") {
        let name = entry.expect("schemas/facts can be listed").file_name();
        let path = format!("facts/{}", name.to_string_lossy());
        assert!(
            generated.contains(&path) || is_of_an_older_version(&path),
            "schemas/{path} belongs to no fact type"
        );
    }
}

/// Schemas of versions that are only read stay for ever.
fn is_of_an_older_version(path: &str) -> bool {
    postbook_schemas::FactType::ALL.iter().any(|fact_type| {
        (1..fact_type.version())
            .any(|version| path == format!("facts/{}.v{version}.schema.json", fact_type.name()))
    })
}
