//! The demo's tokens and secrets, kept in a file beside the data so that they can be tried.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use postbook_schemas::OfferRef;
use serde::{Deserialize, Serialize};

use crate::{
    cli::{exit::CliError, own},
    commands::credential,
    secrets::{Role, Scope},
    service::Service,
};

const FILE_NAME: &str = "demo.json";

/// The offers whose postbacks carry a secret.
const OFFERS: &[&str] = &["acme/casino", "acme/shop", "nova/broker", "nova/academy"];

/// The demo's tokens and secrets. They guard nothing but invented money.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Keys {
    /// Offer secrets by offer.
    pub(super) secrets: BTreeMap<String, String>,
    /// A token for the postbacks of the shop.
    pub(super) shop_token: String,
    /// A manager's token.
    pub(super) manager_token: String,
    /// A finance token.
    pub(super) finance_token: String,
    /// An admin's token.
    pub(super) admin_token: String,
}

/// Whether a demo was played in this directory.
pub(super) fn are_there(data: &Path) -> bool {
    data.join(FILE_NAME).exists()
}

impl Keys {
    /// Makes them.
    pub(super) async fn make(service: &Service) -> Result<Self, CliError> {
        let by = own::by("demo");
        let keys = credential::Keys::of(service);
        let mut secrets = BTreeMap::new();
        for offer in OFFERS {
            let reference = OfferRef::try_new(offer).map_err(CliError::failed)?;
            let (_, plain) = keys.rotate_offer_secret(&reference, 0, &by).await?;
            secrets.insert((*offer).to_owned(), plain.reveal().to_owned());
        }
        let shop = OfferRef::try_new("acme/shop").map_err(CliError::failed)?;
        let mut tokens = Vec::new();
        for (role, name, scope) in [
            (Role::Ingest, "Acme Fan Shop", Scope::Offer(shop)),
            (Role::Manager, "Mona, affiliate manager", Scope::All),
            (Role::Finance, "Finn, finance", Scope::All),
            (Role::Admin, "you", Scope::All),
        ] {
            let (_, plain) = keys.create_token(role, name, scope, &by).await?;
            tokens.push(plain.reveal().to_owned());
        }
        credential::record(service).await?;
        let [shop_token, manager_token, finance_token, admin_token] =
            <[String; 4]>::try_from(tokens)
                .map_err(|_| CliError::failed("four tokens were made"))?;
        Ok(Self {
            secrets,
            shop_token,
            manager_token,
            finance_token,
            admin_token,
        })
    }

    /// Reads those of a demo that was played before.
    pub(super) fn read(data: &Path) -> Result<Self, CliError> {
        let text = fs::read_to_string(data.join(FILE_NAME)).map_err(CliError::failed)?;
        serde_json::from_str(&text).map_err(CliError::failed)
    }

    /// Keeps them. Written last, the file also says that the demo was played to its end.
    pub(super) fn write(&self, data: &Path) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(self).map_err(CliError::failed)?;
        let path = data.join(FILE_NAME);
        fs::write(&path, "").map_err(CliError::failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(CliError::failed)?;
        fs::write(&path, text + "\n").map_err(CliError::failed)
    }
}
