//! Adoptions of a real process that is killed at random moments: each is in the log whole or not at all,
//! asking again finishes it, and nothing is posted twice.
//!
//! `POSTBOOK_KILLS` says how often (36).

use std::{fmt::Write, time::Duration};

use hyper::StatusCode;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::process::{Place, SHOP, Serving, kills};

const SALES: usize = 40;

/// After so many kills the rule gives so many tenths of a percent more.
fn share(kills: u64) -> (String, i64) {
    let tenths = 100 + kills;
    let minor = i64::try_from(tenths).expect("few kills") * 10;
    (format!("{}.{}%", tenths / 10, tenths % 10), minor)
}

struct Run {
    place: Place,
    serving: Serving,
    tokens: [String; 2],
    random: StdRng,
}

impl Run {
    fn open() -> Self {
        let place = Place::with(SHOP);
        let mut sales = "txn_id,coupon_code,amount,timestamp\n".to_owned();
        for number in 0..SALES {
            writeln!(sales, "T{number},ONE,100.00,2026-05-10T09:00:00Z").expect("a text takes it");
        }
        place.write("sales.csv", &sales);
        place.done(&["import", "postbacks", "sales.csv", "--offer", "acme/shop"]);
        let tokens =
            [("manager", "carla"), ("finance", "finn")].map(|(role, name)| place.token(role, name));
        Self {
            serving: place.serve(),
            place,
            tokens,
            random: StdRng::seed_from_u64(7),
        }
    }

    async fn try_it(&self, text: &str) -> String {
        let body = json!({"files": [{"name": "draft.toml", "text": text}]});
        let made = self
            .serving
            .caller(&self.tokens[0])
            .done("/v1/whatifs", &body)
            .await;
        made["hash"].as_str().expect("a hash").to_owned()
    }

    async fn adopt(&self, hash: &str) -> (StatusCode, Value) {
        let path = format!("/v1/whatifs/{hash}/adopt");
        let body = json!({"reason": "agreed"});
        self.serving
            .caller(&self.tokens[1])
            .post(&path, &body)
            .await
    }

    /// Asks for an adoption and kills the server somewhere in it.
    async fn adopt_and_kill(&mut self, hash: &str) {
        let caller = self.serving.caller(&self.tokens[1]);
        let path = format!("/v1/whatifs/{hash}/adopt");
        let asked = tokio::spawn(async move {
            caller.post(&path, &json!({"reason": "agreed"})).await;
        });
        let moment = Duration::from_micros(self.random.random_range(0..25_000));
        tokio::time::sleep(moment).await;
        self.serving.kill();
        // The connection breaks, or the answer came just before.
        drop(asked.await);
        self.serving = self.place.serve();
    }

    async fn count(&self, fact_type: &str) -> usize {
        let path = format!("/v1/events?type={fact_type}&limit=1000");
        let events = self.serving.caller(&self.tokens[0]).get(&path).await;
        events["items"].as_array().expect("events").len()
    }

    async fn payable(&self) -> i64 {
        let balances = self
            .serving
            .caller(&self.tokens[0])
            .get("/v1/partners/p1/balances")
            .await;
        balances["items"][0]["payable_minor"]
            .as_i64()
            .expect("an amount")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adoption_that_is_killed_is_there_whole_or_not_at_all_and_is_finished_when_asked_again()
{
    let mut run = Run::open();
    let sales = i64::try_from(SALES).expect("few sales");
    for kill in 1..=u64::from(kills(36)) {
        let (share, minor) = share(kill);
        let draft = SHOP.replace("10%", &share);
        let hash = run.try_it(&draft).await;
        run.adopt_and_kill(&hash).await;
        let whole = usize::try_from(kill).expect("few kills");
        let (adopted, published) = (
            run.count("whatif.adopted").await,
            run.count("terms.published").await,
        );
        assert_eq!(published, adopted + 1, "half an adoption is in the log");
        let (status, answer) = run.adopt(&hash).await;
        let expected = if adopted == whole {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        assert_eq!(status, expected, "{answer}");
        assert_eq!(run.count("whatif.adopted").await, whole);
        assert_eq!(run.payable().await, sales * minor, "after kill {kill}");
    }
    // A mapping: what follows from its adoption is killed as well.
    let mut refused = String::new();
    for number in 0..SALES {
        writeln!(refused, "M{number},ONE,ten,100.00,2026-05-11T09:00:00Z")
            .expect("a text takes it");
    }
    let header = "txn_id,coupon_code,amount,sum,timestamp\n";
    run.serving.kill();
    run.place
        .write("refused.csv", &format!("{header}{refused}"));
    run.place
        .run(&["import", "postbacks", "refused.csv", "--offer", "acme/shop"]);
    run.serving = run.place.serve();
    let mapping = "[[mapping]]\noffer = \"acme/shop\"\n[mapping.fields]\namount = \"sum\"\n";
    let hash = run.try_it(mapping).await;
    for _ in 0..kills(36).div_ceil(3) {
        run.adopt_and_kill(&hash).await;
    }
    let (status, answer) = run.adopt(&hash).await;
    assert!(status.is_success(), "{answer}");
    let (_, minor) = share(kills(36).into());
    assert_eq!(run.payable().await, 2 * sales * minor);
    run.serving.kill();
    run.place.done(&["verify"]);
}
