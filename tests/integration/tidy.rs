//! The structural invariants of `docs/architecture.md`, one test each.

use std::fmt::Write as _;

use crate::support::repository::{SourceFile, code, files, has_word, read, root, rust_files};

/// Longest file, in lines.
const LINES_MAX: usize = 400;
/// Longest file of tests or benchmarks, in lines.
const TEST_LINES_MAX: usize = 800;
/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] =
    &[("schemas/src/terms.rs", "one flat list of the keys of terms")];

/// Licences that may be linked in; the same list stands in `.deny.toml`.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Fails with all findings at once, so that one run shows all there is to mend.
fn assert_none(what: &str, findings: &[String]) {
    let mut list = String::new();
    for finding in findings {
        write!(list, "\n  {finding}").expect("a text takes more text");
    }
    assert!(findings.is_empty(), "{what}:{list}");
}

/// Lines of code in these files for which `is_wrong` holds, as `path:line: text`.
fn wrong_lines(files: &[SourceFile], is_wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            if is_wrong(&file.path, code(line)) {
                findings.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
            }
        }
    }
    findings
}

fn rust_files_below(folders: &[&str]) -> Vec<SourceFile> {
    let is_below = |path: &str| folders.iter().any(|folder| path.starts_with(folder));
    let below: Vec<_> = rust_files()
        .into_iter()
        .filter(|file| is_below(&file.path))
        .collect();
    assert!(!below.is_empty(), "nothing found below {folders:?}");
    below
}

#[test]
fn every_rust_file_opens_with_its_responsibility() {
    let findings: Vec<_> = rust_files()
        .into_iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.path)
        .collect();
    assert_none("files that do not open with a `//!` line", &findings);
}

#[test]
fn no_file_is_long() {
    let mut findings = Vec::new();
    for file in rust_files() {
        let is_test =
            file.path.starts_with("benches/") || format!("/{}", file.path).contains("/tests/");
        let allowed = if is_test { TEST_LINES_MAX } else { LINES_MAX };
        let lines = file.text.lines().count();
        let excused = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        if lines > allowed && !excused {
            findings.push(format!("{}: {lines} lines, {allowed} allowed", file.path));
        }
        if lines <= allowed && excused {
            findings.push(format!("{}: no longer needs its excuse", file.path));
        }
    }
    for (path, _) in LONG_FILES {
        assert!(
            root().join(path).exists(),
            "{path} is excused and not there"
        );
    }
    assert_none("long files", &findings);
}

#[test]
fn the_core_names_no_runtime_driver_or_randomness() {
    const BANNED: &[&str] = &[
        "tokio",
        "sqlx",
        "axum",
        "hyper",
        "rand",
        "reqwest",
        "async-std",
        "mio",
        "getrandom",
    ];
    for manifest in ["schemas/Cargo.toml", "projections/Cargo.toml"] {
        let manifest_toml: toml::Table =
            toml::from_str(&read(manifest)).expect("a manifest is TOML");
        let dependencies = manifest_toml["dependencies"]
            .as_table()
            .expect("the core has dependencies");
        for name in dependencies.keys() {
            assert!(!BANNED.contains(&name.as_str()), "{manifest} names {name}");
        }
    }
}

#[test]
fn dependencies_point_down() {
    let schemas = wrong_lines(&rust_files_below(&["schemas/src/"]), |_, code| {
        has_word(code, "postbook_projections") || has_word(code, "postbook")
    });
    assert_none("`schemas` knows nobody", &schemas);
    let projections = wrong_lines(&rust_files_below(&["projections/src/"]), |_, code| {
        has_word(code, "postbook")
    });
    assert_none("`projections` knows only `schemas`", &projections);
}

#[test]
fn nothing_below_the_faces_knows_them() {
    let below: Vec<_> = rust_files_below(&["src/"])
        .into_iter()
        .filter(|file| {
            let is_face = ["src/http/", "src/cli/", "src/ui/"]
                .iter()
                .any(|face| file.path.starts_with(face));
            !is_face && file.path != "src/lib.rs" && file.path != "src/main.rs"
        })
        .collect();
    let findings = wrong_lines(&below, |_, code| {
        ["crate::http", "crate::cli", "crate::ui"]
            .iter()
            .any(|face| has_word(code, face))
    });
    assert_none("files below HTTP, CLI and UI that name them", &findings);
    let http = wrong_lines(&rust_files_below(&["src/http/"]), |_, code| {
        has_word(code, "crate::cli")
    });
    assert_none("HTTP that names the command line", &http);
}

