//! Payouts to all, in steps by two people, through files; debts, adjustments, write-offs.

use axum::http::StatusCode;
use postbook::{
    commands::{
        adjustment::{Amount, adjust},
        record::Author,
    },
    secrets::Role,
};
use postbook_schemas::decision::AdjustmentKind;
use serde_json::{Value, json};

use crate::support::app::{Answered, Sender, TestApp};

pub(crate) const PROGRAMME: &str = r#"
[[brand]]
slug = "acme"
bank = { iban = "DE89 3704 0044 0532 0130 00", bic = "COBADEFFXXX", name = "Acme & Co" }
[[offer]]
brand = "acme"
slug = "shop"
destination = "https://acme.example/"
legacy_without_secret = true
payout_threshold = "20.00"
[[partner]]
slug = "p1"
currency = "EUR"
bank = { iban = "GB82WEST12345698765432", name = "Ann <Media>" }
recovery_limit = "50%"
second_person_above = "100.00"
[[partner]]
slug = "p2"
currency = "EUR"
[[partner]]
slug = "p3"
currency = "EUR"
payout_threshold = "5.00"
bank = { iban = "DE89370400440532013000", name = "Cy" }
[[coupon]]
code = "ONE"
offer = "acme/shop"
partner = "p1"
[[coupon]]
code = "TWO"
offer = "acme/shop"
partner = "p2"
[[coupon]]
code = "THREE"
offer = "acme/shop"
partner = "p3"
[[terms]]
offer = "acme/shop"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "10%"
"#;

pub(crate) const SECOND: i64 = 1_000_000;

pub(crate) async fn report(app: &TestApp, query: &str) {
    app.clock.advance_micros(SECOND);
    let path = format!("/api/postback/acme/shop?currency=EUR&{query}");
    let answer = app.anonymous().get(&path).await;
    assert!(answer.status.is_success(), "{query}: {}", answer.text());
}

pub(crate) async fn sell(app: &TestApp, coupon: &str, txn: &str, amount: &str) {
    let query = format!("event=sale&coupon_code={coupon}&txn_id={txn}&amount={amount}");
    report(app, &query).await;
}

pub(crate) async fn post(sender: &Sender<'_>, path: &str, body: Value) -> Answered {
    sender.post_json(path, &body.to_string()).await
}

pub(crate) async fn done(sender: &Sender<'_>, path: &str, body: Value) -> Value {
    let answer = post(sender, path, body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json()
}

pub(crate) fn id(value: &Value) -> String {
    value["id"].as_str().expect("as it is answered").to_owned()
}

/// Two people of the finance department.
pub(crate) async fn two(app: &TestApp) -> (Sender<'_>, Sender<'_>) {
    (
        app.as_role(Role::Finance).await,
        app.as_role(Role::Finance).await,
    )
}

pub(crate) async fn balance(sender: &Sender<'_>, partner: &str, name: &str) -> i64 {
    let path = format!("/v1/partners/{partner}/balances");
    let all = sender.get(&path).await.json();
    all["items"][0][name].as_i64().expect("as it is answered")
}

/// Proposes, approves and settles all that is payable.
async fn pay(app: &TestApp, one: &Sender<'_>, other: &Sender<'_>, partner: &str) -> Value {
    let body = json!({"reason": "June"});
    app.clock.advance_micros(SECOND);
    let proposal = json!({"partner": partner, "reason": "June"});
    let proposed = done(one, "/v1/payouts", proposal).await;
    let path = format!("/v1/payouts/{}", id(&proposed));
    for step in ["approve", "settle"] {
        app.clock.advance_micros(SECOND);
        done(other, &format!("{path}/{step}"), body.clone()).await;
    }
    proposed
}

#[tokio::test]
async fn a_payout_goes_step_by_step_and_each_step_is_refused_out_of_turn() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "ONE", "A", "1000.00").await;
    let proposed = done(&one, "/v1/payouts", json!({"partner": "p1", "reason": "x"})).await;
    let path = format!("/v1/payouts/{}", id(&proposed));
    let body = json!({"reason": "x", "reference": "B-1"});
    for (sender, step, status) in [
        (&one, "send", StatusCode::CONFLICT),
        (&one, "settle", StatusCode::CONFLICT),
        (&one, "return", StatusCode::CONFLICT),
        (&one, "approve", StatusCode::FORBIDDEN),
        (&other, "approve", StatusCode::OK),
        (&other, "approve", StatusCode::CONFLICT),
        (&one, "send", StatusCode::OK),
        (&one, "settle", StatusCode::OK),
        (&one, "fail", StatusCode::CONFLICT),
    ] {
        app.clock.advance_micros(SECOND);
        let answer = post(sender, &format!("{path}/{step}"), body.clone()).await;
        assert_eq!(answer.status, status, "{step}: {}", answer.text());
    }
    assert_eq!(balance(&one, "p1", "payable_minor").await, 0);
    assert_eq!(balance(&one, "p1", "paid_minor").await, 10_000);
    app.clock.advance_micros(SECOND);
    let returned = done(&one, &format!("{path}/return"), body).await;
    assert_eq!(returned["state"], "returned");
    assert_eq!(balance(&one, "p1", "payable_minor").await, 10_000);
    assert_eq!(balance(&one, "p1", "paid_minor").await, 0);
}

