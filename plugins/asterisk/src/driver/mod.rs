//! The driver: two links, one hub, and the orders.
//!
//! [`links`] keeps the two connections up; [`hub`] owns the topology and is the only place where events are made;
//! [`look`] asks the PBX about itself after a gap; [`hook`] and [`recorder`] carry out orders; [`exempt`] keeps the list
//! of those who are never recorded in the PBX. Tasks end when the
//! [`Asterisk`] is dropped; orders that are on their way end with their deadlines.
//!
//! This is the shell of the crate, and the only part that reads the time.

mod exempt;
mod hook;
mod hub;
pub(crate) mod links;
mod look;
mod outbound;
mod playing;
pub(crate) mod recorder;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use temoin_core::command::{DriverError, Order, Reply};
use temoin_core::event::PbxEvent;
use temoin_core::id::{CallId, LegId, OrderNo};
use temoin_core::ports::{LiveCall, PbxDriver};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::ami::connection::{ActionError, Handle};
use crate::ari::Address;
use crate::ari::rest::Rest;
use crate::config::{AsteriskConfig, wait};
use crate::error::{Place, StartError};
use crate::tls;
use hook::Hook;
use hub::{Hub, Note};
use recorder::Recorders;

/// An Asterisk, near or far, present or not yet.
pub struct Asterisk {
    notes: mpsc::UnboundedSender<Note>,
    events: Mutex<Option<mpsc::UnboundedReceiver<PbxEvent>>>,
    hook: Hook,
    recorders: Arc<Recorders>,
    order: Duration,
    exempt: watch::Sender<Option<BTreeSet<String>>>,
    shared: Arc<Shared>,
    /// Aborted when this is dropped.
    _tasks: JoinSet<()>,
}

/// What all parts of the driver know.
struct Shared {
    config: AsteriskConfig,
    address: Address,
    rest: Rest,
    ami_tls: Option<tls::Client>,
    /// The AMI connection that is logged in now.
    ami: watch::Sender<Option<Handle>>,
    passed_over: AtomicU64,
}

impl Asterisk {
    /// Connects. Wrong credentials, missing permissions and a version that was never tested are errors. A PBX that is
    /// absent is none: the driver keeps trying, and says `LinkUp` when all is there. Must be called inside a tokio
    /// runtime.
    pub async fn connect(config: AsteriskConfig) -> Result<Self, StartError> {
        let address = Address::new(&config.ari)?;
        let rest = Rest::new(&address)?;
        let ami_tls = match &config.ami.tls {
            Some(tls) => Some(tls::Client::new(Place::Ami, &config.ami.host, tls)?),
            None => None,
        };
        let order = wait(config.deadlines.order);
        let patience = 4 * wait(config.deadlines.connect);
        let ami = watch::Sender::new(None);
        let shared = Arc::new(Shared { config, address, rest, ami_tls, ami, passed_over: AtomicU64::new(0) });
        let (notes, inbox) = mpsc::unbounded_channel();
        let (out, events) = mpsc::unbounded_channel();
        let (tell, first) = oneshot::channel();
        let hook = Hook::new(shared.rest.clone(), notes.clone());
        let recorders = Arc::new(Recorders::new(shared.config.spool.clone(), shared.ami.subscribe()));
        let mut tasks = JoinSet::new();
        let hub = Hub::new(shared.clone(), notes.clone(), out, tell, hook.clone(), recorders.clone());
        tasks.spawn(hub.run(inbox));
        tasks.spawn(links::keep_ami(shared.clone(), notes.clone()));
        tasks.spawn(links::keep_ari(shared.clone(), notes.clone()));
        let exempt = watch::Sender::new(None);
        tasks.spawn(exempt::mirror(shared.clone(), exempt.subscribe()));
        if let Ok(Ok(Err(fault))) = timeout(patience, first).await {
            return Err(fault);
        }
        let events = Mutex::new(Some(events));
        Ok(Self { notes, events, hook, recorders, order, exempt, shared, _tasks: tasks })
    }

    /// How many events of either interface were none of our business, since the start.
    pub fn passed_over(&self) -> u64 {
        self.shared.passed_over.load(Ordering::Relaxed)
    }
}

impl PbxDriver for Asterisk {
    fn events(&self) -> BoxStream<'static, PbxEvent> {
        match lock(&self.events).take() {
            Some(events) => {
                stream::unfold(events, async |mut events| Some((events.recv().await?, events))).boxed()
            }
            None => stream::empty().boxed(),
        }
    }

    fn perform(
        &self,
        call: &CallId,
        _leg: &LegId,
        number: OrderNo,
        order: Order,
    ) -> BoxFuture<'static, Result<Reply, DriverError>> {
        let deadline = Instant::now() + self.order;
        match order {
            Order::Record(segment) => self.recorders.record(call, segment, deadline).boxed(),
            Order::Stop => self.recorders.stop(call, deadline).boxed(),
            order => self.hook.order(call, number, order, deadline).boxed(),
        }
    }

    fn calls(&self) -> BoxFuture<'static, Result<Vec<LiveCall>, DriverError>> {
        let (tell, told) = oneshot::channel();
        let sent = self.notes.send(Note::Calls(tell)).is_ok();
        async move {
            match told.await {
                Ok(calls) => calls,
                Err(_) if sent => Err(DriverError::Unknown),
                Err(_) => Err(DriverError::Unsent),
            }
        }
        .boxed()
    }

    fn follow(&self, call: &CallId, _leg: &LegId) {
        let _ = self.notes.send(Note::Follow(call.clone()));
    }

    fn exempt(&self, extensions: BTreeSet<String>) {
        self.exempt.send_replace(Some(extensions));
    }
}

impl From<ActionError> for DriverError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Unsent => Self::Unsent,
            ActionError::Unknown => Self::Unknown,
            ActionError::Invalid(why) => Self::Refused(why),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
