//! A person posts an amount that no conversion explains.

use postbook_schemas::{Currency, Fact, Slug, decision::AdjustmentPosted};

use super::record::{self, Author, CommandError, Kept};
use crate::service::Service;

/// Posts an amount, positive in the partner's favour. Without a currency it is the partner's own.
///
/// # Errors
/// There is no such partner, the amount is zero, or the log cannot be written.
pub async fn adjust(
    service: &Service,
    author: &Author,
    partner: Slug,
    amount_minor: i64,
    currency: Option<Currency>,
    reason: String,
) -> Result<Kept, CommandError> {
    let own = partner_currency(service, &partner)?;
    if amount_minor == 0 {
        return Err(CommandError::Invalid {
            field: "amount_minor",
            detail: "an adjustment is not zero".to_owned(),
        });
    }
    let fact = Fact::AdjustmentPosted(AdjustmentPosted {
        partner,
        amount_minor,
        currency: currency.unwrap_or(own),
        reason,
    });
    record::append_once(service, author, fact).await
}

/// What a partner is paid in.
///
/// # Errors
/// There is no such partner.
pub fn partner_currency(service: &Service, partner: &Slug) -> Result<Currency, CommandError> {
    let directory = service.directory.load();
    let found = directory.partner(partner.as_str());
    found
        .map(|partner| partner.currency)
        .ok_or_else(|| CommandError::Invalid {
            field: "partner",
            detail: format!("there is no partner `{partner}`"),
        })
}
