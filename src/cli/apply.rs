//! `postbook apply`: plans programme files, shows the plan, and applies it.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
};

use clap::Args;
use serde_json::{Value, json};

use super::{
    exit::{CliError, Exit},
    global::Global,
    output, own,
    through::{Remote, Through, body, reason},
};
use crate::{
    commands::programme::{
        ProgrammeFile,
        apply::{Applying, apply, read_files},
    },
    service::Service,
};

/// Applies programme files, after showing what they change.
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// Files, or directories of which all *.toml are taken in order
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only show the plan
    #[arg(long)]
    dry_run: bool,
    /// Do not ask first
    #[arg(long)]
    yes: bool,
    /// Why; kept with the facts
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Without a second person, also where closed months or payouts have told of what changes
    #[arg(long, requires = "reason")]
    anyway: bool,
    #[command(flatten)]
    through: Through,
}

/// Where plans are made and applied.
enum Target {
    Here(Arc<Service>),
    Server(Box<Remote>),
}

impl Apply {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let mut texts = Vec::new();
        for path in &self.paths {
            let read = read_files(path);
            texts.extend(read.map_err(|error| {
                CliError::failed(format!("{} cannot be read: {error}", path.display()))
            })?);
        }
        if let Some(text) = &self.reason {
            reason(text)?;
        }
        let target = if let Some(remote) = self.through.remote()? {
            Target::Server(Box::new(remote))
        } else {
            // A programme with mistakes is refused before anything is made on disk.
            parse(&texts)?;
            Target::Here(own::open(global).await?)
        };
        let result = self.plan_and_apply(&target, &texts, global.json).await;
        if let Target::Here(service) = target {
            service.shut_down().await;
        }
        result
    }

    async fn plan_and_apply(
        &self,
        target: &Target,
        texts: &[(String, String)],
        as_json: bool,
    ) -> Result<(), CliError> {
        let plan = self.send(target, texts, true).await?;
        if self.dry_run {
            return if as_json {
                output::json(&plan)
            } else {
                show(&plan)
            };
        }
        if !as_json {
            show(&plan)?;
        }
        let asks = !self.yes && io::stdin().is_terminal() && !as_json;
        let changes = plan.get("changes").and_then(Value::as_array);
        if asks && changes.is_none_or(Vec::is_empty) {
            return Ok(());
        }
        if asks && !agrees()? {
            return Err(CliError::new(Exit::Refused, "nothing was applied"));
        }
        let mut applied = self.send(target, texts, false).await?;
        if as_json {
            applied["posted"] = plan["posted"].clone();
            return output::json(&applied);
        }
        output::note(&conclusion(&applied));
        Ok(())
    }

    /// Plans, and applies unless it is a dry run. Answers as `POST /v1/programme` does.
    async fn send(
        &self,
        target: &Target,
        texts: &[(String, String)],
        is_dry_run: bool,
    ) -> Result<Value, CliError> {
        match target {
            Target::Here(service) => {
                let applying = Applying {
                    author: self.through.author("postbook apply"),
                    reason: self.reason.as_deref().map(|text| text.trim().into()),
                    anyway: self.anyway,
                    is_dry_run,
                    patience: own::PATIENCE,
                };
                let files = parse(texts)?;
                Ok(apply(service, files, applying).await?.to_json())
            }
            Target::Server(remote) => {
                let files = texts
                    .iter()
                    .map(|(name, text)| json!({"name": name, "text": text}));
                let body = body([
                    ("files", files.collect()),
                    ("dry_run", json!(is_dry_run)),
                    ("reason", json!(self.reason)),
                    ("anyway", json!(self.anyway)),
                ]);
                remote.post("/v1/programme", &body).await
            }
        }
    }
}

pub(super) fn parse(texts: &[(String, String)]) -> Result<Vec<ProgrammeFile>, CliError> {
    let files = texts
        .iter()
        .map(|(name, text)| ProgrammeFile::try_new(name, text));
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        match file {
            Ok(file) => good.push(file),
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    if problems.is_empty() {
        Ok(good)
    } else {
        Err(CliError::new(Exit::Refused, problems.join("\n")))
    }
}

fn show(answer: &Value) -> Result<(), CliError> {
    let changes = answer.get("changes").and_then(Value::as_array);
    for change in changes.into_iter().flatten() {
        output::line(
            change
                .get("text")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        )?;
    }
    let unchanged = answer.get("unchanged").and_then(Value::as_u64).unwrap_or(0);
    output::line(&format!("= {unchanged} unchanged"))?;
    show_posted(&answer["posted"])
}

/// What the plan would change of what is posted already.
fn show_posted(posted: &Value) -> Result<(), CliError> {
    let Some(text) = posted["text"].as_str() else {
        return Ok(());
    };
    let differences = posted["differences"].as_array();
    let differences: Vec<_> = differences
        .into_iter()
        .flatten()
        .map(|one| {
            let currency = output::text(one, "currency");
            format!("{currency} {}", output::major_of(one, "difference_minor"))
        })
        .collect();
    output::line(&format!("! {}: {text}", differences.join(", ")))
}

fn conclusion(answer: &Value) -> String {
    let position = |key: &str| answer.get(key).and_then(Value::as_u64);
    match (position("first_position"), position("last_position")) {
        (Some(first), Some(last)) if first == last => format!("applied: fact {first}"),
        (Some(first), Some(last)) => format!("applied: facts {first} to {last}"),
        _ => String::new(),
    }
}

#[expect(clippy::print_stderr, reason = "a question to a person")]
fn agrees() -> Result<bool, CliError> {
    eprint!("apply? [y/N] ");
    io::stderr().flush().map_err(CliError::failed)?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(CliError::failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
