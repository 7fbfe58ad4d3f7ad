//! Prices a sample of facts by drafts: what they would earn if the drafts had been published.

use std::collections::BTreeMap;

use postbook_schemas::{Envelope, Fact, FactId, Instant, Source, traffic::Click};

use crate::{
    book::{Book, BookError},
    click::ClickSeen,
    rows::{Changes, ConversionRow},
};

/// The conversions of a sample as they stand under some drafts, in the order in which they happened.
///
/// Drafts are what programme files define beyond what the facts define; of two definitions of one
/// thing the draft is the newer. Nothing is posted anywhere.
///
/// # Errors
/// A sum leaves 64 bits.
pub fn price(facts: &[Envelope], drafts: Vec<Fact>) -> Result<Vec<ConversionRow>, BookError> {
    let clicks: BTreeMap<&str, ClickSeen> = (1..)
        .zip(facts)
        .filter_map(|(position, envelope)| {
            let Fact::ClickRecorded(click) = &envelope.fact else {
                return None;
            };
            let seen = seen(position, envelope.occurred_at, click);
            Some((click.click_id.as_str(), seen))
        })
        .collect();
    let mut book = Book::new();
    let mut rows = BTreeMap::new();
    let drafts: Vec<Envelope> = (0..).zip(drafts).map(draft).collect();
    for (position, envelope) in (1..).zip(drafts.iter().chain(facts)) {
        let click = book.wanted_click(envelope).and_then(|id| clicks.get(id));
        if let Some(click) = click {
            book.see_click(click.clone());
        }
        let mut changes = Changes::default();
        book.apply(position, envelope, &mut changes)?;
        for id in changes.merged {
            rows.remove(&id);
        }
        rows.extend(changes.conversions.into_iter().map(|row| (row.id, row)));
    }
    let mut rows: Vec<ConversionRow> = rows.into_values().collect();
    rows.sort_by_key(|row| (row.occurred_at, row.id));
    Ok(rows)
}

/// A draft as a fact that is newer than all others.
fn draft((number, fact): (u128, Fact)) -> Envelope {
    Envelope {
        id: FactId::from_u128(u128::MAX.saturating_sub(number)),
        occurred_at: Instant::MAX,
        recorded_at: Instant::MAX,
        actor: "draft".to_owned(),
        source: Source::default(),
        reason: None,
        fact,
    }
}

fn seen(position: u64, occurred_at: Instant, click: &Click) -> ClickSeen {
    ClickSeen {
        click_id: click.click_id.clone(),
        position,
        offer: click.offer.clone(),
        partner: click.partner.clone(),
        occurred_at,
        country: click.country.clone(),
        device: click.device,
        subs: click.parameters.clone(),
    }
}

#[cfg(test)]
mod tests {
    use postbook_schemas::{
        Attempt, Currency, Kind, OfferRef, Outcome,
        configuration::TermsPublished,
        postback::{References, Report},
        programme::Programme,
    };

    use super::*;

    const DRAFT: &str = "
        [[partner]]
        slug = 'p1'
        [[coupon]]
        code = 'SAVE'
        offer = 'acme/shop'
        partner = 'p1'
        [[terms]]
        offer = 'acme/shop'
        effective_from = 2026-01-01T00:00:00Z
        [[terms.rule]]
        id = 'share'
        on = 'sale'
        revshare = '30%'
        ";

    fn drafts() -> Vec<Fact> {
        let programme = Programme::parse(DRAFT).expect("a programme");
        let partners = programme.partners.into_iter().map(Fact::PartnerDefined);
        let coupons = programme.coupons.into_iter().map(Fact::CouponDefined);
        let terms = programme.terms.into_iter().map(|terms| {
            let version = "draft".to_owned();
            Fact::TermsPublished(TermsPublished { version, terms })
        });
        partners.chain(coupons).chain(terms).collect()
    }

    fn sale() -> Envelope {
        let report = Report {
            outcome: Outcome::Accepted,
            offer: OfferRef::try_new("acme/shop").expect("an offer"),
            kind: Kind::Sale,
            event: None,
            references: References {
                coupon_code: Some("save".to_owned()),
                ..References::default()
            },
            amount_minor: Some(1_000),
            currency: Currency::USD,
            payout_minor: None,
            quantity: None,
            status: None,
            subs: BTreeMap::new(),
            metadata: BTreeMap::new(),
            dedupe_key: None,
            matched: true,
            attempt: Attempt::default(),
        };
        Envelope {
            id: FactId::from_u128(1),
            occurred_at: Instant::parse_rfc3339("2026-01-02T00:00:00Z").expect("a time"),
            recorded_at: Instant::EPOCH,
            actor: "test".to_owned(),
            source: Source::default(),
            reason: None,
            fact: Fact::of_report(report),
        }
    }

    #[test]
    fn a_sample_earns_what_drafts_give() {
        let rows = price(&[sale()], drafts()).expect("small amounts");
        let lines: Vec<_> = rows.iter().flat_map(|row| &row.earnings).collect();
        assert_eq!(lines.len(), 1);
        let line = lines.first().expect("one line");
        assert_eq!(
            (line.amount_minor, line.rule.as_deref()),
            (300, Some("share"))
        );
    }

    #[test]
    fn without_drafts_a_sample_earns_what_the_facts_say() {
        let rows = price(&[sale()], Vec::new()).expect("small amounts");
        assert!(
            rows.iter()
                .flat_map(|row| &row.earnings)
                .all(|line| line.amount_minor == 0)
        );
    }
}
