//! What the journal proves of a kept recording: that it lies in a time in which its call's story lets it be stored. Read
//! from the story alone, so that nobody need believe the index, the session or the recorder.
//!
//! What each line proves, and by which clock. The spool is a folder of this machine, so the PBX's clock is ours; an event's
//! instant is read from it before we hear of the event, and each line's `at` after. So, without any tolerance:
//!
//! - `Decided`: the last before `Opened` must let audio be stored (the line is written before the segment is asked for, in
//!   one order). One between `Opened` and `Closed` that does not: nothing kept lies after its `at`, which is later than what
//!   it tells of. A recording that a law demands and nobody watched (`unwatched`) goes on by law; it ends for those who must
//!   not be in it ([`GRAVE`]), not for other reasons.
//! - `Stopping`, `Closed`: nothing kept lies after `until`, nor in the 100 ms before it where the tail is cut: the PBX's
//!   clock on both sides.
//! - `Opened`: the recorder is ordered only when this is durable, so nothing kept lies before its `at`.
//! - `Announced`: what a purpose is recorded for was said before, in the order of the story.
//! - `Closed.from` and the length in `Kept` give what is kept, to the whole millisecond below.
//!
//! A clock that was set (`ClockSet` in the story) makes later instants say nothing, as nobody knows whether the PBX's was set
//! with it: then only `Stopping` and `Closed` are looked at, and it is said. One set by less than half a second is noticed by nobody, and may
//! show here as a breach. What is left out: a file that lacks time in its middle holds later moments than its length tells;
//! only its sound would.

use jiff::{SignedDuration, Timestamp};

use crate::id::SegmentId;
use crate::journal::{Entry, KeptNote, What};
use crate::segment::{Closing, Ending, Flag, TAIL};
use crate::words::{Direction, Reason};

/// A line of a story, with its place in the chain.
pub type Line = (u64, Entry);

/// What somebody's presence is called in [`What::Decided`] who must never be recorded: there, or about to come.
pub const EXEMPT: [&str; 2] = ["exempt-leg", "exempt-rings"];

/// What ends every recording, whatever a law demands: who must not be in it, an objection, a private call, a payment.
pub const GRAVE: [&str; 7] = [
    "exempt-leg",
    "exempt-rings",
    "unknown-party",
    "another-customer",
    "objected",
    "private-call",
    "payment-active",
];

/// From one instant to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub from: Timestamp,
    /// The first after it.
    pub until: Timestamp,
}

/// What a story tells of a kept recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The lines of the chain by which it was opened and closed.
    pub life: Option<(u64, u64)>,
    /// When what is kept was said; `None`: the story does not tell.
    pub span: Option<Span>,
    /// What it must not hold, and does.
    pub breaches: Vec<Breach>,
    /// Why not everything could be looked at.
    pub unseen: Option<Unseen>,
}

/// What is kept, and must not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// The journal, of which nothing was erased, does not tell how it came to be.
    #[error("the journal does not tell that it was opened, closed and kept")]
    Untold,
    /// It was opened although nothing might be stored.
    #[error(
        "all {millis} ms were opened after {at}, when it was decided that nothing may be stored ({reason})"
    )]
    NeverAllowed {
        /// When that was decided.
        at: Timestamp,
        /// Its length.
        millis: u64,
        /// Why.
        reason: String,
    },
    /// It goes on after the decision that nothing may be stored.
    #[error("{millis} ms are kept after {at}, when it was decided that nothing may be stored ({reason})")]
    Forbidden {
        /// When that was decided.
        at: Timestamp,
        /// So much of it.
        millis: u64,
        /// Why.
        reason: String,
    },
    /// It goes on after its own end.
    #[error("{millis} ms are kept after {at}, the last instant that might be ({reason})")]
    AfterEnd {
        /// The end, less what is cut off.
        at: Timestamp,
        /// So much of it.
        millis: u64,
        /// How it ended.
        reason: String,
    },
    /// It begins before it was written down.
    #[error("{millis} ms are kept from before {at}, when it was opened (not-opened)")]
    BeforeOpened {
        /// When it was opened.
        at: Timestamp,
        /// So much of it.
        millis: u64,
    },
    /// The customer had not been told of a purpose.
    #[error(
        "all {millis} ms were opened at {at}, and nobody had been told of {purpose} (announcement-pending)"
    )]
    NotAnnounced {
        /// When it was opened.
        at: Timestamp,
        /// Its length.
        millis: u64,
        /// The purpose.
        purpose: String,
    },
}

/// Why not everything of a recording could be held against its story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// Lines of it were erased on their date, or may have been.
    Erased,
    /// The clock was set while it was recorded, or before in its call.
    ClockSet,
    /// A law demanded it and nobody knows when its audio began: it was kept whole.
    NoStart,
}

