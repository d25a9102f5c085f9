//! The program as its user meets it: the real binary, a policy, an index and a vault on disk, every exit code.

#[path = "cli/check.rs"]
mod check;
#[path = "cli/decide.rs"]
mod decide;
#[path = "cli/read.rs"]
mod read;
#[path = "cli/serve.rs"]
mod serve;
#[path = "cli/verify.rs"]
mod verify;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use temoin::keep::{Keeper, Settings};
use temoin_core::id::{CallId, SegmentId};
use temoin_core::journal::{Entry, Link, What};
use temoin_core::ports::{Ballot, CallRecord, Change, SegmentQuery, SegmentRecord, Store, Vault};
use temoin_core::sampling::Draw;
use temoin_core::segment::{Closing, Deadlines, Ending, Segment};
use temoin_core::testing::ManualClock;
use temoin_core::words::Direction;
use temoin_sqlite::{Options, SqliteStore};
use temoin_vault::ObjectVault;
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const KEY: [u8; 32] = [7; 32];
const NUMBER: &str = "+33199001234";

/// A site on disk.
struct Site {
    dir: TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { dir: TempDir::new().expect("a folder") };
        fs::copy(format!("{ROOT}/examples/policies/french-call-centre.toml"), site.path("policy.toml"))
            .expect("the example");
        site.write(
            "temoin.toml",
            &format!(
                r#"
node = "node-1"
site = "site-1"
policy = "policy.toml"
sampling_key = "sampling.key"
store = {{ path = "index/index.db" }}
vault = {{ path = "vault", key = "vault.key" }}
prompts = {{ folder = "{ROOT}/dialplans/sounds" }}

[asterisk]
spool = "spool"
ami = {{ port = 1, user = "temoin", secret = "hush-ami" }}
ari = {{ url = "http://127.0.0.1:1", user = "temoin", password = "hush-ari" }}
deadlines = {{ connect = "20ms" }}

[extensions]
"2001" = "amel"

[lines.accueil]
unavailable = "admit"
"#
            ),
        );
        site
    }

    /// With an index and a vault, as a run left them: one recorded call, one that was not drawn, one draw each.
    async fn used() -> Self {
        Self::told(&[]).await
    }

    /// The same; while the second recording ran, these decisions were made, so many milliseconds after it began.
    async fn told(during: &[(i64, &str)]) -> Self {
        let site = Self::new();
        site.write("sampling.key", "");
        fs::write(site.path("sampling.key"), KEY).expect("a key");
        fs::set_permissions(site.path("sampling.key"), fs::Permissions::from_mode(0o600)).expect("a mode");
        fs::create_dir(site.path("index")).expect("a folder");
        fs::create_dir(site.path("spool")).expect("a folder");
        let (store, vault) = (site.store().await, site.vault().await);
        let closing = Closing {
            from: Some(start()),
            until: start() + SignedDuration::from_secs(2),
            cut_tail: false,
            kept: vec!["quality".into()],
            ending: Ending::HungUp,
            flags: Vec::new(),
            retention: Deadlines::default(),
        };
        store
            .commit(vec![
                Change::Call(call("call-1", NUMBER, "recorded")),
                Change::Call(CallRecord {
                    agents: Vec::new(),
                    ..call("call-2", "0199000077", "not-sampled")
                }),
                Change::Journal(entry("call-1", None, What::Recording)),
            ])
            .await
            .expect("commit");
        for n in [1, 2] {
            let own = |what| Change::Journal(entry("call-1", Some(id(n)), what));
            let mut changes = vec![
                Change::Journal(decided(0, "ok")),
                own(What::Opened { purposes: segment(n).purposes }),
                Change::Open(segment(n)),
            ];
            if n == 2 {
                changes.extend(during.iter().map(|(at, reason)| Change::Journal(decided(*at, reason))));
            }
            changes.push(own(What::Closed(closing.clone())));
            changes.push(Change::Close(id(n), closing.clone()));
            store.commit(changes).await.expect("commit");
        }
        for n in [1, 2] {
            for side in ["in", "out"] {
                wav(&site.path("spool").join(format!("{}-{side}.wav", id(n))));
            }
        }
        for (n, call) in ["call-1", "call-2"].into_iter().enumerate() {
            let ballot = Ballot {
                campaign: "autumn".into(),
                call: CallId(call.into()),
                stratum: "amel".into(),
                rate: 200,
                draw: Draw::keyed(&KEY, "autumn", call),
                at: start() + SignedDuration::from_secs(i64::try_from(n).expect("small")),
            };
            store.draw(vec![ballot]).await.expect("draw");
        }
        let clock = Arc::new(ManualClock::new(start() + SignedDuration::from_hours(1)));
        let settings = Settings { quiet: Duration::ZERO, ..Settings::new(site.path("spool")) };
        let keeper = Keeper::new(Arc::new(store), Arc::new(vault), clock, settings).expect("a keeper");
        for _ in 0..3 {
            keeper.pass().await;
        }
        let kept = site.segment(1).await;
        assert!(kept.sealed.is_some(), "{kept:?}");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).expect("a file");
        assert!(text.contains(from), "{name} has no {from}");
        self.write(name, &text.replace(from, to));
    }

    /// Changes bytes of the index, as a disk or a hand does.
    async fn damage(&self, from: &[u8], to: &[u8]) {
        let name = "index/index.db";
        assert_eq!(from.len(), to.len());
        // The last to close it brings everything into the one file.
        until("the index is closed", async || (!self.path("index/index.db-wal").exists()).then_some(()))
            .await;
        let mut bytes = fs::read(self.path(name)).expect("a file");
        let places: Vec<usize> =
            (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
        assert!(!places.is_empty(), "{name} does not hold it");
        places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
        fs::write(self.path(name), bytes).expect("a file");
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.path("index/index.db"), "node-1", "site-1", Options::default())
            .await
            .expect("the index")
    }

    async fn vault(&self) -> ObjectVault {
        ObjectVault::local(&self.path("vault"), &self.path("vault.key")).await.expect("the vault")
    }

    async fn segment(&self, n: u8) -> SegmentRecord {
        self.store().await.segments(SegmentQuery::Id(id(n))).await.expect("segments").pop().expect("a row")
    }

    async fn journal(&self) -> Vec<What> {
        let links = self.store().await.chain(0, 1000).await.expect("the journal");
        links.iter().filter_map(Link::entry).map(|entry| entry.what).collect()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_temoin"));
        command.arg("--config").arg(self.path("temoin.toml")).args(args).current_dir(self.dir.path());
        command.env_remove("NOTIFY_SOCKET").env_remove("TEMOIN_LOG").env("USER", "tester");
        command
    }

    fn run(&self, args: &[&str]) -> Told {
        Told::of(self.command(args).output().expect("it runs"))
    }
}

