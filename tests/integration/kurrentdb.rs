//! The log on KurrentDB, over a fake server: nodes at once, every failure of server and client, and what
//! becomes of groups that were cut in the middle.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fake_kurrentdb::{AppendFault, ReadFault};
use postbook::store::{
    Append, Appended, LogStore, StoreError,
    kurrent::{KurrentStore, Server},
    open,
};
use postbook_schemas::ClickIdKey;

use crate::{
    support::{
        disturbance::{Pauses, Progress},
        facts::{click, foreign_click, head, keyed, position, report},
        process::Place,
        proxy::Proxy,
        stores::{at, click_ids, numbers, seen},
        stream::{STREAM, Stream},
    },
    v1::PROGRAMME,
};

async fn append(store: &KurrentStore, group: Vec<Append>) -> Vec<Appended> {
    let appended = store.append(group, at(0)).await;
    appended.expect("the group is appended")
}

/// What is in the log is what was confirmed, once each and where the answer said; every node, one with a
/// new mirror too, says so.
async fn check_confirmed(stream: &Stream, confirmed: &BTreeMap<u64, u64>) {
    let node = stream.node().await;
    let numbers = numbers(&*node).await;
    let distinct: BTreeSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), numbers.len(), "nothing is there twice");
    for (&number, &position) in confirmed {
        let index = usize::try_from(position - 1).expect("it is small");
        assert_eq!(
            numbers.get(index),
            Some(&number),
            "it is where the answer said"
        );
    }
    node.check(&|_| {}).await.expect("the log is sound");
    node.close().await;
}

/// Three nodes append the same keys at once, and clicks of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_append_at_once_and_agree_on_order_and_keys() {
    let stream = Stream::on_a_fake().await;
    let nodes = [
        stream.node().await,
        stream.node().await,
        stream.node().await,
    ];
    let mut working = tokio::task::JoinSet::new();
    for (number, node) in (0_u64..).zip(&nodes) {
        let node = Arc::clone(node);
        working.spawn(async move {
            let mut answers = Vec::new();
            for round in 0..40_u64 {
                let own = 1_000_000 + number * 10_000 + round;
                let group = vec![keyed(round * 2), click(own), keyed(round * 2 + 1)];
                let appended = append(&node, group).await;
                let found = node.find(&format!("key-{}", round * 2)).await;
                assert_eq!(found.unwrap(), Some(position(&appended[0])));
                answers.push((round, own, appended));
            }
            answers
        });
    }
    let mut of_key: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let mut of_click = BTreeMap::new();
    while let Some(answers) = working.join_next().await {
        for (round, own, appended) in answers.unwrap() {
            for (key, appended) in [(round * 2, &appended[0]), (round * 2 + 1, &appended[2])] {
                of_key.entry(key).or_default().insert(position(appended));
            }
            of_click.insert(own, appended[1]);
        }
    }
    assert!(of_key.values().all(|positions| positions.len() == 1));
    let end = 80 + 120;
    for node in &nodes {
        seen(&**node, end).await;
        assert_eq!(node.head(), end);
        let root = node.root(end).await.unwrap();
        assert_eq!(root, nodes[0].root(end).await.unwrap());
        node.check(&|_| {}).await.unwrap();
        for (&own, appended) in &of_click {
            let Appended::At {
                position, click_id, ..
            } = *appended
            else {
                unreachable!("a click without a key is always appended");
            };
            assert_eq!(click_id, Some(click_ids().encode(position)));
            let found = node.clicks(vec![position]).await.unwrap();
            assert_eq!(found, [Some(head(own))]);
        }
    }
}

/// What one node has confirmed, another finds when it is asked for it.
#[tokio::test]
async fn a_node_finds_what_another_has_confirmed_just_now() {
    let stream = Stream::on_a_fake().await;
    let (one, other) = (stream.node().await, stream.node().await);
    for number in 0..30 {
        append(&one, vec![keyed(number)]).await;
        // Longer than what a node takes for fresh.
        tokio::time::sleep(Duration::from_millis(6)).await;
        let found = other.find(&format!("key-{number}")).await.unwrap();
        assert_eq!(found, Some(number + 1));
    }
}

