//! The index in memory, and the suite for every index.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

pub use super::store_suite::suite;
use crate::id::{CallId, SegmentId};
use crate::journal::{self, Content, Entry, GENESIS, Link, What};
use crate::number::{self, Tail};
use crate::ports::{
    Ballot, CallQuery, CallRecord, Change, Counters, Drawn, RegisterCount, RegisterQuery, SegmentQuery,
    SegmentRecord, Store, StoreError,
};
use crate::register::{self, EntryId};
use crate::segment::State;

/// An index that forgets at the end of the process.
#[derive(Debug)]
pub struct MemoryStore {
    node: String,
    site: String,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    away: bool,
    links: Vec<(Option<CallId>, Link)>,
    calls: BTreeMap<CallId, CallRecord>,
    segments: BTreeMap<SegmentId, SegmentRecord>,
    draws: Vec<Drawn>,
    register: BTreeMap<EntryId, (register::Entry, Option<String>)>,
}

impl MemoryStore {
    /// An empty index of this node and site.
    pub fn new(node: &str, site: &str) -> Self {
        Self { node: node.to_owned(), site: site.to_owned(), rows: Mutex::default() }
    }

    /// Goes away, as a locked database does, or comes back. While it is away, everything is `Unavailable`.
    pub fn away(&self, away: bool) {
        self.lock().away = away;
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self) -> Result<MutexGuard<'_, Rows>, StoreError> {
        let rows = self.lock();
        if rows.away {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        Ok(rows)
    }

    fn write(&self, rows: &mut Rows, entry: &Entry) -> Result<(), StoreError> {
        let payload = serde_json::to_vec(entry).map_err(|error| StoreError::Refused(error.to_string()))?;
        let seq = rows.links.len() as u64 + 1;
        let mut salt = [0; 16];
        salt.copy_from_slice(&Sha256::digest(seq.to_be_bytes())[..16]);
        let digest = journal::digest(&salt, &payload);
        let previous = rows.links.last().map_or(GENESIS, |(_, link)| link.hash);
        let link = Link {
            seq,
            node: self.node.clone(),
            site: self.site.clone(),
            digest,
            hash: journal::chain(&previous, seq, &self.node, &self.site, &digest),
            content: Some(Content { salt, payload }),
        };
        rows.links.push((entry.call.clone(), link));
        Ok(())
    }

    fn apply(&self, rows: &mut Rows, change: Change) -> Result<(), StoreError> {
        match change {
            Change::Journal(entry) => self.write(rows, &entry)?,
            Change::Call(record) => drop(rows.calls.insert(record.id.clone(), record)),
            Change::Open(segment) => drop(rows.segments.insert(segment.id, SegmentRecord::open(segment))),
            Change::Close(id, closing) => rows.change(id, |row| row.close(closing)),
            Change::Amend(id, purposes, retention) => rows.change(id, |row| row.amend(&purposes, retention)),
            Change::Keep(id, kept) => rows.change(id, |row| row.keep(kept)),
            Change::Dispose(id, at) => rows.change(id, |row| row.dispose(at)),
            Change::Enter(entry, batch) => {
                rows.register.entry(entry.id).or_insert_with(|| (*entry, None)).1 = batch;
            }
            Change::Withdraw(id, withdrawal) => {
                if let Some((entry, _)) = rows.register.get_mut(&id) {
                    entry.withdraw(withdrawal);
                }
            }
            Change::Forget(id) => drop(rows.register.remove(&id)),
        }
        Ok(())
    }
}

impl Rows {
    fn change(&mut self, id: SegmentId, change: impl FnOnce(&mut SegmentRecord) -> bool) {
        if let Some(row) = self.segments.get_mut(&id) {
            change(row);
        }
    }

