//! The documents keep what they promise: complete, in order, with examples that are true.

use std::{collections::BTreeSet, process::Command};

use postbook::store::postgres::Server;
use postbook_schemas::{Envelope, FactType, Outcome, ZeroReason, json_schema::fact_schema};
use serde_json::Value;

use crate::support::repository::{documents, read, root, rust_files};

/// The text below each heading of the given depth, in order.
fn sections(text: &str, depth: usize) -> Vec<(String, String)> {
    let mark = format!("{} ", "#".repeat(depth));
    let mut found: Vec<(String, String)> = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if let Some(title) = line.strip_prefix(&mark).filter(|_| !fenced) {
            found.push((title.trim_matches('`').to_owned(), String::new()));
        } else if let Some((_, body)) = found.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    found
}

/// The fenced blocks of a language.
pub(crate) fn blocks(text: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    text.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once("\n```"))
        .map(|(block, _)| block.to_owned())
        .collect()
}

fn titles(path: &str, depth: usize) -> Vec<String> {
    sections(&read(path), depth)
        .into_iter()
        .map(|(title, _)| title)
        .collect()
}

#[test]
fn facts_have_a_heading_each_in_order() {
    let expected: Vec<_> = FactType::ALL.iter().map(|one| one.name()).collect();
    assert_eq!(titles("docs/reference/facts.md", 3), expected);
}

#[test]
fn outcomes_have_a_heading_each_in_order_of_precedence() {
    let expected: Vec<_> = Outcome::ALL.iter().map(|one| one.code()).collect();
    assert_eq!(titles("docs/reference/outcomes.md", 2), expected);
}

#[test]
fn outcomes_name_their_status_and_code() {
    for (outcome, (_, text)) in Outcome::ALL
        .iter()
        .zip(sections(&read("docs/reference/outcomes.md"), 2))
    {
        let status = format!("HTTP {}", outcome.http_status());
        assert!(
            text.contains(&status),
            "{} lacks `{status}`",
            outcome.code()
        );
        for block in blocks(&text, "json") {
            let answer: Value = serde_json::from_str(&block)
                .unwrap_or_else(|error| panic!("{}: {error}", outcome.code()));
            if outcome.is_rejection() {
                assert_eq!(answer["code"], outcome.code());
                assert_eq!(answer["status"], outcome.http_status());
                assert_eq!(answer["title"], postbook::intake::answer::title(*outcome));
            }
        }
    }
}

#[test]
fn zero_reasons_have_a_heading_each_in_order() {
    let expected: Vec<_> = ZeroReason::ALL.iter().map(|one| one.code()).collect();
    assert_eq!(titles("docs/reference/zero-reasons.md", 2), expected);
}

