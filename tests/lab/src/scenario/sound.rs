//! Which prompts a customer heard, and whether whole: what came to his ear is compared with the files, sample by sample.
//!
//! A prompt is played from its file's beginning, so what is heard is what is in the file, but for the codec. It begins
//! with a packet, or within one: Asterisk leaves out the last 22 samples of a WAV file and fills the packet with what
//! follows. Looking is cheap, for it is done while calls are up.
//! One that began and broke off is known as cut. Stretches of silence tell nothing.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use temoin_phone::{Audio, Ear, Sound};

use super::file::PromptHeard;
use super::site::TEXTS;

/// Samples in a packet.
pub(super) const FRAME: usize = 160;
/// So many packets that are not silent tell a prompt, from its first on.
const TELLING: usize = 5;
/// So many packets may be lost on the way.
const LOST: usize = 2;
/// Two packets are the same from this correlation on; A-law leaves 0.999, the next packet of a tone has less than 0.95.
const SAME: f64 = 0.985;
/// So many samples at the end of a WAV file are not played by Asterisk 22.
const LEFT_OUT: usize = 22;
/// Below this root mean square a packet says nothing.
const SILENT: f64 = 100.0;
/// Samples are looked at without their last bits, so that sums over a packet fit.
const BITS: u32 = 4;

/// Every prompt that may be heard.
#[derive(Debug, Default)]
pub(super) struct Repertoire {
    prompts: Vec<Prompt>,
}

#[derive(Debug)]
struct Prompt {
    text: &'static str,
    /// From the first packet that is not silent to the last.
    frames: Vec<Vec<i16>>,
    /// How many of them tell it.
    telling: usize,
    /// Samples in the file.
    length: usize,
    /// Packets of silence at its end.
    tail: usize,
}

/// A prompt as it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) text: &'static str,
    /// To its end.
    pub(super) whole: bool,
    /// How many samples had been heard before it.
    pub(super) from: usize,
    /// And with it.
    pub(super) to: usize,
    /// And with the silence at its end, which is a part of it.
    pub(super) end: usize,
}

/// Listens to one call; what it has understood it does not look at again.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener {
    understood: Vec<Heard>,
    at: usize,
    /// Where in a packet the next prompt may begin.
    offsets: Vec<usize>,
}

/// How far a prompt goes on.
struct Match {
    text: &'static str,
    whole: bool,
    from: usize,
    to: usize,
    end: usize,
    /// It goes on as far as anything was heard.
    open: bool,
    /// Where in a packet the next one may begin.
    offsets: Vec<usize>,
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
            let samples = short(audio.channel(0).map_err(io::Error::other)?.samples());
            let frames: Vec<Vec<i16>> = samples.chunks_exact(FRAME).map(<[i16]>::to_vec).collect();
            let (Some(first), Some(last)) =
                (frames.iter().position(is_loud), frames.iter().rposition(is_loud))
            else {
                return Err(io::Error::other(format!("{}: nothing to be heard", file.display())));
            };
            self.prompts.push(Prompt {
                tail: frames.len() - 1 - last,
                ..Prompt::new(text, frames[first..=last].to_vec(), samples.len())
            });
        }
        Ok(())
    }

    /// How many samples an ear heard since an instant.
    pub(super) fn samples(ear: &Ear, from: Instant) -> usize {
        ear.packets(from, Instant::now()) * FRAME
    }

    /// The prompts in what an ear heard since an instant, in order; the last may not be over yet.
    pub(super) fn heard(&self, listener: &mut Listener, ear: &Ear, from: Instant) -> Vec<Heard> {
        let to = Instant::now();
        let mut samples = short(ear.between(from, to).samples());
        // Whole packets only: what is missing to the end of the time was not heard.
        samples.truncate(ear.packets(from, to) * FRAME);
        self.listen(listener, &samples)
    }

    fn listen(&self, listener: &mut Listener, samples: &[i16]) -> Vec<Heard> {
        let mut at = listener.at;
        // What is not told by now may be told by more.
        let told = TELLING * 2 * FRAME;
        let mut heard = listener.understood.clone();
        let mut offsets = listener.offsets.clone();
        while at + FRAME <= samples.len() {
            let Some(found) = self.begins(samples, at, &offsets) else {
                at += FRAME;
                if at + told <= samples.len() {
                    listener.at = at;
                }
                continue;
            };
            heard.push(Heard {
                text: found.text,
                whole: found.whole,
                from: found.from,
                to: found.to,
                end: found.end,
            });
            // The packet in which it ends may be the one in which the next begins.
            at = found.to - found.to % FRAME;
            offsets = found.offsets;
            if !found.open {
                listener.understood.clone_from(&heard);
                listener.offsets.clone_from(&offsets);
                listener.at = at;
            }
        }
        heard
    }

    /// The prompt that begins with the packet at `at`, or at one of the offsets in it; the longest, where several do.
    fn begins(&self, samples: &[i16], at: usize, offsets: &[usize]) -> Option<Match> {
        let found = [0].iter().chain(offsets).filter_map(|offset| {
            let loud = samples.get(at + offset..at + offset + FRAME).is_some_and(is_loud);
            let from = at + offset;
            let of = |prompt: &Prompt| prompt.begins(samples, from);
            if loud { self.prompts.iter().filter_map(of).max_by_key(|found| found.to) } else { None }
        });
        found.max_by_key(|found| found.to)
    }
}

