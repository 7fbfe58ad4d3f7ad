//! Months below zero: what payouts carry of them, and what statements say.

use axum::http::StatusCode;
use postbook::secrets::Role;
use postbook_schemas::Instant;
use serde_json::{Value, json};

use crate::support::app::{Sender, TestApp};

fn programme(terms: &str) -> String {
    format!(
        r#"
        [[brand]]
        slug = "acme"
        [[offer]]
        brand = "acme"
        slug = "casino"
        destination = "https://acme.example/"
        legacy_without_secret = true
        [[partner]]
        slug = "p1"
        [[coupon]]
        code = "ONE"
        offer = "acme/casino"
        partner = "p1"
        [[terms]]
        offer = "acme/casino"
        effective_from = 2026-01-01T00:00:00Z
        {terms}
        [[terms.rule]]
        id = "share"
        on = "revenue"
        revshare = "30%"
        "#
    )
}

async fn revenue(app: &TestApp, customer: &str, amount: &str, at: &str) {
    app.clock.advance_micros(1_000_000);
    let query = format!("coupon_code=ONE&customer_id={customer}&amount={amount}&timestamp={at}");
    let path = format!("/api/postback/acme/casino?event=revenue&{query}");
    let answer = app.anonymous().get(&path).await;
    assert!(answer.status.is_success(), "{query}: {}", answer.text());
}

async fn post(sender: &Sender<'_>, path: &str, body: Value) -> (StatusCode, Value) {
    let answer = sender.post_json(path, &body.to_string()).await;
    (answer.status, answer.json())
}

/// Pays all that is payable: the amounts of the lines, debts first.
async fn pay(app: &TestApp, one: &Sender<'_>, other: &Sender<'_>) -> Result<Vec<i64>, String> {
    app.clock.advance_micros(1_000_000);
    let proposal = json!({"partner": "p1", "reason": "May"});
    let (status, proposed) = post(one, "/v1/payouts", proposal).await;
    if status == StatusCode::CONFLICT {
        return Err(proposed["detail"].as_str().expect("a detail").to_owned());
    }
    assert!(status.is_success(), "{proposed}");
    let path = format!("/v1/payouts/{}", proposed["id"].as_str().expect("an id"));
    for step in ["approve", "settle"] {
        app.clock.advance_micros(1_000_000);
        let (status, answer) = post(other, &format!("{path}/{step}"), json!({"reason": "x"})).await;
        assert!(status.is_success(), "{answer}");
    }
    let carried = one.get(&path).await.json();
    let lines = carried["lines"].as_array().expect("lines").iter();
    Ok(lines
        .map(|line| line["amount_minor"].as_i64().expect("an amount"))
        .collect())
}

async fn payable(sender: &Sender<'_>) -> i64 {
    let all = sender.get("/v1/partners/p1/balances").await.json();
    all["items"][0]["payable_minor"]
        .as_i64()
        .expect("an amount")
}

#[tokio::test]
async fn a_payout_carries_what_a_month_below_zero_was_given_and_later_facts_take_it_back() {
    let app = TestApp::start(&programme("carryover = 'reset'")).await;
    let (one, other) = (
        app.as_role(Role::Finance).await,
        app.as_role(Role::Finance).await,
    );
    revenue(&app, "a", "-100.00", "2026-04-10T00:00:00Z").await;
    revenue(&app, "a", "50.00", "2026-05-10T00:00:00Z").await;
    assert_eq!(payable(&one).await, 1_500);
    assert_eq!(
        pay(&app, &one, &other).await,
        Ok(vec![-3_000, 3_000, 1_500])
    );
    assert_eq!(payable(&one).await, 0);
    // April sinks further: that is given up too.
    revenue(&app, "a", "-20.00", "2026-04-11T00:00:00Z").await;
    assert_eq!(payable(&one).await, 0);
    pay(&app, &one, &other)
        .await
        .expect_err("nothing is payable");
    // And rises: of the 36.00 that it lacked, 30.00 are not lacking any more.
    revenue(&app, "b", "100.00", "2026-04-12T00:00:00Z").await;
    assert_eq!(payable(&one).await, 0);
    revenue(&app, "b", "40.00", "2026-05-11T00:00:00Z").await;
    assert_eq!(
        pay(&app, &one, &other).await,
        Ok(vec![-600, -2_400, 3_000, 1_200])
    );
    let balance = one.get("/v1/partners/p1/balances").await.json();
    assert_eq!(balance["items"][0]["adjusted_minor"], 600);
    assert_eq!(balance["items"][0]["paid_minor"], 2_700);
}

