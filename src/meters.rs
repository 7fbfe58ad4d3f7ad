//! What is counted and timed, for `/metrics`.

mod network;

use std::{fmt, time::Duration};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use postbook_schemas::Outcome;

pub use self::network::{Cut, Network};
use crate::projector::{Progress, lease::Role};

const APPEND_SECONDS: &str = "postbook_append_seconds";

/// Borders of the times an append can take, in seconds.
const SECONDS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0,
    4.0,
];

/// Counters that are made once, so that counting on the way of a request is one addition.
pub struct Meters {
    /// What happens before a request is read.
    pub network: Network,
    handle: PrometheusHandle,
    attempts: Vec<Counter>,
    attempts_failed: Counter,
    legacy_postbacks: Counter,
    redacted: Counter,
    clicks: Counter,
    clicks_redacted: Counter,
    appends_failed: Counter,
    append_seconds: Histogram,
    log_head: Gauge,
    projector_position: Gauge,
    projector_failed: Gauge,
    projecting: Gauge,
    projector_term: Gauge,
    building: [Gauge; 3],
}

impl Meters {
    /// New counters, all at zero.
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new();
        let recorder = match builder.set_buckets(SECONDS) {
            Ok(builder) => builder.build_recorder(),
            // Only an empty list is refused.
            Err(_) => PrometheusBuilder::new().build_recorder(),
        };
        let counter = |name: &'static str, help: &'static str| {
            recorder.describe_counter(name.into(), None, help.into());
            recorder.register_counter(&Key::from_static_name(name), &METADATA)
        };
        let gauge = |name: &'static str, help: &'static str| {
            recorder.describe_gauge(name.into(), None, help.into());
            recorder.register_gauge(&Key::from_static_name(name), &METADATA)
        };
        let unit = Some(Unit::Seconds);
        let help = "Time from handing a fact to the log until it is durable";
        recorder.describe_histogram(APPEND_SECONDS.into(), unit, help.into());
        Self {
            network: Network::new(&recorder),
            handle: recorder.handle(),
            attempts: attempts(&recorder),
            attempts_failed: counter(
                "postbook_attempts_failed_total",
                "Postbacks that could not be kept and were answered 503",
            ),
            legacy_postbacks: counter(
                "postbook_legacy_postbacks_total",
                "Postbacks that were taken without a secret, which is deprecated",
            ),
            redacted: counter(
                "postbook_attempts_redacted_total",
                "Postbacks in which personal data was found and replaced",
            ),
            clicks: counter("postbook_clicks_total", "Clicks that were recorded"),
            clicks_redacted: counter(
                "postbook_clicks_redacted_total",
                "Clicks in which personal data was found and replaced",
            ),
            appends_failed: counter(
                "postbook_appends_failed_total",
                "Facts that could not be appended",
            ),
            append_seconds: recorder
                .register_histogram(&Key::from_static_name(APPEND_SECONDS), &METADATA),
            log_head: gauge("postbook_log_head", "Position of the last fact"),
            projector_position: gauge(
                "postbook_projector_position",
                "Position up to which the read models are",
            ),
            projector_failed: gauge(
                "postbook_projector_failed",
                "1 if the projector has stopped at a fact it cannot read",
            ),
            projecting: gauge(
                "postbook_projecting",
                "1 if this node writes the read models, 0 if it follows another that does",
            ),
            projector_term: gauge(
                "postbook_projector_term",
                "Grows whenever another node takes over; 0 where there are no others",
            ),
            building: building(&gauge),
        }
    }

    /// Counts an attempt.
    pub fn attempt(&self, outcome: Outcome) {
        if let Some(counter) = self.attempts.get(outcome as usize) {
            counter.increment(1);
        }
    }

    /// Counts an attempt that could not be kept.
    pub fn attempt_failed(&self) {
        self.attempts_failed.increment(1);
    }

    /// Counts a postback that was taken without a secret.
    pub fn legacy_postback(&self) {
        self.legacy_postbacks.increment(1);
    }

    /// Counts an attempt in which personal data was found.
    pub fn redacted(&self) {
        self.redacted.increment(1);
    }

    /// Counts a click.
    pub fn click(&self) {
        self.clicks.increment(1);
    }

    /// Counts a click in which personal data was found.
    pub fn click_redacted(&self) {
        self.clicks_redacted.increment(1);
    }

    /// Times an append.
    pub fn appended(&self, took: Duration, ok: bool) {
        self.append_seconds.record(took.as_secs_f64());
        if !ok {
            self.appends_failed.increment(1);
        }
    }

    /// Sets the places of log and projector.
    pub fn places(&self, log_head: u64, projector_position: u64, projector_failed: bool) {
        self.log_head.absolute(log_head);
        self.projector_position.absolute(projector_position);
        self.projector_failed.set(f64::from(projector_failed));
    }

    /// Sets what this node is to the read models.
    pub fn role(&self, role: &Role) {
        let (projecting, term) = match role {
            Role::Projecting(term) => (1.0, *term),
            Role::Following(by) => (0.0, by.as_ref().map_or(0, |by| by.term)),
        };
        self.projecting.set(projecting);
        self.projector_term.absolute(term.unsigned_abs());
    }

    /// Sets how far read models under construction are.
    pub fn building(&self, progress: Progress) {
        let places = [
            progress.position,
            progress.head,
            progress.facts_per_second(),
        ];
        for (gauge, place) in self.building.iter().zip(places) {
            gauge.absolute(place);
        }
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds what was timed into buckets: to be called every few seconds, since what is not folded
    /// is kept one by one.
    pub fn fold(&self) {
        self.handle.run_upkeep();
    }
}

/// Positions as gauges, which are floats in the exposition format.
trait Absolute {
    fn absolute(&self, position: u64);
}

impl Absolute for Gauge {
    #[expect(
        clippy::cast_precision_loss,
        reason = "the format has floats only; exact up to 2^53 facts"
    )]
    fn absolute(&self, position: u64) {
        self.set(position as f64);
    }
}

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// The gauges of read models under construction.
fn building(gauge: &impl Fn(&'static str, &'static str) -> Gauge) -> [Gauge; 3] {
    [
        gauge(
            "postbook_rebuild_position",
            "Position that the read models under construction have reached; 0 if there are none",
        ),
        gauge(
            "postbook_rebuild_head",
            "Position that they are built up to",
        ),
        gauge("postbook_rebuild_facts_per_second", "How fast"),
    ]
}

fn attempts(recorder: &PrometheusRecorder) -> Vec<Counter> {
    let name = "postbook_attempts_total";
    let help = "Postback attempts by what became of them";
    recorder.describe_counter(name.into(), None, help.into());
    let outcomes = Outcome::ALL.iter().map(|outcome| {
        let labels = vec![Label::from_static_parts("outcome", outcome.code())];
        recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
    });
    outcomes.collect()
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}
