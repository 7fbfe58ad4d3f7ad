//! The program as a process of its own, with a data directory, and callers over HTTP.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

#[cfg(feature = "kurrentdb")]
use axum::http::HeaderValue;
use axum::http::{HeaderMap, request};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes};
use hyper_util::{
    client::legacy::{Client as Connections, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tempfile::TempDir;

/// A shop that pays a partner a tenth of what is sold with its coupon.
pub(crate) const SHOP: &str = r#"
[[brand]]
slug = "acme"
[[offer]]
brand = "acme"
slug = "shop"
destination = "https://acme.example/"
[[partner]]
slug = "p1"
[[coupon]]
code = "ONE"
offer = "acme/shop"
partner = "p1"
[[terms]]
offer = "acme/shop"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "10%"
"#;

/// A data directory, and whatever verbs are run on it.
pub(crate) struct Place {
    directory: TempDir,
    /// What is not in the directory: options and URLs.
    elsewhere: Vec<String>,
}

impl Place {
    /// A data directory with a programme.
    pub(crate) fn with(programme: &str) -> Self {
        Self::with_elsewhere(programme, &[])
    }

    /// A data directory with a programme, where these options say what is kept elsewhere.
    pub(crate) fn with_elsewhere(programme: &str, elsewhere: &[String]) -> Self {
        let place = Self::elsewhere(elsewhere);
        place.write("programme.toml", programme);
        place.done(&["apply", "programme.toml"]);
        place
    }

    /// A data directory, where these options say what is kept elsewhere.
    pub(crate) fn elsewhere(elsewhere: &[String]) -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory can be made"),
            elsewhere: elsewhere.to_vec(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path().join(name), content).expect("the file can be written");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postbook"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .stdin(Stdio::null());
        command.args(&self.elsewhere);
        command
    }

    /// Copies the secrets for another node, which has none yet. Nobody may be writing them.
    #[cfg(feature = "kurrentdb")]
    pub(crate) fn give_secrets(&self, other: &Self) {
        let data = other.path().join("postbook-data");
        fs::create_dir_all(&data).expect("the directory can be made");
        let name = "secrets.sqlite";
        let from = self.path().join("postbook-data").join(name);
        fs::copy(from, data.join(name)).expect("the file can be copied");
    }

    /// Runs a verb.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Runs a verb that succeeds; what it prints.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let printed = String::from_utf8(output.stdout).expect("the program prints text");
        printed.trim_end().to_owned()
    }

    /// A token of a role.
    pub(crate) fn token(&self, role: &str, name: &str) -> String {
        self.done(&["token", "create", "--role", role, "--name", name])
    }

    /// Starts the server.
    pub(crate) fn serve(&self) -> Serving {
        let mut process = self
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = process.stdout.take().expect("standard output is piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the server says where it listens");
        let url = line.split_whitespace().last().expect("an address");
        Serving {
            process,
            url: url.to_owned(),
        }
    }
}

/// A server; killed when dropped, and without last words.
pub(crate) struct Serving {
    process: Child,
    url: String,
}

impl Serving {
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("the server can be killed");
        self.process.wait().expect("the server ends");
    }

    /// Somebody with this token.
    pub(crate) fn caller(&self, token: &str) -> Caller {
        Caller::of([self], token)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended before, which is all that is wanted.
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

/// Somebody who sends requests to servers, to each in turn.
#[derive(Clone)]
pub(crate) struct Caller {
    connections: Connections<HttpConnector, Full<Bytes>>,
    urls: Arc<[String]>,
    sent: Arc<AtomicUsize>,
    token: String,
}

impl Caller {
    /// Somebody with this token.
    pub(crate) fn of<'s>(servers: impl IntoIterator<Item = &'s Serving>, token: &str) -> Self {
        Self {
            connections: Connections::builder(TokioExecutor::new()).build_http(),
            urls: servers.into_iter().map(|it| it.url.clone()).collect(),
            sent: Arc::default(),
            token: token.to_owned(),
        }
    }

    /// The same, to one of the servers only.
    pub(crate) fn only(&self, number: usize) -> Self {
        Self {
            urls: [self.urls[number].clone()].into(),
            ..self.clone()
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    fn url(&self) -> &str {
        &self.urls[self.sent.fetch_add(1, Ordering::Relaxed) % self.urls.len()]
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, None, None).await;
        assert!(status.is_success(), "{path}: {body}");
        body
    }

    /// What is answered as text.
    pub(crate) async fn text(&self, path: &str) -> String {
        let request = Request::builder().uri(format!("{}{path}", self.url()));
        let answer = self.try_request(request, String::new()).await;
        let (status, _, body) = answer.expect("the server answers");
        assert!(status.is_success(), "{path}: {status}");
        String::from_utf8(body.to_vec()).expect("it is text")
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, Some(body), None).await
    }

    pub(crate) async fn post_once(
        &self,
        path: &str,
        body: &Value,
        idempotency_key: &str,
    ) -> (StatusCode, Value) {
        let key = Some(idempotency_key);
        self.send(Method::POST, path, Some(body), key).await
    }

    /// Sends what must succeed.
    pub(crate) async fn done(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        idempotency_key: Option<&str>,
    ) -> (StatusCode, Value) {
        let body = self.try_send(method, path, body, idempotency_key).await;
        body.expect("the server answers")
    }

    /// Sends what may find nobody there.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        idempotency_key: Option<&str>,
    ) -> Option<(StatusCode, Value)> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url()))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        let (status, _, body) = self.try_request(request, body).await?;
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Follows a link that may lead to nobody: the status, and where the visitor is sent.
    #[cfg(feature = "kurrentdb")]
    pub(crate) async fn try_click(&self, link: &str) -> Option<(StatusCode, String)> {
        let request = Request::builder().uri(format!("{}{link}", self.url()));
        let (status, headers, _) = self.try_request(request, String::new()).await?;
        let location = headers.get("location").map(HeaderValue::to_str);
        let location = location.transpose().expect("a location is ASCII");
        Some((status, location.unwrap_or_default().to_owned()))
    }

    async fn try_request(
        &self,
        request: request::Builder,
        body: String,
    ) -> Option<(StatusCode, HeaderMap, Bytes)> {
        let request = request.body(Full::new(Bytes::from(body)));
        let answer = self.connections.request(request.expect("a request")).await;
        let (head, body) = answer.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some((head.status, head.headers, body))
    }
}

/// How often processes are killed: what `POSTBOOK_KILLS` says, or this.
pub(crate) fn kills(otherwise: u32) -> u32 {
    let said = std::env::var_os("POSTBOOK_KILLS");
    let said = said.and_then(|number| number.to_str()?.parse().ok());
    said.unwrap_or(otherwise)
}
