//! Partner tokens see only their own: every route of `/v1`, asked by the partner concerned, by the
//! partner above and by a stranger.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use postbook::secrets::{Role, Scope};
use postbook_schemas::{Instant, Slug};
use serde_json::{Value, json};

use crate::support::app::{Sender, TestApp};

/// Ann sells, Uma is above her, Zed has nothing to do with either. What the advertiser pays is in
/// another currency than what partners get, so that it shows.
const PROGRAMME: &str = r#"
[[brand]]
slug = "acme"
[[offer]]
brand = "acme"
slug = "shop"
currency = "EUR"
destination = "https://acme.example/"
legacy_without_secret = true
[[partner]]
slug = "uma"
currency = "EUR"
[[partner]]
slug = "ann"
parent = "uma"
currency = "EUR"
[[partner]]
slug = "zed"
currency = "EUR"
[[coupon]]
code = "ANNS"
offer = "acme/shop"
partner = "ann"
[[coupon]]
code = "ZEDS"
offer = "acme/shop"
partner = "zed"
[[terms]]
offer = "acme/shop"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "10%"
[[terms.rule]]
id = "above"
on = "sale"
override = "50%"
[[terms.price]]
id = "fee"
on = "sale"
cpa = "77.77"
currency = "CHF"
"#;

/// What a stranger is answered on each route. A route that is not here fails the test: say what
/// partners may see of it.
const STRANGER: &[(&str, &str, Stranger)] = &[
    ("get", "/v1/conversions", Stranger::SeesNothing),
    ("get", "/v1/conversions/{id}", Stranger::Missing),
    ("get", "/v1/conversions/{id}/timeline", Stranger::Missing),
    ("get", "/v1/conversions/{id}/explain", Stranger::Missing),
    ("get", "/v1/partners/{slug}/balances", Stranger::Refused),
    ("get", "/v1/partners/{slug}/statements", Stranger::Refused),
    ("get", "/v1/postings", Stranger::SeesNothing),
    ("get", "/v1/trial-balance", Stranger::Refused),
    ("get", "/v1/attempts", Stranger::Refused),
    ("get", "/v1/attempts/{id}", Stranger::Refused),
    ("get", "/v1/attempts/{id}/checks", Stranger::Refused),
    ("get", "/v1/clicks/{click_id}/checks", Stranger::Refused),
    ("get", "/v1/checks", Stranger::Refused),
    ("get", "/v1/parked", Stranger::Refused),
    ("get", "/v1/events", Stranger::Refused),
    ("get", "/v1/periods", Stranger::SeesNothing),
    ("get", "/v1/statements", Stranger::SeesNothing),
    ("get", "/v1/statements/{id}", Stranger::Missing),
    ("get", "/v1/payouts", Stranger::SeesNothing),
    ("get", "/v1/payouts/{id}", Stranger::Missing),
    ("get", "/v1/payout-files/{format}", Stranger::Refused),
    ("get", "/v1/clawbacks", Stranger::SeesNothing),
    ("get", "/v1/adjustments", Stranger::Refused),
    ("get", "/v1/rebuilds/last", Stranger::Refused),
    ("get", "/v1/generations", Stranger::Refused),
    ("get", "/v1/openapi.json", Stranger::Public),
    ("get", "/v1/whatifs", Stranger::Refused),
    ("get", "/v1/whatifs/{hash}", Stranger::Refused),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stranger {
    /// The same for everybody.
    Public,
    /// 200, with nothing of others in it.
    SeesNothing,
    /// 404, as if it did not exist.
    Missing,
    /// 403.
    Refused,
}

/// Whatever tells of others.
const OF_ANN: &[&str] = &["ann", "ANNS", "TXN-1", "CUST-1", "share"];
const OF_UMA: &[&str] = &["uma", "above"];
const OF_THE_ADVERTISER: &[&str] = &["fee", "CHF", "receivable", "income:", "7777", "77.77"];

/// The ids of what Ann and Uma have.
struct Ids {
    conversion: String,
    payout: String,
    statement: String,
    attempt: String,
}

async fn ok(sender: &Sender<'_>, path: &str, body: Value) -> Value {
    let answer = sender.post_json(path, &body.to_string()).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A sale that is paid to both, refunded in part, corrected and told of.
async fn story(app: &TestApp) -> Ids {
    let finance = app.as_role(Role::Finance).await;
    let other = app.as_role(Role::Finance).await;
    let manager = app.as_role(Role::Manager).await;
    let at = "timestamp=2026-05-10T00:00:00Z";
    let sale = "event=sale&txn_id=TXN-1&customer_id=CUST-1&amount=100.00&coupon_code=ANNS";
    let path = format!("/api/postback/acme/shop?{sale}&{at}");
    let answer = app.anonymous().get(&path).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    let mut payouts = Vec::new();
    for partner in ["uma", "ann"] {
        app.clock.advance_micros(1_000_000);
        let proposal = json!({"partner": partner, "reason": "May"});
        let proposed = ok(&finance, "/v1/payouts", proposal).await;
        let payout = text(&proposed["id"]);
        for step in ["approve", "settle"] {
            app.clock.advance_micros(1_000_000);
            let path = format!("/v1/payouts/{payout}/{step}");
            ok(&other, &path, json!({"reason": "May"})).await;
        }
        payouts.push(payout);
    }
    app.clock.advance_micros(1_000_000);
    let refund = "event=refund&txn_id=TXN-1&amount=40.00&timestamp=2026-05-11T00:00:00Z";
    let path = format!("/api/postback/acme/shop?{refund}");
    app.anonymous().get(&path).await;
    let closed = json!({"reason": "closing for ann and uma"});
    ok(&finance, "/v1/periods/2026-05/close", closed).await;
    let all = finance.get("/v1/conversions").await.json();
    let conversion = text(&all["items"][0]["id"]);
    let decision = json!({
        "conversion_id": conversion, "decision": "approve", "reason": "looks right"
    });
    ok(&manager, "/v1/decisions", decision).await;
    let statements = finance.get("/v1/partners/ann/statements").await.json();
    let attempts = app
        .as_role(Role::Viewer)
        .await
        .get("/v1/attempts")
        .await
        .json();
    Ids {
        conversion,
        payout: payouts.pop().expect("two payouts"),
        statement: text(&statements["items"][0]["id"]),
        attempt: text(&attempts["items"][0]["id"]),
    }
}

async fn partner<'a>(app: &'a TestApp, name: &str) -> Sender<'a> {
    let scope = Scope::Partner(Slug::try_new(name).expect("a slug"));
    app.with_token(app.token(Role::Viewer, scope).await)
}

