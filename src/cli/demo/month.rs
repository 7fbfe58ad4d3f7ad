//! The ordinary days of the demo's month: what a casino, a shop and a broker report.

use super::traffic::{Call, Credential, DAYS, LAST_SLOT, Planner, Postback, SLOTS_PER_DAY};

impl Planner {
    /// Plans the month's ordinary days.
    pub(super) fn ordinary_days(&mut self) {
        self.casino();
        self.shop();
        self.broker();
        self.academy();
        self.idle_clicks();
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
                let link =
                    self.one_of(&["ada-casino", "ada-casino", "bruno-casino", "chen-casino"]);
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
                let link = self.one_of(&["ada-shop", "dana-shop", "dana-shop"]);
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
            let link = self.one_of(&["elif-broker", "elif-broker", "north-broker"]);
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
            let link = self.one_of(LINKS);
            self.click(slot, link);
        }
    }
}
