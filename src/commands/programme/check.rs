//! Checks of programme files: what they define must fit together and with what is there already.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use postbook_schemas::{
    Event, Kind, OfferRef, Slug,
    bank::Bank,
    configuration::{Brand, Coupon, FxRate, Link, Offer, Partner, Route},
};

use crate::{commands::payout::name_for_banks, directory::is_reserved};

use super::{
    check_mapping, check_terms,
    known::{Known, coupon_key, rate_key},
    plan::terms_subject,
    source::{Place, Problem, ProgrammeFile},
};

/// Checks all files together.
pub(super) fn check(files: &[ProgrammeFile], known: &Known) -> Vec<Problem> {
    let mut checker = Checker {
        world: World::new(files, known),
        known,
        problems: Vec::new(),
        defined: BTreeMap::new(),
    };
    for file in files {
        checker.file(file);
    }
    checker.problems
}

/// Everything that is defined once the files are applied.
#[derive(Debug)]
pub(super) struct World<'a> {
    brands: BTreeMap<&'a Slug, &'a Brand>,
    offers: BTreeMap<OfferRef, &'a Offer>,
    partners: BTreeMap<&'a Slug, &'a Partner>,
}

impl<'a> World<'a> {
    fn new(files: &'a [ProgrammeFile], known: &'a Known) -> Self {
        let programmes = || files.iter().map(ProgrammeFile::programme);
        let brands = programmes().flat_map(|programme| &programme.brands);
        let offers = programmes().flat_map(|programme| &programme.offers);
        let partners = programmes().flat_map(|programme| &programme.partners);
        Self {
            brands: (known.brands().iter().map(|(_, brand)| brand).chain(brands))
                .map(|brand| (&brand.slug, brand))
                .collect(),
            offers: (known.offers().iter().map(|(_, offer)| offer).chain(offers))
                .map(|offer| (offer.reference(), offer))
                .collect(),
            partners: (known
                .partners()
                .iter()
                .map(|(_, partner)| partner)
                .chain(partners))
            .map(|partner| (&partner.slug, partner))
            .collect(),
        }
    }

    pub(super) fn offer(&self, reference: &OfferRef) -> Option<&'a Offer> {
        self.offers.get(reference).copied()
    }

    pub(super) fn partner(&self, slug: &Slug) -> Option<&'a Partner> {
        self.partners.get(slug).copied()
    }
}

/// Whether a kind is built in or declared by the offer.
pub(super) fn is_known_kind(kind: &Kind, offer: &Offer) -> bool {
    match kind {
        Kind::Goal(name) => offer.goals.contains(name),
        _ => true,
    }
}

struct Checker<'a> {
    world: World<'a>,
    known: &'a Known,
    problems: Vec<Problem>,
    /// What was defined in these files, and where.
    defined: BTreeMap<String, String>,
}

