//! The plan: what applying programme files would define, as lines for people and facts for the log.

use std::fmt;

use postbook_schemas::{
    Fact, Instant, configuration::TermsPublished, mapping::Mapping, programme::terms_version,
    terms::Terms,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    known::{Known, coupon_key, rate_key},
    mapping_lines,
    source::ProgrammeFile,
};

/// What applying programme files would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What becomes new or different, in the order in which it must be appended.
    pub changes: Vec<Change>,
    /// How many definitions say what holds already.
    pub unchanged: usize,
}

/// Whether something is new or differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// It was not there.
    Added,
    /// It was there, with other values.
    Changed,
}

/// One definition that is new or differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Whether it is new.
    pub sign: Sign,
    /// What it is, as `offer acme/casino`.
    pub subject: String,
    /// What differs: `campaign a → b`.
    pub details: Vec<String>,
    /// The fact that says it.
    pub fact: Fact,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.sign {
            Sign::Added => '+',
            Sign::Changed => '~',
        };
        write!(f, "{sign} {}", self.subject)?;
        if !self.details.is_empty() {
            write!(f, ": {}", self.details.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(f, "{change}")?;
        }
        write!(f, "= {} unchanged", self.unchanged)
    }
}

impl Plan {
    /// The plan of files that were checked.
    pub(super) fn new(files: &[ProgrammeFile], known: &Known) -> Self {
        let mut plan = Self::default();
        let programmes = || files.iter().map(ProgrammeFile::programme);
        // What others refer to comes first, so that no fact in the log names what is not there yet.
        for brand in programmes().flat_map(|programme| &programme.brands) {
            let subject = format!("brand {}", brand.slug);
            let before = known.brands().get(&brand.slug);
            plan.compare(subject, before, brand, Fact::BrandDefined);
        }
        for offer in programmes().flat_map(|programme| &programme.offers) {
            let subject = format!("offer {}", offer.reference());
            let before = known.offers().get(&offer.reference());
            plan.compare(subject, before, offer, Fact::OfferDefined);
        }
        for partner in programmes().flat_map(|programme| &programme.partners) {
            let subject = format!("partner {}", partner.slug);
            let before = known.partners().get(&partner.slug);
            plan.compare(subject, before, partner, Fact::PartnerDefined);
        }
        for link in programmes().flat_map(|programme| &programme.links) {
            let subject = format!("link {}", link.slug);
            let before = known.links().get(&link.slug);
            plan.compare(subject, before, link, Fact::LinkDefined);
        }
        for coupon in programmes().flat_map(|programme| &programme.coupons) {
            let subject = format!("coupon {} of {}", coupon.code, coupon.offer);
            let before = known.coupons().get(&coupon_key(coupon));
            plan.compare(subject, before, coupon, Fact::CouponDefined);
        }
        for mapping in programmes().flat_map(|programme| &programme.mappings) {
            plan.mapping(mapping, known);
        }
        for rate in programmes().flat_map(|programme| &programme.fx_rates) {
            let subject = format!("fx_rate {}/{} at {}", rate.base, rate.quote, day(rate.at));
            let before = known.rates().get(&rate_key(rate));
            plan.compare(subject, before, rate, Fact::FxRateRecorded);
        }
        for terms in programmes().flat_map(|programme| &programme.terms) {
            plan.terms(terms, known);
        }
        plan
    }

