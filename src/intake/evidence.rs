//! Gathers what a decision needs to know, so that the decision itself is a pure function.

use std::sync::Arc;

use postbook_schemas::{Event, Instant, OfferRef, Strength, configuration::Offer};

use super::{
    again::Again,
    credentials::{self, Admission, Shown},
    decide,
    fields::{self, Fault, Fields, Name},
    form::{self, Form},
    lookup::{self, ClickCheck, Target},
    personal,
    rate::RetryAfterSeconds,
    refusal::Refusal,
    request::{Endpoint, Request},
    scrub,
    signature::{self, Checked},
};
use crate::{
    directory::{Directory, PayoutLimit},
    secrets::Secrets,
    service::Service,
    store::StoreError,
};

/// Which offer an attempt is for.
#[derive(Clone, Debug)]
pub enum Told {
    /// This one, and how it is written.
    Offer(Arc<Offer>, OfferRef),
    /// One is named that there is not.
    Unknown,
    /// None is named, and nothing else tells.
    Not,
}

/// Everything that a decision looks at.
#[derive(Debug)]
pub struct Evidence<'r> {
    /// The request.
    pub request: &'r Request,
    /// When it came in.
    pub now: Instant,
    /// Its fields, as far as they could be read.
    pub fields: Fields<'r>,
    /// Why they could not be read further.
    pub fault: Option<Fault>,
    /// The offer it is for.
    pub told: Told,
    /// After how many seconds to come back, if its address has sent too much.
    pub limited: Option<RetryAfterSeconds>,
    /// What it shows to be let in.
    pub shown: Shown,
    /// Whether it is signed, and rightly.
    pub signature: Checked,
    /// Whether that lets it in; `None` while the offer is not known.
    pub admission: Option<Result<Admission, &'static str>>,
    /// Its fields as values; `None` while the offer is not known or the fields cannot be read.
    pub form: Option<Result<Form, Refusal>>,
    /// The most that its payout may be.
    pub payout_limit: PayoutLimit,
    /// The click it names.
    pub click: ClickCheck,
    /// Whether its coupon was the offer's.
    pub coupon: bool,
    /// Whether its customer is bound to a partner.
    pub customer: bool,
    /// What it changes.
    pub target: Target,
    /// Of a refused attempt that is read again: what it was.
    pub again: Option<Box<Again>>,
}

/// Gathers the evidence about a request. Look-ups that a refusal makes needless are left out, so
/// that whoever is not let in costs little.
///
/// # Errors
/// The log could not be read.
pub async fn gather<'r>(
    service: &Service,
    request: &'r Request,
    now: Instant,
) -> Result<Box<Evidence<'r>>, StoreError> {
    let directory = service.directory.load_full();
    let rules = match &request.endpoint {
        Endpoint::Offer(name) => request.own_rules().or_else(|| directory.mapping(name)),
        Endpoint::Postback => None,
    };
    let (fields, fault) = fields::read(request, rules, service.secrets.pseudonyms());
    let named = named_offer(request, &fields, &directory);
    let path_offer = match &named {
        Told::Offer(_, reference) => Some(reference),
        Told::Unknown | Told::Not => None,
    };
    let shown = credentials::look(request, &fields, path_offer, &service.secrets, now);
    // On the heap: it is large, and would be moved from each future to the next.
    let mut evidence = Box::new(Evidence::new(request, now, (fields, fault), named));
    evidence.shown = shown;
    evidence.tell_offer(service, &directory).await?;
    let offer = evidence.offer().map(|offer| &**offer);
    if request.imported.is_none() {
        evidence.limited = service.limits.over(offer, request.peer.address, now);
    }
    if evidence.limited.is_some() {
        return Ok(evidence);
    }
    evidence.read_as_mapped(service, &directory);
    evidence.check_signature(&service.secrets);
    evidence.check_form(service, &directory);
    if decide::refusal(&evidence).is_none() {
        evidence.look_up(service, &directory).await?;
    }
    Ok(evidence)
}

fn named_offer(request: &Request, fields: &Fields<'_>, directory: &Directory) -> Told {
    let name = match &request.endpoint {
        Endpoint::Offer(name) => Some(name.as_str()),
        Endpoint::Postback => fields.get(Name::Offer),
    };
    name.map_or(Told::Not, |name| Told::of(directory, name))
}

impl Told {
    /// The offer that this names.
    pub(super) fn of(directory: &Directory, name: &str) -> Self {
        let named = directory.named_offer(name);
        named.map_or(Self::Unknown, |(reference, offer)| {
            Self::Offer(Arc::clone(offer), reference.clone())
        })
    }
}

impl<'r> Evidence<'r> {
    /// What a request says, and for which offer; nothing is looked up yet.
    pub(super) fn new(
        request: &'r Request,
        now: Instant,
        (fields, fault): (Fields<'r>, Option<Fault>),
        told: Told,
    ) -> Self {
        Self {
            request,
            now,
            fields,
            fault,
            told,
            limited: None,
            shown: Shown::Nothing,
            signature: Checked::Absent,
            admission: None,
            form: None,
            payout_limit: PayoutLimit::NoRule,
            click: ClickCheck::Unasked,
            coupon: false,
            customer: false,
            target: Target::Unasked,
            again: None,
        }
    }
}

impl Evidence<'_> {
    /// The form, where there is one without fault.
    pub fn good_form(&self) -> Option<&Form> {
        self.form.as_ref()?.as_ref().ok()
    }

    /// The offer, where it is known.
    pub fn offer(&self) -> Option<&Arc<Offer>> {
        match &self.told {
            Told::Offer(offer, _) => Some(offer),
            Told::Unknown | Told::Not => None,
        }
    }

