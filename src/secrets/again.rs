//! Looking again at what another process may just have changed, before somebody is refused.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use super::{Secrets, SecretsError};

/// The shortest time between two looks: whoever guesses tokens costs at most so many of them.
const LOOKS_APART: Duration = Duration::from_millis(5);

/// The looks that were taken.
#[derive(Debug, Default)]
pub(super) struct Looks {
    begun: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl Secrets {
    /// Takes up what another process has changed up to now; says whether anything changed since this was
    /// asked. To be called before a credential is refused that is not known: it may have been made a
    /// moment ago. Looks are shared by all who wait for one, and come no closer than 5 ms.
    ///
    /// # Errors
    /// What is kept cannot be read; what was known stays.
    pub async fn look_again(&self) -> Result<bool, SecretsError> {
        let known = self.version();
        let begun = self.looks.begun.load(Ordering::Acquire);
        let mut last = self.looks.last.lock().await;
        // One that began after this was asked, and has ended, has seen all that was to be seen.
        if self.looks.begun.load(Ordering::Acquire) == begun {
            if let Some(last) = *last {
                tokio::time::sleep_until(last + LOOKS_APART).await;
            }
            *last = Some(Instant::now());
            self.looks.begun.fetch_add(1, Ordering::AcqRel);
            self.refresh().await?;
        }
        Ok(self.version() != known)
    }
}
