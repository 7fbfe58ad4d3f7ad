//! Follows the log and keeps the read models up to date.

/// To be written.
#[derive(Clone, Debug)]
pub struct Projector;