#[test]
fn every_fact_has_an_example_that_is_one() {
    for (fact_type, (_, text)) in FactType::ALL
        .iter()
        .zip(sections(&read("docs/reference/facts.md"), 3))
    {
        let name = fact_type.name();
        let examples = blocks(&text, "json");
        assert!(!examples.is_empty(), "{name} has no example");
        let schema = jsonschema::validator_for(&fact_schema(*fact_type))
            .unwrap_or_else(|error| panic!("the schema of {name}: {error}"));
        for example in examples {
            let value: Value =
                serde_json::from_str(&example).unwrap_or_else(|error| panic!("{name}: {error}"));
            let problems: Vec<_> = schema
                .iter_errors(&value)
                .map(|error| format!("{error} at {}", error.instance_path()))
                .collect();
            assert!(problems.is_empty(), "{name}: {problems:?}");
            let line = value.to_string();
            let envelope =
                Envelope::decode(line.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(envelope.fact.fact_type(), *fact_type);
        }
    }
}

#[test]
fn every_field_of_every_fact_is_explained() {
    for (fact_type, (_, text)) in FactType::ALL
        .iter()
        .zip(sections(&read("docs/reference/facts.md"), 3))
    {
        let schema = fact_schema(*fact_type);
        let fields = schema["properties"]["data"]["properties"]
            .as_object()
            .unwrap_or_else(|| panic!("{} has no fields", fact_type.name()));
        for field in fields.keys() {
            assert!(
                text.contains(&format!("| `{field}` |")),
                "{} does not explain `{field}`",
                fact_type.name()
            );
        }
    }
}

/// An invariant that names no test is a wish.
#[test]
fn every_column_of_the_read_models_is_explained() {
    let text = read("docs/reference/read-models.md");
    let explained = sections(&text, 3);
    let mut tables = Vec::new();
    for table in read("src/tables/schema.sql").split("CREATE TABLE ").skip(1) {
        let (name, columns) = table.split_once(" (\n").expect("a table");
        let (columns, _) = columns.split_once("\n)").expect("an end");
        let text = explained.iter().find(|(title, _)| title == name);
        let (_, text) = text.unwrap_or_else(|| panic!("{name} is not explained"));
        let words = columns
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        for column in words.filter(|word| word.starts_with(char::is_lowercase)) {
            let row = format!("| `{column}` | ");
            assert!(text.contains(&row), "{name}.{column} is not explained");
        }
        tables.push(name.to_owned());
    }
    let titles: Vec<_> = explained.into_iter().map(|(title, _)| title).collect();
    assert_eq!(titles, tables);
    for view in read("src/tables/views.sql").split("CREATE VIEW ").skip(1) {
        let name = view.split_whitespace().next().expect("a name");
        assert!(
            text.contains(&format!("| `{name}` | ")),
            "{name} is not explained"
        );
    }
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let sources = rust_files();
    let text = read("docs/architecture.md");
    let invariants: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("**Invariant "))
        .collect();
    assert!(invariants.len() >= 10, "the invariants are gone");
    for (index, line) in invariants.iter().enumerate() {
        assert!(
            line.starts_with(&format!("**Invariant {}", index + 1)),
            "out of order: {line}"
        );
    }
    for (title, body) in sections_after(&text, "**Invariant ") {
        let named: Vec<_> = body
            .split('`')
            .filter(|word| word.contains("::") && !word.contains(' '))
            .filter_map(|word| word.rsplit("::").next())
            .collect();
        let exists = |test: &str| {
            let function = format!("fn {test}(");
            let module = format!("mod {test};");
            sources
                .iter()
                .any(|file| file.text.contains(&function) || file.text.contains(&module))
        };
        assert!(!named.is_empty(), "names no test: {title}");
        for test in named {
            assert!(exists(test), "{title} names `{test}`, which is not there");
        }
    }
}

