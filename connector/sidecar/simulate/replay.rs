//! From records to calls: records that share an id are one call, as long as it is remembered.
//!
//! The last [`MOST`] calls that are not known to be over are remembered; where one more begins, the oldest is counted as
//! it is. PBXs write the records of a call at its end, one after the other, so that this is far more than they need, and
//! the memory stays the same however long the files are. A record that comes later than that begins a call of its own.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Write};
use std::sync::Arc;

use jiff::Timestamp;
use temoin_core::words::Reason;

use super::contact::Contact;
use super::run::{Left, Life, Run};

/// So many calls may be open at once.
pub const MOST: usize = 16_384;

/// What is being replayed.
pub struct Replay<'p, 'w> {
    /// The policy.
    pub run: Run<'p>,
    /// The policy that it is compared with.
    pub against: Option<Run<'p>>,
    open: HashMap<Arc<[u8]>, Open>,
    order: VecDeque<Arc<[u8]>>,
    most: usize,
    /// Where calls are listed.
    listing: Option<&'w mut dyn Write>,
    failed: Option<io::Error>,
    /// Calls so far.
    pub calls: u64,
    /// Calls that are decided otherwise by the other policy.
    pub differing: u64,
    /// Calls by purpose and the two verdicts, where they differ.
    pub changes: BTreeMap<Change, u64>,
    /// The first and the last beginning of a call.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// A purpose, and its verdict under the one policy and under the other.
pub type Change = (Arc<str>, Arc<str>, Arc<str>);

#[derive(Debug)]
struct Open {
    began: Timestamp,
    life: Life,
    against: Option<Life>,
}

impl<'p, 'w> Replay<'p, 'w> {
    /// Nothing was replayed yet. Calls are listed where a writer is given: with another policy those that differ, else
    /// all.
    pub fn new(run: Run<'p>, against: Option<Run<'p>>, listing: Option<&'w mut dyn Write>) -> Self {
        let mut replay = Self {
            run,
            against,
            open: HashMap::new(),
            order: VecDeque::new(),
            most: MOST,
            listing,
            failed: None,
            calls: 0,
            differing: 0,
            changes: BTreeMap::new(),
            span: None,
        };
        let head = if replay.against.is_some() {
            "call,began,line,queue,agent,purpose,policy,against"
        } else {
            "call,began,line,queue,agent,purpose,policy"
        };
        replay.list(head);
        replay
    }

    /// Takes one record.
    pub fn take(&mut self, contact: &Contact<'_>) {
        // Without an id it belongs to no other.
        if contact.call.is_empty() || (contact.last && !self.open.contains_key(contact.call)) {
            let mut open = self.begin(contact);
            self.add(&mut open, contact);
            return self.finish(contact.call, &open);
        }
        if let Some(mut open) = self.open.remove(contact.call) {
            self.add(&mut open, contact);
            if contact.last {
                return self.finish(contact.call, &open);
            }
            // Only now and then a call has a second record: its id is not kept twice for that.
            self.open.insert(contact.call.into(), open);
            return;
        }
        self.make_room();
        let mut open = self.begin(contact);
        self.add(&mut open, contact);
        let id: Arc<[u8]> = contact.call.into();
        self.order.push_back(id.clone());
        self.open.insert(id, open);
    }

    /// Counts what is still open.
    ///
    /// # Errors
    /// The list of calls could not be written.
    pub fn end(&mut self) -> io::Result<()> {
        while let Some(id) = self.order.pop_front() {
            if let Some(open) = self.open.remove(&id) {
                self.finish(&id, &open);
            }
        }
        self.failed.take().map_or(Ok(()), Err)
    }

    fn begin(&mut self, contact: &Contact<'_>) -> Open {
        let began = contact.started;
        let (first, last) = self.span.unwrap_or((began, began));
        self.span = Some((first.min(began), last.max(began)));
        Open { began, life: Life::default(), against: self.against.as_ref().map(|_| Life::default()) }
    }

    fn add(&mut self, open: &mut Open, contact: &Contact<'_>) {
        self.run.take(&mut open.life, contact, open.began);
        if let (Some(run), Some(life)) = (&mut self.against, &mut open.against) {
            run.take(life, contact, open.began);
        }
    }

    fn make_room(&mut self) {
        while self.open.len() >= self.most {
            let Some(id) = self.order.pop_front() else { return };
            if let Some(open) = self.open.remove(&id) {
                self.finish(&id, &open);
            }
        }
        if self.order.len() >= 4 * self.most {
            self.order.retain(|id| self.open.contains_key(id));
        }
    }

    fn finish(&mut self, id: &[u8], open: &Open) {
        self.calls += 1;
        let verdicts = self.run.finish(&open.life);
        let (Some(run), Some(life)) = (&mut self.against, &open.against) else {
            if self.listing.is_some() {
                for (purpose, word) in verdicts.words(&self.run) {
                    let row = row(id, open, &verdicts, &[&purpose, &word]);
                    self.list(&row);
                }
            }
            return;
        };
        let others = run.finish(life);
        let (ours, theirs) = (verdicts.words(&self.run), others.words(run));
        let purposes: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).cloned().collect();
        let mut differs = false;
        for purpose in purposes {
            let of = |words: &BTreeMap<Arc<str>, Arc<str>>| {
                words.get(&purpose).cloned().unwrap_or_else(|| "-".into())
            };
            let (here, there) = (of(&ours), of(&theirs));
            if here == there {
                continue;
            }
            differs = true;
            if self.listing.is_some() {
                let row = row(id, open, &verdicts, &[&purpose, &here, &there]);
                self.list(&row);
            }
            *self.changes.entry((purpose, here, there)).or_default() += 1;
        }
        self.differing += u64::from(differs);
    }

