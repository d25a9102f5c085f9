//! What this vault adds to the conformance suite: tampering, key files, crashes.

use std::fs::Permissions;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;

use object_store::memory::InMemory;
use temoin_core::testing::vault::suite;
use tempfile::TempDir;

use super::*;

const CHUNK: usize = 65_536;
const STORED: usize = CHUNK + 16;

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_conforms() {
    let dir = TempDir::new().expect("dir");
    let vaults = std::sync::atomic::AtomicU32::new(0);
    suite(async || {
        let n = vaults.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let vault = ObjectVault::local(&dir.path().join(format!("vault-{n}")), &dir.path().join("key")).await;
        Arc::new(vault.expect("open")) as Arc<dyn Vault>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_object_store_conforms() {
    let dir = TempDir::new().expect("dir");
    let key = dir.path().join("key");
    VaultKey::create(&key).expect("key");
    suite(async || {
        Arc::new(ObjectVault::new(Arc::new(InMemory::new()), VaultKey::read(&key).expect("key")))
            as Arc<dyn Vault>
    })
    .await;
}

#[tokio::test]
async fn nothing_on_the_disk_tells_anything() {
    let (dir, vault) = vault().await;
    let plain = b"a spoken secret ".repeat(10_000);
    let sealed = seal(&vault, id(1), &plain).await;
    let names: Vec<_> =
        fs::read_dir(dir.path().join("vault")).expect("dir").map(|e| e.expect("entry").file_name()).collect();
    assert_eq!(names, [id(1).to_string().as_str()], "named by the segment id alone");
    let stored = fs::read(object(&dir, id(1))).expect("object");
    assert_eq!(stored[..8], *b"TMNV\x01\x10\0\0");
    assert_eq!(stored.len() as u64, sealed.cipher_len);
    assert!(!stored.windows(14).any(|window| window == b"spoken secret "));
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!((mode(&dir.path().join("vault")), mode(&dir.path().join("key"))), (0o700, 0o600));
}

#[tokio::test]
async fn every_change_of_an_object_is_seen() {
    let (dir, vault) = vault().await;
    let plain: Vec<u8> = (0..3 * CHUNK + 1000).map(|n| (n / 7) as u8).collect();
    let sealed = seal(&vault, id(1), &plain).await;
    let path = object(&dir, id(1));
    let good = fs::read(&path).expect("object");
    let all = 0..plain.len() as u64;
    let chunk = |n: usize| 8 + n * STORED..(8 + (n + 1) * STORED).min(good.len());

    let mut changed: Vec<(String, Vec<u8>)> = Vec::new();
    for at in [0, 4, 5, 7, 8, 100, 8 + CHUNK, 8 + STORED - 1, 8 + STORED, good.len() - 17, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        changed.push((format!("bit at {at}"), bytes));
    }
    let swapped = [&good[..8], &good[chunk(1)], &good[chunk(0)], &good[chunk(2)], &good[chunk(3)]].concat();
    changed.push(("chunks swapped".into(), swapped));
    let doubled = [&good[..8], &good[chunk(0)], &good[chunk(0)], &good[chunk(2)], &good[chunk(3)]].concat();
    changed.push(("a chunk doubled".into(), doubled));
    changed.push(("cut at a chunk".into(), good[..8 + 3 * STORED].to_vec()));
    changed.push(("cut in a chunk".into(), good[..good.len() - 1].to_vec()));
    changed.push(("a byte more".into(), [&good[..], &[0]].concat()));
    changed.push(("nothing".into(), Vec::new()));
    for (what, bytes) in changed {
        fs::write(&path, bytes).expect("write");
        assert!(
            matches!(vault.read(id(1), &sealed, all.clone()).await, Err(VaultError::Damaged(..))),
            "{what}"
        );
        assert!(matches!(vault.check(id(1), &sealed).await, Err(VaultError::Damaged(..))), "{what}");
    }

    // Cut at a chunk, and the index told that this is right: the last chunk is not the last.
    fs::write(&path, &good[..8 + 3 * STORED]).expect("write");
    let plain_len = 3 * CHUNK as u64;
    let lied =
        Sealed { plain_len, cipher_len: format::cipher_len(plain_len).expect("length"), ..sealed.clone() };
    assert!(matches!(vault.read(id(1), &lied, all.clone()).await, Err(VaultError::Damaged(..))));

    // Another object in its place, and the row with it.
    fs::write(&path, &good).expect("write");
    fs::copy(&path, object(&dir, id(2))).expect("copy");
    assert!(matches!(vault.read(id(2), &sealed, all.clone()).await, Err(VaultError::Damaged(..))));
    assert_eq!(vault.read(id(1), &sealed, all).await, Ok(plain), "the case did not spoil the original");
}

#[tokio::test]
async fn a_key_file_is_good_or_refused_with_its_reason() {
    let dir = TempDir::new().expect("dir");
    let key = dir.path().join("key");
    let open = async || ObjectVault::local(&dir.path().join("vault"), &key).await;
    let first = open().await.expect("made at the first start").key.id().to_owned();
    assert_eq!(open().await.expect("read at the second").key.id(), first);
    assert!(!dir.path().join("key.new").exists());
    assert!(matches!(VaultKey::create(&key), Err(KeyError::Unusable(..))), "never written over");

    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).expect("chmod");
        let error = open().await.expect_err("exposed");
        assert!(matches!(error, OpenError::Key(KeyError::Exposed(_, found)) if found == mode), "{error}");
    }
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("chmod");
    for len in [0, 31, 33, 64] {
        fs::write(&key, vec![7; len]).expect("write");
        let error = open().await.expect_err("wrong length");
        assert!(
            matches!(error, OpenError::Key(KeyError::Length(_, found)) if found == len as u64),
            "{error}"
        );
    }
    fs::remove_file(&key).expect("remove");
    fs::create_dir(&key).expect("dir");
    assert!(matches!(open().await, Err(OpenError::Key(KeyError::Unusable(..)))));
    fs::remove_dir(&key).expect("remove");
    fs::write(dir.path().join("key.new"), "half").expect("what a crash left");
    open().await.expect("a new one");
}

#[tokio::test]
async fn a_lost_key_is_not_silently_replaced() {
    let (dir, vault) = vault().await;
    let key = dir.path().join("key");
    let sealed = seal(&vault, id(1), b"audio").await;
    let aside = dir.path().join("aside");
    fs::rename(&key, &aside).expect("rename");
    let error = ObjectVault::local(&dir.path().join("vault"), &key).await.expect_err("lost");
    assert!(matches!(error, OpenError::KeyLost(_)), "{error}");
    assert!(!key.exists());

    VaultKey::create(&key).expect("another");
    let other = ObjectVault::local(&dir.path().join("vault"), &key).await.expect("open");
    let read = other.read(id(1), &sealed, 0..5).await;
    assert!(matches!(&read, Err(VaultError::Unavailable(why)) if why.contains(&sealed.key_id)), "{read:?}");
    let lied = Sealed { key_id: other.key.id().to_owned(), ..sealed.clone() };
    assert!(matches!(other.read(id(1), &lied, 0..5).await, Err(VaultError::Damaged(..))));

    fs::rename(&aside, &key).expect("put back");
    let vault = ObjectVault::local(&dir.path().join("vault"), &key).await.expect("open");
    assert_eq!(vault.read(id(1), &sealed, 0..5).await, Ok(b"audio".to_vec()));
}

#[tokio::test]
async fn what_a_crash_left_is_removed_and_what_is_not_ours_is_not_listed() {
    let (dir, vault) = vault().await;
    seal(&vault, id(1), b"audio").await;
    let unfinished = dir.path().join(format!("vault/{}#1", id(2)));
    fs::write(&unfinished, "half").expect("write");
    fs::write(dir.path().join("vault/README"), "by hand").expect("write");
    fs::write(dir.path().join(format!("vault/{}", id(3).0.simple())), "nearly").expect("write");
    let vault = ObjectVault::local(&dir.path().join("vault"), &dir.path().join("key")).await.expect("open");
    assert!(unfinished.exists(), "whoever only reads does not take it from the one that writes it");
    vault.remove_unfinished().expect("remove");
    assert!(!unfinished.exists());
    assert!(dir.path().join("vault/README").exists());
    assert_eq!(vault.list().await, Ok(vec![id(1)]));
}

#[tokio::test]
async fn a_full_or_missing_disk_is_unavailable() {
    let (dir, vault) = vault().await;
    let sealed = seal(&vault, id(1), b"audio").await;
    fs::remove_dir_all(dir.path().join("vault")).expect("remove");
    fs::write(dir.path().join("vault"), "a file where the vault was").expect("write");
    let result = vault.seal(id(2), Box::new(Cursor::new(vec![1; 100_000]))).await;
    assert!(matches!(result, Err(VaultError::Unavailable(_))), "{result:?}");
    let read = vault.read(id(1), &sealed, 0..1).await;
    assert!(matches!(read, Err(VaultError::Unavailable(_) | VaultError::Missing(_))), "{read:?}");
}

#[tokio::test]
async fn a_seal_that_nobody_waits_for_leaves_nothing() {
    let (dir, vault) = vault().await;
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    struct Slow(tokio::sync::mpsc::UnboundedSender<()>);
    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(std::time::Duration::from_millis(1));
            buffer.fill(1);
            Ok(buffer.len())
        }
    }
    impl Drop for Slow {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let sealing = vault.seal(id(1), Box::new(Slow(ended)));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), sealing).await.is_err());
    let end = tokio::time::timeout(std::time::Duration::from_secs(10), end.recv()).await;
    assert_eq!(end.expect("the reader is let go"), Some(()));
    assert_eq!(vault.list().await, Ok(vec![]));
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while fs::read_dir(dir.path().join("vault")).expect("dir").count() > 0 {
        assert!(std::time::Instant::now() < limit, "the unfinished object stays");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn vault() -> (TempDir, ObjectVault) {
    let dir = TempDir::new().expect("dir");
    let vault = ObjectVault::local(&dir.path().join("vault"), &dir.path().join("key")).await.expect("open");
    (dir, vault)
}

async fn seal(vault: &ObjectVault, id: SegmentId, plain: &[u8]) -> Sealed {
    vault.seal(id, Box::new(Cursor::new(plain.to_vec()))).await.expect("seal")
}

fn object(dir: &TempDir, id: SegmentId) -> PathBuf {
    dir.path().join("vault").join(id.to_string())
}

fn id(n: u8) -> SegmentId {
    SegmentId(uuid::Uuid::from_bytes([n; 16]))
}
