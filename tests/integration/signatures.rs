//! Signatures by endpoint, kind of credential and outcome; messages that others signed; keys that change.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use postbook::{
    commands::credential::{self, By, Keys},
    secrets::{KeyBytes, KeyKind, Role, Scope, Secrets, new_offer_key, new_token},
};
use postbook_schemas::{
    Attempt, Credential, Fact, OfferRef, Outcome, Strength, configuration::CredentialKind,
    envelope::Source,
};
use sha2::Sha256;

use super::support::app::TestApp;

const PROGRAMME: &str = r#"
[[brand]]
slug = "acme"

[[offer]]
brand = "acme"
slug = "casino"
destination = "https://acme.example/"

[[offer]]
brand = "acme"
slug = "signed"
destination = "https://acme.example/"
require_signature = true
signature_tolerance_seconds = 60

[[offer]]
brand = "acme"
slug = "keyed"
destination = "https://acme.example/"

[[offer]]
brand = "acme"
slug = "bare"
destination = "https://acme.example/"

[[offer]]
brand = "acme"
slug = "legacy"
destination = "https://acme.example/"
legacy_without_secret = true

[[offer]]
brand = "acme"
slug = "legacysigned"
destination = "https://acme.example/"
legacy_without_secret = true
require_signature = true
"#;

/// Seconds since 1970 of the tests' clock.
const NOW_SECONDS: i64 = 1_781_524_800;

/// The sender's own key.
fn own_key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

fn offer(name: &str) -> OfferRef {
    OfferRef::try_new(&format!("acme/{name}")).expect("an offer")
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    hmac.update(message);
    hmac.finalize().into_bytes().to_vec()
}

async fn add_key(app: &TestApp, name: &str, kind: KeyKind, bytes: &KeyBytes) {
    let info = new_offer_key(&offer(name), kind, app.service.clock.now());
    let added = app.service.secrets.add_offer_key(&info, bytes, None, None);
    added.await.expect("the key is added");
}

async fn add_own_key(app: &TestApp, name: &str) {
    let public = BASE64.encode(own_key().verifying_key().to_bytes());
    let bytes = KeyBytes::of_public_key(&format!("whpk_{public}")).expect("a public key");
    add_key(app, name, KeyKind::PublicKey, &bytes).await;
}

/// A service with what the table's words stand for.
struct Stage {
    app: TestApp,
    casino: String,
    retired: String,
    signed: String,
    token: String,
    other_token: String,
    viewer: String,
}

impl Stage {
    async fn new() -> Self {
        let app = TestApp::start(PROGRAMME).await;
        for name in ["casino", "signed", "keyed"] {
            add_own_key(&app, name).await;
        }
        // The helper lets the one before stay for an hour: here it ends at once.
        let old = app.secret("acme/casino").await;
        let now = app.service.clock.now();
        let casino = offer("casino");
        let made = app.service.secrets.rotate_offer_secret(&casino, 0, now);
        let new = made.await.expect("made").1.reveal().to_owned();
        Self {
            casino: new,
            retired: old,
            signed: app.secret("acme/signed").await,
            token: app.token(Role::Ingest, Scope::All).await,
            other_token: app.token(Role::Ingest, Scope::Offer(offer("bare"))).await,
            viewer: app.token(Role::Viewer, Scope::All).await,
            app,
        }
    }

    fn secret(&self, name: &str) -> &str {
        match name {
            "signed" => &self.signed,
            _ => &self.casino,
        }
    }
}

/// One line of the table.
#[derive(Debug)]
struct Row<'t> {
    endpoint: &'t str,
    offer: &'t str,
    shown: &'t str,
    signature: &'t str,
    outcome: &'t str,
    strength: &'t str,
}

impl<'t> Row<'t> {
    fn parse(line: &'t str) -> Self {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let columns = <[&str; 6]>::try_from(columns).expect("six columns");
        let [endpoint, offer, shown, signature, outcome, strength] = columns;
        Self {
            endpoint,
            offer,
            shown,
            signature,
            outcome,
            strength,
        }
    }

