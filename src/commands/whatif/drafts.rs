//! What is tried: the definitions in programme files that differ from what holds.

use postbook_projections::derivation::Derivation;
use postbook_schemas::{Fact, derivation::DerivationAdopted};

use super::{Drafts, WhatifError};
use crate::{
    commands::programme::{self, Change, Sign, apply},
    service::Service,
};

/// The definitions that the drafts would change.
///
/// # Errors
/// The files are wrong, change nothing, or define what a what-if cannot try.
pub(super) async fn definitions(
    service: &Service,
    drafts: Drafts,
) -> Result<Vec<Change>, WhatifError> {
    let Drafts {
        mut files,
        from,
        derivation,
    } = drafts;
    let derivation = match derivation {
        Some(version) => Some(other_derivation(service, version).await?),
        None => None,
    };
    if let Some(from) = from {
        for file in &mut files {
            file.hold_from(from);
        }
    }
    let known = apply::known(&**service.log.store()).await?;
    let plan = programme::plan(files, &known).map_err(WhatifError::Problems)?;
    let others = plan
        .changes
        .iter()
        .filter(|change| !can_be_tried(&change.fact));
    let others: Vec<_> = others.map(|change| change.subject.clone()).collect();
    if !others.is_empty() {
        let detail = format!(
            "terms, offers, coupons, exchange rates and mappings can be tried; apply first: {}",
            others.join(", ")
        );
        return Err(WhatifError::invalid("files", detail));
    }
    let changes: Vec<Change> = plan.changes.into_iter().chain(derivation).collect();
    if changes.is_empty() {
        let detail = "they say what holds already, so there is nothing to try";
        return Err(WhatifError::invalid("files", detail));
    }
    Ok(changes)
}

/// The adoption of another version of the derivation than the one in force.
async fn other_derivation(service: &Service, version: u32) -> Result<Change, WhatifError> {
    let asked = service.projector.ask(move |book, _| {
        let known = Derivation::find(Derivation::KNOWN, version);
        (book.derivation().version, known.map(|known| known.about))
    });
    let (in_force, about) = asked.await?;
    let refused = |detail: String| WhatifError::invalid("derivation", detail);
    let Some(about) = about else {
        return Err(refused(format!(
            "version {version} is not known to this program"
        )));
    };
    if in_force == version {
        return Err(refused(format!("version {version} is in force")));
    }
    let reason = "adopted as a what-if".to_owned();
    Ok(Change {
        sign: Sign::Changed,
        subject: format!("derivation {version}"),
        details: vec![format!("version {in_force} → {version}"), about.to_owned()],
        fact: Fact::DerivationAdopted(DerivationAdopted { version, reason }),
    })
}

fn can_be_tried(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::TermsPublished(_)
            | Fact::OfferDefined(_)
            | Fact::CouponDefined(_)
            | Fact::FxRateRecorded(_)
            | Fact::MappingDefined(_)
    )
}
