//! The journal: what happened and by whose rule, chained so that nothing can be changed or left out unseen, and made
//! so that it can forget.
//!
//! The chain runs over `SHA-256(salt ‖ payload)`. Payload and salt lie apart from the chain and are erased on their
//! date; the chain then still verifies and says `erased`, not `broken`. One chain per node.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::command::{Notice, Release};
use crate::event::Playback;
use crate::id::{CallId, SegmentId};
use crate::ports::Drawn;
use crate::register::EntryId;
use crate::segment::{Closing, Ending, Kept};
use crate::words::Direction;

/// 32 bytes of SHA-256.
pub type Hash = [u8; 32];

/// One thing that happened. Holds no telephone number and no name of a customer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// In which call.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub call: Option<CallId>,
    /// Of which segment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub segment: Option<SegmentId>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// The sidecar started.
    Started {
        /// Version of the program.
        version: String,
        /// SHA-256 of the policy and packs in force, hex.
        policy: String,
        /// SHA-256 of `temoin.toml`, hex.
        config: String,
    },
    /// Policy and configuration were read anew and are in force for new calls.
    Reloaded {
        /// SHA-256 of policy and packs, hex.
        policy: String,
        /// SHA-256 of `temoin.toml`, hex.
        config: String,
    },
    /// A leg is about to dial a customer; the entry's call is that leg.
    Dialling {
        /// The line.
        line: String,
        /// What was answered.
        how: Release,
        /// Why.
        why: String,
        /// What the register's answer rests on: ids of entries, and rules.
        rests_on: Vec<String>,
    },
    /// A customer reached the hook.
    Arrived {
        /// The line.
        line: String,
        /// Which way.
        direction: Direction,
        /// SHA-256 of the policy and packs that decide this call, hex.
        policy: String,
        /// SHA-256 of `temoin.toml`, hex.
        config: String,
    },
    /// The customer was told.
    Announced {
        /// For which purposes.
        purposes: Vec<String>,
        /// In which language.
        language: String,
        /// By which text.
        version: String,
    },
    /// The announcement ended otherwise.
    NotAnnounced {
        /// How.
        outcome: Playback,
    },
    /// The machine's clock was set while the program ran: the times before and after are no longer of one clock.
    ClockSet {
        /// By so many milliseconds; negative: back.
        by_ms: i64,
    },
    /// A key or code was pressed.
    Pressed {
        /// By `customer`, `agent` or nobody known.
        by: String,
        /// What it means, or `unknown`. Digits themselves are not written down.
        meaning: String,
    },
    /// Somebody objected.
    Objected {
        /// `customer`, or the agent in his name.
        by: String,
    },
    /// Somebody consented.
    Consented {
        /// Who.
        by: String,
    },
    /// The call left the hook.
    Released {
        /// How.
        how: Release,
        /// Why.
        why: String,
    },
    /// Lots were drawn.
    Drawn(Drawn),
    /// Who is in the bridge changed, and what is decided for it.
    Decided {
        /// Whether audio may be stored now.
        record: bool,
        /// The agents present.
        agents: Vec<String>,
        /// Reason by purpose (FORMAT 3.4), or of the shell: `held`, `unknown-party`, `another-customer`,
        /// `exempt-rings`.
        reasons: std::collections::BTreeMap<String, String>,
    },
    /// A segment was opened.
    Opened {
        /// For which purposes.
        purposes: Vec<String>,
    },
    /// The recorder runs.
    Recording,
    /// The recorder is being stopped: what comes after `until` is not kept, whatever happens to this program now.
    Stopping {
        /// Why.
        ending: Ending,
        /// The last instant that may be kept.
        until: Timestamp,
        /// Whether 100 ms before it are cut off too.
        cut_tail: bool,
    },
    /// A segment was closed.
    Closed(Closing),
    /// Purposes were taken from a closed segment.
    Amended {
        /// What remains.
        kept: Vec<String>,
        /// Why.
        why: String,
    },
    /// A segment lies in the vault.
    Kept(KeptNote),
    /// A segment was ordered, and there is nothing to keep of it.
    Lost {
        /// Why.
        why: String,
    },
    /// A segment is about to be erased.
    Erasing {
        /// Why.
        why: String,
    },
    /// A segment is gone.
    Disposed,
    /// An alarm.
    Alarm(Notice),
    /// The PBX was not heard.
    Gap {
        /// From.
        since: Timestamp,
    },
    /// Somebody listened.
    Listened {
        /// The account.
        who: String,
        /// The reason given.
        reason: String,
    },
    /// The customer's leg is gone.
    Ended,
    /// The register of consents and of those not to be called was changed.
    Register(RegisterNote),
}

