//! What is kept of every postback attempt: how it was authenticated and the raw request.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FactId;

/// How strongly an attempt was authenticated, weakest first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Nothing was asked for: a legacy offer without a secret.
    None,
    /// The offer's shared secret.
    Secret,
    /// An API token.
    Token,
    /// HMAC-SHA256 over the body or query (`X-TDS-Signature`).
    Hmac,
    /// A Standard Webhooks signature by a shared secret (`v1`), with a signed time.
    StandardWebhooks,
    /// A Standard Webhooks signature by a key that only the sender has (`v1a`).
    StandardWebhooksEd25519,
}

/// The credential that an attempt was accepted under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Credential {
    /// How strong it is.
    pub strength: Strength,
    /// Which key or token, by id; never the secret itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

/// The request as received, without secrets and personal data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RawRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query, secrets replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The content type as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The body as text, secrets replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in hexadecimal where it is not UTF-8, cut at 4 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_hex: Option<String>,
    /// The whole length of a body that was cut, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
    /// The `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// The mapping under which an attempt was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MappingUsed {
    /// The position of its `mapping.defined`; absent where it held for one file only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The SHA-256 of a mapping that held for one file only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The sender's words that it translated, by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, String>,
}

/// The row of a file that an attempt is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileRow {
    /// The file's name.
    pub file: String,
    /// The SHA-256 of its content.
    pub sha256: String,
    /// The line that the row begins on.
    pub row: u64,
}

/// That a fact comes from an attempt that had been refused, read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Requeued {
    /// The attempt: the id of its `postback.rejected`.
    pub attempt_id: FactId,
    /// Why it was read again.
    pub reason: String,
}

/// What every fact about an attempt carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The credential; absent where the attempt ended before credentials were checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// The request.
    pub request: RawRequest,
    /// Warnings that the answer carried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The mapping under which it was read; absent where the offer had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<MappingUsed>,
    /// The row that it is, out of a file that was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<FileRow>,
    /// The refused attempt that it is, read again; absent where it came in as it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requeued: Option<Requeued>,
}
