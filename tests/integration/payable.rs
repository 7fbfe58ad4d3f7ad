//! What is paid was payable: when it was approved, when it was sent, and of each line.

use axum::http::StatusCode;
use serde_json::json;

use crate::{
    payouts::{PROGRAMME, SECOND, balance, done, id, post, report, sell, two},
    support::app::TestApp,
};

#[tokio::test]
async fn an_approval_looks_at_what_is_payable_now() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "ONE", "A", "600.00").await;
    sell(&app, "ONE", "B", "400.00").await;
    let mut paths = Vec::new();
    for amount in [5_000, 5_000] {
        let body = json!({"partner": "p1", "amount_minor": amount, "reason": "x"});
        let payout = done(&one, "/v1/payouts", body).await;
        paths.push(format!("/v1/payouts/{}", id(&payout)));
        app.clock.advance_micros(SECOND);
    }
    report(&app, "event=refund&txn_id=B").await;
    let body = json!({"reason": "checked"});
    done(&other, &format!("{}/approve", paths[0]), body.clone()).await;
    let refused = post(&other, &format!("{}/approve", paths[1]), body.clone()).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let said = "60.00 EUR are payable now, of which approved payouts claim 50.00";
    assert!(refused.text().contains(said), "{}", refused.text());
    app.clock.advance_micros(SECOND);
    done(&one, &format!("{}/fail", paths[1]), body.clone()).await;
    // What the bank did is recorded whatever is payable by then.
    report(&app, "event=refund&txn_id=A").await;
    done(&one, &format!("{}/settle", paths[0]), body).await;
    assert_eq!(balance(&one, "p1", "paid_minor").await, 5_000);
    assert_eq!(balance(&one, "p1", "payable_minor").await, -5_000);
}

/// What was agreed to may be too much by the time that the bank is asked for it.
#[tokio::test]
async fn nothing_is_sent_that_is_not_payable_any_more() {
    let app = TestApp::start(PROGRAMME).await;
    let (one, other) = two(&app).await;
    sell(&app, "ONE", "A", "300.00").await;
    sell(&app, "ONE", "B", "300.00").await;
    let body = json!({"reason": "x"});
    let mut paths = Vec::new();
    for amount in [3_000, 2_000] {
        let proposal = json!({"partner": "p1", "amount_minor": amount, "reason": "x"});
        let payout = done(&one, "/v1/payouts", proposal).await;
        let path = format!("/v1/payouts/{}", id(&payout));
        app.clock.advance_micros(SECOND);
        done(&other, &format!("{path}/approve"), body.clone()).await;
        paths.push(path);
    }
    report(&app, "event=refund&txn_id=B").await;
    let file = one.get("/v1/payout-files/csv").await;
    assert_eq!(file.status, StatusCode::CONFLICT);
    let said = "30.00 EUR are payable to p1 now, and approved payouts come to 50.00";
    assert!(file.text().contains(said), "{}", file.text());
    app.clock.advance_micros(SECOND);
    done(&other, &format!("{}/send", paths[0]), body.clone()).await;
    assert_eq!(balance(&one, "p1", "payable_minor").await, 0);
    let refused = post(&other, &format!("{}/send", paths[1]), body.clone()).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let said = "0.00 EUR are payable now: fail this payout of 20.00 and propose what is left";
    assert!(refused.text().contains(said), "{}", refused.text());
    done(&one, &format!("{}/fail", paths[1]), body).await;
    let file = one.get("/v1/payout-files/csv?state=sent").await;
    assert_eq!(file.status, StatusCode::OK, "{}", file.text());
}

/// A sale is approved by one rule after some days, and by another by somebody: only the first is paid then.
#[tokio::test]
async fn a_line_that_waits_for_somebody_is_not_paid_with_one_that_does_not() {
    let rules = r#"
[[terms.rule]]
id = "share"
on = "sale"
revshare = "10%"
approval = "after 7 days"
[[terms.rule]]
id = "bonus"
on = "sale"
cpa = "25.00"
currency = "EUR"
approval = "manual"
"#;
    let (head, _) = PROGRAMME.split_once("[[terms.rule]]").unwrap();
    let app = TestApp::start(&format!("{head}{rules}")).await;
    let (one, _) = two(&app).await;
    sell(&app, "ONE", "A", "300.00").await;
    app.clock.advance_micros(8 * 86_400 * SECOND);
    let payout = done(&one, "/v1/payouts", json!({"partner": "p1", "reason": "x"})).await;
    assert_eq!(payout["amount_minor"], 3_000);
    let rules: Vec<_> = payout["lines"].as_array().unwrap().iter().collect();
    assert_eq!(rules.len(), 1, "{payout}");
    assert_eq!(rules[0]["rule"], "share");
    let shown = one.get("/v1/conversions?txn_id=A").await.json();
    let earnings = &shown["items"][0]["earnings"];
    assert_eq!(earnings[0]["state"], "approved", "{earnings}");
    assert_eq!(earnings[1]["state"], "pending", "{earnings}");
}

/// Two approvals at the very same time, of payouts that are both payable but not both together.
#[tokio::test]
async fn approvals_at_once_do_not_agree_to_more_than_is_payable() {
    for round in 0..8 {
        let app = TestApp::start(PROGRAMME).await;
        let (one, other) = two(&app).await;
        sell(&app, "ONE", "A", "600.00").await;
        sell(&app, "ONE", "B", "400.00").await;
        let mut paths = Vec::new();
        for _ in 0..2 {
            let body = json!({"partner": "p1", "amount_minor": 5_000, "reason": "x"});
            let payout = done(&one, "/v1/payouts", body).await;
            paths.push(format!("/v1/payouts/{}/approve", id(&payout)));
            app.clock.advance_micros(SECOND);
        }
        report(&app, "event=refund&txn_id=B").await;
        let checked = json!({"reason": "checked"});
        let asked = paths.iter().map(|path| post(&other, path, checked.clone()));
        let answers = futures_util::future::join_all(asked).await;
        let won = answers.iter().filter(|it| it.status == StatusCode::OK);
        assert_eq!(won.count(), 1, "round {round}");
        let lost = answers.iter().find(|it| it.status != StatusCode::OK);
        let lost = lost.expect("one of two").text();
        assert!(lost.contains("approved payouts claim 50.00"), "{lost}");
    }
}