/// Each way in which an append can fail, before and after it is done: it is there once, where the answer
/// says.
#[tokio::test]
async fn an_append_that_fails_in_any_way_is_there_once() {
    let faults = [
        AppendFault::Lost,
        AppendFault::AnswerLost,
        AppendFault::DoneAborted,
        AppendFault::LostAborted,
        AppendFault::DoneLater,
        AppendFault::EmptyAnswer,
        AppendFault::NotLeader,
    ];
    let stream = Stream::on_a_fake().await;
    let node = stream.node().await;
    let (mut confirmed, mut number) = (BTreeMap::new(), 0);
    for first in faults {
        for then in faults {
            stream.fake().fail_appends([first, then]);
            // Without a key: nothing but the store itself can tell a repetition.
            let appended = append(&node, vec![report(number, None, &[]), click(number + 1)]).await;
            confirmed.insert(number, position(&appended[0]));
            confirmed.insert(number + 1, position(&appended[1]));
            number += 2;
        }
    }
    assert_eq!(node.head(), number);
    stream.fake().fail_appends([]);
    check_confirmed(&stream, &confirmed).await;
}

/// Each way in which a read can fail: all is read in the end.
#[tokio::test]
async fn reads_that_end_early_or_break_off_lose_nothing() {
    let stream = Stream::on_a_fake().await;
    let writer = stream.node().await;
    for number in 0..20 {
        append(&writer, vec![keyed(number)]).await;
    }
    for fault in [
        ReadFault::EndsEarly(0),
        ReadFault::EndsEarly(1),
        ReadFault::EndsEarly(7),
        ReadFault::BreaksOff(0),
        ReadFault::BreaksOff(7),
        ReadFault::EmptyAnswer,
    ] {
        stream.fake().fail_reads([fault; 9]);
        let node = stream.node().await;
        assert_eq!(node.head(), 20, "{fault:?}");
        stream.fake().fail_reads([fault; 9]);
        node.check(&|_| {}).await.unwrap();
        node.close().await;
    }
    assert_eq!(stream.fake().faults_left(), 0);
}

/// Two nodes on a server where anything may happen to appends and reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disturbed_server_loses_nothing_and_doubles_nothing() {
    let stream = Stream::on_a_fake().await;
    let nodes = [stream.node().await, stream.node().await];
    stream.fake().disturb(Some(11));
    let mut working = tokio::task::JoinSet::new();
    for (number, node) in (0_u64..).zip(&nodes) {
        let node = Arc::clone(node);
        working.spawn(async move {
            let mut confirmed = BTreeMap::new();
            for round in 0..40_u64 {
                let own = number * 1_000 + round;
                // An error says nothing of what became of it; nothing else is told here.
                if let Ok(appended) = node.append(vec![report(own, None, &[])], at(0)).await {
                    confirmed.insert(own, position(&appended[0]));
                }
            }
            confirmed
        });
    }
    let mut confirmed = BTreeMap::new();
    while let Some(of_node) = working.join_next().await {
        confirmed.extend(of_node.unwrap());
    }
    stream.fake().disturb(None);
    assert!(
        confirmed.len() > 60,
        "only {} were confirmed",
        confirmed.len()
    );
    check_confirmed(&stream, &confirmed).await;
}

