//! The sidecar in its place: everything that `wiring::serve` starts, on fakes; started, killed at any moment, and started
//! again on the same disk beside the same PBX.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use temoin::call::{Alarms, Desktop};
use temoin::engine::Engine;
use temoin::keep::{Keeper, Settings};
use temoin::outbox::{Outbox, Tell};
use temoin::register::sweep::Purger;
use temoin::sweep::Sweeper;
use temoin_core::command::Media;
use temoin_core::desk::{Desk, DeskLine, Text, Unavailable};
use temoin_core::journal::{Entry, What};
use temoin_core::pack;
use temoin_core::policy::Policy;
use temoin_core::ports::{Change, Clock, PbxDriver, Store, Vault};
use temoin_core::session::{DrawKey, Rules};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::WorldClock;
use crate::pbx::{Driver, Pbx};
use crate::shelf::{Disk, Shelf};

pub const SITE: &str = include_str!("site.toml");

/// What can be said.
pub const TEXTS: [Text; 8] = [
    Text::OptOut,
    Text::OptIn,
    Text::Notice,
    Text::Info,
    Text::Refused,
    Text::Unavailable,
    Text::Alternative,
    Text::Contract,
];

/// The rules of a policy at this desk.
pub fn rules(policy: &str, key: [u8; 32]) -> Rules {
    let policy = Policy::load(("site.toml", policy), pack::shipped()).expect("a readable site");
    let sounds = TEXTS.map(|text| {
        let name = format!("/sounds/{text:?}");
        (text, Some(Media { name, length: Duration::from_millis(600), language: "fr".into() }))
    });
    let refuses = DeskLine { unavailable: Unavailable::Refuse, ..DeskLine::default() };
    let desk = Desk {
        hash: "desk".into(),
        extensions: [("2001", "amel"), ("2002", "bruno")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        sounds: [("fr".to_owned(), sounds.into())].into(),
        lines: [("bourse".to_owned(), refuses)].into(),
        ..Desk::default()
    };
    Rules { policy, desk, key: DrawKey(key) }
}

/// What outlives a sidecar.
pub struct Ground {
    pub clock: Arc<WorldClock>,
    pub disk: Arc<Disk>,
    pub pbx: Arc<Pbx>,
    pub rules: watch::Sender<Arc<Rules>>,
    pub dir: PathBuf,
}

/// A sidecar that runs.
pub struct Sidecar {
    driver: Arc<Driver>,
    shelf: Shelf,
    tasks: Vec<JoinHandle<()>>,
}

struct Told(Arc<Keeper>);

impl Tell for Told {
    fn wrote(&self) {
        self.0.notify();
    }
}

impl Sidecar {
    /// Starts, as `wiring::serve` does.
    pub fn start(ground: &Ground) -> Self {
        let clock: Arc<dyn Clock> = ground.clock.clone();
        let shelf = Shelf::new(Arc::clone(&ground.disk));
        let store: Arc<dyn Store> = Arc::new(shelf.clone());
        let vault: Arc<dyn Vault> = Arc::new(shelf.clone());
        let driver = Arc::new(ground.pbx.connect());
        let spool = ground.dir.join("spool");
        let keeper = Keeper::new(Arc::clone(&store), vault, Arc::clone(&clock), Settings::new(&spool));
        let keeper = Arc::new(keeper.expect("the spool"));
        let told = Told(Arc::clone(&keeper));
        let (outbox, writer) = Outbox::start(Arc::clone(&store), Arc::clone(&clock), told);
        let in_force = ground.rules.subscribe();
        let what = What::Started {
            version: "simulated".into(),
            policy: in_force.borrow().policy.hash_hex(),
            config: "desk".into(),
        };
        let started = Entry { at: clock.now(), call: None, segment: None, what };
        outbox.post(vec![Change::Journal(started)]);
        let sweeper = Sweeper::new(Arc::clone(&store), Arc::clone(&clock));
        let purger = Purger::new(Arc::clone(&store), Arc::clone(&clock), ground.rules.subscribe());
        let desktop = Desktop {
            driver: driver.clone() as Arc<dyn PbxDriver>,
            store,
            outbox,
            clock,
            register_key: ground.dir.join("register.key"),
            spool,
            lacks: watch::channel(None).1,
            alarms: Arc::new(Alarms::default()),
        };
        let engine = Engine::new(desktop, in_force, ground.dir.join("alive"));
        let waker = Arc::clone(&keeper);
        let swept = move |doomed| {
            if doomed > 0 {
                waker.notify();
            }
        };
        let tasks = vec![
            tokio::spawn(async move {
                engine.run(CancellationToken::new(), || {}, || {}).await.expect("the driver goes on");
            }),
            writer,
            tokio::spawn(async move { keeper.run(std::future::pending()).await }),
            tokio::spawn(async move { sweeper.run(swept, || {}).await }),
            tokio::spawn(purger.run()),
        ];
        Self { driver, shelf, tasks }
    }

    /// As SIGKILL does: nothing that it holds gets on. `durable`: what it saw until then, it has written down.
    pub fn kill(self, ground: &Ground, durable: i64) {
        self.driver.die();
        self.shelf.die();
        self.tasks.iter().for_each(JoinHandle::abort);
        ground.pbx.disconnect(durable);
    }

    /// Whether a task that ought to go on for ever has fallen.
    pub fn has_fallen(&self) -> bool {
        self.tasks.iter().any(JoinHandle::is_finished)
    }
}
