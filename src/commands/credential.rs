//! Tokens and offers' keys are made, replaced and revoked; that it happened is a fact.
//!
//! The fact is kept with the change, in one transaction, and appended afterwards: at once by whoever
//! has the log, or by the running server beside which the change was made.

use std::{sync::Arc, time::Duration};

use postbook_schemas::{
    Fact, Instant, OfferRef, Slug,
    configuration::{CredentialKind, CredentialRotated},
    dedupe,
    envelope::{Draft, Source},
};
use thiserror::Error;

use crate::{
    clock::Clock,
    directory::Directory,
    intake::lookup,
    secrets::{
        self, KeyBytes, KeyKind, OfferKeyInfo, Plain, Role, Scope, Secrets, SecretsError,
        TokenInfo, Unrecorded,
    },
    service::Service,
    store::{Append, Appended, StoreError},
};

/// How often a running server looks whether another process has changed the secrets.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who asks, and through what.
#[derive(Clone, Debug)]
pub struct By {
    /// Which token, user or part of the system.
    pub actor: Arc<str>,
    /// The endpoint or command.
    pub source: Source,
}

/// Why a credential could not be made or changed.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// There is no such offer.
    #[error("there is no offer `{0}`")]
    NoSuchOffer(OfferRef),
    /// There is no such partner.
    #[error("there is no partner `{0}`")]
    NoSuchPartner(Slug),
    /// A token of this role would be refused for everything about one partner.
    #[error(
        "a token of the role {0} cannot be for one partner: viewer, manager and finance read what is a partner's own"
    )]
    NotForAPartner(Role),
    /// The secrets could not be read or changed.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The change was made, but that it was could not be recorded yet.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What credentials are made with. No log is needed: the facts wait beside the secrets.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The secrets.
    pub secrets: Arc<Secrets>,
    /// The programme: what there are tokens and keys for.
    pub directory: Arc<Directory>,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
}

impl Keys {
    /// Those of a service.
    pub fn of(service: &Service) -> Self {
        Self {
            secrets: Arc::clone(&service.secrets),
            directory: service.directory.load_full(),
            clock: Arc::clone(&service.clock),
        }
    }

    fn require_offer(&self, offer: &OfferRef) -> Result<(), CredentialError> {
        match self.directory.offer(offer.as_str()) {
            Some(_) => Ok(()),
            None => Err(CredentialError::NoSuchOffer(offer.clone())),
        }
    }

    fn fact(&self, rotated: CredentialRotated, at: Instant, by: &By) -> Unrecorded {
        Unrecorded {
            id: self.clock.new_id(),
            at,
            actor: by.actor.to_string(),
            source: by.source.clone(),
            rotated,
        }
    }

