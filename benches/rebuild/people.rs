//! The programme and the visitors of the benchmark's log.

use std::fmt::Write as _;

use postbook_schemas::{
    Fact,
    configuration::TermsPublished,
    programme::{Programme, terms_version},
    traffic::Device,
};
use rand::{RngExt, rngs::StdRng};

/// How many partners share the traffic.
pub(crate) const PARTNERS: usize = 200;
/// The offers, at one brand.
pub(crate) const OFFERS: [&str; 4] = ["casino", "sports", "broker", "shop"];

/// The facts of the programme: two links for each partner, terms for each offer.
pub(crate) fn programme() -> anyhow::Result<Vec<Fact>> {
    let programme = Programme::parse(&written())?;
    let mut facts = Vec::new();
    facts.extend(programme.brands.into_iter().map(Fact::BrandDefined));
    facts.extend(programme.offers.into_iter().map(Fact::OfferDefined));
    facts.extend(programme.partners.into_iter().map(Fact::PartnerDefined));
    facts.extend(programme.links.into_iter().map(Fact::LinkDefined));
    for terms in programme.terms {
        facts.push(Fact::TermsPublished(TermsPublished {
            version: terms_version(&terms),
            terms,
        }));
    }
    Ok(facts)
}

fn written() -> String {
    let mut text = "[[brand]]\nslug = \"acme\"\n".to_owned();
    let mut add = |part: std::fmt::Arguments<'_>| {
        text.write_fmt(part).expect("a text takes more text");
    };
    for offer in OFFERS {
        add(format_args!(
            "[[offer]]\nbrand = \"acme\"\nslug = \"{offer}\"\ndestination = \"https://{offer}.example/in\"\n\
             [[terms]]\noffer = \"acme/{offer}\"\neffective_from = 2020-01-01T00:00:00Z\n\
             [[terms.rule]]\nid = \"lead\"\non = \"registration\"\ncpa = \"2.00\"\n\
             cap = {{ count = 400, per = \"month\" }}\n\
             [[terms.rule]]\nid = \"first\"\non = \"ftd\"\ncpa = \"100.00\"\nhold_days = 14\n\
             when = {{ amount_at_least = \"20.00\" }}\n\
             tiers = {{ by = \"count\", per = \"month\", mode = \"all\", steps = [{{ from = 50, cpa = \"110.00\" }}, {{ from = 150, cpa = \"125.00\" }}] }}\n\
             [[terms.rule]]\nid = \"share\"\non = \"revenue\"\nrevshare = \"35%\"\n\
             [[terms.rule]]\nid = \"sale\"\non = \"sale\"\nrevshare = \"10%\"\nhold_days = 30\n"
        ));
    }
    for partner in 0..PARTNERS {
        add(format_args!("[[partner]]\nslug = \"p{partner}\"\n"));
        for link in 0..2 {
            let offer = OFFERS[(partner + link) % OFFERS.len()];
            add(format_args!(
                "[[link]]\nslug = \"l{partner}-{link}\"\noffer = \"acme/{offer}\"\npartner = \"p{partner}\"\n\
                 campaign = \"spring-{link}\"\n"
            ));
        }
    }
    text
}

/// A browser: one of some sixty that make up most traffic.
pub(crate) fn user_agent(random: &mut StdRng) -> (String, Device) {
    let version = 120 + random.random_range(0..12_u32);
    match random.random_range(0..5_u32) {
        0 => (
            format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
                 Gecko) Version/18.{} Mobile/15E148 Safari/604.1",
                version % 12,
                version % 12
            ),
            Device::Mobile,
        ),
        1 | 2 => (
            format!(
                "Mozilla/5.0 (Linux; Android 15; Pixel {}) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/{version}.0.0.0 Mobile Safari/537.36",
                version % 4 + 6
            ),
            Device::Mobile,
        ),
        3 => (
            format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/{version}.0.0.0 Safari/537.36"
            ),
            Device::Desktop,
        ),
        _ => (
            format!(
                "Mozilla/5.0 (X11; Linux x86_64; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
            ),
            Device::Desktop,
        ),
    }
}

/// A country, the frequent ones more often.
pub(crate) fn country(random: &mut StdRng) -> &'static str {
    const COUNTRIES: [&str; 16] = [
        "DE", "DE", "DE", "US", "US", "GB", "FR", "PL", "BR", "IN", "CA", "ES", "IT", "AT", "SE",
        "NL",
    ];
    COUNTRIES[random.random_range(0..COUNTRIES.len())]
}

/// An id that an ad platform gave a click: letters and digits without a pattern.
pub(crate) fn platform_id(random: &mut StdRng) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..60)
        .map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())]))
        .collect()
}
