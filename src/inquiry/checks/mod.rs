//! The five checks of a postback that did not arrive, answered in a row.

mod arrival;
mod case;
mod landing;
mod traffic;

use postbook_schemas::{FactId, OfferRef};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use self::case::Case;
use super::Sources;
use crate::commands::record::CommandError;

/// What the checks are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A click, by the id that was handed on.
    Click(String),
    /// A transaction of the advertiser.
    Txn(String),
    /// A customer of the advertiser.
    Customer(String),
    /// One attempt, by the id that its answer named.
    Attempt(FactId),
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Nothing is wrong here.
    Ok,
    /// There is nothing to be seen here: it went wrong before.
    Missing,
    /// It went wrong here.
    Problem,
}

impl CheckState {
    /// The word used in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Problem => "problem",
        }
    }
}

/// A fact that shows what a check says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Evidence {
    /// Where the fact is in the log.
    pub position: u64,
    /// Its id.
    pub id: Uuid,
    /// What it shows.
    pub shows: String,
}

/// One of the five checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// `click_seen`, `id_handed_on`, `request_received`, `answer_given` or `landed`.
    pub name: &'static str,
    /// How it ended.
    pub state: CheckState,
    /// What is the matter, in a sentence.
    pub detail: String,
    /// The facts that show it.
    pub evidence: Vec<Evidence>,
    /// Where to look next, unless it ended well.
    pub next: Option<String>,
}

impl Check {
    fn new(name: &'static str, state: CheckState, detail: impl Into<String>) -> Self {
        Self {
            name,
            state,
            detail: detail.into(),
            evidence: Vec::new(),
            next: None,
        }
    }

    fn showing(mut self, evidence: Vec<Evidence>) -> Self {
        self.evidence = evidence;
        self
    }

    fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// The five checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Checks {
    /// The click they are about; absent where no attempt names one.
    pub click_id: Option<String>,
    /// Whether all of them ended well.
    pub arrived: bool,
    /// What the first that did not end well says.
    pub verdict: String,
    /// Always five, in order.
    pub checks: Vec<Check>,
}

/// Walks through the five checks. Whoever may see only one offer is told of nothing else.
///
/// # Errors
/// The log or the read models cannot be read; or there is no such attempt.
pub async fn walk(
    sources: &Sources<'_>,
    subject: &Subject,
    only: Option<&OfferRef>,
) -> Result<Checks, CommandError> {
    let kept = |id: &String| sources.pseudonyms.id(id).into_owned();
    let subject = match subject {
        Subject::Click(id) => Subject::Click(kept(id)),
        Subject::Txn(id) => Subject::Txn(kept(id)),
        Subject::Customer(id) => Subject::Customer(kept(id)),
        Subject::Attempt(id) => Subject::Attempt(*id),
    };
    let case = Case::gather(sources, &subject, only).await?;
    Ok(judge(case))
}

fn judge(case: Case) -> Checks {
    let checks = vec![
        traffic::click_seen(&case),
        traffic::id_handed_on(&case),
        arrival::request_received(&case),
        arrival::answer_given(&case),
        landing::landed(&case),
    ];
    let first = checks.iter().find(|check| check.state != CheckState::Ok);
    // What is missing only follows from a problem that another check has found.
    let problem = checks
        .iter()
        .find(|check| check.state == CheckState::Problem);
    let verdict = problem.or(first).map_or_else(
        || "it arrived, and nothing is wrong".to_owned(),
        |check| format!("{}: {}", check.name, check.detail),
    );
    Checks {
        click_id: case.click_id,
        arrived: first.is_none(),
        verdict,
        checks,
    }
}
