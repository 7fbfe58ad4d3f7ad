//! Months: which are closed, and in whose books a posting stands.

use postbook_schemas::Month;

use super::Book;
use crate::rows::{InPeriod, Posting, PostingKind};

impl Book {
    /// Closes a month and all before it.
    pub(super) fn close(&mut self, period: Month) {
        self.closed_through = self.closed_through.max(Some(period));
    }

    /// The month in whose books a posting stands: that in which it takes effect, or the first open
    /// one if that is closed.
    pub(super) fn period_of(&self, posting: &Posting) -> InPeriod {
        let month = self.month_of(posting);
        match self.closed_through {
            Some(closed) if month <= closed => InPeriod {
                month: closed.next(),
                corrects: Some(month),
            },
            _ => InPeriod::plain(month),
        }
    }

    /// The month in whose books something of a month would be posted now.
    pub(crate) fn open_month(&self, month: Month) -> Month {
        match self.closed_through {
            Some(closed) if month <= closed => closed.next(),
            _ => month,
        }
    }

    /// The month in which a posting takes effect, in the time zone of its terms (SPEC 1); UTC where
    /// no terms are involved.
    fn month_of(&self, posting: &Posting) -> Month {
        if posting.kind == PostingKind::Carryover {
            // Its fence has said it, in the time zone of its terms.
            return posting.period.month;
        }
        let terms = posting.terms_version.as_ref().and_then(|version| {
            let number = self.ids.get(&posting.conversion_id?)?;
            let all = self.programme.all_terms(&self.conversion(*number).offer);
            all.iter().rfind(|terms| *terms.version == **version)
        });
        terms.map_or_else(
            || Month::of(posting.effective_at),
            |terms| terms.month(posting.effective_at),
        )
    }
}
