//! What each rule gives each partner for a conversion, from nothing, every time it is asked.

use std::collections::BTreeMap;

use chrono::Datelike;
use postbook_schemas::{
    Change, Currency, Exact, Instant, Kind, Slug, Status,
    terms::{
        Approval, Carryover, Fence, OnChargeback, OnRefund, Rule, Terms, TierBy, TierMode, Total,
        When,
    },
};
use rust_decimal::Decimal;

use crate::{
    history::{Conversion, History},
    volume::{Ratio, capped, left, members, volume},
};

/// What one rule gives one partner.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) partner: Slug,
    pub(crate) rule: String,
    pub(crate) currency: Currency,
    pub(crate) net: i64,
    /// Whether it waits for somebody's word.
    for_somebody: bool,
    /// Whether it waits for a rate, if it is to be paid.
    for_rate: bool,
    /// What of it is on the way to the partner or has arrived.
    paid: i64,
}

impl Line {
    /// What of it is approved: while it waits, what was paid or recovered.
    fn lasting(&self) -> i64 {
        if self.waits() {
            self.net.clamp(self.paid.min(0), self.paid.max(0))
        } else {
            self.net
        }
    }

    /// Whether it is not approved.
    pub(crate) fn waits(&self) -> bool {
        self.for_somebody || (self.for_rate && self.net > self.paid.max(0))
    }
}

/// All lines of a conversion: of who is credited, and of those above.
pub(crate) fn lines(history: &History<'_>, conversion: &Conversion<'_>) -> Vec<Line> {
    let Some(partner) = history.credited(conversion) else {
        return Vec::new();
    };
    let Some(currency) = history.currency_of(&partner) else {
        return Vec::new();
    };
    let own: Vec<_> = matching(history, conversion, &partner)
        .into_iter()
        .map(|(terms, rule)| Line {
            net: net(history, conversion, (&partner, terms, rule)),
            partner: partner.clone(),
            rule: rule.id.clone(),
            currency,
            for_somebody: waits_for_somebody(history, conversion, rule),
            for_rate: waits_for_rate(history, conversion, rule)
                || fee(history, conversion, rule, currency).is_none(),
            paid: history.paid(conversion, (&partner, currency), &rule.id),
        })
        .collect();
    let mut all = own.clone();
    for upline in history.above(&partner, conversion.at()) {
        let Some(currency) = history.currency_of(&upline) else {
            continue;
        };
        for (terms, rule) in matching(history, conversion, &upline) {
            if rule.override_rate.is_none() || own.is_empty() {
                continue;
            }
            let given = before_cap(history, conversion, &upline, &rule.id);
            all.push(Line {
                net: capped(history, conversion, (&upline, terms, rule), given),
                partner: upline.clone(),
                rule: rule.id.clone(),
                currency,
                for_somebody: waits_for_somebody(history, conversion, rule)
                    || own.iter().any(|it| it.for_somebody),
                for_rate: own.iter().any(|it| it.for_rate),
                paid: history.paid(conversion, (&upline, currency), &rule.id),
            });
        }
    }
    all
}

fn waits_for_somebody(history: &History<'_>, conversion: &Conversion<'_>, rule: &Rule) -> bool {
    match history.status(conversion) {
        Some(status) => status == Status::Pending,
        None => matches!(rule.approval, Approval::Status | Approval::Manual),
    }
}

/// Whether something is taken of a conversion in a currency that no rate is known for.
fn waits_for_rate(history: &History<'_>, conversion: &Conversion<'_>, rule: &Rule) -> bool {
    let until = rule
        .clawback_days
        .map_or(Instant::MAX, |days| conversion.at().plus_days(days));
    let own = conversion.report.currency;
    history.changes_of(conversion).into_iter().any(|change| {
        let keeps = match change.change {
            Change::Refund => rule.on_refund == Some(OnRefund::Keep),
            Change::Chargeback => {
                rule.on_chargeback == Some(OnChargeback::Keep) && rule.chargeback_fee.is_none()
            }
            Change::ChargebackWon | Change::Status => true,
        };
        let other = change.amount.and(change.currency).unwrap_or(own);
        let is_known = other == own || history.rate(other, own, change.order.0).is_some();
        change.order.0 <= until && !keeps && !is_known
    })
}

