//! A bench: one Asterisk, one sidecar, the phones of the house, and eyes on the spool. Scenarios are played on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp, Zoned};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use temoin_phone::{Answering, Phone};

use super::file::{self, Scenario};
use super::sidecar::{Child, Cli, Sidecar};
use super::site::{Machine, Site, merge};
use super::sound::Repertoire;
use super::spool::SpoolWatch;
use super::step::{Fate, Link, Room, Setting, Trouble};
use super::wall::{Clocks, Wall};
use crate::small::SmallDisk;
use crate::{AMI_SECRET, ARI_SECRET, Direction, FaultProxy, Lab, LabOptions};

/// How long the index may take to come to rest, and the spool to become empty.
const REST: Duration = Duration::from_secs(60);

/// How the sidecar's own trial of the spool is named.
const TRIAL: &str = ".temoin-check-";

/// A WAV file without a sample.
const HEADER: u64 = 44;

/// A customer's telephone that is not on 127.0.0.2: a person's, who wants to hear it himself.
const VISITOR: &str = "[visitor]\ntype = endpoint\ncontext = from-trunk\nlanguage = fr\ndisallow = all\nallow = alaw,ulaw\n\
                       direct_media = no\ndtmf_mode = auto_info\naors = visitor\n[visitor]\ntype = aor\n";

#[derive(Debug)]
pub(super) struct Bench {
    pub(super) needs: file::Bench,
    pub(super) folder: PathBuf,
    pub(super) cli: Cli,
    pub(super) repertoire: Repertoire,
    lab: Arc<Mutex<Lab>>,
    sip: SocketAddr,
    site: Site,
    sidecar: Arc<Mutex<Child>>,
    proxies: Option<Proxies>,
    house: BTreeMap<u16, Phone>,
    spool: Mutex<SpoolWatch>,
    small: Option<SmallDisk>,
    wall: Option<Wall>,
    /// How much of the sidecar's log was there when something was last done to it or its machine.
    said: AtomicUsize,
    lock: tokio::sync::Mutex<Option<SqliteConnection>>,
    numbers: AtomicU16,
    secrets: Mutex<BTreeSet<String>>,
}

#[derive(Debug)]
struct Proxies {
    ami: FaultProxy,
    ari: FaultProxy,
}

