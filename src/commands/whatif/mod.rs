//! What-ifs: what draft definitions would change, derived by the live book and written nowhere.

mod adopt;
mod changed;
mod derive;
mod drafts;

use std::sync::Arc;

use postbook_projections::whatif::Reach;
use postbook_schemas::{DecodeError, Fact, Instant};
use thiserror::Error;

use super::{
    programme::{Problem, ProgrammeFile, apply::ApplyError},
    record::{self, Author, CommandError},
};
use crate::{
    projector::ProjectorError,
    service::Service,
    store::StoreError,
    whatif::{
        Whatif,
        kept::{KeptError, Whatifs},
    },
};

pub use adopt::{Adopted, adopt, adoption};
pub use changed::{Changed, changed};

/// Why a what-if was not made or adopted. Nothing is in the log then.
#[derive(Debug, Error)]
pub enum WhatifError {
    /// The programme files are wrong.
    #[error("{}", listed(.0))]
    Problems(Vec<Problem>),
    /// It is refused, or log or read models failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The log has moved on since, and it would change something else now.
    #[error("the log has moved on since: this is now {}", .now.hash)]
    MovedOn {
        /// What it was.
        was: Box<Whatif>,
        /// What it is now, to be looked at and adopted instead.
        now: Box<Whatif>,
    },
    /// The files of what-ifs.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// The book cannot be asked.
    #[error(transparent)]
    Projector(#[from] ProjectorError),
    /// The programme cannot be read.
    #[error(transparent)]
    Programme(ApplyError),
    /// A kept what-if holds something that this version does not know.
    #[error("the what-if cannot be read: {0}")]
    Unknown(#[from] DecodeError),
}

impl WhatifError {
    fn invalid(field: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::Command(CommandError::Invalid { field, detail })
    }
}

impl From<ApplyError> for WhatifError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Problems(problems) => Self::Problems(problems),
            ApplyError::Store(error) => Self::Command(error.into()),
            ApplyError::Command(error) => Self::Command(error),
            other @ (ApplyError::Unreadable { .. }
            | ApplyError::Directory(_)
            | ApplyError::Unexplained
            | ApplyError::Settled(_)
            | ApplyError::Underivable(_)) => Self::Programme(other),
        }
    }
}

impl From<StoreError> for WhatifError {
    fn from(error: StoreError) -> Self {
        Self::Command(error.into())
    }
}

fn listed(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// What is tried.
#[derive(Clone, Debug, Default)]
pub struct Drafts {
    /// What these define otherwise than it is now.
    pub files: Vec<ProgrammeFile>,
    /// As if terms and coupons in them held from then on.
    pub from: Option<Instant>,
    /// Another version of the derivation.
    pub derivation: Option<u32>,
}

/// Tries drafts, and keeps the report where a second person finds it by its hash.
///
/// # Errors
/// The files are wrong or change nothing; or the log or the read models failed.
pub async fn whatif(
    service: &Service,
    author: &Author,
    drafts: Drafts,
) -> Result<Whatif, WhatifError> {
    record::catch_up(service).await?;
    let changes = drafts::definitions(service, drafts).await?;
    let facts = changes.into_iter().map(|change| derive::Tried {
        subject: change.subject,
        details: change.details,
        fact: change.fact,
    });
    let report = derive::report(service, facts.collect()).await?;
    let made = Whatif::new(report, author.actor.to_string(), service.clock.now());
    keep(service, made).await
}

/// What definitions would change of what is posted already, in figures; nothing is kept of it. `beside`
/// is defined with them and touches nothing by itself.
///
/// # Errors
/// The book cannot be asked.
pub(super) async fn reach(
    service: &Service,
    beside: Vec<Fact>,
    facts: Vec<Fact>,
) -> Result<Reach, WhatifError> {
    derive::reach(service, beside, facts).await
}

/// The what-if of a hash, or of the only one whose hash begins so.
///
/// # Errors
/// There is none, or it cannot be read.
pub async fn find(whatifs: &Whatifs, hash: &str) -> Result<Whatif, WhatifError> {
    let found = whatifs.find(hash).await?;
    let missing = || CommandError::NotFound(format!("there is no what-if {hash}: try it again"));
    Ok(found.ok_or_else(missing)?)
}

/// All what-ifs that are kept, the newest first.
///
/// # Errors
/// They cannot be read.
pub async fn all(service: &Service) -> Result<Vec<Whatif>, WhatifError> {
    Ok(service.whatifs.all().await?)
}

async fn keep(service: &Service, whatif: Whatif) -> Result<Whatif, WhatifError> {
    Ok(service.whatifs.keep(whatif).await?)
}

/// Does what takes long or waits for the disk on a thread of its own.
async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, WhatifError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ProjectorError::Stopped(error.to_string()).into())
}

/// Who tries or adopts, for facts that are pretended.
fn actor(author: &Author) -> Arc<str> {
    Arc::clone(&author.actor)
}
