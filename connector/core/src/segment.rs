//! A segment: an interval with constant parties and purposes. One file, one key, one fate.
//!
//! Its life is the index table's queue: open → closed → kept → doomed → disposed. `keep` and `sweep` pick rows by
//! state, act so that doing it twice does no harm, and move them on.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::id::{CallId, SegmentId};

/// What a join, an objection, private or payment takes off the end.
pub const TAIL: SignedDuration = SignedDuration::from_millis(100);

/// A segment as it is opened: durable before the recorder starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Its name, and the only thing in its file's name.
    pub id: SegmentId,
    /// The call.
    pub call: CallId,
    /// When it was opened.
    pub opened: Timestamp,
    /// Since when these people might be recorded, by the PBX's clock: the bridge, the end of a pause. What was said
    /// between this and the recorder's start is missing, and the segment is `Short` by it.
    pub since: Timestamp,
    /// The agents recorded, sorted.
    pub agents: Vec<String>,
    /// The purposes it is recorded for, sorted.
    pub purposes: Vec<String>,
    /// Whether a law demands it (then a gap is kept and flagged rather than cut).
    pub mandatory: bool,
    /// Facts and decision of that moment, as JSON: what an objection or a DPO asks about later.
    pub basis: serde_json::Value,
    /// When it must go.
    pub retention: Deadlines,
}

/// When a recording must go. `None`: not known (yet), so nothing is scheduled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// Not disposed before.
    pub not_before: Option<Timestamp>,
    /// Disposal is planned for.
    pub scheduled: Option<Timestamp>,
    /// Gone by, for certain.
    pub delete_by: Option<Timestamp>,
}

/// How a segment ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// When audio began, by the PBX; `None`: no recorder ever started.
    pub from: Option<Timestamp>,
    /// The last instant that may be kept. Audio after it is cut off.
    pub until: Timestamp,
    /// Whether what was recorded up to `until` may hold 100 ms of what it must not (a join, an objection, private,
    /// payment): then they are cut off too.
    pub cut_tail: bool,
    /// The purposes that remain. None: the audio is erased.
    pub kept: Vec<String>,
    /// Why it ended.
    pub ending: Ending,
    /// What a listener must know.
    pub flags: Vec<Flag>,
    /// When it must go.
    pub retention: Deadlines,
}

/// Why a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The customer hung up.
    HungUp,
    /// The parties changed: somebody left, joined, was put on hold.
    PartiesChanged,
    /// Somebody who must not be recorded, or is not known, came in.
    Stranger,
    /// The agent paused.
    Paused,
    /// A code was pressed whose stop came before its meaning.
    Code,
    /// Somebody objected.
    Objected,
    /// The call is private.
    Private,
    /// A payment began.
    Payment,
    /// The rules no longer allow it (a campaign ended, a phase ended).
    NotAllowed,
    /// The PBX was not heard for a while.
    Gap,
    /// A disk had no room left.
    NoRoom,
    /// The recorder never started.
    NeverStarted,
}

/// What a listener of a segment must know. Set by `keep`, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// Shorter than the time bridged by more than 100 ms.
    Short,
    /// Longer than the time bridged by more than 100 ms.
    Long,
    /// The customer's side has no 100 ms above -50 dBFS.
    CustomerSilent,
    /// The agent's side has none.
    AgentSilent,
    /// The header was repaired: the PBX died while it wrote.
    Repaired,
    /// A mandatory recording that nobody watched for a while.
    Unwatched,
}

/// Where a segment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Being recorded, or about to be.
    Open,
    /// Over; its files lie in the spool and wait for `keep`.
    Closed,
    /// In the vault.
    Kept,
    /// Must not exist any more; waits for its erasure.
    Doomed,
    /// Gone: files, object and key. The row tells that it was.
    Disposed,
}

/// What `keep` found and made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Length of the audio, in milliseconds.
    pub millis: u64,
    /// SHA-256 of the stereo WAV, hex.
    pub sha256: String,
    /// What the vault needs to open it; destroyed at disposal.
    pub sealed: Sealed,
    /// What a listener must know, sorted.
    pub flags: Vec<Flag>,
}

/// What the vault gives for an object, to be kept in the index. Without it the object cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The object's own key, wrapped by the vault's key.
    pub wrapped_key: Vec<u8>,
    /// Which of the vault's keys wrapped it.
    pub key_id: String,
    /// Bytes of plain audio.
    pub plain_len: u64,
    /// Bytes stored.
    pub cipher_len: u64,
    /// SHA-256 of the stored bytes, hex.
    pub cipher_sha256: String,
}
