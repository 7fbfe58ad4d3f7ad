//! The log on KurrentDB for reading only, through a mirror that was brought up to date.

use futures_util::future::FutureExt;

use super::{check::check, source::Source};
use crate::{
    hand_on,
    store::{Asked, LogStore, sqlite::SqliteStore},
};

/// A mirror as it was when it was opened; only a check asks the server again.
#[derive(Debug)]
pub(in crate::store) struct KurrentReader {
    pub(super) source: Source,
    pub(super) mirror: SqliteStore,
}

impl LogStore for KurrentReader {
    // The mirror refuses to append: it was opened for reading.
    hand_on!(self to self.mirror; append, head, follow, read, read_one, find, clicks, root, close);

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Sync)) -> Asked<'a, ()> {
        check(&self.source, &self.mirror, progress).boxed()
    }

    fn is_shared(&self) -> bool {
        true
    }
}
