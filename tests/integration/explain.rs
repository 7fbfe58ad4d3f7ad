//! Where every number comes from: each step names a fact, and what the steps come to is what is posted.

use axum::http::StatusCode;
use postbook::secrets::{Role, Scope};
use postbook_schemas::Slug;
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
slug = "p0"
[[partner]]
slug = "p1"
parent = "p0"
currency = "EUR"
[[coupon]]
code = "ONE"
offer = "acme/shop"
partner = "p1"
[[fx_rate]]
base = "USD"
quote = "EUR"
rate = "0.91"
at = 2026-01-01T00:00:00Z
[[fx_rate]]
base = "EUR"
quote = "USD"
rate = "1.0989"
at = 2026-01-01T00:00:00Z
[[terms]]
offer = "acme/shop"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "30%"
tiers = { by = "count", per = "month", mode = "above", steps = [{ from = 3, revshare = "35%" }] }
cap = { amount = "90.00", per = "month" }
[[terms.rule]]
id = "above"
on = "sale"
override = "10%"
[[terms.rule]]
id = "vip"
on = "sale"
cpa = "5.00"
when = { country = ["DE"] }
"#;

async fn sell(app: &TestApp, txn: &str, amount: &str, at: &str) {
    let path = format!(
        "/api/postback/acme/shop?event=sale&coupon_code=ONE&txn_id={txn}&amount={amount}&timestamp={at}"
    );
    let answer = app.anonymous().get(&path).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

async fn explained(viewer: &Sender<'_>, txn: &str) -> Value {
    let found = viewer
        .get(&format!("/v1/conversions?txn_id={txn}"))
        .await
        .json();
    let id = found["items"][0]["id"]
        .as_str()
        .expect("a conversion")
        .to_owned();
    let answer = viewer.get(&format!("/v1/conversions/{id}/explain")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

fn steps<'v>(value: &'v Value, name: &str) -> Vec<&'v Value> {
    let all = value["steps"].as_array().or(value["details"].as_array());
    let all = all.into_iter().flatten();
    all.filter(|step| step["step"] == name).collect()
}

fn one<'v>(value: &'v Value, name: &str) -> &'v Value {
    let found = steps(value, name);
    assert_eq!(found.len(), 1, "{name} in {value:#}");
    found[0]
}

/// Every step with a number stands on a fact: its own, or that of the step it is part of.
fn every_number_has_a_position(step: &Value, above: Option<u64>, head: u64) {
    let position = step["position"].as_u64().or(above);
    if let Some(position) = step["position"].as_u64() {
        assert!((1..=head).contains(&position), "{step:#}");
    }
    assert!(
        step["amount_minor"].is_null() || position.is_some(),
        "{step:#}"
    );
    for detail in step["details"].as_array().into_iter().flatten() {
        every_number_has_a_position(detail, position, head);
    }
}

/// What a line is derived to, what it earns and what is posted for it are one number.
fn the_steps_come_to_what_is_posted(explained: &Value) {
    for earning in steps(explained, "earning") {
        let results = steps(earning, "result");
        let Some(result) = results.first() else {
            continue;
        };
        assert_eq!(
            result["amount_minor"], earning["amount_minor"],
            "{earning:#}"
        );
        let says = earning["says"].as_str().expect("a text");
        let (rule, partner) = says.split_once(" gives ").expect("rule and partner");
        let account = format!(
            "liability:partner:{}:",
            partner.split(' ').next().expect("a partner")
        );
        let mut posted = 0;
        for posting in steps(one(explained, "postings"), "posting") {
            assert!(posting["position"].is_u64());
            if posting["says"]
                .as_str()
                .expect("a text")
                .contains(&format!(" of {rule},"))
            {
                for entry in steps(posting, "entry") {
                    if entry["says"]
                        .as_str()
                        .expect("a text")
                        .starts_with(&account)
                    {
                        posted -= entry["amount_minor"].as_i64().expect("an amount");
                    }
                }
            }
        }
        assert_eq!(
            json!(posted),
            earning["amount_minor"],
            "{rule}: {explained:#}"
        );
    }
}

