//! What every request below `/v1` needs: who calls, that reads are current, how errors are answered.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use postbook_schemas::{OfferRef, Slug};

use super::super::{auth::Authenticated, problem::Problem};
use crate::{
    commands::record::{Author, CommandError, PATIENCE},
    directory::{Directory, DirectoryError},
    inquiry::Sources,
    secrets::{Role, Scope},
    service::Service,
    sight::Sight,
    store::StoreError,
    tables::{Tables, error::TablesError},
};

/// Somebody who may read. Once this extractor has let a request in, the read models show all that
/// was in the log when it came, unless the projector is far behind.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) service: Arc<Service>,
    pub(super) caller: Authenticated,
}

impl FromRequestParts<Arc<Service>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Self, Problem> {
        let caller = Authenticated::from_request_parts(parts, service).await?;
        caller.require(Role::Viewer)?;
        if !service.tables.are_readable() {
            return Err(Problem::unavailable(being_built(service)));
        }
        if let Err(error) = service.look().await {
            tracing::warn!(%error, "what other nodes have done is not looked at");
        }
        // Those that are built again take their time, here or on a node with another program, and the
        // old ones answer meanwhile.
        let is_built = service.projector.building().is_some() || !service.tables.are_current();
        if !is_built && !service.projector.wait_for_head(PATIENCE).await {
            tracing::warn!(
                lag = service.projector.lag(),
                "a request is answered from the past"
            );
        }
        Ok(Self {
            service: Arc::clone(service),
            caller,
        })
    }
}

/// Why nothing can be read.
fn being_built(service: &Service) -> String {
    match service.projector.building() {
        Some(progress) => format!(
            "the read models are being built: {} of {} facts",
            progress.position, progress.head
        ),
        None => "the read models are of another form and could not be built".to_owned(),
    }
}

impl Reader {
    pub(super) fn tables(&self) -> &Tables {
        &self.service.tables
    }

    /// Where inquiries look.
    pub(super) fn sources<'s>(&'s self, directory: &'s Directory) -> Sources<'s> {
        Sources {
            store: &**self.service.log.store(),
            tables: &self.service.tables,
            click_ids: &self.service.click_ids,
            directory,
            pseudonyms: self.service.secrets.pseudonyms(),
            now: self.service.clock.now(),
        }
    }

    /// What the caller may see.
    pub(super) fn sight(&self) -> Sight<'_> {
        Sight::of(&self.caller.scope)
    }

    /// The partner to show: the one asked for, or the only one the caller may see.
    pub(super) fn partner(&self, asked: Option<Slug>) -> Result<Option<Slug>, Problem> {
        match (self.sight().only_partner(), asked) {
            (None, asked) => Ok(asked),
            (Some(own), None) => Ok(Some(own.clone())),
            (Some(own), Some(asked)) if *own == asked => Ok(Some(asked)),
            (Some(_), Some(_)) => Err(Problem::forbidden("the token is for another partner")),
        }
    }

    /// The offer to show: the one asked for, or the only one the caller may see.
    pub(super) fn offer(&self, asked: Option<OfferRef>) -> Result<Option<OfferRef>, Problem> {
        match (self.sight().only_offer(), asked) {
            (None, asked) => Ok(asked),
            (Some(own), None) => Ok(Some(own.clone())),
            (Some(own), Some(asked)) if *own == asked => Ok(Some(asked)),
            (Some(_), Some(_)) => Err(Problem::forbidden("the token is for another offer")),
        }
    }

    /// Money is nobody's business who may see only one offer.
    pub(super) fn require_no_offer_scope(&self) -> Result<(), Problem> {
        match self.caller.scope {
            Scope::Offer(_) => Err(Problem::forbidden("the token is for one offer only")),
            Scope::All | Scope::Partner(_) => Ok(()),
        }
    }
}

/// Somebody who wants something done.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    pub(super) service: Arc<Service>,
    caller: Authenticated,
    idempotency_key: Option<String>,
}

impl FromRequestParts<Arc<Service>> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Self, Problem> {
        let caller = Authenticated::from_request_parts(parts, service).await?;
        caller.require_unscoped()?;
        // What is decided looks at all that was answered before, whichever node did.
        service.look().await.map_err(|error| match error {
            DirectoryError::Store(error) => error.into(),
            error @ DirectoryError::Decode { .. } => internal(&error),
        })?;
        Ok(Self {
            service: Arc::clone(service),
            caller,
            idempotency_key: idempotency_key(&parts.headers)?,
        })
    }
}

impl Actor {
    /// The author of a change, if the caller's role covers `needed`.
    pub(super) fn author(&self, needed: Role, endpoint: &'static str) -> Result<Author, Problem> {
        self.caller.require(needed)?;
        Ok(Author {
            actor: Arc::clone(&self.caller.actor),
            endpoint,
            idempotency_key: self.idempotency_key.clone(),
        })
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let Some(value) = headers.get(NAME) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .filter(|key| (1..=256).contains(&key.len()))
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| Problem::invalid(NAME, "1 to 256 visible ASCII characters"))
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFound(detail) => Self::not_found(detail),
            CommandError::Conflict(detail) => Self::conflict(detail),
            CommandError::Forbidden(detail) => Self::forbidden(detail),
            CommandError::Invalid { field, detail } => Self::invalid(field, detail),
            CommandError::Late => Self::unavailable(error.to_string()),
            CommandError::Store(error) => error.into(),
            CommandError::Tables(error) => error.into(),
            CommandError::Unreadable { .. } => internal(&error),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::unavailable("too many requests are waiting"),
            StoreError::Failed { .. } | StoreError::Unreachable { .. } | StoreError::Closed(_) => {
                tracing::error!(%error, "the log failed");
                Self::unavailable("the log cannot be used for now")
            }
            StoreError::InUse(_)
            | StoreError::Url(_)
            | StoreError::OtherKeys
            | StoreError::Damaged { .. } => internal(&error),
        }
    }
}

impl From<TablesError> for Problem {
    fn from(error: TablesError) -> Self {
        if error.is_passing() {
            tracing::error!(%error, "the read models failed");
            return Self::unavailable("the read models cannot be read for now");
        }
        internal(&error)
    }
}

pub(super) fn internal(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "a request failed");
    Problem::internal()
}
