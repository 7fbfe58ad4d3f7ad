//! A replay that a running server does beside its live read models.

use std::time::Duration;

use serde_json::{Value, json};

use super::differed;
use crate::cli::{
    client::{Answer, Client, Outgoing, refusal},
    exit::{CliError, Exit},
    output,
};

/// How often the server is asked how far it is.
const GLANCE: Duration = Duration::from_millis(250);

/// A server, and the token to use there.
#[derive(Debug)]
pub(super) struct Remote {
    client: Client,
    token: String,
}

impl Remote {
    pub(super) fn new(client: Client, token: String) -> Self {
        Self { client, token }
    }

    /// Begins a rebuild, shows how far it is, and says what came of it. Told to stop, it ends the
    /// rebuild too.
    pub(super) async fn replay(&self, as_json: bool) -> Result<(), CliError> {
        let mut state = self.post("/v1/rebuilds").await?;
        let bar = output::progress("replaying", number(&state, "head"));
        let mut told = std::pin::pin!(tokio::signal::ctrl_c());
        let mut is_told = false;
        while text(&state, "state") == "running" {
            tokio::select! {
                () = tokio::time::sleep(GLANCE) => {}
                _ = &mut told, if !is_told => {
                    is_told = true;
                    self.post("/v1/rebuilds/last/cancel").await?;
                }
            }
            state = self.get("/v1/rebuilds/last").await?;
            bar.set_length(number(&state, "head"));
            bar.set_position(number(&state, "position"));
        }
        bar.finish_and_clear();
        if as_json {
            output::json(&state)?;
        }
        conclude(&state, as_json)
    }

    /// Removes what is not in force.
    pub(super) async fn release(&self) -> Result<Value, CliError> {
        self.post("/v1/generations/release").await
    }

    async fn post(&self, path: &str) -> Result<Value, CliError> {
        let outgoing = Outgoing::json(&json!({})).bearer(&self.token);
        accepted(&self.client.send(path, outgoing).await?)
    }

    async fn get(&self, path: &str) -> Result<Value, CliError> {
        let outgoing = Outgoing::default().bearer(&self.token);
        accepted(&self.client.send(path, outgoing).await?)
    }
}

fn accepted(answer: &Answer) -> Result<Value, CliError> {
    if answer.status.is_success() {
        Ok(answer.json())
    } else {
        Err(refusal(answer))
    }
}

fn conclude(state: &Value, as_json: bool) -> Result<(), CliError> {
    let say = |line: String| if as_json { Ok(()) } else { output::line(&line) };
    let (position, generation) = (number(state, "position"), number(state, "generation"));
    let in_force = format!("replayed {position} facts: generation {generation} is in force");
    match text(state, "state") {
        "identical" => {
            say(in_force)?;
            say(format!(
                "identical to the read models that were there, at position {}: digest {}",
                number(state, "compared_at"),
                text(state, "rebuilt_digest")
            ))
        }
        "not_compared" => say(in_force),
        "differed" => {
            say(in_force)?;
            Err(differed(number(state, "compared_at")))
        }
        "cancelled" => Err(CliError::new(
            Exit::Unavailable,
            format!("stopped at position {position}; the next replay goes on from there"),
        )),
        _ => Err(CliError::failed(text(state, "detail"))),
    }
}

fn number(state: &Value, key: &str) -> u64 {
    state.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn text<'v>(state: &'v Value, key: &str) -> &'v str {
    state.get(key).and_then(Value::as_str).unwrap_or_default()
}
