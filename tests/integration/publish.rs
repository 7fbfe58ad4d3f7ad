//! Programmes and terms over HTTP: why, once, and what they would change of what is posted already.

use axum::{body::Body, http::StatusCode};
use postbook::secrets::Role;
use postbook_schemas::Envelope;
use serde_json::{Value, json};

use crate::support::{
    app::{Answered, Sender, TestApp},
    process::{Place, SHOP},
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
[[coupon]]
code = "ONE"
offer = "acme/shop"
partner = "p1"
"#;

/// Terms as a programme file.
fn terms(share: &str, from: &str) -> String {
    format!(
        "[[terms]]\noffer = \"acme/shop\"\neffective_from = {from}T00:00:00Z\n\
         [[terms.rule]]\nid = \"share\"\non = \"sale\"\nrevshare = \"{share}\"\n"
    )
}

/// The same as the body of `POST /v1/terms`.
fn body(share: &str, from: &str, reason: &str) -> Value {
    json!({
        "offer": "acme/shop",
        "effective_from": format!("{from}T00:00:00Z"),
        "rule": [{"id": "share", "on": "sale", "revshare": share}],
        "reason": reason,
    })
}

/// A shop whose terms give 10 % from January on, and a sale in May.
async fn shop() -> TestApp {
    let app = TestApp::start(PROGRAMME).await;
    let admin = app.as_role(Role::Admin).await;
    let first = apply(&admin, "", &terms("10%", "2026-01-01")).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    sell(&app, "A", "2026-05-10").await;
    app
}

async fn sell(app: &TestApp, txn: &str, day: &str) {
    let query =
        format!("event=sale&coupon_code=ONE&txn_id={txn}&amount=100.00&timestamp={day}T00:00:00Z");
    let path = format!("/api/postback/acme/shop?{query}");
    let answer = app.anonymous().get(&path).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

async fn apply(sender: &Sender<'_>, query: &str, programme: &str) -> Answered {
    let path = format!("/v1/programme{query}");
    sender
        .post(&path, "application/toml", programme.as_bytes())
        .await
}

async fn post(sender: &Sender<'_>, path: &str, body: &Value) -> Answered {
    sender.post_json(path, &body.to_string()).await
}

async fn post_once(app: &TestApp, sender: &Sender<'_>, path: &str, body: &Value) -> Answered {
    let request = sender
        .request("POST", path)
        .header("content-type", "application/json")
        .header("idempotency-key", "k-1")
        .body(Body::from(body.to_string()));
    app.send(request.expect("a request")).await
}

async fn earned(sender: &Sender<'_>) -> i64 {
    let answer = sender.get("/v1/partners/p1/balances").await.json();
    answer["items"][0]["earned_minor"].as_i64().unwrap_or(0)
}

async fn close(app: &TestApp, month: &str) {
    let finance = app.as_role(Role::Finance).await;
    let path = format!("/v1/periods/{month}/close");
    let answer = post(&finance, &path, &json!({"reason": "files are in"})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
}

fn facts(app: &TestApp) -> u64 {
    app.service.log.store().head()
}

#[tokio::test]
async fn a_manager_publishes_terms_as_json() {
    let app = shop().await;
    let manager = app.as_role(Role::Manager).await;
    let planned = body("20%", "2026-06-01", "summer");
    let mut dry = planned.clone();
    dry["dry_run"] = json!(true);
    let before = facts(&app);
    let plan = post(&manager, "/v1/terms", &dry).await;
    assert_eq!(plan.status, StatusCode::OK, "{}", plan.text());
    assert_eq!(plan.json()["first_position"], Value::Null);
    assert_eq!(facts(&app), before);
    let published = post(&manager, "/v1/terms", &planned).await;
    assert_eq!(
        published.status,
        StatusCode::CREATED,
        "{}",
        published.text()
    );
    let published = published.json();
    assert_eq!(published["first_position"], before + 1);
    assert_eq!(published["changes"], plan.json()["changes"]);
    let in_force = manager.get("/v1/terms?as_of=2026-06-02T00:00:00Z").await;
    let in_force = &in_force.json()["items"][0];
    assert_eq!(in_force["version"], published["version"]);
    assert_eq!(in_force["position"], published["first_position"]);
    assert_eq!(in_force["reason"], "summer");
    // The same in a programme file is the same version.
    let admin = app.as_role(Role::Admin).await;
    let again = apply(&admin, "", &terms("20%", "2026-06-01")).await.json();
    assert_eq!(
        (&again["changes"], &again["unchanged"]),
        (&json!([]), &json!(1))
    );
    let again = post(&manager, "/v1/terms", &planned).await;
    assert_eq!(again.status, StatusCode::OK, "they hold already");
    sell(&app, "B", "2026-06-02").await;
    assert_eq!(earned(&manager).await, 1_000 + 2_000);
    app.assert_rebuilds_alike().await;
}

#[tokio::test]
async fn terms_are_refused_by_the_key_at_fault() {
    let app = shop().await;
    let manager = app.as_role(Role::Manager).await;
    let fault = |change: fn(&mut Value)| {
        let mut given = body("20%", "2026-06-01", "summer");
        change(&mut given);
        given
    };
    let cases = [
        (fault(|it| it["reason"] = Value::Null), "reason"),
        (fault(|it| it["offer"] = json!("acme/none")), "offer"),
        (
            fault(|it| it["effective_from"] = json!("June")),
            "effective_from",
        ),
        (fault(|it| it["efective"] = json!(1)), "efective"),
        (
            fault(|it| it["rule"][0]["revshare"] = json!(0.2)),
            "rule[0].revshare",
        ),
        (
            fault(|it| it["rule"][0]["cpaa"] = json!("1.00")),
            "rule[0].cpaa",
        ),
        (fault(|it| it["rule"][0]["cpa"] = json!("1.001")), "cpa"),
        (fault(|it| it["dry_run"] = json!("yes")), "dry_run"),
    ];
    for (given, field) in cases {
        let answer = post(&manager, "/v1/terms", &given).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{given}");
        assert_eq!(answer.json()["field"], field, "{given}: {}", answer.text());
    }
    let viewer = app.as_role(Role::Viewer).await;
    let given = body("20%", "2026-06-01", "summer");
    let answer = post(&viewer, "/v1/terms", &given).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_key_publishes_once_and_nothing_else() {
    let app = shop().await;
    let admin = app.as_role(Role::Admin).await;
    let files = |share: &str, reason: &str| {
        let text = terms(share, "2026-04-01");
        json!({"files": [{"name": "terms.toml", "text": text}], "reason": reason})
    };
    let first = post_once(&app, &admin, "/v1/programme", &files("20%", "a")).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    let head = facts(&app);
    // What was published meanwhile changes nothing of what the first was answered.
    let other = post(&admin, "/v1/programme", &files("30%", "b")).await;
    assert_eq!(other.status, StatusCode::OK, "{}", other.text());
    let again = post_once(&app, &admin, "/v1/programme", &files("20%", "a")).await;
    assert_eq!((again.status, again.json()), (first.status, first.json()));
    for other in [files("25%", "a"), files("20%", "c")] {
        let answer = post_once(&app, &admin, "/v1/programme", &other).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text());
    }
    assert_eq!(facts(&app), head + 1);
    let given = body("35%", "2026-07-01", "a");
    let first = post_once(&app, &admin, "/v1/terms", &given).await;
    let again = post_once(&app, &admin, "/v1/terms", &given).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text());
    assert_eq!((again.status, again.json()), (first.status, first.json()));
    let other = body("36%", "2026-07-01", "a");
    let answer = post_once(&app, &admin, "/v1/terms", &other).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn what_changes_posted_lines_is_told_before_and_its_reason_kept() {
    let app = shop().await;
    let admin = app.as_role(Role::Admin).await;
    let dearer = terms("20%", "2026-05-01");
    let plan = apply(&admin, "?dry_run=true", &dearer).await.json();
    assert_eq!(plan["posted"]["lines"], 1);
    assert_eq!(plan["posted"]["closed_lines"], 0);
    let difference = json!([{"currency": "USD", "difference_minor": 1_000}]);
    assert_eq!(plan["posted"]["differences"], difference);
    let text = plan["posted"]["text"].as_str().expect("a sentence");
    assert!(text.contains("postbook whatif"), "{text}");
    assert_eq!(earned(&admin).await, 1_000);
    let applied = apply(&admin, "?reason=agreed+in+May", &dearer).await;
    assert_eq!(applied.status, StatusCode::OK, "{}", applied.text());
    assert_eq!(earned(&admin).await, 2_000);
    let fact: Envelope = app.last_fact().await;
    assert_eq!(fact.reason.as_deref(), Some("agreed in May"));
    // Nobody has to say why.
    let later = terms("30%", "2026-06-01") + "[[partner]]\nslug = \"p2\"\n";
    let applied = apply(&admin, "", &later).await;
    assert_eq!(applied.status, StatusCode::OK, "{}", applied.text());
    assert_eq!(app.last_fact().await.reason, None);
    app.assert_rebuilds_alike().await;
}

#[tokio::test]
async fn what_closed_months_told_takes_a_second_person_or_a_word() {
    let app = shop().await;
    let admin = app.as_role(Role::Admin).await;
    let manager = app.as_role(Role::Manager).await;
    close(&app, "2026-05").await;
    let dearer = terms("20%", "2026-05-01");
    let plan = apply(&admin, "?dry_run=true", &dearer).await.json();
    assert_eq!(plan["posted"]["closed_lines"], 1);
    for refused in [
        apply(&admin, "?reason=late", &dearer).await,
        post(&manager, "/v1/terms", &body("20%", "2026-05-01", "late")).await,
    ] {
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
        assert_eq!(refused.json()["code"], "needs_second_person");
    }
    let mut meant = body("20%", "2026-05-01", "late");
    meant["anyway"] = json!(true);
    let refused = post(&manager, "/v1/terms", &meant).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text());
    assert_eq!(earned(&admin).await, 1_000);
    // The open month is open.
    let reason = "?reason=from+now+on";
    let open = apply(&admin, reason, &terms("15%", "2026-06-01")).await;
    assert_eq!(open.status, StatusCode::OK, "{}", open.text());
    let unexplained = apply(&admin, "?anyway=true", &dearer).await;
    assert_eq!(unexplained.json()["field"], "reason");
    let applied = apply(&admin, "?reason=late&anyway=true", &dearer).await;
    assert_eq!(applied.status, StatusCode::OK, "{}", applied.text());
    assert_eq!(earned(&admin).await, 2_000);
    app.assert_rebuilds_alike().await;
}

/// Also in a month that is open: what was paid is taken back, or more is to be paid.
#[tokio::test]
async fn what_a_payout_carried_takes_a_second_person_or_a_word() {
    let app = shop().await;
    let admin = app.as_role(Role::Admin).await;
    let finance = app.as_role(Role::Finance).await;
    let proposed = json!({"partner": "p1", "reason": "due"});
    let proposed = post(&finance, "/v1/payouts", &proposed).await;
    assert!(proposed.status.is_success(), "{}", proposed.text());
    let id = proposed.json()["id"].as_str().expect("an id").to_owned();
    for step in ["approve", "settle"] {
        let path = format!("/v1/payouts/{id}/{step}");
        let moved = post(&admin, &path, &json!({"reason": "checked"})).await;
        assert!(moved.status.is_success(), "{}", moved.text());
    }
    for share in ["5%", "20%"] {
        let plan = apply(&admin, "?dry_run=true", &terms(share, "2026-05-01")).await;
        assert_eq!(plan.json()["posted"]["carried_lines"], 1, "{share}");
        let refused = apply(&admin, "?reason=x", &terms(share, "2026-05-01")).await;
        assert_eq!(refused.json()["code"], "needs_second_person", "{share}");
    }
}

/// A month may close before the rate that its sales wait for is known.
#[tokio::test]
async fn a_first_rate_and_a_first_coupon_of_a_new_partner_are_told_apart() {
    let app = shop().await;
    let admin = app.as_role(Role::Admin).await;
    let query = "event=sale&coupon_code=ONE&txn_id=E&amount=100.00&currency=EUR&timestamp=2026-05-11T00:00:00Z";
    let path = format!("/api/postback/acme/shop?{query}");
    assert!(app.anonymous().get(&path).await.status.is_success());
    close(&app, "2026-05").await;
    let rate = "[[fx_rate]]\nbase = \"EUR\"\nquote = \"USD\"\nrate = \"1.10\"\nat = 2026-05-01T00:00:00Z\n";
    let applied = apply(&admin, "", rate).await;
    assert_eq!(applied.status, StatusCode::OK, "{}", applied.text());
    assert_eq!(earned(&admin).await, 1_000 + 1_100);
    let other = apply(&admin, "?reason=x", &rate.replace("1.10", "1.20")).await;
    assert_eq!(other.json()["code"], "needs_second_person");
    let moved = "[[partner]]\nslug = \"p9\"\n[[coupon]]\ncode = \"ONE\"\noffer = \"acme/shop\"\npartner = \"p9\"\n";
    let plan = apply(&admin, "?dry_run=true", moved).await.json();
    // Both sales go from one partner to the other.
    assert_eq!(plan["posted"]["lines"], 4, "{plan}");
}

#[test]
fn the_command_line_says_first_what_it_would_change_and_keeps_a_key() {
    let place = Place::with(SHOP);
    let sales = "txn_id,coupon_code,amount,timestamp\nT1,ONE,100.00,2026-01-05T12:00:00Z\n";
    place.write("sales.csv", sales);
    place.done(&["import", "postbacks", "sales.csv", "--offer", "acme/shop"]);
    place.write("draft.toml", &SHOP.replace("10%", "30%"));
    let told = place.done(&["apply", "draft.toml", "--dry-run"]);
    assert!(
        told.contains("! USD 20.00: it changes 1 line posted already"),
        "{told}"
    );
    let with_key = [
        "apply",
        "draft.toml",
        "--reason",
        "agreed",
        "--idempotency-key",
        "k",
    ];
    place.done(&with_key);
    // Again it changes nothing; under the same key nothing else is done.
    place.done(&with_key);
    place.write("draft.toml", &SHOP.replace("10%", "40%"));
    assert_eq!(place.run(&with_key).status.code(), Some(3));
    let balance = place.done(&["balance", "p1", "--json"]);
    assert!(balance.contains("3000"), "{balance}");
}
