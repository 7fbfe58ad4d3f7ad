//! Keeps personal data out of what is kept of a click.

use std::collections::BTreeMap;

use crate::intake::{
    personal,
    redact::{self, REDACTED},
};

/// Parameters of `utm_*` that everybody uses; others may be called anything.
const UTM: &[&str] = &[
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "utm_id",
];

/// Parameters that advertising networks give their own ids in, to be handed back as they are.
const NETWORK_IDS: &[&str] = &["fbclid", "gclid", "ttclid"];

/// Whether a text as it came in may hold personal data: nearly all do not, and cost one look.
pub(super) fn is_suspect(text: Option<&str>) -> bool {
    text.is_some_and(|text| personal::may_hold(text.as_bytes()))
}

/// Takes personal data out of parameters; whether there was any.
pub(super) fn clean_parameters(
    parameters: &mut BTreeMap<String, String>,
    is_suspect: bool,
) -> bool {
    let mut is_found = false;
    if is_suspect {
        let before = parameters.len();
        parameters.retain(|name, _| personal::find(name).is_none());
        is_found |= parameters.len() < before;
    }
    for (name, value) in parameters {
        let holds =
            is_suspect && !NETWORK_IDS.contains(&name.as_str()) && personal::find(value).is_some();
        let is_named = || {
            let is_free = name.starts_with("utm_") && !UTM.contains(&name.as_str());
            is_free && redact::is_personal(name)
        };
        if holds || is_named() {
            REDACTED.clone_into(value);
            is_found = true;
        }
    }
    is_found
}

/// A text without personal data; of an address only what is in front of its query may be left.
pub(super) fn cleaned(text: &str) -> Option<String> {
    if !is_suspect(Some(text)) || personal::find(text).is_none() {
        return None;
    }
    let (front, _) = text.split_once('?').unwrap_or(("", ""));
    Some(if front.is_empty() || personal::find(front).is_some() {
        REDACTED.to_owned()
    } else {
        format!("{front}?{REDACTED}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(pairs: &[(&str, &str)]) -> (Vec<(String, String)>, bool) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut parameters = pairs.iter().map(own).collect();
        let is_found = clean_parameters(&mut parameters, true);
        (parameters.into_iter().collect(), is_found)
    }

    #[test]
    fn personal_data_goes_and_network_ids_stay() {
        let (kept, is_found) = clean(&[
            ("sub1", "ann@example.org"),
            ("sub2", "2026-06-15"),
            ("sub3", "+49 170 1234567"),
            ("utm_term", "4111 1111 1111 1111"),
            ("utm_ann@example.org", "x"),
            ("utm_email", "ann"),
            ("gclid", "4111111111111111"),
        ]);
        let kept: Vec<_> = kept
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            kept,
            [
                "gclid=4111111111111111",
                "sub1=[redacted]",
                "sub2=2026-06-15",
                "sub3=[redacted]",
                "utm_email=[redacted]",
                "utm_term=[redacted]",
            ]
        );
        assert!(is_found);
        assert!(!clean(&[("sub1", "header"), ("utm_source", "news")]).1);
    }

    #[test]
    fn of_an_address_the_front_stays() {
        for (text, expected) in [
            (
                "https://a.example/x?u=ann@example.org",
                Some("https://a.example/x?[redacted]"),
            ),
            (
                "https://a.example/ann%40example.org/?a=1",
                Some("[redacted]"),
            ),
            ("https://a.example/?n=1", None),
        ] {
            assert_eq!(cleaned(text).as_deref(), expected, "{text}");
        }
    }
}
