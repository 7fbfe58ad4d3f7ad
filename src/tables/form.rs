//! The form of the tables: what this program writes, and what it can still read.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::TablesError;

/// The form of the tables and of the digest. Tables of another form are built again.
pub(super) const FORMAT: i64 = 14;

/// The oldest form whose tables still answer rightly while they are built again.
const READABLE_FROM: i64 = 11;

/// What is known of the form of the generation in force.
#[derive(Debug)]
pub(super) struct Form {
    /// It is the one that this program writes.
    is_current: AtomicBool,
    /// It answers this program's questions.
    is_readable: AtomicBool,
}

impl Form {
    pub(super) fn of(found: Result<i64, &TablesError>) -> Self {
        let form = Self {
            is_current: AtomicBool::new(false),
            is_readable: AtomicBool::new(false),
        };
        form.becomes(found.unwrap_or(0));
        form
    }

    /// Another generation is in force, of this form.
    pub(super) fn becomes(&self, form: i64) {
        self.is_current.store(form == FORMAT, Ordering::SeqCst);
        let is_readable = (READABLE_FROM..=FORMAT).contains(&form);
        self.is_readable.store(is_readable, Ordering::SeqCst);
    }

    pub(super) fn is_current(&self) -> bool {
        self.is_current.load(Ordering::SeqCst)
    }

    pub(super) fn is_readable(&self) -> bool {
        self.is_readable.load(Ordering::SeqCst)
    }
}
