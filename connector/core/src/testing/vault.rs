//! The vault in memory, and the suite for every vault.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

pub use super::vault_suite::suite;
use crate::id::SegmentId;
use crate::ports::{Vault, VaultError};
use crate::segment::Sealed;

/// A vault that forgets at the end of the process. It numbers its keys and encrypts nothing.
#[derive(Debug, Default)]
pub struct MemoryVault(Mutex<Objects>);

#[derive(Debug, Default)]
struct Objects {
    away: bool,
    keys: u64,
    objects: BTreeMap<SegmentId, (Sealed, Vec<u8>)>,
}

impl MemoryVault {
    /// Goes away, as a disk does, or comes back. While it is away, everything is `Unavailable`.
    pub fn away(&self, away: bool) {
        self.lock().away = away;
    }

    /// Turns a bit of a stored object, as a bad disk does. Nothing happens to one that is empty or not there.
    pub fn damage(&self, id: SegmentId) {
        if let Some(byte) = self.lock().objects.get_mut(&id).and_then(|(_, bytes)| bytes.last_mut()) {
            *byte ^= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn objects(&self) -> Result<MutexGuard<'_, Objects>, VaultError> {
        let objects = self.lock();
        if objects.away {
            return Err(VaultError::Unavailable("away".to_owned()));
        }
        Ok(objects)
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn seal(&self, id: SegmentId, mut plain: Box<dyn Read + Send>) -> Result<Sealed, VaultError> {
        let mut bytes = Vec::new();
        plain.read_to_end(&mut bytes).map_err(|error| VaultError::Unavailable(error.to_string()))?;
        let mut objects = self.objects()?;
        objects.keys += 1;
        let sealed = Sealed {
            wrapped_key: objects.keys.to_be_bytes().to_vec(),
            key_id: "memory".to_owned(),
            plain_len: bytes.len() as u64,
            cipher_len: bytes.len() as u64,
            cipher_sha256: hex(&bytes),
        };
        objects.objects.insert(id, (sealed.clone(), bytes));
        Ok(sealed)
    }

    async fn read(&self, id: SegmentId, sealed: &Sealed, range: Range<u64>) -> Result<Vec<u8>, VaultError> {
        self.check(id, sealed).await?;
        let objects = self.objects()?;
        let (_, bytes) = objects.objects.get(&id).ok_or(VaultError::Missing(id))?;
        let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(bytes.len());
        let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
        Ok(bytes[start..end].to_vec())
    }

    async fn shred(&self, id: SegmentId) -> Result<(), VaultError> {
        self.objects()?.objects.remove(&id);
        Ok(())
    }

    async fn check(&self, id: SegmentId, sealed: &Sealed) -> Result<(), VaultError> {
        let objects = self.objects()?;
        let (stored, bytes) = objects.objects.get(&id).ok_or(VaultError::Missing(id))?;
        if stored != sealed || hex(bytes) != sealed.cipher_sha256 {
            return Err(VaultError::Damaged(id, "other bytes".to_owned()));
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<SegmentId>, VaultError> {
        Ok(self.objects()?.objects.keys().copied().collect())
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;

    #[test]
    fn it_conforms() {
        futures::executor::block_on(suite(async || Arc::new(MemoryVault::default()) as Arc<dyn Vault>));
    }

    #[test]
    fn it_goes_away_and_it_rots() {
        futures::executor::block_on(async {
            let (vault, id) = (MemoryVault::default(), SegmentId::new(Timestamp::UNIX_EPOCH, [0; 10]));
            let sealed = vault.seal(id, Box::new(&b"audio"[..])).await.expect("seal");
            vault.away(true);
            assert!(matches!(vault.check(id, &sealed).await, Err(VaultError::Unavailable(_))));
            vault.away(false);
            assert_eq!(vault.check(id, &sealed).await, Ok(()));
            vault.damage(id);
            assert!(matches!(vault.check(id, &sealed).await, Err(VaultError::Damaged(..))));
            assert!(matches!(vault.read(id, &sealed, 0..1).await, Err(VaultError::Damaged(..))));
        });
    }
}
