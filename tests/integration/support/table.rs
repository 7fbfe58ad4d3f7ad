//! Text tables of requests and answers: each case is a short conversation with a fresh service.
//!
//! ```text
//! == what the case shows
//! > POST /postback token=$TOKEN
//! > content-type: application/json
//! {"click_id":"$CLICK"}
//! < 200 {"status":"ok"}
//! < warning: 299 …
//! ```
//! Words like `$CLICK` stand for what the service gave out. Ids in answers are numbered as they
//! first appear in the case: `id-1`, `id-2`.

use std::collections::BTreeMap;

/// One case.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// One request and what it must be answered.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) status: u16,
    pub(crate) answer: String,
    pub(crate) answer_headers: Vec<(String, String)>,
}

/// Reads a table.
pub(crate) fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case {
                name: format!("line {number}: {name}"),
                steps: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().expect("a case begins with ==");
        if let Some(sent) = line.strip_prefix("> ") {
            request_line(case, sent);
        } else if let Some(expected) = line.strip_prefix("< ") {
            let step = case.steps.last_mut().expect("an answer follows a request");
            answer_line(step, expected);
        } else {
            let step = case.steps.last_mut().expect("a body follows a request");
            step.body.push_str(line);
        }
    }
    cases
}

fn request_line(case: &mut Case, sent: &str) {
    if let Some((name, value)) = sent.split_once(": ") {
        let step = case.steps.last_mut().expect("headers follow a request");
        let header = (name.to_owned(), value.to_owned());
        step.headers.push(header);
        return;
    }
    let (method, path) = sent.split_once(' ').expect("a method and a path");
    case.steps.push(Step {
        method: method.to_owned(),
        path: path.to_owned(),
        ..Step::default()
    });
}

fn answer_line(step: &mut Step, expected: &str) {
    match expected.split_once(' ') {
        Some((status, answer)) if status.parse::<u16>().is_ok() => {
            step.status = status.parse().expect("a status");
            answer.clone_into(&mut step.answer);
        }
        _ => {
            let (name, value) = expected.split_once(": ").expect("a header");
            let header = (name.to_owned(), value.to_owned());
            step.answer_headers.push(header);
        }
    }
}

/// Numbers ids as they first appear.
#[derive(Debug, Default)]
pub(crate) struct Ids(BTreeMap<String, usize>);

impl Ids {
    /// The text with ids replaced by their numbers.
    pub(crate) fn number(&mut self, text: &str) -> String {
        const LENGTH: usize = 36;
        let mut numbered = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let id = rest.get(..LENGTH).filter(|id| is_id(id));
            if let Some(id) = id {
                let next = self.0.len() + 1;
                let number = *self.0.entry(id.to_owned()).or_insert(next);
                numbered.push_str("id-");
                numbered.push_str(&number.to_string());
                rest = &rest[LENGTH..];
            } else {
                numbered.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        numbered
    }
}

fn is_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|id| id.get_version_num() == 7)
}
