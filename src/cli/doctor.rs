//! `postbook doctor`: looks at what usually goes wrong.

#[cfg(feature = "kurrentdb")]
mod cluster;
mod files;
mod server;

use std::path::Path;

use clap::Args;
use postbook_projections::derivation::Derivation;
use postbook_schemas::{Envelope, Instant, instant::DAY_US};
use serde_json::{Value, json};

use super::{
    exit::{CliError, Exit},
    global::Global,
    output,
    reader::Reader,
};
use crate::{
    clock::{Clock, SystemClock},
    commands,
    projector::lease,
    secrets::Place,
    store::{open::Location, postgres::Server},
    tables::{self, generation::Purpose, query::Slice},
};

/// Looks at disk, clock, files, log and read models.
#[derive(Debug, Args)]
pub(super) struct Doctor {}

/// How something looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Good,
    /// Worth knowing; nothing is wrong.
    Note,
    Bad,
}

impl Health {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    what: &'static str,
    health: Health,
    detail: String,
}

impl Finding {
    fn new(what: &'static str, health: Health, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            what,
            health,
            detail,
        }
    }
}

impl Doctor {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let mut findings = vec![Finding::new(
            "program",
            Health::Good,
            format!("postbook {}", env!("CARGO_PKG_VERSION")),
        )];
        let location = global.options().location()?;
        findings.extend(look_outside(global, &location)?);
        if let Some(server) = location.postgres() {
            findings.extend(server::findings(server).await);
        }
        #[cfg(feature = "kurrentdb")]
        if let Some(server) = location.kurrentdb() {
            findings.extend(cluster::findings(server).await);
        }
        if let tables::location::Location::Server(server) = global.options().tables()? {
            findings.extend(lease(&server).await);
        }
        match Reader::open(global).await {
            Ok(reader) => {
                findings.extend(look_inside(&reader).await?);
                reader.close().await;
            }
            Err(error) => findings.push(Finding::new("log", Health::Bad, error.message)),
        }
        report(&findings, &global.data, global.json)
    }
}

fn look_outside(global: &Global, location: &Location) -> Result<Vec<Finding>, CliError> {
    let place = global.options().secrets_place()?;
    let secrets_in = match &place {
        Place::Directory(directory) => Some(directory.as_path()),
        Place::Server(_) => None,
    };
    let locked = match location {
        Location::Directory(directory) => directory,
        _ => &global.data,
    };
    Ok(files::look(&global.data, secrets_in, locked))
}

async fn look_inside(reader: &Reader) -> Result<Vec<Finding>, CliError> {
    let mut findings = Vec::new();
    let head = reader.store.head();
    findings.push(Finding::new("log", Health::Good, format!("{head} facts")));
    if let Some(line) = reader.store.read_one(head).await? {
        findings.push(match Envelope::decode(&line) {
            Ok(last) => clock(last.recorded_at, SystemClock.now()),
            Err(error) => Finding::new("clock", Health::Bad, format!("the last fact: {error}")),
        });
    }
    let checkpoint = reader.tables.checkpoint().await?;
    let behind = head.saturating_sub(checkpoint.position);
    let health = if behind == 0 {
        Health::Good
    } else {
        Health::Note
    };
    findings.push(Finding::new(
        "read models",
        health,
        format!(
            "generation {} {}, {behind} facts behind the log",
            checkpoint.generation,
            reader.tables.place(),
        ),
    ));
    findings.extend(views(reader).await?);
    findings.extend(derivation(reader).await?);
    findings.extend(poison(reader).await?);
    findings.extend(generations(reader).await?);
    let parked = reader
        .tables
        .parked(
            None,
            Slice {
                after: 0,
                limit: 1_000,
            },
        )
        .await?;
    let health = if parked.is_empty() {
        Health::Good
    } else {
        Health::Note
    };
    findings.push(Finding::new(
        "parked",
        health,
        match parked.len() {
            0 => "no change waits for its conversion".to_owned(),
            1 => "1 change waits for its conversion".to_owned(),
            count => format!("{count} changes wait for their conversions"),
        },
    ));
    Ok(findings)
}

