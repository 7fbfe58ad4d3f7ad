//! Why a conversion earns what it earns: the ordered steps from the facts to the money.
//!
//! Nothing is derived again here: the rows say what came out, the facts say what it came from, and
//! every step names the position of the fact that it stands on.

mod changes;
mod derived;
mod facts;
mod posted;
pub mod sums;
pub mod trace;
mod tree;

use std::fmt::{self, Write as _};

use postbook_schemas::{
    Currency, Fact, FactId, Month, Slug, configuration::TermsPublished, envelope::Recorded,
    terms::Rule,
};
use serde::Serialize;

pub use facts::is_about_one;

use trace::Trace;

use crate::rows::{ConversionRow, EarningLine, PayoutRow, Posting};

/// The reason of an attribution of which whoever asks may not know whose it is.
pub const ANOTHER_PARTNER: &str = "another_partner";

/// What an explanation is made from.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The conversion.
    pub conversion: ConversionRow,
    /// All facts that concern it, in the order of the log.
    pub facts: Vec<Recorded>,
    /// Where the click is that counted.
    pub click_position: Option<u64>,
    /// The versions of terms that its lines name, with their positions.
    pub terms: Vec<(u64, TermsPublished)>,
    /// What was posted for it.
    pub postings: Vec<Posting>,
    /// The payouts that carry it.
    pub payouts: Vec<PayoutRow>,
    /// The statements in which its postings stand.
    pub statements: Vec<Told>,
    /// How its lines were derived, if the book could be asked.
    pub trace: Option<Trace>,
}

/// A statement that tells a partner about some of the postings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Where it is.
    pub position: u64,
    /// Its id.
    pub id: FactId,
    /// The partner's statements, counted from 1.
    pub number: u64,
    /// Whom it tells.
    pub partner: Slug,
    /// Its month.
    pub period: Month,
    /// Its currency.
    pub currency: Currency,
}

/// The steps from facts to money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The conversion, if it is one that is explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_id: Option<FactId>,
    /// What is explained: `conversion …`, `balance of p1 in USD`, …
    pub subject: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// One step, with those that it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What kind of step: `facts`, `attribution`, `earning`, `rule`, `status`, `changes`, `posting`, …
    pub step: &'static str,
    /// What it says, for people.
    pub says: String,
    /// The fact it stands on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// What it comes to, in minor units; of sums, maybe beyond 64 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<i128>,
    /// The currency of the amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// The steps it is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Self>,
}

impl Step {
    fn new(step: &'static str, says: impl Into<String>) -> Self {
        Self {
            step,
            says: says.into(),
            ..Self::default()
        }
    }

    fn at(mut self, position: u64) -> Self {
        self.position = Some(position);
        self
    }

    fn comes_to(mut self, amount_minor: impl Into<i128>, currency: Currency) -> Self {
        self.amount_minor = Some(amount_minor.into());
        self.currency = Some(currency);
        self
    }

    fn with(mut self, details: Vec<Self>) -> Self {
        self.details = details;
        self
    }
}

/// Explains a conversion.
pub fn explain(evidence: &Evidence) -> Explanation {
    let mut steps = vec![
        all_facts(evidence),
        attribution(evidence),
        changes::status(evidence),
    ];
    steps.extend(changes::changes(evidence));
    steps.extend(
        evidence
            .conversion
            .earnings
            .iter()
            .map(|line| earning(evidence, line)),
    );
    steps.push(posted::postings(evidence));
    let told = evidence.statements.iter();
    steps.extend(told.filter_map(|told| posted::statement(evidence, told)));
    steps.extend(evidence.payouts.iter().map(posted::payout));
    Explanation {
        conversion_id: Some(evidence.conversion.id),
        subject: format!("conversion {}", evidence.conversion.id),
        steps,
    }
}

fn all_facts(evidence: &Evidence) -> Step {
    let row = &evidence.conversion;
    let amount = row.amount_minor.map_or_else(
        || "no amount".to_owned(),
        |minor| money(minor, row.currency),
    );
    let reference = row
        .txn_id
        .as_ref()
        .map_or_else(String::new, |txn| format!(" in {txn}"));
    let sandbox = if row.sandbox { ", as a test" } else { "" };
    let says = format!(
        "{} of {} reported{reference}: {amount}, at {}{sandbox}",
        row.kind, row.offer, row.occurred_at
    );
    let named = evidence.facts.iter();
    let named = named.map(|fact| facts::named(evidence, fact));
    let step = Step::new("facts", says)
        .at(row.position)
        .with(named.collect());
    match row.amount_minor {
        Some(minor) => step.comes_to(minor, row.currency),
        None => step,
    }
}

