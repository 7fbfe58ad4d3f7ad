//! Amounts, rates and exact numbers: what is read, written and read again is the same.
//! The input is a line with a currency, and a text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postbook_fuzz::lines;
use postbook_schemas::{Currency, Exact, Rate, money::AMOUNT_MINOR_MAX};

fuzz_target!(|data: &[u8]| {
    let Some([code, text]) = lines::<2>(data) else {
        return;
    };
    if let Ok(minor) = Currency::parse_minor(text) {
        assert!(minor.unsigned_abs() <= AMOUNT_MINOR_MAX.unsigned_abs());
        assert_eq!(Currency::parse_minor(&minor.to_string()), Ok(minor));
    }
    if let Some(exact) = Exact::parse(text) {
        assert_eq!(Exact::parse(&exact.to_string()), Some(exact));
    }
    if let Ok(rate) = text.parse::<Rate>() {
        assert_eq!(rate.to_string().parse(), Ok(rate));
    }
    let Some(currency) = Currency::from_code(code) else {
        return;
    };
    assert_eq!(Currency::from_code(currency.code()), Some(currency));
    if let Ok(minor) = currency.parse_major(text) {
        let written = currency.format_major(minor);
        assert_eq!(currency.parse_major(&written), Ok(minor), "{written}");
        // Both ways to read major units agree, where both can.
        if let Some(exact) = Exact::parse(text) {
            assert_eq!(exact.to_minor(currency), Ok(minor));
        }
    }
});
