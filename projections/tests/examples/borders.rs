//! Where rules meet: what one of them takes, counts or holds is not another's. Figures by hand.

use super::script::check;

const SHARE: &str = "
    [[terms.rule]]
    id = 'share'
    on = 'revenue'
    revshare = '30%'
";

/// SPEC 6, a share of the net amount: 30.00 − 15.00 − 6.00. What is refunded was brought in before: of 100.00,
/// not of a loss.
#[test]
fn a_refund_that_names_only_the_customer_means_what_brought_money_in() {
    check(
        SHARE,
        "
        0 click c1 p1
        1 revenue txn=won click=c1 customer=u1 amount=100.00
        2 revenue txn=lost customer=u1 amount=-50.00
        3 refund customer=u1 amount=20.00
        = won share p1 24.00 approved
        = lost share p1 -15.00 approved
        = balance p1 approved=9.00 earned=15.00 reversed=6.00
        4 chargeback customer=u1
        = lost share p1 -15.00 approved
        = balance p1 approved=-15.00 earned=15.00 reversed=30.00
        ",
    );
}

/// Two players behind one click: what one of them did is not the other's, and what names only the click may
/// be anybody's.
#[test]
fn what_another_customer_of_the_click_did_qualifies_nobody() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'ftd'
        cpa = '10.00'
        when = { requires = ['kyc'], within_days_of_registration = 10 }
        ",
        "
        0 click c1 p1
        1 registration txn=r1 click=c1 customer=u1
        2 kyc txn=k1 click=c1 customer=u1
        8 ftd txn=unnamed click=c1 amount=50.00
        20 registration txn=r2 click=c1 customer=u2
        20 kyc txn=k2 customer=u2
        21 ftd txn=second click=c1 customer=u2 amount=50.00
        21 ftd txn=third click=c1 customer=u3 amount=50.00
        = unnamed cpa p1 10.00 approved
        = second cpa p1 10.00 approved
        = third cpa p1 0.00 zero condition_unmet
        15 kyc txn=k3 click=c1
        15 registration txn=r3 click=c1
        = third cpa p1 10.00 approved
        ",
    );
}

/// SPEC 5: the customer is bound so that later revenue needs no click; conditions then look at the click
/// that bound it, also if that comes late.
#[test]
fn later_revenue_comes_from_where_the_customer_came_from() {
    let rule = format!("{SHARE}\n    when = {{ country = ['DE'] }}");
    check(
        &rule,
        "
        0 click c1 p1 country=DE
        0 click c2 p1 country=AT
        1 ftd txn=d1 click=c1 customer=u1 amount=50.00
        1 ftd txn=d2 click=c2 customer=u2 amount=50.00
        2 revenue txn=german customer=u1 amount=100.00
        2 revenue txn=austrian customer=u2 amount=100.00
        2 revenue txn=elsewhere click=c2 customer=u1 amount=100.00
        = german share p1 30.00 approved
        = austrian share p1 0.00 zero condition_unmet
        = elsewhere share p1 0.00 zero condition_unmet
        ",
    );
}

/// A fee is in the rule's currency, the offer's if it names none: 15.00 USD, or 15.00 EUR at 2. The bank does
/// not give it back because the sale is said to be undone once more.
#[test]
fn the_fee_of_a_chargeback_is_in_the_currency_of_the_rule_and_stays_due() {
    let rule = "
        [[terms.rule]]
        id = 'share'
        on = 'sale'
        revshare = '10%'
        chargeback_fee = '15.00'
        ";
    let sales = "
        0 rate EUR USD 2
        0 click c1 p1
        1 sale txn=euro click=c1 amount=100.00 currency=EUR
        = euro share p1 20.00 approved
        2 chargeback txn=euro
        ";
    let of_offer = "
        = euro share p1 -15.00 approved
        3 status txn=euro is=reversed
        = euro share p1 -15.00 approved
        = balance p1 approved=-15.00 earned=20.00 reversed=35.00
        4 chargeback_won txn=euro
        = euro share p1 0.00 zero rejected
        ";
    check(rule, &format!("{sales}{of_offer}"));
    let named = format!("{rule} currency = 'EUR'");
    check(&named, &format!("{sales} = euro share p1 -30.00 approved"));
}

