//! What every vault must do, sentence by sentence of [`Vault`].

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;

use crate::id::SegmentId;
use crate::ports::{Vault, VaultError};

type Objects = Arc<dyn Vault>;

/// Runs every case on a vault of its own; `make` gives an empty one. Panics at the first sentence that does not hold.
pub async fn suite(make: impl AsyncFn() -> Objects) {
    what_is_sealed_is_read(make().await).await;
    any_range_is_read(make().await).await;
    nothing_else_opens_it(make().await).await;
    the_same_id_replaces(make().await).await;
    what_is_shredded_is_gone(make().await).await;
    a_failing_source_leaves_nothing(make().await).await;
    many_at_once(make().await).await;
}

async fn what_is_sealed_is_read(vault: Objects) {
    assert_eq!(vault.list().await, Ok(vec![]));
    // Around the sizes at which any chunked format has its edges.
    for (n, len) in [0, 1, 15, 16, 65_535, 65_536, 65_537, 131_072, 300_001].into_iter().enumerate() {
        let (id, plain) = (id(n as u8), noise(n as u64, len));
        let sealed = vault.seal(id, source(&plain)).await.expect("seal");
        assert_eq!(sealed.plain_len, len as u64);
        assert!(sealed.cipher_len >= sealed.plain_len);
        assert_eq!(sealed.cipher_sha256.len(), 64);
        assert!(!sealed.wrapped_key.is_empty() && !sealed.key_id.is_empty());
        assert_eq!(vault.check(id, &sealed).await, Ok(()));
        let read = vault.read(id, &sealed, 0..len as u64).await.expect("read");
        assert!(read == plain, "{len} bytes come back as they were");
    }
    let mut ids = vault.list().await.expect("list");
    ids.sort();
    assert_eq!(ids, (0..9).map(id).collect::<Vec<_>>());
}

async fn any_range_is_read(vault: Objects) {
    let plain = noise(1, 200_000);
    let sealed = vault.seal(id(1), source(&plain)).await.expect("seal");
    let edges = [0, 1, 44, 65_535, 65_536, 65_537, 131_072, 199_999, 200_000, 200_001, 300_000, u64::MAX];
    for start in edges {
        for end in edges {
            let clamp = |at: u64| at.min(plain.len() as u64) as usize;
            let expected = &plain[clamp(start).min(clamp(end))..clamp(end)];
            let read = vault.read(id(1), &sealed, start..end).await.expect("read");
            assert!(read == expected, "{start}..{end}: {} bytes", read.len());
        }
    }
    let empty = vault.seal(id(2), source(&[])).await.expect("seal");
    assert_eq!(vault.read(id(2), &empty, 0..10).await, Ok(vec![]));
}

async fn nothing_else_opens_it(vault: Objects) {
    let plain = noise(1, 1000);
    let first = vault.seal(id(1), source(&plain)).await.expect("seal");
    let second = vault.seal(id(2), source(&plain)).await.expect("seal");
    assert_ne!(first.wrapped_key, second.wrapped_key, "a key of its own");
    for (id, sealed) in [(id(1), &second), (id(2), &first)] {
        assert!(matches!(vault.read(id, sealed, 0..10).await, Err(VaultError::Damaged(of, _)) if of == id));
    }
    assert_eq!(vault.read(id(3), &first, 0..10).await, Err(VaultError::Missing(id(3))));
    assert_eq!(vault.read(id(3), &first, 0..0).await, Err(VaultError::Missing(id(3))));
    assert_eq!(vault.check(id(3), &first).await, Err(VaultError::Missing(id(3))));
}

async fn the_same_id_replaces(vault: Objects) {
    let old = vault.seal(id(1), source(&noise(1, 70_000))).await.expect("seal");
    let new = vault.seal(id(1), source(&noise(2, 70_000))).await.expect("seal again");
    assert_eq!(vault.list().await, Ok(vec![id(1)]));
    assert!(vault.read(id(1), &new, 0..70_000).await.expect("read") == noise(2, 70_000));
    assert!(matches!(vault.read(id(1), &old, 0..10).await, Err(VaultError::Damaged(..))));
    assert!(matches!(vault.check(id(1), &old).await, Err(VaultError::Damaged(..))));
}

async fn what_is_shredded_is_gone(vault: Objects) {
    let sealed = vault.seal(id(1), source(&noise(1, 10))).await.expect("seal");
    let other = vault.seal(id(2), source(&noise(2, 10))).await.expect("seal");
    vault.shred(id(1)).await.expect("shred");
    vault.shred(id(1)).await.expect("one that is not there is removed already");
    vault.shred(id(9)).await.expect("one that never was");
    assert_eq!(vault.read(id(1), &sealed, 0..10).await, Err(VaultError::Missing(id(1))));
    assert_eq!(vault.list().await, Ok(vec![id(2)]));
    assert!(vault.read(id(2), &other, 0..10).await.expect("read") == noise(2, 10));
}

async fn a_failing_source_leaves_nothing(vault: Objects) {
    struct Broken(Cursor<Vec<u8>>);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("the disk died")),
                read => Ok(read),
            }
        }
    }
    let sealed = vault.seal(id(1), Box::new(Broken(Cursor::new(noise(1, 100_000))))).await;
    assert!(matches!(sealed, Err(VaultError::Unavailable(_))), "{sealed:?}");
    assert_eq!(vault.list().await, Ok(vec![]), "nothing half-kept");
}

async fn many_at_once(vault: Objects) {
    let sealed = join_all((0..20).map(|n| vault.seal(id(n), source(&noise(n.into(), 50_000))))).await;
    for (n, sealed) in (0..20).zip(sealed) {
        let sealed = sealed.expect("seal");
        assert!(
            vault.read(id(n), &sealed, 10..40_000).await.expect("read")
                == noise(n.into(), 50_000)[10..40_000]
        );
    }
}

fn id(n: u8) -> SegmentId {
    SegmentId::new(Timestamp::UNIX_EPOCH, [n; 10])
}

/// A source that gives its bytes in uneven bites, as files and pipes may.
fn source(bytes: &[u8]) -> Box<dyn Read + Send> {
    struct Bites(Cursor<Vec<u8>>, usize);
    impl Read for Bites {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1 * 31 % 10_007 + 1;
            let most = self.1.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }
    Box::new(Bites(Cursor::new(bytes.to_vec()), 7))
}

/// Bytes without a pattern.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}
