//! Tokens and offer secrets are made, replaced and revoked; that it happened is a fact.

use std::sync::Arc;

use postbook_schemas::{
    Fact, Instant, OfferRef,
    configuration::{CredentialKind, CredentialRotated},
    envelope::{Draft, Source},
};
use thiserror::Error;

use crate::{
    secrets::{OfferSecretInfo, Plain, Role, Scope, SecretsError, TokenInfo},
    service::Service,
    store::{Append, StoreError},
};

/// Who asks, and through what.
#[derive(Clone, Debug)]
pub struct By {
    /// Which token, user or part of the system.
    pub actor: Arc<str>,
    /// The endpoint or command.
    pub source: Source,
}

/// Why a credential could not be made.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// There is no such offer.
    #[error("there is no offer `{0}`")]
    NoSuchOffer(OfferRef),
    /// There is no such partner.
    #[error("there is no partner `{0}`")]
    NoSuchPartner(postbook_schemas::Slug),
    /// The secrets could not be read or changed.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The secret was made, but that it was could not be recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a token and records that it was made. The token itself is handed out once.
///
/// # Errors
/// What it is for does not exist, or it could not be made or recorded; then nobody has it.
pub async fn create_token(
    service: &Service,
    role: Role,
    name: &str,
    scope: Scope,
    by: &By,
) -> Result<(TokenInfo, Plain), CredentialError> {
    let directory = service.directory.load();
    match &scope {
        Scope::Offer(offer) if directory.offer(offer.as_str()).is_none() => {
            return Err(CredentialError::NoSuchOffer(offer.clone()));
        }
        Scope::Partner(partner) if directory.partner(partner.as_str()).is_none() => {
            return Err(CredentialError::NoSuchPartner(partner.clone()));
        }
        Scope::All | Scope::Offer(_) | Scope::Partner(_) => {}
    }
    drop(directory);
    let now = service.clock.now();
    let (info, plain) = service.secrets.create_token(role, name, scope, now).await?;
    record(service, token_fact(&info), by).await?;
    Ok((info, plain))
}

/// Revokes a token and records it.
///
/// # Errors
/// There is no such token, or it could not be revoked or recorded.
pub async fn revoke_token(
    service: &Service,
    id: &str,
    by: &By,
) -> Result<TokenInfo, CredentialError> {
    let now = service.clock.now();
    let info = service.secrets.revoke_token(id, now).await?;
    record(service, token_fact(&info), by).await?;
    Ok(info)
}

/// Makes a new secret for an offer and records that it was made; those before it stay valid for
/// `overlap_micros`. The secret itself is handed out once.
///
/// # Errors
/// There is no such offer, or the secret could not be made or recorded.
pub async fn rotate_offer_secret(
    service: &Service,
    offer: &OfferRef,
    overlap_micros: i64,
    by: &By,
) -> Result<(OfferSecretInfo, Plain), CredentialError> {
    if service.directory.load().offer(offer.as_str()).is_none() {
        return Err(CredentialError::NoSuchOffer(offer.clone()));
    }
    let secrets = &service.secrets;
    let now = service.clock.now();
    let had_one = secrets.has_offer_secret(offer.as_str());
    let (info, plain) = secrets
        .rotate_offer_secret(offer, overlap_micros, now)
        .await?;
    let until = (had_one && overlap_micros > 0).then(|| now.plus_micros(overlap_micros));
    record(service, secret_fact(&info, until), by).await?;
    Ok((info, plain))
}

fn token_fact(token: &TokenInfo) -> CredentialRotated {
    let (offer, partner) = match &token.scope {
        Scope::All => (None, None),
        Scope::Offer(offer) => (Some(offer.clone()), None),
        Scope::Partner(partner) => (None, Some(partner.clone())),
    };
    CredentialRotated {
        credential: CredentialKind::Token,
        key_id: token.id.to_string(),
        offer,
        partner,
        role: Some(token.role.code().to_owned()),
        name: Some(token.name.to_string()),
        previous_valid_until: token.revoked_at,
    }
}

fn secret_fact(secret: &OfferSecretInfo, until: Option<Instant>) -> CredentialRotated {
    CredentialRotated {
        credential: CredentialKind::OfferSecret,
        key_id: secret.id.to_string(),
        offer: Some(secret.offer.clone()),
        partner: None,
        role: None,
        name: None,
        previous_valid_until: until,
    }
}

async fn record(
    service: &Service,
    rotated: CredentialRotated,
    by: &By,
) -> Result<(), CredentialError> {
    let fact = Fact::CredentialRotated(rotated);
    let id = service.clock.new_id();
    let append = Append {
        draft: Draft::new(id, None, Arc::clone(&by.actor), by.source.clone(), &fact),
        unique: None,
        not_at: Vec::new(),
        references: Vec::new(),
        seat: None,
    };
    service.append(append).await?;
    Ok(())
}