#[tokio::test]
async fn of_several_moves_at_once_one_wins_and_the_others_are_told_why() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "ONE", "A", "1000.00").await;
    let proposed = done(&one, "/v1/payouts", json!({"partner": "p1", "reason": "x"})).await;
    let path = format!("/v1/payouts/{}", id(&proposed));
    for step in ["approve", "settle"] {
        app.clock.advance_micros(SECOND);
        let path = format!("{path}/{step}");
        let asked = (0..4).map(|n| post(&other, &path, json!({"reason": format!("{n}")})));
        let answers = futures_util::future::join_all(asked).await;
        let won = answers.iter().filter(|it| it.status == StatusCode::OK);
        assert_eq!(won.count(), 1, "{step}");
        for lost in answers.iter().filter(|it| it.status != StatusCode::OK) {
            assert_eq!(lost.status, StatusCode::CONFLICT, "{step}: {}", lost.text());
        }
    }
    assert_eq!(balance(&one, "p1", "paid_minor").await, 10_000);
}

#[tokio::test]
async fn all_partners_are_paid_who_have_their_threshold_and_the_others_are_named() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, _) = two(&app).await;
    sell(&app, "ONE", "A", "1000.00").await;
    sell(&app, "TWO", "B", "199.90").await;
    sell(&app, "THREE", "C", "50.00").await;
    let run = done(&one, "/v1/payout-runs", json!({"reason": "June"})).await;
    let paid: Vec<_> = run["payouts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["partner"].clone(), row["amount_minor"].clone()))
        .collect();
    assert_eq!(
        paid,
        [(json!("p1"), json!(10_000)), (json!("p3"), json!(500))]
    );
    assert_eq!(
        run["skipped"],
        json!([{"partner": "p2", "currency": "EUR", "payable_minor": 1_999, "why": "below_threshold"}])
    );
    // A second run finds everything reserved.
    let again = done(&one, "/v1/payout-runs", json!({"reason": "June"})).await;
    assert_eq!(again["payouts"], json!([]));
    assert_eq!(again["skipped"][0]["why"], "nothing_payable");
    // Whoever names the partner pays less than the threshold.
    done(
        &one,
        "/v1/payouts",
        json!({"partner": "p2", "reason": "leaves"}),
    )
    .await;
}

#[tokio::test]
async fn two_runs_at_once_reserve_nothing_twice() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "ONE", "A", "1000.00").await;
    sell(&app, "THREE", "C", "50.00").await;
    let body = json!({"reason": "June"});
    let (a, b) = futures_util::future::join(
        post(&one, "/v1/payout-runs", body.clone()),
        post(&other, "/v1/payout-runs", body),
    )
    .await;
    assert!(a.status.is_success() || b.status.is_success());
    let all = one.get("/v1/payouts").await.json();
    let mut amounts: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["amount_minor"].as_i64().unwrap())
        .collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [500, 10_000]);
}

