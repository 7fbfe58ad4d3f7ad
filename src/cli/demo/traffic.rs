//! The month of traffic that the demo plays: planned from a seed, before anything is sent.

use std::fmt::Write as _;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::story;

/// How long the demo's month is.
pub(super) const DAYS: u32 = 30;
/// A slot is what is sent at once; what depends on something comes in a later slot.
pub(super) const SLOTS_PER_DAY: u32 = 8;
/// The length of a slot.
pub(super) const SLOT_SECONDS: i64 = 24 * 3_600 / SLOTS_PER_DAY as i64;

/// One request, and when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The slot, from 0.
    pub(super) slot: u32,
    /// What is sent.
    pub(super) call: Call,
    /// The outcome that it must have: the demo checks itself.
    pub(super) expected: &'static str,
    /// The name by which later steps and the report find the conversion.
    pub(super) name: Option<String>,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// `GET /{link}`: a visitor follows a link.
    Click(Click),
    /// A postback of an advertiser.
    Postback(Postback),
    /// `POST /v1/decisions`: a manager decides about a conversion.
    Decision {
        /// The conversion's name.
        conversion: String,
        /// `approve` or `reject`.
        decision: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// `POST /v1/payouts` and its settlement: all that is payable to a partner.
    Payout {
        /// The partner.
        partner: &'static str,
    },
}

/// A visitor who follows a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Click {
    /// The number by which conversions name it.
    pub(super) number: usize,
    /// The link's slug.
    pub(super) link: &'static str,
    /// Parameters of the link.
    pub(super) query: String,
    /// What a proxy in front says about the country.
    pub(super) country: &'static str,
    /// What a proxy in front says about the address.
    pub(super) address: String,
    /// The browser.
    pub(super) user_agent: &'static str,
}

/// Which credential a postback carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// The offer's secret.
    Secret,
    /// A token for the offer, at `POST /postback`.
    Token,
    /// Somebody's guess.
    Forged,
}

/// A postback of an advertiser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Postback {
    /// The offer.
    pub(super) offer: &'static str,
    /// The credential, which also says the endpoint.
    pub(super) credential: Credential,
    /// The click whose id comes back.
    pub(super) click: Option<usize>,
    /// The parameters.
    pub(super) fields: Vec<(&'static str, String)>,
    /// How long before it is sent it happened; it carries a timestamp then.
    pub(super) seconds_ago: Option<i64>,
}

/// The whole month, in order of slots.
pub(super) fn plan(seed: u64) -> Vec<Step> {
    let mut planner = Planner {
        random: StdRng::seed_from_u64(seed),
        steps: Vec::new(),
        clicks: 0,
        customers: 0,
    };
    planner.ordinary_days();
    story::tell(&mut planner);
    planner.steps.sort_by_key(|step| step.slot);
    planner.steps
}

/// Draws the month.
pub(super) struct Planner {
    random: StdRng,
    steps: Vec<Step>,
    clicks: usize,
    customers: usize,
}

pub(super) const LAST_SLOT: u32 = DAYS * SLOTS_PER_DAY - 1;

const COUNTRIES: &[&str] = &["DE", "DE", "AT", "CH", "GB", "GB", "US", "FR", "TR", "BR"];

const USER_AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
];

impl Planner {
    /// Draws a number below `end`.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        self.random.random_range(0..end)
    }

    /// Whether something happens that happens in `percent` of the cases.
    pub(super) fn happens(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// Draws one of several things.
    pub(super) fn one_of(&mut self, things: &[&'static str]) -> &'static str {
        things[self.random.random_range(0..things.len())]
    }

    /// A money amount between two bounds, in minor units.
    pub(super) fn minor(&mut self, from: i64, to: i64) -> i64 {
        self.random.random_range(from..to)
    }

    /// A new customer's id.
    pub(super) fn customer(&mut self) -> String {
        self.customers += 1;
        format!("c-{:04}", self.customers)
    }

    /// Adds a step that ends as expected.
    pub(super) fn step(&mut self, slot: u32, call: Call, expected: &'static str) {
        self.named(slot, call, expected, None);
    }

    /// Adds a step whose conversion is spoken of later.
    pub(super) fn named(
        &mut self,
        slot: u32,
        call: Call,
        expected: &'static str,
        name: Option<&str>,
    ) {
        if slot <= LAST_SLOT {
            self.steps.push(Step {
                slot,
                call,
                expected,
                name: name.map(str::to_owned),
            });
        }
    }

    /// Adds a click, and answers its number.
    pub(super) fn click(&mut self, slot: u32, link: &'static str) -> usize {
        let country = self.one_of(COUNTRIES);
        self.click_from(slot, link, country)
    }

    /// Adds a click from a country.
    pub(super) fn click_from(
        &mut self,
        slot: u32,
        link: &'static str,
        country: &'static str,
    ) -> usize {
        let number = self.clicks;
        self.clicks += 1;
        let source = self.one_of(&["newsletter", "review", "youtube", "telegram"]);
        let mut query = format!("utm_source={source}&sub1=site-{}", self.below(9));
        if self.happens(30) {
            _ = write!(query, "&gclid=Cj0KCQ{:08x}", self.random.random::<u32>());
        }
        let click = Click {
            number,
            link,
            query,
            country,
            address: format!("198.51.100.{}", self.below(255)),
            user_agent: self.one_of(USER_AGENTS),
        };
        self.step(slot, Call::Click(click), "accepted");
        number
    }

    /// A postback that happened up to an hour and a half before it is sent, so that it comes after
    /// whatever came in an earlier slot.
    pub(super) fn postback(
        &mut self,
        offer: &'static str,
        click: Option<usize>,
        fields: &[(&'static str, &str)],
    ) -> Postback {
        let fields = fields.iter().map(|&(key, value)| (key, value.to_owned()));
        Postback {
            offer,
            credential: Credential::Secret,
            click,
            fields: fields.collect(),
            seconds_ago: Some(i64::from(self.below(5_400))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_plans_the_same_month() {
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn a_month_holds_a_few_thousand_requests_in_order() {
        let steps = plan(7);
        assert!((3_000..6_000).contains(&steps.len()), "{}", steps.len());
        assert!(steps.is_sorted_by_key(|step| step.slot));
        assert!(steps.iter().all(|step| step.slot <= LAST_SLOT));
    }

    #[test]
    fn a_click_is_followed_before_it_converts() {
        let steps = plan(7);
        for step in &steps {
            let Call::Postback(Postback {
                click: Some(number),
                ..
            }) = &step.call
            else {
                continue;
            };
            let click = steps
                .iter()
                .find(|other| matches!(&other.call, Call::Click(click) if click.number == *number));
            assert!(
                click.is_some_and(|click| click.slot < step.slot),
                "{step:?}"
            );
        }
    }
}