    /// Makes a token. The token itself is handed out once.
    ///
    /// # Errors
    /// What it is for does not exist or does not fit the role, or it could not be kept; then nobody has it.
    pub async fn create_token(
        &self,
        role: Role,
        name: &str,
        scope: Scope,
        by: &By,
    ) -> Result<(TokenInfo, Plain), CredentialError> {
        match &scope {
            Scope::Offer(offer) => self.require_offer(offer)?,
            Scope::Partner(_) if matches!(role, Role::Ingest | Role::Admin) => {
                return Err(CredentialError::NotForAPartner(role));
            }
            Scope::Partner(partner) if self.directory.partner(partner.as_str()).is_none() => {
                return Err(CredentialError::NoSuchPartner(partner.clone()));
            }
            Scope::All | Scope::Partner(_) => {}
        }
        let now = self.clock.now();
        let (info, plain) = secrets::new_token(role, name, scope, now);
        let fact = self.fact(token_fact(&info), now, by);
        self.secrets.add_token(&info, &plain, Some(&fact)).await?;
        Ok((info, plain))
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// There is no such token, or it could not be revoked.
    pub async fn revoke_token(&self, id: &str, by: &By) -> Result<TokenInfo, CredentialError> {
        let now = self.clock.now();
        let rotated = CredentialRotated {
            revoked_at: Some(now),
            ..token_fact(&self.secrets.token(id)?)
        };
        let fact = self.fact(rotated, now, by);
        Ok(self.secrets.revoke_token(id, now, Some(&fact)).await?)
    }

    /// Makes a new secret for an offer; those before it stay valid for `overlap_micros`. The secret
    /// itself is handed out once.
    ///
    /// # Errors
    /// There is no such offer, or the secret could not be kept.
    pub async fn rotate_offer_secret(
        &self,
        offer: &OfferRef,
        overlap_micros: i64,
        by: &By,
    ) -> Result<(OfferKeyInfo, Plain), CredentialError> {
        let (plain, bytes) = secrets::new_offer_secret();
        let overlap = Some(overlap_micros);
        let info = self
            .add_offer_key(offer, KeyKind::Secret, &bytes, overlap, by)
            .await?;
        Ok((info, plain))
    }

    /// Adds a key to an offer. If an overlap is given, those of its kind before it end after it.
    ///
    /// # Errors
    /// There is no such offer, or the key could not be kept.
    pub async fn add_offer_key(
        &self,
        offer: &OfferRef,
        kind: KeyKind,
        bytes: &KeyBytes,
        overlap_micros: Option<i64>,
        by: &By,
    ) -> Result<OfferKeyInfo, CredentialError> {
        self.require_offer(offer)?;
        let now = self.clock.now();
        let ends = overlap_micros.map(|micros| now.plus_micros(micros.max(0)));
        let before = self.secrets.offer_keys(offer.as_str());
        let had_one = before
            .iter()
            .any(|key| key.kind == kind && key.in_force(now));
        let info = secrets::new_offer_key(offer, kind, now);
        let rotated = CredentialRotated {
            previous_valid_until: ends.filter(|ends| had_one && *ends > now),
            ..key_fact(&info)
        };
        let fact = self.fact(rotated, now, by);
        self.secrets
            .add_offer_key(&info, bytes, ends, Some(&fact))
            .await?;
        Ok(info)
    }

    /// Ends an offer's key.
    ///
    /// # Errors
    /// There is no such key, or it could not be ended.
    pub async fn revoke_offer_key(
        &self,
        id: &str,
        by: &By,
    ) -> Result<OfferKeyInfo, CredentialError> {
        let now = self.clock.now();
        let rotated = CredentialRotated {
            revoked_at: Some(now),
            ..key_fact(&self.secrets.offer_key(id)?)
        };
        let fact = self.fact(rotated, now, by);
        Ok(self.secrets.revoke_offer_key(id, now, Some(&fact)).await?)
    }
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
        previous_valid_until: None,
        revoked_at: None,
    }
}

fn key_fact(key: &OfferKeyInfo) -> CredentialRotated {
    CredentialRotated {
        credential: match key.kind {
            KeyKind::Secret => CredentialKind::OfferSecret,
            KeyKind::SigningSecret => CredentialKind::SigningSecret,
            KeyKind::PublicKey => CredentialKind::PublicKey,
        },
        key_id: key.id.to_string(),
        offer: Some(key.offer.clone()),
        partner: None,
        role: None,
        name: None,
        previous_valid_until: None,
        revoked_at: None,
    }
}

/// Appends the facts that wait beside the secrets. Each is appended once, whoever does it and however
/// often it is tried.
///
/// # Errors
/// One could not be appended; it and those after it go on waiting.
pub async fn record(service: &Service) -> Result<(), CredentialError> {
    for waiting in service.secrets.unrecorded().await? {
        let fact = Fact::CredentialRotated(waiting.rotated.clone());
        let actor = waiting.actor.as_str().into();
        let source = waiting.source.clone();
        let mut append = Append {
            draft: Draft::new(waiting.id, Some(waiting.at), actor, source, &fact),
            unique: Some(dedupe::left_fact_key(&waiting.id)),
            not_at: Vec::new(),
            references: Vec::new(),
            seat: None,
            with_previous: false,
        };
        while let Appended::Known { position } = service.append(append.clone()).await? {
            // Appended before, but not forgotten here; or a key that only looks alike.
            if lookup::read_fact(service, position).await?.id == waiting.id {
                break;
            }
            append.not_at.push(position);
        }
        service.secrets.recorded(&waiting).await?;
    }
    Ok(())
}

/// Takes up what other processes change in the secrets, for as long as it is polled: within a second,
/// and at no cost to requests.
pub async fn watch(service: Arc<Service>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut due = true;
    let mut seen = service.secrets.version();
    loop {
        looks.tick().await;
        match service.secrets.refresh().await {
            // Whoever was about to be refused may have taken it up before.
            Ok(_) => {
                let version = service.secrets.version();
                due |= std::mem::replace(&mut seen, version) != version;
            }
            Err(error) => tracing::error!(%error, "changed secrets could not be taken up"),
        }
        if due {
            match record(&service).await {
                Ok(()) => due = false,
                Err(error) => tracing::error!(%error, "a change of secrets waits to be recorded"),
            }
        }
    }
}
