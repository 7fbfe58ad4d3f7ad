//! Which bytes of a request a signature is over.

use std::borrow::Cow;

use crate::intake::{
    fields::Name,
    mapping::Rules,
    request::{Method, Request},
};

/// The parameter that can carry `X-TDS-Signature` where a sender cannot set headers, and no mapping
/// says otherwise.
const PARAMETER: &str = "signature";

/// What a query may hold beside a signed body: nothing that says anything of the event. The offer is
/// safe since the key is its own, and `test` since it takes a token.
const BESIDE_A_BODY: &[&str] = &["secret", PARAMETER, "offer", "test"];

const UNSIGNED_QUERY: &str =
    "the signature covers the body: send every field there, and none in the query";
const AMBIGUOUS: &str =
    "what is signed begins with digits and a point, as a signed timestamp would";

/// The signature in a query, if it has the form of one; others' parameters may have the same name.
pub fn parameter<'q>(query: &'q str, rules: Option<&Rules>) -> Option<&'q str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(name, value)| {
        let is_one = carries(name, rules) && super::parse::hmac_hex(value).is_some();
        is_one.then_some(value)
    })
}

fn carries(name: &str, rules: Option<&Rules>) -> bool {
    match rules.and_then(Rules::signature_parameters) {
        Some(names) => names.iter().any(|own| own == name),
        None => name == PARAMETER,
    }
}

/// The bytes that are signed: the body as it came; where there is none, the query as it came without
/// the pair that carries the signature.
///
/// # Errors
/// What is not signed would say something too, or the bytes could be read as another message.
pub(super) fn signed<'r>(
    request: &'r Request,
    rules: Option<&Rules>,
) -> Result<Cow<'r, [u8]>, &'static str> {
    let query = request.query.as_deref().unwrap_or("");
    let content = if request.method == Method::Post && !request.body.is_empty() {
        if !query
            .split('&')
            .all(|pair| stands_beside_a_body(pair, rules))
        {
            return Err(UNSIGNED_QUERY);
        }
        Cow::Borrowed(&request.body[..])
    } else {
        without_parameter(query, rules)
    };
    if is_ambiguous(&content) {
        return Err(AMBIGUOUS);
    }
    Ok(content)
}

fn stands_beside_a_body(pair: &str, rules: Option<&Rules>) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    // Under a mapping any parameter may be any field.
    match rules.and_then(|rules| rules.fields_of(name)) {
        Some(fields) => fields
            .iter()
            .all(|(field, _)| matches!(field, Name::Secret | Name::Test)),
        None => pair.is_empty() || carries(name, rules) || BESIDE_A_BODY.contains(&name),
    }
}

fn without_parameter<'q>(query: &'q str, rules: Option<&Rules>) -> Cow<'q, [u8]> {
    let is_signature = |pair: &&str| {
        let name = pair.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| carries(name, rules))
    };
    if !query.split('&').any(|pair| is_signature(&pair)) {
        return Cow::Borrowed(query.as_bytes());
    }
    let pairs = query.split('&').filter(|pair| !is_signature(pair));
    Cow::Owned(pairs.collect::<Vec<_>>().join("&").into_bytes())
}

/// One key signs `content`, `timestamp.content` and `id.timestamp.content`. Whoever has seen a signed
/// message could send it again as another kind, its first field cut off and its time not looked at.
/// So no content may begin as if it were preceded by a timestamp: nobody's does.
fn is_ambiguous(content: &[u8]) -> bool {
    let head = content
        .split(|byte| b"=&{[".contains(byte))
        .next()
        .unwrap_or_default();
    let mut parts = head.split(|byte| *byte == b'.');
    // What follows the last point is the first name itself.
    parts.next_back();
    parts.any(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_is_taken_out_wherever_it_stands() {
        for (query, rest) in [
            ("signature=x&a=1&b=2", "a=1&b=2"),
            ("a=1&signature=x&b=2", "a=1&b=2"),
            ("a=1&b=2&signature=x", "a=1&b=2"),
            ("signature=x", ""),
            ("a=1&my_signature=x", "a=1&my_signature=x"),
            ("a=%31&b", "a=%31&b"),
            ("", ""),
        ] {
            assert_eq!(&*without_parameter(query, None), rest.as_bytes(), "{query}");
        }
    }

    #[test]
    fn other_parameters_of_the_name_are_left_alone() {
        let hex = "ab".repeat(32);
        assert_eq!(
            parameter(&format!("a=1&signature={hex}"), None),
            Some(&*hex)
        );
        for query in ["", "a=1", "signature=md5", "xsignature=1", "signature"] {
            assert_eq!(parameter(query, None), None, "{query}");
        }
    }

    #[test]
    fn no_content_can_be_read_as_a_message_of_another_kind() {
        for wrong in [
            "1750000000.{\"a\":1}",
            "msg_1.1750000000.{\"a\":1}",
            "1750000000.a=1&b=2",
            "msg.1750000000.a=1",
            "1.a",
        ] {
            assert!(is_ambiguous(wrong.as_bytes()), "{wrong}");
        }
        for good in [
            "{\"a\":1.5}",
            " {\"1750000000.x\":1}",
            "metadata.x=1.5.7&a=1",
            "amount=1750000000.5.5",
            "click_id=a",
            "",
            "1750000000",
        ] {
            assert!(!is_ambiguous(good.as_bytes()), "{good}");
        }
    }
}
