//! `postbook payout approve|send|settle|fail|return`: moves payouts on, one, several or all.

use clap::Args;
use postbook_projections::rows::PayoutState;
use postbook_schemas::{FactId, payout::PayoutMoved};
use serde_json::{Value, json};

use super::{
    exit::{CliError, Exit},
    global::Global,
    output, payout,
    through::{Remote, Through, body, reason, with_service},
};
use crate::{
    commands::{
        payout::{Move, move_on},
        record::Author,
    },
    service::Service,
};

/// Which payouts are moved on, and why.
#[derive(Debug, Args)]
pub(super) struct Steps {
    /// The payouts
    #[arg(required_unless_present = "all", value_name = "ID")]
    ids: Vec<FactId>,
    /// All that are in the state before
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// The bank's reference
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    /// Why; kept with the facts
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    through: Through,
}

/// What is said with every move.
struct Said {
    step: Move,
    reference: Option<String>,
    reason: String,
}

impl Steps {
    /// Runs the verb.
    pub(super) async fn run(self, step: Move, global: &Global) -> Result<(), CliError> {
        let ids = self.chosen(step, global).await?;
        let said = Said {
            step,
            reference: self.reference,
            reason: reason(&self.reason)?,
        };
        let moved = if let Some(remote) = self.through.remote()? {
            said.all_at(&remote, &ids).await
        } else {
            let author = self.through.author(endpoint(step));
            with_service(global, async |service| {
                Ok(said.all_here(service, &author, &ids).await)
            })
            .await?
        };
        print(&ids, moved, global.json)
    }

    async fn chosen(&self, step: Move, global: &Global) -> Result<Vec<FactId>, CliError> {
        if !self.all {
            return Ok(self.ids.clone());
        }
        let from = match step {
            Move::Approve => PayoutState::Proposed,
            Move::Send => PayoutState::Approved,
            Move::Settle => PayoutState::Sent,
            Move::Fail | Move::Return => {
                let message = "payouts fail and come back one by one: name them";
                return Err(CliError::new(Exit::Usage, message));
            }
        };
        let items = payout::list(None, Some(from), &self.through, global).await?;
        let ids = items.iter().map(|item| output::text(item, "id").parse());
        ids.collect::<Result<_, _>>().map_err(CliError::failed)
    }
}

impl Said {
    async fn all_at(&self, remote: &Remote, ids: &[FactId]) -> Vec<Result<Value, CliError>> {
        let body = body([
            ("reference", json!(self.reference)),
            ("reason", json!(self.reason)),
        ]);
        let mut moved = Vec::with_capacity(ids.len());
        for id in ids {
            let path = format!("/v1/payouts/{id}/{}", word(self.step));
            moved.push(remote.post(&path, &body).await);
        }
        moved
    }

    async fn all_here(
        &self,
        service: &Service,
        author: &Author,
        ids: &[FactId],
    ) -> Vec<Result<Value, CliError>> {
        let mut moved = Vec::with_capacity(ids.len());
        for &payout_id in ids {
            let data = PayoutMoved {
                payout_id,
                reference: self.reference.clone(),
                reason: Some(self.reason.clone()),
            };
            let row = move_on(service, author, data, self.step).await;
            moved.push(row.map(|row| payout::item(&row)).map_err(CliError::from));
        }
        moved
    }
}

fn word(step: Move) -> &'static str {
    match step {
        Move::Approve => "approve",
        Move::Send => "send",
        Move::Settle => "settle",
        Move::Fail => "fail",
        Move::Return => "return",
    }
}

fn endpoint(step: Move) -> &'static str {
    match step {
        Move::Approve => "postbook payout approve",
        Move::Send => "postbook payout send",
        Move::Settle => "postbook payout settle",
        Move::Fail => "postbook payout fail",
        Move::Return => "postbook payout return",
    }
}

/// Prints what was moved, and says of the others why not; a single one as itself.
fn print(
    ids: &[FactId],
    mut moved: Vec<Result<Value, CliError>>,
    as_json: bool,
) -> Result<(), CliError> {
    if moved.len() == 1
        && let Some(one) = moved.pop()
    {
        return payout::print_one(&one?, as_json);
    }
    let (mut items, mut refused) = (Vec::new(), 0);
    for (id, moved) in ids.iter().zip(moved) {
        match moved {
            Ok(item) => items.push(item),
            Err(error) => {
                output::note(&format!("{id}: {}", error.message));
                refused += 1;
            }
        }
    }
    if as_json {
        output::json(&json!({ "items": items }))?;
    } else {
        for item in &items {
            payout::print_one(item, false)?;
        }
    }
    match (refused, items.len()) {
        (0, _) => Ok(()),
        (_, 0) => Err(CliError::new(Exit::Refused, "nothing was moved on")),
        (some, _) => Err(CliError::new(
            Exit::Partly,
            format!("{some} were not moved on"),
        )),
    }
}
