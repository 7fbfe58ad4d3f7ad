//! Who calls: the role and scope of a token.

use std::{fmt, str::FromStr, sync::Arc};

use postbook_schemas::{OfferRef, Slug};
use thiserror::Error;

use super::TokenInfo;

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sends postbacks, nothing else.
    Ingest,
    /// Reads.
    Viewer,
    /// Reads and decides about conversions and disputes.
    Manager,
    /// Reads and moves money.
    Finance,
    /// Everything.
    Admin,
}

/// A word that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a role: write ingest, viewer, manager, finance or admin")]
pub struct UnknownRole;

impl Role {
    /// All roles.
    pub const ALL: &'static [Self] = &[
        Self::Ingest,
        Self::Viewer,
        Self::Manager,
        Self::Finance,
        Self::Admin,
    ];

    /// The word used on the command line and in facts.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Viewer => "viewer",
            Self::Manager => "manager",
            Self::Finance => "finance",
            Self::Admin => "admin",
        }
    }

    /// Whether this role may do what `needed` may.
    pub fn covers(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Manager | Self::Finance => needed == self || needed == Self::Viewer,
            Self::Ingest | Self::Viewer => needed == self,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        let mut all = Self::ALL.iter().copied();
        all.find(|role| role.code() == word).ok_or(UnknownRole)
    }
}

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything that its role may do.
    All,
    /// One offer only.
    Offer(OfferRef),
    /// One partner only, who sees nobody else's data.
    Partner(Slug),
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The id of the token.
    pub key_id: Arc<str>,
    /// The name of the token.
    pub name: Arc<str>,
    /// How facts name the caller: `token:` and the id.
    pub actor: Arc<str>,
    /// What the caller may do.
    pub role: Role,
    /// On what.
    pub scope: Scope,
}

impl Caller {
    /// The caller of a token.
    pub fn new(token: &TokenInfo) -> Self {
        Self {
            key_id: Arc::clone(&token.id),
            name: Arc::clone(&token.name),
            actor: format!("token:{}", token.id).into(),
            role: token.role,
            scope: token.scope.clone(),
        }
    }

    /// Whether the token is for this offer, among others or alone.
    pub fn is_for(&self, offer: &OfferRef) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Offer(own) => own == offer,
            Scope::Partner(_) => false,
        }
    }

    /// Whether the caller may send postbacks of this offer.
    pub fn may_report_for(&self, offer: &OfferRef) -> bool {
        self.role.covers(Role::Ingest) && self.is_for(offer)
    }
}
