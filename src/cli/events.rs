//! `postbook events`: kept facts as NDJSON, exactly the bytes that were hashed.

use clap::Args;
use postbook_schemas::{FactType, envelope::RawEnvelope};

use super::{exit::CliError, global::Global, output, reader};
use crate::store::Filter;

/// How much of the log is read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// Prints kept facts, one a line.
#[derive(Debug, Args)]
pub(super) struct Events {
    /// The position to begin at
    #[arg(long, value_name = "POSITION", default_value_t = 1)]
    from: u64,
    /// Only facts of this type; may be repeated
    #[arg(long = "type", value_name = "TYPE", value_parser = fact_type)]
    types: Vec<FactType>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

fn fact_type(name: &str) -> Result<FactType, String> {
    FactType::from_name(name)
        .ok_or_else(|| format!("there is no fact type `{name}`; `postbook schema` lists them"))
}

impl Events {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let store = reader::open_log(global).await?;
        let head = store.head();
        let wants_clicks = self.types.contains(&FactType::ClickRecorded);
        // Clicks with a seat and others are told apart by filters, so both are read and looked at.
        let filter = if self.types.is_empty() || wants_clicks {
            Filter::ALL
        } else {
            Filter::only(&self.types)
        };
        let (mut from, mut left) = (self.from.max(1), self.limit.unwrap_or(u64::MAX));
        while from <= head && left > 0 {
            let page = store.read(from, head, filter, PAGE_BYTES).await?;
            for (_, line) in page.lines() {
                if left == 0 {
                    break;
                }
                if !self.is_wanted(line)? {
                    continue;
                }
                output::kept_line(&String::from_utf8_lossy(line))?;
                left -= 1;
            }
            from = page.next.max(from + 1);
        }
        store.close().await;
        Ok(())
    }

    fn is_wanted(&self, line: &[u8]) -> Result<bool, CliError> {
        if self.types.is_empty() {
            return Ok(true);
        }
        let raw: RawEnvelope<'_> = serde_json::from_slice(line).map_err(CliError::failed)?;
        Ok(self
            .types
            .iter()
            .any(|wanted| wanted.name() == raw.fact_type))
    }
}
