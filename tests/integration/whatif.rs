//! What drafts would change, to the cent, and what adopting them posts.

use axum::http::StatusCode;
use postbook::secrets::{Role, Scope};
use postbook_schemas::Instant;
use serde_json::{Value, json};

use crate::support::app::{Answered, Sender, TestApp};

const PROGRAMME: &str = r#"
[[brand]]
slug = "acme"
[[offer]]
brand = "acme"
slug = "shop"
destination = "https://acme.example/"
legacy_without_secret = true
[[offer]]
brand = "acme"
slug = "other"
destination = "https://acme.example/"
legacy_without_secret = true
[[partner]]
slug = "p1"
[[partner]]
slug = "p2"
[[coupon]]
code = "ONE"
offer = "acme/shop"
partner = "p1"
[[coupon]]
code = "ONE"
offer = "acme/other"
partner = "p1"
[[terms]]
offer = "acme/other"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "10%"
"#;

/// The terms of the shop, which tests change.
fn terms(share: &str, from: &str) -> String {
    format!(
        "[[terms]]\noffer = \"acme/shop\"\neffective_from = {from}T00:00:00Z\n\
         [[terms.rule]]\nid = \"share\"\non = \"sale\"\nrevshare = \"{share}\"\n"
    )
}

async fn start() -> TestApp {
    let app = TestApp::start(PROGRAMME).await;
    app.apply(&terms("30%", "2026-01-01")).await;
    app
}

async fn report(app: &TestApp, offer: &str, query: &str) {
    let answer = app
        .anonymous()
        .get(&format!("/api/postback/acme/{offer}?{query}"))
        .await;
    assert!(answer.status.is_success(), "{query}: {}", answer.text());
}

async fn sell(app: &TestApp, coupon: &str, txn: &str, amount: &str, at: &str) {
    let query =
        format!("event=sale&coupon_code={coupon}&txn_id={txn}&amount={amount}&timestamp={at}");
    report(app, "shop", &query).await;
}

async fn post(sender: &Sender<'_>, path: &str, body: Value) -> Answered {
    sender.post_json(path, &body.to_string()).await
}

