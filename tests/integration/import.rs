//! `postbook import` through the real binary: broken files, repeats, and a kill in the middle.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_postbook");
const PROGRAMME: &str = include_str!("../data/intake/programme.toml");

fn postbook(directory: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .current_dir(directory.path())
        .env_clear()
        .stdin(Stdio::null());
    command
}

fn run(directory: &TempDir, arguments: &[&str]) -> Output {
    postbook(directory, arguments)
        .output()
        .expect("the program runs")
}

fn begin() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory can be made");
    begin_in(&directory);
    directory
}

fn begin_in(directory: &TempDir) {
    write(directory, "programme.toml", PROGRAMME.as_bytes());
    let applied = run(directory, &["apply", "programme.toml"]);
    assert!(applied.status.success(), "{applied:?}");
}

fn import(directory: &TempDir, kind: &str, file: &str, more: &[&str]) -> Output {
    let mut arguments = vec!["import", kind, file, "--offer", "acme/casino"];
    arguments.extend(more);
    run(directory, &arguments)
}

fn write(directory: &TempDir, name: &str, content: &[u8]) {
    fs::write(directory.path().join(name), content).expect("the file can be written");
}

/// The results without ids, as `row outcome field detail`.
fn results(directory: &TempDir, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_path(directory.path().join(name)).expect("results");
    let rows = reader.records().map(|record| {
        let record = record.expect("a row of results");
        let columns = [0, 1, 4, 5].map(|column| record[column].to_owned());
        columns.join(" ").trim_end().to_owned()
    });
    rows.collect()
}