#[tokio::test]
async fn a_debt_is_recovered_within_the_limit_listed_and_given_up() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "ONE", "A", "800.00").await;
    let first = pay(&app, &one, &other, "p1").await;
    report(&app, "event=refund&txn_id=A").await;
    assert_eq!(balance(&one, "p1", "payable_minor").await, -8_000);
    app.clock.advance_micros(SECOND);
    let refused = post(&one, "/v1/payouts", json!({"partner": "p1", "reason": "x"})).await;
    assert_eq!(
        refused.status,
        StatusCode::CONFLICT,
        "a negative balance is carried"
    );
    let run = done(&one, "/v1/payout-runs", json!({"reason": "June"})).await;
    assert_eq!(run["skipped"][0]["why"], "negative");
    sell(&app, "ONE", "B", "1000.00").await;
    // 100.00 earned, 80.00 owed: 20.00 is payable, and half of what the payout carries recovers.
    let second = pay(&app, &one, &other, "p1").await;
    assert_eq!(second["amount_minor"], 2_000);
    let carried: Vec<_> = second["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["amount_minor"].as_i64().unwrap())
        .collect();
    assert_eq!(carried, [-2_000, 4_000]);
    let list = one.get("/v1/clawbacks?partner=p1").await.json();
    let debt = &list["items"][0];
    for (name, expected) in [
        ("clawed_back_minor", json!(8_000)),
        ("recovered_minor", json!(2_000)),
        ("outstanding_minor", json!(6_000)),
        ("payout_id", first["id"].clone()),
        ("reason", json!("refund.reported")),
        ("txn_id", json!("A")),
        (
            "recovered_by",
            json!([{"payout_id": second["id"], "amount_minor": 2_000}]),
        ),
    ] {
        assert_eq!(debt[name], expected, "{name}");
    }
    let kinds: Vec<_> = list["totals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["by"].clone())
        .collect();
    assert_eq!(kinds, ["partner", "offer", "reason", "age"]);
    let too_much = json!({"partner": "p1", "amount_minor": 6_001, "reason": "gone"});
    assert_eq!(
        post(&one, "/v1/write-offs", too_much).await.status,
        StatusCode::CONFLICT
    );
    let part = json!({"partner": "p1", "amount_minor": 6_000, "reason": "gone"});
    let asked = (0..3).map(|_| post(&one, "/v1/write-offs", part.clone()));
    let answers = futures_util::future::join_all(asked).await;
    let won = answers.iter().filter(|it| it.status == StatusCode::CREATED);
    assert_eq!(won.count(), 1);
    assert_eq!(balance(&one, "p1", "outstanding_minor").await, 0);
    let list = one.get("/v1/clawbacks?outstanding=true").await.json();
    assert_eq!(list["items"], json!([]));
    let list = one.get("/v1/clawbacks").await.json();
    assert_eq!(list["items"][0]["written_off_minor"], 6_000);
}

/// What was given up of a debt is taken back when the debt is, and covers no other debt.
#[tokio::test]
async fn a_write_off_ends_with_its_debt() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "TWO", "A", "1000.00").await;
    sell(&app, "TWO", "B", "500.00").await;
    pay(&app, &one, &other, "p2").await;
    report(&app, "event=chargeback&txn_id=A&event_id=c1").await;
    assert_eq!(balance(&one, "p2", "outstanding_minor").await, 10_000);
    app.clock.advance_micros(SECOND);
    let gone = json!({"partner": "p2", "amount_minor": 10_000, "reason": "gone"});
    done(&one, "/v1/write-offs", gone.clone()).await;
    assert_eq!(balance(&one, "p2", "payable_minor").await, 0);
    let debts = one.get("/v1/clawbacks?partner=p2").await.json();
    assert_eq!(debts["items"][0]["written_off_minor"], 10_000);
    report(&app, "event=chargeback_won&txn_id=A&event_id=w1").await;
    for (name, expected) in [
        ("payable_minor", 0),
        ("paid_minor", 15_000),
        ("written_off_minor", 0),
        ("outstanding_minor", 0),
    ] {
        assert_eq!(balance(&one, "p2", name).await, expected, "{name}");
    }
    // Another debt is owed, whatever was given up before.
    report(&app, "event=chargeback&txn_id=B&event_id=c2").await;
    assert_eq!(balance(&one, "p2", "outstanding_minor").await, 5_000);
    assert_eq!(balance(&one, "p2", "payable_minor").await, -5_000);
    sell(&app, "TWO", "C", "800.00").await;
    let third = pay(&app, &one, &other, "p2").await;
    assert_eq!(third["amount_minor"], 3_000, "80.00 less the debt");
    let unsound = app.service.tables.unsound_balances().await.unwrap();
    assert_eq!(unsound, Vec::<String>::new());
}

