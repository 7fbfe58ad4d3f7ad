//! Clicks made elsewhere: one object, or a line of many.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postbook::intake::{bulk::Line, click::foreign::ForeignClick};

fuzz_target!(|data: &[u8]| {
    let line = Line::new(1, data.to_vec());
    assert_eq!(line.text.is_ok(), std::str::from_utf8(data).is_ok());
    if let Ok(click) = serde_json::from_slice::<ForeignClick>(data) {
        let text = line.text.expect("JSON is UTF-8");
        let again: ForeignClick = serde_json::from_str(&text).expect("it was read before");
        assert_eq!(format!("{again:?}"), format!("{click:?}"));
    }
});
