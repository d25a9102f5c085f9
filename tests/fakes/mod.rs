//! A PBX that a test plays, and the sidecar's inside around it.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use temoin::call::{Alarms, Desktop};
use temoin::engine::Engine;
use temoin::outbox::Outbox;
use temoin::room::Lack;
use temoin::watchdog::Watchdog;
use temoin_core::command::{DriverError, Media, Order, Reply};
use temoin_core::desk::{Desk, Text};
use temoin_core::event::{Arrival, CallEvent, Party, PbxEvent, Playback, Role};
use temoin_core::id::{CallId, LegId, OrderNo, SegmentId};
use temoin_core::journal::{Entry, Link, Verifier, What};
use temoin_core::pack;
use temoin_core::policy::Policy;
use temoin_core::ports::{
    Ballot, CallRecord, Clock, Counters, LiveCall, PbxDriver, SegmentQuery, SegmentRecord, Store,
};
use temoin_core::sampling::Draw;
use temoin_core::segment::State;
use temoin_core::session::{DrawKey, Rules};
use temoin_core::testing::MemoryStore;
use temoin_core::words::Direction;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// So many seconds into the test.
pub fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-10-05T08:30:00Z".parse().expect("an instant");
    start + SignedDuration::from_secs(seconds)
}

pub fn call_id(call: &str) -> CallId {
    CallId(call.into())
}

pub fn leg_id(call: &str) -> LegId {
    LegId(format!("leg-{call}"))
}

/// Somebody at an extension.
pub fn agent(extension: &str) -> Party {
    Party {
        leg: LegId(format!("leg-{extension}")),
        extension: Some(extension.into()),
        agent: None,
        customer_of: None,
        role: Role::Member,
        held: false,
    }
}

/// The French call centre of the examples.
pub fn policy() -> String {
    std::fs::read_to_string(format!("{ROOT}/examples/policies/french-call-centre.toml")).expect("the example")
}

pub fn rules(policy: &str) -> Rules {
    rules_with(policy, [7; 32])
}

/// Rules whose key draws this call, if it is the first.
pub fn rules_that_draw(call: &str) -> Rules {
    let draws = |key: &[u8; 32]| {
        let draw = Draw::keyed(key, "autumn", call);
        let (campaign, stratum) = ("autumn".into(), String::new());
        Ballot { campaign, call: call_id(call), stratum, rate: 200, draw, at: at(0) }
            .settle(&Counters::default())
    };
    let key = (0..=u8::MAX).map(|n| [n; 32]).find(draws).expect("one of them draws it");
    rules_with(&policy(), key)
}

fn rules_with(policy: &str, key: [u8; 32]) -> Rules {
    let policy = Policy::load(("policy.toml", policy), pack::shipped()).expect("a policy");
    let media = |text: Text| {
        let name = format!("sounds/{text:?}");
        (text, Some(Media { name, length: Duration::from_millis(500), language: "fr".into() }))
    };
    let sounds = [Text::OptOut, Text::OptIn, Text::Notice, Text::Info, Text::Refused].map(media);
    let desk = Desk {
        hash: "desk".into(),
        extensions: [("2001".to_owned(), "amel".to_owned())].into(),
        sounds: [("fr".to_owned(), sounds.into())].into(),
        ..Desk::default()
    };
    Rules { policy, desk, key: DrawKey(key) }
}

/// A clock that goes with the runtime's.
#[derive(Debug)]
pub struct TestClock {
    begun: tokio::time::Instant,
    ahead: Mutex<SignedDuration>,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let gone = SignedDuration::try_from(self.begun.elapsed()).expect("a short test");
        at(0) + gone + *lock(&self.ahead)
    }
}

/// A PBX that does what it is told, at once, and tells what a test says.
pub struct Pbx {
    tell: mpsc::UnboundedSender<PbxEvent>,
    told: Mutex<Option<mpsc::UnboundedReceiver<PbxEvent>>>,
    orders: Mutex<HashMap<CallId, Vec<Order>>>,
    live: Mutex<Vec<LiveCall>>,
    wedged: AtomicBool,
    mute: AtomicBool,
    asked: AtomicBool,
    exempt: Mutex<BTreeSet<String>>,
    spool: PathBuf,
}

impl Pbx {
    fn new(spool: PathBuf) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self {
            tell,
            told: Mutex::new(Some(told)),
            orders: Mutex::default(),
            live: Mutex::default(),
            wedged: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            exempt: Mutex::default(),
            spool,
        }
    }

    pub fn tell(&self, event: PbxEvent) {
        self.tell.send(event).expect("somebody listens");
    }

    /// What it answers when it is asked what is alive.
    pub fn live(&self, live: Vec<LiveCall>) {
        *lock(&self.live) = live;
    }

    /// It does not answer any more when it is asked what is alive.
    pub fn wedge(&self, wedged: bool) {
        self.wedged.store(wedged, Ordering::SeqCst);
    }

    /// It answers then that it does not know.
    pub fn mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::SeqCst);
    }

    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// The exempt extensions that it was told last.
    pub fn exempt_list(&self) -> BTreeSet<String> {
        lock(&self.exempt).clone()
    }

    pub fn orders(&self, call: &str) -> Vec<Order> {
        lock(&self.orders).get(&call_id(call)).cloned().unwrap_or_default()
    }

    pub fn count(&self, call: &str, order: &Order) -> usize {
        self.orders(call).iter().filter(|given| *given == order).count()
    }

    pub fn records(&self, call: &str) -> Vec<SegmentId> {
        let record = |order: Order| match order {
            Order::Record(id) => Some(id),
            _ => None,
        };
        self.orders(call).into_iter().filter_map(record).collect()
    }
}

