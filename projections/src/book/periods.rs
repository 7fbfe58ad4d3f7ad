//! Months: which are closed, and in whose books a posting stands.

use postbook_schemas::{Instant, Month};

use super::Book;
use crate::rows::{InPeriod, Posting, PostingKind};

impl Book {
    /// Closes a month and all before it.
    pub(super) fn close(&mut self, period: Month) {
        self.closed_through = self.closed_through.max(Some(period));
    }

    /// The month in whose books a posting stands: that in which it takes effect, or the first open
    /// one if that is closed. It names the closed month in which it takes effect, else the closed month
    /// whose earnings it changes.
    pub(super) fn period_of(&self, posting: &Posting) -> InPeriod {
        let month = self.month_of(posting);
        let is_closed = |month: &Month| self.closed_through.is_some_and(|closed| *month <= closed);
        InPeriod {
            month: self.open_month(month),
            corrects: Some(month)
                .filter(is_closed)
                .or_else(|| self.month_changed(posting).filter(is_closed)),
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
        self.month_at(posting, posting.effective_at)
    }

    /// The month whose earnings a posting changes: that of its conversion, or of a fence the one that
    /// ends. What people pay, post or give up changes no earnings.
    fn month_changed(&self, posting: &Posting) -> Option<Month> {
        match posting.kind {
            PostingKind::Earning
            | PostingKind::Approval
            | PostingKind::Reversal
            | PostingKind::Clawback
            | PostingKind::Restoration
            | PostingKind::Receivable => {
                let number = self.ids.get(&posting.conversion_id?)?;
                let happened_at = self.conversion(*number).occurred_at();
                Some(self.month_at(posting, happened_at))
            }
            PostingKind::Carryover => posting.period.corrects,
            PostingKind::Payout
            | PostingKind::PayoutReturned
            | PostingKind::Adjustment
            | PostingKind::WriteOff
            | PostingKind::Reclassification => None,
        }
    }

    /// The month of an instant in the time zone of a posting's terms.
    fn month_at(&self, posting: &Posting, at: Instant) -> Month {
        let terms = posting.terms_version.as_ref().and_then(|version| {
            let number = self.ids.get(&posting.conversion_id?)?;
            let all = self.programme.all_terms(&self.conversion(*number).offer);
            all.iter().rfind(|terms| *terms.version == **version)
        });
        terms.map_or_else(|| Month::of(at), |terms| terms.month(at))
    }
}
