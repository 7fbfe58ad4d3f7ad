//! `postbook decide` and `postbook attribute`: what a manager says about a conversion.

use clap::{Args, ValueEnum};
use postbook_schemas::{FactId, Slug, decision};
use serde_json::{Value, json};

use super::{
    exit::CliError,
    global::Global,
    output,
    through::{Through, body, reason, with_service},
};
use crate::commands::{correction, decision as deciding, record::Kept};

/// Approves, rejects or reverses a conversion, or releases it from earlier decisions.
#[derive(Debug, Args)]
pub(super) struct Decide {
    /// The conversion
    conversion: FactId,
    /// What is decided
    #[arg(value_enum)]
    decision: Word,
    /// Why; kept with the fact
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    through: Through,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Word {
    /// It counts.
    Approve,
    /// It does not count.
    Reject,
    /// It counted and is taken back.
    Reverse,
    /// Earlier decisions no longer hold.
    Release,
}

impl From<Word> for decision::Decision {
    fn from(word: Word) -> Self {
        match word {
            Word::Approve => Self::Approve,
            Word::Reject => Self::Reject,
            Word::Reverse => Self::Reverse,
            Word::Release => Self::Release,
        }
    }
}

impl Decide {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let reason = reason(&self.reason)?;
        let decision = decision::Decision::from(self.decision);
        let answer = if let Some(remote) = self.through.remote()? {
            let body = json!({
                "conversion_id": self.conversion, "decision": decision, "reason": reason,
            });
            remote.post("/v1/decisions", &body).await?
        } else {
            let author = self.through.author("postbook decide");
            let kept = with_service(global, async |service| {
                Ok(deciding::decide(service, &author, self.conversion, decision, reason).await?)
            });
            kept_json(&kept.await?)
        };
        print_kept(&answer, global.json)
    }
}

/// Says who is credited with a conversion, whatever its candidates say.
#[derive(Debug, Args)]
pub(super) struct Attribute {
    /// The conversion
    conversion: FactId,
    /// Who is credited
    #[arg(long, value_name = "PARTNER", required_unless_present = "to_nobody")]
    to: Option<Slug>,
    /// Nobody is credited
    #[arg(long, conflicts_with = "to")]
    to_nobody: bool,
    /// Why; kept with the fact
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    through: Through,
}

impl Attribute {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let reason = reason(&self.reason)?;
        let answer = if let Some(remote) = self.through.remote()? {
            let body = body([
                ("conversion_id", json!(self.conversion)),
                ("partner", json!(self.to)),
                ("reason", json!(reason)),
            ]);
            remote.post("/v1/attribution-corrections", &body).await?
        } else {
            let author = self.through.author("postbook attribute");
            let kept = with_service(global, async |service| {
                let partner = self.to;
                Ok(correction::correct(service, &author, self.conversion, partner, reason).await?)
            });
            kept_json(&kept.await?)
        };
        print_kept(&answer, global.json)
    }
}

/// A fact that was kept, as `/v1` answers it.
pub(super) fn kept_json(kept: &Kept) -> Value {
    let envelope = &kept.recorded.envelope;
    json!({
        "id": envelope.id, "position": kept.recorded.position,
        "type": envelope.fact.fact_type().name(), "recorded_at": envelope.recorded_at,
    })
}

/// Prints a fact that was kept.
pub(super) fn print_kept(answer: &Value, as_json: bool) -> Result<(), CliError> {
    if as_json {
        return output::json(answer);
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let position = answer.get("position").and_then(Value::as_u64).unwrap_or(0);
    output::line(&format!(
        "{} {} at position {position}",
        text("type"),
        text("id")
    ))
}