    fn counters(&self, ballot: &Ballot) -> Counters {
        let campaign = || self.draws.iter().filter(|drawn| drawn.ballot.campaign == ballot.campaign);
        let stratum = || campaign().filter(|drawn| drawn.ballot.stratum == ballot.stratum);
        Counters {
            total_calls: campaign().count() as u64,
            total_recorded: campaign().filter(|drawn| drawn.selected).count() as u64,
            stratum_calls: stratum().count() as u64,
            stratum_recorded: stratum().filter(|drawn| drawn.selected).count() as u64,
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut rows = self.rows()?;
        let mut opened = HashSet::new();
        for change in &changes {
            if let Change::Open(segment) = change
                && (rows.segments.contains_key(&segment.id) || !opened.insert(segment.id))
            {
                return Err(StoreError::Refused(format!("segment {} exists", segment.id)));
            }
        }
        changes.into_iter().try_for_each(|change| self.apply(&mut rows, change))
    }

    async fn draw(&self, ballots: Vec<Ballot>) -> Result<Vec<Drawn>, StoreError> {
        let mut rows = self.rows()?;
        let mut drawn = Vec::with_capacity(ballots.len());
        for ballot in ballots {
            let same =
                |old: &&Drawn| old.ballot.campaign == ballot.campaign && old.ballot.call == ballot.call;
            if let Some(old) = rows.draws.iter().find(same) {
                drawn.push(old.clone());
                continue;
            }
            let before = rows.counters(&ballot);
            let new = Drawn { selected: ballot.settle(&before), before, ballot };
            let entry = Entry {
                at: new.ballot.at,
                call: Some(new.ballot.call.clone()),
                segment: None,
                what: What::Drawn(new.clone()),
            };
            self.write(&mut rows, &entry)?;
            rows.draws.push(new.clone());
            drawn.push(new);
        }
        Ok(drawn)
    }

    async fn draws(&self, campaign: &str) -> Result<Vec<Drawn>, StoreError> {
        let rows = self.rows()?;
        Ok(rows.draws.iter().filter(|drawn| drawn.ballot.campaign == campaign).cloned().collect())
    }

    async fn call(&self, id: &CallId) -> Result<Option<CallRecord>, StoreError> {
        Ok(self.rows()?.calls.get(id).cloned())
    }

    async fn calls(&self, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        let rows = self.rows()?;
        let mut found: Vec<_> = rows.calls.values().filter(|call| matches(call, query)).cloned().collect();
        found.sort_by(|a, b| (b.started, &b.id).cmp(&(a.started, &a.id)));
        found.truncate(if query.limit == 0 { 100 } else { query.limit as usize });
        Ok(found)
    }

    async fn segments(&self, query: SegmentQuery) -> Result<Vec<SegmentRecord>, StoreError> {
        let rows = self.rows()?;
        let take = |keep: &dyn Fn(&SegmentRecord) -> bool| -> Vec<SegmentRecord> {
            rows.segments.values().filter(|row| keep(row)).cloned().collect()
        };
        let mut limit = u32::MAX;
        let mut found = match query {
            SegmentQuery::Id(id) => take(&|row| row.segment.id == id),
            SegmentQuery::Call(call) => take(&|row| row.segment.call == call),
            SegmentQuery::In(state, most) => {
                limit = most;
                take(&|row| row.state == state)
            }
            SegmentQuery::After(state, after, most) => {
                let mut found = take(&|row| row.state == state && Some(row.segment.id) > after);
                found.truncate(most as usize);
                return Ok(found);
            }
            SegmentQuery::Due(at, most) => {
                let mut found = take(&|row| {
                    row.state == State::Kept && row.retention.scheduled.is_some_and(|due| due <= at)
                });
                found.sort_by_key(|row| (row.retention.scheduled, row.segment.id));
                found.truncate(most as usize);
                return Ok(found);
            }
        };
        found.sort_by_key(|row| (row.segment.opened, row.segment.id));
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn story(&self, call: &CallId) -> Result<Vec<Link>, StoreError> {
        let rows = self.rows()?;
        let of_call = |(of, _): &&(Option<CallId>, Link)| of.as_ref() == Some(call);
        Ok(rows.links.iter().filter(of_call).map(|(_, link)| link.clone()).collect())
    }

    async fn chain(&self, after: u64, limit: u32) -> Result<Vec<Link>, StoreError> {
        let rows = self.rows()?;
        let later = rows.links.iter().filter(|(_, link)| link.seq > after);
        Ok(later.take(limit as usize).map(|(_, link)| link.clone()).collect())
    }

    async fn register(&self, query: RegisterQuery) -> Result<Vec<register::Entry>, StoreError> {
        let rows = self.rows()?;
        let all = || rows.register.values();
        let entries = |found: &mut dyn Iterator<Item = &(register::Entry, Option<String>)>, most: u32| {
            found.take(most as usize).map(|(entry, _)| entry.clone()).collect::<Vec<_>>()
        };
        Ok(match query {
            RegisterQuery::Number(number) => {
                let mut found = entries(&mut all().filter(|(entry, _)| entry.number == number), u32::MAX);
                found.sort_by_key(|entry| (entry.from, entry.id));
                found
            }
            RegisterQuery::Ids(ids) => {
                entries(&mut all().filter(|(entry, _)| ids.contains(&entry.id)), u32::MAX)
            }
            RegisterQuery::After(after, most) => {
                entries(&mut all().filter(|(entry, _)| Some(entry.id) > after), most)
            }
            RegisterQuery::Over { list, proof, most } => {
                let by = |entry: &register::Entry| if entry.subject.list().is_some() { list } else { proof };
                let over = |entry: &register::Entry| entry.ends().is_some_and(|ends| ends <= by(entry));
                entries(&mut all().filter(|(entry, _)| over(entry)), most)
            }
            RegisterQuery::NotSeen { list, batch, most } => {
                let of_list = all().filter(|(entry, _)| entry.subject.list() == Some(&list));
                entries(&mut of_list.filter(|(_, seen)| seen.as_ref() != Some(&batch)), most)
            }
        })
    }

    async fn register_counts(&self, at: Timestamp) -> Result<Vec<RegisterCount>, StoreError> {
        let mut counts: Vec<RegisterCount> = Vec::new();
        for (entry, _) in self.rows()?.register.values() {
            let one = RegisterCount::of(entry, at);
            match counts.iter_mut().find(|count| count.is_like(&one)) {
                Some(count) => count.add(&one),
                None => counts.push(one),
            }
        }
        counts.sort();
        Ok(counts)
    }
}

fn matches(call: &CallRecord, query: &CallQuery) -> bool {
    let number = |typed: &String| {
        let digits = number::reversed(call.number.as_deref().unwrap_or_default());
        Tail::new(typed).finds(&digits)
    };
    query.number.as_ref().is_none_or(number)
        && query.agent.as_ref().is_none_or(|agent| call.agents.contains(agent))
        && query.line.as_ref().is_none_or(|line| call.line == *line)
        && query.from.is_none_or(|from| call.started >= from)
        && query.until.is_none_or(|until| call.started < until)
        && query.outcome.as_ref().is_none_or(|outcome| call.outcome == *outcome)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn it_conforms() {
        futures::executor::block_on(suite(async || {
            Arc::new(MemoryStore::new("node-1", "site-1")) as Arc<dyn Store>
        }));
    }

    #[test]
    fn while_it_is_away_nothing_works_and_nothing_is_lost() {
        futures::executor::block_on(async {
            let store = MemoryStore::new("node-1", "site-1");
            store.away(true);
            assert!(matches!(store.chain(0, 1).await, Err(StoreError::Unavailable(_))));
            store.away(false);
            assert_eq!(store.chain(0, 1).await, Ok(Vec::new()));
        });
    }
}
