//! What is posted for an earning line, and the postings that bring it to what facts say now: the
//! one principle (SPEC 6).

use std::sync::Arc;

use postbook_schemas::{Currency, FactId, Instant, Month, OfferRef, Slug};
use smallvec::SmallVec;

use crate::{
    given_up::written_off,
    months::FencedMonth,
    payable::lasting,
    rows::{Account, Entry, InPeriod, Memo, Posting, PostingKind},
    slots::{Slots, add_slots},
};

/// Where an earning line's amount stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not approved; approved by itself at a time, if one is given.
    Pending {
        /// When it is approved by itself, and when it is payable then.
        approves: Option<(Instant, Instant)>,
    },
    /// Approved, and payable from a time.
    Approved {
        /// From when it is payable.
        available_at: Instant,
    },
}

impl Standing {
    /// The later of two: what waits for somebody comes after what waits for a time.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        match (self, other) {
            (Self::Pending { approves: None }, _) | (_, Self::Pending { approves: None }) => {
                Self::Pending { approves: None }
            }
            (
                Self::Pending {
                    approves: Some((at, available_at)),
                },
                other,
            )
            | (
                other,
                Self::Pending {
                    approves: Some((at, available_at)),
                },
            ) => {
                let (other_at, other_available) = match other {
                    Self::Pending {
                        approves: Some(times),
                    } => times,
                    Self::Approved { available_at } => (at, available_at),
                    Self::Pending { approves: None } => (at, available_at),
                };
                let times = (at.max(other_at), available_at.max(other_available));
                Self::Pending {
                    approves: Some(times),
                }
            }
            (
                Self::Approved { available_at },
                Self::Approved {
                    available_at: other,
                },
            ) => Self::Approved {
                available_at: available_at.max(other),
            },
        }
    }
}

/// Who owes what is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owed {
    /// The programme, to the partner.
    #[default]
    ToPartner,
    /// The advertiser, to the programme.
    ByAdvertiser,
}

/// What is posted for one earning line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedLine {
    /// The rule.
    pub rule: Arc<str>,
    /// The version of the terms.
    pub terms_version: Arc<str>,
    /// Whose earning it is.
    pub partner: Slug,
    /// The partner's currency.
    pub currency: Currency,
    /// How much.
    pub amount_minor: i64,
    /// Where it stands.
    pub standing: Standing,
    /// What it contributes to the memo totals.
    pub memo: Memo,
    /// What payouts carry of it.
    pub carried_minor: i64,
    /// The last payout that carried it.
    pub payout_id: Option<FactId>,
    /// Who owes it.
    pub owed: Owed,
    /// The fenced month in which it counts, where its terms have one.
    pub carry: Option<Arc<FencedMonth>>,
}

impl PostedLine {
    /// Whether two lines are the same line at different times.
    pub fn is_same_line(&self, other: &Self) -> bool {
        self.rule == other.rule && self.partner == other.partner && self.currency == other.currency
    }

    /// Whether anything is posted.
    fn is_empty(&self) -> bool {
        self.amount_minor == 0 && self.memo == Memo::default()
    }

    /// What of it has been paid or recovered already, and so does not wait any more.
    pub(crate) fn lasting_minor(&self) -> i64 {
        let given_up = self.memo.written_off_minor;
        lasting(
            self.amount_minor,
            self.carried_minor.saturating_sub(given_up),
        )
    }

    /// A line of which nothing is posted.
    fn emptied(&self) -> Self {
        Self {
            amount_minor: 0,
            memo: Memo::default(),
            carried_minor: 0,
            carry: None,
            ..self.clone()
        }
    }
}

/// The fact that makes differences be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Where it is.
    pub position: u64,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// When it happened, if it is something that happened; configuration says how things always
    /// were, and takes effect when the conversion happened.
    pub happened_at: Option<Instant>,
}

impl Cause {
    /// When its effect on a conversion takes effect.
    pub fn effective_at(&self, conversion_at: Instant) -> Instant {
        self.happened_at
            .map_or(conversion_at, |at| at.max(conversion_at))
    }

    /// The month in which it was recorded; the book then finds the one to post it in.
    pub fn period(&self) -> InPeriod {
        InPeriod::plain(Month::of(self.recorded_at))
    }
}

/// A sum that left the 64 bits of an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// What postings for a conversion say of it.
#[expect(
    missing_debug_implementations,
    reason = "it is there for one call, and asks the book"
)]
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// Its id.
    pub id: FactId,
    /// Its offer.
    pub offer: &'a OfferRef,
    /// When it happened.
    pub occurred_at: Instant,
    /// When people last gave up something of a line's debt.
    pub given_up_at: &'a dyn Fn(&PostedLine) -> Option<Instant>,
}

/// The postings (still without numbers) that turn what was posted for a conversion into what facts
/// say now.
///
/// # Errors
/// A difference does not fit 64 bits.
pub fn differences(
    before: &[PostedLine],
    after: &[PostedLine],
    conversion: About<'_>,
    cause: &Cause,
) -> Result<Vec<Posting>, Overflow> {
    let mut postings = Vec::new();
    for line in after {
        let old = before.iter().find(|old| old.is_same_line(line));
        let old = old.map_or_else(|| line.emptied(), Clone::clone);
        difference(&old, line, conversion, cause, &mut postings)?;
    }
    for old in before {
        if !after.iter().any(|line| line.is_same_line(old)) {
            difference(old, &old.emptied(), conversion, cause, &mut postings)?;
        }
    }
    Ok(postings)
}

