//! How the log is kept, in a small stream beside it: whoever comes first decides, and all others read.

use eventstore::EventData;
use postbook_schemas::ClickIdKey;
use serde::{Deserialize, Serialize};

use super::{
    connection::Connection,
    tail::READ_MAX,
    trouble::{Patience, Trouble},
};
use crate::store::StoreError;

/// Raised when the form of events changes, so that an older program refuses the log.
const LAYOUT: u32 = 1;

/// The type of the events.
const TYPE: &str = "log.kept";

/// What the last event of the stream says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    layout: u32,
    /// The key of the fingerprints of keys, in hex.
    fingerprint_key: String,
    /// The click id that number 0 would have: nodes with another key would give ids out twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    click_id_of_0: Option<String>,
}

impl Settings {
    fn with_key(key: &[u8; 32]) -> Self {
        Self {
            layout: LAYOUT,
            fingerprint_key: hex::encode(key),
            click_id_of_0: None,
        }
    }

    /// The key of the fingerprints of keys.
    pub(super) fn fingerprint_key(&self) -> Result<[u8; 32], StoreError> {
        let key = hex::decode(&self.fingerprint_key).ok();
        key.and_then(|key| key.try_into().ok())
            .ok_or_else(|| StoreError::failed("opened", "its fingerprint key has not 32 bytes"))
    }

    /// Refuses a log whose click ids were made with another key.
    pub(super) fn require_click_ids(&self, click_ids: &ClickIdKey) -> Result<(), StoreError> {
        let own = click_ids.encode(0);
        if self
            .click_id_of_0
            .as_deref()
            .is_none_or(|id| id == own.as_str())
        {
            return Ok(());
        }
        Err(StoreError::OtherKeys)
    }
}

/// Asks over and over for a while.
macro_rules! patiently {
    ($ask:expr) => {{
        let patience = Patience::of(READ_MAX);
        loop {
            match $ask.await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => patience
                    .after(trouble)
                    .await
                    .map_err(|trouble| trouble.told("opened"))?,
            }
        }
    }};
}

/// The settings of a log; none if it is not there.
pub(super) async fn read(
    connection: &Connection,
    stream: &str,
) -> Result<Option<Settings>, StoreError> {
    patiently!(async {
        let found = read_once(connection, stream).await?;
        Ok::<_, Trouble>(found.map(|(settings, _)| settings))
    })
}

/// The settings of a log; it is made if it is not there, with this key if one is given.
pub(super) async fn read_or_make(
    connection: &Connection,
    stream: &str,
    key: Option<&[u8; 32]>,
) -> Result<Settings, StoreError> {
    let made = Settings::with_key(&key.copied().unwrap_or_else(rand::random));
    patiently!(async {
        let found = read_once(connection, stream).await?;
        let there = match found {
            Some((settings, _))
                if key.is_none() || settings.fingerprint_key == made.fingerprint_key =>
            {
                return Ok(settings);
            }
            Some((_, there)) => there,
            None => 0,
        };
        put(connection, stream, there, &made).await?;
        Ok::<_, Trouble>(made.clone())
    })
}

/// Says with which key click ids are made, unless that is known.
pub(super) async fn bind_click_ids(
    connection: &Connection,
    stream: &str,
    click_ids: &ClickIdKey,
) -> Result<(), StoreError> {
    patiently!(async {
        let Some((settings, there)) = read_once(connection, stream).await? else {
            return Err(Trouble::NoAnswer("the log's settings are not there yet"));
        };
        settings.require_click_ids(click_ids)?;
        if settings.click_id_of_0.is_some() {
            return Ok(());
        }
        let bound = Settings {
            click_id_of_0: Some(click_ids.encode(0).to_string()),
            ..settings
        };
        put(connection, stream, there, &bound).await
    })
}

/// The settings, and how many events their stream has.
async fn read_once(
    connection: &Connection,
    stream: &str,
) -> Result<Option<(Settings, u64)>, Trouble> {
    let Some(last) = connection.last(stream).await? else {
        return Ok(None);
    };
    let settings: Settings = serde_json::from_slice(&last.data).map_err(|error| {
        StoreError::failed("opened", format!("its settings cannot be read: {error}"))
    })?;
    if settings.layout != LAYOUT {
        let found = settings.layout;
        let what = format!("its layout is version {found}; this program knows version {LAYOUT}");
        return Err(StoreError::failed("opened", what).into());
    }
    Ok(Some((settings, last.revision + 1)))
}

async fn put(
    connection: &Connection,
    stream: &str,
    there: u64,
    settings: &Settings,
) -> Result<(), Trouble> {
    let event = EventData::json(TYPE, settings);
    let event = event.map_err(|error| StoreError::failed("opened", error))?;
    let event = event.id(uuid::Builder::from_random_bytes(rand::random()).into_uuid());
    connection.append(stream, there, vec![event]).await
}
