//! Who is connected with whom. Pure state: channels, bridges, Local pairs, holds, spies; signs in, call events out.
//!
//! The truth about a customer is *all real devices reachable from his bridge through Local pairs*, plus whoever spies
//! on a channel on the way. It is worked out anew, for the customers that a sign can concern, after each sign
//! (`parties`); what of it is told, and when, is a story of its own (`told`): while a transfer or an optimisation is
//! under way, bad news is told at once and good news waits until things have settled.
//!
//! Time comes in: `now` is the driver's own monotonic time, for the windows; `at` is the PBX's, for the events.
//! Left out: parking, queues and conferences as such. All of them are bridges here, some of them holding ones.

mod parties;
mod told;

pub(crate) use parties::extension;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use temoin_core::event::{CallEvent, PbxEvent, Role};
use temoin_core::id::{CallId, LegId};

use crate::translate::status::Row;
use crate::translate::{self, Asking, By, Code, Sign, StepStage};
use told::Told;

/// How many channels that are gone we remember, so that a late word about one does not bring it back.
const REMEMBERED: usize = 4096;

/// Who is connected with whom.
#[derive(Debug, Default)]
pub struct Topology {
    channels: HashMap<String, Channel>,
    /// From a channel's present name to its id.
    names: HashMap<String, String>,
    bridges: HashMap<String, Bridge>,
    followed: BTreeMap<String, Told>,
    /// When the surroundings of which channel must be looked at again.
    alarms: BTreeSet<(Duration, String)>,
    /// Channels beside a customer whose recorders are to be stopped.
    recorded: Vec<String>,
    gone: Gone,
}

