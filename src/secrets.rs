//! Tokens, offer secrets and keys: what must never be in the log.

/// To be written.
#[derive(Debug)]
pub struct Secrets;
