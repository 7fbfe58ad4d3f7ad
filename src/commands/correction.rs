//! A person corrects who is credited with a conversion.

use postbook_schemas::{Fact, FactId, Slug, decision::AttributionCorrected};

use super::record::{self, Author, CommandError, Kept};
use crate::service::Service;

/// Credits a conversion to a partner, or to nobody, whatever its candidates say.
///
/// # Errors
/// There is no such conversion or partner, or the log cannot be written.
pub async fn correct(
    service: &Service,
    author: &Author,
    conversion_id: FactId,
    partner: Option<Slug>,
    reason: String,
) -> Result<Kept, CommandError> {
    record::conversion(service, conversion_id).await?;
    if let Some(partner) = &partner
        && service.directory.load().partner(partner.as_str()).is_none()
    {
        return Err(CommandError::Invalid {
            field: "partner",
            detail: format!("there is no partner `{partner}`"),
        });
    }
    let fact = Fact::AttributionCorrected(AttributionCorrected {
        conversion_id,
        partner,
        reason,
    });
    record::append_once(service, author, fact).await
}
