//! What people and programs ask for besides reading: decided first, then appended.

pub mod credential;
pub mod programme;
