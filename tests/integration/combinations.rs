//! Every outcome with every kind of credential on both endpoints: none is left out.

use std::collections::BTreeMap;

use axum::{body::Body, http::Request};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use postbook::secrets::{Role, Scope};
use postbook_schemas::{Fact, Outcome};
use sha2::Sha256;

use super::support::app::TestApp;

const KINDS: [&str; 5] = ["token", "header", "param", "none", "signature"];

/// Offers by what is special about them, each with a secret and, as `legacy-…`, without.
const OFFERS: [(&str, &str); 7] = [
    ("plain", ""),
    ("https", "require_https = true"),
    ("limited", "rate_limit = { per_second = 1 }"),
    ("listed", "allow_addresses = [\"192.0.2.0/24\"]"),
    ("signed", "require_signature = true"),
    ("expired", "retention_days = 0"),
    ("sandbox", "sandbox = true"),
];

const MORE: &str = r#"
[[terms]]
offer = "acme/plain"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "param"
on = "lead"
param = true
max = "50.00"
[[terms]]
offer = "acme/legacy-plain"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "param"
on = "lead"
param = true
max = "50.00"
"#;

fn programme() -> String {
    let mut parts = vec!["[[brand]]\nslug = \"acme\"\n[[partner]]\nslug = \"p1\"\n".to_owned()];
    for (name, setting) in OFFERS {
        for (prefix, legacy) in [("", false), ("legacy-", true)] {
            parts.push(format!(
                "[[offer]]\nbrand = \"acme\"\nslug = \"{prefix}{name}\"\ndestination = \"https://acme.example/\"\n\
                 legacy_without_secret = {legacy}\n{setting}\n\
                 [[link]]\nslug = \"to-{prefix}{name}\"\noffer = \"acme/{prefix}{name}\"\npartner = \"p1\"\n"
            ));
        }
    }
    parts.concat() + MORE
}

/// A service, and what opens its doors.
struct Stage {
    app: TestApp,
    token: String,
    secrets: BTreeMap<&'static str, String>,
}

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
struct Cell {
    outcome: Outcome,
    on_offer: bool,
    kind: &'static str,
    expected: &'static str,
}

impl Cell {
    /// The offer at which the outcome applies.
    fn offer(self) -> &'static str {
        match self.outcome {
            Outcome::InsecureTransport => "https",
            Outcome::RateLimited => "limited",
            Outcome::AddressNotAllowed => "listed",
            Outcome::BadSignature if self.kind != "signature" => "signed",
            Outcome::ExpiredClick => "expired",
            Outcome::Sandbox => "sandbox",
            _ => "plain",
        }
    }

    /// The slug of the offer that is named.
    fn slug(self) -> String {
        let is_legacy =
            self.on_offer && self.kind == "none" && self.outcome != Outcome::BadCredentials;
        match self.outcome {
            Outcome::UnknownOffer => "nothing".to_owned(),
            _ if is_legacy => format!("legacy-{}", self.offer()),
            _ => self.offer().to_owned(),
        }
    }

    /// What makes the outcome apply, as a query.
    async fn fields(self, app: &TestApp, number: usize) -> String {
        match self.outcome {
            Outcome::Malformed => "customer_id=c&customer_id=d".to_owned(),
            Outcome::MissingField => "amount=1".to_owned(),
            Outcome::InvalidValue => "customer_id=c&currency=QQQ".to_owned(),
            Outcome::PayoutNotAllowed => "customer_id=c&event=lead&payout=50.01".to_owned(),
            Outcome::UnknownClick => format!("click_id=nonsense&txn_id={number}"),
            Outcome::ExpiredClick => {
                let click = app.click(&format!("/to-{}", self.slug())).await;
                app.clock.advance_micros(1_000_000);
                format!("click_id={click}")
            }
            Outcome::Parked => format!("event=refund&txn_id=never-{number}"),
            _ => format!("customer_id=c&txn_id={number}"),
        }
    }
}

impl Stage {
    async fn new() -> Self {
        let app = TestApp::start(&programme()).await;
        let mut secrets = BTreeMap::new();
        for (name, _) in OFFERS {
            secrets.insert(name, app.secret(&format!("acme/{name}")).await);
        }
        Self {
            token: app.token(Role::Ingest, Scope::All).await,
            secrets,
            app,
        }
    }

