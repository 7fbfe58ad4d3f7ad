//! The closed list of what can become of a postback attempt, in order of precedence (SPEC 3.2).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal;)+) => {
        /// What became of one attempt. Every attempt ends in exactly one outcome; where several
        /// apply, the first of this list holds.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Outcome {
            $($(#[$doc])* $variant,)+
        }

        impl Outcome {
            /// All outcomes, in order of precedence.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code used in answers, facts and documents.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// The HTTP status that the attempt is answered with.
            pub const fn http_status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)+
                }
            }

            /// The outcome with this code.
            pub fn from_code(code: &str) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

outcomes! {
    /// The request is over 64 KiB.
    PayloadTooLarge = "payload_too_large", 413;
    /// Plain HTTP where the offer requires HTTPS.
    InsecureTransport = "insecure_transport", 403;
    /// No such brand or offer, or none can be told.
    UnknownOffer = "unknown_offer", 404;
    /// Too many requests for this offer from this address.
    RateLimited = "rate_limited", 429;
    /// The sender's address is outside the offer's allow-list.
    AddressNotAllowed = "address_not_allowed", 403;
    /// Token or secret missing, wrong, or not for this offer.
    BadCredentials = "bad_credentials", 401;
    /// HMAC missing where required, or wrong.
    BadSignature = "bad_signature", 401;
    /// The signed timestamp is outside the tolerance.
    StaleTimestamp = "stale_timestamp", 401;
    /// Not JSON, broken encoding, or a scalar given twice.
    Malformed = "malformed", 422;
    /// A field that this kind of event needs is missing.
    MissingField = "missing_field", 422;
    /// A field's value cannot be used.
    InvalidValue = "invalid_value", 422;
    /// The `payout` parameter is above what the terms allow.
    PayoutNotAllowed = "payout_not_allowed", 422;
    /// A click id that was never given out, and nothing else to attribute by.
    UnknownClick = "unknown_click", 404;
    /// The click is older than the retention.
    ExpiredClick = "expired_click", 404;
    /// The dedupe key was seen before.
    Duplicate = "duplicate", 200;
    /// Test traffic: kept with its payload, never in a balance or report.
    Sandbox = "sandbox", 200;
    /// A change that came before its conversion: kept, visible, resolved on arrival.
    Parked = "parked", 202;
    /// The fact is in the log; `matched` says whether anything attributed it.
    Accepted = "accepted", 200;
}

impl Outcome {
    /// Whether the attempt was refused: it is kept as `postback.rejected` and earns nothing.
    pub fn is_rejection(self) -> bool {
        self < Self::Duplicate
    }
}
