//! What others may know of the projector while it works, and how they wait for it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::course::{Control, Course, Progress};

/// What others may know of the projector.
#[derive(Debug)]
pub(super) struct Status {
    position: watch::Sender<u64>,
    waiting: AtomicUsize,
    wake: Notify,
    rebuilding: tokio::sync::Mutex<()>,
    stopping: AtomicBool,
    /// How far the read models have come that must be built before there are any.
    building: Mutex<Option<Arc<Control>>>,
    failed: Mutex<Option<String>>,
    trouble: Mutex<Option<String>>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            position: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            wake: Notify::new(),
            rebuilding: tokio::sync::Mutex::default(),
            stopping: AtomicBool::new(false),
            building: Mutex::new(None),
            failed: Mutex::new(None),
            trouble: Mutex::new(None),
        }
    }
}

/// Counts somebody who waits, until dropped: a request may be given up at any time.
#[derive(Debug)]
pub(super) struct Waiting<'s>(&'s AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Status {
    pub(super) fn position(&self) -> u64 {
        *self.position.borrow()
    }

    /// Moves on, and wakes those who wait for it.
    pub(super) fn reached(&self, position: u64) {
        self.position.send_replace(position);
        set(&self.trouble, None);
    }

    pub(super) fn failed(&self) -> Option<String> {
        get(&self.failed)
    }

    /// The projector stops for good. Those who wait need not wait longer.
    pub(super) fn fail(&self, why: String) {
        set(&self.failed, Some(why));
        self.position.send_modify(|_| {});
    }

    pub(super) fn trouble(&self) -> Option<String> {
        get(&self.trouble)
    }

    pub(super) fn has_trouble(&self, what: String) {
        set(&self.trouble, Some(what));
    }

    /// Ends what the projector is at.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(control) = lock(&self.building).as_ref() {
            control.cancel();
        }
    }

    /// Notes that the read models are built from nothing, and those that there were answer as they
    /// are; `None` ends it.
    pub(super) fn builds(&self, control: Option<Arc<Control>>) {
        *lock(&self.building) = control;
        if self.is_stopped() {
            self.stop();
        }
    }

    /// How far the read models have come that are built from nothing.
    pub(super) fn building(&self) -> Option<Progress> {
        lock(&self.building)
            .as_ref()
            .map(|control| control.progress())
    }

    /// Keeps other rebuilds waiting while it is held; nobody gets it while another has it.
    pub(super) fn try_rebuilding(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        self.rebuilding.try_lock().ok()
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Returns as soon as somebody begins to wait.
    pub(super) async fn somebody_waits(&self) {
        self.wake.notified().await;
    }

    /// Counts somebody who waits, until dropped.
    pub(super) fn waiting(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.wake.notify_one();
        Waiting(&self.waiting)
    }

    pub(super) async fn wait_for(&self, position: u64, within: Duration) -> bool {
        if self.position() >= position {
            return true;
        }
        let _waiting = self.waiting();
        let mut reached = self.position.subscribe();
        let arrived = reached.wait_for(|&now| now >= position || self.failed().is_some());
        let in_time = tokio::time::timeout(within, arrived).await.is_ok();
        in_time && self.position() >= position
    }
}

impl Course for Status {
    fn reached(&self, position: u64) {
        self.reached(position);
    }

    fn is_stopped(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics while it copies")
}

fn get(text: &Mutex<Option<String>>) -> Option<String> {
    lock(text).clone()
}

fn set(text: &Mutex<Option<String>>, value: Option<String>) {
    *lock(text) = value;
}
