//! Bank accounts, recovery limits, months, and names as banks take them: what is read and written is
//! read again as the same, and what is written for banks has only what all of them take.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postbook::commands::payout::name_for_banks;
use postbook_schemas::{
    Currency, Month,
    bank::{Bic, Iban, RecoveryLimit},
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(iban) = Iban::try_from(text.to_owned()) {
        assert!((15..=34).contains(&iban.as_str().len()));
        assert_eq!(Iban::try_from(iban.as_str().to_owned()).as_ref(), Ok(&iban));
        // Any one digit that is another makes it wrong: that is what check digits are for.
        let mut bytes = iban.as_str().as_bytes().to_vec();
        let last = bytes.len() - 1;
        if bytes[last].is_ascii_digit() {
            bytes[last] = b'0' + (bytes[last] - b'0' + 1) % 10;
            let wrong = String::from_utf8(bytes).expect("digits are text");
            assert!(Iban::try_from(wrong).is_err(), "{iban:?}");
        }
        assert!(iban.masked().len() < iban.as_str().len());
    }
    if let Ok(bic) = Bic::try_from(text.to_owned()) {
        assert!(matches!(bic.as_str().len(), 8 | 11));
        assert_eq!(Bic::try_from(bic.as_str().to_owned()).as_ref(), Ok(&bic));
    }
    if let Ok(limit) = RecoveryLimit::try_from(text.to_owned()) {
        assert_eq!(RecoveryLimit::try_from(String::from(limit)), Ok(limit));
        for sent in [1, 999, 1_000_000_000_000_000] {
            assert!(limit.most_minor(sent, Currency::USD) >= 0, "{text}");
        }
    }
    if let Ok(month) = text.parse::<Month>() {
        assert_eq!(month.to_string(), text);
        assert!(month.start() < month.end() || month == Month::MAX);
        assert_eq!(Month::of(month.start()), month);
    }
    let name = name_for_banks(text);
    assert_eq!(name_for_banks(&name), name);
    let is_taken = |c: char| c.is_ascii_alphanumeric() || "/-?:().,'+ ".contains(c);
    assert!(name.len() <= 70 && name.chars().all(is_taken), "{name}");
});
