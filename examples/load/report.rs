//! The figures as tables in Markdown, each target beside what was measured.

use std::fmt::Write as _;

use crate::judge::Found;
use crate::pass::{Pass, Way};
use crate::proxy::Shares;

/// All that was measured of one way.
pub struct Measured {
    /// Its calls.
    pub pass: Pass,
    /// Their recordings, where there should be some.
    pub found: Option<Found>,
    /// The sidecar's share, where it has one.
    pub shares: Shares,
}

/// What a target demands, what was measured, and what the machine was doing meanwhile.
struct Target {
    what: &'static str,
    limit: f64,
    unit: &'static str,
    measured: Option<f64>,
    of: Way,
}

/// The values of a sample below which 50, 95 and 99 of a hundred lie, and the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    p50: f64,
    p95: f64,
    p99: f64,
    worst: f64,
}

/// The tables.
pub fn tables(all: &[Measured]) -> String {
    let mut text = String::new();
    let talks: Vec<&Measured> = all.iter().filter(|measured| measured.pass.way.talks()).collect();
    let hooks: Vec<&Measured> = all.iter().filter(|measured| !measured.pass.way.talks()).collect();
    table(&mut text, "calls with a talk", &talks);
    table(&mut text, "the hook alone", &hooks);
    text
}

/// Each target with what was measured; and whether all were met.
pub fn targets(all: &[Measured]) -> (String, bool) {
    let mut text = "| target | at most | measured | |\n|---|---|---|---|\n".to_owned();
    let mut met = true;
    for target in all_targets(all) {
        let Target { what, limit, unit, measured, of } = target;
        let (measured, verdict) = match measured {
            None => ("-".to_owned(), "**not measured**".to_owned()),
            Some(is) if is <= limit => (format!("{is:.1} {unit}"), "met".to_owned()),
            Some(is) => (format!("{is:.1} {unit}"), format!("**missed**; {}", meanwhile(all, of))),
        };
        met &= verdict == "met";
        let _ = writeln!(text, "| {what} | {limit:.1} {unit} | {measured} | {verdict} |");
    }
    (text, met)
}

fn all_targets(all: &[Measured]) -> Vec<Target> {
    let of = |way: Way| all.iter().find(|measured| measured.pass.way == way);
    let found = |way: Way| of(way).and_then(|measured| measured.found.as_ref());
    let p95 = |values: Option<&[f64]>| Some(spread(values?)?.p95);
    let shares =
        |way: Way, of_shares: fn(&Shares) -> Vec<f64>| Some(spread(&of_shares(&of(way)?.shares))?.p99);
    let memory = of(Way::Temoin).map(|measured| {
        let (_, most) = measured.pass.memory;
        most as f64 / 1000.0
    });
    let allowed = of(Way::Temoin).map_or(0.0, |measured| 40.0 + 0.02 * f64::from(measured.pass.live));
    let part = of(Way::Temoin).map(|measured| 100.0 * measured.pass.sidecar.cpu / measured.pass.asterisk.cpu);
    // What the sidecar is asked for at the hook itself; what it does between there and a recording is the other target.
    let hook = of(Way::SilentHook).map(|measured| per_call(measured, measured.pass.sidecar.cpu));
    let announcing = of(Way::Hook).map(|measured| per_call(measured, measured.pass.sidecar.cpu));
    let target = |what, limit, unit, measured, of| Target { what, limit, unit, measured, of };
    vec![
        target(
            "hook to the order for the prompt, sidecar's share, p99",
            5.0,
            "ms",
            shares(Way::Hook, to_prompt),
            Way::Hook,
        ),
        target(
            "hook to the order for admission, sidecar's share, p99",
            5.0,
            "ms",
            shares(Way::SilentHook, to_release),
            Way::SilentHook,
        ),
        target(
            "answer to first recorded packet, p95",
            60.0,
            "ms",
            p95(found(Way::Temoin).map(|found| &found.first[..])),
            Way::Temoin,
        ),
        target(
            "code's last digit to last recorded packet, p95",
            60.0,
            "ms",
            p95(found(Way::Code).map(|found| &found.last[..])),
            Way::Code,
        ),
        target("sidecar's CPU for the hook, per call, nothing announced", 0.3, "ms", hook, Way::SilentHook),
        target("sidecar's CPU for the hook, per call, prompt and key", 0.3, "ms", announcing, Way::Hook),
        target("sidecar's CPU, part of Asterisk's, recorded calls", 5.0, "%", part, Way::Temoin),
        target(
            "sidecar's memory, 40 MB and 20 kB for each call up at once",
            allowed,
            "MB",
            memory,
            Way::Temoin,
        ),
    ]
}

/// What the machine was doing in a pass, for a target that was missed there.
fn meanwhile(all: &[Measured], way: Way) -> String {
    let Some(measured) = all.iter().find(|measured| measured.pass.way == way) else {
        return String::new();
    };
    let pass = &measured.pass;
    format!(
        "cores {:.0} % busy; a call took {:.1} ms of Asterisk's CPU and {:.2} ms of the sidecar's, whose threads waited \
         {:.2} ms for a core",
        pass.busy,
        per_call(measured, pass.asterisk.cpu),
        per_call(measured, pass.sidecar.cpu),
        per_call(measured, pass.sidecar.waited)
    )
}

