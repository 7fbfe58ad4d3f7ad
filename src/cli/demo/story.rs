//! The cases of the demo that are worth looking at, one by one.

use super::traffic::{Call, Credential, Planner, SLOTS_PER_DAY};

const CASINO: &str = "acme/casino";
const SHOP: &str = "acme/shop";

/// The deposit that is paid out and then charged back.
pub(super) const CLAWED_BACK: &str = "clawed-back";
/// The deposit whose chargeback the casino wins.
pub(super) const WON_BACK: &str = "won-back";
/// The order whose refund arrives first.
pub(super) const REFUNDED_EARLY: &str = "refunded-early";

/// Adds the cases.
pub(super) fn tell(planner: &mut Planner) {
    deposits_that_are_charged_back(planner);
    a_refund_before_its_sale(planner);
    a_fraud(planner);
    subscriptions(planner);
    what_is_refused(planner);
    an_order_told_twice(planner);
}

type Fields<'a> = &'a [(&'static str, &'a str)];

fn slot(day: u32) -> u32 {
    day * SLOTS_PER_DAY
}

/// A customer of the casino who registers and deposits at once.
fn depositor(
    planner: &mut Planner,
    slot: u32,
    link: &'static str,
    customer: &str,
    name: Option<&str>,
) {
    let click = planner.click_from(slot, link, "DE");
    let who = [("event", "registration"), ("customer_id", customer)];
    let registration = planner.postback(CASINO, Some(click), &who);
    planner.step(slot + 1, Call::Postback(registration), "accepted");
    let deposit = planner.postback(
        CASINO,
        Some(click),
        &[
            ("event", "ftd"),
            ("customer_id", customer),
            ("txn_id", &format!("dep-{customer}")),
            ("amount", "200.00"),
        ],
    );
    planner.named(slot + 2, Call::Postback(deposit), "accepted", name);
}

fn change(planner: &mut Planner, slot: u32, event: &str, txn: &str) {
    let change = planner.postback(CASINO, None, &[("event", event), ("txn_id", txn)]);
    planner.step(slot, Call::Postback(change), "accepted");
}

/// One after it was paid out, which makes a debt; one before, which only lowers the balance; and
/// one that the casino wins, which undoes the debt.
fn deposits_that_are_charged_back(planner: &mut Planner) {
    depositor(planner, slot(2), "ada-casino", "marlow", Some(CLAWED_BACK));
    depositor(planner, slot(3), "ada-casino", "quincy", Some(WON_BACK));
    depositor(planner, slot(6), "bruno-casino", "sable", None);
    change(planner, slot(11), "chargeback", "dep-sable");
    planner.step(slot(20), Call::Payout { partner: "ada" }, "accepted");
    planner.step(slot(21), Call::Payout { partner: "elif" }, "accepted");
    change(planner, slot(24), "chargeback", "dep-marlow");
    change(planner, slot(24), "chargeback", "dep-quincy");
    change(planner, slot(28), "chargeback_won", "dep-quincy");
}

/// The refund of an order overtakes the order: it is kept, and takes effect once the order is there.
fn a_refund_before_its_sale(planner: &mut Planner) {
    let click = planner.click_from(slot(12), "dana-shop", "US");
    let refund = planner.postback(
        SHOP,
        None,
        &[
            ("event", "refund"),
            ("txn_id", "order-early"),
            ("amount", "30.00"),
        ],
    );
    planner.step(slot(14), Call::Postback(refund), "parked");
    let sale = planner.postback(
        SHOP,
        Some(click),
        &[
            ("event", "sale"),
            ("txn_id", "order-early"),
            ("amount", "120.00"),
        ],
    );
    planner.named(
        slot(15),
        Call::Postback(sale),
        "accepted",
        Some(REFUNDED_EARLY),
    );
    let waits = planner.postback(
        SHOP,
        None,
        &[("event", "refund"), ("txn_id", "order-never-reported")],
    );
    planner.step(slot(26), Call::Postback(waits), "parked");
}

