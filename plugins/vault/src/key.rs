//! The vault's key, and the keys that it wraps.
//!
//! The key file holds 32 random bytes and nothing else, mode 0600. Whoever loses it loses all recordings: it belongs
//! into the backup, and not beside the vault's. A wrapped key is a nonce, the object's key encrypted with AES-256-GCM,
//! and the tag; the segment id is authenticated with it, so that no row's key opens another row's object.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use sha2::{Digest as _, Sha256};
use temoin_core::id::SegmentId;
use zeroize::Zeroizing;

use crate::format::Key;

const LENGTH: usize = 32;
const NONCE: usize = 12;

/// Wraps and unwraps the keys of objects. Does not print itself.
pub struct VaultKey {
    wrap: Aes256Gcm,
    id: String,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such file.
    #[error("there is no key file {0}")]
    Missing(PathBuf),
    /// It cannot be read, or not be made.
    #[error("the key file {0} cannot be used: {1}")]
    Unusable(PathBuf, io::Error),
    /// Others than its owner may read or write it.
    #[error("the key file {0} has mode {1:o}: only its owner may have access (chmod 600)")]
    Exposed(PathBuf, u32),
    /// It does not hold a key.
    #[error("the key file {0} is {1} bytes long: a key has 32")]
    Length(PathBuf, u64),
}

impl VaultKey {
    /// Reads the key file.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let unusable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => KeyError::Missing(path.to_owned()),
            _ => KeyError::Unusable(path.to_owned(), error),
        };
        // Looked at before it is opened: opening a pipe would wait for ever.
        if !fs::metadata(path).map_err(unusable)?.is_file() {
            return Err(unusable(io::Error::other("it is not a file")));
        }
        let mut file = File::open(path).map_err(unusable)?;
        let found = file.metadata().map_err(unusable)?;
        if found.mode() & 0o077 != 0 {
            return Err(KeyError::Exposed(path.to_owned(), found.mode() & 0o7777));
        }
        if found.len() != LENGTH as u64 {
            return Err(KeyError::Length(path.to_owned(), found.len()));
        }
        let mut key = Key::default();
        file.read_exact(&mut *key).map_err(unusable)?;
        Ok(Self::of(&key))
    }

    /// Makes a new key and its file, which must not be there. Durable when this returns; a crash leaves the whole file
    /// or none.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let key = random().map_err(|error| KeyError::Unusable(path.to_owned(), error))?;
        write_new(path, &*key).map_err(|error| KeyError::Unusable(path.to_owned(), error))?;
        tracing::info!(path = %path.display(), "a new vault key was made: back it up, apart from the vault");
        Ok(Self::of(&key))
    }

    fn of(key: &Key) -> Self {
        let id = Sha256::new().chain_update(b"temoin vault key").chain_update(**key).finalize();
        Self { wrap: Aes256Gcm::new((&**key).into()), id: hex(&id[..8]) }
    }

    /// Which key this is; tells nothing about it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A new key for an object, and the same wrapped. The error says why there is no randomness.
    pub(crate) fn fresh(&self, id: SegmentId) -> Result<(Key, Vec<u8>), String> {
        let key = random::<LENGTH>().map_err(|error| error.to_string())?;
        let nonce = random::<NONCE>().map_err(|error| error.to_string())?;
        let payload = Payload { msg: &*key, aad: id.0.as_bytes() };
        let mut wrapped = nonce.to_vec();
        wrapped.extend(self.wrap.encrypt((&*nonce).into(), payload).map_err(|error| error.to_string())?);
        Ok((key, wrapped))
    }

    /// The key of an object; `None` where it was not wrapped by this key for this object.
    pub(crate) fn unwrap(&self, id: SegmentId, wrapped: &[u8]) -> Option<Key> {
        let (nonce, wrapped) = wrapped.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: wrapped, aad: id.0.as_bytes() };
        let key = Zeroizing::new(self.wrap.decrypt(nonce.into(), payload).ok()?);
        Some(Zeroizing::new(key.as_slice().try_into().ok()?))
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn random<const N: usize>() -> io::Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Writes beside, syncs, and links into place: linking never replaces.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::hard_link(&beside, path)?;
    fs::remove_file(&beside)?;
    File::open(directory)?.sync_all()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