/// The driver's end of it: what the engine holds.
impl PbxDriver for Pbx {
    fn events(&self) -> BoxStream<'static, PbxEvent> {
        match lock(&self.told).take() {
            Some(mut told) => futures::stream::poll_fn(move |context| told.poll_recv(context)).boxed(),
            None => futures::stream::empty().boxed(),
        }
    }

    fn perform(
        &self,
        call: &CallId,
        _leg: &LegId,
        number: OrderNo,
        order: Order,
    ) -> BoxFuture<'static, Result<Reply, DriverError>> {
        lock(&self.orders).entry(call.clone()).or_default().push(order.clone());
        let mut reply = Reply::default();
        match order {
            Order::Announce(media) => {
                let (tell, call) = (self.tell.clone(), call.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(media.length).await;
                    let heard = CallEvent::Played { order: number, outcome: Playback::Heard, at: at(1) };
                    let _ = tell.send(PbxEvent::Call(call, heard));
                });
            }
            Order::Record(id) => {
                std::fs::write(self.spool.join(format!("{id}-in.wav")), b"").expect("a file");
            }
            Order::Stop => reply.stopped = 1,
            Order::Silence
            | Order::Beat
            | Order::Prepare { .. }
            | Order::Release(_)
            | Order::Brief(_)
            | Order::HangUp => {}
        }
        Box::pin(async move { Ok(reply) })
    }

    fn calls(&self) -> BoxFuture<'static, Result<Vec<LiveCall>, DriverError>> {
        self.asked.store(true, Ordering::SeqCst);
        let live = lock(&self.live).clone();
        if self.wedged.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        let answer = if self.mute.load(Ordering::SeqCst) { Err(DriverError::Unknown) } else { Ok(live) };
        Box::pin(async move { answer })
    }

    fn follow(&self, _call: &CallId, _leg: &LegId) {}

    fn exempt(&self, extensions: BTreeSet<String>) {
        *lock(&self.exempt) = extensions;
    }
}

/// The sidecar's inside.
pub struct World {
    pub pbx: Arc<Pbx>,
    pub store: Arc<MemoryStore>,
    pub clock: Arc<TestClock>,
    pub outbox: Outbox,
    /// Whether the disks have room.
    pub room: watch::Sender<Option<Lack>>,
    rules: watch::Sender<Arc<Rules>>,
    desktop: Option<Desktop>,
    turns: Arc<AtomicU64>,
    stop: CancellationToken,
    dir: TempDir,
}

impl World {
    /// Not running yet: for a test that lays out what an earlier run left.
    pub fn prepare(rules: Rules) -> Self {
        let dir = TempDir::new().expect("a folder");
        std::fs::create_dir(dir.path().join("spool")).expect("a folder");
        let text = std::fs::read_to_string(format!("{ROOT}/examples/temoin.toml")).expect("the example");
        let here = text
            .replace("/var/lib/temoin/", "")
            .replace("policies/french-call-centre.toml", "policy.toml")
            .replace("../dialplans", &format!("{ROOT}/dialplans"));
        std::fs::write(dir.path().join("temoin.toml"), here).expect("a file");
        std::fs::write(dir.path().join("policy.toml"), policy()).expect("a file");
        let store = Arc::new(MemoryStore::new("node-1", "site-1"));
        let clock = Arc::new(TestClock { begun: tokio::time::Instant::now(), ahead: Mutex::default() });
        let pbx = Arc::new(Pbx::new(dir.path().join("spool")));
        let (outbox, _) = Outbox::start(store.clone(), clock.clone(), ());
        let (room, lacks) = watch::channel(None);
        let desktop = Desktop {
            driver: pbx.clone(),
            store: store.clone(),
            outbox: outbox.clone(),
            clock: clock.clone(),
            register_key: dir.path().join("register.key"),
            spool: dir.path().join("spool"),
            lacks,
            alarms: Arc::new(Alarms::default()),
        };
        let (rules, _) = watch::channel(Arc::new(rules));
        let (turns, stop) = (Arc::default(), CancellationToken::new());
        Self { pbx, store, clock, outbox, room, rules, desktop: Some(desktop), turns, stop, dir }
    }

