//! The program as its user meets it: the real binary, a policy, an index and a vault on disk, every exit code.

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

// ---- check ----------------------------------------------------------------------------------------------------------

#[test]
fn check_is_content_and_leaves_nothing_behind() {
    let site = Site::new();
    site.run(&["check"]).ends(0).says("to think about");
    let told = site.run(&["check", "--json"]).ends(0).json();
    assert_eq!(told["usable"], true);
    assert!(told["findings"].as_array().is_some_and(|all| all.iter().all(|one| one["code"] != "E-SOUND")));
    // Only what the policy uses is told of.
    let files: Vec<_> = told["findings"].as_array().expect("a list").iter().map(|one| &one["file"]).collect();
    assert!(files.iter().all(|file| !file.as_str().is_some_and(|file| file.contains("us-"))), "{files:?}");
    let mut names: Vec<_> = fs::read_dir(site.dir.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["policy.toml", "temoin.toml"], "a check makes nothing");
}

#[test]
fn check_tells_everything_at_once_with_places() {
    let site = Site::new();
    site.edit("temoin.toml", "secret =", "secert =");
    site.edit("temoin.toml", "unavailable = \"admit\"", "unavailable = \"maybe\"\ncolour = 1");
    site.edit("temoin.toml", "\"2001\" = \"amel\"", "\"2001\" = \"nobody\"");
    site.edit("temoin.toml", "[lines.accueil]", "[lines.acueil]\n\n[lines.accueil]");
    site.edit("policy.toml", "rate = 200", "rate = 900");
    fs::create_dir(site.path("sounds")).expect("a folder");
    fs::create_dir(site.path("sounds/fr")).expect("a folder");
    site.edit("temoin.toml", &format!("{ROOT}/dialplans/sounds"), "sounds");
    site.write("sampling.key", "short");
    fs::set_permissions(site.path("sampling.key"), fs::Permissions::from_mode(0o644)).expect("a mode");
    let told = site.run(&["check"]).ends(1);
    let config = site.path("temoin.toml").display().to_string();
    for wanted in [
        &format!("{config}:12:36: E-UNKNOWN-KEY asterisk.ami.secert: no such key; did you mean `secret`?"),
        &format!("{config}:17:1: E-UNKNOWN-REF extensions.2001: the policy has no agent `nobody`"),
        &format!(
            "{config}:19:8: E-UNKNOWN-REF lines.acueil: the policy has no such line; did you mean `accueil`?"
        ),
        &format!("{config}:22:15: E-BAD-VALUE lines.accueil.unavailable: "),
        &format!("{config}:23:1: E-UNKNOWN-KEY lines.accueil.colour: no such key; "),
        "policy.toml:27:1: E-RATE-ABOVE-CAP campaigns.autumn.rate: ",
        "temoin-opt-out.wav: E-SOUND: not a readable WAV",
        "E-SOUND lines.accueil.prompts.fr: no sound says this prompt",
        "sampling.key: E-KEY: others can read the key of the draws: chmod 600 it",
        "not usable: ",
    ] {
        assert!(told.out.contains(wanted), "no {wanted}: {told:#?}");
    }
    let lines: Vec<&str> = told.out.lines().collect();
    let at = |text: &str| lines.iter().position(|line| line.contains(text));
    let order = ["secert", "nobody", "lines.acueil", "maybe", "colour", "RATE-ABOVE", "sampling.key"].map(at);
    assert!(order.is_sorted() && order[0].is_some(), "in the order of files and lines: {lines:#?}");
    assert_eq!(site.run(&["check", "--json"]).ends(1).json()["usable"], false);
}

#[test]
fn check_tells_of_folders_and_keys() {
    let site = Site::new();
    // A file where a folder should be: nobody can write there, root included.
    site.write("blocked", "");
    site.edit("temoin.toml", "spool = \"spool\"", "spool = \"blocked/spool\"");
    site.edit("temoin.toml", "path = \"vault\"", "path = \"blocked/vault\"");
    site.edit("temoin.toml", "index/index.db", "blocked/index.db");
    site.edit("temoin.toml", "\"sampling.key\"", "\"blocked/sampling.key\"");
    let told = site.run(&["check"]).ends(1);
    for what in [
        "the spool cannot be written",
        "the index cannot be written",
        "the vault cannot be written",
        "the key of the draws cannot be read",
    ] {
        assert!(told.out.contains(what), "{what}: {told:#?}");
    }
    let site = Site::new();
    fs::create_dir(site.path("vault")).expect("a folder");
    site.write("vault/object", "");
    site.run(&["check"]).ends(1).says("the vault holds recordings, and their key is not there: put it back");
}

