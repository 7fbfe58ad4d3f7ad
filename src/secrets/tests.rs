//! What the secrets promise: handed out once, checked, rotated, revoked, never shown.

use std::path::Path;

use ed25519_dalek::Signer;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::*;

const NOW: Instant = Instant::EPOCH;

fn offer(name: &str) -> OfferRef {
    OfferRef::try_new(name).expect("a good name")
}

fn place(dir: &tempfile::TempDir) -> Place {
    Place::Directory(dir.path().to_owned())
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

    again
        .revoke_token(&info.id, NOW, None)
        .await
        .expect("revoked");
    assert!(again.verify_token(token.reveal()).is_none());
    assert!(matches!(
        again.revoke_token("nobody", NOW, None).await,
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
    let within = format!("n{}x", first.reveal());
    assert_eq!(secrets.find_offer_secret(within.as_bytes()), Some(1));
    assert_eq!(secrets.find_offer_secret(&within.as_bytes()[2..]), None);
}

#[tokio::test]
async fn neither_debug_nor_the_file_holds_a_token() {
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

fn hmac(key: &[u8], message: &[u8]) -> MacBytes {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    hmac.update(message);
    hmac.finalize().into_bytes().into()
}

fn master(dir: &Path, digit: &str) -> MasterKey {
    let path = dir.join(format!("master-{digit}"));
    std::fs::write(&path, format!("{}\n", digit.repeat(64))).expect("written");
    MasterKey::read(&path).expect("a master key")
}

fn file_holds(dir: &Path, text: &str) -> bool {
    let bytes = std::fs::read(dir.join("secrets.sqlite")).expect("read");
    memchr::memmem::find(&bytes, text.as_bytes()).is_some()
}

#[tokio::test]
async fn the_characters_of_a_secret_sign_and_rotation_overlaps() {
    let (dir, secrets) = opened().await;
    let casino = offer("acme/casino");
    let (old, first) = secrets
        .rotate_offer_secret(&casino, 0, NOW)
        .await
        .expect("made");
    let (new, second) = secrets
        .rotate_offer_secret(&casino, 1_000, NOW)
        .await
        .expect("rotated");
    let again = Secrets::open(dir.path()).await.expect("opens again");
    let signer = |plain: &Plain, at| {
        let mac = hmac(plain.reveal().as_bytes(), b"body");
        again.signed_hmac(
            "acme/casino",
            &[b"bo", b"dy"],
            &[[0; 32], mac],
            NOW.plus_micros(at),
        )
    };
    assert_eq!(signer(&first, 999), Some(old.id));
    assert_eq!(signer(&first, 1_000), None);
    assert_eq!(signer(&second, 1_000), Some(new.id));
    let webhook = plain::webhook_secret(second.for_webhooks().reveal()).expect("a secret");
    assert_eq!(&webhook[..], second.reveal().as_bytes());
}

#[tokio::test]
async fn the_senders_own_keys_sign_and_let_nobody_in() {
    let (_dir, secrets) = opened().await;
    let casino = offer("acme/casino");
    let theirs = format!("whsec_{BASE64_TEXT}");
    let signing = KeyBytes::of_signing_secret(&theirs).expect("a secret");
    let info = new_offer_key(&casino, KeyKind::SigningSecret, NOW);
    let added = secrets.add_offer_key(&info, &signing, None, None);
    added.await.expect("added");
    let own = SigningKey::from_bytes(&[7; 32]);
    let public = base64::Engine::encode(&BASE64, own.verifying_key().to_bytes());
    let public = KeyBytes::of_public_key(&format!("whpk_{public}")).expect("a key");
    let key = new_offer_key(&casino, KeyKind::PublicKey, NOW);
    let added = secrets.add_offer_key(&key, &public, None, None);
    added.await.expect("added");

    let mac = hmac(&[b'k'; 24], b"body");
    let found = secrets.signed_hmac("acme/casino", &[b"body"], &[mac], NOW);
    assert_eq!(found, Some(info.id));
    let signature = own.sign(b"body").to_bytes();
    let found = |body| secrets.signed_ed25519("acme/casino", body, &[[1; 64], signature], NOW);
    assert_eq!(found(b"body"), Some(Arc::clone(&key.id)));
    assert_eq!(found(b"Body"), None);
    let check = secrets.verify_offer_secret("acme/casino", &theirs, NOW);
    assert_eq!(check, SecretCheck::Wrong);

    let ended = secrets.revoke_offer_key(&key.id, NOW, None).await;
    assert_eq!(ended.expect("revoked").valid_until, Some(NOW));
    assert_eq!(found(b"body"), None);
}

/// 24 times `k`.
const BASE64_TEXT: &str = "a2tra2tra2tra2tra2tra2tra2tra2tr";

#[test]
fn what_is_no_key_is_refused_without_repeating_it() {
    for wrong in ["", "whsec_", "whsec_abc", "whsec_@@@@", BASE64_TEXT] {
        let error = KeyBytes::of_signing_secret(wrong).expect_err("no key");
        assert!(
            wrong.len() < 8 || !error.to_string().contains(wrong),
            "{error}"
        );
    }
    // All zeros is a point of small order: anybody could sign under it.
    let weak = format!("whpk_{}=", "A".repeat(43));
    for wrong in ["", "whpk_", BASE64_TEXT, &weak] {
        assert!(KeyBytes::of_public_key(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn secrets_of_earlier_files_let_in_and_cannot_sign() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("secrets.sqlite");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut old = sqlx::ConnectOptions::connect(&options)
        .await
        .expect("opens");
    let text = "s".repeat(64);
    sqlx::raw_sql(
        "CREATE TABLE offer_secrets (
             id TEXT PRIMARY KEY, hash BLOB NOT NULL, offer TEXT NOT NULL,
             created_at INTEGER NOT NULL, valid_until INTEGER
         ) STRICT",
    )
    .execute(&mut old)
    .await
    .expect("made");
    sqlx::query("INSERT INTO offer_secrets VALUES ('old', ?, 'acme/casino', 0, NULL)")
        .bind(&hash_of(&text)[..])
        .execute(&mut old)
        .await
        .expect("inserted");
    sqlx::Connection::close(old).await.expect("closed");

    for _ in 0..2 {
        let secrets = Secrets::open(dir.path()).await.expect("opens");
        let check = secrets.verify_offer_secret("acme/casino", &text, NOW);
        assert_eq!(check, SecretCheck::Valid("old".into()));
        let means = secrets.means("acme/casino", NOW);
        assert_eq!((means.hmac, means.only_hash), (false, true));
        assert!(!secrets.offer_keys("acme/casino")[0].signs);
    }
}

#[tokio::test]
async fn a_master_key_seals_what_was_open_and_is_needed_from_then_on() {
    let (dir, secrets) = opened().await;
    let casino = offer("acme/casino");
    let (_, plain) = secrets
        .rotate_offer_secret(&casino, 0, NOW)
        .await
        .expect("made");
    drop(secrets);
    let beside = Secrets::open_beside(&place(&dir), Some(master(dir.path(), "1"))).await;
    drop(beside.expect("opens"));
    assert!(file_holds(dir.path(), plain.reveal()), "open without one");
    let here = place(&dir);
    let open = |digit: &'static str| Secrets::open_with(&here, Some(master(dir.path(), digit)));
    let mac = hmac(plain.reveal().as_bytes(), b"body");
    for _ in 0..2 {
        let sealed = open("1").await.expect("opens");
        let found = sealed.signed_hmac("acme/casino", &[b"body"], &[mac], NOW);
        assert!(found.is_some());
        assert!(!file_holds(dir.path(), plain.reveal()));
    }
    assert!(matches!(open("2").await, Err(SecretsError::WrongMasterKey)));
    let locked = Secrets::open(dir.path()).await.expect("opens");
    assert!(matches!(
        locked.require_unlocked(),
        Err(SecretsError::Locked)
    ));
    let refused = locked.rotate_offer_secret(&casino, 0, NOW).await;
    assert!(matches!(refused, Err(SecretsError::Locked)));
    let check = locked.verify_offer_secret("acme/casino", plain.reveal(), NOW);
    assert!(matches!(check, SecretCheck::Valid(_)), "hashes are there");
    drop(locked);

    let sealed = open("1").await.expect("opens");
    let resealed = sealed.reseal(Some(&master(dir.path(), "2"))).await;
    resealed.expect("resealed");
    assert!(matches!(open("1").await, Err(SecretsError::WrongMasterKey)));
    let sealed = open("2").await.expect("opens");
    sealed.reseal(None).await.expect("opened for good");
    let secrets = Secrets::open(dir.path()).await.expect("opens");
    let found = secrets.signed_hmac("acme/casino", &[b"body"], &[mac], NOW);
    assert!(found.is_some());
}

#[test]
fn a_file_that_holds_no_master_key_is_refused_without_repeating_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("key");
    for wrong in ["", "abcdef", &"g".repeat(64), &"a".repeat(2_000)] {
        std::fs::write(&path, wrong).expect("written");
        let error = MasterKey::read(&path).expect_err("no key").to_string();
        assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
    }
    assert!(MasterKey::read(&dir.path().join("nothing")).is_err());
}

#[tokio::test]
async fn what_another_process_changes_is_taken_up() {
    let (dir, secrets) = opened().await;
    assert!(!secrets.refresh().await.expect("read"));
    let other = Secrets::open(dir.path()).await.expect("opens beside");
    let (_, token) = other
        .create_token(Role::Viewer, "v", Scope::All, NOW)
        .await
        .expect("made");
    assert!(secrets.verify_token(token.reveal()).is_none());
    assert!(secrets.refresh().await.expect("read"));
    assert!(secrets.verify_token(token.reveal()).is_some());
    assert!(!secrets.refresh().await.expect("read"));
}

#[tokio::test]
async fn whoever_is_about_to_be_refused_is_looked_for_once_more() {
    let (dir, secrets) = opened().await;
    let other = Secrets::open(dir.path()).await.expect("opens beside");
    assert!(!secrets.look_again().await.expect("read"));
    let (_, token) = other
        .create_token(Role::Viewer, "v", Scope::All, NOW)
        .await
        .expect("made");
    assert!(secrets.verify_token(token.reveal()).is_none());
    // Many at once, and who did not look by himself is told of the change all the same.
    let looks = futures_util::future::join_all((0..20).map(|_| secrets.look_again())).await;
    assert!(looks.into_iter().all(|changed| changed.expect("read")));
    assert!(secrets.verify_token(token.reveal()).is_some());
    assert!(!secrets.look_again().await.expect("read"));
}