    /// Starts the engine, and waits until it watches.
    pub async fn run(mut self) -> Self {
        let desktop = self.desktop.take().expect("it starts once");
        let engine = Engine::new(desktop, self.rules.subscribe(), self.dir.path().join("alive"));
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let (ready, turns) = (Mutex::new(Some(ready)), Arc::clone(&self.turns));
        let ready = move || {
            if let Some(ready) = lock(&ready).take() {
                let _ = ready.send(());
            }
        };
        let turned = move || {
            turns.fetch_add(1, Ordering::SeqCst);
        };
        tokio::spawn(engine.run(self.stop.clone(), ready, turned));
        self.pbx.tell(PbxEvent::LinkUp);
        is_ready.await.expect("it watches");
        self
    }

    pub async fn start(rules: Rules) -> Self {
        Self::prepare(rules).run().await
    }

    pub fn clock_goes_on(&self, by: SignedDuration) {
        *lock(&self.clock.ahead) += by;
    }

    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::SeqCst)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).expect("a file");
    }

    /// What a SIGHUP does.
    pub fn reload(&self) {
        temoin::rules::renew(&self.file("temoin.toml"), &self.rules, &self.outbox, self.clock.now());
    }

    pub fn arrive(&self, call: &str) {
        self.pbx.tell(PbxEvent::Arrived(Arrival {
            call: call_id(call),
            leg: leg_id(call),
            line: "accueil".into(),
            direction: Direction::Inbound,
            queue: None,
            language: None,
            number: Some("+33199001234".into()),
            briefed: None,
            at: self.clock.now(),
        }));
    }

    pub fn talk(&self, call: &str, parties: Vec<Party>) {
        let parties = CallEvent::Parties { parties, at: self.clock.now() };
        self.pbx.tell(PbxEvent::Call(call_id(call), parties));
    }

    /// The customer presses.
    pub fn press(&self, call: &str, keys: &str) {
        let pressed = CallEvent::Pressed { leg: Some(leg_id(call)), keys: keys.into(), at: self.clock.now() };
        self.pbx.tell(PbxEvent::Call(call_id(call), pressed));
    }

    pub fn end(&self, call: &str) {
        let ended = CallEvent::Ended { at: self.clock.now() };
        self.pbx.tell(PbxEvent::Call(call_id(call), ended));
    }

    /// Waits for something, at most two minutes of the test's time.
    pub async fn found<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let limit = tokio::time::Instant::now() + Duration::from_secs(120);
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if tokio::time::Instant::now() > limit {
                panic!("it does not happen: {what}; {:#?}", self.journal().await);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        self.found(what, async || is().then_some(())).await;
    }

    /// The segment of a call that is being recorded, once it is.
    pub async fn recorded(&self, call: &str) -> SegmentId {
        self.found("it is recorded", async || {
            let recording = self.story(call).await.contains(&What::Recording);
            recording.then(|| self.pbx.records(call).pop()).flatten()
        })
        .await
    }

    pub async fn closed(&self, id: SegmentId) {
        self.found("it is closed", async || (self.segment(id).await.state != State::Open).then_some(()))
            .await;
    }

    pub async fn segment(&self, id: SegmentId) -> SegmentRecord {
        self.store.segments(SegmentQuery::Id(id)).await.expect("segments").pop().expect("a row")
    }

    pub async fn record(&self, call: &str) -> Option<CallRecord> {
        self.store.call(&call_id(call)).await.expect("a call")
    }

    pub async fn story(&self, call: &str) -> Vec<What> {
        let Ok(links) = self.store.story(&call_id(call)).await else {
            return Vec::new();
        };
        links.iter().filter_map(Link::entry).map(|entry| entry.what).collect()
    }

    pub async fn journal(&self) -> Vec<Entry> {
        let links = self.store.chain(0, u32::MAX).await.unwrap_or_default();
        links.iter().filter_map(Link::entry).collect()
    }

    /// How many lines of the journal are such.
    pub async fn journal_of(&self, is: impl Fn(&What) -> bool) -> usize {
        self.journal().await.iter().filter(|entry| is(&entry.what)).count()
    }

    /// The policy under which a call came.
    pub async fn arrived_under(&self, call: &str) -> String {
        self.found("it arrives", async || {
            self.story(call).await.into_iter().find_map(|what| match what {
                What::Arrived { policy, .. } => Some(policy),
                _ => None,
            })
        })
        .await
    }

    /// The journal is whole.
    pub async fn verify(&self) {
        let mut verifier = Verifier::default();
        for link in self.store.chain(0, u32::MAX).await.expect("the journal") {
            verifier.next(&link).expect("a whole chain");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A child process that feeds the watchdog by the engine's turns, until the PBX keeps the engine waiting.
pub fn be_fed_and_wedged() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let watchdog = Watchdog::default();
        let loops = watchdog.watch("the calls", Duration::from_secs(1));
        let world = World::start(rules(&policy())).await;
        let turns = Arc::clone(&world.turns);
        tokio::spawn(async move {
            let mut seen = 0;
            loop {
                let now = turns.load(Ordering::SeqCst);
                if std::mem::replace(&mut seen, now) != now {
                    loops.turned();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        tokio::spawn(temoin::wiring::feed(watchdog));
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.pbx.wedge(true);
        world.pbx.tell(PbxEvent::LinkUp);
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
}

/// Log lines, kept.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.0)).into_owned()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