/// How many facts of each type the log has.
fn facts(directory: &TempDir) -> BTreeMap<String, usize> {
    let output = run(directory, &["events"]);
    let text = String::from_utf8(output.stdout).expect("facts are text");
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let fact: serde_json::Value = serde_json::from_str(line).expect("a fact");
        let name = fact["type"].as_str().expect("a type").to_owned();
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn every_row_of_a_broken_file_has_its_own_result() {
    let directory = begin();
    let long = "x".repeat(70_000);
    let mut file = b"\xef\xbb\xbftxn_id;customer_id;amount;note\r\n".to_vec();
    file.extend(b"1;c1;10.00;fine\r\n");
    file.extend(b"2;c1;\"20.00\";\"two\nlines; and a semicolon\"\r\n");
    file.extend(b"3;c1\r\n");
    file.extend(b"4;c1;40.001;\r\n");
    file.extend(b"\r\n");
    file.extend(b"5;caf\xe9;50.00;latin\r\n");
    file.extend(format!("6;c1;60.00;{long}\r\n").bytes());
    file.extend(b"7;c1;\"70.00;never closed\r\n");
    file.extend(b"8;c1;80.00;after it\r\n");
    file.extend(b"1;c1;10.00;again\r\n");
    file.extend(b"9;c1;90.00;no line feed at the end");
    write(&directory, "june.csv", &file);
    let output = import(&directory, "postbacks", "june.csv", &["--delimiter", ";"]);
    assert_eq!(code(&output), Some(7), "{output:?}");
    assert_eq!(
        results(&directory, "june.csv.results.csv"),
        [
            "2 accepted",
            "3 accepted",
            "5 malformed  2 columns, where the headers have 4",
            "6 invalid_value amount USD has 2 decimals, not 3",
            "8 malformed  the row is not UTF-8: save the file as UTF-8 (it may be Latin-1 or Windows-1252)",
            "9 malformed  the row is longer than 63 KiB",
            "10 malformed  a quote is opened and not closed",
            "11 accepted",
            "12 duplicate",
            "13 accepted",
        ]
    );
    let counts = facts(&directory);
    assert_eq!(counts["revenue.reported"], 4, "{counts:?}");
    assert_eq!(counts["postback.rejected"], 1, "{counts:?}");
}

/// Where the two rows of `a.csv` have been imported.
fn imported() -> TempDir {
    let directory = begin();
    write(&directory, "a.csv", b"txn_id,customer_id\n1,c\n2,c\n");
    let first = import(&directory, "postbacks", "a.csv", &[]);
    assert_eq!(code(&first), Some(0), "{first:?}");
    directory
}

#[test]
fn an_import_that_is_done_is_not_done_again() {
    let directory = imported();
    let before = facts(&directory);
    let again = import(&directory, "postbacks", "a.csv", &[]);
    assert_eq!(code(&again), Some(0), "{again:?}");
    assert_eq!(facts(&directory), before);
    // Without its results it is done again, and nothing counts twice.
    fs::remove_file(directory.path().join("a.csv.results.csv")).expect("it can be removed");
    let anew = import(&directory, "postbacks", "a.csv", &["--json"]);
    assert_eq!(code(&anew), Some(0), "{anew:?}");
    let summary: serde_json::Value = serde_json::from_slice(&anew.stdout).expect("JSON");
    assert_eq!(summary["outcomes"], serde_json::json!({"duplicate": 2}));
    assert_eq!(facts(&directory)["revenue.reported"], 2);
}

/// Rows of a log that was removed counted as taken, and a new one in its place never got them.
#[test]
fn results_of_a_log_that_is_gone_are_not_gone_on_with() {
    let directory = imported();
    fs::remove_dir_all(directory.path().join("postbook-data")).expect("it can be removed");
    begin_in(&directory);
    let refused = import(&directory, "postbacks", "a.csv", &[]);
    assert_eq!(code(&refused), Some(3), "{refused:?}");
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(why.contains("of another log that was in"), "{why}");
    let anew = import(&directory, "postbacks", "a.csv", &["--results", "b.csv"]);
    assert_eq!(code(&anew), Some(0), "{anew:?}");
    assert_eq!(facts(&directory)["revenue.reported"], 2);
}

#[test]
fn results_of_something_else_are_not_added_to() {
    let directory = begin();
    write(&directory, "a.csv", b"txn_id,customer_id\n1,c\n");
    write(&directory, "b.csv", b"txn_id,customer_id\n2,c\n");
    let results = ["--results", "r.csv"];
    assert_eq!(
        code(&import(&directory, "postbacks", "a.csv", &results)),
        Some(0)
    );
    let other = import(&directory, "postbacks", "b.csv", &results);
    assert_eq!(code(&other), Some(3), "{other:?}");
    let dry = import(
        &directory,
        "postbacks",
        "a.csv",
        &["--results", "r.csv", "--dry-run"],
    );
    assert_eq!(code(&dry), Some(3), "{dry:?}");
    let offer = [
        "import",
        "postbacks",
        "a.csv",
        "--offer",
        "acme/yen",
        "--results",
        "r.csv",
    ];
    assert_eq!(code(&run(&directory, &offer)), Some(3));
}

#[test]
fn clicks_come_from_columns_and_from_lines() {
    let directory = begin();
    write(
        &directory,
        "clicks.csv",
        b"id,when,link,sub1,utm_source,colour\na,2026-01-01T00:00:00Z,abc,s,news,red\n\
          b,yesterday,abc,,,\n",
    );
    let columns = ["--column", "click_id=id", "--column", "occurred_at=when"];
    let output = import(&directory, "clicks", "clicks.csv", &columns);
    assert_eq!(code(&output), Some(7), "{output:?}");
    let told = results(&directory, "clicks.csv.results.csv");
    assert_eq!(told[0], "2 recorded");
    assert!(told[1].starts_with("3 malformed"), "{told:?}");
    let lines = "{\"click_id\":\"c\",\"partner\":\"p1\",\"parameters\":{\"sub1\":\"s\"}}\n\
                 {\"click_id\":\"a\",\"link\":\"abc\"}\n{\"click_id\":\"d\",\"colour\":\"red\"}\n[1]\n";
    write(&directory, "clicks.ndjson", lines.as_bytes());
    let output = import(&directory, "clicks", "clicks.ndjson", &[]);
    assert_eq!(code(&output), Some(7), "{output:?}");
    let told = results(&directory, "clicks.ndjson.results.csv");
    assert_eq!(told[..2], ["1 recorded", "2 duplicate"]);
    assert!(told[2].contains("colour"), "{told:?}");
    assert!(told[3].contains("not a JSON object"), "{told:?}");
    assert_eq!(facts(&directory)["click.recorded"], 2);
}

#[test]
fn a_file_that_cannot_be_imported_is_refused_before_anything_is_done() {
    let directory = begin();
    for (name, content, more) in [
        ("empty.csv", &b""[..], &[][..]),
        ("twice.csv", b"a,a\n1,2\n", &[]),
        ("what.xlsx", b"a\n", &[]),
        ("a.csv", b"txn_id\n1\n", &["--mapping", "nothing.toml"]),
        ("b.csv", b"txn_id\n1\n", &["--column", "txn_id"]),
        ("c.csv", b"txn_id\n1\n", &["--delimiter", ";;"]),
    ] {
        write(&directory, name, content);
        let output = import(&directory, "postbacks", name, more);
        assert_eq!(code(&output), Some(2), "{name}: {output:?}");
    }
    let missing = import(&directory, "postbacks", "nowhere.csv", &[]);
    assert_eq!(code(&missing), Some(1), "{missing:?}");
    // An empty file of lines has no rows, which is no mistake.
    write(&directory, "empty.ndjson", b"");
    assert_eq!(
        code(&import(&directory, "postbacks", "empty.ndjson", &[])),
        Some(0)
    );
}

#[test]
fn a_mapping_file_says_which_column_carries_which_field() {
    let directory = begin();
    write(
        &directory,
        "m.toml",
        b"[columns]\ntxn_id = \"Order\"\ncustomer_id = \"User\"\n",
    );
    write(&directory, "a.csv", b"Order,User,Total\n1,c,3.50\n");
    let more = ["--mapping", "m.toml", "--column", "amount=Total"];
    let output = import(&directory, "postbacks", "a.csv", &more);
    assert_eq!(code(&output), Some(0), "{output:?}");
    let kept = String::from_utf8(run(&directory, &["events"]).stdout).expect("text");
    let last = kept.lines().last().expect("a fact");
    assert!(last.contains("\"amount_minor\":350"), "{last}");
    assert!(last.contains("\"customer_id\":\"c\""), "{last}");
}

/// A file of an archive whose columns and words are another system's than the live sender's.
const ARCHIVE: &str = "[[mapping]]\noffer = \"acme/casino\"\n\
    fields = { txn_id = \"Order\", customer_id = \"User\", amount = \"Total\", event = \"What\", timestamp = \"Day\" }\n\
    decimal_separator = \",\"\nevents = { Kauf = \"sale\", Storno = \"refund\" }\n\
    timestamp_format = \"%d.%m.%Y\"\n";

#[test]
fn a_file_may_bring_a_mapping_of_its_own() {
    let directory = begin();
    write(&directory, "archive.toml", ARCHIVE.as_bytes());
    let wrong = ARCHIVE
        .replace("\"Total\"", "\"Sum\"")
        .replace("Kauf", "Buy");
    write(&directory, "wrong.toml", wrong.as_bytes());
    write(
        &directory,
        "a.csv",
        b"Order,User,Total,What,Day\n1,c,\"3,50\",kauf,01.02.2026\n1,c,\"3,50\",Kauf,01.02.2026\n1,c,\"1,00\",Storno,02.02.2026\n1,c,\"4,00\",Kauf,01.02.2026\n",
    );
    let dry = [
        "--mapping",
        "wrong.toml",
        "--dry-run",
        "--results",
        "dry.csv",
    ];
    assert_eq!(
        code(&import(&directory, "postbacks", "a.csv", &dry)),
        Some(7)
    );
    let told = results(&directory, "dry.csv");
    assert!(told[0].starts_with("2 invalid_value event"), "{told:?}");
    // What a dry run says is what comes, repeats and refunds within the file too.
    let expected = [
        "2 accepted",
        "3 duplicate",
        "4 accepted",
        "5 duplicate  it says something else than the first",
    ];
    let dry = [
        "--mapping",
        "archive.toml",
        "--dry-run",
        "--results",
        "dry2.csv",
    ];
    assert_eq!(
        code(&import(&directory, "postbacks", "a.csv", &dry)),
        Some(0)
    );
    assert_eq!(results(&directory, "dry2.csv"), expected);
    let own = ["--mapping", "archive.toml"];
    assert_eq!(
        code(&import(&directory, "postbacks", "a.csv", &own)),
        Some(0)
    );
    assert_eq!(results(&directory, "a.csv.results.csv"), expected);
    let kept = String::from_utf8(run(&directory, &["events"]).stdout).expect("text");
    let first = kept.lines().find(|line| line.contains("revenue.reported"));
    let first: serde_json::Value = serde_json::from_str(first.expect("a sale")).expect("a fact");
    assert_eq!(first["data"]["amount_minor"], 350);
    assert_eq!(first["occurred_at"], "2026-02-01T00:00:00.000000Z");
    let used = &first["data"]["attempt"]["mapping"];
    assert_eq!(used["position"], serde_json::Value::Null);
    assert_eq!(used["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(used["words"]["event"], "kauf");
    assert_eq!(first["data"]["attempt"]["imported"]["row"], 2);
    // Nothing else is read in this way, and results of another mapping are not gone on with.
    let other = import(&directory, "postbacks", "a.csv", &[]);
    assert_eq!(code(&other), Some(3), "{other:?}");
    let clicks = import(&directory, "clicks", "a.csv", &own);
    assert_eq!(code(&clicks), Some(2), "{clicks:?}");
}

#[test]
fn a_mapping_that_cannot_be_used_is_told_and_can_be_mended() {
    let directory = begin();
    write(&directory, "a.csv", b"Order,User\n1,c\n");
    for mapping in [
        "[[mapping]]\noffer = \"acme/nothing\"\n",
        "[[mapping]]\noffer = \"acme/casino\"\nfields = { nothing = \"x\" }\n",
        "[[mapping]]\noffer = \"acme/yen\"\nfields = { txn_id = \"Order\" }\n",
    ] {
        write(&directory, "m.toml", mapping.as_bytes());
        let output = import(&directory, "postbacks", "a.csv", &["--mapping", "m.toml"]);
        assert_eq!(code(&output), Some(3), "{mapping}: {output:?}");
    }
    let right = "[[mapping]]\noffer = \"acme/casino\"\nfields = { txn_id = \"Order\", customer_id = \"User\" }\n";
    write(&directory, "m.toml", right.as_bytes());
    let output = import(&directory, "postbacks", "a.csv", &["--mapping", "m.toml"]);
    assert_eq!(code(&output), Some(0), "{output:?}");
}

/// Killed between two batches or within one, an import that is run again completes: every row has
/// one result, and every transaction is in the log once.
#[test]
fn an_import_that_is_killed_goes_on_where_it_was() {
    const ROWS: usize = 8_000;
    let directory = begin();
    let mut text = "txn_id,customer_id,amount\n".to_owned();
    for row in 0..ROWS {
        // Every tenth row has nothing to tell it by but its place in the file.
        let txn = if row % 10 == 0 {
            String::new()
        } else {
            row.to_string()
        };
        writeln!(text, "{txn},c{row},1.00").expect("a text takes more text");
    }
    write(&directory, "big.csv", text.as_bytes());
    let results_path = directory.path().join("big.csv.results.csv");
    let mut kills = 0;
    for goal in [500, 3_000, 5_500] {
        let arguments = ["import", "postbacks", "big.csv", "--offer", "acme/casino"];
        let mut running = postbook(&directory, &arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        wait_for_lines(&results_path, goal, &mut running);
        if running.try_wait().expect("it can be asked").is_none() {
            kills += 1;
            running.kill().expect("it can be killed");
        }
        running.wait().expect("it ends");
    }
    assert!(kills > 0, "it was done before it could be killed");
    let last = import(&directory, "postbacks", "big.csv", &[]);
    assert_eq!(code(&last), Some(0), "{last:?}");
    let rows: Vec<usize> = results(&directory, "big.csv.results.csv")
        .iter()
        .map(|line| {
            line.split(' ')
                .next()
                .expect("a row")
                .parse()
                .expect("a number")
        })
        .collect();
    assert!(
        rows.iter().copied().eq(2..ROWS + 2),
        "each row has one result, in order"
    );
    let counts = facts(&directory);
    assert_eq!(counts["revenue.reported"], ROWS, "{counts:?}");
}

fn wait_for_lines(path: &Path, count: usize, running: &mut std::process::Child) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let lines = fs::read(path).map_or(0, |bytes| line_feeds(&bytes));
        let has_ended = running.try_wait().expect("it can be asked").is_some();
        if lines >= count || has_ended {
            return;
        }
        let now = Instant::now();
        assert!(now < deadline, "only {lines} results in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn line_feeds(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count().saturating_sub(1)
}