/// What a chargeback costs is not capped, and makes no room for others.
#[test]
fn the_fee_of_a_chargeback_is_beside_the_cap() {
    let cap = |cap: &str| {
        format!(
            "
            [[terms.rule]]
            id = 'cpa'
            on = 'sale'
            cpa = '100.00'
            cap = {{ {cap}, per = 'month' }}
            on_chargeback = 'keep'
            chargeback_fee = '15.00'
            "
        )
    };
    let sales = "
        0 click c1 p1
        1 sale txn=a click=c1 amount=50.00
        2 sale txn=b click=c1 amount=50.00
        ";
    check(
        &cap("count = 1"),
        &format!(
            "{sales}
            3 chargeback txn=b
            = b cpa p1 -15.00 approved
            = balance p1 approved=85.00 earned=100.00 reversed=15.00
            "
        ),
    );
    check(
        &cap("amount = '150.00'"),
        &format!(
            "{sales}
            3 chargeback txn=a
            = a cpa p1 85.00 approved
            = b cpa p1 50.00 approved
            "
        ),
    );
}

/// What a chargeback costs is not worked off, and waits alone for a rate of its own: what was paid stays paid.
#[test]
fn the_fee_of_a_chargeback_is_beside_the_advance_and_the_price() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'ftd'
        cpa = '20.00'
        advance = true
        [[terms.rule]]
        id = 'share'
        on = 'revenue'
        revshare = '30%'
        chargeback_fee = '15.00'
        ",
        "
        0 click c1 p1
        1 ftd txn=f click=c1 customer=u1 amount=50.00
        2 revenue txn=r click=c1 customer=u1 amount=100.00
        = r share p1 10.00 approved
        3 chargeback txn=r
        = r share p1 -15.00 approved
        = balance p1 approved=5.00 earned=30.00 reversed=25.00
        ",
    );
    check(
        "
        [[terms.rule]]
        id = 'share'
        on = 'sale'
        revshare = '10%'
        currency = 'EUR'
        on_chargeback = 'keep'
        chargeback_fee = '15.00'
        ",
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=1000.00
        2 payout one p1 a:share:100.00
        3 settled one
        4 chargeback txn=a
        = a share p1 100.00 approved awaiting_fx
        = balance p1 earned=100.00 paid=100.00
        0 rate EUR USD 2
        = a share p1 70.00 approved
        = balance p1 approved=-30.00 earned=100.00 clawed_back=30.00 paid=100.00
        ",
    );
}

/// The end of a month counts what is approved, and of what waits again what was paid: nothing new was earned.
#[test]
fn a_paid_line_that_waits_again_still_counts_in_its_month() {
    check(
        &format!("carryover = 'reset'\n{SHARE}"),
        "
        0 click c1 p1
        1 revenue txn=won click=c1 amount=1000.00
        2 payout one p1 won:share:300.00
        3 settled one
        4 revenue txn=lost click=c1 amount=-1500.00
        = balance p1 approved=-300.00 earned=-150.00 adjusted=150.00 paid=300.00
        5 status txn=won is=pending
        = balance p1 approved=-300.00 earned=-150.00 adjusted=150.00 paid=300.00
        ",
    );
}

/// A cap limits what is given: what earns nothing takes nobody's place, and a loss is a loss.
#[test]
fn a_cap_by_count_counts_what_earns_and_lets_losses_through() {
    check(
        "
        [[terms.rule]]
        id = 'share'
        on = 'revenue'
        revshare = '10%'
        cap = { count = 1, per = 'month' }
        ",
        "
        0 click c1 p1
        1 revenue txn=nothing click=c1 amount=0.00
        2 revenue txn=first click=c1 amount=800.00
        3 revenue txn=lost click=c1 amount=-500.00
        4 revenue txn=second click=c1 amount=100.00
        5 revenue txn=refused click=c1 amount=100.00
        6 status txn=refused is=rejected
        = nothing share p1 0.00 zero nothing_to_earn
        = first share p1 80.00 approved
        = lost share p1 -50.00 approved
        = second share p1 0.00 zero over_cap
        = refused share p1 0.00 zero rejected
        = balance p1 approved=30.00 earned=30.00
        ",
    );
}

/// SPEC 8, a chargeback won undoes its clawback: charged back in time it is given back whenever it is won.
#[test]
fn what_was_charged_back_in_time_may_be_won_later() {
    check(
        "
        [[terms.rule]]
        id = 'share'
        on = 'sale'
        revshare = '10%'
        clawback_days = 90
        ",
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        80 chargeback txn=a
        = a share p1 0.00 zero charged_back
        108 chargeback_won txn=a
        = a share p1 10.00 approved
        ",
    );
}

