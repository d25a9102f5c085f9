//! Sound that can be measured: 16-bit mono samples, and the questions that a test asks of them.
//!
//! All levels are dBFS, where a sine of full scale is 0. A tone is looked for in blocks of 40 ms, one every 20 ms, with
//! a Hann-weighted Goertzel filter; so a phase that breaks at a lost packet, or a voice of one packet in a long silence,
//! is measured for what it is. A block holds a tone from [`PRESENT`] on; phones speak at -12 dBFS unless told otherwise.
//!
//! Left out: telling a tone from speech that happens to hold its frequency, and tones less than 250 Hz apart (the click
//! at the end of one could count as the other).

use std::f64::consts::TAU;
use std::ops::Range;
use std::time::Duration;

/// The level in dBFS from which a 40 ms block counts as holding a tone. Twenty dB below the voice of a phone:
/// five milliseconds of it in a block are enough; quantisation noise and the clicks of a tone 250 Hz away are not.
pub const PRESENT: f64 = -32.0;

/// The level of nothing at all, in dBFS: given where there is no energy or not enough sound to measure.
pub const NOTHING: f64 = -120.0;

/// One channel of linear sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    samples: Vec<i16>,
    rate: u32,
}

impl Sound {
    /// Sound of these samples at `rate` samples per second (at least 1).
    pub fn new(samples: Vec<i16>, rate: u32) -> Self {
        Self { samples, rate: rate.max(1) }
    }

