//! The third and fourth check: did a request come in, and what was it answered?

use postbook_schemas::Outcome;

use super::{
    super::attempt::AttemptTold,
    Check,
    CheckState::{Missing, Ok, Problem},
    Evidence,
    case::Case,
};

/// Did a request come in?
pub(super) fn request_received(case: &Case) -> Check {
    let check = |state, detail: String| Check::new("request_received", state, detail);
    // What was read again came in once.
    let requests = || {
        let all = case.attempts.iter();
        all.filter(|attempt| attempt.requeued.is_none())
    };
    let (Some(first), Some(last)) = (requests().next(), requests().next_back()) else {
        let next = "whether the id reached the backend (the order's payload), and whether the \
                    backend's own log shows the request: a wrong address or a firewall stops it";
        if case.nearby.is_empty() {
            return check(Missing, "no request named it".to_owned()).next(next);
        }
        let detail = format!(
            "no request named it, but {} since then that name no click were refused",
            case.nearby.len()
        );
        let shown = case.nearby.iter().map(received).collect();
        return check(Missing, detail)
            .showing(shown)
            .next("those requests: one of them may be the one that is missed");
    };
    let mut detail = match requests().count() {
        1 => format!("one request, at {}", first.recorded_at),
        count => format!(
            "{count} requests, from {} to {}",
            first.recorded_at, last.recorded_at
        ),
    };
    let redacted = |attempt: &&AttemptTold| {
        attempt
            .warnings
            .iter()
            .any(|warning| warning.contains("redacted"))
    };
    if requests().any(|attempt| redacted(&attempt)) {
        detail.push_str("; personal data was taken out of what is kept");
    }
    check(Ok, detail).showing(requests().map(received).collect())
}

fn received(attempt: &AttemptTold) -> Evidence {
    if attempt.address.is_none() {
        return evidence(attempt, attempt.endpoint.clone());
    }
    let request = &attempt.request;
    let from = attempt.address.as_deref().unwrap_or("an unknown address");
    evidence(
        attempt,
        format!("{} {} from {from}", request.method, request.path),
    )
}

fn evidence(attempt: &AttemptTold, shows: String) -> Evidence {
    Evidence {
        position: attempt.position,
        id: attempt.id,
        shows,
    }
}

/// What was it answered?
pub(super) fn answer_given(case: &Case) -> Check {
    let check = |state, detail: String| Check::new("answer_given", state, detail);
    let Some(last) = case.attempts.last() else {
        return check(Missing, "there was nothing to answer".to_owned()).next("the check before");
    };
    let shown = case.attempts.iter().map(answered).collect();
    let mut repeats = case.attempts.iter().rev();
    if let Some(repeat) = repeats.find(|attempt| !attempt.differences.is_empty()) {
        let fields: Vec<_> = repeat.differences.iter().map(|one| &*one.field).collect();
        let detail = format!(
            "a repeat that says something else was answered duplicate: {} differs",
            fields.join(", ")
        );
        return check(Problem, detail).showing(shown).next(
            "which of the two is right: the first one holds, and a refund or a status changes it",
        );
    }
    if let Some(good) = case
        .attempts
        .iter()
        .find(|attempt| !attempt.outcome.is_rejection())
    {
        let mut detail = told(good);
        if let Some(refused) = before(case, good) {
            detail = format!("{detail}; when it came in: {}", told(refused));
        }
        for warning in &good.warnings {
            detail.push_str("; warning: ");
            detail.push_str(warning);
        }
        return check(Ok, detail).showing(shown);
    }
    check(Problem, told(last)).showing(shown).next(next(last))
}

fn answered(attempt: &AttemptTold) -> Evidence {
    evidence(attempt, told(attempt))
}

fn told(attempt: &AttemptTold) -> String {
    let outcome = attempt.outcome.code();
    if let Some(requeued) = &attempt.requeued {
        return format!("{outcome}, read again: {}", requeued.reason);
    }
    let mut text = format!("{outcome} ({})", attempt.http_status);
    if let Some(field) = &attempt.field {
        text.push_str(", ");
        text.push_str(field);
    }
    if let Some(detail) = &attempt.detail {
        text.push_str(": ");
        text.push_str(detail);
    }
    text
}

/// The refusal that was read again.
fn before<'c>(case: &'c Case, attempt: &AttemptTold) -> Option<&'c AttemptTold> {
    let requeued = attempt.requeued.as_ref()?;
    let mut all = case.attempts.iter();
    all.find(|one| one.id == requeued.attempt_id)
}

/// Where to look after a refusal.
fn next(attempt: &AttemptTold) -> String {
    let at_fault = attempt.expected.iter().find(|row| row.at_fault);
    let beside = at_fault.map(|row| {
        let received = row.received.as_deref().unwrap_or("nothing");
        format!(
            "{}: expected {}; received {received}",
            row.label(),
            row.expected
        )
    });
    let hint = match attempt.outcome {
        Outcome::PayloadTooLarge => "what the backend sends besides the fields",
        Outcome::InsecureTransport => {
            "the address in the sender's settings: it must begin with https"
        }
        Outcome::UnknownOffer => "brand and offer in the sender's address",
        Outcome::RateLimited => "why so many requests come from one address, and Retry-After",
        Outcome::AddressNotAllowed => {
            "the offer's allow_addresses, and from where the sender comes"
        }
        Outcome::BadCredentials => "the token or secret in the sender's settings: was it rotated?",
        Outcome::BadSignature => {
            "the key the sender signs with, and that it signs the bytes it sends"
        }
        Outcome::StaleTimestamp => "the sender's clock",
        Outcome::Malformed | Outcome::MissingField | Outcome::InvalidValue => {
            "the sender's request beside what is expected"
        }
        Outcome::PayoutNotAllowed => "the terms: the most that payout may be",
        Outcome::UnknownClick => "the first check: where the id comes from",
        Outcome::ExpiredClick => "why the postback comes so late",
        Outcome::Duplicate | Outcome::Sandbox | Outcome::Parked | Outcome::Accepted => "nothing",
    };
    match beside {
        Some(beside) => format!("{hint} ({beside})"),
        None => hint.to_owned(),
    }
}
