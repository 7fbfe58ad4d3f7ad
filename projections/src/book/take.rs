//! Takes in decisions and definitions, and names the conversions they can touch.

use std::collections::BTreeSet;

use postbook_schemas::{
    Envelope, Fact, OfferRef, Outcome, Slug,
    configuration::{Coupon, FxRate},
    postback::AbuseReport,
    traffic::Click,
};

use super::Book;
use crate::{
    click::ClickSeen,
    conversion::{Abused, Conversion, Corrected, Decided, Keys, group_key},
    numbers::ConversionNumber,
    order::{OrderKey, short},
    programme::coupon_code,
    rows::PayoutState,
};

type Touched = BTreeSet<ConversionNumber>;

impl Book {
    /// Takes in what people decided, and abuse.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "called with the facts that are decisions"
    )]
    pub(super) fn take_decision(
        &mut self,
        position: u64,
        envelope: &Envelope,
        touched: &mut Touched,
    ) {
        let order = OrderKey::plain(envelope.occurred_at, envelope.id);
        match &envelope.fact {
            Fact::AbuseReported(abuse) => self.take_abuse(&order, abuse, touched),
            Fact::ConversionDecided(data) => {
                let decided = Decided {
                    order,
                    decision: data.decision,
                };
                self.decisions
                    .entry(data.conversion_id)
                    .or_default()
                    .push(decided);
                touched.extend(self.ids.get(&data.conversion_id));
            }
            Fact::AttributionCorrected(data) => {
                let corrected = Corrected {
                    order,
                    partner: data.partner.clone(),
                };
                self.corrections
                    .entry(data.conversion_id)
                    .or_default()
                    .push(corrected);
                touched.extend(self.ids.get(&data.conversion_id));
            }
            Fact::BalanceWrittenOff(data) => {
                self.carriers.give_up(data, order.occurred_at);
                let subjects = data.lines.iter().map(|line| line.subject_id);
                touched.extend(subjects.filter_map(|id| self.ids.get(&id)));
            }
            Fact::PayoutProposed(proposed) => {
                let payout = self.payouts.entry(proposed.payout_id).or_default();
                payout.proposed = Some((order, position, proposed.clone()));
                self.carry(proposed.payout_id, touched);
            }
            Fact::PayoutApproved(moved)
            | Fact::PayoutSent(moved)
            | Fact::PayoutSettled(moved)
            | Fact::PayoutFailed(moved)
            | Fact::PayoutReturned(moved) => {
                let state = payout_state(&envelope.fact);
                let payout = self.payouts.entry(moved.payout_id).or_default();
                payout.moves.push((order, state, moved.reference.clone()));
                self.carry(moved.payout_id, touched);
            }
            _ => {}
        }
    }

    /// Takes in how things are: the programme, rates, and clicks that somebody waits for.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "called with the facts that are definitions"
    )]
    pub(super) fn take_definition(
        &mut self,
        position: u64,
        envelope: &Envelope,
        touched: &mut Touched,
    ) {
        let order = OrderKey::plain(envelope.occurred_at, envelope.id);
        if !matches!(envelope.fact, Fact::ClickRecorded(_)) {
            self.defined_at = self.defined_at.max(Some(envelope.occurred_at));
        }
        match &envelope.fact {
            Fact::ClickRecorded(click) => self.take_click(position, envelope, click, touched),
            Fact::OfferDefined(offer) => {
                let changed = self.programme.define_offer(order, offer);
                self.touch_offer(&offer.reference(), changed, touched);
            }
            Fact::PartnerDefined(partner) => {
                let changed = self.programme.define_partner(order, partner);
                if changed {
                    self.touch_partner(&partner.slug, touched);
                }
            }
            Fact::CouponDefined(coupon) => self.take_coupon(order, coupon, touched),
            Fact::TermsPublished(published) => {
                self.programme.publish_terms(order, published);
                let from = published.terms.effective_from;
                let of_offer = self.by_offer.get(&published.terms.offer);
                let since = of_offer.into_iter().flatten().copied();
                touched.extend(since.filter(|&it| self.conversion(it).occurred_at() >= from));
            }
            Fact::FxRateRecorded(rate) => self.take_rate(order, rate, touched),
            Fact::DerivationAdopted(adopted) => {
                let changed = self.programme.adopt_derivation(order, adopted.version);
                self.touch_where(touched, |_| changed == Some(true));
            }
            _ => {}
        }
    }

    fn take_click(
        &mut self,
        position: u64,
        envelope: &Envelope,
        click: &Click,
        touched: &mut Touched,
    ) {
        let offers: Vec<OfferRef> = self.by_offer.keys().cloned().collect();
        let waiting: Vec<ConversionNumber> = offers
            .iter()
            .filter_map(|offer| {
                let key = group_key(&["", "click", offer.as_str(), &click.click_id]);
                self.groups.get(&key)
            })
            .flat_map(|group| group.conversions.iter().copied())
            .collect();
        if waiting.is_empty() || self.clicks.contains_key(click.click_id.as_str()) {
            return;
        }
        // Conditions of the customer's later conversions look at the click too.
        let customers = waiting.iter().map(|&it| self.conversion(it).keys.customer);
        let of_customers = customers.filter_map(|key| self.group(key));
        touched.extend(of_customers.flat_map(|group| group.conversions.iter().copied()));
        touched.extend(waiting);
        self.see_click(ClickSeen {
            click_id: click.click_id.clone(),
            position,
            offer: click.offer.clone(),
            partner: click.partner.clone(),
            occurred_at: envelope.occurred_at,
            country: click.country.clone(),
            device: click.device,
            subs: click.parameters.clone(),
        });
    }

    fn take_abuse(&mut self, order: &OrderKey, report: &AbuseReport, touched: &mut Touched) {
        if report.outcome == Outcome::Sandbox {
            return;
        }
        let keys = Keys::of(&report.offer, &report.references, false);
        let named = match keys.txn {
            Some(txn) => vec![txn],
            None => [keys.customer, keys.click].into_iter().flatten().collect(),
        };
        for key in named {
            let group = self.groups.entry(key).or_default();
            if group.add_abuse(Abused {
                order: order.clone(),
                abuse: report.abuse,
            }) {
                touched.extend(group.conversions.iter().copied());
            }
        }
    }

    fn take_coupon(&mut self, order: OrderKey, coupon: &Coupon, touched: &mut Touched) {
        self.programme.define_coupon(order, coupon);
        let key = short(&["coupon", coupon.offer.as_str(), &coupon_code(&coupon.code)]);
        touched.extend(self.by_coupon.get(&key).into_iter().flatten().copied());
    }

    fn take_rate(&mut self, order: OrderKey, rate: &FxRate, touched: &mut Touched) {
        self.programme.record_rate(order, rate);
        touched.extend(
            self.rate_users
                .get(&(rate.base, rate.quote))
                .into_iter()
                .flatten(),
        );
    }

    fn touch_offer(&self, offer: &OfferRef, changed: bool, touched: &mut Touched) {
        let conversions = self.by_offer.get(offer).filter(|_| changed);
        touched.extend(conversions.into_iter().flatten().copied());
    }

    /// Touches what concerns a partner, or partners below.
    fn touch_partner(&self, partner: &Slug, touched: &mut Touched) {
        self.touch_where(touched, |conversion| {
            let credited = conversion.attribution.partner.as_ref();
            let at = conversion.occurred_at();
            let is_above = |credited| self.programme.uplines(credited, at).contains(partner);
            conversion.concerns(partner) || credited.is_some_and(is_above)
        });
    }

    /// The version of the derivation that a fact adopts, if it is not known here.
    pub(super) fn unknown_derivation(&self, envelope: &Envelope) -> Option<u32> {
        let Fact::DerivationAdopted(adopted) = &envelope.fact else {
            return None;
        };
        let is_known = self.programme.knows_derivation(adopted.version);
        (!is_known).then_some(adopted.version)
    }

    fn touch_where(&self, touched: &mut Touched, wanted: impl Fn(&Conversion) -> bool) {
        let all = self.conversions.iter().enumerate();
        touched.extend(
            all.filter(|(_, conversion)| wanted(conversion))
                .map(|(number, _)| number),
        );
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "called with the five facts that move a payout"
)]
fn payout_state(fact: &Fact) -> PayoutState {
    match fact {
        Fact::PayoutApproved(_) => PayoutState::Approved,
        Fact::PayoutSent(_) => PayoutState::Sent,
        Fact::PayoutSettled(_) => PayoutState::Settled,
        Fact::PayoutFailed(_) => PayoutState::Failed,
        _ => PayoutState::Returned,
    }
}
