//! Times of senders: what is read, written and read again is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postbook_schemas::Instant;

fuzz_target!(|text: &str| {
    if let Some(time) = Instant::parse_timestamp(text) {
        assert!((Instant::MIN..=Instant::MAX).contains(&time));
        assert_eq!(Instant::parse_rfc3339(&time.to_string()), Some(time));
        assert_eq!(Instant::parse_timestamp(&time.to_string()), Some(time));
    }
});