/// What the journal says of a change of the register: which entries, and never whose number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegisterNote {
    /// What became of them.
    pub act: RegisterAct,
    /// What they are: `consent`, `do-not-call` or `list:bloctel`.
    pub of: String,
    /// How many.
    pub entries: u64,
    /// Which; empty for entries of lists, which are many and prove nothing.
    pub ids: Vec<EntryId>,
    /// SHA-256 over the ids in this order, hex.
    pub digest: String,
    /// By whom: an account, or `retention`.
    pub who: String,
    /// SHA-256 of the file that they came from, hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
}

/// What became of entries of the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegisterAct {
    /// They were entered.
    Entered,
    /// They were withdrawn.
    Withdrawn,
    /// They are no longer on their list, and were erased.
    Delisted,
    /// Their time was over, and they were erased.
    Forgotten,
}

impl RegisterNote {
    /// A note of these entries.
    pub fn new(act: RegisterAct, of: &str, ids: Vec<EntryId>, who: &str) -> Self {
        let mut digest = Sha256::new();
        ids.iter().for_each(|id| digest.update(id.0));
        let digest = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let entries = ids.len() as u64;
        let ids = if of.starts_with("list:") { Vec::new() } else { ids };
        Self { act, of: of.to_owned(), entries, ids, digest, who: who.to_owned(), file: None }
    }
}

/// What the journal says of a kept segment: its proofs, not its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptNote {
    /// Length, ms.
    pub millis: u64,
    /// SHA-256 of the stereo WAV, hex.
    pub sha256: String,
    /// SHA-256 of the stored bytes, hex.
    pub cipher_sha256: String,
    /// What a listener must know.
    pub flags: Vec<crate::segment::Flag>,
}

impl From<&Kept> for KeptNote {
    fn from(kept: &Kept) -> Self {
        Self {
            millis: kept.millis,
            sha256: kept.sha256.clone(),
            cipher_sha256: kept.sealed.cipher_sha256.clone(),
            flags: kept.flags.clone(),
        }
    }
}

/// A row of the journal as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// From 1, without holes.
    pub seq: u64,
    /// The node whose chain this is.
    pub node: String,
    /// The site.
    pub site: String,
    /// `digest(salt, payload)`.
    pub digest: Hash,
    /// `chain(previous hash, seq, node, site, digest)`.
    pub hash: Hash,
    /// What happened; `None` once it was erased on its date.
    pub content: Option<Content>,
}

impl Link {
    /// What happened; none where it was erased, or written by a newer program.
    pub fn entry(&self) -> Option<Entry> {
        serde_json::from_slice(&self.content.as_ref()?.payload).ok()
    }
}

/// The part of a row that can be erased.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// 16 random bytes.
    pub salt: [u8; 16],
    /// The entry as JSON.
    pub payload: Vec<u8>,
}

/// What the chain runs over.
pub fn digest(salt: &[u8; 16], payload: &[u8]) -> Hash {
    Sha256::new().chain_update(salt).chain_update(payload).finalize().into()
}

/// The hash of a row: over the one before, its place, and its digest. Lengths are written out, so that no two
/// different rows give the same bytes.
pub fn chain(previous: &Hash, seq: u64, node: &str, site: &str, digest: &Hash) -> Hash {
    let mut hash = Sha256::new().chain_update(previous).chain_update(seq.to_be_bytes());
    for text in [node, site] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.chain_update(digest).finalize().into()
}

/// The hash before the first row.
pub const GENESIS: Hash = [0; 32];

/// What is wrong with a chain, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A row is missing or doubled.
    #[error("journal row {expected} is missing: found {found} in its place")]
    Hole {
        /// The number that should be here.
        expected: u64,
        /// The number that is.
        found: u64,
    },
    /// The text does not belong to its digest.
    #[error("journal row {0}: its text was changed")]
    Changed(u64),
    /// The row does not belong to the one before.
    #[error("journal row {0}: it does not follow from the row before")]
    Unchained(u64),
}

/// Walks a chain from its first row on; feed it rows in order.
#[derive(Clone, Debug)]
pub struct Verifier {
    seq: u64,
    hash: Hash,
    erased: u64,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { seq: 0, hash: GENESIS, erased: 0 }
    }
}

impl Verifier {
    /// Checks the next row.
    pub fn next(&mut self, link: &Link) -> Result<(), Broken> {
        if link.seq != self.seq + 1 {
            return Err(Broken::Hole { expected: self.seq + 1, found: link.seq });
        }
        match &link.content {
            Some(content) if digest(&content.salt, &content.payload) != link.digest => {
                return Err(Broken::Changed(link.seq));
            }
            Some(_) => {}
            None => self.erased += 1,
        }
        if chain(&self.hash, link.seq, &link.node, &link.site, &link.digest) != link.hash {
            return Err(Broken::Unchained(link.seq));
        }
        self.seq = link.seq;
        self.hash = link.hash;
        Ok(())
    }

    /// Rows seen, rows erased, and the hash of the last: whoever wrote it down earlier can compare.
    pub fn state(&self) -> (u64, u64, Hash) {
        (self.seq, self.erased, self.hash)
    }
}
