//! `postbook verify`: reads everything again and compares it with what was remembered of it.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use clap::Args;
use postbook_schemas::ClickIdKey;
use serde_json::{Value, json};

use super::{
    exit::{CliError, Exit},
    global::Global,
    output,
    reader::Reader,
    scratch::Scratch,
};
use crate::{
    clock::{Clock, SystemClock},
    projector::{self, Projector},
    statement::Issued,
    store::LogStore,
    tables::{
        Checkpoint, Tables,
        query::{
            Slice,
            balances::{AccountTotal, AsOf},
            periods::StatementFilter,
        },
    },
};

/// How often progress is shown.
const GLANCE: Duration = Duration::from_millis(200);

/// Reads everything again: log, read models, trial balance, statements.
#[derive(Debug, Args)]
pub(super) struct Verify {}

/// One check and what it found.
struct Check {
    name: &'static str,
    found: Result<String, String>,
}

impl Verify {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let reader = Reader::open(global).await?;
        let checks = check(&reader, &global.data).await;
        reader.close().await;
        report(&checks?, global.json)
    }
}

async fn check(reader: &Reader, data: &Path) -> Result<Vec<Check>, CliError> {
    let mut checks = Vec::new();
    let head = reader.store.head();
    let progress = output::progress("log", head);
    let log = reader
        .store
        .check(&|position| progress.set_position(position))
        .await;
    progress.finish_and_clear();
    let root = reader.store.root(head).await;
    checks.push(Check {
        name: "log",
        found: match (log, root) {
            (Ok(()), Ok(root)) => Ok(format!("{head} facts, root {}", hex::encode(root))),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
        },
    });
    checks.push(Check {
        name: "replay",
        found: replayed(reader, data).await?,
    });
    let checkpoint = reader.tables.checkpoint().await?;
    let scanned = reader.tables.scan_digest().await?;
    let digest = hex::encode(scanned.to_bytes());
    checks.push(Check {
        name: "read models",
        found: if scanned == checkpoint.digest {
            Ok(format!(
                "at position {}, digest {digest}",
                checkpoint.position
            ))
        } else {
            let stored = hex::encode(checkpoint.digest.to_bytes());
            Err(format!(
                "their rows have digest {digest}, but {stored} is stored"
            ))
        },
    });
    let accounts = reader.tables.trial_balance(AsOf::ALL).await?;
    checks.push(Check {
        name: "trial balance",
        found: trial(&accounts),
    });
    checks.push(Check {
        name: "balances",
        found: balances(&reader.tables).await?,
    });
    checks.push(Check {
        name: "statements",
        found: statements(reader).await?,
    });
    Ok(checks)
}

/// Every balance is what its memo totals say, and its running sums are those of its postings.
async fn balances(tables: &Tables) -> Result<Result<String, String>, CliError> {
    let unsound = tables.unsound_balances().await?;
    let unlike = tables.unlike_balances(SystemClock.now()).await?;
    Ok(if !unsound.is_empty() {
        Err(format!("not what their totals say: {}", unsound.join(", ")))
    } else if !unlike.is_empty() {
        Err(format!(
            "running sums are not those of the postings: {}",
            unlike.join(", ")
        ))
    } else {
        Ok("each is what its totals and its postings say".to_owned())
    })
}

/// Every statement adds up and opens with what the one before closed with, and none is left out.
async fn statements(reader: &Reader) -> Result<Result<String, String>, CliError> {
    let every = Slice {
        after: 0,
        limit: u32::MAX,
    };
    let mut rows = reader
        .tables
        .statements(&StatementFilter::default(), every)
        .await?;
    rows.sort_by(|a, b| (&a.partner, a.number).cmp(&(&b.partner, b.number)));
    let (mut closings, mut numbers) = (BTreeMap::new(), BTreeMap::new());
    let mut wrong = Vec::new();
    for row in &rows {
        let issued = Issued::read(&*reader.store, row.position).await?;
        let number = numbers.entry(row.partner.clone()).or_insert(0);
        *number += 1;
        let before = closings.insert((row.partner.clone(), row.currency), row.closing_minor);
        let is_chained = before.is_none_or(|before: i64| before == row.opening_minor);
        if !issued.statement.adds_up() || *number != row.number || !is_chained {
            wrong.push(issued.statement.name());
        }
    }
    Ok(if wrong.is_empty() {
        Ok(format!("{} add up and follow each other", rows.len()))
    } else {
        Err(format!("do not add up or follow: {}", wrong.join(", ")))
    })
}

