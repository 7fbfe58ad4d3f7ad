//! Examples that other trackers publish, what they do with refunds, and what none of them settles.

use super::script::check;

const SHARE: &str = "
    [[terms.rule]]
    id = 'share'
    on = 'sale'
    revshare = '30%'
    clawback_days = 90
";

const ALL: &str = "
    [[terms.rule]]
    id = 'share'
    on = 'sale'
    revshare = '100%'
";

/// The guide of `track360.info` to negative carryover: 30 %, March −10,000, April +15,000. With carryover
/// April pays 1,500.00, without 4,500.00.
#[test]
fn a_month_below_zero_is_carried_or_reset() {
    let rule = "
        [[terms.rule]]
        id = 'share'
        on = 'revenue'
        revshare = '30%'
        ";
    let months = "
        58 click c1 p1
        60 revenue txn=march click=c1 customer=u1 amount=-10000.00
        = at 89 p1 approved=-3000.00
        91 revenue txn=april customer=u1 amount=15000.00
        = march share p1 -3000.00 approved
        = april share p1 4500.00 approved
        ";
    let carried = format!("{months} = balance p1 approved=1500.00 earned=1500.00");
    check(rule, &carried);
    let reset = format!(
        "{months}
        = at 89 p1 adjusted=0.00
        = at 90 p1 adjusted=3000.00 approved=0.00
        = balance p1 approved=4500.00 earned=1500.00 adjusted=3000.00
        = account expense:carryover-reset 3000.00
        "
    );
    check(&format!("carryover = 'reset'\n{rule}"), &reset);
}

/// Ringfencing as Intelitics and high-roller clauses have it, by the customer: one player's −3,000.00 takes
/// nothing from another's earnings, and is worked off by that player alone.
#[test]
fn a_fenced_month_below_zero_is_worked_off_within_its_fence() {
    check(
        "
        fence = 'customer'
        [[terms.rule]]
        id = 'share'
        on = 'revenue'
        revshare = '30%'
        ",
        "
        0 click c1 p1
        1 revenue txn=roller click=c1 customer=u1 amount=-10000.00
        1 revenue txn=small click=c1 customer=u2 amount=100.00
        = at 30 p1 approved=-2970.00
        = at 31 p1 approved=30.00
        35 revenue txn=back customer=u1 amount=4000.00
        = at 59 p1 approved=30.00
        65 revenue txn=more customer=u1 amount=8000.00
        = balance p1 approved=630.00 earned=630.00
        ",
    );
}

/// The high-roller policy of `affiliates.globaligaming.com`, HR1 to HR6, with shares of 100 % so that revenue
/// is commission: a player who loses 5,000.00 or more in a month that is below zero in all is a high roller,
/// and what the month lacks is carried against that player instead of being given up.
const HIGH_ROLLERS: &str = "
    carryover = 'reset'
    fence = 'offer'
    high_roller_from = '5000.00'
    [[terms.rule]]
    id = 'share'
    on = 'revenue'
    revshare = '100%'
    ";

/// HR1: both must hold. January is above zero in all; in February nobody loses 5,000.00. What lacks is given
/// up, as ever.
#[test]
fn hr1_a_high_roller_loses_much_in_a_month_below_zero() {
    check(
        HIGH_ROLLERS,
        "
        0 click c1 p1
        1 revenue txn=a click=c1 customer=u1 amount=-6000.00
        2 revenue txn=b click=c1 customer=u2 amount=7000.00
        = at 31 p1 approved=1000.00 adjusted=0.00
        32 revenue txn=c customer=u1 amount=-4999.99
        = at 59 p1 approved=1000.00 adjusted=4999.99
        60 revenue txn=d customer=u1 amount=300.00
        = at 90 p1 approved=1300.00 adjusted=4999.99
        = account expense:carryover-reset 4999.99
        ",
    );
}

