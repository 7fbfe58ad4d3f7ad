//! `/v1`: what is sent in is seen, asked about, decided and paid.

use axum::http::StatusCode;
use postbook::secrets::{Role, Scope};
use postbook_schemas::Slug;
use serde_json::{Value, json};

use crate::support::app::{Answered, Sender, TestApp};

pub(crate) const PROGRAMME: &str = r#"
[[brand]]
slug = "acme"
currency = "USD"
[[offer]]
brand = "acme"
slug = "casino"
currency = "USD"
destination = "https://acme.example/landing"
legacy_without_secret = true
[[partner]]
slug = "p1"
currency = "USD"
[[partner]]
slug = "p2"
currency = "USD"
[[link]]
slug = "abc"
offer = "acme/casino"
partner = "p1"
[[link]]
slug = "xyz"
offer = "acme/casino"
partner = "p2"
[[terms]]
offer = "acme/casino"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "30%"
[[terms.rule]]
id = "deposit-cpa"
on = "ftd"
cpa = "250.00"
hold_days = 14
"#;

/// Reports a sale of `amount` through a link.
async fn sell(app: &TestApp, link: &str, txn: &str, amount: &str) {
    let click = app.click(&format!("/{link}")).await;
    report(
        app,
        &format!("event=sale&click_id={click}&txn_id={txn}&amount={amount}"),
    )
    .await;
}

async fn report(app: &TestApp, query: &str) -> Answered {
    let path = format!("/api/postback/acme/casino?{query}");
    let answer = app.anonymous().get(&path).await;
    assert!(answer.status.is_success(), "{query}: {}", answer.text());
    answer
}

async fn items(sender: &Sender<'_>, path: &str) -> Vec<Value> {
    let answer = sender.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.json()["items"].as_array().expect("a list").clone()
}

async fn balance(sender: &Sender<'_>, partner: &str) -> Value {
    let all = items(sender, &format!("/v1/partners/{partner}/balances")).await;
    all.first().cloned().unwrap_or(Value::Null)
}

