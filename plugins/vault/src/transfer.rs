//! Bytes on their way: encrypted while they are read, hashed while they are written and read back. A few chunks are in
//! memory at a time.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart};
use sha2::{Digest as _, Sha256};
use temoin_core::id::SegmentId;
use temoin_core::ports::VaultError;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::format::{CHUNK, Cipher, HEADER};
use crate::key::hex;

/// Bytes of one part of an upload (object stores want 5 MiB at least), of which two are in memory.
const PART: usize = 5 << 20;
/// Encrypted chunks that wait for the upload.
const AHEAD: usize = 8;

/// What was written.
pub struct Written {
    pub plain_len: u64,
    pub cipher_len: u64,
    pub cipher_sha256: String,
}

/// Encrypts and stores; nothing is there before all of it is.
pub async fn upload(
    store: &Arc<dyn ObjectStore>,
    id: SegmentId,
    cipher: Cipher,
    plain: Box<dyn Read + Send>,
) -> Result<Written, VaultError> {
    let (sender, mut chunks) = mpsc::channel(AHEAD);
    let encrypting = tokio::task::spawn_blocking(move || encrypt(&cipher, plain, &sender));
    let unavailable = |error: io::Error| VaultError::Unavailable(error.to_string());

    let upload = store.put_multipart(&path(id)).await.map_err(|failed| error(id, failed))?;
    let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
    let (mut cipher_len, mut hash) = (0, Sha256::new());
    let mut written = Ok(());
    while let Some(chunk) = chunks.recv().await {
        cipher_len += chunk.len() as u64;
        hash.update(&chunk);
        writer.put(chunk);
        written = writer.wait_for_capacity(1).await.map_err(|failed| error(id, failed));
        if written.is_err() {
            break;
        }
    }
    drop(chunks);
    let encrypted = encrypting.await.map_err(io::Error::other).flatten().map_err(unavailable);
    match written.and(encrypted) {
        Ok(plain_len) => {
            writer.finish().await.map_err(|failed| error(id, failed))?;
            Ok(Written { plain_len, cipher_len, cipher_sha256: hex(&hash.finalize()) })
        }
        Err(failed) => {
            // Whatever cannot be taken back now is removed at the next start; nobody has its key.
            let _ = writer.abort().await;
            Err(failed)
        }
    }
}

/// Length and SHA-256 of the stored bytes.
pub async fn stored(store: &Arc<dyn ObjectStore>, id: SegmentId) -> Result<(u64, String), VaultError> {
    let failed = |failed| error(id, failed);
    let mut chunks = store.get(&path(id)).await.map_err(failed)?.into_stream();
    let (mut len, mut hash) = (0, Sha256::new());
    while let Some(chunk) = chunks.try_next().await.map_err(failed)? {
        len += chunk.len() as u64;
        hash.update(&chunk);
    }
    Ok((len, hex(&hash.finalize())))
}

/// The object's name: the segment id alone.
pub fn path(id: SegmentId) -> Path {
    Path::from(id.to_string())
}

/// How an object store's error looks from outside.
pub fn error(id: SegmentId, error: object_store::Error) -> VaultError {
    match error {
        object_store::Error::NotFound { .. } => VaultError::Missing(id),
        error => VaultError::Unavailable(error.to_string()),
    }
}

/// Reads to the end and sends header and chunks; stops early where nobody takes them. Returns the plain length.
fn encrypt(cipher: &Cipher, mut plain: Box<dyn Read + Send>, to: &mpsc::Sender<Bytes>) -> io::Result<u64> {
    let gone = |_| io::Error::other("the upload ended");
    let (mut chunk, mut next) = (Zeroizing::new(vec![0; CHUNK]), Zeroizing::new(vec![0; CHUNK]));
    to.blocking_send(Bytes::from_static(&HEADER)).map_err(gone)?;
    let mut filled = fill(&mut plain, &mut chunk)?;
    let mut len = 0;
    for number in 0.. {
        // Only the read after it tells that a full chunk is the last.
        let after = if filled == CHUNK { fill(&mut plain, &mut next)? } else { 0 };
        let last = after == 0;
        let sealed = cipher.seal(number, last, &chunk[..filled]);
        let sealed = sealed.ok_or_else(|| io::Error::other("longer than an object can be"))?;
        to.blocking_send(sealed.into()).map_err(gone)?;
        len += filled as u64;
        if last {
            break;
        }
        std::mem::swap(&mut chunk, &mut next);
        filled = after;
    }
    Ok(len)
}

/// Fills the buffer as far as there is something to read.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