async fn try_it(sender: &Sender<'_>, text: &str) -> Value {
    let answer = sender
        .post("/v1/whatifs", "application/toml", text.as_bytes())
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

fn hash(made: &Value) -> &str {
    made["hash"].as_str().expect("a hash")
}

async fn adopt(sender: &Sender<'_>, made: &Value) -> Answered {
    let path = format!("/v1/whatifs/{}/adopt", hash(made));
    post(sender, &path, json!({"reason": "agreed with the partner"})).await
}

async fn close(app: &TestApp, month: &str) {
    let finance = app.as_role(Role::Finance).await;
    let path = format!("/v1/periods/{month}/close");
    let answer = post(&finance, &path, json!({"reason": "files are in"})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
}

async fn payable(sender: &Sender<'_>, partner: &str) -> i64 {
    let answer = sender
        .get(&format!("/v1/partners/{partner}/balances"))
        .await
        .json();
    answer["items"][0]["payable_minor"].as_i64().unwrap_or(0)
}

/// Everything a what-if may not touch: the kept bytes, and what the read models add up to.
async fn untouched(app: &TestApp) -> (Vec<u8>, String) {
    assert!(
        app.service
            .projector
            .wait_for_head(std::time::Duration::from_secs(10))
            .await
    );
    let checkpoint = app.service.tables.checkpoint().await.expect("a checkpoint");
    (app.log_bytes().await, format!("{checkpoint:?}"))
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn a_whatif_says_to_the_cent_whom_it_changes_and_writes_nothing() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    sell(&app, "ONE", "B", "10.01", "2026-06-01T00:00:00Z").await;
    sell(&app, "ONE", "C", "10.00", "2026-04-30T23:59:59Z").await;
    report(
        &app,
        "other",
        "event=sale&coupon_code=ONE&txn_id=O&amount=9.00",
    )
    .await;
    close(&app, "2026-04").await;
    close(&app, "2026-05").await;
    let before = untouched(&app).await;
    let made = try_it(&manager, &terms("35%", "2026-05-01")).await;
    let again = try_it(&manager, &terms("35%", "2026-05-01")).await;
    assert_eq!(untouched(&app).await, before);
    assert_eq!(hash(&made), hash(&again));
    let rows: Vec<_> = made["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            json!([
                row["txn_id"],
                row["old_minor"],
                row["new_minor"],
                row["difference_minor"],
                row["period"],
                row["closed"],
                row["posted_in"],
                row["posting"],
                row["reasons"]
            ])
        })
        .collect();
    assert_eq!(
        rows,
        [
            json!([
                "A",
                3000,
                3500,
                500,
                "2026-05",
                true,
                "2026-06",
                "earning",
                ["terms"]
            ]),
            json!([
                "B",
                300,
                350,
                50,
                "2026-06",
                false,
                "2026-06",
                "earning",
                ["terms"]
            ]),
        ]
    );
    let total = &made["totals"][0];
    assert_eq!(
        total["closed"],
        json!({"lines": 1, "old_minor": 3000, "new_minor": 3500, "difference_minor": 500})
    );
    assert_eq!(
        total["open"],
        json!({"lines": 1, "old_minor": 300, "new_minor": 350, "difference_minor": 50})
    );
    for (of, name) in [
        ("partners", "p1"),
        ("offers", "acme/shop"),
        ("periods", "2026-05"),
    ] {
        assert_eq!(made[of][0]["of"], name);
    }
    // The same by its hash, in every form.
    let path = format!("/v1/whatifs/{}", hash(&made));
    let kept = manager.get(&path).await.json();
    assert_eq!(
        (&kept["items"], &kept["adopted"]),
        (&made["items"], &Value::Null)
    );
    let csv = manager.get(&format!("{path}.csv")).await;
    assert_eq!(csv.text().lines().count(), 3, "{}", csv.text());
    assert!(
        csv.text().contains(",30.00,35.00,5.00,earning,"),
        "{}",
        csv.text()
    );
    let page = manager.get(&format!("{path}.html")).await;
    assert!(
        page.text().contains("<td class=\"n up\">5.00 USD</td>"),
        "{}",
        page.text()
    );
    let first = manager.get(&format!("{path}?limit=1")).await.json();
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = manager.get(&format!("{path}?cursor={cursor}")).await.json();
    assert_eq!(
        (&second["items"][0]["txn_id"], &second["next_cursor"]),
        (&json!("B"), &Value::Null)
    );
    let all = manager.get("/v1/whatifs").await.json();
    assert_eq!(
        (
            all["items"].as_array().unwrap().len(),
            &all["items"][0]["hash"]
        ),
        (1, &made["hash"])
    );
}

#[tokio::test]
async fn a_second_person_adopts_and_closed_months_are_corrected_in_the_open_one() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    sell(&app, "ONE", "B", "10.00", "2026-06-01T00:00:00Z").await;
    close(&app, "2026-05").await;
    let may = finance.get("/v1/statements").await.json()["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let told = finance
        .get(&format!("/v1/statements/{may}.json"))
        .await
        .body;
    let made = try_it(&manager, &terms("35%", "2026-05-01")).await;
    let own = adopt(&manager, &made).await;
    assert_eq!(own.status, StatusCode::FORBIDDEN, "{}", own.text());
    let head = app.service.log.store().head();
    let adopted = adopt(&finance, &made).await;
    assert_eq!(adopted.status, StatusCode::CREATED, "{}", adopted.text());
    let adopted = adopted.json();
    assert_eq!(adopted["position"], head + 1);
    assert_eq!(
        (&adopted["at_position"], &adopted["meanwhile"]),
        (&json!(head), &json!([]))
    );
    assert_eq!(payable(&finance, "p1").await, 3_500 + 350);
    assert_eq!(
        finance
            .get(&format!("/v1/statements/{may}.json"))
            .await
            .body,
        told
    );
    let postings = finance
        .get("/v1/postings?partner=p1&period=2026-06")
        .await
        .json();
    let corrections: Vec<_> = postings["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|posting| json!([posting["cause"], posting["corrects"], posting["kind"]]))
        .collect();
    assert_eq!(
        corrections[1..],
        [
            json!([head + 1, "2026-05", "earning"]),
            json!([head + 1, null, "earning"]),
        ]
    );
    // Adopting twice is recognised, whoever asks.
    let (log, _) = untouched(&app).await;
    let again = adopt(&finance, &made).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text());
    assert_eq!(
        (&again.json()["position"], &again.json()["already_adopted"]),
        (&json!(head + 1), &json!(true))
    );
    assert_eq!(app.log_bytes().await, log);
    let kept = manager
        .get(&format!("/v1/whatifs/{}", hash(&made)))
        .await
        .json();
    assert_eq!(kept["adopted"]["position"], head + 1);
    // From nothing the same comes out.
    app.assert_rebuilds_alike().await;
}

