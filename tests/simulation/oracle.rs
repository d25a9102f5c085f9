//! What must hold once a world is quiet. It listens to what was kept, and compares with what was true.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use temoin::keep::{self, Fault};
use temoin_core::id::{CallId, SegmentId};
use temoin_core::journal::{Entry, Link, Verifier, What};
use temoin_core::ports::{Clock as _, SegmentQuery, SegmentRecord, Store as _, Vault as _};
use temoin_core::segment::{Ending, State};
use temoin_core::words::Direction;
use tokio::time::sleep;

use crate::chance::Chance;
use crate::pbx::Book;
use crate::plant::Ground;
use crate::tape;
use crate::truth::{Kind, STRANGER, Span, Truth, without};
use crate::world::Outcome;

/// So long it may take until a recording begins: the quiet between two, the lot, the disk, the PBX.
const BEGINS: i64 = 250;
/// So much may be missing at the end.
const ENDS: i64 = 120;

/// So long the PBX takes to hear of something, and to stop.
const STOPS: i64 = 12;

/// The last day of the evening's campaign ends, in Paris.
const EVENING_ENDS: &str = "2026-10-06T22:00:00Z";

/// What was reached; added up over worlds, so that nothing passes by never being tried.
#[derive(Clone, Debug, Default)]
pub struct Seen(pub BTreeMap<&'static str, u64>);

impl Seen {
    pub fn count(&mut self, what: &'static str, n: u64) {
        *self.0.entry(what).or_default() += n;
    }

    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, n)| self.count(what, *n));
    }
}

struct Case<'w> {
    ground: &'w Ground,
    book: Book,
    rows: Vec<SegmentRecord>,
    /// The lots, by campaign and call.
    drawn: BTreeMap<(String, CallId), bool>,
    journal: BTreeMap<CallId, Vec<Entry>>,
    faults: Vec<String>,
    seen: Seen,
    /// What is kept of a call.
    kept: BTreeMap<CallId, Vec<(i64, i64)>>,
}

/// Everything but retention.
pub async fn judge(ground: &Ground) -> Outcome {
    let mut case = Case {
        ground,
        book: ground.pbx.book(),
        rows: rows(ground).await,
        drawn: BTreeMap::new(),
        journal: BTreeMap::new(),
        faults: Vec::new(),
        seen: Seen::default(),
        kept: BTreeMap::new(),
    };
    case.journal().await;
    case.draws().await;
    case.disk().await;
    case.segments().await;
    case.calls().await;
    case.proof().await;
    let trace = case.trace();
    Outcome { faults: case.faults, seen: case.seen, trace }
}

async fn rows(ground: &Ground) -> Vec<SegmentRecord> {
    let mut rows = Vec::new();
    for state in [State::Open, State::Closed, State::Kept, State::Doomed, State::Disposed] {
        rows.extend(ground.disk.store.segments(SegmentQuery::In(state, u32::MAX)).await.expect("segments"));
    }
    rows
}

