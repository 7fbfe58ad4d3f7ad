//! A lease among nodes of one process, for tests: time is the runtime's.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, pending, ready};
use tokio::time::Instant;

use super::{Holder, LeaseError, LeaseStore, Session, Standing};

/// Who has the lease, in memory.
#[derive(Debug, Default)]
pub struct MemoryLeases(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: Option<(Session, Instant)>,
    term: i64,
    renewed: i64,
    wanted: u64,
    cut_off: BTreeSet<Arc<str>>,
}

impl MemoryLeases {
    /// Whether a node gets no answer any more.
    pub fn cut_off(&self, node: &str, is_cut_off: bool) {
        let mut state = self.state();
        if is_cut_off {
            state.cut_off.insert(node.into());
        } else {
            state.cut_off.remove(node);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_now(&self, session: &Session, lasts: Duration, wanted: u64) -> Option<Standing> {
        let mut state = self.state();
        if state.cut_off.contains(&session.node) {
            return None;
        }
        let now = Instant::now();
        let holder = match state.held.take() {
            Some((holder, until)) if until > now && holder != *session => {
                state.held = Some((holder.clone(), until));
                holder
            }
            held => {
                let is_renewed = held.is_some_and(|(it, until)| until > now && it == *session);
                state.term += i64::from(!is_renewed);
                state.renewed += 1;
                state.held = Some((session.clone(), now + lasts));
                session.clone()
            }
        };
        state.wanted = state.wanted.max(wanted);
        let is_own = holder == *session;
        let (node, term) = (holder.node, state.term);
        let renewed = state.renewed;
        Some(Standing {
            holder: Holder { node, term },
            is_own,
            renewed,
            wanted: state.wanted,
        })
    }
}

impl LeaseStore for MemoryLeases {
    fn take<'s>(
        &'s self,
        session: &'s Session,
        lasts: Duration,
        wanted: u64,
    ) -> BoxFuture<'s, Result<Standing, LeaseError>> {
        match self.take_now(session, lasts, wanted) {
            Some(held) => ready(Ok(held)).boxed(),
            None => pending().boxed(),
        }
    }

    fn give_up<'s>(&'s self, session: &'s Session) -> BoxFuture<'s, Result<(), LeaseError>> {
        let mut state = self.state();
        if matches!(&state.held, Some((holder, _)) if holder == session) {
            state.held = None;
        }
        ready(Ok(())).boxed()
    }
}
