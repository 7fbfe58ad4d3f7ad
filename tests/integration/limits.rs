//! What one person may post alone, and how far money may go: limits that splitting, hurrying and very
//! large amounts do not get around.

use std::fmt::Write as _;

use axum::http::StatusCode;
use futures_util::future::join_all;
use postbook::secrets::Role;
use postbook_schemas::{
    AMOUNT_MINOR_MAX, BALANCE_MINOR_MAX, Currency, Fact, Slug, decision::AdjustmentPosted,
    statement::StatementIssued,
};
use serde_json::{Value, json};

use crate::support::{
    app::{Answered, Sender, TestApp},
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
[[partner]]
slug = "p1"
second_person_above = "100.00"
[[partner]]
slug = "p2"
[[coupon]]
code = "ONE"
offer = "acme/shop"
partner = "p1"
[[coupon]]
code = "TWO"
offer = "acme/shop"
partner = "p2"
[[terms]]
offer = "acme/shop"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "100%"
"#;

const HOUR: i64 = 3_600_000_000;

async fn adjust(sender: &Sender<'_>, partner: &str, amount_minor: i64) -> Answered {
    let body = json!({"partner": partner, "amount_minor": amount_minor, "reason": "bonus"});
    sender.post_json("/v1/adjustments", &body.to_string()).await
}

async fn adjusted(sender: &Sender<'_>, partner: &str) -> Value {
    let path = format!("/v1/partners/{partner}/balances");
    sender.get(&path).await.json()["items"][0]["adjusted_minor"].clone()
}

async fn sell(app: &TestApp, coupon: &str, txn: &str, amount_minor: i64) {
    let amount = Currency::USD.format_major(amount_minor);
    let query = format!("event=sale&coupon_code={coupon}&txn_id={txn}&amount={amount}");
    let answer = app
        .anonymous()
        .get(&format!("/api/postback/acme/shop?{query}"))
        .await;
    assert!(answer.status.is_success(), "{query}: {}", answer.text());
}

#[tokio::test]
async fn an_amount_that_is_split_takes_a_second_person_all_the_same() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = (
        app.as_role(Role::Finance).await,
        app.as_role(Role::Finance).await,
    );
    assert_eq!(adjust(&one, "p1", 6_000).await.status, StatusCode::CREATED);
    // What takes away counts like what gives: up to the limit is still one person's to say.
    assert_eq!(adjust(&one, "p1", -4_000).await.status, StatusCode::CREATED);
    let third = adjust(&one, "p1", 1).await;
    assert_eq!(third.status, StatusCode::ACCEPTED, "{}", third.text());
    // Others have their own, and so have other partners, where there is a limit at all.
    assert_eq!(
        adjust(&other, "p1", 10_000).await.status,
        StatusCode::CREATED
    );
    assert_eq!(adjust(&one, "p2", 10_001).await.status, StatusCode::CREATED);
    // What a second person agreed to was not said alone.
    let id = third.json()["proposal_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/adjustments/{id}/approve");
    assert_eq!(
        other.post_json(&path, "{}").await.status,
        StatusCode::CREATED
    );
    assert_eq!(adjusted(&one, "p1").await, 6_000 - 4_000 + 10_000 + 1);
    // After 24 hours it begins anew.
    app.clock.advance_micros(24 * HOUR - 60_000_000);
    assert_eq!(adjust(&one, "p1", 1).await.status, StatusCode::ACCEPTED);
    app.clock.advance_micros(60_000_000);
    assert_eq!(adjust(&one, "p1", 10_000).await.status, StatusCode::CREATED);
    assert_eq!(adjust(&one, "p1", 1).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn amounts_that_are_sent_at_once_do_not_pass_the_limit_together() {
    let app = TestApp::start(PROGRAMME).await;
    let one = app.as_role(Role::Finance).await;
    let answers = join_all((0..12).map(|_| adjust(&one, "p1", 3_000))).await;
    let count = |status| answers.iter().filter(|it| it.status == status).count();
    assert_eq!(count(StatusCode::CREATED), 3);
    assert_eq!(count(StatusCode::ACCEPTED), 9);
    assert_eq!(adjusted(&one, "p1").await, 9_000);
}

#[tokio::test]
async fn an_adjustment_that_is_sent_again_is_posted_once_also_at_the_limit() {
    let app = TestApp::start(PROGRAMME).await;
    let one = app.as_role(Role::Finance).await;
    let body = json!({"partner": "p1", "amount_minor": 10_000, "reason": "bonus"}).to_string();
    let send = || async {
        let request = one
            .request("POST", "/v1/adjustments")
            .header("Idempotency-Key", "k1")
            .header("Content-Type", "application/json")
            .body(axum::body::Body::from(body.clone()))
            .expect("a request");
        app.send(request).await
    };
    let first = send().await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text());
    let again = send().await;
    assert!(again.status.is_success(), "{}", again.text());
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert_eq!(adjusted(&one, "p1").await, 10_000);
}

#[tokio::test]
async fn write_offs_and_adjustments_are_counted_together() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = (
        app.as_role(Role::Finance).await,
        app.as_role(Role::Finance).await,
    );
    sell(&app, "ONE", "A", 9_000).await;
    let proposal = json!({"partner": "p1", "reason": "June"}).to_string();
    let proposed = one.post_json("/v1/payouts", &proposal).await.json();
    let id = proposed["id"].as_str().expect("an id");
    for (who, step) in [(&other, "approve"), (&one, "settle")] {
        app.clock.advance_micros(1_000_000);
        let path = format!("/v1/payouts/{id}/{step}");
        let answer = who.post_json(&path, r#"{"reason": "ok"}"#).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    }
    app.clock.advance_micros(1_000_000);
    let back = app
        .anonymous()
        .get("/api/postback/acme/shop?event=chargeback&txn_id=A")
        .await;
    assert!(back.status.is_success(), "{}", back.text());
    assert_eq!(adjust(&one, "p1", 2_000).await.status, StatusCode::CREATED);
    let write_off = |amount: i64| {
        json!({"partner": "p1", "amount_minor": amount, "reason": "gone"}).to_string()
    };
    let answer = one.post_json("/v1/write-offs", &write_off(8_000)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let answer = one.post_json("/v1/write-offs", &write_off(1)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
}

#[tokio::test]
async fn a_balance_is_not_brought_beyond_what_sums_can_hold() {
    let app = TestApp::start(PROGRAMME).await;
    let one = app.as_role(Role::Finance).await;
    let most = BALANCE_MINOR_MAX / AMOUNT_MINOR_MAX;
    for _ in 0..most {
        let fact = Fact::AdjustmentPosted(AdjustmentPosted {
            partner: Slug::try_new("p2").expect("a slug"),
            amount_minor: AMOUNT_MINOR_MAX,
            currency: Currency::USD,
            reason: "r".to_owned(),
            proposal_id: None,
            agreed_because: None,
        });
        app.append(&fact).await;
    }
    let refused = adjust(&one, "p2", AMOUNT_MINOR_MAX).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text()
    );
    assert_eq!(refused.json()["field"], "amount_minor");
    let detail = refused.text().to_owned();
    assert!(
        detail.contains("balance would come to 1010000000000000.00 USD"),
        "{detail}"
    );
    assert_eq!(
        adjust(&one, "p2", 1).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    // Back towards zero is the way out, and others are not concerned.
    assert_eq!(
        adjust(&one, "p2", -AMOUNT_MINOR_MAX).await.status,
        StatusCode::CREATED
    );
    assert_eq!(adjust(&one, "p2", 1).await.status, StatusCode::CREATED);
    assert_eq!(adjust(&one, "p1", 1).await.status, StatusCode::CREATED);
    app.assert_rebuilds_alike().await;
}

#[tokio::test]
async fn what_is_payable_beyond_the_largest_amount_is_paid_in_parts() {
    let app = TestApp::start(PROGRAMME).await;
    let one = app.as_role(Role::Finance).await;
    for txn in ["A", "B", "C"] {
        sell(&app, "TWO", txn, AMOUNT_MINOR_MAX - 1).await;
    }
    let proposal = json!({"partner": "p2", "reason": "June"}).to_string();
    let amounts = [AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX - 3];
    for amount in amounts {
        app.clock.advance_micros(1_000_000);
        let answer = one.post_json("/v1/payouts", &proposal).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        assert_eq!(answer.json()["amount_minor"], amount);
    }
    let nothing = one.post_json("/v1/payouts", &proposal).await;
    assert_eq!(nothing.status, StatusCode::CONFLICT, "{}", nothing.text());
    app.assert_rebuilds_alike().await;
}

/// How many lines the rules below give of one sale.
const RULES: i64 = 25;

/// A programme in which a few hundred of the largest sales earn more than 64 bits hold.
fn generous() -> String {
    let mut programme = PROGRAMME.replace("second_person_above = \"100.00\"", "");
    for number in 1..RULES {
        write!(
            programme,
            "[[terms.rule]]\nid = \"more-{number}\"\non = \"sale\"\nrevshare = \"100%\"\n"
        )
        .expect("a text takes more text");
    }
    programme
        + "[[partner]]\nslug = \"p3\"\n[[coupon]]\ncode = \"THREE\"\noffer = \"acme/shop\"\npartner = \"p3\"\n"
}

/// Closes a month, and says who is told and who is not.
async fn close(sender: &Sender<'_>, month: &str, body: Value) -> (Vec<String>, Vec<String>) {
    let path = format!("/v1/periods/{month}/close");
    let answer = sender.post_json(&path, &body.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    let answer = answer.json();
    let named = |list: &str| {
        let list = answer[list].as_array().cloned().unwrap_or_default();
        let names = list.iter().filter_map(|one| one["partner"].as_str());
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        names.sort();
        names
    };
    (named("statements"), named("untold"))
}

/// Every sum of what the first partner has earned is shown as it is.
async fn shows(sender: &Sender<'_>, earned: i128) {
    let balance = sender.get("/v1/partners/p1/balances").await;
    for name in ["payable_minor", "earned_minor"] {
        let wanted = format!("\"{name}\":{earned},");
        assert!(balance.text().contains(&wanted), "{}", balance.text());
    }
    let explained = sender.get("/v1/partners/p1/balances/explain").await;
    let wanted = format!("\"amount_minor\":{earned},");
    assert!(explained.text().contains(&wanted), "{}", explained.text());
    let trial = sender.get("/v1/trial-balance").await;
    let all = earned + i128::from(RULES * (AMOUNT_MINOR_MAX + 1_000));
    let wanted = format!(
        "\"account\":\"expense:commission:acme:shop\",\"currency\":\"USD\",\"amount_minor\":{all}}}"
    );
    assert!(trial.text().contains(&wanted), "{}", trial.text());
    assert_eq!(trial.json()["totals"][0]["amount_minor"], 0);
}

/// One approves a payout of the other, who then says that it has arrived.
async fn settle(sender: &Sender<'_>, other: &Sender<'_>, id: &Value) {
    let path = format!("/v1/payouts/{}", id.as_str().expect("an id"));
    for (who, step) in [(other, "approve"), (sender, "settle")] {
        let path = format!("{path}/{step}");
        let answer = who.post_json(&path, r#"{"reason": "ok"}"#).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    }
}

/// Amounts fit 64 bits, and sums of them are made in more: a partner who has earned beyond that stands in
/// nobody's way, is paid, and is told as soon as the figures fit.
#[tokio::test]
async fn a_partner_whose_sums_are_beyond_64_bits_stops_nobody() {
    let app = TestApp::start(&generous()).await;
    let (one, other) = (
        app.as_role(Role::Finance).await,
        app.as_role(Role::Finance).await,
    );
    let huge = 380;
    for number in 0..huge {
        sell(&app, "ONE", &format!("H{number}"), AMOUNT_MINOR_MAX).await;
    }
    sell(&app, "TWO", "A", 1_000).await;
    sell(&app, "THREE", "B", AMOUNT_MINOR_MAX).await;
    let earned = i128::from(huge * RULES) * i128::from(AMOUNT_MINOR_MAX);
    assert!(earned > i128::from(i64::MAX));
    shows(&one, earned).await;
    // Everybody is paid, whoever has most in parts.
    app.clock.advance_micros(1_000_000);
    let run = one
        .post_json("/v1/payout-runs", r#"{"reason": "June"}"#)
        .await;
    let run = run.json();
    let payouts = run["payouts"].as_array().expect("payouts");
    let amounts: Vec<_> = payouts
        .iter()
        .map(|payout| &payout["amount_minor"])
        .collect();
    assert_eq!(amounts, [AMOUNT_MINOR_MAX, RULES * 1_000, AMOUNT_MINOR_MAX]);
    settle(&one, &other, &payouts[0]["id"]).await;
    // June is closed: all are told but the one, of whom a figure does not fit.
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let (one_and_all, but_one): (Vec<String>, Vec<String>) =
        (names(&["p1", "p2", "p3"]), names(&["p2", "p3"]));
    app.clock.advance_micros(20 * 24 * HOUR);
    let dry = close(&one, "2026-06", json!({"dry_run": true})).await;
    assert_eq!(dry, (but_one, names(&["p1"])));
    let closed = close(&one, "2026-06", json!({"reason": "June"})).await;
    assert_eq!(closed, dry);
    // In July some of the sales are taken back. Then there is a statement of both months.
    let back = 40;
    for number in 0..back {
        app.clock.advance_micros(1_000_000);
        let path = format!("/api/postback/acme/shop?event=chargeback&txn_id=H{number}");
        let answer = app.anonymous().get(&path).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    }
    sell(&app, "TWO", "C", 1_000).await;
    let debts = one.get("/v1/clawbacks").await;
    assert_eq!(debts.status, StatusCode::OK, "{}", debts.text());
    app.clock.advance_micros(31 * 24 * HOUR);
    let closed = close(&one, "2026-07", json!({"reason": "July"})).await;
    assert_eq!(closed, (one_and_all, names(&[])));
    let list = one.get("/v1/partners/p1/statements").await.json();
    let id = list["items"][0]["id"].as_str().expect("an id");
    let told = one.get(&format!("/v1/statements/{id}")).await;
    let told: StatementIssued = serde_json::from_str(told.text()).expect("a statement");
    let left = (huge - back) * RULES * AMOUNT_MINOR_MAX - AMOUNT_MINOR_MAX;
    assert_eq!(
        (told.number, told.opening_minor, told.closing_minor),
        (1, 0, left)
    );
    assert!(told.adds_up(), "{told:?}");
    let tables = &app.service.tables;
    assert_eq!(
        tables.unsound_balances().await.expect("they can be read"),
        Vec::<String>::new()
    );
    app.assert_rebuilds_alike().await;
    twin::answers_alike(&app).await;
}