#[tokio::test]
async fn undoing_is_another_whatif_and_so_is_doing_it_again() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    let mut hashes = std::collections::BTreeSet::new();
    for (share, expected) in [
        ("35%", 3_500),
        ("30%", 3_000),
        ("35%", 3_500),
        ("30%", 3_000),
    ] {
        let made = try_it(&manager, &terms(share, "2026-01-01")).await;
        assert!(
            hashes.insert(hash(&made).to_owned()),
            "{share} had been tried under this hash"
        );
        let adopted = adopt(&finance, &made).await;
        assert_eq!(adopted.status, StatusCode::CREATED, "{}", adopted.text());
        assert_eq!(payable(&finance, "p1").await, expected);
    }
}

#[tokio::test]
async fn adopting_says_that_the_log_has_moved_on_and_shows_what_changed() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    let made = try_it(&manager, &terms("35%", "2026-05-01")).await;
    sell(&app, "ONE", "B", "10.00", "2026-06-01T00:00:00Z").await;
    report(
        &app,
        "shop",
        "event=refund&txn_id=A&amount=50.00&timestamp=2026-06-02T00:00:00Z",
    )
    .await;
    let (log, _) = untouched(&app).await;
    let refused = adopt(&finance, &made).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    assert_eq!(app.log_bytes().await, log);
    let refused = refused.json();
    assert_eq!(refused["code"], "moved_on");
    assert_eq!(refused["changed"]["added"][0]["txn_id"], "B");
    let other = &refused["changed"]["other"][0];
    assert_eq!(
        (&other["was"]["new_minor"], &other["now"]["new_minor"]),
        (&json!(3_500), &json!(1_750))
    );
    // What it is now can be looked at, and adopted by somebody else than who made it.
    let now = manager
        .get(&format!("/v1/whatifs/{}", refused["now"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(adopt(&manager, &now).await.status, StatusCode::FORBIDDEN);
    assert_eq!(adopt(&finance, &now).await.status, StatusCode::CREATED);
    assert_eq!(payable(&finance, "p1").await, 1_750 + 350);
}

#[tokio::test]
async fn facts_that_change_nothing_of_it_do_not_keep_it_from_being_adopted() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    let made = try_it(&manager, &terms("35%", "2026-05-01")).await;
    report(
        &app,
        "other",
        "event=sale&coupon_code=ONE&txn_id=O&amount=9.00",
    )
    .await;
    sell(&app, "NOBODY", "N", "100.00", "2026-06-10T00:00:00Z").await;
    let adopted = adopt(&finance, &made).await;
    assert_eq!(adopted.status, StatusCode::CREATED, "{}", adopted.text());
    assert_eq!(payable(&finance, "p1").await, 3_500 + 90);
}

#[tokio::test]
async fn of_several_adoptions_at_once_one_is_in_the_log() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    let made = try_it(&manager, &terms("35%", "2026-05-01")).await;
    let head = app.service.log.store().head();
    let answers = futures_util::future::join_all((0..6).map(|_| adopt(&finance, &made))).await;
    let created = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::CREATED);
    assert_eq!(created.count(), 1);
    for answer in &answers {
        assert_eq!(answer.json()["position"], head + 1, "{}", answer.text());
    }
    assert_eq!(app.service.log.store().head(), head + 2);
    assert_eq!(payable(&finance, "p1").await, 3_500);
}

