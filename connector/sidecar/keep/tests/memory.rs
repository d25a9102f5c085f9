//! A long recording passes through in bounded memory: measured in a process of its own, so that nobody else's counts.

use std::io::{BufWriter, Write as _};
use std::process::{Command, Stdio};

use temoin_vault::ObjectVault;

use super::house::file;
use super::*;
use crate::audio::riff;

const CHILD: &str = "TEMOIN_TEST_KEEP_MEMORY";
/// Ten minutes: 19 MB once joined.
const FRAMES: u64 = 10 * 60 * RATE as u64;

#[test]
fn a_long_recording_is_kept_in_bounded_memory() {
    let output = Command::new(std::env::current_exe().expect("exe"))
        .args(["--exact", "keep::tests::memory::child", "--nocapture"])
        .env(CHILD, "1")
        .stderr(Stdio::inherit())
        .output()
        .expect("child");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("it took"), "{said}");
}

/// Not a test of its own: the process that is measured.
#[tokio::test]
async fn child() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    let house = House::new();
    let directory = house.dir.path();
    let vault = ObjectVault::local(&directory.join("vault"), &directory.join("key")).await.expect("vault");
    let settings = Settings::new(directory.join("spool"));
    let keeper = Keeper::new(house.store.clone(), Arc::new(vault), house.clock.clone(), settings);
    for side in ["in", "out"] {
        let mut to =
            BufWriter::new(fs::File::create(file(&directory.join("spool"), 1, side)).expect("create"));
        to.write_all(&riff::header(1, RATE, FRAMES).expect("header")).expect("write");
        for n in 0..FRAMES {
            to.write_all(&((n % 700) as i16 * 20).to_le_bytes()).expect("write");
        }
        to.flush().expect("flush");
    }
    house.close(1, closing(FRAMES as i64 / 8)).await;
    let before = peak();
    assert_eq!(keeper.expect("keeper").pass().await, Progress { kept: 1, ..Progress::default() });
    let grown = peak() - before;
    println!("it took {grown} KiB");
    assert!(grown < 14 << 10, "it took {grown} KiB");
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("number")
}