/// The rules of a partner's terms that give it something for a conversion: its own rules if it is
/// credited, overrides if somebody below is.
pub(crate) fn matching<'h>(
    history: &History<'h>,
    conversion: &Conversion<'_>,
    partner: &Slug,
) -> Vec<(&'h Terms, &'h Rule)> {
    let Some(credited) = history.credited(conversion) else {
        return Vec::new();
    };
    let above = history.above(&credited, conversion.at());
    let level = above
        .iter()
        .position(|upline| upline == partner)
        .map(|place| place + 1);
    let is_credited = credited == *partner;
    let Some(terms) = history.terms(&conversion.report.offer, partner, conversion.at()) else {
        return Vec::new();
    };
    let mut groups: Vec<&str> = Vec::new();
    let mut matched = Vec::new();
    for rule in terms
        .rules
        .iter()
        .filter(|rule| rule.on.0 == conversion.report.kind)
    {
        let speaks = if rule.override_rate.is_some() {
            let wanted = rule.level.map(|wanted| wanted as usize);
            level.is_some_and(|level| wanted.is_none_or(|wanted| wanted == level))
        } else {
            is_credited
        };
        let taken = rule
            .group
            .as_deref()
            .is_some_and(|group| groups.contains(&group));
        if speaks && !taken && holds(history, conversion, rule.when.as_ref()) {
            groups.extend(rule.group.as_deref());
            matched.push((terms, rule));
        }
    }
    matched
}

fn holds(history: &History<'_>, conversion: &Conversion<'_>, when: Option<&When>) -> bool {
    let Some(when) = when else { return true };
    let least = when
        .amount_at_least
        .map(|least| least.to_minor(Currency::USD).expect("a whole amount"));
    // In the offer's currency; without a rate it does not hold yet.
    if least.is_some_and(|least| volume(history, conversion) < least) {
        return false;
    }
    let country = history.visit(conversion).and_then(|it| it.country.clone());
    if !when.country.is_empty() && !country.is_some_and(|it| when.country.contains(&it)) {
        return false;
    }
    if let Some(days) = when.within_days_of_registration {
        let registered = history.of_same_customer(conversion, &Kind::Registration);
        let Some(first) = registered.into_iter().min() else {
            return false;
        };
        if conversion.at() < first || conversion.at() > first.plus_days(days) {
            return false;
        }
    }
    let has = |kind: &Kind| !history.of_same_customer(conversion, kind).is_empty();
    let is_reached = |total: &Total| is_reached(history, conversion, total);
    when.requires.iter().all(has) && when.total_at_least.0.iter().all(is_reached)
}

/// Whether what the customer, or else the click, did of a kind comes to what a total asks for.
fn is_reached(history: &History<'_>, conversion: &Conversion<'_>, total: &Total) -> bool {
    let companions = history.companions(conversion);
    let registered = history.of_same_customer(conversion, &Kind::Registration);
    let all = companions.iter().map(|other| other.at());
    let from = registered.into_iter().min().or(all.min());
    let is_timely = |other: &Conversion<'_>| match (total.within_days, from) {
        (None, _) => true,
        (Some(days), Some(from)) => other.at() >= from && other.at() <= from.plus_days(days),
        (Some(_), None) => false,
    };
    let ours = &conversion.report.references;
    let added: Vec<_> = companions
        .iter()
        .filter(|other| other.report.kind == total.kind && is_timely(other))
        .filter(|other| {
            ours.customer_id.is_none() || other.report.references.customer_id == ours.customer_id
        })
        .collect();
    if let Some(least) = total.count {
        return added.len() as u64 >= least;
    }
    if let Some(least) = total.quantity {
        let quantities = added.iter().filter_map(|other| other.report.quantity);
        let sum: Decimal = quantities.map(Exact::decimal).sum();
        return sum >= least.decimal();
    }
    let has_rate = |other: &Conversion<'_>| {
        let own = other.report.currency;
        let rate = history.rate(own, Currency::USD, other.at());
        other.amount() == 0 || own == Currency::USD || rate.is_some()
    };
    let least = total.amount.expect("a total has a measure");
    let least = least.to_minor(Currency::USD).expect("a whole amount");
    // Somebody who is in nobody's company has reached nothing, whatever it is.
    let is_there = total.within_days.is_none() || from.is_some();
    let sum: i64 = added.iter().map(|other| volume(history, other)).sum();
    is_there && added.iter().all(|other| has_rate(other)) && sum >= least
}

