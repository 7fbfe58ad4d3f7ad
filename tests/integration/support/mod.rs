//! What tests share.

pub(crate) mod facts;
pub(crate) mod faulty_store;
pub(crate) mod stores;
