//! Worked examples as text: terms, what happened, and what it comes to. Each says where its figures
//! are from.

mod borders;
mod casino;
mod closed;
mod script;
mod trackers;

use script::check;

/// Figures by hand from SPEC 6: a fixed amount for a first deposit and a share of net revenue. The
/// hybrid pays 250.00 once, then 30 % of 120.00 and of −20.00.
#[test]
fn a_hybrid_pays_for_the_first_deposit_and_shares_revenue() {
    check(
        r#"
        [[terms.rule]]
        id = "cpa"
        on = "ftd"
        cpa = "250.00"
        [[terms.rule]]
        id = "share"
        on = "revenue"
        revshare = "30%"
        "#,
        "
        0 click c1 p1
        1 ftd txn=d1 click=c1 customer=u1 amount=50.00
        2 revenue txn=r1 customer=u1 amount=120.00
        3 revenue txn=r2 customer=u1 amount=-20.00
        = d1 cpa p1 250.00 approved
        = r1 share p1 36.00 approved
        = r2 share p1 -6.00 approved
        = balance p1 approved=280.00 earned=280.00
        ",
    );
}

/// Rounding, SPEC 6: each line once, half to even. 12.5 % of 0.20 is 2.5 cents, of 0.60 is 7.5.
#[test]
fn halves_of_a_cent_go_to_the_even_neighbour() {
    check(
        "
        [[terms.rule]]
        id = 'share'
        on = 'sale'
        revshare = '12.5%'
        ",
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=0.20
        1 sale txn=b click=c1 amount=0.60
        1 sale txn=c click=c1 amount=-0.20
        = a share p1 0.02 approved
        = b share p1 0.08 approved
        = c share p1 -0.02 approved
        ",
    );
}

const SHARE: &str = "
    [[terms.rule]]
    id = 'share'
    on = 'sale'
    revshare = '30%'
    clawback_days = 90
";

/// What trackers do with refunds, case by case, for a share: unpaid, partial, repeated,
/// beyond the amount, after the window.
#[test]
fn refunds_of_an_unpaid_share_are_proportional_reversals() {
    check(
        SHARE,
        "
        0 click c1 p1
        1 sale txn=whole click=c1 amount=100.00
        1 sale txn=part click=c1 amount=100.00
        1 sale txn=twice click=c1 amount=100.00
        1 sale txn=over click=c1 amount=100.00
        1 sale txn=late click=c1 amount=100.00
        2 refund txn=whole
        2 refund txn=part amount=25.00
        2 refund txn=twice amount=25.00 event=e1
        3 refund txn=twice amount=25.00 event=e2
        2 refund txn=over amount=80.00 event=e3
        3 refund txn=over amount=80.00 event=e4
        92 refund txn=late amount=100.00
        = whole share p1 0.00 zero refunded
        = part share p1 22.50 approved
        = twice share p1 15.00 approved
        = over share p1 0.00 zero refunded
        = late share p1 30.00 approved
        = balance p1 approved=67.50 earned=150.00 reversed=82.50
        = refunded over 100.00 60.00
        = status whole reversed
        = status part approved
        ",
    );
}

/// A fixed amount is lost only when all of the amount is refunded (SPEC 6, default of cpa).
#[test]
fn a_fixed_amount_falls_with_the_last_refund() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'sale'
        cpa = '20.00'
        ",
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        2 refund txn=a amount=99.99 event=e1
        = a cpa p1 20.00 approved
        3 refund txn=a amount=0.01 event=e2
        = a cpa p1 0.00 zero refunded
        = balance p1 earned=20.00 reversed=20.00
        ",
    );
}

