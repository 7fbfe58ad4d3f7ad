//! What the secrets promise: handed out once, checked, rotated, revoked, never shown.

use super::*;

const NOW: Instant = Instant::EPOCH;

fn offer(name: &str) -> OfferRef {
    OfferRef::try_new(name).expect("a good name")
}

async fn opened() -> (tempfile::TempDir, Secrets) {
    let dir = tempfile::tempdir().expect("a directory");
    let secrets = Secrets::open(dir.path()).await.expect("opens");
    (dir, secrets)
}

#[tokio::test]
async fn a_token_is_known_after_reopening_and_refused_once_revoked() {
    let (dir, secrets) = opened().await;
    let scope = Scope::Offer(offer("acme/casino"));
    let (info, token) = secrets
        .create_token(Role::Ingest, "acme backend", scope.clone(), NOW)
        .await
        .expect("made");
    let again = Secrets::open(dir.path()).await.expect("opens again");
    assert_eq!(again.click_id_key(), secrets.click_id_key());
    let caller = again.verify_token(token.reveal()).expect("known");
    assert_eq!((caller.role, &caller.scope), (Role::Ingest, &scope));
    assert_eq!(&*caller.name, "acme backend");

    again.revoke_token(&info.id, NOW).await.expect("revoked");
    assert!(again.verify_token(token.reveal()).is_none());
    assert!(matches!(
        again.revoke_token("nobody", NOW).await,
        Err(SecretsError::NoSuchToken(_))
    ));
}

#[tokio::test]
async fn a_token_that_differs_anywhere_is_refused() {
    let (_dir, secrets) = opened().await;
    let (_, token) = secrets
        .create_token(Role::Viewer, "v", Scope::All, NOW)
        .await
        .expect("made");
    let good = token.reveal();
    for at in 0..good.len() {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        let wrong = String::from_utf8(bytes).expect("ASCII");
        assert!(secrets.verify_token(&wrong).is_none(), "at {at}");
    }
    for wrong in ["", "pb_", "pb__", &good[..good.len() - 1]] {
        assert!(secrets.verify_token(wrong).is_none(), "{wrong}");
    }
}

#[tokio::test]
async fn the_previous_secret_is_valid_until_the_overlap_ends() {
    let (_dir, secrets) = opened().await;
    let casino = offer("acme/casino");
    assert_eq!(
        secrets.verify_offer_secret("acme/casino", "x", NOW),
        SecretCheck::NoneMade
    );
    let (_, first) = secrets
        .rotate_offer_secret(&casino, 0, NOW)
        .await
        .expect("made");
    let (info, second) = secrets
        .rotate_offer_secret(&casino, 1_000, NOW)
        .await
        .expect("rotated");
    let check = |plain: &Plain, at| {
        secrets.verify_offer_secret("acme/casino", plain.reveal(), NOW.plus_micros(at))
    };
    assert_eq!(first.reveal().len(), 64);
    assert!(first.reveal().bytes().all(|b| b.is_ascii_alphanumeric()));
    assert!(matches!(check(&first, 999), SecretCheck::Valid(_)));
    assert_eq!(check(&first, 1_000), SecretCheck::Wrong);
    assert_eq!(check(&second, 5_000), SecretCheck::Valid(info.id));
    assert!(secrets.is_any_offer_secret(first.reveal()));
    assert!(!secrets.is_any_offer_secret("something else"));
}

#[tokio::test]
async fn neither_debug_nor_the_file_holds_a_secret() {
    let (dir, secrets) = opened().await;
    let (_, token) = secrets
        .create_token(Role::Admin, "a", Scope::All, NOW)
        .await
        .expect("made");
    assert!(!format!("{secrets:?} {token:?}").contains(token.reveal()));
    for entry in std::fs::read_dir(dir.path()).expect("listed") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("read");
        assert!(memchr::memmem::find(&bytes, token.reveal().as_bytes()).is_none());
    }
}

#[cfg(unix)]
#[tokio::test]
async fn file_and_directory_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let _secrets = Secrets::open(&data).await.expect("opens");
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("secrets.sqlite")), 0o600);
}
