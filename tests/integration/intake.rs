//! Intake as a whole: the requests of the seeds as they stand, over a socket; and failure.

use std::sync::Arc;

use axum::http::StatusCode;
use postbook::{
    http::server,
    secrets::{Role, Scope},
    service::ServerOptions,
    store::{LogStore, memory::MemoryStore},
};
use postbook_schemas::{ClickIdKey, OfferRef, Strength};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::support::{
    app::TestApp,
    faulty_store::{Fault, FaultyStore},
};

const PROGRAMME: &str = include_str!("../data/intake/programme.toml");

/// Sends raw bytes over a socket and reads until the other side closes.
async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("the request is sent");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    read.expect("the answer is read");
    String::from_utf8(answer).expect("the answer is text")
}

#[tokio::test]
async fn the_requests_of_the_seeds_work_as_they_stand() {
    let app = TestApp::start(PROGRAMME).await;
    let casino = OfferRef::try_new("acme/casino").expect("an offer");
    let token = app.token(Role::Ingest, Scope::Offer(casino)).await;
    let secret = app.secret("acme/casino").await;
    let click = app.click("/abc?utm_source=newsletter").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server::serve(
        listener,
        Arc::clone(&app.service),
        ServerOptions::default(),
        async move { drop(stopped.await) },
    ));

    // Seed 000: curl -X POST with -d over several lines.
    let body = format!(
        "{{\n    \"click_id\": \"{click}\",\n    \"event\": \"purchase\",\n    \"value\": 4990,\n    \"currency\": \"USD\"\n  }}"
    );
    let request = format!(
        "POST /postback HTTP/1.1\r\nHost: x\r\nUser-Agent: curl/8\r\nAccept: */*\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(address, &request).await;
    let shown = format!(
        "{{\"status\":\"ok\",\"click_id\":\"{click}\",\"campaign\":\"spring-sale\",\"matched\":true,\"conversion_id\":"
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains(&shown), "{answer}");

    // Seed 002: GET, twice.
    let get = format!(
        "GET /api/postback/acme/casino?secret={secret}&click_id={click}&amount=49.99&txn_id=order-12345 HTTP/1.1\r\n\
         Host: x\r\nConnection: close\r\n\r\n"
    );
    let answer = exchange(address, &get).await;
    assert!(
        answer.contains(r#"{"data":{"status":"ok","conversionId":""#),
        "{answer}"
    );
    let answer = exchange(address, &get).await;
    assert!(
        answer.contains(r#"{"data":{"status":"duplicate","conversionId":""#),
        "{answer}"
    );

    // Far more than is taken: the answer arrives all the same.
    let large = format!(
        "POST /postback HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\nConnection: close\r\n\r\n{}",
        "x".repeat(500_000)
    );
    let answer = exchange(address, &large).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    drop(stop);
    serving.await.expect("the server ends when told to");
}

#[tokio::test]
async fn an_attempt_that_cannot_be_kept_is_to_be_sent_again() {
    let ids = Arc::new(ClickIdKey::new(&[7; 32]));
    let memory: Arc<dyn LogStore> = Arc::new(MemoryStore::new(Arc::clone(&ids)));
    // The programme is appended first, one fact at a time; then one append is lost.
    let programme = "[[brand]]\nslug = \"acme\"\n\n[[offer]]\nbrand = \"acme\"\n\
        slug = \"casino\"\ndestination = \"https://acme.example/\"\n";
    let faults = [
        Fault::None,
        Fault::None,
        Fault::AppendLost,
        Fault::None,
        Fault::AnswerLost,
    ];
    let faulty = Arc::new(FaultyStore::new(memory, faults)) as Arc<dyn LogStore>;
    let options = ServerOptions::default();
    let app = TestApp::start_on(programme, options, |_| ids, |_| faulty).await;
    let sender = app.as_ingester().await;
    let before = app.service.log.store().head();
    let answer = sender.post_json("/postback", "{}").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.json()["code"], "unavailable");
    assert_eq!(app.service.log.store().head(), before);

    let again = sender.post_json("/postback", "{}").await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(app.service.log.store().head(), before + 1);

    // Kept, but the answer was lost on the way: the sender's next try is recognised.
    let body = r#"{"offer":"acme/casino","customer_id":"c","txn_id":"1"}"#;
    let lost = sender.post_json("/postback", body).await;
    assert_eq!(lost.status, StatusCode::SERVICE_UNAVAILABLE);
    let again = sender.post_json("/postback", body).await;
    assert_eq!(again.json()["status"], "duplicate");
}

#[tokio::test]
async fn what_lets_an_attempt_in_is_kept_with_it() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    let key_id = app.service.secrets.offer_keys("acme/casino")[0]
        .id
        .to_string();
    let path = format!("/api/postback/acme/casino?secret={secret}&customer_id=c");
    app.anonymous().get(&path).await;
    let fact = app.last_fact().await;
    assert_eq!(fact.actor, "offer:acme/casino");
    assert_eq!(fact.source.address.as_deref(), Some("127.0.0.0"));
    let report = fact.fact.as_report().expect("a report");
    let credential = report.attempt.credential.clone().expect("a credential");
    assert_eq!(credential.strength, Strength::Secret);
    assert_eq!(credential.key_id, Some(key_id));
    let kept = report.attempt.request.query.as_deref();
    assert_eq!(kept, Some("secret=[redacted]&customer_id=c"));
}