    /// Whether applying it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn compare<T: Clone + PartialEq + Serialize>(
        &mut self,
        subject: String,
        before: Option<&T>,
        now: &T,
        fact: impl FnOnce(T) -> Fact,
    ) {
        if before == Some(now) {
            self.unchanged += 1;
            return;
        }
        self.changes.push(Change {
            sign: before.map_or(Sign::Added, |_| Sign::Changed),
            subject,
            details: before.map_or_else(Vec::new, |before| differences(before, now)),
            fact: fact(now.clone()),
        });
    }

    fn mapping(&mut self, mapping: &Mapping, known: &Known) {
        let nothing = Mapping::none(mapping.offer.clone());
        let before = known.mappings().get(&mapping.offer).unwrap_or(&nothing);
        if before == mapping {
            self.unchanged += 1;
            return;
        }
        let sign = if before.is_none() {
            Sign::Added
        } else {
            Sign::Changed
        };
        self.changes.push(Change {
            sign,
            subject: format!("mapping {}", mapping.offer),
            details: mapping_lines::differences(before, mapping),
            fact: Fact::MappingDefined(mapping.clone()),
        });
    }

    fn terms(&mut self, terms: &Terms, known: &Known) {
        let key = (
            terms.offer.clone(),
            terms.partner.clone(),
            terms.effective_from,
        );
        let version = terms_version(terms);
        let before = known.terms().get(&key);
        if before.is_some_and(|before| before.version == version) {
            self.unchanged += 1;
            return;
        }
        let rules = match terms.rules.len() {
            1 => "1 rule".to_owned(),
            count => format!("{count} rules"),
        };
        let details = match before {
            Some(before) => {
                let mut details = vec![format!("version {} → {version}", before.version)];
                details.extend(terms_differences(&before.terms, terms));
                details
            }
            None => vec![format!("version {version}, {rules}")],
        };
        self.changes.push(Change {
            sign: before.map_or(Sign::Added, |_| Sign::Changed),
            subject: terms_subject(terms),
            details,
            fact: Fact::TermsPublished(TermsPublished {
                version,
                terms: terms.clone(),
            }),
        });
    }
}

/// What differs between two versions of terms, rule by rule.
fn terms_differences(before: &Terms, now: &Terms) -> Vec<String> {
    let without_rules = |terms: &Terms| Terms {
        rules: Vec::new(),
        ..terms.clone()
    };
    let mut details = differences(&without_rules(before), &without_rules(now));
    let find = |terms: &Terms, id: &str| terms.rules.iter().find(|rule| rule.id == id).cloned();
    for rule in &now.rules {
        match find(before, &rule.id) {
            None => details.push(format!("rule {} added", rule.id)),
            Some(before) => details.extend(
                differences(&before, rule)
                    .into_iter()
                    .map(|difference| format!("rule {} {difference}", rule.id)),
            ),
        }
    }
    let is_gone = |id: &str| find(now, id).is_none();
    let gone = before.rules.iter().filter(|rule| is_gone(&rule.id));
    details.extend(gone.map(|rule| format!("rule {} dropped", rule.id)));
    let order = |terms: &Terms| -> Vec<String> {
        let ids = terms.rules.iter().map(|rule| rule.id.clone());
        ids.filter(|id| find(before, id).is_some() && !is_gone(id))
            .collect()
    };
    if order(before) != order(now) {
        details.push("rules in another order".to_owned());
    }
    details
}

/// How messages call terms.
pub(super) fn terms_subject(terms: &Terms) -> String {
    format!(
        "terms of {} for {} from {}",
        terms.offer,
        terms.partner,
        day(terms.effective_from)
    )
}

/// An instant as short as it can be written without loss.
fn day(instant: Instant) -> String {
    let text = instant.to_string();
    let text = text.replace(".000000Z", "Z");
    text.strip_suffix("T00:00:00Z")
        .map_or_else(|| text.clone(), str::to_owned)
}

/// What differs between two definitions, key by key.
fn differences<T: Serialize>(before: &T, now: &T) -> Vec<String> {
    let object = |value: &T| match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    let (before, now) = (object(before), object(now));
    let mut keys: Vec<_> = before.keys().chain(now.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .filter(|&key| before.get(key) != now.get(key))
        .map(|key| {
            let (before, now) = (before.get(key), now.get(key));
            match (before, now) {
                // Rules and routes are too long for a line: that they differ is said, and how many.
                (Some(Value::Array(before)), Some(Value::Array(now)))
                    if before.iter().chain(now).any(Value::is_object) =>
                {
                    format!("{key} differs")
                }
                _ => format!("{key} {} → {}", shown(before), shown(now)),
            }
        })
        .collect()
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}
