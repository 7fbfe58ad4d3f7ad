//! Slugs and offers by name: what is taken stays as it is written, in JSON too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postbook_schemas::{OfferRef, Slug};

fuzz_target!(|text: &str| {
    if let Ok(slug) = Slug::try_new(text) {
        assert_eq!(slug.as_str(), text);
        let json = serde_json::to_string(&slug).expect("a text");
        assert_eq!(serde_json::from_str::<Slug>(&json).expect("a slug"), slug);
    }
    if let Ok(offer) = OfferRef::try_new(text) {
        let (brand, own) = (Slug::try_new(offer.brand()), Slug::try_new(offer.slug()));
        let again = OfferRef::new(&brand.expect("a slug"), &own.expect("a slug"));
        assert_eq!(again.as_str(), text);
    }
});