impl Checker<'_> {
    fn file(&mut self, file: &ProgrammeFile) {
        let programme = file.programme();
        for (index, brand) in programme.brands.iter().enumerate() {
            let place = file.place("brand", index, format!("brand {}", brand.slug));
            self.once(&place, format!("brand {}", brand.slug));
            self.bank(&place, brand.bank.as_ref());
        }
        for (index, offer) in programme.offers.iter().enumerate() {
            self.offer(
                &file.place("offer", index, format!("offer {}", offer.reference())),
                offer,
            );
        }
        for (index, partner) in programme.partners.iter().enumerate() {
            self.partner(
                &file.place("partner", index, format!("partner {}", partner.slug)),
                partner,
            );
        }
        for (index, link) in programme.links.iter().enumerate() {
            self.link(
                &file.place("link", index, format!("link {}", link.slug)),
                link,
            );
        }
        for (index, coupon) in programme.coupons.iter().enumerate() {
            self.coupon(
                &file.place("coupon", index, format!("coupon {}", coupon.code)),
                coupon,
            );
        }
        for (index, mapping) in programme.mappings.iter().enumerate() {
            let subject = format!("mapping {}", mapping.offer);
            let place = file.place("mapping", index, subject.clone());
            self.once(&place, subject);
            check_mapping::check(&self.world, &place, mapping, &mut self.problems);
        }
        for (index, rate) in programme.fx_rates.iter().enumerate() {
            let subject = format!("fx_rate {}/{}", rate.base, rate.quote);
            self.rate(&file.place("fx_rate", index, subject), rate);
        }
        for (index, terms) in programme.terms.iter().enumerate() {
            let place = file.place("terms", index, terms_subject(terms));
            self.once(&place, terms_subject(terms));
            check_terms::check(&self.world, &place, terms, &mut self.problems);
        }
    }

    fn problem(&mut self, place: &Place<'_>, key: &str, detail: impl Into<String>) {
        self.problems.push(place.problem(key, detail));
    }

    /// Notes a definition, and that it is the only one of its thing.
    fn once(&mut self, place: &Place<'_>, thing: String) {
        if let Some(first) = self.defined.get(&thing) {
            let detail = format!("defined twice, first in {first}");
            self.problem(place, "", detail);
        } else {
            self.defined.insert(thing, place.position());
        }
    }

    fn offer(&mut self, place: &Place<'_>, offer: &Offer) {
        self.once(place, format!("offer {}", offer.reference()));
        if !self.world.brands.contains_key(&offer.brand) {
            self.problem(place, "brand", unknown("brand", &offer.brand));
        }
        self.url(place, "destination", &offer.destination);
        if offer.click_param.is_empty()
            || !offer
                .click_param
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        {
            self.problem(
                place,
                "click_param",
                "write letters, digits, '-', '_' and '.'",
            );
        }
        let candidates: BTreeSet<_> = offer.attribution.iter().collect();
        if candidates.is_empty() || candidates.len() < offer.attribution.len() {
            self.problem(
                place,
                "attribution",
                "name each candidate once, and at least one",
            );
        }
        for goal in &offer.goals {
            if Event::parse(goal, &[]).is_some() {
                self.problem(place, "goals", format!("`{goal}` is built in already"));
            } else if goal.is_empty()
                || goal.len() > 64
                || !goal
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            {
                let detail = format!("`{goal}` is not a goal: letters, digits, '-', '_' and '.'");
                self.problem(place, "goals", detail);
            }
        }
        if !matches!(
            Event::parse(&offer.default_event, &offer.goals),
            Some(Event::Report(_))
        ) {
            let detail = format!(
                "`{}` is neither a built-in kind nor one of `goals`",
                offer.default_event
            );
            self.problem(place, "default_event", detail);
        }
        for (index, route) in offer.routes.iter().enumerate() {
            self.route(&place.below(&format!("route[{index}]")), route);
        }
    }

    fn route(&mut self, place: &Place<'_>, route: &Route) {
        self.url(place, "destination", &route.destination);
        if let Some(country) = route.country.iter().find(|country| !is_country(country)) {
            self.problem(place, "country", not_a_country(country));
        }
        if route
            .weight
            .is_some_and(|weight| weight == 0 || weight > 100)
        {
            self.problem(place, "weight", "percent of the visitors, from 1 to 100");
        }
        if let (Some(from), Some(until)) = (route.from, route.until)
            && from >= until
        {
            self.problem(place, "until", "must be later than `from`");
        }
    }

    fn partner(&mut self, place: &Place<'_>, partner: &Partner) {
        self.once(place, format!("partner {}", partner.slug));
        self.bank(place, partner.bank.as_ref());
        let before = self.known.partners().get(&partner.slug);
        if let Some(before) = before
            && before.currency != partner.currency
            && self.known.is_bound_to_currency(&partner.slug)
        {
            let detail = format!(
                "is {} and stays so, since the partner has a history; define another partner to pay in {}",
                before.currency, partner.currency
            );
            self.problem(place, "currency", detail);
        }
        let Some(parent) = &partner.parent else {
            return;
        };
        if self.world.partner(parent).is_none() {
            self.problem(place, "parent", unknown("partner", parent));
        } else if self.is_own_ancestor(partner) {
            let detail = format!("`{parent}` is itself below `{}`", partner.slug);
            self.problem(place, "parent", detail);
        }
    }

    fn bank(&mut self, place: &Place<'_>, bank: Option<&Bank>) {
        if bank.is_some_and(|bank| name_for_banks(&bank.name).is_empty()) {
            self.problem(place, "bank.name", "banks can write no letter of it");
        }
    }

    fn is_own_ancestor(&self, partner: &Partner) -> bool {
        let mut seen = BTreeSet::new();
        let mut above = partner.parent.as_ref();
        while let Some(slug) = above {
            if *slug == partner.slug {
                return true;
            }
            // Another partner's circle is that partner's problem.
            if !seen.insert(slug) {
                return false;
            }
            above = self
                .world
                .partner(slug)
                .and_then(|partner| partner.parent.as_ref());
        }
        false
    }

    fn link(&mut self, place: &Place<'_>, link: &Link) {
        self.once(place, format!("link {}", link.slug));
        if is_reserved(link.slug.as_str()) {
            let detail = format!("`{}` is a path of the service itself", link.slug);
            self.problem(place, "slug", detail);
        }
        self.references(place, &link.offer, &link.partner);
        if let Some(destination) = &link.destination {
            self.url(place, "destination", destination);
        }
    }

    fn coupon(&mut self, place: &Place<'_>, coupon: &Coupon) {
        let (code, offer, from) = coupon_key(coupon);
        self.once(place, format!("coupon {code} {offer} {from:?}"));
        if coupon.code.trim() != coupon.code
            || coupon.code.is_empty()
            || coupon.code.chars().any(char::is_control)
        {
            self.problem(
                place,
                "code",
                "must not be empty, nor begin or end with a space",
            );
        }
        self.references(place, &coupon.offer, &coupon.partner);
    }

    fn rate(&mut self, place: &Place<'_>, rate: &FxRate) {
        self.once(place, format!("rate {:?}", rate_key(rate)));
        if rate.base == rate.quote {
            self.problem(place, "quote", format!("is `{}` like `base`", rate.quote));
        }
        if rate.rate.is_negative() || rate.rate.decimal().is_zero() {
            self.problem(place, "rate", "must be above zero");
        }
    }

    fn references(&mut self, place: &Place<'_>, offer: &OfferRef, partner: &Slug) {
        if self.world.offer(offer).is_none() {
            self.problem(place, "offer", unknown("offer", offer));
        }
        if self.world.partner(partner).is_none() {
            self.problem(place, "partner", unknown("partner", partner));
        }
    }

    fn url(&mut self, place: &Place<'_>, key: &str, url: &str) {
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        let has_host =
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
        if !has_host
            || url
                .chars()
                .any(|letter| letter.is_control() || letter == ' ')
        {
            let detail = format!("`{url}` is not an address: write https://host/path");
            self.problem(place, key, detail);
        }
    }
}

/// What messages say of a name that nothing has.
pub(super) fn unknown(what: &str, name: impl Display) -> String {
    format!("there is no {what} `{name}`")
}

/// What people write for the United Kingdom, and no visitor comes from: its code is `GB`. Other codes are not
/// looked up, since proxies also say what ISO 3166 does not list, as `XK`.
const NOT_BRITAIN: &str = "UK";

/// Whether a text may be the code of a country, as clicks have it.
pub(super) fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) && text != NOT_BRITAIN
}

/// What messages say of a text that is no country.
pub(super) fn not_a_country(text: &str) -> String {
    if text == NOT_BRITAIN {
        return format!("`{text}` is not a country: write GB");
    }
    format!("`{text}` is not a country: write two capital letters, as DE")
}