/// What an open payout recovers is on its way to be paid back: giving it up too would count it twice.
#[tokio::test]
async fn a_debt_that_an_open_payout_recovers_is_not_given_up() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "ONE", "A", "900.00").await;
    pay(&app, &one, &other, "p1").await;
    report(&app, "event=chargeback&txn_id=A").await;
    // Proposed while nothing is open, agreed to when something is.
    let small = json!({"partner": "p1", "amount_minor": 2_000, "reason": "goodwill"});
    done(&one, "/v1/write-offs", small).await;
    let rest = json!({"partner": "p1", "amount_minor": 7_000, "reason": "gone"});
    let bonus = json!({"partner": "p1", "amount_minor": 8_000, "reason": "bonus"});
    done(&one, "/v1/adjustments", bonus).await;
    let proposed = post(&one, "/v1/write-offs", rest.clone()).await;
    assert_eq!(proposed.status, StatusCode::ACCEPTED, "{}", proposed.text());
    let proposal = proposed.json()["proposal_id"].as_str().unwrap().to_owned();
    // A payout may recover as much as it sends: 30.00 of the 70.00.
    sell(&app, "ONE", "B", "700.00").await;
    app.clock.advance_micros(SECOND);
    let ask = json!({"partner": "p1", "amount_minor": 3_000, "reason": "June"});
    let payout = done(&one, "/v1/payouts", ask).await;
    assert_eq!(payout["recovered_minor"], 3_000);
    for (path, body) in [
        ("/v1/write-offs".to_owned(), rest),
        (format!("/v1/adjustments/{proposal}/approve"), json!({})),
    ] {
        let refused = post(&other, &path, body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
        let why = "of the 70.00 EUR outstanding, 40.00 can be given up: open payouts recover \
                   the rest";
        assert!(refused.text().contains(why), "{}", refused.text());
    }
    let more = json!({"partner": "p1", "amount_minor": 4_001, "reason": "gone"});
    let refused = post(&other, "/v1/write-offs", more).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    // What no payout has taken can be given up, and all of it once the payout is given up.
    let open = json!({"partner": "p1", "amount_minor": 4_000, "reason": "gone"});
    done(&other, "/v1/write-offs", open).await;
    assert_eq!(balance(&one, "p1", "outstanding_minor").await, 3_000);
    let fail = format!("/v1/payouts/{}/fail", id(&payout));
    app.clock.advance_micros(SECOND);
    done(&one, &fail, json!({"reason": "wrong account"})).await;
    let last = json!({"partner": "p1", "amount_minor": 3_000, "reason": "gone"});
    done(&other, "/v1/write-offs", last).await;
    assert_eq!(balance(&one, "p1", "outstanding_minor").await, 0);
    assert_eq!(balance(&one, "p1", "payable_minor").await, 15_000);
    let unsound = app.service.tables.unsound_balances().await.unwrap();
    assert_eq!(unsound, Vec::<String>::new());
    app.assert_rebuilds_alike().await;
}

