//! The numbered obligations of `src/store/mod.rs`, each checked over every store.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the obligations are tests, but a macro makes the test functions"
)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use postbook::store::{Append, Appended, Filter, LogStore, merkle};
use postbook_schemas::{ClickId, FactType, Instant, envelope::RawEnvelope};
use proptest::prelude::*;

use crate::support::{
    facts::{click, foreign_click, head, position, report},
    stores::{Subject, at, click_ids},
};

macro_rules! obligations {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Subject::memory()).await;
            })+
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Subject::sqlite().await).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(subject) = super::Subject::postgres().await {
                    super::$name(subject).await;
                }
            })+
        }

        #[cfg(feature = "kurrentdb")]
        mod fake_kurrentdb {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Subject::fake_kurrentdb().await).await;
            })+
        }

        #[cfg(feature = "kurrentdb")]
        mod kurrentdb {
            $(#[tokio::test]
            async fn $name() {
                if let Some(subject) = super::Subject::kurrentdb().await {
                    super::$name(subject).await;
                }
            })+
        }
    };
}

obligations! {
    o1_positions_are_gapless_in_the_order_of_confirmation;
    o2_what_was_confirmed_is_there_after_opening_again;
    o3_a_group_with_an_unfit_fact_leaves_nothing;
    o4_one_fact_for_a_unique_key_ever;
    o4_a_position_that_only_looks_alike_is_not_named_again;
    o5_lines_are_kept_byte_for_byte;
    o6_a_click_gets_the_id_of_its_position;
    o7_keys_and_clicks_are_found_at_once;
    o8_pages_hold_what_is_asked_for_and_go_on;
    o9_the_head_wakes_followers_and_never_moves_back;
    o10_roots_are_those_of_rfc_6962_for_every_size;
    o11_the_time_of_recording_never_falls;
    o12_facts_that_are_bound_are_all_there_or_none;
    closed_stores_take_no_facts;
    a_sound_log_passes_its_check;
}

async fn append(store: &Arc<dyn LogStore>, group: Vec<Append>, now: Instant) -> Vec<Appended> {
    store
        .append(group, now)
        .await
        .expect("the group is appended")
}

fn click_id(appended: &Appended) -> Option<ClickId> {
    match *appended {
        Appended::At { click_id, .. } => click_id,
        Appended::Known { .. } => None,
    }
}

/// All lines that a filter asks for, in pages of this size.
async fn lines(store: &Arc<dyn LogStore>, filter: Filter, bytes_max: usize) -> Vec<(u64, Vec<u8>)> {
    let (mut lines, mut next) = (Vec::new(), 1);
    loop {
        let page = store.read(next, u64::MAX, filter, bytes_max).await.unwrap();
        if page.ends.is_empty() {
            assert_eq!(page.next, store.head() + 1, "nothing is left to read");
            return lines;
        }
        lines.extend(page.lines().map(|(at, line)| (at, line.to_vec())));
        assert!(page.next > next, "reading goes on");
        next = page.next;
    }
}

async fn o1_positions_are_gapless_in_the_order_of_confirmation(mut subject: Subject) {
    let mut next = 1;
    for group in [1_u64, 3, 2, 5_000, 1] {
        let facts = (0..group).map(|number| report(number, None, &[])).collect();
        for appended in append(&subject.store, facts, at(0)).await {
            assert_eq!(position(&appended), next);
            next += 1;
        }
        subject.reopen().await;
        assert_eq!(subject.store.head(), next - 1);
    }
    assert_eq!(append(&subject.store, Vec::new(), at(0)).await, []);
    let read = lines(&subject.store, Filter::ALL, 10_000).await;
    assert!(read.iter().map(|&(position, _)| position).eq(1..next));
}

async fn o2_what_was_confirmed_is_there_after_opening_again(mut subject: Subject) {
    let facts = vec![report(1, Some("a"), &["r"]), click(2), foreign_click(3)];
    append(&subject.store, facts, at(0)).await;
    let before = lines(&subject.store, Filter::ALL, 10_000).await;
    let root = subject.store.root(3).await.unwrap();
    subject.reopen().await;
    assert_eq!(lines(&subject.store, Filter::ALL, 10_000).await, before);
    assert_eq!(subject.store.root(3).await.unwrap(), root);
    assert_eq!(subject.store.find("a").await.unwrap(), Some(1));
    assert_eq!(subject.store.find("r").await.unwrap(), Some(1));
    assert_eq!(
        subject.store.clicks(vec![2]).await.unwrap(),
        [Some(head(2))]
    );
}

