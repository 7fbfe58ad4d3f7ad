//! `postbook token`: makes, lists and revokes API tokens.

use clap::{Args, Subcommand};
use postbook_schemas::{OfferRef, Slug};
use serde_json::json;

use super::{
    desk::Desk,
    exit::{CliError, Exit},
    global::Global,
    output, own, reader,
};
use crate::{
    commands::credential::CredentialError,
    secrets::{Role, Scope, TokenInfo},
};

/// Makes, lists and revokes API tokens.
#[derive(Debug, Args)]
pub(super) struct Token {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
enum TokenVerb {
    Create(Create),
    /// Lists tokens, never the tokens themselves
    List,
    /// Refuses a token from now on
    Revoke {
        /// The token's id
        id: String,
    },
}

/// Makes a token and prints it, once
#[derive(Debug, Args)]
struct Create {
    /// What it may do: ingest, viewer, manager, finance or admin
    #[arg(long, value_name = "ROLE")]
    role: Role,
    /// Whose it is, for people
    #[arg(long, value_name = "NAME")]
    name: String,
    /// For one offer only
    #[arg(long, value_name = "BRAND/OFFER", conflicts_with = "partner")]
    offer: Option<OfferRef>,
    /// For one partner's own data only
    #[arg(long, value_name = "PARTNER")]
    partner: Option<Slug>,
}

impl Token {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        match self.verb {
            TokenVerb::Create(create) => create.run(global).await,
            TokenVerb::List => list(global).await,
            TokenVerb::Revoke { id } => revoke(&id, global).await,
        }
    }
}

impl Create {
    async fn run(self, global: &Global) -> Result<(), CliError> {
        let scope = match (self.offer, self.partner) {
            (Some(offer), _) => Scope::Offer(offer),
            (None, Some(partner)) => Scope::Partner(partner),
            (None, None) => Scope::All,
        };
        if self.name.trim().is_empty() || self.name.chars().any(char::is_control) {
            return Err(CliError::new(Exit::Usage, "--name must not be empty"));
        }
        let desk = Desk::open(global).await?;
        let by = own::by("token create");
        let made = desk.keys.create_token(self.role, &self.name, scope, &by);
        let made = made.await;
        let (info, plain) = desk.close(made).await?;
        if global.json {
            let mut item = item(&info);
            item["token"] = plain.reveal().into();
            return output::json(&item);
        }
        output::line(plain.reveal())
    }
}

async fn list(global: &Global) -> Result<(), CliError> {
    let tokens = reader::secrets(global).await?.tokens();
    if global.json {
        let items: Vec<_> = tokens.iter().map(item).collect();
        return output::json(&json!({ "items": items }));
    }
    let rows = tokens.iter().map(|token| {
        vec![
            token.id.to_string(),
            token.name.to_string(),
            token.role.to_string(),
            scope_text(&token.scope),
            output::time(token.created_at),
            token.revoked_at.map(output::time).unwrap_or_default(),
        ]
    });
    let headers = ["id", "name", "role", "for", "created", "revoked"];
    output::line(&output::table(&headers, rows, headers.len()))
}

async fn revoke(id: &str, global: &Global) -> Result<(), CliError> {
    let desk = Desk::open(global).await?;
    let revoked = desk.keys.revoke_token(id, &own::by("token revoke")).await;
    let info = desk.close(revoked).await?;
    if global.json {
        return output::json(&item(&info));
    }
    output::line(&format!("revoked {} ({})", info.id, info.name))
}

fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::All => "all".to_owned(),
        Scope::Offer(offer) => format!("offer {offer}"),
        Scope::Partner(partner) => format!("partner {partner}"),
    }
}

fn item(token: &TokenInfo) -> serde_json::Value {
    let (offer, partner) = match &token.scope {
        Scope::All => (None, None),
        Scope::Offer(offer) => (Some(offer), None),
        Scope::Partner(partner) => (None, Some(partner)),
    };
    json!({
        "id": token.id,
        "name": token.name,
        "role": token.role.code(),
        "offer": offer,
        "partner": partner,
        "created_at": token.created_at,
        "revoked_at": token.revoked_at,
    })
}

impl From<CredentialError> for CliError {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::NoSuchOffer(_) | CredentialError::NoSuchPartner(_) => {
                Self::new(Exit::NotFound, error)
            }
            CredentialError::NotForAPartner(_) => Self::new(Exit::Usage, error),
            CredentialError::Secrets(error) => error.into(),
            CredentialError::Store(error) => error.into(),
        }
    }
}
