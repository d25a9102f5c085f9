//! The sockets in the wall: what the core needs of a PBX, an index, a vault and a clock. Each has a fake and one
//! conformance suite (feature `testing`), run by the fake and by every plugin.

use std::collections::BTreeSet;
use std::io::Read;
use std::ops::Range;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::{DriverError, Order, Reply};
use crate::event::{Party, PbxEvent};
use crate::id::{CallId, LegId, OrderNo, SegmentId};
use crate::journal::{self, Link};
use crate::number;
use crate::register::{Consent, Entry, EntryId, NumberTag, State as Standing, Subject, Withdrawal};
use crate::sampling::{self, Draw};
use crate::segment::{Closing, Deadlines, Flag, Kept, Sealed, Segment, State};
use crate::words::Direction;

/// The only reader of the time.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// A PBX.
pub trait PbxDriver: Send + Sync + 'static {
    /// What happens on the PBX, in order. Taken once; a second taking is an empty stream.
    fn events(&self) -> BoxStream<'static, PbxEvent>;

    /// Asks for something. **The order is in the queue when this returns**, in the order of the calls; the future only
    /// waits for the answer, and dropping it takes nothing back. Orders for the hook (`Announce`, `Silence`, `Beat`,
    /// `Release`) go one at a time per call; `Record` and `Stop` go at once, and a `Stop` overtakes what was not sent.
    fn perform(
        &self,
        call: &CallId,
        leg: &LegId,
        number: OrderNo,
        order: Order,
    ) -> BoxFuture<'static, Result<Reply, DriverError>>;

    /// The customers' legs that are alive, as the PBX itself tells: after a start or a gap.
    fn calls(&self) -> BoxFuture<'static, Result<Vec<LiveCall>, DriverError>>;

    /// Starts following a customer's leg: its parties, its recorder and its end are told from now on.
    fn follow(&self, call: &CallId, leg: &LegId);

    /// The extensions that must never be recorded, to be kept inside the PBX: its dialplan stops recorders before such a
    /// one rings, whether we live or not. The whole list, each time; the driver brings it there as soon as it can, and
    /// again after every gap.
    fn exempt(&self, extensions: BTreeSet<String>);
}

/// A customer's leg that is alive on the PBX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveCall {
    /// The call.
    pub call: CallId,
    /// Its channel.
    pub leg: LegId,
    /// Whom the customer is connected with.
    pub parties: Vec<Party>,
    /// The codes pressed so far, as the dialplan noted them on the leg: `*9@1795285695.182 `…; `None`: cannot be read.
    pub keys: Option<String>,
    /// Whether it waits in the hook.
    pub in_hook: bool,
}

/// One lot to be drawn: a campaign that counts for a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// The campaign.
    pub campaign: String,
    /// The call.
    pub call: CallId,
    /// The agent or queue, or empty.
    pub stratum: String,
    /// Per mille.
    pub rate: u16,
    /// The keyed draw; as a text in JSON, so that no reader makes a float of it.
    #[serde(with = "as_text")]
    pub draw: Draw,
    /// When.
    pub at: Timestamp,
}

/// How many calls a campaign has seen, before this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Calls of the campaign.
    pub total_calls: u64,
    /// Of these drawn.
    pub total_recorded: u64,
    /// Calls of the stratum.
    pub stratum_calls: u64,
    /// Of these drawn.
    pub stratum_recorded: u64,
}

/// A lot as it fell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// What was asked.
    pub ballot: Ballot,
    /// The counters before it.
    pub before: Counters,
    /// Whether the call is drawn.
    pub selected: bool,
}

/// A change of the index. All changes of one `commit` are durable together or not at all. One that names a segment
/// that is not there changes nothing: a late word about it must not cost the others their commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A line of the journal.
    Journal(journal::Entry),
    /// A call, new or changed.
    Call(CallRecord),
    /// A new segment, state `Open`. Refused where it exists.
    Open(Segment),
    /// `Open` → `Closed`, or `Doomed` where nothing is kept. Any other state: no change.
    Close(SegmentId, Closing),
    /// Only these purposes remain, and with them these deadlines. None remains: any state but `Disposed` → `Doomed`.
    /// Never adds a purpose.
    Amend(SegmentId, Vec<String>, Deadlines),
    /// `Closed` → `Kept`. Any other state: no change.
    Keep(SegmentId, Kept),
    /// `Doomed` → `Disposed`; the wrapped key is gone with it. Any other state: no change.
    Dispose(SegmentId, Timestamp),
    /// An entry of the register. One that is there stays as it is, withdrawn or not; `batch` names the reading of a list
    /// in which it was seen last, so that those not seen again can be taken out.
    Enter(Box<Entry>, Option<String>),
    /// A consent or do-not-call is withdrawn and stays as evidence, once ([`Entry::withdraw`]). Of a national list, or
    /// withdrawn before: no change.
    Withdraw(EntryId, Withdrawal),
    /// An entry is erased.
    Forget(EntryId),
}