async fn o3_a_group_with_an_unfit_fact_leaves_nothing(subject: Subject) {
    let mut two_lines = report(2, None, &[]);
    two_lines.draft.data = b"{\n}".to_vec();
    let mut without_id = click(3);
    without_id.draft.data = b"{}".to_vec();
    let seat = click(4).seat;
    let no_click = Append {
        seat,
        ..report(4, None, &[])
    };
    for unfit in [two_lines, without_id, no_click] {
        let group = vec![report(1, Some("key"), &[]), unfit];
        subject.store.append(group, at(0)).await.unwrap_err();
        assert_eq!(subject.store.head(), 0);
        assert_eq!(subject.store.find("key").await.unwrap(), None);
    }
    let appended = append(&subject.store, vec![report(1, Some("key"), &[])], at(0)).await;
    assert!(matches!(appended[..], [Appended::At { position: 1, .. }]));
}

async fn o4_one_fact_for_a_unique_key_ever(mut subject: Subject) {
    let group = vec![
        report(1, Some("a"), &[]),
        report(2, Some("a"), &["only-of-the-second"]),
        report(3, Some("b"), &["a"]),
        report(4, None, &[]),
    ];
    let appended = append(&subject.store, group, at(0)).await;
    assert_eq!(
        appended.iter().map(position).collect::<Vec<_>>(),
        [1, 1, 2, 3]
    );
    assert!(matches!(appended[1], Appended::Known { position: 1 }));
    for _ in 0..2 {
        let group = vec![report(5, Some("b"), &[]), report(6, Some("a"), &[])];
        let appended = append(&subject.store, group, at(0)).await;
        let known = [
            Appended::Known { position: 2 },
            Appended::Known { position: 1 },
        ];
        assert_eq!(appended, known);
        assert_eq!(subject.store.head(), 3);
        assert_eq!(
            subject.store.find("only-of-the-second").await.unwrap(),
            None
        );
        subject.reopen().await;
    }
}

async fn o4_a_position_that_only_looks_alike_is_not_named_again(mut subject: Subject) {
    append(&subject.store, vec![report(1, Some("a"), &[])], at(0)).await;
    let another = |not_at: &[u64]| Append {
        not_at: not_at.to_vec(),
        ..report(2, Some("a"), &[])
    };
    let appended = append(&subject.store, vec![another(&[1])], at(0)).await;
    assert!(matches!(appended[..], [Appended::At { position: 2, .. }]));
    subject.reopen().await;
    let group = vec![another(&[]), another(&[1]), another(&[2]), another(&[1, 2])];
    let appended = append(&subject.store, group, at(0)).await;
    assert_eq!(
        appended.iter().map(position).collect::<Vec<_>>(),
        [1, 2, 1, 3]
    );
}

async fn o5_lines_are_kept_byte_for_byte(mut subject: Subject) {
    let fact = report(1, None, &[]);
    let mut expected = Vec::new();
    fact.draft.write_line(at(5), &mut expected);
    append(&subject.store, vec![fact, click(2)], at(5)).await;
    for _ in 0..2 {
        assert_eq!(
            subject.store.read_one(1).await.unwrap().as_ref(),
            Some(&expected)
        );
        let all = lines(&subject.store, Filter::ALL, 1).await;
        assert_eq!(all[0], (1, expected.clone()));
        let click = subject.store.read_one(2).await.unwrap();
        assert_eq!(click.as_ref(), Some(&all[1].1));
        subject.reopen().await;
    }
    assert_eq!(subject.store.read_one(0).await.unwrap(), None);
    assert_eq!(subject.store.read_one(3).await.unwrap(), None);
    assert_eq!(subject.store.read_one(u64::MAX).await.unwrap(), None);
}

