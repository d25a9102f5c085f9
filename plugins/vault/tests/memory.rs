//! A long recording passes through in bounded memory. A process of its own, so that nobody else's memory counts.

use std::fs;
use std::io::{Read as _, repeat};

use temoin_core::id::SegmentId;
use temoin_core::ports::Vault as _;
use temoin_vault::ObjectVault;
use tempfile::TempDir;

/// An hour of stereo at 8 kHz.
const HOUR: u64 = 3600 * 8000 * 2 * 2;

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_audio_passes_through_in_bounded_memory() {
    let dir = TempDir::new().expect("dir");
    let vault = ObjectVault::local(&dir.path().join("vault"), &dir.path().join("key")).await.expect("open");
    let id = SegmentId::parse("018f0000-0000-7000-8000-000000000001").expect("id");
    let before = peak();
    let sealed = vault.seal(id, Box::new(repeat(7).take(HOUR))).await.expect("seal");
    let range = HOUR - 10..HOUR + 10;
    assert_eq!(vault.read(id, &sealed, range).await, Ok(vec![7; 10]));
    let grown = peak() - before;
    assert!(grown < 48 << 10, "it took {grown} KiB");
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("number")
}