/// Replays the log into read models of its own, and compares them with the live ones.
async fn replayed(reader: &Reader, data: &Path) -> Result<Result<String, String>, CliError> {
    if reader.tables.are_shared() {
        return folded(reader).await;
    }
    let head = reader.store.head();
    let replayed = match replay(&reader.store, &reader.click_ids, data).await? {
        Ok(replayed) => replayed,
        Err(failure) => return Ok(Err(failure)),
    };
    let live = reader.tables.checkpoint().await?;
    if replayed.position != live.position {
        return Ok(Err(format!(
            "the live read models moved on to position {} meanwhile: try again",
            live.position
        )));
    }
    Ok(if replayed.digest == live.digest {
        Ok(format!("{head} facts, identical to the read models"))
    } else {
        let digest = hex::encode(replayed.digest.to_bytes());
        Err(format!(
            "the log says {digest}, which the read models do not: run `postbook replay`"
        ))
    })
}

/// Folds the log up to where read models are that others may write meanwhile, and compares.
async fn folded(reader: &Reader) -> Result<Result<String, String>, CliError> {
    let live = reader.tables.checkpoint().await?;
    // They may be of facts that others have appended since the log was opened.
    reader.store.look().await?;
    let head = reader.store.head();
    if live.position > head {
        return Ok(Err(format!(
            "the read models are at position {}, and the log ends at {head}",
            live.position
        )));
    }
    let digest = projector::digest_at(&reader.store, &reader.click_ids, live.position).await;
    let digest = match digest {
        Ok(digest) => digest,
        Err(failure) => return Ok(Err(failure.to_string())),
    };
    Ok(if digest == live.digest {
        Ok(format!(
            "{} facts, identical to the read models",
            live.position
        ))
    } else {
        Err(format!(
            "the log says {} at position {}, which the read models do not: run `postbook replay`",
            hex::encode(digest.to_bytes()),
            live.position
        ))
    })
}

/// What read models say that are made from a log that nobody appends to, in a directory that is gone
/// afterwards; or at which fact they cannot be made.
pub(super) async fn replay(
    store: &Arc<dyn LogStore>,
    click_ids: &Arc<ClickIdKey>,
    data: &Path,
) -> Result<Result<Checkpoint, String>, CliError> {
    let scratch = Scratch::try_new(data, "verify")?;
    let tables = Tables::open(scratch.path()).await?;
    let head = store.head();
    let projector = Projector::start(Arc::clone(store), Arc::clone(click_ids), tables.clone());
    let progress = output::progress("replay", head);
    while !projector.wait_for(head, GLANCE).await && projector.failed().is_none() {
        progress.set_position(projector.position());
    }
    progress.finish_and_clear();
    let failed = projector.failed();
    let replayed = tables.checkpoint().await;
    projector.stop().await;
    match failed {
        Some(failure) => Ok(Err(failure)),
        None => Ok(Ok(replayed?)),
    }
}

/// Each currency must add up to zero.
fn trial(accounts: &[AccountTotal]) -> Result<String, String> {
    let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
    for account in accounts {
        *sums.entry(&account.currency).or_default() += account.amount_minor;
    }
    let wrong: Vec<_> = sums
        .iter()
        .filter(|(_, sum)| **sum != 0)
        .map(|(currency, sum)| format!("{currency} is off by {sum} minor units"))
        .collect();
    if !wrong.is_empty() {
        return Err(wrong.join(", "));
    }
    let currencies: Vec<_> = sums.keys().copied().collect();
    Ok(format!(
        "zero over {} accounts ({})",
        accounts.len(),
        currencies.join(", ")
    ))
}

fn report(checks: &[Check], as_json: bool) -> Result<(), CliError> {
    if as_json {
        let items: Vec<Value> = checks
            .iter()
            .map(|check| match &check.found {
                Ok(detail) => json!({"check": check.name, "ok": true, "detail": detail}),
                Err(detail) => json!({"check": check.name, "ok": false, "detail": detail}),
            })
            .collect();
        output::json(&json!({ "items": items }))?;
    } else {
        for check in checks {
            let (word, detail) = match &check.found {
                Ok(detail) => ("ok   ", detail),
                Err(detail) => ("WRONG", detail),
            };
            output::line(&format!("{word}  {}: {detail}", check.name))?;
        }
    }
    if checks.iter().all(|check| check.found.is_ok()) {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Unsound,
        "the data directory is not sound",
    ))
}
