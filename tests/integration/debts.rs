//! Why partners owe and since when, however the debt came to be; the same on read models of either kind.

use postbook::{clock::Clock, secrets::Role};
use postbook_schemas::{Instant, instant::DAY_US};
use serde_json::{Value, json};

use crate::support::{
    app::{Sender, TestApp},
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
[[coupon]]
code = "ONE"
offer = "acme/shop"
partner = "p1"
[[terms]]
offer = "acme/shop"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "10%"
"#;

const SECOND: i64 = 1_000_000;

struct Desk<'a> {
    app: &'a TestApp,
    manager: Sender<'a>,
    one: Sender<'a>,
    other: Sender<'a>,
}

impl<'a> Desk<'a> {
    async fn of(app: &'a TestApp) -> Self {
        Self {
            app,
            manager: app.as_role(Role::Manager).await,
            one: app.as_role(Role::Finance).await,
            other: app.as_role(Role::Finance).await,
        }
    }

    async fn report(&self, query: &str) {
        let path = format!("/api/postback/acme/shop?{query}");
        let answer = self.app.anonymous().get(&path).await;
        assert!(answer.status.is_success(), "{query}: {}", answer.text());
        self.app.clock.advance_micros(SECOND);
    }

    async fn sell(&self, txn: &str, amount: &str) {
        let query = format!("event=sale&coupon_code=ONE&txn_id={txn}&amount={amount}");
        self.report(&query).await;
    }

    async fn done(&self, sender: &Sender<'_>, path: &str, body: Value) -> Value {
        let answer = sender.post_json(path, &body.to_string()).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        self.app.clock.advance_micros(SECOND);
        answer.json()
    }

    /// Proposes and approves a payout of all that is payable.
    async fn approved(&self) -> String {
        let proposal = json!({"partner": "p1", "reason": "June"});
        let payout = self.done(&self.one, "/v1/payouts", proposal).await;
        let path = format!("/v1/payouts/{}", payout["id"].as_str().expect("an id"));
        self.moved(&path, "approve").await;
        path
    }

    async fn moved(&self, payout: &str, step: &str) {
        let why = json!({"reason": "June"});
        let path = format!("{payout}/{step}");
        self.done(&self.other, &path, why).await;
    }

    /// The debts of a transaction: why, by which fact, since when, how many days.
    async fn debt(&self, txn: &str) -> Value {
        let list = self.one.get("/v1/clawbacks?partner=p1").await.json();
        let items = list["items"].as_array().expect("a list").iter();
        let found: Vec<_> = items.filter(|item| item["txn_id"] == txn).collect();
        assert_eq!(found.len(), 1, "{list:#}");
        json!([
            found[0]["reason"],
            found[0]["cause"],
            found[0]["since"],
            found[0]["age_days"]
        ])
    }

    /// Where the last fact of a type is.
    async fn position_of(&self, fact_type: &str) -> u64 {
        let store = self.app.service.log.store();
        let mut found = None;
        for position in 1..=store.head() {
            let line = store.read_one(position).await.expect("it can be read");
            let line = line.expect("a fact");
            let fact: Value = serde_json::from_slice(&line).expect("JSON");
            if fact["type"] == fact_type {
                found = Some(position);
            }
        }
        found.expect("there is one")
    }

    fn now(&self) -> String {
        self.app.clock.now().to_string()
    }

    fn days_later(&self, days: i64) {
        self.app.clock.advance_micros(DAY_US * days);
    }
}

#[tokio::test]
async fn what_was_refunded_while_its_payout_was_at_the_bank_is_owed_since_that_was_paid() {
    let app = TestApp::start(PROGRAMME).await;
    let desk = Desk::of(&app).await;
    desk.sell("A", "1000.00").await;
    let payout = desk.approved().await;
    desk.report("event=refund&txn_id=A&event_id=r1").await;
    let refund = desk.position_of("refund.reported").await;
    desk.days_later(3);
    let paid = desk.now();
    desk.moved(&payout, "settle").await;
    desk.days_later(2);
    let expected = json!(["refund.reported", refund, paid, 2]);
    assert_eq!(desk.debt("A").await, expected);

    // The money came back, so nothing is owed; it leaves again, and from then on it is.
    desk.moved(&payout, "return").await;
    let list = desk.one.get("/v1/clawbacks").await.json();
    assert_eq!(list["items"], json!([]));
    twin::answers_alike(&app).await;
}

#[tokio::test]
async fn a_refund_of_before_the_payout_that_is_told_after_it_is_owed_since_the_payout() {
    let app = TestApp::start(PROGRAMME).await;
    let desk = Desk::of(&app).await;
    desk.sell("A", "1000.00").await;
    let happened = desk.now();
    desk.days_later(10);
    let payout = desk.approved().await;
    let sent = desk.now();
    desk.moved(&payout, "send").await;
    desk.days_later(5);
    let refund = format!("event=refund&txn_id=A&timestamp={happened}");
    desk.report(&refund).await;
    let refund = desk.position_of("refund.reported").await;
    let expected = json!(["refund.reported", refund, sent, 5]);
    assert_eq!(desk.debt("A").await, expected);
    twin::answers_alike(&app).await;
}

#[tokio::test]
async fn what_new_terms_take_back_is_owed_since_they_were_adopted_and_not_since_the_sale() {
    let app = TestApp::start(PROGRAMME).await;
    let desk = Desk::of(&app).await;
    desk.sell("A", "1000.00").await;
    desk.sell("B", "500.00").await;
    let payout = desk.approved().await;
    desk.moved(&payout, "settle").await;
    desk.days_later(100);
    desk.report("event=refund&txn_id=B&amount=100.00").await;
    let refund = desk.position_of("refund.reported").await;
    let draft = "[[terms]]\noffer = \"acme/shop\"\neffective_from = 2026-01-01T00:00:00Z\n[[terms.rule]]\nid = \"share\"\non = \"sale\"\nrevshare = \"5%\"\n";
    let made = desk
        .manager
        .post("/v1/whatifs", "application/toml", draft.as_bytes())
        .await
        .json();
    let path = format!("/v1/whatifs/{}/adopt", made["hash"].as_str().expect("one"));
    let adopted_at = desk.now();
    let adopted = desk
        .done(&desk.one, &path, json!({"reason": "contract 7"}))
        .await;
    let cause = &adopted["position"];
    let expected = json!(["whatif.adopted", cause, adopted_at, 0]);
    assert_eq!(desk.debt("A").await, expected);
    // Of the other there was a debt before: owed since then, and lowered last by the adoption.
    let before: Instant = app.clock.now();
    let since = desk.debt("B").await;
    assert_eq!(since[1], *cause);
    assert_ne!(since[1], json!(refund));
    let owed = since[2].as_str().expect("a time");
    let owed = Instant::parse_rfc3339(owed).expect("a time");
    assert!((0..DAY_US).contains(&before.micros_since(owed)), "{since}");
    assert!(owed < Instant::parse_rfc3339(&adopted_at).expect("a time"));
    let list = desk.one.get("/v1/clawbacks").await.json();
    let totals = list["totals"].as_array().expect("a list").iter();
    let ages: Vec<_> = totals.filter(|total| total["by"] == "age").collect();
    assert_eq!(ages.len(), 1, "{list:#}");
    assert_eq!(ages[0]["name"], "000-030");
    twin::answers_alike(&app).await;
}
