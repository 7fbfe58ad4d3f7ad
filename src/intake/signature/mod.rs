//! Signatures of postbacks: whether what came along is right, by which key, and what it signs.

pub mod content;
pub mod parse;

use std::{borrow::Cow, sync::Arc};

use postbook_schemas::{OfferRef, Strength, dedupe};

use self::parse::{Parsed, Sent, Tds, Webhook};
use super::{mapping::Rules, request::Request};
use crate::secrets::{Means, Secrets};

const DOES_NOT_FIT: &str = "the signature does not fit: sign the raw body (without one the raw query) as it is sent, \
     with the offer's secret";
const NO_SECRET: &str = "the offer has no secret that this signature can be checked with: make one with \
     `postbook secret rotate brand/offer`, or add the sender's with `postbook secret add-key`";
const ONLY_HASH: &str = "of the offer's secret only a hash was kept, which checks no signature: make a new one with \
     `postbook secret rotate brand/offer`";
const NO_PUBLIC_KEY: &str = "the offer has no public key that this signature can be checked with: add the sender's \
     with `postbook secret add-key brand/offer --public whpk_…`";

/// What is known of a request's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// None came along, or it was not looked at.
    Absent,
    /// It is not right: why.
    Wrong(&'static str),
    /// It is right.
    Right(Verified),
}

/// A signature that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How strong it is.
    pub strength: Strength,
    /// By which key.
    pub key_id: Arc<str>,
    /// When it was signed, in seconds since 1970, if that is signed.
    pub signed_at_seconds: Option<i64>,
    /// What tells the message from others.
    pub message: Message,
}

/// What tells a signed message from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The sender's own id of it, signed, the same over all tries.
    Id(String),
    /// Its signature, in hexadecimal: the same bytes are the same message.
    Signature(String),
}

impl Checked {
    /// The signature, if it is right.
    pub fn verified(&self) -> Option<&Verified> {
        match self {
            Self::Right(verified) => Some(verified),
            Self::Absent | Self::Wrong(_) => None,
        }
    }
}

impl Verified {
    /// The id that the sender gave the message.
    pub fn message_id(&self) -> Option<&str> {
        match &self.message {
            Message::Id(id) => Some(id),
            Message::Signature(_) => None,
        }
    }

    /// The dedupe key of a message that has no id of any kind.
    pub fn dedupe_key(&self, offer: &OfferRef) -> Option<String> {
        match &self.message {
            Message::Id(_) => None,
            Message::Signature(hex) => Some(dedupe::signature_key(offer, hex)),
        }
    }
}

/// The signatures that came along, if any did: in headers, or in the query. The header wins.
pub fn sent<'r>(request: &'r Request, rules: Option<&Rules>) -> Option<Cow<'r, Sent>> {
    let query = request.query.as_deref();
    let sent = match query.and_then(|query| content::parameter(query, rules)) {
        None => Cow::Borrowed(request.signature.as_deref()?),
        Some(parameter) => {
            let mut sent = request.signature.as_deref().cloned().unwrap_or_default();
            sent.tds.get_or_insert_with(|| parameter.to_owned());
            Cow::Owned(sent)
        }
    };
    (sent.tds.is_some() || sent.webhook.is_some()).then_some(sent)
}

/// Checks the signatures that came along with a request for an offer. All that came must be right:
/// of two, the stronger counts.
pub fn check(
    request: &Request,
    sent: &Sent,
    rules: Option<&Rules>,
    offer: &OfferRef,
    secrets: &Secrets,
    now: postbook_schemas::Instant,
) -> Checked {
    let check = Check {
        offer: offer.as_str(),
        secrets,
        rules,
        now,
    };
    match check.all(request, sent) {
        Ok(verified) => Checked::Right(verified),
        Err(why) => Checked::Wrong(why),
    }
}

struct Check<'c> {
    offer: &'c str,
    secrets: &'c Secrets,
    rules: Option<&'c Rules>,
    now: postbook_schemas::Instant,
}

impl Check<'_> {
    fn all(&self, request: &Request, sent: &Sent) -> Result<Verified, &'static str> {
        let Parsed { tds, webhook } = parse::parse(sent)?;
        let content = content::signed(request, self.rules)?;
        let means = self.secrets.means(self.offer, self.now);
        let tds = tds.map(|tds| self.tds(&tds, &content, means)).transpose()?;
        let webhook = webhook
            .map(|webhook| self.webhook(&webhook, &content, means))
            .transpose()?;
        webhook.or(tds).ok_or(DOES_NOT_FIT)
    }

    fn tds(&self, tds: &Tds<'_>, content: &[u8], means: Means) -> Result<Verified, &'static str> {
        let macs = [tds.mac];
        let key_id = match tds.timestamp {
            None => self.hmac(&[content], &macs),
            Some(at) => self.hmac(&[at.text.as_bytes(), b".", content], &macs),
        };
        Ok(Verified {
            strength: Strength::Hmac,
            key_id: key_id.ok_or(without_hmac(means))?,
            signed_at_seconds: tds.timestamp.map(|at| at.seconds),
            message: Message::Signature(hex::encode(tds.mac)),
        })
    }

    fn webhook(
        &self,
        webhook: &Webhook<'_>,
        content: &[u8],
        means: Means,
    ) -> Result<Verified, &'static str> {
        let (id, at) = (webhook.id, webhook.timestamp);
        let message = [id.as_bytes(), b".", at.text.as_bytes(), b".", content];
        let verified = |strength, key_id| Verified {
            strength,
            key_id,
            signed_at_seconds: Some(at.seconds),
            message: Message::Id(id.to_owned()),
        };
        if means.ed25519 && !webhook.v1a.is_empty() {
            let (offer, now) = (self.offer, self.now);
            let message = message.concat();
            let found = self
                .secrets
                .signed_ed25519(offer, &message, &webhook.v1a, now);
            if let Some(key_id) = found {
                return Ok(verified(Strength::StandardWebhooksEd25519, key_id));
            }
        }
        if let Some(key_id) = self.hmac(&message, &webhook.v1) {
            return Ok(verified(Strength::StandardWebhooks, key_id));
        }
        Err(match (webhook.v1.is_empty(), means.ed25519) {
            (true, false) => NO_PUBLIC_KEY,
            (true, true) => DOES_NOT_FIT,
            (false, _) => without_hmac(means),
        })
    }

    fn hmac(&self, message: &[&[u8]], macs: &[[u8; 32]]) -> Option<Arc<str>> {
        let (offer, now) = (self.offer, self.now);
        self.secrets.signed_hmac(offer, message, macs, now)
    }
}

/// Why no HMAC was right.
fn without_hmac(means: Means) -> &'static str {
    match (means.hmac, means.only_hash) {
        (true, _) => DOES_NOT_FIT,
        (false, true) => ONLY_HASH,
        (false, false) => NO_SECRET,
    }
}

#[cfg(test)]
mod tests;