/// What a payout reserved and is not owed any more is no debt before the payout is sent: a second payout
/// that took it for one moved the balance by another amount than it carried.
#[tokio::test]
async fn a_line_that_falls_while_a_payout_reserves_it_is_recovered_after_that_is_sent() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "TWO", "A", "1000.00").await;
    sell(&app, "TWO", "B", "2500.00").await;
    app.clock.advance_micros(SECOND);
    let ask = json!({"partner": "p2", "amount_minor": 10_000, "reason": "June"});
    let first = done(&one, "/v1/payouts", ask.clone()).await;
    report(&app, "event=refund&txn_id=A").await;
    app.clock.advance_micros(SECOND);
    // 250.00 are payable, and 100.00 of it reserved.
    let second = done(
        &one,
        "/v1/payouts",
        json!({"partner": "p2", "reason": "more"}),
    )
    .await;
    let of_second = (&second["amount_minor"], &second["recovered_minor"]);
    assert_eq!(of_second, (&json!(15_000), &json!(0)));
    let nothing = post(&one, "/v1/payouts", ask).await;
    assert_eq!(nothing.status, StatusCode::CONFLICT, "{}", nothing.text());
    for (payout, outstanding, payable) in [(&second, 0, 10_000), (&first, 10_000, 0)] {
        for step in ["approve", "settle"] {
            app.clock.advance_micros(SECOND);
            let path = format!("/v1/payouts/{}/{step}", id(payout));
            done(&other, &path, json!({"reason": "x"})).await;
        }
        assert_eq!(balance(&one, "p2", "outstanding_minor").await, outstanding);
        assert_eq!(balance(&one, "p2", "payable_minor").await, payable);
    }
    // Now it is a debt: the next payout recovers it from what is left of B and what comes.
    sell(&app, "TWO", "C", "300.00").await;
    let third = pay(&app, &one, &other, "p2").await;
    let of_third = (&third["amount_minor"], &third["recovered_minor"]);
    assert_eq!(of_third, (&json!(3_000), &json!(10_000)));
    assert_eq!(balance(&one, "p2", "outstanding_minor").await, 0);
    assert_eq!(balance(&one, "p2", "payable_minor").await, 0);
    let unsound = app.service.tables.unsound_balances().await.unwrap();
    assert_eq!(unsound, Vec::<String>::new());
    app.assert_rebuilds_alike().await;
}

/// A bug: a payout that came back after another had recovered what it paid was payable for ever.
#[tokio::test]
async fn what_comes_back_after_it_was_recovered_is_paid_again() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "TWO", "A", "1000.00").await;
    let first = pay(&app, &one, &other, "p2").await;
    report(&app, "event=chargeback&txn_id=A").await;
    sell(&app, "TWO", "B", "2500.00").await;
    let second = pay(&app, &one, &other, "p2").await;
    assert_eq!(
        (&second["amount_minor"], &second["recovered_minor"]),
        (&json!(15_000), &json!(10_000))
    );
    app.clock.advance_micros(SECOND);
    let back = format!("/v1/payouts/{}/return", id(&first));
    done(&other, &back, json!({"reason": "no such account"})).await;
    assert_eq!(balance(&one, "p2", "payable_minor").await, 10_000);
    let third = pay(&app, &one, &other, "p2").await;
    assert_eq!(third["amount_minor"], 10_000);
    assert_eq!(balance(&one, "p2", "payable_minor").await, 0);
    app.assert_rebuilds_alike().await;
}

/// A bug: a payout was approved and sent though its line waited again, and what was payable beside it was
/// paid as well.
#[tokio::test]
async fn a_payout_of_what_waits_again_is_neither_approved_nor_sent() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    let why = json!({"reason": "x"});
    sell(&app, "TWO", "A", "1000.00").await;
    app.clock.advance_micros(SECOND);
    let propose = json!({"partner": "p2", "reason": "June"});
    let payout = done(&one, "/v1/payouts", propose.clone()).await;
    sell(&app, "TWO", "B", "1000.00").await;
    report(&app, "event=status&txn_id=A&status=pending").await;
    let path = format!("/v1/payouts/{}", id(&payout));
    let refused = post(&other, &format!("{path}/approve"), why.clone()).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    assert!(
        refused.text().contains("100.00 EUR of it wait again"),
        "{}",
        refused.text()
    );
    report(&app, "event=status&txn_id=A&status=approved").await;
    done(&other, &format!("{path}/approve"), why.clone()).await;
    report(&app, "event=status&txn_id=A&status=pending").await;
    for refused in [
        post(&other, &format!("{path}/send"), why.clone()).await,
        one.get("/v1/payout-files/csv").await,
    ] {
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    }
    done(&other, &format!("{path}/fail"), why).await;
    app.clock.advance_micros(SECOND);
    let next = done(&one, "/v1/payouts", propose).await;
    assert_eq!(next["amount_minor"], 10_000);
    app.assert_rebuilds_alike().await;
}

