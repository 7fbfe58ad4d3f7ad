//! Requeue: attempts that failed under a wrong mapping become what they would have been.

use std::{collections::BTreeMap, fmt::Write as _};

use postbook::{
    commands::requeue::{self, Requeue},
    secrets::Role,
    store::Filter,
};
use postbook_schemas::{Envelope, Fact, OfferRef, Outcome};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    mapping::shown,
    support::{
        app::TestApp,
        postgres::Schema,
        process::{Caller, Place},
    },
};

const PROGRAMME: &str = include_str!("../data/requeue/programme.toml");
const MAPPING: &str = include_str!("../data/requeue/mapping.toml");

async fn facts(app: &TestApp) -> Vec<Envelope> {
    let store = app.service.log.store();
    let page = store.read(1, store.head(), Filter::ALL, usize::MAX >> 1);
    let page = page.await.expect("the log can be read");
    let read = |(_, line)| Envelope::decode(line).expect("a fact");
    page.lines().map(read).collect()
}

async fn requeue(app: &TestApp, body: Value) -> Value {
    let sender = app.as_role(Role::Manager).await;
    let answer = sender.post_json("/v1/requeue", &body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    answer.json()
}

fn results(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().expect("items");
    let result = |item: &Value| {
        let becomes = &item["becomes"];
        let code = becomes["outcome"].as_str().or(becomes["result"].as_str());
        code.expect("an outcome or a result").to_owned()
    };
    items.iter().map(result).collect()
}

/// What the four failed attempts are under the right mapping.
const BECOMES: [&str; 4] = ["accepted", "duplicate", "accepted", "missing_field"];

/// A draft may be tried before it is applied.
async fn assert_draft_is_only_tried(app: &TestApp) {
    let draft = requeue(app, json!({ "offer": "acme/casino", "mapping": MAPPING })).await;
    assert_eq!(results(&draft), BECOMES);
    assert_eq!(draft["applied"], false);
    assert_eq!(draft["items"][0]["was"]["outcome"], "missing_field");
    assert_eq!(draft["items"][0]["becomes"]["reads"]["amount_minor"], 4990);
    let now = requeue(app, json!({ "offer": "acme/casino" })).await;
    assert_eq!(results(&now), ["missing_field"; 4]);
}

#[tokio::test]
async fn a_corrected_mapping_recovers_what_failed_once_and_links_both_ways() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    let send = |rest: &str| format!("/api/postback/acme/casino?secret={secret}&{rest}");
    let sender = app.anonymous();
    for rest in [
        "player=c-1&sum=4990&tid=1",
        "player=c-1&sum=4990&tid=1",
        "player=c-1&what=back&tid=1&sum=1000",
        "sum=1",
    ] {
        app.clock.advance_micros(1_000_000);
        let answer = sender.get(&send(rest)).await;
        assert_eq!(answer.status.as_u16(), 422, "{}", answer.text());
    }
    // Who was not let in then is not let in now.
    sender
        .get("/api/postback/acme/casino?secret=wrong&player=c-9&tid=9")
        .await;
    let failed = facts(&app).await;
    let first = failed[failed.len() - 5].clone();
    app.clock.advance_micros(3_600_000_000);
    let before = app.service.log.store().head();
    assert_draft_is_only_tried(&app).await;
    assert_eq!(app.service.log.store().head(), before);
    app.apply(MAPPING).await;
    let apply =
        json!({ "offer": "acme/casino", "dry_run": false, "reason": "the mapping was wrong" });
    let applied = requeue(&app, apply.clone()).await;
    assert_eq!(results(&applied), BECOMES);
    let all = facts(&app).await;
    let fresh = &all[all.len() - 3..];
    assert_eq!(
        shown(&fresh[0]).replace(".000000Z", "Z"),
        format!(
            "sale accepted txn_id=1 customer_id=c-1 amount_minor=4990 currency=USD at={}",
            first.recorded_at.to_string().replace(".000000Z", "Z")
        )
    );
    assert_eq!(fresh[0].occurred_at, first.recorded_at);
    assert!(matches!(fresh[1].fact, Fact::PostbackRepeated(_)));
    assert_eq!(
        fresh[2].fact.as_change().map(|change| change.outcome),
        Some(Outcome::Accepted)
    );
    let attempt = fresh[0].fact.attempt().expect("an attempt");
    let requeued = attempt.requeued.as_ref().expect("it was requeued");
    assert_eq!(requeued.attempt_id, first.id);
    assert_eq!(requeued.reason, "the mapping was wrong");
    let original = first.fact.attempt().expect("an attempt");
    assert_eq!(attempt.credential, original.credential);
    assert_eq!(attempt.request, original.request);
    assert_eq!(fresh[0].source.address, first.source.address);
    assert!(attempt.mapping.is_some());
    let became = requeue::became(&**app.service.log.store(), first.id)
        .await
        .expect("the log answers")
        .expect("it became something");
    assert_eq!(became.position, all.len() as u64 - 2);
    assert_told_both_ways(&app, &first, &fresh[0], became.position).await;

    // Again: nothing more.
    let head = app.service.log.store().head();
    let again = requeue(&app, apply).await;
    assert_eq!(
        results(&again),
        [
            "requeued_before",
            "requeued_before",
            "requeued_before",
            "missing_field"
        ]
    );
    assert_eq!(app.service.log.store().head(), head);
}