#[tokio::test]
async fn clicks_made_elsewhere_attribute_under_their_own_ids() {
    let app = TestApp::start(PROGRAMME).await;
    let sender = app.as_ingester().await;
    let one = r#"{"click_id":"theirs-1","link":"abc","occurred_at":"2026-06-14T00:00:00Z","address":"203.0.113.9"}"#;
    let first = sender.post_json("/v1/clicks", one).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text());
    let kept = app.last_fact().await;
    assert_eq!(kept.occurred_at.to_string(), "2026-06-14T00:00:00.000000Z");
    assert_eq!(kept.source.address.as_deref(), Some("203.0.113.0"));
    let again = sender.post_json("/v1/clicks", one).await;
    assert_eq!(
        again.text(),
        r#"{"click_id":"theirs-1","status":"duplicate"}"#
    );

    let many = r#"{"items":[
        {"click_id":"old","offer":"acme/casino","partner":"p1","occurred_at":"2026-03-01T00:00:00Z"},
        {"click_id":"late","link":"abc","occurred_at":"2026-05-01T00:00:00Z"},
        {"click_id":"late","link":"abc"},
        {"click_id":"lost","link":"nothing"}
    ]}"#;
    let answer = sender.post_json("/v1/clicks", many).await;
    let statuses: Vec<_> = (0..4)
        .map(|n| answer.json()["items"][n]["status"].clone())
        .collect();
    assert_eq!(statuses, ["recorded", "recorded", "duplicate", "rejected"]);

    for (body, status, word) in [
        (
            r#"{"click_id":"theirs-1","value":1}"#,
            200,
            "\"matched\":true",
        ),
        (r#"{"click_id":"late","value":2}"#, 200, "\"matched\":false"),
        (r#"{"click_id":"old","value":3}"#, 404, "\"expired_click\""),
        // Who came long ago is still known by the customer, and a refund by its transaction.
        (
            r#"{"click_id":"old","customer_id":"c"}"#,
            200,
            "\"matched\":false",
        ),
        (
            r#"{"click_id":"old","txn_id":"1","event":"refund"}"#,
            202,
            "\"parked\"",
        ),
    ] {
        let answer = sender.post_json("/postback", body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.text().contains(word), "{body}: {}", answer.text());
    }
}

#[tokio::test]
async fn clicks_that_cannot_be_taken_name_their_field() {
    let app = TestApp::start(PROGRAMME).await;
    let ours = app.click("/abc").await;
    let sender = app.as_ingester().await;
    let reused = format!(r#"{{"click_id":"{ours}","link":"abc"}}"#);
    let answer = sender.post_json("/v1/clicks", &reused).await;
    assert_eq!(answer.json()["status"], "duplicate");
    for (body, field) in [
        (r#"{"link":"abc"}"#, "click_id"),
        (r#"{"click_id":"a"}"#, "link"),
        (r#"{"click_id":"a","link":"abc","partner":"p2"}"#, "partner"),
        (
            r#"{"click_id":"a","link":"abc","country":"GER"}"#,
            "country",
        ),
        (
            r#"{"click_id":"a","link":"abc","parameters":{"x":"1"}}"#,
            "parameters",
        ),
        (
            r#"{"click_id":"a","link":"abc","occurred_at":"2027-01-01T00:00:00Z"}"#,
            "occurred_at",
        ),
    ] {
        let answer = sender.post_json("/v1/clicks", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer.json()["field"], field, "{body}");
    }
    let viewer = app.as_role(Role::Viewer).await;
    let refused = viewer.post_json("/v1/clicks", &reused).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let refused = app.anonymous().post_json("/v1/clicks", &reused).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn one_of_many_equal_postbacks_at_once_is_taken() {
    let app = TestApp::start(PROGRAMME).await;
    let sender = app.as_ingester().await;
    let body = r#"{"offer":"acme/casino","customer_id":"c","txn_id":"1","value":1}"#;
    let sent = (0..50).map(|_| sender.post_json("/postback", body));
    let answers = futures_util::future::join_all(sent).await;
    let word = |word: &str| {
        let said = answers
            .iter()
            .filter(|answer| answer.json()["status"] == word);
        said.count()
    };
    assert_eq!((word("ok"), word("duplicate")), (1, 49));
    let ids = answers
        .iter()
        .map(|answer| answer.json()["conversion_id"].to_string());
    assert_eq!(ids.collect::<std::collections::BTreeSet<_>>().len(), 1);
}

#[tokio::test]
async fn the_service_says_how_it_is() {
    let app = TestApp::start(PROGRAMME).await;
    let sender = app.as_ingester().await;
    sender.post_json("/postback", "{").await;
    app.click("/abc").await;
    let health = sender.get("/healthz").await;
    assert_eq!(health.text(), r#"{"status":"ok","role":"projecting"}"#);
    let ready = sender.get("/readyz").await.json();
    assert_eq!(ready["log_head"], app.service.log.store().head());
    let metrics = sender.get("/metrics").await;
    for line in [
        "postbook_attempts_total{outcome=\"malformed\"} 1",
        "postbook_attempts_total{outcome=\"accepted\"} 0",
        "postbook_clicks_total 1",
    ] {
        assert!(
            metrics.text().contains(line),
            "{line} in {}",
            metrics.text()
        );
    }
}