/// A time in which somebody was in a call, or was about to come in, who must never be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Since when, by the first sign.
    pub from: Timestamp,
    /// Until something else was decided, or the customer was gone; `None`: the story does not tell.
    pub until: Option<Timestamp>,
    /// The lines of the chain that tell of its beginning and its end.
    pub lines: (u64, u64),
}

/// Holds a kept recording against the story of its call. `erased` is the last line of the chain that was erased, 0 for
/// none: what lies before it may lack lines.
pub fn judge(story: &[Line], id: SegmentId, erased: u64) -> Judgement {
    let Some(life) = Life::of(story, id) else {
        return match erased {
            0 => Judgement { breaches: vec![Breach::Untold], ..Judgement::default() },
            _ => Judgement { unseen: Some(Unseen::Erased), ..Judgement::default() },
        };
    };
    let mut judgement = Judgement {
        life: Some((life.opened.0, life.closed)),
        span: life.span(),
        breaches: life.beginning(),
        unseen: None,
    };
    let clock_set = life.hold(&mut judgement.breaches);
    judgement.unseen = if life.decided.is_none_or(|(line, _)| *line < erased) && erased > 0 {
        Some(Unseen::Erased)
    } else if judgement.span.is_none() {
        Some(Unseen::NoStart)
    } else {
        clock_set.then_some(Unseen::ClockSet)
    };
    judgement
}