#[tokio::test]
async fn every_number_of_an_explanation_leads_to_a_fact_and_comes_to_what_is_posted() {
    let app = TestApp::start(PROGRAMME).await;
    let viewer = app.as_role(Role::Viewer).await;
    for (txn, amount, day) in [
        ("A", "100.10", 1),
        ("B", "100.00", 2),
        ("C", "50.00", 3),
        ("D", "200.00", 4),
        ("E", "10.00", 5),
    ] {
        sell(&app, txn, amount, &format!("2026-06-0{day}T00:00:00Z")).await;
    }
    let refund = "/api/postback/acme/shop?event=refund&txn_id=B&amount=40.00";
    assert!(app.anonymous().get(refund).await.status.is_success());
    let head = app.service.log.store().head();
    for txn in ["A", "B", "C", "D", "E"] {
        let explained = explained(&viewer, txn).await;
        for step in explained["steps"].as_array().unwrap() {
            every_number_has_a_position(step, None, head);
        }
        the_steps_come_to_what_is_posted(&explained);
    }
    let first = explained(&viewer, "A").await;
    let share = steps(&first, "earning")
        .into_iter()
        .find(|it| it["says"].as_str().unwrap().starts_with("share "))
        .unwrap()
        .clone();
    let says = |step: &Value| step["says"].as_str().unwrap().to_owned();
    assert!(
        says(one(&share, "tier")).contains("0 before it"),
        "{share:#}"
    );
    assert_eq!(says(one(&share, "price")), "revshare 30%");
    assert_eq!(
        says(one(&share, "exact")),
        "comes to 2732.73 minor units of EUR"
    );
    assert_eq!(one(&share, "rounding")["amount_minor"], 2_733);
    assert!(
        says(one(&share, "rate")).starts_with("1 USD is 0.91 EUR"),
        "{share:#}"
    );
    assert!(one(&share, "rate")["position"].is_u64());
    let third = explained(&viewer, "C").await;
    let share = steps(&third, "earning")[0];
    assert_eq!(says(one(share, "price")), "revshare 35%");
    assert_eq!(steps(one(share, "tier"), "counted").len(), 2);
    let last = explained(&viewer, "E").await;
    let share = steps(&last, "earning")[0];
    assert!(
        says(one(share, "cap")).contains("0.00 EUR left"),
        "{share:#}"
    );
    assert!(says(one(share, "result")).contains("over_cap"), "{share:#}");
    let unmet = &steps(&first, "earning")
        .into_iter()
        .find(|it| it["says"].as_str().unwrap().starts_with("vip"));
    assert!(
        unmet.is_none(),
        "a rule beside others that apply is not a line"
    );
}

async fn items(sender: &Sender<'_>, path: &str) -> Vec<Value> {
    let answer = sender.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.json()["items"].as_array().expect("items").clone()
}

async fn done(sender: &Sender<'_>, path: &str) -> Value {
    let body = json!({"reason": "x", "partner": "p1"});
    let body = if path == "/v1/payouts" {
        body
    } else {
        json!({"reason": "x"})
    };
    let answer = sender.post_json(path, &body.to_string()).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json()
}