/// What a rule of this name gives a partner for a conversion before its cap, and before what an
/// advance withholds.
pub(crate) fn before_cap(
    history: &History<'_>,
    conversion: &Conversion<'_>,
    partner: &Slug,
    rule: &str,
) -> i64 {
    let matched = matching(history, conversion, partner);
    let Some((terms, rule)) = matched.into_iter().find(|(_, it)| it.id == rule) else {
        return 0;
    };
    let Some(to) = history.currency_of(partner) else {
        return 0;
    };
    let is_refused = history.is_refused(conversion);
    if let Some(rate) = rule.override_rate {
        let below = history.credited(conversion).expect("somebody is credited");
        let Some(from) = history.currency_of(&below) else {
            return 0;
        };
        let own = matching(history, conversion, &below);
        let own = own
            .into_iter()
            .map(|(terms, it)| net(history, conversion, (&below, terms, it)));
        let share = Ratio::of(rate.fraction()).times(Ratio(i128::from(own.sum::<i64>()), 1));
        return exchanged(history, conversion, share, from, to).map_or(0, Ratio::rounded);
    }
    let (gross, from) = gross(history, conversion, (partner, terms, rule));
    let (part, _) = left(history, conversion, rule);
    let part = if is_refused { Ratio(0, 1) } else { part };
    let Some(whole) = gross.and_then(|it| exchanged(history, conversion, it, from, to)) else {
        return 0;
    };
    whole.times(part).rounded()
}

/// What a chargeback costs besides; `None` while nobody knows how much.
fn fee(
    history: &History<'_>,
    conversion: &Conversion<'_>,
    rule: &Rule,
    to: Currency,
) -> Option<i64> {
    let (_, charged) = left(history, conversion, rule);
    let Some(fee) = rule.chargeback_fee.filter(|_| charged) else {
        return Some(0);
    };
    let minor = Ratio::of(fee.decimal()).times(Ratio(100, 1));
    let from = rule.currency.unwrap_or(Currency::USD);
    exchanged(history, conversion, minor, from, to).map(Ratio::rounded)
}

fn exchanged(
    history: &History<'_>,
    conversion: &Conversion<'_>,
    amount: Ratio,
    from: Currency,
    to: Currency,
) -> Option<Ratio> {
    if from == to {
        return Some(amount);
    }
    let rate = history.rate(from, to, conversion.at())?;
    Some(amount.times(Ratio::of(rate)))
}

/// What a rule gives in its own currency, its tiers included.
#[expect(
    clippy::too_many_lines,
    reason = "all prices beside each other, as the model is plain"
)]
fn gross(
    history: &History<'_>,
    conversion: &Conversion<'_>,
    (partner, terms, rule): (&Slug, &Terms, &Rule),
) -> (Option<Ratio>, Currency) {
    let fixed = rule.currency.unwrap_or(Currency::USD);
    let own = conversion.report.currency;
    let reached = |volume: i64, by: TierBy| {
        let steps = rule.tiers.iter().flat_map(|tiers| &tiers.steps);
        let scale = if by == TierBy::Count { 1 } else { 100 };
        let mut steps = steps.filter(move |step| {
            let from = Ratio::of(step.from.decimal());
            from.0 * scale <= i128::from(volume) * from.1
        });
        steps.next_back()
    };
    let Some(tiers) = &rule.tiers else {
        if let Some(cpa) = rule.cpa {
            return (Some(Ratio::of(cpa.decimal()).times(Ratio(100, 1))), fixed);
        }
        if let Some(rate) = rule.revshare {
            let amount = conversion.report.amount_minor;
            let share = |amount| Ratio::of(rate.fraction()).times(Ratio(i128::from(amount), 1));
            return (amount.map(share), own);
        }
        let most = rule
            .max
            .map(|max| max.to_minor(own).expect("a whole amount"));
        let given = conversion.report.payout_minor;
        let given = given.map(|given| most.map_or(given, |most| given.min(most)));
        return (given.map(|given| Ratio(i128::from(given), 1)), own);
    };
    let per = |rule: &Rule| rule.tiers.as_ref().map(|tiers| tiers.per);
    let all = members(history, conversion, (partner, terms, rule), per);
    let before = || all.iter().filter(|other| other.order < conversion.order);
    let is_member = all.iter().any(|other| other.id == conversion.id);
    if let Some(per_unit) = rule.per_unit {
        let number = match tiers.mode {
            TierMode::All => all.len() + usize::from(!is_member),
            TierMode::Above => before().count() + 1,
        };
        let number = i64::try_from(number).expect("few members");
        let price = reached(number, tiers.by)
            .and_then(|step| step.per_unit)
            .unwrap_or(per_unit);
        let quantity = conversion.report.quantity;
        let given = quantity.map(|quantity| {
            let each = Ratio::of(price.decimal()).times(Ratio(100, 1));
            each.times(Ratio::of(quantity.decimal()))
        });
        return (given, fixed);
    }
    let base = rule
        .revshare
        .expect("shares are the other rules with tiers");
    let Some(amount) = conversion.report.amount_minor else {
        return (None, own);
    };
    let rate_at = |volume: i64| {
        let step = reached(volume, tiers.by).and_then(|step| step.revshare);
        Ratio::of(step.unwrap_or(base).fraction())
    };
    let mine = volume(history, conversion);
    let amount = Ratio(i128::from(amount), 1);
    let total: i64 = all.iter().map(|other| volume(history, other)).sum();
    let so_far: i64 = before().map(|other| volume(history, other)).sum();
    let rate = match tiers.mode {
        TierMode::All => rate_at(total + if is_member { 0 } else { mine }),
        TierMode::Above if mine == 0 => rate_at(so_far),
        // Minor unit by minor unit: each at the rate of where it lies.
        TierMode::Above => {
            let (low, high) = (so_far.min(so_far + mine), so_far.max(so_far + mine));
            let each = (low..high).map(|at| {
                let rate = rate_at(at);
                rate.0 * (10_000 / rate.1)
            });
            Ratio(each.sum(), 10_000 * i128::from(mine.abs()))
        }
    };
    (Some(amount.times(rate)), own)
}