fn filled(path: &str, ids: &Ids) -> String {
    let id = if path.contains("conversions") {
        &ids.conversion
    } else if path.contains("payouts") {
        &ids.payout
    } else if path.contains("statements") {
        &ids.statement
    } else {
        &ids.attempt
    };
    path.replace("{id}", id)
        .replace("{slug}", "ann")
        .replace("{click_id}", "abcdefghij")
        .replace("{format}", "csv")
        .replace("{period}", "2026-05")
        .replace("{hash}", "0123456789abcdef")
        .replace("{proposal_id}", &ids.attempt)
}

fn routes() -> Vec<(String, String)> {
    let description = postbook::http::v1::openapi::document();
    let description: Value = serde_json::from_str(&description).expect("JSON");
    let paths = description["paths"].as_object().expect("paths").iter();
    let below = paths.filter(|(path, _)| path.starts_with("/v1/"));
    below
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().expect("operations").keys();
            let methods = methods.filter(|key| ["get", "post", "put", "delete"].contains(&&***key));
            methods.map(move |method| (method.clone(), path.clone()))
        })
        .collect()
}

fn assert_lacks(answer: &str, words: &[&str], path: &str) {
    for word in words {
        assert!(!answer.contains(word), "{path} tells {word}: {answer}");
    }
}

#[tokio::test]
async fn a_stranger_sees_nothing_on_any_route() {
    let app = TestApp::start(PROGRAMME).await;
    let ids = story(&app).await;
    let zed = partner(&app, "zed").await;
    let table: BTreeMap<(&str, &str), Stranger> = STRANGER
        .iter()
        .map(|&(method, path, what)| ((method, path), what))
        .collect();
    for (method, path) in routes() {
        let asked = filled(&path, &ids);
        if method != "get" {
            let request = zed
                .request(&method.to_uppercase(), &asked)
                .header("content-type", "application/json")
                .body(axum::body::Body::from("{}"))
                .expect("a request");
            let answer = app.send(request).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
            continue;
        }
        let what = table.get(&("get", path.as_str()));
        let what = *what.unwrap_or_else(|| panic!("{path} is not in the table"));
        let answer = zed.get(&asked).await;
        let status = match what {
            Stranger::Public | Stranger::SeesNothing => StatusCode::OK,
            Stranger::Missing => StatusCode::NOT_FOUND,
            Stranger::Refused => StatusCode::FORBIDDEN,
        };
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        if what == Stranger::SeesNothing {
            let text = answer.text();
            assert_lacks(text, OF_ANN, &path);
            assert_lacks(text, OF_UMA, &path);
            assert_lacks(text, OF_THE_ADVERTISER, &path);
        }
    }
}

