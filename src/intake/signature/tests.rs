//! What signatures promise: any change is refused, and no message is taken for one of another kind.

use base64::Engine;
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use postbook_schemas::Instant;
use proptest::prelude::*;
use sha2::Sha256;

use super::*;
use crate::{
    intake::request::{Endpoint, Method},
    secrets::{BASE64, KeyBytes, KeyKind, new_offer_key},
};

const BODY: &[u8] = br#"{"click_id":"k3p9x7qWmB","value":4990}"#;
const QUERY: &str = "click_id=k3p9x7qWmB&amount=49.90";
const AT: &str = "1750000000";
const ID: &str = "msg_1";

/// An offer's secrets, with a shared one and a public key.
struct Ring {
    secrets: Secrets,
    offer: OfferRef,
    shared: String,
    own: SigningKey,
    _dir: tempfile::TempDir,
}

impl Ring {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let secrets = Secrets::open(dir.path()).await.expect("opens");
        let offer = OfferRef::try_new("acme/casino").expect("an offer");
        let made = secrets.rotate_offer_secret(&offer, 0, Instant::EPOCH);
        let (_, shared) = made.await.expect("made");
        let own = SigningKey::from_bytes(&[7; 32]);
        let public = format!("whpk_{}", BASE64.encode(own.verifying_key().to_bytes()));
        let public = KeyBytes::of_public_key(&public).expect("a key");
        let key = new_offer_key(&offer, KeyKind::PublicKey, Instant::EPOCH);
        let added = secrets.add_offer_key(&key, &public, None, None);
        added.await.expect("added");
        Self {
            shared: shared.reveal().to_owned(),
            secrets,
            offer,
            own,
            _dir: dir,
        }
    }

    fn hmac(&self, message: &[u8]) -> [u8; 32] {
        let mut hmac = Hmac::<Sha256>::new_from_slice(self.shared.as_bytes()).expect("a key");
        hmac.update(message);
        hmac.finalize().into_bytes().into()
    }

    fn check(&self, request: &Request) -> Checked {
        checked(request, &self.offer, &self.secrets)
    }

    fn strength(&self, request: &Request) -> Option<Strength> {
        let checked = self.check(request);
        checked.verified().map(|verified| verified.strength)
    }

    /// The same content signed in every way.
    fn signed(&self, request: &Request, content: &[u8]) -> Vec<(Request, Strength)> {
        let timed = [AT.as_bytes(), b".", content].concat();
        let named = [ID.as_bytes(), b".", &timed].concat();
        let tds = |mac, at: Option<&str>| Sent {
            tds: Some(hex::encode::<[u8; 32]>(mac)),
            tds_timestamp: at.map(str::to_owned),
            ..Sent::default()
        };
        let webhook = |signature: String| Sent {
            webhook: Some(signature),
            webhook_id: Some(ID.to_owned()),
            webhook_timestamp: Some(AT.to_owned()),
            ..Sent::default()
        };
        let v1 = format!("v1,{}", BASE64.encode(self.hmac(&named)));
        let v1a = format!("v1a,{}", BASE64.encode(self.own.sign(&named).to_bytes()));
        [
            (tds(self.hmac(content), None), Strength::Hmac),
            (tds(self.hmac(&timed), Some(AT)), Strength::Hmac),
            (webhook(v1), Strength::StandardWebhooks),
            (webhook(v1a), Strength::StandardWebhooksEd25519),
        ]
        .into_iter()
        .map(|(sent, strength)| {
            let signature = Some(Box::new(sent));
            let request = request.clone();
            (
                Request {
                    signature,
                    ..request
                },
                strength,
            )
        })
        .collect()
    }
}

fn request(method: Method, query: Option<&str>, body: &[u8]) -> Request {
    let endpoint = Endpoint::Offer("acme/casino".to_owned());
    Request {
        query: query.map(str::to_owned),
        body: body.to_vec().into(),
        body_bytes: body.len() as u64,
        ..Request::bare(endpoint, method, "/api/postback/acme/casino".to_owned())
    }
}

