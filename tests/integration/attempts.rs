//! Why did it not arrive: the search of attempts, and the five checks of everything that goes wrong.

use std::fmt::Write as _;

use axum::{body::Body, http::StatusCode};
use postbook::{
    secrets::{Role, Scope},
    tables::query::attempts::AttemptFilter,
};
use postbook_schemas::{OfferRef, Outcome};
use serde_json::Value;

use super::support::app::TestApp;

const PROGRAMME: &str = include_str!("../data/intake/programme.toml");

/// A conversation: requests, and what the checks say after them.
///
/// `> METHOD PATH BODY` sends a request, as an ingester or, below `/v1`, a viewer; `$CLICK` and the
/// like stand for clicks on links. `! wrong METHOD PATH BODY` sends it with a token that nobody has,
/// `! days N` lets time pass, `! apply TOML` changes the programme (`;` ends a line). What a request
/// for checks answers follows: a line per check, and where to look next. `! requeue OFFER` has what was
/// refused read again.
const CHECKS: &str = "tests/data/inquiry/checks.txt";

struct Case {
    app: TestApp,
    clicks: Vec<(&'static str, String)>,
    sender: String,
    viewer: String,
}

impl Case {
    async fn new() -> Self {
        let app = TestApp::start(PROGRAMME).await;
        app.clock.advance_micros(1_000_000);
        let sender = app.token(Role::Ingest, Scope::All).await;
        let viewer = app.token(Role::Viewer, Scope::All).await;
        Self {
            app,
            clicks: Vec::new(),
            sender,
            viewer,
        }
    }

    async fn filled(&mut self, text: &str) -> String {
        for (word, link) in [
            ("$CLICK", "/abc"),
            ("$NIPPON", "/nippon"),
            ("$TEST", "/test"),
            ("$MACRO", "/macro"),
            ("$TWICE", "/twice"),
            ("$INPLACE", "/inplace"),
        ] {
            if text.contains(word) && self.clicks.iter().all(|(known, _)| *known != word) {
                let id = match self.app.click_location(link).await {
                    location if location.contains("inplace/") => {
                        location.rsplit_once('/').expect("an id").1.to_owned()
                    }
                    location => location.rsplit_once("cid=").expect("an id").1.to_owned(),
                };
                self.clicks.push((word, id));
            }
        }
        let fill = |text: String, (word, id): &(&str, String)| text.replace(word, id);
        self.clicks.iter().fold(text.to_owned(), fill)
    }

    async fn send(&mut self, line: &str, token: Option<String>) -> Value {
        let line = self.filled(line).await;
        let mut words = line.splitn(3, ' ');
        let method = words.next().expect("a method");
        let path = words.next().expect("a path");
        let token = token.unwrap_or_else(|| {
            let is_read = path.starts_with("/v1/") && method == "GET";
            if is_read { &self.viewer } else { &self.sender }.clone()
        });
        let sender = self.app.with_token(token);
        let request = sender
            .request(method, path)
            .header("content-type", "application/json")
            .body(Body::from(words.next().unwrap_or_default().to_owned()));
        let answer = self.app.send(request.expect("a request")).await;
        serde_json::from_slice(&answer.body).expect("the answer is JSON")
    }

