//! What several areas share.

pub(crate) mod app;
#[cfg(feature = "kurrentdb")]
#[path = "../../crash/book.rs"]
pub(crate) mod book;
pub(crate) mod changes;
pub(crate) mod disturbance;
pub(crate) mod facts;
pub(crate) mod faulty_store;
pub(crate) mod gated_store;
pub(crate) mod homes;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod repository;
pub(crate) mod stores;
#[cfg(feature = "kurrentdb")]
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod twin;
