//! Keys that are known before the measurement begins: clicks from elsewhere, under ids of their own.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use postbook::{
    clock::{Clock, SystemClock},
    secrets::Secrets,
    store::{Append, LogStore, sqlite::SqliteStore},
};
use postbook_schemas::{
    ClickIdKey, Fact, OfferRef, Slug, Source, dedupe,
    envelope::Draft,
    traffic::{Click, Device},
};

/// Facts in one append.
const GROUP: u64 = 10_000;

/// Puts clicks with this many unique keys into the log of a data directory that nobody has open.
pub(crate) fn put_in(data: &Path, keys: u64) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(append(data, keys))
}

async fn append(data: &Path, keys: u64) -> anyhow::Result<()> {
    let secrets = Secrets::open(data).await?;
    let click_ids = Arc::new(ClickIdKey::new(secrets.click_id_key()));
    let store = SqliteStore::open(data, click_ids).await?;
    let clock = SystemClock;
    let (offer, partner) = (OfferRef::try_new("acme/casino")?, Slug::try_new("p1")?);
    let mut number = 0;
    while number < keys {
        let end = keys.min(number + GROUP);
        let group = (number..end).map(|number| {
            let click_id = format!("elsewhere-{number}");
            let unique = dedupe::foreign_click_key(&click_id);
            let fact = Fact::ClickRecorded(Click {
                click_id,
                link: None,
                offer: offer.clone(),
                partner: partner.clone(),
                campaign: None,
                destination: None,
                country: None,
                device: Device::Mobile,
                user_agent: None,
                referrer: None,
                parameters: BTreeMap::new(),
            });
            let source = Source {
                endpoint: "/v1/clicks".to_owned(),
                address: None,
            };
            Append {
                draft: Draft::new(clock.new_id(), None, "bench".into(), source, &fact),
                unique: Some(unique),
                not_at: Vec::new(),
                references: Vec::new(),
                seat: None,
                with_previous: false,
            }
        });
        store.append(group.collect(), clock.now()).await?;
        number = end;
    }
    store.close().await;
    Ok(())
}
