//! The first two checks: was the click seen, and was its id handed on?

use postbook_schemas::configuration::Offer;

use super::{
    super::find::Found,
    Check,
    CheckState::{Missing, Ok, Problem},
    Evidence,
    case::Case,
};
use crate::intake::{click::with_click_id, redact::REDACTED};

/// Characters of an id that is given out here.
const ID_LENGTH: usize = 10;

/// Was the click seen, when, and under what?
pub(super) fn click_seen(case: &Case) -> Check {
    let check = |state, detail: String| Check::new("click_seen", state, detail);
    let Some(found) = &case.click else {
        let Some(click_id) = &case.click_id else {
            let detail = "no attempt names a click".to_owned();
            return check(Missing, detail).next(
                "whether the backend sends click_id at all: often it does not reach the order",
            );
        };
        let (state, detail, next) = never_given_out(click_id);
        return check(state, detail).next(next);
    };
    let shown = vec![evidence(found, described(found))];
    let expiry = case.offer.as_ref().map(|offer| {
        let expiry = found.envelope.occurred_at.plus_days(offer.retention_days);
        (expiry, offer.retention_days)
    });
    match expiry {
        // What was taken all the same, as history out of a file, was no problem.
        Some((expiry, days)) if expiry < case.now && !case.is_taken() => {
            let detail =
                format!("the click is older than the {days} days that clicks are kept for");
            check(Problem, detail).showing(shown).next(
                "why the postback comes so late; a customer_id or coupon_code still attributes it",
            )
        }
        _ => check(Ok, described(found)).showing(shown),
    }
}

fn described(found: &Found) -> String {
    let click = &found.click;
    let link = match &click.link {
        Some(link) => format!("link {link}"),
        None => "no link".to_owned(),
    };
    let campaign = match &click.campaign {
        Some(campaign) => format!("campaign {campaign}"),
        None => "no campaign".to_owned(),
    };
    format!(
        "seen {} on {link}: offer {}, partner {}, {campaign}",
        found.envelope.occurred_at, click.offer, click.partner
    )
}

fn evidence(found: &Found, shows: String) -> Evidence {
    Evidence {
        position: found.position,
        id: found.envelope.id,
        shows,
    }
}

/// What can be said about an id that names no click.
fn never_given_out(click_id: &str) -> (super::CheckState, String, &'static str) {
    let is_macro = ["{", "}", "%7B", "%7b", "[[", "$$", "<"]
        .iter()
        .any(|mark| click_id.contains(mark));
    let is_hidden = click_id.contains(REDACTED) || click_id.bytes().all(|byte| byte == b'*');
    if is_hidden {
        let detail = "the id was taken out: it looked like a secret or personal data";
        let next =
            "what the backend puts into click_id: not the customer, but the id from the link";
        return (Problem, detail.to_owned(), next);
    }
    if is_macro {
        let detail = format!("`{click_id}` is a macro that was not replaced");
        let next = "the address template in the sender's system: it does not know this macro";
        return (Problem, detail, next);
    }
    let next = "the landing page, with DevTools → Application → Local Storage: is the id stored \
                there the one from the address?";
    let length = click_id.chars().count();
    let is_ours = length == ID_LENGTH
        && click_id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() && !b"Il0O".contains(&b));
    let detail = if is_ours {
        "the id has the form of ours, but it was never given out: it was changed on the way, or is \
         from another installation"
            .to_owned()
    } else if length < ID_LENGTH && click_id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        format!(
            "the id was never given out: ours have {ID_LENGTH} characters, it may have been cut"
        )
    } else {
        "the id was never given out".to_owned()
    };
    (Missing, detail, next)
}

/// Was the id handed on to the destination, and in which parameter?
pub(super) fn id_handed_on(case: &Case) -> Check {
    let check = |state, detail: String| Check::new("id_handed_on", state, detail);
    let Some(found) = &case.click else {
        return check(
            Missing,
            "there is no click that could have been handed on".to_owned(),
        )
        .next("the check before");
    };
    let Some(destination) = &found.click.destination else {
        let detail = "the click was made elsewhere, under its own id, and reported here";
        return check(Ok, detail.to_owned()).showing(vec![evidence(found, detail.to_owned())]);
    };
    let param = case
        .offer
        .as_ref()
        .map_or("cid", |offer: &std::sync::Arc<Offer>| &*offer.click_param);
    let address = with_click_id(destination, param, &found.click.click_id);
    let shown = vec![evidence(found, format!("302 to {address}"))];
    let query = destination.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let stands_already = !destination.contains("{click_id}")
        && query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(param));
    if let Some(left) = left_macro(&address) {
        let detail = format!("the destination keeps {left}, which is no macro here");
        return check(Problem, detail)
            .showing(shown)
            .next("the destination of the link or offer: {click_id} is the macro for the id");
    }
    if stands_already {
        let detail = format!("the destination has its own {param}, so that the id comes second");
        return check(Problem, detail)
            .showing(shown)
            .next("the destination of the link or offer: take the parameter out of it");
    }
    let how = if destination.contains("{click_id}") {
        "in the place of its macro".to_owned()
    } else {
        format!("as {param}={}", found.click.click_id)
    };
    check(Ok, format!("handed on {how}: {address}")).showing(shown)
}

fn left_macro(address: &str) -> Option<&str> {
    let start = address.find('{')?;
    let end = address[start..].find('}')? + start;
    address.get(start..=end)
}