/// What a rule gives the credited partner, cap, advance and fee included.
fn net(
    history: &History<'_>,
    conversion: &Conversion<'_>,
    (partner, terms, rule): (&Slug, &Terms, &Rule),
) -> i64 {
    let given = before_cap(history, conversion, partner, &rule.id);
    let given = match rule.revshare {
        Some(_) => beyond_advance(history, conversion, (partner, terms), given),
        None => given,
    };
    let to = history.currency_of(partner).expect("a line has a currency");
    let fee = fee(history, conversion, rule, to).unwrap_or(0);
    capped(history, conversion, (partner, terms, rule), given) - fee
}

/// A share of revenue beyond what was paid in advance for the customer. The rules of the stories
/// share one conversion by one rule at most.
fn beyond_advance(
    history: &History<'_>,
    conversion: &Conversion<'_>,
    (partner, terms): (&Slug, &Terms),
    given: i64,
) -> i64 {
    let has_advance = |terms: &Terms| terms.rules.iter().any(|rule| rule.advance);
    let who = |conversion: &Conversion<'_>| {
        let ours = &conversion.report.references;
        let customer = ours.customer_id.as_ref().map(|id| ("customer", id.clone()));
        customer.or_else(|| ours.click_id.as_ref().map(|id| ("click", id.clone())))
    };
    if !has_advance(terms) || who(conversion).is_none() {
        return given;
    }
    let same = |other: &&Conversion<'_>| {
        other.report.offer == conversion.report.offer
            && who(other) == who(conversion)
            && history.credited(other).as_ref() == Some(partner)
            && history
                .terms(&other.report.offer, partner, other.at())
                .is_some_and(has_advance)
    };
    let (mut advanced, mut so_far) = (0_i64, 0_i64);
    for other in history.conversions.iter().filter(same) {
        let mut on_this = 0;
        for (terms, rule) in matching(history, other, partner) {
            if rule.advance {
                let given = before_cap(history, other, partner, &rule.id);
                on_this += capped(history, other, (partner, terms, rule), given);
            }
            if rule.revshare.is_some() && other.order < conversion.order {
                so_far += before_cap(history, other, partner, &rule.id);
            }
        }
        advanced += on_this.max(0);
    }
    if advanced == 0 {
        return given;
    }
    (so_far + given - advanced).max(0) - (so_far - advanced).max(0)
}

/// Partner, currency, whether it resets, zone, offer, customer; and the month.
type Fenced = (Slug, Currency, bool, String, String, String);

/// A month of a fence.
#[derive(Default)]
struct Month {
    earned: i64,
    /// What each player earned whose losses may be carried.
    players: BTreeMap<String, i64>,
    /// What makes a high roller.
    from: Option<i64>,
}

