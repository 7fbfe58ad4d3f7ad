//! What is read out of queries, forms and JSON, and what is not.

use bytes::Bytes;

use super::*;
use crate::intake::request::{Endpoint, Peer};

fn request(query: &str, content_type: Option<&str>, body: &[u8]) -> Request {
    Request {
        endpoint: Endpoint::Postback,
        method: Method::Post,
        path: "/postback".to_owned(),
        query: (!query.is_empty()).then(|| query.to_owned()),
        content_type: content_type.map(str::to_owned),
        bearer: None,
        secret: None,
        signature: None,
        idempotency_key: None,
        body: Bytes::copy_from_slice(body),
        body_bytes: body.len() as u64,
        body_fault: None,
        peer: Peer {
            address: [127, 0, 0, 1].into(),
            https: false,
            by_proxy: false,
        },
        imported: None,
    }
}

type Shown = Result<Vec<(String, String)>, (String, Option<String>)>;

fn json(body: &str) -> Shown {
    shown(&request("", Some("application/json"), body.as_bytes()))
}

fn query(query: &str) -> Shown {
    shown(&request(query, None, b""))
}

fn shown(request: &Request) -> Shown {
    let (fields, fault) = read(request, None, &Pseudonyms::new([0; 32]));
    if let Some(fault) = fault {
        return Err((fault.detail.to_owned(), fault.field.map(Cow::into_owned)));
    }
    let known = Name::ALL.iter().filter_map(|&name| {
        let text = fields.get(name)?;
        Some((name.as_str().to_owned(), text.to_owned()))
    });
    let metadata = fields.metadata.iter();
    Ok(known
        .chain(metadata.map(|(key, text)| (format!("metadata.{key}"), text.to_string())))
        .collect())
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |&(name, text): &(&str, &str)| (name.to_owned(), text.to_owned());
    expected.iter().map(owned).collect()
}

#[test]
fn json_numbers_are_taken_by_their_text() {
    let body = r#"{"amount": 0.1000000000000000055511151231257827, "value":-0, "txn_id":1e30,
        "quantity":123456789012345678901234567890,"event":"sa\u006ce","status":null,"sub1":""}"#;
    let expected = pairs(&[
        ("event", "sale"),
        ("amount", "0.1000000000000000055511151231257827"),
        ("value", "-0"),
        ("txn_id", "1e30"),
        ("quantity", "123456789012345678901234567890"),
    ]);
    assert_eq!(json(body), Ok(expected));
}

#[test]
fn metadata_is_read_flat_and_nested_and_the_unknown_is_left() {
    let body = r#"{"metadata":{"plan":"gold","deep":{"a":[1]}},"metadata.x":"y","other":[{}]}"#;
    let expected = [
        ("metadata.deep", r#"{"a":[1]}"#),
        ("metadata.plan", "gold"),
        ("metadata.x", "y"),
    ];
    assert_eq!(json(body), Ok(pairs(&expected)));
}

#[test]
fn a_scalar_given_twice_names_its_field() {
    let twice = |field: &str| Err(("given more than once".to_owned(), Some(field.to_owned())));
    assert_eq!(json(r#"{"txn_id":1,"txn_id":1}"#), twice("txn_id"));
    assert_eq!(query("click_id=a&click_id=a"), twice("click_id"));
    let mixed = request("event=sale", None, b"event=sale");
    assert_eq!(shown(&mixed), twice("event"));
}

#[test]
fn broken_json_is_a_fault() {
    let deep = "[".repeat(60_000);
    let deeper = format!("{{\"a\":{}", "{\"a\":".repeat(10_000));
    for body in [
        "{",
        "[]",
        "1",
        "\"a\"",
        "{\"a\":1}x",
        "{\"a\":\"\\ud800\"}",
        "{'a':1}",
        &deep,
        &deeper,
        "{\"click_id\":\"\\ud800\"}",
    ] {
        let field = json(body).err().map(|(_, field)| field);
        assert_eq!(field, Some(None), "{}", body.get(..20).unwrap_or(body));
    }
}

#[test]
fn encoding_is_decoded_once_and_strictly() {
    let read = query("txn_id=a%2525+b&click_id=%E2%82%AC&sub1=&sub2&&=x");
    assert_eq!(read, Ok(pairs(&[("click_id", "€"), ("txn_id", "a%25 b")])));
    for broken in ["txn_id=%", "txn_id=%4", "txn_id=%zz", "txn_id=%ff", "%zz=1"] {
        assert!(query(broken).is_err(), "{broken}");
    }
}

#[test]
fn the_content_type_decides_how_a_body_is_read() {
    let form = Some("application/x-www-form-urlencoded");
    let txn = pairs(&[("txn_id", "1")]);
    for (content_type, body) in [
        (form, "txn_id=1"),
        (None, "txn_id=1\n"),
        (None, " {\"txn_id\":1}"),
        (Some("text/plain"), "{\"txn_id\":1}"),
        (
            Some("application/vnd.acme+json; charset=utf-8"),
            "{\"txn_id\":1}",
        ),
    ] {
        let read = shown(&request("", content_type, body.as_bytes()));
        assert_eq!(read, Ok(txn.clone()), "{content_type:?} {body}");
    }
    for (content_type, body) in [
        (form, &b"{\"txn_id\":1}"[..]),
        (Some("multipart/form-data; boundary=x"), b"--x"),
        (form, b"txn_id=\xff"),
    ] {
        let read = shown(&request("", content_type, body));
        assert!(read.is_err(), "{content_type:?}");
    }
}

#[test]
fn too_many_parameters_are_a_fault() {
    assert!(query(&"x=1&".repeat(1_000)).is_ok());
    assert!(query(&"x=1&".repeat(1_001)).is_err());
}