#[tokio::test]
async fn a_partner_sees_its_own_and_neither_who_is_above_nor_what_the_advertiser_pays() {
    let app = TestApp::start(PROGRAMME).await;
    let ids = story(&app).await;
    let ann = partner(&app, "ann").await;
    for (_, path, what) in STRANGER {
        if *what == Stranger::Public {
            continue;
        }
        let answer = ann.get(&filled(path, &ids)).await;
        if *what == Stranger::Refused && !path.contains("{slug}") {
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
            continue;
        }
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_lacks(answer.text(), OF_UMA, path);
        assert_lacks(answer.text(), OF_THE_ADVERTISER, path);
    }
    let path = format!("/v1/statements/{}", ids.statement);
    for form in [".csv", ".html", ".json"] {
        let answer = ann.get(&format!("{path}{form}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{form}");
        assert_lacks(answer.text(), OF_UMA, form);
        assert_lacks(answer.text(), OF_THE_ADVERTISER, form);
    }
    let owed = ann.get("/v1/clawbacks").await.json();
    assert_eq!(owed["items"][0]["outstanding_minor"], 400);
    let whole = app.as_role(Role::Viewer).await;
    let postings = whole.get("/v1/postings").await;
    let postings = postings.text();
    for word in OF_THE_ADVERTISER.iter().take(4).chain(OF_UMA) {
        assert!(postings.contains(word), "{word} is there to be seen");
    }
}

#[tokio::test]
async fn the_partner_above_sees_its_share_and_not_of_whose_customer() {
    let app = TestApp::start(PROGRAMME).await;
    let ids = story(&app).await;
    let uma = partner(&app, "uma").await;
    let others = ["ann", "ANNS", "CUST-1", "\"share\""];
    for suffix in ["", "/explain", "/timeline"] {
        let path = format!("/v1/conversions/{}{suffix}", ids.conversion);
        let answer = uma.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_lacks(answer.text(), &others, &path);
        assert_lacks(answer.text(), OF_THE_ADVERTISER, &path);
    }
    let path = format!("/v1/conversions/{}", ids.conversion);
    let seen = uma.get(&path).await.json();
    assert_eq!(seen["attribution"]["reason"], "another_partner");
    assert_eq!(seen["earnings"].as_array().expect("lines").len(), 1);
    assert_eq!(seen["earnings"][0]["amount_minor"], 300);
    for path in [
        "/v1/postings",
        "/v1/statements",
        "/v1/payouts",
        "/v1/clawbacks",
    ] {
        let answer = uma.get(path).await;
        let text = answer.text();
        assert_lacks(text, &others, path);
        assert_lacks(text, OF_THE_ADVERTISER, path);
    }
}

#[tokio::test]
async fn who_was_credited_wrongly_is_not_told_who_is_right() {
    let app = TestApp::start(PROGRAMME).await;
    let ids = story(&app).await;
    let manager = app.as_role(Role::Manager).await;
    app.clock
        .set(Instant::parse_rfc3339("2026-06-20T00:00:00Z").expect("a time"));
    let correction = json!({
        "conversion_id": ids.conversion, "partner": "zed", "reason": "it is zed's"
    });
    ok(&manager, "/v1/attribution-corrections", correction).await;
    let ann = partner(&app, "ann").await;
    for path in [
        "/v1/conversions",
        "/v1/conversions/{id}",
        "/v1/conversions/{id}/explain",
        "/v1/conversions/{id}/timeline",
        "/v1/postings",
        "/v1/clawbacks",
    ] {
        let answer = ann.get(&filled(path, &ids)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_lacks(answer.text(), &["zed", "ZEDS", "uma"], path);
    }
    let owed = ann.get("/v1/clawbacks").await.json();
    assert_eq!(owed["items"][0]["outstanding_minor"], 1_000);
}
