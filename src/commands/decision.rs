//! A manager decides about a conversion.

use postbook_schemas::{
    Fact, FactId,
    decision::{ConversionDecided, Decision},
};

use super::record::{self, Author, CommandError, Kept};
use crate::service::Service;

/// Approves, rejects, reverses a conversion, or releases it from earlier decisions.
///
/// # Errors
/// There is no such conversion, or the log cannot be written.
pub async fn decide(
    service: &Service,
    author: &Author,
    conversion_id: FactId,
    decision: Decision,
    reason: String,
) -> Result<Kept, CommandError> {
    record::conversion(service, conversion_id).await?;
    let fact = Fact::ConversionDecided(ConversionDecided {
        conversion_id,
        decision,
        reason,
    });
    record::append_once(service, author, fact).await
}
