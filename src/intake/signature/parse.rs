//! Reads what came along as a signature: texts in, bytes out, and nothing else is looked at.

use base64::Engine;

use crate::secrets::{BASE64, MacBytes, SignatureBytes};

/// Most signatures of one kind that are looked at: each costs a computation.
const SIGNATURES_MAX: usize = 4;

/// Longest `webhook-id`: it becomes a key.
const ID_LENGTH_MAX: usize = 256;

/// Longest timestamp: seconds until the year 33658.
const TIMESTAMP_LENGTH_MAX: usize = 12;

const NOT_HEX: &str = "X-TDS-Signature is not the 64 hexadecimal digits of an HMAC-SHA256";
const NO_TIMESTAMP: &str = "the signed timestamp is not in whole seconds since 1970";
const NO_ID: &str =
    "webhook-id is missing, or is not 1 to 256 visible ASCII characters without . = & { [";
const NO_SIGNATURES: &str =
    "webhook-signature holds neither v1, and 32 bytes in base64, nor v1a, and 64";
const TOO_MANY: &str = "webhook-signature holds more than 4 signatures of a kind";

/// Signatures as they came in the headers (that of `X-TDS-Signature` may be in the query instead).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// `X-TDS-Signature`.
    pub tds: Option<String>,
    /// `X-TDS-Timestamp`.
    pub tds_timestamp: Option<String>,
    /// `webhook-signature`.
    pub webhook: Option<String>,
    /// `webhook-id`.
    pub webhook_id: Option<String>,
    /// `webhook-timestamp`.
    pub webhook_timestamp: Option<String>,
}

/// What came along, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<'s> {
    /// `X-TDS-Signature`.
    pub tds: Option<Tds<'s>>,
    /// Standard Webhooks.
    pub webhook: Option<Webhook<'s>>,
}

/// An HMAC in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tds<'s> {
    /// The HMAC.
    pub mac: MacBytes,
    /// When it was made, if that is signed as well.
    pub timestamp: Option<Timestamp<'s>>,
}

/// Signatures as Standard Webhooks has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook<'s> {
    /// The id of the message, which is the same over all its tries.
    pub id: &'s str,
    /// When it was signed.
    pub timestamp: Timestamp<'s>,
    /// HMACs by shared secrets.
    pub v1: Vec<MacBytes>,
    /// Ed25519 signatures.
    pub v1a: Vec<SignatureBytes>,
}

/// A signed time: the text is what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp<'s> {
    /// As it was sent.
    pub text: &'s str,
    /// Seconds since 1970.
    pub seconds: i64,
}

/// Reads what was sent.
///
/// # Errors
/// It is not a signature; says what one looks like, and repeats nothing.
pub fn parse(sent: &Sent) -> Result<Parsed<'_>, &'static str> {
    let tds = sent.tds.as_deref().map(|signature| tds(sent, signature));
    let webhook = sent.webhook.as_deref().map(|list| webhook(sent, list));
    Ok(Parsed {
        tds: tds.transpose()?,
        webhook: webhook.transpose()?,
    })
}

fn tds<'s>(sent: &'s Sent, signature: &str) -> Result<Tds<'s>, &'static str> {
    let at = sent.tds_timestamp.as_deref();
    Ok(Tds {
        mac: hmac_hex(signature).ok_or(NOT_HEX)?,
        timestamp: at.map(timestamp).transpose()?,
    })
}

/// An HMAC-SHA256 in hexadecimal, `sha256=` before it or not.
pub fn hmac_hex(text: &str) -> Option<MacBytes> {
    let digits = text.trim();
    let digits = digits.strip_prefix("sha256=").unwrap_or(digits);
    let mut mac = MacBytes::default();
    hex::decode_to_slice(digits, &mut mac).ok()?;
    Some(mac)
}

fn timestamp(text: &str) -> Result<Timestamp<'_>, &'static str> {
    let text = text.trim();
    let is_number = (1..=TIMESTAMP_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| is_number);
    let seconds = seconds.ok_or(NO_TIMESTAMP)?;
    Ok(Timestamp { text, seconds })
}

