//! `postbook secret`: makes an offer's postback secret.

use clap::{Args, Subcommand};
use postbook_schemas::OfferRef;
use serde_json::json;

use super::{
    exit::CliError,
    global::Global,
    output, own,
    values::{self, Span},
};
use crate::commands::credential;

/// Makes postback secrets of offers.
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
}

impl Secret {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let SecretVerb::Rotate { offer, overlap } = self.verb;
        let service = own::open(global).await?;
        let by = own::by("secret rotate");
        let made = credential::rotate_offer_secret(&service, &offer, overlap.micros, &by).await;
        service.shut_down().await;
        let (info, plain) = made?;
        if global.json {
            return output::json(&json!({
                "id": info.id,
                "offer": info.offer,
                "created_at": info.created_at,
                "secret": plain.reveal(),
            }));
        }
        output::line(plain.reveal())
    }
}