/// HR2, HR6: u1 loses 6,000.00, which is carried; 2,500.00 in February and 1,500.00 in March reduce it,
/// and of 4,000.00 in April the last 2,000.00 of it are kept and 2,000.00 paid.
#[test]
fn hr2_and_hr6_a_loss_is_carried_until_the_player_has_earned_it_back() {
    check(
        HIGH_ROLLERS,
        "
        0 click c1 p1
        1 revenue txn=a click=c1 customer=u1 amount=-6000.00
        = at 30 p1 approved=-6000.00
        = at 31 p1 approved=0.00 adjusted=6000.00
        35 revenue txn=b customer=u1 amount=2500.00
        60 revenue txn=c customer=u1 amount=1500.00
        = at 59 p1 approved=0.00 adjusted=3500.00
        = at 90 p1 approved=0.00 adjusted=2000.00
        95 revenue txn=d customer=u1 amount=4000.00
        = at 120 p1 approved=2000.00 adjusted=0.00
        125 revenue txn=e customer=u1 amount=10.00
        = balance p1 approved=2010.00 earned=2010.00
        ",
    );
}

/// HR3: what is carried against u1 takes nothing from what u2 earns.
#[test]
fn hr3_a_carried_loss_takes_nothing_from_other_players() {
    check(
        HIGH_ROLLERS,
        "
        0 click c1 p1
        1 revenue txn=a click=c1 customer=u1 amount=-6000.00
        34 click c2 p1
        35 revenue txn=b click=c2 customer=u2 amount=900.00
        = at 59 p1 approved=900.00 adjusted=6000.00
        65 revenue txn=c customer=u1 amount=100.00
        65 revenue txn=d customer=u2 amount=50.00
        = at 90 p1 approved=950.00 adjusted=5900.00
        ",
    );
}

/// HR4: u1 loses 6,000.00 and u2 earns 5,200.00, so the month lacks 800.00, and no more is carried.
#[test]
fn hr4_no_more_is_carried_than_the_month_lacks_in_all() {
    check(
        HIGH_ROLLERS,
        "
        0 click c1 p1
        1 revenue txn=a click=c1 customer=u1 amount=-6000.00
        2 revenue txn=b click=c1 customer=u2 amount=5200.00
        = at 31 p1 approved=0.00 adjusted=800.00
        35 revenue txn=c customer=u1 amount=1000.00
        = at 59 p1 approved=200.00 adjusted=0.00
        ",
    );
}

/// HR5: u1 loses 6,000.00 and u2 9,000.00; u3 earns 10,000.00. The 5,000.00 that lack are carried as
/// 6,000 : 9,000, so 2,000.00 and 3,000.00.
#[test]
fn hr5_several_high_rollers_share_what_is_carried_by_their_losses() {
    check(
        HIGH_ROLLERS,
        "
        0 click c1 p1
        1 revenue txn=a click=c1 customer=u1 amount=-6000.00
        1 revenue txn=b click=c1 customer=u2 amount=-9000.00
        1 revenue txn=c click=c1 customer=u3 amount=10000.00
        = at 31 p1 approved=0.00 adjusted=5000.00
        35 revenue txn=d customer=u1 amount=2500.00
        = at 59 p1 approved=500.00 adjusted=3000.00
        60 revenue txn=e customer=u2 amount=2500.00
        = at 90 p1 approved=500.00 adjusted=500.00
        = account expense:carryover-reset 500.00
        ",
    );
}

/// A refund undoes a high roller: what was given up and carried is derived again.
#[test]
fn a_late_fact_changes_who_is_a_high_roller() {
    check(
        HIGH_ROLLERS,
        "
        0 click c1 p1
        1 revenue txn=a click=c1 customer=u1 amount=-6000.00
        2 revenue txn=b click=c1 customer=u1 amount=1500.00
        35 revenue txn=c customer=u1 amount=700.00
        = at 59 p1 approved=700.00 adjusted=4500.00
        3 refund txn=b amount=500.00
        = at 59 p1 approved=0.00 adjusted=4300.00
        ",
    );
}

/// Intelitics' clawback deal: the CPA of 20 is an advance; shares of revenue that reach 21 pay 1.
#[test]
fn shares_of_revenue_pay_what_exceeds_the_advance() {
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
        revshare = '50%'
        ",
        "
        0 click c1 p1
        1 ftd txn=d1 click=c1 customer=u1 amount=50.00
        2 revenue txn=r1 customer=u1 amount=30.00
        3 revenue txn=r2 customer=u1 amount=12.00
        = r1 share p1 0.00 zero within_advance
        = r2 share p1 1.00 approved
        = balance p1 approved=21.00 earned=21.00
        4 revenue txn=r3 customer=u1 amount=-4.00
        = r3 share p1 -1.00 approved
        5 chargeback txn=d1
        = r1 share p1 15.00 approved
        = r3 share p1 -2.00 approved
        = balance p1 approved=19.00 earned=39.00 reversed=20.00
        ",
    );
}

