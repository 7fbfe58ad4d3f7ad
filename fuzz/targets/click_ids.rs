//! Click ids: an id that decodes is the one that its number encodes to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postbook_schemas::ClickIdKey;

fuzz_target!(|text: &str| {
    let key = ClickIdKey::new(&[7; 32]);
    if let Some(number) = key.decode(text) {
        assert_eq!(key.encode(number).as_str(), text);
    }
});