fn attribution(evidence: &Evidence) -> Step {
    let attribution = &evidence.conversion.attribution;
    let says = match &attribution.partner {
        Some(partner) => format!("credited to {partner}: {}", attribution.reason),
        None if attribution.reason == ANOTHER_PARTNER => "credited to another partner".to_owned(),
        None => format!("credited to nobody: {}", attribution.reason),
    };
    let mut details = Vec::new();
    if let Some(click_id) = &attribution.click_id {
        let mut click = Step::new("click", format!("click {click_id} counted"));
        click.position = evidence.click_position;
        details.push(click);
    }
    for fact in facts::own(evidence) {
        if let Fact::AttributionCorrected(corrected) = &fact.envelope.fact {
            let says = format!("corrected by {}: {}", fact.envelope.actor, corrected.reason);
            details.push(Step::new("correction", says).at(fact.position));
        }
    }
    let sources = evidence.trace.iter().flat_map(|trace| &trace.sources);
    for source in sources.filter(|source| source.what != "correction") {
        let mut step = Step::new(source.what, source.says.clone());
        step.position = source.position;
        if source.what != "click" || attribution.click_id.is_none() {
            details.push(step);
        }
    }
    for loser in &attribution.losers {
        let whom = loser
            .partner
            .as_ref()
            .map_or_else(String::new, |partner| format!(" ({partner})"));
        let says = format!("{}{whom} lost: {}", loser.by.code(), loser.reason);
        details.push(Step::new("loser", says));
    }
    Step::new("attribution", says)
        .at(evidence.conversion.position)
        .with(details)
}

fn earning(evidence: &Evidence, line: &EarningLine) -> Step {
    let name = line.rule.as_deref().unwrap_or("no rule");
    let partner = line
        .partner
        .as_ref()
        .map_or("nobody", |partner| partner.as_str());
    let mut says = format!("{name} gives {partner} ");
    match (line.currency, line.reason) {
        (_, Some(reason)) if line.amount_minor == 0 => {
            add(&mut says, format_args!("nothing: {}", reason.code()));
        }
        (Some(currency), reason) => {
            let amount = money(line.amount_minor, currency);
            add(&mut says, format_args!("{amount}, {}", line.state.code()));
            if let Some(reason) = reason {
                add(&mut says, format_args!(": {}", reason.code()));
            }
        }
        (None, _) => says.push_str(line.state.code()),
    }
    if let Some(at) = line.available_at {
        add(&mut says, format_args!(", payable from {at}"));
    }
    let mut details: Vec<Step> = rule(evidence, line).into_iter().collect();
    details.extend(derived::steps(evidence.trace.as_ref(), line));
    if let Some(currency) = line.currency {
        details.extend(totals(line, currency));
    }
    let step = Step::new("earning", says)
        .at(evidence.conversion.position)
        .with(details);
    match line.currency {
        Some(currency) => step.comes_to(line.amount_minor, currency),
        None => step,
    }
}

/// The rule as it was published.
fn rule(evidence: &Evidence, line: &EarningLine) -> Option<Step> {
    let version = line.terms_version.as_deref()?;
    let (position, published) = evidence
        .terms
        .iter()
        .find(|(_, terms)| terms.version == version)?;
    let name = line.rule.as_deref()?;
    let rule = published.terms.rules.iter().find(|rule| rule.id == name)?;
    let says = format!("terms {version}, rule {name}: {}", rule_text(rule));
    Some(Step::new("rule", says).at(*position))
}

fn rule_text(rule: &Rule) -> String {
    let Ok(serde_json::Value::Object(keys)) = serde_json::to_value(rule) else {
        return String::new();
    };
    let keys = keys.into_iter().filter(|(key, _)| key != "id");
    let keys = keys.map(|(key, value)| match value.as_str() {
        Some(text) => format!("{key} = {text}"),
        None => format!("{key} = {value}"),
    });
    keys.collect::<Vec<_>>().join(", ")
}

/// How the line got from what it first earned to what it earns now.
fn totals(line: &EarningLine, currency: Currency) -> Vec<Step> {
    [
        ("earned", line.earned_minor),
        ("reversed", line.reversed_minor),
        ("clawed_back", line.clawed_back_minor),
        ("recovered", line.recovered_minor),
        ("written_off", line.written_off_minor),
        ("paid", line.carried_minor),
    ]
    .into_iter()
    .filter(|(_, minor)| *minor != 0)
    .map(|(word, minor)| {
        let says = format!("{} {}", word.replace('_', " "), money(minor, currency));
        Step::new(word, says).comes_to(minor, currency)
    })
    .collect()
}

/// Adds to a text.
fn add(text: &mut String, more: fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a text takes any text");
}

fn money(minor: impl Into<i128>, currency: Currency) -> String {
    currency.format_money(minor)
}