async fn o6_a_click_gets_the_id_of_its_position(subject: Subject) {
    let group = vec![click(1), report(2, None, &[]), click(3), foreign_click(4)];
    let appended = append(&subject.store, group, at(0)).await;
    let key = click_ids();
    let ids: Vec<_> = appended.iter().map(click_id).collect();
    assert_eq!(ids, [Some(key.encode(1)), None, Some(key.encode(3)), None]);
    let line = subject.store.read_one(3).await.unwrap().unwrap();
    let raw: RawEnvelope<'_> = serde_json::from_slice(&line).unwrap();
    let begin = format!(r#"{{"click_id":"{}","offer":"#, key.encode(3));
    assert!(raw.data.get().starts_with(&begin), "{}", raw.data.get());
}

async fn o7_keys_and_clicks_are_found_at_once(subject: Subject) {
    let group = vec![
        click(1),
        report(2, Some("u"), &["r", "s"]),
        report(3, None, &["r"]),
    ];
    append(&subject.store, group, at(0)).await;
    append(
        &subject.store,
        vec![report(4, None, &["s", "t"]), click(5)],
        at(0),
    )
    .await;
    for (key, found) in [
        ("u", Some(2)),
        ("r", Some(2)),
        ("s", Some(2)),
        ("t", Some(4)),
        ("", None),
    ] {
        assert_eq!(subject.store.find(key).await.unwrap(), found, "{key}");
    }
    let clicks = subject.store.clicks(vec![5, 4, 0, 1, 6, u64::MAX]).await;
    let expected = [Some(head(5)), None, None, Some(head(1)), None, None];
    assert_eq!(clicks.unwrap(), expected);
}

async fn o8_pages_hold_what_is_asked_for_and_go_on(mut subject: Subject) {
    let fact = |number: u64| match number % 5 {
        0 => report(number, None, &[]),
        1 => foreign_click(number),
        _ => click(number),
    };
    for group in (0..40_u64).map(|group| group * 7..(group + 1) * 7) {
        append(&subject.store, group.map(fact).collect(), at(0)).await;
    }
    append(&subject.store, (0..6_000).map(click).collect(), at(0)).await;
    let of_kind = |wanted: fn(u64) -> bool| move |position: &u64| wanted((position - 1) % 5);
    let early: Vec<u64> = (1..=280).collect();
    for reopened in [false, true] {
        for bytes_max in [0, 1_000, 1_000_000] {
            for (filter, wanted) in [
                (Filter::without_seated_clicks(), of_kind(|kind| kind < 2)),
                (
                    Filter::only(&[FactType::RevenueReported]),
                    of_kind(|kind| kind == 0),
                ),
                (Filter::only(&[FactType::PeriodClosed]), of_kind(|_| false)),
            ] {
                let read = lines(&subject.store, filter, bytes_max).await;
                let positions: Vec<u64> = read.iter().map(|&(position, _)| position).collect();
                let expected: Vec<u64> = early.iter().copied().filter(wanted).collect();
                assert_eq!(positions, expected, "{filter:?} {bytes_max} {reopened}");
            }
        }
        let clicks = lines(
            &subject.store,
            Filter::only(&[FactType::ClickRecorded]),
            50_000,
        )
        .await;
        assert_eq!(clicks.len(), 6_000 + 280 * 3 / 5);
        let all = lines(&subject.store, Filter::ALL, 3_000_000).await;
        assert_eq!(all.len(), 6_280);
        subject.reopen().await;
    }
    let page = subject
        .store
        .read(10, 12, Filter::ALL, 1_000_000)
        .await
        .unwrap();
    assert!(page.lines().map(|(position, _)| position).eq(10..=12));
    assert_eq!(page.next, 13);
    let page = subject
        .store
        .read(7_000, 9_000, Filter::ALL, 1_000)
        .await
        .unwrap();
    assert_eq!((page.ends.len(), page.next), (0, 7_000));
}

async fn o9_the_head_wakes_followers_and_never_moves_back(mut subject: Subject) {
    let mut followed = subject.store.follow();
    assert_eq!(*followed.borrow_and_update(), 0);
    let store = Arc::clone(&subject.store);
    let follower = tokio::spawn(async move {
        let mut seen = vec![0];
        while *seen.last().unwrap() < 5 {
            followed.changed().await.unwrap();
            let head = *followed.borrow_and_update();
            assert!(head > *seen.last().unwrap());
            assert_eq!(store.read_one(head).await.unwrap().map(|_| ()), Some(()));
            seen.push(head);
        }
    });
    for number in 0..5 {
        append(&subject.store, vec![report(number, None, &[])], at(0)).await;
    }
    tokio::time::timeout(Duration::from_secs(20), follower)
        .await
        .expect("the follower is woken")
        .unwrap();
    subject.reopen().await;
    assert_eq!(
        (subject.store.head(), *subject.store.follow().borrow()),
        (5, 5)
    );
}

async fn o10_roots_are_those_of_rfc_6962_for_every_size(mut subject: Subject) {
    for group in (0..12_u64).map(|group| group * 3..(group + 1) * 3) {
        append(&subject.store, group.map(click).collect(), at(0)).await;
    }
    append(
        &subject.store,
        (0..5_000).map(|number| report(number, None, &[])).collect(),
        at(0),
    )
    .await;
    let leaves: Vec<_> = lines(&subject.store, Filter::ALL, 1 << 20)
        .await
        .iter()
        .map(|(_, line)| merkle::leaf_hash(line))
        .collect();
    for _ in 0..2 {
        for size in [0, 1, 3, 7, 36, 37, 4_132, 4_133, 5_035, 5_036] {
            let root = subject.store.root(size as u64).await.unwrap();
            assert_eq!(root, merkle::root_of(&leaves[..size]), "{size}");
        }
        subject.store.root(5_037).await.unwrap_err();
        subject.reopen().await;
    }
}

async fn o12_facts_that_are_bound_are_all_there_or_none(mut subject: Subject) {
    let bound = |fact: Append| Append {
        with_previous: true,
        ..fact
    };
    let run = |number: u64, key: &str, reference: &str| {
        vec![
            report(number, Some(key), &[]),
            bound(report(number + 1, None, &[reference])),
            bound(click(number + 2)),
        ]
    };
    let appended = append(&subject.store, run(1, "a", "r"), at(0)).await;
    assert_eq!(appended.iter().map(position).collect::<Vec<_>>(), [1, 2, 3]);
    subject.reopen().await;
    // A run that comes too late, one in time, and one that is too late by the same group.
    let mut group = run(4, "a", "late");
    group.extend(run(7, "b", "s"));
    group.extend(run(10, "b", "later"));
    group.push(report(13, None, &[]));
    let appended = append(&subject.store, group, at(0)).await;
    assert_eq!(
        appended.iter().map(position).collect::<Vec<_>>(),
        [1, 1, 1, 4, 5, 6, 4, 4, 4, 7]
    );
    assert_eq!(subject.store.head(), 7);
    for (key, found) in [
        ("r", Some(2)),
        ("s", Some(5)),
        ("late", None),
        ("later", None),
    ] {
        assert_eq!(subject.store.find(key).await.unwrap(), found, "{key}");
    }
}

async fn o11_the_time_of_recording_never_falls(mut subject: Subject) {
    let mut last = Instant::MIN;
    for now in [at(10), at(5), at(11), at(0)] {
        let appended = append(&subject.store, vec![report(1, None, &[])], now).await;
        let Appended::At {
            position,
            recorded_at,
            ..
        } = appended[0]
        else {
            panic!("a fact without a key is always appended");
        };
        assert_eq!(recorded_at, last.max(now));
        last = recorded_at;
        let line = subject.store.read_one(position).await.unwrap().unwrap();
        let raw: RawEnvelope<'_> = serde_json::from_slice(&line).unwrap();
        assert_eq!(raw.recorded_at, recorded_at);
        subject.reopen().await;
    }
}

async fn closed_stores_take_no_facts(subject: Subject) {
    append(&subject.store, vec![report(1, None, &[])], at(0)).await;
    subject.store.close().await;
    subject.store.close().await;
    let refused = subject
        .store
        .append(vec![report(2, None, &[])], at(0))
        .await;
    assert!(matches!(
        refused,
        Err(postbook::store::StoreError::Closed(_))
    ));
}

async fn a_sound_log_passes_its_check(mut subject: Subject) {
    for group in (0..30_u64).map(|group| group * 9..(group + 1) * 9) {
        let mut facts: Vec<_> = group.clone().map(click).collect();
        let keys = [format!("u{group:?}"), format!("r{}", group.start % 4)];
        facts.push(report(group.start, Some(&keys[0]), &[&keys[1]]));
        facts.push(foreign_click(group.end));
        append(&subject.store, facts, at(0)).await;
    }
    for _ in 0..2 {
        let seen = std::sync::Mutex::new(0);
        subject
            .store
            .check(&|position| *seen.lock().unwrap() = position)
            .await
            .unwrap();
        assert_eq!(*seen.lock().unwrap(), subject.store.head());
        subject.reopen().await;
    }
}

/// What a test does to a store and to its model.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(Kind, Option<u8>, Vec<u8>)>),
    Reopen,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Report,
    Click,
    ForeignClick,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(Kind::Report),
        Just(Kind::Click),
        Just(Kind::ForeignClick)
    ];
    let fact = (
        kind,
        prop::option::of(0_u8..20),
        prop::collection::vec(0_u8..10, 0..3),
    );
    prop_oneof![
        6 => prop::collection::vec(fact, 0..12).prop_map(Step::Append),
        1 => Just(Step::Reopen),
    ]
}

