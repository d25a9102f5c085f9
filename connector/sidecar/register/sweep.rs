//! What the register must not keep any longer: entries of lists from their end on, all others once the time in which
//! they prove something is over ([`temoin_core::register::proof_period`]). Erased with a line in the journal, in one commit.
//!
//! A consent that stands and a do-not-call without an end are kept: the one is relied upon, the other would be forgotten
//! against the will of the person (GDPR art. 21(3)).

use std::sync::Arc;
use std::time::Duration;

use temoin_core::journal::RegisterAct;
use temoin_core::ports::{Clock, RegisterQuery, Store, StoreError};
use temoin_core::register::{proof_ended_by, proof_period};
use temoin_core::session::Rules;
use tokio::sync::watch;

use super::write;

/// Between two passes: what is kept for years does not hang on minutes.
const EVERY: Duration = Duration::from_secs(600);
/// Entries erased in one commit.
const PAGE: u32 = 256;
/// Who the journal says it was.
const WHO: &str = "retention";

/// Erases what has had its time. One for a node.
pub struct Purger {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    rules: watch::Receiver<Arc<Rules>>,
}

impl Purger {
    /// One for this index, by the rules in force.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, rules: watch::Receiver<Arc<Rules>>) -> Self {
        Self { store, clock, rules }
    }

    /// Passes for ever.
    pub async fn run(self) {
        loop {
            match self.pass().await {
                Ok(0) => {}
                Ok(erased) => tracing::info!(erased, "entries of the register had their time"),
                Err(error) => tracing::error!(%error, "the register cannot be swept; it is tried again"),
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Erases all that has had its time now; tells how many.
    ///
    /// # Errors
    /// The index is away. What was erased before stays erased.
    pub async fn pass(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let proof = {
            let rules = self.rules.borrow();
            proof_ended_by(proof_period(&rules.policy), now, &rules.policy.site().zone)
        };
        let mut erased = 0;
        loop {
            let over = self.store.register(RegisterQuery::Over { list: now, proof, most: PAGE }).await?;
            if over.is_empty() {
                return Ok(erased);
            }
            write::forget(&*self.store, &over, RegisterAct::Forgotten, WHO, now).await?;
            erased += over.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests;