#[test]
fn warnings_of_the_policy_do_not_keep_it_from_starting() {
    let site = Site::new();
    site.edit("policy.toml", "rate = 200", "rate = 900");
    assert_eq!(site.run(&["check", "--json"]).ends(1).json()["usable"], true);
    site.edit(
        "policy.toml",
        "purposes = [\"quality\"]\n\n[lines",
        "purposes = [\"quality\"]\ncolour = 1\n\n[lines",
    );
    site.run(&["check"]).ends(1).says("E-UNKNOWN-KEY colour").says("not usable");
}

#[test]
fn a_call_that_is_not_usable_ends_with_two() {
    let site = Site::new();
    site.run(&["check", "--no-such"]).ends(2);
    site.run(&["dance"]).ends(2);
    site.run(&[]).ends(2);
    fs::remove_file(site.path("temoin.toml")).expect("a file");
    for args in
        [&["check"][..], &["serve"], &["calls"], &["show", "x"], &["verify"], &["sampling", "audit", "x"]]
    {
        site.run(args).ends(2).says("temoin.toml").says("name the file with --config");
    }
}

#[test]
fn values_come_from_the_environment_too() {
    let site = Site::new();
    site.edit("temoin.toml", ", secret = \"hush-ami\"", "");
    site.run(&["check"]).ends(1).says("E-MISSING-KEY asterisk.ami.secret");
    let with = |name: &str, value: &str| {
        Told::of(site.command(&["check"]).env(name, value).output().expect("it runs"))
    };
    with("TEMOIN__ASTERISK__AMI__SECRET", "hush-env").ends(0);
    site.edit("temoin.toml", "user = \"temoin\" }", "user = \"temoin\", secret = \"hush-ami\" }");
    with("TEMOIN__ASTERISK__AMI__PORT", "many").ends(1).says("TEMOIN__");
    with("TEMOIN__COLOUR", "red").ends(1).says("TEMOIN__").says("colour");
}

// ---- calls, show ----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn calls_are_found_by_whatever_is_known_of_them() {
    let site = Site::used().await;
    let found = |args: &[&str]| {
        let all: Vec<&str> = [&["calls", "--json"], args].concat();
        let told = site.run(&all).ends(0).json();
        let calls = told["calls"].as_array().expect("a list").clone();
        let mut ids: Vec<_> =
            calls.iter().map(|call| call["id"].as_str().expect("an id").to_owned()).collect();
        ids.sort();
        ids
    };
    for number in ["+33199001234", "0033199001234", "0199001234", "01 99 00 12 34", "1234"] {
        assert_eq!(found(&["--number", number]), ["call-1"], "{number}");
    }
    assert_eq!(found(&["--number", "+33199000077"]), ["call-2"]);
    assert_eq!(found(&["--number", "0199001235"]), Vec::<String>::new());
    assert_eq!(found(&[]), ["call-1", "call-2"]);
    assert_eq!(found(&["--agent", "amel"]), ["call-1"]);
    assert_eq!(found(&["--agent", "bruno"]), Vec::<String>::new());
    assert_eq!(found(&["--line", "accueil", "--state", "not-sampled"]), ["call-2"]);
    assert_eq!(found(&["--line", "elsewhere"]), Vec::<String>::new());
    assert_eq!(found(&["--limit", "1"]).len(), 1);
    assert_eq!(found(&["--from", "2026-10-05", "--until", "2026-10-05"]).len(), 2);
    assert_eq!(found(&["--from", "2026-10-06"]).len(), 0);
    assert_eq!(found(&["--until", "2026-10-04"]).len(), 0);
    assert_eq!(found(&["--from", "2026-10-05T08:30:00Z", "--until", "2026-10-05T08:30:01Z"]).len(), 2);
    assert_eq!(found(&["--until", "2026-10-05T08:30:00Z"]).len(), 0);
    site.run(&["calls", "--from", "yesterday"]).ends(2).says("`yesterday` is neither a day");
    let told = site.run(&["calls", "--count", "--json"]).ends(0).json();
    let counts = [("accueil", "not-sampled"), ("accueil", "recorded")];
    let counts = counts.map(|(line, outcome)| json!({ "line": line, "outcome": outcome, "calls": 1 }));
    assert_eq!(told, json!({ "counts": counts }));
    let told = site.run(&["calls", "--count", "--agent", "amel"]).ends(0).says("OUTCOME").says("recorded");
    assert!(!told.out.contains("not-sampled"), "{told:?}");
    site.run(&["calls", "--count", "--limit", "3"]).ends(2).says("--limit");
    // The time for people is the site's.
    site.run(&["calls"]).ends(0).says("2026-10-05 10:30:00").says("CALL");
}

