//! Tokens in the file: their hashes, never themselves.

use postbook_schemas::{Instant, OfferRef, Slug};
use sqlx::{Row, sqlite::SqliteRow};

use super::{SecretsFile, hash, instant, reading, text};
use crate::secrets::{Role, Scope, SecretsError, TokenInfo, Unrecorded, plain};

pub(in crate::secrets) struct TokenRow {
    pub(in crate::secrets) info: TokenInfo,
    pub(in crate::secrets) hash: plain::Hash,
}

impl SecretsFile {
    pub(in crate::secrets) async fn add_token(
        &self,
        token: &TokenInfo,
        hash: &plain::Hash,
        fact: Option<&Unrecorded>,
    ) -> Result<(), SecretsError> {
        let (offer, partner) = match &token.scope {
            Scope::All => (None, None),
            Scope::Offer(offer) => (Some(offer.as_str()), None),
            Scope::Partner(partner) => (None, Some(partner.as_str())),
        };
        let insert = sqlx::query(
            "INSERT INTO tokens (id, hash, name, role, offer, partner, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&*token.id)
        .bind(&hash[..])
        .bind(&*token.name)
        .bind(token.role.code())
        .bind(offer)
        .bind(partner)
        .bind(token.created_at.micros());
        self.change(insert, fact).await
    }

    pub(in crate::secrets) async fn revoke_token(
        &self,
        id: &str,
        now: Instant,
        fact: Option<&Unrecorded>,
    ) -> Result<(), SecretsError> {
        let revoke = "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
        let revoke = sqlx::query(revoke).bind(now.micros()).bind(id);
        self.change(revoke, fact).await
    }

    pub(in crate::secrets) async fn tokens(&self) -> Result<Vec<TokenRow>, SecretsError> {
        let rows = sqlx::query("SELECT * FROM tokens ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        rows.iter().map(token_row).collect()
    }
}

fn token_row(row: &SqliteRow) -> Result<TokenRow, SecretsError> {
    let damaged = SecretsError::Damaged;
    let offer: Option<String> = row.try_get("offer").map_err(reading)?;
    let partner: Option<String> = row.try_get("partner").map_err(reading)?;
    let scope = match (offer, partner) {
        (Some(offer), _) => OfferRef::try_new(&offer)
            .map(Scope::Offer)
            .map_err(|_| damaged("a token's offer"))?,
        (None, Some(partner)) => Slug::try_new(&partner)
            .map(Scope::Partner)
            .map_err(|_| damaged("a token's partner"))?,
        (None, None) => Scope::All,
    };
    let role = text(row, "role")?.parse::<Role>();
    let info = TokenInfo {
        id: text(row, "id")?.into(),
        name: text(row, "name")?.into(),
        role: role.map_err(|_| damaged("a token's role"))?,
        scope,
        created_at: instant(row, "created_at")?.ok_or(damaged("a token's time"))?,
        revoked_at: instant(row, "revoked_at")?,
    };
    let hash = hash(row)?;
    Ok(TokenRow { info, hash })
}