/// Tolt: a sale of 49.00 at 30 % is refunded after it was paid: −14.70, beside the paid line.
#[test]
fn a_refund_of_a_paid_sale_is_owed_and_linked() {
    check(
        SHARE,
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=49.00
        2 payout one p1 a:share:14.70
        3 settled one
        4 refund txn=a
        = a share p1 0.00 zero refunded
        = balance p1 approved=-14.70 earned=14.70 clawed_back=14.70 paid=14.70
        ",
    );
}

/// What trackers do with refunds of paid commissions, case by case: partial, repeated, beyond the
/// amount, after the window.
#[test]
fn refunds_of_paid_shares_are_clawed_back_in_proportion() {
    check(
        SHARE,
        "
        0 click c1 p1
        1 sale txn=part click=c1 amount=100.00
        1 sale txn=twice click=c1 amount=100.00
        1 sale txn=over click=c1 amount=100.00
        1 sale txn=late click=c1 amount=100.00
        2 payout one p1 part:share:30.00 twice:share:30.00 over:share:30.00 late:share:30.00
        3 settled one
        4 refund txn=part amount=25.00
        4 refund txn=twice amount=25.00 event=e1
        5 refund txn=twice amount=25.00 event=e2
        4 refund txn=over amount=80.00 event=e3
        5 refund txn=over amount=80.00 event=e4
        92 refund txn=late amount=100.00
        = part share p1 22.50 approved
        = twice share p1 15.00 approved
        = over share p1 0.00 zero refunded
        = late share p1 30.00 approved
        = refunded over 100.00 60.00
        = balance p1 approved=-52.50 earned=120.00 clawed_back=52.50 paid=120.00
        ",
    );
}

/// Open decision, a refund at another rate than the sale: the line keeps the rate of the sale, so that a
/// whole refund takes back exactly what was earned. A refund in another currency than the sale is
/// converted to the sale's when it happens: 45.00 EUR at 1.2 are 54.00 of 100.00 USD.
#[test]
fn a_refund_at_another_rate_takes_back_at_the_rate_of_the_sale() {
    check(
        SHARE,
        "
        0 rate USD EUR 0.90
        0 rate EUR USD 1.1
        3 rate USD EUR 0.50
        3 rate EUR USD 1.2
        0 click c1 e1
        1 sale txn=half click=c1 amount=100.00
        1 sale txn=whole click=c1 amount=100.00
        1 sale txn=euro click=c1 amount=100.00
        = half share e1 27.00 approved
        4 refund txn=half amount=50.00
        4 refund txn=whole
        4 refund txn=euro amount=45.00 currency=EUR
        = half share e1 13.50 approved
        = whole share e1 0.00 zero refunded
        = euro share e1 12.42 approved
        = refunded euro 54.00 0.00
        ",
    );
}

/// Open decision, a limit to what one payout recovers: 40.00 of a debt of 100.00; the rest stays owed.
#[test]
fn a_payout_may_recover_a_part_of_a_debt() {
    check(
        ALL,
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        2 payout one p1 a:share:100.00
        3 settled one
        4 chargeback txn=a
        5 sale txn=b click=c1 amount=150.00
        6 payout two p1 a:share:-40.00 b:share:150.00
        7 settled two
        = balance p1 approved=-60.00 earned=250.00 clawed_back=100.00 recovered=40.00 paid=210.00
        ",
    );
}

/// Open decision, a debt that cannot be recovered: it is given up by a person, and named.
#[test]
fn a_debt_that_is_written_off_is_named() {
    check(
        ALL,
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        2 payout one p1 a:share:100.00
        3 settled one
        4 chargeback txn=a
        5 write_off p1 100.00
        = balance p1 earned=100.00 clawed_back=100.00 written_off=100.00 paid=100.00
        ",
    );
}