    /// What the checks say, with words in the place of ids.
    fn told(&self, answer: &Value) -> String {
        let mut told = String::new();
        for check in answer["checks"].as_array().expect("five checks") {
            let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
            _ = writeln!(
                told,
                "{} {}: {}",
                text("name"),
                text("state"),
                text("detail")
            );
            if let Some(next) = check["next"].as_str() {
                _ = writeln!(told, "  look at {next}");
            }
        }
        let hide = |text: String, (word, id): &(&str, String)| text.replace(id, word);
        self.clicks.iter().fold(told, hide)
    }
}

#[tokio::test]
async fn the_checks_name_what_went_wrong_in_every_way_that_it_can() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(CHECKS);
    let table = std::fs::read_to_string(&path).expect("the table is there");
    let mut told = String::new();
    let mut case = Case::new().await;
    for line in table.lines() {
        let is_input = line.is_empty() || line.starts_with(['#', '=', '>', '!']);
        if !is_input {
            continue;
        }
        _ = writeln!(told, "{line}");
        if line.starts_with("== ") {
            case = Case::new().await;
        } else if let Some(days) = line.strip_prefix("! days ") {
            let days: i64 = days.parse().expect("a number of days");
            case.app.clock.advance_micros(days * 86_400_000_000);
        } else if let Some(toml) = line.strip_prefix("! apply ") {
            case.app.apply(&toml.replace("; ", "\n")).await;
        } else if let Some(offer) = line.strip_prefix("! requeue ") {
            let manager = case.app.as_role(Role::Manager).await;
            let body =
                serde_json::json!({ "offer": offer, "dry_run": false, "reason": "wrong mapping" });
            let answer = manager.post_json("/v1/requeue", &body.to_string()).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        } else if let Some(request) = line.strip_prefix("! wrong ") {
            let nobody = format!("pb_{}_{}", "0".repeat(10), "0".repeat(43));
            case.send(request, Some(nobody)).await;
        } else if let Some(request) = line.strip_prefix("> ") {
            let answer = case.send(request, None).await;
            if request.contains("checks") {
                told.push_str(&case.told(&answer));
            }
        }
    }
    if std::env::var_os("POSTBOOK_BLESS").is_some() {
        std::fs::write(&path, &told).expect("the table can be written");
    }
    for (number, (told, expected)) in told.lines().zip(table.lines()).enumerate() {
        assert_eq!(told, expected, "{CHECKS}:{}", number + 1);
    }
    assert_eq!(told.lines().count(), table.lines().count(), "{told}");
}