fn post() -> Request {
    request(Method::Post, None, BODY)
}

fn get() -> Request {
    request(Method::Get, Some(QUERY), b"")
}

fn checked(request: &Request, offer: &OfferRef, secrets: &Secrets) -> Checked {
    match sent(request, None) {
        Some(sent) => check(request, &sent, None, offer, secrets, Instant::EPOCH),
        None => Checked::Absent,
    }
}

#[tokio::test]
async fn every_way_of_signing_is_understood_for_body_and_query() {
    let ring = Ring::new().await;
    assert_eq!(ring.check(&post()), Checked::Absent);
    let of_body = ring.signed(&post(), BODY);
    for (request, strength) in of_body.iter().chain(&ring.signed(&get(), QUERY.as_bytes())) {
        assert_eq!(ring.strength(request), Some(*strength), "{request:?}");
    }
    // A POST without a body is signed as a GET is.
    let bare = request(Method::Post, Some(QUERY), b"");
    for (request, strength) in ring.signed(&bare, QUERY.as_bytes()) {
        assert_eq!(ring.strength(&request), Some(strength));
    }
}

#[tokio::test]
async fn of_two_signatures_both_must_be_right() {
    let ring = Ring::new().await;
    let all = ring.signed(&post(), BODY);
    let (tds, webhook) = (all[0].0.signature.clone(), all[2].0.signature.clone());
    let (tds, webhook) = (*tds.expect("signed"), *webhook.expect("signed"));
    let both = |tds: Option<String>, list: Option<String>| Request {
        signature: Some(Box::new(Sent {
            tds,
            webhook: list,
            ..webhook.clone()
        })),
        ..post()
    };
    let right = both(tds.tds.clone(), webhook.webhook.clone());
    assert_eq!(ring.strength(&right), Some(Strength::StandardWebhooks));
    let wrong = both(Some("00".repeat(32)), webhook.webhook.clone());
    assert_eq!(ring.strength(&wrong), None);
    let zeros = format!("v1,{}", BASE64.encode([0; 32]));
    assert_eq!(ring.strength(&both(tds.tds, Some(zeros))), None);
}

#[tokio::test]
async fn what_is_not_signed_must_say_nothing() {
    let ring = Ring::new().await;
    for query in ["secret=x", "offer=acme/casino&signature=x", ""] {
        let request = request(Method::Post, Some(query), BODY);
        let (request, _) = &ring.signed(&request, BODY)[0];
        assert_eq!(ring.strength(request), Some(Strength::Hmac), "{query}");
    }
    for query in ["amount=1", "secret=x&txn_id=1", "%73ecret=x", "Secret=x"] {
        let request = request(Method::Post, Some(query), BODY);
        for (request, _) in ring.signed(&request, BODY) {
            assert_eq!(ring.strength(&request), None, "{query}");
        }
    }
}

#[tokio::test]
async fn no_signed_message_passes_as_one_of_another_kind() {
    let ring = Ring::new().await;
    let form = b"txn_id=1&click_id=k3p9x7qWmB";
    let timed = [AT.as_bytes(), b".", form].concat();
    let named = [ID.as_bytes(), b".", &timed].concat();
    let stripped = |message: &[u8], at: Option<&str>| Request {
        signature: Some(Box::new(Sent {
            tds: Some(hex::encode(ring.hmac(message))),
            tds_timestamp: at.map(str::to_owned),
            ..Sent::default()
        })),
        ..request(Method::Post, None, message)
    };
    assert_eq!(ring.strength(&stripped(form, None)), Some(Strength::Hmac));
    for message in [&timed, &named] {
        assert_eq!(ring.strength(&stripped(message, None)), None);
    }
    // The HMAC is over `ID.AT.form`: neither can `ID` be a timestamp.
    let inner = Request {
        body: timed.clone().into(),
        ..stripped(&[AT.as_bytes(), b".", &timed].concat(), Some(AT))
    };
    assert_eq!(ring.strength(&inner), None);
}

