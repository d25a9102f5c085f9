//! Which prompts a customer heard, and whether whole: what came to his ear is compared with the files, packet by packet.
//!
//! A prompt is played from its file's beginning in packets of 20 ms, so the packets heard are those of the file, but for
//! the codec. One that began and broke off is known as cut. Packets of silence are looked at nowhere.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use temoin_phone::{Audio, Ear, Sound};

use super::file::PromptHeard;
use super::site::TEXTS;

/// Samples in a packet.
const FRAME: usize = 160;
/// So many packets that are not silent tell a prompt, from its first on.
const TELLING: usize = 5;
/// So many packets may be lost on the way.
const LOST: usize = 2;
/// Two packets are the same from this correlation on; A-law leaves 0.999, the next packet of a tone has less than 0.95.
const SAME: f64 = 0.985;
/// Below this root mean square a packet says nothing.
const SILENT: f64 = 100.0;

/// Every prompt that may be heard.
#[derive(Debug, Default)]
pub(super) struct Repertoire {
    prompts: Vec<Prompt>,
}

#[derive(Debug)]
struct Prompt {
    text: &'static str,
    /// From the first packet that is not silent to the last.
    frames: Vec<Vec<f64>>,
    /// How many of them tell it.
    telling: usize,
}

/// A prompt as it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) text: &'static str,
    /// To its end.
    pub(super) whole: bool,
    /// How many packets of sound had been heard before its first one.
    pub(super) first: usize,
    /// How many had been when its last one came.
    pub(super) last: usize,
}

impl Repertoire {
    /// Adds a folder of one language; texts that it lacks are not missed.
    pub(super) fn add(&mut self, folder: &Path) -> io::Result<()> {
        for text in TEXTS {
            let file = folder.join(format!("temoin-{text}.wav"));
            if !file.exists() {
                continue;
            }
            let audio = Audio::wav(&file).map_err(io::Error::other)?;
            let samples = audio.channel(0).map_err(io::Error::other)?.samples().to_vec();
            let frames = frames(&samples);
            let (Some(first), Some(last)) =
                (frames.iter().position(is_loud), frames.iter().rposition(is_loud))
            else {
                return Err(io::Error::other(format!("{}: nothing to be heard", file.display())));
            };
            self.prompts.push(Prompt::new(text, frames[first..=last].to_vec()));
        }
        Ok(())
    }

    /// The prompts in what an ear heard between two instants, in order.
    pub(super) fn heard(&self, ear: &Ear, from: Instant, to: Instant) -> Vec<Heard> {
        // Whole packets only: what is missing to the end of the time was not heard.
        let mut heard = frames(ear.between(from, to).samples());
        heard.truncate(ear.packets(from, to));
        let mut all = Vec::new();
        let mut at = 0;
        while at < heard.len() {
            let begun = self.prompts.iter().filter_map(|prompt| prompt.begins(&heard[at..]));
            match begun.max_by_key(|(_, _, length)| *length) {
                Some((text, whole, length)) => {
                    all.push(Heard { text, whole, first: at, last: at + length });
                    at += length;
                }
                None => at += 1,
            }
        }
        all
    }
}

impl Prompt {
    fn new(text: &'static str, frames: Vec<Vec<f64>>) -> Self {
        let mut loud = frames.iter().enumerate().filter(|(_, frame)| is_loud(frame)).map(|(at, _)| at + 1);
        let telling = loud.nth(TELLING - 1).unwrap_or(frames.len());
        Self { text, frames, telling }
    }

    /// Whether it begins here; then whether it is whole, and in how many packets.
    fn begins(&self, heard: &[Vec<f64>]) -> Option<(&'static str, bool, usize)> {
        let telling = self.telling;
        if heard.len() < telling
            || !self.frames.iter().take(telling).zip(heard).all(|(one, other)| same(one, other))
        {
            return None;
        }
        let (mut of_prompt, mut of_heard, mut lost) = (telling, telling, 0);
        while let (Some(frame), Some(next)) = (self.frames.get(of_prompt), heard.get(of_heard)) {
            if same(frame, next) {
                of_heard += 1;
            } else {
                // One that was lost: the next of the prompt must be here.
                lost += 1;
                if lost > LOST || !self.frames.get(of_prompt + 1).is_some_and(|after| same(after, next)) {
                    break;
                }
            }
            of_prompt += 1;
        }
        Some((self.text, of_prompt + LOST >= self.frames.len(), of_heard))
    }
}

