//! The engine: what the PBX tells goes to the call that it concerns, one task a call. After a start and after every gap
//! it asks the PBX what is alive and brings the calls up to date: nothing that was missed is guessed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use temoin_core::command::Command;
use temoin_core::event::{Arrival, CallEvent, Direction, PbxEvent};
use temoin_core::id::CallId;
use temoin_core::journal::{Entry, Link, What};
use temoin_core::ports::{CallRecord, Change, LiveCall, SegmentQuery, StoreError};
use temoin_core::reconcile;
use temoin_core::segment::State;
use temoin_core::session::{Rules, Session};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::call::{self, Desktop};
use crate::clock::chance;

/// Rules in force, calls alive.
pub struct Engine {
    desktop: Desktop,
    rules: watch::Receiver<Arc<Rules>>,
    calls: HashMap<CallId, mpsc::UnboundedSender<CallEvent>>,
    tasks: JoinSet<CallId>,
    /// A file that says when this program last watched.
    alive: PathBuf,
    /// When the run before this one last watched.
    alive_before: Option<Timestamp>,
    /// Segments of an earlier run are still to be closed.
    orphans: bool,
}

/// How often that file is written.
const PULSE: Duration = Duration::from_millis(500);

impl Engine {
    /// An engine without calls. `alive` is a file that tells the next start when this run last watched.
    pub fn new(desktop: Desktop, rules: watch::Receiver<Arc<Rules>>, alive: PathBuf) -> Self {
        let alive_before = std::fs::read_to_string(&alive).ok().and_then(|text| text.trim().parse().ok());
        Self {
            desktop,
            rules,
            calls: HashMap::new(),
            tasks: JoinSet::new(),
            alive,
            alive_before,
            orphans: true,
        }
    }

