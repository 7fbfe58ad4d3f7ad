//! Copying secrets to another place, for a log that is copied there.

use super::{SecretsStore, execute, over, reading, writing};
use crate::secrets::SecretsError;

type Key = (String, Vec<u8>);
type Token = (
    String,
    Vec<u8>,
    String,
    String,
    Option<String>,
    Option<String>,
    i64,
    Option<i64>,
);
type OfferSecret = (
    String,
    Vec<u8>,
    String,
    i64,
    Option<i64>,
    String,
    Option<Vec<u8>>,
);

/// All that is kept.
struct Everything {
    keys: Vec<Key>,
    tokens: Vec<Token>,
    offer_secrets: Vec<OfferSecret>,
    unrecorded: Vec<(String, String)>,
}

impl SecretsStore {
    /// Copies everything to another place, once more if it has changed since. Sealed secrets stay
    /// sealed.
    ///
    /// # Errors
    /// The other place has keys of another log, or one of the two cannot be used.
    pub(in crate::secrets) async fn copy_to(&self, other: &Self) -> Result<(), SecretsError> {
        let everything = self.everything().await?;
        for (name, bytes) in &everything.keys {
            let theirs = other.existing_key(name).await?;
            if theirs.is_some_and(|theirs| theirs != *bytes) {
                return Err(SecretsError::OtherKeys);
            }
        }
        other.take(everything).await
    }

    async fn everything(&self) -> Result<Everything, SecretsError> {
        macro_rules! all {
            ($pool:expr, $select:expr) => {
                sqlx::query_as($select)
                    .fetch_all($pool)
                    .await
                    .map_err(reading)?
            };
        }
        over!(self, pool => Ok(Everything {
            keys: all!(pool, "SELECT name, bytes FROM keys ORDER BY name"),
            tokens: all!(pool, "SELECT id, hash, name, role, offer, partner, created_at, revoked_at \
                                FROM tokens ORDER BY id"),
            offer_secrets: all!(pool, "SELECT id, hash, offer, created_at, valid_until, kind, kept \
                                       FROM offer_secrets ORDER BY id"),
            unrecorded: all!(pool, "SELECT id, fact FROM unrecorded ORDER BY id"),
        }))
    }

    async fn take(&self, all: Everything) -> Result<(), SecretsError> {
        let key = "INSERT INTO keys (name, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let token = "INSERT INTO tokens
                     (id, hash, name, role, offer, partner, created_at, revoked_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                     ON CONFLICT (id) DO UPDATE SET revoked_at = excluded.revoked_at";
        let secret = "INSERT INTO offer_secrets
                      (id, hash, offer, created_at, valid_until, kind, kept)
                      VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id)
                      DO UPDATE SET valid_until = excluded.valid_until, kept = excluded.kept";
        let fact = "INSERT INTO unrecorded (id, fact) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        over!(self, pool => {
            let mut change = pool.begin().await.map_err(writing)?;
            for (name, bytes) in all.keys {
                execute!(&mut *change, key, name, bytes)?;
            }
            for (id, hash, name, role, offer, partner, created_at, revoked_at) in all.tokens {
                execute!(&mut *change, token, id, hash, name, role, offer, partner, created_at,
                    revoked_at)?;
            }
            for (id, hash, offer, created_at, valid_until, kind, kept) in all.offer_secrets {
                execute!(&mut *change, secret, id, hash, offer, created_at, valid_until, kind,
                    kept)?;
            }
            for (id, json) in all.unrecorded {
                execute!(&mut *change, fact, id, json)?;
            }
            change.commit().await.map_err(writing)
        })
    }
}
