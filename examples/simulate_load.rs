//! How fast `temoin simulate` is, and how much memory it takes: `cargo run --release --example simulate_load -- 2000000`.
//!
//! Writes that many records of Asterisk's `Master.csv` to a temporary file, always the same ones, and reads it three
//! times on one core: counting lines, taking the fields apart, and replaying it through the French call centre's policy.
//! The first two are what the third stands on. The most memory the process ever held is told at the end.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use temoin::simulate::csv::{Next, Records};
use temoin::simulate::{Args, Ground};
use temoin_core::testing::MemoryStore;

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    match measure(count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulate_load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(count: u64) -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (records, map) = (folder.path().join("Master.csv"), folder.path().join("map.toml"));
    generate(&records, count)?;
    std::fs::write(&map, "[endpoints]\n2001 = \"amel\"\n2002 = \"bruno\"\n")?;
    let megabytes = std::fs::metadata(&records)?.len() / 1_000_000;
    println!("{count} records, {megabytes} MB; memory before: {} MB", memory("VmRSS:"));

    // On a machine with other work the second figure, of this process alone, is the one to look at.
    let mut before = cpu();
    let mut tell = |what: &str, since: Instant, of: u64| {
        let (wall, cpu_now) = (since.elapsed().as_secs_f64(), cpu());
        let busy = (cpu_now - before).max(0.01);
        before = cpu_now;
        println!(
            "{what:<14} {:>12.0} a second, {:>12.0} a second of CPU",
            of as f64 / wall,
            of as f64 / busy
        );
    };
    let since = Instant::now();
    let mut lines = BufReader::with_capacity(256 * 1024, File::open(&records)?);
    let (mut line, mut counted) = (Vec::new(), 0_u64);
    while lines.read_until(b'\n', &mut line)? > 0 {
        counted += 1;
        line.clear();
    }
    tell("lines counted", since, counted);

    let since = Instant::now();
    let mut taken = Records::new(BufReader::with_capacity(256 * 1024, File::open(&records)?));
    let (mut parsed, mut fields) = (0_u64, 0);
    while let Next::Record(_) = taken.read()? {
        parsed += 1;
        fields += taken.fields().count();
    }
    tell("fields taken", since, parsed);
    println!("                 {fields} fields");

    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies/french-call-centre.toml");
    let args = Args { policy: Some(policy), map: Some(map), files: vec![records], ..Args::default() };
    let ground = Ground::read(&args, None)?;
    let since = Instant::now();
    let report = futures::executor::block_on(ground.replay(&args, None::<&MemoryStore>, None))?;
    tell("replayed", since, count);
    let side = &report.policy;
    println!("                 {} calls, {} decided, {} recorded", report.calls, side.decided, side.recorded);
    println!("most memory ever: {} MB", memory("VmHWM:"));
    Ok(())
}

/// Nine weeks of calls of a small centre: two agents, a queue, one call in ten never answered.
fn generate(file: &Path, count: u64) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(256 * 1024, File::create(file)?);
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        // Knuth's MMIX generator: the same file every time.
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % below
    };
    let mut row = String::new();
    for call in 0..count {
        row.clear();
        let second = call * (63 * 36_000) / count.max(1);
        let (day, second) = (second / 36_000, 32_400 + second % 36_000);
        let (month, day) = if day < 30 {
            (9, day + 1)
        } else if day < 61 {
            (10, day - 29)
        } else {
            (11, day - 60)
        };
        let time = |second: u64| {
            format!(
                "2026-{month:02}-{day:02} {:02}:{:02}:{:02}",
                second / 3600,
                second / 60 % 60,
                second % 60
            )
        };
        let (agent, talk, caller) = (2001 + next(2), 20 + next(600), next(100));
        let answered = next(10) > 0;
        let answer = if answered { format!("\"{}\"", time(second + 10)) } else { String::new() };
        let (billed, disposition) = if answered { (talk, "ANSWERED") } else { (0, "NO ANSWER") };
        let _ = writeln!(
            row,
            "\"\",\"01990012{caller:02}\",\"+33199000100\",\"from-trunk\",\"\"\"Caller {caller}\"\" <01990012{caller:02}>\",\
             \"PJSIP/trunk-{:08x}\",\"PJSIP/{agent}-{:08x}\",\"Queue\",\"support,t,,,60\",\"{}\",{answer},\"{}\",{},{billed},\
             \"{disposition}\",\"DOCUMENTATION\",\"17911{call:08}.{call}\",\"\"",
            call * 2,
            call * 2 + 1,
            time(second),
            time(second + 10 + talk),
            talk + 10,
        );
        out.write_all(row.as_bytes())?;
    }
    out.flush()
}

/// Seconds of CPU that this process has used: the 14th and 15th field of its statistics, hundredths (proc(5)).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum::<u64>();
    ticks as f64 / 100.0
}

/// A line of this process's status, in megabytes.
fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1000
}
