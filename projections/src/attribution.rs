//! Who is credited with a conversion (SPEC 5).

use postbook_schemas::{Instant, OfferRef, Slug, configuration::Candidate, instant::DAY_US};

use crate::{
    click::ClickSeen,
    groups::Bond,
    programme::OfferSettings,
    rows::{AttributedBy, Attribution, LosingCandidate},
};

/// What attribution looks at.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The offer of the conversion.
    pub offer: &'a OfferRef,
    /// When the conversion happened.
    pub occurred_at: Instant,
    /// The click id that came back, and the click if there is one.
    pub click: Option<(&'a str, Option<&'a ClickSeen>)>,
    /// The coupon that was used, and whose it was.
    pub coupon: Option<(&'a str, Option<&'a Slug>)>,
    /// Whether a customer was named.
    pub has_customer: bool,
    /// The customer's bond.
    pub bond: Option<&'a Bond>,
    /// A person's correction.
    pub correction: Correction<'a>,
}

/// What people say about who is credited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Correction<'a> {
    /// Nothing: the candidates decide.
    #[default]
    None,
    /// This partner.
    To(&'a Slug),
    /// Nobody.
    ToNobody,
}

/// Decides who is credited: a correction, else the first candidate of the offer's order that holds.
pub fn attribute(evidence: &Evidence<'_>, settings: &OfferSettings) -> Attribution {
    let mut winner: Option<(Candidate, Slug)> = None;
    let mut losers = Vec::new();
    let mut outside_window = false;
    for &candidate in &settings.candidates {
        let (partner, verdict) = examine(candidate, evidence, settings);
        match (verdict, &winner, partner) {
            (Ok(()), None, Some(partner)) if evidence.correction == Correction::None => {
                winner = Some((candidate, partner));
            }
            (Ok(()), _, partner) => {
                let reason = if winner.is_some() {
                    "lower_priority"
                } else {
                    "corrected"
                };
                losers.push(losing(candidate, partner, reason));
            }
            (Err("absent"), _, _) => {}
            (Err(reason), _, partner) => {
                outside_window |= matches!(reason, "outside_window" | "before_click");
                losers.push(losing(candidate, partner, reason));
            }
        }
    }
    let corrected = match evidence.correction {
        Correction::None => None,
        Correction::To(partner) => Some(Some(partner.clone())),
        Correction::ToNobody => Some(None),
    };
    if let Some(partner) = corrected {
        return Attribution {
            by: Some(AttributedBy::Correction),
            partner,
            click_id: None,
            reason: "corrected".into(),
            losers,
        };
    }
    let click_id = match &winner {
        Some((Candidate::ClickId, _)) => evidence.click.map(|(id, _)| id.to_owned()),
        _ => None,
    };
    let reason = match &winner {
        Some((Candidate::ClickId, _)) => "click",
        Some((Candidate::CouponCode, _)) => "coupon",
        Some((Candidate::CustomerId, _)) => "customer",
        None if outside_window => "outside_window",
        None => losers
            .first()
            .map_or("no_candidate", |_| "no_candidate_held"),
    };
    let (by, partner) = winner.map(|(by, partner)| (by.into(), partner)).unzip();
    Attribution {
        by,
        partner,
        click_id,
        reason: reason.into(),
        losers,
    }
}

fn losing(by: Candidate, partner: Option<Slug>, reason: &'static str) -> LosingCandidate {
    LosingCandidate {
        by,
        partner,
        reason: reason.into(),
    }
}

type Verdict = (Option<Slug>, Result<(), &'static str>);

fn examine(candidate: Candidate, evidence: &Evidence<'_>, settings: &OfferSettings) -> Verdict {
    match candidate {
        Candidate::ClickId => match evidence.click {
            None => (None, Err("absent")),
            Some((_, None)) => (None, Err("unknown")),
            Some((_, Some(click))) => (
                Some(click.partner.clone()),
                examine_click(click, evidence, settings),
            ),
        },
        Candidate::CouponCode => match evidence.coupon {
            None => (None, Err("absent")),
            Some((_, None)) => (None, Err("unknown")),
            Some((_, Some(partner))) => (Some(partner.clone()), Ok(())),
        },
        Candidate::CustomerId => match evidence.bond {
            _ if !evidence.has_customer => (None, Err("absent")),
            None => (None, Err("not_bound")),
            Some(bond) if bond.order.occurred_at > evidence.occurred_at => {
                (Some(bond.partner.clone()), Err("bound_later"))
            }
            Some(bond) => (Some(bond.partner.clone()), Ok(())),
        },
    }
}

fn examine_click(
    click: &ClickSeen,
    evidence: &Evidence<'_>,
    settings: &OfferSettings,
) -> Result<(), &'static str> {
    let age = evidence.occurred_at.micros_since(click.occurred_at);
    let window = DAY_US.saturating_mul(i64::from(settings.click_window_days));
    if click.offer != *evidence.offer {
        Err("other_offer")
    } else if age < 0 {
        Err("before_click")
    } else if age > window {
        Err("outside_window")
    } else {
        Ok(())
    }
}
