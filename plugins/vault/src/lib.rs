//! The vault: every recording encrypted with a key of its own, in an object store; here, a directory.
//!
//! A recording is cut into chunks and encrypted while it is read (see `format`), so an hour of audio
//! never lies in memory, and any range of it can be played. Its key, wrapped by the vault's key (see `key`), is not
//! kept here but in the index: without the row there the object is noise, and destroying the row's key destroys the
//! recording. Objects are named by the segment id alone.
//!
//! Left out: choosing what to keep, changing the vault's key, and clouds (the code asks nothing of a directory that an
//! object store would not give; only their features are not compiled in).

mod format;
mod key;
mod transfer;

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt as _};
use temoin_core::id::SegmentId;
use temoin_core::ports::{Vault, VaultError};
use temoin_core::segment::Sealed;

use crate::format::Cipher;
pub use crate::key::{KeyError, VaultKey};

/// A vault on an object store.
#[derive(Debug)]
pub struct ObjectVault {
    store: Arc<dyn ObjectStore>,
    key: VaultKey,
    /// Where the store is a directory: removals must be synced by hand.
    directory: Option<PathBuf>,
}

/// Why a vault could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory cannot be made or read.
    #[error("the vault's directory cannot be used: {0}")]
    Directory(#[from] io::Error),
    /// The same, as the object store tells it.
    #[error("the vault's directory cannot be used: {0}")]
    Store(#[from] object_store::Error),
    /// There is no usable key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There are recordings, but no key file: a new key would open none of them.
    #[error("the vault holds recordings, but its key file {0} is not there: put it back")]
    KeyLost(PathBuf),
}

impl ObjectVault {
    /// A vault in a directory, made with mode 0700 where there is none. The key is read from `key_file`, made with
    /// mode 0600 at the first start. Must be called within a tokio runtime.
    pub async fn local(directory: &Path, key_file: &Path) -> Result<Self, OpenError> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        // Canonical, because the object store needs an absolute path.
        let directory = directory.canonicalize()?;
        let store = LocalFileSystem::new_with_prefix(&directory)?.with_fsync(true);
        let key = match VaultKey::read(key_file) {
            Err(KeyError::Missing(_)) if store.list(None).try_next().await?.is_some() => {
                return Err(OpenError::KeyLost(key_file.to_owned()));
            }
            Err(KeyError::Missing(_)) => VaultKey::create(key_file)?,
            read => read?,
        };
        Ok(Self { store: Arc::new(store), key, directory: Some(directory) })
    }

    /// Removes what a crash left of objects that were being written: ciphertext whose key nobody has. Only for the one
    /// program that writes, before it does: another one would take from it what it is writing.
    pub fn remove_unfinished(&self) -> io::Result<()> {
        self.directory.as_deref().map_or(Ok(()), remove_unfinished)
    }

    /// A vault on any object store that is durable when it answers.
    pub fn new(store: Arc<dyn ObjectStore>, key: VaultKey) -> Self {
        Self { store, key, directory: None }
    }
}

fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let unfinished = name.to_str().and_then(|name| name.split_once('#')).is_some_and(|(id, part)| {
            SegmentId::parse(id).is_some() && part.bytes().all(|byte| byte.is_ascii_digit())
        });
        if unfinished {
            fs::remove_file(directory.join(name))?;
        }
    }
    Ok(())
}

#[async_trait]
impl Vault for ObjectVault {
    async fn seal(&self, id: SegmentId, plain: Box<dyn Read + Send>) -> Result<Sealed, VaultError> {
        let (object_key, wrapped_key) = self.key.fresh(id).map_err(VaultError::Unavailable)?;
        let written = transfer::upload(&self.store, id, Cipher::new(&object_key, id), plain).await?;
        let sealed = Sealed {
            wrapped_key,
            key_id: self.key.id().to_owned(),
            plain_len: written.plain_len,
            cipher_len: written.cipher_len,
            cipher_sha256: written.cipher_sha256,
        };
        let read_back = self.check(id, &sealed).await;
        if let Err(VaultError::Damaged(..) | VaultError::Missing(_)) = read_back {
            self.shred(id).await?;
        }
        read_back.map(|()| sealed)
    }

    async fn read(&self, id: SegmentId, sealed: &Sealed, range: Range<u64>) -> Result<Vec<u8>, VaultError> {
        let damaged = |why: &str| VaultError::Damaged(id, why.to_owned());
        let found = self.store.head(&transfer::path(id)).await.map_err(|error| transfer::error(id, error))?;
        if found.size != sealed.cipher_len || format::cipher_len(sealed.plain_len) != Some(sealed.cipher_len)
        {
            return Err(damaged("it has another length"));
        }
        if sealed.key_id != self.key.id() {
            let why =
                format!("object {id} was sealed with key {}, this is key {}", sealed.key_id, self.key.id());
            return Err(VaultError::Unavailable(why));
        }
        let key = self.key.unwrap(id, &sealed.wrapped_key).ok_or_else(|| damaged("its key does not open"))?;
        let Some(span) = format::Span::of(range, sealed.plain_len) else {
            return Ok(Vec::new());
        };
        let ranges = [0..format::HEADER.len() as u64, span.stored.clone()];
        let parts = self.store.get_ranges(&transfer::path(id), &ranges).await;
        let parts = parts.map_err(|error| transfer::error(id, error))?;
        match parts.as_slice() {
            [header, _] if header[..] != format::HEADER => Err(damaged("its format is not known")),
            [_, stored] => {
                span.open(&Cipher::new(&key, id), stored).ok_or_else(|| damaged("a chunk does not open"))
            }
            _ => Err(damaged("it cannot be read in parts")),
        }
    }

    async fn shred(&self, id: SegmentId) -> Result<(), VaultError> {
        match self.store.delete(&transfer::path(id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(transfer::error(id, error)),
        }
        let Some(directory) = self.directory.clone() else {
            return Ok(());
        };
        let synced = tokio::task::spawn_blocking(move || File::open(directory)?.sync_all()).await;
        synced.map_err(io::Error::other).flatten().map_err(|error| VaultError::Unavailable(error.to_string()))
    }

    async fn check(&self, id: SegmentId, sealed: &Sealed) -> Result<(), VaultError> {
        let (len, sha256) = transfer::stored(&self.store, id).await?;
        if (len, &sha256) != (sealed.cipher_len, &sealed.cipher_sha256) {
            return Err(VaultError::Damaged(id, "its bytes are not those that were stored".to_owned()));
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<SegmentId>, VaultError> {
        let objects: Vec<_> = self
            .store
            .list(None)
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .map_err(|error: object_store::Error| VaultError::Unavailable(error.to_string()))?;
        let named = |name: &str| SegmentId::parse(name).filter(|id| id.to_string() == name);
        Ok(objects.iter().filter_map(|path| named(path.as_ref())).collect())
    }
}

#[cfg(test)]
mod tests;
