//! The only file that names plugins: what stands where, and in which order it starts and stops.

use std::future::Future as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use sd_notify::NotifyState;
use temoin_asterisk::Asterisk;
pub use temoin_asterisk::AsteriskConfig;
pub(crate) use temoin_asterisk::dialplan::{
    Code as DialplanCode, Does, Line as DialplanLine, features, is_plain as plays, lines as hooks,
};
use temoin_core::id::CallId;
use temoin_core::journal::{Entry, What};
use temoin_core::ports::{Change, Clock, PbxDriver, Store, StoreError, Vault};
use temoin_core::session::Rules;
use temoin_sqlite::{Options, SqliteStore};
use temoin_vault::ObjectVault;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::call::{Alarms, Desktop};
use crate::clock::{PatientClock, SteadyClock, SystemClock};
use crate::config::{Config, StoreConfig, VaultConfig};
use crate::engine::Engine;
use crate::keep::{Keeper, Settings};
use crate::outbox::{Outbox, Tell};
use crate::register::sweep::Purger;
use crate::room::Room;
use crate::rules;
use crate::sweep::Sweeper;
use crate::watchdog::{Turns, Watchdog};

/// Calls and journal go on at least so often; a PBX or an index that is away has answered by then.
const WITHIN: Duration = Duration::from_secs(30);
/// What looks once a minute goes on at least so often, with an hour of audio to be encrypted in between.
const WITHIN_REST: Duration = Duration::from_secs(300);

/// The index.
///
/// # Errors
/// It cannot be made or opened.
pub async fn index(config: &Config) -> Result<SqliteStore, StoreError> {
    index_at(&config.store, &config.node, &config.site).await
}

/// The index of a node of a site.
pub(crate) async fn index_at(of: &StoreConfig, node: &str, site: &str) -> Result<SqliteStore, StoreError> {
    let unavailable =
        |error: &dyn std::fmt::Display| StoreError::Unavailable(format!("{}: {error}", of.path.display()));
    if let Some(folder) = of.path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unavailable(&error))?;
    }
    SqliteStore::open(&of.path, node, site, Options::default()).await.map_err(|error| unavailable(&error))
}

/// The vault.
///
/// # Errors
/// It cannot be made or opened.
pub async fn vault(config: &Config) -> anyhow::Result<ObjectVault> {
    vault_at(&config.vault).await
}

/// The vault in a folder.
pub(crate) async fn vault_at(of: &VaultConfig) -> anyhow::Result<ObjectVault> {
    ObjectVault::local(&of.path, &of.key).await.context("the vault cannot be opened")
}

/// What the running PBX tells of itself.
pub(crate) async fn probe(config: &Config) -> temoin_asterisk::Probe {
    temoin_asterisk::probe(&config.asterisk).await
}

/// Stops the PBX's recorders on customers' legs, but for the calls that are spared. Gives how many were stopped, how many
/// calls spared, and those whose recorder may still run.
///
/// # Errors
/// The PBX cannot be asked, in words for a person.
pub(crate) async fn halt(
    config: &Config,
    spares: impl AsyncFn(&CallId) -> bool,
) -> Result<(u32, u32, Vec<CallId>), String> {
    let halted = temoin_asterisk::halt(&config.asterisk, spares).await?;
    Ok((halted.stopped, halted.spared, halted.running))
}

