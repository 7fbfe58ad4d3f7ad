//! Query, form and JSON: what is read is what another reader reads, and its form is checked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postbook::intake::{
    fields::{self, Fields, Name},
    form,
    request::{Method, Request},
};
use postbook_fuzz::{names, now, offer, request};
use postbook_schemas::money::AMOUNT_MINOR_MAX;

fuzz_target!(|data: &[u8]| {
    let Some(request) = request(data) else {
        return;
    };
    let (fields, fault) = fields::read(&request, None, &names());
    if fault.is_none() && !fields.sensitive && !request.is_too_large() {
        is_what_others_read(&request, &fields);
    }
    if let Ok(form) = form::check(&fields, None, offer(), now()) {
        let amount = form.amount_minor.unwrap_or_default();
        assert!(amount.unsigned_abs() <= AMOUNT_MINOR_MAX.unsigned_abs());
        assert!(form.timestamp.is_none_or(|at| at <= now().plus_days(1)));
    }
});

fn is_what_others_read(request: &Request, fields: &Fields<'_>) {
    let mut read: Vec<(String, String)> = Vec::new();
    let query = request.query.as_deref().unwrap_or_default();
    read.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
    if request.method == Method::Post && !request.body.is_empty() {
        match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&request.body) {
            Ok(members) => {
                let texts = members.into_iter();
                read.extend(
                    texts.filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))),
                );
            }
            Err(_) => {
                let body = request.body.trim_ascii_end();
                read.extend(form_urlencoded::parse(body).into_owned());
            }
        }
    }
    for (name, value) in read {
        if let Some(known) = Name::parse(&name)
            && !value.is_empty()
        {
            assert_eq!(
                fields.get(known).map(str::trim_end),
                Some(value.trim_end()),
                "{name}"
            );
        }
    }
}
