//! Appends what somebody asked for, once, and waits until the read models show it.

use std::{sync::Arc, time::Duration};

use postbook_schemas::{
    DecodeError, Envelope, Fact, FactId, Source,
    envelope::{Draft, Recorded},
};
use thiserror::Error;

use crate::{
    intake::scrub,
    service::Service,
    store::{Append, Appended, LogStore, StoreError},
    tables::error::TablesError,
};

/// Separates the parts of a key, as in dedupe keys.
const SEPARATOR: char = '\u{1f}';

/// How long a request waits for the read models.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Who asks, and where.
#[derive(Clone, Debug)]
pub struct Author {
    /// How facts name them.
    pub actor: Arc<str>,
    /// The endpoint or command.
    pub endpoint: &'static str,
    /// What makes the request recognisable when it is sent again.
    pub idempotency_key: Option<String>,
}

impl Author {
    /// The key under which a repeat of this request is recognised.
    pub fn unique_key(&self) -> Option<String> {
        let given = self.idempotency_key.as_ref()?;
        Some(key(&["request", self.endpoint, &self.actor, given]))
    }

    /// Where facts of theirs came in.
    pub(super) fn source(&self) -> Source {
        Source {
            endpoint: self.endpoint.to_owned(),
            address: None,
        }
    }
}

/// A key of several parts.
pub fn key(parts: &[&str]) -> String {
    parts.join(&SEPARATOR.to_string())
}

/// Why something that was asked for was not done.
#[derive(Debug, Error)]
pub enum CommandError {
    /// What it is about does not exist.
    #[error("{0}")]
    NotFound(String),
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// The caller may not.
    #[error("{0}")]
    Forbidden(String),
    /// A field's value cannot be used.
    #[error("{field}: {detail}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The read models are too far behind to decide.
    #[error("the read models have not caught up with the log yet")]
    Late,
    /// The log failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The read models failed.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// A fact that was appended cannot be read.
    #[error("the fact at position {position} cannot be read: {source}")]
    Unreadable {
        /// Where.
        position: u64,
        /// Why.
        source: DecodeError,
    },
}

/// A fact that is in the log now.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Where, and what.
    pub recorded: Recorded,
    /// Whether an earlier request with the same key had appended it.
    pub is_repeat: bool,
}

/// Waits until the read models show what is in the log.
///
/// # Errors
/// They do not in time.
pub async fn catch_up(service: &Service) -> Result<(), CommandError> {
    if service.projector.wait_for_head(PATIENCE).await {
        Ok(())
    } else {
        Err(CommandError::Late)
    }
}

/// Appends a fact unless one was appended under `unique` before, and waits a little until the read
/// models show it.
///
/// # Errors
/// The log cannot be written or read.
pub async fn append(
    service: &Service,
    author: &Author,
    fact: &Fact,
    unique: Option<String>,
    references: Vec<String>,
) -> Result<Kept, CommandError> {
    let id = service.clock.new_id();
    let draft = Draft::new(id, None, Arc::clone(&author.actor), author.source(), fact);
    let appended = service
        .append(Append {
            draft,
            unique,
            not_at: Vec::new(),
            references,
            seat: None,
            with_previous: false,
        })
        .await?;
    let (position, is_repeat) = match appended {
        Appended::At { position, .. } => (position, false),
        Appended::Known { position } => (position, true),
    };
    let recorded = read(service, position).await?;
    // The fact is kept whether or not the read models show it in time.
    _ = service.projector.wait_for(position, PATIENCE).await;
    Ok(Kept {
        recorded,
        is_repeat,
    })
}

/// Appends a fact under the key that its author gave; the same key for something else is refused.
///
/// # Errors
/// As [`append`], or the key was used for something else.
pub async fn append_once(
    service: &Service,
    author: &Author,
    fact: Fact,
) -> Result<Kept, CommandError> {
    let kept = append(service, author, &fact, author.unique_key(), Vec::new()).await?;
    let kept_fact = &kept.recorded.envelope.fact;
    if kept.is_repeat && *kept_fact != fact && kept_fact.to_json() != as_kept(service, &fact) {
        return Err(used_for_something_else());
    }
    Ok(kept)
}

/// A fact's data as the log keeps it: without secrets.
fn as_kept(service: &Service, fact: &Fact) -> Vec<u8> {
    let mut data = fact.to_json();
    scrub::scrub(&mut data, &service.secrets);
    data
}

/// The refusal of a key that came with another request before.
pub fn used_for_something_else() -> CommandError {
    CommandError::Conflict("the Idempotency-Key was used for another request".to_owned())
}

/// Reads the fact at a position that is known to hold one.
///
/// # Errors
/// The log cannot be read.
pub async fn read(service: &Service, position: u64) -> Result<Recorded, CommandError> {
    read_from(&**service.log.store(), position).await
}

/// Reads the fact at a position of a log that is known to hold one there.
///
/// # Errors
/// The log cannot be read.
pub async fn read_from(store: &dyn LogStore, position: u64) -> Result<Recorded, CommandError> {
    let missing = || {
        CommandError::Store(StoreError::Damaged {
            position,
            what: "there is no fact although one was appended".to_owned(),
        })
    };
    let line = store.read_one(position).await?;
    let envelope = Envelope::decode(&line.ok_or_else(missing)?)
        .map_err(|source| CommandError::Unreadable { position, source })?;
    Ok(Recorded { position, envelope })
}

/// The conversion, or a refusal that names it.
///
/// # Errors
/// There is none with this id.
pub async fn conversion(
    service: &Service,
    id: FactId,
) -> Result<postbook_projections::rows::ConversionRow, CommandError> {
    catch_up(service).await?;
    let found = service.tables.conversion(id).await?;
    found.ok_or_else(|| CommandError::NotFound(format!("there is no conversion {id}")))
}