    /// How the offer is written, where it is known.
    pub fn reference(&self) -> Option<&OfferRef> {
        match &self.told {
            Told::Offer(_, reference) => Some(reference),
            Told::Unknown | Told::Not => None,
        }
    }

    /// Where no offer is named: that of the token, else of the click, else of the coupon.
    async fn tell_offer(
        &mut self,
        service: &Service,
        directory: &Directory,
    ) -> Result<(), StoreError> {
        let (Told::Not, Shown::Token(caller)) = (&self.told, &self.shown) else {
            return Ok(());
        };
        if let crate::secrets::Scope::Offer(own) = &caller.scope {
            self.told = Told::of(directory, own.as_str());
            return Ok(());
        }
        if self.fault.is_some() {
            return Ok(());
        }
        if let Some(click_id) = self.fields.get(Name::ClickId) {
            self.click = lookup::find_click(service, directory, click_id).await?;
            if let ClickCheck::Found(click) = &self.click {
                self.told = Told::of(directory, click.offer.as_str());
                return Ok(());
            }
        }
        if let Some(code) = self.fields.get(Name::CouponCode) {
            let mut offers = directory.offers_of_coupon(code);
            if let (Some(only), None) = (offers.next(), offers.next()) {
                self.told = Told::of(directory, only.as_str());
            }
        }
        Ok(())
    }

    /// The offer, if it took this without a secret.
    pub fn legacy_offer(&self) -> Option<OfferRef> {
        let Some(Ok(admission)) = &self.admission else {
            return None;
        };
        let is_legacy = admission.credential.strength == Strength::None;
        self.reference().filter(|_| is_legacy).cloned()
    }

    /// Whoever is turned away for another reason costs no computation.
    fn check_signature(&mut self, secrets: &Secrets) {
        let Told::Offer(_, offer) = &self.told else {
            return;
        };
        let (request, rules) = (self.request, self.fields.rules());
        let Some(sent) = signature::sent(request, rules) else {
            return;
        };
        if !decide::is_turned_away(self) {
            self.signature = signature::check(request, &sent, rules, offer, secrets, self.now);
        }
    }

    /// On `/postback` the offer is told first, and by the standard names; only then is it known
    /// under which mapping the rest is to be read.
    fn read_as_mapped(&mut self, service: &Service, directory: &Directory) {
        let (Endpoint::Postback, Told::Offer(_, offer)) = (&self.request.endpoint, &self.told)
        else {
            return;
        };
        let Some(rules) = directory.mapping(offer.as_str()) else {
            return;
        };
        let before = self.fields.get(Name::ClickId).map(str::to_owned);
        let names = service.secrets.pseudonyms();
        (self.fields, self.fault) = fields::read(self.request, Some(rules), names);
        if self.fields.get(Name::ClickId) != before.as_deref() {
            self.click = ClickCheck::Unasked;
        }
        let secrets = &service.secrets;
        self.shown = credentials::look(self.request, &self.fields, None, secrets, self.now);
    }

    pub(super) fn check_form(&mut self, service: &Service, directory: &Directory) {
        let Told::Offer(offer, reference) = &self.told else {
            return;
        };
        if self.again.is_none() {
            self.admission = Some(credentials::admit(
                &self.shown,
                &self.signature,
                &self.request.endpoint,
                offer,
                reference,
            ));
        }
        if self.fault.is_some() {
            return;
        }
        // What is not signed does not tell signed messages apart.
        let idempotency_key = match self.signature.verified() {
            Some(verified) => verified.message_id(),
            None => self.request.idempotency_key.as_deref(),
        };
        let idempotency_key = idempotency_key.map(|key| {
            if personal::may_hold(key.as_bytes()) {
                service.secrets.pseudonyms().id(key)
            } else {
                key.into()
            }
        });
        let form = form::check(&self.fields, idempotency_key.as_deref(), offer, self.now);
        let mut form = form.map_err(|refusal| refusal.with_parameters(self.fields.rules()));
        if let Ok(form) = &mut form {
            scrub::scrub_form(form, &service.secrets);
        }
        if let Ok(form) = &form
            && let (Event::Report(kind), Some(_)) = (&form.event, form.payout)
        {
            let at = form.timestamp.unwrap_or(self.now);
            self.payout_limit = directory.payout_limit(reference, kind, at);
        }
        self.form = Some(form);
    }

    pub(super) async fn look_up(
        &mut self,
        service: &Service,
        directory: &Directory,
    ) -> Result<(), StoreError> {
        let (Told::Offer(_, reference), Some(Ok(form))) = (&self.told, &self.form) else {
            return Ok(());
        };
        let references = &form.references;
        let at = form.timestamp.unwrap_or(self.now);
        let is_report = matches!(form.event, Event::Report(_));
        if let (Some(click_id), ClickCheck::Unasked) = (&references.click_id, &self.click) {
            self.click = lookup::find_click(service, directory, click_id).await?;
        }
        if let Some(code) = &references.coupon_code {
            self.coupon = directory.coupon(reference, code, at).is_some();
        }
        if is_report {
            if let Some(customer_id) = &references.customer_id
                && !decide::matched_without_customer(self)
            {
                self.customer = lookup::is_bound(service, reference, customer_id).await?;
            }
        } else {
            self.target = lookup::find_target(service, reference, references).await?;
        }
        Ok(())
    }
}

/// Whether a change waits for its conversion. A status or refund of nothing known yet does.
pub fn is_parked(form: &Form, target: Target) -> bool {
    matches!(form.event, Event::Change(_)) && target == Target::Unknown
}