/// Whether other tools are shown what is in force.
async fn views(reader: &Reader) -> Result<Option<Finding>, CliError> {
    let shown = reader.tables.shown_to_others().await?;
    Ok(shown.map(|shown| {
        let detail = format!(
            "other tools are still shown generation {shown}: a report is under way, or something is \
             built on the views that other columns would break"
        );
        Finding::new("views", Health::Note, detail)
    }))
}

/// The version of the derivation, where it is not the newest that is known.
async fn derivation(reader: &Reader) -> Result<Option<Finding>, CliError> {
    let version = reader.directory().await?.derivation();
    let told = commands::derivation::told(version);
    Ok(told.map(|told| {
        let health = match Derivation::find(Derivation::KNOWN, version) {
            Some(_) => Health::Note,
            None => Health::Bad,
        };
        Finding::new("derivation", health, told)
    }))
}

/// The fact at which whoever writes the read models has stopped.
async fn poison(reader: &Reader) -> Result<Option<Finding>, CliError> {
    let stopped = reader.tables.stopped().await?;
    Ok(stopped.map(|stopped| {
        let detail = format!(
            "the fact at position {} cannot be folded, and nothing after it is shown: {}",
            stopped.position, stopped.why
        );
        Finding::new("projector", Health::Bad, detail)
    }))
}

/// Which node writes read models that nodes share.
async fn lease(server: &Server) -> Option<Finding> {
    let (health, detail) = match lease::look(server).await {
        Ok(None) => return None,
        Ok(Some((holder, true))) => (
            Health::Good,
            format!(
                "node {} writes the read models, in term {}",
                holder.node, holder.term
            ),
        ),
        Ok(Some((holder, false))) => (
            Health::Note,
            format!(
                "no node writes the read models; the last was {}",
                holder.node
            ),
        ),
        Err(error) => (Health::Bad, error.to_string()),
    };
    Some(Finding::new("projecting node", health, detail))
}

/// Generations that only take room.
async fn generations(reader: &Reader) -> Result<Option<Finding>, CliError> {
    let generations = reader.tables.generations().await?;
    let others = generations
        .iter()
        .filter(|generation| generation.purpose != Purpose::InForce);
    let others: Vec<_> = others
        .map(|generation| {
            let word = match generation.purpose {
                Purpose::Unfinished => "unfinished",
                Purpose::Kept | Purpose::InForce => "kept",
            };
            format!(
                "{word} generation {} ({} MiB)",
                generation.number,
                generation.bytes >> 20
            )
        })
        .collect();
    Ok((!others.is_empty()).then(|| {
        let detail = format!("{}: `postbook replay --release`", others.join(", "));
        Finding::new("generations", Health::Note, detail)
    }))
}

/// A clock that went back would give new facts the time of old ones.
fn clock(last: Instant, now: Instant) -> Finding {
    let ahead = last.micros_since(now);
    if ahead > DAY_US / 24 / 60 {
        let detail = format!("it shows {now}, but the last fact was recorded at {last}");
        return Finding::new("clock", Health::Bad, detail);
    }
    Finding::new(
        "clock",
        Health::Good,
        format!("{now}, after the last fact ({last})"),
    )
}

fn report(findings: &[Finding], data: &Path, as_json: bool) -> Result<(), CliError> {
    if as_json {
        let items = findings.iter().map(|finding| {
            json!({"what": finding.what, "health": finding.health.code(), "detail": finding.detail})
        });
        output::json(&json!({ "items": items.collect::<Vec<Value>>() }))?;
    } else {
        for finding in findings {
            let word = finding.health.code();
            output::line(&format!("{word:<4}  {}: {}", finding.what, finding.detail))?;
        }
    }
    if findings.iter().any(|finding| finding.health == Health::Bad) {
        let message = format!("{} needs attention", data.display());
        return Err(CliError::new(Exit::Unsound, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_behind_the_log_is_bad() {
        let now = Instant::from_micros(1_800_000_000_000_000);
        assert_eq!(clock(now, now).health, Health::Good);
        assert_eq!(clock(now.plus_days(1), now).health, Health::Bad);
    }
}
