//! What a line has on its partner's accounts: how much, from when on, and from when it is payable.

use postbook_schemas::Instant;
use smallvec::SmallVec;

use crate::posted::{Overflow, PostedLine, Standing};

/// An amount on an account from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) effective_at: Instant,
    pub(crate) available_at: Option<Instant>,
}

/// What one line has: before and after, pending and approved.
pub(crate) type Slots = SmallVec<[(Slot, i64); 4]>;

/// Adds a line's amounts, times `sign`, as they stand from `now` on. What is approved later moves
/// from pending to approved then; if that time is past, it has moved already. What a payout carries
/// stays payable, wherever the rest stands.
pub(crate) fn add_slots(
    slots: &mut Slots,
    line: &PostedLine,
    now: Instant,
    conversion_at: Instant,
    sign: i64,
) -> Result<(), Overflow> {
    let part = |minor: i64| minor.checked_mul(sign).ok_or(Overflow);
    let lasting_minor = line.lasting_minor();
    let lasting = part(lasting_minor)?;
    let rest = line.amount_minor.checked_sub(lasting_minor);
    let amount = part(rest.ok_or(Overflow)?)?;
    let mut add = |effective_at: Instant, available_at, amount: i64| {
        let slot = Slot {
            effective_at,
            available_at,
        };
        if amount == 0 {
            return Ok(());
        }
        match slots.iter_mut().find(|(known, _)| *known == slot) {
            Some((_, sum)) => *sum = sum.checked_add(amount).ok_or(Overflow)?,
            None => slots.push((slot, amount)),
        }
        Ok(())
    };
    let paid_at = match line.standing {
        Standing::Approved { available_at } => available_at.min(now),
        Standing::Pending { .. } => conversion_at,
    };
    add(now, Some(paid_at), lasting)?;
    match line.standing {
        Standing::Approved { available_at } => add(now, Some(available_at), amount),
        Standing::Pending { approves: None } => add(now, None, amount),
        Standing::Pending {
            approves: Some((at, available_at)),
        } => {
            let at = at.max(now).max(conversion_at);
            add(now, None, amount)?;
            add(at, None, amount.checked_neg().ok_or(Overflow)?)?;
            add(at, Some(available_at), amount)
        }
    }
}
