//! What several areas share.

pub(crate) mod facts;
pub(crate) mod repository;
pub(crate) mod stores;