#[tokio::test]
async fn what_makes_up_for_a_loss_waits_as_long_as_the_months_last_line() {
    let held = "carryover = 'reset'\n[[terms.rule]]\nid = 'held'\non = 'lead'\ncpa = '5.00'\nhold_days = 60";
    let app = TestApp::start(&programme(held)).await;
    let one = app.as_role(Role::Finance).await;
    revenue(&app, "a", "-100.00", "2026-05-10T00:00:00Z").await;
    let lead = "/api/postback/acme/casino?event=lead&coupon_code=ONE&customer_id=a\
                &timestamp=2026-05-11T00:00:00Z";
    app.anonymous().get(lead).await;
    let balance = one.get("/v1/partners/p1/balances").await.json();
    let (payable, held) = (
        &balance["items"][0]["payable_minor"],
        &balance["items"][0]["held_minor"],
    );
    assert_eq!((payable, held), (&json!(-3_000), &json!(3_000)));
    let later = "/v1/partners/p1/balances?as_of=2026-07-10T00:00:00Z";
    let balance = one.get(later).await.json();
    assert_eq!(balance["items"][0]["payable_minor"], 0);
}

#[tokio::test]
async fn a_statement_ends_the_month_that_was_below_zero_in_its_own_time_zone() {
    let terms = "carryover = 'reset'\ntime_zone = 'America/New_York'";
    let app = TestApp::start(&programme(terms)).await;
    let finance = app.as_role(Role::Finance).await;
    // In New York it is still April.
    revenue(&app, "a", "-100.00", "2026-05-01T03:00:00Z").await;
    revenue(&app, "a", "50.00", "2026-05-01T05:00:00Z").await;
    for month in ["2026-04", "2026-05"] {
        let path = format!("/v1/periods/{month}/close");
        let (status, closed) = post(&finance, &path, json!({"reason": "done"})).await;
        assert_eq!(status, StatusCode::CREATED, "{closed}");
    }
    revenue(&app, "b", "10.00", "2026-04-12T00:00:00Z").await;
    app.clock
        .set(Instant::parse_rfc3339("2026-07-03T08:00:00Z").expect("a time"));
    post(
        &finance,
        "/v1/periods/2026-06/close",
        json!({"reason": "done"}),
    )
    .await;
    let mut told = Vec::new();
    for item in finance.get("/v1/partners/p1/statements").await.json()["items"]
        .as_array()
        .expect("statements")
    {
        let path = format!("/v1/statements/{}", item["id"].as_str().expect("an id"));
        let statement = finance.get(&path).await.json();
        let lines = statement["lines"].as_array().expect("lines").iter();
        let lines: Vec<_> = lines
            .map(|line| (line["entry"].clone(), line["amount_minor"].clone()))
            .collect();
        told.push((
            statement["period"].clone(),
            lines,
            statement["closing_minor"].clone(),
        ));
    }
    let line = |entry: &str, amount: i64| (json!(entry), json!(amount));
    assert_eq!(
        told,
        [
            (
                json!("2026-04"),
                vec![line("earning", -3_000), line("carryover_reset", 3_000)],
                json!(0)
            ),
            (json!("2026-05"), vec![line("earning", 1_500)], json!(1_500)),
            (
                json!("2026-06"),
                vec![line("earning", 300), line("carryover_reset", -300)],
                json!(1_500)
            ),
        ]
    );
}
