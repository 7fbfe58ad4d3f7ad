//! Applying programme files: reads what is defined, plans, and appends the plan as one group.

use std::{io, path::Path, sync::Arc};

use postbook_schemas::{DecodeError, Envelope, Source, envelope::Draft};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::Mutex;

use super::{Known, Plan, Problem, ProgrammeFile, plan};
use crate::{
    commands::record::{self, CommandError},
    directory::DirectoryError,
    service::Service,
    store::{Append, Appended, Filter, LogStore, StoreError},
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
    #[error("which partners have a history cannot be told: {0}")]
    History(#[from] CommandError),
    /// The facts are in the log, but what intake knows of the programme could not be renewed.
    #[error("applied, but not in force before the next start: {0}")]
    Directory(#[from] DirectoryError),
}

fn listed(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// What applying did, or would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// What changes.
    pub plan: Plan,
    /// The positions of its facts, first and last; absent where nothing was appended.
    pub positions: Option<(u64, u64)>,
}

impl Applied {
    /// As `POST /v1/programme` answers it and `postbook apply --json` prints it.
    pub fn to_json(&self) -> Value {
        let changes = self.plan.changes.iter().map(|change| {
            json!({
                "change": change.sign,
                "subject": change.subject,
                "details": change.details,
                "text": change.to_string(),
            })
        });
        json!({
            "changes": changes.collect::<Vec<_>>(),
            "unchanged": self.plan.unchanged,
            "first_position": self.positions.map(|(first, _)| first),
            "last_position": self.positions.map(|(_, last)| last),
        })
    }
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
    service: &Service,
    files: Vec<ProgrammeFile>,
    applying: Applying,
) -> Result<Applied, ApplyError> {
    let _alone = alone().await;
    let mut known = known(&**service.log.store()).await?;
    let changing = known.currency_changes(&files);
    if !changing.is_empty() {
        record::catch_up(service).await?;
    }
    for partner in changing {
        if service
            .tables
            .has_partner(&partner)
            .await
            .map_err(CommandError::from)?
        {
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
            service.clock.new_id(),
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
    let appended = service.log.append_all(appends.collect()).await?;
    service.refresh_directory().await?;
    let position = |appended: &Appended| match appended {
        Appended::At { position, .. } | Appended::Known { position } => *position,
    };
    let first_and_last = appended.first().zip(appended.last());
    let positions = first_and_last.map(|(first, last)| (position(first), position(last)));
    Ok(Applied { plan, positions })
}

/// Keeps others from defining anything while it is held.
pub(crate) async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    APPLYING.lock().await
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