/// `full_if_total`: with 40.00 charged back, a refund of the other 60.00 leaves nothing.
#[test]
fn a_refund_of_what_a_chargeback_left_is_a_total_one() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'sale'
        cpa = '100.00'
        on_chargeback = 'proportional'
        ",
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        2 chargeback txn=a amount=40.00
        = a cpa p1 60.00 approved
        3 refund txn=a
        = a cpa p1 0.00 zero refunded
        = status a reversed
        ",
    );
}

/// SPEC 6, without a rate the line waits: also that of a rule beside one that holds.
#[test]
fn a_rule_whose_condition_waits_for_a_rate_says_so_beside_others() {
    check(
        "
        [[terms.rule]]
        id = 'base'
        on = 'ftd'
        cpa = '10.00'
        [[terms.rule]]
        id = 'bonus'
        on = 'ftd'
        cpa = '5.00'
        when = { amount_at_least = '20.00' }
        ",
        "
        0 click c1 p1
        1 ftd txn=d click=c1 customer=u1 amount=50.00 currency=EUR
        = d base p1 10.00 approved
        = d bonus p1 0.00 zero awaiting_fx
        0 rate EUR USD 1.1
        = d bonus p1 5.00 approved
        ",
    );
}

/// A conversion before its click is outside the window.
#[test]
fn a_conversion_before_its_click_is_outside_the_window() {
    check(
        SHARE,
        "
        5 click c1 p1
        4 revenue txn=early click=c1 amount=100.00
        = early - - 0.00 zero outside_window
        ",
    );
}

/// A hold runs from the approval: whoever says again what holds already does not begin it anew.
#[test]
fn approving_what_is_approved_does_not_prolong_a_hold() {
    let rule = |approval: &str| {
        format!(
            "
            [[terms.rule]]
            id = 'cpa'
            on = 'sale'
            cpa = '100.00'
            hold_days = 14
            approval = '{approval}'
            "
        )
    };
    let sale = "
        0 click c1 p1
        1 sale txn=a click=c1 amount=50.00
        ";
    for (approval, story, day) in [
        ("auto", "5 status txn=a is=approved", 15),
        ("auto", "5 decide a approve", 15),
        ("after 7 days", "30 status txn=a is=approved", 22),
        ("after 7 days", "3 status txn=a is=approved", 17),
        (
            "status",
            "5 status txn=a is=approved\n9 decide a approve",
            19,
        ),
        ("manual", "9 decide a approve", 23),
        // What was said otherwise in between does begin it anew.
        (
            "auto",
            "2 status txn=a is=pending\n5 status txn=a is=approved",
            19,
        ),
        ("auto", "2 status txn=a is=pending\n5 decide a approve", 19),
        ("auto", "2 decide a reject\n5 decide a approve", 19),
        ("auto", "2 decide a reject\n5 decide a release", 15),
        // What a decision overrules changes nothing.
        (
            "auto",
            "2 status txn=a is=pending\n5 decide a approve\n9 status txn=a is=rejected",
            19,
        ),
        (
            "auto",
            "2 status txn=a is=pending\n5 decide a approve\n9 status txn=a is=approved",
            19,
        ),
        (
            "status",
            "5 status txn=a is=approved\n9 decide a approve\n9 status txn=a is=rejected",
            19,
        ),
    ] {
        let claim = format!("= a cpa p1 100.00 approved day={day}");
        check(&rule(approval), &format!("{sale}{story}\n{claim}"));
    }
}

/// What a payout carries is paid: a line that waits again does not make anybody owe it.
#[test]
fn what_was_paid_waits_for_nobody() {
    let sale = "
        0 click c1 p1
        1 revenue txn=a click=c1 amount=1000.00
        2 payout one p1 a:share:100.00
        3 settled one
        = balance p1 approved=200.00 earned=300.00 paid=100.00
        ";
    let waits = "
        4 status txn=a is=pending
        = a share p1 300.00 pending
        = balance p1 pending=200.00 earned=300.00 paid=100.00
        5 status txn=a is=approved
        = balance p1 approved=200.00 earned=300.00 paid=100.00
        ";
    check(SHARE, &format!("{sale}{waits}"));
    let without_a_rate = "
        4 refund txn=a amount=500.00 currency=GBP
        = a share p1 300.00 pending awaiting_fx
        = balance p1 pending=200.00 earned=300.00 paid=100.00
        4 rate GBP USD 1.3
        = a share p1 105.00 approved
        = balance p1 approved=5.00 earned=300.00 reversed=195.00 paid=100.00
        ";
    check(SHARE, &format!("{sale}{without_a_rate}"));
}
