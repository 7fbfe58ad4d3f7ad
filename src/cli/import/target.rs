//! Where rows go: into the data directory here, or through a running server.

use std::{fmt, sync::Arc, time::Duration};

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
    intake::bulk::{self, Line, LineAnswer, STOPPED, Sending},
    secrets::{Caller, Role, Scope},
    service::Service,
};

/// How often a batch is sent again while the server has too much to do, and how long to wait.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// A row by its number: the line that intake takes, or why there is none.
pub(super) type Batch = Vec<(u64, Result<String, String>)>;

/// Where rows go.
pub(super) enum Target {
    /// The data directory.
    Here(Arc<Service>, Arc<Caller>),
    /// A running server, with a token for it.
    Server(Client, String),
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

    pub(super) async fn open(
        server: Option<&str>,
        token: Option<&str>,
        global: &Global,
    ) -> Result<Self, CliError> {
        if let Some((url, token)) = server.zip(token) {
            return Ok(Self::Server(Client::try_new(url)?, token.to_owned()));
        }
        let caller = Caller {
            key_id: own::ACTOR.into(),
            name: own::ACTOR.into(),
            actor: own::ACTOR.into(),
            role: Role::Admin,
            scope: Scope::All,
        };
        Ok(Self::Here(own::open(global).await?, Arc::new(caller)))
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
                Self::Here(service, caller) => here(service, caller, job, &good).await?,
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
    caller: &Arc<Caller>,
    job: &Job<'_>,
    rows: &[(u64, String)],
) -> Result<Vec<LineAnswer>, CliError> {
    let sending = Sending {
        caller: Arc::clone(caller),
        file: Some(job.file.clone()),
        is_dry_run: job.is_dry_run,
    };
    let lines = rows.iter().map(|(number, text)| Line {
        number: *number,
        text: Ok(text.clone()),
    });
    let lines = lines.collect();
    let answers = match (job.kind, job.offer) {
        (Kind::Postbacks, Some(offer)) => {
            bulk::postbacks::take(service, &sending, &job.file, offer, lines).await
        }
        _ => bulk::clicks::record(service, &sending, lines).await,
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
    let body: String = rows.iter().flat_map(|(_, line)| [line, "\n"]).collect();
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
        if !is_busy && let Some(answers) = numbered(&answer, rows)? {
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
fn numbered(answer: &Answer, rows: &[(u64, String)]) -> Result<Option<Vec<LineAnswer>>, CliError> {
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
        let index = usize::try_from(told.line)
            .ok()
            .and_then(|line| line.checked_sub(1));
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
