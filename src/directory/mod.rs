//! To be written.
/// To be written.
#[derive(Debug, Default)]
pub struct Directory;