#[tokio::test]
async fn a_call_s_story_is_told_and_an_unknown_one_is_not() {
    let site = Site::used().await;
    site.run(&["show", "call-1"])
        .ends(0)
        .says("call call-1 on accueil")
        .says("recording")
        .says(&format!("segment {}: kept", id(1)));
    let told = site.run(&["show", "call-1", "--json"]).ends(0).json();
    assert_eq!(told["segments"].as_array().map(Vec::len), Some(2));
    assert!(told["story"].as_array().is_some_and(|story| !story.is_empty()));
    site.run(&["show", "call-9"]).ends(3).says("no call call-9");
    site.run(&["show", "call-9", "--json"]).ends(3);
}

// ---- play -----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_is_played_is_what_was_kept_and_the_journal_knows_first() {
    let site = Site::used().await;
    let segment = id(1).to_string();
    site.run(&["play", &segment, "-o", "out.wav"]).ends(2);
    site.run(&["play", &segment, "-o", "out.wav", "--reason", "  "]).ends(2).says("--reason is empty");
    site.run(&["play", "nonsense", "-o", "out.wav", "--reason", "r"]).ends(2).says("is not a segment");
    site.run(&["play", &id(9).to_string(), "-o", "out.wav", "--reason", "r"]).ends(3).says("no segment");
    assert!(!site.path("out.wav").exists());
    assert!(!site.journal().await.iter().any(|what| matches!(what, What::Listened { .. })));

    let told =
        site.run(&["play", &segment, "-o", "out.wav", "--reason", "complaint", "--json"]).ends(0).json();
    let bytes = fs::read(site.path("out.wav")).expect("a WAV");
    let known = site.segment(1).await.sha256.expect("a hash");
    assert_eq!(hex(&Sha256::digest(&bytes)), known);
    assert_eq!((told["sha256"].as_str(), told["bytes"].as_u64()), (Some(&*known), Some(bytes.len() as u64)));
    assert_eq!(hound::WavReader::new(&bytes[..]).expect("a WAV").spec().channels, 2);
    let mode = fs::metadata(site.path("out.wav")).expect("a file").mode();
    assert_eq!(mode & 0o077, 0, "only its owner hears it");

    // A pipe that nobody reads: the listening is written down, and not one byte is out.
    let pipe = site.path("pipe.wav");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let args = ["play", &segment, "-o", "pipe.wav", "--reason", "training", "--who", "amel"];
    let playing =
        Running(site.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs"));
    until("the listening is in the journal", async || {
        let listened = What::Listened { who: "amel".into(), reason: "training".into() };
        site.journal().await.contains(&listened).then_some(())
    })
    .await;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        fs::File::open(pipe).and_then(|mut pipe| pipe.read_to_end(&mut bytes)).map(|_| bytes)
    });
    assert_eq!(read.await.expect("a thread").expect("the pipe"), bytes);
    drop(playing);
}

#[tokio::test]
async fn a_damaged_recording_is_told_and_leaves_nothing() {
    let site = Site::used().await;
    let object = site.path("vault").join(id(1).to_string());
    let mut bytes = fs::read(&object).expect("the object");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&object, &bytes).expect("the object");
    let segment = id(1).to_string();
    site.run(&["play", &segment, "-o", "out.wav", "--reason", "r"]).ends(1).says("is damaged or was changed");
    assert!(!site.path("out.wav").exists(), "half a recording is none");
    fs::remove_file(&object).expect("the object");
    site.run(&["play", &segment, "-o", "out.wav", "--reason", "r"]).ends(1).says("the vault has no object");
    site.run(&["play", &id(2).to_string(), "-o", "no/such/folder.wav", "--reason", "r"]).ends(2);
}

#[tokio::test]
async fn what_waits_to_be_erased_is_not_to_be_heard() {
    let site = Site::used().await;
    let doomed = vec![Change::Amend(id(1), Vec::new(), Deadlines::default())];
    site.store().await.commit(doomed).await.expect("commit");
    let args = ["play", &id(1).to_string(), "-o", "out.wav", "--reason", "r"];
    site.run(&args).ends(3).says("cannot be listened to: it is waiting to be erased");
    assert!(!site.path("out.wav").exists());
}

