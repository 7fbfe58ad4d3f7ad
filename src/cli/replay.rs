//! `postbook replay`: builds the read models again beside the live ones, compares, and switches.

use clap::Args;
use serde_json::json;

use super::{
    exit::{CliError, Exit},
    global::Global,
    output,
    reader::Reader,
};

/// Builds the read models again from the log, compares, and switches.
#[derive(Debug, Args)]
pub(super) struct Replay {}

impl Replay {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let reader = Reader::alone(global).await?;
        let projector = reader
            .projector
            .clone()
            .ok_or_else(|| CliError::failed("no projector"))?;
        let progress = output::progress("replaying", reader.store.head());
        let rebuilt = projector
            .rebuild(&|reached| progress.set_position(reached.position))
            .await;
        progress.finish_and_clear();
        reader.close().await;
        let rebuilt = rebuilt?;
        let seconds = rebuilt.elapsed.as_secs_f64();
        if global.json {
            output::json(&json!({
                "position": rebuilt.position,
                "identical": rebuilt.is_identical(),
                "live_digest": hex::encode(rebuilt.live.to_bytes()),
                "rebuilt_digest": hex::encode(rebuilt.rebuilt.to_bytes()),
                "elapsed_ms": u64::try_from(rebuilt.elapsed.as_millis()).unwrap_or(u64::MAX),
            }))?;
        } else {
            output::line(&format!(
                "replayed {} facts in {seconds:.1} s",
                rebuilt.position
            ))?;
            output::line(&format!(
                "digest {}",
                hex::encode(rebuilt.rebuilt.to_bytes())
            ))?;
        }
        if rebuilt.is_identical() {
            if !global.json {
                output::line("identical to the read models that were there")?;
            }
            return Ok(());
        }
        Err(CliError::new(
            Exit::Unsound,
            format!(
                "the read models that were there had digest {}: they were wrong, and are replaced",
                hex::encode(rebuilt.live.to_bytes())
            ),
        ))
    }
}