/// Open decision, a debt that was given up and then undone: the write-off is reversed with it (as
/// accounting books the recovery of what was written off: `docs/decisions/0017`), so that nothing is paid twice, and a later debt is
/// owed all the same. What was recovered before is payable again.
#[test]
fn a_write_off_ends_with_its_debt() {
    check(
        ALL,
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        1 sale txn=b click=c1 amount=80.00
        2 payout one p1 a:share:100.00 b:share:80.00
        3 settled one
        4 chargeback txn=a
        5 sale txn=c click=c1 amount=30.00
        6 payout two p1 a:share:-20.00 c:share:30.00
        7 settled two
        8 write_off p1 80.00 a:share:80.00
        = balance p1 earned=210.00 clawed_back=100.00 recovered=20.00 written_off=80.00 paid=190.00
        9 chargeback_won txn=a
        = balance p1 approved=20.00 earned=210.00 paid=190.00
        10 chargeback txn=b
        = balance p1 approved=-60.00 earned=210.00 clawed_back=80.00 paid=190.00
        = account expense:write-off 0.00
        ",
    );
}

/// Open decision, a refund that undoes a tier that was paid already: the third player goes, so the two
/// others fall back to 250.00 as well. 275.00 + 2 × 25.00 are owed.
#[test]
fn a_refund_that_undoes_a_paid_tier_claws_back_from_the_others_too() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'ftd'
        cpa = '250.00'
        tiers = { by = 'count', per = 'month', mode = 'all', steps = [{ from = 3, cpa = '275.00' }] }
        ",
        "
        0 click c1 p1
        1 ftd txn=a click=c1 customer=u1 amount=50.00
        2 ftd txn=b click=c1 customer=u2 amount=50.00
        3 ftd txn=c click=c1 customer=u3 amount=50.00
        4 payout one p1 a:cpa:275.00 b:cpa:275.00 c:cpa:275.00
        5 settled one
        6 refund txn=c
        = a cpa p1 250.00 approved
        = c cpa p1 0.00 zero refunded
        = balance p1 approved=-325.00 earned=825.00 clawed_back=325.00 paid=825.00
        ",
    );
}

/// Qualification as Conquestador writes it: deposits that reach a sum within 30 days of registration.
#[test]
fn deposits_within_the_window_qualify_a_player() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'ftd'
        cpa = '80.00'
        when = { total_at_least = { kind = 'deposit', amount = '100.00', within_days = 30 } }
        ",
        "
        0 click c1 p1
        1 registration txn=g1 click=c1 customer=u1
        2 ftd txn=d1 customer=u1 amount=60.00
        2 deposit txn=x1 customer=u1 amount=60.00
        = d1 cpa p1 0.00 zero condition_unmet
        31 deposit txn=x2 customer=u1 amount=40.00
        = d1 cpa p1 80.00 approved
        1 registration txn=g2 click=c1 customer=u2
        2 ftd txn=d2 customer=u2 amount=60.00
        2 deposit txn=x3 customer=u2 amount=60.00
        32 deposit txn=x4 customer=u2 amount=40.00
        = d2 cpa p1 0.00 zero condition_unmet
        ",
    );
}

/// Conquestador: both the sum of the deposits and the number of rounds, within 30 days of registration.
#[test]
fn deposits_and_rounds_within_the_window_qualify_a_player() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'ftd'
        cpa = '80.00'
        when = { total_at_least = [
            { kind = 'deposit', amount = '100.00', within_days = 30 },
            { kind = 'round', quantity = '50', within_days = 30 },
        ] }
        ",
        "
        0 click c1 p1
        1 registration txn=g1 click=c1 customer=u1
        2 ftd txn=d1 customer=u1 amount=60.00
        2 deposit txn=x1 customer=u1 amount=100.00
        = d1 cpa p1 0.00 zero condition_unmet
        3 round txn=r1 customer=u1 quantity=30
        = d1 cpa p1 0.00 zero condition_unmet
        31 round txn=r2 customer=u1 quantity=20
        = d1 cpa p1 80.00 approved
        1 registration txn=g2 click=c1 customer=u2
        2 ftd txn=d2 customer=u2 amount=60.00
        2 deposit txn=x2 customer=u2 amount=100.00
        3 round txn=r3 customer=u2 quantity=49
        32 round txn=r4 customer=u2 quantity=1
        = d2 cpa p1 0.00 zero condition_unmet
        ",
    );
}

