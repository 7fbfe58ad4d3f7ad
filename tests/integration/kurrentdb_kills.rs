//! Nodes, and the fake KurrentDB server under them, that are killed while postbacks and clicks come in:
//! what was answered is in the log, once, and whoever was killed goes on from there.
//!
//! `POSTBOOK_KILLS` says how often (12); the moments hang on a seed that a failure prints.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{Method, StatusCode};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{
    task::{JoinSet, block_in_place},
    time::{Instant, sleep},
};

use crate::{
    support::{
        book::Book,
        postgres::Schema,
        process::{Caller, Place, Serving, kills},
        stream::Stream,
    },
    v1::PROGRAMME,
};

const NODES: usize = 2;

/// Senders to each node.
const SENDERS: usize = 6;

/// How long anything may take to be back.
const BACK_MAX: Duration = Duration::from_mins(1);

/// What the senders share: who answers now, and what was answered.
struct Desk {
    callers: Mutex<[Option<Caller>; NODES]>,
    /// How many postbacks and clicks each node has answered.
    answered: [AtomicUsize; NODES],
    book: Mutex<Book>,
    over: AtomicBool,
}

impl Desk {
    fn caller(&self, node: usize) -> Option<Caller> {
        self.callers.lock().expect("no test panics here")[node % NODES].clone()
    }

    fn set_caller(&self, node: usize, caller: Option<Caller>) {
        self.callers.lock().expect("no test panics here")[node] = caller;
    }

    fn book<T>(&self, of: impl FnOnce(&mut Book) -> T) -> T {
        of(&mut self.book.lock().expect("no test panics here"))
    }

    /// Sends for as long as nobody says that it is over.
    async fn send(&self, node: usize, number: usize) {
        while !self.over.load(Ordering::SeqCst) {
            let Some(caller) = self.caller(node) else {
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            let is_answered = match number {
                0 => self.click(&caller).await,
                1 => self.twin(node, &caller).await,
                _ => {
                    let txn_id = self.book(Book::new_transaction);
                    let answer = postback(&caller, &txn_id).await;
                    self.note(txn_id, answer)
                }
            };
            if is_answered {
                self.answered[node].fetch_add(1, Ordering::SeqCst);
            } else {
                sleep(Duration::from_millis(10)).await;
            }
        }
    }

    async fn click(&self, caller: &Caller) -> bool {
        let Some((status, location)) = caller.try_click("/abc?sub1=kills").await else {
            return false;
        };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return false;
        }
        assert_eq!(status, StatusCode::FOUND);
        let (_, click_id) = location.split_once("cid=").expect("a click id");
        self.book(|book| book.answer_click(click_id.to_owned()));
        true
    }

    /// The same postback to two nodes at once: whoever answers says the same conversion.
    async fn twin(&self, node: usize, caller: &Caller) -> bool {
        let txn_id = self.book(Book::new_transaction);
        let other = async {
            match self.caller(node + 1) {
                Some(other) => postback(&other, &txn_id).await,
                None => None,
            }
        };
        let (own, other) = tokio::join!(postback(caller, &txn_id), other);
        if let (Some(own), Some(other)) = (&own, &other) {
            assert_eq!(own, other, "{txn_id} has two conversions");
        }
        let is_of_use = own.is_some();
        self.note(txn_id, own.or(other));
        is_of_use
    }

    fn note(&self, txn_id: String, conversion_id: Option<String>) -> bool {
        let is_answered = conversion_id.is_some();
        self.book(|book| match conversion_id {
            Some(id) => book.answer(txn_id, id),
            None => book.lose(txn_id),
        });
        is_answered
    }

    /// What was lost is sent again, and some of what was answered: it is taken or recognised.
    async fn repeat(&self) {
        let lost = self.book(Book::take_lost);
        for (number, txn_id) in lost.into_iter().enumerate() {
            let answer = self.until_answered(number, &txn_id).await;
            self.note(txn_id, Some(answer));
        }
        for number in 0..40 {
            let before = self.book(|book| {
                let before = book.answered_at(number * 7_919);
                before.map(|(txn_id, id)| (txn_id.clone(), id.clone()))
            });
            let (txn_id, conversion_id) = before.expect("something was answered");
            assert_eq!(self.until_answered(number, &txn_id).await, conversion_id);
        }
    }

