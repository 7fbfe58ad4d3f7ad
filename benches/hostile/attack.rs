//! Hostile requests: forged credentials and signatures, guessed clicks, repeats, oversized bodies.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::support::{
    http::{Answer, post},
    load::{Measured, Traffic},
};

/// Characters of click ids.
const ALPHABET: &[u8; 58] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ123456789";

/// What stands where characters are made anew.
const CHANGED: &str = "##########";

/// Bytes of a body that is larger than what is taken.
const OVERSIZED: usize = 70_000;

/// A kind of hostile request.
#[derive(Clone, Debug)]
struct Kind {
    template: Vec<u8>,
    /// Where ten characters are made anew for each request, if they are.
    changed_at: Option<usize>,
}

/// The attack: its kinds in turn.
#[derive(Debug)]
pub(crate) struct Attack {
    kinds: Vec<Kind>,
    random: StdRng,
    sent: usize,
    /// What was answered, by status.
    statuses: BTreeMap<u16, u64>,
    /// What was said with the first error of the server.
    first_error: Option<String>,
}

impl Attack {
    /// With a token that lets in, for what gets further than the door, and the secret of an offer
    /// that requires signatures.
    pub(crate) fn new(token: &str, signed_secret: &str) -> Self {
        let sale = format!(
            r#"{{"click_id":"{CHANGED}","event":"purchase","value":4990,"txn_id":"stolen"}}"#
        );
        let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
        let signature = format!(
            "X-Postback-Secret: {signed_secret}\r\nX-TDS-Signature: {}\r\n",
            "ab".repeat(32)
        );
        let wrong = format!("X-Postback-Secret: {}\r\n", "x".repeat(64));
        let repeat = r#"{"offer":"acme/casino","event":"purchase","value":4990,"txn_id":"repeat","customer_id":"c"}"#;
        let oversized = format!(r#"{{"click_id":"{}"}}"#, "x".repeat(OVERSIZED));
        let no_token = bearer(&format!("pb_{}", "x".repeat(40)));
        let kinds = [
            post("/postback", &no_token, &sale),
            post("/api/postback/acme/casino", &wrong, &sale),
            post("/api/postback/acme/signed", &signature, &sale),
            post("/postback", &bearer(token), &sale),
            post("/postback", &bearer(token), repeat),
            post("/postback", &bearer(token), &oversized),
        ];
        Self {
            kinds: kinds.into_iter().map(Kind::new).collect(),
            random: StdRng::seed_from_u64(1),
            sent: 0,
            statuses: BTreeMap::new(),
            first_error: None,
        }
    }

    /// Prints what was answered.
    ///
    /// # Errors
    /// The server failed.
    pub(crate) fn report(&self, name: &str, measured: &Measured) -> anyhow::Result<()> {
        println!(
            "{name}: {} answered, {:.0}/s, by status {:?}",
            measured.answers, measured.per_second, self.statuses
        );
        anyhow::ensure!(
            measured.unwanted.is_empty(),
            "the server failed: {:?}, first with {:?}",
            measured.unwanted,
            self.first_error
        );
        Ok(())
    }
}

impl Kind {
    fn new(template: Vec<u8>) -> Self {
        Self {
            changed_at: memchr::memmem::find(&template, CHANGED.as_bytes()),
            template,
        }
    }
}

impl Traffic for Attack {
    fn next(&mut self, request: &mut Vec<u8>) {
        let kind = &self.kinds[self.sent % self.kinds.len()];
        self.sent += 1;
        request.clear();
        request.extend_from_slice(&kind.template);
        if let Some(at) = kind.changed_at {
            for place in &mut request[at..at + 10] {
                *place = ALPHABET[self.random.random_range(0..ALPHABET.len())];
            }
        }
    }

    /// Every answer but an error of the server is one that an attacker may get.
    fn check(&mut self, answer: &Answer<'_>) -> bool {
        *self.statuses.entry(answer.status).or_default() += 1;
        let is_fine = answer.status < 500 || answer.status == 503;
        if !is_fine {
            let body = String::from_utf8_lossy(answer.body);
            self.first_error.get_or_insert(body.into_owned());
        }
        is_fine
    }
}
