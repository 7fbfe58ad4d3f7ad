//! A log that is copied to another store: the same positions, bytes, hashes, keys and click ids.
#![expect(
    clippy::unwrap_used,
    reason = "what several tests do is in functions of its own"
)]

use std::{path::Path, sync::Arc};

use postbook::store::{
    LogStore,
    open::{self, Location},
    postgres::{PostgresStore, Server},
    sqlite::SqliteStore,
};
use serde_json::Value;

#[cfg(feature = "kurrentdb")]
use crate::support::stream::Stream;
use crate::{
    support::{
        facts::{click, foreign_click, head, report},
        postgres::Schema,
        process::Place,
        stores::{at, click_ids},
    },
    v1::PROGRAMME,
};

async fn embedded(directory: &Path) -> SqliteStore {
    let store = SqliteStore::open(directory, click_ids()).await;
    store.expect("the log opens")
}

/// Groups of 3 to 7 facts: clicks, foreign clicks and reports with keys.
async fn fill(store: &dyn LogStore, groups: std::ops::Range<u64>) {
    for group in groups {
        let start = group * 10;
        let mut facts: Vec<_> = (start..=start + group % 5).map(click).collect();
        let (unique, reference) = (format!("u{group}"), format!("r{}", group % 40));
        facts.insert(0, report(start + 8, Some(&unique), &[&reference]));
        facts.push(foreign_click(start + 9));
        store.append(facts, at(0)).await.expect("it is appended");
    }
}

/// What a store says in every way it can be asked.
async fn assert_same(one: &dyn LogStore, other: &dyn LogStore) {
    let end = one.head();
    assert_eq!(end, other.head());
    let all = postbook::store::Filter::ALL;
    let (mut next, mut of_other) = (1, Vec::new());
    while next <= end {
        let page = other
            .read(next, end, all, 1 << 20)
            .await
            .expect("it can be read");
        of_other.extend(page.lines().map(|(_, line)| line.to_vec()));
        next = page.next;
    }
    let mut next = 1;
    while next <= end {
        let page = one
            .read(next, end, all, 1 << 20)
            .await
            .expect("it can be read");
        for (position, line) in page.lines() {
            assert_eq!(line, of_other[usize::try_from(position).unwrap() - 1]);
        }
        next = page.next;
    }
    for size in [1, end / 2, end] {
        assert_eq!(
            one.root(size).await.unwrap(),
            other.root(size).await.unwrap()
        );
    }
    for key in ["u0", "u7", "u399", "r0", "r39", "nothing"] {
        assert_eq!(
            one.find(key).await.unwrap(),
            other.find(key).await.unwrap(),
            "{key}"
        );
    }
    let positions: Vec<_> = (1..=end.min(300)).collect();
    let clicks = one.clicks(positions.clone()).await.unwrap();
    assert_eq!(clicks, other.clicks(positions).await.unwrap());
    assert_eq!(clicks[1], Some(head(0)));
    other.check(&|_| {}).await.expect("the copy is sound");
}

/// The log grows and its rows are merged between one copy and the next: the copy goes on within a row.
async fn copies_go_on(to: &Location) {
    let directory = tempfile::tempdir().unwrap();
    let from = Location::Directory(directory.path().to_owned());
    let store = embedded(directory.path()).await;
    fill(&store, 0..150).await;
    let reached = open::copy(&from, to, &|_| {}).await.unwrap();
    assert_eq!(reached, store.head());
    fill(&store, 150..1_200).await;
    store.merge().await.unwrap();
    let reached = open::copy(&from, to, &|_| {}).await.unwrap();
    assert_eq!(reached, store.head());
    assert_eq!(
        open::copy(&from, to, &|_| {}).await.unwrap(),
        reached,
        "nothing is left"
    );
    let copy = open::open_to_read(to, click_ids()).await.unwrap();
    assert_same(&store, &*copy).await;
    copy.close().await;
    // The copy takes facts as the log would have, and knows its keys.
    let copy = open::open(to, click_ids()).await.unwrap();
    let appended = copy
        .append(vec![report(1, Some("u7"), &[])], at(0))
        .await
        .unwrap();
    assert_eq!(
        appended,
        store
            .append(vec![report(1, Some("u7"), &[])], at(0))
            .await
            .unwrap()
    );
    fill(&*copy, 5_000..5_001).await;
    copy.close().await;
    // What has been appended to since is no copy any more.
    let refused = open::copy(&from, to, &|_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("facts"), "{refused}");
}

#[tokio::test]
async fn copies_between_embedded_logs_go_on_where_they_ended() {
    let directory = tempfile::tempdir().unwrap();
    copies_go_on(&Location::Directory(directory.path().to_owned())).await;
}

