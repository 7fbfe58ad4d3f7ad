//! What is tried: the definitions in programme files that differ from what holds.

use postbook_schemas::{Fact, Instant};

use super::WhatifError;
use crate::{
    commands::programme::{self, Change, ProgrammeFile, apply},
    service::Service,
};

/// The definitions that the files would change, as if they held from `from` on.
///
/// # Errors
/// The files are wrong, change nothing, or define what a what-if cannot try.
pub(super) async fn definitions(
    service: &Service,
    mut files: Vec<ProgrammeFile>,
    from: Option<Instant>,
) -> Result<Vec<Change>, WhatifError> {
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
    if plan.is_empty() {
        let detail = "they say what holds already, so there is nothing to try";
        return Err(WhatifError::invalid("files", detail));
    }
    Ok(plan.changes)
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