impl Case<'_> {
    fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// The chain is whole.
    async fn journal(&mut self) {
        let links = self.ground.disk.store.chain(0, u32::MAX).await.expect("the journal");
        let mut verifier = Verifier::default();
        if let Some(broken) = links.iter().find_map(|link| verifier.next(link).err()) {
            self.fault(format!("the journal does not verify: {broken}"));
        }
        for entry in links.iter().filter_map(Link::entry) {
            if let Some(call) = &entry.call {
                self.journal.entry(call.clone()).or_default().push(entry);
            }
        }
    }

    /// What the program itself proves of what it kept: no fault is left, and none is found that is not there.
    async fn proof(&mut self) {
        let disk = &self.ground.disk;
        let report = keep::verify(&disk.store, &disk.vault).await.expect("it can be looked at");
        self.seen.count("proven by their stories", report.kept - report.unseen.all());
        self.seen.count("recorded while the clock was set", report.unseen.clock_set);
        let found = keep::exempt(&disk.store, &report, &mut |_| ()).await.expect("it can be looked at");
        self.seen.count("calls with somebody exempt", found.calls);
        self.seen.count("recordings beside somebody exempt", found.kept);
        for fault in report.faults {
            if let Fault::Against(id, call, _) = &fault {
                let tape = self.book.tapes.get(id);
                let span = tape.map(|tape| (tape.from - 500, tape.until.unwrap_or(i64::MAX)));
                if span.is_some_and(|(from, until)| self.ground.clock.was_nudged(from, until)) {
                    continue;
                }
                let story =
                    told(self.journal.get(call).map_or(&[], Vec::as_slice), &truth_of(&self.book, call));
                self.fault(format!("verify: {fault}\n{story}"));
            } else {
                self.fault(format!("verify: {fault}"));
            }
        }
    }

    async fn draws(&mut self) {
        for (campaign, drawn, eligible) in [
            ("autumn", "drawn for quality", "lots for quality"),
            ("soir", "drawn in the evening", "lots in the evening"),
        ] {
            for lot in self.ground.disk.store.draws(campaign).await.expect("draws") {
                self.seen.count(eligible, 1);
                self.seen.count(drawn, u64::from(lot.selected));
                if campaign == "soir" && lot.ballot.at >= EVENING_ENDS.parse().expect("an instant") {
                    self.fault(format!("a lot of {} for {campaign}, which is over", lot.ballot.call));
                }
                if self.drawn.insert((campaign.to_owned(), lot.ballot.call.clone()), lot.selected).is_some() {
                    self.fault(format!("two lots of {} for {campaign}", lot.ballot.call));
                }
            }
        }
    }

    /// Nothing lies anywhere that no segment names, and no recorder runs.
    async fn disk(&mut self) {
        let kept: BTreeSet<SegmentId> =
            self.rows.iter().filter(|row| row.state == State::Kept).map(|row| row.segment.id).collect();
        let vault: BTreeSet<_> =
            self.ground.disk.vault.list().await.expect("the vault").into_iter().collect();
        if vault != kept {
            self.fault(format!("the vault has {vault:?}, the index says {kept:?}"));
        }
        for file in std::fs::read_dir(self.ground.dir.join("spool")).expect("the spool") {
            let name = file.expect("a file").file_name();
            self.fault(format!("{} is left in the spool", name.display()));
        }
        for call in std::mem::take(&mut self.book.running) {
            self.fault(format!("a recorder still runs on {call}"));
        }
        let named: BTreeSet<_> = self.rows.iter().map(|row| row.segment.id).collect();
        let tapes: Vec<_> = self.book.tapes.keys().filter(|id| !named.contains(id)).copied().collect();
        for id in tapes {
            self.fault(format!("{id} was recorded, and no row names it"));
        }
    }

    async fn segments(&mut self) {
        for row in std::mem::take(&mut self.rows) {
            let id = row.segment.id;
            self.seen.count("segments", 1);
            let own: Vec<Entry> = self.journal.get(&row.segment.call).cloned().unwrap_or_default();
            let own_words = || own.iter().filter(|entry| entry.segment == Some(id)).map(|entry| &entry.what);
            match row.state {
                State::Kept => {
                    self.seen.count("kept", 1);
                    self.listen(&row).await;
                    if !own_words().any(|what| matches!(what, What::Kept(_))) {
                        self.fault(format!("{id} is kept, and the journal does not say so"));
                    }
                }
                State::Disposed => {
                    self.seen.count("erased", 1);
                    let why = own_words().any(|what| match what {
                        What::Closed(closing) => closing.kept.is_empty(),
                        What::Amended { kept, .. } => kept.is_empty(),
                        What::Lost { .. } => true,
                        _ => false,
                    });
                    if !why || !own_words().any(|what| *what == What::Disposed) {
                        self.fault(format!("{id} is gone, and the journal does not say why: {own:#?}"));
                    }
                }
                state => self.fault(format!("{id} of {} is {state:?}", row.segment.call)),
            }
            if row.closing.as_ref().is_some_and(|closing| closing.ending == Ending::Gap) {
                self.seen.count("ended by a gap", 1);
                if !own.iter().any(|entry| matches!(entry.what, What::Gap { .. } | What::Alarm(_))) {
                    self.fault(format!("{id} ended by a gap of which the journal does not tell: {own:#?}"));
                }
            }
            self.rows.push(row);
        }
    }

    /// What is kept, sample by sample, against what was true.
    async fn listen(&mut self, row: &SegmentRecord) {
        let (id, call) = (row.segment.id, &row.segment.call);
        let Some(sealed) = &row.sealed else {
            return self.fault(format!("{id} is kept and cannot be opened"));
        };
        let wav = self.ground.disk.vault.read(id, sealed, 0..u64::MAX).await.expect("the vault");
        let (from, until) = match tape::heard(&wav) {
            Ok(heard) => heard,
            Err(why) => return self.fault(format!("{id} of {call}: {why}")),
        };
        let Some(truth) = self.book.truths.get(call) else {
            return self.fault(format!("{id} is of a call that never was"));
        };
        let about = format!("{id} of {call} on {} keeps {from}..{until}", truth.line.name);
        let mut faults = Vec::new();
        match self.book.tapes.get(&id) {
            Some(tape)
                if tape.call == *call && tape.from == from && tape.until.is_some_and(|end| until <= end) => {}
            tape => faults.push(format!("{about}, and its recorder ran so: {tape:?}")),
        }
        if truth.heard.is_none_or(|heard| heard > from) {
            faults.push(format!("{about}, and its customer was told at {:?}", truth.heard));
        }
        // By a clock that was set nobody can place an end in the file: what the PBX took to stop stays.
        let was_set = self.ground.clock.was_set(from, until);
        let until = if was_set { until - STOPS } else { until };
        for (since, to, why) in &truth.forbidden {
            if was_set && *why == "nobody watches" {
                continue;
            }
            if from < *to && *since < until && !self.is_excused(truth, (*since, *to, why)) {
                faults.push(format!("{about}, and {why} from {since} to {to}"));
            }
        }
        if truth.erased.is_some_and(|erased| from < erased) {
            faults.push(format!("{about}, and all before {:?} was to be erased", truth.erased));
        }
        let over = self.ground.clock.ms_of(EVENING_ENDS.parse().expect("an instant"));
        if truth.line.name == "soir" && until > over {
            faults.push(format!("{about}, and its campaign was over at {over}"));
        }
        if let Some(campaign) = truth.line.campaign
            && self.drawn.get(&(campaign.to_owned(), call.clone())) != Some(&true)
        {
            faults.push(format!("{about}, and it was not drawn"));
        }
        let story = self.journal.get(call).cloned().unwrap_or_default();
        for fault in faults {
            self.fault(format!(
                "{fault}\n  {:?}\n{}",
                row.closing,
                told(&story, &truth_of(&self.book, call))
            ));
        }
        self.kept.entry(call.clone()).or_default().push((from, until));
    }

    /// What a law demands runs on while nobody watches, and all of it is kept: but not where somebody is found in it who
    /// must not be. One who came and went unseen is a limit of the program.
    fn is_excused(&self, truth: &Truth, (from, until, why): Span) -> bool {
        truth.line.kind == Kind::Must
            && self.book.unwatched.iter().any(|(since, to)| {
                let begins = *since <= from && from <= *to;
                let is_seen = why == STRANGER && until > *to;
                begins && !is_seen
            })
    }

    async fn calls(&mut self) {
        for (call, truth) in self.book.truths.clone() {
            self.seen.count("calls", 1);
            let record = self.ground.disk.store.call(&call).await.expect("the index");
            let is_called = record.as_ref().is_some_and(|record| record.direction == Direction::Outbound);
            self.seen.count("called", u64::from(is_called));
            self.owed(&call, &truth);
            match record {
                Some(record) if truth.told && record.ended.is_none() => {
                    let story = told(&self.journal[&call], &truth);
                    self.fault(format!(
                        "the PBX told that {call} ended, and the index does not say so: {story}"
                    ));
                }
                Some(record)
                    if truth.told && truth.troubled.is_empty() && is_off(record.ended, truth.ended_at) =>
                {
                    let (told, written) = (truth.ended_at, record.ended);
                    self.fault(format!("{call} ended at {told:?}, and the index says {written:?}"));
                }
                None if truth.told && truth.troubled.is_empty() => {
                    self.fault(format!("{call} is not in the index"));
                }
                _ => {}
            }
            if let Some((from, until)) = truth.alone
                && !self.troubles(&truth, from - 4500, until)
            {
                self.fault(format!("{call} left the hook alone at {until}, and nothing was wrong"));
            }
            self.seen.count("objections", u64::from(truth.erased.is_some()));
        }
    }

    /// What had to be recorded is there.
    fn owed(&mut self, call: &CallId, truth: &Truth) {
        let drawn = truth
            .line
            .campaign
            .is_none_or(|campaign| self.drawn.get(&(campaign.to_owned(), call.clone())) == Some(&true));
        if !drawn || !truth.admitted {
            return;
        }
        let kept = self.kept.get(call).cloned().unwrap_or_default();
        let over = self.ground.clock.ms_of(EVENING_ENDS.parse().expect("an instant"));
        for (from, until) in truth.allowed() {
            let until = if truth.line.name == "soir" { until.min(over) } else { until };
            let owed = (from + BEGINS, until - ENDS);
            if owed.0 >= owed.1 || self.troubles(truth, from, until) {
                continue;
            }
            self.seen.count("spans that were owed", 1);
            self.seen.count("spans that a law demanded", u64::from(truth.line.kind == Kind::Must));
            let seams = truth.seams.iter().map(|at| (at - ENDS, at + BEGINS));
            let missing = without(owed, kept.iter().copied().chain(seams));
            if !missing.is_empty() {
                let story = told(self.journal.get(call).map_or(&[], Vec::as_slice), truth);
                self.fault(format!(
                    "{call} on {} might be recorded from {from} to {until}, and {missing:?} is missing of {kept:?}\n{story}",
                    truth.line.name
                ));
            }
        }
    }

    fn troubles(&self, truth: &Truth, from: i64, until: i64) -> bool {
        let meets = |(since, to): &(i64, i64)| *since < until && from < *to;
        truth.troubled.iter().any(meets) || self.book.troubled.iter().any(meets)
    }

    /// A hash over what each call wrote and kept. What the keeper writes is left out: it has threads of its own. Ids are
    /// chance of the machine, so they are numbered.
    fn trace(&self) -> String {
        let mut hash = Sha256::new();
        for (call, entries) in &self.journal {
            hash.update(&call.0);
            let mut ids: Vec<SegmentId> = Vec::new();
            for entry in entries {
                if matches!(
                    entry.what,
                    What::Kept(_) | What::Lost { .. } | What::Erasing { .. } | What::Disposed
                ) {
                    continue;
                }
                let mut entry = entry.clone();
                if let Some(id) = entry.segment.take() {
                    if !ids.contains(&id) {
                        ids.push(id);
                    }
                    hash.update([ids.iter().position(|known| *known == id).unwrap_or_default() as u8]);
                }
                hash.update(serde_json::to_vec(&entry).expect("an entry"));
            }
            for (from, until) in self.kept.get(call).into_iter().flatten().collect::<BTreeSet<_>>() {
                hash.update(from.to_be_bytes());
                hash.update(until.to_be_bytes());
            }
        }
        hash.update(self.book.orders.to_be_bytes());
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn truth_of(book: &Book, call: &CallId) -> Truth {
    book.truths[call].clone()
}

/// Whether the end is written down wrongly. Who is gone when the link comes back is found gone a moment later.
fn is_off(written: Option<Timestamp>, told: Option<Timestamp>) -> bool {
    let (Some(written), Some(told)) = (written, told) else { return true };
    written.duration_since(told).abs() > SignedDuration::from_millis(100)
}

/// The story of a call, for a person.
fn told(story: &[Entry], truth: &Truth) -> String {
    let mut text = format!("  {truth:?}\n");
    for entry in story {
        let what = serde_json::to_string(&entry.what).unwrap_or_default();
        text.push_str(&format!(
            "  {} {} {what}\n",
            entry.at,
            entry.segment.map(|id| id.to_string()).unwrap_or_default()
        ));
    }
    text
}

/// Nothing goes early, and all goes in time.
pub async fn judge_retention(ground: &Ground, chance: &mut Chance) -> Vec<String> {
    let kept = |rows: &[SegmentRecord]| -> BTreeSet<SegmentId> {
        rows.iter().filter(|row| row.state == State::Kept).map(|row| row.segment.id).collect()
    };
    let before: Vec<SegmentRecord> =
        rows(ground).await.into_iter().filter(|row| row.state == State::Kept).collect();
    let mut faults = Vec::new();
    for row in &before {
        if row.retention.scheduled.is_none() || row.retention.delete_by.is_none() {
            faults.push(format!("{} of {} is kept for ever", row.segment.id, row.segment.call));
        }
    }
    let mut dates: Vec<Timestamp> = before.iter().filter_map(|row| row.retention.scheduled).collect();
    dates.sort();
    let (Some(first), Some(last)) = (dates.first(), dates.last()) else { return faults };
    let last_of_all = before.iter().filter_map(|row| row.retention.delete_by).max().unwrap_or(*last);
    let middle = chance.pick(&dates);
    let early = *first - SignedDuration::from_mins(10);
    let stations = [if chance.is(50) { early } else { middle + SignedDuration::from_secs(1) }, last_of_all];
    for station in stations {
        let by = station.duration_since(ground.clock.now());
        if by > SignedDuration::ZERO {
            ground.clock.step(by);
        }
        let looked = ground.clock.now();
        sleep(std::time::Duration::from_secs(40)).await;
        let now = ground.clock.now();
        let left = kept(&rows(ground).await);
        let objects: BTreeSet<SegmentId> =
            ground.disk.vault.list().await.expect("the vault").into_iter().collect();
        if left != objects {
            faults.push(format!(
                "at {now} the vault has {} objects, the index {}",
                objects.len(),
                left.len()
            ));
        }
        for row in &before {
            let (id, Some(scheduled)) = (row.segment.id, row.retention.scheduled) else { continue };
            if now < scheduled && !left.contains(&id) {
                faults.push(format!("{id} went before {scheduled}, at {now}"));
            }
            if row.retention.not_before.is_some_and(|early| now < early) && !left.contains(&id) {
                faults.push(format!(
                    "{id} went at {now}, and must not go before {:?}",
                    row.retention.not_before
                ));
            }
            let late = looked >= scheduled && row.retention.not_before.is_none_or(|early| early <= looked);
            if late && left.contains(&id) {
                faults.push(format!("{id} is there at {now}, and was due on {scheduled}"));
            }
        }
    }
    faults
}