/// As `PartnerStack` documents it: earn 20, claw back 100 of an earlier payout: the
/// balance is −80 and stays until it is earned.
#[test]
fn a_clawback_of_what_was_paid_is_a_debt_that_later_earnings_recover() {
    check(
        "
        [[terms.rule]]
        id = 'share'
        on = 'sale'
        revshare = '100%'
        ",
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        2 payout one p1 a:share:100.00
        3 settled one
        = balance p1 earned=100.00 paid=100.00
        4 chargeback txn=a
        5 sale txn=b click=c1 amount=20.00
        = a share p1 0.00 zero charged_back
        = balance p1 approved=-80.00 earned=120.00 clawed_back=100.00 paid=100.00
        6 sale txn=c click=c1 amount=130.00
        7 payout two p1 a:share:-100.00 b:share:20.00 c:share:130.00
        8 settled two
        = balance p1 approved=0.00 earned=250.00 clawed_back=100.00 recovered=100.00 paid=150.00
        ",
    );
}

/// A chargeback, then won (no tracker documents it; SPEC 8 does). Nothing is owed any more, and what was
/// recovered meanwhile is payable again.
#[test]
fn a_chargeback_that_is_won_undoes_its_clawback() {
    check(
        "
        [[terms.rule]]
        id = 'share'
        on = 'sale'
        revshare = '100%'
        ",
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        1 sale txn=b click=c1 amount=150.00
        2 payout one p1 a:share:100.00
        3 settled one
        4 chargeback txn=a
        5 payout two p1 a:share:-100.00 b:share:150.00
        6 settled two
        = balance p1 earned=250.00 clawed_back=100.00 recovered=100.00 paid=150.00
        7 chargeback_won txn=a
        = a share p1 100.00 approved
        = balance p1 approved=100.00 earned=250.00 paid=150.00
        ",
    );
}

/// A bank takes a payment back, and the shop refunds it too: both take it once. When the chargeback is won
/// the refund holds, so nothing is earned (SPEC 6: refunds add up to at most the amount).
#[test]
fn a_refund_of_what_was_charged_back_holds_when_that_is_won() {
    check(
        SHARE,
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        2 chargeback txn=a
        3 refund txn=a
        = a share p1 0.00 zero charged_back
        = refunded a 0.00 0.00
        4 chargeback_won txn=a
        = a share p1 0.00 zero refunded
        = refunded a 100.00 0.00
        1 sale txn=b click=c1 amount=100.00
        2 chargeback txn=b
        3 refund txn=b amount=40.00
        4 chargeback_won txn=b
        = b share p1 18.00 approved
        = refunded b 40.00 0.00
        ",
    );
}

/// SPEC 6, `chargeback_fee`: the bank asks for its fee, whether or not there is anything left to take.
#[test]
fn the_fee_of_a_chargeback_is_due_after_a_refund_too() {
    check(
        "
        [[terms.rule]]
        id = 'share'
        on = 'sale'
        revshare = '30%'
        chargeback_fee = '15.00'
        ",
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        2 refund txn=a
        = a share p1 0.00 zero refunded
        3 chargeback txn=a
        = a share p1 -15.00 approved
        4 chargeback_won txn=a
        = a share p1 0.00 zero refunded
        ",
    );
}

/// SPEC 6: without a rate the line waits. A refund of 10.00 GBP is 12.50 USD at 1.25, so of 100.00 USD
/// 87.50 are left, at 30 % 26.25; nobody is paid 30.00 meanwhile. What was paid before stays as it is.
#[test]
fn a_line_waits_for_the_rate_of_its_refund() {
    check(
        SHARE,
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        1 sale txn=paid click=c1 amount=100.00
        2 payout one p1 paid:share:30.00
        2 settled one
        3 refund txn=a amount=10.00 currency=GBP
        3 refund txn=paid amount=10.00 currency=GBP
        = a share p1 30.00 pending awaiting_fx
        = paid share p1 30.00 approved awaiting_fx
        = balance p1 pending=30.00 earned=60.00 paid=30.00
        0 rate GBP USD 1.25
        = a share p1 26.25 approved
        = paid share p1 26.25 approved
        = balance p1 approved=22.50 earned=60.00 reversed=3.75 clawed_back=3.75 paid=30.00
        ",
    );
}