#[derive(Debug, Default)]
struct Channel {
    name: String,
    bridge: Option<String>,
    held: bool,
    agent: Option<String>,
    /// When each of the recorders on it that run began, as far as we heard of them.
    recorders: Vec<Timestamp>,
    /// That they run beside a customer was told.
    told: bool,
    /// Being transferred away: no party any more, until then.
    leaving: Option<Duration>,
    /// The channels that listen to this one, and those that it listens to.
    spies: BTreeSet<String>,
    spying: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Bridge {
    holding: bool,
    members: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Gone {
    set: HashSet<String>,
    order: VecDeque<String>,
}

impl Topology {
    /// Takes one sign in and says what it means for the followed customers.
    pub fn apply(&mut self, now: Duration, at: Timestamp, sign: &Sign) -> Vec<PbxEvent> {
        let seeds = self.seeds(sign);
        let mut affected = BTreeSet::new();
        self.hood(&seeds, &mut affected);
        let mut events: Vec<PbxEvent> = self.change(now, at, sign).into_iter().collect();
        self.hood(&seeds, &mut affected);
        self.open_windows(now, sign, &affected);
        for call in &affected {
            events.extend(self.recorded_beside(call));
        }
        events.extend(affected.iter().filter_map(|call| self.settle(call, now, at)));
        events
    }

    /// Starts following a customer. The name may be empty where it is not known.
    pub fn follow(&mut self, id: &str, name: &str) {
        if self.gone.set.contains(id) {
            return;
        }
        self.see(&translate::Channel { id: id.into(), name: name.into(), agent: None });
        self.followed.entry(id.into()).or_default();
    }

    /// Whether this customer is followed.
    pub fn follows(&self, id: &str) -> bool {
        self.followed.contains_key(id)
    }

    /// Since when a recorder runs on this channel that was started before anybody followed it.
    pub fn recorded_since(&self, id: &str) -> Option<Timestamp> {
        self.channels.get(id)?.recorders.first().copied()
    }

    /// The channels beside customers on which the PBX records by itself, since this was asked last. Our own recorders run on
    /// the customers' channels alone.
    pub fn recorded(&mut self) -> Vec<String> {
        std::mem::take(&mut self.recorded)
    }

    /// Whether this channel has hung up.
    pub fn is_gone(&self, id: &str) -> bool {
        self.gone.set.contains(id)
    }

    /// Whether this channel is known and alive.
    pub fn knows(&self, id: &str) -> bool {
        self.channels.contains_key(id)
    }

    /// The whole state as the PBX tells it after a gap; customers stay followed. `bridges`: each with whether it is a
    /// holding one.
    pub fn rebuild(&mut self, rows: &[Row], bridges: &BTreeMap<String, bool>) {
        self.channels.clear();
        self.names.clear();
        self.bridges.clear();
        self.alarms.clear();
        for row in rows {
            self.see(&row.channel);
            if let Some(channel) = self.channels.get_mut(&row.channel.id) {
                channel.held = row.held;
            }
            if let Some(id) = &row.bridge {
                let holding = bridges.get(id).copied().unwrap_or(false);
                self.enter(&row.channel.id, &translate::Bridge { id: id.clone(), holding });
            }
        }
        for row in rows {
            for spyee in spied_by(row, rows) {
                self.spy(&row.channel.id, spyee);
            }
        }
    }

    /// The followed customers that are not there any more; they are not followed any more either.
    pub fn forget_missing(&mut self) -> Vec<CallId> {
        let missing: Vec<String> =
            self.followed.keys().filter(|id| !self.channels.contains_key(*id)).cloned().collect();
        for id in &missing {
            self.hang_up(id);
        }
        missing.into_iter().map(CallId).collect()
    }

    /// What a sign changes, and the event that it is in itself.
    fn change(&mut self, now: Duration, at: Timestamp, sign: &Sign) -> Option<PbxEvent> {
        let told = |call: &str, event: CallEvent| Some(PbxEvent::Call(CallId(call.into()), event));
        match sign {
            // The last words of a channel may come after its hang-up.
            Sign::Entered { channel, .. } if self.is_gone(&channel.id) => {}
            Sign::Entered { channel, bridge, swap } => {
                self.see(channel);
                // The one whose place is taken is told as left before or after: one change, not two.
                if let Some(swapped) = swap {
                    self.leave(swapped, &bridge.id);
                }
                self.enter(&channel.id, bridge);
            }
            Sign::Left { channel, bridge } => {
                self.see(channel);
                self.leave(&channel.id, &bridge.id);
            }
            // Its members move one by one, and each move is told.
            Sign::Merged { .. } => {}
            Sign::Hold(channel) => self.hold(channel, true),
            Sign::Unhold(channel) => self.hold(channel, false),
            Sign::Transfer { leaving, transferee } => {
                transferee.iter().for_each(|channel| self.see(channel));
                for channel in leaving {
                    self.see(channel);
                    if let Some(channel) = self.channels.get_mut(&channel.id) {
                        channel.leaving = Some(now + told::LEAVING);
                    }
                }
            }
            Sign::OptimizationBegan { halves } | Sign::OptimizationEnded { halves } => {
                halves.iter().for_each(|half| self.see(half));
            }
            Sign::SpyBegan { spyer, spyee } => {
                self.see(spyer);
                self.see(spyee);
                self.spy(&spyer.id, &spyee.id);
            }
            Sign::SpyEnded { spyer } => self.end_spying(&spyer.id),
            Sign::Seen(channel) => self.see(channel),
            Sign::RecorderStarted(channel) => {
                self.see(channel);
                if let Some(channel) = self.channels.get_mut(&channel.id)
                    && !channel.recorders.contains(&at)
                {
                    channel.recorders.push(at);
                    channel.told = false;
                }
                if self.follows(&channel.id) {
                    return told(&channel.id, CallEvent::RecorderStarted { at });
                }
            }
            Sign::RecorderStopped(channel) => {
                if let Some(channel) = self.channels.get_mut(&channel.id) {
                    channel.recorders.pop();
                }
                if self.follows(&channel.id) {
                    return told(&channel.id, CallEvent::RecorderStopped { at });
                }
            }
            Sign::HungUp(channel) => {
                if self.hang_up(&channel.id) {
                    return told(&channel.id, CallEvent::Ended { at });
                }
            }
            Sign::ExemptRings { on, customer } => {
                self.see(on);
                let named = customer.as_ref().and_then(|name| self.names.get(name));
                let call = named.unwrap_or(&on.id).clone();
                // An exempt extension may be dialled by anybody, for no customer at all.
                if self.follows(&call) {
                    return told(&call, CallEvent::ExemptRings { at });
                }
            }
            Sign::Step { on, customer, stage } => {
                self.see(on);
                let named = customer.as_ref().and_then(|name| self.names.get(name));
                let call = named.unwrap_or(&on.id).clone();
                if self.follows(&call) {
                    return told(
                        &call,
                        match *stage {
                            StepStage::Begins => CallEvent::StepBegan { at },
                            StepStage::Ended(outcome) => CallEvent::StepEnded { outcome, at },
                        },
                    );
                }
            }
            Sign::Answered { channel, .. } => self.see(channel),
            Sign::Asking { channel, what } if self.follows(&channel.id) => {
                return told(&channel.id, asking(&channel.id, what, at));
            }
            Sign::Asking { .. } => {}
            Sign::Code(code) => {
                self.see(&code.on);
                let (call, leg) = self.pressed(code, now)?;
                let at = code.at.unwrap_or(at);
                return told(&call, CallEvent::Pressed { leg, keys: code.code.clone(), at });
            }
        }
        None
    }

    /// What is recorded beside a customer, on the leg of an agent or on the way to him, has the customer's voice in it: it is
    /// told as a recorder on his own channel is, once.
    fn recorded_beside(&mut self, call: &str) -> Vec<PbxEvent> {
        let beside = self.audible(call);
        let mut events = Vec::new();
        for id in beside {
            if let Some(channel) = self.channels.get_mut(&id)
                && let Some(at) = channel.recorders.last().copied()
                && !std::mem::replace(&mut channel.told, true)
            {
                events.push(PbxEvent::Call(CallId(call.into()), CallEvent::RecorderStarted { at }));
                self.recorded.push(id);
            }
        }
        events
    }

    /// A channel that is gone: out of its bridge, and nobody listens to it. Whether it was a followed customer.
    pub fn hang_up(&mut self, id: &str) -> bool {
        if let Some(bridge) = self.channels.get(id).and_then(|channel| channel.bridge.clone()) {
            self.leave(id, &bridge);
        }
        self.end_spying(id);
        if let Some(channel) = self.channels.remove(id) {
            if self.names.get(&channel.name).is_some_and(|found| found == id) {
                self.names.remove(&channel.name);
            }
            for spy in channel.spies {
                if let Some(spy) = self.channels.get_mut(&spy) {
                    spy.spying.remove(id);
                }
            }
        }
        self.gone.insert(id);
        self.followed.remove(id).is_some()
    }

    fn see(&mut self, seen: &translate::Channel) {
        if self.gone.set.contains(&seen.id) {
            return;
        }
        let channel = self.channels.entry(seen.id.clone()).or_default();
        if let Some(agent) = &seen.agent {
            channel.agent = (!agent.is_empty()).then(|| agent.clone());
        }
        if seen.name.is_empty() || channel.name == seen.name {
            return;
        }
        let old = std::mem::replace(&mut channel.name, seen.name.clone());
        if self.names.get(&old).is_some_and(|id| *id == seen.id) {
            self.names.remove(&old);
        }
        self.names.insert(seen.name.clone(), seen.id.clone());
        // ARI's own way to listen: the channel is named after the one that it listens to.
        if let Some((spyee, _)) = seen.name.strip_prefix("Snoop/").and_then(|name| name.rsplit_once('-')) {
            self.spy(&seen.id, spyee);
        }
    }

    fn enter(&mut self, id: &str, bridge: &translate::Bridge) {
        let Some(channel) = self.channels.get_mut(id) else {
            return;
        };
        channel.leaving = None;
        let old = channel.bridge.replace(bridge.id.clone());
        if let Some(old) = old.filter(|old| *old != bridge.id) {
            self.remove_member(id, &old);
        }
        let entry = self.bridges.entry(bridge.id.clone()).or_default();
        entry.holding = bridge.holding;
        entry.members.insert(id.into());
    }

    /// Out of this bridge. A late word about an earlier bridge changes nothing in the present one.
    fn leave(&mut self, id: &str, bridge: &str) {
        self.remove_member(id, bridge);
        if let Some(channel) = self.channels.get_mut(id)
            && channel.bridge.as_deref() == Some(bridge)
        {
            channel.bridge = None;
            channel.held = false;
            channel.leaving = None;
        }
    }

    fn remove_member(&mut self, id: &str, bridge: &str) {
        if let Some(entry) = self.bridges.get_mut(bridge) {
            entry.members.remove(id);
            if entry.members.is_empty() {
                self.bridges.remove(bridge);
            }
        }
    }

    fn hold(&mut self, channel: &translate::Channel, held: bool) {
        self.see(channel);
        if let Some(channel) = self.channels.get_mut(&channel.id) {
            channel.held = held;
        }
    }

    fn spy(&mut self, spyer: &str, spyee: &str) {
        if !self.channels.contains_key(spyee) {
            return;
        }
        if let Some(channel) = self.channels.get_mut(spyer) {
            channel.spying.insert(spyee.into());
        }
        if let Some(channel) = self.channels.get_mut(spyee) {
            channel.spies.insert(spyer.into());
        }
    }

    fn end_spying(&mut self, spyer: &str) {
        let Some(channel) = self.channels.get_mut(spyer) else {
            return;
        };
        for spyee in std::mem::take(&mut channel.spying) {
            if let Some(spyee) = self.channels.get_mut(&spyee) {
                spyee.spies.remove(spyer);
            }
        }
    }

    /// The customer that a code concerns and the leg that pressed it, where that can be told.
    fn pressed(&self, code: &Code, now: Duration) -> Option<(String, Option<LegId>)> {
        let named = code.customer.as_ref().and_then(|name| self.names.get(name));
        let call = named.unwrap_or(&code.on.id).clone();
        if !self.follows(&call) {
            tracing::warn!(channel = call, "a code for a call that is not followed");
            return None;
        }
        let presser = code.presser.as_ref().and_then(|name| self.names.get(name));
        let own = presser.is_some_and(|id| *id == call);
        let device = presser.filter(|id| !own && !self.is_local(id));
        let leg = match (code.by, own, device) {
            (Some(By::Customer), ..) | (None, true, _) => Some(LegId(call.clone())),
            (_, _, Some(device)) => Some(LegId(device.clone())),
            // Somebody behind a Local channel, or the agent for whom the dialplan ran on the customer's channel.
            (Some(By::Agent), ..) | (None, false, None) => {
                let mut members =
                    self.parties(&call, now).into_iter().filter(|party| party.role == Role::Member);
                members.next().filter(|_| members.next().is_none()).map(|party| party.leg)
            }
        };
        Some((call, leg))
    }
}

impl Gone {
    fn insert(&mut self, id: &str) {
        if self.set.insert(id.into()) {
            self.order.push_back(id.into());
        }
        if self.order.len() > REMEMBERED
            && let Some(old) = self.order.pop_front()
        {
            self.set.remove(&old);
        }
    }
}

fn asking(id: &str, what: &Asking, at: Timestamp) -> CallEvent {
    match what {
        Asking::Said { text, outcome, played } => {
            CallEvent::Said { text: *text, outcome: *outcome, played: *played, at }
        }
        Asking::Pressed(keys) => CallEvent::Pressed { leg: Some(LegId(id.into())), keys: keys.clone(), at },
        Asking::Machine => CallEvent::Machine { at },
        Asking::Over(how) => CallEvent::Asked { how: *how, at },
    }
}

/// The channels that this one spies on, as far as its application tells: a prefix of their names, or perhaps any.
fn spied_by<'a>(row: &'a Row, rows: &'a [Row]) -> impl Iterator<Item = &'a str> {
    let (application, data) = &row.application;
    let prefix = match application.as_str() {
        "ChanSpy" => Some(data.split(',').next().unwrap_or_default()),
        // Names an extension, not a channel: anybody could be the one.
        "ExtenSpy" => Some(""),
        _ => None,
    };
    let others = rows.iter().filter(move |other| other.channel.id != row.channel.id);
    let spied = others.filter(move |other| prefix.is_some_and(|p| other.channel.name.starts_with(p)));
    spied.map(|other| other.channel.id.as_str())
}