#[tokio::test]
async fn why_a_signature_is_refused_says_what_is_missing() {
    let ring = Ring::new().await;
    let all = ring.signed(&post(), BODY);
    let why = |request: &Request, offer: &str, secrets: &Secrets| {
        let offer = OfferRef::try_new(offer).expect("an offer");
        match checked(request, &offer, secrets) {
            Checked::Wrong(why) => why,
            other => panic!("{other:?}"),
        }
    };
    let secrets = &ring.secrets;
    assert_eq!(why(&all[0].0, "acme/other", secrets), NO_SECRET);
    assert_eq!(why(&all[2].0, "acme/other", secrets), NO_SECRET);
    assert_eq!(why(&all[3].0, "acme/other", secrets), NO_PUBLIC_KEY);
    let changed = |n: usize| Request {
        body: b"{}".to_vec().into(),
        ..all[n].0.clone()
    };
    for n in 0..all.len() {
        assert_eq!(why(&changed(n), "acme/casino", secrets), DOES_NOT_FIT);
    }
}

/// Where one byte is changed.
#[derive(Clone, Copy, Debug)]
enum Place {
    Content,
    Signature,
    Timestamp,
    Id,
}

fn change(text: &mut Option<String>, at: prop::sample::Index, by: u8) {
    let Some(text) = text else { return };
    let mut bytes = text.clone().into_bytes();
    let at = at.index(bytes.len());
    let was = bytes[at];
    bytes[at] = 0x21 + (was - 0x20 + by) % 0x5e;
    *text = String::from_utf8(bytes).expect("ASCII");
}

#[test]
fn any_byte_that_is_changed_is_noticed() {
    const PLACES: &[Place] = &[
        Place::Content,
        Place::Signature,
        Place::Timestamp,
        Place::Id,
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let ring = runtime.block_on(Ring::new());
    let changes = (
        prop::sample::select(PLACES),
        any::<prop::sample::Index>(),
        1_u8..0x5d,
        any::<bool>(),
    );
    proptest!(|((place, at, by, is_get) in changes)| {
        let (base, content) = if is_get { (get(), QUERY.as_bytes()) } else { (post(), BODY) };
        for (mut request, strength) in ring.signed(&base, content) {
            prop_assert_eq!(ring.strength(&request), Some(strength));
            if changed(&mut request, place, at, by) {
                prop_assert_eq!(ring.strength(&request), None, "{:?}", request.signature);
            }
        }
    });
}

fn changed(request: &mut Request, place: Place, at: prop::sample::Index, by: u8) -> bool {
    let before = request.clone();
    let sent = request.signature.as_mut().expect("signed");
    match (place, request.method) {
        (Place::Content, Method::Get) => change(&mut request.query, at, by),
        (Place::Content, Method::Post) => {
            let mut body = String::from_utf8(request.body.to_vec()).ok();
            change(&mut body, at, by);
            request.body = body.expect("a body").into_bytes().into();
        }
        (Place::Signature, _) if sent.tds.is_some() => change(&mut sent.tds, at, by),
        (Place::Signature, _) => change(&mut sent.webhook, at, by),
        (Place::Timestamp, _) if sent.tds.is_some() => change(&mut sent.tds_timestamp, at, by),
        (Place::Timestamp, _) => change(&mut sent.webhook_timestamp, at, by),
        (Place::Id, _) => change(&mut sent.webhook_id, at, by),
    }
    // Hexadecimal digits mean the same in either case.
    let hex = |request: &Request| {
        let tds = request.signature.as_ref().and_then(|sent| sent.tds.clone());
        tds.map(|tds| tds.to_lowercase())
    };
    let is_tds = hex(&before).is_some();
    match place {
        Place::Signature if is_tds => hex(request) != hex(&before),
        _ => {
            request.signature != before.signature
                || request.query != before.query
                || request.body != before.body
        }
    }
}