/// A write-off is undone by a chargeback that is won, and not before it was made, however early the bank
/// decided: on the days between nothing is given up and nothing taken back of it.
#[test]
fn what_was_given_up_is_not_undone_before_it_was_given_up() {
    check(
        SHARE,
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        2 payout one p1 a:share:30.00
        3 settled one
        20 chargeback txn=a
        60 write_off p1 30.00 a:share:30.00
        25 chargeback_won txn=a
        = at 30 p1 written_off=0.00 clawed_back=0.00 approved=0.00
        = at 61 p1 written_off=0.00 clawed_back=0.00 approved=0.00
        = balance p1 earned=30.00 paid=30.00
        ",
    );
}

/// SPEC 3.2 `parked`: refund before sale, reject before
/// approve, status for a conversion that comes later.
#[test]
fn changes_that_come_first_wait_for_their_conversion() {
    check(
        SHARE,
        "
        0 click c1 p1
        2 refund txn=a amount=40.00
        2 status txn=b is=rejected
        = parked 2
        1 sale txn=a click=c1 amount=100.00
        1 sale txn=b click=c1 amount=100.00
        = parked 0
        = a share p1 18.00 approved
        = b share p1 0.00 zero rejected
        = balance p1 approved=18.00 earned=60.00 reversed=42.00
        ",
    );
}

/// SPEC 6: the last status in event time holds, whatever the order of arrival; a manager's decision
/// outranks it until released.
#[test]
fn the_last_status_in_event_time_holds_and_a_decision_outranks_it() {
    check(
        "
        [[terms.rule]]
        id = 'lead'
        on = 'lead'
        cpa = '5.00'
        approval = 'status'
        hold_days = 14
        ",
        "
        0 click c1 p1
        1 lead txn=a click=c1
        = a lead p1 5.00 pending
        = status a pending
        = balance p1 pending=5.00 earned=5.00
        5 status txn=a is=approved
        3 status txn=a is=rejected
        = a lead p1 5.00 approved day=19
        = balance p1 approved=5.00 earned=5.00
        6 decide a reject
        7 status txn=a is=approved
        = a lead p1 0.00 zero rejected
        8 decide a release
        = a lead p1 5.00 approved day=19
        ",
    );
}

/// SPEC 6 `approval = after N days`: pending first, approved by itself, in one go.
#[test]
fn approval_after_days_is_posted_ahead_with_its_own_time() {
    check(
        "
        [[terms.rule]]
        id = 'lead'
        on = 'lead'
        cpa = '5.00'
        approval = 'after 7 days'
        ",
        "
        0 click c1 p1
        1 lead txn=a click=c1
        = a lead p1 5.00 pending
        = at 1 p1 pending=5.00 approved=0.00
        = at 8 p1 pending=0.00 approved=5.00
        4 status txn=a is=rejected
        = at 5 p1 pending=0.00 approved=0.00
        = at 8 p1 pending=0.00 approved=0.00
        ",
    );
}

/// Rules of one group are alternatives, the first that holds wins; others add up (SPEC 6).
#[test]
fn the_first_rule_of_a_group_wins_and_conditions_must_hold() {
    check(
        "
        [[terms.rule]]
        id = 'german'
        on = 'ftd'
        cpa = '300.00'
        group = 'g'
        when = { country = ['DE'], amount_at_least = '20.00' }
        [[terms.rule]]
        id = 'other'
        on = 'ftd'
        cpa = '200.00'
        group = 'g'
        when = { amount_at_least = '20.00' }
        ",
        "
        0 click de p1 country=DE
        0 click us p1 country=US
        1 ftd txn=a click=de amount=20.00
        1 ftd txn=b click=us amount=20.00
        1 ftd txn=c click=de amount=19.99
        = a german p1 300.00 approved
        = b other p1 200.00 approved
        = c german p1 0.00 zero condition_unmet
        ",
    );
}

