//! Finding the samples of a WAV file, also of one whose writer died.
//!
//! A recorder writes its header first and the lengths last: until the file is closed they are 0 (Asterisk) or
//! 0xFFFFFFFF (streams), after a crash for ever; a file that was cut says more than it has. So lengths are believed
//! only where they fit the file; else the samples go on to its end.

use std::io::{self, Read, Seek, SeekFrom};

use super::AudioError;

/// Length of the header that [`header`] makes.
pub const HEADER: usize = 44;

/// Where the samples of a mono file with 16-bit PCM are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Samples per second.
    pub rate: u32,
    /// Byte at which the samples start.
    pub start: u64,
    /// How many there are.
    pub frames: u64,
    /// Whether the header said otherwise.
    pub repaired: bool,
    /// Whether the writer has finished: all lengths are those of the file.
    pub closed: bool,
}

/// Finds the samples.
pub fn scan(file: &mut (impl Read + Seek)) -> Result<Layout, AudioError> {
    let len = file.seek(SeekFrom::End(0))?;
    let riff: [u8; 12] = at(file, 0)?.ok_or(AudioError::NotWav("no header"))?;
    if riff[..4] != *b"RIFF" || riff[8..] != *b"WAVE" {
        return Err(AudioError::NotWav("no RIFF header"));
    }
    let riff_len = u64::from(u32_at(&riff, 4));
    let mut rate = None;
    let mut next = 12;
    let (start, declared) = loop {
        let chunk: [u8; 8] = at(file, next)?.ok_or(AudioError::NotWav("no samples"))?;
        let (body, size) = (next + 8, u64::from(u32_at(&chunk, 4)));
        match &chunk[..4] {
            b"data" => break (body, size),
            b"fmt " => rate = Some(format(file, body, size)?),
            _ => {}
        }
        next = body + size + size % 2;
    };
    let rate = rate.ok_or(AudioError::NotWav("samples before their format"))?;

    let end = start + declared;
    let to_the_end = len.saturating_sub(start);
    let believed = end <= len && only_chunks(file, end + declared % 2, len)?;
    let bytes = if believed { declared } else { to_the_end };
    let repaired = !believed || bytes % 2 != 0;
    Ok(Layout { rate, start, frames: bytes / 2, repaired, closed: !repaired && riff_len + 8 == len })
}

/// The header of a file with 16-bit PCM.
pub fn header(channels: u16, rate: u32, frames: u64) -> Result<[u8; HEADER], AudioError> {
    let block = channels * 2;
    let data = frames.checked_mul(block.into()).and_then(|data| u32::try_from(data).ok());
    let data = data.filter(|data| *data <= u32::MAX - 36).ok_or(AudioError::TooLong)?;
    let second = rate.checked_mul(block.into()).ok_or(AudioError::TooLong)?;
    let mut header = [0; HEADER];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        header[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(b"RIFF");
    put(&(data + 36).to_le_bytes());
    put(b"WAVEfmt ");
    put(&16_u32.to_le_bytes());
    put(&PCM.to_le_bytes());
    put(&channels.to_le_bytes());
    put(&rate.to_le_bytes());
    put(&second.to_le_bytes());
    put(&block.to_le_bytes());
    put(&16_u16.to_le_bytes());
    put(b"data");
    put(&data.to_le_bytes());
    Ok(header)
}

const PCM: u16 = 1;
const EXTENSIBLE: u16 = 0xFFFE;

/// Reads a `fmt ` chunk: the samples per second.
fn format(file: &mut (impl Read + Seek), body: u64, size: u64) -> Result<u32, AudioError> {
    let too_short = AudioError::NotWav("half a format");
    if size < 16 {
        return Err(too_short);
    }
    let format: [u8; 16] = at(file, body)?.ok_or(too_short)?;
    let mut code = u16_at(&format, 0);
    if code == EXTENSIBLE && size >= 26 {
        let sub: [u8; 2] = at(file, body + 24)?.ok_or(AudioError::NotWav("half a format"))?;
        code = u16_at(&sub, 0);
    }
    let (channels, rate, bits) = (u16_at(&format, 2), u32_at(&format, 4), u16_at(&format, 14));
    match (code, channels, bits, rate) {
        (PCM, 1, 16, 4_000..=192_000) => Ok(rate),
        _ => Err(AudioError::Unsupported(format!(
            "code {code}, {channels} channels, {bits} bits, {rate} Hz; 16-bit PCM in one channel is wanted"
        ))),
    }
}

/// Whether from here to the end of the file there is nothing, or whole chunks.
fn only_chunks(file: &mut (impl Read + Seek), mut next: u64, len: u64) -> Result<bool, AudioError> {
    while next < len {
        let Some(chunk) = at::<8>(file, next)? else {
            return Ok(false);
        };
        if !chunk[..4].iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            return Ok(false);
        }
        let size = u64::from(u32_at(&chunk, 4));
        next += 8 + size + size % 2;
    }
    // The padding of the last chunk may be left out.
    Ok(next <= len + 1)
}

/// `N` bytes at a place; `None` where the file ends before.
fn at<const N: usize>(file: &mut (impl Read + Seek), place: u64) -> Result<Option<[u8; N]>, AudioError> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(place))?;
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
