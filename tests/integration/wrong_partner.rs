//! Coupon sales that were credited and paid to the wrong partner, found months later: the case of
//! docs/walkthrough-wrong-partner.md, step by step, with the numbers it tells.

use axum::http::StatusCode;
use postbook::secrets::Role;
use postbook_schemas::Instant;
use serde_json::{Value, json};

use crate::support::app::{Sender, TestApp};

const PROGRAMME: &str = r#"
[[brand]]
slug = "acme"
[[offer]]
brand = "acme"
slug = "shop"
destination = "https://acme.example/"
legacy_without_secret = true
[[partner]]
slug = "lena"
[[partner]]
slug = "marco"
[[coupon]]
code = "SUMMER15"
offer = "acme/shop"
partner = "marco"
[[terms]]
offer = "acme/shop"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "20%"
"#;

/// What should have been defined in January: the coupon is Lena's.
const DRAFT: &str = "[[coupon]]\ncode = \"SUMMER15\"\noffer = \"acme/shop\"\npartner = \"lena\"\n";

struct Desk<'a> {
    app: &'a TestApp,
    carla: Sender<'a>,
    finn: Sender<'a>,
    fay: Sender<'a>,
}

impl Desk<'_> {
    async fn sell(&self, txn: &str, amount: &str, at: &str) {
        let path = format!(
            "/api/postback/acme/shop?event=sale&coupon_code=SUMMER15&txn_id={txn}&amount={amount}&timestamp={at}"
        );
        let answer = self.app.anonymous().get(&path).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    }

    fn set(&self, now: &str) {
        self.app
            .clock
            .set(Instant::parse_rfc3339(now).expect("a time"));
    }

    async fn done(&self, sender: &Sender<'_>, path: &str, body: Value) -> Value {
        let answer = sender.post_json(path, &body.to_string()).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        answer.json()
    }

    /// Closes a month and pays what is due, by two people.
    async fn close_and_pay(&self, month: &str, partner: &str) -> (String, i64) {
        let why = json!({"reason": month});
        let path = format!("/v1/periods/{month}/close");
        self.done(&self.finn, &path, why.clone()).await;
        let payout = self
            .done(
                &self.finn,
                "/v1/payouts",
                json!({"partner": partner, "reason": month}),
            )
            .await;
        let id = payout["id"].as_str().expect("an id").to_owned();
        self.app.clock.advance_micros(1_000_000);
        for (who, step) in [
            (&self.fay, "approve"),
            (&self.finn, "send"),
            (&self.finn, "settle"),
        ] {
            self.done(who, &format!("/v1/payouts/{id}/{step}"), why.clone())
                .await;
            self.app.clock.advance_micros(1_000_000);
        }
        (id, payout["amount_minor"].as_i64().expect("an amount"))
    }

    async fn balance(&self, partner: &str) -> Value {
        let answer = self
            .finn
            .get(&format!("/v1/partners/{partner}/balances"))
            .await;
        answer.json()["items"][0].clone()
    }

    async fn statements(&self, partner: &str) -> Vec<Vec<u8>> {
        let list = self
            .finn
            .get(&format!("/v1/partners/{partner}/statements"))
            .await
            .json();
        let mut bytes = Vec::new();
        for item in list["items"].as_array().expect("statements") {
            let id = item["id"].as_str().expect("an id");
            bytes.push(
                self.finn
                    .get(&format!("/v1/statements/{id}.json"))
                    .await
                    .body,
            );
        }
        bytes
    }
}