/// A bug: a payout took off a loss that nobody had approved yet, and what it took was payable for ever
/// once the loss was rejected.
#[tokio::test]
async fn a_loss_that_waits_is_not_recovered() {
    let app = TestApp::start(&PROGRAMME.replace(
        "revshare = \"10%\"",
        "revshare = \"10%\"\napproval = \"manual\"",
    ))
    .await;
    let (one, other) = two(&app).await;
    for (txn, amount) in [("A", "1000.00"), ("B", "-500.00")] {
        let sale = format!("event=sale&coupon_code=TWO&txn_id={txn}&amount={amount}");
        report(&app, &sale).await;
    }
    report(&app, "event=status&txn_id=A&status=approved").await;
    let paid = pay(&app, &one, &other, "p2").await;
    assert_eq!(paid["amount_minor"], 10_000);
    assert_eq!(balance(&one, "p2", "pending_minor").await, -5_000);
    assert_eq!(balance(&one, "p2", "payable_minor").await, 0);
    report(&app, "event=status&txn_id=B&status=approved").await;
    assert_eq!(balance(&one, "p2", "payable_minor").await, -5_000);
    sell(&app, "TWO", "C", "800.00").await;
    report(&app, "event=status&txn_id=C&status=approved").await;
    let next = pay(&app, &one, &other, "p2").await;
    assert_eq!(next["amount_minor"], 3_000);
    app.assert_rebuilds_alike().await;
}

