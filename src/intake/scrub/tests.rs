//! What is overwritten, what is let be, and that it stays JSON.

use postbook_schemas::{Instant, OfferRef};
use proptest::prelude::*;

use super::*;

/// Secrets of a service, and that of its one offer. It begins with a letter that stands for a control
/// character behind a backslash.
static MADE: LazyLock<(Secrets, String)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let secrets = Secrets::open(directory.path()).await.expect("opens");
        let offer = OfferRef::try_new("acme/casino").expect("an offer");
        loop {
            let made = secrets.rotate_offer_secret(&offer, 0, Instant::EPOCH).await;
            let secret = made.expect("made").1.reveal().to_owned();
            if secret.starts_with(['b', 'f', 'n', 'r', 't']) {
                return (secrets, secret);
            }
        }
    })
});

const TOKEN_FORM: &str = "pb_0123456789_0123456789012345678901234567890123456789abc";

#[test]
fn runs_of_64_and_more_are_found_wherever_they_stand() {
    for length in [64, 65, 200] {
        let run = "aB3".repeat(67)[..length].to_owned();
        for before in 0..130 {
            let text = format!("{}\"{run}\" tail", "x".repeat(before));
            let mut runs = Vec::new();
            let mut from = 0;
            while let Some((start, stop)) = next_run(text.as_bytes(), from) {
                runs.push((start, stop));
                from = stop;
            }
            assert!(
                runs.contains(&(before + 1, before + 1 + length)),
                "{before}"
            );
        }
    }
    assert_eq!(next_run("x".repeat(63).as_bytes(), 0), None);
    assert_eq!(next_run(b"", 0), None);
}

#[test]
fn secrets_are_overwritten_as_they_stand_in_facts() {
    let (secrets, secret) = &*MADE;
    for before in [
        "",
        "id",
        "a\n",
        "a\u{1f}",
        "\\",
        "\\\\",
        "é",
        "https%3A%2F%2Ft%3Fsecret%3D",
        "\"",
        "x\r",
    ] {
        for after in ["", "%26a", "tail", "\u{1f}", "\n", "\""] {
            for known in [secret.as_str(), TOKEN_FORM] {
                let text = format!("{before}{known}{after}");
                let mut data = serde_json::to_vec(&text).expect("JSON");
                scrub(&mut data, secrets);
                let kept: String = serde_json::from_slice(&data).expect("it stays JSON");
                assert!(!kept.contains(known), "{text}");
                assert!(kept.starts_with(before) && kept.ends_with(after), "{kept}");
                assert_eq!(kept.len(), text.len());
                // The keys of a fact are made of the text, and compared with what is kept.
                assert_eq!(without_secrets(&text, secrets).as_deref(), Some(&*kept));
                assert_eq!(without_secrets(&kept, secrets), None);
            }
        }
    }
}

#[test]
fn an_escape_is_no_part_of_a_secret() {
    let (secrets, secret) = &*MADE;
    let mut data = format!("\"\\{secret}\"").into_bytes();
    let before = data.clone();
    scrub(&mut data, secrets);
    assert_eq!(data, before);
    let text = format!("\\{secret}");
    assert!(without_secrets(&text, secrets).is_some());
    assert_eq!(escape_length(b"\\nabc", 1), 1);
    assert_eq!(escape_length(b"\\\\nabc", 2), 0);
    assert_eq!(escape_length(b"\\\\\\u001fabc", 3), 5);
    assert_eq!(escape_length(b"abc", 0), 0);
}

#[test]
fn the_same_secret_leaves_the_same_mark_and_another_another() {
    let (secrets, secret) = &*MADE;
    let clean = |text: &str| without_secrets(text, secrets).expect("it has one");
    let other = TOKEN_FORM.replace("abc", "abd");
    assert_eq!(clean(secret), clean(secret));
    assert_eq!(clean(&format!("a{secret}"))[1..], clean(secret));
    assert_ne!(clean(TOKEN_FORM), clean(&other));
    assert!(clean(TOKEN_FORM).starts_with(&"*".repeat(41)));
}

#[test]
fn keys_of_standard_webhooks_are_overwritten_wherever_they_stand() {
    let (secrets, _) = &*MADE;
    for (before, key, after) in [
        ("a ", "whsec_c2VjcmV0+/c2VjcmV0==", " b"),
        (
            "\"",
            "whsk_c2VjcmV0c2VjcmV0YQ",
            "\",\"whpk_c2VjcmV0c2VjcmV0\"",
        ),
        ("x=", "whsec_c2Vj%2FcmV0%2bc2VjcmV0%3D%3d", "%26y=1"),
        ("x=", "whsec_c2Vj%252FcmV0c2Vj", "%25"),
        ("{\\\"k\\\":\\\"", "whsec_c2Vj\\\\/cmV0c2VjYWJj", "\\\"}"),
        ("\"", "whsec_c2Vj\\u002fcmV0c2Vj", "\\u0020"),
        ("", "whsec_c2VjcmV0c2VjcmV0", ""),
    ] {
        let mut data = format!("{before}{key}{after}").into_bytes();
        overwrite_webhook_keys(&mut data, secrets);
        let kept = String::from_utf8(data).expect("a text");
        let inner = kept
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after));
        let inner = inner.unwrap_or_else(|| panic!("{kept}"));
        assert!(
            inner.starts_with("******") && inner.len() == key.len(),
            "{kept}"
        );
    }
    for text in [
        "whs whsx_abc",
        "whsec_short",
        "whpk_c2VjcmV0c2VjcmV0c2Vj",
        "whsec_%zz\\",
    ] {
        let mut data = text.as_bytes().to_vec();
        overwrite_webhook_keys(&mut data, secrets);
        assert_eq!(data, text.as_bytes(), "{text}");
    }
}

#[test]
fn what_is_cut_hides_no_beginning_of_a_secret() {
    let (secrets, secret) = &*MADE;
    let text = format!("{}{secret}é", "x ".repeat(10));
    assert_eq!(cut(&text, 1_000, secrets), text);
    let mark = secrets.pseudonyms().mark(secret.as_bytes());
    let mark = std::str::from_utf8(&mark).unwrap();
    let whole = format!("{}{}{mark}é", "x ".repeat(10), "*".repeat(48));
    for bytes_max in 21..86 {
        let kept = cut(&text, bytes_max, secrets);
        assert!(
            kept.len() <= bytes_max && whole.starts_with(&kept),
            "{kept}"
        );
    }
}

proptest! {
    /// Whatever stands around them: JSON stays JSON, secrets go, all else stays, and once is enough.
    #[test]
    fn scrubbing_keeps_json_and_nothing_of_a_secret(
        parts in prop::collection::vec("[a-z0-9\\\\/%\"\u{1f}\n\té]{0,70}", 1..6),
    ) {
        let (secrets, secret) = &*MADE;
        for known in [secret.as_str(), TOKEN_FORM] {
            let text = parts.join(known);
            let mut data = serde_json::to_vec(&text).expect("JSON");
            scrub(&mut data, secrets);
            let once = data.clone();
            scrub(&mut data, secrets);
            prop_assert_eq!(&data, &once);
            let kept: String = serde_json::from_slice(&data).expect("it stays JSON");
            prop_assert_eq!(kept.len(), text.len());
            prop_assert!(!kept.contains(known));
            prop_assert_eq!(without_secrets(&text, secrets).unwrap_or(text), kept);
        }
    }
}
