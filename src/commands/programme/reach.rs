//! What a plan would change of what is posted already, and what that takes: where closed months or payouts
//! have told of it, a second person.

use postbook_projections::whatif::Reach;
use postbook_schemas::Fact;
use serde_json::{Value, json};

use super::{
    Change, Plan, Sign,
    apply::{ApplyError, Applying},
};
use crate::{
    commands::{
        record::CommandError,
        whatif::{self, WhatifError},
    },
    projector::ProjectorError,
    service::Service,
};

/// How to do it so that a second person agrees.
pub const HINT: &str =
    "try it with `postbook whatif`, which shows each line, and let a second person adopt it";

/// What the plan would change of what is posted, to the cent. It is derived as a what-if is, and only
/// where a definition can touch a conversion: what begins after the last one touches none.
pub(super) async fn of(
    service: &Service,
    plan: &Plan,
    applying: &Applying,
) -> Result<Reach, ApplyError> {
    let facts = definitions(plan, moves_money);
    if facts.is_empty() || (applying.anyway && !applying.is_dry_run) {
        return Ok(Reach::default());
    }
    if !service.projector.wait_for_head(applying.patience).await {
        return Err(CommandError::Late.into());
    }
    let asked = facts.clone();
    let touches = service
        .projector
        .ask(move |book, _| asked.iter().any(|fact| book.can_be_touched_by(fact)));
    if !touches.await.map_err(WhatifError::from).map_err(failed)? {
        return Ok(Reach::default());
    }
    // A coupon may be of a partner who is new.
    let beside = definitions(plan, is_new_partner);
    whatif::reach(service, beside, facts).await.map_err(failed)
}

/// Refuses what may not be applied as it was asked for.
pub(super) fn refuse(reach: &Reach, applying: &Applying) -> Result<(), ApplyError> {
    if applying.reason.is_none() && applying.anyway {
        return Err(ApplyError::Unexplained);
    }
    if reach.is_of_settled() && !applying.anyway {
        return Err(ApplyError::Settled(reach.clone()));
    }
    Ok(())
}

/// What it would change, for people.
pub fn sentence(reach: &Reach) -> String {
    let lines = match reach.lines {
        1 => "1 line".to_owned(),
        count => format!("{count} lines"),
    };
    let told = format!("it changes {lines} posted already");
    if !reach.is_of_settled() {
        return told;
    }
    let (closed, carried) = (reach.closed_lines, reach.carried_lines);
    format!("{told} ({closed} of closed months, {carried} that a payout carried)")
}

/// As answers show it; null where nothing that is posted changes.
pub fn to_json(reach: &Reach) -> Value {
    if reach.is_nothing() {
        return Value::Null;
    }
    let differences = reach.differences.iter();
    let differences = differences.map(|(currency, minor)| {
        let minor = i64::try_from(*minor).map_or_else(|_| json!(minor.to_string()), Value::from);
        json!({ "currency": currency, "difference_minor": minor })
    });
    json!({
        "lines": reach.lines,
        "closed_lines": reach.closed_lines,
        "carried_lines": reach.carried_lines,
        "differences": differences.collect::<Vec<_>>(),
        "text": format!("{}: {HINT}", sentence(reach)),
    })
}

fn definitions(plan: &Plan, which: impl Fn(&Change) -> bool) -> Vec<Fact> {
    let changes = plan.changes.iter().filter(|change| which(change));
    changes.map(|change| change.fact.clone()).collect()
}

/// Whether a definition can change what conversions earn that were there before it. A partner's new
/// `parent` holds from when it is defined.
fn moves_money(change: &Change) -> bool {
    let is_known_offer =
        matches!(change.fact, Fact::OfferDefined(_)) && change.sign == Sign::Changed;
    is_known_offer
        || matches!(
            change.fact,
            Fact::TermsPublished(_) | Fact::CouponDefined(_) | Fact::FxRateRecorded(_)
        )
}

fn is_new_partner(change: &Change) -> bool {
    matches!(change.fact, Fact::PartnerDefined(_)) && change.sign == Sign::Added
}

fn failed(error: WhatifError) -> ApplyError {
    match error {
        WhatifError::Command(error) => error.into(),
        WhatifError::Projector(ProjectorError::Store(error)) => error.into(),
        other => ApplyError::Underivable(other.to_string()),
    }
}