impl Bench {
    /// Starts all that these scenarios need, in a folder that is emptied first.
    pub(super) async fn start(
        scenarios: &[Scenario],
        site: &Site,
        sidecar: &Sidecar,
        folder: PathBuf,
    ) -> Result<Self, String> {
        let needs = scenarios.first().map(|scenario| scenario.bench.clone()).unwrap_or_default();
        let trouble = |error: io::Error| format!("bench {}: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(trouble)?;
        }
        fs::create_dir_all(&folder).map_err(trouble)?;
        let small = match needs.small_spool {
            true => {
                let small = SmallDisk::start(&folder).map_err(|error| error.to_string())?;
                symlink(small.folder(), folder.join("spool")).map_err(trouble)?;
                Some(small)
            }
            false => None,
        };
        let wall = (needs.clocks != Clocks::Real).then(|| folder.clone());
        let wall = match wall {
            Some(folder) => Some(blocking(move || Wall::start(&folder)).await??),
            None => None,
        };
        let mut house = BTreeMap::new();
        for extension in scenarios.iter().flat_map(Scenario::extensions).collect::<BTreeSet<_>>() {
            let phone = Phone::bind(Ipv4Addr::LOCALHOST, &extension.to_string()).await;
            house.insert(extension, phone.map_err(|error| error.to_string())?);
        }
        // The codes are those of the site, as its own program writes them; where the PBX is, they do not ask.
        let nowhere = Machine { ami: 0, ami_secret: AMI_SECRET, ari: 0, ari_secret: ARI_SECRET };
        let early = site.install(&folder, &nowhere).map_err(trouble)?;
        let said = Cli::new(sidecar.clone(), early).ask(&["dialplan", "--features"]).await?;
        if !said.status.success() {
            return Err(format!("temoin dialplan: {}", String::from_utf8_lossy(&said.stderr)));
        }
        let options = LabOptions {
            features: Some(String::from_utf8_lossy(&said.stdout).into_owned()),
            phones: house.iter().map(|(extension, phone)| (*extension, phone.address().port())).collect(),
            env: wall.iter().filter(|_| needs.clocks == Clocks::Both).flat_map(Wall::env).collect(),
            calls: scenarios.iter().map(|scenario| scenario.copies).sum::<u16>().clamp(20, 200),
            settles: needs.settles,
            more: vec![("queues.conf", queues(house.keys())), ("pjsip.conf", VISITOR.to_owned())],
            ..LabOptions::default()
        };
        let lab = blocking(move || Lab::start(options)).await?.map_err(|error| error.to_string())?;
        let proxies = if needs.proxies {
            let ami = FaultProxy::start(lab.ami).await.map_err(trouble)?;
            let ari = FaultProxy::start(lab.ari).await.map_err(trouble)?;
            Some(Proxies { ami, ari })
        } else {
            None
        };
        let machine = Machine {
            ami: proxies.as_ref().map_or(lab.ami, |proxies| proxies.ami.addr()).port(),
            ami_secret: AMI_SECRET,
            ari: proxies.as_ref().map_or(lab.ari, |proxies| proxies.ari.addr()).port(),
            ari_secret: ARI_SECRET,
        };
        let config = site.install(&folder, &machine).map_err(trouble)?;
        say_more(&config, &needs.config).map_err(trouble)?;
        let mut repertoire = Repertoire::default();
        for sounds in site.sounds(&folder).iter().chain([&lab.dir().join("data/sounds/fr")]) {
            repertoire.add(sounds).map_err(trouble)?;
        }
        let (spool, monitor) = (folder.join("spool"), lab.recordings());
        let watched: &[&Path] = if needs.foreign { &[&spool] } else { &[&spool, &monitor] };
        let spool = SpoolWatch::start(watched).map_err(trouble)?;
        let cli = Cli::new(sidecar.clone(), config);
        let child = Child::new(cli.clone(), folder.join("sidecar.log")).map_err(|error| error.to_string())?;
        let child = child.with_env(wall.as_ref().map(Wall::env).unwrap_or_default());
        let bench = Self {
            needs,
            folder,
            cli,
            repertoire,
            sip: lab.sip,
            lab: Arc::new(Mutex::new(lab)),
            site: site.clone(),
            sidecar: Arc::new(Mutex::new(child)),
            proxies,
            house,
            spool: Mutex::new(spool),
            small,
            wall,
            said: AtomicUsize::new(0),
            lock: tokio::sync::Mutex::new(None),
            numbers: AtomicU16::new(1001),
            secrets: Mutex::default(),
        };
        if bench.needs.sidecar {
            bench.fate(Fate::Started).await?;
        }
        Ok(bench)
    }

    /// The URI of a number on this PBX.
    pub(super) fn uri(&self, number: &str) -> String {
        format!("sip:{number}@{}", self.sip)
    }

    /// A phone of the house.
    pub(super) fn house(&self, extension: u16) -> Option<&Phone> {
        self.house.get(&extension)
    }

    /// A number that no other customer has.
    pub(super) fn number(&self) -> String {
        format!("+3319900{:04}", self.numbers.fetch_add(1, Ordering::Relaxed) % 10_000)
    }

    /// What must not be in the sidecar's log.
    pub(super) fn never_log(&self, text: &str) {
        lock(&self.secrets).insert(text.to_owned());
    }