/// The search shows what a refusal became, and of the fact where it is from.
async fn assert_told_both_ways(app: &TestApp, refused: &Envelope, fact: &Envelope, at: u64) {
    let viewer = app.as_role(Role::Viewer).await;
    let told = async |id| viewer.get(&format!("/v1/attempts/{id}")).await.json();
    let of_refused = told(refused.id).await;
    assert_eq!(
        of_refused["became"],
        json!({ "position": at, "fact_id": fact.id, "outcome": "accepted" })
    );
    assert_eq!(of_refused["requeued"], Value::Null);
    let of_fact = told(fact.id).await;
    assert_eq!(
        of_fact["requeued"],
        json!({
            "attempt_id": refused.id, "position": of_refused["position"],
            "reason": "the mapping was wrong",
        })
    );
    assert_eq!(of_fact["became"], Value::Null);
}

/// A row of a file is a row of that file also when it is read again.
#[tokio::test]
async fn refused_rows_of_files_are_requeued_as_rows() {
    let app = TestApp::start(PROGRAMME).await;
    app.apply(include_str!("../data/requeue/wrong.toml")).await;
    let manager = app.as_role(Role::Manager).await;
    let ingester = app.as_ingester().await;
    let hash = "ab".repeat(32);
    let import = async |rows: &str| {
        let path = format!("/v1/imports/postbacks?offer=acme/casino&file=june.csv&sha256={hash}");
        let answer = ingester
            .post(&path, "application/x-ndjson", rows.as_bytes())
            .await;
        let text = answer.text().to_owned();
        let lines = text.lines().map(|line| {
            let line: Value = serde_json::from_str(line).expect("an answer");
            line["outcome"].as_str().expect("an outcome").to_owned()
        });
        lines.collect::<Vec<_>>()
    };
    // The second row has nothing to tell it by but its place in the file.
    let rows = r#"{"row":2,"fields":{"player":"c-1","tid":"1","sum":"500"}}
{"row":3,"fields":{"player":"c-1","sum":"700"}}
"#;
    assert_eq!(import(rows).await, ["missing_field", "missing_field"]);
    app.clock.advance_micros(1_000_000);
    app.apply(MAPPING).await;
    let body = json!({ "offer": "acme/casino", "dry_run": false, "reason": "wrong mapping" });
    let answer = manager.post_json("/v1/requeue", &body.to_string()).await;
    assert_eq!(results(&answer.json()), ["accepted", "accepted"]);
    let fact = app.last_fact().await;
    let source = format!("import june.csv sha256:{} row 3", &hash[..16]);
    assert_eq!(fact.source.endpoint, source);
    let attempt = fact.fact.attempt().expect("an attempt");
    let row = attempt.imported.as_ref().expect("a row");
    assert_eq!((row.row, &*row.file), (3, "june.csv"));
    // The same file once more: each row is known by the transaction or by its place.
    assert_eq!(import(rows).await, ["duplicate", "duplicate"]);
}

