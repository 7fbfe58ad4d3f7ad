//! `Forwarded`: whatever a sender writes before it, the last word is the proxy's or nothing is believed.
#![no_main]

use axum::http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use postbook::http::forwarded::hops;

const WORD: &str = "for=\"192.0.2.1:80\";proto=https";

fuzz_target!(|claim: &[u8]| {
    let joined = [claim, b", ", WORD.as_bytes()].concat();
    for lines in [vec![claim, WORD.as_bytes()], vec![&joined]] {
        let mut headers = HeaderMap::new();
        for line in lines {
            let Ok(value) = HeaderValue::from_bytes(line) else {
                return;
            };
            headers.append(header::FORWARDED, value);
        }
        if let Ok(hops) = hops(&headers) {
            let last = hops.last().expect("the proxy's");
            assert_eq!(last.address, Some("192.0.2.1".parse().expect("an address")));
            assert!(last.https);
        }
    }
});
