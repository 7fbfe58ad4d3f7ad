//! `postbook apply`: plans programme files, shows the plan, and applies it.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use clap::Args;
use serde_json::{Value, json};

use super::{
    client::{Client, Outgoing, refusal},
    exit::{CliError, Exit},
    global::Global,
    output, own,
};
use crate::commands::programme::{
    ProgrammeFile,
    apply::{Applying, apply, read_files},
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
    /// Apply through the running server at this URL instead of opening the data directory
    #[arg(long, value_name = "URL", requires = "token")]
    server: Option<String>,
    /// An admin's token for the server
    #[arg(long, value_name = "T")]
    token: Option<String>,
}

/// Where plans are made and applied.
enum Target {
    Here(std::sync::Arc<crate::service::Service>),
    Server(Box<Client>, String),
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
        let target = if let Some((url, token)) = self.server.as_deref().zip(self.token.as_deref()) {
            Target::Server(Box::new(Client::try_new(url)?), token.to_owned())
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
        let asks = !self.dry_run && !self.yes && io::stdin().is_terminal() && !as_json;
        if !asks {
            let answer = target.apply(texts, self.dry_run).await?;
            return show(&answer, as_json);
        }
        let plan = target.apply(texts, true).await?;
        show(&plan, false)?;
        if plan
            .get("changes")
            .and_then(Value::as_array)
            .is_none_or(Vec::is_empty)
        {
            return Ok(());
        }
        if !agrees()? {
            return Err(CliError::new(Exit::Refused, "nothing was applied"));
        }
        let applied = target.apply(texts, false).await?;
        output::note(&conclusion(&applied));
        Ok(())
    }
}

impl Target {
    /// Plans, and applies unless it is a dry run. Answers as `POST /v1/programme` does.
    async fn apply(&self, texts: &[(String, String)], is_dry_run: bool) -> Result<Value, CliError> {
        match self {
            Self::Here(service) => {
                let by = own::by("apply");
                let applying = Applying {
                    actor: by.actor,
                    source: by.source,
                    is_dry_run,
                };
                let files = parse(texts)?;
                Ok(apply(service, files, applying).await?.to_json())
            }
            Self::Server(client, token) => {
                let files: Vec<_> = texts
                    .iter()
                    .map(|(name, text)| json!({"name": name, "text": text}))
                    .collect();
                let body = json!({"files": files, "dry_run": is_dry_run});
                let outgoing = Outgoing::json(&body).bearer(token);
                let answer = client.send("/v1/programme", outgoing).await?;
                if answer.status.is_success() {
                    Ok(answer.json())
                } else {
                    Err(refusal(&answer))
                }
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

fn show(answer: &Value, as_json: bool) -> Result<(), CliError> {
    if as_json {
        return output::json(answer);
    }
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
    output::note(&conclusion(answer));
    Ok(())
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