/// `requires` and `within_days_of_registration` (SPEC 6), fulfilled after the fact: verification
/// makes the first deposit earn, its rejection takes that back.
#[test]
fn a_condition_on_the_customer_may_be_fulfilled_later() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'ftd'
        cpa = '100.00'
        when = { within_days_of_registration = 30, requires = ['kyc'] }
        ",
        "
        0 click c1 p1
        1 registration click=c1 customer=u1 txn=reg
        5 ftd txn=a customer=u1 amount=50.00
        = a cpa p1 0.00 zero condition_unmet
        9 kyc customer=u1 txn=k
        = a cpa p1 100.00 approved
        10 status txn=k is=rejected
        = a cpa p1 0.00 zero condition_unmet
        1 registration click=c1 customer=u2 txn=reg2
        40 ftd txn=b customer=u2 amount=50.00
        40 kyc customer=u2 txn=k2
        = b cpa p1 0.00 zero condition_unmet
        ",
    );
}

/// Lot rebates as brokers publish them, 4.00 a lot; and the `payout` parameter up to a maximum.
#[test]
fn lots_and_payout_parameters_are_paid() {
    check(
        "
        [[terms.rule]]
        id = 'lots'
        on = 'trade'
        per_unit = '4.00'
        [[terms.rule]]
        id = 'given'
        on = 'challenge_purchase'
        param = true
        max = '50.00'
        ",
        "
        0 click c1 p1
        1 trade txn=a click=c1 quantity=2.5
        1 challenge_purchase txn=b click=c1 amount=500.00 payout=45.00
        1 challenge_purchase txn=c click=c1 amount=500.00 payout=60.00
        = a lots p1 10.00 approved
        = b given p1 45.00 approved
        = c given p1 50.00 approved
        ",
    );
}

/// As Intelitics documents agreement tiers: 250 each; at 3 players 275 for all, at 5 players 300
/// for all. The third posts 275 + 2 × 25, the fifth 300 + 4 × 25; a fraud takes the step back.
#[test]
fn reaching_a_tier_reprices_the_month_and_losing_a_player_undoes_it() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'ftd'
        cpa = '250.00'
        tiers = { by = 'count', per = 'month', mode = 'all', steps = [{ from = 3, cpa = '275.00' }, { from = 5, cpa = '300.00' }] }
        ",
        "
        0 click c1 p1
        1 ftd txn=a click=c1 customer=u1
        2 ftd txn=b click=c1 customer=u2
        = balance p1 approved=500.00 earned=500.00
        3 ftd txn=c click=c1 customer=u3
        = balance p1 approved=825.00 earned=825.00
        4 ftd txn=d click=c1 customer=u4
        5 ftd txn=e click=c1 customer=u5
        = balance p1 approved=1500.00 earned=1500.00
        6 fraud customer=u5
        = e cpa p1 0.00 zero abuse
        = a cpa p1 275.00 approved
        = balance p1 approved=1100.00 earned=1400.00 reversed=300.00
        ",
    );
}

/// A cap counts in the order of event time, not of arrival (SPEC 3.4).
#[test]
fn a_cap_is_filled_in_event_time() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'lead'
        cpa = '10.00'
        cap = { count = 2, per = 'month' }
        ",
        "
        0 click c1 p1
        5 lead txn=late click=c1
        4 lead txn=middle click=c1
        = late cpa p1 10.00 approved
        3 lead txn=early click=c1
        = late cpa p1 0.00 zero over_cap
        = middle cpa p1 10.00 approved
        6 status txn=early is=rejected
        = late cpa p1 10.00 approved
        ",
    );
}

/// SPEC 6: a rate converts to the partner's currency; without one the line waits. 100.00 USD at 30 %
/// is 30.00 USD, at 0.9137 that is 27.411 EUR.
#[test]
fn a_line_waits_for_the_rate_that_converts_it() {
    check(
        SHARE,
        "
        0 click c1 e1
        1 sale txn=a click=c1 amount=100.00
        = a share e1 0.00 zero awaiting_fx
        1 rate USD EUR 0.9137
        = a share e1 27.41 approved
        2 rate USD EUR 0.5
        = a share e1 27.41 approved
        3 sale txn=b click=c1 amount=100.00
        = b share e1 15.00 approved
        ",
    );
}

