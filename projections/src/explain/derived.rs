//! The steps from a rule to the amount of its line: tiers, price, rate, rounding, refunds, advance, cap.

use postbook_schemas::Currency;

use super::{
    Step, money,
    trace::{CapTrace, LineTrace, RateTrace, TierTrace, Trace, UnmetTrace},
};
use crate::{conditions::Unmet, rows::EarningLine};

/// The steps of a line, in the order in which they are derived; none where the book was not asked.
pub(super) fn steps(trace: Option<&Trace>, line: &EarningLine) -> Vec<Step> {
    let Some(trace) = trace else {
        return Vec::new();
    };
    let is_it = |it: &&LineTrace| {
        Some(&it.partner) == line.partner.as_ref() && Some(it.rule.as_str()) == line.rule.as_deref()
    };
    match trace.lines.iter().find(is_it) {
        Some(derived) => {
            let mut steps = tried_before(trace, derived);
            steps.extend(line_steps(derived));
            steps
        }
        None => unmet(trace, line),
    }
}

/// The rules of its group that come before the one that prices, and why each does not.
fn tried_before(trace: &Trace, line: &LineTrace) -> Vec<Step> {
    let Some(group) = &line.group else {
        return Vec::new();
    };
    let before = trace.unmet.iter().filter(|it| {
        it.partner == line.partner && it.group.as_ref() == Some(group) && it.rule != line.rule
    });
    let steps = before.map(|it| {
        let says = format!("rule {} of group {group} comes first: {}", it.rule, why(it));
        let mut step = Step::new("condition", says);
        step.position = it.terms_position;
        step
    });
    steps.collect()
}

/// The condition that keeps a rule from pricing.
fn unmet(trace: &Trace, line: &EarningLine) -> Vec<Step> {
    let all = trace.unmet.iter().filter(|it| {
        Some(&it.partner) == line.partner.as_ref() && Some(it.rule.as_str()) == line.rule.as_deref()
    });
    all.map(|it| Step::new("condition", why(it))).collect()
}

/// Why a rule does not price.
fn why(it: &UnmetTrace) -> String {
    match it.unmet {
        Unmet::Not(key) => format!("`{key}` does not hold"),
        Unmet::Total(_) => {
            let told = it.total.as_deref().unwrap_or_default();
            format!("`total_at_least` does not hold: {told}")
        }
        Unmet::AwaitsRate => "an amount awaits an exchange rate".to_owned(),
    }
}

fn line_steps(line: &LineTrace) -> Vec<Step> {
    let currency = line.currency;
    let mut steps = Vec::new();
    if line.level > 0 {
        steps.push(Step::new(
            "level",
            format!("{} above the credited partner", line.level),
        ));
    }
    steps.extend(line.tier.as_ref().map(tier));
    let mut price = Step::new("price", line.price.clone());
    price.position = line.terms_position;
    steps.push(price);
    if let Some((minor, below)) = line.below_minor {
        let says = format!("the partner below earns {}", money(minor, below));
        steps.push(Step::new("below", says).comes_to(minor, below));
    }
    steps.extend(line.rate.as_ref().map(rate));
    if let Some(exact) = &line.exact {
        let says = format!("comes to {exact} minor units of {currency}");
        steps.push(Step::new("exact", says));
        let says = format!("rounded half to even: {}", money(line.base_minor, currency));
        steps.push(Step::new("rounding", says).comes_to(line.base_minor, currency));
    }
    if line.left_minor != line.base_minor {
        steps.push(left(line, currency));
    }
    if let Some(advance) = &line.advance {
        let says = format!(
            "{} were paid in advance, earlier shares come to {}; beyond it this gives {}",
            money(advance.advanced_minor, currency),
            money(advance.before_minor, currency),
            money(advance.beyond_minor, currency)
        );
        steps.push(Step::new("advance", says).comes_to(advance.beyond_minor, currency));
    }
    steps.extend(line.cap.as_ref().map(|it| cap(it, currency)));
    steps.extend(line.fee.map(|fee| match fee {
        Some(minor) => {
            let says = format!("the chargeback costs {} besides", money(minor, currency));
            Step::new("fee", says).comes_to(minor, currency)
        }
        None => Step::new("fee", "what the chargeback costs besides waits for a rate"),
    }));
    let says = match line.reason {
        Some(reason) => format!("gives nothing: {}", reason.code()),
        None => format!("gives {}", money(line.net_minor, currency)),
    };
    steps.push(Step::new("result", says).comes_to(line.net_minor, currency));
    steps
}

fn tier(tier: &TierTrace) -> Step {
    let says = format!(
        "tiers {}: {} before it ({}), {} in all ({}); {} decides",
        tier.says,
        tier.before_count,
        money(tier.before_minor, tier.currency),
        tier.total_count,
        money(tier.total_minor, tier.currency),
        if tier.is_by_amount {
            money(tier.reached, tier.currency)
        } else {
            tier.reached.to_string()
        }
    );
    Step::new("tier", says).with(last(&tier.last))
}

fn cap(cap: &CapTrace, currency: Currency) -> Step {
    let mut says = format!(
        "cap {}: {} before it took {}",
        cap.says,
        cap.before_count,
        money(cap.before_minor, currency)
    );
    if let Some(left) = cap.left_count {
        says = format!("{says}, {left} places left");
    }
    if let Some(left) = cap.left_minor {
        says = format!("{says}, {} left", money(left, currency));
    }
    Step::new("cap", says).with(last(&cap.last))
}

/// The conversions that were counted last before this one.
fn last(positions: &[u64]) -> Vec<Step> {
    let steps = positions
        .iter()
        .map(|&position| Step::new("counted", "counted before it").at(position));
    steps.collect()
}

/// An exchange rate, or that there is none.
pub(super) fn rate(rate: &RateTrace) -> Step {
    let says = match (&rate.rate, rate.at) {
        (Some(number), Some(at)) => {
            format!("1 {} is {number} {} from {at} on", rate.base, rate.quote)
        }
        _ => format!(
            "no rate of {} in {} is known for then",
            rate.base, rate.quote
        ),
    };
    let mut step = Step::new("rate", says);
    step.position = rate.position;
    step
}

fn left(line: &LineTrace, currency: Currency) -> Step {
    let (part, of) = line.left;
    let says = format!(
        "refunds, chargebacks, abuse and status leave {part} of {of}: {}",
        money(line.left_minor, currency)
    );
    Step::new("left", says).comes_to(line.left_minor, currency)
}