/// Runs until SIGTERM or SIGINT. SIGHUP reads policy and configuration anew.
pub async fn serve(file: PathBuf, rules: Rules, config: Config) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store: Arc<dyn Store> = Arc::new(index(&config).await?);
    let vault = vault(&config).await?;
    vault.remove_unfinished().context("the vault cannot be used")?;
    let vault: Arc<dyn Vault> = Arc::new(vault);
    spool(&config.asterisk.spool)?;
    // Heard from here on, so that neither signal ends the program in the middle of something.
    let hangups = signal(SignalKind::hangup())?;
    let mut terminated = pin!(terminated());
    notify(&[NotifyState::Status("waiting for the PBX")]);
    let driver = tokio::select! {
        driver = Asterisk::connect(config.asterisk.clone()) => driver?,
        ended = &mut terminated => return ended,
    };
    let driver: Arc<dyn PbxDriver> = Arc::new(driver);

    let keeper = Keeper::new(
        Arc::clone(&store),
        Arc::clone(&vault),
        Arc::clone(&clock),
        Settings::new(&config.asterisk.spool),
    )
    .context("the spool cannot be used")?
    .with_steady(Arc::new(SteadyClock::default()));
    let keeper = Arc::new(keeper);
    let watchdog = Watchdog::default();
    let tell = Told { turns: watchdog.watch("the index's writer", WITHIN), keeper: Arc::clone(&keeper) };
    let (outbox, writer) = Outbox::start(Arc::clone(&store), Arc::clone(&clock), tell);
    let started = What::Started {
        version: env!("CARGO_PKG_VERSION").into(),
        policy: rules.policy.hash_hex(),
        config: rules.desk.hash.clone(),
    };
    outbox.post(vec![Change::Journal(entry(clock.now(), started))]);

    let (swap, in_force) = watch::channel(Arc::new(rules));
    // A clock that was set forwards must not erase before somebody could set it back.
    let patient: Arc<dyn Clock> = Arc::new(PatientClock::default());
    let sweeper = Sweeper::new(Arc::clone(&store), Arc::clone(&patient));
    let purger = Purger::new(Arc::clone(&store), patient, swap.subscribe());
    let alarms = Arc::new(Alarms::default());
    let (room, lacks) = Room::new(&config, Arc::clone(&alarms));
    let desktop = Desktop {
        driver,
        store,
        outbox: outbox.clone(),
        clock: Arc::clone(&clock),
        register_key: config.register_key(),
        spool: config.asterisk.spool.clone(),
        lacks,
        alarms,
    };
    let stop = CancellationToken::new();
    let alive = config.store.path.with_extension("alive");
    let engine = Engine::new(desktop, in_force, alive);
    let ready = || notify(&[NotifyState::Ready, NotifyState::Status("watching the PBX")]);
    let turns = watchdog.watch("the calls", WITHIN);

    let mut beside = JoinSet::new();
    beside.spawn({
        let (turns, waker) = (watchdog.watch("the sweeper", WITHIN_REST), Arc::clone(&keeper));
        let swept = move |doomed| {
            if doomed > 0 {
                waker.notify();
            }
        };
        async move { sweeper.run(swept, move || turns.turned()).await }
    });
    beside.spawn(purger.run());
    beside.spawn(room.run());
    beside.spawn(reload(hangups, file, swap, outbox.clone(), clock));
    beside.spawn(feed(watchdog.clone()));
    let keeping = tokio::spawn({
        let (turns, stop) = (watchdog.watch("the keeper", WITHIN_REST), stop.clone());
        async move {
            let mut stopped = pin!(stop.cancelled());
            // The keeper looks at this whenever it gets on.
            let shutdown = std::future::poll_fn(|context| {
                turns.turned();
                stopped.as_mut().poll(context)
            });
            keeper.run(shutdown).await;
        }
    });
    let running = engine.run(stop.clone(), ready, move || turns.turned());
    let ended = tokio::select! {
        ended = running => ended,
        ended = &mut terminated => ended,
    };
    notify(&[NotifyState::Stopping]);
    // Recorders of calls that go on are stopped by the next start, or by the PBX at their end; what is written down is
    // durable before this process is gone.
    stop.cancel();
    beside.shutdown().await;
    drop(outbox);
    let _ = tokio::time::timeout(Duration::from_secs(10), keeping).await;
    let _ = tokio::time::timeout(Duration::from_secs(10), writer).await;
    ended
}

async fn terminated() -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Feeds the service manager's watchdog, where there is one and while nothing is stuck.
pub async fn feed(watchdog: Watchdog) {
    if let Some(limit) = sd_notify::watchdog_enabled() {
        watchdog.feed(limit / 3, || notify(&[NotifyState::Watchdog])).await;
    }
}

/// Policy and configuration are read anew at every SIGHUP.
async fn reload(
    mut hangups: Signal,
    file: PathBuf,
    swap: watch::Sender<Arc<Rules>>,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
) {
    while hangups.recv().await.is_some() {
        rules::renew(&file, &swap, &outbox, clock.now());
    }
}

/// The spool must be there before the first recorder is.
fn spool(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("the spool {} cannot be made", folder.display()))
}

/// What the index's writer tells.
struct Told {
    turns: Turns,
    keeper: Arc<Keeper>,
}

impl Tell for Told {
    fn turned(&self) {
        self.turns.turned();
    }

    fn wrote(&self) {
        self.keeper.notify();
    }
}

fn entry(at: Timestamp, what: What) -> Entry {
    Entry { at, call: None, segment: None, what }
}

fn notify(states: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(states);
}
