//! Clicks and postbacks in bulk: NDJSON in, an answer per line out.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode},
};
use postbook::secrets::{Role, Scope};
use postbook_schemas::{Envelope, Fact, OfferRef};
use serde_json::Value;

use super::support::app::{Answered, TestApp};

const PROGRAMME: &str = include_str!("../data/intake/programme.toml");
const NDJSON: &str = "application/x-ndjson";
const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

async fn send(app: &TestApp, path: &str, body: &str) -> Answered {
    let sender = app.as_ingester().await;
    sender.post(path, NDJSON, body.as_bytes()).await
}

fn lines(answer: &Answered) -> Vec<Value> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let parse = |line| serde_json::from_str(line).expect("a line is JSON");
    answer.text().lines().map(parse).collect()
}

fn outcomes(lines: &[Value]) -> Vec<String> {
    lines
        .iter()
        .map(|line| {
            let outcome = line["outcome"].as_str().expect("an outcome");
            format!("{} {outcome} {}", line["line"], line["http_status"])
        })
        .collect()
}

#[tokio::test]
async fn each_click_of_many_has_its_own_outcome() {
    let app = TestApp::start(PROGRAMME).await;
    let ours = app.click("/abc").await;
    let long = "x".repeat(70_000);
    let body = [
        r#"{"click_id":"a","link":"abc","occurred_at":"2026-06-14T00:00:00Z"}"#,
        "",
        r#"{"click_id":"a","link":"abc"}"#,
        r#"{"click_id":"b","link":"nothing"}"#,
        r#"{"click_id":"c"}"#,
        r#"{"click_id":"d","link":"abc","x":1}"#,
        "not json",
        &long,
        &format!(r#"{{"click_id":"{ours}","link":"abc"}}"#),
        r#"{"click_id":"e","offer":"acme/casino","partner":"p1"}"#,
    ]
    .join("\n");
    let answer = send(&app, "/v1/clicks", &body).await;
    assert_eq!(answer.headers["content-type"], NDJSON);
    let told = lines(&answer);
    assert_eq!(
        outcomes(&told),
        [
            "1 recorded 201",
            "3 duplicate 200",
            "4 invalid_value 422",
            "5 missing_field 422",
            "6 malformed 422",
            "7 malformed 422",
            "8 malformed 422",
            "9 duplicate 200",
            "10 recorded 201",
        ]
    );
    assert_eq!(told[2]["field"], "link");
    assert_eq!(told[0]["position"], told[1]["position"]);
    let again = lines(&send(&app, "/v1/clicks", &body).await);
    assert_eq!(again[8]["position"], told[8]["position"]);
    let recorded = |line: &&Value| line["outcome"] == "recorded";
    assert_eq!(again.iter().find(recorded), None, "nothing counts twice");
}

#[tokio::test]
async fn a_line_that_is_no_utf8_costs_only_itself() {
    let app = TestApp::start(PROGRAMME).await;
    let sender = app.as_ingester().await;
    let body =
        b"{\"click_id\":\"caf\xe9\",\"link\":\"abc\"}\n{\"click_id\":\"b\",\"link\":\"abc\"}";
    let told = lines(&sender.post("/v1/clicks", NDJSON, body).await);
    assert_eq!(outcomes(&told), ["1 malformed 422", "2 recorded 201"]);
    let detail = told[0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("not UTF-8"), "{detail}");
}

#[tokio::test]
async fn many_clicks_are_all_in_the_log_and_attribute() {
    let app = TestApp::start(PROGRAMME).await;
    let line = |n: u32| format!("{{\"click_id\":\"theirs-{n}\",\"link\":\"abc\"}}\n");
    let body: String = (0..5_000).map(line).collect();
    let told = lines(&send(&app, "/v1/clicks", &body).await);
    assert_eq!(told.len(), 5_000);
    let positions: Vec<_> = told
        .iter()
        .filter_map(|line| line["position"].as_u64())
        .collect();
    assert!(positions.is_sorted(), "positions follow the lines");
    let last = r#"{"click_id":"theirs-4999","value":1}"#;
    let sender = app.as_ingester().await;
    let matched = sender.post_json("/postback", last).await;
    assert_eq!(matched.json()["matched"], true);
}

#[tokio::test]
async fn what_a_request_may_hold_is_limited_and_the_rest_is_told() {
    let app = TestApp::start(PROGRAMME).await;
    let body = "x\n".repeat(100_001);
    let told = lines(&send(&app, "/v1/clicks", &body).await);
    assert_eq!(told.len(), 100_001);
    let last = told.last().expect("a last line");
    assert_eq!(
        (&last["line"], &last["outcome"]),
        (&100_001.into(), &"stopped".into())
    );
}

#[tokio::test]
async fn a_dry_run_of_clicks_keeps_nothing() {
    let app = TestApp::start(PROGRAMME).await;
    let body = "{\"click_id\":\"a\",\"link\":\"abc\"}\n{\"click_id\":\"b\",\"link\":\"no\"}\n";
    let head = app.service.log.store().head();
    let told = lines(&send(&app, "/v1/clicks?dry_run=true", body).await);
    assert_eq!(outcomes(&told), ["1 recorded 201", "2 invalid_value 422"]);
    assert_eq!(app.service.log.store().head(), head);
}

#[tokio::test]
async fn bulk_requests_are_refused_whole_where_they_are_not_allowed_or_not_understood() {
    let app = TestApp::start(PROGRAMME).await;
    let imports = format!("/v1/imports/postbacks?file=f.csv&sha256={SHA256}");
    for (path, field) in [
        ("/v1/clicks?colour=red".to_owned(), "query"),
        ("/v1/clicks?file=a.csv".to_owned(), "sha256"),
        (format!("/v1/clicks?sha256={SHA256}"), "file"),
        ("/v1/clicks?file=a&sha256=beef".to_owned(), "sha256"),
        (imports.clone(), "offer"),
        (format!("{imports}&offer=casino"), "offer"),
        ("/v1/imports/postbacks?offer=acme/casino".to_owned(), "file"),
    ] {
        let answer = send(&app, &path, "{}").await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(answer.json()["field"], field, "{path}");
    }
    let viewer = app.as_role(Role::Viewer).await;
    for path in [
        "/v1/clicks".to_owned(),
        format!("{imports}&offer=acme/casino"),
    ] {
        let refused = viewer.post(&path, NDJSON, b"{}").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
}

fn rows(rows: &[&str]) -> String {
    let line = |(row, fields): (usize, &&str)| format!("{{\"row\":{row},\"fields\":{fields}}}\n");
    (2..).zip(rows).map(line).collect()
}

#[tokio::test]
async fn rows_of_a_file_go_through_the_same_decisions() {
    let app = TestApp::start(PROGRAMME).await;
    let click = app.click("/abc").await;
    app.clock.advance_micros(1_000_000);
    let path = format!("/v1/imports/postbacks?offer=acme/casino&file=june.csv&sha256={SHA256}");
    let body = rows(&[
        &format!(r#"{{"click_id":"{click}","txn_id":"1","amount":"10.00"}}"#),
        &format!(r#"{{"click_id":"{click}","txn_id":"1","amount":"12.00"}}"#),
        r#"{"txn_id":"1","event":"refund"}"#,
        r#"{"txn_id":"9","event":"refund"}"#,
        r#"{"click_id":"never","txn_id":"2"}"#,
        r#"{"amount":"1"}"#,
        r#"{"customer_id":"c","amount":"1.234"}"#,
        r#"{"customer_id":"c","event":"revenue","amount":"5"}"#,
        r#"{"customer_id":"c","event":"revenue","amount":"5"}"#,
        r#"["no object"]"#,
    ]) + "not a row\n";
    let told = lines(&send(&app, &path, &body).await);
    let expected = [
        "1 accepted 200",
        "2 duplicate 200",
        "3 accepted 200",
        "4 parked 202",
        "5 unknown_click 404",
        "6 missing_field 422",
        "7 invalid_value 422",
        "8 accepted 200",
        "9 accepted 200",
        "10 malformed 422",
        "11 malformed 422",
    ];
    assert_eq!(outcomes(&told), expected);
    assert_eq!(told[6]["field"], "amount");
    // Sent again, also what has no key of its own is recognised by its row.
    let again = lines(&send(&app, &path, &body).await);
    for line in [0, 2, 7, 8] {
        assert_eq!(again[line]["outcome"], "duplicate", "line {}", line + 1);
    }
}

/// The first line may say how the rows are to be read; it is none of them.
#[tokio::test]
async fn rows_may_bring_a_mapping_of_their_own() {
    let app = TestApp::start(PROGRAMME).await;
    let path = format!("/v1/imports/postbacks?offer=acme/casino&file=a.csv&sha256={SHA256}");
    let mapping = |text: &str| serde_json::json!({ "mapping": text }).to_string() + "\n";
    let own = "[[mapping]]\noffer = \"acme/casino\"\nfields = { txn_id = \"Order\", customer_id = \"User\" }";
    let body = rows(&[r#"{"Order":"1","User":"c"}"#, r#"{"txn_id":"1"}"#]);
    let told = lines(&send(&app, &path, &(mapping(own) + &body)).await);
    assert_eq!(outcomes(&told), ["2 accepted 200", "3 missing_field 422"]);
    // Under the offer's own names the same rows say nothing.
    let told = lines(&send(&app, &path, &body).await);
    assert_eq!(
        outcomes(&told),
        ["1 missing_field 422", "2 missing_field 422"]
    );
    for wrong in ["nonsense", "[[mapping]]\noffer = \"acme/yen\""] {
        let answer = send(&app, &path, &(mapping(wrong) + &body)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert_eq!(answer.json()["field"], "mapping", "{wrong}");
    }
    // A refused row is not read again under another mapping than its file's.
    let manager = app.as_role(Role::Manager).await;
    let answer = manager
        .post_json("/v1/requeue", r#"{"offer":"acme/casino"}"#)
        .await
        .json();
    assert_eq!(
        answer["items"][0]["becomes"]["result"], "unreadable",
        "{answer}"
    );
}

#[tokio::test]
async fn facts_of_rows_say_which_file_and_row_they_are_from() {
    let app = TestApp::start(PROGRAMME).await;
    let path = format!("/v1/imports/postbacks?offer=acme/casino&file=june.csv&sha256={SHA256}");
    let body = rows(&[r#"{"customer_id":"c","amount":"5","timestamp":"2026-01-31T00:00:00Z"}"#]);
    send(&app, &path, &body).await;
    let kept = app.last_fact().await;
    let source = "import june.csv sha256:9f86d081884c7d65 row 2";
    assert_eq!(kept.source.endpoint, source);
    assert_eq!(kept.source.address, None);
    assert!(kept.actor.starts_with("token:"), "{}", kept.actor);
    assert_eq!(kept.occurred_at.to_string(), "2026-01-31T00:00:00.000000Z");
    let clicks = format!("/v1/clicks?file=clicks.csv&sha256={SHA256}");
    send(&app, &clicks, r#"{"click_id":"a","link":"abc"}"#).await;
    let kept = app.last_fact().await;
    assert_eq!(
        kept.source.endpoint,
        "import clicks.csv sha256:9f86d081884c7d65"
    );
}

/// What holds at the door holds for whoever sends a file, not for where its rows once came from.
#[tokio::test]
async fn rows_need_no_signature_and_no_address_but_a_token_for_the_offer() {
    let app = TestApp::start(PROGRAMME).await;
    let body = rows(&[r#"{"customer_id":"c","amount":"5"}"#]);
    for (offer, outcome) in [
        ("acme/https", "accepted"),
        ("acme/listed", "accepted"),
        ("acme/signed", "accepted"),
        ("acme/bare", "accepted"),
        ("acme/sandbox", "sandbox"),
        ("acme/nothing", "unknown_offer"),
    ] {
        let path = format!("/v1/imports/postbacks?offer={offer}&file=f.csv&sha256={SHA256}");
        let told = lines(&send(&app, &path, &body).await);
        assert_eq!(told[0]["outcome"], outcome, "{offer}");
    }
    let yen = OfferRef::try_new("acme/yen").expect("an offer");
    let other = app.with_token(app.token(Role::Ingest, Scope::Offer(yen)).await);
    let path = format!("/v1/imports/postbacks?offer=acme/casino&file=f.csv&sha256={SHA256}");
    let told = lines(&other.post(&path, NDJSON, body.as_bytes()).await);
    assert_eq!(told[0]["outcome"], "bad_credentials");
}

/// History is older than the retention by nature: what counts is when the row happened.
#[tokio::test]
async fn a_row_of_the_past_finds_the_click_of_its_time() {
    let app = TestApp::start(PROGRAMME).await;
    let click = r#"{"click_id":"old","link":"abc","occurred_at":"2025-01-01T00:00:00Z"}"#;
    send(&app, "/v1/clicks", click).await;
    let path = format!("/v1/imports/postbacks?offer=acme/casino&file=f.csv&sha256={SHA256}");
    let body = rows(&[
        r#"{"click_id":"old","txn_id":"1","timestamp":"2025-01-02T00:00:00Z"}"#,
        r#"{"click_id":"old","txn_id":"2","timestamp":"2025-12-02T00:00:00Z"}"#,
        r#"{"click_id":"old","txn_id":"3"}"#,
    ]);
    let told = lines(&send(&app, &path, &body).await);
    let expected = [
        "1 accepted 200",
        "2 expired_click 404",
        "3 expired_click 404",
    ];
    assert_eq!(outcomes(&told), expected);
    let page = app.log_bytes().await;
    assert!(!page.is_empty());
}

#[tokio::test]
async fn a_dry_run_of_rows_keeps_nothing_and_tells_repeats() {
    let app = TestApp::start(PROGRAMME).await;
    let path = format!("/v1/imports/postbacks?offer=acme/casino&file=f.csv&sha256={SHA256}");
    let body = rows(&[
        r#"{"customer_id":"c","txn_id":"1","amount":"5"}"#,
        r#"{"customer_id":"c","txn_id":"2","amount":"5.555"}"#,
    ]);
    let head = app.service.log.store().head();
    let dry = format!("{path}&dry_run=true");
    let told = lines(&send(&app, &dry, &body).await);
    assert_eq!(outcomes(&told), ["1 accepted 200", "2 invalid_value 422"]);
    assert_eq!(app.service.log.store().head(), head);
    send(&app, &path, &body).await;
    let told = lines(&send(&app, &dry, &body).await);
    assert_eq!(outcomes(&told), ["1 duplicate 200", "2 invalid_value 422"]);
}

/// What came over HTTP before must not come a second time out of a file.
#[tokio::test]
async fn a_refund_that_came_over_http_is_recognised_in_a_file() {
    let app = TestApp::start(PROGRAMME).await;
    let sender = app.as_ingester().await;
    for body in [
        r#"{"offer":"acme/casino","customer_id":"c","txn_id":"1","amount":"10"}"#,
        r#"{"offer":"acme/casino","txn_id":"1","event":"refund","amount":"4"}"#,
    ] {
        assert!(
            sender
                .post_json("/postback", body)
                .await
                .status
                .is_success()
        );
    }
    let path = format!("/v1/imports/postbacks?offer=acme/casino&file=f.csv&sha256={SHA256}");
    let body = rows(&[r#"{"txn_id":"1","event":"refund","amount":"4"}"#]);
    let told = lines(&send(&app, &path, &body).await);
    assert_eq!(outcomes(&told), ["1 duplicate 200"]);
    let is_refund = |line: &&[u8]| {
        matches!(
            Envelope::decode(line).expect("a fact").fact,
            Fact::RefundReported(_)
        )
    };
    let store = app.service.log.store();
    let all = postbook::store::Filter::ALL;
    let page = store
        .read(1, store.head(), all, 1 << 24)
        .await
        .expect("the log can be read");
    assert_eq!(
        page.lines().map(|(_, line)| line).filter(is_refund).count(),
        1
    );
}

/// A body of which nothing ever comes.
fn silent() -> Body {
    Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>())
}

fn bulk(app: &TestApp, token: &str, body: Body) -> Request<Body> {
    let request = app
        .with_token(token.to_owned())
        .request("POST", "/v1/clicks");
    let request = request.header("content-type", NDJSON).body(body);
    request.expect("a request")
}

#[tokio::test]
async fn only_so_many_bulk_requests_are_under_way_at_once() {
    let app = Arc::new(TestApp::start(PROGRAMME).await);
    let token = app.token(Role::Ingest, Scope::All).await;
    let held: Vec<_> = (0..4)
        .map(|_| {
            let (app, token) = (Arc::clone(&app), token.clone());
            // Whoever finds no place asks again, until four have one.
            tokio::spawn(async move {
                while app.send(bulk(&app, &token, silent())).await.status
                    == StatusCode::SERVICE_UNAVAILABLE
                {
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let line = "{\"click_id\":\"a\",\"link\":\"abc\"}";
    let refused = async {
        loop {
            let answer = app.send(bulk(&app, &token, Body::from(line))).await;
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(10), refused).await;
    let refused = refused.expect("the places are all taken soon");
    assert!(refused.headers.contains_key("retry-after"));
    for one in held {
        one.abort();
    }
    // Whoever has gone leaves the place.
    let taken = async {
        while app.send(bulk(&app, &token, Body::from(line))).await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    let taken = tokio::time::timeout(Duration::from_secs(10), taken).await;
    taken.expect("there is room again");
}

#[tokio::test]
async fn lines_that_cannot_be_kept_are_to_be_sent_again() {
    let app = TestApp::start(PROGRAMME).await;
    app.service.log.shut_down().await;
    let imports = format!("/v1/imports/postbacks?offer=acme/casino&file=f&sha256={SHA256}");
    let row = rows(&[r#"{"customer_id":"c"}"#]);
    let click = "{\"click_id\":\"a\",\"link\":\"abc\"}".to_owned();
    for (path, body) in [("/v1/clicks", click), (&imports, row)] {
        let answer = send(&app, path, &body).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(answer.headers.contains_key("retry-after"), "{path}");
    }
}
