//! Where a line stands: approved or not, and from when it is payable.

use postbook_schemas::{Instant, Status, ZeroReason, terms::Approval};

use crate::{
    payouts::Carried, posted::Standing, pricing::Given, rules::CompiledRule, standing::StatusSince,
};

/// What a line gives and where it stands, also while a rate is awaited: what of it is to be paid and no
/// payout carries yet waits then until it is known. A debt is one either way.
pub(super) fn unless_awaited(
    awaits_rate: bool,
    given: Given,
    standing: Standing,
    carried: &Carried,
) -> (Given, Standing) {
    if !awaits_rate {
        return (given, standing);
    }
    let reason = given.reason.filter(|_| given.net_minor == 0);
    let given = Given {
        reason: reason.or(Some(ZeroReason::AwaitingFx)),
        ..given
    };
    let waits = given.net_minor > carried.now_minor.max(0);
    let waiting = Standing::Pending { approves: None };
    (given, if waits { waiting } else { standing })
}

/// Where a line stands: by the status that facts give, else by the rule's approval.
pub(super) fn standing(
    rule: &CompiledRule,
    status: Option<StatusSince>,
    occurred_at: Instant,
) -> Standing {
    let available = |at: Instant| at.plus_days(rule.hold_days);
    match (status, rule.approval) {
        (
            Some(StatusSince {
                status: Status::Approved,
                since,
                is_first,
            }),
            approval,
        ) => {
            // Where the rule had approved it by itself, saying so does not begin the hold anew.
            let by_itself = match approval {
                Approval::Auto => Some(occurred_at),
                Approval::AfterDays(days) => Some(occurred_at.plus_days(days)),
                Approval::Manual | Approval::Status => None,
            };
            let by_itself = by_itself.filter(|_| is_first);
            let since = by_itself.map_or(since, |at| at.min(since));
            Standing::Approved {
                available_at: available(since.max(occurred_at)),
            }
        }
        // Of what is taken back nothing is left but what it costs: that is due.
        (
            Some(StatusSince {
                status: Status::Rejected | Status::Reversed,
                since,
                ..
            }),
            _,
        ) => Standing::Approved {
            available_at: since.max(occurred_at),
        },
        (Some(_), _) | (None, Approval::Manual | Approval::Status) => {
            Standing::Pending { approves: None }
        }
        (None, Approval::Auto) => Standing::Approved {
            available_at: available(occurred_at),
        },
        (None, Approval::AfterDays(days)) => {
            let at = occurred_at.plus_days(days);
            Standing::Pending {
                approves: Some((at, available(at))),
            }
        }
    }
}
