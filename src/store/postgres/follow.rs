//! Following other nodes: told by the server, and looking by itself in case it was not.

use std::{sync::Arc, time::Duration};

use sqlx::postgres::PgListener;
use tokio::time::{Instant, sleep, timeout};

use super::{Shared, trouble::Trouble};
use crate::store::StoreError;

/// How often the log is looked at although nothing was told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The time between two tries to listen.
const PAUSE: Duration = Duration::from_millis(500);

/// The time between two words to the others.
const BETWEEN_WORDS: Duration = Duration::from_millis(5);

/// Takes notice of what other nodes append, for as long as it is polled.
pub(super) async fn listen(shared: Arc<Shared>) {
    let mut is_told = false;
    loop {
        if let Err(trouble) = listen_until_cut(&shared).await
            && !is_told
        {
            tracing::warn!(error = ?trouble, "the log's server is not heard, and looked at instead");
            is_told = true;
        }
        sleep(PAUSE).await;
        if look(&shared).await.is_ok() {
            is_told = false;
        }
    }
}

async fn listen_until_cut(shared: &Shared) -> Result<(), Trouble> {
    // A pool of its own: this connection is never given back.
    let pool = shared.server.pool(1);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(&shared.channel).await?;
    loop {
        // Also at first: what was appended before there was anybody to listen.
        look(shared).await?;
        let deadline = Instant::now() + LOOK_EVERY;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(heard) = timeout(left, listener.try_recv()).await else {
                break;
            };
            let Some(heard) = heard? else {
                return Ok(());
            };
            let position: Option<u64> = heard.payload().parse().ok();
            if position.is_some_and(|position| position > shared.head()) {
                shared.catch_up(Instant::now()).await?;
            }
        }
    }
}

async fn look(shared: &Shared) -> Result<(), StoreError> {
    shared.catch_up(Instant::now()).await
}

/// Tells the other nodes what this one has appended, for as long as it is polled. That a word is lost
/// does no harm: the others look by themselves.
pub(super) async fn tell(shared: Arc<Shared>) {
    loop {
        shared.news.notified().await;
        let word = sqlx::query("SELECT pg_notify($1, $2)")
            .bind(&shared.channel)
            .bind(shared.head().to_string());
        if let Err(error) = word.execute(&shared.readers).await {
            tracing::debug!(%error, "the other nodes were not told");
        }
        sleep(BETWEEN_WORDS).await;
    }
}