    /// The samples.
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    /// How long it lasts.
    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.samples.len() as f64 / f64::from(self.rate))
    }

    /// The level of the frequency `hz` between two offsets from the start: the mean power of all blocks, in dBFS.
    pub fn tone_db(&self, hz: u32, from: Duration, to: Duration) -> f64 {
        let blocks = self.blocks(hz, from, to);
        if blocks.is_empty() {
            return NOTHING;
        }
        let mean = blocks.iter().map(|db| 10f64.powf(db / 10.0)).sum::<f64>() / blocks.len() as f64;
        (10.0 * mean.log10()).max(NOTHING)
    }

    /// For how long the frequency `hz` is heard between two offsets, in steps of 20 ms.
    pub fn tone_time(&self, hz: u32, from: Duration, to: Duration) -> Duration {
        let held = self.blocks(hz, from, to).iter().filter(|db| **db >= PRESENT).count();
        Duration::from_millis(20) * u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// Whether the frequency `hz` is heard in at least half of the blocks between two offsets.
    pub fn has_tone(&self, hz: u32, from: Duration, to: Duration) -> bool {
        let blocks = self.blocks(hz, from, to);
        let held = blocks.iter().filter(|db| **db >= PRESENT).count();
        held > 0 && held * 2 >= blocks.len()
    }

    /// Whether the frequency `hz` is heard in no block at all between two offsets. Not the contrary of `has_tone`: a
    /// voice that is there for a quarter of the time is neither had nor lacked.
    pub fn lacks_tone(&self, hz: u32, from: Duration, to: Duration) -> bool {
        self.blocks(hz, from, to).iter().all(|db| *db < PRESENT)
    }

    /// The offset of the first 20 ms in which the frequency `hz` is heard.
    pub fn first_heard(&self, hz: u32) -> Option<Duration> {
        let step = self.step();
        let block = self.blocks(hz, Duration::ZERO, Duration::MAX).iter().position(|db| *db >= PRESENT)?;
        let filter = Filter::new(hz, self.rate, step);
        let begins = block * step;
        let early = self.samples.get(begins..begins + step).is_some_and(|s| filter.level(s) >= PRESENT);
        let sample = if early { begins } else { begins + step };
        Some(Duration::from_secs_f64(sample as f64 / f64::from(self.rate)))
    }

    /// The overall level between two offsets, in dBFS (root mean square; a sine of full scale is 0).
    pub fn rms_db(&self, from: Duration, to: Duration) -> f64 {
        let samples = &self.samples[self.range(from, to)];
        if samples.is_empty() {
            return NOTHING;
        }
        let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64;
        (10.0 * (2.0 * power / FULL_SCALE.powi(2)).log10()).max(NOTHING)
    }

    /// The loudest frequency, on a raster of 20 Hz, and its level; `None` where nothing reaches [`PRESENT`].
    pub fn loudest(&self, from: Duration, to: Duration) -> Option<(u32, f64)> {
        (100..3900)
            .step_by(20)
            .map(|hz| (hz, self.tone_db(hz, from, to)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|(_, db)| *db >= PRESENT)
    }

    fn blocks(&self, hz: u32, from: Duration, to: Duration) -> Vec<f64> {
        let samples = &self.samples[self.range(from, to)];
        let step = self.step();
        if samples.len() < step {
            return Vec::new();
        }
        let length = (2 * step).min(samples.len());
        let filter = Filter::new(hz, self.rate, length);
        samples.windows(length).step_by(step).map(|block| filter.level(block)).collect()
    }

    fn step(&self) -> usize {
        (self.rate as usize / 50).max(1)
    }

    fn range(&self, from: Duration, to: Duration) -> Range<usize> {
        let index = |at: Duration| {
            let sample = at.as_nanos().saturating_mul(u128::from(self.rate)) / 1_000_000_000;
            usize::try_from(sample).unwrap_or(usize::MAX).min(self.samples.len())
        };
        let end = index(to);
        index(from).min(end)..end
    }
}

const FULL_SCALE: f64 = 32768.0;

/// A Goertzel filter over blocks of one length, weighted by a Hann window.
pub(crate) struct Filter {
    window: Vec<f64>,
    coefficient: f64,
    gain: f64,
}

impl Filter {
    pub(crate) fn new(hz: u32, rate: u32, length: usize) -> Self {
        let window: Vec<f64> =
            (0..length).map(|n| 0.5 - 0.5 * (TAU * (n as f64 + 0.5) / length as f64).cos()).collect();
        let gain = 2.0 / window.iter().sum::<f64>().max(f64::MIN_POSITIVE) / FULL_SCALE;
        Self { window, coefficient: 2.0 * (TAU * f64::from(hz) / f64::from(rate)).cos(), gain }
    }

    /// The level of the frequency in one block, in dBFS.
    pub(crate) fn level(&self, block: &[i16]) -> f64 {
        let (mut s1, mut s2) = (0.0, 0.0);
        for (sample, weight) in block.iter().zip(&self.window) {
            let s0 = f64::from(*sample) * weight + self.coefficient * s1 - s2;
            (s2, s1) = (s1, s0);
        }
        let power = (s1 * s1 + s2 * s2 - self.coefficient * s1 * s2).max(0.0);
        (20.0 * (power.sqrt() * self.gain).log10()).max(NOTHING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn sine(hz: u32, dbfs: f64, millis: usize) -> Vec<i16> {
        let amplitude = FULL_SCALE * 10f64.powf(dbfs / 20.0);
        (0..millis * 8)
            .map(|n| (amplitude * (TAU * f64::from(hz) * n as f64 / 8000.0).sin()) as i16)
            .collect()
    }

    #[test]
    fn a_tone_is_measured_at_its_level_and_not_beside_it() {
        let sound = Sound::new(sine(613, -12.0, 1000), 8000);
        assert!((sound.tone_db(613, MS(0), MS(1000)) + 12.0).abs() < 0.1);
        assert!((sound.rms_db(MS(0), MS(1000)) + 12.0).abs() < 0.1);
        assert!(sound.tone_db(880, MS(0), MS(1000)) < -70.0);
        assert!(sound.has_tone(613, MS(100), MS(300)) && sound.lacks_tone(880, MS(0), MS(1000)));
        assert_eq!(sound.loudest(MS(0), MS(1000)).map(|(hz, _)| hz), Some(620));
    }

    #[test]
    fn one_packet_in_a_long_silence_is_not_lacking() {
        let mut samples = vec![8; 8 * 2000];
        samples.splice(8 * 1010..8 * 1030, sine(700, -12.0, 20));
        let sound = Sound::new(samples, 8000);
        assert!(!sound.lacks_tone(700, MS(0), MS(2000)) && !sound.has_tone(700, MS(0), MS(2000)));
        assert!(sound.lacks_tone(700, MS(0), MS(1000)) && sound.lacks_tone(700, MS(1040), MS(2000)));
        let first = sound.first_heard(700).unwrap();
        assert!(first >= MS(1000) && first <= MS(1020), "{first:?}");
    }

    #[test]
    fn a_tone_that_stops_is_not_taken_for_its_neighbour() {
        let mut samples = sine(600, -12.0, 503);
        samples.extend(vec![0; 8 * 500]);
        assert!(Sound::new(samples, 8000).lacks_tone(850, MS(0), MS(1003)));
    }

    #[test]
    fn broken_phases_do_not_hide_a_tone() {
        let samples: Vec<i16> = (0..50).flat_map(|n| sine(600, -12.0, 27)[n..n + 160].to_vec()).collect();
        let level = Sound::new(samples, 8000).tone_db(600, MS(0), MS(1000));
        assert!(level > -16.0, "{level}");
    }

    #[test]
    fn windows_out_of_range_or_too_short_hold_nothing() {
        let sound = Sound::new(sine(600, -12.0, 100), 8000);
        assert_eq!(sound.tone_db(600, MS(200), MS(300)), NOTHING);
        assert_eq!(sound.tone_db(600, MS(50), MS(10)), NOTHING);
        assert_eq!(sound.tone_db(600, MS(0), MS(10)), NOTHING);
        assert!(!sound.has_tone(600, MS(0), MS(10)) && sound.rms_db(MS(900), Duration::MAX) == NOTHING);
        assert_eq!(Sound::new(Vec::new(), 0).first_heard(600), None);
    }
}