/// Connections break at any moment, most of all between an append and its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_nothing_and_double_nothing() {
    let stream = Stream::on_a_fake().await;
    let address = stream.fake().address().to_string();
    let proxy = Arc::new(Proxy::start(address.clone()).await);
    let url = stream.url.replace(&address, &proxy.address.to_string());
    let server = Server::parse(&url).unwrap();
    let data = stream.data();
    let node = KurrentStore::open(server, &data, click_ids())
        .await
        .unwrap();
    let progress = Arc::new(Progress::default());
    let of_appending = Arc::clone(&progress);
    let appending = tokio::spawn(async move {
        let mut confirmed = BTreeMap::new();
        let mut number = 0;
        while !of_appending.is_over() {
            let appended = append(&node, vec![report(number, None, &[])]).await;
            confirmed.insert(number, position(&appended[0]));
            number += 1;
            of_appending.step();
        }
        node.check(&|_| {}).await.unwrap();
        confirmed
    });
    let mut pauses = Pauses::new(Duration::from_millis(20)..Duration::from_millis(200));
    for _ in 0..60 {
        pauses.pause(&progress).await;
        proxy.swallow_and_cut(pauses.random()).await;
    }
    progress.end();
    check_confirmed(&stream, &appending.await.unwrap()).await;
}

