//! Mappings: what senders built for other trackers say, request by request, and what is kept of it.

use axum::{body::Body, http::Request};
use postbook::secrets::{Role, Scope};
use postbook_schemas::{
    Envelope, Fact, OfferRef,
    mapping::presets,
    postback::{References, Report},
};

use super::support::{
    app::TestApp,
    table::{self, Step},
};

/// Offers of different currencies, without a mapping.
const PROGRAMME: &str = r#"
[[brand]]
slug = "acme"
[[offer]]
brand = "acme"
slug = "casino"
destination = "https://acme.example/"
goals = ["vip_upgrade"]
[[offer]]
brand = "acme"
slug = "yen"
currency = "JPY"
destination = "https://acme.example/"
[[partner]]
slug = "p1"
[[link]]
slug = "abc"
offer = "acme/casino"
partner = "p1"
[[coupon]]
code = "PARTNER20"
offer = "acme/casino"
partner = "p1"
"#;

/// A service with the mappings that a table begins with.
async fn app_of(table: &str) -> TestApp {
    let (mappings, _) = table.split_once("\n== ").expect("a table has cases");
    let app = TestApp::start(PROGRAMME).await;
    app.apply(mappings).await;
    app.clock.advance_micros(1_000_000);
    app
}

async fn check(file: &str, table: &str) {
    let app = app_of(table).await;
    let (_, cases) = table.split_once("\n== ").expect("a table has cases");
    let casino = OfferRef::try_new("acme/casino").expect("an offer");
    let token = app.token(Role::Ingest, Scope::Offer(casino)).await;
    let words = [
        ("$SECRET", app.secret("acme/casino").await),
        ("$YEN_SECRET", app.secret("acme/yen").await),
        ("$MANAGER", app.token(Role::Manager, Scope::All).await),
        ("$ANY_TOKEN", app.token(Role::Ingest, Scope::All).await),
        ("$TOKEN", token),
    ];
    let mut wrong = Vec::new();
    for case in table::parse(&format!("== {cases}")) {
        let mut words = words.to_vec();
        words.push(("$CLICK", app.click("/abc").await));
        for step in &case.steps {
            let answer = app.send(request(step, &words)).await;
            let mut seen = format!(
                "{} {}",
                answer.status.as_u16(),
                shown(&app.last_fact().await)
            );
            for (word, value) in &words {
                seen = seen.replace(value, word);
            }
            let expected = format!("{} {}", step.status, step.answer);
            if seen != expected {
                wrong.push(format!(
                    "{file}: {}\n  expected {expected}\n  seen     {seen}",
                    case.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn request(step: &Step, words: &[(&str, String)]) -> Request<Body> {
    let fill = |text: &str| {
        let filled = words.iter();
        filled.fold(text.to_owned(), |text, (word, value)| {
            text.replace(word, value)
        })
    };
    let mut request = Request::builder()
        .method(step.method.as_str())
        .uri(fill(&step.path));
    for (name, value) in &step.headers {
        request = request.header(name, fill(value));
    }
    request
        .body(Body::from(fill(&step.body)))
        .expect("a request")
}

/// The fields of a fact, those that are there.
pub(crate) fn shown(envelope: &Envelope) -> String {
    let mut parts = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        parts.extend(value.map(|value| format!("{name}={value}")));
    };
    let head = match &envelope.fact {
        Fact::PostbackRejected(rejected) => {
            let field = rejected.field.as_deref().unwrap_or("-");
            return format!("{} {field}: {}", rejected.outcome.code(), rejected.detail);
        }
        Fact::PostbackRepeated(repeated) => {
            let differences = repeated.differences.iter();
            let fields: Vec<_> = differences.map(|one| one.field.as_str()).collect();
            return format!("duplicate differs=[{}]", fields.join(","));
        }
        Fact::AbuseReported(report) => {
            references(&report.references, &mut add);
            format!("{} {}", report.abuse.code(), report.outcome.code())
        }
        fact => {
            if let Some(report) = fact.as_report() {
                report_fields(report, &mut add);
                format!("{} {}", report.kind.code(), report.outcome.code())
            } else {
                let change = fact.as_change().expect("a report or a change");
                references(&change.references, &mut add);
                add(
                    "amount_minor",
                    change.amount_minor.map(|minor| minor.to_string()),
                );
                add(
                    "status",
                    change.status.map(|status| status.code().to_owned()),
                );
                format!("{} {}", change.change.code(), change.outcome.code())
            }
        }
    };
    if envelope.occurred_at != envelope.recorded_at {
        add(
            "at",
            Some(envelope.occurred_at.to_string().replace(".000000Z", "Z")),
        );
    }
    let attempt = envelope.fact.attempt().expect("an attempt");
    if let Some(mapping) = &attempt.mapping {
        let words: Vec<_> = mapping
            .words
            .iter()
            .map(|(field, word)| format!("{field}:{word}"))
            .collect();
        add("words", (!words.is_empty()).then(|| words.join(",")));
    }
    format!("{head} {}", parts.join(" "))
}

fn report_fields(report: &Report, add: &mut impl FnMut(&str, Option<String>)) {
    references(&report.references, add);
    add(
        "amount_minor",
        report.amount_minor.map(|minor| minor.to_string()),
    );
    add("currency", Some(report.currency.to_string()));
    add(
        "payout_minor",
        report.payout_minor.map(|minor| minor.to_string()),
    );
    add(
        "quantity",
        report.quantity.map(|quantity| quantity.to_string()),
    );
    add(
        "status",
        report.status.map(|status| status.code().to_owned()),
    );
    for (name, value) in report.subs.iter().chain(&report.metadata) {
        add(name, Some(value.clone()));
    }
    add("event", report.event.clone());
}

fn references(references: &References, add: &mut impl FnMut(&str, Option<String>)) {
    add("txn_id", references.txn_id.clone());
    add("event_id", references.event_id.clone());
    add("click_id", references.click_id.clone());
    add("customer_id", references.customer_id.clone());
    add("coupon_code", references.coupon_code.clone());
}

macro_rules! tables {
    ($($test:ident = $file:literal;)+) => {
        $(
            #[tokio::test]
            async fn $test() {
                check($file, include_str!(concat!("../data/mapping/", $file))).await;
            }
        )+

        const TABLES: &[&str] = &[$($file,)+];
    };
}

tables! {
    senders_built_for_affise_are_understood = "affise.txt";
    senders_built_for_binom_are_understood = "binom.txt";
    senders_built_for_everflow_are_understood = "everflow.txt";
    senders_built_for_keitaro_are_understood = "keitaro.txt";
    senders_built_for_redtrack_are_understood = "redtrack.txt";
    senders_built_for_tune_are_understood = "tune.txt";
    senders_built_for_voluum_are_understood = "voluum.txt";
    a_mapping_names_fields_units_words_and_times = "own.txt";
    without_a_mapping_the_standard_names_hold = "none.txt";
}

#[test]
fn every_preset_has_its_table_and_its_page() {
    for preset in presets::ALL {
        let table = format!("{}.txt", preset.name);
        assert!(TABLES.contains(&table.as_str()), "{table}");
        let page = include_str!("../../docs/integrations/presets.md");
        let heading = format!("\n## {}\n", preset.name);
        assert!(
            page.contains(&heading),
            "docs/integrations/presets.md lacks {}",
            preset.name
        );
    }
}

#[tokio::test]
async fn a_secret_under_the_senders_own_name_is_in_no_fact() {
    let table = include_str!("../data/mapping/affise.txt");
    let app = app_of(table).await;
    let click = app.click("/abc").await;
    for secret in [app.secret("acme/casino").await, "a-guess".to_owned()] {
        for path in [
            format!("/api/postback/acme/casino?clickid={click}&secure={secret}&action_id=1"),
            format!("/api/postback/acme/casino?secure={secret}&sum=%zz"),
        ] {
            app.anonymous().get(&path).await;
        }
        let body = format!(r#"{{"secure":"{secret}","clickid":["#);
        let path = "/api/postback/acme/casino";
        app.anonymous().post_json(path, &body).await;
        let log = app.log_bytes().await;
        assert!(memchr::memmem::find(&log, secret.as_bytes()).is_none());
    }
}

#[tokio::test]
async fn the_attempt_keeps_which_mapping_read_it_and_taking_it_away_ends_it() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    app.apply("[[mapping]]\noffer = \"acme/casino\"\npreset = \"voluum\"")
        .await;
    let position = app.service.log.store().head();
    let path =
        |id: u8| format!("/api/postback/acme/casino?secret={secret}&cid=x&customer_id=c&txid={id}");
    app.anonymous().get(&path(1)).await;
    let fact = app.last_fact().await.fact;
    let attempt = fact.attempt().expect("an attempt");
    let used = attempt.mapping.as_ref().expect("a mapping was used");
    assert_eq!(used.position, Some(position));
    assert_eq!(used.sha256, None);
    app.apply("[[mapping]]\noffer = \"acme/casino\"").await;
    app.anonymous().get(&path(2)).await;
    let fact = app.last_fact().await.fact;
    let report = fact.as_report().expect("a sale");
    assert_eq!(report.references.txn_id, None);
    assert_eq!(report.attempt.mapping, None);
}
