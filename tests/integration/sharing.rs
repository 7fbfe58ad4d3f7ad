//! Nodes that share read models: one writes them, the others follow, and any of them answers for all.

use std::{sync::Arc, time::Duration};

use postbook::{
    projector::{
        Control, Projector, ProjectorError,
        lease::{Lease, LeaseStore, MemoryLeases, Role, ServerLeases, Session, look},
    },
    store::{Append, LogStore, memory::MemoryStore, postgres::Server},
    tables::Tables,
};
use postbook_schemas::{
    Currency, Fact, FactId, Source, decision::AdjustmentPosted, envelope::Draft,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    facts::report,
    homes::Home,
    postgres::Schema,
    process::{Caller, Place, SHOP, Serving},
    stores::{at, click_ids},
};

const LONG: Duration = Duration::from_secs(30);

/// A fact that the book folds, told apart by a number.
fn adjustment(number: u64) -> Append {
    let fact = Fact::AdjustmentPosted(AdjustmentPosted {
        partner: "p1".parse().expect("a slug"),
        amount_minor: i64::try_from(number).expect("a small number"),
        currency: Currency::USD,
        reason: "x".to_owned(),
        proposal_id: None,
        agreed_because: None,
    });
    let id = FactId::from_u128(u128::from(number) | 0x0198_0000_0000_7000_8000_0000_0000_0000);
    Append {
        draft: Draft::new(id, None, "test".into(), Source::default(), &fact),
        ..report(number, None, &[])
    }
}

/// Nodes of one process, with one log and one set of read models.
struct Nodes {
    home: Home,
    log: Arc<dyn LogStore>,
    leases: Arc<MemoryLeases>,
}

impl Nodes {
    async fn all() -> Vec<Self> {
        let homes = Home::all().await.into_iter();
        let nodes = homes.map(|home| Self {
            home,
            log: Arc::new(MemoryStore::new(click_ids())),
            leases: Arc::default(),
        });
        nodes.collect()
    }

    async fn start(&self, name: &str) -> Projector {
        let leases: Arc<dyn LeaseStore> = Arc::<MemoryLeases>::clone(&self.leases);
        let lease = Lease::start(leases, Session::new(name));
        let (log, tables) = (Arc::clone(&self.log), self.home.open().await);
        Projector::start_under(lease, log, click_ids(), tables)
    }

    async fn append(&self, numbers: std::ops::Range<u64>) {
        let facts = numbers.map(adjustment).collect();
        self.log.append(facts, at(0)).await.expect("facts are kept");
    }

    async fn tables(&self) -> Tables {
        self.home.open().await
    }
}

#[expect(clippy::future_not_send, reason = "it is awaited where it is made")]
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waited = async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, waited).await.expect(what);
}

