//! The task that asks for a lease, renews it, and takes it for lost in time.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{ANSWER_MAX, EVERY, EVERY_AT_MOST, LASTS, LeaseStore, MARGIN, Role, Session, Standing};

/// The task behind a [`Lease`].
pub(super) struct Keeper {
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) session: Session,
    pub(super) role: watch::Sender<Role>,
    pub(super) wants: watch::Receiver<u64>,
    pub(super) wanted: watch::Sender<u64>,
    /// When the lease must be taken for lost, if nothing else is heard.
    pub(super) lost_at: Instant,
    /// The term in which another node had it when it was looked last, and how it was renewed.
    pub(super) seen: Option<(i64, i64)>,
}

impl Keeper {
    pub(super) async fn run(mut self) {
        loop {
            let asked_at = Instant::now();
            let wants = *self.wants.borrow_and_update();
            let taking = self.store.take(&self.session, LASTS, wants);
            match timeout(self.patience(), taking).await {
                Ok(Ok(standing)) if standing.is_own => {
                    // From when it was asked on: the answer may have taken its time.
                    self.lost_at = asked_at + LASTS - MARGIN;
                    self.wanted.send_if_modified(|wanted| {
                        let changes = *wanted != standing.wanted;
                        *wanted = standing.wanted;
                        changes
                    });
                    self.becomes(Role::Projecting(standing.holder.term));
                }
                Ok(Ok(standing)) => self.another_has_it(standing),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "it is asked again");
                    self.unheard();
                }
                Err(_) => self.unheard(),
            }
            sleep(EVERY_AT_MOST).await;
            tokio::select! {
                () = sleep(EVERY.saturating_sub(EVERY_AT_MOST)) => {}
                // Nobody is left who could want anything.
                Ok(()) = self.wants.changed() => {}
            }
        }
    }

    /// Takes up who has it, once it was renewed under our eyes: whoever took it may be gone since, and it
    /// is ours as soon as it ends.
    fn another_has_it(&mut self, standing: Standing) {
        let seen = (standing.holder.term, standing.renewed);
        let before = self.seen.replace(seen);
        let is_alive = before.is_some_and(|before| before < seen);
        let is_known = matches!(
            &*self.role.borrow(),
            Role::Following(Some(by)) if *by == standing.holder
        );
        if is_alive || is_known {
            self.becomes(Role::Following(Some(standing.holder)));
        } else {
            self.becomes(Role::Following(None));
        }
    }

    /// How long to wait for an answer: not beyond the end of the lease.
    fn patience(&self) -> Duration {
        let left = self.lost_at.saturating_duration_since(Instant::now());
        match *self.role.borrow() {
            Role::Projecting(_) => left.min(ANSWER_MAX),
            Role::Following(_) => ANSWER_MAX,
        }
    }

    fn unheard(&self) {
        if Instant::now() + EVERY >= self.lost_at {
            self.becomes(Role::Following(None));
        }
    }

    fn becomes(&self, next: Role) {
        self.role.send_if_modified(|role| {
            let changes = *role != next;
            if changes {
                match &next {
                    Role::Projecting(term) => tracing::info!(term, "this node projects"),
                    Role::Following(by) => tracing::info!(?by, "this node follows"),
                }
                *role = next;
            }
            changes
        });
    }
}
