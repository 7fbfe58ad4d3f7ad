//! Offers' keys in the file: open or sealed, and those of earlier files as hashes.

use postbook_schemas::{Instant, OfferRef};
use sqlx::{Row, sqlite::SqliteRow};

use super::{SecretsFile, hash, instant, put_key, reading, text, writing};
use crate::secrets::{
    KeyBytes, KeyKind, MasterKey, OfferKeyInfo, SecretsError, Unrecorded, plain, seal,
};

/// Under this name the file keeps a text that only its master key opens.
const SEAL: &str = "seal";

pub(in crate::secrets) struct OfferKeyRow {
    pub(in crate::secrets) info: OfferKeyInfo,
    pub(in crate::secrets) hash: plain::Hash,
    pub(in crate::secrets) kept: Option<Vec<u8>>,
}

impl SecretsFile {
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
        let mut change = self.pool.begin().await.map_err(writing)?;
        if let Some(ends) = ends {
            sqlx::query(
                "UPDATE offer_secrets SET valid_until = min(coalesce(valid_until, ?1), ?1)
                 WHERE offer = ?2 AND kind = ?3",
            )
            .bind(ends.micros())
            .bind(key.offer.as_str())
            .bind(key.kind.code())
            .execute(&mut *change)
            .await
            .map_err(writing)?;
        }
        sqlx::query(
            "INSERT INTO offer_secrets (id, hash, offer, created_at, kind, kept)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&*key.id)
        .bind(&bytes.hash[..])
        .bind(key.offer.as_str())
        .bind(key.created_at.micros())
        .bind(key.kind.code())
        .bind(&kept[..])
        .execute(&mut *change)
        .await
        .map_err(writing)?;
        super::unrecorded::add(&mut change, fact).await?;
        change.commit().await.map_err(writing)
    }

    pub(in crate::secrets) async fn end_offer_key(
        &self,
        id: &str,
        now: Instant,
        fact: Option<&Unrecorded>,
    ) -> Result<(), SecretsError> {
        let end = sqlx::query(
            "UPDATE offer_secrets SET valid_until = min(coalesce(valid_until, ?1), ?1)
             WHERE id = ?2",
        );
        self.change(end.bind(now.micros()).bind(id), fact).await
    }

    pub(in crate::secrets) async fn offer_keys(&self) -> Result<Vec<OfferKeyRow>, SecretsError> {
        let rows = sqlx::query("SELECT * FROM offer_secrets ORDER BY offer, created_at, id")
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        rows.iter().map(row_of).collect()
    }

    /// Whether the file is sealed; then whether the key is its own.
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
        let rows = self.offer_keys().await?;
        let mut change = self
            .pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(writing)?;
        for row in rows {
            let Some(kept) = &row.kept else { continue };
            let name = row.info.seal_name();
            let seal::Kept::Read(plain) = seal::read(from, &name, kept)? else {
                return Err(SecretsError::Locked);
            };
            sqlx::query("UPDATE offer_secrets SET kept = ? WHERE id = ?")
                .bind(seal::to_keep(to, &name, &plain)?)
                .bind(&*row.info.id)
                .execute(&mut *change)
                .await
                .map_err(writing)?;
        }
        let seal = to
            .map(|to| seal::to_keep(Some(to), SEAL, SEAL.as_bytes()))
            .transpose()?;
        put_key(&mut change, SEAL, seal.as_deref()).await?;
        change.commit().await.map_err(writing)
    }
}

fn row_of(row: &SqliteRow) -> Result<OfferKeyRow, SecretsError> {
    let damaged = SecretsError::Damaged;
    let kept: Option<Vec<u8>> = row.try_get("kept").map_err(reading)?;
    let info = OfferKeyInfo {
        id: text(row, "id")?.into(),
        offer: OfferRef::try_new(&text(row, "offer")?).map_err(|_| damaged("a secret's offer"))?,
        kind: KeyKind::from_code(&text(row, "kind")?).ok_or(damaged("a secret's kind"))?,
        created_at: instant(row, "created_at")?.ok_or(damaged("a secret's time"))?,
        valid_until: instant(row, "valid_until")?,
        signs: kept.is_some(),
    };
    let hash = hash(row)?;
    Ok(OfferKeyRow { info, hash, kept })
}