async fn projects(node: &Projector) {
    let is_projecting = async || matches!(node.role(), Role::Projecting(_));
    until("it gets the lease", is_projecting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_knows_what_is_written_and_takes_over_from_there() {
    for nodes in Nodes::all().await {
        nodes.append(1..500).await;
        let one = nodes.start("one").await;
        projects(&one).await;
        assert!(one.wait_for_head(LONG).await);
        let other = nodes.start("other").await;
        assert!(other.wait_for_head(LONG).await);
        nodes.append(500..700).await;
        // Waiting on a node that follows waits for the one that writes.
        assert!(other.wait_for_head(LONG).await);
        until(
            "it knows who writes",
            async || matches!(&other.role(), Role::Following(Some(by)) if &*by.node == "one"),
        )
        .await;
        let head = nodes.log.head();
        assert_eq!(
            other.ask(|_, position| position).await.expect("it answers"),
            head
        );
        let refused = other.rebuild(&Control::default()).await;
        assert!(matches!(refused, Err(ProjectorError::Elsewhere(Some(by))) if &*by.node == "one"));
        let before = nodes
            .tables()
            .await
            .checkpoint()
            .await
            .expect("they are read");
        one.stop().await;
        projects(&other).await;
        nodes.append(700..900).await;
        assert!(other.wait_for_head(LONG).await);
        let after = nodes
            .tables()
            .await
            .checkpoint()
            .await
            .expect("they are read");
        assert_eq!((before.position, after.position), (head, nodes.log.head()));
        assert_eq!(
            after.generation, before.generation,
            "nothing was built again"
        );
        let rebuilt = other.rebuild(&Control::default()).await;
        assert!(rebuilt.expect("they are rebuilt").is_identical());
        other.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_writes_nothing_more_and_follows_when_it_is_back() {
    for nodes in Nodes::all().await {
        let one = nodes.start("one").await;
        projects(&one).await;
        nodes.append(1..100).await;
        assert!(one.wait_for_head(LONG).await);
        let other = nodes.start("other").await;
        nodes.leases.cut_off("one", true);
        projects(&other).await;
        assert!(!matches!(one.role(), Role::Projecting(_)), "there are two");
        nodes.append(100..300).await;
        // Each of them knows what the other writes.
        assert!(other.wait_for_head(LONG).await && one.wait_for_head(LONG).await);
        nodes.leases.cut_off("one", false);
        other.stop().await;
        projects(&one).await;
        nodes.append(300..400).await;
        assert!(one.wait_for_head(LONG).await);
        let rebuilt = one.rebuild(&Control::default()).await;
        assert!(rebuilt.expect("they are rebuilt").is_identical());
        one.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_that_one_node_puts_in_force_is_followed_by_the_others() {
    let Some(home) = Home::on_server().await else {
        return;
    };
    let nodes = Nodes {
        home,
        log: Arc::new(MemoryStore::new(click_ids())),
        leases: Arc::default(),
    };
    nodes.append(1..300).await;
    let one = nodes.start("one").await;
    projects(&one).await;
    assert!(one.wait_for_head(LONG).await);
    let other = nodes.start("other").await;
    assert!(other.wait_for_head(LONG).await);
    let rebuilt = one
        .rebuild(&Control::default())
        .await
        .expect("it is rebuilt");
    nodes.append(300..400).await;
    assert!(other.wait_for_head(LONG).await);
    one.stop().await;
    projects(&other).await;
    nodes.append(400..500).await;
    assert!(other.wait_for_head(LONG).await);
    let tables = nodes.tables().await;
    let after = tables.checkpoint().await.expect("they are read");
    assert_eq!(after.generation, rebuilt.generation);
    other.stop().await;
}

/// A fact that this program cannot fold: no node writes past it, each that tries says where and why and
/// gives the lease up for one that may be able to, and what was written before stays sound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fact_that_no_node_can_fold_stops_them_all_at_the_same_place() {
    for nodes in Nodes::all().await {
        nodes.append(1..100).await;
        let one = nodes.start("one").await;
        projects(&one).await;
        let other = nodes.start("other").await;
        assert!(one.wait_for_head(LONG).await && other.wait_for_head(LONG).await);
        let before = nodes.log.head();
        let mut poison = adjustment(100);
        poison.draft.data = br#"{"partner":"p1"}"#.to_vec();
        let appended = nodes.log.append(vec![poison], at(0)).await;
        appended.expect("a log keeps what it does not understand");
        nodes.append(101..120).await;
        for node in [&one, &other] {
            until("it says that it has stopped", async || {
                node.failed().is_some()
            })
            .await;
            let why = node.failed().expect("it says why");
            assert!(why.contains(&format!("position {}", before + 1)), "{why}");
            assert!(why.contains("adjustment.posted"), "{why}");
            assert!(!node.wait_for_head(Duration::from_secs(5)).await);
            until("it lets go", async || {
                !matches!(node.role(), Role::Projecting(_))
            })
            .await;
        }
        // A third that comes later, as one with the same program would.
        let third = nodes.start("third").await;
        until("it says that it has stopped", async || {
            third.failed().is_some()
        })
        .await;
        let tables = nodes.tables().await;
        let checkpoint = tables.checkpoint().await.expect("they are read");
        assert_eq!(checkpoint.position, before);
        let scanned = tables.scan_digest().await.expect("they are read");
        assert_eq!(scanned, checkpoint.digest);
        for node in [one, other, third] {
            node.stop().await;
        }
    }
}

/// The lease on a server: who has it is known to all, it ends by itself, and each term is a new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_on_a_server_has_one_holder_and_a_higher_term_each_time() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    schema
        .run("CREATE TABLE read_models (term BIGINT); INSERT INTO read_models VALUES (41)")
        .await;
    let server = Server::parse(&schema.url()).expect("a URL");
    assert_eq!(look(&server).await.expect("it is asked"), None);
    let (one, other) = (Session::new("one"), Session::new("other"));
    let (at_one, at_other) = (ServerLeases::of(&server), ServerLeases::of(&server));
    let short = Duration::from_millis(300);
    let first = at_one.take(&one, LONG, 0).await.expect("it is asked");
    // It goes on from the term in which the read models were written last.
    assert_eq!((first.holder.term, first.is_own), (42, true));
    let seen = at_other.take(&other, LONG, 7).await.expect("it is asked");
    assert_eq!(
        (&*seen.holder.node, seen.holder.term, seen.is_own),
        ("one", 42, false)
    );
    at_one.take(&one, LONG, 0).await.expect("it is asked");
    let seen_again = at_other.take(&other, LONG, 0).await.expect("it is asked");
    assert!(seen_again.renewed > seen.renewed, "it was renewed");
    let and_again = at_other.take(&other, LONG, 0).await.expect("it is asked");
    assert_eq!(and_again.renewed, seen_again.renewed);
    let renewed = at_one.take(&one, short, 0).await.expect("it is asked");
    assert_eq!((renewed.holder.term, renewed.wanted), (42, 7));
    let deadline = Instant::now() + LONG;
    let taken = loop {
        let taken = at_other.take(&other, LONG, 0).await.expect("it is asked");
        if taken.is_own {
            break taken;
        }
        assert!(Instant::now() < deadline, "it does not end");
        sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(taken.holder.term, 43);
    at_other.give_up(&other).await.expect("it is given up");
    let (holder, holds) = look(&server)
        .await
        .expect("it is asked")
        .expect("there was one");
    assert_eq!((&*holder.node, holds), ("other", false));
    let again = at_one.take(&one, LONG, 0).await.expect("it is asked");
    assert_eq!((again.holder.term, again.is_own), (44, true));
}

/// A bug: a verb that read beside a process that was gone, whose lease had not ended yet, took it for a
/// running server and showed read models in which nothing was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verb_that_reads_does_not_take_a_lease_that_is_left_over_for_a_server() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let elsewhere = [format!("--projections={}", schema.url())];
    let place = Place::with_elsewhere(SHOP, &elsewhere);
    let leases = ServerLeases::of(&Server::parse(&schema.url()).expect("a URL"));
    let gone = Session::new("gone");
    let taken = leases.take(&gone, Duration::from_secs(3), 0).await;
    assert!(taken.expect("it is asked").is_own);
    place.write(
        "sales.csv",
        "txn_id,coupon_code,amount,timestamp\nA,ONE,1000.00,2026-01-10T09:00:00Z\n",
    );
    place.done(&["import", "postbacks", "sales.csv", "--offer", "acme/shop"]);
    let attempts = place.done(&["attempts", "--json"]);
    assert!(attempts.contains("\"accepted\""), "{attempts}");
}

async fn ready(caller: &Caller) -> Value {
    caller.get("/readyz").await
}

/// Three processes: what one node has done another knows at once, whoever writes the read models; a
/// what-if of one node is adopted on another; and a killed node is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_do_not_depend_on_the_node() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let elsewhere = [
        format!("--log={}", schema.url()),
        format!("--projections={}", schema.url()),
    ];
    let place = Place::with_elsewhere(SHOP, &elsewhere);
    place.write(
        "sales.csv",
        "txn_id,coupon_code,amount,timestamp\nA,ONE,1000.00,2026-01-10T09:00:00Z\n",
    );
    place.done(&["import", "postbacks", "sales.csv", "--offer", "acme/shop"]);
    let [finn, carla] =
        [("finance", "finn"), ("manager", "carla")].map(|(role, name)| place.token(role, name));
    let others = [Place::elsewhere(&elsewhere), Place::elsewhere(&elsewhere)];
    let mut servings = vec![place.serve(), others[0].serve(), others[1].serve()];
    // Each request goes to another node than the one before.
    let (finn, carla) = (Caller::of(&servings, &finn), Caller::of(&servings, &carla));
    let malus = json!({"partner": "p1", "amount_minor": -100, "reason": "x"});
    for number in 1..=12 {
        finn.done("/v1/adjustments", &malus).await;
        let balance = finn.get("/v1/partners/p1/balances").await["items"][0].clone();
        assert_eq!(balance["adjusted_minor"], json!(-100 * number));
    }
    let conversion = finn.get("/v1/conversions").await["items"][0]["id"].clone();
    let conversion = conversion.as_str().expect("an id");
    for _ in 0..3 {
        let explained = finn
            .get(&format!("/v1/conversions/{conversion}/explain"))
            .await;
        assert!(
            explained["steps"]
                .as_array()
                .is_some_and(|steps| !steps.is_empty())
        );
    }
    let draft = "[[terms]]\noffer = \"acme/shop\"\neffective_from = 2026-01-01T00:00:00Z\n\
                 [[terms.rule]]\nid = \"share\"\non = \"sale\"\nrevshare = \"12%\"\n";
    let files = json!({"files": [{"name": "draft.toml", "text": draft}]});
    let tried = carla.done("/v1/whatifs", &files).await;
    let hash = tried["hash"].as_str().expect("a hash").to_owned();
    for _ in 0..3 {
        assert_eq!(
            finn.get(&format!("/v1/whatifs/{hash}")).await["hash"],
            tried["hash"]
        );
    }
    let adopt = format!("/v1/whatifs/{hash}/adopt");
    let adopted = finn.done(&adopt, &json!({"reason": "agreed"})).await;
    assert_eq!(adopted["already_adopted"], json!(false));
    let again = finn.done(&adopt, &json!({"reason": "agreed"})).await;
    assert_eq!(again["already_adopted"], json!(true));
    let earned = finn.get(&format!("/v1/conversions/{conversion}")).await;
    assert!(earned["earnings"].to_string().contains("12000"), "{earned}");
    health_tells_roles_and_lag(servings.len(), &finn).await;
    kill_who_projects(&mut servings, &finn, &carla).await;
    let malus = json!({"partner": "p1", "amount_minor": -1, "reason": "after the kill"});
    finn_after(&servings, &finn, &malus).await;
    drop(servings);
    place.done(&["verify"]);
}

/// One node says that it projects, everywhere where it says what it is; the others name it.
async fn health_tells_roles_and_lag(nodes: usize, caller: &Caller) {
    let (mut projecting, mut measured) = (Vec::new(), 0);
    for number in 0..nodes {
        let node = caller.only(number);
        let told = ready(&node).await;
        assert_eq!(node.get("/healthz").await["role"], told["role"]);
        assert!(told["lag"].is_u64() && told["term"].is_i64(), "{told}");
        let metrics = node.text("/metrics").await;
        assert!(metrics.contains("postbook_projector_term "), "{metrics}");
        let is_measured = metrics.contains("\npostbook_projecting 1\n");
        assert_eq!(is_measured, told["role"] == "projecting");
        measured += usize::from(is_measured);
        projecting.push(told["projecting_node"].clone());
    }
    assert_eq!(measured, 1);
    assert!(projecting.iter().all(|name| *name == projecting[0]));
}

async fn kill_who_projects(servings: &mut Vec<Serving>, finn: &Caller, carla: &Caller) {
    let mut place = None;
    for (number, _) in servings.iter().enumerate() {
        let told = ready(&finn.only(number)).await;
        if told["role"] == "projecting" {
            assert_eq!(told["node"], told["projecting_node"]);
            place = Some(number);
        }
    }
    let mut gone = servings.remove(place.expect("one projects"));
    let term = ready(&finn.only(place.unwrap_or_default())).await["term"].clone();
    gone.kill();
    let killed_at = Instant::now();
    let left: Vec<usize> = (0..3).filter(|number| Some(*number) != place).collect();
    let taken_over = async || {
        for number in &left {
            let told = ready(&carla.only(*number)).await;
            if told["role"] == "projecting" {
                assert!(told["term"].as_i64() > term.as_i64(), "{told}");
                return true;
            }
        }
        false
    };
    until("another takes over", taken_over).await;
    assert!(killed_at.elapsed() < LONG);
}

async fn finn_after(servings: &[Serving], finn: &Caller, malus: &Value) {
    let left = Caller::of(servings, finn.token());
    left.done("/v1/adjustments", malus).await;
    for _ in 0..2 {
        let balance = left.get("/v1/partners/p1/balances").await["items"][0].clone();
        assert_eq!(balance["adjusted_minor"], json!(-1_201));
    }
}
