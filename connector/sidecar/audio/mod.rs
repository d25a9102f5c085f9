//! The recorder's files: two mono WAVs a segment, the customer's voice and what he heard. Finding the audio in them
//! whatever their headers say, measuring it, and joining it into one stereo WAV.
//!
//! Everything is read once from front to back, a few kilobytes at a time. [`riff`] finds the samples, `hound` decodes
//! them. Left out: every format but 16-bit PCM, and any decision about what may be kept.

mod loudness;
pub mod riff;
mod stereo;

use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read, Seek as _, SeekFrom, Take};
use std::path::Path;

use hound::{WavIntoSamples, WavReader};

pub use loudness::Loudness;
pub use riff::Layout;
pub use stereo::Stereo;

/// Why there is no audio to be had.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is no WAV file.
    #[error("no WAV file: {0}")]
    NotWav(&'static str),
    /// It is one, of a kind that no recorder of ours writes.
    #[error("a WAV file of another kind: {0}")]
    Unsupported(String),
    /// More than a WAV file can hold (4 GiB).
    #[error("too long for a WAV file")]
    TooLong,
}

/// The samples of one side, in order.
pub struct Pcm(WavIntoSamples<Repaired, i16>);

/// The file as it should have been: a right header, and the samples.
type Repaired = Chain<Cursor<[u8; riff::HEADER]>, Take<BufReader<File>>>;

impl Pcm {
    /// Opens a file whose samples [`riff::scan`] has found.
    pub fn open(path: &Path, layout: &Layout) -> Result<Self, AudioError> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(layout.start))?;
        let header = riff::header(1, layout.rate, layout.frames)?;
        let samples = BufReader::with_capacity(64 << 10, file).take(layout.frames * 2);
        let reader = WavReader::new(Cursor::new(header).chain(samples)).map_err(of_hound)?;
        Ok(Self(reader.into_samples()))
    }
}

impl Iterator for Pcm {
    type Item = Result<i16, AudioError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|sample| sample.map_err(of_hound))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

fn of_hound(error: hound::Error) -> AudioError {
    match error {
        hound::Error::IoError(error) => AudioError::Io(error),
        error => AudioError::Unsupported(error.to_string()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
