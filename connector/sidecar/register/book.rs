//! The register with its key: what is asked before a number is dialled.

use std::path::Path;
use std::sync::Arc;

use temoin_core::finding::Code;
use temoin_core::origin;
use temoin_core::policy::{Line, Policy};
use temoin_core::ports::{RegisterQuery, Store, StoreError};
use temoin_core::register::{self, Asked, Entry, RegisterKey, Verdict};

use crate::fault::Fault;
use crate::rules;

/// What the key is called to people.
pub(crate) const KEY: &str = "the key of the register";

/// The register of an index.
#[derive(Clone)]
pub struct Book {
    store: Arc<dyn Store>,
    key: RegisterKey,
}

/// Why the register cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The index says so.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key file is missing, unusable, or not the one under which the numbers were entered.
    #[error("{0}")]
    Key(Fault),
}

impl Book {
    /// Opens the register with the key of this file. Where nothing was entered yet a key that is missing is made;
    /// afterwards it must be there, and the same: under another key nobody would be found, and so nobody spared.
    ///
    /// # Errors
    /// The index is away, or the key is not usable.
    pub async fn open(store: Arc<dyn Store>, file: &Path) -> Result<Self, BookError> {
        let key = match key_of(&store, file).await? {
            Some(key) => key,
            None => RegisterKey::new(
                rules::make_key(file).map_err(|error| fault(file, &format!("it cannot be made: {error}")))?,
            ),
        };
        Ok(Self { store, key })
    }

    /// The same, to look only: no key is made.
    ///
    /// # Errors
    /// The index is away, or the key is not usable.
    pub async fn look(store: Arc<dyn Store>, file: &Path) -> Result<Self, BookError> {
        // Where nothing was entered, any key finds nothing.
        let key = key_of(&store, file).await?.unwrap_or_else(|| RegisterKey::new([0; 32]));
        Ok(Self { store, key })
    }

    /// What the register has of a number, in full or as dialled on the line; nothing where it is nobody's number.
    ///
    /// # Errors
    /// The index is away.
    pub async fn entries(&self, number: &str, line: &Line) -> Result<Vec<Entry>, StoreError> {
        match origin::subscriber(number, line) {
            Some(number) => self.store.register(RegisterQuery::Number(self.key.tag(&number))).await,
            None => Ok(Vec::new()),
        }
    }

    /// Whether a number may be dialled, and what the person agreed to: [`Self::entries`], judged.
    ///
    /// # Errors
    /// The index is away: nobody knows then, and it is the line's affair what becomes of the call.
    pub async fn ask(&self, policy: &Policy, asked: &Asked<'_>) -> Result<Verdict, StoreError> {
        let entries = self.entries(asked.number, asked.line).await?;
        Ok(register::judge(policy, asked, &entries))
    }

    /// The index.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The key.
    pub fn key(&self) -> &RegisterKey {
        &self.key
    }
}

/// The key of a file that goes with what was entered; none where there is neither.
async fn key_of(store: &Arc<dyn Store>, file: &Path) -> Result<Option<RegisterKey>, BookError> {
    let first = store.register(RegisterQuery::After(None, 1)).await?.pop();
    let found = rules::look_at_key(file, KEY).map_err(BookError::Key)?.map(RegisterKey::new);
    match (found, first) {
        (Some(key), Some(first)) if first.key != key.id() => {
            Err(fault(file, "the register was written under another key: put that one back"))
        }
        (None, Some(_)) => {
            Err(fault(file, "the register has entries, and their key is not there: put it back"))
        }
        (found, _) => Ok(found),
    }
}

fn fault(file: &Path, hint: &str) -> BookError {
    BookError::Key(Fault::of(file.display(), Code::Key, hint).barring())
}