/// A customer turns out to be a fraud: whatever the customer earned is taken back.
fn a_fraud(planner: &mut Planner) {
    depositor(planner, slot(8), "bruno-casino", "vesper", None);
    let fraud = [("event", "fraud"), ("customer_id", "vesper")];
    let report = planner.postback(CASINO, None, &fraud);
    planner.step(slot(16), Call::Postback(report), "accepted");
}

/// The shop says what a subscription pays; a manager approves or rejects.
fn subscriptions(planner: &mut Planner) {
    for number in 0..6_u32 {
        let day = 5 + number * 3;
        let click = planner.click(slot(day), "dana-shop");
        let (name, payout) = (
            format!("subscription-{number}"),
            format!("{}.50", 12 + number),
        );
        let subscription = planner.postback(
            SHOP,
            Some(click),
            &[
                ("event", "subscription"),
                ("txn_id", &name),
                ("amount", "49.00"),
                ("payout", &payout),
            ],
        );
        planner.named(
            slot(day) + 1,
            Call::Postback(subscription),
            "accepted",
            Some(&name),
        );
        let (decision, reason) = match number {
            0..=2 => ("approve", "the member is active"),
            3 => ("reject", "the member is the partner's own household"),
            _ => continue,
        };
        let decision = Call::Decision {
            conversion: name,
            decision,
            reason,
        };
        planner.step(slot(day + 4), decision, "accepted");
    }
}

/// What advertisers' servers, and others, get wrong.
fn what_is_refused(planner: &mut Planner) {
    let click = planner.click_from(slot(9), "ada-casino", "DE");
    let deposit = [
        ("event", "ftd"),
        ("customer_id", "nobody"),
        ("amount", "500.00"),
    ];
    let mut forged = planner.postback(CASINO, Some(click), &deposit);
    forged.credential = Credential::Forged;
    for attempt in 0..3 {
        planner.step(
            slot(10) + attempt,
            Call::Postback(forged.clone()),
            "bad_credentials",
        );
    }
    let refused: [(Fields<'_>, &str); 4] = [
        (
            &[
                ("event", "sale"),
                ("click_id", "abcdefghij"),
                ("amount", "10.00"),
            ],
            "unknown_click",
        ),
        (
            &[
                ("event", "sale"),
                ("coupon_code", "DANA10"),
                ("amount", "49.999"),
            ],
            "invalid_value",
        ),
        (
            &[
                ("event", "moonwalk"),
                ("coupon_code", "DANA10"),
                ("amount", "10.00"),
            ],
            "invalid_value",
        ),
        (
            &[
                ("event", "sale"),
                ("amount", "10.00"),
                ("txn_id", "order-nobody"),
            ],
            "missing_field",
        ),
    ];
    for (number, (fields, expected)) in (0..).zip(refused) {
        let postback = planner.postback(SHOP, None, fields);
        planner.step(slot(13 + number), Call::Postback(postback), expected);
    }
    let click = planner.click(slot(18), "dana-shop");
    let greedy = planner.postback(
        SHOP,
        Some(click),
        &[
            ("event", "subscription"),
            ("txn_id", "subscription-greedy"),
            ("payout", "9000.00"),
        ],
    );
    planner.step(slot(18) + 1, Call::Postback(greedy), "payout_not_allowed");
}

/// The same order again with another amount: a duplicate that says so.
fn an_order_told_twice(planner: &mut Planner) {
    let click = planner.click(slot(17), "ada-shop");
    for (number, amount) in [(1, "80.00"), (9, "85.00")] {
        let sale = planner.postback(
            SHOP,
            Some(click),
            &[
                ("event", "sale"),
                ("txn_id", "order-twice"),
                ("amount", amount),
            ],
        );
        let expected = if number == 1 { "accepted" } else { "duplicate" };
        planner.step(slot(17) + number, Call::Postback(sale), expected);
    }
}
