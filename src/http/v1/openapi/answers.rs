//! The answers that operations share: who is not let in, what is wrong with a request or with us.

use postbook_schemas::Outcome;
use serde_json::{Value, json};

use super::object;
use crate::intake::answer;

const ANYTIME: &[(u16, &str)] = &[
    (500, "A bug of ours; it was logged."),
    (
        503,
        "There is no room for it, or the log cannot be used: nothing was done, send it again.",
    ),
];

const READ: &[(u16, &str)] = &[
    (401, "The token is missing, unknown or revoked."),
    (403, "The token's role or scope does not cover this."),
    (
        422,
        "A parameter or field is missing, unknown or cannot be used; `field` names it.",
    ),
];

const TOO_LARGE: (u16, &str) = (413, "The body is too large.");
const CONFLICT: (u16, &str) = (
    409,
    "It contradicts what is there, or the Idempotency-Key was used for another request.",
);
const NONE: (u16, &str) = (404, "There is none of this name that the token may see.");

/// Adds what an operation does not say itself.
pub(super) fn complete(path: &str, method: &str, operation: &mut Value) {
    let answers = object(&mut operation["responses"]);
    for (status, description) in shared(path, method) {
        let answer = json!({ "description": description });
        answers.entry(status.to_string()).or_insert(answer);
    }
    for (status, answer) in answers {
        let status: u16 = status.parse().expect("a status is a number");
        object(answer)
            .entry("description")
            .or_insert_with(|| match status {
                201 => "It is in the log.".into(),
                _ => "What was asked for.".into(),
            });
        if status >= 400 {
            complete_problem(status, path, answer);
        }
    }
}

fn shared(path: &str, method: &str) -> Vec<(u16, String)> {
    let mut answers = ANYTIME.to_vec();
    if path.contains("/postback") && !path.starts_with("/v1/") {
        return rejections().chain(owned(&answers)).collect();
    }
    if path.starts_with("/v1/") && path != "/v1/openapi.json" {
        answers.extend(READ);
        if method == "post" {
            answers.push(TOO_LARGE);
        }
        // Recognised when they come again by what they say, not by a key.
        let has_own_identity =
            matches!(path, "/v1/clicks" | "/v1/imports/postbacks" | "/v1/whatifs");
        if method == "post" && !has_own_identity {
            answers.push(CONFLICT);
        }
        if path.contains('{') {
            answers.push(NONE);
        }
    }
    owned(&answers).collect()
}

fn owned(answers: &[(u16, &'static str)]) -> impl Iterator<Item = (u16, String)> {
    answers
        .iter()
        .map(|(status, text)| (*status, (*text).to_owned()))
}

/// What postbacks are refused with: the closed list, by status.
fn rejections() -> impl Iterator<Item = (u16, String)> {
    let refusals = || Outcome::ALL.iter().filter(|outcome| outcome.is_rejection());
    let statuses: std::collections::BTreeSet<u16> =
        refusals().map(|outcome| outcome.http_status()).collect();
    statuses.into_iter().map(move |status| {
        let own = refusals().filter(|outcome| outcome.http_status() == status);
        let texts =
            own.map(|outcome| format!("`{}` ({})", outcome.code(), answer::title(*outcome)));
        (status, format!("{}.", texts.collect::<Vec<_>>().join(", ")))
    })
}

/// Errors are problems, with the headers that go with them.
fn complete_problem(status: u16, path: &str, answer: &mut Value) {
    let answer = object(answer);
    let problem = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
    let content = answer.entry("content").or_insert_with(|| json!({}));
    content
        .as_object_mut()
        .expect("contents are by media type")
        .entry("application/problem+json")
        .or_insert(problem);
    let header = match status {
        401 => ("WWW-Authenticate", json!({ "type": "string" })),
        429 | 503 => ("Retry-After", json!({ "type": "integer", "minimum": 1 })),
        _ => return,
    };
    // Whoever asks whether we are ready asks again anyway.
    let required = path != "/readyz";
    let header = json!({ header.0: { "required": required, "schema": header.1 } });
    answer.entry("headers").or_insert(header);
}