#[tokio::test]
async fn rates_and_attribution_are_tried_like_terms() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    let finance = app.as_role(Role::Finance).await;
    app.apply("[[partner]]\nslug = \"e1\"\ncurrency = \"EUR\"\n[[coupon]]\ncode = \"EURO\"\noffer = \"acme/shop\"\npartner = \"e1\"\n\
        [[link]]\nslug = \"go\"\noffer = \"acme/shop\"\npartner = \"p2\"").await;
    sell(&app, "EURO", "E", "100.00", "2026-05-10T00:00:00Z").await;
    let rate =
        "[[fx_rate]]\nbase = \"USD\"\nquote = \"EUR\"\nrate = \"0.9\"\nat = 2026-01-01T00:00:00Z\n";
    let made = try_it(&manager, rate).await;
    let row = &made["items"][0];
    assert_eq!(
        json!([
            row["partner"],
            row["currency"],
            row["old_minor"],
            row["new_minor"],
            row["reasons"]
        ]),
        json!(["e1", "EUR", 0, 2_700, ["rate"]])
    );
    assert_eq!(adopt(&finance, &made).await.status, StatusCode::CREATED);
    assert_eq!(payable(&finance, "e1").await, 2_700);
    // A click and a coupon: the offer's order decides.
    let click = app.click("/go").await;
    let query = format!("event=sale&click_id={click}&coupon_code=ONE&txn_id=T&amount=10.00");
    report(&app, "shop", &query).await;
    assert_eq!(
        (payable(&finance, "p2").await, payable(&finance, "p1").await),
        (300, 0)
    );
    let offer = "[[offer]]\nbrand = \"acme\"\nslug = \"shop\"\ndestination = \"https://acme.example/\"\n\
        legacy_without_secret = true\nattribution = [\"coupon_code\", \"click_id\", \"customer_id\"]\n";
    let made = try_it(&manager, offer).await;
    let rows: Vec<_> = made["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            json!([
                row["partner"],
                row["difference_minor"],
                row["reasons"],
                row["credited"]
            ])
        })
        .collect();
    let credited = json!({"old": "p2", "new": "p1"});
    assert_eq!(
        rows,
        [
            json!(["p1", 300, ["attribution"], credited]),
            json!(["p2", -300, ["attribution"], credited])
        ]
    );
    assert_eq!(adopt(&finance, &made).await.status, StatusCode::CREATED);
    assert_eq!(
        (payable(&finance, "p2").await, payable(&finance, "p1").await),
        (0, 300)
    );
}