/// The paragraphs that begin with a mark: first line, and all up to the next blank line.
fn sections_after(text: &str, mark: &str) -> Vec<(String, String)> {
    text.split("\n\n")
        .filter(|paragraph| paragraph.starts_with(mark))
        .map(|paragraph| {
            let title = paragraph.lines().next().unwrap_or_default().to_owned();
            (title, paragraph.to_owned())
        })
        .collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for file in documents() {
        let folder = root().join(&file.path);
        let folder = folder.parent().expect("a file lies in a folder");
        for target in file.text.split("](").skip(1) {
            let target = target.split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !target.contains("://") && !folder.join(path).exists() {
                broken.push(format!("{}: {target}", file.path));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A walkthrough that names a file which was moved leads nowhere.
#[test]
fn paths_in_the_documents_exist() {
    const FOLDERS: [&str; 7] = [
        "src/",
        "schemas/",
        "projections/",
        "tests/",
        "benches/",
        "docs/",
        ".ci/",
    ];
    let mut missing = Vec::new();
    for file in documents() {
        for word in file.text.split('`').skip(1).step_by(2) {
            let is_path = FOLDERS.iter().any(|folder| word.starts_with(folder))
                && !word.contains(|c: char| c.is_whitespace() || "*{}<>…".contains(c));
            if is_path && !root().join(word).exists() {
                missing.push(format!("{}: {word}", file.path));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_document_has_one_title() {
    for file in documents() {
        assert_eq!(
            sections(&file.text, 1).len(),
            1,
            "{} must have one `# Title`",
            file.path
        );
    }
}

#[test]
fn the_changelog_lists_versions_newest_first() {
    let versions = titles("CHANGELOG.md", 2);
    assert_eq!(versions.first().map(String::as_str), Some("Unreleased"));
    for (title, body) in sections(&read("CHANGELOG.md"), 2) {
        for (kind, entries) in sections(&body, 3) {
            const KINDS: [&str; 6] = [
                "Added",
                "Changed",
                "Deprecated",
                "Removed",
                "Fixed",
                "Security",
            ];
            assert!(KINDS.contains(&kind.as_str()), "{title}: {kind}");
            assert!(entries.contains("- "), "{title}: {kind} is empty");
        }
    }
}

#[test]
fn every_area_of_tests_is_described() {
    let (modules, described) = (read("tests/integration/main.rs"), read("tests/README.md"));
    for line in modules.lines() {
        if let Some(name) = line
            .strip_prefix("mod ")
            .and_then(|rest| rest.strip_suffix(';'))
        {
            assert!(
                described.contains(&format!("`{name}`")),
                "tests/README.md lacks {name}"
            );
        }
    }
}

#[test]
fn every_endpoint_is_in_the_reference() {
    let described = postbook::http::v1::openapi::document();
    let described: Value = serde_json::from_str(&described).expect("OpenAPI is JSON");
    let reference = read("docs/reference/http.md");
    for (path, methods) in described["paths"].as_object().expect("there are paths") {
        for method in methods.as_object().expect("a path has methods").keys() {
            let line = format!("`{} {path}`", method.to_uppercase());
            assert!(
                reference.contains(&line),
                "docs/reference/http.md lacks {line}"
            );
        }
    }
}

#[test]
fn every_metric_is_explained() {
    let meters = read("src/meters.rs") + &read("src/meters/network.rs");
    let operating = read("docs/operating.md");
    let names: BTreeSet<_> = meters
        .split('"')
        .filter(|text| text.starts_with("postbook_"))
        .collect();
    assert!(!names.is_empty(), "the meters are elsewhere now");
    for name in names {
        assert!(
            operating.contains(&format!("`{name}")),
            "docs/operating.md lacks {name}"
        );
    }
}

/// Verbs that README and documents name are verbs that the program has.
#[test]
fn commands_in_the_documents_exist() {
    let mut verbs = BTreeSet::new();
    for file in documents() {
        for block in blocks(&file.text, "sh") {
            verbs.extend(block.lines().filter_map(postbook_verb).map(str::to_owned));
        }
    }
    assert!(
        verbs.contains("demo") && verbs.contains("serve"),
        "{verbs:?}"
    );
    for verb in verbs {
        let status = Command::new(env!("CARGO_BIN_EXE_postbook"))
            .args([&verb, "--help"])
            .output()
            .expect("the program starts")
            .status;
        assert!(status.success(), "`postbook {verb}` does not exist");
    }
}

/// The verb that a line of shell gives to the program.
fn postbook_verb(line: &str) -> Option<&str> {
    let line = line.trim_start_matches("$ ");
    let rest = line
        .split_once("postbook ")
        .map(|(_, rest)| rest)
        .filter(|_| !line.starts_with("cargo"))
        .or_else(|| line.strip_prefix("cargo run --release -- "))?;
    let verb = rest.split_whitespace().next()?;
    verb.bytes().all(|b| b.is_ascii_lowercase()).then_some(verb)
}

#[test]
fn compose_files_set_variables_that_there_are_to_values_that_can_be_read() {
    let known = read("docs/reference/configuration.md");
    for name in ["server", "cluster"] {
        let text = read(&format!("docs/operating/{name}.compose.yaml"));
        let settings = text.lines().filter_map(|line| line.trim().split_once(": "));
        let settings: Vec<_> = settings
            .filter(|(variable, _)| variable.starts_with("POSTBOOK_"))
            .collect();
        assert!(settings.len() >= 5, "{name}: {settings:?}");
        for (variable, value) in settings {
            assert!(known.contains(&format!("| `{variable}` |")), "{variable}");
            let value = value.replace("${POSTGRES_PASSWORD:?}", "secret");
            if value.starts_with("postgres:") {
                Server::parse(&value).expect("the URL is one");
            }
        }
    }
}