#[tokio::test]
async fn a_large_adjustment_takes_a_second_person() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    let small = json!({"partner": "p1", "amount_minor": 10_000, "reason": "bonus"});
    assert_eq!(
        post(&one, "/v1/adjustments", small).await.status,
        StatusCode::CREATED
    );
    let large = json!({"partner": "p1", "amount_minor": -10_001, "reason": "malus"});
    let proposed = post(&one, "/v1/adjustments", large).await;
    assert_eq!(proposed.status, StatusCode::ACCEPTED, "{}", proposed.text());
    assert_eq!(balance(&one, "p1", "adjusted_minor").await, 10_000);
    let id = proposed.json()["proposal_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/adjustments/{id}/approve");
    assert_eq!(
        post(&one, &path, json!({})).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        post(&other, &path, json!({})).await.status,
        StatusCode::CREATED
    );
    assert_eq!(
        post(&other, &path, json!({})).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(balance(&one, "p1", "adjusted_minor").await, -1);
    let unknown = path.replace(&id[..8], "00000000");
    assert_eq!(
        post(&other, &unknown, json!({})).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn files_for_the_bank_carry_end_to_end_ids_by_which_its_answer_is_booked() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "ONE", "A", "1000.00").await;
    sell(&app, "THREE", "C", "100.00").await;
    let run = done(&one, "/v1/payout-runs", json!({"reason": "June"})).await;
    let mut ends = Vec::new();
    for row in run["payouts"].as_array().unwrap() {
        ends.push(id(row).replace('-', ""));
        let path = format!("/v1/payouts/{}/approve", id(row));
        done(&other, &path, json!({"reason": "checked"})).await;
    }
    let viewer = app.as_role(Role::Viewer).await;
    let file = "/v1/payout-files/pain.001?execution_date=2026-06-17";
    assert_eq!(viewer.get(file).await.status, StatusCode::FORBIDDEN);
    let answer = one.get(file).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let xml = answer.text();
    for wanted in [
        "xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\"",
        "<NbOfTxs>2</NbOfTxs><CtrlSum>110.00</CtrlSum>",
        "<Nm>Acme + Co</Nm>",
        "<ReqdExctnDt><Dt>2026-06-17</Dt></ReqdExctnDt>",
        "<InstdAmt Ccy=\"EUR\">100.00</InstdAmt>",
        "<Nm>Ann Media</Nm></Cdtr><CdtrAcct><Id><IBAN>GB82WEST12345698765432</IBAN>",
        "<BICFI>COBADEFFXXX</BICFI>",
        &format!("<EndToEndId>{}</EndToEndId>", ends[0]),
    ] {
        assert!(xml.contains(wanted), "{wanted} is not in {xml}");
    }
    let csv = one.get("/v1/payout-files/csv").await;
    assert!(csv.text().contains(&format!(
        "{},p3,Cy,DE89370400440532013000,,10.00,EUR",
        ends[1]
    )));
    let said = |status: &str, amount: i64| {
        json!({"reason": "bank", "items": [
            {"end_to_end_id": ends[0], "status": status, "amount_minor": 10_000, "currency": "EUR", "reference": "R1"},
            {"end_to_end_id": ends[1], "status": status, "amount_minor": amount, "currency": "EUR"},
            {"end_to_end_id": "nobody", "status": status, "amount_minor": 1, "currency": "EUR"},
        ]})
    };
    let results = |value: Value| -> Vec<String> {
        let items = value["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["result"].as_str().unwrap().to_owned())
            .collect()
    };
    let path = "/v1/payout-results";
    app.clock.advance_micros(SECOND);
    let first = done(&one, path, said("settled", 1_002)).await;
    assert_eq!(results(first), ["moved", "amount_differs", "unknown"]);
    let again = done(&one, path, said("settled", 1_000)).await;
    assert_eq!(results(again), ["already", "moved", "unknown"]);
    app.clock.advance_micros(SECOND);
    let back = done(&one, path, said("returned", 1_000)).await;
    assert_eq!(results(back), ["moved", "moved", "unknown"]);
    assert_eq!(balance(&one, "p1", "payable_minor").await, 10_000);
    let none = one.get("/v1/payout-files/pain.001").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_file_for_the_bank_is_of_what_was_agreed_to() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, _) = two(&app).await;
    sell(&app, "ONE", "A", "1000.00").await;
    done(&one, "/v1/payouts", json!({"partner": "p1", "reason": "x"})).await;
    for state in ["proposed", "settled", "failed", "returned"] {
        for format in ["csv", "pain.001"] {
            let path = format!("/v1/payout-files/{format}?state={state}");
            let answer = one.get(&path).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
            assert_eq!(answer.json()["field"], "state");
        }
    }
}

#[tokio::test]
async fn a_limit_is_not_passed_by_by_another_currency_or_by_what_no_book_can_hold() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    for currency in ["KWD", "JPY", "USD"] {
        let body =
            json!({"partner": "p1", "amount_minor": 1, "currency": currency, "reason": "bonus"});
        let answer = post(&one, "/v1/adjustments", body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{currency}");
        let path = format!(
            "/v1/adjustments/{}/approve",
            answer.json()["proposal_id"].as_str().unwrap()
        );
        let why = json!({"reason": "seen the contract"});
        let agreed = done(&other, &path, why).await;
        let from = agreed["position"].as_u64().unwrap();
        let events = one.get(&format!("/v1/events?from={from}&limit=1")).await;
        let kept = events.json()["items"][0]["data"]["agreed_because"].clone();
        assert_eq!(kept, "seen the contract");
    }
    for amount in [i64::MAX, i64::MIN, 1_000_000_000_000_001] {
        let body = json!({"partner": "p2", "amount_minor": amount, "reason": "x"});
        let answer = post(&one, "/v1/adjustments", body).await;
        assert_eq!(answer.json()["field"], "amount_minor");
        let author = Author {
            actor: "cli:finn".into(),
            endpoint: "postbook adjustment post",
            idempotency_key: None,
        };
        let amount = Amount {
            kind: AdjustmentKind::Adjustment,
            partner: "p2".parse().expect("a slug"),
            amount_minor: amount,
            currency: None,
            reason: "x".to_owned(),
        };
        let refused = adjust(&app.service, &author, amount).await;
        let said = refused.expect_err("it is too large").to_string();
        assert!(said.contains("at most 1000000000000000"), "{said}");
    }
}

