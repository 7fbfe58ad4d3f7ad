//! `postbook secret`: makes, adds, lists and ends the secrets and keys of offers.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use postbook_schemas::OfferRef;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    desk::Desk,
    exit::{CliError, Exit},
    global::Global,
    output, own, reader,
    values::{self, Span},
};
use crate::{
    commands::credential::CredentialError,
    directory::Directory,
    secrets::{KeyBytes, KeyKind, MasterKey, OfferKeyInfo, Secrets},
};

/// Longest file of a secret that is read.
const FILE_BYTES_MAX: u64 = 4_096;

/// Makes, adds, lists and ends the secrets and keys of offers.
#[derive(Debug, Args)]
pub(super) struct Secret {
    #[command(subcommand)]
    verb: SecretVerb,
}

#[derive(Debug, Subcommand)]
enum SecretVerb {
    /// Makes a new secret for an offer and prints it, once
    Rotate {
        /// The offer
        #[arg(value_name = "BRAND/OFFER")]
        offer: OfferRef,
        /// How long secrets before it stay valid, as 30m, 24h or 7d
        #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = values::span)]
        overlap: Span,
    },
    /// Adds a key of the sender's that only checks signatures
    AddKey(AddKey),
    /// Lists the secrets and keys of an offer, never themselves
    List {
        /// The offer
        #[arg(value_name = "BRAND/OFFER")]
        offer: OfferRef,
    },
    /// Ends a secret or key now
    Revoke {
        /// Its id
        id: String,
    },
    /// Seals all offers' secrets under another master key, or under none
    Reseal {
        /// The file of the new master key; without it the secrets are kept open
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct AddKey {
    /// The offer
    #[arg(value_name = "BRAND/OFFER")]
    offer: OfferRef,
    /// A public key as Standard Webhooks writes it
    #[arg(
        long,
        value_name = "WHPK",
        required_unless_present = "secret_file",
        conflicts_with = "secret_file"
    )]
    public: Option<String>,
    /// A file with a `whsec_` secret that the sender's system has made; `-` is standard input
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// End keys of the same kind before it, after this span; without it they stay
    #[arg(long, value_name = "SPAN", value_parser = values::span)]
    overlap: Option<Span>,
}

impl Secret {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        match self.verb {
            SecretVerb::Rotate { offer, overlap } => rotate(&offer, overlap, global).await,
            SecretVerb::AddKey(add) => add.run(global).await,
            SecretVerb::List { offer } => list(&offer, global).await,
            SecretVerb::Revoke { id } => revoke(&id, global).await,
            SecretVerb::Reseal { new_key_file } => reseal(new_key_file.as_deref(), global).await,
        }
    }
}

async fn rotate(offer: &OfferRef, overlap: Span, global: &Global) -> Result<(), CliError> {
    let desk = Desk::open(global).await?;
    let by = own::by("secret rotate");
    let made = desk.keys.rotate_offer_secret(offer, overlap.micros, &by);
    let made = made.await;
    let (info, plain) = desk.close(made).await?;
    let for_webhooks = plain.for_webhooks();
    if global.json {
        return output::json(&json!({
            "id": info.id,
            "offer": info.offer,
            "created_at": info.created_at,
            "secret": plain.reveal(),
            "webhook_secret": for_webhooks.reveal(),
        }));
    }
    // Alone on standard output: scripts take it from there.
    output::line(plain.reveal())?;
    output::note(&format!("for Standard Webhooks: {}", for_webhooks.reveal()));
    Ok(())
}

impl AddKey {
    async fn run(self, global: &Global) -> Result<(), CliError> {
        let (kind, bytes) = match (&self.public, &self.secret_file) {
            (Some(public), _) => (KeyKind::PublicKey, KeyBytes::of_public_key(public.trim())?),
            (None, Some(path)) => {
                let text = read_secret(path)?;
                (
                    KeyKind::SigningSecret,
                    KeyBytes::of_signing_secret(text.trim())?,
                )
            }
            (None, None) => {
                return Err(CliError::new(
                    Exit::Usage,
                    "--public or --secret-file is needed",
                ));
            }
        };
        let desk = Desk::open(global).await?;
        let by = own::by("secret add-key");
        let overlap = self.overlap.map(|span| span.micros);
        let added = desk
            .keys
            .add_offer_key(&self.offer, kind, &bytes, overlap, &by)
            .await;
        let info = desk.close(added).await?;
        if global.json {
            return output::json(&item(&info));
        }
        output::line(&format!("added {} ({})", info.id, info.kind.code()))
    }
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let failed = |error| CliError::failed(format!("{} cannot be read: {error}", path.display()));
    let mut text = Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        io::stdin().take(FILE_BYTES_MAX).read_to_string(&mut text)
    } else {
        let file = fs::File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)
    };
    read.map_err(failed)?;
    Ok(text)
}

async fn list(offer: &OfferRef, global: &Global) -> Result<(), CliError> {
    let keys = reader::secrets(global).await?.offer_keys(offer.as_str());
    if keys.is_empty() {
        require_offer(offer, global).await?;
    }
    if global.json {
        let items: Vec<_> = keys.iter().map(item).collect();
        return output::json(&json!({ "items": items }));
    }
    let rows = keys.iter().map(|key| {
        vec![
            key.id.to_string(),
            key.kind.code().to_owned(),
            if key.signs { "yes" } else { "no" }.to_owned(),
            output::time(key.created_at),
            key.valid_until.map(output::time).unwrap_or_default(),
        ]
    });
    let headers = ["id", "kind", "checks signatures", "created", "valid until"];
    output::line(&output::table(&headers, rows, headers.len()))
}

/// An offer without keys is told from one that is not there.
async fn require_offer(offer: &OfferRef, global: &Global) -> Result<(), CliError> {
    let store = reader::open_log(global).await?;
    let directory = Directory::load(&*store).await;
    store.close().await;
    match directory.map_err(CliError::failed)?.offer(offer.as_str()) {
        Some(_) => Ok(()),
        None => Err(CredentialError::NoSuchOffer(offer.clone()).into()),
    }
}

async fn revoke(id: &str, global: &Global) -> Result<(), CliError> {
    let desk = Desk::open(global).await?;
    let revoked = desk
        .keys
        .revoke_offer_key(id, &own::by("secret revoke"))
        .await;
    let info = desk.close(revoked).await?;
    if global.json {
        return output::json(&item(&info));
    }
    output::line(&format!("revoked {} of {}", info.id, info.offer))
}

async fn reseal(new: Option<&Path>, global: &Global) -> Result<(), CliError> {
    let new = new.map(MasterKey::read).transpose()?;
    // A running server could no longer read what it has opened: it must be stopped, and stay so.
    let service = own::open(global).await?;
    let options = global.options();
    let master = options.master_key()?;
    let place = options.secrets_place()?;
    let resealed = match Secrets::open_with(&place, master).await {
        Ok(secrets) => secrets.reseal(new.as_ref()).await,
        Err(error) => Err(error),
    };
    service.shut_down().await;
    resealed?;
    output::note(match new {
        Some(_) => "sealed under the new master key: start the server with it",
        None => "kept open: start the server without --secrets-key-file",
    });
    Ok(())
}

fn item(key: &OfferKeyInfo) -> Value {
    json!({
        "id": key.id,
        "offer": key.offer,
        "kind": key.kind.code(),
        "checks_signatures": key.signs,
        "created_at": key.created_at,
        "valid_until": key.valid_until,
    })
}
