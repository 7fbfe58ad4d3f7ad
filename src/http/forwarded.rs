//! Reads the `Forwarded` header (RFC 7239): by whom each proxy was called, and how.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, header};

/// One proxy's word: who called it, and by which protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// The address; `None` if it is hidden or not given.
    pub address: Option<IpAddr>,
    /// Whether it was called by HTTPS.
    pub https: bool,
}

/// A header that does not keep to the grammar. Who wrote which part of it cannot be told then: a
/// sender's open quotation mark may swallow what a proxy has added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What proxies say, the sender's nearest first. Each adds its word at the end.
pub fn hops(headers: &HeaderMap) -> Result<Vec<Hop>, Broken> {
    let mut hops = Vec::new();
    for value in headers.get_all(header::FORWARDED) {
        let text = value.to_str().map_err(|_| Broken)?;
        let mut rest = text;
        loop {
            let (hop, after) = element(rest)?;
            hops.push(hop);
            match after {
                Some(after) => rest = after,
                None => break,
            }
        }
    }
    Ok(hops)
}

/// One element, and what stands behind its comma.
fn element(text: &str) -> Result<(Hop, Option<&str>), Broken> {
    let mut hop = Hop::default();
    let mut seen = (false, false);
    let mut rest = text.trim_start_matches([' ', '\t']);
    loop {
        let (name, after) = rest.split_once('=').ok_or(Broken)?;
        if !is_token(name) {
            return Err(Broken);
        }
        let (value, after) = value(after)?;
        if name.eq_ignore_ascii_case("for") {
            // Given twice in one element, either may be the sender's.
            if std::mem::replace(&mut seen.0, true) {
                return Err(Broken);
            }
            hop.address = node(&value);
        } else if name.eq_ignore_ascii_case("proto") {
            if std::mem::replace(&mut seen.1, true) {
                return Err(Broken);
            }
            hop.https = value.eq_ignore_ascii_case("https");
        }
        rest = after.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return Ok((hop, None));
        }
        if let Some(after) = rest.strip_prefix(',') {
            return Ok((hop, Some(after)));
        }
        rest = rest.strip_prefix(';').ok_or(Broken)?;
        rest = rest.trim_start_matches([' ', '\t']);
    }
}

/// A token or a quoted text, and what stands behind it.
fn value(text: &str) -> Result<(String, &str), Broken> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        let (token, rest) = text.split_at(end);
        // Colons and brackets want quotation marks; some proxies leave them out.
        let is_fine = |byte: u8| is_token_byte(byte) || matches!(byte, b':' | b'[' | b']');
        if token.is_empty() || !token.bytes().all(is_fine) {
            return Err(Broken);
        }
        return Ok((token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next().ok_or(Broken)?.1),
            other => value.push(other),
        }
    }
    Err(Broken)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The address of a node: alone or with a port, IPv6 in brackets.
pub(super) fn node(text: &str) -> Option<IpAddr> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(v6) => v6.parse::<Ipv6Addr>().ok()?.into(),
        None => match text.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
        },
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn shown(values: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::FORWARDED, HeaderValue::from_static(value));
        }
        let Ok(hops) = hops(&headers) else {
            return "broken".to_owned();
        };
        let hops = hops.iter().map(|hop| {
            let address = hop.address.map_or("-".to_owned(), |a| a.to_string());
            format!("{address}{}", if hop.https { "+" } else { "" })
        });
        hops.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_of_proxies_are_read_in_their_order() {
        for (values, expected) in [
            (
                &["for=192.0.2.60;proto=http;by=203.0.113.43"][..],
                "192.0.2.60",
            ),
            (
                &["for=192.0.2.43, for=198.51.100.17"],
                "192.0.2.43 198.51.100.17",
            ),
            (
                &["for=192.0.2.43", "For=198.51.100.17;Proto=HTTPS"],
                "192.0.2.43 198.51.100.17+",
            ),
            (&[r#"For="[2001:db8:cafe::17]:4711""#], "2001:db8:cafe::17"),
            (&[r#"for="[::ffff:192.0.2.1]""#], "192.0.2.1"),
            (
                &[r#"for="192.0.2.1:80" ; proto="https" ,for=_hidden"#],
                "192.0.2.1+ -",
            ),
            (&["for=unknown;proto=https"], "-+"),
            (&["proto=https;host=x"], "-+"),
            (&[r#"host="a, for=6.6.6.6";for=192.0.2.1"#], "192.0.2.1"),
            (&[r#"host="a\"b";for=192.0.2.1"#], "192.0.2.1"),
            (&[], ""),
        ] {
            assert_eq!(shown(values), expected, "{values:?}");
        }
    }

    proptest! {
        /// Whatever a sender writes before it, the last word is the proxy's or nothing is believed.
        #[test]
        fn a_sender_cannot_speak_for_the_proxy(
            claim in prop_oneof![
                "[ -~\t]{0,40}",
                r#"((for|proto|x|host)=("|\\|\[|\]|6\.6\.6\.6|,|;|=| |a){0,6}(;|,| |")?){0,4}"#,
            ],
            word in prop_oneof![
                Just("for=192.0.2.1"),
                Just("for=\"192.0.2.1\""),
                Just("for=\"192.0.2.1:80\";proto=https"),
                Just("by=10.0.0.1;for=192.0.2.1;host=\"a\";proto=http"),
            ],
            same_line in any::<bool>(),
        ) {
            let mut headers = HeaderMap::new();
            let mut add = |text: &str| {
                let value = HeaderValue::from_str(text).expect("printable");
                headers.append(header::FORWARDED, value);
            };
            if same_line {
                add(&format!("{claim}, {word}"));
            } else {
                add(&claim);
                add(word);
            }
            if let Ok(hops) = hops(&headers) {
                let last = hops.last().expect("the proxy's");
                prop_assert_eq!(last.address, Some("192.0.2.1".parse().unwrap()));
                prop_assert_eq!(last.https, word.contains("https"));
            }
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_believed_in_no_part() {
        for value in [
            "",
            "for",
            "for=",
            "=1",
            "for=192.0.2.1,",
            "for=192.0.2.1;for=6.6.6.6",
            "for=192.0.2.1 for=6.6.6.6",
            "for=192.0.2.1;proto=http;proto=https",
            // A sender's open mark before what the proxy adds.
            r#"for="6.6.6.6, for=192.0.2.1"#,
            r#"for=6.6.6.6, x=", for="[2001:db8::1]:123""#,
            r#"for=6.6.6.6;x="\, for="192.0.2.1""#,
            "for=192.0.2.1\u{7f}",
        ] {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(value.as_bytes());
            headers.insert(
                header::FORWARDED,
                value.unwrap_or(HeaderValue::from_static("\"")),
            );
            assert_eq!(hops(&headers), Err(Broken), "{headers:?}");
        }
    }
}
