//! One policy on the way through the records: for each call the hook, the lot, the decision, as a live call has them.
//!
//! A simulated customer hears every announcement to its end, and says nothing unless the answers asked for say so. The
//! facts of a talk are those that a live session would have: who is connected, what was heard, which lots fell. What the
//! records cannot tell (codes an agent pressed, a contract talk, an objection in the talk) did not happen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use temoin_core::decide::{Decision, Stake, announcement, decide, stakes, steady};
use temoin_core::facts::{Facts, Scope};
use temoin_core::policy::{Line, Policy};
use temoin_core::sampling::Draw;
use temoin_core::words::{Direction, Function, Prerequisite, Purpose, Reason, Stratify, Word as _};

use super::contact::{Contact, Endpoint};
use super::facts::{agent_leg, customer_leg, facts};
use super::hook::{Hook, Known};
use super::lots::Lots;
use super::names::{Names, Seat};
use super::replay::Verdicts;
use super::tally::{OTHERS, Storage, Table, Unknown};

/// What is asked of a simulation, beside policies and records.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The key of the draws.
    pub key: [u8; 32],
    /// Of a thousand customers who may refuse, so many do.
    pub refusing: u16,
    /// Of a thousand customers who are asked for a yes, so many say it.
    pub consenting: u16,
}

/// Why a call was not decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// Nobody was connected with anybody.
    NoTalk,
    /// Its line is not known.
    NoLine,
    /// Somebody in it is not known: a live call would not be recorded either.
    NoAgent,
}

impl Left {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NoTalk, Self::NoLine, Self::NoAgent];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoTalk => "never-connected",
            Self::NoLine => "line-unknown",
            Self::NoAgent => "agent-unknown",
        }
    }
}

/// One policy's side of a call that is being replayed.
#[derive(Debug)]
pub struct Life {
    line: Option<usize>,
    queue: Option<Arc<str>>,
    hook: Option<Rc<Hook>>,
    drawn: BTreeMap<Arc<str>, bool>,
    /// The lots it took part in.
    lots: Vec<Stake>,
    left: Left,
    /// The agent of the first talk.
    agent: Option<Arc<str>>,
    /// By purpose of the line, in the order of their names; empty before the first talk.
    marks: Vec<Mark>,
    kept: Vec<Kept>,
}

/// What became of one purpose.
#[derive(Clone, Copy, Debug)]
struct Mark {
    reason: Reason,
    seconds: u64,
}

/// One recording.
#[derive(Clone, Copy, Debug)]
struct Kept {
    seconds: u64,
    from: Timestamp,
    scheduled: Timestamp,
    gone_by: Timestamp,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            line: None,
            queue: None,
            hook: None,
            drawn: BTreeMap::new(),
            lots: Vec::new(),
            left: Left::NoTalk,
            agent: None,
            marks: Vec::new(),
            kept: Vec::new(),
        }
    }
}

/// A line, and where its purposes stand among all.
struct Place<'p> {
    line: &'p Line,
    purposes: Vec<usize>,
    announced: u64,
    missing: [u64; Prerequisite::ALL.len()],
}

/// One policy's counts.
pub struct Run<'p> {
    /// The policy.
    pub policy: &'p Policy,
    names: Names,
    settings: Settings,
    places: Vec<Place<'p>>,
    by_name: HashMap<Arc<str>, usize>,
    /// All purposes of all lines, by name.
    pub purposes: Vec<Purpose>,
    hooks: HashMap<HookKey, Rc<Hook>>,
    queues: HashMap<Box<[u8]>, Arc<str>>,
    /// Lots by campaign.
    pub lots: BTreeMap<Arc<str>, Lots>,
    /// Calls by why they were not decided.
    pub left: [u64; Left::ALL.len()],
    /// Rows by line.
    pub lines: Table,
    /// Rows by queue.
    pub by_queue: Table,
    /// Rows by the agent of the first talk.
    pub agents: Table,
    /// Rows by local day on which the call began.
    pub days: Table,
    /// The recordings.
    pub storage: Storage,
    /// Contexts of calls whose line is not known.
    pub unknown_contexts: Unknown,
    /// Endpoints of nobody.
    pub unknown_endpoints: Unknown,
}