/// A call in the index. Every call has one, recorded or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call.
    pub id: CallId,
    /// The line.
    pub line: String,
    /// Which way.
    pub direction: Direction,
    /// The customer's number, as it came; personal.
    pub number: Option<String>,
    /// The queue.
    pub queue: Option<String>,
    /// The agents it was bridged with, sorted.
    pub agents: Vec<String>,
    /// When it reached the hook.
    pub started: Timestamp,
    /// When it was first bridged with an agent.
    pub talked: Option<Timestamp>,
    /// When the customer's leg was gone.
    pub ended: Option<Timestamp>,
    /// One word for a list: what came of it (`recorded`, or the reason why not).
    pub outcome: String,
    /// Whether an agent declared it private, for all of it or for a part.
    #[serde(default)]
    pub private: bool,
}

impl CallRecord {
    /// As a list or a report shows it: of a private call the number without its last four digits, whatever it is asked
    /// for. The index keeps the whole one: what a law demands is recorded in a private call too, and who asks for it, or
    /// objects, is found by his number.
    pub fn for_report(mut self) -> Self {
        if self.private {
            self.number = self.number.as_deref().map(number::masked);
        }
        self
    }
}

/// A segment in the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentRecord {
    /// As it was opened.
    pub segment: Segment,
    /// Where it is in its life.
    pub state: State,
    /// How it ended, once it did.
    pub closing: Option<Closing>,
    /// The purposes that remain.
    pub kept_for: Vec<String>,
    /// When it must go; follows what remains.
    pub retention: Deadlines,
    /// Length, ms, once kept.
    pub millis: Option<u64>,
    /// SHA-256 of the WAV, hex, once kept.
    pub sha256: Option<String>,
    /// How the vault opens it; gone at disposal.
    pub sealed: Option<Sealed>,
    /// What a listener must know.
    pub flags: Vec<Flag>,
    /// When it was disposed of.
    pub disposed: Option<Timestamp>,
}

/// Which calls. All that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallQuery {
    /// The end of the number, digits only (so that `+33199001234`, `0199001234` and `1234` find it): see
    /// [`crate::number::Tail`].
    pub number: Option<String>,
    /// An agent.
    pub agent: Option<String>,
    /// A line.
    pub line: Option<String>,
    /// Started at or after.
    pub from: Option<Timestamp>,
    /// Started before.
    pub until: Option<Timestamp>,
    /// An outcome.
    pub outcome: Option<String>,
    /// At the most so many, newest first; 0: 100.
    pub limit: u32,
}

/// Which segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentQuery {
    /// This one.
    Id(SegmentId),
    /// All of a call, in order of opening.
    Call(CallId),
    /// All in a state, oldest first, at most so many.
    In(State, u32),
    /// All in a state whose id comes after this one, in order of id, at most so many: to walk them all in pages.
    After(State, Option<SegmentId>, u32),
    /// Kept ones whose `scheduled` is at or before this, the earliest first, at most so many.
    Due(Timestamp, u32),
}

/// Which entries of the register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterQuery {
    /// All of a number, the oldest first.
    Number(NumberTag),
    /// These, as far as they are there, in order of id.
    Ids(Vec<EntryId>),
    /// All whose id comes after this one, in order of id, at most so many: to walk them all in pages.
    After(Option<EntryId>, u32),
    /// Those whose time of proof is over, in order of id, at most so many: of a list, ended at or before `list`; others
    /// ended at or before `proof`.
    Over {
        /// For entries of lists, which prove nothing.
        list: Timestamp,
        /// For all others.
        proof: Timestamp,
        /// At most so many.
        most: u32,
    },
    /// Those of a list that were last seen in another batch than this one, in order of id, at most so many.
    NotSeen {
        /// The list.
        list: String,
        /// The batch.
        batch: String,
        /// At most so many.
        most: u32,
    },
}

/// How many entries the register has that are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RegisterCount {
    /// [`Subject::kind`](crate::register::Subject::kind).
    pub kind: String,
    /// [`Subject::label`](crate::register::Subject::label).
    pub label: String,
    /// How a consent was obtained; none for a do-not-call.
    pub how: Option<String>,
    /// The line that a consent is limited to.
    pub line: Option<String>,
    /// Whether a consent can be proved ([`Consent::is_proved`]).
    pub evidence: bool,
    /// Where they stand.
    pub state: Standing,
    /// The oldest of them counts from here.
    pub first: Timestamp,
    /// The newest of them counts from here.
    pub last: Timestamp,
    /// How many.
    pub entries: u64,
}

