//! What is in the recordings, and when the first and the last of it was said.
//!
//! Content is judged by tone as the scenarios do it: each side has its own voice for nine tenths of its length and
//! nothing of the other's. Moments are found by the samples themselves: a phone's tone is no multiple of 50 Hz, so within
//! a second each packet is another one, and Asterisk records what it passes on without changing a bit. The first recorded
//! packet is looked for in what the customer heard, the last one in what the agent heard, each packet with the instant at
//! which it came. So the unit is the packet of 20 ms, and its way from Asterisk to the phone (a fraction of a
//! millisecond on an idle machine) counts against the recorder.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use temoin_lab::scenario::Cli;
use temoin_phone::{Audio, Sound};
use tokio::time::sleep;

use crate::ground::{Ground, told};
use crate::pass::{Heard, Pass, Taken, Talk, Way};

/// From so much on a recording is short, or a mark is missed.
pub const SHORT: Duration = Duration::from_millis(100);
/// Samples in a packet.
const PACKET: usize = 160;
/// Samples in a millisecond.
const PER_MS: f64 = 8.0;
/// So many packets at the beginning and at the end of a recording may be silent, one side's having come later.
const SILENT_PACKETS: usize = 25;
/// Two packets are the same below this part of their energy; copies differ by nothing, neighbours by some per cent.
const SAME: f64 = 0.001;
/// How long the index may take to have everything.
const REST: Duration = Duration::from_secs(60);

/// What came of the recordings of a pass.
#[derive(Debug, Default)]
pub struct Found {
    /// As long as the talk, to a tenth of a second, and each side itself.
    pub whole: usize,
    /// Shorter than the talk by more than [`SHORT`].
    pub short: usize,
    /// Flagged as short by the sidecar.
    pub flagged: usize,
    /// One side, or both, not heard for nine tenths of the time.
    pub one_sided: usize,
    /// A voice where it must not be.
    pub mixed_up: usize,
    /// Not there, not readable, or more than one.
    pub missing: Vec<String>,
    /// What is missing of each recording against its talk, in ms; less than nothing where it is longer.
    pub lacks: Vec<f64>,
    /// From the agent's answer to the first recorded packet, in ms.
    pub first: Vec<f64>,
    /// From the code's last digit to the last recorded packet, in ms.
    pub last: Vec<f64>,
    /// Recordings whose first (or last) packet nobody heard: their moments are not known.
    pub unknown: usize,
}

/// Both sides of a recording.
struct Sides {
    customer: Sound,
    agent: Sound,
    flagged: bool,
}

/// Looks at every recording of a pass.
pub async fn judge(ground: &Arc<Ground>, pass: &Pass) -> Result<Found, String> {
    let mut found = Found::default();
    let records = if pass.way.is_served() { records(&ground.cli, pass).await? } else { Vec::new() };
    for call in &pass.calls {
        let Some(talk) = &call.talk else { continue };
        let sides = match pass.way {
            Way::MixMonitor => bare(ground.bare_recording(call.call)),
            _ => kept(ground, call, &records).await,
        };
        match sides {
            Ok(sides) => found.add(call, talk, &sides, pass.way == Way::Code),
            Err(why) => found.missing.push(format!("call {}: {why}", call.call)),
        }
    }
    Ok(found)
}

impl Found {
    /// Whether nothing was lost.
    pub fn is_whole(&self) -> bool {
        self.short + self.one_sided + self.mixed_up + self.missing.len() == 0
    }