fn table(text: &mut String, title: &str, columns: &[&Measured]) {
    let mut row = |name: &str, cell: &dyn Fn(&Measured) -> Option<String>| {
        let cells: Vec<Option<String>> = columns.iter().map(|measured| cell(measured)).collect();
        if cells.iter().any(Option::is_some) {
            let cells: Vec<String> =
                cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".into())).collect();
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
    };
    row(title, &|measured| Some(name(measured.pass.way).to_owned()));
    row("---", &|_| Some("---".to_owned()));
    row("calls, of these failed", &|measured| {
        let pass = &measured.pass;
        Some(format!("{}, {}", pass.calls.len() + pass.failed.len(), pass.failed.len()))
    });
    row("calls a second, at most up at once", &|measured| {
        Some(format!("{:.1}, {}", measured.pass.rate, measured.pass.live))
    });
    row("machine busy, all cores", &|measured| Some(format!("{:.0} %", measured.pass.busy)));
    row("CPU of Asterisk, ms a call", &|measured| cpu(measured, measured.pass.asterisk.cpu));
    row("CPU of the sidecar, ms a call", &|measured| {
        served(measured)?;
        cpu(measured, measured.pass.sidecar.cpu)
    });
    row("its wait for a core, ms a call", &|measured| {
        served(measured)?;
        cpu(measured, measured.pass.sidecar.waited)
    });
    row("CPU of the phones and the proxy, ms a call", &|measured| cpu(measured, measured.pass.phones.cpu));
    row("memory of the sidecar before, at most, MB", &|measured| {
        served(measured)?;
        let (before, most) = measured.pass.memory;
        Some(format!("{:.1}, {:.1}", before as f64 / 1000.0, most as f64 / 1000.0))
    });
    row("memory for each call up at once, kB", &|measured| {
        served(measured)?;
        let (before, most) = measured.pass.memory;
        let more = most.saturating_sub(before) as f64;
        Some(format!("{:.0}", more / f64::from(measured.pass.live.max(1))))
    });
    row("answer to first packet of the prompt, ms", &|measured| {
        let prompts = measured.pass.calls.iter().filter_map(|call| call.prompt);
        shown(&prompts.map(|prompt| prompt.as_secs_f64() * 1000.0).collect::<Vec<_>>())
    });
    row("sidecar's share: hook to the order for the prompt, ms", &|measured| {
        shown(&to_prompt(&measured.shares))
    });
    row("sidecar's share: hook to the order for admission, ms", &|measured| {
        shown(&to_release(&measured.shares))
    });
    row("agent's answer to first recorded packet, ms", &|measured| shown(&measured.found.as_ref()?.first));
    row("code's last digit to last recorded packet, ms", &|measured| shown(&measured.found.as_ref()?.last));
    row("missing of the talk, ms", &|measured| shown(&measured.found.as_ref()?.lacks));
    row("recordings whole", &|measured| Some(measured.found.as_ref()?.whole.to_string()));
    row("short by more than 100 ms, of these flagged", &|measured| {
        let found = measured.found.as_ref()?;
        Some(match served(measured) {
            Some(()) => format!("{}, {}", found.short, found.flagged),
            None => found.short.to_string(),
        })
    });
    row("one-sided; a voice on the wrong side; missing", &|measured| {
        let found = measured.found.as_ref()?;
        Some(format!("{}; {}; {}", found.one_sided, found.mixed_up, found.missing.len()))
    });
    text.push('\n');
}

fn name(way: Way) -> &'static str {
    match way {
        Way::Bare => "not recorded",
        Way::MixMonitor => "MixMonitor in the dialplan",
        Way::Temoin => "Témoin",
        Way::Code => "Témoin, `*9` halfway",
        Way::BareHook => "prompt by Asterisk",
        Way::Hook => "Témoin's hook",
        Way::SilentHook => "Témoin's hook, nothing announced",
    }
}

fn served(measured: &Measured) -> Option<()> {
    measured.pass.way.is_served().then_some(())
}

fn cpu(measured: &Measured, millis: f64) -> Option<String> {
    Some(format!("{:.2}", per_call(measured, millis)))
}

fn per_call(measured: &Measured, all: f64) -> f64 {
    all / (measured.pass.calls.len() + measured.pass.failed.len()).max(1) as f64
}

fn to_prompt(shares: &Shares) -> Vec<f64> {
    shares.to_prompt.iter().map(|share| share.as_secs_f64() * 1000.0).collect()
}

fn to_release(shares: &Shares) -> Vec<f64> {
    shares.to_release.iter().map(|share| share.as_secs_f64() * 1000.0).collect()
}

/// `p50 / p95 / p99, worst (how many)`.
fn shown(values: &[f64]) -> Option<String> {
    let Spread { p50, p95, p99, worst } = spread(values)?;
    Some(format!("{p50:.1} / {p95:.1} / {p99:.1}, {worst:.1} ({})", values.len()))
}

/// By the nearest rank: each is a value that was measured.
fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = |part: f64| {
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied()
    };
    Some(Spread { p50: rank(0.5)?, p95: rank(0.95)?, p99: rank(0.99)?, worst: rank(1.0)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_by_rank() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(spread(&values), Some(Spread { p50: 100.0, p95: 190.0, p99: 198.0, worst: 200.0 }));
        assert_eq!(spread(&[3.0]), Some(Spread { p50: 3.0, p95: 3.0, p99: 3.0, worst: 3.0 }));
        assert_eq!(spread(&[]), None);
    }
}