#[tokio::test]
async fn a_get_after_a_post_shows_its_effect_in_the_shape_of_the_specification() {
    let app = TestApp::start(PROGRAMME).await;
    let viewer = app.as_role(Role::Viewer).await;
    let click = app.click("/abc").await;
    report(
        &app,
        &format!("event=sale&click_id={click}&txn_id=T1&amount=100.00&customer_id=c1"),
    )
    .await;
    let mut all = items(&viewer, "/v1/conversions?txn_id=T1").await;
    let mut one = all.pop().expect("one conversion");
    let id = one["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        viewer.get(&format!("/v1/conversions/{id}")).await.json(),
        one
    );
    for changing in ["id", "position"] {
        one[changing] = Value::Null;
    }
    one["earnings"][0]["terms_version"] = Value::Null;
    assert_eq!(
        one,
        json!({
            "id": null, "position": null, "offer": "acme/casino", "kind": "sale", "txn_id": "T1",
            "click_id": click, "customer_id": "c1", "coupon_code": null, "partner": "p1",
            "status": "approved", "approves_at": null, "amount_minor": 10_000, "refunded_minor": 0,
            "over_refunded_minor": 0, "charged_back_minor": 0, "currency": "USD",
            "occurred_at": "2026-06-15T12:00:00.000000Z",
            "recorded_at": "2026-06-15T12:00:00.000000Z", "sandbox": false,
            "attribution": {
                "by": "click_id", "partner": "p1", "click_id": click, "reason": "click",
                "losers": one["attribution"]["losers"].clone(),
            },
            "earnings": [{
                "rule": "share", "terms_version": null, "partner": "p1", "amount_minor": 3_000,
                "currency": "USD", "state": "approved", "reason": null,
                "available_at": "2026-06-15T12:00:00.000000Z", "earned_minor": 3_000,
                "reversed_minor": 0, "clawed_back_minor": 0, "recovered_minor": 0, "written_off_minor": 0,
                "paid_minor": 0, "payout_id": null,
            }],
        })
    );
    assert_eq!(
        balance(&viewer, "p1").await,
        json!({
            "currency": "USD", "pending_minor": 0, "held_minor": 0, "payable_minor": 3_000,
            "paid_minor": 0, "clawed_back_minor": 0, "recovered_minor": 0, "written_off_minor": 0,
            "reversed_minor": 0, "earned_minor": 3_000, "adjusted_minor": 0, "outstanding_minor": 0,
        })
    );
    let postings = items(&viewer, &format!("/v1/postings?conversion={id}")).await;
    assert_eq!(postings[0]["kind"], "earning");
    assert_eq!(postings[0]["period"], "2026-06");
    let entries = postings[0]["entries"].as_array().expect("entries");
    assert_eq!(
        entries
            .iter()
            .map(|e| e["amount_minor"].as_i64().unwrap())
            .sum::<i64>(),
        0
    );
    let trial = viewer.get("/v1/trial-balance").await.json();
    assert_eq!(
        trial["totals"],
        json!([{ "currency": "USD", "amount_minor": 0 }])
    );
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
#[tokio::test]
async fn what_is_asked_wrongly_is_refused_by_name() {
    let app = TestApp::start(PROGRAMME).await;
    let viewer = app.as_role(Role::Viewer).await;
    for (path, field) in [
        ("/v1/conversions?colour=red", "colour"),
        ("/v1/conversions?offer=acme", "offer"),
        ("/v1/conversions?status=good", "status"),
        ("/v1/conversions?limit=0", "limit"),
        ("/v1/conversions?limit=1001", "limit"),
        ("/v1/conversions?cursor=7", "cursor"),
        ("/v1/conversions?from=yesterday", "from"),
        ("/v1/conversions?limit=1&limit=2", "limit"),
        ("/v1/postings?period=2026-13", "period"),
        ("/v1/postings?conversion=x", "conversion"),
        ("/v1/attempts?outcome=fine", "outcome"),
        ("/v1/events?type=ftd", "type"),
        ("/v1/events?from=0", "from"),
        ("/v1/partners/p1/balances?as_of=now", "as_of"),
        ("/v1/payouts?state=gone", "state"),
    ] {
        let answer = viewer.get(path).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(answer.json()["field"], field, "{path}: {}", answer.text());
        let kind = answer.header(axum::http::header::CONTENT_TYPE);
        assert_eq!(kind, Some("application/problem+json"), "{path}");
    }
    for path in [
        "/v1/conversions/none",
        "/v1/partners/nobody/balances",
        "/v1/nothing",
    ] {
        assert_eq!(
            viewer.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let finance = app.as_role(Role::Admin).await;
    for (path, body, field) in [
        ("/v1/payouts", json!({"partner": "p1"}), "reason"),
        ("/v1/payouts", json!({"reason": "June"}), "partner"),
        (
            "/v1/payouts",
            json!({"partner": "p9", "reason": "June"}),
            "partner",
        ),
        (
            "/v1/adjustments",
            json!({"partner": "p1", "amount_minor": 5}),
            "reason",
        ),
        (
            "/v1/adjustments",
            json!({"partner": "p1", "amount_minor": 1.5, "reason": "x"}),
            "amount_minor",
        ),
        (
            "/v1/adjustments",
            json!({"partner": "p1", "amount_minor": 0, "reason": "x"}),
            "amount_minor",
        ),
        (
            "/v1/decisions",
            json!({"conversion_id": "x", "decision": "approve", "reason": "x"}),
            "conversion_id",
        ),
        (
            "/v1/decisions",
            json!({"conversion_id": app.service.clock.new_id(), "decision": "no", "reason": "x"}),
            "decision",
        ),
        (
            "/v1/decisions",
            json!({"conversion_id": app.service.clock.new_id(), "decision": "approve"}),
            "reason",
        ),
        (
            "/v1/attribution-corrections",
            json!({"conversion_id": app.service.clock.new_id(), "partner": "p2"}),
            "reason",
        ),
        (
            "/v1/adjustments",
            json!({"partner": "p1", "amount_minor": 5, "reason": "x", "more": 1}),
            "more",
        ),
    ] {
        let answer = finance.post_json(path, &body.to_string()).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{path} {body}"
        );
        assert_eq!(
            answer.json()["field"],
            field,
            "{path} {body}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn each_role_may_do_its_own_and_partners_see_only_their_own() {
    let app = TestApp::start(PROGRAMME).await;
    sell(&app, "abc", "T1", "10.00").await;
    sell(&app, "xyz", "T2", "20.00").await;
    assert_eq!(
        app.anonymous().get("/v1/conversions").await.status,
        StatusCode::UNAUTHORIZED
    );
    let ingest = app.as_ingester().await;
    assert_eq!(
        ingest.get("/v1/conversions").await.status,
        StatusCode::FORBIDDEN
    );
    let body = json!({"partner": "p1", "amount_minor": 5, "reason": "x"}).to_string();
    for (role, status) in [
        (Role::Viewer, StatusCode::FORBIDDEN),
        (Role::Manager, StatusCode::FORBIDDEN),
        (Role::Finance, StatusCode::CREATED),
        (Role::Admin, StatusCode::CREATED),
    ] {
        let answer = app
            .as_role(role)
            .await
            .post_json("/v1/adjustments", &body)
            .await;
        assert_eq!(answer.status, status, "{role}");
    }
    let scope = Scope::Partner(Slug::try_new("p1").unwrap());
    let partner = app.with_token(app.token(Role::Viewer, scope).await);
    let own = items(&partner, "/v1/conversions").await;
    assert_eq!(
        own.iter()
            .map(|row| row["txn_id"].clone())
            .collect::<Vec<_>>(),
        ["T1"]
    );
    let other = items(
        &app.as_role(Role::Viewer).await,
        "/v1/conversions?txn_id=T2",
    )
    .await;
    let id = other[0]["id"].as_str().unwrap();
    assert_eq!(
        partner.get(&format!("/v1/conversions/{id}")).await.status,
        StatusCode::NOT_FOUND
    );
    for (path, status) in [
        ("/v1/partners/p1/balances", StatusCode::OK),
        ("/v1/partners/p2/balances", StatusCode::FORBIDDEN),
        ("/v1/conversions?partner=p2", StatusCode::FORBIDDEN),
        ("/v1/postings?partner=p2", StatusCode::FORBIDDEN),
        ("/v1/attempts", StatusCode::FORBIDDEN),
        ("/v1/events", StatusCode::FORBIDDEN),
        ("/v1/trial-balance", StatusCode::FORBIDDEN),
    ] {
        assert_eq!(partner.get(path).await.status, status, "{path}");
    }
    let postings = items(&partner, "/v1/postings").await;
    assert!(postings.iter().all(|posting| posting["partner"] == "p1"));
}

#[tokio::test]
async fn a_partner_is_not_told_which_other_partner_lost() {
    let app = TestApp::start(PROGRAMME).await;
    for (link, txn) in [("/xyz", "T1"), ("/abc", "T2")] {
        let click = app.click(link).await;
        let query = format!("event=sale&click_id={click}&txn_id={txn}&amount=9.00&customer_id=c9");
        report(&app, &query).await;
        app.clock.advance_micros(1_000_000);
    }
    let viewer = app.as_role(Role::Viewer).await;
    let whole = items(&viewer, "/v1/conversions?txn_id=T2").await;
    assert!(whole[0].to_string().contains("\"p2\""), "{}", whole[0]);
    let id = whole[0]["id"].as_str().unwrap();
    let scope = Scope::Partner(Slug::try_new("p1").unwrap());
    let partner = app.with_token(app.token(Role::Viewer, scope).await);
    for path in ["", "/explain", "/timeline"] {
        let answer = partner.get(&format!("/v1/conversions/{id}{path}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.text().contains("p2"), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn pages_visit_each_row_once_while_rows_are_added() {
    let app = TestApp::start(PROGRAMME).await;
    let viewer = app.as_role(Role::Viewer).await;
    for number in 0..5 {
        sell(&app, "abc", &format!("A{number}"), "1.00").await;
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/conversions?limit=2".to_owned());
    for round in 0.. {
        let page = viewer.get(&path).await.json();
        for row in page["items"].as_array().unwrap() {
            seen.push(row["txn_id"].as_str().unwrap().to_owned());
        }
        if round < 2 {
            sell(&app, "abc", &format!("B{round}"), "1.00").await;
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/conversions?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ["A0", "A1", "A2", "A3", "A4", "B0", "B1"]);
}

#[tokio::test]
async fn balances_are_as_of_a_time_and_as_known_at_another() {
    let app = TestApp::start(PROGRAMME).await;
    let viewer = app.as_role(Role::Viewer).await;
    let click = app.click("/abc").await;
    report(
        &app,
        &format!("event=ftd&click_id={click}&txn_id=F1&amount=50.00"),
    )
    .await;
    let at = |query: &str| {
        let path = format!("/v1/partners/p1/balances{query}");
        let viewer = &viewer;
        async move {
            let all = items(viewer, &path).await;
            let of = |name: &str| all.first().map_or(0, |row| row[name].as_i64().unwrap());
            (of("held_minor"), of("payable_minor"))
        }
    };
    assert_eq!(at("").await, (25_000, 0));
    assert_eq!(at("?as_of=2026-06-29T11:59:59Z").await, (25_000, 0));
    assert_eq!(at("?as_of=2026-06-29T12:00:00Z").await, (0, 25_000));
    assert_eq!(at("?as_of=2026-06-15T11:59:59Z").await, (0, 0));
    app.clock.advance_micros(86_400_000_000);
    report(&app, "event=refund&txn_id=F1").await;
    assert_eq!(at("").await, (0, 0));
    assert_eq!(
        at("?as_of=2026-06-16T12:00:00Z&known_at=2026-06-16T00:00:00Z").await,
        (25_000, 0)
    );
    assert_eq!(at("?as_of=2026-06-16T00:00:00Z").await, (25_000, 0));
}

#[tokio::test]
async fn of_two_proposals_at_once_one_wins_and_the_other_is_told_what_is_left() {
    let app = TestApp::start(PROGRAMME).await;
    sell(&app, "abc", "T1", "100.00").await;
    let finance = app.as_role(Role::Finance).await;
    let body = json!({"partner": "p1", "reason": "June"}).to_string();
    let answers =
        futures_util::future::join_all((0..4).map(|_| finance.post_json("/v1/payouts", &body)))
            .await;
    let won: Vec<_> = answers
        .iter()
        .filter(|a| a.status == StatusCode::CREATED)
        .collect();
    assert_eq!(
        won.len(),
        1,
        "{:?}",
        answers.iter().map(Answered::text).collect::<Vec<_>>()
    );
    for lost in answers.iter().filter(|a| a.status != StatusCode::CREATED) {
        assert_eq!(lost.status, StatusCode::CONFLICT);
        let detail = lost.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("payable 30.00, reserved by open payouts 30.00, available 0.00"),
            "{detail}"
        );
    }
    assert_eq!(won[0].json()["amount_minor"], 3_000);
    assert_eq!(items(&finance, "/v1/payouts").await.len(), 1);
}

#[expect(clippy::too_many_lines, reason = "one story")]
#[tokio::test]
async fn a_paid_conversion_that_is_refunded_is_a_debt_that_the_next_payout_recovers() {
    let app = TestApp::start(PROGRAMME).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "abc", "T1", "100.00").await;
    app.clock.advance_micros(1_000_000);
    sell(&app, "abc", "T2", "50.00").await;
    let pay = |body: Value| finance_post(&finance, "/v1/payouts", body);
    let first = pay(json!({"partner": "p1", "amount_minor": 4_000, "reason": "June"})).await;
    assert_eq!(first["lines"].as_array().unwrap().len(), 2);
    assert_eq!(first["lines"][1]["amount_minor"], 1_000);
    app.clock.advance_micros(1_000_000);
    approve(&app, &first).await;
    app.clock.advance_micros(1_000_000);
    let settle = format!("/v1/payouts/{}/settle", first["id"].as_str().unwrap());
    let settled = finance_post(
        &finance,
        &settle,
        json!({"reason": "bank", "reference": "B1"}),
    )
    .await;
    assert_eq!(
        (&settled["state"], &settled["reference"]),
        (&json!("settled"), &json!("B1"))
    );
    let paid = balance(&finance, "p1").await;
    assert_eq!(
        (paid["payable_minor"].as_i64(), paid["paid_minor"].as_i64()),
        (Some(500), Some(4_000))
    );
    report(&app, "event=refund&txn_id=T1&amount=10.00").await;
    let owing = balance(&finance, "p1").await;
    assert_eq!(
        (
            owing["payable_minor"].as_i64(),
            owing["outstanding_minor"].as_i64()
        ),
        (Some(200), Some(300))
    );
    app.clock.advance_micros(1_000_000);
    let second = pay(json!({"partner": "p1", "reason": "July"})).await;
    assert_eq!(second["amount_minor"], 200);
    assert_eq!(second["lines"][0]["amount_minor"], -300);
    app.clock.advance_micros(1_000_000);
    approve(&app, &second).await;
    app.clock.advance_micros(1_000_000);
    let settle = format!("/v1/payouts/{}/settle", second["id"].as_str().unwrap());
    finance_post(&finance, &settle, json!({"reason": "bank"})).await;
    let even = balance(&finance, "p1").await;
    assert_eq!(
        (
            even["payable_minor"].as_i64(),
            even["outstanding_minor"].as_i64()
        ),
        (Some(0), Some(0))
    );
    assert_eq!(even["recovered_minor"], 300);
    let again = finance
        .post_json(&settle, &json!({"reason": "again"}).to_string())
        .await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let conversion = &items(&finance, "/v1/conversions?txn_id=T1").await[0];
    let id = conversion["id"].as_str().unwrap();
    let timeline = items(&finance, &format!("/v1/conversions/{id}/timeline")).await;
    let types: Vec<_> = timeline
        .iter()
        .map(|fact| fact["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "revenue.reported",
            "payout.proposed",
            "payout.approved",
            "payout.settled",
            "refund.reported",
            "payout.proposed",
            "payout.approved",
            "payout.settled",
        ]
    );
    let explained = finance
        .get(&format!("/v1/conversions/{id}/explain"))
        .await
        .json();
    let steps: Vec<_> = explained["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["step"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "facts",
            "attribution",
            "status",
            "changes",
            "earning",
            "postings",
            "payout",
            "payout"
        ]
    );
    assert_eq!(
        app.service.tables.scan_digest().await.unwrap(),
        app.service.tables.checkpoint().await.unwrap().digest
    );
}

/// Another person agrees to a payout.
async fn approve(app: &TestApp, payout: &Value) {
    let other = app.as_role(Role::Finance).await;
    let path = format!(
        "/v1/payouts/{}/approve",
        payout["id"].as_str().expect("an id")
    );
    finance_post(&other, &path, json!({"reason": "checked"})).await;
}

async fn finance_post(finance: &Sender<'_>, path: &str, body: Value) -> Value {
    let answer = finance.post_json(path, &body.to_string()).await;
    assert!(
        answer.status.is_success(),
        "{path} {body}: {}",
        answer.text()
    );
    answer.json()
}

#[tokio::test]
async fn a_payout_is_approved_by_a_second_person() {
    let app = TestApp::start(PROGRAMME).await;
    sell(&app, "abc", "T1", "100.00").await;
    let (one, two) = (
        app.as_role(Role::Finance).await,
        app.as_role(Role::Finance).await,
    );
    let proposed = finance_post(
        &one,
        "/v1/payouts",
        json!({"partner": "p1", "reason": "June"}),
    )
    .await;
    let approve = format!("/v1/payouts/{}/approve", proposed["id"].as_str().unwrap());
    let body = json!({"reason": "checked"});
    assert_eq!(
        one.post_json(&approve, &body.to_string()).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        finance_post(&two, &approve, body).await["state"],
        "approved"
    );
    let fail = approve.replace("approve", "fail");
    assert_eq!(
        finance_post(&two, &fail, json!({"reason": "no account"})).await["state"],
        "failed"
    );
    let again = finance_post(
        &one,
        "/v1/payouts",
        json!({"partner": "p1", "reason": "June again"}),
    )
    .await;
    assert_eq!(again["amount_minor"], 3_000);
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_as_the_first_time() {
    let app = TestApp::start(PROGRAMME).await;
    sell(&app, "abc", "T1", "100.00").await;
    let admin = app.as_role(Role::Admin).await;
    let send = |path: &'static str, body: Value| {
        let request = admin
            .request("POST", path)
            .header("Idempotency-Key", "k1")
            .body(axum::body::Body::from(body.to_string()))
            .unwrap();
        app.send(request)
    };
    let id = items(&admin, "/v1/conversions").await[0]["id"].clone();
    let decision = json!({"conversion_id": id, "decision": "reject", "reason": "fraud"});
    let first = send("/v1/decisions", decision.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text());
    assert_eq!(send("/v1/decisions", decision).await.json(), first.json());
    let other = json!({"conversion_id": id, "decision": "release", "reason": "not so"});
    assert_eq!(
        send("/v1/decisions", other.clone()).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(balance(&admin, "p1").await["payable_minor"], 0);
    finance_post(&admin, "/v1/decisions", other).await;
    let payout = json!({"partner": "p1", "reason": "June"});
    let first = send("/v1/payouts", payout.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text());
    assert_eq!(send("/v1/payouts", payout).await.json(), first.json());
}

#[tokio::test]
async fn events_are_the_kept_lines_with_their_positions() {
    let app = TestApp::start(PROGRAMME).await;
    sell(&app, "abc", "T1", "1.00").await;
    let viewer = app.as_role(Role::Viewer).await;
    let head = app.service.log.store().head();
    let page = viewer.get("/v1/events?limit=3").await.json();
    assert_eq!(
        (
            page["items"][2]["position"].as_u64(),
            page["next_from"].as_u64()
        ),
        (Some(3), Some(4))
    );
    let clicks = viewer.get("/v1/events?type=click.recorded").await.json();
    assert_eq!(clicks["items"].as_array().unwrap().len(), 1);
    let sales = viewer.get("/v1/events?type=revenue.reported").await.json();
    assert_eq!(sales["items"][0]["position"].as_u64(), Some(head));
    assert_eq!(sales["items"][0]["data"]["txn_id"], "T1");
    assert_eq!(sales["next_from"], Value::Null);
}

#[test]
fn the_kept_interface_description_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/openapi.json");
    let current = postbook::http::v1::openapi::document();
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if kept != current {
        std::fs::write(&path, current).unwrap();
        panic!(
            "schemas/openapi.json was not current; it is now: look at the difference and commit it"
        );
    }
}
