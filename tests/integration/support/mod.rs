//! What several areas share.

pub(crate) mod repository;
