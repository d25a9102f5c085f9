//! A process that dies after any step, with the real index and the real vault: the next one ends in the same place.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use temoin_core::id::CallId;
use temoin_core::testing::ManualClock;
use temoin_sqlite::{Options, SqliteStore};
use temoin_vault::ObjectVault;
use tempfile::TempDir;

use super::house::{entry_of, file, names, told};
use super::*;

const DIRECTORY: &str = "TEMOIN_TEST_KEEP_DIRECTORY";
const STEPS: &str = "TEMOIN_TEST_KEEP_STEPS";

/// Not a test of its own: the process that dies after so many steps.
#[tokio::test]
async fn child() {
    let (Ok(directory), Ok(steps)) = (std::env::var(DIRECTORY), std::env::var(STEPS)) else {
        return;
    };
    let left = Mutex::new(steps.parse::<u32>().expect("a number"));
    work(Path::new(&directory), move |_, _| {
        let mut left = left.lock().expect("lock");
        *left -= 1;
        if *left == 0 {
            std::process::abort();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_after_any_step_ends_in_the_same_index() {
    a_restart_after_any_step(&TempDir::new().expect("dir")).await;
}

/// As where the spool is a disk of its own: nothing can be moved from there into the vault.
#[tokio::test(flavor = "multi_thread")]
async fn and_where_the_spool_is_another_file_system_than_the_vault() {
    let apart = TempDir::new_in("/dev/shm").expect("another file system than that of temporary files");
    let device = |path: &Path| fs::metadata(path).expect("a folder").dev();
    assert_ne!(device(apart.path()), device(&std::env::temp_dir()), "/dev/shm is a file system of its own");
    a_restart_after_any_step(&apart).await;
}

async fn a_restart_after_any_step(spools: &TempDir) {
    let reference = prepare(spools).await;
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = steps.clone();
    work(reference.path(), move |id, step| seen.lock().expect("lock").push((id, step))).await;
    let steps = steps.lock().expect("lock").clone();
    let expected = ending(reference.path()).await;
    assert_eq!(
        steps.iter().map(|(_, step)| step).collect::<HashSet<_>>().len(),
        12,
        "every step is taken: {steps:?}"
    );
    assert_eq!(expected.iter().filter(|line| line.contains(" kept: 1")).count(), 3, "{expected:#?}");

    for (n, (id, step)) in steps.iter().enumerate() {
        let dir = prepare(spools).await;
        let status = Command::new(std::env::current_exe().expect("exe"))
            .args(["--exact", "keep::tests::crash::child", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .env(STEPS, (n + 1).to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("child");
        assert!(!status.success(), "it died after step {n}, {step:?} of {id}");
        assert_nothing_is_lost(dir.path()).await;
        work(dir.path(), |_, _| {}).await;
        assert_eq!(ending(dir.path()).await, expected, "died after step {n}, {step:?} of {id}");
    }
}

/// Five segments: one as it should be; one whose recorder died; one that must not be kept; one that was kept and is
/// doomed; one without files.
async fn prepare(spools: &TempDir) -> TempDir {
    let dir = TempDir::new().expect("dir");
    let spool = dir.path().join("spool");
    let place = spools.path().join(dir.path().file_name().expect("a name"));
    fs::create_dir(&place).expect("spool");
    symlink(&place, &spool).expect("spool");
    let store = store(dir.path()).await;
    let open = |n, closing| told(n, closing, &[]);
    store.commit(open(4, closing(1_000))).await.expect("commit");
    put(&spool, 4, |file| file);
    work(dir.path(), |_, _| {}).await;
    store.commit(vec![Change::Amend(id(4), vec![], Deadlines::default())]).await.expect("commit");
    let nothing = Closing { kept: vec![], ..closing(1_000) };
    let rest = [open(1, closing(1_000)), open(2, closing(1_000)), open(3, nothing), open(5, closing(1_000))];
    store.commit(rest.concat()).await.expect("commit");
    put(&spool, 1, |file| file);
    put(&spool, 2, |mut file| {
        file[40..44].fill(0);
        file
    });
    put(&spool, 3, |file| file);
    dir
}

fn put(spool: &Path, n: u8, change: fn(Vec<u8>) -> Vec<u8>) {
    for (side, hertz) in [("in", 440.0), ("out", 620.0)] {
        fs::write(file(spool, n, side), change(wav(&tone(RATE, hertz, 0.5, 8_000)))).expect("write");
    }
}

/// Passes until nothing is left to do.
async fn work(directory: &Path, hook: impl Fn(SegmentId, Step) + Send + Sync + 'static) {
    let clock = Arc::new(ManualClock::new(end(120_000)));
    let settings = Settings { parallel: 1, ..Settings::new(directory.join("spool")) };
    let (store, vault) = (Arc::new(store(directory).await), Arc::new(vault(directory).await));
    let keeper = Keeper::new(store, vault, clock.clone(), settings).expect("keeper").with_hook(hook);
    for _ in 0..10 {
        let progress = keeper.pass().await;
        assert_eq!((progress.failed, progress.blocked), (0, false));
        if progress == Progress::default() {
            return;
        }
        clock.advance(Duration::from_secs(10));
    }
    panic!("there is always something left to do");
}

async fn store(directory: &Path) -> SqliteStore {
    let path = directory.join("index.db");
    SqliteStore::open(&path, "node-1", "site-1", Options::default()).await.expect("store")
}

async fn vault(directory: &Path) -> ObjectVault {
    ObjectVault::local(&directory.join("vault"), &directory.join("key")).await.expect("vault")
}

/// Whenever the process died: a recording that is to be kept is in the vault or still in the spool.
async fn assert_nothing_is_lost(directory: &Path) {
    let (store, vault) = (store(directory).await, vault(directory).await);
    for n in [1, 2] {
        let row = store.segments(SegmentQuery::Id(id(n))).await.expect("segments").remove(0);
        let in_spool = ["in", "out"].iter().all(|side| file(&directory.join("spool"), n, side).exists());
        let in_vault = match &row.sealed {
            Some(sealed) => {
                let audio = vault.read(id(n), sealed, 0..u64::MAX).await.expect("read");
                Some(sha256(&audio)) == row.sha256
            }
            None => false,
        };
        assert!(in_spool || in_vault, "segment {n} is in neither");
    }
}

/// Index, journal, spool and vault as lines, without what is drawn at random; sound, and nothing in plain anywhere.
async fn ending(directory: &Path) -> Vec<String> {
    let (store, vault) = (store(directory).await, vault(directory).await);
    let report = verify(&store, &vault).await.expect("verify");
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(names(&directory.join("spool")), Vec::<String>::new());
    assert_no_plain_audio(directory);

    let mut lines = Vec::new();
    for n in 1..=5 {
        let row = store.segments(SegmentQuery::Id(id(n))).await.expect("segments").remove(0);
        let (state, key, disposed) = (row.state, row.sealed.is_some(), row.disposed.is_some());
        lines.push(format!(
            "{n}: {state:?} {:?} {:?} {:?} {key} {disposed}",
            row.millis, row.sha256, row.flags
        ));
    }
    let mut objects = vault.list().await.expect("list");
    objects.sort();
    assert_eq!(objects, [id(1), id(2)]);
    let story = store.story(&CallId("c1".into())).await.expect("story");
    let mut journal: Vec<_> = story
        .iter()
        .map(|link| {
            let entry = entry_of(link);
            let what = match entry.what {
                What::Kept(note) => format!("kept: {} {} {:?}", note.millis, note.sha256, note.flags),
                what => format!("{what:?}"),
            };
            format!("{:?} {what}", entry.segment)
        })
        .collect();
    journal.sort();
    lines.extend(journal);
    lines
}

fn assert_no_plain_audio(directory: &Path) {
    let (customer, agent) = (wav(&tone(RATE, 440.0, 0.5, 8_000)), wav(&tone(RATE, 620.0, 0.5, 8_000)));
    let (customer, agent) = (&customer[1_000..1_032], &agent[1_000..1_032]);
    let joined: Vec<u8> =
        customer.chunks(2).zip(agent.chunks(2)).flat_map(|(l, r)| [l, r].concat()).collect();
    let patterns: [&[u8]; 3] = [customer, agent, &joined];
    let mut directories = vec![directory.to_owned()];
    let mut looked_at = 0;
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("dir") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let bytes = fs::read(&path).expect("read");
            for pattern in patterns {
                assert!(!bytes.windows(pattern.len()).any(|window| window == pattern), "in plain: {path:?}");
            }
            looked_at += 1;
        }
    }
    assert!(looked_at >= 4, "index, key and two objects");
}
