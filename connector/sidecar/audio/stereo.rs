//! Two sides in one file: left the customer, right the agent.

use std::io::{self, Read};

use super::{AudioError, Pcm, riff};

/// Frames made at a time.
const FRAMES: usize = 4096;

/// A stereo WAV that is made while it is read, so that it never lies on a disk in plain.
pub struct Stereo {
    left: Option<Pcm>,
    right: Option<Pcm>,
    /// Frames that are still to be made.
    left_over: u64,
    made: Vec<u8>,
    read: usize,
}

impl Stereo {
    /// Joins the first `frames` of each side. A side that is missing or ends before is silent from there on.
    pub fn new(left: Option<Pcm>, right: Option<Pcm>, rate: u32, frames: u64) -> Result<Self, AudioError> {
        let made = riff::header(2, rate, frames)?.to_vec();
        Ok(Self { left, right, left_over: frames, made, read: 0 })
    }

    /// Bytes of the whole file.
    pub fn len(frames: u64) -> u64 {
        riff::HEADER as u64 + 4 * frames
    }

    fn make(&mut self) -> io::Result<()> {
        self.made.clear();
        self.read = 0;
        let frames = self.left_over.min(FRAMES as u64);
        for _ in 0..frames {
            for side in [&mut self.left, &mut self.right] {
                self.made.extend_from_slice(&sample(side)?.to_le_bytes());
            }
        }
        self.left_over -= frames;
        Ok(())
    }
}

fn sample(side: &mut Option<Pcm>) -> io::Result<i16> {
    match side.as_mut().and_then(Iterator::next) {
        None => Ok(0),
        Some(Ok(sample)) => Ok(sample),
        Some(Err(AudioError::Io(error))) => Err(error),
        Some(Err(error)) => Err(io::Error::other(error)),
    }
}

impl Read for Stereo {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.made.len() && self.left_over > 0 {
            self.make()?;
        }
        let read = buffer.len().min(self.made.len() - self.read);
        buffer[..read].copy_from_slice(&self.made[self.read..self.read + read]);
        self.read += read;
        Ok(read)
    }
}