/// The times in which somebody was there who must never be recorded, as far as the story tells.
pub fn presences(story: &[Line]) -> Vec<Presence> {
    let mut found: Vec<Presence> = Vec::new();
    let mut is_there = false;
    for (line, entry) in story {
        match &entry.what {
            what if is_exempt(what) && !is_there => {
                is_there = true;
                found.push(Presence { from: entry.at, until: None, lines: (*line, u64::MAX) });
            }
            What::Stopping { ending: Ending::Stranger, until, .. } if is_there => {
                // The same sign, by the PBX's clock.
                let last = found.last_mut().filter(|last| last.until.is_none());
                if let Some(last) = last.filter(|last| last.from == entry.at) {
                    last.from = last.from.min(*until);
                }
            }
            What::Decided { .. } | What::Ended if is_there && !is_exempt(&entry.what) => {
                is_there = false;
                if let Some(last) = found.last_mut() {
                    (last.until, last.lines.1) = (Some(entry.at), *line);
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether this tells of somebody who must never be recorded.
pub fn is_exempt(what: &What) -> bool {
    matches!(what, What::Decided { record: false, reasons, .. }
        if reasons.values().any(|reason| EXEMPT.contains(&reason.as_str())))
}

impl Presence {
    /// How much of a recording lies in it, ms; `None`: no instants tell.
    pub fn overlap(&self, of: &Judgement) -> Option<u64> {
        let (opened, closed) = of.life?;
        // In the order of the story they do not meet, whatever the clocks say.
        if closed < self.lines.0 || opened > self.lines.1 {
            return Some(0);
        }
        let span = of.span.filter(|_| of.unseen.is_none())?;
        let until = self.until.unwrap_or(Timestamp::MAX).min(span.until);
        Some(millis(until.duration_since(self.from.max(span.from))))
    }
}

/// What the story tells of one recording.
struct Life<'s> {
    /// What was in force when it was opened.
    decided: Option<&'s Line>,
    before: &'s [Line],
    opened: &'s Line,
    purposes: &'s [String],
    /// What came between its opening and its end.
    during: &'s [Line],
    closed: u64,
    closing: &'s Closing,
    note: &'s KeptNote,
    id: SegmentId,
}

impl<'s> Life<'s> {
    fn of(story: &'s [Line], id: SegmentId) -> Option<Self> {
        let own = |(_, entry): &&Line| entry.segment == Some(id);
        let place = |is: fn(&What) -> bool| {
            story.iter().position(|(_, entry)| entry.segment == Some(id) && is(&entry.what))
        };
        let open = place(|what| matches!(what, What::Opened { .. }))?;
        // The first counts: a segment is closed once.
        let close = place(|what| matches!(what, What::Closed(_))).filter(|close| *close > open)?;
        let (What::Opened { purposes }, What::Closed(closing)) = (&story[open].1.what, &story[close].1.what)
        else {
            return None;
        };
        let note = story.iter().filter(own).rev().find_map(|(_, entry)| match &entry.what {
            What::Kept(note) => Some(note),
            _ => None,
        })?;
        let before = &story[..open];
        let decided = before.iter().rev().find(|(_, entry)| matches!(entry.what, What::Decided { .. }));
        let (opened, during, closed) = (&story[open], &story[open + 1..close], story[close].0);
        Some(Self { decided, before, opened, purposes, during, closed, closing, note, id })
    }

    fn span(&self) -> Option<Span> {
        let from = self.closing.from?;
        let length = SignedDuration::from_millis(i64::try_from(self.note.millis).ok()?);
        Some(Span { from, until: from.checked_add(length).ok()? })
    }

    /// Whether it might be opened, and when.
    fn beginning(&self) -> Vec<Breach> {
        let (length, opened) = (self.note.millis, self.opened.1.at);
        let mut breaches = Vec::new();
        if let Some((_, Entry { at, what: What::Decided { record: false, reasons, .. }, .. })) = self.decided
        {
            let reason = words(reasons.values());
            breaches.push(Breach::NeverAllowed { at: *at, millis: length, reason });
        }
        let unsaid = self.purposes.iter().filter(|purpose| !self.was_told(purpose));
        breaches.extend(unsaid.map(|purpose| Breach::NotAnnounced {
            at: opened,
            millis: length,
            purpose: purpose.clone(),
        }));
        if let Some(Span { from, until }) = self.span()
            && from < opened
            && !clock_set(self.before)
        {
            let millis = millis(opened.min(until).duration_since(from));
            breaches.push(Breach::BeforeOpened { at: opened, millis });
        }
        breaches
    }

    /// Whether a purpose was announced before it was opened. Agents among themselves, and calls whose first lines are
    /// gone, are not asked about.
    fn was_told(&self, purpose: &String) -> bool {
        let is_asked = |what: &What| {
            matches!(what, What::Arrived { direction: Direction::Inbound | Direction::Outbound, .. })
        };
        let told =
            |what: &What| matches!(what, What::Announced { purposes, .. } if purposes.contains(purpose));
        !self.before.iter().any(|(_, entry)| is_asked(&entry.what))
            || self.before.iter().any(|(_, entry)| told(&entry.what))
    }

    /// What is kept against all that ends it, the earliest of each kind; gives whether the clock was set, meanwhile or
    /// before.
    fn hold(&self, breaches: &mut Vec<Breach>) -> bool {
        let mut clock_set = clock_set(self.before);
        let mut forbidden: Option<(Timestamp, String)> = None;
        let mut end = (self.end(self.closing.until, self.closing.cut_tail), self.closing.ending);
        for (_, entry) in self.during {
            match &entry.what {
                What::ClockSet { .. } => clock_set = true,
                What::Decided { record: false, reasons, .. } if !clock_set && forbidden.is_none() => {
                    let reason = self.forbids(reasons);
                    forbidden = (!reason.is_empty()).then_some((entry.at, reason));
                }
                What::Stopping { ending, until, cut_tail } if entry.segment == Some(self.id) => {
                    let this = (self.end(*until, *cut_tail), *ending);
                    end = if this.0 < end.0 { this } else { end };
                }
                _ => {}
            }
        }
        match self.span() {
            Some(span) => {
                let after = |at: Timestamp| millis(span.until.duration_since(at.max(span.from)));
                if let Some((at, reason)) = forbidden.filter(|(at, _)| after(*at) > 0) {
                    breaches.push(Breach::Forbidden { at, millis: after(at), reason });
                }
                if after(end.0) > 0 {
                    let reason = word(&end.1);
                    breaches.push(Breach::AfterEnd { at: end.0, millis: after(end.0), reason });
                }
            }
            // Kept whole: whatever came in meanwhile is in it.
            None => breaches.extend(forbidden.map(|(at, reason)| Breach::Forbidden {
                at,
                millis: self.note.millis,
                reason,
            })),
        }
        clock_set
    }

    fn end(&self, until: Timestamp, cut_tail: bool) -> Timestamp {
        if cut_tail { until.checked_sub(TAIL).unwrap_or(until) } else { until }
    }

    /// Why a decision ends this recording; empty: it does not.
    fn forbids(&self, reasons: &std::collections::BTreeMap<String, String>) -> String {
        let concerns = |purpose: &String| purpose == "*" || self.purposes.contains(purpose);
        let own = reasons.iter().filter(|(purpose, _)| concerns(purpose)).map(|(_, reason)| reason);
        let unwatched = self.note.flags.contains(&Flag::Unwatched);
        words(own.filter(|reason| !unwatched || GRAVE.contains(&reason.as_str())))
    }
}

fn clock_set(lines: &[Line]) -> bool {
    lines.iter().any(|(_, entry)| matches!(entry.what, What::ClockSet { .. }))
}

/// Each once, in order of the alphabet.
fn words<'r>(reasons: impl Iterator<Item = &'r String>) -> String {
    let ok = Reason::Ok.to_string();
    let each: std::collections::BTreeSet<&str> =
        reasons.map(String::as_str).filter(|reason| *reason != ok).collect();
    each.into_iter().collect::<Vec<_>>().join(", ")
}

/// As it stands in the journal.
fn word(ending: &Ending) -> String {
    serde_json::to_value(ending).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Begun milliseconds count; less than nothing is nothing.
fn millis(length: SignedDuration) -> u64 {
    u64::try_from(length.as_micros().max(0)).unwrap_or(u64::MAX).div_ceil(1000)
}

#[cfg(test)]
mod tests;
