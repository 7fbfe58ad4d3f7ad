//! Tokens: their hashes, never themselves.

use postbook_schemas::{Instant, OfferRef, Slug};

use super::{Columns, SecretsStore, over, reading, unrecorded::change};
use crate::secrets::{Role, Scope, SecretsError, TokenInfo, Unrecorded, plain};

pub(in crate::secrets) struct TokenRow {
    pub(in crate::secrets) info: TokenInfo,
    pub(in crate::secrets) hash: plain::Hash,
}

impl SecretsStore {
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
        let insert = "INSERT INTO tokens (id, hash, name, role, offer, partner, created_at)
                      VALUES ($1, $2, $3, $4, $5, $6, $7)";
        change!(
            self,
            fact,
            insert,
            &*token.id,
            &hash[..],
            &*token.name,
            token.role.code(),
            offer,
            partner,
            token.created_at.micros()
        )
    }

    pub(in crate::secrets) async fn revoke_token(
        &self,
        id: &str,
        now: Instant,
        fact: Option<&Unrecorded>,
    ) -> Result<(), SecretsError> {
        let revoke = "UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
        change!(self, fact, revoke, now.micros(), id)
    }

    pub(in crate::secrets) async fn tokens(&self) -> Result<Vec<TokenRow>, SecretsError> {
        let select = "SELECT * FROM tokens ORDER BY id";
        over!(self, pool => {
            let rows = sqlx::query(select).fetch_all(pool).await.map_err(reading)?;
            rows.iter().map(token_row).collect()
        })
    }
}

fn token_row(row: &impl Columns) -> Result<TokenRow, SecretsError> {
    let damaged = SecretsError::Damaged;
    let offer = row.optional_text("offer")?;
    let partner = row.optional_text("partner")?;
    let scope = match (offer, partner) {
        (Some(offer), _) => OfferRef::try_new(&offer)
            .map(Scope::Offer)
            .map_err(|_| damaged("a token's offer"))?,
        (None, Some(partner)) => Slug::try_new(&partner)
            .map(Scope::Partner)
            .map_err(|_| damaged("a token's partner"))?,
        (None, None) => Scope::All,
    };
    let role = row.text("role")?.parse::<Role>();
    let info = TokenInfo {
        id: row.text("id")?.into(),
        name: row.text("name")?.into(),
        role: role.map_err(|_| damaged("a token's role"))?,
        scope,
        created_at: row
            .instant("created_at")?
            .ok_or(damaged("a token's time"))?,
        revoked_at: row.instant("revoked_at")?,
    };
    let hash = row.hash()?;
    Ok(TokenRow { info, hash })
}
