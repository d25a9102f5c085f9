//! Recordings: a WAV file read into one [`Sound`] per channel.
//!
//! Only 16-bit PCM is read, with any number of channels and any rate: what a PBX writes and what the vault keeps.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sound::Sound;

/// Why a recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// No such file, no WAV, or one that breaks off.
    #[error("{path}: {source}")]
    Wav {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: hound::Error,
    },
    /// A WAV of another kind than 16-bit PCM.
    #[error("{path}: not 16-bit PCM")]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The header says that the file is empty, but there is sound behind it: it is still being written, or its writer
    /// died.
    #[error("{path}: not closed: its header holds no length, but {octets} octets follow")]
    Unfinished {
        /// The file.
        path: PathBuf,
        /// What lies behind the header.
        octets: u64,
    },
    /// The recording has fewer channels than that.
    #[error("no channel {wanted}: there are {channels}")]
    Channel {
        /// The channel asked for, from 0.
        wanted: usize,
        /// How many there are.
        channels: usize,
    },
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    channels: Vec<Sound>,
    rate: u32,
}

impl Audio {
    /// Reads a WAV file of 16-bit PCM.
    ///
    /// # Errors
    /// A file that cannot be read, is of another kind, or is not closed yet.
    pub fn wav(path: impl AsRef<Path>) -> Result<Self, AudioError> {
        let path = path.as_ref();
        let broken = |source| AudioError::Wav { path: path.into(), source };
        let reader = hound::WavReader::open(path).map_err(broken)?;
        let spec = reader.spec();
        if spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int || spec.channels == 0
        {
            return Err(AudioError::Format { path: path.into() });
        }
        // an unclosed file has length 0 in its header, which hound takes for an empty recording
        let size = std::fs::metadata(path).map_err(|e| broken(e.into()))?.len();
        if reader.len() == 0 && size > LONGEST_EMPTY {
            return Err(AudioError::Unfinished { path: path.into(), octets: size - 44 });
        }
        let width = usize::from(spec.channels);
        let mut channels = vec![Vec::with_capacity(reader.len() as usize / width); width];
        for (index, sample) in reader.into_samples::<i16>().enumerate() {
            channels[index % width].push(sample.map_err(broken)?);
        }
        let channels = channels.into_iter().map(|samples| Sound::new(samples, spec.sample_rate)).collect();
        Ok(Self { channels, rate: spec.sample_rate })
    }

    /// One channel, from 0 (left).
    ///
    /// # Errors
    /// The recording has fewer channels.
    pub fn channel(&self, wanted: usize) -> Result<&Sound, AudioError> {
        self.channels.get(wanted).ok_or(AudioError::Channel { wanted, channels: self.channels.len() })
    }

    /// How many channels there are.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Samples per second and channel.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// How long it lasts.
    pub fn length(&self) -> Duration {
        self.channels.first().map_or(Duration::ZERO, Sound::length)
    }
}

/// The size of the longest file that is believed to be empty: a header with a few chunks around it.
const LONGEST_EMPTY: u64 = 256;

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn write(path: &Path, channels: &[u32], bits: u16) {
        let spec = hound::WavSpec {
            channels: channels.len() as u16,
            sample_rate: 8000,
            bits_per_sample: bits,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = hound::WavWriter::create(path, spec).unwrap();
        for n in 0..8000 {
            for hz in channels {
                let value = (60.0 * (TAU * f64::from(*hz) * f64::from(n) / 8000.0).sin()) as i16;
                file.write_sample(if bits == 16 { value * 100 } else { value }).unwrap();
            }
        }
        file.finalize().unwrap();
    }

    #[test]
    fn channels_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stereo.wav");
        write(&path, &[600, 880], 16);
        let audio = Audio::wav(&path).unwrap();
        let (zero, end) = (Duration::ZERO, audio.length());
        assert_eq!((audio.channels(), audio.rate(), end), (2, 8000, Duration::from_secs(1)));
        let (left, right) = (audio.channel(0).unwrap(), audio.channel(1).unwrap());
        assert!(left.has_tone(600, zero, end) && left.lacks_tone(880, zero, end));
        assert!(right.has_tone(880, zero, end) && right.lacks_tone(600, zero, end));
        assert!(matches!(audio.channel(2), Err(AudioError::Channel { wanted: 2, channels: 2 })));
    }

    #[test]
    fn an_unclosed_file_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open.wav");
        write(&path, &[600], 16);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4..8].fill(0);
        bytes[40..44].fill(0);
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(Audio::wav(&path), Err(AudioError::Unfinished { octets: 16000, .. })));
    }

    #[test]
    fn what_is_no_16_bit_pcm_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eight.wav");
        write(&path, &[600], 8);
        assert!(matches!(Audio::wav(&path), Err(AudioError::Format { .. })));
        std::fs::write(&path, b"RIFF").unwrap();
        assert!(matches!(Audio::wav(&path), Err(AudioError::Wav { .. })));
        assert!(matches!(Audio::wav(folder.path().join("none")), Err(AudioError::Wav { .. })));
    }
}