/// `AffKong`: a deposit within 30 days of registration, and either five bets or the minimal deposit (20.00)
/// wagered once. Alternatives are rules of one group.
#[test]
fn five_bets_or_the_deposit_wagered_once_qualify_a_player() {
    check(
        "
        [[terms.rule]]
        id = 'bets'
        on = 'ftd'
        cpa = '60.00'
        group = 'cpa'
        when = { amount_at_least = '20.00', within_days_of_registration = 30, total_at_least = { kind = 'bet', count = 5 } }
        [[terms.rule]]
        id = 'wager'
        on = 'ftd'
        cpa = '60.00'
        group = 'cpa'
        when = { amount_at_least = '20.00', within_days_of_registration = 30, total_at_least = { kind = 'bet', amount = '20.00' } }
        ",
        "
        0 click c1 p1
        1 registration txn=g1 click=c1 customer=u1
        2 ftd txn=d1 customer=u1 amount=20.00
        3 bet txn=b1 customer=u1 amount=1.00
        4 bet txn=b2 customer=u1 amount=1.00
        5 bet txn=b3 customer=u1 amount=1.00
        6 bet txn=b4 customer=u1 amount=1.00
        = d1 bets p1 0.00 zero condition_unmet
        = d1 wager p1 0.00 zero condition_unmet
        7 bet txn=b5 customer=u1 amount=1.00
        = d1 bets p1 60.00 approved
        8 status txn=b2 is=rejected
        = d1 bets p1 0.00 zero condition_unmet
        1 registration txn=g2 click=c1 customer=u2
        2 ftd txn=d2 customer=u2 amount=20.00
        3 bet txn=b6 customer=u2 amount=20.00
        = d2 wager p1 60.00 approved
        1 registration txn=g3 click=c1 customer=u3
        32 ftd txn=d3 customer=u3 amount=20.00
        33 bet txn=b7 customer=u3 amount=20.00
        = d3 wager p1 0.00 zero condition_unmet
        = balance p1 approved=60.00 earned=60.00
        ",
    );
}

/// axi: the minimal deposit and at least two standard lots, whenever; HIVE: 4.00 for each lot of FX and 3.50
/// of indices besides.
#[test]
fn a_deposit_and_two_lots_qualify_a_trader_and_lots_are_rebated() {
    check(
        "
        [[terms.rule]]
        id = 'cpa'
        on = 'ftd'
        cpa = '400.00'
        when = { amount_at_least = '50.00', total_at_least = { kind = 'trade', quantity = '2' } }
        [[terms.rule]]
        id = 'index-lots'
        on = 'trade'
        per_unit = '3.50'
        group = 'lots'
        when = { sub1 = ['index'] }
        [[terms.rule]]
        id = 'fx-lots'
        on = 'trade'
        per_unit = '4.00'
        group = 'lots'
        ",
        "
        0 click c1 p1
        1 ftd txn=d1 click=c1 customer=u1 amount=50.00
        2 trade txn=t1 customer=u1 quantity=1.99
        = t1 fx-lots p1 7.96 approved
        = d1 cpa p1 0.00 zero condition_unmet
        40 trade txn=t2 customer=u1 quantity=0.01
        = d1 cpa p1 400.00 approved
        41 trade txn=t3 customer=u1 quantity=2 sub1=index
        = t3 index-lots p1 7.00 approved
        ",
    );
}

/// `PartnerStack`: 20.00, a clawback of 100.00, so −80.00, and nothing can be withdrawn until it is above zero.
#[test]
fn a_balance_below_zero_is_carried_until_it_is_worked_off() {
    check(
        ALL,
        "
        0 click c1 p1
        1 sale txn=a click=c1 amount=100.00
        2 payout one p1 a:share:100.00
        3 settled one
        4 sale txn=b click=c1 amount=20.00
        5 chargeback txn=a
        = balance p1 approved=-80.00 earned=120.00 clawed_back=100.00 paid=100.00
        6 sale txn=c click=c1 amount=80.01
        = balance p1 approved=0.01 earned=200.01 clawed_back=100.00 paid=100.00
        ",
    );
}