    /// A request at which the cell's outcome applies.
    fn request(&self, cell: Cell, fields: &str) -> Request<Body> {
        let is_wrong = cell.outcome == Outcome::BadCredentials;
        let secret = if is_wrong {
            "wrong"
        } else {
            &self.secrets[cell.offer()]
        };
        // Before the fields: behind one that cannot be read, nothing is.
        let mut pairs = Vec::new();
        // A signature shows who sent it only where the offer is named.
        let names_offer = !(is_wrong && cell.kind == "signature");
        if !cell.on_offer && names_offer {
            pairs.push(format!("offer=acme/{}", cell.slug()));
        }
        if cell.kind == "param" || (is_wrong && cell.on_offer && cell.kind == "signature") {
            pairs.push(format!("secret={secret}"));
        }
        pairs.push(fields.to_owned());
        let query = pairs.join("&");
        let path = if cell.on_offer {
            format!("/api/postback/acme/{}?{query}", cell.slug())
        } else {
            format!("/postback?{query}")
        };
        let is_large = cell.outcome == Outcome::PayloadTooLarge;
        let mut request = Request::builder()
            .method(if is_large { "POST" } else { "GET" })
            .uri(path);
        match cell.kind {
            "token" if is_wrong => request = request.header("authorization", "Bearer pb_x"),
            "token" => request = request.header("authorization", format!("Bearer {}", self.token)),
            "header" => request = request.header("x-postback-secret", secret),
            "signature" => {
                for (name, value) in self.signature(cell, &query) {
                    request = request.header(name, value);
                }
            }
            _ => {}
        }
        let body = if is_large {
            vec![b'a'; 65_537]
        } else {
            Vec::new()
        };
        request.body(Body::from(body)).expect("a request")
    }

    /// As Standard Webhooks has it, under the offer's secret.
    fn signature(&self, cell: Cell, content: &str) -> [(&'static str, String); 3] {
        let age = if cell.outcome == Outcome::StaleTimestamp {
            301
        } else {
            0
        };
        let now = self.app.service.clock.now().micros() / 1_000_000;
        let (id, at) = (format!("msg_{now}"), now - age);
        let key = &self.secrets[cell.offer()];
        let mut hmac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key");
        hmac.update(format!("{id}.{at}.{content}").as_bytes());
        if cell.outcome == Outcome::BadSignature {
            hmac.update(b"x");
        }
        let mac = BASE64.encode(hmac.finalize().into_bytes());
        [
            ("webhook-id", id),
            ("webhook-timestamp", at.to_string()),
            ("webhook-signature", format!("v1,{mac}")),
        ]
    }

    async fn outcome(&self, cell: Cell, number: usize) -> (u16, Outcome) {
        self.app.clock.advance_micros(10_000_000);
        let fields = cell.fields(&self.app, number).await;
        if matches!(cell.outcome, Outcome::RateLimited | Outcome::Duplicate) {
            self.app.send(self.request(cell, &fields)).await;
        }
        let answer = self.app.send(self.request(cell, &fields)).await;
        let fact = self.app.last_fact().await.fact;
        let outcome = match &fact {
            Fact::PostbackRejected(rejected) => rejected.outcome,
            Fact::PostbackRepeated(repeated) => repeated.outcome,
            other => other
                .as_report()
                .map(|report| report.outcome)
                .or(other.as_change().map(|change| change.outcome))
                .expect("a report or a change"),
        };
        (answer.status.as_u16(), outcome)
    }
}

fn cells() -> Vec<Cell> {
    let table = include_str!("../data/intake/combinations.txt");
    let lines = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut cells = Vec::new();
    for line in lines {
        let columns: Vec<_> = line.split('|').collect();
        let [outcome, postback, offer] = columns.try_into().expect("three columns");
        let outcome = Outcome::from_code(outcome.trim()).expect("an outcome");
        for (on_offer, column) in [(false, postback), (true, offer)] {
            let words: Vec<_> = column.split_whitespace().collect();
            assert_eq!(words.len(), KINDS.len(), "{line}");
            cells.extend(KINDS.into_iter().zip(words).map(|(kind, expected)| Cell {
                outcome,
                on_offer,
                kind,
                expected,
            }));
        }
    }
    cells
}

#[test]
fn no_outcome_is_left_out_and_only_what_is_not_signed_cannot_be_stale() {
    let cells = cells();
    let outcomes: Vec<_> = cells
        .iter()
        .step_by(2 * KINDS.len())
        .map(|cell| cell.outcome)
        .collect();
    assert_eq!(outcomes, Outcome::ALL);
    for cell in cells {
        let cannot_be = cell.outcome == Outcome::StaleTimestamp && cell.kind != "signature";
        assert_eq!(cell.expected == "-", cannot_be, "{cell:?}");
    }
}

#[tokio::test]
async fn every_outcome_on_each_endpoint_with_each_kind_of_credential() {
    let stage = Stage::new().await;
    let mut wrong = Vec::new();
    for (number, cell) in cells().into_iter().enumerate() {
        let expected = match cell.expected {
            "=" => cell.outcome,
            "c" => Outcome::BadCredentials,
            _ => continue,
        };
        let (status, seen) = stage.outcome(cell, number).await;
        if (status, seen) != (expected.http_status(), expected) {
            wrong.push(format!("{cell:?}: {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
