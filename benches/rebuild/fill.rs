//! A log to rebuild from: two months of traffic of one brand, in bulk.

use std::{collections::BTreeMap, sync::Arc};

use postbook::{
    clock::{Clock, ManualClock},
    store::{Append, Appended, ClickHead, LogStore},
};
use postbook_schemas::{
    Attempt, Change, ClickId, Credential, Currency, Fact, Instant, Kind, OfferRef, Outcome,
    RawRequest, Slug, Source, Strength, dedupe,
    envelope::Draft,
    postback::{ChangeReport, References, Report},
    traffic::Click,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::people::{OFFERS, PARTNERS, country, platform_id, programme, user_agent};

/// Facts in one append.
const GROUP: u64 = 10_000;
/// Two months.
const SPAN_US: i64 = 60 * 86_400_000_000;

/// How many facts were appended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// All.
    pub(crate) facts: u64,
    /// Clicks among them.
    pub(crate) clicks: u64,
}

/// Fills an empty log.
///
/// # Errors
/// The log cannot be written.
pub(crate) async fn fill(
    store: &dyn LogStore,
    facts: u64,
    others_per_mille: u64,
) -> anyhow::Result<Counts> {
    let mut filler = Filler::new(facts);
    let mut counts = Counts::default();
    let programme = programme()?;
    counts.facts += u64::try_from(programme.len())?;
    let group = programme
        .into_iter()
        .map(|fact| filler.append(&fact, None))
        .collect();
    let appended = store.append(group, filler.clock.now()).await?;
    filler.remember_links(&appended);
    while counts.facts < facts {
        let mut group = Vec::new();
        let mut places = Vec::new();
        for _ in 0..GROUP.min(facts - counts.facts) {
            filler.clock.advance_micros(filler.step_us);
            let is_click =
                filler.known.is_empty() || filler.random.random_range(0..1000) >= others_per_mille;
            let (place, append) = if is_click {
                counts.clicks += 1;
                filler.click()
            } else {
                (None, filler.postback())
            };
            group.push(append);
            places.push(place);
            counts.facts += 1;
        }
        let appended = store.append(group, filler.clock.now()).await?;
        filler.remember_clicks(&appended, &places);
    }
    Ok(counts)
}

/// A click that can convert.
#[derive(Clone, Copy, Debug)]
struct Known {
    click_id: ClickId,
    offer: usize,
}

struct Filler {
    clock: ManualClock,
    random: StdRng,
    step_us: i64,
    link_positions: Vec<u64>,
    known: Vec<Known>,
    offers: Vec<OfferRef>,
    customers: Vec<(u64, usize)>,
    sales: Vec<(u64, usize)>,
    number: u64,
}

impl Filler {
    fn new(facts: u64) -> Self {
        let start = Instant::parse_rfc3339("2026-01-01T00:00:00Z").expect("it is a time");
        let offers = OFFERS
            .iter()
            .map(|slug| OfferRef::try_new(&format!("acme/{slug}")).expect("it is an offer"))
            .collect();
        Self {
            clock: ManualClock::new(start, 1),
            random: StdRng::seed_from_u64(2),
            step_us: SPAN_US / i64::try_from(facts.max(1)).unwrap_or(i64::MAX),
            link_positions: Vec::new(),
            known: Vec::new(),
            offers,
            customers: Vec::new(),
            sales: Vec::new(),
            number: 0,
        }
    }

    /// The links are the last definitions before the terms.
    fn remember_links(&mut self, appended: &[Appended]) {
        let links = PARTNERS * 2;
        let first = appended.len() - OFFERS.len() - links;
        self.link_positions = appended[first..first + links]
            .iter()
            .filter_map(|one| match one {
                Appended::At { position, .. } => Some(*position),
                Appended::Known { .. } => None,
            })
            .collect();
    }

    /// Keeps some of the clicks, for the postbacks to come.
    fn remember_clicks(&mut self, appended: &[Appended], offers: &[Option<usize>]) {
        for (one, offer) in appended.iter().zip(offers) {
            if let (
                Appended::At {
                    click_id: Some(click_id),
                    ..
                },
                Some(offer),
            ) = (one, offer)
            {
                let known = Known {
                    click_id: *click_id,
                    offer: *offer,
                };
                if self.known.len() < 100_000 {
                    self.known.push(known);
                } else {
                    let place = self.random.random_range(0..self.known.len());
                    self.known[place] = known;
                }
            }
        }
    }

    fn append(&self, fact: &Fact, occurred_at: Option<Instant>) -> Append {
        let source = Source {
            endpoint: "bench".to_owned(),
            address: Some("203.0.113.0".to_owned()),
        };
        Append {
            draft: Draft::new(
                self.clock.new_id(),
                occurred_at,
                Arc::from("bench"),
                source,
                fact,
            ),
            unique: None,
            not_at: Vec::new(),
            references: Vec::new(),
            seat: None,
            with_previous: false,
        }
    }