#[tokio::test]
async fn copies_to_a_server_go_on_where_they_ended() {
    if let Some(schema) = Schema::make().await {
        let data = tempfile::tempdir().unwrap();
        let server = Server::parse(&schema.url()).unwrap();
        copies_go_on(&Location::Server(server, data.path().to_owned())).await;
    }
}

#[tokio::test]
async fn a_log_comes_back_from_a_server_as_it_went() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let server = Server::parse(&schema.url()).unwrap();
    let store = PostgresStore::open(server.clone(), None, click_ids())
        .await
        .unwrap();
    fill(&store, 0..400).await;
    let data = tempfile::tempdir().unwrap();
    let from = Location::Server(server, data.path().to_owned());
    let to = Location::Directory(data.path().to_owned());
    open::copy(&from, &to, &|_| {}).await.unwrap();
    let copy = embedded(data.path()).await;
    assert_same(&store, &copy).await;
    copy.merge().await.unwrap();
    assert_same(&store, &copy).await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test]
async fn copies_to_a_stream_of_a_fake_kurrentdb_go_on_where_they_ended() {
    let stream = Stream::on_a_fake().await;
    copies_go_on(&stream.location(&stream.data())).await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test]
async fn copies_to_a_stream_of_kurrentdb_go_on_where_they_ended() {
    if let Some(stream) = Stream::on_a_server() {
        copies_go_on(&stream.location(&stream.data())).await;
    }
}

#[cfg(feature = "kurrentdb")]
#[tokio::test]
async fn a_log_comes_back_from_a_fake_kurrentdb_as_it_went() {
    let stream = Stream::on_a_fake().await;
    let node = stream.node().await;
    fill(&*node, 0..400).await;
    // By way of another node's mirror, which is made for it.
    let data = stream.data();
    let to = Location::Directory(data.join("copy"));
    let from = stream.location(&data);
    open::copy(&from, &to, &|_| {}).await.unwrap();
    let copy = embedded(&data.join("copy")).await;
    assert_same(&*node, &copy).await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test]
async fn the_verb_moves_log_and_secrets_to_a_fake_kurrentdb() {
    let stream = Stream::on_a_fake().await;
    let url = Arc::new(stream.url.clone());
    let moving = tokio::task::spawn_blocking({
        let url = Arc::clone(&url);
        move || moves(&url, &["--log", &url, "--data", "n"])
    });
    moving.await.unwrap();
}

#[tokio::test]
async fn another_log_is_never_copied_onto_one() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (directory, groups) in [(&one, 0..3), (&other, 0..2)] {
        let store = embedded(directory.path()).await;
        fill(&store, groups).await;
        store.close().await;
    }
    let location = |directory: &tempfile::TempDir| Location::Directory(directory.path().into());
    let refused = open::copy(&location(&one), &location(&other), &|_| {}).await;
    assert!(refused.unwrap_err().to_string().contains("another log"));
}

/// The whole verb: secrets go along, and the copy is verified by root and digest.
fn moves(to: &str, as_log: &[&str]) {
    let place = Place::with(PROGRAMME);
    place.done(&["apply", "programme.toml", "--data", "d"]);
    place.done(&[
        "token", "create", "--role", "admin", "--name", "a", "--data", "d",
    ]);
    place.done(&["balance", "p1", "--data", "d"]);
    let printed = place.done(&[
        "copy", "--from", "sqlite:d", "--to", to, "--data", "n", "--json",
    ]);
    let printed: Value = serde_json::from_str(&printed).expect("it prints JSON");
    assert!(printed["digest"].is_string(), "{printed}");
    let arguments = [&["verify", "--json"][..], as_log].concat();
    let verified: Value = serde_json::from_str(&place.done(&arguments)).unwrap();
    let root = printed["root"].as_str().expect("it prints the root");
    assert!(
        verified["items"][0]["detail"]
            .as_str()
            .unwrap()
            .contains(root),
        "{verified}"
    );
    let tokens = place.done(&[&["token", "list", "--json"][..], as_log].concat());
    assert_eq!(
        tokens,
        place.done(&["token", "list", "--json", "--data", "d"])
    );
}

#[test]
fn the_verb_moves_log_and_secrets_to_another_directory() {
    moves("sqlite:n", &["--data", "n"]);
}

#[tokio::test]
async fn the_verb_moves_log_and_secrets_to_a_server() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let url = Arc::new(schema.url());
    let moving = tokio::task::spawn_blocking({
        let url = Arc::clone(&url);
        move || moves(&url, &["--log", &url, "--data", "n"])
    });
    moving.await.unwrap();
}
