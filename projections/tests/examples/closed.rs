//! What comes after a month was closed stands in the open one and names the month that it corrects:
//! that in which it takes effect, else that whose earnings it changes (SPEC 9).

use super::script::check;

const RULES: &str = "
    [[terms.rule]]
    id = 'share'
    on = 'sale'
    revshare = '30%'
    [[terms.rule]]
    id = 'lead'
    on = 'lead'
    cpa = '5.00'
    approval = 'manual'
    [[terms.price]]
    id = 'owed'
    on = 'subscription'
    cpa = '9.00'
    ";

/// January, in which what changes later happened; it was closed on 1 February.
const JANUARY: &str = "
    0 click c1 p1
    1 sale txn=a click=c1 customer=u1 amount=100.00
    1 sale txn=paid click=c1 customer=u2 amount=100.00
    1 sale txn=charged click=c1 customer=u3 amount=100.00
    2 chargeback txn=charged
    1 sale txn=euro click=c1 customer=u4 amount=100.00 currency=EUR
    1 sale txn=code coupon=SAVE amount=100.00
    1 sale txn=clickless click=c9 customer=u5 amount=100.00
    1 lead txn=waits click=c1 customer=u6
    1 subscription txn=owes click=c1 customer=u7
    3 payout one p1 paid:share:30.00
    4 settled one
    31 close 2026-01
    ";

/// What happens then, and what is posted: kind, whose, in which month.
const LATER: &[(&str, &str)] = &[
    // What happened in the closed month and is told late.
    (
        "5 sale txn=late click=c1 amount=10.00",
        "earning p1 2026-02 (corrects 2026-01)",
    ),
    (
        "5 refund txn=a amount=50.00",
        "reversal p1 2026-02 (corrects 2026-01)",
    ),
    (
        "0 late_click c9 p1",
        "earning p1 2026-02 (corrects 2026-01)",
    ),
    // What happens now to an earning of the closed month.
    (
        "33 refund txn=a amount=50.00",
        "reversal p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 refund txn=paid amount=50.00",
        "clawback p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 chargeback txn=a",
        "reversal p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 chargeback_won txn=charged",
        "restoration p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 fraud customer=u1",
        "reversal p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 status txn=a is=rejected",
        "reversal p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 status txn=a is=pending",
        "approval p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 decide waits approve",
        "approval p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 decide waits reject",
        "reversal p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 decide a reject",
        "reversal p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 decide a reverse",
        "reversal p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 decide paid reject",
        "clawback p1 2026-02 (corrects 2026-01)",
    ),
    (
        "33 correct a p2",
        "earning p2 2026-02 (corrects 2026-01); reversal p1 2026-02 (corrects 2026-01)",
    ),
    ("33 correct a", "reversal p1 2026-02 (corrects 2026-01)"),
    (
        "33 refund txn=owes",
        "receivable p1 2026-02 (corrects 2026-01)",
    ),
    // How things always were, as is said only now.
    ("33 coupon SAVE p1", "earning p1 2026-02 (corrects 2026-01)"),
    (
        "0 rate EUR USD 1.1",
        "earning p1 2026-02 (corrects 2026-01)",
    ),
    // What people do now, and what happens to what happened now, corrects nothing.
    (
        "33 sale txn=new customer=u2 amount=10.00",
        "earning p1 2026-02",
    ),
    ("33 adjust p1 5.00", "adjustment p1 2026-02"),
    (
        "33 payout two p1 a:share:30.00\n34 settled two",
        "payout p1 2026-02",
    ),
    ("33 returned one", "payout_returned p1 2026-02"),
];

#[test]
fn what_changes_an_earning_of_a_closed_month_names_it_whatever_it_is() {
    for (later, posted) in LATER {
        println!("{later}");
        check(
            RULES,
            &format!("{JANUARY}\n= posted_anything\n{later}\n= posted {posted}"),
        );
    }
}

/// Of two closed months, what happened in the later one to an earning of the earlier one stands in the
/// books of neither: it is told of the one whose books it would be in.
#[test]
fn what_happened_in_a_closed_month_names_that_month_first() {
    check(
        RULES,
        &format!(
            "{JANUARY}
            59 close 2026-02
            = posted_anything
            40 refund txn=a amount=50.00
            = posted reversal p1 2026-03 (corrects 2026-02)
            "
        ),
    );
}

/// A debt that is given up is of the month in which people give it up, and so is what goes with it when
/// it is undone; the line itself names its month.
#[test]
fn what_was_given_up_stands_in_the_month_of_the_decision() {
    check(
        RULES,
        &format!(
            "{JANUARY}
            33 chargeback txn=paid
            = posted_anything
            34 write_off p1 30.00 paid:share:30.00
            = posted write_off p1 2026-02
            35 chargeback_won txn=paid
            = posted write_off p1 2026-02; restoration p1 2026-02 (corrects 2026-01)
            "
        ),
    );
}

/// The end of a closed month that is below zero changes with what happens later to its earnings.
#[test]
fn the_end_of_a_closed_month_that_changes_later_names_it() {
    check(
        "
        carryover = 'reset'
        [[terms.rule]]
        id = 'share'
        on = 'revenue'
        revshare = '100%'
        ",
        "
        0 click c1 p1
        1 revenue txn=a click=c1 customer=u1 amount=-100.00
        2 revenue txn=b click=c1 customer=u1 amount=40.00
        = posted_anything
        31 close 2026-01
        33 refund txn=b
        = posted reversal p1 2026-02 (corrects 2026-01); carryover p1 2026-02 (corrects 2026-01)
        ",
    );
}
