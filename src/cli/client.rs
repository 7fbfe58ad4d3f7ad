//! A small HTTP client: for talking to a running server, and for the demo's traffic.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, LOCATION},
};
use hyper_util::{
    client::legacy::{Client as Connections, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use super::exit::{CliError, Exit};

/// A request that has no answer by then has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// Connections to one server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    connections: Connections<HttpConnector, Full<Bytes>>,
    base: String,
}

/// What is sent, besides where to.
#[derive(Clone, Debug, Default)]
pub(super) struct Outgoing {
    /// Headers by name.
    pub(super) headers: Vec<(&'static str, String)>,
    /// Content type and body; a GET if absent.
    pub(super) body: Option<(&'static str, String)>,
}

impl Outgoing {
    /// A JSON body.
    pub(super) fn json(value: &Value) -> Self {
        Self {
            headers: Vec::new(),
            body: Some(("application/json", value.to_string())),
        }
    }

    /// With a bearer token.
    pub(super) fn bearer(mut self, token: &str) -> Self {
        self.headers
            .push((AUTHORIZATION.as_str(), format!("Bearer {token}")));
        self
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    /// The body.
    pub(super) body: Bytes,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl Client {
    /// A client of the server at a URL as `http://127.0.0.1:8080`.
    pub(super) fn try_new(url: &str) -> Result<Self, CliError> {
        let is_plain = url.starts_with("http://") && url.len() > "http://".len();
        if !is_plain {
            let message = format!(
                "`{url}` cannot be reached: write http://host:port (for a server behind HTTPS, run \
                 this on its machine or through a tunnel)"
            );
            return Err(CliError::new(Exit::Usage, message));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            connections: Connections::builder(TokioExecutor::new()).build(connector),
            base: url.trim_end_matches('/').to_owned(),
        })
    }

    /// The server's URL.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request and reads the answer.
    pub(super) async fn send(&self, path: &str, outgoing: Outgoing) -> Result<Answer, CliError> {
        let url = format!("{}{path}", self.base);
        let failed = |error: String| {
            CliError::new(
                Exit::Unavailable,
                format!("{} cannot be reached: {error}", self.base),
            )
        };
        let method = outgoing.body.as_ref().map_or(Method::GET, |_| Method::POST);
        let mut request = Request::builder().method(method).uri(&url);
        for (name, value) in &outgoing.headers {
            request = request.header(*name, value);
        }
        let (content_type, body) = outgoing.body.unzip();
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let request = request.body(body).map_err(|error| {
            CliError::new(Exit::Usage, format!("`{url}` is not an address: {error}"))
        })?;
        let exchange = async {
            let answer = self
                .connections
                .request(request)
                .await
                .map_err(|error| failed(chain(&error)))?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = answer
                .into_body()
                .collect()
                .await
                .map_err(|error| failed(chain(&error)))?;
            let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
            Ok(Answer {
                status,
                location: location.map(str::to_owned),
                body: body.to_bytes(),
            })
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(failed("no answer within a minute".to_owned())),
        }
    }
}

/// An error with its causes: the outermost of a connection only says that there is one.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The error that a problem+json answer stands for.
pub(super) fn refusal(answer: &Answer) -> CliError {
    let problem = answer.json();
    let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default();
    let lines = problem.get("problems").and_then(Value::as_array);
    let message = match lines {
        Some(problems) => {
            let texts = problems
                .iter()
                .filter_map(|problem| problem.get("text")?.as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        None => format!(
            "the server answered {}: {} {}",
            answer.status,
            text("code"),
            text("detail")
        ),
    };
    let exit = match answer.status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::CONFLICT
        | StatusCode::UNPROCESSABLE_ENTITY => Exit::Refused,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Exit::Unavailable,
        _ => Exit::Failed,
    };
    CliError::new(exit, message.trim())
}