    async fn until_answered(&self, node: usize, txn_id: &str) -> String {
        let deadline = Instant::now() + BACK_MAX;
        loop {
            let caller = self.caller(node).expect("all nodes run");
            if let Some(conversion_id) = postback(&caller, txn_id).await {
                return conversion_id;
            }
            assert!(Instant::now() < deadline, "{txn_id} is not taken");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A postback, and its conversion; none if nobody answers, or that it cannot be taken now.
async fn postback(caller: &Caller, txn_id: &str) -> Option<String> {
    let customer = format!("c-{txn_id}");
    let body = json!({"event": "sale", "offer": "acme/casino", "value": 4990, "currency": "USD",
        "txn_id": txn_id, "customer_id": customer});
    let asked = caller.try_send(Method::POST, "/postback", Some(&body), None);
    let (status, answer) = asked.await?;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    assert_eq!(status, StatusCode::OK, "{answer}");
    let conversion_id = answer["conversion_id"].as_str();
    Some(conversion_id.expect("a conversion").to_owned())
}

/// Nodes on one stream, the traffic to them, and what happens to them.
struct Run {
    stream: Stream,
    places: Vec<Place>,
    servings: Vec<Option<Serving>>,
    token: String,
    random: StdRng,
    desk: Arc<Desk>,
    _schema: Option<Schema>,
}

impl Run {
    #[expect(clippy::print_stdout, reason = "a failure can be told again from it")]
    async fn start(schema: Option<Schema>) -> Self {
        let stream = Stream::on_a_fake().await;
        let mut elsewhere = vec![format!("--log={}", stream.url)];
        elsewhere.extend(
            schema
                .iter()
                .map(|it| format!("--projections={}", it.url())),
        );
        let (places, token) = block_in_place(|| {
            let first = Place::with_elsewhere(PROGRAMME, &elsewhere);
            let token = first.token("ingest", "kills");
            let others = (1..=NODES).map(|_| Place::elsewhere(&elsewhere));
            let others: Vec<_> = others.collect();
            if schema.is_none() {
                for other in &others {
                    first.give_secrets(other);
                }
            }
            let places: Vec<_> = [first].into_iter().chain(others).collect();
            (places, token)
        });
        let seed = rand::random();
        println!("seed {seed}");
        let desk = Desk {
            callers: Mutex::default(),
            answered: std::array::from_fn(|_| AtomicUsize::new(0)),
            book: Mutex::default(),
            over: AtomicBool::new(false),
        };
        let mut run = Self {
            stream,
            places,
            servings: (0..NODES).map(|_| None).collect(),
            token,
            random: StdRng::seed_from_u64(seed),
            desk: Arc::new(desk),
            _schema: schema,
        };
        (0..NODES).for_each(|node| run.serve(node));
        run
    }

    fn serve(&mut self, node: usize) {
        let serving = block_in_place(|| self.places[node].serve());
        self.desk
            .set_caller(node, Some(serving.caller(&self.token)));
        self.servings[node] = Some(serving);
    }

    fn kill(&mut self, node: usize) {
        self.desk.set_caller(node, None);
        let mut serving = self.servings[node].take().expect("it runs");
        block_in_place(|| serving.kill());
    }

    async fn a_moment(&mut self, millis: u64) {
        let micros = self.random.random_range(0..millis * 1_000);
        sleep(Duration::from_micros(micros)).await;
    }

    /// Kills a node, the server, or both, and starts them again.
    async fn disturb(&mut self) {
        self.a_moment(400).await;
        let node = self.random.random_range(0..NODES);
        match self.random.random_range(0..5_u32) {
            0 | 1 => {
                self.kill(node);
                self.serve(node);
            }
            2 | 3 => {
                self.stream.fake().kill().await;
                self.a_moment(300).await;
                self.stream.fake().start_again().await;
            }
            _ => {
                self.stream.fake().kill().await;
                self.kill(node);
                self.a_moment(100).await;
                self.stream.fake().start_again().await;
                self.serve(node);
            }
        }
    }

    /// Every node answers again.
    async fn goes_on(&self) {
        for (node, answered) in self.desk.answered.iter().enumerate() {
            let before = answered.load(Ordering::SeqCst);
            let deadline = Instant::now() + BACK_MAX;
            while answered.load(Ordering::SeqCst) == before {
                assert!(Instant::now() < deadline, "node {node} answers nothing");
                sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Both nodes show all that is in the log.
    async fn settled(&self) {
        let deadline = Instant::now() + BACK_MAX;
        loop {
            let mut heads = Vec::new();
            for node in 0..NODES {
                let caller = self.desk.caller(node).expect("it runs");
                let told = caller.get("/readyz").await;
                heads.push((told["log_head"].clone(), told["lag"].clone()));
            }
            if heads.iter().all(|head| *head == heads[0] && head.1 == 0) {
                return;
            }
            assert!(Instant::now() < deadline, "{heads:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn drive(mut self, kills: u32) {
        let mut sending = JoinSet::new();
        for node in 0..NODES {
            for number in 0..SENDERS {
                let desk = Arc::clone(&self.desk);
                sending.spawn(async move { desk.send(node, number).await });
            }
        }
        self.goes_on().await;
        for _ in 0..kills {
            self.disturb().await;
            self.goes_on().await;
        }
        self.desk.over.store(true, Ordering::SeqCst);
        while let Some(sent) = sending.join_next().await {
            sent.expect("no sender panics");
        }
        self.desk.repeat().await;
        self.settled().await;
        (0..NODES).for_each(|node| self.kill(node));
        block_in_place(|| self.check());
    }

    /// What was answered is there, once, under the id that was answered; every node, one with a new
    /// mirror too, finds nothing wrong and says the same.
    #[expect(clippy::print_stdout, reason = "how much was shown")]
    fn check(&self) {
        let mut said = BTreeMap::new();
        for (number, place) in self.places.iter().enumerate() {
            let verified: Value = serde_json::from_str(&place.done(&["verify", "--json"]))
                .expect("verify answers JSON");
            let items = verified["items"].as_array().expect("it lists its checks");
            let details = items.iter().map(|item| item["detail"].to_string());
            said.insert(number, details.collect::<Vec<_>>());
        }
        let newest = &self.places[NODES];
        let events = newest.done(&["events"]);
        let checked = self.desk.book(|book| {
            book.read(&events)?;
            book.check(book.next() - 1)?;
            anyhow::Ok(book.acknowledged())
        });
        let acknowledged = checked.expect("the log holds what was answered, once");
        assert!(
            said.values().all(|details| *details == said[&0]),
            "{said:#?}"
        );
        println!("{acknowledged} acknowledged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_nodes_and_servers_lose_nothing_and_double_nothing() {
    Run::start(None).await.drive(kills(12)).await;
}

/// The shape of a cluster: the lease of the read models moves while the log's server goes and comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_nodes_that_share_read_models_lose_nothing_and_double_nothing() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    Run::start(Some(schema)).await.drive(kills(12)).await;
}
