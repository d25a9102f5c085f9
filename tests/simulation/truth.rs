//! What really happened in a call, as somebody would tell who stood beside it: who was told what, who said what, who was
//! there. Nothing here is asked of the program. Milliseconds of the world.

use std::collections::BTreeMap;

/// How calls of a line may be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By lot, unless the customer refuses.
    Lot,
    /// By lot, if the customer says yes and every agent has agreed.
    Yes,
    /// The part in which a contract is closed, unless the customer refuses.
    Contract,
    /// All of it, because a law demands it.
    Must,
}

/// A line of `site.toml`.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub name: &'static str,
    pub kind: Kind,
    pub campaign: Option<&'static str>,
    /// The customer's key to refuse.
    pub object: Option<&'static str>,
    /// His key to agree.
    pub accept: Option<&'static str>,
    /// The agent's codes beside `*9`, which all lines have.
    pub codes: &'static [&'static str],
}

pub const LINES: [Line; 5] = [
    Line {
        name: "accueil",
        kind: Kind::Lot,
        campaign: Some("autumn"),
        object: Some("1"),
        accept: None,
        codes: &["*8", "*7", "*5", "*0"],
    },
    Line {
        name: "berlin",
        kind: Kind::Yes,
        campaign: Some("autumn"),
        object: Some("1"),
        accept: Some("5"),
        codes: &["*8", "*0"],
    },
    Line {
        name: "boutique",
        kind: Kind::Contract,
        campaign: None,
        object: Some("1"),
        accept: None,
        codes: &["*8", "*6", "*6", "*6"],
    },
    Line { name: "bourse", kind: Kind::Must, campaign: None, object: None, accept: None, codes: &["*9"] },
    Line {
        name: "soir",
        kind: Kind::Lot,
        campaign: Some("soir"),
        object: Some("1"),
        accept: None,
        codes: &["*0"],
    },
];

/// Why nothing may be recorded: an exempt one, somebody unknown, another call's customer, one who listens in.
pub const STRANGER: &str = "somebody who must not be recorded";

/// From, until, why.
pub type Span = (i64, i64, &'static str);

/// The truth of one call.
#[derive(Clone, Debug)]
pub struct Truth {
    pub line: Line,
    /// When the customer had been told to the end.
    pub heard: Option<i64>,
    /// When the leg was gone.
    pub ended: Option<i64>,
    /// When nothing may be recorded.
    pub forbidden: Vec<Span>,
    /// Why nothing may be recorded now, and since when.
    open: BTreeMap<&'static str, i64>,
    /// What was recorded before must not exist.
    pub erased: Option<i64>,
    /// When that was learnt last.
    known: Option<i64>,
    /// The same, noted on the leg while nobody listened: true once it can be read.
    pub noted: Option<i64>,
    /// When a recording ends and the next begins: a code, or other people.
    pub seams: Vec<i64>,
    /// When nobody can demand that something is recorded.
    pub troubled: Vec<(i64, i64)>,
    /// Whether the customer left the hook by the word of the program.
    pub admitted: bool,
    /// From when until when he was in the hook, if he left it by the dead-man timer.
    pub alone: Option<(i64, i64)>,
    pub arrived: i64,
    /// Whether the end was told to somebody who knew of the call, and had time to write it down.
    pub told: bool,
    /// When it ended, by the PBX's clock.
    pub ended_at: Option<jiff::Timestamp>,
}

impl Truth {
    /// A call that reaches a line.
    pub fn new(line: Line, now: i64) -> Self {
        let mut truth = Self {
            line,
            heard: None,
            ended: None,
            forbidden: Vec::new(),
            open: BTreeMap::new(),
            erased: None,
            known: None,
            noted: None,
            seams: Vec::new(),
            troubled: Vec::new(),
            admitted: false,
            alone: None,
            arrived: now,
            told: false,
            ended_at: None,
        };
        truth.forbid("nobody to talk with", true, now);
        match line.kind {
            Kind::Yes => truth.forbid("no yes", true, now),
            Kind::Contract => truth.forbid("no contract talk", true, now),
            Kind::Lot | Kind::Must => {}
        }
        truth
    }

    /// From now on something forbids, or does not any more.
    pub fn forbid(&mut self, why: &'static str, on: bool, now: i64) {
        if on {
            self.open.entry(why).or_insert(now);
        } else if let Some(from) = self.open.remove(why) {
            self.forbidden.push((from, now, why));
        }
    }

    pub fn is_forbidden(&self, why: &'static str) -> bool {
        self.open.contains_key(why)
    }

    /// Nothing of before may remain. `listens`: whether somebody hears it; else it is noted on the leg.
    pub fn erase(&mut self, listens: bool, now: i64) {
        if listens {
            (self.erased, self.known) = (Some(now), Some(now));
        } else {
            self.noted = Some(now);
        }
    }

    /// The notes on the leg are read.
    pub fn read(&mut self, now: i64) {
        if let Some(noted) = self.noted.take() {
            (self.erased, self.known) = (self.erased.max(Some(noted)), Some(now));
        }
    }

    /// Whoever knew it is dead, and had not written down what he learnt since `durable`. Only the leg remembers.
    pub fn forget_since(&mut self, durable: i64, lives: bool) {
        if self.known.is_some_and(|known| known >= durable) {
            let forgotten = self.erased.take();
            if lives {
                self.noted = self.noted.max(forgotten);
            }
        }
    }

    /// The leg is gone.
    pub fn end(&mut self, now: i64) {
        self.ended = Some(now);
        for why in self.open.keys().copied().collect::<Vec<_>>() {
            self.forbid(why, false, now);
        }
    }

    /// From now on nobody can demand anything of this call.
    pub fn trouble(&mut self, from: i64, until: i64) {
        self.troubled.push((from, until));
    }

    /// The spans in which the call may be recorded, as far as people go: lots are somebody else's.
    pub fn allowed(&self) -> Vec<(i64, i64)> {
        let (Some(heard), Some(ended)) = (self.heard, self.ended) else { return Vec::new() };
        let from = heard.max(self.erased.unwrap_or(heard));
        without((from, ended), self.forbidden.iter().map(|(from, until, _)| (*from, *until)))
    }
}

/// What is left of a span.
pub fn without(span: (i64, i64), holes: impl Iterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
    let mut holes: Vec<_> = holes.filter(|(from, until)| from < until).collect();
    holes.sort();
    let (mut at, mut left) = (span.0, Vec::new());
    for (from, until) in holes {
        if from > at && at < span.1 {
            left.push((at, from.min(span.1)));
        }
        at = at.max(until);
    }
    if at < span.1 {
        left.push((at, span.1));
    }
    left
}
