//! Rebuilds whose process is killed at random moments: nothing is lost, nothing is there twice, and
//! what was done is gone on with.
//!
//! `POSTBOOK_KILLS` says how often (24); the moments hang on a seed that a failure prints.

use std::{
    fmt::Write as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::process::{Place, kills};

const PROGRAMME: &str = r#"
[[brand]]
slug = "acme"
[[offer]]
brand = "acme"
slug = "casino"
currency = "USD"
destination = "https://acme.example/landing"
[[partner]]
slug = "p1"
[[coupon]]
code = "SAVE"
offer = "acme/casino"
partner = "p1"
[[terms]]
offer = "acme/casino"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "30%"
cap = { amount = "20000.00", per = "month" }
"#;

/// How many sales the log holds: enough for a rebuild to take a moment.
const SALES: u32 = 1_500;

fn filled() -> Place {
    let place = Place::with(PROGRAMME);
    let mut rows = "event,txn_id,amount,coupon_code,timestamp\n".to_owned();
    for number in 0..SALES {
        let day = number % 28 + 1;
        let day = format!("2026-05-{day:02}T00:00:00Z");
        _ = writeln!(rows, "sale,T{number},{}.10,SAVE,{day}", number % 90 + 1);
        if number % 7 == 0 {
            _ = writeln!(rows, "refund,T{number},0.50,,{day}");
        }
    }
    place.write("sales.csv", &rows);
    let import = ["import", "postbacks", "sales.csv", "--offer", "acme/casino"];
    place.done(&import);
    place
}

fn replayed(place: &Place) -> Value {
    let printed = place.done(&["replay", "--json"]);
    serde_json::from_str(&printed).expect("it prints JSON")
}

/// Moments out of a span, the same for the same seed.
struct Moments(u64);

impl Moments {
    #[expect(clippy::print_stdout, reason = "a failure can be told again from it")]
    fn new() -> Self {
        let seed = rand::random();
        println!("seed {seed}");
        Self(seed)
    }

    fn next(&mut self, span: Duration) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let share = u32::try_from(self.0 >> 44).expect("20 bits");
        span * share / (1 << 20)
    }
}

fn start_replay(place: &Place) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postbook"));
    command
        .arg("replay")
        .current_dir(place.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("the program runs")
}

fn kill(mut process: Child) {
    process.kill().expect("it can be killed");
    process.wait().expect("it ends");
}

/// The file of the read models that the link names.
fn in_force(place: &Place) -> PathBuf {
    let data = place.path().join("postbook-data");
    let name = std::fs::read_link(data.join("readmodels.sqlite"));
    data.join(name.expect("there is a link"))
}

#[test]
fn a_replay_that_is_killed_is_taken_up_and_ends_in_the_same() {
    let place = filled();
    let began = Instant::now();
    replayed(&place);
    let span = began.elapsed().mul_f64(1.2);
    // Compared at the head, which the read models have reached now.
    let right = replayed(&place);
    let mut moments = Moments::new();
    for _ in 0..kills(24) {
        let killed = start_replay(&place);
        sleep(moments.next(span));
        kill(killed);
        // Whatever is in force now is whole.
        place.done(&["verify"]);
    }
    let again = replayed(&place);
    assert_eq!(again["identical"], true, "{again}");
    assert_eq!(again["rebuilt_digest"], right["rebuilt_digest"]);
    assert_eq!(again["position"], right["position"]);
    place.done(&["replay", "--release"]);
    let files = std::fs::read_dir(place.path().join("postbook-data")).expect("it is there");
    let names = files.map(|file| file.expect("a file").file_name());
    let generations = names.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("readmodels-") && name.ends_with(".sqlite")
    });
    assert_eq!(generations.count(), 1);
}

/// The last that is done before a switch is to open the next generation as one that is read: its
/// journal is there from then on.
#[test]
fn a_replay_that_is_killed_about_its_switch_leaves_a_whole_generation_in_force() {
    let place = filled();
    replayed(&place);
    // Compared at the head, which the read models have reached now.
    let right = replayed(&place);
    let mut moments = Moments::new();
    for _ in 0..kills(24) {
        let before = in_force(&place);
        let number = before.file_stem().and_then(|stem| {
            let stem = stem.to_str()?;
            stem.strip_prefix("readmodels-")?.parse::<u32>().ok()
        });
        let next = number.expect("generations are numbered") + 1;
        let next = before.with_file_name(format!("readmodels-{next}.sqlite"));
        let journal = next.with_extension("sqlite-wal");
        let mut replay = start_replay(&place);
        while !journal.exists() && replay.try_wait().expect("it can be asked").is_none() {
            std::thread::yield_now();
        }
        sleep(moments.next(Duration::from_millis(4)));
        kill(replay);
        let now = in_force(&place);
        assert!(now == before || now == next, "{now:?}");
        place.done(&["verify"]);
        // What was interrupted is finished, so that the next one begins anew.
        if now == before {
            let again = replayed(&place);
            assert_eq!(again["identical"], true, "{again}");
            assert_eq!(again["rebuilt_digest"], right["rebuilt_digest"]);
            assert_eq!(in_force(&place), next);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_while_it_rebuilds_loses_nothing_and_answers_at_once() {
    let place = filled();
    let right = replayed(&place);
    let token = place.token("admin", "ada");
    let mut moments = Moments::new();
    let span = Duration::from_millis(600);
    for _ in 0..kills(24) {
        let mut server = place.serve();
        let ada = server.caller(&token);
        let begun = ada.done("/v1/rebuilds", &json!({})).await;
        assert_eq!(begun["state"], "running", "{begun}");
        sleep(moments.next(span));
        server.kill();
    }
    let server = place.serve();
    let ada = server.caller(&token);
    let conversions = ada.get("/v1/conversions?txn_id=T7").await;
    assert_eq!(
        conversions["items"][0]["refunded_minor"], 50,
        "{conversions}"
    );
    let begun = ada.done("/v1/rebuilds", &json!({})).await;
    assert_eq!(begun["state"], "running", "{begun}");
    let deadline = Instant::now() + Duration::from_mins(1);
    let ended = loop {
        let last = ada.get("/v1/rebuilds/last").await;
        if last["state"] != "running" {
            break last;
        }
        assert!(Instant::now() < deadline, "{last}");
        tokio::task::yield_now().await;
    };
    assert_eq!(ended["state"], "identical", "{ended}");
    drop(server);
    let again = replayed(&place);
    assert_eq!(again["identical"], true, "{again}");
    // Only the token was recorded since.
    assert_eq!(
        again["position"].as_u64(),
        right["position"].as_u64().map(|at| at + 1)
    );
    place.done(&["verify"]);
}