fn difference(
    old: &PostedLine,
    new: &PostedLine,
    about: About<'_>,
    cause: &Cause,
    postings: &mut Vec<Posting>,
) -> Result<(), Overflow> {
    if old.is_empty() && new.is_empty() {
        return Ok(());
    }
    let now = cause.effective_at(about.occurred_at);
    let mut slots = Slots::new();
    add_slots(&mut slots, old, now, about.occurred_at, -1)?;
    add_slots(&mut slots, new, now, about.occurred_at, 1)?;
    slots.retain(|(_, amount)| *amount != 0);
    slots.sort_unstable();
    let mut memo = new.memo.minus(&old.memo).ok_or(Overflow)?;
    let given_up = std::mem::take(&mut memo.written_off_minor);
    if given_up != 0 {
        // Nothing is undone before it was done, however early what undoes it happened.
        let at = (about.given_up_at)(new).map_or(now, |at| at.max(now));
        postings.push(written_off(new, given_up, (about.id, at), cause)?);
    }
    if slots.is_empty() && memo == Memo::default() {
        return Ok(());
    }
    let times = slots.iter().map(|(slot, _)| slot.effective_at);
    let mut times: SmallVec<[Instant; 4]> = times.collect();
    times.push(now);
    times.sort_unstable();
    times.dedup();
    for effective_at in times {
        let is_now = effective_at == now;
        let memo = if is_now { memo } else { Memo::default() };
        let entries = match new.owed {
            Owed::ToPartner => entries(&slots, effective_at, &new.partner, about.offer)?,
            Owed::ByAdvertiser => receivable(&slots, effective_at, about.offer)?,
        };
        if entries.is_empty() && memo == Memo::default() {
            continue;
        }
        let kind = if new.owed == Owed::ByAdvertiser {
            PostingKind::Receivable
        } else if is_now {
            kind(old, new, entries.is_empty(), &memo)
        } else {
            PostingKind::Approval
        };
        postings.push(Posting {
            number: 0,
            cause: cause.position,
            kind,
            conversion_id: Some(about.id),
            rule: Some(Arc::clone(&new.rule)),
            terms_version: Some(Arc::clone(&new.terms_version)),
            partner: new.partner.clone(),
            currency: new.currency,
            payout_id: new.payout_id.filter(|_| kind == PostingKind::Clawback),
            effective_at,
            recorded_at: cause.recorded_at,
            period: cause.period(),
            entries,
            memo,
        });
    }
    Ok(())
}

fn kind(old: &PostedLine, new: &PostedLine, no_entries: bool, memo: &Memo) -> PostingKind {
    if no_entries {
        PostingKind::Reclassification
    } else if new.amount_minor == old.amount_minor {
        PostingKind::Approval
    } else if new.amount_minor < old.amount_minor {
        match memo.clawed_back_minor {
            1.. => PostingKind::Clawback,
            _ if memo.earned_minor < 0 && old.amount_minor == 0 => PostingKind::Earning,
            _ => PostingKind::Reversal,
        }
    } else if memo.reversed_minor < 0 || memo.clawed_back_minor < 0 {
        PostingKind::Restoration
    } else {
        PostingKind::Earning
    }
}

fn entries(
    slots: &Slots,
    effective_at: Instant,
    partner: &Slug,
    offer: &OfferRef,
) -> Result<Vec<Entry>, Overflow> {
    let mut entries = Vec::new();
    let mut total = 0_i64;
    for &(slot, amount) in slots
        .iter()
        .filter(|(slot, _)| slot.effective_at == effective_at)
    {
        total = total.checked_add(amount).ok_or(Overflow)?;
        let account = match slot.available_at {
            None => Account::Pending(partner.clone()),
            Some(_) => Account::Approved(partner.clone()),
        };
        let amount_minor = amount.checked_neg().ok_or(Overflow)?;
        entries.push(Entry {
            account,
            amount_minor,
            available_at: slot.available_at,
        });
    }
    if total != 0 {
        let account = Account::Commission(offer.clone());
        entries.push(Entry {
            account,
            amount_minor: total,
            available_at: None,
        });
    }
    Ok(entries)
}

/// What the advertiser owes from a time on: only what is approved.
fn receivable(
    slots: &Slots,
    effective_at: Instant,
    offer: &OfferRef,
) -> Result<Vec<Entry>, Overflow> {
    let approved = slots
        .iter()
        .filter(|(slot, _)| slot.effective_at == effective_at && slot.available_at.is_some());
    let total = approved
        .map(|&(_, amount)| amount)
        .try_fold(0_i64, |sum, amount| sum.checked_add(amount).ok_or(Overflow))?;
    if total == 0 {
        return Ok(Vec::new());
    }
    let entry = |account, amount_minor| Entry {
        account,
        amount_minor,
        available_at: None,
    };
    Ok(vec![
        entry(Account::Receivable(offer.clone()), total),
        entry(
            Account::Income(offer.clone()),
            total.checked_neg().ok_or(Overflow)?,
        ),
    ])
}
