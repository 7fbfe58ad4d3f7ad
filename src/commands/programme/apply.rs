//! Applying programme files: reads what is defined, plans, and appends the plan as one group.

use std::{io, path::Path, sync::Arc};

use postbook_schemas::{DecodeError, Envelope, Slug, Source, envelope::Draft};
use thiserror::Error;
use tokio::sync::Mutex;

use super::{Known, Plan, Problem, ProgrammeFile, plan};
use crate::{
    clock::Clock,
    store::{Append, Appended, Filter, LogStore, StoreError, writer::Log},
};

/// Planning reads what the log says and appends what it does not: two that plan at once would both
/// append. A log has one writing process, so a lock within it is enough.
static APPLYING: Mutex<()> = Mutex::const_new(());

/// How much of the log is read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// Why programme files were not applied. Nothing of them is in the log then.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// They are wrong.
    #[error("{}", listed(.0))]
    Problems(Vec<Problem>),
    /// The log failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log holds something that cannot be read.
    #[error("the fact at position {position} cannot be read: {source}")]
    Unreadable {
        /// Where.
        position: u64,
        /// Why.
        source: DecodeError,
    },
    /// The read models could not say which partners have a history.
    #[error("whether partner {partner} has a history cannot be told: {what}")]
    History {
        /// Which partner.
        partner: Slug,
        /// What went wrong.
        what: String,
    },
}

fn listed(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// What tells whether postings concern a partner already.
pub trait History: Send + Sync {
    /// Whether postings concern this partner already.
    fn has_postings(&self, partner: &Slug) -> impl Future<Output = Result<bool, String>> + Send;
}

/// What applying did, or would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// What changes.
    pub plan: Plan,
    /// The positions of its facts, first and last; absent where nothing was appended.
    pub positions: Option<(u64, u64)>,
}

/// Who applies, and how.
#[derive(Clone, Debug)]
pub struct Applying {
    /// How facts name whoever applies.
    pub actor: Arc<str>,
    /// Where the files came in.
    pub source: Source,
    /// Only plan.
    pub is_dry_run: bool,
}

/// Plans programme files against what the log says and appends the facts, all or none.
///
/// # Errors
/// The files are wrong, or the log or the read models failed. Nothing was appended.
pub async fn apply(
    log: &Log,
    clock: &dyn Clock,
    history: &impl History,
    files: Vec<ProgrammeFile>,
    applying: Applying,
) -> Result<Applied, ApplyError> {
    let _alone = APPLYING.lock().await;
    let mut known = known(&**log.store()).await?;
    for partner in known.currency_changes(&files) {
        let has_postings = history.has_postings(&partner).await;
        if has_postings.map_err(|what| ApplyError::History {
            partner: partner.clone(),
            what,
        })? {
            known.has_history(partner);
        }
    }
    let plan = plan(files, &known).map_err(ApplyError::Problems)?;
    if applying.is_dry_run || plan.is_empty() {
        return Ok(Applied {
            plan,
            positions: None,
        });
    }
    let appends = plan.changes.iter().map(|change| Append {
        draft: Draft::new(
            clock.new_id(),
            None,
            Arc::clone(&applying.actor),
            applying.source.clone(),
            &change.fact,
        ),
        unique: None,
        not_at: Vec::new(),
        references: Vec::new(),
        seat: None,
    });
    let appended = log.append_all(appends.collect()).await?;
    let position = |appended: &Appended| match appended {
        Appended::At { position, .. } | Appended::Known { position } => *position,
    };
    let first_and_last = appended.first().zip(appended.last());
    let positions = first_and_last.map(|(first, last)| (position(first), position(last)));
    Ok(Applied { plan, positions })
}

/// The programme as the log says it.
///
/// # Errors
/// The log could not be read.
pub async fn known(store: &dyn LogStore) -> Result<Known, ApplyError> {
    let (mut known, mut from) = (Known::default(), 1);
    let head = store.head();
    while from <= head {
        let page = store
            .read(from, head, Filter::only(Known::TYPES), PAGE_BYTES)
            .await?;
        for (position, line) in page.lines() {
            let envelope = Envelope::decode(line)
                .map_err(|source| ApplyError::Unreadable { position, source })?;
            known.fold(envelope);
        }
        from = page.next.max(from + 1);
    }
    Ok(known)
}

/// The text of programme files: a file as it is, of a directory all `*.toml` in order of name.
///
/// # Errors
/// A path cannot be read, or a directory holds no such file.
pub fn read_files(path: &Path) -> io::Result<Vec<(String, String)>> {
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
        paths = entries.collect::<io::Result<_>>()?;
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        });
        paths.sort();
        if paths.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "no *.toml file in it",
            ));
        }
    }
    let read = |path: &Path| Ok((path.display().to_string(), std::fs::read_to_string(path)?));
    paths.iter().map(|path| read(path)).collect()
}
