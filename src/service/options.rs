//! Where the service keeps things: log, secrets, read models, what-ifs.

use std::path::PathBuf;

use super::OpenError;
use crate::{
    secrets::{MasterKey, Place, Secrets, SecretsError},
    store::{
        StoreError,
        open::{self, Location},
    },
    tables::{self, error::TablesError},
    whatif::kept::Whatifs,
};

/// Where the service keeps things.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory: embedded log, read models, secrets.
    pub data: PathBuf,
    /// Another log store than the embedded one.
    pub log: Option<String>,
    /// Other read models than the embedded ones.
    pub projections: Option<String>,
    /// The file of the key that seals offers' secrets.
    pub secrets_key_file: Option<PathBuf>,
    /// How other nodes name this one; made of machine and PID if absent.
    pub node: Option<String>,
}

impl Options {
    /// Where the log is.
    ///
    /// # Errors
    /// Its URL cannot be understood.
    pub fn location(&self) -> Result<Location, StoreError> {
        Location::choose(self.log.as_deref(), &self.data)
    }

    /// Where secrets are.
    ///
    /// # Errors
    /// A URL cannot be understood.
    pub fn secrets_place(&self) -> Result<Place, StoreError> {
        Place::beside(&self.location()?, self.projections.as_deref(), &self.data)
    }

    /// Opens the secrets with the master key that seals them, if there is one. They are made where they
    /// are missing, but not beside a log that has facts: with other keys its click ids would find nothing.
    ///
    /// # Errors
    /// The log's secrets are lost, or cannot be opened.
    pub async fn secrets(&self, master: Option<MasterKey>) -> Result<Secrets, OpenError> {
        let place = self.secrets_place()?;
        if !Secrets::are_at(&place).await? && open::has_facts(&self.location()?).await? {
            return Err(SecretsError::Lost(place.to_string()).into());
        }
        Ok(Secrets::open_with(&place, master).await?)
    }

    /// Where what-ifs are kept: with what nodes share, or in the data directory.
    ///
    /// # Errors
    /// A URL cannot be understood.
    pub fn whatifs(&self) -> Result<Whatifs, OpenError> {
        let (tables, location) = (self.tables()?, self.location()?);
        let shared = match &tables {
            tables::location::Location::Server(server) => Some(server),
            tables::location::Location::Directory(_) => location.postgres(),
        };
        Ok(shared.map_or_else(|| Whatifs::of(&self.data), Whatifs::on))
    }

    /// Where the read models are.
    ///
    /// # Errors
    /// Their URL cannot be understood.
    pub fn tables(&self) -> Result<tables::location::Location, TablesError> {
        tables::location::Location::choose(self.projections.as_deref(), &self.data)
    }

    /// The key that seals offers' secrets, if there is one.
    ///
    /// # Errors
    /// Its file cannot be read or holds something else.
    pub fn master_key(&self) -> Result<Option<MasterKey>, SecretsError> {
        let file = self.secrets_key_file.as_deref();
        file.map(MasterKey::read).transpose()
    }
}
