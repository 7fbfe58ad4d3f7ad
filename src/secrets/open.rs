//! Opening secrets, wherever they are kept, and copying them to another place.

use std::{path::Path, sync::atomic::AtomicI64};

use arc_swap::ArcSwap;
use ed25519_dalek::SigningKey;

use super::{
    MasterKey, Place, Secrets, SecretsError,
    again::Looks,
    store::{CLICK_ID_KEY, SecretsStore},
};
use crate::intake::personal::Pseudonyms;

impl Secrets {
    /// Opens the secrets in a data directory; makes both where they are missing. Without the master
    /// key of sealed secrets, signatures cannot be checked.
    ///
    /// # Errors
    /// The directory or the file cannot be made, read or understood.
    pub async fn open(data: &Path) -> Result<Self, SecretsError> {
        Self::open_with(&Place::Directory(data.to_owned()), None).await
    }

    /// Opens the secrets with the master key that seals them. Secrets that are not sealed yet are.
    ///
    /// # Errors
    /// As [`Self::open`], or the key is not the one that they are sealed with.
    pub async fn open_with(place: &Place, master: Option<MasterKey>) -> Result<Self, SecretsError> {
        let store = SecretsStore::open(place).await?;
        if !store.is_sealed(master.as_ref()).await? && master.is_some() {
            store.reseal(None, master.as_ref()).await?;
        }
        Self::of_store(store, master).await
    }

    /// Opens the secrets beside another process that has them: what it keeps open stays open.
    ///
    /// # Errors
    /// As [`Self::open_with`].
    pub async fn open_beside(
        place: &Place,
        master: Option<MasterKey>,
    ) -> Result<Self, SecretsError> {
        let store = SecretsStore::open(place).await?;
        let is_sealed = store.is_sealed(master.as_ref()).await?;
        Self::of_store(store, master.filter(|_| is_sealed)).await
    }

    /// Whether there are keys in a place; nothing is made there.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn are_at(place: &Place) -> Result<bool, SecretsError> {
        SecretsStore::has_keys(place).await
    }

    /// Copies all secrets to another place, as they are, sealed or not; once more if they have changed
    /// since.
    ///
    /// # Errors
    /// There are none, the other place has keys of another log, or one of the two cannot be used.
    pub async fn copy(from: &Place, to: &Place) -> Result<(), SecretsError> {
        if !Self::are_at(from).await? {
            return Err(SecretsError::Lost(from.to_string()));
        }
        let (from, to) = (
            SecretsStore::open(from).await?,
            SecretsStore::open(to).await?,
        );
        from.copy_to(&to).await
    }

    async fn of_store(
        store: SecretsStore,
        master: Option<MasterKey>,
    ) -> Result<Self, SecretsError> {
        let click_id_key = store.key(CLICK_ID_KEY).await?;
        let pseudonyms = Pseudonyms::new(store.key("pseudonyms").await?);
        let signing_key = SigningKey::from_bytes(&store.key("log_signing").await?);
        let is_sealed = store.is_sealed(master.as_ref()).await?;
        let secrets = Self {
            is_locked: is_sealed && master.is_none(),
            version: AtomicI64::new(store.version().await?),
            looks: Looks::default(),
            store,
            master,
            click_id_key,
            pseudonyms,
            signing_key,
            known: ArcSwap::default(),
        };
        secrets.reload().await?;
        Ok(secrets)
    }
}
