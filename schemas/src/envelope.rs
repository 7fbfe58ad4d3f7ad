//! The envelope around every fact, and the bytes that are kept and hashed.
//!
//! A fact is kept as one line of JSON. Its position is not in the line: a position is the line's
//! place in the log, and the same line keeps its hash when a log moves to a store that counts
//! differently.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{DecodeError, Fact, FactId, FactType, Instant};

/// Where a fact came in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The endpoint or command.
    pub endpoint: String,
    /// The sender's address, truncated: without the last octet (IPv4) or the last 80 bits (IPv6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A fact with everything that is known about its recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// The fact's own id.
    pub id: FactId,
    /// When it happened, as the sender says.
    pub occurred_at: Instant,
    /// When it was appended.
    pub recorded_at: Instant,
    /// Which token, user or part of the system said it.
    pub actor: String,
    /// Where it came in.
    pub source: Source,
    /// Why, where that is said beside the data: definitions carry it so.
    pub reason: Option<String>,
    /// The fact.
    pub fact: Fact,
}

/// A fact that is ready to be appended: all but the time of recording is settled.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The fact's own id.
    pub id: FactId,
    /// The type.
    pub fact_type: FactType,
    /// When it happened; when it is recorded, if absent.
    pub occurred_at: Option<Instant>,
    /// Which token, user or part of the system says it.
    pub actor: Arc<str>,
    /// Where it came in.
    pub source: Source,
    /// Why, where that is said beside the data.
    pub reason: Option<Arc<str>>,
    /// The data as JSON.
    pub data: Vec<u8>,
}

impl Draft {
    /// A draft of a fact.
    ///
    /// # Panics
    /// Never: every fact can be written as JSON.
    pub fn new(
        id: FactId,
        occurred_at: Option<Instant>,
        actor: Arc<str>,
        source: Source,
        fact: &Fact,
    ) -> Self {
        let data = fact.to_json();
        Self {
            id,
            fact_type: fact.fact_type(),
            occurred_at,
            actor,
            source,
            reason: None,
            data,
        }
    }

    /// The same, with why it is said.
    #[must_use]
    pub fn because(self, reason: Option<Arc<str>>) -> Self {
        Self { reason, ..self }
    }

    /// Appends the line that is kept, without a line feed, to `line`.
    ///
    /// # Panics
    /// Never: a head of texts and numbers can be written as JSON.
    pub fn write_line(&self, recorded_at: Instant, line: &mut Vec<u8>) {
        let head = Head {
            id: self.id,
            fact_type: self.fact_type.name(),
            version: self.fact_type.version(),
            occurred_at: self.occurred_at.unwrap_or(recorded_at),
            recorded_at,
            actor: &self.actor,
            source: &self.source,
            reason: self.reason.as_deref(),
        };
        serde_json::to_writer(&mut *line, &head)
            .expect("a head of texts and numbers can be written as JSON");
        // The data is JSON already: it takes the place of the head's closing brace.
        line.pop();
        line.extend_from_slice(b",\"data\":");
        line.extend_from_slice(&self.data);
        line.push(b'}');
    }
}

#[derive(Serialize)]
struct Head<'a> {
    id: FactId,
    #[serde(rename = "type")]
    fact_type: &'static str,
    version: u32,
    occurred_at: Instant,
    recorded_at: Instant,
    actor: &'a str,
    source: &'a Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// A kept line, parsed as far as its data, which stays as it is.
#[derive(Clone, Debug, Deserialize)]
pub struct RawEnvelope<'a> {
    /// The fact's own id.
    pub id: FactId,
    /// The type's name.
    #[serde(rename = "type", borrow)]
    pub fact_type: std::borrow::Cow<'a, str>,
    /// The version of the type's schema.
    pub version: u32,
    /// When it happened.
    pub occurred_at: Instant,
    /// When it was appended.
    pub recorded_at: Instant,
    /// Who said it.
    pub actor: String,
    /// Where it came in.
    pub source: Source,
    /// Why, where that is said beside the data.
    #[serde(default)]
    pub reason: Option<String>,
    /// The data.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl Envelope {
    /// Reads a kept line.
    ///
    /// # Errors
    /// The line is not a fact of a known type and version.
    pub fn decode(line: &[u8]) -> Result<Self, DecodeError> {
        let raw: RawEnvelope<'_> = serde_json::from_slice(line).map_err(DecodeError::Envelope)?;
        let fact = Fact::decode(&raw.fact_type, raw.version, raw.data)?;
        Ok(Self {
            id: raw.id,
            occurred_at: raw.occurred_at,
            recorded_at: raw.recorded_at,
            actor: raw.actor,
            source: raw.source,
            reason: raw.reason,
            fact,
        })
    }
}

/// A fact at its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its place, gapless from 1.
    pub position: u64,
    /// The fact.
    pub envelope: Envelope,
}