#[tokio::test]
async fn balances_payouts_and_lines_of_statements_come_to_what_is_posted() {
    let app = TestApp::start(PROGRAMME).await;
    let (finn, fay) = (
        app.as_role(Role::Finance).await,
        app.as_role(Role::Finance).await,
    );
    sell(&app, "A", "100.00", "2026-05-01T00:00:00Z").await;
    sell(&app, "B", "50.00", "2026-05-02T00:00:00Z").await;
    sell(&app, "C", "20.00", "2026-06-02T00:00:00Z").await;
    done(&finn, "/v1/periods/2026-05/close").await;
    let payout = done(&finn, "/v1/payouts").await;
    let id = payout["id"].as_str().expect("an id").to_owned();
    app.clock.advance_micros(1_000_000);
    done(&fay, &format!("/v1/payouts/{id}/approve")).await;
    done(&finn, &format!("/v1/payouts/{id}/send")).await;
    let refund = "/api/postback/acme/shop?event=refund&txn_id=A";
    assert!(app.anonymous().get(refund).await.status.is_success());
    let head = app.service.log.store().head();

    let balances = items(&finn, "/v1/partners/p1/balances").await;
    let explained = items(&finn, "/v1/partners/p1/balances/explain").await;
    let total = one(&explained[0], "balance");
    let has = ["pending_minor", "held_minor", "payable_minor"];
    let has: i64 = has
        .iter()
        .map(|name| balances[0][*name].as_i64().expect("a number"))
        .sum();
    assert_eq!(total["amount_minor"], has);
    let sorts = steps(&explained[0], "postings");
    let sum: i64 = sorts
        .iter()
        .map(|sort| sort["amount_minor"].as_i64().expect("a number"))
        .sum();
    assert_eq!(sum, has, "{explained:#?}");

    let paid = items(&finn, &format!("/v1/payouts/{id}/explain")).await;
    assert_eq!(
        one(&paid[0], "lines")["amount_minor"],
        payout["amount_minor"]
    );
    assert_eq!(steps(one(&paid[0], "payout"), "fact").len(), 3);

    let statements = items(&finn, "/v1/partners/p1/statements").await;
    let statement = statements[0]["id"].as_str().expect("an id");
    let lines = items(&finn, &format!("/v1/statements/{statement}/explain")).await;
    for line in &lines {
        let (told, posted) = (one(line, "statement_line"), one(line, "postings"));
        assert_eq!(told["amount_minor"], posted["amount_minor"], "{line:#}");
        let named = steps(posted, "posting");
        let sum: i64 = named
            .iter()
            .map(|it| it["amount_minor"].as_i64().expect("a number"))
            .sum();
        assert_eq!(posted["amount_minor"], sum);
    }
    let first = items(&finn, &format!("/v1/statements/{statement}/explain?line=0")).await;
    assert_eq!(first, lines[..1]);
    for explanation in explained.iter().chain(&paid).chain(&lines) {
        for step in explanation["steps"].as_array().expect("steps") {
            every_number_has_a_position(step, None, head);
        }
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn conversions_and_terms_are_shown_as_of_one_time_as_known_at_another() {
    let app = TestApp::start(PROGRAMME).await;
    let viewer = app.as_role(Role::Viewer).await;
    sell(&app, "A", "100.00", "2026-06-01T00:00:00Z").await;
    let found = items(&viewer, "/v1/conversions?txn_id=A").await;
    let path = format!(
        "/v1/conversions/{}",
        found[0]["id"].as_str().expect("an id")
    );
    let then = |query: &str| {
        let path = format!("{path}?{query}");
        async { viewer.get(&{ path }).await }
    };
    app.clock.advance_micros(3_600_000_000);
    let refund =
        "/api/postback/acme/shop?event=refund&txn_id=A&amount=40.00&timestamp=2026-06-10T00:00:00Z";
    assert!(app.anonymous().get(refund).await.status.is_success());
    app.clock.advance_micros(3_600_000_000);
    app.apply("[[coupon]]\ncode = \"ONE\"\noffer = \"acme/shop\"\npartner = \"p0\"\n")
        .await;
    let now = viewer.get(&path).await.json();
    assert_eq!(
        (&now["partner"], &now["refunded_minor"]),
        (&json!("p0"), &json!(4_000))
    );
    // Known before the refund and the correction of the coupon: p1, nothing refunded, the whole share.
    let first = then("known_at=2026-06-15T12:30:00Z").await.json();
    assert_eq!(
        (&first["partner"], &first["refunded_minor"]),
        (&json!("p1"), &json!(0))
    );
    let share = |conversion: &Value| -> i64 {
        let lines = conversion["earnings"].as_array().expect("lines").iter();
        let own = lines.filter(|line| line["rule"] == "share");
        own.map(|line| line["amount_minor"].as_i64().expect("a number"))
            .sum()
    };
    assert_eq!(share(&first), 2_730);
    // After the refund was known: as of its time less, as of before not yet.
    let refunded = then("known_at=2026-06-15T13:30:00Z").await.json();
    assert_eq!(
        (&refunded["partner"], share(&refunded)),
        (&json!("p1"), 1_638)
    );
    let before = then("as_of=2026-06-05T00:00:00Z&known_at=2026-06-15T13:30:00Z")
        .await
        .json();
    assert_eq!(
        (&before["refunded_minor"], share(&before)),
        (&json!(0), 2_730)
    );
    let unknown = then("known_at=2026-06-15T11:00:00Z").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let same = then("as_of=2026-06-15T14:00:00Z").await.json();
    assert_eq!(
        (&same["partner"], share(&same)),
        (&now["partner"], share(&now))
    );

    // The list says the same of each, and is asked for what was so then.
    let path = "/v1/conversions?as_of=2026-06-15T14:00:00Z&known_at=";
    for (query, found) in [
        ("2026-06-15T13:30:00Z", Some(&refunded)),
        ("2026-06-15T13:30:00Z&partner=p1", Some(&refunded)),
        ("2026-06-15T13:30:00Z&partner=p0", None),
        ("2026-06-15T13:30:00Z&status=reversed", None),
        ("2026-06-15T14:00:00Z&partner=p0", Some(&same)),
        ("2026-06-15T14:00:00Z&partner=p1", None),
        ("2026-06-15T11:00:00Z", None),
    ] {
        let listed = items(&viewer, &format!("{path}{query}&txn_id=A")).await;
        assert_eq!(
            listed.iter().collect::<Vec<_>>(),
            Vec::from_iter(found),
            "{query}"
        );
    }
    let before = items(&viewer, "/v1/conversions?as_of=2026-05-31T23:00:00Z").await;
    assert!(before.is_empty(), "{before:?}");

    let draft = "[[terms]]\noffer = \"acme/shop\"\neffective_from = 2026-03-01T00:00:00Z\n[[terms.rule]]\nid = \"share\"\non = \"sale\"\nrevshare = \"40%\"\n";
    app.clock.advance_micros(3_600_000_000);
    app.apply(draft).await;
    for (query, share) in [
        ("", "40%"),
        ("as_of=2026-02-01T00:00:00Z", "30%"),
        ("known_at=2026-06-15T14:30:00Z", "30%"),
    ] {
        let terms = items(&viewer, &format!("/v1/terms?offer=acme/shop&{query}")).await;
        assert_eq!(terms.len(), 1);
        assert_eq!(terms[0]["terms"]["rule"][0]["revshare"], share, "{query}");
        assert!(terms[0]["position"].is_u64());
    }
    assert!(
        items(&viewer, "/v1/terms?as_of=2025-01-01T00:00:00Z")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_list_of_how_conversions_were_goes_on_from_page_to_page_and_leaves_none_out() {
    let app = TestApp::start(PROGRAMME).await;
    let viewer = app.as_role(Role::Viewer).await;
    for number in 0..30 {
        sell(&app, &format!("P{number}"), "10.00", "2026-06-01T00:00:00Z").await;
    }
    app.clock.advance_micros(3_600_000_000);
    for number in (0..30).filter(|number| number % 3 == 0) {
        let refund = format!(
            "/api/postback/acme/shop?event=refund&txn_id=P{number}&timestamp=2026-06-10T00:00:00Z"
        );
        assert!(app.anonymous().get(&refund).await.status.is_success());
    }
    for (status, from, expected) in [
        ("reversed", "2026-06-15T13:30:00Z", 10),
        ("approved", "2026-06-15T13:30:00Z", 20),
        ("approved", "2026-06-15T12:30:00Z", 30),
        ("reversed", "2026-06-15T12:30:00Z", 0),
    ] {
        let path = format!("/v1/conversions?status={status}&known_at={from}&limit=4");
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = viewer.get(&format!("{path}{cursor}")).await.json();
            let items = page["items"].as_array().expect("a list");
            assert!(items.len() <= 4);
            seen.extend(items.iter().map(|item| item["txn_id"].clone()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let all = seen.len();
        seen.dedup();
        assert_eq!(
            (seen.len(), all),
            (expected, expected),
            "{status} at {from}"
        );
    }
}

async fn send(app: &TestApp, query: &str) {
    let answer = app
        .anonymous()
        .get(&format!("/api/postback/acme/shop?{query}"))
        .await;
    assert!(answer.status.is_success(), "{query}: {}", answer.text());
}

/// What the steps of a name say.
fn said<'v>(value: &'v Value, name: &str) -> Vec<&'v str> {
    let steps = steps(value, name).into_iter();
    steps.filter_map(|step| step["says"].as_str()).collect()
}

#[tokio::test]
async fn what_changed_another_conversion_is_not_told_as_a_change_of_this_one() {
    let app = TestApp::start(PROGRAMME).await;
    let viewer = app.as_role(Role::Viewer).await;
    for (txn, amount, day) in [("A", "300.00", 1), ("B", "50.00", 2), ("C", "50.00", 3)] {
        sell(&app, txn, amount, &format!("2026-06-0{day}T00:00:00Z")).await;
    }
    // Without A there is room under the cap for C; without B it is not the third any more.
    send(&app, "event=refund&txn_id=A&amount=290.00").await;
    send(&app, "event=status&txn_id=B&status=rejected").await;

    let third = explained(&viewer, "C").await;
    assert_eq!(said(&third, "changes"), Vec::<&str>::new(), "{third:#}");
    let status = one(&third, "status");
    assert_eq!(said(status, "said"), Vec::<&str>::new(), "{third:#}");
    assert_eq!(
        status["says"],
        "approved: nobody said otherwise, so the rule's approval decides"
    );
    let facts = said(one(&third, "facts"), "fact");
    for (fact, of) in [("refund.reported", "A"), ("status.changed", "B")] {
        let told = facts.iter().find(|says| says.starts_with(fact));
        let shares = format!(", of {of}, which shares the tiers of share of p1");
        assert!(
            told.is_some_and(|says| says.ends_with(&shares)),
            "{facts:#?}"
        );
    }

    // Each is told where it belongs.
    let refunded = explained(&viewer, "A").await;
    assert_eq!(steps(one(&refunded, "changes"), "change").len(), 1);
    let rejected = explained(&viewer, "B").await;
    let told = said(one(&rejected, "status"), "said");
    assert_eq!(told, ["the advertiser says rejected"]);

    // A partner is not told of which conversion.
    let scope = Scope::Partner(Slug::try_new("p1").expect("a slug"));
    let ann = app.with_token(app.token(Role::Viewer, scope).await);
    let third = explained(&ann, "C").await;
    let facts = said(one(&third, "facts"), "fact");
    let shares = ", of another conversion, which shares the tiers of share of p1";
    let told = facts.iter().filter(|says| says.ends_with(shares));
    assert_eq!(told.count(), 2, "{facts:#?}");
}

/// What is reported of a sale of 100.00, one after the other; what its status says then.
const STATUSES: [(&str, &[&str], &str); 6] = [
    (
        "left",
        &["event=refund&amount=99.99"],
        "approved: nobody said otherwise, so the rule's approval decides",
    ),
    (
        "refunded",
        &["event=refund"],
        "reversed: all of it was refunded",
    ),
    (
        "charged",
        &["event=chargeback"],
        "reversed: all of it was charged back",
    ),
    (
        "both",
        &["event=refund&amount=40.00", "event=chargeback"],
        "reversed: all of it was refunded and charged back",
    ),
    ("abused", &["event=fraud"], "reversed: for abuse"),
    (
        "approved",
        &["event=status&status=approved", "event=chargeback"],
        "reversed: all of it was charged back",
    ),
];

#[tokio::test]
async fn what_is_undone_says_by_what() {
    let app = TestApp::start(PROGRAMME).await;
    let viewer = app.as_role(Role::Viewer).await;
    for (txn, reports, says) in STATUSES {
        sell(&app, txn, "100.00", "2026-06-01T00:00:00Z").await;
        for report in reports {
            send(&app, &format!("{report}&txn_id={txn}")).await;
        }
        let explained = explained(&viewer, txn).await;
        assert_eq!(one(&explained, "status")["says"], says, "{txn}");
    }
}

#[tokio::test]
async fn a_change_in_a_currency_without_a_rate_says_that_it_waits_for_one() {
    let app = TestApp::start(PROGRAMME).await;
    let viewer = app.as_role(Role::Viewer).await;
    sell(&app, "A", "100.00", "2026-06-01T00:00:00Z").await;
    let refund = "event=refund&txn_id=A&amount=8.00&currency=GBP&timestamp=2026-06-02T00:00:00Z";
    send(&app, refund).await;
    let waiting = explained(&viewer, "A").await;
    let change = one(one(&waiting, "changes"), "change");
    assert_eq!(
        change["says"],
        "refund of 8.00 GBP, at 2026-06-02T00:00:00.000000Z: waits for an exchange rate"
    );
    assert_eq!(
        one(change, "rate")["says"],
        "no rate of GBP in USD is known for then"
    );
    for earning in steps(&waiting, "earning") {
        let says = earning["says"].as_str().expect("a text");
        assert!(says.contains(", pending: awaiting_fx"), "{says}");
    }
    app.apply("[[fx_rate]]\nbase = \"GBP\"\nquote = \"USD\"\nrate = \"1.25\"\nat = 2026-01-01T00:00:00Z\n")
        .await;
    let told = explained(&viewer, "A").await;
    let changes = one(&told, "changes");
    assert_eq!(changes["says"], "refunded 10.00 USD, charged back 0.00 USD");
    let change = one(changes, "change");
    assert_eq!(
        change["says"],
        "refund of 8.00 GBP, at 2026-06-02T00:00:00.000000Z"
    );
    let rate = one(change, "rate");
    assert!(rate["position"].is_u64());
    let says = rate["says"].as_str().expect("a text");
    assert!(says.starts_with("1 GBP is 1.25 USD from "), "{says}");
}

const ALTERNATIVES: &str = r#"
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
id = "known"
on = "sale"
cpa = "100.00"
group = "sales"
when = { requires = ["kyc"] }
[[terms.rule]]
id = "big"
on = "sale"
cpa = "50.00"
group = "sales"
when = { amount_at_least = "500.00" }
[[terms.rule]]
id = "small"
on = "sale"
cpa = "10.00"
group = "sales"
[[terms.rule]]
id = "last"
on = "sale"
cpa = "1.00"
group = "sales"
when = { amount_at_least = "1000.00" }
[[terms.rule]]
id = "beside"
on = "sale"
cpa = "2.00"
"#;

#[tokio::test]
async fn a_rule_of_a_group_says_why_those_before_it_do_not_hold() {
    let app = TestApp::start(ALTERNATIVES).await;
    let viewer = app.as_role(Role::Viewer).await;
    let (known, big) = (
        "rule known of group sales comes first: `requires` does not hold",
        "rule big of group sales comes first: `amount_at_least` does not hold",
    );
    let none: &[&str] = &[];
    for (txn, amount, rules) in [
        (
            "A",
            "100.00",
            [("small", &[known, big][..]), ("beside", none)],
        ),
        ("B", "600.00", [("big", &[known][..]), ("beside", none)]),
    ] {
        sell(&app, txn, amount, "2026-06-01T00:00:00Z").await;
        let explained = explained(&viewer, txn).await;
        let lines = steps(&explained, "earning");
        assert_eq!(lines.len(), rules.len(), "{explained:#}");
        for (line, (rule, conditions)) in lines.into_iter().zip(rules) {
            let says = line["says"].as_str().expect("a text");
            assert!(says.starts_with(&format!("{rule} gives p1 ")), "{says}");
            assert_eq!(said(line, "condition"), conditions, "{txn}");
            let positions = steps(line, "condition").into_iter();
            assert!(positions.map(|step| &step["position"]).all(Value::is_u64));
        }
    }
}
