//! Rows as a fold would make them, by number.

use postbook::tables::batch::Batch;
use postbook_projections::{
    Changes,
    rows::{
        Account, AttemptRow, AttributedBy, Attribution, ConversionRow, EarningLine, Entry,
        InPeriod, LineState, Memo, Posting, PostingKind,
    },
};
use postbook_schemas::{Currency, FactId, Instant, Kind, OfferRef, Outcome, Slug, Status};

/// The id of the fact with this number.
pub(crate) fn id(number: u64) -> FactId {
    FactId::from_u128(u128::from(number) | 0x0198_0000_0000_7000_8000_0000_0000_0000)
}

/// The partner of the conversion with this number: one of two hundred.
pub(crate) fn partner(number: u64) -> Slug {
    Slug::try_new(&format!("partner-{}", number % 200)).expect("a slug")
}

fn offer(number: u64) -> OfferRef {
    OfferRef::try_new(&format!("acme/offer-{}", number % 4)).expect("an offer")
}

/// When the fact with this number happened and was recorded.
pub(crate) fn time(number: u64) -> Instant {
    Instant::from_micros(1_780_000_000_000_000 + i64::try_from(number).expect("small") * 1_000)
}

/// A conversion that earns `amount_minor`.
pub(crate) fn conversion(position: u64, amount_minor: i64) -> ConversionRow {
    ConversionRow {
        id: id(position),
        position,
        offer: offer(position),
        kind: Kind::Sale,
        txn_id: Some(format!("txn-{position:08}")),
        click_id: Some(format!("Ab{position:08}")),
        customer_id: Some(format!("customer-{}", position % 50_000)),
        coupon_code: None,
        attribution: Attribution {
            by: Some(AttributedBy::ClickId),
            partner: Some(partner(position)),
            click_id: Some(format!("Ab{position:08}")),
            reason: "click".into(),
            losers: Vec::new(),
        },
        status: Status::Approved,
        approves_at: None,
        amount_minor: Some(10_000),
        refunded_minor: 0,
        over_refunded_minor: 0,
        charged_back_minor: 0,
        currency: Currency::USD,
        occurred_at: time(position),
        recorded_at: time(position),
        sandbox: false,
        earnings: vec![EarningLine {
            rule: Some("sale-share".into()),
            terms_version: Some("t-0123456789ab".into()),
            partner: Some(partner(position)),
            amount_minor,
            currency: Some(Currency::USD),
            state: LineState::Approved,
            reason: None,
            available_at: Some(time(position)),
            earned_minor: amount_minor,
            reversed_minor: 0,
            clawed_back_minor: 0,
            recovered_minor: 0,
            written_off_minor: 0,
            carried_minor: 0,
            payout_id: None,
        }],
    }
}

fn posting(number: u64, cause: u64, conversion: &ConversionRow, amount_minor: i64) -> Posting {
    let side = |account, amount_minor, available_at| Entry {
        account,
        amount_minor,
        available_at,
    };
    let partner = partner(conversion.position);
    Posting {
        number,
        cause,
        kind: PostingKind::Earning,
        conversion_id: Some(conversion.id),
        rule: Some("sale-share".into()),
        terms_version: Some("t-0123456789ab".into()),
        partner: partner.clone(),
        currency: Currency::USD,
        payout_id: None,
        effective_at: time(cause),
        recorded_at: time(cause),
        period: InPeriod::plain("2026-05".parse().expect("a month")),
        entries: vec![
            side(
                Account::Commission(conversion.offer.clone()),
                amount_minor,
                None,
            ),
            side(Account::Approved(partner), -amount_minor, Some(time(cause))),
        ],
        memo: Memo {
            earned_minor: amount_minor,
            ..Memo::default()
        },
    }
}

fn attempt(position: u64) -> AttemptRow {
    AttemptRow {
        position,
        id: id(position),
        outcome: Outcome::Accepted,
        fact_type: "revenue.reported".to_owned(),
        offer: Some(offer(position)),
        click_id: Some(format!("Ab{position:08}")),
        txn_id: Some(format!("txn-{position:08}")),
        customer_id: Some(format!("customer-{}", position % 50_000)),
        event_id: Some(format!("event-{position}")).filter(|_| position.is_multiple_of(2)),
        event: Some("sale".to_owned()),
        field: None,
        detail: None,
        endpoint: "POST /postback".to_owned(),
        address: Some("192.0.2.0".to_owned()),
        recorded_at: time(position),
        differs: position.is_multiple_of(3),
    }
}

/// What the fact at this position changes: a new conversion, and for every tenth also a correction
/// of the one nine positions before.
pub(crate) fn of(position: u64) -> Changes {
    let new = conversion(position, 300);
    let number = position + position / 10;
    let mut changes = Changes {
        attempts: vec![attempt(position)],
        postings: vec![posting(number, position, &new, 300)],
        conversions: vec![new],
        ..Changes::default()
    };
    if position % 10 == 9 && position > 9 {
        let corrected = conversion(position - 9, 250);
        changes
            .postings
            .push(posting(number + 1, position, &corrected, -50));
        changes.conversions.push(corrected);
    }
    changes
}

/// The facts from `from` to `to` as one batch.
pub(crate) fn batch(from: u64, to: u64) -> Batch {
    let mut batch = Batch::default();
    for position in from..=to {
        batch.absorb(position, &mut of(position));
    }
    batch
}
