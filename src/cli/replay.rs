//! `postbook replay`: builds the read models again beside the live ones, compares, and switches.

mod remote;

use std::{future::Future, time::Duration};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{
    client::Client,
    exit::{CliError, Exit},
    global::Global,
    output,
    reader::Unprojected,
};
use crate::{
    projector::{self, Compared, Control, Phase, Progress, ProjectorError, Rebuilt},
    tables::generation::Generation,
};

/// How often progress is shown.
const GLANCE: Duration = Duration::from_millis(100);

/// Builds the read models again from the log, compares, and switches.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Only remove the generation that was in force before, and one that was not finished
    #[arg(long)]
    release: bool,
    /// Let a running server do it, beside its live read models
    #[arg(long, value_name = "URL", requires = "token")]
    server: Option<String>,
    /// The token for the server, of an admin
    #[arg(long, value_name = "TOKEN", requires = "server")]
    token: Option<String>,
}

impl Replay {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let server = self.server.zip(self.token);
        match (server, self.release) {
            (Some((url, token)), is_release) => {
                let client = Client::try_new(&url)?;
                let remote = remote::Remote::new(client, token);
                if is_release {
                    released(&remote.release().await?, global.json)
                } else {
                    remote.replay(global.json).await
                }
            }
            (None, true) => {
                let here = Unprojected::open(global).await?;
                let gone = here.tables.release().await;
                here.close().await;
                released(&generations(&gone?), global.json)
            }
            (None, false) => replay_here(global).await,
        }
    }
}

async fn replay_here(global: &Global) -> Result<(), CliError> {
    let here = Unprojected::open(global).await?;
    let control = Control::default();
    let work = projector::replay(&here.store, &here.click_ids, &here.tables, &control);
    let rebuilt = watched(work, &control).await;
    here.close().await;
    match rebuilt {
        Ok(rebuilt) => report(&rebuilt, global.json),
        Err(ProjectorError::Cancelled) => Err(CliError::new(
            Exit::Unavailable,
            format!(
                "stopped at position {}; `postbook replay` goes on from there, `postbook replay --release` drops it",
                control.progress().position
            ),
        )),
        Err(error) => Err(error.into()),
    }
}

/// Shows how far the work is, and ends it in order when told to stop.
async fn watched<T>(work: impl Future<Output = T>, control: &Control) -> T {
    let bar = output::progress("replaying", 0);
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(GLANCE);
    loop {
        tokio::select! {
            done = &mut work => {
                bar.finish_and_clear();
                return done;
            }
            _ = ticks.tick() => show(&bar, control.progress()),
            told = tokio::signal::ctrl_c() => if told.is_ok() {
                control.cancel();
            }
        }
    }
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.head);
    bar.set_position(progress.position);
    bar.set_message(match progress.phase {
        Phase::Resuming => "taking up",
        Phase::Indexing => "indexing",
        Phase::Waiting | Phase::Folding | Phase::Switching | Phase::Ended => "replaying",
    });
}

fn report(rebuilt: &Rebuilt, as_json: bool) -> Result<(), CliError> {
    if as_json {
        output::json(&json!({
            "position": rebuilt.position,
            "identical": rebuilt.compared.map(|compared| compared.is_identical()),
            "compared_at": rebuilt.compared.map(|compared| compared.position),
            "live_digest": rebuilt.compared.map(|compared| compared.live.to_string()),
            "rebuilt_digest": rebuilt.compared.map(|compared| compared.rebuilt.to_string()),
            "generation": rebuilt.generation,
            "elapsed_ms": u64::try_from(rebuilt.elapsed.as_millis()).unwrap_or(u64::MAX),
        }))?;
    } else {
        let seconds = rebuilt.elapsed.as_secs_f64();
        output::line(&format!(
            "replayed {} facts in {seconds:.1} s: generation {} is in force",
            rebuilt.position, rebuilt.generation
        ))?;
        output::line(&comparison(rebuilt.compared))?;
    }
    match rebuilt.compared {
        Some(compared) if !compared.is_identical() => Err(differed(compared.position)),
        _ => Ok(()),
    }
}

fn comparison(compared: Option<Compared>) -> String {
    match compared {
        None => "there was nothing of this form to compare with".to_owned(),
        Some(compared) if compared.is_identical() => format!(
            "identical to the read models that were there, at position {}: digest {}",
            compared.position, compared.rebuilt
        ),
        Some(compared) => format!(
            "at position {} the read models that were there had digest {}, the log says {}",
            compared.position, compared.live, compared.rebuilt
        ),
    }
}

/// What is said and how the program ends if the old read models were wrong.
fn differed(position: u64) -> CliError {
    CliError::new(
        Exit::Unsound,
        format!(
            "at position {position} the read models that were there were not what the log says: they are \
             replaced, and kept until `postbook replay --release`"
        ),
    )
}

fn generations(gone: &[Generation]) -> Value {
    let items = gone.iter().map(|generation| {
        json!({
            "number": generation.number,
            "purpose": generation.purpose.code(),
            "bytes": generation.bytes,
        })
    });
    json!({ "items": items.collect::<Vec<_>>() })
}

fn released(gone: &Value, as_json: bool) -> Result<(), CliError> {
    if as_json {
        return output::json(gone);
    }
    let items = gone.get("items").and_then(Value::as_array);
    let items = items.map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return output::line("there was nothing to release");
    }
    for item in items {
        let number = |key: &str| item.get(key).and_then(Value::as_i64).unwrap_or(0);
        let purpose = item.get("purpose").and_then(Value::as_str);
        output::line(&format!(
            "released generation {} ({}, {} KiB)",
            number("number"),
            purpose.unwrap_or_default(),
            number("bytes") / 1024
        ))?;
    }
    Ok(())
}
