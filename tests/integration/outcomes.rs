//! Every outcome, with its exact status and body on both endpoints, and what goes before what.

use std::collections::BTreeSet;

use axum::{body::Body, http::Request};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use postbook::secrets::{Role, Scope};
use postbook_schemas::{Fact, OfferRef, Outcome};
use sha2::Sha256;

use super::support::{
    app::TestApp,
    table::{self, Case, Ids, Step},
};

const PROGRAMME: &str = include_str!("../data/intake/programme.toml");

/// What the words of the tables stand for in one case.
struct Words(Vec<(&'static str, String)>);

impl Words {
    async fn new(app: &TestApp, case: &Case) -> Self {
        let text = format!("{case:?}");
        let mut words = Vec::new();
        let mut add = |word, value| words.push((word, value));
        let casino = || OfferRef::try_new("acme/casino").expect("an offer");
        add("$TOKEN", app.token(Role::Ingest, Scope::All).await);
        add("$VIEWER", app.token(Role::Viewer, Scope::All).await);
        add(
            "$CASINO_TOKEN",
            app.token(Role::Ingest, Scope::Offer(casino())).await,
        );
        for (word, link) in [
            ("$CLICK", "/abc"),
            ("$PLAIN", "/plain?utm_campaign=newsletter"),
            ("$TEST", "/test"),
            ("$OLD", "/old"),
            ("$NIPPON", "/nippon"),
        ] {
            if text.contains(word) {
                add(word, app.click(link).await);
            }
        }
        for (word, offer) in [
            ("$SECRET", "acme/casino"),
            ("$SANDBOX_SECRET", "acme/sandbox"),
            ("$HTTPS_SECRET", "acme/https"),
            ("$LISTED_SECRET", "acme/listed"),
            ("$SIGNED_SECRET", "acme/signed"),
            ("$EXPIRED_SECRET", "acme/expired"),
            ("$YEN_SECRET", "acme/yen"),
            ("$LIMITED_SECRET", "acme/limited"),
        ] {
            if text.contains(word) {
                add(word, app.secret(offer).await);
            }
        }
        for (word, content) in [
            (
                "$STALE_NAMED",
                r#"{"offer":"acme/signed","customer_id":"c"}"#,
            ),
            ("$STALE_QUERY", "customer_id=c"),
            ("$STALE_BROKEN", "customer_id=%zz"),
        ] {
            if text.contains(word) {
                let secret = app.secret("acme/signed").await;
                add(word, signed_long_ago(&secret, content));
            }
        }
        // Longer words first: `$CASINO_TOKEN` must not be read as another's beginning.
        words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        Self(words)
    }

    fn fill(&self, text: &str) -> String {
        let mut filled = text.replace("$LONG", &"x".repeat(300));
        for (word, value) in &self.0 {
            filled = filled.replace(word, value);
        }
        filled
    }

    /// The words in place of what they stand for.
    fn hide(&self, text: &str) -> String {
        let mut hidden = text.to_owned();
        for (word, value) in &self.0 {
            hidden = hidden.replace(value, word);
        }
        hidden
    }
}

/// `webhook-signature` of message `msg_1`, 800 seconds before the tests begin.
fn signed_long_ago(secret: &str, content: &str) -> String {
    let mut hmac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    hmac.update(format!("msg_1.1781524000.{content}").as_bytes());
    let mac = hmac.finalize().into_bytes();
    format!("v1,{}", BASE64.encode(mac))
}

async fn run(case: &Case) -> Vec<String> {
    let app = TestApp::start(PROGRAMME).await;
    let words = Words::new(&app, case).await;
    app.clock.advance_micros(1_000_000);
    let mut ids = Ids::default();
    let mut wrong = Vec::new();
    for step in &case.steps {
        let answer = app.send(request(step, &words)).await;
        let seen = format!("{} {}", answer.status.as_u16(), answer.text());
        let seen = words.hide(&ids.number(&seen));
        let expected = format!("{} {}", step.status, step.answer);
        if seen != expected {
            wrong.push(format!(
                "{}\n  expected {expected}\n  seen     {seen}",
                case.name
            ));
        }
        for (name, value) in &step.answer_headers {
            let seen = answer
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok());
            if seen != Some(value) {
                wrong.push(format!("{}: {name} is {seen:?}, not {value}", case.name));
            }
        }
    }
    wrong
}

fn request(step: &Step, words: &Words) -> Request<Body> {
    let mut request = Request::builder()
        .method(step.method.as_str())
        .uri(words.fill(&step.path));
    for (name, value) in &step.headers {
        request = request.header(name, words.fill(value));
    }
    let body = words.fill(&step.body);
    let body = match body.strip_prefix("$BYTES ") {
        Some(count) => vec![b'a'; count.parse().expect("a number of bytes")],
        None => body.into_bytes(),
    };
    request.body(Body::from(body)).expect("a request")
}

async fn check(table: &str) {
    let mut wrong = Vec::new();
    for case in table::parse(table) {
        wrong.extend(run(&case).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_outcome_has_its_status_and_body() {
    check(include_str!("../data/intake/outcomes.txt")).await;
}

#[tokio::test]
async fn where_several_outcomes_apply_the_first_of_the_list_holds() {
    check(include_str!("../data/intake/precedence.txt")).await;
}

#[tokio::test]
async fn values_are_taken_exactly_or_refused_by_name() {
    check(include_str!("../data/intake/values.txt")).await;
}

#[test]
fn the_table_shows_every_outcome_on_both_endpoints() {
    let mut seen = BTreeSet::new();
    for case in table::parse(include_str!("../data/intake/outcomes.txt")) {
        for step in &case.steps {
            let on_offer = step.path.starts_with("/api/");
            let outcome = Outcome::ALL.iter().find(|outcome| {
                let code = outcome.code();
                let word = if **outcome == Outcome::Accepted {
                    "ok"
                } else {
                    code
                };
                step.answer.contains(&format!("\"code\":\"{code}\""))
                    || step.answer.contains(&format!("\"status\":\"{word}\""))
            });
            seen.extend(outcome.map(|outcome| (*outcome, on_offer)));
        }
    }
    for outcome in Outcome::ALL {
        for on_offer in [false, true] {
            // Plain `/postback` knows a sandbox as well: nothing is left out.
            assert!(
                seen.contains(&(*outcome, on_offer)),
                "{outcome:?} {on_offer}"
            );
        }
    }
}

#[tokio::test]
async fn every_attempt_is_one_fact_with_its_outcome() {
    let app = TestApp::start(PROGRAMME).await;
    let sender = app.as_ingester().await;
    let click = app.click("/abc").await;
    let sale = format!(r#"{{"click_id":"{click}","txn_id":"1","value":100}}"#);
    let refund = r#"{"offer":"acme/casino","txn_id":"9","event":"refund"}"#;
    for (body, outcome, fact_type) in [
        (sale.as_str(), Outcome::Accepted, "revenue.reported"),
        (&sale, Outcome::Duplicate, "postback.repeated"),
        (refund, Outcome::Parked, "refund.reported"),
        ("{", Outcome::Malformed, "postback.rejected"),
    ] {
        let before = app.service.log.store().head();
        let answer = sender.post_json("/postback", body).await;
        assert_eq!(answer.status.as_u16(), outcome.http_status(), "{body}");
        assert_eq!(app.service.log.store().head(), before + 1, "{body}");
        let fact = app.last_fact().await.fact;
        assert_eq!(fact.fact_type().name(), fact_type);
        let kept = match &fact {
            Fact::PostbackRejected(rejected) => rejected.outcome,
            Fact::PostbackRepeated(repeated) => repeated.outcome,
            other => other
                .as_report()
                .map(|report| report.outcome)
                .or(other.as_change().map(|change| change.outcome))
                .expect("a report or a change"),
        };
        assert_eq!(kept, outcome, "{body}");
    }
}
