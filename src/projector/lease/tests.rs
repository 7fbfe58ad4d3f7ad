//! Leases among nodes of one process.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::*;

async fn becomes(lease: &Lease, wanted: impl Fn(&Role) -> bool) -> Role {
    let mut watched = lease.watch();
    let role = timeout(Duration::from_secs(20), watched.wait_for(wanted)).await;
    role.expect("it comes to that").expect("it is kept").clone()
}

fn shared(store: &Arc<MemoryLeases>) -> Arc<dyn LeaseStore> {
    Arc::<MemoryLeases>::clone(store)
}

fn is_held(role: &Role) -> bool {
    matches!(role, Role::Projecting(_))
}

#[tokio::test]
async fn nobody_contends_with_who_is_alone() {
    let lease = Lease::alone();
    lease.release().await;
    assert_eq!(lease.role(), Role::Projecting(0));
}

#[tokio::test]
async fn one_has_it_and_another_gets_it_in_a_higher_term_when_it_is_given_up() {
    let store = Arc::new(MemoryLeases::default());
    let one = Lease::start(shared(&store), Session::new("one"));
    assert_eq!(becomes(&one, is_held).await, Role::Projecting(1));
    let other = Lease::start(shared(&store), Session::new("other"));
    let known = |role: &Role| matches!(role, Role::Following(Some(_)));
    let one_has_it = Holder {
        node: "one".into(),
        term: 1,
    };
    let role = becomes(&other, known).await;
    assert_eq!(role, Role::Following(Some(one_has_it)));
    // It is renewed beyond its end.
    sleep(LASTS + EVERY).await;
    assert_eq!(one.role(), Role::Projecting(1));
    one.release().await;
    assert_eq!(one.role(), Role::Following(None));
    assert_eq!(becomes(&other, is_held).await, Role::Projecting(2));
}

#[tokio::test]
async fn who_is_not_heard_of_loses_it_before_another_gets_it() {
    let store = Arc::new(MemoryLeases::default());
    let one = Lease::start(shared(&store), Session::new("one"));
    becomes(&one, is_held).await;
    let other = Lease::start(shared(&store), Session::new("other"));
    store.cut_off("one", true);
    let lost = async {
        becomes(&one, |role| !is_held(role)).await;
        Instant::now()
    };
    let taken = async {
        becomes(&other, is_held).await;
        Instant::now()
    };
    let (lost, taken) = tokio::join!(lost, taken);
    assert!(lost < taken, "there were two");
    // It comes back, and is told who has it.
    store.cut_off("one", false);
    let role = becomes(&one, |role| matches!(role, Role::Following(Some(_)))).await;
    let Role::Following(Some(holder)) = role else {
        panic!("{role:?}");
    };
    assert_eq!((&*holder.node, holder.term), ("other", 2));
}

#[tokio::test]
async fn what_a_process_took_that_is_gone_is_waited_for_and_what_another_renews_is_not() {
    let store = Arc::new(MemoryLeases::default());
    let gone = Session::new("gone");
    let taken = store.take(&gone, LASTS, 0).await;
    assert!(taken.expect("nobody has it").is_own);
    let one = Lease::start(shared(&store), Session::new("one"));
    assert_eq!(one.term(LASTS * 5).await.expect("it ends"), 2);
    let other = Lease::start(shared(&store), Session::new("other"));
    let refused = other.term(LASTS * 5).await.expect_err("it is renewed");
    assert!(
        matches!(&refused, ProjectorError::Elsewhere(Some(by)) if &*by.node == "one"),
        "{refused:?}"
    );
}
