//! The log on a server, for copying it from or to another store.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::{BoxFuture, FutureExt};
use postbook_schemas::ClickIdKey;

use super::{
    MIRROR, Server, Shared, bring_up_to_date, connection::Connection, settings, tail::Writing,
};
use crate::store::{
    LogStore, StoreError,
    layout::{kept, row::Row},
    sqlite::FileRows,
    transport::{Rows, TakesRows},
};

/// The rows of a node's mirror, which is brought up to date.
pub(in crate::store) async fn mirror_of(
    server: &Server,
    data: &Path,
) -> Result<FileRows, StoreError> {
    let mirror = bring_up_to_date(server, data, None).await?;
    FileRows::of(&mirror).await
}

/// A log on a server that facts can be added to.
#[derive(Debug)]
pub(in crate::store) struct StreamRows {
    server: Server,
    connection: Connection,
    data: PathBuf,
    /// None before it is known with which key.
    open: Option<(Arc<Shared>, [u8; 32])>,
}

impl StreamRows {
    /// The log; it is not made yet if it is not there.
    pub(in crate::store) async fn to_add(server: &Server, data: &Path) -> Result<Self, StoreError> {
        let mut rows = Self {
            server: server.clone(),
            connection: server.connection(),
            data: data.to_owned(),
            open: None,
        };
        let found = settings::read(&rows.connection, &server.settings_stream()).await?;
        if let Some(found) = found {
            rows.open(found).await?;
        }
        Ok(rows)
    }

    async fn open(&mut self, settings: settings::Settings) -> Result<(), StoreError> {
        if let Some((open, _)) = self.open.take() {
            open.mirror.close().await;
        }
        let key = settings.fingerprint_key()?;
        let known = (self.server.clone(), self.server.connection(), settings);
        let shared = Shared::open(known, &self.data, any_click_ids(), Writing::Yes).await?;
        self.open = Some((shared, key));
        Ok(())
    }

    fn opened(&self) -> Result<&Arc<Shared>, StoreError> {
        let open = self.open.as_ref().map(|(shared, _)| shared);
        open.ok_or(StoreError::Closed("it has not been made yet"))
    }
}

/// What is copied has its click ids.
pub(super) fn any_click_ids() -> Arc<ClickIdKey> {
    Arc::new(ClickIdKey::new(&[0; 32]))
}

impl Rows for StreamRows {
    fn fingerprint_key(&mut self) -> BoxFuture<'_, Result<[u8; 32], StoreError>> {
        let key = self.open.as_ref().map(|(_, key)| *key);
        let key = key.ok_or(StoreError::Closed("it has not been made yet"));
        std::future::ready(key).boxed()
    }

    fn head(&mut self) -> BoxFuture<'_, Result<u64, StoreError>> {
        let head = self
            .open
            .as_ref()
            .map_or(0, |(shared, _)| shared.mirror.head());
        std::future::ready(Ok(head)).boxed()
    }

    fn after(&mut self, position: u64) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        async move {
            let mut mirror = FileRows::of(&self.data.join(MIRROR)).await?;
            mirror.after(position).await
        }
        .boxed()
    }
}

impl TakesRows for StreamRows {
    fn take_key(&mut self, key: [u8; 32]) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let stream = self.server.settings_stream();
            let made = settings::read_or_make(&self.connection, &stream, Some(&key)).await?;
            self.open(made).await
        }
        .boxed()
    }

    fn take(&mut self, rows: Vec<Row>) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let shared = self.opened()?;
            for row in rows {
                shared
                    .append_copied(kept::facts_of(&row)?, row.first_position)
                    .await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn finish(&mut self) -> BoxFuture<'_, ()> {
        async {
            if let Some((open, _)) = self.open.take() {
                open.mirror.close().await;
            }
        }
        .boxed()
    }
}