/// Two nodes read the same attempts again at once, which nothing but their attempts tells apart: each
/// becomes one fact, and one of the nodes says that it was it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_requeue_at_once_make_one_fact_of_each_attempt() {
    const ATTEMPTS: usize = 40;
    let Some(schema) = Schema::make().await else {
        return;
    };
    let elsewhere = [
        format!("--log={}", schema.url()),
        format!("--projections={}", schema.url()),
    ];
    let (places, token) = tokio::task::block_in_place(|| {
        let open = PROGRAMME.replace("[[partner]]", "legacy_without_secret = true\n[[partner]]");
        let place = Place::with_elsewhere(&open, &elsewhere);
        place.write("wrong.toml", include_str!("../data/requeue/wrong.toml"));
        place.done(&["apply", "wrong.toml"]);
        let token = place.token("admin", "ann");
        ([place, Place::elsewhere(&elsewhere)], token)
    });
    let servings = tokio::task::block_in_place(|| places.each_ref().map(Place::serve));
    let caller = Caller::of(&servings, &token);
    for number in 0..ATTEMPTS {
        let path = format!("/api/postback/acme/casino?player=c-{number}&sum=100");
        let refused = caller.try_send(hyper::Method::GET, &path, None, None).await;
        let (status, answer) = refused.expect("it answers");
        assert_eq!(status.as_u16(), 422, "{answer}");
    }
    let files = json!({ "files": [{ "name": "mapping.toml", "text": MAPPING }] });
    caller.done("/v1/programme", &files).await;
    let body = json!({ "offer": "acme/casino", "dry_run": false, "reason": "wrong mapping" });
    let [one, other] = [caller.only(0), caller.only(1)];
    let (one, other) = tokio::join!(
        one.done("/v1/requeue", &body),
        other.done("/v1/requeue", &body)
    );
    let (one, other) = (results(&one), results(&other));
    assert_eq!((one.len(), other.len()), (ATTEMPTS, ATTEMPTS));
    for pair in one.iter().zip(&other) {
        let mut pair = [pair.0.as_str(), pair.1.as_str()];
        pair.sort_unstable();
        assert_eq!(pair, ["accepted", "requeued_before"]);
    }
    let conversions = caller.get("/v1/conversions?limit=1000").await;
    let items = conversions["items"].as_array().expect("a list");
    assert_eq!(items.len(), ATTEMPTS);
    drop(servings);
    tokio::task::block_in_place(|| places[0].done(&["verify"]));
}

#[tokio::test]
async fn requeue_refuses_what_it_cannot_do_by_name() {
    let app = TestApp::start(PROGRAMME).await;
    let sender = app.as_role(Role::Manager).await;
    for (body, status, field) in [
        (json!({ "offer": "acme/nothing" }), 404, Value::Null),
        (
            json!({ "offer": "acme/casino", "outcomes": ["bad_credentials"] }),
            422,
            json!("outcomes"),
        ),
        (
            json!({ "offer": "acme/casino", "dry_run": false }),
            422,
            json!("reason"),
        ),
        (
            json!({ "offer": "acme/casino", "limit": 0 }),
            422,
            json!("limit"),
        ),
        (
            json!({ "offer": "acme/casino", "mapping": "[[mapping]]\noffer = \"acme/x\"" }),
            422,
            json!("mapping"),
        ),
        (
            json!({ "offer": "acme/casino", "mapping": "" }),
            422,
            json!("mapping"),
        ),
        (
            json!({ "offer": "acme/casino", "mapping": MAPPING, "dry_run": false, "reason": "x" }),
            422,
            json!("mapping"),
        ),
        (json!({ "nothing": 1 }), 422, json!("body")),
    ] {
        let answer = sender.post_json("/v1/requeue", &body.to_string()).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text());
        assert_eq!(answer.json()["field"], field, "{body}");
    }
    let viewer = app.as_role(Role::Viewer).await;
    let answer = viewer
        .post_json("/v1/requeue", "{\"offer\":\"acme/casino\"}")
        .await;
    assert_eq!(answer.status.as_u16(), 403);
}

#[tokio::test]
async fn what_was_redacted_cannot_come_back_and_pages_go_on() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    for rest in [
        "name=Ann&tid=1",
        "email=ann%40example.org&tid=2",
        "player=c&tid=3",
    ] {
        let path = format!("/api/postback/acme/casino?secret={secret}&{rest}");
        app.anonymous().get(&path).await;
    }
    let mapping = "[[mapping]]\noffer = \"acme/casino\"\nfields = { txn_id = \"tid\", customer_id = [\"player\", \"name\", \"email\"] }";
    app.apply(mapping).await;
    let answer = requeue(&app, json!({ "offer": "acme/casino", "limit": 2 })).await;
    assert_eq!(results(&answer), ["unreadable", "accepted"]);
    let detail = &answer["items"][0]["becomes"]["detail"];
    assert_eq!(
        detail,
        "customer_id was redacted when it was kept, and cannot come back"
    );
    let customer = answer["items"][1]["becomes"]["reads"]["customer_id"].as_str();
    assert_eq!(
        customer.expect("a customer"),
        app.service.secrets.pseudonyms().of("ann@example.org")
    );
    let next = requeue(
        &app,
        json!({ "offer": "acme/casino", "after": answer["next_after"] }),
    )
    .await;
    assert_eq!(results(&next), ["accepted"]);
    assert_eq!(next["next_after"], Value::Null);
}

