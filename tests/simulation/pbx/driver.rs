//! The port: what one run of the sidecar holds of the PBX.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt as _};
use temoin_core::command::{DriverError, Order, Reply};
use temoin_core::event::{CallEvent, PbxEvent};
use temoin_core::id::{CallId, LegId, OrderNo};
use temoin_core::ports::{LiveCall, PbxDriver};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Link, Pbx};

type Told = mpsc::UnboundedReceiver<(Instant, PbxEvent)>;

/// A connection to the PBX.
pub struct Driver {
    pbx: Arc<Pbx>,
    run: u32,
    told: Mutex<Option<Told>>,
    dead: AtomicBool,
}

impl Driver {
    pub(super) fn new(pbx: Arc<Pbx>, run: u32, told: Told) -> Self {
        Self { pbx, run, told: Mutex::new(Some(told)), dead: AtomicBool::new(false) }
    }

    /// The dead ask for nothing.
    pub fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }
}

impl PbxDriver for Driver {
    fn events(&self) -> BoxStream<'static, PbxEvent> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(told) = told else { return futures::stream::empty().boxed() };
        futures::stream::unfold(told, |mut told| async move {
            let (due, event) = told.recv().await?;
            tokio::time::sleep_until(due).await;
            Some((event, told))
        })
        .boxed()
    }

    fn perform(
        &self,
        call: &CallId,
        _leg: &LegId,
        number: OrderNo,
        order: Order,
    ) -> BoxFuture<'static, Result<Reply, DriverError>> {
        if self.is_dead() {
            return Box::pin(std::future::pending());
        }
        let (result, after) = self.pbx.perform(call, number, order);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            result
        })
    }

    fn calls(&self) -> BoxFuture<'static, Result<Vec<LiveCall>, DriverError>> {
        let mut state = self.pbx.lock();
        let now = self.pbx.clock.ms();
        if self.is_dead() {
            return Box::pin(std::future::pending());
        }
        let result = if state.link == Link::Up {
            state.watched(now);
            for truth in state.truths.values_mut().filter(|truth| truth.ended.is_none()) {
                truth.read(now);
            }
            let live = state.channels.iter().map(|(call, channel)| LiveCall {
                call: call.clone(),
                leg: LegId(call.0.clone()),
                parties: channel.parties.iter().map(|who| who.party(channel.held)).collect(),
                keys: Some(channel.notes.clone()),
                in_hook: channel.in_hook,
            });
            Ok(live.collect())
        } else {
            Err(DriverError::Unsent)
        };
        let after = state.chance.range(1, 30);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            result
        })
    }

    fn follow(&self, call: &CallId, _leg: &LegId) {
        let mut state = self.pbx.lock();
        let Some(wire) = state.wire.as_mut().filter(|wire| wire.run == self.run) else { return };
        wire.followed.insert(call.clone());
        let at = self.pbx.at();
        let event = match state.channels.get(call) {
            Some(channel) => CallEvent::Parties {
                parties: channel.parties.iter().map(|who| who.party(channel.held)).collect(),
                at,
            },
            None => CallEvent::Ended { at },
        };
        self.pbx.tell(&mut state, call, event);
    }

    fn exempt(&self, extensions: BTreeSet<String>) {
        if !self.is_dead() {
            self.pbx.lock().exempt = extensions;
        }
    }
}
