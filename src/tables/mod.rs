//! The read models as tables.

/// To be written.
#[derive(Clone, Debug)]
pub struct Tables;
