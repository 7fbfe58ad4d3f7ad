//! The fifth check: where did it land?

use postbook_projections::rows::{ConversionRow, LineState};
use postbook_schemas::{Outcome, Status};

use super::{
    Check,
    CheckState::{Missing, Ok, Problem},
    Evidence,
    case::Case,
};

/// Where did it land: which conversion, under which campaign, and what does it earn?
pub(super) fn landed(case: &Case) -> Check {
    let check = |state, detail: String| Check::new("landed", state, detail);
    if case.conversions.is_empty() {
        let is_parked = |outcome| outcome == Outcome::Parked;
        if case
            .attempts
            .iter()
            .any(|attempt| is_parked(attempt.outcome))
        {
            return check(Missing, "parked: it waits for its conversion".to_owned())
                .next("whether the conversion that it changes was ever reported");
        }
        return check(Missing, "there is no conversion".to_owned()).next("the checks before");
    }
    let shown = case.conversions.iter().map(|one| Evidence {
        position: one.position,
        id: one.id,
        shows: described(case, one),
    });
    let shown = shown.collect();
    let first_problem = case.conversions.iter().find_map(|one| problem(case, one));
    if let Some((detail, next)) = first_problem {
        return check(Problem, detail).showing(shown).next(next);
    }
    let detail = match case.conversions.as_slice() {
        [only] => described(case, only),
        many => format!("{} conversions, all where the click says", many.len()),
    };
    check(Ok, detail).showing(shown)
}

/// Status now: one that only waits for time counts as approved once it has come.
fn status(case: &Case, one: &ConversionRow) -> Status {
    let due = one.approves_at.is_some_and(|at| at <= case.now);
    match one.status {
        Status::Pending if due => Status::Approved,
        status => status,
    }
}

fn described(case: &Case, one: &ConversionRow) -> String {
    let amount = one.amount_minor.map(|minor| {
        let currency = one.currency;
        format!(" of {} {currency}", currency.format_major(minor))
    });
    let credited = match &one.attribution.partner {
        Some(partner) => format!("credited to {partner} by {}", one.attribution.reason),
        None => format!("credited to nobody ({})", one.attribution.reason),
    };
    format!(
        "{}{} under {}, {}; {credited}; {}; {}",
        one.kind.code(),
        amount.unwrap_or_default(),
        one.offer,
        place(case, one),
        status(case, one).code(),
        earnings(one)
    )
}

/// The link and campaign that a report files it under: those of the click at its time.
fn place(case: &Case, one: &ConversionRow) -> String {
    let credited = one.attribution.click_id.as_deref();
    let click = case.click.as_ref();
    let click = click.filter(|found| credited == Some(&found.click.click_id));
    match (click, credited) {
        (Some(found), _) => format!(
            "link {}, campaign {}",
            found.click.link.as_ref().map_or("none", AsRef::as_ref),
            found.click.campaign.as_deref().unwrap_or("none")
        ),
        (None, Some(other)) => format!("by the click {other}"),
        (None, None) => "without a click".to_owned(),
    }
}

fn earnings(one: &ConversionRow) -> String {
    let lines = one.earnings.iter().map(|line| {
        let rule = line.rule.as_deref().unwrap_or("no rule");
        match (line.state, line.reason, line.currency) {
            (LineState::Zero, Some(reason), _) => {
                format!("{rule} earns nothing: {}", reason.code())
            }
            (_, _, Some(currency)) => {
                let amount = currency.format_major(line.amount_minor);
                format!("{rule} earns {amount} {currency}")
            }
            _ => format!("{rule} earns nothing"),
        }
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        return "earns nothing".to_owned();
    }
    lines.join(", ")
}

/// What may keep people from seeing a conversion, and where to look then.
fn problem(case: &Case, one: &ConversionRow) -> Option<(String, String)> {
    let what = described(case, one);
    if one.sandbox {
        let next = "the offer's sandbox switch: test traffic is in no balance and no report";
        return Some((
            format!("it landed as test traffic: {what}"),
            next.to_owned(),
        ));
    }
    if let Some(found) = &case.click {
        if one.offer != found.click.offer {
            let detail = format!("it landed under another offer than the click's: {what}");
            let next = format!(
                "the offer in the sender's address, or filter by {} instead of {}",
                one.offer, found.click.offer
            );
            return Some((detail, next));
        }
        let partner = one.attribution.partner.as_ref();
        if partner.is_some_and(|partner| *partner != found.click.partner) {
            let detail = format!("it landed under another partner than the click's: {what}");
            let next = "explain: which candidate came before the click".to_owned();
            return Some((detail, next));
        }
        let now = case.link.as_ref().and_then(|link| link.campaign.as_ref());
        // A click that was made elsewhere may have named a campaign of its own.
        let is_ours = found.click.destination.is_some();
        if is_ours && case.link.is_some() && now != found.click.campaign.as_ref() {
            let detail = format!(
                "it landed under another campaign than the link has now ({}): {what}",
                now.map_or("none", String::as_str)
            );
            let next = format!(
                "the campaign filter: reports file it under {}",
                found.click.campaign.as_deref().unwrap_or("none")
            );
            return Some((detail, next));
        }
    }
    if one.attribution.partner.is_none() {
        let next = "explain: which candidates there were, and why each lost";
        return Some((format!("it landed, unattributed: {what}"), next.to_owned()));
    }
    if matches!(status(case, one), Status::Rejected | Status::Reversed) {
        let next = "the timeline: who rejected or reversed it";
        return Some((
            format!("it landed and was taken back: {what}"),
            next.to_owned(),
        ));
    }
    let earns = one
        .earnings
        .iter()
        .any(|line| line.state != LineState::Zero);
    // What is worth nothing need not earn anything.
    if !earns && one.amount_minor.is_some_and(|amount| amount != 0) {
        let next = "explain: the reason of the zero";
        return Some((
            format!("it landed and earns nothing: {what}"),
            next.to_owned(),
        ));
    }
    None
}
