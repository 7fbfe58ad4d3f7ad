//! Through what a verb that moves money acts: the data directory, or a running server.

use clap::Args;
use postbook_schemas::Slug;
use serde_json::{Value, json};

use super::{
    client::{Answer, Client, Outgoing, refusal},
    exit::{CliError, Exit},
    global::Global,
    own,
};
use crate::{commands::record::Author, service::Service};

/// Through what, and who asks.
#[derive(Debug, Args)]
pub(super) struct Through {
    /// Go through the running server at this URL instead of opening the data directory
    #[arg(long, value_name = "URL", requires = "token")]
    server: Option<String>,
    /// A token for the server; it says who you are
    #[arg(long, value_name = "T", requires = "server")]
    token: Option<String>,
    /// Who you are, so that a second person can be told from the first
    #[arg(long = "as", value_name = "NAME", conflicts_with = "server")]
    name: Option<Slug>,
    /// What makes the command recognisable when it is given again: it is then done once
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// A running server, and whoever asks it.
#[derive(Debug)]
pub(super) struct Remote {
    client: Client,
    token: String,
    idempotency_key: Option<String>,
}

impl Through {
    /// The server, if it goes through one.
    pub(super) fn remote(&self) -> Result<Option<Remote>, CliError> {
        let Some((url, token)) = self.server.as_deref().zip(self.token.as_deref()) else {
            return Ok(None);
        };
        Ok(Some(Remote {
            client: Client::try_new(url)?,
            token: token.to_owned(),
            idempotency_key: self.idempotency_key.clone(),
        }))
    }

    /// Who asks, on the server's machine.
    pub(super) fn author(&self, endpoint: &'static str) -> Author {
        let actor = match &self.name {
            Some(name) => format!("{}:{name}", own::ACTOR).into(),
            None => own::ACTOR.into(),
        };
        Author {
            actor,
            endpoint,
            idempotency_key: self.idempotency_key.clone(),
        }
    }
}

impl Remote {
    /// Asks for something to be done; what the server answers.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let mut outgoing = Outgoing::json(body).bearer(&self.token);
        if let Some(key) = &self.idempotency_key {
            outgoing.headers.push(("idempotency-key", key.clone()));
        }
        Ok(answered(self.client.send(path, outgoing).await?)?.json())
    }

    /// Reads something.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, CliError> {
        let outgoing = Outgoing::default().bearer(&self.token);
        answered(self.client.send(path, outgoing).await?)
    }

    /// Reads a list to its end; `path` has a query.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>, CliError> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}&limit=1000{cursor}")).await?;
            let mut page = page.json();
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                all.extend(items);
            }
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }
}

fn answered(answer: Answer) -> Result<Answer, CliError> {
    if answer.status.is_success() {
        Ok(answer)
    } else {
        Err(refusal(&answer))
    }
}

/// Opens the service, does something with it once it has caught up, and lets go of it.
pub(super) async fn with_service<T>(
    global: &Global,
    work: impl AsyncFnOnce(&Service) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let service = own::open(global).await?;
    let done = match own::caught_up(&service).await {
        Ok(()) => work(&service).await,
        Err(error) => Err(error),
    };
    service.shut_down().await;
    done
}

/// The reason, if it is one.
pub(super) fn reason(text: &str) -> Result<String, CliError> {
    if text.trim().is_empty() {
        return Err(CliError::new(
            Exit::Usage,
            "--reason must not be empty: it is kept with the change",
        ));
    }
    Ok(text.to_owned())
}

/// A body without what is not given.
pub(super) fn body<const COUNT: usize>(fields: [(&str, Value); COUNT]) -> Value {
    let given = fields.into_iter().filter(|(_, value)| !value.is_null());
    let given = given.map(|(name, value)| (name.to_owned(), value));
    json!(given.collect::<serde_json::Map<_, _>>())
}