#[test]
fn one_file_names_the_concrete_stores() {
    let findings = wrong_lines(&rust_files_below(&["src/"]), |path, code| {
        let is_named = [
            "MemoryStore",
            "SqliteStore",
            "PostgresStore",
            "KurrentStore",
        ]
        .iter()
        .any(|store| has_word(code, store));
        // A store names itself, and KurrentDB's its mirror.
        let is_its_own = path == "src/store/memory.rs"
            || path.starts_with("src/store/sqlite")
            || path.starts_with("src/store/postgres")
            || path.starts_with("src/store/kurrent");
        is_named && !is_its_own && path != "src/store/open.rs"
    });
    assert_none(
        "files besides src/store/open.rs that name a store",
        &findings,
    );
}

#[test]
fn one_file_reads_the_clock() {
    let findings = wrong_lines(
        &rust_files_below(&["src/", "schemas/src/", "projections/src/"]),
        |path, code| {
            let reads = ["SystemTime::now", "Utc::now", "Local::now", "Uuid::now_v7"]
                .iter()
                .any(|call| has_word(code, call));
            reads && path != "src/clock.rs"
        },
    );
    assert_none("files besides src/clock.rs that read the clock", &findings);
}

#[test]
fn no_float_is_in_the_core() {
    let findings = wrong_lines(
        &rust_files_below(&["schemas/src/", "projections/src/"]),
        |_, code| has_word(code, "f32") || has_word(code, "f64"),
    );
    assert_none("floats in the core", &findings);
}

#[test]
fn nothing_is_left_to_do_in_comments() {
    // Written so that this file does not find itself.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("X", "XX"),
    ];
    let mut findings = Vec::new();
    for file in rust_files() {
        for (index, line) in file.text.lines().enumerate() {
            if marks.iter().any(|mark| has_word(line, mark)) {
                findings.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
            }
        }
    }
    assert_none("reminders that belong in an issue", &findings);
}

#[test]
fn no_file_names_a_machine_or_a_registry_mirror() {
    let marks = [
        concat!("/", "root/"),
        concat!("/", "home/"),
        concat!("/", "Users/"),
        concat!("/", "work/"),
    ];
    let mut findings = Vec::new();
    for file in files() {
        for (index, line) in file.text.lines().enumerate() {
            let foreign_registry = file.path == "Cargo.lock"
                && line.starts_with("source = ")
                && line != r#"source = "registry+https://github.com/rust-lang/crates.io-index""#;
            if foreign_registry || marks.iter().any(|mark| line.contains(mark)) {
                findings.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
            }
        }
    }
    assert_none(
        "paths of one machine, or registries besides crates.io",
        &findings,
    );
}

#[test]
fn every_licence_is_on_the_list() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo runs, since it runs this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata answers JSON");
    let linked: std::collections::BTreeSet<_> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("the graph is resolved")
        .iter()
        .map(|node| &node["id"])
        .filter_map(serde_json::Value::as_str)
        .collect();
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().expect("there are packages") {
        let licence = package["license"].as_str().unwrap_or("(none)");
        let is_linked = package["id"].as_str().is_some_and(|id| linked.contains(id));
        if is_linked && !is_allowed(licence) {
            findings.push(format!(
                "{} {}: {licence}",
                package["name"], package["version"]
            ));
        }
    }
    assert_none("licences that are not on the list", &findings);
    let deny = read(".deny.toml");
    for licence in LICENCES {
        let name = licence.trim_end_matches(" WITH LLVM-exception");
        assert!(
            deny.contains(&format!("\"{name}")),
            ".deny.toml lacks {licence}"
        );
    }
}

/// Whether an SPDX expression can be met: each part between ANDs offers a licence of the list. Read
/// without its brackets this asks for more than the expression does, never for less.
fn is_allowed(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], "").replace('/', " OR ");
    flat.split(" AND ")
        .all(|part| part.split(" OR ").any(|one| LICENCES.contains(&one.trim())))
}
