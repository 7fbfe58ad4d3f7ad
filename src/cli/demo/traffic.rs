//! The month of traffic that the demo plays: planned from a seed, before anything is sent.

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
    planner.casino();
    planner.shop();
    planner.broker();
    planner.academy();
    planner.idle_clicks();
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

const LAST_SLOT: u32 = DAYS * SLOTS_PER_DAY - 1;

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
    fn below(&mut self, end: u32) -> u32 {
        self.random.random_range(0..end)
    }

    /// Whether something happens that happens in `percent` of the cases.
    fn happens(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// A money amount between two bounds, in minor units.
    fn minor(&mut self, from: i64, to: i64) -> i64 {
        self.random.random_range(from..to)
    }

    /// A new customer's id.
    fn customer(&mut self) -> String {
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
        let country = COUNTRIES[self.random.random_range(0..COUNTRIES.len())];
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
        let source = ["newsletter", "review", "youtube", "telegram"][self.below(4) as usize];
        let mut query = format!("utm_source={source}&sub1=site-{}", self.below(9));
        if self.happens(30) {
            query.push_str(&format!("&gclid=Cj0KCQ{:08x}", self.random.random::<u32>()));
        }
        let click = Click {
            number,
            link,
            query,
            country,
            address: format!("198.51.100.{}", self.below(255)),
            user_agent: USER_AGENTS[self.random.random_range(0..USER_AGENTS.len())],
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

    /// Adds a postback, sent again a day later in one of twelve cases, as senders do.
    fn report(&mut self, slot: u32, postback: Postback) {
        if self.happens(8) && slot + SLOTS_PER_DAY <= LAST_SLOT {
            let again = slot + SLOTS_PER_DAY;
            self.step(again, Call::Postback(postback.clone()), "duplicate");
        }
        self.step(slot, Call::Postback(postback), "accepted");
    }

    /// A casino: registrations, first deposits, and each day's net revenue of each depositor.
    fn casino(&mut self) {
        const OFFER: &str = "acme/casino";
        for day in 0..DAYS - 1 {
            for _ in 0..3 {
                let link = ["ada-casino", "ada-casino", "bruno-casino", "chen-casino"]
                    [self.below(4) as usize];
                let start = day * SLOTS_PER_DAY + self.below(4);
                let (click, customer) = (self.click(start, link), self.customer());
                let fields = [("event", "registration"), ("customer_id", &*customer)];
                let registration = self.postback(OFFER, Some(click), &fields);
                self.report(start + 1, registration);
                if !self.happens(55) {
                    continue;
                }
                let first = start + 2 + self.below(12);
                let amount = format!(
                    "{}.00",
                    [10, 20, 25, 50, 50, 100, 200][self.below(7) as usize]
                );
                let txn = format!("dep-{customer}");
                let deposit = self.postback(
                    OFFER,
                    Some(click),
                    &[
                        ("event", "ftd"),
                        ("customer_id", &customer),
                        ("txn_id", &txn),
                        ("amount", &amount),
                    ],
                );
                self.report(first, deposit);
                self.net_revenue(OFFER, &customer, first + SLOTS_PER_DAY);
            }
        }
    }

    /// What a customer brings, reported each morning while the customer plays.
    fn net_revenue(&mut self, offer: &'static str, customer: &str, from: u32) {
        let days = 1 + self.below(12);
        for day in 0..days {
            // The house wins in the end, but not every day.
            let minor = self.minor(-4_000, 9_000);
            let amount = format!(
                "{}{}.{:02}",
                if minor < 0 { "-" } else { "" },
                minor.abs() / 100,
                minor.abs() % 100
            );
            let txn = format!("ngr-{customer}-{day:02}");
            let revenue = self.postback(
                offer,
                None,
                &[
                    ("event", "revenue"),
                    ("customer_id", customer),
                    ("txn_id", &txn),
                    ("amount", &amount),
                ],
            );
            self.report(from + day * SLOTS_PER_DAY, revenue);
        }
    }

    /// A shop: orders through links and coupons, some of them sent back in part or whole.
    fn shop(&mut self) {
        const OFFER: &str = "acme/shop";
        for number in 0..110_u32 {
            let start = self.below((DAYS - 2) * SLOTS_PER_DAY);
            let txn = format!("order-{number:04}");
            let minor = self.minor(1_500, 24_000);
            let value = minor.to_string();
            let mut order = self.postback(
                OFFER,
                None,
                &[
                    ("event", "purchase"),
                    ("txn_id", &txn),
                    ("value", &value),
                    ("currency", "USD"),
                ],
            );
            order.credential = Credential::Token;
            if self.happens(25) {
                order.fields.push(("coupon_code", "DANA10".to_owned()));
            } else {
                let link = ["ada-shop", "dana-shop", "dana-shop"][self.below(3) as usize];
                order.click = Some(self.click(start, link));
            }
            self.report(start + 1, order);
            let back = start + 2 + self.below(40);
            if self.happens(6) {
                let mut refund =
                    self.postback(OFFER, None, &[("event", "refund"), ("txn_id", &txn)]);
                refund.credential = Credential::Token;
                self.step(back, Call::Postback(refund), "accepted");
            } else if self.happens(10) {
                let part = (minor / 3).to_string();
                let mut refund = self.postback(
                    OFFER,
                    None,
                    &[("event", "refund"), ("txn_id", &txn), ("value", &part)],
                );
                refund.credential = Credential::Token;
                self.step(back, Call::Postback(refund), "accepted");
            }
        }
    }

    /// A broker: deposits that it approves or rejects once the customer is verified, and trades.
    fn broker(&mut self) {
        const OFFER: &str = "nova/broker";
        for _ in 0..36 {
            let start = self.below((DAYS - 6) * SLOTS_PER_DAY);
            let link = ["elif-broker", "elif-broker", "north-broker"][self.below(3) as usize];
            let (click, customer) = (self.click(start, link), self.customer());
            let who = [("event", "registration"), ("customer_id", &*customer)];
            let registration = self.postback(OFFER, Some(click), &who);
            self.report(start + 1, registration);
            let txn = format!("dep-{customer}");
            let deposit = self.postback(
                OFFER,
                Some(click),
                &[
                    ("event", "ftd"),
                    ("customer_id", &customer),
                    ("txn_id", &txn),
                    ("amount", "250.00"),
                    ("status", "pending"),
                ],
            );
            self.report(start + 3, deposit);
            if self.happens(80) {
                let kyc = self.postback(
                    OFFER,
                    Some(click),
                    &[("event", "kyc"), ("customer_id", &customer)],
                );
                self.report(start + 6, kyc);
                let status = if self.happens(85) {
                    "approved"
                } else {
                    "declined"
                };
                let decided = self.postback(
                    OFFER,
                    None,
                    &[("event", "status"), ("txn_id", &txn), ("status", status)],
                );
                self.step(start + 20, Call::Postback(decided), "accepted");
            }
            for trade in 0..self.below(14) {
                let lots = format!("{}.{:02}", self.below(4), 1 + self.below(99));
                let txn = format!("trade-{customer}-{trade:02}");
                let trade = self.postback(
                    OFFER,
                    None,
                    &[
                        ("event", "trade"),
                        ("customer_id", &customer),
                        ("txn_id", &txn),
                        ("quantity", &lots),
                    ],
                );
                let slot = start + 8 + self.below(60);
                self.report(slot, trade);
            }
        }
    }

    /// An offer that is being integrated: all of its postbacks are tests.
    fn academy(&mut self) {
        for number in 0..4 {
            let slot = 40 + number * 30;
            let click = self.click(slot, "dana-academy");
            let txn = format!("test-{number}");
            let sale = self.postback(
                "nova/academy",
                Some(click),
                &[("txn_id", &txn), ("amount", "99.00")],
            );
            self.step(slot + 1, Call::Postback(sale), "sandbox");
        }
    }

    /// Visitors of whom nothing more is heard: most of them.
    fn idle_clicks(&mut self) {
        const LINKS: &[&str] = &[
            "ada-casino",
            "ada-casino",
            "bruno-casino",
            "bruno-casino",
            "chen-casino",
            "ada-shop",
            "dana-shop",
            "dana-shop",
            "elif-broker",
            "north-broker",
        ];
        for _ in 0..2_200 {
            let slot = self.below(LAST_SLOT + 1);
            let link = LINKS[self.random.random_range(0..LINKS.len())];
            self.click(slot, link);
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