    /// A click, and its offer.
    fn click(&mut self) -> (Option<usize>, Append) {
        let random = &mut self.random;
        let link = random.random_range(0..self.link_positions.len());
        let (partner, number) = (link / 2, link % 2);
        let offer = (partner + number) % OFFERS.len();
        let (user_agent, device) = user_agent(random);
        let country = country(random);
        let mut parameters = BTreeMap::from([
            (
                "utm_source".to_owned(),
                format!("site-{}", random.random_range(0..40_u32)),
            ),
            (
                "utm_campaign".to_owned(),
                format!("camp-{}", random.random_range(0..25_u32)),
            ),
            (
                "sub1".to_owned(),
                format!("place-{}", random.random_range(0..12_u32)),
            ),
            (
                "sub2".to_owned(),
                format!("{:x}", random.random_range(0..4096_u32)),
            ),
            (
                "sub3".to_owned(),
                format!("v{}", random.random_range(0..4_u32)),
            ),
        ]);
        match random.random_range(0..6_u32) {
            0 => drop(parameters.insert("gclid".to_owned(), platform_id(random))),
            1 => drop(parameters.insert("fbclid".to_owned(), platform_id(random))),
            _ => {}
        }
        let click = Click {
            click_id: "0000000000".to_owned(),
            link: Some(slug(&format!("l{partner}-{number}"))),
            offer: self.offers[offer].clone(),
            partner: slug(&format!("p{partner}")),
            campaign: Some(format!("spring-{number}")),
            destination: Some(format!("https://{}.example/in", OFFERS[offer])),
            country: Some(country.to_owned()),
            device,
            user_agent: Some(user_agent),
            referrer: Some(format!(
                "https://site-{}.example/",
                random.random_range(0..40_u32)
            )),
            parameters,
        };
        let occurred_at = self.clock.now();
        let mut append = self.append(&Fact::ClickRecorded(click), Some(occurred_at));
        append.seat = Some(ClickHead {
            link_position: self.link_positions[link],
            occurred_at,
            country: country.as_bytes().first_chunk::<2>().copied(),
            device,
        });
        (Some(offer), append)
    }

    fn postback(&mut self) -> Append {
        self.number += 1;
        match self.random.random_range(0..100_u32) {
            35..50 if !self.customers.is_empty() => self.customer_report(Kind::Ftd, 5_000),
            50..85 if !self.customers.is_empty() => self.customer_report(Kind::Revenue, 1_250),
            85..95 => self.click_report(Kind::Sale, Some(4_990)),
            95.. if !self.sales.is_empty() => self.refund(),
            _ => self.click_report(Kind::Registration, None),
        }
    }

    fn click_report(&mut self, kind: Kind, amount_minor: Option<i64>) -> Append {
        let known = self.known[self.random.random_range(0..self.known.len())];
        let customer = (kind == Kind::Registration).then_some(self.number);
        match customer {
            Some(number) => self.customers.push((number, known.offer)),
            None => self.sales.push((self.number, known.offer)),
        }
        let references = References {
            click_id: Some(known.click_id.to_string()),
            customer_id: customer.map(|number| format!("c-{number}")),
            txn_id: customer.is_none().then(|| format!("order-{}", self.number)),
            ..References::default()
        };
        self.report(kind, known.offer, references, amount_minor)
    }

    fn customer_report(&mut self, kind: Kind, around_minor: i64) -> Append {
        let (customer, offer) = self.customers[self.random.random_range(0..self.customers.len())];
        let amount_minor = self
            .random
            .random_range(-around_minor / 4..around_minor * 2);
        let references = References {
            customer_id: Some(format!("c-{customer}")),
            txn_id: Some(format!("txn-{}", self.number)),
            ..References::default()
        };
        self.report(kind, offer, references, Some(amount_minor))
    }

    fn report(
        &self,
        kind: Kind,
        offer: usize,
        references: References,
        amount_minor: Option<i64>,
    ) -> Append {
        let offer = &self.offers[offer];
        let unique = dedupe::report_key(offer, &kind, &references, None);
        let mut keys = dedupe::reference_keys(offer, &references);
        if let Some(customer) = &references.customer_id {
            keys.push(dedupe::bound_customer_key(offer, customer));
        }
        let report = Report {
            outcome: Outcome::Accepted,
            offer: offer.clone(),
            event: Some(kind.code().to_owned()),
            kind,
            attempt: attempt(&references, amount_minor),
            references,
            amount_minor,
            currency: Currency::USD,
            payout_minor: None,
            quantity: None,
            status: None,
            subs: BTreeMap::new(),
            metadata: BTreeMap::new(),
            dedupe_key: unique.clone(),
            matched: true,
        };
        let mut append = self.append(&Fact::of_report(report), Some(self.clock.now()));
        append.unique = unique;
        append.references = keys;
        append
    }

    fn refund(&mut self) -> Append {
        let (sale, offer) = self.sales[self.random.random_range(0..self.sales.len())];
        let offer = &self.offers[offer];
        let references = References {
            txn_id: Some(format!("order-{sale}")),
            event_id: Some(format!("refund-{}", self.number)),
            ..References::default()
        };
        let unique = dedupe::change_key(offer, Change::Refund, &references, None, None, None);
        let amount_minor = Some(self.random.random_range(100..6_000));
        let change = ChangeReport {
            outcome: Outcome::Accepted,
            offer: offer.clone(),
            change: Change::Refund,
            attempt: attempt(&references, amount_minor),
            references,
            amount_minor,
            currency: Some(Currency::USD),
            status: None,
            dedupe_key: unique.clone(),
        };
        let mut append = self.append(&Fact::of_change(change), Some(self.clock.now()));
        append.unique = unique;
        append
    }
}

fn slug(text: &str) -> Slug {
    Slug::try_new(text).expect("it is a slug")
}

fn attempt(references: &References, amount_minor: Option<i64>) -> Attempt {
    let body = serde_json::to_string(references).expect("references can be written");
    let head = body.trim_end_matches('}');
    let value = amount_minor.unwrap_or_default();
    Attempt {
        credential: Some(Credential {
            strength: Strength::Token,
            key_id: Some("t-7f3a".to_owned()),
        }),
        request: RawRequest {
            method: "POST".to_owned(),
            path: "/postback".to_owned(),
            content_type: Some("application/json".to_owned()),
            body: Some(format!(r#"{head},"value":{value},"currency":"USD"}}"#)),
            ..RawRequest::default()
        },
        ..Attempt::default()
    }
}