    fn request(&self, stage: &Stage, number: usize) -> Request<Body> {
        let is_get = self.endpoint.starts_with("GET");
        let on_offer = self.endpoint.ends_with("/api");
        let named = self.endpoint.ends_with("/postback+offer");
        let mut pairs = vec![
            format!("customer_id=c{number}"),
            format!("txn_id=t{number}"),
        ];
        if named {
            pairs.push(format!("offer=acme/{}", self.offer));
        }
        if self.signature.contains("malformed") {
            pairs.push("customer_id=twice".to_owned());
        }
        let secret = stage.secret(self.offer).to_owned();
        for word in self.shown.split('+') {
            match word {
                "param" => pairs.push(format!("secret={secret}")),
                "bad-param" => pairs.push("secret=wrong".to_owned()),
                _ => {}
            }
        }
        let content = pairs.join("&");
        let mut query = if is_get {
            content.clone()
        } else {
            String::new()
        };
        let mut headers = self.signature_headers(stage, &content);
        if let Some(at) = headers.iter().position(|(name, _)| *name == "parameter") {
            let (_, value) = headers.remove(at);
            query = format!("signature={value}&{query}");
        }
        for word in self.shown.split('+') {
            let header = match word {
                "header" => ("x-postback-secret", secret.clone()),
                "bad-header" => ("x-postback-secret", "wrong".to_owned()),
                "token" => ("authorization", format!("Bearer {}", stage.token)),
                "other-token" => ("authorization", format!("Bearer {}", stage.other_token)),
                "viewer" => ("authorization", format!("Bearer {}", stage.viewer)),
                "bad-token" => ("authorization", "Bearer pb_x".to_owned()),
                "none" | "param" | "bad-param" => continue,
                other => unreachable!("{other} is not a credential"),
            };
            headers.push(header);
        }
        let path = if on_offer {
            format!("/api/postback/acme/{}", self.offer)
        } else {
            "/postback".to_owned()
        };
        let path = if query.is_empty() {
            path
        } else {
            format!("{path}?{query}")
        };
        let mut request = Request::builder()
            .method(if is_get { "GET" } else { "POST" })
            .uri(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if is_get {
            return request.body(Body::empty()).expect("a request");
        }
        let form = request.header("content-type", "application/x-www-form-urlencoded");
        form.body(Body::from(content)).expect("a request")
    }

    /// The headers of the signature; `parameter` stands for the one in the query.
    fn signature_headers(&self, stage: &Stage, content: &str) -> Vec<(&'static str, String)> {
        let mut key = stage.secret(self.offer).as_bytes().to_vec();
        let mut at = NOW_SECONDS;
        let mut signed = content.to_owned();
        for word in self.signature.split_whitespace().skip(1) {
            match word.split_once('=') {
                Some(("old", seconds)) => at -= seconds.parse::<i64>().expect("seconds"),
                Some(("ahead", seconds)) => at += seconds.parse::<i64>().expect("seconds"),
                _ if word == "retired" => key = stage.retired.clone().into_bytes(),
                _ if word == "wrong" => signed.push('x'),
                _ if word == "malformed" => {}
                _ => unreachable!("{word} is nothing a signature can be"),
            }
        }
        let id = format!("msg_{}", content.len());
        let named = format!("{id}.{at}.{signed}");
        let v1 = || format!("v1,{}", BASE64.encode(hmac(&key, named.as_bytes())));
        let v1a = || {
            let signature = own_key().sign(named.as_bytes());
            format!("v1a,{}", BASE64.encode(signature.to_bytes()))
        };
        let webhook = |list: String| {
            vec![
                ("webhook-id", id.clone()),
                ("webhook-timestamp", at.to_string()),
                ("webhook-signature", list),
            ]
        };
        let plain = || hex::encode(hmac(&key, signed.as_bytes()));
        match self.signature.split_whitespace().next().unwrap_or("none") {
            "none" => Vec::new(),
            "tds" => vec![("x-tds-signature", plain())],
            "upper" => vec![("x-tds-signature", plain().to_uppercase())],
            "prefixed" => vec![("x-tds-signature", format!("sha256={}", plain()))],
            "parameter" => vec![("parameter", plain())],
            "broken" => vec![("x-tds-signature", "abc".to_owned())],
            "timed" => vec![
                (
                    "x-tds-signature",
                    hex::encode(hmac(&key, format!("{at}.{signed}").as_bytes())),
                ),
                ("x-tds-timestamp", at.to_string()),
            ],
            "v1" => webhook(v1()),
            "v1a" => webhook(v1a()),
            "v1+v1a" => webhook(format!("{} {}", v1(), v1a())),
            "v2+v1" => webhook(format!("v2,AAAA {}", v1())),
            "no-id" => webhook(v1()).split_off(1),
            other => unreachable!("{other} is no kind of signature"),
        }
    }
}

fn attempt(fact: &Fact) -> (Outcome, &Attempt) {
    if let Fact::PostbackRejected(rejected) = fact {
        return (rejected.outcome, &rejected.attempt);
    }
    if let Fact::PostbackRepeated(repeated) = fact {
        return (repeated.outcome, &repeated.attempt);
    }
    let report = fact.as_report().expect("a report");
    (report.outcome, &report.attempt)
}

fn word(credential: Option<&Credential>) -> String {
    credential.map_or("-".to_owned(), |credential| {
        serde_json::to_value(credential.strength)
            .expect("a word")
            .as_str()
            .expect("a word")
            .to_owned()
    })
}

#[tokio::test]
async fn every_kind_of_credential_on_every_endpoint_has_its_outcome() {
    let stage = Stage::new().await;
    let mut wrong = Vec::new();
    let table = include_str!("../data/intake/signatures.txt");
    let rows = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for (number, line) in rows.enumerate() {
        let row = Row::parse(line);
        let answer = stage.app.send(row.request(&stage, number)).await;
        let fact = stage.app.last_fact().await.fact;
        let (outcome, attempt) = attempt(&fact);
        let credential = attempt.credential.as_ref();
        assert_eq!(answer.status.as_u16(), outcome.http_status(), "{line}");
        let seen = (outcome.code(), word(credential));
        if seen != (row.outcome, row.strength.to_owned()) {
            wrong.push(format!("{line}\n  seen {seen:?} {}", answer.text()));
        }
        let has_id = credential.is_some_and(|credential| credential.key_id.is_some());
        assert_eq!(has_id, !["-", "none"].contains(&row.strength), "{line}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let log = stage.app.log_bytes().await;
    for secret in [&stage.casino, &stage.signed, &stage.retired] {
        assert!(memchr::memmem::find(&log, secret.as_bytes()).is_none());
    }
}

/// Sends what others signed, and the same with its last byte changed.
async fn send_vector(app: &TestApp, line: &str) -> [u16; 2] {
    let mut columns = line.splitn(6, ' ');
    let mut next = || columns.next().expect("six columns");
    let (kind, method, id, at, signature, content) =
        (next(), next(), next(), next(), next(), next());
    let mut statuses = [0; 2];
    let changed = match content.as_bytes().last() {
        Some(b'}') => content.replace('{', "{ "),
        _ => format!("{content}1"),
    };
    for (status, content) in statuses.iter_mut().zip([changed, content.to_owned()]) {
        let path = "/api/postback/acme/bare";
        let path = match method {
            "GET" => format!("{path}?{content}"),
            _ => path.to_owned(),
        };
        let mut request = Request::builder().method(method).uri(path);
        request = match kind {
            "tds" if at == "-" => request.header("x-tds-signature", signature),
            "tds" => request
                .header("x-tds-signature", signature)
                .header("x-tds-timestamp", at),
            _ => request
                .header("webhook-id", id)
                .header("webhook-timestamp", at)
                .header("webhook-signature", signature),
        };
        let body = if method == "GET" {
            String::new()
        } else {
            content
        };
        let answer = app.send(request.body(Body::from(body)).expect("a request"));
        *status = answer.await.status.as_u16();
    }
    statuses
}

#[tokio::test]
async fn messages_that_others_signed_are_taken_and_changed_ones_refused() {
    let app = TestApp::start(PROGRAMME).await;
    let vectors = include_str!("../data/intake/vectors.txt");
    let own = format!("whsec_{}", BASE64.encode("S".repeat(64)));
    let bytes = KeyBytes::of_signing_secret(&own).expect("a secret");
    add_key(&app, "bare", KeyKind::SigningSecret, &bytes).await;
    let mut count = 0;
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        if let Some(secret) = line.strip_prefix("secret ") {
            let bytes = KeyBytes::of_signing_secret(secret).expect("a secret");
            add_key(&app, "bare", KeyKind::SigningSecret, &bytes).await;
        } else if let Some(public) = line.strip_prefix("public ") {
            let bytes = KeyBytes::of_public_key(public).expect("a public key");
            add_key(&app, "bare", KeyKind::PublicKey, &bytes).await;
        } else {
            assert_eq!(send_vector(&app, line).await, [401, 200], "{line}");
            count += 1;
        }
    }
    assert_eq!(count, 16);
}

/// Posts a form to the casino, signed by the given headers.
async fn post(app: &TestApp, headers: &[(&str, String)], body: &str) -> serde_json::Value {
    let mut request = Request::post("/api/postback/acme/casino");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = app.send(
        request
            .body(Body::from(body.to_owned()))
            .expect("a request"),
    );
    answer.await.json()
}

#[tokio::test]
async fn the_same_signed_message_counts_once_though_nothing_in_it_is_unique() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await.into_bytes();
    let body = "customer_id=c&amount=5";
    let tds = |body: &str| {
        (
            "x-tds-signature",
            hex::encode(hmac(&secret, body.as_bytes())),
        )
    };
    let webhook = |id: &str, at: i64| {
        let message = format!("{id}.{at}.{body}");
        vec![
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", at.to_string()),
            (
                "webhook-signature",
                format!("v1,{}", BASE64.encode(hmac(&secret, message.as_bytes()))),
            ),
        ]
    };
    let plain = vec![tds(body)];
    let upper = vec![("x-tds-signature", tds(body).1.to_uppercase())];
    let key = |value: &str| ("idempotency-key", value.to_owned());
    let (first, later) = (
        webhook("msg_1", NOW_SECONDS),
        webhook("msg_1", NOW_SECONDS + 9),
    );
    for (what, headers, status) in [
        ("an HMAC", plain.clone(), "ok"),
        ("the same", plain.clone(), "duplicate"),
        ("in capitals", upper, "duplicate"),
        (
            "a key that is not signed",
            [plain, vec![key("x")]].concat(),
            "duplicate",
        ),
        ("a message", first.clone(), "ok"),
        ("the same message", first.clone(), "duplicate"),
        ("the same, signed later", later, "duplicate"),
        (
            "a key beside",
            [first, vec![key("y")]].concat(),
            "duplicate",
        ),
        ("another message", webhook("msg_2", NOW_SECONDS), "ok"),
    ] {
        let answer = post(&app, &headers, body).await;
        assert_eq!(answer["data"]["status"], status, "{what}: {answer}");
    }
    // What is unique anyway stays so, whoever signs it how.
    let refund = "event=refund&txn_id=1&amount=5";
    let status = post(&app, &[tds(refund)], refund).await["data"]["status"].clone();
    assert_eq!(status, "parked");
    let respelled = "txn_id=1&event=refund&amount=5.00";
    let status = post(&app, &[tds(respelled)], respelled).await["data"]["status"].clone();
    assert_eq!(status, "duplicate");
}

#[tokio::test]
async fn a_key_that_does_not_count_is_warned_of() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    let body = "customer_id=c&amount=5";
    let signature = hex::encode(hmac(secret.as_bytes(), body.as_bytes()));
    let request = Request::post("/api/postback/acme/casino")
        .header("x-tds-signature", signature)
        .header("idempotency-key", "x")
        .body(Body::from(body));
    let answer = app.send(request.expect("a request")).await;
    let warning = answer.headers["warning"].to_str().expect("text");
    assert!(
        warning.contains("Idempotency-Key is not signed"),
        "{warning}"
    );
}