// ---- decide ---------------------------------------------------------------------------------------------------------

#[test]
fn decide_tells_its_reasons() {
    let site = Site::new();
    let example = format!("{ROOT}/examples/facts/french-call-centre.json");
    let told = site.run(&["decide", "--policy", "policy.toml", "--facts", &example]).ends(0).json();
    assert_eq!(told["record"], true);
    assert_eq!(told["purposes"]["quality"]["reason"], "ok");
    let facts = fs::read_to_string(&example).expect("the example");
    site.write("refused.json", &facts.replace("\"heard\"", "\"objected\": true, \"heard\""));
    let told =
        site.run(&["decide", "--policy", "policy.toml", "--facts", "refused.json", "--json"]).ends(0).json();
    assert_eq!(
        (&told["record"], &told["purposes"]["quality"]["reason"]),
        (&false.into(), &"objected".into())
    );

    let mut command = site.command(&["decide", "--policy", "policy.toml", "--facts", "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(facts.as_bytes()).expect("write");
    let told = Told::of(child.wait_with_output().expect("it ends")).ends(0).json();
    assert_eq!(told["record"], true);
}

#[test]
fn decide_refuses_what_it_cannot_read() {
    let site = Site::new();
    site.write("bad.json", "{ \"at\": ");
    site.write("more.json", "{ \"colour\": 1 }");
    let decide =
        |policy: &str, facts: &str| site.run(&["decide", "--policy", policy, "--facts", facts]).ends(2);
    decide("policy.toml", "bad.json").says("bad.json: EOF while parsing");
    decide("policy.toml", "more.json").says("unknown field `colour`");
    decide("policy.toml", "absent.json").says("absent.json");
    decide("absent.toml", "bad.json").says("absent.toml: E-UNREADABLE");
    decide("temoin.toml", "bad.json").says("E-UNKNOWN-KEY");
    let told = site.run(&["decide", "--policy", "policy.toml", "--facts", "bad.json", "--packs", "absent"]);
    told.ends(2).says("packs cannot be read");
}

/// A private call is found by its whole number, and shows it to nobody.
#[tokio::test]
async fn a_private_call_shows_no_whole_number() {
    let site = Site::used().await;
    let private = CallRecord { private: true, ..call("call-3", "+33199001239", "private-call") };
    site.store().await.commit(vec![Change::Call(private)]).await.expect("commit");
    let found = &["calls", "--number", "+33199001239"];
    for args in [&["calls"][..], &["calls", "--json"], &["show", "call-3", "--json"], found] {
        site.run(args).ends(0).says("call-3").says("+3319900****").never_says("1239");
    }
    site.run(&["show", "call-3"]).ends(0).never_says("1239");
    site.run(&["calls"]).ends(0).says(NUMBER);
    assert_eq!(site.run(&["show", "call-3", "--json"]).ends(0).json()["call"]["number"], "+3319900****");
}

// ---- verify, sampling -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn verify_is_content_with_what_is_whole() {
    let site = Site::used().await;
    site.run(&["verify"]).ends(0).says("rows verify").says("2 objects for 2 recordings");
    assert_eq!(site.run(&["verify", "--json"]).ends(0).json()["sound"], true);
}

#[tokio::test]
async fn verify_finds_a_changed_journal() {
    let site = Site::used().await;
    site.damage(b"\"what\":\"recording\"", b"\"what\":\"recordinG\"").await;
    site.run(&["verify"]).ends(1).says("BROKEN: journal row 1: its text was changed");
    assert_eq!(site.run(&["verify", "--json"]).ends(1).json()["sound"], false);
}

#[tokio::test]
async fn verify_finds_an_object_of_nobody_and_one_that_is_gone() {
    let site = Site::used().await;
    site.vault().await.seal(id(9), Box::new(&b"audio"[..])).await.expect("seal");
    site.run(&["verify"]).ends(1).says(&format!("FAULT: object {} belongs to no segment", id(9)));
    fs::remove_file(site.path("vault").join(id(1).to_string())).expect("the object");
    site.run(&["verify"]).ends(1).says("the vault has no object of it");
}

/// Each recording is kept from its beginning for two seconds.
#[tokio::test]
async fn verify_holds_recordings_against_the_story_of_their_call() {
    let site = Site::told(&[(2_000, "exempt-leg"), (7_000, "ok")]).await;
    site.run(&["verify"]).ends(0).says("2 of 2 recordings were held against what was decided");
    site.run(&["verify", "--exempt"])
        .ends(0)
        .says("exempt: 1 calls with")
        .says("2 recordings kept of them, 0 of these while he was there")
        .says("call call-1")
        .says("exempt there 2026-10-05 10:30:02.000 to 10:30:07.000")
        .says(&format!("kept {} 2026-10-05 10:30:00.000 to 10:30:02.000", id(2)))
        .never_says("001234");
    let json = site.run(&["verify", "--exempt", "--json"]).ends(0).json();
    assert_eq!(json["sound"], true);
    assert_eq!(json["exempt"]["overlapping"], 0);
    assert_eq!(json["exempt"]["each"][0]["there"][0]["from"], "2026-10-05T08:30:02Z");
    assert_eq!(json["exempt"]["each"][0]["kept"].as_array().map(Vec::len), Some(2));
    assert!(!json.to_string().contains("99001234"), "no telephone number");

    for (at, millis) in [(1_000, "1000"), (1_999, "1")] {
        let site = Site::told(&[(at, "exempt-leg")]).await;
        let instant = start() + SignedDuration::from_millis(at);
        let fault = format!("FAULT: segment {} of call call-1: {millis} ms are kept after {instant}", id(2));
        site.run(&["verify"]).ends(1).says(&fault).says("(exempt-leg)");
        let told = site.run(&["verify", "--exempt"]).ends(1).says(&fault);
        told.says(&format!("OVERLAPS by {millis} ms")).says("1 of these while he was there");
        let json = site.run(&["verify", "--exempt", "--json"]).ends(1).json();
        assert_eq!((&json["sound"], &json["exempt"]["overlapping"]), (&json!(false), &json!(1)));
        assert_eq!(json["exempt"]["each"][0]["kept"][1]["overlap_ms"].to_string(), millis);
    }
    let site = Site::used().await;
    site.run(&["verify", "--exempt"]).ends(0).says("exempt: 0 calls with");
    let json = site.run(&["verify", "--exempt", "--json"]).ends(0).json();
    assert_eq!(json["exempt"]["each"], json!([]));
}

/// What is erased on its date is neither sound nor broken.
#[tokio::test]
async fn verify_says_how_many_stories_were_erased() {
    use sqlx::{Connection as _, SqliteConnection};
    let site = Site::told(&[(1_000, "exempt-leg")]).await;
    let index = format!("sqlite://{}", site.path("index/index.db").display());
    let mut hand = SqliteConnection::connect(&index).await.expect("the index");
    // The row that tells of it: after the first recording's (2 to 4), and the second's decision and opening.
    let gone = sqlx::query("DELETE FROM journal_content WHERE seq = 7 AND payload LIKE '%exempt-leg%'")
        .execute(&mut hand)
        .await
        .expect("erased");
    assert_eq!(gone.rows_affected(), 1);
    hand.close().await.expect("closed");
    let told = site.run(&["verify"]).ends(0).says("0 of 2 recordings were held");
    told.says("NOT LOOKED AT: 2 recordings: what decided over them was erased");
    assert_eq!(site.run(&["verify", "--json"]).ends(0).json()["unseen"]["erased"], 2);
    site.run(&["verify", "--exempt"]).ends(0).says("erased on its date are not counted");
}

#[tokio::test]
async fn the_draws_can_be_audited() {
    let site = Site::used().await;
    site.run(&["sampling", "audit", "autumn"]).ends(0).says("every draw agrees");
    assert_eq!(site.run(&["sampling", "audit", "autumn", "--json"]).ends(0).json()["calls"], 2);
    site.run(&["sampling", "audit", "spring"]).ends(3).says("no call was drawn for a campaign `spring`");
    let draw = Draw::keyed(&KEY, "autumn", "call-1").to_string();
    let other = if draw.ends_with('1') { "2" } else { "1" };
    let changed = format!("{}{other}", &draw[..draw.len() - 1]);
    site.damage(draw.as_bytes(), changed.as_bytes()).await;
    site.run(&["sampling", "audit", "autumn"])
        .ends(1)
        .says("call call-1: has another draw than the key gives");
    let told = site.run(&["sampling", "audit", "autumn", "--json"]).ends(1).json();
    assert_eq!(told["faults"].as_array().map(Vec::len), Some(1));
}

#[test]
fn without_an_index_nothing_is_looked_at_and_nothing_is_made() {
    let site = Site::new();
    let play = ["play", &id(1).to_string(), "-o", "out.wav", "--reason", "r"];
    for args in [&["calls"][..], &["show", "x"], &play, &["verify"]] {
        site.run(args).ends(4).says("no index at");
    }
    assert!(!site.path("index").exists() && !site.path("vault").exists());
}

// ---- pipes ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_reader_that_went_away_is_no_failure() {
    let site = Site::used().await;
    for args in [&["calls"][..], &["calls", "--json"], &["show", "call-1"], &["check"], &["verify", "--json"]]
    {
        let mut child =
            site.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        drop(child.stdout.take());
        Told::of(child.wait_with_output().expect("it ends")).ends(0);
    }
    // Nobody hears what went wrong, either.
    let mut child = site.command(&["show", "call-9"]).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stderr.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
}

