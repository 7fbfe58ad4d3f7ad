//! Who sends a postback, and whether the offer takes it from them.

use std::sync::Arc;

use postbook_schemas::{Credential, Instant, OfferRef, Strength, configuration::Offer};

use super::{
    fields::{Fields, Name},
    request::{Endpoint, Request},
    signature::Checked,
};
use crate::secrets::{Caller, Role, SecretCheck, Secrets};

/// What a request shows to be let in, checked against what is known.
#[derive(Clone, Debug)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// A token that is known and may send postbacks.
    Token(Arc<Caller>),
    /// A token that is unknown, revoked or for something else.
    BadToken(&'static str),
    /// A secret of the offer, by its id.
    Secret(Arc<str>),
    /// A secret that is not the offer's.
    BadSecret,
    /// The offer never had a secret to compare with.
    NoSecretMade,
}

const TEST_TAKES_A_MANAGER: &str = "test=1 takes a manager's token: send Authorization: Bearer";

/// Looks at what a request shows; `offer` as its path names it. On an offer's endpoint the header
/// wins over the parameter, and both over a token.
pub fn look(
    request: &Request,
    fields: &Fields<'_>,
    offer: Option<&OfferRef>,
    secrets: &Secrets,
    now: Instant,
) -> Shown {
    let is_test = fields.is_test() == Some(true);
    if let Some(imported) = &request.imported {
        return match &imported.caller {
            Some(caller) if is_test && !caller.role.covers(Role::Manager) => {
                Shown::BadToken(TEST_TAKES_A_MANAGER)
            }
            Some(caller) => Shown::Token(Arc::clone(caller)),
            None => Shown::Nothing,
        };
    }
    if is_test {
        return tester(request, secrets);
    }
    if request.endpoint == Endpoint::Postback {
        return token(request, secrets);
    }
    let header = request.secret.as_ref().map(|sealed| sealed.0.as_str());
    let Some(offer) = offer else {
        return Shown::Nothing;
    };
    match header.or_else(|| fields.get(Name::Secret)) {
        Some(given) => match secrets.verify_offer_secret(offer.as_str(), given, now) {
            SecretCheck::Valid(key_id) => Shown::Secret(key_id),
            SecretCheck::Wrong => Shown::BadSecret,
            SecretCheck::NoneMade => Shown::NoSecretMade,
        },
        None if request.bearer.is_some() => token(request, secrets),
        None if secrets.has_offer_secret(offer.as_str()) => Shown::Nothing,
        None => Shown::NoSecretMade,
    }
}

fn token(request: &Request, secrets: &Secrets) -> Shown {
    let Some(given) = &request.bearer else {
        return Shown::Nothing;
    };
    match secrets.verify_token(&given.0) {
        Some(caller) if caller.role.covers(Role::Ingest) => Shown::Token(caller),
        Some(_) => Shown::BadToken("the token may not send postbacks: it needs the role ingest"),
        None => Shown::BadToken("the token is unknown or revoked"),
    }
}

/// A test takes a manager's token, whatever else is shown: neither may a test that somebody else
/// sends become money, nor may a word in a URL take real conversions out of the books.
fn tester(request: &Request, secrets: &Secrets) -> Shown {
    let given = request.bearer.as_ref();
    match given.and_then(|given| secrets.verify_token(&given.0)) {
        Some(caller) if caller.role.covers(Role::Manager) => Shown::Token(caller),
        _ => Shown::BadToken(TEST_TAKES_A_MANAGER),
    }
}

/// Under what an attempt is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The credential.
    pub credential: Credential,
    /// How facts name the sender.
    pub actor: Arc<str>,
}

/// What anyone without a credential is called.
pub fn anonymous() -> Arc<str> {
    "anonymous".into()
}

/// Whether an offer takes postbacks under what was shown. A right signature is enough alone; beside a
/// secret or token it is the stronger proof, and no help to a wrong one.
///
/// # Errors
/// It does not; the text says why, and what would be right.
pub fn admit(
    shown: &Shown,
    signature: &Checked,
    endpoint: &Endpoint,
    offer: &Offer,
    reference: &OfferRef,
) -> Result<Admission, &'static str> {
    let is_signed = signature.verified().is_some();
    let shown = by_what_is_shown(shown, is_signed, endpoint, offer, reference);
    match signature {
        Checked::Absent | Checked::Wrong(_) => shown,
        Checked::Right(verified) => shown.map(|admission| Admission {
            credential: Credential {
                strength: verified.strength,
                key_id: Some(verified.key_id.to_string()),
            },
            ..admission
        }),
    }
}

fn by_what_is_shown(
    shown: &Shown,
    is_signed: bool,
    endpoint: &Endpoint,
    offer: &Offer,
    reference: &OfferRef,
) -> Result<Admission, &'static str> {
    let by_offer = |strength, key_id| Admission {
        credential: Credential { strength, key_id },
        actor: format!("offer:{reference}").into(),
    };
    match shown {
        Shown::Token(caller) => by_token(caller, reference),
        Shown::BadToken(why) => Err(*why),
        Shown::Secret(id) => Ok(by_offer(Strength::Secret, Some(id.to_string()))),
        Shown::BadSecret => Err("the secret is not one of this offer"),
        Shown::Nothing | Shown::NoSecretMade if is_signed => Ok(by_offer(Strength::None, None)),
        Shown::NoSecretMade if offer.legacy_without_secret => Ok(by_offer(Strength::None, None)),
        Shown::NoSecretMade => Err(
            "the offer has no secret yet: make one with `postbook secret rotate brand/offer` and \
             send it as X-Postback-Secret or secret",
        ),
        Shown::Nothing => Err(nothing_shown(endpoint)),
    }
}

fn by_token(caller: &Caller, offer: &OfferRef) -> Result<Admission, &'static str> {
    // That its role lets it send this was seen when it was looked at.
    if !caller.is_for(offer) {
        return Err("the token is not for this offer");
    }
    Ok(Admission {
        credential: Credential {
            strength: Strength::Token,
            key_id: Some(caller.key_id.to_string()),
        },
        actor: Arc::clone(&caller.actor),
    })
}

/// What a sender is told who shows nothing.
pub fn nothing_shown(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Postback => "a token is missing: send Authorization: Bearer",
        Endpoint::Offer(_) => {
            "the secret is missing: send X-Postback-Secret or the parameter secret"
        }
    }
}