type HookKey = (usize, Direction, Option<Arc<str>>, Option<Arc<str>>, bool);

/// So many hooks are remembered, and so many queues and days have a row.
const MOST_HOOKS: usize = 4096;
const MOST_QUEUES: usize = 1000;
const MOST_DAYS: usize = 4000;

impl<'p> Run<'p> {
    /// Nothing is counted yet.
    pub fn new(policy: &'p Policy, names: Names, settings: Settings) -> Self {
        let site = policy.site();
        let all: BTreeSet<Purpose> = site.lines.values().flat_map(|line| &line.purposes).cloned().collect();
        let purposes: Vec<Purpose> = all.into_iter().collect();
        let place = |line: &'p Line| {
            let is_of_line =
                |(index, purpose): (usize, &Purpose)| line.purposes.contains(purpose).then_some(index);
            let purposes = purposes.iter().enumerate().filter_map(is_of_line).collect();
            Place { line, purposes, announced: 0, missing: Default::default() }
        };
        let places: Vec<_> = site.lines.values().map(place).collect();
        let by_name = places.iter().enumerate().map(|(at, place)| (place.line.name.clone(), at)).collect();
        let table = |most| Table::new(most, purposes.len());
        Self {
            policy,
            names,
            settings,
            by_name,
            hooks: HashMap::new(),
            queues: HashMap::new(),
            lots: BTreeMap::new(),
            left: Default::default(),
            lines: table(places.len()),
            by_queue: table(MOST_QUEUES),
            agents: table(100_000),
            days: table(MOST_DAYS),
            storage: Storage::default(),
            unknown_contexts: Unknown::default(),
            unknown_endpoints: Unknown::default(),
            places,
            purposes,
        }
    }

    /// Calls to which an announcement was played, and what was missing on file, by line.
    pub fn by_line(&self) -> impl Iterator<Item = (&Arc<str>, u64, BTreeMap<Prerequisite, u64>)> {
        self.places.iter().map(|place| {
            let missing =
                Prerequisite::ALL.iter().copied().zip(place.missing).filter(|(_, calls)| *calls > 0);
            (&place.line.name, place.announced, missing.collect())
        })
    }

    /// Takes one record of a call that began at an instant.
    pub fn take(&mut self, life: &mut Life, contact: &Contact<'_>, began: Timestamp) {
        let near = self.names.seat(contact.near);
        if life.line.is_none() {
            let line = match contact.line {
                Some(line) => self.by_name.get(line),
                None => self.names.line(contact).and_then(|name| self.by_name.get(name)),
            };
            life.line = line.copied();
        }
        if life.queue.is_none() && !contact.queue.is_empty() {
            life.queue = Some(self.queue(contact.queue));
        }
        let Some(at) = life.line else {
            if contact.talk.is_some() {
                life.left = life.left.max(Left::NoLine);
                self.unknown_contexts.count(contact.context);
            }
            return;
        };
        let mut others: Vec<(Endpoint<'_>, Seat)> = Vec::with_capacity(1);
        for endpoint in std::iter::once(&contact.far).chain(&contact.more) {
            if *endpoint != Endpoint::Nobody {
                others.push((*endpoint, self.names.seat(*endpoint)));
            }
        }
        let direction = contact.direction.unwrap_or(match others.first() {
            Some((_, far)) if near.is_known() && far.is_known() => Direction::Internal,
            _ if near.is_known() => Direction::Outbound,
            _ => Direction::Inbound,
        });
        let arrives = life.hook.is_none();
        if arrives {
            let hook = self.arrive(at, direction, &near, life.queue.as_ref(), contact, began);
            self.places[at].announced += u64::from(hook.heard.is_some());
            life.hook = Some(hook);
        }
        if let Some(talk) = contact.talk {
            let mut agents = others;
            if direction == Direction::Outbound {
                // The first whom nobody knows was called.
                let customer = agents.iter().position(|(_, seat)| !seat.is_known());
                customer.map(|at| agents.remove(at));
            }
            if direction != Direction::Inbound && contact.near != Endpoint::Nobody {
                agents.insert(0, (contact.near, near));
            }
            self.talk(life, at, direction, (arrives, &agents), contact, began, talk);
        }
    }

    /// A queue by its name. Of more queues than a centre can have, the rest are one.
    fn queue(&mut self, name: &[u8]) -> Arc<str> {
        if let Some(known) = self.queues.get(name) {
            return known.clone();
        }
        if self.queues.len() >= MOST_QUEUES {
            return OTHERS.into();
        }
        let queue: Arc<str> = String::from_utf8_lossy(name).into();
        self.queues.insert(name.into(), queue.clone());
        queue
    }

    /// At the hook: what is announced before an agent is known.
    fn arrive(
        &mut self,
        at: usize,
        direction: Direction,
        near: &Seat,
        queue: Option<&Arc<str>>,
        contact: &Contact<'_>,
        began: Timestamp,
    ) -> Rc<Hook> {
        let agent = if direction == Direction::Internal { near.agent.clone() } else { None };
        let line = self.places[at].line;
        let mut facts = facts(line, direction, queue, began, began);
        match direction {
            Direction::Internal => facts.legs.push(agent_leg(0, near)),
            Direction::Inbound | Direction::Outbound => facts.legs.push(customer_leg(direction, contact)),
        }
        let somebody_exempt = facts.legs.iter().any(|leg| leg.is_exempt(self.policy));
        let key = (at, direction, queue.cloned(), agent, somebody_exempt);
        if let Some(hook) = self.hooks.get(&key).filter(|hook| hook.steady.contains(&began)) {
            return hook.clone();
        }
        let announce = announcement(&facts, self.policy);
        // What was said is what the prompt names.
        let prompt = announce.as_ref().and_then(|announce| {
            let language = &announce.prompt.as_ref()?.language;
            line.prompts.iter().find(|prompt| prompt.language == *language)
        });
        let has_key =
            |function| announce.as_ref().is_some_and(|announce| announce.keys.contains_key(&function));
        let heard = prompt.map(|prompt| &prompt.purposes);
        let of_line = self.places[at].purposes.iter().map(|purpose| &self.purposes[*purpose]);
        let names = of_line.map(|purpose| heard.is_some_and(|heard| heard.contains(purpose))).collect();
        let hook = Rc::new(Hook {
            steady: steady(line, self.policy, began),
            day: line.zone.day(began).to_string().into(),
            heard: heard.cloned(),
            names,
            may_refuse: has_key(Function::Object),
            asks: has_key(Function::Accept),
            known: Default::default(),
        });
        if self.hooks.len() >= MOST_HOOKS {
            self.hooks.clear();
        }
        self.hooks.insert(key, hook.clone());
        hook
    }

    #[expect(clippy::too_many_arguments, reason = "what is known of a talk")]
    fn talk(
        &mut self,
        life: &mut Life,
        at: usize,
        direction: Direction,
        (arrives, agents): (bool, &[(Endpoint<'_>, Seat)]),
        contact: &Contact<'_>,
        began: Timestamp,
        (since, seconds): (Timestamp, u32),
    ) {
        let stranger = agents.iter().find(|(_, seat)| !seat.is_known());
        if agents.is_empty() || stranger.is_some() {
            life.left = Left::NoAgent;
            if let Some((endpoint, _)) = stranger {
                self.unknown_endpoints.count(endpoint.name());
            }
            return;
        }
        let hook = life.hook.clone();
        // Who talks as he arrived, to one agent, and says nothing of his own is like others.
        let says_nothing = self.settings.refusing == 0 && self.settings.consenting == 0 && !contact.refused;
        let alike = match (&hook, agents) {
            (Some(hook), [(_, seat)]) if arrives && says_nothing && hook.steady.contains(&since) => {
                Some((hook, seat))
            }
            _ => None,
        };
        if life.agent.is_none() {
            life.agent = agents.iter().find_map(|(_, seat)| seat.agent.clone());
        }
        let known = alike.and_then(|(hook, seat)| hook.known.borrow().get(seat).cloned());
        if let Some(known) = known {
            let mut drawn = false;
            for stake in &known.lots {
                drawn |= self.draw(life, stake.clone(), contact.call);
            }
            if !drawn {
                life.marks =
                    known.reasons.iter().map(|reason| Mark { reason: *reason, seconds: 0 }).collect();
                return self.lacks(at, &known.missing);
            }
        }

        let line = self.places[at].line;
        let mut facts = facts(line, direction, life.queue.as_ref(), since, began);
        if direction != Direction::Internal {
            facts.legs.push(customer_leg(direction, contact));
        }
        facts.legs.extend(agents.iter().enumerate().map(|(place, (_, seat))| agent_leg(place, seat)));
        let outer = if direction == Direction::Internal { facts.legs.len() } else { 1 };
        for leg in &mut facts.legs[..outer] {
            leg.heard = hook.as_ref().and_then(|hook| hook.heard.clone());
        }
        self.answer(&mut facts, hook.as_deref(), contact);
        facts.sampling.drawn = life.drawn.clone();
        for stake in stakes(&facts, self.policy) {
            if !life.drawn.contains_key(&stake.campaign) {
                self.draw(life, stake, contact.call);
            }
        }
        facts.sampling.drawn = life.drawn.clone();
        let decision = decide(&facts, self.policy);
        if life.marks.is_empty() {
            let lacking = decision.purposes.values().filter(|v| v.reason == Reason::PrerequisiteMissing);
            let missing: BTreeSet<Prerequisite> = lacking.flat_map(|v| &v.missing).copied().collect();
            self.lacks(at, &missing);
            let no_lot_fell = !life.drawn.values().any(|drawn| *drawn);
            if let Some((hook, seat)) = alike.filter(|_| no_lot_fell && !decision.record) {
                let reasons = decision.purposes.values().map(|verdict| verdict.reason).collect();
                let known = Known { lots: life.lots.clone(), reasons, missing };
                hook.known.borrow_mut().insert(seat.clone(), Rc::new(known));
            }
        }
        life.note(&decision, since, u64::from(seconds));
    }

    fn draw(&mut self, life: &mut Life, stake: Stake, id: &[u8]) -> bool {
        let campaigns = &self.policy.site().campaigns;
        let lots = self.lots.entry(stake.campaign.clone()).or_insert_with_key(|name| {
            Lots::shared_by(campaigns.get(name).map_or(Stratify::Agent, |campaign| campaign.stratify))
        });
        let drawn = lots.draw(&stake, &self.settings.key, &call(id), life.agent.as_deref());
        life.drawn.insert(stake.campaign.clone(), drawn);
        life.lots.push(stake);
        drawn
    }

    /// Counts what is missing on file for a call.
    fn lacks(&mut self, at: usize, missing: &BTreeSet<Prerequisite>) {
        for prerequisite in missing {
            self.places[at].missing[*prerequisite as usize] += 1;
        }
    }

    /// What the customer says to the announcement.
    fn answer(&self, facts: &mut Facts, hook: Option<&Hook>, contact: &Contact<'_>) {
        let Some(customer) = facts.legs.first_mut().filter(|leg| leg.kind.is_external()) else { return };
        let says = |what: &str, of_thousand: u16| {
            of_thousand > 0
                && Draw::keyed(&self.settings.key, what, &call(contact.call)).is_below(of_thousand)
        };
        let refuses =
            hook.is_some_and(|hook| hook.may_refuse) && says("simulated refusal", self.settings.refusing);
        if contact.refused || refuses {
            customer.objected = Some(Scope::All);
        } else if hook.is_some_and(|hook| hook.asks) && says("simulated consent", self.settings.consenting) {
            customer.consented = Some(Scope::All);
        }
    }

    /// The call is over: it is counted. Gives the verdicts by purpose, none where it was not decided.
    pub fn finish(&mut self, life: &Life) -> Verdicts {
        let (Some(at), Some(hook)) = (life.line.filter(|_| !life.marks.is_empty()), &life.hook) else {
            self.left[life.left as usize] += 1;
            return Verdicts { left: Some(life.left), ..Verdicts::default() };
        };
        let place = &self.places[at];
        let nobody = || Arc::from("-");
        let agent = life.agent.clone().unwrap_or_else(nobody);
        let recorded = life.marks.iter().any(|mark| mark.reason == Reason::Ok);
        let count = |table: &mut Table, name: &Arc<str>| {
            let row = table.row(name);
            row.calls += 1;
            row.recorded += u64::from(recorded);
            for (mark, purpose) in life.marks.iter().zip(&place.purposes) {
                row.cells[*purpose].count(mark.reason, mark.seconds);
            }
            for (names, purpose) in hook.names.iter().zip(&place.purposes) {
                row.cells[*purpose].announced += u64::from(*names);
            }
        };
        count(&mut self.lines, &place.line.name);
        count(&mut self.agents, &agent);
        count(&mut self.days, &hook.day);
        if let Some(queue) = &life.queue {
            count(&mut self.by_queue, queue);
        }
        for (mark, purpose) in
            life.marks.iter().zip(&place.purposes).filter(|(mark, _)| mark.reason == Reason::Ok)
        {
            for stake in
                life.lots.iter().filter(|stake| stake.purpose == self.purposes[*purpose] && mark.seconds > 0)
            {
                if let Some(lots) = self.lots.get_mut(&stake.campaign) {
                    lots.was_recorded(stake, life.agent.as_deref());
                }
            }
        }
        for kept in &life.kept {
            self.storage.add(kept.seconds, kept.from, kept.scheduled, kept.gone_by);
        }
        Verdicts {
            line: Some(place.line.name.clone()),
            agent: life.agent.clone(),
            left: None,
            reasons: place.purposes.iter().zip(&life.marks).map(|(at, mark)| (*at, mark.reason)).collect(),
        }
    }
}

impl Life {
    /// Where the call was queued.
    pub fn queue(&self) -> Option<&Arc<str>> {
        self.queue.as_ref()
    }

    /// What was decided for a talk. A purpose was recorded if it was in any talk; else the first talk's reason stays.
    fn note(&mut self, decision: &Decision, since: Timestamp, seconds: u64) {
        let verdicts = decision.purposes.values().map(|verdict| verdict.reason);
        let seconds_for = |reason| if reason == Reason::Ok { seconds } else { 0 };
        if self.marks.is_empty() {
            self.marks = verdicts.map(|reason| Mark { reason, seconds: seconds_for(reason) }).collect();
        } else {
            for (mark, reason) in self.marks.iter_mut().zip(verdicts) {
                mark.reason = if reason == Reason::Ok { reason } else { mark.reason };
                mark.seconds += seconds_for(reason);
            }
        }
        if let Some(dates) = decision.retention {
            let gone_by = dates.delete_by.unwrap_or(Timestamp::MAX);
            let scheduled = dates.scheduled.unwrap_or(gone_by);
            self.kept.push(Kept { seconds, from: since, scheduled, gone_by });
        }
    }
}

/// A call's id as a live call would be drawn by.
fn call(id: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(id)
}
