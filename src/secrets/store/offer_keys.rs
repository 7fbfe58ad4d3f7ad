//! Offers' keys: open or sealed, and those of earlier files as hashes.

use postbook_schemas::{Instant, OfferRef};

use super::{Columns, SecretsStore, execute, over, reading, unrecorded::change, writing};
use crate::secrets::{
    KeyBytes, KeyKind, MasterKey, OfferKeyInfo, SecretsError, Unrecorded, plain, seal,
};

/// Under this name a text is kept that only its master key opens.
const SEAL: &str = "seal";

pub(in crate::secrets) struct OfferKeyRow {
    pub(in crate::secrets) info: OfferKeyInfo,
    pub(in crate::secrets) hash: plain::Hash,
    pub(in crate::secrets) kept: Option<Vec<u8>>,
}

impl SecretsStore {
    /// Adds a key. If `ends` is given, those of its kind before it end then, unless they end sooner.
    pub(in crate::secrets) async fn add_offer_key(
        &self,
        key: &OfferKeyInfo,
        bytes: &KeyBytes,
        ends: Option<Instant>,
        master: Option<&MasterKey>,
        fact: Option<&Unrecorded>,
    ) -> Result<(), SecretsError> {
        let kept = seal::to_keep(master, &key.seal_name(), &bytes.bytes)?;
        // Without an end nothing before it ends.
        let end = "UPDATE offer_secrets
                   SET valid_until = CASE WHEN valid_until < $1 THEN valid_until ELSE $1 END
                   WHERE offer = $2 AND kind = $3 AND $4";
        let insert = "INSERT INTO offer_secrets (id, hash, offer, created_at, kind, kept)
                      VALUES ($1, $2, $3, $4, $5, $6)";
        change!(self, fact,
            end, ends.map(Instant::micros), key.offer.as_str(), key.kind.code(), ends.is_some();
            insert, &*key.id, &bytes.hash[..], key.offer.as_str(), key.created_at.micros(),
            key.kind.code(), &kept[..]
        )
    }

    pub(in crate::secrets) async fn end_offer_key(
        &self,
        id: &str,
        now: Instant,
        fact: Option<&Unrecorded>,
    ) -> Result<(), SecretsError> {
        let end = "UPDATE offer_secrets
                   SET valid_until = CASE WHEN valid_until < $1 THEN valid_until ELSE $1 END
                   WHERE id = $2";
        change!(self, fact, end, now.micros(), id)
    }

    pub(in crate::secrets) async fn offer_keys(&self) -> Result<Vec<OfferKeyRow>, SecretsError> {
        let select = "SELECT * FROM offer_secrets ORDER BY offer, created_at, id";
        over!(self, pool => {
            let rows = sqlx::query(select).fetch_all(pool).await.map_err(reading)?;
            rows.iter().map(row_of).collect()
        })
    }

    /// Whether the secrets are sealed; then whether the key is its own.
    ///
    /// # Errors
    /// It is sealed under another key.
    pub(in crate::secrets) async fn is_sealed(
        &self,
        master: Option<&MasterKey>,
    ) -> Result<bool, SecretsError> {
        let Some(kept) = self.existing_key(SEAL).await? else {
            return Ok(false);
        };
        seal::read(master, SEAL, &kept)?;
        Ok(true)
    }

    /// Keeps every offer's secret under another master key, or under none. Nothing is left of the
    /// former state.
    pub(in crate::secrets) async fn reseal(
        &self,
        from: Option<&MasterKey>,
        to: Option<&MasterKey>,
    ) -> Result<(), SecretsError> {
        let mut sealed = Vec::new();
        for row in self.offer_keys().await? {
            let Some(kept) = &row.kept else { continue };
            let name = row.info.seal_name();
            let seal::Kept::Read(plain) = seal::read(from, &name, kept)? else {
                return Err(SecretsError::Locked);
            };
            sealed.push((row.info.id, seal::to_keep(to, &name, &plain)?));
        }
        let seal = to
            .map(|to| seal::to_keep(Some(to), SEAL, SEAL.as_bytes()))
            .transpose()?;
        over!(self, pool => {
            let mut change = pool.begin().await.map_err(writing)?;
            for (id, kept) in sealed {
                let keep = "UPDATE offer_secrets SET kept = $1 WHERE id = $2";
                execute!(&mut *change, keep, kept, &*id)?;
            }
            execute!(&mut *change, "DELETE FROM keys WHERE name = $1", SEAL)?;
            if let Some(seal) = seal {
                let insert = "INSERT INTO keys (name, bytes) VALUES ($1, $2)";
                execute!(&mut *change, insert, SEAL, seal)?;
            }
            change.commit().await.map_err(writing)
        })
    }
}

fn row_of(row: &impl Columns) -> Result<OfferKeyRow, SecretsError> {
    let damaged = SecretsError::Damaged;
    let kept = row.optional_bytes("kept")?;
    let info = OfferKeyInfo {
        id: row.text("id")?.into(),
        offer: OfferRef::try_new(&row.text("offer")?).map_err(|_| damaged("a secret's offer"))?,
        kind: KeyKind::from_code(&row.text("kind")?).ok_or(damaged("a secret's kind"))?,
        created_at: row
            .instant("created_at")?
            .ok_or(damaged("a secret's time"))?,
        valid_until: row.instant("valid_until")?,
        signs: kept.is_some(),
    };
    let hash = row.hash()?;
    Ok(OfferKeyRow { info, hash, kept })
}
