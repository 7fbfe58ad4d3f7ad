//! The programme as intake needs it: folded from configuration facts.

/// To be written.
#[derive(Debug, Default)]
pub struct Directory;