/// Why the index failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Locked, full, away: later it may work.
    #[error("the index is not available: {0}")]
    Unavailable(String),
    /// It will never work: the change contradicts what is there.
    #[error("the index refuses: {0}")]
    Refused(String),
}

/// The index and the journal.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes all of it durable, or nothing. Journal lines are chained in the order given.
    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError>;

    /// Draws lots: counters, draw and journal line in one transaction, by [`Ballot::settle`]. A call that was drawn
    /// for a campaign before gets the same answer, and counts once.
    async fn draw(&self, ballots: Vec<Ballot>) -> Result<Vec<Drawn>, StoreError>;

    /// All draws of a campaign, in order.
    async fn draws(&self, campaign: &str) -> Result<Vec<Drawn>, StoreError>;

    /// One call.
    async fn call(&self, id: &CallId) -> Result<Option<CallRecord>, StoreError>;

    /// Calls, newest first.
    async fn calls(&self, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError>;

    /// Segments.
    async fn segments(&self, query: SegmentQuery) -> Result<Vec<SegmentRecord>, StoreError>;

    /// The journal of one call, in order.
    async fn story(&self, call: &CallId) -> Result<Vec<Link>, StoreError>;

    /// The journal after row `after`, at most `limit` rows, in order.
    async fn chain(&self, after: u64, limit: u32) -> Result<Vec<Link>, StoreError>;

    /// Entries of the register.
    async fn register(&self, query: RegisterQuery) -> Result<Vec<Entry>, StoreError>;

    /// How many entries of each sort there are, by where they stand at an instant; sorted.
    async fn register_counts(&self, at: Timestamp) -> Result<Vec<RegisterCount>, StoreError>;
}

/// Why the vault failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Away or full: later it may work.
    #[error("the vault is not available: {0}")]
    Unavailable(String),
    /// No such object.
    #[error("the vault has no object {0}")]
    Missing(SegmentId),
    /// It is there, and it is not what was put in.
    #[error("the vault's object {0} is damaged or was changed: {1}")]
    Damaged(SegmentId, String),
}

/// The vault: encrypted objects.
#[async_trait]
pub trait Vault: Send + Sync + 'static {
    /// Encrypts with a key of its own, stores, syncs, reads back and compares. The same id again replaces it.
    async fn seal(&self, id: SegmentId, plain: Box<dyn Read + Send>) -> Result<Sealed, VaultError>;

    /// A range of the plain bytes; beyond the end: what there is.
    async fn read(&self, id: SegmentId, sealed: &Sealed, range: Range<u64>) -> Result<Vec<u8>, VaultError>;

    /// Removes the object. One that is not there is removed already.
    async fn shred(&self, id: SegmentId) -> Result<(), VaultError>;

    /// Whether the stored bytes are those that were sealed, without decrypting them.
    async fn check(&self, id: SegmentId, sealed: &Sealed) -> Result<(), VaultError>;

    /// The ids of all objects.
    async fn list(&self) -> Result<Vec<SegmentId>, VaultError>;
}

impl RegisterCount {
    /// The count of one entry.
    pub fn of(entry: &Entry, at: Timestamp) -> Self {
        let consent = match &entry.subject {
            Subject::Consent(consent) => Some(consent),
            Subject::DoNotCall(_) => None,
        };
        Self {
            kind: entry.subject.kind().to_owned(),
            label: entry.subject.label(),
            how: consent.map(|consent| consent.how.clone()),
            line: consent.and_then(|consent| consent.line.clone()),
            evidence: consent.is_some_and(Consent::is_proved),
            state: entry.state(at),
            first: entry.from,
            last: entry.from,
            entries: 1,
        }
    }

    /// Whether both count entries that are alike.
    pub fn is_like(&self, other: &Self) -> bool {
        let key = |count: &Self| {
            let Self { kind, label, how, line, evidence, state, .. } = count.clone();
            (kind, label, how, line, evidence, state)
        };
        key(self) == key(other)
    }

    /// Takes another in that counts entries alike.
    pub fn add(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.entries += other.entries;
    }
}

impl Ballot {
    /// Whether the call is drawn, given the counters before it.
    pub fn settle(&self, before: &Counters) -> bool {
        let counters = sampling::Counters {
            total_calls: before.total_calls + 1,
            total_recorded: before.total_recorded,
            stratum_calls: before.stratum_calls + 1,
            stratum_recorded: before.stratum_recorded,
        };
        counters.draws(self.rate, &self.draw)
    }
}

mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::sampling::Draw;

    pub fn serialize<S: Serializer>(draw: &Draw, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(draw)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Draw, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