    fn list(&mut self, row: &str) {
        let Some(listing) = &mut self.listing else { return };
        if let Err(error) = writeln!(listing, "{row}")
            && self.failed.is_none()
        {
            self.failed = Some(error);
        }
    }
}

/// What became of a call under one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Its line.
    pub line: Option<Arc<str>>,
    /// The agent of its first talk.
    pub agent: Option<Arc<str>>,
    /// Why it was not decided.
    pub left: Option<Left>,
    /// By purpose of the run.
    pub reasons: Vec<(usize, Reason)>,
}

impl Verdicts {
    /// A word for each purpose; for a call that was not decided one word for all.
    fn words(&self, run: &Run<'_>) -> BTreeMap<Arc<str>, Arc<str>> {
        let word =
            |reason: Reason| if reason == Reason::Ok { "recorded".into() } else { reason.to_string().into() };
        match self.left {
            Some(left) => BTreeMap::from([("*".into(), left.name().into())]),
            None => self
                .reasons
                .iter()
                .map(|(at, reason)| (run.purposes[*at].as_str().into(), word(*reason)))
                .collect(),
        }
    }
}

fn row(id: &[u8], open: &Open, verdicts: &Verdicts, words: &[&str]) -> String {
    let name = |name: &Option<Arc<str>>| name.as_deref().unwrap_or_default().to_owned();
    let queue = open.life.queue().map(|queue| super::tally::shown(queue.as_bytes())).unwrap_or_default();
    let mut cells = vec![call_id(id), open.began.to_string(), name(&verdicts.line), queue];
    cells.push(name(&verdicts.agent));
    cells.extend(words.iter().map(|word| (*word).to_owned()));
    cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",")
}

/// An id as it is listed. Where records have none it is the name of a channel, which may hold a number.
fn call_id(id: &[u8]) -> String {
    if id.contains(&b'/') { super::tally::shown(id) } else { String::from_utf8_lossy(id).into_owned() }
}

/// A cell that no spreadsheet takes for a formula, and no terminal for an order.
fn cell(text: &str) -> String {
    let plain: String = text.chars().take(300).map(|c| if c.is_control() { '?' } else { c }).collect();
    let guard = if plain.starts_with(['=', '+', '-', '@']) && plain.len() > 1 { "'" } else { "" };
    if plain.contains(['"', ',']) || !guard.is_empty() {
        format!("\"{guard}{}\"", plain.replace('"', "\"\""))
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use temoin_core::pack;
    use temoin_core::policy::Policy;

    use super::super::contact::Endpoint;
    use super::super::names::{Map, Names};
    use super::super::run::Settings;
    use super::*;

    fn policy() -> Policy {
        let text = include_str!("../../../tests/simulate/policy.toml");
        Policy::load(("policy.toml", text), pack::shipped()).expect("a policy")
    }

    fn run(policy: &Policy) -> Run<'_> {
        let map = Map { endpoints: [("2001".to_owned(), "amel".to_owned())].into(), ..Map::default() };
        let settings = Settings { key: [7; 32], refusing: 0, consenting: 0 };
        Run::new(policy, Names::of(policy, &BTreeMap::new(), &map), settings)
    }

    fn contact(call: &[u8]) -> Contact<'_> {
        let at: Timestamp = "2026-10-05T08:00:00Z".parse().expect("an instant");
        Contact {
            call,
            started: at,
            talk: Some((at, 10)),
            near: Endpoint::Nobody,
            far: Endpoint::Extension(b"2001"),
            more: Vec::new(),
            line: None,
            dialled: b"+33199000100",
            context: b"",
            queue: b"",
            caller: b"",
            direction: None,
            refused: false,
            last: false,
        }
    }

    /// Three times as many calls as are remembered, none of them ever said to be over, then all of them again.
    #[test]
    fn memory_does_not_grow_with_the_calls() {
        let policy = policy();
        let mut replay = Replay::new(run(&policy), None, None);
        let count = 3 * MOST as u64;
        for round in 1..=2 {
            for call in 0..count {
                replay.take(&contact(call.to_string().as_bytes()));
                assert!(replay.open.len() <= MOST && replay.order.len() <= 4 * MOST);
            }
            assert_eq!(replay.calls, round * count - MOST as u64);
        }
        replay.end().expect("no list is written");
        assert_eq!(replay.calls, 2 * count);
        assert_eq!(replay.run.lines.sorted().values().map(|row| row.calls).sum::<u64>(), 2 * count);
    }

    #[test]
    fn the_records_of_a_call_are_one_call_and_its_lot_falls_once() {
        let policy = policy();
        let mut replay = Replay::new(run(&policy), None, None);
        for _ in 0..3 {
            for call in [b"a", b"b", b"c"] {
                replay.take(&contact(call));
            }
        }
        replay.end().expect("no list is written");
        assert_eq!(replay.calls, 3);
        // Of three calls at 300 per mille one is drawn; its three talks are three recordings.
        assert_eq!(replay.run.lots["autumn"].tally.total.calls, 3);
        assert_eq!((replay.run.storage.recordings, replay.run.storage.seconds), (3, 30));
    }

    #[test]
    fn a_cell_is_a_cell() {
        assert_eq!(cell("1795282732.220"), "1795282732.220");
        assert_eq!(cell("=1+2"), "\"'=1+2\"");
        assert_eq!(cell("a,\"b\"\r\n\0"), "\"a,\"\"b\"\"???\"");
        assert_eq!(cell(&"x".repeat(400)).len(), 300);
        assert_eq!(cell("-"), "-");
    }
}
