//! The requests: unique postbacks, and clicks.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::support::{
    http::{Answer, get, post},
    load::Traffic,
};

/// Ten characters that are replaced by a click id, and ten that are replaced by a number.
const CLICK_ID: &str = "0000000000";
const NUMBER: &str = "##########";

/// Sixty-four characters that are replaced by a signature.
const SIGNATURE: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

/// Postbacks with unique transactions, of clicks that were recorded before.
#[derive(Clone, Debug)]
pub(crate) struct Postbacks {
    template: Vec<u8>,
    click_at: usize,
    number_at: usize,
    signing: Option<Signing>,
    /// The clicks.
    pub(crate) click_ids: Vec<[u8; 10]>,
    sent: u64,
}

impl Postbacks {
    /// Under a token, and signed with the offer's secret if one is given.
    pub(crate) fn new(token: &str, secret: Option<&str>) -> Self {
        let body = format!(
            r#"{{"click_id":"{CLICK_ID}","event":"purchase","value":4990,"currency":"USD","txn_id":"order-{NUMBER}","customer_id":"c-{NUMBER}"}}"#
        );
        let mut headers = format!("Authorization: Bearer {token}\r\n");
        if secret.is_some() {
            headers.push_str("X-TDS-Signature: ");
            headers.push_str(SIGNATURE);
            headers.push_str("\r\n");
        }
        let template = post("/postback", &headers, &body);
        let at = |what: &str| {
            memchr::memmem::find(&template, what.as_bytes()).expect("the template has it")
        };
        let (click_at, number_at) = (at(CLICK_ID), at(NUMBER));
        let signing = secret.map(|secret| Signing {
            key: Hmac::new_from_slice(secret.as_bytes()).expect("a key of any length will do"),
            signature_at: at(SIGNATURE),
            body_at: template.len() - body.len(),
        });
        Self {
            template,
            click_at,
            number_at,
            signing,
            click_ids: vec![*b"0000000000"],
            sent: 0,
        }
    }
}

impl Traffic for Postbacks {
    fn next(&mut self, request: &mut Vec<u8>) {
        if request.is_empty() {
            request.extend_from_slice(&self.template);
        }
        // Spread over the clicks by a step that is prime to any count of them that is used here.
        let number = self.sent;
        self.sent += 1;
        let click = usize::try_from(number).unwrap_or(0).wrapping_mul(1_000_003);
        let click_id = self.click_ids[click % self.click_ids.len()];
        request[self.click_at..self.click_at + 10].copy_from_slice(&click_id);
        write_number(number, &mut request[self.number_at..self.number_at + 10]);
        // The customer's number stands 27 characters behind the transaction's first.
        let customer_at = self.number_at + r#"##########","customer_id":"c-"#.len();
        write_number(number, &mut request[customer_at..customer_at + 10]);
        if let Some(signing) = &self.signing {
            signing.sign(request);
        }
    }

    fn check(&mut self, answer: &Answer<'_>) -> bool {
        answer.status == 200
    }
}

/// How a request is signed: HMAC-SHA256 over its body, in hexadecimal in a header.
#[derive(Clone, Debug)]
struct Signing {
    key: Hmac<Sha256>,
    signature_at: usize,
    body_at: usize,
}

impl Signing {
    fn sign(&self, request: &mut [u8]) {
        let mut mac = self.key.clone();
        mac.update(&request[self.body_at..]);
        let signature = mac.finalize().into_bytes();
        let place = &mut request[self.signature_at..self.signature_at + SIGNATURE.len()];
        hex::encode_to_slice(signature, place).expect("the place has twice the length");
    }
}

fn write_number(number: u64, place: &mut [u8]) {
    let mut rest = number;
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
}

/// Clicks on one link with changing parameters.
#[derive(Clone, Debug)]
pub(crate) struct Clicks {
    wanted: usize,
    /// Ids that were given out, as many as were to be kept.
    pub(crate) ids: Vec<[u8; 10]>,
}

impl Clicks {
    /// Keeps this many ids.
    pub(crate) fn keeping(wanted: usize) -> Self {
        Self {
            wanted,
            ids: Vec::with_capacity(wanted),
        }
    }
}

impl Traffic for Clicks {
    fn next(&mut self, request: &mut Vec<u8>) {
        if request.is_empty() {
            let headers = "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 \
                           (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1\r\n\
                           Referer: https://blog.example/best-casinos\r\n";
            request.extend_from_slice(&get(
                "/abc?utm_source=newsletter&utm_campaign=spring&sub1=header&sub2=b7",
                headers,
            ));
        }
    }

    fn check(&mut self, answer: &Answer<'_>) -> bool {
        if answer.status != 302 {
            return false;
        }
        if self.ids.len() < self.wanted {
            let id = answer
                .header("location")
                .and_then(|location| location.split_once("cid="))
                .and_then(|(_, rest)| rest.as_bytes().first_chunk::<10>());
            self.ids.extend(id);
            return id.is_some();
        }
        true
    }
}