impl Prompt {
    fn new(text: &'static str, frames: Vec<Vec<i16>>, length: usize) -> Self {
        let loud = frames.iter().enumerate().filter(|(_, frame)| is_loud(frame));
        let telling = loud.map(|(at, _)| at + 1).nth(TELLING - 1).unwrap_or(frames.len());
        Self { text, frames, telling, length, tail: 0 }
    }

    /// Whether it begins at this very sample; then how far it goes.
    fn begins(&self, samples: &[i16], from: usize) -> Option<Match> {
        // The first packets of early media may come before the ear is open.
        (0..=LOST).find_map(|lost| self.begins_after(lost, samples, from))
    }

    fn begins_after(&self, mut lost: usize, samples: &[i16], from: usize) -> Option<Match> {
        let mut heard = samples[from..].chunks_exact(FRAME);
        let mut telling = self.frames.iter().skip(lost).take(self.telling);
        if !telling.all(|frame| heard.next().is_some_and(|next| same(frame, next))) {
            return None;
        }
        let (mut of_prompt, mut to) = (lost + self.telling, from + self.telling * FRAME);
        let mut next = heard.next();
        while let (Some(frame), Some(sound)) = (self.frames.get(of_prompt), next) {
            if same(frame, sound) {
                to += FRAME;
                next = heard.next();
            } else {
                // One that was lost: the next of the prompt must be here.
                lost += 1;
                if lost > LOST || !self.frames.get(of_prompt + 1).is_some_and(|after| same(after, sound)) {
                    break;
                }
            }
            of_prompt += 1;
        }
        // The last is never whole: Asterisk leaves out its end.
        let whole = of_prompt + 1 >= self.frames.len();
        let open = next.is_none() && of_prompt < self.frames.len();
        // A few samples more or less: versions differ.
        let after = from + self.length - LEFT_OUT;
        let offsets = [from].into_iter().chain(after - 2..=after + 2).chain([after + LEFT_OUT]);
        let offsets = offsets.map(|offset| offset % FRAME).collect();
        let end = to + self.tail * FRAME;
        Some(Match { text: self.text, whole, from, to, end, open, offsets })
    }
}

impl From<&Heard> for PromptHeard {
    fn from(heard: &Heard) -> Self {
        Self { text: heard.text.to_owned(), whole: heard.whole }
    }
}

/// What an ear heard beside prompts, for these are speech and may hold any tone for a moment.
pub(super) fn beside(prompts: &[Heard], ear: &Ear, from: Instant) -> Sound {
    let mut samples = ear.between(from, Instant::now()).samples().to_vec();
    for prompt in prompts {
        let end = (prompt.to + FRAME).min(samples.len());
        samples[prompt.from.min(end)..end].fill(0);
    }
    Sound::new(samples, 8000)
}

