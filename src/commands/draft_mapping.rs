//! A mapping that is not in the log, out of a programme file: for trying, and for files of their own.

use std::sync::Arc;

use postbook_schemas::{OfferRef, programme::Programme};

use super::{
    programme::{self, ProgrammeFile, apply::ApplyError},
    record::CommandError,
};
use crate::{intake::mapping::Rules, service::Service};

/// The mapping of the offer in the text of a programme file; `None` if it says nothing.
///
/// # Errors
/// The text is no programme file that could be applied, or has no mapping of this offer; or the log
/// failed.
pub async fn read(
    service: &Service,
    offer: &OfferRef,
    text: &str,
) -> Result<Option<Arc<Rules>>, CommandError> {
    let invalid = |detail: String| CommandError::Invalid {
        field: "mapping",
        detail,
    };
    let file = ProgrammeFile::try_new("mapping", text).map_err(|one| invalid(one.to_string()))?;
    let known = programme::apply::known(&**service.log.store()).await;
    let known = known.map_err(|error| match error {
        ApplyError::Store(error) => CommandError::Store(error),
        other => invalid(other.to_string()),
    })?;
    programme::plan(vec![file], &known).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        invalid(lines.join("; "))
    })?;
    let programme = Programme::parse(text).map_err(|error| invalid(error.to_string()))?;
    let mut mappings = programme.mappings.into_iter();
    let mapping = mappings
        .find(|mapping| mapping.offer == *offer)
        .ok_or_else(|| invalid(format!("the file has no [[mapping]] of {offer}")))?
        .with_preset();
    Ok((!mapping.is_none()).then(|| Arc::new(Rules::draft(&mapping))))
}