fn numbers(value: &Value, names: &[&str]) -> Vec<i64> {
    names
        .iter()
        .map(|name| value[*name].as_i64().expect("a number"))
        .collect()
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, as the walkthrough tells it"
)]
async fn coupon_sales_paid_to_the_wrong_partner_are_set_right_with_their_history_intact() {
    let app = TestApp::start(PROGRAMME).await;
    let desk = Desk {
        app: &app,
        carla: app.as_role(Role::Manager).await,
        finn: app.as_role(Role::Finance).await,
        fay: app.as_role(Role::Finance).await,
    };
    // Three months of sales; two of them closed and paid to Marco, who never had that coupon.
    desk.sell("order-1", "200.00", "2026-03-10T00:00:00Z").await;
    desk.sell("order-2", "100.00", "2026-03-20T00:00:00Z").await;
    desk.sell("order-3", "150.00", "2026-04-05T00:00:00Z").await;
    desk.sell("order-4", "50.00", "2026-06-02T00:00:00Z").await;
    let (march, paid_march) = desk.close_and_pay("2026-03", "marco").await;
    let before = desk.statements("marco").await;
    desk.set("2026-06-16T09:00:00Z");
    assert_eq!(
        paid_march,
        2_000 * 2 + 1_000 * 2 + 3_000 + 1_000,
        "everything payable was paid"
    );

    // June: Lena asks where her sales are. Carla tries what should have been.
    let log = app.log_bytes().await;
    let answer = desk
        .carla
        .post("/v1/whatifs", "application/toml", DRAFT.as_bytes())
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(app.log_bytes().await, log, "nothing is written");
    let made = answer.json();
    let by_partner: Vec<_> = made["partners"]
        .as_array()
        .unwrap()
        .iter()
        .map(|total| {
            json!([
                total["of"],
                total["closed"]["difference_minor"],
                total["open"]["difference_minor"]
            ])
        })
        .collect();
    assert_eq!(
        by_partner,
        [
            json!(["lena", 6_000, 4_000]),
            json!(["marco", -6_000, -4_000])
        ]
    );
    let clawbacks = made["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["posting"] == "clawback");
    for row in clawbacks {
        assert_eq!(
            (&row["partner"], &row["payout_id"]),
            (&json!("marco"), &json!(march))
        );
    }

    // Finn adopts.
    desk.set("2026-06-17T09:00:00Z");
    let path = format!("/v1/whatifs/{}/adopt", made["hash"].as_str().unwrap());
    let why = json!({"reason": "SUMMER15 was always Lena's: her contract of January"});
    let adopted = desk.done(&desk.finn, &path, why).await;

    // Lena has what she earned, Marco owes what he was paid, and nobody wrote a number by hand.
    let names = [
        "payable_minor",
        "paid_minor",
        "clawed_back_minor",
        "outstanding_minor",
        "earned_minor",
    ];
    assert_eq!(
        numbers(&desk.balance("lena").await, &names),
        [10_000, 0, 0, 0, 10_000]
    );
    assert_eq!(
        numbers(&desk.balance("marco").await, &names),
        [-10_000, 10_000, 10_000, 10_000, 10_000]
    );
    // What was told stays told.
    assert_eq!(desk.statements("marco").await, before);
    // The corrections of March stand in April, the first open month, and say so; their cause is the adoption.
    let postings = desk
        .finn
        .get("/v1/postings?partner=marco&period=2026-04")
        .await
        .json();
    let corrections: Vec<_> = postings["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|posting| !posting["corrects"].is_null())
        .map(|posting| {
            json!([
                posting["kind"],
                posting["corrects"],
                posting["cause"],
                posting["payout_id"]
            ])
        })
        .collect();
    let expected = json!(["clawback", "2026-03", adopted["position"], march]);
    assert_eq!(corrections, [expected.clone(), expected]);
    explains_both(&desk, &march, &adopted).await;
    recovers(&desk).await;
    app.assert_rebuilds_alike().await;
}

/// One explanation tells both sides: who lost it, who got it, what was paid, and by whose word.
async fn explains_both(desk: &Desk<'_>, payout: &str, adopted: &Value) {
    let found = desk
        .carla
        .get("/v1/conversions?txn_id=order-1")
        .await
        .json();
    let id = found["items"][0]["id"]
        .as_str()
        .expect("a conversion")
        .to_owned();
    let explained = desk
        .carla
        .get(&format!("/v1/conversions/{id}/explain"))
        .await
        .json();
    let text = explained.to_string();
    for said in [
        "credited to lena: coupon",
        "coupon SUMMER15 was lena",
        "share gives lena 40.00 USD",
        "clawed back 40.00 USD",
        "clawback of share",
        &format!("payout {payout} of 100.00 USD to marco: settled"),
        "whatif.adopted by",
        "tried by token:",
        "SUMMER15 was always Lena's: her contract of January",
    ] {
        assert!(text.contains(said), "`{said}` is not in {explained:#}");
    }
    let timeline = desk
        .carla
        .get(&format!("/v1/conversions/{id}/timeline"))
        .await
        .json();
    let positions: Vec<_> = timeline["items"]
        .as_array()
        .expect("facts")
        .iter()
        .map(|fact| &fact["position"])
        .collect();
    assert!(positions.contains(&&adopted["position"]), "{timeline:#}");
}

/// What Marco earns from now on pays his debt first.
async fn recovers(desk: &Desk<'_>) {
    let own = "[[coupon]]\ncode = \"MARCO\"\noffer = \"acme/shop\"\npartner = \"marco\"\n";
    desk.app.apply(own).await;
    let path = "/api/postback/acme/shop?event=sale&coupon_code=MARCO&txn_id=order-9&amount=600.00&timestamp=2026-06-15T00:00:00Z";
    assert!(desk.app.anonymous().get(path).await.status.is_success());
    let names = ["payable_minor", "outstanding_minor"];
    assert_eq!(
        numbers(&desk.balance("marco").await, &names),
        [2_000, 10_000]
    );
    let payout = desk
        .done(
            &desk.finn,
            "/v1/payouts",
            json!({"partner": "marco", "reason": "June"}),
        )
        .await;
    assert_eq!(payout["amount_minor"], 2_000);
    let lena = desk
        .done(
            &desk.finn,
            "/v1/payouts",
            json!({"partner": "lena", "reason": "at last"}),
        )
        .await;
    assert_eq!(lena["amount_minor"], 10_000);
}