    fn add(&mut self, call: &Taken, talk: &Talk, sides: &Sides, coded: bool) {
        let length = sides.customer.length().min(sides.agent.length());
        let lacks = millis(talk.to, talk.from) - length.as_secs_f64() * 1000.0;
        self.lacks.push(lacks);
        let (customer, agent) = call.tones;
        let voices = [(&sides.customer, customer, agent), (&sides.agent, agent, customer)];
        let time = |sound: &Sound, hz| sound.tone_time(hz, Duration::ZERO, Duration::MAX);
        let one_sided = voices.iter().any(|(sound, own, _)| time(sound, *own) < length * 9 / 10);
        let mixed_up = voices.iter().any(|(sound, _, other)| !time(sound, *other).is_zero());
        // While the agent presses the code, he is not heard.
        let one_sided = one_sided && !(coded && time(&sides.customer, customer) >= length * 9 / 10);
        let short = lacks > SHORT.as_secs_f64() * 1000.0;
        self.short += usize::from(short);
        self.one_sided += usize::from(one_sided);
        self.mixed_up += usize::from(mixed_up);
        self.flagged += usize::from(sides.flagged);
        self.whole += usize::from(!(short || one_sided || mixed_up));
        match first(sides.agent.samples(), &talk.first) {
            Some((at, before)) => self.first.push(millis(at, talk.from) - before),
            None => self.unknown += 1,
        }
        if coded {
            match last(sides.customer.samples(), &talk.last) {
                Some((at, after)) => self.last.push(millis(at, talk.to) + after),
                None => self.unknown += 1,
            }
        }
    }
}

/// When the first packet came that is recorded, and how much is recorded before it, in ms.
fn first(recorded: &[i16], heard: &Heard) -> Option<(Instant, f64)> {
    recorded.chunks_exact(PACKET).take(SILENT_PACKETS).enumerate().find_map(|(n, packet)| {
        let at = locate(packet, heard)?;
        Some((at, (n * PACKET) as f64 / PER_MS))
    })
}

/// When the last packet came that is recorded, and how much is recorded after it, in ms.
fn last(recorded: &[i16], heard: &Heard) -> Option<(Instant, f64)> {
    recorded.rchunks_exact(PACKET).take(SILENT_PACKETS).enumerate().find_map(|(n, packet)| {
        let at = locate(packet, heard)?;
        Some((at, (n * PACKET) as f64 / PER_MS))
    })
}

/// When the packet came in which these samples end.
fn locate(samples: &[i16], heard: &Heard) -> Option<Instant> {
    let energy: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    let all: Vec<i16> = heard.iter().flat_map(|(_, samples)| samples).copied().collect();
    let differ = |window: &[i16]| -> f64 {
        window.iter().zip(samples).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    };
    let windows = all.windows(samples.len()).map(differ).enumerate();
    let (begins, differs) = windows.min_by(|a, b| a.1.total_cmp(&b.1))?;
    // Silence is like any other silence.
    if energy < 1e6 || differs > SAME * energy {
        return None;
    }
    let mut end = 0;
    heard.iter().find_map(|(at, samples_of)| {
        end += samples_of.len();
        (begins + samples.len() <= end).then_some(*at)
    })
}

fn bare(files: [PathBuf; 2]) -> Result<Sides, String> {
    let side = |file: &PathBuf| -> Result<Sound, String> {
        Audio::wav(file).and_then(|audio| audio.channel(0).cloned()).map_err(told)
    };
    Ok(Sides { customer: side(&files[0])?, agent: side(&files[1])?, flagged: false })
}

