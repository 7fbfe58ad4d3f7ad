//! Why did it not arrive? Attempts told whole, and the five checks of one click.

pub mod attempt;
pub mod checks;
pub mod expected;
mod find;

use postbook_schemas::{ClickIdKey, Instant};

use crate::{directory::Directory, intake::personal::Pseudonyms, store::LogStore, tables::Tables};

/// Where answers are found: the log, the read models and the programme.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'s> {
    /// The log.
    pub store: &'s dyn LogStore,
    /// The read models.
    pub tables: &'s Tables,
    /// Turns click ids into positions.
    pub click_ids: &'s ClickIdKey,
    /// The programme.
    pub directory: &'s Directory,
    /// The names under which ids are kept that are personal data.
    pub pseudonyms: &'s Pseudonyms,
    /// The time.
    pub now: Instant,
}
