//! Laws of whole months: whatever people and advertisers do in whatever order, statements add up to
//! the books, lead from one to the next, name what they correct, and never change.
//!
//! `MONTHS_SEEDS` says how many stories are told (30); a story that fails names its seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::http::StatusCode;
use postbook::{
    secrets::Role,
    service::ServerOptions,
    store::{LogStore, memory::MemoryStore},
    tables::query::{Slice, postings::PostingFilter},
};
use postbook_projections::rows::{Account, Posting};
use postbook_schemas::{
    ClickIdKey, Currency, Instant, Month, Slug,
    statement::{StatementEntry, StatementIssued, StatementLine},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{
    app::{Sender, TestApp},
    twin,
};

const PROGRAMME: &str = r#"
[[brand]]
slug = "acme"
[[offer]]
brand = "acme"
slug = "shop"
destination = "https://acme.example/"
legacy_without_secret = true
payout_threshold = "5.00"
[[offer]]
brand = "acme"
slug = "casino"
destination = "https://acme.example/"
legacy_without_secret = true
[[partner]]
slug = "p1"
recovery_limit = "50%"
second_person_above = "10.00"
[[partner]]
slug = "p2"
currency = "EUR"
[[partner]]
slug = "p3"
recovery_limit = "3.00"
[[coupon]]
code = "ONE"
offer = "acme/shop"
partner = "p1"
[[coupon]]
code = "TWO"
offer = "acme/shop"
partner = "p2"
[[coupon]]
code = "THREE"
offer = "acme/casino"
partner = "p3"
[[coupon]]
code = "FOUR"
offer = "acme/casino"
partner = "p1"
[[fx_rate]]
base = "USD"
quote = "EUR"
rate = "0.9137"
at = 2026-01-01T00:00:00Z
[[terms]]
offer = "acme/shop"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "12.5%"
hold_days = 3
[[terms]]
offer = "acme/casino"
effective_from = 2026-01-01T00:00:00Z
time_zone = "America/Los_Angeles"
[[terms.rule]]
id = "cpa"
on = "sale"
cpa = "7.77"
approval = "after 2 days"
tiers = { by = "count", per = "month", mode = "all", steps = [{ from = 4, cpa = "9.99" }] }
"#;

const HOUR: i64 = 3_600_000_000;
const STEPS: u64 = 100;

/// So many stories are told to read models on a server as well.
const TWINS: u64 = 2;

#[tokio::test]
async fn statements_add_up_to_the_books_lead_on_name_what_they_correct_and_never_change() {
    let seeds = std::env::vars().find(|(name, _)| name == "MONTHS_SEEDS");
    let seeds = seeds.map_or(30, |(_, count)| count.parse().expect("a number"));
    let mut told = BTreeSet::new();
    for seed in 1..=seeds {
        told.extend(Story::begin(seed).await.tell().await);
    }
    // The stories are about everything that statements can tell, now and as corrections.
    let mut every: BTreeSet<_> = StatementEntry::ALL.map(|entry| (entry, false)).into();
    every.extend(StatementEntry::ALL.map(|entry| (entry, true)));
    // What people do takes effect when they do it, in an open month; that a chargeback of a closed
    // month is won in that month is rare.
    every.retain(|(entry, corrects)| match entry {
        StatementEntry::CarryoverReset => false,
        StatementEntry::Restoration
        | StatementEntry::Adjustment
        | StatementEntry::WriteOff
        | StatementEntry::Payout
        | StatementEntry::PayoutReturned => !corrects,
        StatementEntry::Earning | StatementEntry::Reversal | StatementEntry::Clawback => true,
    });
    let missing: Vec<_> = every.difference(&told).collect();
    assert!(
        seeds < 30 || missing.is_empty(),
        "{missing:?} are never told"
    );
}

/// A generated story, and the log that it is told into.
struct Story {
    seed: u64,
    random: StdRng,
    /// Of which offers which sales were charged back, as far as there were such sales.
    charged_back: Vec<(&'static str, u64)>,
    store: Arc<dyn LogStore>,
    app: TestApp,
    /// The month that is closed next.
    open: Month,
}

/// Who takes part.
struct People<'a> {
    finn: Sender<'a>,
    fay: Sender<'a>,
    manager: Sender<'a>,
}

type Documents = BTreeMap<u64, [String; 3]>;

impl Story {
    async fn begin(seed: u64) -> Self {
        let mut kept = None;
        let app = TestApp::start_on(PROGRAMME, ServerOptions::default(), ids, |ids| {
            let store: Arc<dyn LogStore> = Arc::new(MemoryStore::new(ids));
            kept = Some(Arc::clone(&store));
            store
        })
        .await;
        let begin = Instant::parse_rfc3339("2026-03-20T12:00:00Z");
        app.clock.set(begin.expect("a time"));
        Self {
            seed,
            random: StdRng::seed_from_u64(seed),
            charged_back: Vec::new(),
            store: kept.expect("the store was made"),
            app,
            open: "2026-01".parse().expect("a month"),
        }
    }

    /// Tells it; what its statements are about, and whether that corrects an earlier month.
    async fn tell(mut self) -> BTreeSet<(StatementEntry, bool)> {
        for number in 0..STEPS {
            let hours = self.random.random_range(1..48);
            self.app.clock.advance_micros(HOUR * hours);
            self.step(number).await;
        }
        while self.documents().await.len() < 4 {
            self.close().await;
        }
        let before = self.documents().await;
        self.check_statements(&before).await;
        if self.seed <= TWINS {
            twin::answers_alike(&self.app).await;
        }
        let rebuilt = self
            .app
            .service
            .projector
            .rebuild(&postbook::projector::Control::default())
            .await;
        rebuilt.expect("the read models can be built again");
        assert_eq!(self.documents().await, before, "seed {}", self.seed);
        self.start_again().await;
        assert_eq!(self.documents().await, before, "seed {}", self.seed);
        // What was told before the restart is what the next statements go on from.
        self.close().await;
        let documents = self.documents().await;
        self.check_statements(&documents).await;
        let statements = documents.values().map(|[json, ..]| {
            let statement: StatementIssued = serde_json::from_str(json).expect("a statement");
            statement.lines
        });
        let about = |line: StatementLine| (line.entry, line.corrects.is_some());
        statements.flatten().map(about).collect()
    }

    /// Another process on the same log, with read models of its own.
    async fn start_again(&mut self) {
        let now = self.app.service.clock.now();
        let store = Arc::clone(&self.store);
        let app = TestApp::start_on("", ServerOptions::default(), ids, |_| store).await;
        app.clock.set(now);
        self.app = app;
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.random.random_range(0..all.len())]
    }

    async fn people(&self) -> People<'_> {
        People {
            finn: self.app.as_role(Role::Finance).await,
            fay: self.app.as_role(Role::Finance).await,
            manager: self.app.as_role(Role::Manager).await,
        }
    }

    async fn step(&mut self, number: u64) {
        match self.random.random_range(0..100) {
            0..32 => self.sell(number).await,
            32..54 => self.change(number).await,
            54..62 => self.decide().await,
            62..67 => self.adjust().await,
            67..72 => self.write_off().await,
            72..88 => self.pay().await,
            _ => self.close().await,
        }
    }

    /// A time in the last weeks, which may be in a month that is closed.
    fn earlier(&mut self) -> String {
        let hours = if self.chance(60) {
            0
        } else {
            self.random.random_range(1..1_200)
        };
        let now = self.app.service.clock.now();
        now.plus_micros(-HOUR * hours).to_string()
    }

    async fn report(&self, offer: &str, query: &str) {
        let path = format!("/api/postback/acme/{offer}?{query}");
        let answer = self.app.anonymous().get(&path).await;
        let kept = answer.status.is_success();
        assert!(kept, "seed {}: {query}: {}", self.seed, answer.text());
    }

    async fn sell(&mut self, number: u64) {
        let (offer, coupon) = self.one_of(&[
            ("shop", "ONE"),
            ("shop", "TWO"),
            ("casino", "THREE"),
            ("casino", "FOUR"),
        ]);
        let (cents, at) = (self.random.random_range(1..90_000), self.earlier());
        let amount = Currency::USD.format_major(cents);
        let query = format!(
            "event=sale&txn_id=T{number}&coupon_code={coupon}&amount={amount}&timestamp={at}"
        );
        self.report(offer, &query).await;
    }

    /// A refund or chargeback of a sale; some of no sale there is. Mostly what was charged back is won.
    async fn change(&mut self, number: u64) {
        let (sale, at) = (self.random.random_range(0..number.max(1)), self.earlier());
        let event = self.one_of(&[
            "refund",
            "refund&amount=5.00",
            "chargeback",
            "chargeback_won",
        ]);
        let offer = self.one_of(&["shop", "casino"]);
        let lost = usize::try_from(sale).unwrap_or(0) % self.charged_back.len().max(1);
        let (offer, sale) = match (event, self.charged_back.get(lost)) {
            ("chargeback_won", Some(&lost)) => lost,
            _ => (offer, sale),
        };
        if event == "chargeback" {
            self.charged_back.push((offer, sale));
        }
        let query = format!("event={event}&txn_id=T{sale}&event_id=E{number}&timestamp={at}");
        self.report(offer, &query).await;
    }

    /// A manager decides about a conversion, or credits somebody else.
    async fn decide(&mut self) {
        let which = self.random.random_range(0..usize::MAX);
        let decision = self.one_of(&["approve", "reject", "reverse", "release"]);
        let partner = self.one_of(&[Some("p1"), Some("p2"), Some("p3"), None]);
        let is_decision = self.chance(60);
        let People { manager, .. } = self.people().await;
        let list = manager.get("/v1/conversions?limit=1000").await.json();
        let Some(items) = list["items"].as_array().filter(|items| !items.is_empty()) else {
            return;
        };
        let id = items[which % items.len()]["id"].clone();
        let (path, body) = if is_decision {
            let body = json!({"conversion_id": id, "decision": decision, "reason": "r"});
            ("/v1/decisions", body)
        } else {
            let body = json!({"conversion_id": id, "partner": partner, "reason": "r"});
            ("/v1/attribution-corrections", body)
        };
        self.done(&manager, path, &body).await;
    }

    async fn adjust(&mut self) {
        let partner = self.one_of(&["p1", "p2", "p3"]);
        let amount = self.one_of(&[-1_500, -300, 250, 990, 2_500]);
        let body = json!({"partner": partner, "amount_minor": amount, "reason": "r"});
        self.enter("/v1/adjustments", &body).await;
    }

    async fn write_off(&mut self) {
        let part = self.random.random_range(1..=3);
        let viewer = self.app.as_role(Role::Viewer).await;
        let mut debts = Vec::new();
        for partner in ["p1", "p2", "p3"] {
            // Of all times: what is recorded may be ahead of a clock that was set back.
            let path = format!("/v1/partners/{partner}/balances?as_of=2100-01-01T00:00:00Z");
            let all = viewer.get(&path).await.json();
            for balance in all["items"].as_array().expect("a list") {
                let owed = balance["outstanding_minor"].as_i64().expect("an amount");
                let currency = balance["currency"].clone();
                debts.push(json!({"partner": partner, "amount_minor": owed / part,
                    "currency": currency, "reason": "r"}));
            }
        }
        debts.retain(|debt| debt["amount_minor"].as_i64() > Some(0));
        let payouts = viewer.get("/v1/payouts?limit=1000").await.json();
        let recovers = |payout: &&Value| {
            let open = ["proposed", "approved"].map(Value::from);
            open.contains(&payout["state"]) && payout["recovered_minor"].as_i64() > Some(0)
        };
        let payouts = payouts["items"].as_array().expect("a list").iter();
        let recovered: Vec<_> = payouts.filter(recovers).cloned().collect();
        for debt in debts {
            // What an open payout recovers is not given up as well (`payouts` tests that).
            let of_both = |one: &Value| (one["partner"].clone(), one["currency"].clone());
            if !recovered.iter().any(|it| of_both(it) == of_both(&debt)) {
                self.enter("/v1/write-offs", &debt).await;
            }
        }
    }

    /// Enters an amount; above the limit a second person agrees or does not.
    async fn enter(&mut self, path: &str, body: &Value) {
        let agrees = self.chance(70);
        let People { finn, fay, .. } = self.people().await;
        let said = self.done(&finn, path, body).await;
        let Some(proposal) = said["proposal_id"].as_str() else {
            return;
        };
        let path = format!("/v1/adjustments/{proposal}");
        if agrees {
            self.done(&fay, &format!("{path}/approve"), &json!({}))
                .await;
        } else {
            let body = json!({"reason": "no"});
            self.done(&fay, &format!("{path}/decline"), &body).await;
        }
    }

    async fn balances(&self, sender: &Sender<'_>, partner: &str) -> Vec<Value> {
        let path = format!("/v1/partners/{partner}/balances");
        let all = sender.get(&path).await.json();
        all["items"].as_array().expect("a list").clone()
    }

    /// Proposes to one or to all, then moves some open payouts on.
    async fn pay(&mut self) {
        let partner = self.one_of(&["p1", "p2", "p3"]);
        let to_all = self.chance(40);
        let steps = self.random.random_range(0..1_000_u32);
        let People { finn, fay, .. } = self.people().await;
        if to_all {
            let body = json!({"reason": "r"});
            self.done(&finn, "/v1/payout-runs", &body).await;
        } else {
            let body = json!({"partner": partner, "reason": "r"}).to_string();
            let answer = finn.post_json("/v1/payouts", &body).await;
            let expected = [StatusCode::CREATED, StatusCode::CONFLICT];
            assert!(expected.contains(&answer.status), "{}", answer.text());
        }
        let open = fay.get("/v1/payouts?limit=1000").await.json();
        let open = open["items"].as_array().expect("a list").clone();
        for (number, payout) in (0..).zip(open) {
            let step = match (payout["state"].as_str(), (steps >> (number % 8)) % 4) {
                (Some("proposed"), 0..=2) => "approve",
                (Some("approved"), 0) => "send",
                (Some("approved" | "sent"), 1 | 2) => "settle",
                (Some("sent" | "settled"), 3) => "return",
                (Some("proposed" | "approved"), _) => "fail",
                _ => continue,
            };
            self.app.clock.advance_micros(HOUR);
            self.move_on(&fay, &payout, step).await;
        }
    }

    /// No payout is approved or sent above what is payable.
    async fn move_on(&self, sender: &Sender<'_>, payout: &Value, step: &str) {
        let (id, partner) = (payout["id"].as_str(), payout["partner"].as_str());
        let (id, partner) = (id.expect("an id"), partner.expect("a partner"));
        let balances = self.balances(sender, partner).await;
        let own = balances
            .iter()
            .find(|balance| balance["currency"] == payout["currency"]);
        let payable = own
            .and_then(|own| own["payable_minor"].as_i64())
            .unwrap_or(0);
        let path = format!("/v1/payouts/{id}/{step}");
        let answer = sender.post_json(&path, r#"{"reason":"r"}"#).await;
        if !["approve", "send"].contains(&step) {
            assert!(answer.status.is_success(), "{step}: {}", answer.text());
            return;
        }
        let amount = payout["amount_minor"].as_i64().expect("an amount");
        if answer.status.is_success() {
            assert!(
                amount <= payable,
                "seed {}: {amount} of {payable}",
                self.seed
            );
        } else {
            assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text());
        }
    }

    /// Closes the month if it is over, early or late.
    async fn close(&mut self) {
        let over = self.open.end().plus_micros(12 * HOUR);
        if self.app.service.clock.now() < over {
            if self.chance(40) {
                return;
            }
            self.app.clock.set(over);
        }
        let People { finn, .. } = self.people().await;
        let path = format!("/v1/periods/{}/close", self.open);
        let seen = self.done(&finn, &path, &json!({"dry_run": true})).await;
        let told = self.done(&finn, &path, &json!({"reason": "r"})).await;
        let of = |value: &Value| value["statements"].as_array().expect("a list").clone();
        for (seen, told) in of(&seen).iter().zip(of(&told)) {
            for name in ["partner", "number", "opening_minor", "closing_minor"] {
                assert_eq!(seen[name], told[name], "seed {}", self.seed);
            }
        }
        assert_eq!(of(&seen).len(), of(&told).len(), "seed {}", self.seed);
        self.open = self.open.next();
    }

    async fn done(&self, sender: &Sender<'_>, path: &str, body: &Value) -> Value {
        let answer = sender.post_json(path, &body.to_string()).await;
        let done = answer.status.is_success();
        assert!(done, "seed {}: {path} {body}: {}", self.seed, answer.text());
        answer.json()
    }

    /// All statements in all forms, by position.
    async fn documents(&self) -> Documents {
        let finance = self.app.as_role(Role::Finance).await;
        let list = finance.get("/v1/statements?limit=1000").await.json();
        assert_eq!(
            self.app.service.projector.failed(),
            None,
            "seed {}",
            self.seed
        );
        let mut all = Documents::new();
        for row in list["items"].as_array().expect("a list") {
            let (id, position) = (row["id"].as_str(), row["position"].as_u64());
            let mut forms = <[String; 3]>::default();
            for (form, suffix) in forms.iter_mut().zip(["json", "csv", "html"]) {
                let path = format!("/v1/statements/{}.{suffix}", id.expect("an id"));
                finance.get(&path).await.text().clone_into(form);
            }
            all.insert(position.expect("a position"), forms);
        }
        all
    }

    /// Every statement against the one before it, and against the postings of its month.
    async fn check_statements(&self, documents: &Documents) {
        let seed = self.seed;
        let tables = &self.app.service.tables;
        let unsound = tables.unsound_balances().await.expect("they can be read");
        assert!(unsound.is_empty(), "seed {seed}: {unsound:?}");
        let now = self.app.service.clock.now();
        let unlike = tables.unlike_balances(now).await;
        let unlike = unlike.expect("they can be read");
        assert!(unlike.is_empty(), "seed {seed}: {unlike:?}");
        let every = PostingFilter::default();
        let postings = tables.postings(&every, Slice::ALL).await;
        let mut books = books(&postings.expect("they can be read"));
        let mut told: BTreeMap<(Slug, Currency), i64> = BTreeMap::new();
        let mut numbers: BTreeMap<Slug, u64> = BTreeMap::new();
        for [json, ..] in documents.values() {
            let statement: StatementIssued = serde_json::from_str(json).expect("a statement");
            assert!(statement.adds_up(), "seed {seed}: {statement:?}");
            let key = (statement.partner.clone(), statement.currency);
            let before = told.insert(key.clone(), statement.closing_minor);
            assert_eq!(statement.opening_minor, before.unwrap_or(0), "seed {seed}");
            let number = numbers.entry(statement.partner.clone()).or_insert(0);
            *number += 1;
            assert_eq!(statement.number, *number, "seed {seed}");
            let mut lines: BTreeMap<Option<Month>, i64> = BTreeMap::new();
            for line in &statement.lines {
                assert!(line.corrects.is_none_or(|month| month < statement.period));
                *lines.entry(line.corrects).or_default() += line.amount_minor;
            }
            lines.retain(|_, amount| *amount != 0);
            let own = books.remove(&(key, statement.period)).unwrap_or_default();
            assert_eq!(lines, own, "seed {seed}: {statement:?}");
        }
        // Whoever was not told about a closed month had nothing happen in it.
        books.retain(|(_, month), _| *month < self.open);
        assert!(books.is_empty(), "seed {seed}: {books:?}");
    }
}

type Books = BTreeMap<((Slug, Currency), Month), BTreeMap<Option<Month>, i64>>;

/// What postings do to what partners have coming, by the month in whose books they stand and the
/// month that they correct: a naive sum.
fn books(postings: &[Posting]) -> Books {
    let mut books = Books::new();
    for posting in postings {
        let owed = posting
            .entries
            .iter()
            .filter(|entry| matches!(entry.account, Account::Pending(_) | Account::Approved(_)));
        let amount: i64 = owed.map(|entry| -entry.amount_minor).sum();
        let key = (posting.partner.clone(), posting.currency);
        let of_month = books.entry((key, posting.period.month)).or_default();
        *of_month.entry(posting.period.corrects).or_default() += amount;
    }
    for of_month in books.values_mut() {
        of_month.retain(|_, amount| *amount != 0);
    }
    books.retain(|_, of_month| !of_month.is_empty());
    books
}

fn ids(secrets: &postbook::secrets::Secrets) -> Arc<ClickIdKey> {
    Arc::new(ClickIdKey::new(secrets.click_id_key()))
}
