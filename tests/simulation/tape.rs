//! What a recorder writes: sound that says when it was heard, so that what is kept tells of itself what it is. Four
//! samples a millisecond; left the world's milliseconds, their low 15 bits, right the rest.

use std::fs;
use std::path::Path;

use temoin_core::id::SegmentId;

const RATE: u32 = 4000;
const HEADER: usize = 44;
/// So that the right side can be heard.
const LOUD: i16 = 1000;

/// Two files that begin.
pub fn begin(spool: &Path, id: SegmentId) {
    for side in ["in", "out"] {
        fs::write(spool.join(format!("{id}-{side}.wav")), header(None)).expect("the spool takes a file");
    }
}

/// They end: what was heard from one moment to another. `closed`: the recorder writes its lengths, too.
pub fn end(spool: &Path, id: SegmentId, from: i64, until: i64, closed: bool) {
    let frames = ((until - from) * 4) as usize;
    for side in ["in", "out"] {
        let mut bytes = Vec::with_capacity(HEADER + 2 * frames);
        bytes.extend(header(closed.then_some(frames)));
        for ms in from..until {
            let sample = if side == "in" { (ms & 0x7fff) as i16 } else { (ms >> 15) as i16 + LOUD };
            let [low, high] = sample.to_le_bytes();
            bytes.extend_from_slice(&[low, high, low, high, low, high, low, high]);
        }
        fs::write(spool.join(format!("{id}-{side}.wav")), bytes).expect("the spool takes a file");
    }
}

/// Until it is closed, Asterisk says that a file is empty, and its header too.
fn header(frames: Option<usize>) -> [u8; HEADER] {
    let mut header = temoin::audio::riff::header(1, RATE, frames.unwrap_or(0) as u64).expect("a header");
    if frames.is_none() {
        header[4..8].fill(0);
    }
    header
}

/// From when until when what is kept was heard; or what is wrong with it.
pub fn heard(wav: &[u8]) -> Result<(i64, i64), String> {
    let samples = wav.get(HEADER..).unwrap_or_default();
    let time = |frame: &[u8]| {
        let left = i16::from_le_bytes([frame[0], frame[1]]);
        let right = i16::from_le_bytes([frame[2], frame[3]]);
        i64::from(left) | i64::from(right - LOUD) << 15
    };
    let first = samples.get(..4).map(time).ok_or("nothing is in it")?;
    let mut until = first;
    // One frame of each millisecond.
    for frame in samples.chunks(16) {
        let at = time(frame);
        if at != until {
            return Err(format!("what was heard at {at} ms follows what was heard before {until} ms"));
        }
        until += 1;
    }
    Ok((first, until))
}
