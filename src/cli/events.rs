//! `postbook events`: kept facts as NDJSON, exactly the bytes that were hashed.

use clap::Args;
use postbook_schemas::FactType;

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
        // Clicks are kept apart from other facts, in two ways, so that asking for them asks for all.
        let (filter, head) = match &*self.types {
            [] => (Filter::ALL, store.head()),
            types => (Filter::only(types), store.head()),
        };
        let (mut from, mut left) = (self.from.max(1), self.limit.unwrap_or(u64::MAX));
        while from <= head && left > 0 {
            let page = store.read(from, head, filter, PAGE_BYTES).await?;
            for (_, line) in page.lines() {
                if left == 0 {
                    break;
                }
                output::line(&String::from_utf8_lossy(line))?;
                left -= 1;
            }
            from = page.next.max(from + 1);
        }
        store.close().await;
        Ok(())
    }
}
