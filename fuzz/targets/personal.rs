//! Personal data by its form: what is found in a value, the first look at its bytes does not let pass.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postbook::intake::personal::{find, may_hold};

fuzz_target!(|text: &str| {
    if find(text).is_none() {
        return;
    }
    assert!(may_hold(text.as_bytes()), "as it stands");
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    assert!(may_hold(encoded.as_bytes()), "{encoded}");
    let every: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert!(may_hold(every.as_bytes()), "{every}");
    let json = serde_json::to_string(text).expect("a text");
    assert!(may_hold(json.as_bytes()), "{json}");
});