async fn items(app: &TestApp, query: &str) -> Vec<Value> {
    let viewer = app.as_role(Role::Viewer).await;
    let answer = viewer.get(&format!("/v1/attempts?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
    answer.json()["items"].as_array().expect("items").clone()
}

fn outcomes(items: &[Value]) -> Vec<&str> {
    items
        .iter()
        .map(|item| item["outcome"].as_str().expect("a text"))
        .collect()
}

/// One accepted sale, its repeat as it was, its repeat for another amount, and a refusal, an hour
/// apart each.
async fn some_attempts(app: &TestApp) -> String {
    let click = app.click("/abc").await;
    let sender = app.as_ingester().await;
    for (value, event) in [
        ("1000", "e1"),
        ("1000", "e1"),
        ("2000", "e1"),
        ("1.5", "e2"),
    ] {
        let body = format!(
            r#"{{"click_id":"{click}","txn_id":"t1","event_id":"{event}","value":"{value}"}}"#
        );
        sender.post_json("/postback", &body).await;
        app.clock.advance_micros(3_600_000_000);
    }
    click
}

#[tokio::test]
async fn attempts_are_found_by_what_they_say_and_when_they_came() {
    let app = TestApp::start(PROGRAMME).await;
    let click = some_attempts(&app).await;
    let all = ["accepted", "duplicate", "duplicate", "invalid_value"];
    for (query, expected) in [
        ("", &all[..]),
        (&*format!("click_id={click}"), &all),
        ("txn_id=t1", &all),
        ("event_id=e1", &all[..3]),
        ("event_id=e2", &all[3..]),
        ("offer=acme/casino", &all),
        ("offer=acme/yen", &[]),
        ("customer_id=c", &[]),
        ("outcome=duplicate", &all[1..3]),
        ("outcome=accepted", &all[..1]),
        ("differs=true", &all[2..3]),
        ("from=2026-06-15T13:00:00Z", &all[1..]),
        ("to=2026-06-15T13:00:00Z", &all[..1]),
        (
            "from=2026-06-15T13:00:00Z&to=2026-06-15T14:00:00Z",
            &all[1..2],
        ),
        ("from=2026-06-15T16:00:00Z", &[]),
        ("to=2026-06-15T11:00:00Z", &[]),
        (
            "from=2026-06-15T14:00:00Z&outcome=duplicate&txn_id=t1",
            &all[2..3],
        ),
    ] {
        assert_eq!(outcomes(&items(&app, query).await), expected, "{query}");
    }
}

/// An id that is personal data is kept under a name, and found by itself.
#[tokio::test]
async fn ids_that_are_personal_data_are_found_by_themselves() {
    let app = TestApp::start(PROGRAMME).await;
    let sender = app.as_ingester().await;
    let click = r#"{"click_id":"4111111111111111","link":"abc"}"#;
    let answer = sender.post_json("/v1/clicks", click).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let body = r#"{"click_id":"4111111111111111","customer_id":"Ann@Example.org","txn_id":"ann@example.org","event":"lead","payout":"5.00"}"#;
    let answer = sender.post_json("/postback", body).await;
    assert_eq!(answer.json()["matched"], true, "{}", answer.text());
    for query in [
        "customer_id=ann@example.org",
        "txn_id=ann%40example.org",
        "click_id=4111111111111111",
        "click_id=4111-1111-1111-1111",
    ] {
        assert_eq!(outcomes(&items(&app, query).await), ["accepted"], "{query}");
        let viewer = app.as_role(Role::Viewer).await;
        let checks = viewer.get(&format!("/v1/checks?{query}")).await.json();
        assert_eq!(checks["arrived"], true, "{query}: {checks}");
        let found = viewer.get(&format!("/v1/conversions?{query}")).await.json();
        assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{query}");
    }
    let log = String::from_utf8(app.log_bytes().await).expect("text");
    assert!(!log.contains("4111111111111111") && !log.to_lowercase().contains("ann@"));
}

/// Whichever way a repeat came in and was read, it is listed if it says something else.
#[tokio::test]
async fn repeats_that_differ_are_listed_whichever_way_they_came() {
    let app = TestApp::start(PROGRAMME).await;
    app.apply("[[mapping]]\noffer = \"acme/casino\"\nfields = { txn_id = \"tid\", amount = \"sum\", status = \"stand\" }\nstatuses = { ja = \"approved\" }\namount_unit = \"minor\"")
        .await;
    let secret = app.secret("acme/casino").await;
    let sender = app.anonymous();
    let ingester = app.as_ingester().await;
    for (sum, status) in [("500", "ja"), ("600", "approved"), ("500", "approved")] {
        let path = format!(
            "/api/postback/acme/casino?secret={secret}&customer_id=c&tid=1&sum={sum}&stand={status}"
        );
        sender.get(&path).await;
    }
    let path = format!(
        "/v1/imports/postbacks?offer=acme/casino&file=a.csv&sha256={}",
        "0".repeat(64)
    );
    let rows = r#"{"row":2,"fields":{"customer_id":"c","tid":"1","sum":"500","stand":"ja"}}
{"row":3,"fields":{"customer_id":"d","tid":"1","sum":"500","stand":"ja"}}"#;
    ingester
        .post(&path, "application/x-ndjson", rows.as_bytes())
        .await;
    let differing = items(&app, "differs=true").await;
    let fields: Vec<_> = differing
        .iter()
        .map(|item| {
            let one = &item["differences"][0];
            format!("{} {} {}", one["field"], one["first"], one["repeat"])
        })
        .collect();
    assert_eq!(
        fields,
        [r#""amount_minor" "500" "600""#, r#""customer_id" "c" "d""#]
    );
}

#[tokio::test]
async fn an_attempt_is_told_whole() {
    let app = TestApp::start(PROGRAMME).await;
    let click = some_attempts(&app).await;
    let all = items(&app, "").await;
    let [first, _, differing, refused] = &*all else {
        panic!("four attempts, not {}", all.len());
    };
    assert_eq!(first["credential"]["strength"], "token");
    assert!(first["credential"]["key_id"].is_string(), "{first}");
    assert_eq!(first["endpoint"], "/postback");
    assert_eq!(first["http_status"], 200);
    assert_eq!(first["request"]["method"], "POST");
    let body = format!(r#"{{"click_id":"{click}","txn_id":"t1","event_id":"e1","value":"1000"}}"#);
    assert_eq!(first["request"]["body"], body);
    assert_eq!(differing["first_id"], first["id"]);
    let difference = &differing["differences"][0];
    assert_eq!(difference["field"], "amount_minor");
    assert_eq!(
        (&difference["first"], &difference["repeat"]),
        (&"1000".into(), &"2000".into())
    );
    assert_eq!(refused["field"], "value");
    let expected = &refused["expected"][0];
    assert_eq!(expected["parameter"], "value");
    assert_eq!(expected["received"], "1.5");
    assert_eq!(expected["at_fault"], true);
    let text = expected["expected"].as_str().expect("a text");
    assert!(text.contains("whole minor units of USD"), "{text}");
}

#[tokio::test]
async fn one_attempt_is_found_by_the_id_that_its_answer_named() {
    let app = TestApp::start(PROGRAMME).await;
    some_attempts(&app).await;
    let viewer = app.as_role(Role::Viewer).await;
    for item in items(&app, "").await {
        let id = item["id"].as_str().expect("an id").to_owned();
        let one = viewer.get(&format!("/v1/attempts/{id}")).await;
        assert_eq!(one.json(), item);
        let checks = viewer.get(&format!("/v1/checks?attempt_id={id}")).await;
        assert_eq!(checks.json()["checks"].as_array().expect("checks").len(), 5);
    }
    for id in ["01970000-0000-7000-8000-000000000068", "nonsense"] {
        let one = viewer.get(&format!("/v1/attempts/{id}")).await;
        assert_eq!(one.status, StatusCode::NOT_FOUND, "{id}");
    }
    // A click's fact is none of these.
    let click = app
        .service
        .log
        .store()
        .read_one(1)
        .await
        .expect("it can be read");
    assert!(click.is_some());
}

#[tokio::test]
async fn tokens_of_one_offer_see_only_its_attempts_and_partners_none() {
    let app = TestApp::start(PROGRAMME).await;
    let click = some_attempts(&app).await;
    let yen = OfferRef::try_new("acme/yen").expect("an offer");
    let other = app.with_token(app.token(Role::Viewer, Scope::Offer(yen)).await);
    let listed = other.get("/v1/attempts").await.json();
    assert_eq!(listed["items"], serde_json::json!([]));
    let id = items(&app, "").await[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let one = other.get(&format!("/v1/attempts/{id}")).await;
    assert_eq!(one.status, StatusCode::NOT_FOUND);
    let checks = other
        .get(&format!("/v1/clicks/{click}/checks"))
        .await
        .json();
    assert!(!checks.to_string().contains("acme/casino"), "{checks}");
    let partner = postbook_schemas::Slug::try_new("p1").expect("a slug");
    let partner = app.with_token(app.token(Role::Viewer, Scope::Partner(partner)).await);
    for path in [
        "/v1/attempts",
        &*format!("/v1/attempts/{id}"),
        "/v1/checks?txn_id=t1",
    ] {
        assert_eq!(
            partner.get(path).await.status,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_search_of_checks_names_exactly_one_subject() {
    let app = TestApp::start(PROGRAMME).await;
    let viewer = app.as_role(Role::Viewer).await;
    for path in [
        "/v1/checks",
        "/v1/checks?txn_id=a&click_id=b",
        "/v1/checks?offer=acme/casino",
    ] {
        let answer = viewer.get(path).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
}

/// A partial index is of no use to a query that does not repeat its condition.
#[tokio::test]
async fn searches_do_not_read_the_whole_table() {
    let app = TestApp::start(PROGRAMME).await;
    let some = |outcome| AttemptFilter {
        outcome,
        ..AttemptFilter::default()
    };
    let refused = || some(Some(Outcome::BadCredentials));
    let id = || Some("an id".to_owned());
    let filters = [
        ("attempts_outcome", refused()),
        (
            "attempts_offer",
            AttemptFilter {
                offer: OfferRef::try_new("acme/casino").ok(),
                ..refused()
            },
        ),
        (
            "attempts_differs",
            AttemptFilter {
                differs: true,
                ..some(None)
            },
        ),
        (
            "attempts_event_id",
            AttemptFilter {
                event_id: id(),
                ..some(None)
            },
        ),
        (
            "attempts_click_id",
            AttemptFilter {
                click_id: id(),
                ..refused()
            },
        ),
        (
            "attempts_txn_id",
            AttemptFilter {
                txn_id: id(),
                differs: true,
                ..some(Some(Outcome::Duplicate))
            },
        ),
    ];
    for (index, filter) in filters {
        let plan = app
            .service
            .tables
            .attempts_plan(&filter)
            .await
            .expect("a plan");
        // A server chooses among indexes by how many rows it has counted, which are none here.
        let index = if app.service.tables.are_shared() {
            "Index Cond"
        } else {
            index
        };
        assert!(plan.contains(index), "{index}: {plan}");
        for other in ["TEMP B-TREE", "Seq Scan"] {
            assert!(!plan.contains(other), "{index}: {plan}");
        }
    }
}
