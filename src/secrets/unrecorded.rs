//! Changes of credentials whose facts are not in the log yet.

use postbook_schemas::{FactId, Instant, configuration::CredentialRotated, envelope::Source};
use serde::{Deserialize, Serialize};

/// A fact about a credential that is kept with the change until it is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unrecorded {
    /// The id that the fact will have.
    pub id: FactId,
    /// When it happened.
    pub at: Instant,
    /// Who did it.
    pub actor: String,
    /// Through what.
    pub source: Source,
    /// What happened.
    pub rotated: CredentialRotated,
}