/// What the ends of months add to each balance.
pub(crate) fn carryovers(history: &History<'_>) -> BTreeMap<(Slug, Currency), i64> {
    let mut months = BTreeMap::<Fenced, BTreeMap<(i32, u32), Month>>::new();
    for conversion in &history.conversions {
        for line in lines(history, conversion) {
            let offer = &conversion.report.offer;
            let at = conversion.at();
            let terms = history
                .terms(offer, &line.partner, at)
                .expect("a line has terms");
            let resets = terms.carryover == Carryover::Reset;
            let counts = line.lasting();
            if counts == 0 || (!resets && terms.fence == Fence::Partner) {
                continue;
            }
            let ours = &conversion.report.references;
            let customer = ours.customer_id.as_ref().map(|id| format!("customer {id}"));
            let customer = customer.or(ours.click_id.as_ref().map(|id| format!("click {id}")));
            let player = customer
                .as_ref()
                .map(|customer| format!("{offer} {customer}"));
            let (offer, customer) = match terms.fence {
                Fence::Partner => (String::new(), String::new()),
                Fence::Offer => (offer.to_string(), String::new()),
                Fence::Customer => (offer.to_string(), customer.unwrap_or_default()),
            };
            let zone = terms.time_zone.to_string();
            let fence = (line.partner, line.currency, resets, zone, offer, customer);
            let month = at.to_chrono().with_timezone(&terms.time_zone);
            let month = (month.year(), month.month());
            let month = months.entry(fence).or_default().entry(month).or_default();
            month.earned += counts;
            if let Some(from) = terms.high_roller_from {
                let from = from.to_minor(line.currency).expect("a whole amount");
                month.from = Some(month.from.map_or(from, |least| least.min(from)));
                if let Some(player) = player {
                    *month.players.entry(player).or_default() += counts;
                }
            }
        }
    }
    let mut sums = BTreeMap::new();
    for ((partner, currency, resets, ..), months) in months {
        let mut debt = 0_i64;
        let mut debts = BTreeMap::<String, i64>::new();
        for month in months.into_values() {
            let mut worked_off = 0;
            for (player, debt) in &mut debts {
                let earned = month.players.get(player).copied().unwrap_or(0);
                let part = earned.clamp(0, *debt);
                *debt -= part;
                worked_off += part;
            }
            let lacks = (debt + worked_off - month.earned).max(0);
            *sums.entry((partner.clone(), currency)).or_default() += lacks - debt - worked_off;
            debt = if resets { 0 } else { lacks };
            if resets {
                carry_against_high_rollers(&month, lacks, &mut debts);
            }
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// HR1 to HR6: what a month lacks, in proportion to what its high rollers lost and no more than that.
fn carry_against_high_rollers(month: &Month, lacks: i64, debts: &mut BTreeMap<String, i64>) {
    let Some(from) = month.from else { return };
    let players = month.players.iter();
    let mut rollers: Vec<_> = players
        .filter(|(_, earned)| **earned <= -from)
        .map(|(player, earned)| (*earned, player))
        .collect();
    rollers.sort();
    let all: i64 = rollers.iter().map(|(earned, _)| -earned).sum();
    let carried = lacks.min(all);
    let mut so_far = 0;
    for (earned, player) in rollers {
        let before = carried * so_far / all;
        so_far -= earned;
        *debts.entry(player.clone()).or_default() += carried * so_far / all - before;
    }
}

/// What the advertisers owe by the prices in the terms of who is credited.
pub(crate) fn receivable(history: &History<'_>) -> BTreeMap<Currency, i64> {
    let mut sums = BTreeMap::new();
    for conversion in &history.conversions {
        let offer = &conversion.report.offer;
        let partner = history.credited(conversion);
        let terms = partner.and_then(|it| history.terms(offer, &it, conversion.at()));
        for price in terms.into_iter().flat_map(|terms| &terms.prices) {
            let is_due = price.on.0 == conversion.report.kind
                && !history.is_refused(conversion)
                && !waits_for_somebody(history, conversion, price)
                && !waits_for_rate(history, conversion, price);
            let (Some(rate), Some(amount), true) =
                (price.revshare, conversion.report.amount_minor, is_due)
            else {
                continue;
            };
            let whole = Ratio::of(rate.fraction()).times(Ratio(i128::from(amount), 1));
            let part = left(history, conversion, price).0;
            *sums.entry(conversion.report.currency).or_default() += whole.times(part).rounded();
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}