    pub(super) async fn fate(&self, fate: Fate) -> Result<(), String> {
        self.listen_from_now();
        let sidecar = Arc::clone(&self.sidecar);
        let done = blocking(move || {
            let mut child = lock(&sidecar);
            match fate {
                Fate::Killed => {
                    child.kill();
                    Ok(())
                }
                Fate::Ended => {
                    child.end();
                    Ok(())
                }
                Fate::Frozen => child.freeze(),
                Fate::Thawed => child.thaw(),
                Fate::Started => child.start(),
            }
        });
        done.await?.map_err(|error| error.to_string())?;
        if fate == Fate::Started {
            self.site.let_vanish(&self.folder).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Click to dial.
    pub(super) async fn connect(&self, extension: u16, number: &str, local: bool) -> Result<(), String> {
        let channel =
            if local { format!("Local/{extension}@extensions/n") } else { format!("PJSIP/{extension}") };
        let command = format!("channel originate {channel} extension {number}@from-agents");
        // The command line waits for nobody to answer.
        lock(&self.lab).cli(&command).map(drop).map_err(|error| error.to_string())
    }

    /// Kills the PBX as a power cut would, or starts it again.
    pub(super) async fn pbx(&self, killed: bool) -> Result<(), String> {
        let lab = Arc::clone(&self.lab);
        let done = blocking(move || {
            let mut lab = lock(&lab);
            if killed {
                lab.kill9();
                return Ok(());
            }
            lab.restart()
        });
        done.await?.map_err(|error| error.to_string())
    }

    /// Waits until the sidecar has the PBX again.
    pub(super) async fn watching(&self, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        while !lock(&self.sidecar).watches() {
            if Instant::now() > deadline {
                return Err(format!("not within {limit:?}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn listen_from_now(&self) {
        self.said.store(lock(&self.sidecar).log().len(), Ordering::Relaxed);
    }

    /// Waits until the sidecar's log has these words, since something was last done to it or its machine.
    pub(super) async fn says(&self, words: &str, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        let from = self.said.load(Ordering::Relaxed);
        while !lock(&self.sidecar).log().get(from..).is_some_and(|log| log.contains(words)) {
            if Instant::now() > deadline {
                return Err(format!("not within {limit:?}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Puts a file in the place of the spool, or the spool back.
    pub(super) fn spool(&self, gone: bool) -> Result<(), String> {
        self.away("spool", gone)
    }

    /// The same with the vault.
    pub(super) fn vault(&self, gone: bool) -> Result<(), String> {
        self.away("vault", gone)
    }

    fn away(&self, what: &str, gone: bool) -> Result<(), String> {
        self.listen_from_now();
        let (place, away) = (self.folder.join(what), self.folder.join(format!("{what}-away")));
        let moved = if gone {
            fs::rename(&place, &away).and_then(|()| fs::write(&place, ""))
        } else {
            fs::remove_file(&place).and_then(|()| fs::rename(&away, &place))
        };
        moved.map_err(|error| format!("the {what}: {error}"))
    }

    /// Sets the clock.
    pub(super) fn clock(&self, to: Setting) -> Result<(), String> {
        self.listen_from_now();
        let by = match to {
            Setting::Off(by) => by,
            Setting::BeforeMidnight(before) => {
                let now = Zoned::now();
                let midnight = self.site.midnight(&now).map_err(|error| format!("the policy: {error}"))?;
                // The clock is set by whole seconds: rounded up, so that it is never later than this.
                let by = midnight.duration_since(now.timestamp()) - before;
                SignedDuration::from_secs(by.as_secs() + i64::from(by.subsec_nanos() > 0))
            }
        };
        let wall = self.wall.as_ref().ok_or("the bench's clock cannot be set")?;
        wall.set(by).map_err(|error| format!("the clock: {error}"))
    }

    /// Leaves so much room for the spool.
    pub(super) fn room(&self, room: Room) -> Result<(), String> {
        self.listen_from_now();
        let small = self.small.as_ref().ok_or("the bench's spool is not small")?;
        small.leave(room).map_err(|error| error.to_string())
    }

    /// Takes, or gives back, the write lock of the index.
    pub(super) async fn store(&self, locked: bool) -> Result<(), String> {
        let mut held = self.lock.lock().await;
        let trouble = |error: sqlx::Error| format!("the store's lock: {error}");
        if locked {
            let options = SqliteConnectOptions::new().filename(self.folder.join("index.sqlite"));
            let mut connection = options.busy_timeout(REST).connect().await.map_err(trouble)?;
            sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut connection).await.map_err(trouble)?;
            *held = Some(connection);
        } else if let Some(mut connection) = held.take() {
            sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.map_err(trouble)?;
            connection.close().await.map_err(trouble)?;
        }
        Ok(())
    }

    /// Puts a policy into force for new calls, built for this moment; gives the instant that its times count from.
    pub(super) async fn policy(&self, changes: &toml::Table) -> Result<Instant, String> {
        let trouble = |error: io::Error| format!("the policy: {error}");
        let before = lock(&self.sidecar).reloads();
        let (text, base) = self.site.policy_with(changes, &Zoned::now()).map_err(trouble)?;
        fs::write(self.folder.join("policy.toml"), text).map_err(trouble)?;
        lock(&self.sidecar).reload().map_err(|error| error.to_string())?;
        let deadline = Instant::now() + REST;
        loop {
            match lock(&self.sidecar).reloads() {
                after if after.refused > before.refused => {
                    return Err("the sidecar refused the policy".into());
                }
                after if after.taken > before.taken => break,
                _ if Instant::now() > deadline => return Err(format!("not in force after {REST:?}")),
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (now, wall) = (Instant::now(), Timestamp::now());
        let ahead = base.duration_since(wall);
        let by = ahead.unsigned_abs();
        Ok(if ahead.is_negative() { now - by } else { now + by })
    }

    pub(super) fn link(&self, link: Link, trouble: Trouble) -> Result<(), String> {
        let proxies = self.proxies.as_ref().ok_or("the bench has no proxies")?;
        self.listen_from_now();
        let proxy = match link {
            Link::Ami => &proxies.ami,
            Link::Ari => &proxies.ari,
        };
        match trouble {
            Trouble::Cut => proxy.cut(),
            Trouble::Split => proxy.split(NonZeroUsize::new(50)),
            Trouble::Refused => {
                proxy.refuse(true);
                proxy.cut();
            }
            Trouble::Swallowed => proxy.swallow(Direction::ToClient, true),
            Trouble::Slow(by) => proxy.delay(Direction::ToClient, by),
            Trouble::Well => proxy.heal(),
        }
        Ok(())
    }

    /// The ends of both logs, for the message of a failure.
    pub(super) fn tails(&self) -> String {
        let child = lock(&self.sidecar);
        format!(
            "the sidecar's last lines:\n{}\nAsterisk's last lines:\n{}",
            child.log_tail(25),
            lock(&self.lab).log_tail(15)
        )
    }

    /// What holds for a bench whatever was played on it. Gives all that does not hold.
    pub(super) async fn settle(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Err(why) = self.store(false).await {
            wrong.push(why);
        }
        wrong.extend(
            self.small.as_ref().and_then(|small| small.leave(Room::Enough).err()).map(|e| e.to_string()),
        );
        if self.proxies.is_some() {
            for link in [Link::Ami, Link::Ari] {
                let _ = self.link(link, Trouble::Well);
            }
        }
        if lock(&self.sidecar).runs() {
            wrong.extend(self.spool_empties().await);
            wrong.extend(self.verify().await);
        }
        wrong.extend(self.files_belong().await);
        wrong.extend(self.foreign_is_empty());
        wrong.extend(self.nobody_in_the_log());
        let log = fs::copy(lock(&self.lab).log(), self.folder.join("asterisk.log"));
        wrong.extend(log.err().map(|error| format!("Asterisk's log: {error}")));
        wrong
    }

    /// Ends the sidecar; what is wrong with its end.
    pub(super) async fn end(&self) -> Option<String> {
        let sidecar = Arc::clone(&self.sidecar);
        let ended = blocking(move || {
            let mut child = lock(&sidecar);
            if child.runs() { child.end() } else { Some(0) }
        });
        (ended.await != Ok(Some(0)))
            .then(|| "asked to end (SIGTERM), the sidecar did not end with status 0".to_owned())
    }

    /// From now on every phone of the house answers.
    pub(super) fn open_house(&self) {
        for phone in self.house.values() {
            phone.answer_with(Answering::After(Duration::ZERO));
        }
    }

    pub(super) fn sip(&self) -> SocketAddr {
        self.sip
    }

    async fn spool_empties(&self) -> Option<String> {
        let deadline = Instant::now() + REST;
        loop {
            let present = lock(&self.spool).present();
            if present.is_empty() {
                return None;
            }
            if Instant::now() > deadline {
                return Some(format!("the spool is not empty {REST:?} after the last call: {present:?}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn verify(&self) -> Option<String> {
        match self.cli.ask(&["verify"]).await {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(format!(
                "temoin verify: {}\n{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )),
            Err(why) => Some(why),
        }
    }

    /// Every file that was ever in the spool belongs to a segment of the index.
    async fn files_belong(&self) -> Option<String> {
        let seen = match lock(&self.spool).seen() {
            // When it starts the sidecar tries whether it can write there.
            Ok(seen) => seen.iter().filter(|name| !name.starts_with(TRIAL)).cloned().collect::<BTreeSet<_>>(),
            Err(error) => return Some(error.to_string()),
        };
        if seen.is_empty() {
            return None;
        }
        if !self.needs.records {
            return Some(format!("the spool was to have no file, ever; it had {seen:?}"));
        }
        let segments = match self.segments().await {
            Ok(segments) => segments,
            Err(why) => return Some(why),
        };
        let strays: Vec<&String> = seen
            .iter()
            .filter(|name| !segments.iter().any(|segment| name.contains(segment.as_str())))
            .collect();
        (!strays.is_empty()).then(|| format!("files in the spool that are no segment's: {strays:?}"))
    }

    /// The channels and the recordings that the PBX's call detail records name for calls from a number, in their order.
    pub(super) fn detailed(&self, number: &str) -> Vec<(String, String)> {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let text = fs::read_to_string(lock(&self.lab).details()).unwrap_or_default();
        let lines = text.lines().map(|line| line.split(',').map(|field| field.trim_matches('"')).collect());
        let of_caller = |fields: &Vec<&str>| fields.len() == 3 && digits(fields[0]) == digits(number);
        lines.filter(of_caller).map(|fields| (fields[1].to_owned(), fields[2].to_owned())).collect()
    }

    /// What the PBX recorded by itself, where it was to do so, has no sound in it, or no more than it may.
    fn foreign_is_empty(&self) -> Option<String> {
        if !self.needs.foreign {
            return None;
        }
        let files = match fs::read_dir(lock(&self.lab).recordings()) {
            Ok(files) => {
                files.flatten().map(|entry| (entry.file_name(), entry.metadata())).collect::<Vec<_>>()
            }
            Err(error) => return Some(format!("the PBX's own recordings: {error}")),
        };
        if files.is_empty() {
            return Some("the PBX was to begin recordings of its own, and began none".into());
        }
        // 8 kHz, 16 bits.
        let most = HEADER + self.needs.foreign_millis * 16;
        let sounding = |(_, about): &&(_, io::Result<fs::Metadata>)| {
            about.as_ref().map_or(true, |about| about.len() > most)
        };
        let sounding: Vec<_> = files.iter().filter(sounding).collect();
        (!sounding.is_empty()).then(|| format!("the PBX's own recordings have sound: {sounding:?}"))
    }

    async fn segments(&self) -> Result<Vec<String>, String> {
        let calls = self.cli.json(&["calls", "--limit", "100000"]).await?;
        let mut segments = Vec::new();
        for call in calls["calls"].as_array().into_iter().flatten() {
            if call["talked"].is_null() {
                continue;
            }
            let story = self.cli.json(&["show", call["id"].as_str().unwrap_or_default()]).await?;
            let ids = story["segments"].as_array().into_iter().flatten();
            segments.extend(ids.filter_map(|segment| segment["id"].as_str().map(str::to_owned)));
        }
        Ok(segments)
    }

    fn nobody_in_the_log(&self) -> Vec<String> {
        let log = lock(&self.sidecar).log();
        let secrets = lock(&self.secrets);
        let named = secrets.iter().filter(|secret| log.contains(secret.as_str()));
        named.map(|secret| format!("the sidecar's log names a person: {secret:?}")).collect()
    }
}

/// Adds to a configuration what the bench says.
fn say_more(config: &Path, more: &toml::Table) -> io::Result<()> {
    if more.is_empty() {
        return Ok(());
    }
    let text = fs::read_to_string(config)?;
    let mut whole = toml::Value::Table(text.parse().map_err(io::Error::other)?);
    merge(&mut whole, toml::Value::Table(more.clone()));
    fs::write(config, toml::to_string(&whole).map_err(io::Error::other)?)
}

/// A queue for each phone of the house: `q2011` rings it, `l2011` rings it through a Local channel that stays,
/// `o2011` through one that is optimised away, `f2011` as FreePBX does.
fn queues<'a>(extensions: impl Iterator<Item = &'a u16>) -> String {
    let queue = |extension: &u16| {
        format!(
            "[q{extension}](ring)\nmember => PJSIP/{extension}\n[l{extension}](ring)\nmember => \
             Local/{extension}@extensions/n,0,A{extension},PJSIP/{extension}\n[o{extension}](ring)\nmember => \
             Local/{extension}@extensions,0,A{extension},PJSIP/{extension}\n[f{extension}](ring)\nmember => \
             Local/{extension}@from-queue/n,0,A{extension},PJSIP/{extension}\n"
        )
    };
    extensions.map(queue).collect()
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