    /// Runs until told to stop. `ready` is called once the PBX is watched, `progress` whenever the loop has turned.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        ready: impl Fn(),
        progress: impl Fn(),
    ) -> anyhow::Result<()> {
        let mut events = self.desktop.driver.events();
        let mut pulse = tokio::time::interval(PULSE);
        let mut watching = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                event = events.next() => match event {
                    Some(event) => {
                        let link = match &event {
                            PbxEvent::LinkUp => Some(true),
                            PbxEvent::LinkDown { .. } => Some(false),
                            PbxEvent::Arrived(_) | PbxEvent::Call(..) => None,
                        };
                        self.dispatch(event).await;
                        if let Some(up) = link {
                            watching = up;
                            if up {
                                ready();
                            }
                        }
                    }
                    None => anyhow::bail!("the PBX driver has ended"),
                },
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(call) => { self.calls.remove(&call); }
                    Err(error) => tracing::error!(%error, "a call's task failed"),
                },
                _ = pulse.tick() => {
                    if watching {
                        self.beat();
                    }
                    progress();
                }
            }
        }
    }

    async fn dispatch(&mut self, event: PbxEvent) {
        match event {
            PbxEvent::Arrived(arrival) => self.arrived(arrival),
            PbxEvent::Call(call, event) => self.tell(&call, event),
            PbxEvent::LinkUp => self.catch_up().await,
            PbxEvent::LinkDown { since } => {
                tracing::error!(%since, "the link to the PBX is lost; nothing new is recorded");
                for call in self.calls.values() {
                    let _ = call.send(CallEvent::LinkLost { since });
                }
            }
        }
    }

    fn tell(&self, call: &CallId, event: CallEvent) {
        if let Some(sender) = self.calls.get(call) {
            let _ = sender.send(event);
        }
    }

    fn arrived(&mut self, arrival: Arrival) {
        if let Some(sender) = self.calls.get(&arrival.call) {
            let _ = sender.send(CallEvent::Returned { at: arrival.at });
            return;
        }
        self.desktop.driver.follow(&arrival.call, &arrival.leg);
        self.spawn(arrival.call.clone(), |now, rules, seed| Session::begin(now, arrival, rules, seed));
    }

    fn spawn(
        &mut self,
        id: CallId,
        begin: impl FnOnce(Timestamp, Arc<Rules>, [u8; 32]) -> (Session, Vec<Command>),
    ) {
        let seed = match chance() {
            Ok(seed) => seed,
            Err(error) => return tracing::error!(%error, "no randomness; the call is left to the PBX"),
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        self.calls.insert(id.clone(), sender);
        let rules = Arc::clone(&self.rules.borrow());
        let (session, commands) = begin(self.desktop.clock.now(), rules, seed);
        let desktop = self.desktop.clone();
        self.tasks.spawn(async move {
            call::run(session, commands, receiver, desktop).await;
            id
        });
    }

    /// After a start or a gap: what is alive, who is connected, which codes nobody heard.
    async fn catch_up(&mut self) {
        let live = match self.desktop.driver.calls().await {
            Ok(live) => live,
            Err(error) => {
                // The driver tells `LinkUp` again once it can.
                tracing::error!(%error, "the PBX does not tell which calls are alive");
                return;
            }
        };
        let now = self.desktop.clock.now();
        let gone: Vec<CallId> =
            self.calls.keys().filter(|id| !live.iter().any(|live| live.call == **id)).cloned().collect();
        for call in gone {
            self.tell(&call, CallEvent::Ended { at: now });
        }
        for live in live {
            if !self.calls.contains_key(&live.call) {
                self.adopt(&live, now).await;
            }
            let LiveCall { call, parties, keys, in_hook, .. } = live;
            if !in_hook {
                self.tell(&call, CallEvent::Noted { keys });
            }
            self.tell(&call, CallEvent::Parties { parties, at: now });
            self.tell(&call, CallEvent::LinkBack);
        }
        if self.orphans {
            match self.close_orphans(now).await {
                Ok(()) => self.orphans = false,
                Err(error) => tracing::error!(%error, "segments of an earlier run are not closed yet"),
            }
        }
        tracing::info!(calls = self.calls.len(), "watching the PBX");
    }

    /// A leg that lives since before this start: what it heard and refused is not known here, so it is not recorded.
    async fn adopt(&mut self, live: &LiveCall, now: Timestamp) {
        if live.in_hook {
            // The PBX's own timer takes it on within seconds.
            return;
        }
        let known = self.desktop.store.call(&live.call).await.unwrap_or_else(|error| {
            tracing::warn!(%error, call = %live.call, "what is known of a running call cannot be read");
            None
        });
        let record = known.unwrap_or_else(|| CallRecord {
            id: live.call.clone(),
            line: "unknown".into(),
            direction: Direction::Inbound,
            number: None,
            queue: None,
            agents: Vec::new(),
            started: now,
            talked: None,
            ended: None,
            outcome: "found-after-restart".into(),
        });
        self.desktop.driver.follow(&live.call, &live.leg);
        let leg = live.leg.clone();
        let segments = self.desktop.store.segments(SegmentQuery::Call(live.call.clone())).await;
        let segments = segments.unwrap_or_else(|error| {
            tracing::warn!(%error, call = %live.call, "the segments of a running call cannot be read");
            Vec::new()
        });
        self.spawn(live.call.clone(), |now, rules, seed| {
            Session::adopt(now, record, leg, &segments, rules, seed)
        });
    }

    async fn close_orphans(&self, now: Timestamp) -> Result<(), StoreError> {
        let store = &self.desktop.store;
        for record in store.segments(SegmentQuery::In(State::Open, u32::MAX)).await? {
            let segment = &record.segment;
            let story = store.story(&segment.call).await?;
            let story: Vec<Entry> = story.iter().filter_map(Link::entry).collect();
            let closing = reconcile::close(&record, &story, self.alive_before, now);
            let entry =
                |what| Entry { at: now, call: Some(segment.call.clone()), segment: Some(segment.id), what };
            let since = self.alive_before.unwrap_or(segment.opened);
            self.desktop.outbox.post(vec![
                Change::Journal(entry(What::Gap { since })),
                Change::Journal(entry(What::Closed(closing.clone()))),
                Change::Close(segment.id, closing),
            ]);
        }
        Ok(())
    }

    fn beat(&self) {
        if let Err(error) =
            std::fs::write(&self.alive, self.desktop.outbox.settled(self.desktop.clock.now()).to_string())
        {
            tracing::warn!(%error, "the time of the last watch cannot be noted");
        }
    }
}
