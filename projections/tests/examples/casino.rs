//! One month of a casino programme, computed by hand.

use super::script::check;

/// January under a hybrid deal: 100.00 for each first deposit of 20.00 or more, 120.00 for all of the month from the third
/// on, four a month at most; 30 % of net revenue, 35 % beyond 1,000.00 of the month; 5 % of both to the partner above; a player
/// whose month ends below zero begins the next at zero; the casino owes 200.00 for each such first deposit.
///
/// First deposits, in order: d1 50.00, d2 20.00, d3 19.99 (too small), d4 100.00, d5 30.00, d6 60.00. Five count, so all are worth 120.00;
/// the cap of four leaves d6 out. On the 15th d2 is rejected: four are left, still 120.00 each, and d6 moves up.
/// 4 × 120.00 = 480.00; d2 had earned 120.00 and lost it.
///
/// Revenue, with the month's sum before each: r1 600.00 of u1 at 0 → 30 % = 180.00. r2 −900.00 of u4 from 600.00 down to −300.00 → −270.00.
/// r3 1,500.00 of u5 from −300.00 up to 1,200.00: 1,300.00 at 30 % + 200.00 at 35 % = 460.00. r4 400.00 of u1 from 1,200.00 on at 35 % = 140.00.
/// On the 22nd 300.00 of r3 are refunded: 460.00 × 1,200/1,500 = 368.00. (What is refunded does not change the month's sum: tiers count what was reported.)
/// 180.00 − 270.00 + 368.00 + 140.00 = 418.00.
///
/// u4 ends the month at 120.00 − 270.00 = −150.00: on 1 February p1 gets 150.00 back. 480.00 + 418.00 + 150.00 = 1,048.00.
/// Earned 5 × 120.00 + 180.00 − 270.00 + 460.00 + 140.00 = 1,110.00; reversed 120.00 + 92.00 = 212.00; 1,110.00 − 212.00 + 150.00 = 1,048.00.
///
/// p2 gets 5 % of each line: 4 × 6.00 + 9.00 − 13.50 + 18.40 + 7.00 = 44.90; with u4 it ends at 6.00 − 13.50 = −7.50, given up too: 52.40.
/// Earned 5 × 6.00 + 9.00 − 13.50 + 23.00 + 7.00 = 55.50; reversed 6.00 + 4.60 = 10.60.
///
/// The casino owes 4 × 200.00 = 800.00.
#[test]
fn a_month_of_a_casino() {
    check(
        "
        carryover = 'reset'
        fence = 'customer'
        [[terms.rule]]
        id = 'cpa'
        on = 'ftd'
        cpa = '100.00'
        when = { amount_at_least = '20.00' }
        cap = { count = 4, per = 'month' }
        tiers = { by = 'count', per = 'month', mode = 'all', steps = [{ from = 3, cpa = '120.00' }] }
        [[terms.rule]]
        id = 'share'
        on = 'revenue'
        revshare = '30%'
        tiers = { by = 'amount', per = 'month', mode = 'above', steps = [{ from = '1000.00', revshare = '35%' }] }
        [[terms.rule]]
        id = 'cpa-above'
        on = 'ftd'
        override = '5%'
        [[terms.rule]]
        id = 'share-above'
        on = 'revenue'
        override = '5%'
        [[terms.price]]
        id = 'player'
        on = 'ftd'
        cpa = '200.00'
        when = { amount_at_least = '20.00' }
        ",
        "
        0 partner p1 p2
        0 click c1 p1
        2 ftd txn=d1 click=c1 customer=u1 amount=50.00
        4 ftd txn=d2 click=c1 customer=u2 amount=20.00
        = balance p1 approved=200.00 earned=200.00
        6 ftd txn=d3 click=c1 customer=u3 amount=19.99
        8 ftd txn=d4 click=c1 customer=u4 amount=100.00
        = balance p1 approved=360.00 earned=360.00
        10 ftd txn=d5 click=c1 customer=u5 amount=30.00
        12 ftd txn=d6 click=c1 customer=u6 amount=60.00
        = d3 cpa p1 0.00 zero condition_unmet
        = d6 cpa p1 0.00 zero over_cap
        = account asset:receivable:acme 1000.00
        11 revenue txn=r1 customer=u1 amount=600.00
        13 revenue txn=r2 customer=u4 amount=-900.00
        14 revenue txn=r3 customer=u5 amount=1500.00
        20 revenue txn=r4 customer=u1 amount=400.00
        = r1 share p1 180.00 approved
        = r2 share p1 -270.00 approved
        = r3 share p1 460.00 approved
        = r4 share p1 140.00 approved
        15 status txn=d2 is=rejected
        = d2 cpa p1 0.00 zero rejected
        = d6 cpa p1 120.00 approved
        22 refund txn=r3 amount=300.00
        = r3 share p1 368.00 approved
        = r3 share-above p2 18.40 approved
        = at 30 p1 approved=898.00 adjusted=0.00
        = at 31 p1 approved=1048.00 adjusted=150.00
        = balance p1 approved=1048.00 earned=1110.00 reversed=212.00 adjusted=150.00
        = balance p2 approved=52.40 earned=55.50 reversed=10.60 adjusted=7.50
        = account asset:receivable:acme 800.00
        = account income:acme -800.00
        = account expense:carryover-reset 157.50
        ",
    );
}
