//! What the kernel counts of processes and of the machine, read from `/proc` (proc(5)). Linux only.
//!
//! What a file that is not there would say is zero: a process that has ended uses nothing.

use std::fs;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// CPU of all its threads, also of those that have ended, in ms; the kernel counts in steps of 10.
    pub cpu: f64,
    /// How long its threads that still run were ready to run and had no core, in ms.
    pub waited: f64,
}

/// The machine's time so far, in hundredths of a second of all cores together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    busy: u64,
    all: u64,
}

/// What a process has used so far.
pub fn used(pid: u32) -> Used {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // Fields 14 and 15: user and system time, in hundredths of a second.
    let ticks = numbers(after_name).skip(11).take(2).sum::<u64>();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let waited = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
    let nanos: u64 = waited.filter_map(|line| numbers(&line).nth(1)).sum();
    Used { cpu: ticks as f64 * 10.0, waited: nanos as f64 / 1e6 }
}

/// The memory that a process holds in RAM, in kB.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

impl Machine {
    /// Its time up to now.
    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
        let times: Vec<u64> = numbers(line).take(8).collect();
        let all = times.iter().sum();
        let idle: u64 = times.iter().skip(3).take(2).sum();
        Self { busy: all - idle, all }
    }

    /// How busy it has been since then, in per cent of all cores.
    pub fn busy_since(self, before: Self) -> f64 {
        100.0 * (self.busy - before.busy) as f64 / (self.all - before.all).max(1) as f64
    }
}

/// Cores, their kind, and the load averages.
pub fn about() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = cpus
        .lines()
        .filter(|line| line.starts_with("model name"))
        .filter_map(|line| Some(line.split_once(": ")?.1))
        .collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(3).collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = models.first().unwrap_or(&"of an unknown kind");
    format!("{cores} cores ({model}), load average at the start {}", load.join(" "))
}

fn numbers(line: &str) -> impl Iterator<Item = u64> {
    line.split_whitespace().map(|word| word.parse().unwrap_or(0))
}
