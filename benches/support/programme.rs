//! The programme that benchmarks send their traffic to.

/// A brand with an offer, a partner and a link to it, and terms that price what is reported.
pub(crate) const PROGRAMME: &str = r#"
[[brand]]
slug = "acme"

[[offer]]
brand = "acme"
slug = "casino"
destination = "https://acme.example/landing"

[[partner]]
slug = "p1"

[[link]]
slug = "abc"
offer = "acme/casino"
partner = "p1"
campaign = "spring-sale"

[[terms]]
offer = "acme/casino"
effective_from = 2020-01-01T00:00:00Z

[[terms.rule]]
id = "sale-share"
on = "sale"
revshare = "40%"
"#;