impl From<&Heard> for PromptHeard {
    fn from(heard: &Heard) -> Self {
        Self { text: heard.text.to_owned(), whole: heard.whole }
    }
}

/// What an ear heard beside prompts, for these are speech and may hold any tone for a moment.
pub(super) fn beside(prompts: &[Heard], ear: &Ear, from: Instant, to: Instant) -> Sound {
    let mut samples = ear.between(from, to).samples().to_vec();
    for prompt in prompts {
        let end = (prompt.last * FRAME).min(samples.len());
        samples[(prompt.first * FRAME).min(end)..end].fill(0);
    }
    Sound::new(samples, 8000)
}

/// The instant at which the `count`th packet of sound since `from` had come.
pub(super) fn instant_of(ear: &Ear, from: Instant, count: usize) -> Instant {
    let (mut before, mut after) = (from, Instant::now());
    while after.saturating_duration_since(before) > Duration::from_micros(50) {
        let middle = before + (after - before) / 2;
        if ear.packets(from, middle) >= count { after = middle } else { before = middle }
    }
    after
}

fn frames(samples: &[i16]) -> Vec<Vec<f64>> {
    samples.chunks_exact(FRAME).map(|frame| frame.iter().map(|sample| f64::from(*sample)).collect()).collect()
}

fn loudness(frame: &[f64]) -> f64 {
    (frame.iter().map(|sample| sample * sample).sum::<f64>() / frame.len().max(1) as f64).sqrt()
}

fn is_loud(frame: &Vec<f64>) -> bool {
    loudness(frame) >= SILENT
}

fn same(one: &[f64], other: &[f64]) -> bool {
    let (a, b) = (loudness(one), loudness(other));
    if a < SILENT || b < SILENT {
        return a < 2.0 * SILENT && b < 2.0 * SILENT;
    }
    let product = one.iter().zip(other).map(|(x, y)| x * y).sum::<f64>() / FRAME as f64;
    product / (a * b) >= SAME
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, frames: usize) -> Vec<Vec<f64>> {
        let sample = |n: usize| 8000.0 * (std::f64::consts::TAU * hz * n as f64 / 8000.0).sin();
        (0..frames).map(|frame| (0..FRAME).map(|n| sample(frame * FRAME + n)).collect()).collect()
    }

    #[test]
    fn a_prompt_is_known_whole_cut_and_with_a_packet_lost() {
        let prompt = Prompt::new("opt-out", tone(2003.0, 60));
        assert_eq!(prompt.begins(&tone(2003.0, 60)), Some(("opt-out", true, 60)));
        assert_eq!(prompt.begins(&tone(2003.0, 30)), Some(("opt-out", false, 30)));
        assert_eq!(prompt.begins(&tone(2253.0, 60)), None);
        assert_eq!(prompt.begins(&tone(2003.0, 60)[1..]), None, "not from its beginning");
        let mut lossy = tone(2003.0, 60);
        lossy.remove(20);
        assert_eq!(prompt.begins(&lossy), Some(("opt-out", true, 59)));
        let twice = [tone(2003.0, 30), tone(2003.0, 60)].concat();
        assert_eq!(prompt.begins(&twice), Some(("opt-out", false, 30)), "cut, then again from its beginning");
    }

    #[test]
    fn shipped_prompts_are_told_apart() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../dialplans/sounds/fr"));
        let mut repertoire = Repertoire::default();
        repertoire.add(folder).unwrap();
        for prompt in &repertoire.prompts {
            let found = repertoire.prompts.iter().filter_map(|other| other.begins(&prompt.frames));
            // Two of them begin with the same syllable.
            let longest = found.max_by_key(|(_, _, length)| *length);
            assert_eq!(longest, Some((prompt.text, true, prompt.frames.len())));
        }
    }
}