/// SPEC 5: candidates in order, the window, the first attributed conversion binds the customer.
#[test]
fn clicks_coupons_and_customers_attribute_in_order() {
    check(
        SHARE,
        "
        0 click c1 p1
        0 coupon SAVE p2
        1 sale txn=a click=c1 coupon=SAVE customer=u1 amount=10.00
        31 sale txn=b click=c1 amount=10.00
        31 sale txn=c click=c1 coupon=SAVE amount=10.00
        40 sale txn=d customer=u1 amount=10.00
        0 sale txn=e customer=u1 amount=10.00
        2 sale txn=f amount=10.00 customer=nobody
        = a share p1 3.00 approved
        = b - - 0.00 zero outside_window
        = c share p2 3.00 approved
        = d share p1 3.00 approved
        = e - - 0.00 zero unattributed
        = f - - 0.00 zero unattributed
        ",
    );
}

/// A real case of a partner platform: coupon sales were credited and paid to the wrong partner.
/// The right partner is credited, the wrong one owes, and nothing of the history goes away.
#[test]
fn paid_to_the_wrong_partner_by_coupon() {
    check(
        SHARE,
        "
        0 coupon SAVE p2
        1 sale txn=a coupon=SAVE amount=100.00
        2 payout one p2 a:share:30.00
        3 settled one
        4 correct a p1
        = a share p1 30.00 approved
        = balance p1 approved=30.00 earned=30.00
        = balance p2 approved=-30.00 earned=30.00 clawed_back=30.00 paid=30.00
        ",
    );
}

/// SPEC 5: a coupon assignment that is corrected re-attributes what it touches; what was unpaid moves.
#[test]
fn a_corrected_coupon_moves_what_it_attributed() {
    check(
        SHARE,
        "
        0 coupon SAVE p2
        1 sale txn=a coupon=SAVE amount=100.00
        = balance p2 approved=30.00 earned=30.00
        5 coupon SAVE p1
        = a share p1 30.00 approved
        = balance p1 approved=30.00 earned=30.00
        = balance p2
        ",
    );
}

/// SPEC 9: a payout that came back restores the balance.
#[test]
fn a_returned_payout_restores_the_balance() {
    check(
        SHARE,
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        2 payout one p1 a:share:30.00
        3 settled one
        = balance p1 earned=30.00 paid=30.00
        4 returned one
        = balance p1 approved=30.00 earned=30.00
        ",
    );
}

/// SPEC 7: adjustments and write-offs have memo totals of their own.
#[test]
fn adjustments_and_write_offs_are_named() {
    check(
        SHARE,
        "
        0 adjust p1 12.00
        1 adjust p1 -20.00
        2 write_off p1 8.00
        = balance p1 adjusted=-8.00 written_off=8.00
        ",
    );
}

/// SPEC 6, `when`: amounts are in the offer's currency, so 18.00 EUR are 20.00 USD at 1.1112 and not at
/// 1.1108; before there is a rate the rule waits, unless something else does not hold anyway.
#[test]
fn conditions_on_amounts_are_in_the_offers_currency() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'ftd'
        cpa = '80.00'
        when = { amount_at_least = '20.00' }
        [[terms.rule]]
        id = 'deposits'
        on = 'kyc'
        cpa = '5.00'
        when = { requires = ['ftd'], total_at_least = { kind = 'deposit', amount = '50.00', within_days = 30 } }
        ",
        "
        0 click c1 p1
        1 registration txn=g1 click=c1 customer=u1
        1 kyc txn=k1 customer=u1
        2 deposit txn=x1 customer=u1 amount=18.00 currency=EUR
        2 deposit txn=x2 customer=u1 amount=30.00
        = k1 deposits p1 0.00 zero condition_unmet
        2 ftd txn=d1 customer=u1 amount=18.00 currency=EUR
        = d1 cpa p1 0.00 zero awaiting_fx
        = k1 deposits p1 0.00 zero awaiting_fx
        1 rate EUR USD 1.1108
        = d1 cpa p1 0.00 zero condition_unmet
        = k1 deposits p1 0.00 zero condition_unmet
        2 rate EUR USD 1.1112
        = d1 cpa p1 80.00 approved
        = k1 deposits p1 5.00 approved
        ",
    );
}
