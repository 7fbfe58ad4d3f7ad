//! What is asked of the tables.

pub mod attempts;
pub mod balances;
pub mod clawbacks;
pub mod conversions;
pub mod due;
pub mod parked;
pub mod payouts;
pub mod periods;
pub mod postings;
mod running;
mod sorts;
pub mod timeline;
mod total;
mod waiting;

use super::db::{Query, value::Value};

/// A part of a list: what comes after a key, at most so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The key of the last row that is known already; 0 to begin.
    pub after: u64,
    /// How many rows at most.
    pub limit: u32,
}

impl Slice {
    /// The whole list.
    pub const ALL: Self = Self {
        after: 0,
        limit: u32::MAX,
    };
}

/// A query that can be given conditions one by one.
fn select(sql: impl Into<String>) -> Query {
    Query::new(sql)
}

/// Adds a condition if there is a value for it; `sql` ends where the value goes.
fn and(query: &mut Query, sql: &'static str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        query.push(" AND ").push(sql).push_bind(value);
    }
}

/// Adds `column IN (…)` with numbers.
fn and_in(query: &mut Query, column: &'static str, numbers: &[u64]) {
    query.push(" AND ").push(column).push(" IN (");
    for (place, number) in numbers.iter().enumerate() {
        query.push(if place == 0 { "" } else { "," });
        query.push_bind(number.cast_signed());
    }
    query.push(")");
}
