//! What a caller may see: everything, or what is one partner's or one offer's. The one place that
//! says so.
//!
//! A partner sees what is credited to it or earns it something, and of that neither what others earn,
//! nor who they are, nor what advertisers pay.

use std::collections::BTreeSet;

use postbook_projections::{
    explain::ANOTHER_PARTNER,
    rows::{ConversionRow, PayoutRow},
};
use postbook_schemas::{Fact, FactId, OfferRef, Slug, terms::PartnerScope};

use crate::{secrets::Scope, tables::query::postings::PostingFilter};

/// What a caller may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight<'a> {
    partner: Option<&'a Slug>,
    offer: Option<&'a OfferRef>,
}

impl<'a> Sight<'a> {
    /// The sight of a token.
    pub fn of(scope: &'a Scope) -> Self {
        match scope {
            Scope::All => Self::default(),
            Scope::Partner(partner) => Self::of_partner(Some(partner)),
            Scope::Offer(offer) => Self {
                partner: None,
                offer: Some(offer),
            },
        }
    }

    /// The sight of a partner, or of everything.
    pub fn of_partner(partner: Option<&'a Slug>) -> Self {
        Self {
            partner,
            offer: None,
        }
    }

    /// The only partner whose data is seen, if there is such a limit.
    pub fn only_partner(&self) -> Option<&'a Slug> {
        self.partner
    }

    /// The only offer whose data is seen, if there is such a limit.
    pub fn only_offer(&self) -> Option<&'a OfferRef> {
        self.offer
    }

    /// Whether what is a partner's is seen.
    pub fn sees(&self, partner: &Slug) -> bool {
        self.partner.is_none_or(|own| own == partner)
    }

    /// As much of a conversion as is seen; `None` if it does not exist for the caller.
    pub fn conversion(&self, mut row: ConversionRow) -> Option<ConversionRow> {
        if self.offer.is_some_and(|own| *own != row.offer) {
            return None;
        }
        let Some(own) = self.partner else {
            return Some(row);
        };
        let is_own = |partner: &Option<Slug>| partner.as_ref() == Some(own);
        let is_credited = is_own(&row.attribution.partner);
        if !is_credited && !row.earnings.iter().any(|line| is_own(&line.partner)) {
            return None;
        }
        row.earnings
            .retain(|line| line.partner.is_none() || is_own(&line.partner));
        for loser in &mut row.attribution.losers {
            loser.partner = loser.partner.take().filter(|partner| partner == own);
        }
        if !is_credited {
            // Another's click, coupon and customer would tell whose it is.
            row.attribution.partner = None;
            row.attribution.reason = ANOTHER_PARTNER.into();
            row.attribution.click_id = None;
            row.click_id = None;
            row.coupon_code = None;
            row.customer_id = None;
        }
        Some(row)
    }

    /// A payout, if it is seen.
    pub fn payout(&self, row: PayoutRow) -> Option<PayoutRow> {
        self.sees(&row.partner).then_some(row)
    }

    /// Narrows a query of the ledger.
    pub fn postings(&self, filter: PostingFilter) -> PostingFilter {
        match self.partner {
            None => filter,
            Some(own) => PostingFilter {
                partner: Some(own.clone()),
                only_theirs: true,
                ..filter
            },
        }
    }

    /// Whether a fact that concerns a conversion is seen, of payouts those that are `own`.
    pub fn fact(&self, fact: &Fact, own: &BTreeSet<FactId>) -> bool {
        let Some(partner) = self.partner else {
            return true;
        };
        match fact {
            Fact::PayoutProposed(proposed) => proposed.partner == *partner,
            Fact::PayoutApproved(moved)
            | Fact::PayoutSent(moved)
            | Fact::PayoutSettled(moved)
            | Fact::PayoutFailed(moved)
            | Fact::PayoutReturned(moved) => own.contains(&moved.payout_id),
            Fact::TermsPublished(published) => match &published.terms.partner {
                PartnerScope::All => true,
                PartnerScope::One(one) => one == partner,
            },
            Fact::ClickRecorded(click) => click.partner == *partner,
            Fact::ConversionDecided(_)
            | Fact::AttributionCorrected(_)
            | Fact::AbuseReported(_)
            | Fact::FxRateRecorded(_) => true,
            other => other.as_report().is_some() || other.as_change().is_some(),
        }
    }
}