#[tokio::test]
async fn who_signed_by_which_key_is_kept() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/casino").await;
    add_own_key(&app, "casino").await;
    let keys = app.service.secrets.offer_keys("acme/casino");
    let id = |kind| {
        keys.iter()
            .find(|key| key.kind == kind)
            .map(|key| key.id.to_string())
    };
    let body = "customer_id=c&txn_id=1";
    let signature = (
        "x-tds-signature",
        hex::encode(hmac(secret.as_bytes(), body.as_bytes())),
    );
    post(&app, &[signature], body).await;
    let envelope = app.last_fact().await;
    assert_eq!(envelope.actor, "offer:acme/casino");
    let (_, kept) = attempt(&envelope.fact);
    let credential = kept.credential.clone().expect("a credential");
    assert_eq!(credential.strength, Strength::Hmac);
    assert_eq!(credential.key_id, id(KeyKind::Secret));

    let message = format!("m.{NOW_SECONDS}.{body}2");
    let token = app.token(Role::Ingest, Scope::All).await;
    let headers = [
        ("authorization", format!("Bearer {token}")),
        ("webhook-id", "m".to_owned()),
        ("webhook-timestamp", NOW_SECONDS.to_string()),
        (
            "webhook-signature",
            format!(
                "v1a,{}",
                BASE64.encode(own_key().sign(message.as_bytes()).to_bytes())
            ),
        ),
    ];
    post(&app, &headers, &format!("{body}2")).await;
    let envelope = app.last_fact().await;
    assert!(envelope.actor.starts_with("token:"), "{}", envelope.actor);
    let (_, kept) = attempt(&envelope.fact);
    let credential = kept.credential.clone().expect("a credential");
    assert_eq!(credential.strength, Strength::StandardWebhooksEd25519);
    assert_eq!(credential.key_id, id(KeyKind::PublicKey));
}