/// The calls of the index, when it has all of this pass and all of them are over.
async fn records(cli: &Cli, pass: &Pass) -> Result<Vec<Value>, String> {
    let deadline = Instant::now() + REST;
    loop {
        let calls = cli.json(&["calls", "--limit", "100000"]).await?;
        let calls = calls["calls"].as_array().cloned().unwrap_or_default();
        let over = |taken: &&Taken| {
            calls.iter().any(|call| call["number"] == *taken.customer && !call["ended"].is_null())
        };
        let known = pass.calls.iter().filter(over).count();
        if known == pass.calls.len() {
            return Ok(calls);
        }
        if Instant::now() > deadline {
            let all = pass.calls.len();
            return Err(format!("the index knows the end of {known} of {all} calls, after {REST:?}"));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// The recording that the sidecar kept of a call, as `temoin play` writes it out.
async fn kept(ground: &Ground, call: &Taken, records: &[Value]) -> Result<Sides, String> {
    let record = records.iter().find(|record| record["number"] == *call.customer);
    let id = record.and_then(|record| record["id"].as_str()).ok_or("not in the index")?;
    let story = ground.cli.json(&["show", id]).await?;
    let segments = story["segments"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [segment] = segments else {
        return Err(format!("{} segments, outcome {}", segments.len(), story["call"]["outcome"]));
    };
    let id = segment["id"].as_str().unwrap_or_default();
    let file = ground.scratch(&format!("{id}.wav"));
    let name = file.to_string_lossy();
    let output =
        ground.cli.ask(&["play", id, "--output", &name, "--reason", "measured", "--who", "load"]).await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}, does not play: {said}", segment["state"]));
    }
    let audio = Audio::wav(&file).map_err(told)?;
    let side = |n| audio.channel(n).cloned().map_err(told);
    let sides = Sides {
        customer: side(0)?,
        agent: side(1)?,
        flagged: segment["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "short")),
    };
    std::fs::remove_file(&file).map_err(told)?;
    Ok(sides)
}

/// From one instant to another in ms, either way.
fn millis(to: Instant, from: Instant) -> f64 {
    let ahead = to.saturating_duration_since(from).as_secs_f64();
    let behind = from.saturating_duration_since(to).as_secs_f64();
    (ahead - behind) * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of a tone in packets 20 ms apart.
    fn heard(hz: f64, start: Instant) -> Heard {
        let sample = |n: usize| (8000.0 * (std::f64::consts::TAU * hz * n as f64 / 8000.0).sin()) as i16;
        let packet = |n: usize| (n * PACKET..(n + 1) * PACKET).map(sample).collect();
        (0..49).map(|n| (start + Duration::from_millis(20) * n as u32, packet(n))).collect()
    }

    #[test]
    fn the_first_and_the_last_packet_are_found_to_the_packet() {
        let start = Instant::now();
        let heard = heard(1201.0, start);
        let samples: Vec<i16> = heard[7..30].iter().flat_map(|(_, samples)| samples).copied().collect();
        let silence = [0; 2 * PACKET];
        let recorded = [&silence[..], &samples, &silence[..PACKET]].concat();
        let at = |n: u32| start + Duration::from_millis(20) * n;
        assert_eq!(first(&recorded, &heard), Some((at(7), 40.0)));
        assert_eq!(last(&recorded, &heard), Some((at(29), 20.0)));
        assert_eq!(first(&super::tests::heard(951.0, start)[0].1, &heard), None);
    }

    #[test]
    fn lost_audio_is_seen() {
        let start = Instant::now();
        let samples =
            |hz| -> Vec<i16> { heard(hz, start).into_iter().flat_map(|(_, packet)| packet).collect() };
        let sides = |customer: Vec<i16>, agent: Vec<i16>| Sides {
            customer: Sound::new(customer, 8000),
            agent: Sound::new(agent, 8000),
            flagged: false,
        };
        let call = Taken { call: 0, customer: String::new(), tones: (701, 1201), prompt: None, talk: None };
        let to = start + Duration::from_millis(990);
        let talk = Talk { from: start, to, first: heard(1201.0, start), last: Vec::new() };
        let judged = |sides: Sides| {
            let mut found = Found::default();
            found.add(&call, &talk, &sides, false);
            (found.whole, found.short, found.one_sided, found.mixed_up, found.unknown)
        };
        assert_eq!(judged(sides(samples(701.0), samples(1201.0))), (1, 0, 0, 0, 0));
        let (less, of) = (samples(701.0)[..6000].to_vec(), samples(1201.0)[..6000].to_vec());
        assert_eq!(judged(sides(less, of)), (0, 1, 0, 0, 0));
        assert_eq!(judged(sides(vec![0; 7840], samples(1201.0))), (0, 0, 1, 0, 0));
        assert_eq!(judged(sides(samples(1201.0), samples(701.0))), (0, 0, 1, 1, 1));
    }
}