#[tokio::test]
async fn a_draft_mapping_says_what_refused_attempts_would_earn_and_adopting_reads_them_again() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    let finance = app.as_role(Role::Finance).await;
    // The sender calls things otherwise: the amount is not understood.
    let answer = app
        .anonymous()
        .get("/api/postback/acme/shop?event=sale&coupon_code=ONE&txn_id=M&amount=ten&sum=10.00")
        .await;
    assert_eq!(
        answer.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        answer.text()
    );
    let before = untouched(&app).await;
    let mapping = "[[mapping]]\noffer = \"acme/shop\"\n[mapping.fields]\namount = \"sum\"\n";
    let made = try_it(&manager, mapping).await;
    assert_eq!(untouched(&app).await, before);
    let row = &made["items"][0];
    assert_eq!(
        json!([
            row["txn_id"],
            row["old_minor"],
            row["new_minor"],
            row["reasons"],
            row["position"]
        ]),
        json!(["M", 0, 300, ["new"], null])
    );
    let adopted = adopt(&finance, &made).await;
    assert_eq!(adopted.status, StatusCode::CREATED, "{}", adopted.text());
    assert_eq!(adopted.json()["requeued"], 1);
    assert_eq!(payable(&finance, "p1").await, 300);
    let again = adopt(&finance, &made).await.json();
    assert_eq!(
        (&again["requeued"], &again["already_adopted"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(payable(&finance, "p1").await, 300);
}

#[tokio::test]
async fn what_cannot_be_tried_is_refused_by_name() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    for (text, said) in [
        (
            "[[coupon]]\ncode = \"ONE\"\noffer = \"acme/shop\"\npartner = \"p1\"\n".to_owned(),
            "nothing to try",
        ),
        (
            "[[partner]]\nslug = \"p9\"\n".to_owned(),
            "apply first: partner p9",
        ),
        (
            "[[terms]]\noffer = \"acme/nope\"\neffective_from = 2026-01-01T00:00:00Z\n".to_owned(),
            "acme/nope",
        ),
        ("nonsense = 1\n".to_owned(), "nonsense"),
    ] {
        let answer = manager
            .post("/v1/whatifs", "application/toml", text.as_bytes())
            .await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            answer.text()
        );
        assert!(answer.text().contains(said), "{}", answer.text());
    }
    let made = try_it(&manager, &terms("31%", "2026-01-01")).await;
    for (role, scope, making, reading) in [
        (
            Role::Viewer,
            Scope::All,
            StatusCode::FORBIDDEN,
            StatusCode::OK,
        ),
        (
            Role::Ingest,
            Scope::All,
            StatusCode::FORBIDDEN,
            StatusCode::FORBIDDEN,
        ),
        (
            Role::Viewer,
            Scope::Partner("p1".parse().unwrap()),
            StatusCode::FORBIDDEN,
            StatusCode::FORBIDDEN,
        ),
    ] {
        let other = app.with_token(app.token(role, scope).await);
        let answer = other.post("/v1/whatifs", "application/toml", b"").await;
        assert_eq!(answer.status, making, "{}", answer.text());
        assert_eq!(adopt(&other, &made).await.status, making);
        let answer = other.get(&format!("/v1/whatifs/{}", hash(&made))).await;
        assert_eq!(answer.status, reading, "{}", answer.text());
    }
    let finance = app.as_role(Role::Finance).await;
    let path = format!("/v1/whatifs/{}/adopt", hash(&made));
    assert_eq!(
        post(&finance, &path, json!({})).await.json()["field"],
        "reason"
    );
    let missing = format!("/v1/whatifs/{}/adopt", "0".repeat(64));
    let answer = post(&finance, &missing, json!({"reason": "r"})).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_another_version_of_the_derivation_that_is_known_can_be_tried() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    for (version, said) in [(1, "is in force"), (999, "is not known")] {
        let answer = post(&manager, "/v1/whatifs", json!({"derivation": version})).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        let problem = answer.json();
        assert_eq!(problem["field"], "derivation");
        assert!(
            problem["detail"].as_str().unwrap().contains(said),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn terms_that_begin_to_look_at_subs_see_those_of_clicks_that_converted_before() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    let finance = app.as_role(Role::Finance).await;
    app.apply("[[link]]\nslug = \"go\"\noffer = \"acme/shop\"\npartner = \"p2\"")
        .await;
    let click = app.click("/go?sub1=vip").await;
    report(
        &app,
        "shop",
        &format!("event=sale&click_id={click}&txn_id=T&amount=10.00"),
    )
    .await;
    let text = terms("50%", "2026-01-01") + "when = { sub1 = [\"vip\"] }\n";
    let made = try_it(&manager, &text).await;
    assert_eq!(made["items"][0]["new_minor"], 500, "{made}");
    assert_eq!(adopt(&finance, &made).await.status, StatusCode::CREATED);
    assert_eq!(payable(&finance, "p2").await, 500);
    app.assert_rebuilds_alike().await;
}

#[tokio::test]
async fn a_draft_can_be_tried_as_if_it_held_from_another_time() {
    let app = start().await;
    let manager = app.as_role(Role::Manager).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    sell(&app, "ONE", "B", "10.00", "2026-06-01T00:00:00Z").await;
    let body = json!({
        "files": [{"name": "draft.toml", "text": terms("40%", "2026-01-01")}],
        "from": Instant::parse_rfc3339("2026-06-01T00:00:00Z").unwrap(),
    });
    let made = post(&manager, "/v1/whatifs", body).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text());
    let made = made.json();
    assert_eq!(
        (made["lines"].as_u64(), &made["items"][0]["txn_id"]),
        (Some(1), &json!("B"))
    );
}
