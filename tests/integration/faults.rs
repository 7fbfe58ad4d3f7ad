//! The laws of intake and projector over stores that fail: two nodes on one log, through all faults.
//!
//! Appends get lost, answers get lost or come late and out of turn, reads come up short. Whoever is
//! not answered sends again. In the end every postback is in the log once, under the id that was
//! answered, and every node's read models are those of an undisturbed replay.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use axum::http::{StatusCode, header};
use postbook::{
    projector::Projector,
    service::ServerOptions,
    store::{Filter, LogStore},
    tables::{Tables, digest::Digest},
};
use postbook_schemas::envelope::RawEnvelope;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    support::{
        app::{Answered, TestApp},
        faulty_store::FaultyStore,
        stores::{Subject, click_ids},
    },
    v1::PROGRAMME,
};

const LONG: Duration = Duration::from_mins(1);
/// Senders at once.
const SENDERS: u64 = 6;
/// Sales of each.
const SALES: u64 = 12;
/// How often somebody who is not answered sends again.
const TRIES: u32 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_laws() {
    keep_the_laws(Subject::memory(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_laws() {
    keep_the_laws(Subject::sqlite().await, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_laws() {
    if let Some(subject) = Subject::postgres().await {
        keep_the_laws(subject, 3).await;
    }
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fake_kurrentdb_keeps_the_laws() {
    keep_the_laws(Subject::fake_kurrentdb().await, 4).await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kurrentdb_keeps_the_laws() {
    if let Some(subject) = Subject::kurrentdb().await {
        keep_the_laws(subject, 5).await;
    }
}

struct Node {
    app: TestApp,
    store: Arc<FaultyStore>,
}

impl Node {
    async fn start(number: u64, inner: Arc<dyn LogStore>) -> Self {
        let store = Arc::new(FaultyStore::new(inner, []));
        let faulty: Arc<dyn LogStore> = Arc::<FaultyStore>::clone(&store);
        let (options, ids) = (ServerOptions::default(), |_: &_| click_ids());
        let app = TestApp::start_seeded(number, PROGRAMME, options, ids, |_| faulty).await;
        Self { app, store }
    }

    /// Sends until there is an answer: 503 is none.
    async fn ask(&self, path: &str) -> Answered {
        for _ in 0..TRIES {
            let answer = self.app.anonymous().get(path).await;
            if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                return answer;
            }
        }
        unreachable!("{path} was not answered in {TRIES} tries");
    }
}

/// What was answered: conversion by transaction.
type Answers = BTreeMap<String, String>;

async fn send(nodes: &[Node; 2], sender: u64) -> Answers {
    let mut random = StdRng::seed_from_u64(sender);
    let mut answers = Answers::new();
    for number in 0..SALES {
        let txn = format!("T{sender}-{number}");
        let mut node = || &nodes[random.random_range(0..2)];
        let click = node().ask("/abc").await;
        let location = click.header(header::LOCATION).expect("a location");
        let (_, click) = location.rsplit_once("cid=").expect("a click id").to_owned();
        let refund = format!("event=refund&txn_id={txn}&amount=1.00&event_id=R-{txn}");
        let sale =
            format!("event=sale&click_id={click}&txn_id={txn}&amount=10.00&customer_id=c{txn}");
        let queries = match number % 3 {
            0 => vec![refund.clone(), sale.clone(), sale.clone()],
            1 => vec![sale.clone(), refund.clone(), refund.clone()],
            _ => vec![sale.clone(), sale.clone(), refund.clone()],
        };
        for query in queries {
            let answer = node()
                .ask(&format!("/api/postback/acme/casino?{query}"))
                .await;
            assert!(answer.status.is_success(), "{query}: {}", answer.text());
            if query == sale {
                let id = answer.json()["data"]["conversionId"].to_string();
                let before = answers.insert(txn.clone(), id.clone());
                assert!(
                    before.is_none_or(|before| before == id),
                    "{txn} is one conversion"
                );
            }
        }
    }
    answers
}

async fn keep_the_laws(subject: Subject, seed: u64) {
    let nodes = Arc::new([
        Node::start(1, Arc::clone(&subject.store)).await,
        Node::start(2, subject.another_node().await).await,
    ]);
    for (number, node) in (0_u64..).zip(&*nodes) {
        node.store.disturb(Some(seed * 100 + number));
    }
    let mut sending = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        let nodes = Arc::clone(&nodes);
        sending.spawn(async move { send(&nodes, seed * 1_000 + sender).await });
    }
    let mut answers = Answers::new();
    while let Some(answered) = sending.join_next().await {
        answers.extend(answered.expect("a sender ends"));
    }
    for node in &*nodes {
        node.store.disturb(None);
    }
    let store = subject.another_node().await;
    let head = nodes
        .iter()
        .map(|node| node.store.head())
        .max()
        .unwrap_or(0);
    check_log(&*store, &answers, head).await;
    let undisturbed = digest_of(&store, head).await;
    for node in &*nodes {
        let service = &node.app.service;
        assert!(
            service.projector.wait_for(head, LONG).await,
            "{:?}",
            service.projector.failed()
        );
        let checkpoint = service
            .tables
            .checkpoint()
            .await
            .expect("the tables can be read");
        assert_eq!(
            (checkpoint.position, checkpoint.digest),
            (head, undisturbed)
        );
        assert_eq!(
            service.tables.scan_digest().await.expect("likewise"),
            undisturbed
        );
    }
}

/// Every sale and every refund is there once, and what was answered is what is there; positions have
/// no gaps and times never fall.
async fn check_log(store: &dyn LogStore, answers: &Answers, head: u64) {
    let (mut next, mut sales, mut refunds) = (1, BTreeMap::new(), BTreeSet::new());
    let mut recorded_to = postbook_schemas::Instant::MIN;
    while next <= head {
        let page = store
            .read(next, head, Filter::ALL, 100_000)
            .await
            .expect("it can be read");
        for (position, line) in page.lines() {
            assert_eq!(position, next, "positions have no gaps");
            next += 1;
            let raw: RawEnvelope<'_> = serde_json::from_slice(line).expect("a line is a fact");
            assert!(raw.recorded_at >= recorded_to);
            recorded_to = raw.recorded_at;
            let data: serde_json::Value =
                serde_json::from_str(raw.data.get()).expect("data is JSON");
            let txn = data["txn_id"].as_str().unwrap_or_default().to_owned();
            match &*raw.fact_type {
                "revenue.reported" => {
                    let before = sales.insert(txn, format!("\"{}\"", raw.id));
                    assert!(before.is_none(), "a sale is there twice: {data}");
                }
                "refund.reported" => {
                    assert!(refunds.insert(txn), "a refund is there twice: {data}");
                }
                _ => {}
            }
        }
        assert_eq!(page.next, next);
    }
    assert_eq!(&sales, answers);
    assert_eq!(refunds.len() as u64, SENDERS * SALES);
    store.check(&|_| {}).await.expect("the log is sound");
}

/// The digest of read models that nothing has disturbed.
async fn digest_of(store: &Arc<dyn LogStore>, head: u64) -> Digest {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let tables = Tables::open(directory.path()).await.expect("tables open");
    let projector = Projector::start(Arc::clone(store), click_ids(), tables.clone());
    assert!(
        projector.wait_for(head, LONG).await,
        "{:?}",
        projector.failed()
    );
    let digest = tables
        .checkpoint()
        .await
        .expect("the tables can be read")
        .digest;
    projector.stop().await;
    digest
}
