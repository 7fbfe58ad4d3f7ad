//! How a stretch of facts is kept as one row, whichever database holds the rows.
//!
//! A row has the lines of its facts, compressed; clicks with a seat lie apart, with their index
//! entries. Beside them are the keys, the types and the tree after its last fact.

pub(in crate::store) mod bound;
pub(in crate::store) mod cut;
pub(in crate::store) mod encode;
pub(in crate::store) mod heads;
#[cfg(feature = "kurrentdb")]
pub(in crate::store) mod kept;
pub(in crate::store) mod keys;
pub(in crate::store) mod lines;
pub(in crate::store) mod part;
pub(in crate::store) mod places;
pub(in crate::store) mod row;
pub(in crate::store) mod sound;
pub(in crate::store) mod spans;
