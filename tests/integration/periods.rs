//! Months are closed once, told to partners for ever, and corrected in the open.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use postbook::{
    secrets::{Role, Scope},
    statement::{Format, Issued},
    store::memory::MemoryStore,
};
use postbook_schemas::{Instant, Slug, statement::StatementIssued};
use serde_json::{Value, json};

use crate::support::{
    app::{Answered, Sender, TestApp},
    faulty_store::{Fault, FaultyStore},
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
name = "Ann & <Bob>"
[[partner]]
slug = "p2"
currency = "EUR"
[[coupon]]
code = "ONE"
offer = "acme/shop"
partner = "p1"
[[coupon]]
code = "TWO"
offer = "acme/shop"
partner = "p2"
[[fx_rate]]
base = "USD"
quote = "EUR"
rate = "0.5"
at = 2026-01-01T00:00:00Z
[[terms]]
offer = "acme/shop"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "30%"
[[terms.rule]]
id = "kyc-cpa"
on = "kyc"
cpa = "7.00"
approval = "manual"
"#;

async fn report(app: &TestApp, query: &str) {
    let path = format!("/api/postback/acme/shop?{query}");
    let answer = app.anonymous().get(&path).await;
    assert!(answer.status.is_success(), "{query}: {}", answer.text());
}

async fn sell(app: &TestApp, coupon: &str, txn: &str, amount: &str, at: &str) {
    let query =
        format!("event=sale&coupon_code={coupon}&txn_id={txn}&amount={amount}&timestamp={at}");
    report(app, &query).await;
}

async fn post(sender: &Sender<'_>, path: &str, body: Value) -> Answered {
    sender.post_json(path, &body.to_string()).await
}

async fn close(sender: &Sender<'_>, month: &str) -> Value {
    let path = format!("/v1/periods/{month}/close");
    let answer = post(sender, &path, json!({"reason": "files are in"})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    answer.json()
}

async fn statement(sender: &Sender<'_>, partner: &str, month: &str) -> Value {
    let path = format!("/v1/partners/{partner}/statements?period={month}");
    let list = sender.get(&path).await.json();
    let id = list["items"][0]["id"]
        .as_str()
        .expect("as it is answered")
        .to_owned();
    sender.get(&format!("/v1/statements/{id}")).await.json()
}

fn lines(statement: &Value) -> Vec<(String, Option<String>, i64)> {
    let lines = statement["lines"].as_array().expect("lines");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    lines
        .iter()
        .map(|line| {
            (
                text(&line["entry"]).expect("an entry"),
                text(&line["corrects"]),
                line["amount_minor"].as_i64().expect("an amount"),
            )
        })
        .collect()
}

fn line(entry: &str, corrects: Option<&str>, amount: i64) -> (String, Option<String>, i64) {
    (entry.to_owned(), corrects.map(str::to_owned), amount)
}

#[tokio::test]
async fn what_comes_after_the_close_is_posted_in_the_open_month_and_says_what_it_corrects() {
    let app = TestApp::start(PROGRAMME).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    sell(&app, "ONE", "B", "10.00", "2026-05-31T23:59:59Z").await;
    sell(&app, "ONE", "C", "20.00", "2026-06-01T00:00:00Z").await;
    let closed = close(&finance, "2026-05").await;
    assert_eq!(closed["statements"].as_array().unwrap().len(), 1);
    let may = statement(&finance, "p1", "2026-05").await;
    assert_eq!(lines(&may), [line("earning", None, 3_300)]);
    assert_eq!(
        (&may["opening_minor"], &may["closing_minor"]),
        (&json!(0), &json!(3_300))
    );
    assert_eq!(may["number"], 1);
    // Late: a sale of May, and a refund in May of another.
    sell(&app, "ONE", "D", "50.00", "2026-05-20T00:00:00Z").await;
    report(
        &app,
        "event=refund&txn_id=A&amount=20.00&timestamp=2026-05-25T00:00:00Z",
    )
    .await;
    report(&app, "event=refund&txn_id=B&timestamp=2026-06-02T00:00:00Z").await;
    assert_eq!(statement(&finance, "p1", "2026-05").await, may);
    let postings = finance
        .get("/v1/postings?partner=p1&period=2026-06")
        .await
        .json();
    let corrections: Vec<_> = postings["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|posting| posting["corrects"].clone())
        .collect();
    assert_eq!(
        corrections,
        [
            json!(null),
            json!("2026-05"),
            json!("2026-05"),
            json!("2026-05")
        ]
    );
    app.clock
        .set(Instant::parse_rfc3339("2026-07-03T08:00:00Z").unwrap());
    close(&finance, "2026-06").await;
    let june = statement(&finance, "p1", "2026-06").await;
    assert_eq!(
        lines(&june),
        [
            line("earning", None, 600),
            line("earning", Some("2026-05"), 1_500),
            line("reversal", Some("2026-05"), -600 - 300),
        ]
    );
    assert_eq!(june["opening_minor"], may["closing_minor"]);
    assert_eq!(june["closing_minor"], 3_300 + 600 - 300 + 1_500 - 600);
    assert_eq!(june["number"], 2);
}

#[tokio::test]
async fn a_statement_closes_with_the_balance_as_of_the_end_of_its_month_as_known_at_the_close() {
    let app = TestApp::start(PROGRAMME).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    report(
        &app,
        "event=kyc&coupon_code=ONE&customer_id=c&timestamp=2026-05-11T00:00:00Z",
    )
    .await;
    sell(&app, "ONE", "B", "10.00", "2026-06-03T00:00:00Z").await;
    let closed = close(&finance, "2026-05").await;
    let known_at = closed["closed_at"].as_str().unwrap().to_owned();
    app.clock.advance_micros(1_000_000);
    sell(&app, "ONE", "C", "40.00", "2026-05-12T00:00:00Z").await;
    let may = statement(&finance, "p1", "2026-05").await;
    let path = "/v1/partners/p1/balances?as_of=2026-05-31T23:59:59.999999Z&known_at=";
    let then = finance.get(&format!("{path}{known_at}")).await.json()["items"][0].clone();
    for name in ["pending_minor", "held_minor", "payable_minor"] {
        assert_eq!(may[name], then[name], "{name}");
    }
    assert_eq!(
        (&may["pending_minor"], &may["payable_minor"]),
        (&json!(700), &json!(3_000))
    );
    let today = finance.get("/v1/partners/p1/balances").await.json()["items"][0].clone();
    assert_eq!(today["payable_minor"], 3_000 + 300 + 1_200);
    for (query, count) in [
        ("as_of=2026-06-01T00:00:00Z", 1),
        ("as_of=2026-05-31T23:59:59Z", 0),
        ("known_at=2026-06-01T00:00:00Z", 0),
        (
            "known_at=2100-01-01T00:00:00Z&as_of=2100-01-01T00:00:00Z",
            1,
        ),
    ] {
        for path in ["/v1/statements", "/v1/partners/p1/statements"] {
            let told = finance.get(&format!("{path}?{query}")).await.json();
            let told = told["items"].as_array().expect("a list");
            assert_eq!(told.len(), count, "{path}?{query}");
        }
    }
}

#[tokio::test]
async fn looking_first_writes_nothing_and_shows_what_closing_tells() {
    let app = TestApp::start(PROGRAMME).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    sell(&app, "TWO", "B", "100.00", "2026-05-11T00:00:00Z").await;
    report(
        &app,
        "event=kyc&coupon_code=ONE&customer_id=c&timestamp=2026-05-12T00:00:00Z",
    )
    .await;
    let head = app.service.log.store().head();
    let path = "/v1/periods/2026-05/close";
    let seen = post(&finance, path, json!({"dry_run": true})).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text());
    assert_eq!(app.service.log.store().head(), head);
    let seen = seen.json();
    assert_eq!(
        (&seen["pending_lines"], &seen["awaiting_fx_lines"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        seen["statements"][0]["lines_minor"],
        json!({"earning": 3_700})
    );
    assert_eq!(seen["statements"][0]["pending_minor"], 700);
    let closed = close(&finance, "2026-05").await;
    for (seen, told) in seen["statements"]
        .as_array()
        .unwrap()
        .iter()
        .zip(closed["statements"].as_array().unwrap())
    {
        for name in [
            "partner",
            "currency",
            "number",
            "opening_minor",
            "closing_minor",
        ] {
            assert_eq!(seen[name], told[name], "{name}");
        }
    }
    let euros = statement(&finance, "p2", "2026-05").await;
    assert_eq!(
        (&euros["currency"], &euros["closing_minor"]),
        (&json!("EUR"), &json!(1_500))
    );
}

#[tokio::test]
async fn of_several_closes_at_once_one_wins_and_the_others_are_told_who() {
    let app = TestApp::start(PROGRAMME).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    let body = json!({"reason": "May"});
    let path = "/v1/periods/2026-05/close";
    let answers =
        futures_util::future::join_all((0..4).map(|_| post(&finance, path, body.clone()))).await;
    let won = answers.iter().filter(|it| it.status == StatusCode::CREATED);
    assert_eq!(won.count(), 1);
    for lost in answers.iter().filter(|it| it.status != StatusCode::CREATED) {
        assert_eq!(lost.status, StatusCode::CONFLICT);
        let detail = lost.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("2026-05 was closed by "), "{detail}");
    }
    let told = finance.get("/v1/statements").await.json();
    assert_eq!(told["items"].as_array().unwrap().len(), 1);
    let again = post(&finance, path, body).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn months_are_closed_in_turn_and_when_they_are_over() {
    let app = TestApp::start(PROGRAMME).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-04-10T00:00:00Z").await;
    let body = json!({"reason": "x"});
    for (month, status, said) in [
        (
            "2026-05",
            StatusCode::CONFLICT,
            "2026-04 has postings and is open",
        ),
        (
            "2026-06",
            StatusCode::CONFLICT,
            "2026-06 is not over before 2026-07-01",
        ),
        ("2026-07", StatusCode::CONFLICT, "2026-07 has not begun"),
        ("2026-13", StatusCode::UNPROCESSABLE_ENTITY, "write YYYY-MM"),
    ] {
        let answer = post(
            &finance,
            &format!("/v1/periods/{month}/close"),
            body.clone(),
        )
        .await;
        assert_eq!(answer.status, status, "{month}: {}", answer.text());
        assert!(answer.text().contains(said), "{month}: {}", answer.text());
    }
    // May, which has nothing, closes April's successor without being asked for by name.
    close(&finance, "2026-04").await;
    let early = json!({"reason": "the programme ends", "early": true});
    let answer = post(&finance, "/v1/periods/2026-06/close", early.clone()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let answer = post(&finance, "/v1/periods/2026-05/close", body.clone()).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    // A month that is to come would leave no month for what happens until then.
    for month in ["2026-07", "2027-01", "9999-12"] {
        let path = format!("/v1/periods/{month}/close");
        let answer = post(&finance, &path, early.clone()).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text());
        assert!(answer.text().contains("has not begun"), "{}", answer.text());
    }
    let missing = post(&finance, "/v1/periods/2026-07/close", json!({})).await;
    assert_eq!(missing.json()["field"], "reason");
    for role in [Role::Viewer, Role::Manager] {
        let other = app.as_role(role).await;
        let answer = post(&other, "/v1/periods/2026-07/close", body.clone()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_month_is_over_when_it_is_over_where_the_terms_are_at_home() {
    let app = TestApp::start(&PROGRAMME.replace(
        "effective_from = 2026-01-01T00:00:00Z",
        "effective_from = 2026-01-01T00:00:00Z\ntime_zone = \"America/Los_Angeles\"",
    ))
    .await;
    let finance = app.as_role(Role::Finance).await;
    app.clock
        .set(Instant::parse_rfc3339("2026-07-01T06:59:59Z").unwrap());
    sell(&app, "ONE", "A", "100.00", "2026-07-01T06:00:00Z").await;
    let body = json!({"reason": "x"});
    let path = "/v1/periods/2026-06/close";
    let answer = post(&finance, path, body.clone()).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let said = "not over before 2026-07-01T07:00:00.000000Z (its end in America/Los_Angeles)";
    assert!(answer.text().contains(said), "{}", answer.text());
    app.clock.advance_micros(1_000_000);
    close(&finance, "2026-06").await;
    let june = statement(&finance, "p1", "2026-06").await;
    assert_eq!(june["closing_minor"], 3_000, "it is still June there");
}

/// The service ends, or its log fails, at each moment between the cut and the last statement.
#[tokio::test]
async fn statements_that_are_missing_after_a_failure_are_issued_as_they_would_have_been() {
    let whole = told_after(vec![]).await;
    assert_eq!(whole.len(), 2);
    for fault in [Fault::AppendLost, Fault::AnswerLost] {
        for before in 0..4 {
            let mut faults = vec![Fault::None; before];
            faults.push(fault);
            assert_eq!(told_after(faults).await, whole, "{before} {fault:?}");
        }
    }
}

/// The statements of May by partner, after a close that met these faults, and what follows them.
async fn told_after(faults: Vec<Fault>) -> Vec<(String, Value)> {
    let mut shared = None;
    let app = TestApp::start_on(
        PROGRAMME,
        postbook::service::ServerOptions::default(),
        |secrets| Arc::new(postbook_schemas::ClickIdKey::new(secrets.click_id_key())),
        |ids| {
            let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new(ids)), []));
            shared = Some(Arc::clone(&store));
            store
        },
    )
    .await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    sell(&app, "TWO", "B", "100.00", "2026-05-11T00:00:00Z").await;
    shared.expect("the store was made").meet(faults);
    let body = json!({"reason": "x"});
    let path = "/v1/periods/2026-05/close";
    let first = post(&finance, path, body.clone()).await;
    if first.status != StatusCode::CREATED {
        assert_eq!(first.status, StatusCode::SERVICE_UNAVAILABLE);
        // The month may be closed by now, or not: asking again settles both.
        let again = post(&finance, path, body).await;
        let settled = [StatusCode::CREATED, StatusCode::CONFLICT];
        assert!(settled.contains(&again.status), "{}", again.text());
    }
    let mut told = Vec::new();
    for partner in ["p1", "p2"] {
        let mut statement = statement(&finance, partner, "2026-05").await;
        // An append whose answer was lost may have moved the cut.
        statement["closed_at_position"].take();
        told.push((partner.to_owned(), statement));
    }
    told
}

#[tokio::test]
async fn a_close_that_is_sent_again_is_answered_as_the_first_time() {
    let app = TestApp::start(PROGRAMME).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    let send = || {
        let request = finance
            .request("POST", "/v1/periods/2026-05/close")
            .header("Idempotency-Key", "may")
            .body(axum::body::Body::from(r#"{"reason":"May"}"#))
            .unwrap();
        app.send(request)
    };
    let first = send().await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text());
    assert_eq!(send().await.json(), first.json());
    let other = finance
        .request("POST", "/v1/periods/2026-04/close")
        .header("Idempotency-Key", "may")
        .body(axum::body::Body::from(r#"{"reason":"May"}"#))
        .unwrap();
    assert_eq!(app.send(other).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_statement_is_the_same_bytes_in_every_form_after_its_read_models_are_built_again() {
    let app = TestApp::start(PROGRAMME).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    let adjusted = json!({"partner": "p1", "amount_minor": -250, "reason": "=1+1 <b>"});
    post(&finance, "/v1/adjustments", adjusted).await;
    close(&finance, "2026-05").await;
    let early = json!({"reason": "x", "early": true});
    let june = post(&finance, "/v1/periods/2026-06/close", early)
        .await
        .json();
    let id = june["statements"][0]["id"].as_str().unwrap().to_owned();
    let forms = ["", ".json", ".csv", ".html"];
    let read = || async {
        let mut all = Vec::new();
        for form in forms {
            let answer = finance.get(&format!("/v1/statements/{id}{form}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            all.push(answer.body);
        }
        all
    };
    let before = read().await;
    sell(&app, "ONE", "B", "70.00", "2026-05-11T00:00:00Z").await;
    app.service
        .projector
        .rebuild(&postbook::projector::Control::default())
        .await
        .expect("it can be built again");
    assert_eq!(read().await, before);
    assert_eq!(before[0], before[1]);
    let csv = String::from_utf8(before[2].clone()).unwrap();
    assert!(csv.contains("'=1+1 <b>,1,-2.50\r\n"), "{csv}");
    let html = String::from_utf8(before[3].clone()).unwrap();
    assert!(html.contains("Ann &amp; &lt;Bob&gt; (p1)"), "{html}");
    assert!(html.contains("=1+1 &lt;b&gt;"), "{html}");
    let log = String::from_utf8(app.log_bytes().await).unwrap();
    let json = String::from_utf8(before[0].clone()).unwrap();
    assert!(
        log.contains(&format!("\"data\":{json}}}")),
        "the fact's own bytes"
    );
    let digest = app.service.tables.scan_digest().await.unwrap();
    assert_eq!(
        digest,
        app.service.tables.checkpoint().await.unwrap().digest
    );
}

#[tokio::test]
async fn a_partner_sees_its_own_statements_only() {
    let app = TestApp::start(PROGRAMME).await;
    let finance = app.as_role(Role::Finance).await;
    sell(&app, "ONE", "A", "100.00", "2026-05-10T00:00:00Z").await;
    sell(&app, "TWO", "B", "100.00", "2026-05-10T00:00:00Z").await;
    let closed = close(&finance, "2026-05").await;
    let ids: Vec<_> = closed["statements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| told["id"].as_str().unwrap().to_owned())
        .collect();
    let scope = Scope::Partner(Slug::try_new("p1").unwrap());
    let partner = app.with_token(app.token(Role::Viewer, scope).await);
    for (path, status) in [
        (format!("/v1/statements/{}", ids[0]), StatusCode::OK),
        (format!("/v1/statements/{}.html", ids[0]), StatusCode::OK),
        (format!("/v1/statements/{}", ids[1]), StatusCode::NOT_FOUND),
        (
            format!("/v1/statements/{}.pdf", ids[0]),
            StatusCode::NOT_FOUND,
        ),
        (
            "/v1/partners/p2/statements".to_owned(),
            StatusCode::FORBIDDEN,
        ),
        (
            "/v1/partners/p9/statements".to_owned(),
            StatusCode::FORBIDDEN,
        ),
    ] {
        assert_eq!(partner.get(&path).await.status, status, "{path}");
    }
    let own = partner.get("/v1/statements").await.json();
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    let periods = partner.get("/v1/periods").await.json();
    assert_eq!(periods["items"][0]["closed_by"], Value::Null);
    let request = partner
        .request("GET", &format!("/v1/statements/{}", ids[0]))
        .header(header::ACCEPT, "text/html,application/xhtml+xml;q=0.9")
        .body(axum::body::Body::empty())
        .unwrap();
    let page = app.send(request).await;
    assert_eq!(
        page.header(header::CONTENT_TYPE),
        Some("text/html; charset=utf-8")
    );
}

/// A statement of each form with a line of every sort, as it was shown when the form was made.
#[tokio::test]
async fn each_form_is_shown_as_it_always_was() {
    form_is_shown_as_it_always_was(1).await;
    form_is_shown_as_it_always_was(2).await;
    form_is_shown_as_it_always_was(3).await;
}

async fn form_is_shown_as_it_always_was(form: u32) {
    let app = TestApp::start(PROGRAMME).await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/statements");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
    // Form 3 has what forms before it did not tell apart.
    let told = if form < 3 { "form-1" } else { "form-3" };
    let data = read(&format!("{told}.json"));
    let mut fact: StatementIssued =
        serde_json::from_slice(&data).expect("the statement can be read");
    fact.form = form;
    app.append(&postbook_schemas::Fact::StatementIssued(fact))
        .await;
    let store = app.service.log.store();
    let mut issued = Issued::read(&**store, store.head())
        .await
        .expect("it is a statement");
    issued.id = "01970000-0000-7000-8000-00000000f001"
        .parse()
        .expect("it can be shown");
    assert!(issued.statement.adds_up());
    let html = format!("form-{form}.html");
    let csv = format!("{told}.csv");
    for (name, format) in [(&csv, Format::Csv), (&html, Format::Html)] {
        let shown = issued.document(format);
        if !folder.join(name).exists() {
            std::fs::write(folder.join(name), &shown).expect("it can be shown");
        }
        let (shown, kept) = (
            String::from_utf8(shown).expect("it can be shown"),
            read(name),
        );
        assert_eq!(
            shown,
            String::from_utf8(kept).expect("it can be shown"),
            "{name}: a form is never changed"
        );
    }
}
