//! What is kept of a request: nothing of a personal value survives, and keeping what is kept changes nothing.
//! What the log is given: no secret survives in it, whatever stands around it, and it stays JSON.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use postbook::intake::{fields, redact, request::Request, scrub::scrub};
use postbook_fuzz::{names, offer_secret, request, secrets};
use postbook_schemas::RawRequest;

/// What must not survive, and the part that tells.
const PERSONAL: [(&str, &str); 3] = [
    ("qvalentina@private.example", "qvalentina"),
    ("4111111111111111", "4111111111"),
    ("whsec_c2VjcmV0c2VjcmV0", "c2VjcmV0"),
];

fuzz_target!(|data: &[u8]| {
    no_secret_survives(data);
    let Some(request) = request(data) else {
        return;
    };
    let kept = keep(&request);
    // What is cut is cut again; and a form whose first name was taken out begins as JSON does.
    let is_same_form = !kept
        .body
        .as_ref()
        .is_some_and(|body| body.starts_with("[redacted]"));
    if request.body.len() < 4_000 && kept.body_hex.is_none() && is_same_form {
        let again = keep(&as_sent(&request, &kept));
        assert_eq!((&again.query, &again.body), (&kept.query, &kept.body));
    }
    // The same request with a person in it: `PERSON` stands for one, plain or encoded. Where the part that
    // tells was there before (the fuzzer learns it from this comparison), nothing can be told.
    let was_there = |tell: &str| data.windows(tell.len()).any(|part| part == tell.as_bytes());
    for (value, tell) in PERSONAL.iter().take(2).filter(|(_, tell)| !was_there(tell)) {
        let encoded: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for (form, value) in [("plain", *value), ("encoded", encoded.as_str())] {
            let filled = String::from_utf8_lossy(data).replace("PERSON", value);
            let Some(request) = postbook_fuzz::request(filled.as_bytes()) else {
                continue;
            };
            let is_whole = form == "plain" || has_it_in_pairs(&request);
            let kept = format!("{:?}", keep(&request));
            let is_there = data.windows(6).any(|part| part == b"PERSON");
            assert!(
                !(is_there && is_whole && stands_alone(data) && kept.contains(tell)),
                "{form}: {kept}"
            );
        }
    }
});

/// `SECRET` stands for an offer's secret.
fn no_secret_survives(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace("SECRET", offer_secret());
    let mut fact = serde_json::to_vec(&text).expect("a text");
    scrub(&mut fact, secrets());
    let kept: String = serde_json::from_slice(&fact).expect("it stays JSON");
    assert_eq!(kept.len(), text.len());
    assert!(!kept.contains(offer_secret()), "{kept}");
    let once = fact.clone();
    scrub(&mut fact, secrets());
    assert_eq!(fact, once);
}

fn keep(request: &Request) -> RawRequest {
    let (fields, fault) = fields::read(request, None, &names());
    redact::kept(request, &fields, fault.is_none(), secrets())
}

/// What was kept, as if it came in.
fn as_sent(request: &Request, kept: &RawRequest) -> Request {
    let mut again = request.clone();
    again.query.clone_from(&kept.query);
    let body = kept.body.clone().unwrap_or_default();
    again.body_bytes = body.len() as u64;
    again.body = Bytes::from(body);
    again
}

/// Percent-encoding means something in queries and forms.
fn has_it_in_pairs(request: &Request) -> bool {
    request.body.is_empty()
}

/// An address that runs into other letters or digits is another, or none.
fn stands_alone(data: &[u8]) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_none_or(|byte| b"=&\n\" ,:".contains(byte));
    data.windows(6)
        .enumerate()
        .filter(|(_, part)| *part == b"PERSON")
        .all(|(at, _)| {
            is_edge(at.checked_sub(1).and_then(|before| data.get(before)))
                && is_edge(data.get(at + 6))
        })
}
