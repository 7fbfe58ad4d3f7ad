//! The demo runs to its end as planned, its books balance, and it can be served again.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_postbook");

fn postbook(data: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .arg("--data")
        .arg(data)
        .env_clear()
        .output()
        .expect("the program runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(data: &Path, arguments: &[&str]) -> Value {
    let output = postbook(data, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[test]
fn a_month_is_played_and_its_books_balance() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let data = directory.path();
    let demo = ["demo", "--once", "--listen", "127.0.0.1:0"];
    let played = postbook(data, &demo);
    assert!(played.status.success(), "{played:?}");
    let told = text(&played);
    for word in [
        "bad_credentials",
        "parked",
        "clawed back",
        "curl",
        "northstar",
    ] {
        assert!(told.contains(word), "{word} is missing in:\n{told}");
    }

    let verified = postbook(data, &["verify"]);
    assert!(verified.status.success(), "{verified:?}");

    let balances = json(data, &["balance"]);
    let items = balances["items"].as_array().expect("a list");
    assert_eq!(items.len(), 6, "each partner has earned something");
    for item in items {
        let minor = |key: &str| item[key].as_i64().expect("an amount");
        let have = minor("pending_minor") + minor("held_minor") + minor("payable_minor");
        let come = minor("earned_minor") - minor("reversed_minor") - minor("clawed_back_minor");
        let others = minor("written_off_minor") + minor("adjusted_minor");
        assert_eq!(have + minor("paid_minor"), come + others, "{item}");
    }
    let ada = items
        .iter()
        .find(|item| item["partner"] == "ada")
        .expect("ada is there");
    assert_eq!(
        ada["clawed_back_minor"], 22_000,
        "the deposit that was charged back: {ada}"
    );

    let forged = json(data, &["attempts", "--outcome", "bad_credentials"]);
    assert_eq!(forged["items"].as_array().map(Vec::len), Some(3));

    let replayed = json(data, &["replay"]);
    assert_eq!(replayed["identical"], true);

    let again = postbook(data, &demo);
    assert!(
        again.status.success(),
        "a demo can be served again: {again:?}"
    );
}

#[test]
fn a_directory_with_something_else_in_it_is_refused() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    std::fs::write(directory.path().join("thesis.txt"), "mine").expect("a file can be written");
    let refused = postbook(
        directory.path(),
        &["demo", "--once", "--listen", "127.0.0.1:0"],
    );
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
}
