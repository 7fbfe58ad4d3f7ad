//! Tests among real traffic: `test=1` with a manager's token, and what anybody else gets for it.

use postbook::secrets::{Role, Scope};
use postbook_schemas::{Fact, OfferRef, Outcome};

use super::support::app::TestApp;

const PROGRAMME: &str = include_str!("../data/requeue/programme.toml");
const OFFER: &str = "/api/postback/acme/casino";

#[tokio::test]
async fn a_managers_test_is_kept_whole_and_counts_nowhere() {
    let app = TestApp::start(PROGRAMME).await;
    let manager = app.as_role(Role::Manager).await;
    let sender = app.as_ingester().await;
    let real = "coupon_code=P20&customer_id=c-1&txn_id=1&event=ftd&amount=10";
    // First as a test, then really, then as a test again: neither is the other's repeat.
    for (sender, path, status) in [
        (&manager, format!("{OFFER}?{real}&test=1"), "sandbox"),
        (&manager, format!("{OFFER}?{real}&test=1"), "duplicate"),
        (&sender, format!("{OFFER}?{real}"), "ok"),
        (&sender, format!("{OFFER}?{real}&test=0"), "duplicate"),
        (
            &manager,
            format!("{OFFER}?txn_id=1&event=refund&test=true"),
            "sandbox",
        ),
    ] {
        let answer = sender.get(&path).await;
        assert_eq!(
            answer.json()["data"]["status"],
            status,
            "{path}: {}",
            answer.text()
        );
    }
    let body = r#"{"offer":"acme/casino","customer_id":"c-2","event":"ftd","test":1,"metadata":{"build":"7"}}"#;
    let answer = manager.post_json("/postback", body).await;
    assert_eq!(answer.json()["status"], "sandbox", "{}", answer.text());
    let fact = app.last_fact().await.fact;
    let attempt = fact.attempt().expect("an attempt");
    assert_eq!(attempt.request.body.as_deref(), Some(body));

    let viewer = app.as_role(Role::Finance).await;
    let balances = viewer.get("/v1/partners/p1/balances").await.json();
    assert_eq!(balances["items"][0]["payable_minor"], 25_000, "{balances}");
    let items = viewer.get("/v1/conversions").await.json()["items"].clone();
    let earning = items
        .as_array()
        .expect("items")
        .iter()
        .filter(|item| item["earnings"][0]["amount_minor"] != 0);
    assert_eq!(earning.count(), 1, "{items}");
    let refunded = items
        .as_array()
        .expect("items")
        .iter()
        .any(|item| item["refunded_minor"] != 0);
    assert!(!refunded, "{items}");
}

#[tokio::test]
async fn a_test_without_a_managers_token_is_refused_and_is_no_money() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    let casino = OfferRef::try_new("acme/casino").expect("an offer");
    let ingest = app.token(Role::Ingest, Scope::Offer(casino)).await;
    let viewer = app.token(Role::Viewer, Scope::All).await;
    let query = "customer_id=c-1&txn_id=1&test=1";
    let senders = [
        (app.anonymous(), format!("{OFFER}?secret={secret}&{query}")),
        (app.with_token(ingest.clone()), format!("{OFFER}?{query}")),
        (app.with_token(ingest), format!("/postback?{query}")),
        (
            app.with_token(viewer),
            format!("/postback?offer=acme/casino&{query}"),
        ),
        (
            app.anonymous(),
            format!("/postback?offer=acme/casino&{query}"),
        ),
    ];
    for (sender, path) in senders {
        let answer = sender.get(&path).await;
        assert_eq!(answer.status.as_u16(), 401, "{path}: {}", answer.text());
        let detail = answer.json()["detail"].clone();
        assert_eq!(
            detail,
            "test=1 takes a manager's token: send Authorization: Bearer"
        );
        let fact = app.last_fact().await.fact;
        assert!(
            matches!(&fact, Fact::PostbackRejected(one) if one.outcome == Outcome::BadCredentials)
        );
    }
    // A word that is neither yes nor no is told by name, and is no money either.
    let path = format!("{OFFER}?secret={secret}&customer_id=c&test=maybe");
    let answer = app.anonymous().get(&path).await;
    assert_eq!(answer.status.as_u16(), 422);
    assert_eq!(answer.json()["field"], "test");
}

#[tokio::test]
async fn a_manager_sends_no_real_postbacks() {
    let app = TestApp::start(PROGRAMME).await;
    let manager = app.as_role(Role::Manager).await;
    let answer = manager
        .get(&format!("{OFFER}?customer_id=c-1&txn_id=1"))
        .await;
    assert_eq!(answer.status.as_u16(), 401, "{}", answer.text());
}

/// A manager has no key of the sender's: the token is the proof, and the answer says so.
#[tokio::test]
async fn a_managers_test_need_not_be_signed() {
    let app = TestApp::start(PROGRAMME).await;
    app.apply("[[offer]]\nbrand = \"acme\"\nslug = \"signed\"\ndestination = \"https://acme.example/\"\nrequire_signature = true")
        .await;
    let manager = app.as_role(Role::Manager).await;
    let path = "/api/postback/acme/signed?customer_id=c-1&txn_id=1&test=1";
    let answer = manager.get(path).await;
    assert_eq!(
        answer.json()["data"]["status"],
        "sandbox",
        "{}",
        answer.text()
    );
    let warning = answer.headers.get("warning").expect("a warning");
    let text = warning.to_str().expect("text");
    assert!(text.contains("taken for its token, unsigned"), "{text}");
    // Whoever else sends it, or sends it as real, signs.
    let ingester = app.as_ingester().await;
    let refused = ingester.get(path).await;
    assert_eq!(refused.json()["code"], "bad_credentials");
    let unsigned = ingester
        .get("/api/postback/acme/signed?customer_id=c-1&txn_id=1")
        .await;
    assert_eq!(
        unsigned.json()["code"],
        "bad_signature",
        "{}",
        unsigned.text()
    );
    // A signature that is wrong is no test either.
    let wrong = format!("{path}&signature={}", "00".repeat(32));
    assert_eq!(manager.get(&wrong).await.json()["code"], "bad_signature");
}
