//! `postbook adopt`: a second person makes a what-if hold.

use clap::Args;
use serde_json::{Value, json};

use super::{
    exit::{CliError, Exit},
    global::Global,
    output, own,
    through::Through,
    whatif::failed,
};
use crate::commands::whatif;

/// Makes what was tried hold, and posts the differences; closed months stay as they are, and are corrected
/// in the first open one.
#[derive(Debug, Args)]
pub(super) struct Adopt {
    /// The hash of the what-if, or its first 8 digits or more
    hash: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    through: Through,
}

impl Adopt {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        if self.reason.trim().is_empty() {
            return Err(CliError::new(Exit::Usage, "say why: --reason TEXT"));
        }
        let adopted = if let Some(remote) = self.through.remote()? {
            let path = format!("/v1/whatifs/{}/adopt", self.hash);
            remote.post(&path, &json!({"reason": self.reason})).await?
        } else {
            let service = own::open(global).await?;
            own::caught_up(&service).await?;
            let author = self.through.author("postbook adopt");
            let adopted = whatif::adopt(&service, &author, &self.hash, self.reason).await;
            service.shut_down().await;
            adopted.map_err(failed)?.to_json()
        };
        if global.json {
            return output::json(&adopted);
        }
        show(&adopted)
    }
}

fn show(adopted: &Value) -> Result<(), CliError> {
    let position = &adopted["position"];
    let by = adopted["adopted_by"].as_str().unwrap_or_default();
    let before = adopted["already_adopted"].as_bool() == Some(true);
    let word = if before {
        "was adopted before"
    } else {
        "adopted"
    };
    output::line(&format!("{word}: fact {position}, by {by}"))?;
    let meanwhile = adopted["meanwhile"].as_array().map_or(0, Vec::len);
    if meanwhile > 0 {
        output::line(&format!(
            "{meanwhile} facts came in meanwhile, and are derived under the new rules"
        ))?;
    }
    match adopted["requeued"].as_u64() {
        Some(requeued @ 1..) => output::line(&format!("{requeued} refused attempts became facts")),
        _ => Ok(()),
    }
}
