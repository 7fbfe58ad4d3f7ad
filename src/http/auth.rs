//! Who calls `/v1`: the bearer token of a request, and what its role may do.

use std::{ops::Deref, sync::Arc};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};

use super::problem::Problem;
use crate::{
    secrets::{Caller, Role, Scope, Secrets},
    service::Service,
};

/// A caller whose token is known. As an extractor it refuses everybody else with 401.
#[derive(Clone, Debug)]
pub struct Authenticated(pub Arc<Caller>);

impl Deref for Authenticated {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl Authenticated {
    /// Refuses callers whose role does not cover `needed`.
    ///
    /// # Errors
    /// 403, naming the role that is needed.
    pub fn require(&self, needed: Role) -> Result<(), Problem> {
        if self.role.covers(needed) {
            return Ok(());
        }
        let detail = format!(
            "this takes the role {needed}, and the token has {}",
            self.role
        );
        Err(Problem::forbidden(detail))
    }

    /// Refuses tokens of one partner or offer: what they may see is less than everything.
    ///
    /// # Errors
    /// 403.
    pub fn require_unscoped(&self) -> Result<(), Problem> {
        match self.scope {
            Scope::All => Ok(()),
            Scope::Offer(_) | Scope::Partner(_) => Err(Problem::forbidden(
                "the token is for one partner or offer only",
            )),
        }
    }
}

impl<S> FromRequestParts<S> for Authenticated
where
    Arc<Service>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let service = Arc::<Service>::from_ref(state);
        let Some(token) = bearer(&parts.headers) else {
            return Err(Problem::unauthorized(
                "a token is missing: send Authorization: Bearer",
            ));
        };
        let secrets = &service.secrets;
        let mut caller = secrets.verify_token(&token);
        // It may have been made a moment ago, by another process.
        if caller.is_none() && looked_again(secrets).await? {
            caller = secrets.verify_token(&token);
        }
        caller
            .map(Self)
            .ok_or_else(|| Problem::unauthorized("the token is unknown or revoked"))
    }
}

async fn looked_again(secrets: &Secrets) -> Result<bool, Problem> {
    secrets.look_again().await.map_err(|error| {
        tracing::error!(%error, "changed secrets could not be taken up");
        Problem::unavailable("it cannot be told whose token this is")
    })
}

/// The bearer token of a request; empty where `Authorization` has another scheme, so that it is
/// refused rather than overlooked.
pub(super) fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let token = text.split_once(' ').and_then(|(scheme, token)| {
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    });
    Some(token.unwrap_or_default())
}
