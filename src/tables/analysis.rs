//! What the planner of an embedded file is told of its tables: otherwise it takes all for small, and any
//! index for as good as another. A server looks by itself.

use super::db::Conn;

/// Looks at all tables, at a part of those that have grown much since they were looked at last.
const LOOK: &str = "PRAGMA optimize = 0x10012";

/// Whoever has fewer facts looks once.
const FEW: u64 = 1_000;

/// When to look the next time: there are twice as many facts by then.
#[derive(Debug)]
pub(super) struct Analysis {
    from: u64,
}

impl Analysis {
    /// With the next batch.
    pub(super) const SOON: Self = Self { from: 0 };

    /// Nobody asks these tables yet, or a server looks.
    pub(super) const NEVER: Self = Self { from: u64::MAX };

    /// Looks if it is time to. Nothing that was written depends on it.
    pub(super) async fn renew(&mut self, mut connection: Conn<'_>, position: u64) {
        if position < self.from {
            return;
        }
        self.from = position.saturating_mul(2).max(FEW);
        if let Err(error) = connection.run(LOOK, "analysed").await {
            tracing::warn!(%error, "the read models cannot be analysed: queries may be slow");
        }
    }
}