/// Overrides up several levels, as Post Affiliate Pro and dub have them for one: 10 % of what those below
/// earn, 2 % from two levels below, and never of another override. A refund goes all the way up, also
/// where it was paid.
#[test]
fn overrides_go_up_the_levels_and_fall_with_what_they_share() {
    check(
        "
        [[terms.rule]]
        id = 'share'
        on = 'sale'
        revshare = '30%'
        [[terms.rule]]
        id = 'above'
        on = 'sale'
        override = '10%'
        level = 1
        [[terms.rule]]
        id = 'far-above'
        on = 'sale'
        override = '2%'
        level = 2
        ",
        "
        0 partner p0
        0 partner p2 p0
        0 partner p1 p2
        0 click c1 p1
        0 click c2 p2
        1 sale txn=a click=c1 amount=100.00
        1 sale txn=b click=c2 amount=50.00
        = a share p1 30.00 approved
        = a above p2 3.00 approved
        = a far-above p0 0.60 approved
        = b share p2 15.00 approved
        = b above p0 1.50 approved
        = balance p0 approved=2.10 earned=2.10
        2 payout one p2 a:above:3.00 b:share:15.00
        3 settled one
        4 refund txn=a amount=50.00
        = balance p1 approved=15.00 earned=30.00 reversed=15.00
        = balance p2 approved=-1.50 earned=18.00 clawed_back=1.50 paid=18.00
        = balance p0 approved=1.80 earned=2.10 reversed=0.30
        10 partner p1
        11 sale txn=c click=c1 amount=100.00
        = balance p2 approved=-1.50 earned=18.00 clawed_back=1.50 paid=18.00
        ",
    );
}

/// An override waits for what it shares: no approval of its own makes it payable before.
#[test]
fn an_override_is_approved_no_sooner_than_what_it_shares() {
    check(
        "
        [[terms.rule]]
        id = 'lead'
        on = 'lead'
        cpa = '10.00'
        approval = 'status'
        hold_days = 14
        [[terms.rule]]
        id = 'above'
        on = 'lead'
        override = '10%'
        ",
        "
        0 partner p1 p2
        0 click c1 p1
        1 lead txn=a click=c1
        = a above p2 1.00 pending
        5 status txn=a is=approved
        = a above p2 1.00 approved day=19
        ",
    );
}

/// The pairs whose order of arrival trackers trip over, each told both ways round: refund before sale, a
/// sale that is sent twice, rejected, approved and then refunded, a chargeback that was won, a status before
/// its click is known, and a click that comes after its conversion. The same facts end in the same.
#[test]
fn pairs_end_in_the_same_whichever_comes_first() {
    let rules = "
        [[terms.rule]]
        id = 'share'
        on = 'sale'
        revshare = '30%'
        [[terms.rule]]
        id = 'lead'
        on = 'lead'
        cpa = '5.00'
        approval = 'status'
        ";
    for (facts, claims) in [
        (
            [
                "1 sale txn=a click=c1 amount=100.00",
                "2 refund txn=a amount=40.00",
            ]
            .as_slice(),
            "= a share p1 18.00 approved\n= balance p1 approved=18.00 earned=30.00 reversed=12.00",
        ),
        (
            &[
                "1 sale txn=a click=c1 amount=100.00",
                "2 sale txn=a click=c1 amount=70.00",
            ],
            "= balance p1 approved=30.00 earned=30.00",
        ),
        (
            &[
                "1 sale txn=a click=c1 amount=100.00",
                "2 status txn=a is=rejected",
                "3 status txn=a is=approved",
                "4 refund txn=a amount=50.00",
            ],
            "= a share p1 15.00 approved\n= balance p1 approved=15.00 earned=30.00 reversed=15.00",
        ),
        (
            &[
                "1 sale txn=a click=c1 amount=100.00",
                "2 chargeback txn=a",
                "3 chargeback_won txn=a",
            ],
            "= a share p1 30.00 approved\n= balance p1 approved=30.00 earned=30.00",
        ),
        (
            &[
                "1 lead txn=a click=c7",
                "2 status click=c7 is=approved",
                "0 late_click c7 p1",
            ],
            "= a lead p1 5.00 approved\n= balance p1 approved=5.00 earned=5.00",
        ),
    ] {
        let mut facts = facts.to_vec();
        for _ in 0..facts.len() {
            facts.rotate_left(1);
            check(
                rules,
                &format!("0 click c1 p1\n{}\n{claims}", facts.join("\n")),
            );
            let backwards: Vec<_> = facts.iter().rev().copied().collect();
            check(
                rules,
                &format!("0 click c1 p1\n{}\n{claims}", backwards.join("\n")),
            );
        }
    }
}