#[tokio::test]
async fn a_running_service_takes_up_what_another_process_makes_and_records_it() {
    let app = TestApp::start(PROGRAMME).await;
    let watching = tokio::spawn(credential::watch(Arc::clone(&app.service)));
    let beside = Keys {
        secrets: Arc::new(Secrets::open(app.data()).await.expect("opens beside")),
        ..Keys::of(&app.service)
    };
    let by = By {
        actor: "cli".into(),
        source: Source {
            endpoint: "postbook test".to_owned(),
            address: None,
        },
    };
    let (_, token) = beside
        .create_token(Role::Ingest, "theirs", Scope::All, &by)
        .await
        .expect("made");
    let casino = offer("casino");
    let made = beside.rotate_offer_secret(&casino, 0, &by).await;
    let (secret_info, secret) = made.expect("made");
    let is_known = || {
        let secrets = &app.service.secrets;
        secrets.verify_token(token.reveal()).is_some()
            && secrets.means("acme/casino", app.service.clock.now()).hmac
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !is_known() || !beside.secrets.unrecorded().await.expect("read").is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("it is taken up in time");
    watching.abort();
    let body = "customer_id=c&txn_id=1";
    let signature = hex::encode(hmac(secret.reveal().as_bytes(), body.as_bytes()));
    let fact = app.last_fact().await;
    let Fact::CredentialRotated(rotated) = &fact.fact else {
        panic!("what was made is recorded: {fact:?}");
    };
    assert_eq!(rotated.credential, CredentialKind::OfferSecret);
    assert_eq!((&*rotated.key_id, &*fact.actor), (&*secret_info.id, "cli"));
    let answer = post(&app, &[("x-tds-signature", signature)], body).await;
    assert_eq!(answer["data"]["status"], "ok");
    // Recorded once, however often it is tried.
    let head = app.service.log.store().head();
    credential::record(&app.service)
        .await
        .expect("nothing to do");
    assert_eq!(app.service.log.store().head(), head);
}

#[tokio::test]
async fn revoking_is_a_fact_and_ends_the_key_at_once() {
    let app = TestApp::start(PROGRAMME).await;
    let keys = Keys::of(&app.service);
    let by = By {
        actor: "test".into(),
        source: Source::default(),
    };
    let casino = offer("casino");
    let made = keys.rotate_offer_secret(&casino, 0, &by).await;
    let (info, secret) = made.expect("made");
    let body = "customer_id=c&txn_id=1";
    let signature = (
        "x-tds-signature",
        hex::encode(hmac(secret.reveal().as_bytes(), body.as_bytes())),
    );
    keys.revoke_offer_key(&info.id, &by).await.expect("revoked");
    assert!(keys.revoke_offer_key("nothing", &by).await.is_err());
    credential::record(&app.service).await.expect("recorded");
    let Fact::CredentialRotated(rotated) = app.last_fact().await.fact else {
        panic!("a fact of the revocation");
    };
    assert_eq!(rotated.revoked_at, Some(app.service.clock.now()));
    let answer = post(&app, &[signature], body).await;
    assert_eq!(answer["code"], "bad_signature", "{answer}");
}

#[tokio::test]
async fn a_legacy_offer_is_counted_and_warned_of_until_it_has_a_key() {
    let app = TestApp::start(PROGRAMME).await;
    let path = "/api/postback/acme/legacy?customer_id=c&txn_id=1";
    let answer = app.anonymous().get(path).await;
    assert!(
        answer.headers["warning"]
            .to_str()
            .expect("text")
            .contains("deprecated")
    );
    let metrics = app.anonymous().get("/metrics").await;
    assert!(
        metrics.text().contains("postbook_legacy_postbacks_total 1"),
        "{}",
        metrics.text()
    );
    add_own_key(&app, "legacy").await;
    let answer = app.anonymous().get(path).await;
    assert_eq!(answer.json()["code"], "bad_credentials");
}

#[tokio::test]
async fn a_fact_that_was_appended_and_not_forgotten_is_appended_once() {
    let app = TestApp::start(PROGRAMME).await;
    let by = By {
        actor: "test".into(),
        source: Source::default(),
    };
    let keys = Keys::of(&app.service);
    let made = keys.create_token(Role::Viewer, "v", Scope::All, &by).await;
    made.expect("made");
    let waiting = app.service.secrets.unrecorded().await.expect("read");
    credential::record(&app.service).await.expect("recorded");
    assert_eq!(app.last_fact().await.id, waiting[0].id);
    let head = app.service.log.store().head();

    // As after a crash between the append and the forgetting.
    let (info, plain) = new_token(Role::Viewer, "w", Scope::All, app.service.clock.now());
    let secrets = &app.service.secrets;
    let added = secrets.add_token(&info, &plain, Some(&waiting[0])).await;
    added.expect("added");
    credential::record(&app.service).await.expect("recorded");
    assert_eq!(app.service.log.store().head(), head);
    assert_eq!(secrets.unrecorded().await.expect("read"), []);
}

/// A sender with names of its own for the signature and the secret.
#[tokio::test]
async fn a_mapping_says_which_parameter_carries_the_signature() {
    let app = TestApp::start(PROGRAMME).await;
    app.apply("[[mapping]]\noffer = \"acme/signed\"\nfields = { signature = [\"hash\", \"sig\"], secret = \"verification\", txn_id = \"offer\" }")
        .await;
    let secret = app.secret("acme/signed").await;
    let mac = |message: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
        mac.update(message.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    };
    let query = "customer_id=c-1&offer=t1";
    let path = "/api/postback/acme/signed";
    let sender = app.anonymous();
    for signed in [
        format!("{path}?{query}&hash={}", mac(query)),
        format!("{path}?sig={}&{query}", mac(query)),
    ] {
        let answer = sender.get(&signed).await;
        assert_eq!(answer.status.as_u16(), 200, "{signed}: {}", answer.text());
        let fact = app.last_fact().await.fact;
        let attempt = fact.attempt().expect("an attempt");
        let strength = attempt.credential.as_ref().map(|one| one.strength);
        assert_eq!(strength, Some(Strength::Hmac));
        let kept = attempt.request.query.as_deref().expect("a query");
        assert!(!kept.contains(&mac(query)), "{kept}");
    }
    // The standard name says nothing any more, and what the body's signature does not cover must
    // say nothing either: here `offer` is the transaction.
    for (wrong, code) in [
        (
            format!("{path}?{query}&signature={}", mac(query)),
            "bad_credentials",
        ),
        (
            format!("{path}?{query}&hash={}", mac("customer_id=c-2")),
            "bad_signature",
        ),
    ] {
        let answer = sender.get(&wrong).await;
        assert_eq!(answer.json()["code"], code, "{wrong}");
    }
    let body = "customer_id=c-1";
    for (query, status) in [("offer=t2", 401), ("verification=x", 401), ("test=0", 200)] {
        let request = Request::post(format!("{path}?{query}&hash={}", mac(body)))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .expect("a request");
        let answer = app.send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{query}: {}", answer.text());
    }
}
