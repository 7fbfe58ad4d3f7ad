//! Mappings: any mapping that can be read can be applied to any request; its times can be read again.
//! The input is a line with the head of the request, one with its query, one with a time, and the mapping.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use postbook::intake::{
    fields, form,
    mapping::{Rules, TimeFormat},
};
use postbook_fuzz::{lines, names, now, offer, request};
use postbook_schemas::programme::Programme;

fuzz_target!(|data: &[u8]| {
    let Some([head, query, time, mapping]) = lines::<4>(data) else {
        return;
    };
    let Ok(programme) = Programme::parse(mapping) else {
        return;
    };
    for mapping in &programme.mappings {
        if let Some(text) = &mapping.timestamp_format
            && TimeFormat::check(text).is_err()
        {
            return;
        }
        let rules = Arc::new(Rules::draft(mapping));
        if let Some(format) = TimeFormat::of(mapping)
            && let Some(read) = format.parse(time)
        {
            assert_eq!(format.parse(&format!(" {} ", time.trim())), Some(read));
        }
        for input in [
            format!("{head}\n{query}\n"),
            format!("POST application/json\n\n{query}"),
        ] {
            let request = request(input.as_bytes()).expect("three lines");
            let (fields, _) = fields::read(&request, Some(&rules), &names());
            let form = form::check(&fields, None, offer(), now());
            assert!(form.is_err() || fields.rules().is_some());
        }
    }
});