#[tokio::test]
async fn what_was_proposed_is_listed_with_who_did_and_can_be_declined() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    let viewer = app.as_role(Role::Viewer).await;
    let adjust = |amount: i64| json!({"partner": "p1", "amount_minor": amount, "reason": "bonus"});
    done(&one, "/v1/adjustments", adjust(5_000)).await;
    let mut proposals = Vec::new();
    for amount in [20_000, 30_000, 40_000] {
        let proposed = done(&one, "/v1/adjustments", adjust(amount)).await;
        proposals.push(proposed["proposal_id"].as_str().unwrap().to_owned());
    }
    let path = |number: usize, word: &str| format!("/v1/adjustments/{}/{word}", proposals[number]);
    done(&other, &path(0, "approve"), json!({})).await;
    let missing = post(&other, &path(1, "decline"), json!({})).await;
    assert_eq!(missing.json()["field"], "reason");
    // Whoever proposed it may take it back.
    done(&one, &path(1, "decline"), json!({"reason": "a typo"})).await;
    let late = post(&other, &path(1, "approve"), json!({})).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(
        late.text().contains("declined before, by token:"),
        "{}",
        late.text()
    );
    let listed = async |query: &str| -> Vec<(String, i64, String)> {
        let list = viewer.get(&format!("/v1/adjustments{query}")).await.json();
        let items = list["items"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        items
            .map(|item| {
                let by = text(&item["decided_by"]).is_empty();
                let decided = if by { "" } else { "decided" };
                (
                    text(&item["state"]),
                    item["amount_minor"].as_i64().unwrap(),
                    decided.to_owned(),
                )
            })
            .collect()
    };
    let entry =
        |state: &str, amount: i64, decided: &str| (state.to_owned(), amount, decided.to_owned());
    assert_eq!(
        listed("").await,
        [
            entry("posted", 5_000, ""),
            entry("posted", 20_000, "decided"),
            entry("declined", 30_000, "decided"),
            entry("proposed", 40_000, ""),
        ]
    );
    assert_eq!(
        listed("?state=proposed&partner=p1").await,
        [entry("proposed", 40_000, "")]
    );
    assert_eq!(listed("?partner=p2").await, []);
    let first = viewer.get("/v1/adjustments?limit=3").await.json();
    let next = first["next_cursor"].as_str().expect("there is more");
    let rest = listed(&format!("?limit=3&cursor={next}")).await;
    assert_eq!(rest, [entry("proposed", 40_000, "")]);
    assert_eq!(balance(&one, "p1", "adjusted_minor").await, 25_000);
}

#[tokio::test]
async fn whoever_has_no_account_is_named_before_a_file_is_made() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "TWO", "A", "1000.00").await;
    let proposed = done(&one, "/v1/payouts", json!({"partner": "p2", "reason": "x"})).await;
    let path = format!("/v1/payouts/{}/approve", id(&proposed));
    done(&other, &path, json!({"reason": "x"})).await;
    let answer = one.get("/v1/payout-files/pain.001").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(
        answer.text().contains("no `bank` is known of p2"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn the_trial_balance_is_zero_as_of_any_time_and_the_balances_are_what_is_told() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    let before = app.service.clock.now().to_string();
    sell(&app, "ONE", "A", "800.00").await;
    pay(&app, &one, &other, "p1").await;
    let between = app.service.clock.now().to_string();
    report(&app, "event=refund&txn_id=A").await;
    for (query, accounts) in [
        (String::new(), 3),
        (format!("?as_of={between}"), 3),
        (format!("?known_at={between}"), 3),
        (format!("?known_at={before}"), 0),
        (format!("?as_of={before}"), 0),
    ] {
        let trial = one.get(&format!("/v1/trial-balance{query}")).await.json();
        assert_eq!(
            trial["items"].as_array().unwrap().len(),
            accounts,
            "{query}: {trial}"
        );
        for total in trial["totals"].as_array().unwrap() {
            assert_eq!(total["amount_minor"], 0, "{query}");
        }
    }
    assert_eq!(
        app.service.tables.unsound_balances().await.unwrap(),
        Vec::<String>::new()
    );
}
