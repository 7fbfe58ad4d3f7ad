//! Where rows go: into the data directory here, or through a running server.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::json;

use super::{
    super::{
        client::{Answer, Client, Outgoing, refusal},
        exit::{CliError, Exit},
        global::Global,
        own,
    },
    Job, Kind,
};
use crate::{
    commands::draft_mapping,
    intake::bulk::{self, Line, LineAnswer, STOPPED, Sending},
    secrets::{Caller, Role, Scope},
    service::Service,
};

/// How often a batch is sent again while the server has too much to do, and how long to wait.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// A row by its number: the line that intake takes, or why there is none.
pub(super) type Batch = Vec<(u64, Result<String, String>)>;

/// Rows of a dry run that are sent to a server at once: of these it can tell which repeat others.
const DRY_ROWS_MAX: usize = 50_000;

/// Where rows go.
pub(super) enum Target {
    /// The data directory.
    Here(Arc<Service>, Sending),
    /// A running server, with a token for it.
    Server(Box<Client>, String),
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A token is one of the parts.
        f.write_str("Target")
    }
}

impl Target {
    /// How the state of an import names its target.
    pub(super) fn name(server: Option<&str>, global: &Global) -> String {
        let here = || {
            let path = global.data.canonicalize();
            path.unwrap_or_else(|_| global.data.clone())
                .display()
                .to_string()
        };
        server.map_or_else(here, str::to_owned)
    }

    /// A running server.
    pub(super) fn server(url: &str, token: &str) -> Result<Self, CliError> {
        Ok(Self::Server(
            Box::new(Client::try_new(url)?),
            token.to_owned(),
        ))
    }

    /// The data directory.
    pub(super) async fn here(job: &Job<'_>, global: &Global) -> Result<Self, CliError> {
        let service = own::open(global).await?;
        let rules = match job.offer.zip(job.mapping) {
            Some((offer, text)) => draft_mapping::read(&service, offer, text).await,
            None => Ok(None),
        };
        let rules = match rules {
            Ok(rules) => rules,
            Err(error) => {
                service.shut_down().await;
                return Err(error.into());
            }
        };
        let caller = Caller {
            key_id: own::ACTOR.into(),
            name: own::ACTOR.into(),
            actor: own::ACTOR.into(),
            role: Role::Admin,
            scope: Scope::All,
        };
        let sending = Sending {
            caller: Arc::new(caller),
            file: Some(job.file.clone()),
            rules,
            dry_run: job.is_dry_run.then(Arc::default),
        };
        Ok(Self::Here(service, sending))
    }

    /// What tells the log that rows go to from others: the hash of its first fact, if there is one and
    /// it is here.
    pub(super) async fn log(&self) -> Result<Option<String>, CliError> {
        let Self::Here(service, _) = self else {
            return Ok(None);
        };
        let store = service.log.store();
        if store.head() == 0 {
            return Ok(None);
        }
        let first = store.root(1).await.map_err(CliError::failed)?;
        Ok(Some(hex::encode(first)))
    }

    /// How many rows are sent at once.
    pub(super) fn rows_max(&self, job: &Job<'_>) -> usize {
        match self {
            Self::Server(..) if job.is_dry_run => DRY_ROWS_MAX,
            Self::Server(..) | Self::Here(..) => super::BATCH_ROWS,
        }
    }

    pub(super) async fn close(self) {
        if let Self::Here(service, _) = self {
            service.shut_down().await;
        }
    }

    /// Sends rows; what became of each, by its number, in their order.
    pub(super) async fn send(
        &self,
        job: &Job<'_>,
        batch: Batch,
    ) -> Result<Vec<LineAnswer>, CliError> {
        let mut answers = Vec::with_capacity(batch.len());
        let mut good = Vec::with_capacity(batch.len());
        for (number, line) in batch {
            match line {
                Ok(line) => good.push((number, line)),
                Err(why) => answers.push(LineAnswer::malformed(number, why)),
            }
        }
        if !good.is_empty() {
            let told = match self {
                Self::Here(service, sending) => here(service, sending, job, good).await?,
                Self::Server(client, token) => through(client, token, job, &good).await?,
            };
            answers.extend(told);
        }
        answers.sort_by_key(|answer| answer.line);
        Ok(answers)
    }
}

async fn here(
    service: &Service,
    sending: &Sending,
    job: &Job<'_>,
    rows: Vec<(u64, String)>,
) -> Result<Vec<LineAnswer>, CliError> {
    let lines = rows.into_iter().map(|(number, text)| Line {
        number,
        text: Ok(text),
    });
    let lines = lines.collect();
    let answers = match (job.kind, job.offer) {
        (Kind::Postbacks, Some(offer)) => {
            bulk::postbacks::take(service, sending, &job.file, offer, lines).await
        }
        _ => bulk::clicks::record(service, sending, lines).await,
    };
    answers.map_err(CliError::from)
}

async fn through(
    client: &Client,
    token: &str,
    job: &Job<'_>,
    rows: &[(u64, String)],
) -> Result<Vec<LineAnswer>, CliError> {
    let path = path(job);
    let mapping = job
        .mapping
        .map(|text| json!({ "mapping": text }).to_string());
    let lines = rows.iter().map(|(_, line)| line);
    let lines = mapping.iter().chain(lines);
    let body: String = lines.flat_map(|line| [line, "\n"]).collect();
    let first_line = if mapping.is_some() { 2 } else { 1 };
    for _ in 0..TRIES {
        let outgoing = Outgoing {
            headers: Vec::new(),
            body: Some(("application/x-ndjson", body.clone())),
        };
        let answer = client.send(&path, outgoing.bearer(token)).await?;
        let is_busy = answer.status.as_u16() == 503;
        if !is_busy && !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        if !is_busy && let Some(answers) = numbered(&answer, rows, first_line)? {
            return Ok(answers);
        }
        // What was kept of it is recognised when it comes again.
        tokio::time::sleep(PAUSE).await;
    }
    let message = "the server takes no more rows for now: run the import again to go on";
    Err(CliError::new(Exit::Unavailable, message))
}

fn path(job: &Job<'_>) -> String {
    let (name, sha256) = (job.file.name(), job.file.sha256());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("file", name)
        .append_pair("sha256", sha256);
    if job.is_dry_run {
        query.append_pair("dry_run", "true");
    }
    match (job.kind, job.offer) {
        (Kind::Postbacks, Some(offer)) => {
            query.append_pair("offer", offer.as_str());
            format!("/v1/imports/postbacks?{}", query.finish())
        }
        _ => format!("/v1/clicks?{}", query.finish()),
    }
}

/// The answers by the numbers of their rows; `None` if the server stopped before the last one.
fn numbered(
    answer: &Answer,
    rows: &[(u64, String)],
    first_line: u64,
) -> Result<Option<Vec<LineAnswer>>, CliError> {
    let unreadable = || CliError::failed("the server's answer cannot be understood");
    let mut answers = Vec::with_capacity(rows.len());
    for line in answer.body.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let told: LineAnswer = serde_json::from_slice(line).map_err(|_| unreadable())?;
        if told.outcome == STOPPED {
            return Ok(None);
        }
        let index = told
            .line
            .checked_sub(first_line)
            .and_then(|index| usize::try_from(index).ok());
        let row = index
            .and_then(|index| rows.get(index))
            .ok_or_else(unreadable)?;
        answers.push(LineAnswer {
            line: row.0,
            ..told
        });
    }
    if answers.len() != rows.len() {
        return Err(unreadable());
    }
    Ok(Some(answers))
}