#[tokio::test]
async fn a_full_disk_is_told() {
    let site = Site::used().await;
    let full = fs::File::create("/dev/full").expect("/dev/full");
    let told = Told::of(site.command(&["calls"]).stdout(full).output().expect("it runs"));
    told.ends(4).says("standard output");
}

// ---- serve ----------------------------------------------------------------------------------------------------------

#[test]
fn serve_refuses_what_is_unusable() {
    let site = Site::new();
    site.edit("temoin.toml", "spool = \"spool\"", "spol = \"spool\"");
    let config = site.path("temoin.toml").display().to_string();
    site.run(&["serve"]).ends(2).says(&format!("{config}:11:1: E-UNKNOWN-KEY asterisk.spol")).says("`spool`");
    let site = Site::new();
    site.write("policy.toml", "site = 1");
    site.run(&["serve"]).ends(2).says("policy.toml:1:");
    assert!(!site.path("index").exists() && !site.path("sampling.key").exists());
}

#[tokio::test]
async fn a_running_program_reads_anew_on_sighup_feeds_its_watchdog_and_ends_on_sigterm() {
    let site = Site::new();
    // Not well, but no reason not to start.
    site.edit("policy.toml", "rate = 200", "rate = 250");
    let socket = UnixDatagram::bind(site.path("notify")).expect("a socket");
    socket.set_nonblocking(true).expect("a socket");
    let errors = fs::File::create(site.path("log")).expect("a file");
    let mut command = site.command(&["serve"]);
    command.env("NOTIFY_SOCKET", site.path("notify")).env("WATCHDOG_USEC", "300000").stderr(errors);
    let mut running = Running(command.spawn().expect("it runs"));
    let heard = async |wanted: &str| {
        until(wanted, async || {
            let mut bytes = [0; 4096];
            let length = socket.recv(&mut bytes).ok()?;
            String::from_utf8_lossy(&bytes[..length]).contains(wanted).then_some(())
        })
        .await;
    };
    heard("STATUS=waiting for the PBX").await;
    heard("WATCHDOG=1").await;
    let journal =
        async || if site.path("index/index.db").exists() { site.journal().await } else { Vec::new() };
    let seen = async |what: &str, is: fn(&What) -> bool| {
        until(what, async || journal().await.into_iter().find(is)).await
    };
    let What::Started { policy: before, .. } =
        seen("a start", |what| matches!(what, What::Started { .. })).await
    else {
        unreachable!()
    };
    assert_eq!(fs::metadata(site.path("sampling.key")).expect("a key").len(), 32);

    site.edit("policy.toml", "rate = 250", "rate = 100");
    running.signal("-HUP");
    let What::Reloaded { policy: after, .. } =
        seen("a reload", |what| matches!(what, What::Reloaded { .. })).await
    else {
        unreachable!()
    };
    assert_ne!(before, after);

    site.edit("policy.toml", "rate = 100", "rate = \"much\"");
    running.signal("-HUP");
    seen("an alarm", |what| matches!(what, What::Alarm(_))).await;
    let reloads = journal().await.iter().filter(|what| matches!(what, What::Reloaded { .. })).count();
    assert_eq!(reloads, 1, "a broken policy changes nothing");

    heard("WATCHDOG=1").await;
    running.signal("-TERM");
    let code = until("an end", async || running.0.try_wait().expect("a child")).await;
    let log = fs::read_to_string(site.path("log")).expect("a log");
    assert_eq!(code.code(), Some(0), "{log}");
    heard("STOPPING=1").await;
    assert!(log.contains("reload-refused") && log.contains("policy.toml:"), "{log}");
    assert!(!log.contains("hush") && !log.contains("panicked"), "{log}");
    site.run(&["verify"]).ends(0);
}
