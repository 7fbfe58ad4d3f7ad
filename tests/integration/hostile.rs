//! Hostile requests: whatever comes in ends in one outcome, costs one fact, and leaks no secret.

use axum::{body::Body, http::Request};
use postbook::secrets::{Role, Scope};
use postbook_schemas::{Fact, OfferRef, Outcome};
use proptest::prelude::*;

use super::support::app::{Answered, TestApp};

const PROGRAMME: &str = include_str!("../data/intake/programme.toml");

/// Sends and checks what holds for every attempt: one fact, and an answer of its outcome.
async fn attempt(app: &TestApp, request: Request<Body>) -> (Answered, Outcome) {
    let before = app.service.log.store().head();
    let answer = app.send(request).await;
    assert_eq!(app.service.log.store().head(), before + 1, "one fact");
    let outcome = outcome_of(&app.last_fact().await.fact);
    assert_eq!(answer.status.as_u16(), outcome.http_status());
    let body = answer.json();
    if outcome.is_rejection() {
        assert_eq!(body["code"], outcome.code());
        assert_eq!(body["attempt_id"], app.last_fact().await.id.to_string());
    }
    (answer, outcome)
}

fn outcome_of(fact: &Fact) -> Outcome {
    match fact {
        Fact::PostbackRejected(rejected) => rejected.outcome,
        Fact::PostbackRepeated(repeated) => repeated.outcome,
        Fact::AbuseReported(report) => report.outcome,
        other => other
            .as_report()
            .map(|report| report.outcome)
            .or(other.as_change().map(|change| change.outcome))
            .expect("a fact of an attempt"),
    }
}

async fn outcomes(app: &TestApp, cases: &[(&str, Vec<u8>, Outcome)]) {
    let token = app.token(Role::Ingest, Scope::All).await;
    for (name, body, expected) in cases {
        let request = Request::post("/postback")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body.clone()))
            .expect("a request");
        let (answer, outcome) = attempt(app, request).await;
        assert_eq!(outcome, *expected, "{name}: {}", answer.text());
    }
}

