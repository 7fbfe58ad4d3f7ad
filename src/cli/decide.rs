//! `postbook decide` and `postbook attribute`: what a manager says about a conversion.

use clap::{Args, ValueEnum};
use postbook_schemas::{FactId, Slug, decision};
use serde_json::{Value, json};

use super::{
    exit::{CliError, Exit},
    global::Global,
    output,
    through::{Remote, Through, body, reason, with_service},
};
use crate::{
    commands::{correction, decision as deciding, record::Kept},
    service::Service,
    tables::query::{Slice, conversions::ConversionFilter},
};

/// Approves, rejects or reverses a conversion, or releases it from earlier decisions.
#[derive(Debug, Args)]
pub(super) struct Decide {
    /// The conversion, by its id or the id of its transaction
    #[arg(value_name = "CONVERSION")]
    conversion: String,
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
            let id = found_at(&remote, &self.conversion).await?;
            let body = json!({ "conversion_id": id, "decision": decision, "reason": reason });
            remote.post("/v1/decisions", &body).await?
        } else {
            let author = self.through.author("postbook decide");
            let kept = with_service(global, async |service| {
                let id = found_here(service, &self.conversion).await?;
                Ok(deciding::decide(service, &author, id, decision, reason).await?)
            });
            kept_json(&kept.await?)
        };
        print_kept(&answer, global.json)
    }
}

/// Says who is credited with a conversion, whatever its candidates say.
#[derive(Debug, Args)]
pub(super) struct Attribute {
    /// The conversion, by its id or the id of its transaction
    #[arg(value_name = "CONVERSION")]
    conversion: String,
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
                (
                    "conversion_id",
                    json!(found_at(&remote, &self.conversion).await?),
                ),
                ("partner", json!(self.to)),
                ("reason", json!(reason)),
            ]);
            remote.post("/v1/attribution-corrections", &body).await?
        } else {
            let author = self.through.author("postbook attribute");
            let kept = with_service(global, async |service| {
                let id = found_here(service, &self.conversion).await?;
                Ok(correction::correct(service, &author, id, self.to, reason).await?)
            });
            kept_json(&kept.await?)
        };
        print_kept(&answer, global.json)
    }
}

/// The conversion with an id, or the only one of a transaction.
async fn found_here(service: &Service, text: &str) -> Result<FactId, CliError> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let filter = ConversionFilter {
        txn_id: Some(service.secrets.pseudonyms().id(text).into_owned()),
        ..ConversionFilter::default()
    };
    let found = service.tables.conversions(&filter, Slice::ALL).await?;
    let ids: Vec<FactId> = found.iter().map(|row| row.id).collect();
    only(text, &ids)
}

/// The same at a server.
async fn found_at(remote: &Remote, text: &str) -> Result<FactId, CliError> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let txn_id: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let found = remote
        .list(&format!("/v1/conversions?txn_id={txn_id}"))
        .await?;
    let ids = found.iter().map(|item| output::text(item, "id").parse());
    let ids: Vec<FactId> = ids.collect::<Result<_, _>>().map_err(CliError::failed)?;
    only(text, &ids)
}

fn only(text: &str, found: &[FactId]) -> Result<FactId, CliError> {
    match found {
        [id] => Ok(*id),
        [] => {
            let message = format!("there is no conversion with the id or transaction `{text}`");
            Err(CliError::new(Exit::NotFound, message))
        }
        several => {
            let ids: Vec<String> = several.iter().map(ToString::to_string).collect();
            let ids = ids.join(", ");
            let message = format!("the transaction `{text}` has several, say which one: {ids}");
            Err(CliError::new(Exit::Usage, message))
        }
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