/// A client whose first connection fails never makes another: it is made anew. A server that is stopped
/// and started again is found again.
#[tokio::test]
async fn a_server_that_is_not_there_yet_or_not_any_more_is_found_again() {
    let stream = Arc::new(Stream::on_a_fake().await);
    stream.fake().stop().await;
    let opening = tokio::spawn({
        let stream = Arc::clone(&stream);
        async move { stream.node().await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    stream.fake().start_again().await;
    let node = opening.await.unwrap();
    for number in 0..3 {
        stream.fake().stop().await;
        let appending = tokio::spawn({
            let node = Arc::clone(&node);
            async move { append(&node, vec![keyed(number)]).await }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        stream.fake().start_again().await;
        assert_eq!(position(&appending.await.unwrap()[0]), number + 1);
    }
    let missing = Stream::on_a_fake().await;
    missing.fake().stop().await;
    let refused = missing.try_open(&missing.data()).await;
    assert!(matches!(refused, Err(StoreError::Failed { .. })));
}

/// A server that is away is an error after a while, and at once for those who come later; the log goes on
/// once it is back.
#[tokio::test]
async fn a_server_that_is_away_is_an_error_and_then_is_not() {
    let stream = Stream::on_a_fake().await;
    let node = stream.node().await;
    append(&node, vec![keyed(1)]).await;
    stream.fake().stop().await;
    let failed = node.append(vec![keyed(2)], at(0)).await;
    assert!(
        matches!(failed, Err(StoreError::Failed { .. })),
        "{failed:?}"
    );
    let started = tokio::time::Instant::now();
    node.append(vec![keyed(2)], at(0)).await.unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "it is refused at once"
    );
    stream.fake().start_again().await;
    let mut appended = node.append(vec![keyed(1), keyed(2)], at(1)).await;
    while appended.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        appended = node.append(vec![keyed(1), keyed(2)], at(1)).await;
    }
    let appended = appended.unwrap();
    assert_eq!(appended[0], Appended::Known { position: 1 });
    assert!(matches!(appended[1], Appended::At { position: 2, .. }));
    node.check(&|_| {}).await.unwrap();
}

/// More than a server takes in one append.
fn large_group(from: u64) -> Vec<Append> {
    let mut group: Vec<_> = (from..from + 3_000).map(click).collect();
    for number in 0..3_000 {
        group.push(keyed(from + 3_000 + number));
    }
    group
}

/// A group that needs several appends counts as a whole, or not at all: its beginning is void once
/// something else follows it.
#[tokio::test]
async fn a_large_group_that_breaks_off_in_the_middle_leaves_nothing() {
    let stream = Stream::on_a_fake().await;
    let node = stream.node().await;
    append(&node, vec![keyed(1)]).await;
    stream
        .fake()
        .fail_appends([AppendFault::None, AppendFault::NoAnswer]);
    let group = node.append(large_group(10), at(1));
    let unanswered = tokio::time::timeout(Duration::from_secs(2), group).await;
    unanswered.unwrap_err();
    assert_eq!(stream.fake().faults_left(), 0, "the second part was sent");
    let begun = stream.fake().events(STREAM).len();
    assert!(begun > 100, "{begun} events are there");
    // Another node sees nothing of it, and goes on behind it.
    let other = stream.node().await;
    assert_eq!(
        (other.head(), other.find("key-3020").await.unwrap()),
        (1, None)
    );
    let appended = append(&other, vec![keyed(2)]).await;
    assert!(matches!(appended[..], [Appended::At { position: 2, .. }]));
    // So does the first, which tries the whole group again.
    let appended = append(&node, large_group(10)).await;
    assert_eq!(
        appended.iter().map(position).collect::<Vec<_>>(),
        (3..6_003).collect::<Vec<_>>()
    );
    for node in [&node, &other, &stream.node().await] {
        seen(&**node, 6_002).await;
        assert_eq!(node.find("key-3020").await.unwrap(), Some(3_013));
        node.check(&|_| {}).await.unwrap();
    }
}

/// The parts of a large group meet every fault.
#[tokio::test]
async fn a_large_group_whose_parts_fail_is_there_once() {
    let stream = Stream::on_a_fake().await;
    let node = stream.node().await;
    let mut next = 1;
    for fault in [
        AppendFault::Lost,
        AppendFault::AnswerLost,
        AppendFault::DoneLater,
        AppendFault::EmptyAnswer,
    ] {
        stream
            .fake()
            .fail_appends([fault, AppendFault::None, fault]);
        let appended = append(&node, large_group(next * 10)).await;
        assert!(
            appended.iter().map(position).eq(next..next + 6_000),
            "{fault:?}"
        );
        next += 6_000;
    }
    let anew = stream.node().await;
    assert_eq!(anew.head(), next - 1);
    anew.check(&|_| {}).await.unwrap();
}

/// Whoever calls `append` may go away while it is under way.
#[tokio::test]
async fn an_append_that_is_dropped_half_way_is_known_or_gone() {
    let stream = Stream::on_a_fake().await;
    let store = stream.node().await;
    for number in 0..60_u64 {
        let dropped = store.append(vec![keyed(number)], at(0));
        let after = Duration::from_micros(number * 50);
        let outcome = tokio::time::timeout(after, dropped).await;
        let retried = append(&store, vec![keyed(number)]).await;
        assert_eq!(position(&retried[0]), number + 1, "{outcome:?}");
    }
    assert_eq!(store.head(), 60);
    store.check(&|_| {}).await.unwrap();
}

#[tokio::test]
async fn a_server_that_has_lost_what_it_confirmed_is_refused() {
    let stream = Stream::on_a_fake().await;
    let data = stream.data();
    let node = stream.open(&data).await;
    for number in 0..3 {
        append(&node, vec![keyed(number)]).await;
    }
    // As after a restore from an older copy.
    stream.fake().tamper(STREAM, |events| events.truncate(2));
    let refused = node.append(vec![keyed(7)], at(0)).await;
    assert!(
        matches!(refused, Err(StoreError::Damaged { position: 3, .. })),
        "{refused:?}"
    );
    // Somebody who knew nothing of it goes on; whoever saw more still refuses.
    let anew = stream.node().await;
    assert_eq!(position(&append(&anew, vec![keyed(8)]).await[0]), 3);
    let refused = node.append(vec![keyed(7)], at(0)).await;
    assert!(
        matches!(refused, Err(StoreError::Damaged { .. })),
        "{refused:?}"
    );
    node.close().await;
    let refused = stream.try_open(&data).await;
    assert!(
        matches!(refused, Err(StoreError::Damaged { .. })),
        "{refused:?}"
    );
}

/// Events that are changed or removed on the server are found and located.
#[tokio::test]
async fn damage_is_found_and_located() {
    let stream = Stream::on_a_fake().await;
    let node = stream.node().await;
    for number in [1, 4, 7] {
        let group = vec![click(number), keyed(number + 1), foreign_click(number + 2)];
        append(&node, group).await;
    }
    node.check(&|_| {}).await.unwrap();
    let whole = stream.fake().events(STREAM);
    stream.fake().tamper(STREAM, |events| {
        let line = String::from_utf8(events[4].data.clone()).unwrap();
        events[4].data = line.replace("accepted", "excepted").into_bytes();
    });
    let found = node.check(&|_| {}).await;
    assert!(
        matches!(found, Err(StoreError::Damaged { position: 5, .. })),
        "{found:?}"
    );
    stream.fake().tamper(STREAM, |events| {
        events.clone_from(&whole);
        events[4].own_metadata = events[1].own_metadata.clone();
    });
    let found = stream.try_open(&stream.data()).await;
    assert!(
        matches!(found, Err(StoreError::Damaged { position: 5, .. })),
        "{found:?}"
    );
    stream.fake().tamper(STREAM, |events| {
        events.clone_from(&whole);
        events.truncate(5);
    });
    let found = node.check(&|_| {}).await;
    assert!(
        matches!(found, Err(StoreError::Damaged { position: 4, .. })),
        "{found:?}"
    );
}

/// Somebody puts an event of another program into the stream: it is passed over, by every node alike.
#[tokio::test]
async fn an_event_of_others_takes_no_position() {
    let stream = Stream::on_a_fake().await;
    let data = stream.data();
    let node = stream.open(&data).await;
    append(&node, vec![keyed(1)]).await;
    stream.fake().tamper(STREAM, |events| {
        let mut foreign = events[0].clone();
        foreign.id = (7, 7);
        foreign.own_metadata = b"{}".to_vec();
        foreign.data = br#"{"hello": "world"}"#.to_vec();
        events.push(foreign);
    });
    // Who reads beside the node does not wait for a fact there.
    let reader = open::open_to_read(&stream.location(&data), click_ids()).await;
    assert_eq!(reader.unwrap().head(), 1);
    assert_eq!(position(&append(&node, vec![keyed(2)]).await[0]), 2);
    let anew = stream.node().await;
    assert_eq!(anew.head(), 2);
    assert_eq!(anew.root(2).await.unwrap(), node.root(2).await.unwrap());
    anew.check(&|_| {}).await.unwrap();
    // A fact whose metadata was changed is no event of others.
    stream
        .fake()
        .tamper(STREAM, |events| events[2].own_metadata = b"{}".to_vec());
    let found = stream.try_open(&stream.data()).await;
    assert!(
        matches!(found, Err(StoreError::Damaged { position: 2, .. })),
        "{found:?}"
    );
}

/// What an operator sees in the server's own tools.
#[tokio::test]
async fn facts_are_json_events_under_their_types() {
    let stream = Stream::on_a_fake().await;
    let node = stream.node().await;
    append(&node, vec![click(1), report(2, Some("u"), &["r"])]).await;
    let events = stream.fake().events(STREAM);
    let types: Vec<_> = events
        .iter()
        .map(|event| &event.metadata["type"][..])
        .collect();
    assert_eq!(types, ["click.recorded", "revenue.reported"]);
    for (position, event) in (1..).zip(&events) {
        assert_eq!(event.metadata["content-type"], "application/json");
        let line = node.read_one(position).await.unwrap();
        assert_eq!(line.as_ref(), Some(&event.data), "the line is the data");
    }
    let metadata = |index: usize| -> serde_json::Value {
        serde_json::from_slice(&events[index].own_metadata).unwrap()
    };
    let (of_click, of_report) = (metadata(0), metadata(1));
    assert_eq!(of_click["group"], of_report["group"]);
    assert_eq!((&of_click["at"], &of_click["of"]), (&0.into(), &2.into()));
    assert_eq!(of_click["click"]["link"], 2);
    let kinds: Vec<_> = of_report["keys"].as_array().unwrap().iter().collect();
    assert!(kinds[0]["unique"].is_string() && kinds[1]["reference"].is_string());
    let settings = stream.fake().events(&format!("{STREAM}-settings"));
    assert_eq!(settings.len(), 2, "made, and bound to a key of click ids");
}

#[tokio::test]
async fn a_node_with_another_key_of_click_ids_is_refused() {
    let stream = Stream::on_a_fake().await;
    stream.node().await.close().await;
    let other = Arc::new(ClickIdKey::new(&[8; 32]));
    let refused = KurrentStore::open(stream.server(), &stream.data(), Arc::clone(&other)).await;
    assert!(refused.unwrap_err().to_string().contains("click ids"));
    let refused = open::open_to_read(&stream.location(&stream.data()), other).await;
    assert!(refused.unwrap_err().to_string().contains("click ids"));
}

/// A mirror can be thrown away, and is nobody else's.
#[tokio::test]
async fn a_mirror_is_made_again_and_belongs_to_one_log() {
    let stream = Stream::on_a_fake().await;
    let data = stream.data();
    let node = stream.open(&data).await;
    append(&node, (0..20).map(keyed).collect()).await;
    let root = node.root(20).await.unwrap();
    node.close().await;
    std::fs::remove_dir_all(data.join("mirror")).unwrap();
    let again = stream.open(&data).await;
    assert_eq!(again.root(20).await.unwrap(), root);
    assert_eq!(again.find("key-7").await.unwrap(), Some(8));
    again.close().await;
    let other = Stream::on_a_fake().await;
    let refused = other.try_open(&data).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("mirrors another log")
    );
}

#[tokio::test]
async fn a_second_process_on_the_data_directory_of_a_node_is_refused() {
    let stream = Stream::on_a_fake().await;
    let data = stream.data();
    let node = stream.open(&data).await;
    assert!(matches!(
        stream.try_open(&data).await,
        Err(StoreError::InUse(_))
    ));
    node.close().await;
    stream.open(&data).await;
}

/// A log opened for reading shows what was there, beside the node that has the mirror or without one.
#[tokio::test]
async fn a_log_opened_for_reading_shows_what_was_there_and_makes_nothing() {
    let stream = Stream::on_a_fake().await;
    let (data, elsewhere) = (stream.data(), stream.data());
    let nothing = open::open_to_read(&stream.location(&data), click_ids()).await;
    assert!(nothing.unwrap_err().to_string().contains("no log"));
    assert!(!open::is_there(&stream.location(&data)).await.unwrap());
    let (node, other) = (stream.open(&data).await, stream.node().await);
    append(&node, vec![keyed(1)]).await;
    // The node that has the mirror has not heard of this yet.
    append(&other, vec![keyed(2)]).await;
    for data in [&data, &elsewhere] {
        let reader = open::open_to_read(&stream.location(data), click_ids()).await;
        let reader = reader.unwrap();
        append(&other, vec![keyed(3)]).await;
        assert!(reader.head() >= 2);
        assert_eq!(reader.find("key-2").await.unwrap(), Some(2));
        let refused = reader.append(vec![keyed(4)], at(0)).await;
        assert!(matches!(refused, Err(StoreError::Closed(_))));
        reader.close().await;
    }
    assert!(open::is_there(&stream.location(&data)).await.unwrap());
    node.close().await;
    let alone = open::open_alone(&stream.location(&data), click_ids())
        .await
        .unwrap();
    assert_eq!(alone.head(), 3);
    let refused = alone.append(vec![keyed(4)], at(0)).await;
    assert!(matches!(refused, Err(StoreError::Closed(_))));
}

/// The program on such a log: what `apply`, `doctor` and `verify` do and say.
#[tokio::test]
async fn the_verbs_work_on_such_a_log() {
    let stream = Stream::on_a_fake().await;
    let url = stream.url.clone();
    let verbs = tokio::task::spawn_blocking(move || {
        let place = Place::with(PROGRAMME);
        let on_log = ["--log", &url, "--data", "n"];
        let done = |verb: &[&str]| place.done(&[verb, &on_log[..]].concat());
        done(&["apply", "programme.toml"]);
        let looked = done(&["doctor"]);
        assert!(
            looked.contains("not yet run against a KurrentDB server"),
            "{looked}"
        );
        assert!(looked.contains("not encrypted"), "{looked}");
        done(&["verify"]);
        done(&["balance", "p1"]);
    });
    verbs.await.unwrap();
    let events = stream.fake().events(STREAM);
    assert!(
        events
            .iter()
            .any(|event| event.metadata["type"] == "offer.defined")
    );
}
