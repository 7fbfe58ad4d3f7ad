//! What tests share.

pub mod changes;