/// The instant at which so many samples had come since `from`.
pub(super) fn instant_of(ear: &Ear, from: Instant, samples: usize) -> Instant {
    let count = samples.div_ceil(FRAME);
    let (mut before, mut after) = (from, Instant::now());
    while after.saturating_duration_since(before) > Duration::from_micros(50) {
        let middle = before + (after - before) / 2;
        if ear.packets(from, middle) >= count { after = middle } else { before = middle }
    }
    after
}

fn short(samples: &[i16]) -> Vec<i16> {
    samples.iter().map(|sample| sample >> BITS).collect()
}

fn product(one: &[i16], other: &[i16]) -> f64 {
    f64::from(one.iter().zip(other).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum::<i32>())
}

fn loudness(frame: &[i16]) -> f64 {
    (product(frame, frame) / frame.len().max(1) as f64).sqrt() * f64::from(1 << BITS)
}

fn is_loud(frame: impl AsRef<[i16]>) -> bool {
    loudness(frame.as_ref()) >= SILENT
}

fn same(one: &[i16], other: &[i16]) -> bool {
    let (a, b) = (loudness(one), loudness(other));
    if a < SILENT || b < SILENT {
        return a < 2.0 * SILENT && b < 2.0 * SILENT;
    }
    let scale = f64::from(1 << (2 * BITS)) / FRAME as f64;
    product(one, other) * scale / (a * b) >= SAME
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, samples: usize) -> Vec<i16> {
        let sample = |n: usize| 500.0 * (std::f64::consts::TAU * hz * n as f64 / 8000.0).sin();
        (0..samples).map(|n| sample(n) as i16).collect()
    }

    fn prompt(text: &'static str, hz: f64) -> Prompt {
        let samples = tone(hz, 60 * FRAME);
        Prompt::new(text, samples.chunks_exact(FRAME).map(<[i16]>::to_vec).collect(), samples.len())
    }

    fn heard(samples: &[i16]) -> Vec<(&'static str, bool)> {
        let repertoire = Repertoire { prompts: vec![prompt("opt-out", 2003.0), prompt("refused", 3003.0)] };
        // In one go, and packet by packet as it comes: the same.
        let whole = repertoire.listen(&mut Listener::default(), samples);
        let mut listener = Listener::default();
        let steps = (FRAME..=samples.len()).step_by(FRAME);
        let piecemeal =
            steps.map(|to| repertoire.listen(&mut listener, &samples[..to])).last().unwrap_or_default();
        assert_eq!(whole, piecemeal);
        whole.iter().map(|heard| (heard.text, heard.whole)).collect()
    }

    #[test]
    fn prompts_are_known_whole_cut_and_with_a_packet_lost() {
        let (silence, whole) = (vec![0; 7 * FRAME], tone(2003.0, 60 * FRAME));
        assert_eq!(heard(&[&silence[..], &whole, &silence].concat()), [("opt-out", true)]);
        assert_eq!(heard(&[&whole[..30 * FRAME], &silence].concat()), [("opt-out", false)]);
        assert_eq!(heard(&[&whole[..30 * FRAME], &whole].concat()), [("opt-out", false), ("opt-out", true)]);
        assert_eq!(heard(&[&whole[..20 * FRAME], &whole[21 * FRAME..]].concat()), [("opt-out", true)]);
        assert_eq!(heard(&tone(2253.0, 60 * FRAME)), []);
        assert_eq!(heard(&silence), []);
    }

    #[test]
    fn a_prompt_may_begin_within_a_packet() {
        let one = &tone(2003.0, 60 * FRAME)[..60 * FRAME - 22];
        let other = &tone(3003.0, 60 * FRAME)[..60 * FRAME - 22];
        let both = [one, other, &[0; 44 + FRAME]].concat();
        assert_eq!(heard(&both), [("opt-out", true), ("refused", true)]);
    }

    #[test]
    fn shipped_prompts_are_told_apart() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../dialplans/sounds/fr"));
        let mut repertoire = Repertoire::default();
        repertoire.add(folder).unwrap();
        for prompt in &repertoire.prompts {
            let samples = prompt.frames.concat();
            let heard = repertoire.listen(&mut Listener::default(), &samples);
            let heard: Vec<_> = heard.iter().map(|heard| (heard.text, heard.whole)).collect();
            assert_eq!(heard, [(prompt.text, true)]);
        }
    }
}
