//! Segments that are over: how one is closed, and what an objection or a private call still takes from it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::Session;
use super::recorder::{Recorder, Stop};
use crate::command::Command;
use crate::facts::Facts;
use crate::id::SegmentId;
use crate::journal::What;
use crate::ports::SegmentRecord;
use crate::retention::{self, History, Recording};
use crate::segment::{Closing, Deadlines, Ending, Flag};
use crate::talk::{self, Erase};
use crate::words::Purpose;

/// A closed segment of this call, for what an objection may still erase.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) id: SegmentId,
    pub(super) facts: Facts,
    pub(super) kept: BTreeSet<Purpose>,
    from: Timestamp,
    until: Timestamp,
}

impl Past {
    /// A segment of an earlier run; none where nothing of it remains. The customer's number is not written down with
    /// it, and says whose laws he is under.
    pub(super) fn of(record: &SegmentRecord, number: Option<&str>) -> Option<Self> {
        let mut facts: Facts = serde_json::from_value(record.segment.basis.get("facts")?.clone()).ok()?;
        if let Some(customer) = facts.legs.first_mut() {
            customer.number = number.map(Into::into);
        }
        let kept: BTreeSet<_> =
            record.kept_for.iter().filter_map(|purpose| Purpose::parse(purpose)).collect();
        let opened = record.segment.opened;
        let (from, until) = record.closing.as_ref().map_or((opened, opened), |closing| {
            let from = closing.from.unwrap_or(opened);
            (from, closing.until.max(from))
        });
        (!kept.is_empty()).then_some(Self { id: record.segment.id, facts, kept, from, until })
    }
}

impl Session {
    /// Closes the segment: what remains of it is kept, or it is erased.
    pub(super) fn finish(&mut self, now: Timestamp, stop: Stop) {
        let (Recorder::Opening { live, .. }
        | Recorder::Starting(live)
        | Recorder::Running(live)
        | Recorder::Stopping { live, .. }) = std::mem::replace(&mut self.recorder, Recorder::Off)
        else {
            return;
        };
        let live = *live;
        let mut kept = live.purposes.clone();
        kept.retain(|purpose| !live.erased.contains(purpose));
        let mut ending = stop.ending;
        // What a law demands is kept whole where the clock was set meanwhile: no time tells its end.
        let whole = live.clock_set && live.flags.contains(&Flag::Unwatched) && stop.ending == Ending::Gap;
        // An end that lies before the beginning, told late, leaves nothing either.
        if !whole && live.started.is_none_or(|started| stop.end() <= started) {
            kept.clear();
            if live.started.is_none() || ending == Ending::HungUp {
                ending = Ending::NeverStarted;
            }
        }
        let from = live.started.unwrap_or(stop.until);
        let retention = self.deadlines(&live.facts, &kept, from, stop.until.max(from));
        let closing = Closing {
            from: live.started.filter(|_| !whole),
            until: stop.until,
            cut_tail: stop.cut_tail,
            kept: super::names(&kept),
            ending,
            flags: live.flags,
            retention,
        };
        let entry = self.entry(now, Some(live.id), What::Closed(closing.clone()));
        self.out.push(Command::Close(live.id, closing, entry));
        self.past.push(Past { id: live.id, facts: live.facts, kept, from, until: stop.until.max(from) });
    }

    /// Whether anything of this call is being recorded or will be kept.
    pub(super) fn remains(&self) -> bool {
        let live = self.recorder.live().filter(|live| live.started.is_some());
        live.is_some_and(|live| !live.purposes.is_subset(&live.erased))
            || self.past.iter().any(|past| !past.kept.is_empty())
    }

    /// Takes from this call's segments what the law takes from them, the running one among them: from those that began
    /// at or before `until`, or from all.
    pub(super) fn erase(&mut self, now: Timestamp, until: Option<Timestamp>, erase: &Erase) {
        if crate::sabotage::is("keep-after-objection") {
            return;
        }
        let rules = Arc::clone(&self.rules);
        let concerns = |facts: &Facts| until.is_none_or(|until| facts.at <= until);
        if let Some(live) = self.recorder.live_mut().filter(|live| concerns(&live.facts)) {
            live.erased.extend(talk::erased(erase, &rules.policy, &live.facts));
        }
        let why = match erase {
            Erase::Objected { .. } => "objected",
            Erase::Private => "private-call",
            Erase::Machine => "answering-machine",
        };
        for index in 0..self.past.len() {
            let past = &mut self.past[index];
            if !concerns(&past.facts) {
                continue;
            }
            let gone = talk::erased(erase, &rules.policy, &past.facts);
            let before = past.kept.len();
            past.kept.retain(|purpose| !gone.contains(purpose));
            if past.kept.len() < before {
                let (id, kept) = (past.id, super::names(&past.kept));
                let retention = self.deadlines_of(&self.past[index]);
                let entry = self.entry(now, Some(id), What::Amended { kept: kept.clone(), why: why.into() });
                self.out.push(Command::Amend(id, kept, retention, entry));
            }
        }
    }

    /// When what remains of a closed segment must go.
    fn deadlines_of(&self, past: &Past) -> Deadlines {
        self.deadlines(&past.facts, &past.kept, past.from, past.until)
    }

    /// When what is kept for these purposes must go.
    pub(super) fn deadlines(
        &self,
        facts: &Facts,
        purposes: &BTreeSet<Purpose>,
        start: Timestamp,
        end: Timestamp,
    ) -> Deadlines {
        let recording = Recording { facts, policy: &self.rules.policy, purposes, start, end };
        // A decision that allows a recording has dates for it; for no purposes there are none.
        let fate = retention::fate(&recording, &History::default());
        fate.map_or_else(
            |_| Deadlines::default(),
            |fate| Deadlines {
                not_before: fate.object.not_before,
                scheduled: fate.object.scheduled,
                delete_by: fate.object.delete_by,
            },
        )
    }
}