/// What the program said.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Told {
    fn of(output: Output) -> Self {
        let told = Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        };
        assert!(!told.err.contains("panicked"), "{told:?}");
        assert!(!told.err.contains("hush") && !told.out.contains("hush"), "a secret is told: {told:?}");
        told
    }

    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text) || self.err.contains(text), "no `{text}`: {self:#?}");
        self
    }

    #[track_caller]
    fn never_says(self, text: &str) -> Self {
        assert!(!self.out.contains(text) && !self.err.contains(text), "`{text}`: {self:#?}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

fn start() -> Timestamp {
    "2026-10-05T08:30:00Z".parse().expect("an instant")
}

fn id(n: u8) -> SegmentId {
    SegmentId::new(start(), [n; 10])
}

fn call(id: &str, number: &str, outcome: &str) -> CallRecord {
    CallRecord {
        id: CallId(id.into()),
        line: "accueil".into(),
        direction: Direction::Inbound,
        number: Some(number.into()),
        queue: None,
        agents: vec!["amel".into()],
        started: start(),
        talked: Some(start()),
        ended: Some(start()),
        outcome: outcome.into(),
        private: false,
    }
}

fn entry(call: &str, segment: Option<SegmentId>, what: What) -> Entry {
    Entry { at: start(), call: Some(CallId(call.into())), segment, what }
}

fn decided(ms: i64, reason: &str) -> Entry {
    let reasons = [("quality".to_owned(), reason.to_owned())].into();
    let what = What::Decided { record: reason == "ok", agents: vec!["amel".into()], reasons };
    Entry { at: start() + SignedDuration::from_millis(ms), ..entry("call-1", None, what) }
}

fn segment(n: u8) -> Segment {
    Segment {
        id: id(n),
        call: CallId("call-1".into()),
        opened: start(),
        since: start(),
        agents: vec!["amel".into()],
        purposes: vec!["quality".into()],
        mandatory: false,
        basis: Value::Null,
        retention: Deadlines::default(),
    }
}

/// Two seconds of a tone.
fn wav(path: &Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).expect("a WAV");
    for at in 0..16_000 {
        let sample = (f64::from(at) * 0.3).sin() * 9_000.0;
        #[allow(clippy::cast_possible_truncation)]
        file.write_sample(sample as i16).expect("a sample");
    }
    file.finalize().expect("a WAV");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn until<T>(what: &str, mut seen: impl AsyncFnMut() -> Option<T>) -> T {
    let limit = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(seen) = seen().await {
            return seen;
        }
        assert!(Instant::now() < limit, "not within 120 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ends what a test started, also where the test fails.
struct Running(Child);

impl Running {
    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
