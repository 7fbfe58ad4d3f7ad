//! What the targets share: inputs that people can read and write, as corpora of texts.

use std::sync::LazyLock;

use bytes::Bytes;
use postbook::{
    intake::{
        personal::Pseudonyms,
        request::{Endpoint, Method, Request},
    },
    secrets::Secrets,
};
use postbook_schemas::{Instant, OfferRef, configuration::Offer, programme::Programme};

/// Noon of 15 June 2026.
pub fn now() -> Instant {
    Instant::parse_rfc3339("2026-06-15T12:00:00Z").expect("a time")
}

/// Names for personal data.
pub fn names() -> Pseudonyms {
    Pseudonyms::new([7; 32])
}

/// Secrets of a service whose one offer has one.
pub fn secrets() -> &'static Secrets {
    &MADE.0
}

/// The secret of that offer.
pub fn offer_secret() -> &'static str {
    &MADE.1
}

static MADE: LazyLock<(Secrets, String)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let making = async {
        let secrets = Secrets::open(directory.path()).await.expect("secrets open");
        let offer = OfferRef::try_new("acme/casino").expect("an offer");
        let made = secrets.rotate_offer_secret(&offer, 0, now()).await;
        let secret = made.expect("a secret is made").1.reveal().to_owned();
        (secrets, secret)
    };
    runtime.block_on(making)
});

/// An offer with a goal of its own.
pub fn offer() -> &'static Offer {
    static OFFER: LazyLock<Offer> = LazyLock::new(|| {
        let text = "[[offer]]\nbrand = \"acme\"\nslug = \"casino\"\ndestination = \"https://acme.example/\"\n\
            goals = [\"vip_upgrade\"]";
        let programme = Programme::parse(text).expect("it is a programme");
        programme.offers.into_iter().next().expect("one offer")
    });
    &OFFER
}

/// The lines of an input; the last is what is left.
pub fn lines<const COUNT: usize>(data: &[u8]) -> Option<[&str; COUNT]> {
    let text = std::str::from_utf8(data).ok()?;
    let lines: Vec<_> = text.splitn(COUNT, '\n').collect();
    lines.try_into().ok()
}

/// A request out of `POST application/json`, a line with the query, and the body.
pub fn request(data: &[u8]) -> Option<Request> {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let head = std::str::from_utf8(parts.next()?).ok()?;
    let query = std::str::from_utf8(parts.next()?).ok()?;
    let body = parts.next().unwrap_or_default();
    let (method, content_type) = head.split_once(' ').unwrap_or((head, ""));
    let method = if method == "GET" {
        Method::Get
    } else {
        Method::Post
    };
    let offer = OfferRef::try_new("acme/casino").expect("an offer");
    let mut request = Request::bare(
        Endpoint::Offer(offer.to_string()),
        method,
        "/api/postback/acme/casino".to_owned(),
    );
    request.query = (!query.is_empty()).then(|| query.to_owned());
    request.content_type = (!content_type.is_empty()).then(|| content_type.to_owned());
    request.body = Bytes::copy_from_slice(body);
    request.body_bytes = body.len() as u64;
    Some(request)
}