/// A naive model of a log: what is where, and under which keys.
#[derive(Default)]
struct Model {
    numbers: Vec<(u64, Kind)>,
    unique: BTreeMap<u8, u64>,
    references: BTreeMap<u8, u64>,
}

impl Model {
    fn append(&mut self, number: u64, kind: Kind, unique: Option<u8>, refs: &[u8]) -> u64 {
        if let Some(&first) = unique.and_then(|key| self.unique.get(&key)) {
            return first;
        }
        self.numbers.push((number, kind));
        let position = self.numbers.len() as u64;
        unique.map(|key| self.unique.insert(key, position));
        for &key in refs {
            self.references.entry(key).or_insert(position);
        }
        position
    }
}

async fn check_against_model(mut subject: Subject, steps: Vec<Step>) {
    let (mut model, mut number) = (Model::default(), 0);
    for step in steps {
        let Step::Append(facts) = step else {
            subject.reopen().await;
            continue;
        };
        let (mut group, mut expected) = (Vec::new(), Vec::new());
        for (kind, unique, refs) in facts {
            number += 1;
            let fact = match kind {
                Kind::Report => report(number, None, &[]),
                Kind::Click => click(number),
                Kind::ForeignClick => foreign_click(number),
            };
            expected.push(model.append(number, kind, unique, &refs));
            group.push(Append {
                unique: unique.map(|key| format!("u{key}")),
                references: refs.iter().map(|key| format!("r{key}")).collect(),
                ..fact
            });
        }
        let appended = append(&subject.store, group, at(0)).await;
        assert_eq!(appended.iter().map(position).collect::<Vec<_>>(), expected);
    }
    let read = lines(&subject.store, Filter::ALL, 2_000).await;
    assert_eq!(read.len(), model.numbers.len());
    for ((position, line), &(number, kind)) in read.iter().zip(&model.numbers) {
        let suffix = format!("{number:016x}");
        let raw: RawEnvelope<'_> = serde_json::from_slice(line).unwrap();
        assert!(raw.id.simple().to_string().ends_with(&suffix[4..]));
        let expected = matches!(kind, Kind::Click).then(|| head(number));
        assert_eq!(
            subject.store.clicks(vec![*position]).await.unwrap(),
            [expected]
        );
    }
    for (key, first) in &model.unique {
        let found = subject.store.find(&format!("u{key}")).await.unwrap();
        assert_eq!(found, Some(*first));
    }
    for key in 0..10 {
        let found = subject.store.find(&format!("r{key}")).await.unwrap();
        assert_eq!(found.as_ref(), model.references.get(&key));
    }
    subject.store.check(&|_| {}).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn stores_do_what_a_naive_model_does(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            check_against_model(Subject::memory(), steps.clone()).await;
            check_against_model(Subject::sqlite().await, steps.clone()).await;
            if let Some(subject) = Subject::postgres().await {
                check_against_model(subject, steps.clone()).await;
            }
            #[cfg(feature = "kurrentdb")]
            {
                check_against_model(Subject::fake_kurrentdb().await, steps.clone()).await;
                if let Some(subject) = Subject::kurrentdb().await {
                    check_against_model(subject, steps).await;
                }
            }
        });
    }
}
