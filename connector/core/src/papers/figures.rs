//! What the index counts for the papers. Fed with the journal, the segments and the draws; holds no number and no name
//! of a customer, and no name of an agent.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::id::SegmentId;
use crate::journal::{Entry, What};
use crate::ports::{Drawn, RegisterCount, SegmentRecord};
use crate::segment::State;

/// What the index counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The first and the last line of the journal that can still be read.
    pub(super) seen: Option<(Timestamp, Timestamp)>,
    pub(super) calls: u64,
    /// Calls whose announcement was heard to its end.
    pub(super) announced: u64,
    pub(super) not_announced: u64,
    pub(super) objected: u64,
    pub(super) consented: u64,
    /// Texts announced, by language and version.
    pub(super) texts: BTreeMap<(String, String), Spoken>,
    /// Recordings by purpose.
    pub(super) purposes: BTreeMap<String, Recordings>,
    pub(super) recorded: u64,
    pub(super) kept: u64,
    pub(super) disposed: u64,
    pub(super) last_disposal: Option<Timestamp>,
    /// Kept beyond the instant by which they must be gone.
    pub(super) overdue: u64,
    pub(super) campaigns: BTreeMap<String, Lots>,
    pub(super) listened: Vec<Listening>,
    /// The register's entries of each sort.
    pub(super) register: Vec<RegisterCount>,
    heard_of: BTreeMap<SegmentId, BTreeSet<String>>,
}

/// When a text was announced, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) times: u64,
}

/// Recordings for one purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recordings {
    /// Ever made for it.
    pub(super) made: u64,
    /// Of these still there, for it.
    pub(super) kept: u64,
}

/// A campaign's lots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lots {
    pub(super) calls: u64,
    pub(super) drawn: u64,
    /// At the last draw, per mille.
    pub(super) rate: u16,
}

/// That somebody listened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) at: Timestamp,
    pub(super) who: String,
    pub(super) reason: String,
    pub(super) segment: Option<SegmentId>,
}

impl Figures {
    /// Counts a line of the journal.
    pub fn entry(&mut self, entry: &Entry) {
        let (first, last) = self.seen.unwrap_or((entry.at, entry.at));
        self.seen = Some((first.min(entry.at), last.max(entry.at)));
        match &entry.what {
            What::Arrived { .. } => self.calls += 1,
            What::Announced { language, version, .. } => {
                self.announced += 1;
                let text = (language.clone(), version.clone());
                let spoken =
                    self.texts.entry(text).or_insert(Spoken { first: entry.at, last: entry.at, times: 0 });
                spoken.first = spoken.first.min(entry.at);
                spoken.last = spoken.last.max(entry.at);
                spoken.times += 1;
            }
            What::NotAnnounced { .. } => self.not_announced += 1,
            What::Objected { .. } => self.objected += 1,
            What::Consented { .. } => self.consented += 1,
            What::Listened { who, reason } => {
                self.heard_of.extend(entry.segment.map(|segment| (segment, BTreeSet::new())));
                self.listened.push(Listening {
                    at: entry.at,
                    who: without_numbers(who),
                    reason: without_numbers(reason),
                    segment: entry.segment,
                });
            }
            _ => {}
        }
    }

    /// Counts a segment, after the journal; `now` tells what is overdue.
    pub fn segment(&mut self, now: Timestamp, record: &SegmentRecord) {
        self.recorded += 1;
        let kept = record.state == State::Kept;
        for purpose in &record.segment.purposes {
            let recordings = self.purposes.entry(purpose.clone()).or_default();
            recordings.made += 1;
            recordings.kept += u64::from(kept && record.kept_for.contains(purpose));
        }
        self.kept += u64::from(kept);
        if record.state == State::Disposed {
            self.disposed += 1;
            self.last_disposal = self.last_disposal.max(record.disposed);
        } else {
            self.overdue += u64::from(record.retention.delete_by.is_some_and(|by| by < now));
        }
        if let Some(purposes) = self.heard_of.get_mut(&record.segment.id) {
            purposes.extend(record.segment.purposes.iter().cloned());
        }
    }

    /// Counts the lots of a campaign, in the order in which they fell.
    pub fn draws(&mut self, campaign: &str, draws: &[Drawn]) {
        let lots = Lots {
            calls: draws.len() as u64,
            drawn: draws.iter().filter(|drawn| drawn.selected).count() as u64,
            rate: draws.last().map_or(0, |drawn| drawn.ballot.rate),
        };
        self.campaigns.insert(campaign.to_owned(), lots);
    }

    /// Takes the counts of the register. How a consent was obtained is a text of staff.
    pub fn register(&mut self, counts: Vec<RegisterCount>) {
        self.register = counts;
        for how in self.register.iter_mut().filter_map(|count| count.how.as_mut()) {
            *how = without_numbers(how);
        }
    }

    /// What a recording that was listened to was made for.
    pub(super) fn made_for(&self, listening: &Listening) -> Option<&BTreeSet<String>> {
        self.heard_of.get(&listening.segment?)
    }
}

/// A text in which staff may have written a customer's number: six digits or more in a row, however they are set
/// apart, are left out.
fn without_numbers(text: &str) -> String {
    const FEWEST: usize = 6;
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    let set_apart = |c: char| c.is_whitespace() || matches!(c, '.' | '-' | '(' | ')' | '+' | '/' | '\u{ad}');
    let flush = |run: &mut String, out: &mut String| {
        if run.chars().filter(|c| c.is_numeric()).count() < FEWEST {
            out.push_str(run);
        } else {
            let before = run.chars().take_while(|c| c.is_whitespace());
            out.extend(before);
            out.push('…');
            let after = run.chars().rev().take_while(|c| c.is_whitespace());
            out.extend(after);
        }
        run.clear();
    };
    for sign in text.chars() {
        if sign.is_numeric() || set_apart(sign) {
            run.push(sign);
        } else {
            flush(&mut run, &mut out);
            out.push(sign);
        }
    }
    flush(&mut run, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_that_staff_wrote_down_gets_into_a_paper() {
        for (text, shown) in [
            ("complaint of +33 1 99 00 12 34, again", "complaint of …, again"),
            ("0199001234", "…"),
            ("coaching, week 47", "coaching, week 47"),
            ("(01) 99.00-12/34!", "…!"),
            ("ticket 12345", "ticket 12345"),
            ("٠١٩٩٠٠١٢٣٤", "…"),
        ] {
            assert_eq!(without_numbers(text), shown);
        }
    }
}
