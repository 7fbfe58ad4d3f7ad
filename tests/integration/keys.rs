//! A log is opened with the secrets that belong to it, and with no others.
//!
//! `--log sqlite:DIR` used to take the secrets of `--data`, and to make them where there were none: ids of
//! clicks that were given out before found nothing, and a click after that spoilt the log for good.
#![expect(
    clippy::unwrap_used,
    reason = "what several tests do is in functions of its own"
)]

use std::{fs, path::Path, process::Output, sync::Arc};

use postbook::store::{
    LogStore, StoreError,
    open::{self, Location},
};
use postbook_schemas::ClickIdKey;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{
    facts::{click, keyed},
    postgres::Schema,
    process::{Place, SHOP},
    stores::{at, click_ids},
};

fn other_key() -> Arc<ClickIdKey> {
    Arc::new(ClickIdKey::new(&[8; 32]))
}

/// Both ways of opening a log, under a key.
async fn both(
    location: &Location,
    key: fn() -> Arc<ClickIdKey>,
) -> [Result<Arc<dyn LogStore>, StoreError>; 2] {
    let read = open::open_to_read(location, key()).await;
    [read, open::open(location, key()).await]
}

async fn assert_opens(location: &Location) {
    for opened in both(location, click_ids).await {
        opened.expect("the log opens").close().await;
    }
}

async fn assert_refused(location: &Location) {
    for opened in both(location, other_key).await {
        assert!(matches!(opened, Err(StoreError::OtherKeys)), "{opened:?}");
    }
}

/// A log with these facts, made under the right key.
async fn log(location: &Location, facts: Vec<postbook::store::Append>) {
    let store = open::open(location, click_ids()).await.unwrap();
    if !facts.is_empty() {
        store.append(facts, at(0)).await.unwrap();
    }
    store.close().await;
}

/// Makes the log one of an earlier version, which does not say whose click ids it has.
async fn forget(directory: &Path) {
    let options = SqliteConnectOptions::new().filename(directory.join("log.sqlite"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let forget = sqlx::raw_sql("DELETE FROM meta WHERE name = 'click_id_of_0'");
    let forgotten = forget.execute(&mut connection).await.unwrap();
    assert_eq!(forgotten.rows_affected(), 1);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn an_embedded_log_opens_with_its_own_key_only() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::Directory(directory.path().to_owned());
    log(&location, Vec::new()).await;
    assert_refused(&location).await;
    log(&location, vec![keyed(1), keyed(2), click(3), click(4)]).await;
    assert_refused(&location).await;
    assert_opens(&location).await;
    forget(directory.path()).await;
    assert_refused(&location).await;
    assert_opens(&location).await;
    // It was marked again when it was opened to write.
    forget(directory.path()).await;
}

#[tokio::test]
async fn an_older_log_without_clicks_takes_the_key_that_it_is_opened_with() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::Directory(directory.path().to_owned());
    log(&location, vec![keyed(1)]).await;
    forget(directory.path()).await;
    assert_opens(&location).await;
    assert_refused(&location).await;
}

#[tokio::test]
async fn a_log_on_a_server_opens_with_its_own_key_only() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let data = tempfile::tempdir().unwrap();
    let location = Location::choose(Some(&schema.url()), data.path()).unwrap();
    log(&location, vec![keyed(1), click(2)]).await;
    assert_refused(&location).await;
    let forget = "DELETE FROM log_meta WHERE name = 'click_id_of_0'";
    schema.run(forget).await;
    assert_refused(&location).await;
    assert_opens(&location).await;
    let marked =
        "DO $$ BEGIN ASSERT EXISTS (SELECT 1 FROM log_meta WHERE name = 'click_id_of_0'); END $$";
    schema.run(marked).await;
}

fn refusal(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}");
    told
}

/// A data directory `d` with a programme, a token, and nothing of ours elsewhere.
fn begun() -> Place {
    let place = Place::with(SHOP);
    place.done(&["apply", "programme.toml", "--data", "d"]);
    place.done(&[
        "token", "create", "--role", "viewer", "--name", "v", "--data", "d",
    ]);
    place
}

#[test]
fn a_log_in_another_directory_is_used_with_the_secrets_there() {
    let place = begun();
    let tokens = place.done(&["token", "list", "--data", "d", "--json"]);
    let elsewhere = ["--log", "sqlite:d", "--data", "fresh"];
    for verb in [&["events"][..], &["balance"], &["verify"], &["doctor"]] {
        place.done(&[verb, &elsewhere].concat());
    }
    let listed = place.done(&[&["token", "list", "--json"][..], &elsewhere].concat());
    assert_eq!(listed, tokens);
    assert!(!place.path().join("fresh/secrets.sqlite").exists());
}

/// As after half a restore.
#[test]
fn secrets_that_are_lost_are_not_made_anew() {
    let place = begun();
    let secrets = place.path().join("d/secrets.sqlite");
    let kept = fs::read(&secrets).unwrap();
    // SQLite makes an empty file of one that is opened and never written.
    for content in [None, Some("")] {
        fs::remove_file(&secrets).unwrap();
        if let Some(content) = content {
            fs::write(&secrets, content).unwrap();
        }
        for verb in [
            &["balance", "--data", "d"][..],
            &["apply", "programme.toml", "--data", "d"],
            &["serve", "--listen", "127.0.0.1:0", "--data", "d"],
            &["copy", "--from", "sqlite:d", "--to", "sqlite:e"],
        ] {
            let told = refusal(&place.run(verb));
            assert!(
                told.contains("secrets.sqlite") && told.contains("backup"),
                "{told}"
            );
            let size = fs::metadata(&secrets).map(|file| file.len()).ok();
            assert_eq!(size, content.map(|_| 0), "{verb:?}");
        }
        fs::write(&secrets, "").unwrap();
    }
    fs::write(&secrets, kept).unwrap();
    place.done(&["verify", "--data", "d"]);
}

#[test]
fn secrets_of_another_log_are_refused() {
    let place = begun();
    place.done(&["apply", "programme.toml", "--data", "other"]);
    let secrets = |name: &str| place.path().join(name).join("secrets.sqlite");
    fs::copy(secrets("other"), secrets("d")).unwrap();
    for verb in [&["balance"][..], &["apply", "programme.toml"], &["verify"]] {
        let told = refusal(&place.run(&[verb, &["--data", "d"]].concat()));
        assert!(told.contains("another key"), "{told}");
    }
}

/// Whoever asks is told which server it is, and can tell that trying again may help.
#[test]
fn a_server_that_is_away_is_named_and_no_password_is() {
    let place = begun();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let url = format!("postgres://me:hush@{address}/ledger");
    let log = ["--log", &url];
    for verb in [
        &["balance"][..],
        &["verify"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["token", "create", "--role", "viewer", "--name", "v"],
        &["secret", "list", "acme/shop"],
    ] {
        assert_away(&place.run(&[verb, &log].concat()), &address.to_string());
    }
    let copying = ["copy", "--from", "sqlite:d", "--to", &url];
    assert_away(&place.run(&copying), &address.to_string());
    let models = ["balance", "--data", "d", "--projections", &url];
    assert_away(&place.run(&models), &address.to_string());
}

fn assert_away(output: &Output, server: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains(server) && !told.contains("hush"), "{told}");
}
