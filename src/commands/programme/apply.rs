//! Applying programme files: reads what is defined, plans, and appends the plan as one group.

use std::{io, path::Path, sync::Arc, time::Duration};

use postbook_projections::whatif::Reach;
use postbook_schemas::{DecodeError, Envelope, FactType, Instant, envelope::Draft};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::Mutex;

use super::{
    Known, Plan, Problem, ProgrammeFile, plan,
    reach::{self, HINT, sentence},
    repeat::{self, Keys},
};
use crate::{
    commands::{
        record::{self, Author, CommandError},
        seats,
    },
    directory::DirectoryError,
    service::Service,
    store::{Append, Appended, Filter, LogStore, StoreError},
};

/// Planning reads what the log says and appends what it does not. Whoever defines something takes the
/// next seat, so that of several nodes one is first; within a process they wait for each other.
static APPLYING: Mutex<()> = Mutex::const_new(());

/// The facts that are counted for seats: each that defines something takes one, or comes in the same
/// group as one that does.
const SEATED: &[FactType] = &[
    FactType::BrandDefined,
    FactType::OfferDefined,
    FactType::PartnerDefined,
    FactType::LinkDefined,
    FactType::CouponDefined,
    FactType::MappingDefined,
    FactType::FxRateRecorded,
    FactType::TermsPublished,
    FactType::WhatifAdopted,
];

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
    /// The read models could not say which partners have a history, or others define all the time.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// It is applied where a second person should agree, and nobody said why.
    #[error("it is applied anyway: say why, with a reason that is kept with the change")]
    Unexplained,
    /// It changes lines that closed months or payouts have told of.
    #[error("{}; a second person agrees to that: {}, or say that it is applied `anyway`", sentence(.0), HINT)]
    Settled(Reach),
    /// What it would change cannot be derived.
    #[error("what it would change of what is posted cannot be told: {0}")]
    Underivable(String),
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
    /// What it would change of what is posted already, if it was only planned.
    pub reach: Reach,
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
            "posted": reach::to_json(&self.reach),
            "first_position": self.positions.map(|(first, _)| first),
            "last_position": self.positions.map(|(_, last)| last),
        })
    }
}

/// Who applies, and how.
#[derive(Clone, Debug)]
pub struct Applying {
    /// Who, and where the files came in.
    pub author: Author,
    /// Why; kept with the facts.
    pub reason: Option<Arc<str>>,
    /// Without a second person, also where closed months or payouts have told of what changes.
    pub anyway: bool,
    /// Only plan.
    pub is_dry_run: bool,
    /// How long to wait until the read models show what is in the log, where the plan may change it.
    pub patience: Duration,
}

/// Plans programme files against what the log says and appends the facts, all or none.
///
/// # Errors
/// The files are wrong, change what is posted without saying why or that it is meant, or the log or the
/// read models failed. Nothing was appended.
pub async fn apply(
    service: &Service,
    files: Vec<ProgrammeFile>,
    applying: Applying,
) -> Result<Applied, ApplyError> {
    let _alone = alone().await;
    let keys = Keys::of(&files, &applying).filter(|_| !applying.is_dry_run);
    for _ in 0..seats::TRIES {
        // In this order: what the same request applies in between is then found, or takes the seat.
        let seat = next_seat(&**service.log.store()).await?;
        let planned = planned(service, files.clone(), &applying).await;
        if let Some(keys) = &keys
            && let Some(first) = repeat::earlier(service, &files, keys).await?
        {
            return Ok(first);
        }
        let (plan, now, reach) = planned?;
        if applying.is_dry_run || plan.is_empty() {
            return Ok(Applied {
                plan,
                positions: None,
                reach,
            });
        }
        reach::refuse(&reach, &applying)?;
        let references = keys.clone().map(Keys::into_references);
        if let Some(positions) = append(service, &plan, now, &applying, seat, references).await? {
            service.refresh_directory().await?;
            return Ok(Applied {
                plan,
                positions: Some(positions),
                reach: Reach::default(),
            });
        }
    }
    let detail = "others change the programme at the same time: apply again";
    Err(CommandError::Conflict(detail.to_owned()).into())
}

/// What the files change as things stand, from when on it holds, and what of the posted it changes.
async fn planned(
    service: &Service,
    files: Vec<ProgrammeFile>,
    applying: &Applying,
) -> Result<(Plan, Option<Instant>, Reach), ApplyError> {
    let mut known = known(&**service.log.store()).await?;
    let changing = known.currency_changes(&files);
    if !changing.is_empty() {
        record::catch_up(service).await?;
    }
    for partner in changing {
        let has_history = service.tables.has_partner(&partner).await;
        if has_history.map_err(CommandError::from)? {
            known.has_history(partner);
        }
    }
    // The clock of another node may be ahead: what is defined last is to be the newest all the same.
    let newest = known.defined_at().map(|at| at.plus_micros(1));
    let occurred_at = newest.filter(|&newest| newest > service.clock.now());
    let plan = plan(files, &known).map_err(ApplyError::Problems)?;
    let reach = reach::of(service, &plan, applying).await?;
    Ok((plan, occurred_at, reach))
}

/// Appends a plan; says where, or nothing if somebody else has taken the seat.
async fn append(
    service: &Service,
    plan: &Plan,
    occurred_at: Option<Instant>,
    applying: &Applying,
    seat: String,
    references: Option<[String; 2]>,
) -> Result<Option<(u64, u64)>, ApplyError> {
    let mut appends: Vec<Append> = plan
        .changes
        .iter()
        .map(|change| Append {
            draft: Draft::new(
                service.clock.new_id(),
                occurred_at,
                Arc::clone(&applying.author.actor),
                applying.author.source(),
                &change.fact,
            )
            .because(applying.reason.clone()),
            unique: None,
            not_at: Vec::new(),
            references: Vec::new(),
            seat: None,
            with_previous: true,
        })
        .collect();
    if let Some(first) = appends.first_mut() {
        first.unique = Some(seat);
        first.references.extend(references.into_iter().flatten());
    }
    let appended = service.log.append_all(appends).await?;
    Ok(match (appended.first(), appended.last()) {
        (
            Some(Appended::At {
                position: first, ..
            }),
            Some(Appended::At { position: last, .. }),
        ) => Some((*first, *last)),
        _ => None,
    })
}

/// The key that the next definitions take, whoever else defines at the same time. It must be known
/// before what is defined is looked at.
pub(crate) async fn next_seat(store: &dyn LogStore) -> Result<String, StoreError> {
    seats::next(store, "programme-seat", SEATED).await
}

/// Keeps others of this process from defining anything while it is held.
pub(crate) async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    APPLYING.lock().await
}

/// The programme as the log says it.
///
/// # Errors
/// The log could not be read.
pub async fn known(store: &dyn LogStore) -> Result<Known, ApplyError> {
    known_through(store, store.head()).await
}

/// The programme as the log says it up to a position.
pub(super) async fn known_through(store: &dyn LogStore, head: u64) -> Result<Known, ApplyError> {
    let (mut known, mut from) = (Known::default(), 1);
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