/// One postback of a sender whose names are those of the mapping, or the standard ones.
#[derive(Clone, Debug)]
struct Sent {
    txn: Option<u8>,
    customer: Option<u8>,
    what: &'static str,
    sum: u16,
    status: Option<&'static str>,
    time: Option<u8>,
    is_standard: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let what = prop::sample::select(vec!["", "dep", "sale", "back", "weg", "nonsense"]);
    let status = prop::sample::select(vec![None, None, Some("ja"), Some("nein"), Some("warten")]);
    (
        prop::option::of(0..4_u8),
        prop::option::of(0..3_u8),
        what,
        1..500_u16,
        status,
        prop::option::of(1..28_u8),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(txn, customer, what, sum, status, time, is_standard)| Sent {
                txn,
                customer,
                what,
                sum,
                status,
                time,
                is_standard,
            },
        )
}

impl Sent {
    fn path(&self, secret: &str) -> String {
        let mut path = format!("/api/postback/acme/casino?secret={secret}&coupon_code=P20");
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                _ = write!(path, "&{name}={value}");
            }
        };
        let (txn, customer) = if self.is_standard {
            ("txn_id", "customer_id")
        } else {
            ("tid", "player")
        };
        add(txn, self.txn.map(|id| id.to_string()));
        add(customer, self.customer.map(|id| format!("c-{id}")));
        add(
            "what",
            (!self.what.is_empty()).then(|| self.what.to_owned()),
        );
        add("sum", Some(self.sum.to_string()));
        add("stand", self.status.map(str::to_owned));
        add("when", self.time.map(|day| format!("{day:02}.05.2026")));
        path
    }
}

/// What the books say, without what tells one run from another: ids, positions, times of recording.
async fn books(app: &TestApp) -> BTreeMap<String, Value> {
    let viewer = app.as_role(Role::Finance).await;
    let mut books = BTreeMap::new();
    for path in ["/v1/conversions?limit=1000", "/v1/partners/p1/balances"] {
        let answer = viewer.get(path).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
        let mut items = answer.json()["items"].as_array().expect("items").clone();
        for item in &mut items {
            let object = item.as_object_mut().expect("an object");
            for key in ["id", "position", "recorded_at"] {
                object.remove(key);
            }
        }
        let mut texts: Vec<_> = items.iter().map(ToString::to_string).collect();
        texts.sort_unstable();
        books.insert(path.to_owned(), texts.into());
    }
    books
}

async fn send_all(app: &TestApp, secret: &str, all: &[Sent]) {
    for one in all {
        // Every attempt at its own time: where a sender gives none, that is when it happened.
        app.clock.advance_micros(60_000_000);
        app.anonymous().get(&one.path(secret)).await;
    }
}

/// All that was refused, applied.
fn all_of_it() -> Requeue {
    Requeue {
        offer: OfferRef::try_new("acme/casino").expect("an offer"),
        from: None,
        to: None,
        outcomes: Vec::new(),
        after: 0,
        limit: 1_000,
        draft: None,
        apply: Some("the mapping was wrong".to_owned()),
        actor: "test".into(),
        endpoint: "test".to_owned(),
    }
}

/// Found by the property below: of two changes of status with the same time the one counted whose id was
/// drawn larger, where both were requeued within a millisecond.
#[tokio::test]
async fn what_is_requeued_within_a_millisecond_stays_in_order() {
    let app = TestApp::start(PROGRAMME).await;
    app.apply(include_str!("../data/requeue/wrong.toml")).await;
    let secret = app.secret("acme/casino").await;
    for number in 1..=12 {
        let path =
            format!("/api/postback/acme/casino?secret={secret}&player=c-1&sum=1&tid={number}");
        app.anonymous().get(&path).await;
    }
    app.apply(MAPPING).await;
    let done = requeue::requeue(&app.service, &all_of_it()).await;
    assert_eq!(done.expect("it is done").rows.len(), 12);
    let requeued = |fact: &Envelope| fact.fact.attempt().is_some_and(|it| it.requeued.is_some());
    let ids: Vec<_> = facts(&app)
        .await
        .into_iter()
        .filter(requeued)
        .map(|fact| fact.id)
        .collect();
    assert_eq!(ids.len(), 12);
    assert!(ids.is_sorted(), "{ids:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn requeued_books_are_those_of_a_mapping_that_was_right_from_the_start(
        all in proptest::collection::vec(sent(), 1..25)
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let right = TestApp::start(PROGRAMME).await;
            right.apply(MAPPING).await;
            let secret = right.secret("acme/casino").await;
            send_all(&right, &secret, &all).await;

            let late = TestApp::start(PROGRAMME).await;
            // Nothing that this sender says gets through before.
            late.apply(include_str!("../data/requeue/wrong.toml")).await;
            let secret = late.secret("acme/casino").await;
            send_all(&late, &secret, &all).await;
            late.apply(MAPPING).await;
            for _ in 0..2 {
                requeue::requeue(&late.service, &all_of_it()).await.expect("it is done");
            }
            assert_eq!(books(&late).await, books(&right).await);
        });
    }
}