#[tokio::test]
async fn hostile_bodies_end_in_their_outcome() {
    let app = TestApp::start(PROGRAMME).await;
    let nested = |open: &str, count: usize| open.repeat(count).into_bytes();
    let many = format!("{{{}\"a\":1}}", "\"a\":1,".repeat(2_000));
    let limit = 64 * 1024;
    outcomes(
        &app,
        &[
            ("empty", Vec::new(), Outcome::MissingField),
            (
                "truncated",
                b"{\"click_id\":\"abc".to_vec(),
                Outcome::Malformed,
            ),
            (
                "not UTF-8",
                b"{\"click_id\":\"\xff\"}".to_vec(),
                Outcome::Malformed,
            ),
            ("deep lists", nested("[", 60_000), Outcome::Malformed),
            (
                "deep objects",
                nested("{\"a\":", 12_000),
                Outcome::Malformed,
            ),
            (
                "repeated",
                b"{\"txn_id\":1,\"txn_id\":2}".to_vec(),
                Outcome::Malformed,
            ),
            ("a list", b"{\"txn_id\":[1,2]}".to_vec(), Outcome::Malformed),
            ("two values", b"{} {}".to_vec(), Outcome::Malformed),
            (
                "a lone surrogate",
                b"{\"txn_id\":\"\\ud800\"}".to_vec(),
                Outcome::Malformed,
            ),
            (
                "a NUL",
                b"{\"click_id\":\"\\u0000\",\"offer\":\"acme/casino\"}".to_vec(),
                Outcome::InvalidValue,
            ),
            ("many parameters", many.into_bytes(), Outcome::Malformed),
            ("as large as may be", vec![b' '; limit], Outcome::Malformed),
            (
                "one byte larger",
                vec![b' '; limit + 1],
                Outcome::PayloadTooLarge,
            ),
            ("much larger", vec![b'x'; 3 << 20], Outcome::PayloadTooLarge),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_kept_cut_with_its_length() {
    let app = TestApp::start(PROGRAMME).await;
    let request = Request::post("/postback")
        .body(Body::from(vec![b'x'; 100_000]))
        .expect("a request");
    attempt(&app, request).await;
    let Fact::PostbackRejected(rejected) = app.last_fact().await.fact else {
        panic!("a rejection is kept");
    };
    let kept = rejected.attempt.request;
    assert_eq!(kept.body.map(|body| body.len()), Some(4_096));
    assert_eq!(kept.body_bytes, Some(100_000));
}

#[tokio::test]
async fn of_a_stranger_no_more_than_the_beginning_is_kept() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    let body = format!(
        "{{\"customer_id\":\"c\",\"metadata\":{{\"x\":\"{}-{secret}\"}}}}",
        "y".repeat(4_030)
    ) + &" ".repeat(50_000);
    for (shown, outcome, kept_bytes) in [
        ("wrong", Outcome::BadCredentials, 4_096),
        (secret.as_str(), Outcome::InvalidValue, body.len()),
    ] {
        let path = "/api/postback/acme/casino";
        let request = Request::post(path).header("x-postback-secret", shown);
        let request = request.header("content-type", "application/json");
        let request = request.body(Body::from(body.clone())).expect("a request");
        assert_eq!(attempt(&app, request).await.1, outcome);
        let Fact::PostbackRejected(rejected) = app.last_fact().await.fact else {
            panic!("a rejection is kept");
        };
        let kept = rejected.attempt.request.body.expect("a body");
        assert_eq!(kept.len(), kept_bytes);
        // The secret lies over the cut: no part of it may stay.
        assert!(!kept.contains(&secret[..8]), "{shown}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_text_is_kept_in_hexadecimal() {
    let app = TestApp::start(PROGRAMME).await;
    let request = Request::post("/postback")
        .body(Body::from(&b"\xff\x00a"[..]))
        .expect("a request");
    attempt(&app, request).await;
    let Fact::PostbackRejected(rejected) = app.last_fact().await.fact else {
        panic!("a rejection is kept");
    };
    assert_eq!(rejected.attempt.request.body_hex.as_deref(), Some("ff0061"));
}

/// Bodies that hold a secret or token in the many ways that one gets into them.
fn bodies_with(known: &str, click: &str) -> [String; 9] {
    [
        format!("{{\"secret\":\"{known}\",\"click_id\":\"{click}\"}}"),
        format!("{{\"secret\":\"{known}\",\"click_id\":"),
        format!("{{\"a\":[{{\"token\":\"{known}\"}}],\"metadata\":{{\"api_key\":\"{known}\"}}}}"),
        format!("{{\"metadata\":{{\"x\":{{\"secret\":\"{known}\"}}}},\"customer_id\":\"d\"}}"),
        format!("secret={known}&click_id={click}"),
        known.to_owned(),
        format!("{{\"customer_id\":\"c\",\"note\":\"a\\n{known}\",\"{known}b\":1}}"),
        format!("{} secret={known}", "x".repeat(70_000)),
        format!("secret={known}{}", "x".repeat(70_000)),
    ]
}

#[tokio::test]
async fn secrets_and_tokens_are_in_no_fact_wherever_they_are_sent() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    let retired = secret.clone();
    let secret = [app.secret("acme/casino").await, retired];
    let casino = OfferRef::try_new("acme/casino").expect("an offer");
    let token = app.token(Role::Ingest, Scope::Offer(casino)).await;
    let click = app.click("/abc").await;
    let offer = "/api/postback/acme/casino";
    let sent = secret[0].clone();
    for known in secret.iter().chain([&token]) {
        let requests = [
            Request::get(format!("{offer}?secret={known}&click_id={click}")),
            Request::get(format!("{offer}?Secret={known}&click_id={click}")),
            Request::get(format!("{offer}?postback_secret={known}")),
            Request::get(format!("{offer}?secret={known}&secret={known}")),
            Request::get(format!("{offer}?secret={known}&a=%zz&b={known}")),
            Request::get(format!(
                "{offer}?txn_id={known}&click_id={known}&sub1={known}"
            )),
            Request::get(format!(
                "{offer}?metadata.note={known}&secret={known}&customer_id=c"
            )),
            Request::get(format!("/api/postback/acme/{known}?secret={known}")),
            Request::get(format!("/postback?offer={known}&token={known}")),
            Request::get(offer).header("x-postback-secret", known),
            Request::get("/postback").header("authorization", format!("Bearer {known}")),
            Request::get("/postback?click_id=x").header("idempotency-key", known),
            Request::get(format!("/postback?click_id=x&access%5Ftoken={known}")),
            // What stands before and behind one in JSON or a query makes the run of letters longer.
            Request::get(format!(
                "{offer}?secret={sent}&customer_id=c&event_id={known}"
            )),
            Request::get(format!(
                "{offer}?secret={sent}&customer_id={known}&event=registration"
            )),
            Request::get(format!(
                "{offer}?secret={sent}&customer_id=c&cb=https%3A%2F%2Ft%3Fsecret%3D{known}%26a"
            )),
            Request::get(format!(
                "{offer}?secret={sent}&customer_id=c&sub1=id{known}&metadata.x={known}x"
            )),
            Request::get(format!("{offer}?secret={sent}&customer_id=c"))
                .header("idempotency-key", known),
        ];
        for request in requests {
            attempt(&app, request.body(Body::empty()).expect("a request")).await;
        }
        for body in bodies_with(known, &click) {
            let request = Request::post(offer).header("x-postback-secret", known);
            attempt(
                &app,
                request.body(Body::from(body.clone())).expect("a request"),
            )
            .await;
            let mut bytes = body.into_bytes();
            bytes.push(0xff);
            let request = Request::post(offer).body(Body::from(bytes));
            attempt(&app, request.expect("a request")).await;
        }
    }
    for known in secret.iter().chain([&token]) {
        assert_unkept(&app, known).await;
    }
}

async fn assert_unkept(app: &TestApp, known: &str) {
    let log = app.log_bytes().await;
    let hexadecimal = hex::encode(known);
    for text in [known, &hexadecimal] {
        let found = memchr::memmem::find(&log, text.as_bytes());
        let around = found.map(|at| String::from_utf8_lossy(&log[at.saturating_sub(300)..at]));
        assert_eq!(found, None, "after {around:?}");
    }
}

/// Not only postbacks: whoever makes a fact, and whatever part of it is a text.
#[tokio::test]
async fn secrets_and_tokens_are_in_no_fact_whoever_makes_it() {
    const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    let token = app.token(Role::Ingest, Scope::All).await;
    let manager = app.as_role(Role::Manager).await;
    let sale = format!("/api/postback/acme/casino?secret={secret}&customer_id=c&amount=5");
    let sold = app.anonymous().get(&sale).await.json();
    for (number, known) in [&secret, &token].into_iter().enumerate() {
        let link = Request::get(format!("/abc?utm_term={known}&sub1=x{known}"))
            .header("user-agent", format!("{}{known}", "x ".repeat(240)))
            .header("referer", format!("https://a.example/?secret%3D{known}"));
        let followed = app.send(link.body(Body::empty()).expect("a request")).await;
        assert_eq!(followed.status, 302);
        let click = format!(
            r#"{{"click_id":"c{known}","link":"abc","user_agent":"a\n{known}","campaign":"{known}","parameters":{{"sub2":"{known}"}}}}"#
        );
        let clicks = format!("/v1/clicks?file={known}&sha256={SHA256}");
        for outcome in ["recorded", "duplicate"] {
            let sender = app.as_ingester().await;
            let answer = sender
                .post(&clicks, "application/x-ndjson", click.as_bytes())
                .await;
            assert!(answer.text().contains(outcome), "{}", answer.text());
        }
        let rows = format!("/v1/imports/postbacks?offer=acme/casino&file={known}&sha256={SHA256}");
        let row = format!(r#"{{"row":1,"fields":{{"customer_id":"d{number}"}}}}"#);
        let answer = app
            .as_ingester()
            .await
            .post(&rows, "application/x-ndjson", row.as_bytes())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let decision = format!(
            r#"{{"conversion_id":{},"decision":"reject","reason":"see {known}"}}"#,
            sold["data"]["conversionId"]
        );
        // Sent again, it is the same although it was not kept as it is.
        for _ in 0..2 {
            let request = manager.request("POST", "/v1/decisions");
            let request = request.header("idempotency-key", number.to_string());
            let request = request.header("content-type", "application/json");
            let request = request
                .body(Body::from(decision.clone()))
                .expect("a request");
            let answer = app.send(request).await;
            assert!(answer.status.is_success(), "{}", answer.text());
        }
        assert_unkept(&app, known).await;
        assert_unkept(&app, &known[..30]).await;
    }
}

/// Keys are kept without secrets, and tell attempts apart all the same.
#[tokio::test]
async fn ids_that_hold_secrets_tell_repeats_from_others() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    let former = secret.clone();
    let secret = app.secret("acme/casino").await;
    let long = format!("whsec_{}", "c2VjcmV0".repeat(4));
    let ids = [
        secret.clone(),
        former.clone(),
        format!("a{secret}"),
        format!("b{secret}"),
        format!("{secret}{former}"),
        format!("{long}1"),
        format!("{long}2"),
    ];
    let offer = format!("/api/postback/acme/casino?secret={secret}");
    for parameter in ["event_id", "txn_id", "Idempotency-Key"] {
        for expected in [Outcome::Accepted, Outcome::Duplicate, Outcome::Duplicate] {
            for id in &ids {
                let path = format!("{offer}&customer_id=c&sub1={id}&amount=5");
                let request = match parameter {
                    "Idempotency-Key" => Request::get(path).header(parameter, id),
                    _ => Request::get(format!("{path}&{parameter}={id}")),
                };
                let request = request.body(Body::empty()).expect("a request");
                let (_, outcome) = attempt(&app, request).await;
                assert_eq!(outcome, expected, "{parameter} {id}");
                if let Fact::PostbackRepeated(repeated) = app.last_fact().await.fact {
                    assert_eq!(repeated.differences, [], "{parameter} {id}");
                }
            }
        }
    }
    for (id, expected) in [
        (&ids[3], Outcome::Accepted),
        (&former.repeat(2), Outcome::Parked),
    ] {
        let refund = Request::get(format!("{offer}&event=refund&txn_id={id}&amount=1"));
        let refund = refund.body(Body::empty()).expect("a request");
        assert_eq!(attempt(&app, refund).await.1, expected, "{id}");
    }
    for known in [&secret, &former, &long] {
        assert_unkept(&app, known).await;
    }
}

#[tokio::test]
async fn personal_data_is_redacted_and_warned_of() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    let body = r#"{"customer_id":"c","email":"ann@example.org","metadata":{"phone":"+4912345","plan":"x"}}"#;
    let request = Request::post("/api/postback/acme/casino?first_name=Ann")
        .header("x-postback-secret", secret)
        .header("content-type", "application/json")
        .body(Body::from(body))
        .expect("a request");
    let (answer, outcome) = attempt(&app, request).await;
    assert_eq!(outcome, Outcome::Accepted);
    let warning = answer.headers.get("warning").expect("a warning");
    assert!(warning.to_str().expect("text").contains("personal data"));
    let log = String::from_utf8(app.log_bytes().await).expect("text");
    for personal in ["ann@example.org", "4912345", "=Ann"] {
        assert!(!log.contains(personal), "{personal}");
    }
    assert!(log.contains(r#""plan":"x""#));
}

/// Texts made of what parsers stumble over.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"click_id".to_vec()),
        Just(b"txn_id=1&".to_vec()),
        Just(b"event=refund&".to_vec()),
        Just(b"\"customer_id\":\"c\",".to_vec()),
        Just(b"metadata.".to_vec()),
        Just(b"{\"".to_vec()),
        Just(b"\"}".to_vec()),
        Just(b"\\u0000".to_vec()),
        Just(b"%".to_vec()),
        Just(b"&=".to_vec()),
        Just(b"secret".to_vec()),
        Just(b"pb_".to_vec()),
        "[0-9.eE+-]{1,30}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_ends_in_one_outcome(
        requests in proptest::collection::vec((pieces(), pieces(), 0..4_usize, any::<bool>()), 20)
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let app = TestApp::start(PROGRAMME).await;
            let token = app.token(Role::Ingest, Scope::All).await;
            for (query, body, content_type, on_offer) in requests {
                let path = if on_offer { "/api/postback/acme/casino" } else { "/postback" };
                let query: String = query.iter().filter(|byte| byte.is_ascii_graphic())
                    .filter(|byte| !matches!(byte, b'#' | b'"' | b'<' | b'>'))
                    .map(|&byte| char::from(byte)).collect();
                let types = ["application/json", "application/x-www-form-urlencoded", "text/plain", "x"];
                let request = Request::post(format!("{path}?{query}"))
                    .header("authorization", format!("Bearer {token}"))
                    .header("content-type", types[content_type])
                    .body(Body::from(body));
                // What is no URL at all never reaches the service.
                if let Ok(request) = request {
                    attempt(&app, request).await;
                }
            }
        });
    }
}