fn webhook<'s>(sent: &'s Sent, list: &str) -> Result<Webhook<'s>, &'static str> {
    let id = sent.webhook_id.as_deref().map_or("", str::trim);
    if !is_id(id) {
        return Err(NO_ID);
    }
    let at = sent.webhook_timestamp.as_deref().ok_or(NO_TIMESTAMP)?;
    let mut webhook = Webhook {
        id,
        timestamp: timestamp(at)?,
        v1: Vec::new(),
        v1a: Vec::new(),
    };
    // Kinds that are not known yet, and what cannot be read, may stand beside one that can.
    for one in list.split_ascii_whitespace() {
        match one.split_once(',') {
            Some(("v1", base64)) => webhook.v1.extend(decoded(base64)),
            Some(("v1a", base64)) => webhook.v1a.extend(decoded(base64)),
            Some(_) | None => {}
        }
    }
    if webhook.v1.is_empty() && webhook.v1a.is_empty() {
        return Err(NO_SIGNATURES);
    }
    if webhook.v1.len().max(webhook.v1a.len()) > SIGNATURES_MAX {
        return Err(TOO_MANY);
    }
    Ok(webhook)
}

fn decoded<const LENGTH: usize>(base64: &str) -> Option<[u8; LENGTH]> {
    BASE64.decode(base64).ok()?.try_into().ok()
}

/// An id must not hold what separates the parts of the signed message, or what a body begins with:
/// else one message could be read as another (see `content`).
fn is_id(id: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_graphic() && !b".=&{[".contains(&byte);
    (1..=ID_LENGTH_MAX).contains(&id.len()) && id.bytes().all(is_good)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tds(signature: &str, timestamp: Option<&str>) -> Sent {
        Sent {
            tds: Some(signature.to_owned()),
            tds_timestamp: timestamp.map(str::to_owned),
            ..Sent::default()
        }
    }

    fn webhook(id: &str, timestamp: &str, list: &str) -> Sent {
        Sent {
            webhook: Some(list.to_owned()),
            webhook_id: Some(id.to_owned()),
            webhook_timestamp: Some(timestamp.to_owned()),
            ..Sent::default()
        }
    }

    #[test]
    fn an_hmac_is_read_in_either_case_and_with_its_prefix() {
        let hex = "0a".repeat(32);
        for good in [
            &hex,
            &hex.to_uppercase(),
            &format!("sha256={hex}"),
            &format!(" {hex} "),
        ] {
            assert_eq!(hmac_hex(good), Some([10; 32]), "{good}");
        }
        let long = format!("{hex}0a");
        for wrong in [
            "",
            "0a",
            &hex[1..],
            &long,
            &hex.replace('a', "g"),
            "sha1=0a",
        ] {
            assert_eq!(hmac_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn timestamps_are_whole_seconds() {
        let hex = "0a".repeat(32);
        let read = |text| {
            parse(&tds(&hex, Some(text)))
                .map(|parsed| parsed.tds.unwrap().timestamp.unwrap().seconds)
        };
        assert_eq!(read("1750000000"), Ok(1_750_000_000));
        for wrong in ["", "-1", "+1", "1.5", "1e9", "1234567890123", "now"] {
            assert_eq!(read(wrong), Err(NO_TIMESTAMP), "{wrong}");
        }
    }

    #[test]
    fn a_list_of_signatures_is_read_as_far_as_it_is_known() {
        let (short, long) = (BASE64.encode([1; 32]), BASE64.encode([2; 64]));
        let list = format!("v1,{short} v2,{short} v1a,{long} v1,@@ v1 ,x");
        let sent = webhook("msg_1", "17", &list);
        let read = parse(&sent).unwrap().webhook.unwrap();
        assert_eq!((read.v1, read.v1a), (vec![[1; 32]], vec![[2; 64]]));
        let many = format!("v1,{short} ").repeat(5);
        for (list, why) in [
            ("", NO_SIGNATURES),
            ("v1,", NO_SIGNATURES),
            (&format!("v1,{long}"), NO_SIGNATURES),
            (&format!("v1a,{short}"), NO_SIGNATURES),
            (&many, TOO_MANY),
        ] {
            assert_eq!(parse(&webhook("msg_1", "17", list)), Err(why), "{list}");
        }
        let long_id = "x".repeat(257);
        for id in ["", "a.b", "a b", "a=", "é", "{", &long_id] {
            let sent = webhook(id, "17", &list);
            assert_eq!(parse(&sent), Err(NO_ID), "{id}");
        }
        let sent = webhook("msg_1", "", &list);
        assert_eq!(parse(&sent), Err(NO_TIMESTAMP));
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_makes_it_panic(texts in prop::collection::vec(prop::option::of(".{0,80}"), 5)) {
            let sent = Sent {
                tds: texts[0].clone(),
                tds_timestamp: texts[1].clone(),
                webhook: texts[2].clone(),
                webhook_id: texts[3].clone(),
                webhook_timestamp: texts[4].clone(),
            };
            let parsed = parse(&sent);
            prop_assert!(parsed.is_err() || parsed.is_ok_and(|parsed| parsed.tds.is_some() == sent.tds.is_some()));
        }
    }
}
