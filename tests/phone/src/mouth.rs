//! What a call says: a tone, silence, nothing or keys, cut into packets of 20 ms.
//!
//! The mouth is asked for one packet each 20 ms and knows no clock of its own. Its timestamps run on while it says
//! nothing, its sequence numbers count packets sent, as RFC 3550 has it; both can be made to do otherwise.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::alaw;
use crate::rtp::{EVENTS, FRAME, KeyEvent, PCMA, Stream, header};

/// A sine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// Its frequency in Hz, below 4000.
    pub hz: u32,
    /// Its level in dBFS, at most 0.
    pub db: f64,
}

impl Tone {
    /// A tone of -12 dBFS.
    pub const fn new(hz: u32) -> Self {
        Self { hz, db: -12.0 }
    }

    /// One second of it in A-law: as its frequency is whole, the second can be repeated without a break.
    pub(crate) fn octets(self) -> Arc<[u8]> {
        let amplitude = f64::from(i16::MAX) * 10f64.powf(self.db.min(0.0) / 20.0);
        let step = TAU * f64::from(self.hz) / 8000.0;
        (0..8000).map(|n| alaw::encode((amplitude * (step * f64::from(n)).sin()) as i16)).collect()
    }
}

/// What a phone says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Voice {
    /// A tone.
    Tone(Tone),
    /// Packets full of silence.
    Silence,
    /// No packets at all.
    Nothing,
}

/// With whom sound is exchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aim {
    /// The other side's address: sound goes there and is heard from there only. Until it is known all are heard.
    pub(crate) peer: Option<SocketAddr>,
    /// Whether both sides agreed that this one sends.
    pub(crate) sends: bool,
    /// The payload type of telephone events sent, if the other side takes them.
    pub(crate) keys_out: Option<u8>,
    /// The payload type of telephone events received.
    pub(crate) keys_in: Option<u8>,
}

/// The sending side of one call's sound.
#[derive(Debug)]
pub(crate) struct Mouth {
    speech: Mutex<Speech>,
}

#[derive(Debug)]
struct Speech {
    voice: Voice,
    octets: Arc<[u8]>,
    position: usize,
    stream: Stream,
    /// The next packet follows a pause, or is the first.
    after_pause: bool,
    aim: Aim,
    presses: VecDeque<Press>,
    pressing: Option<Pressing>,
    rest: u32,
    /// By how much a packet left too late, at the worst.
    latest: Duration,
}

#[derive(Debug)]
struct Press {
    code_digit: char,
    frames: u32,
    done: Option<oneshot::Sender<Instant>>,
}

/// A key on its way: which of its packets is next.
#[derive(Debug)]
struct Pressing {
    press: Press,
    timestamp: u32,
    sent: u32,
}

/// A packet to send now, and whom to tell that it has left.
pub(crate) struct Outgoing {
    pub(crate) to: SocketAddr,
    pub(crate) length: usize,
    pub(crate) done: Option<oneshot::Sender<Instant>>,
}

/// Packets of sound between two keys, at the least: 60 ms.
const REST: u32 = 3;

/// How often the end of a key is said (RFC 4733, 2.5.1.4).
const ENDS: u32 = 3;

impl Mouth {
    pub(crate) fn new(voice: Voice, stream: Stream) -> Self {
        let speech = Speech {
            voice: Voice::Nothing,
            octets: Arc::new([]),
            position: 0,
            stream,
            after_pause: true,
            aim: Aim::default(),
            presses: VecDeque::new(),
            pressing: None,
            rest: 0,
            latest: Duration::ZERO,
        };
        let mouth = Self { speech: Mutex::new(speech) };
        mouth.speak(voice);
        mouth
    }

    pub(crate) fn speak(&self, voice: Voice) {
        let octets: Arc<[u8]> = match voice {
            Voice::Tone(tone) => tone.octets(),
            Voice::Silence => Arc::new([alaw::SILENCE; FRAME]),
            Voice::Nothing => Arc::new([]),
        };
        let mut speech = self.speech();
        (speech.voice, speech.octets, speech.position) = (voice, octets, 0);
    }

    pub(crate) fn voice(&self) -> Voice {
        self.speech().voice
    }

    pub(crate) fn stream(&self) -> Stream {
        self.speech().stream
    }

    pub(crate) fn go_on_at(&self, stream: Stream) {
        self.speech().stream = stream;
    }

    pub(crate) fn take_aim(&self, aim: Aim) {
        self.speech().aim = aim;
    }

    /// Notes that the machine came to a packet so much too late.
    pub(crate) fn late(&self, by: Duration) {
        let mut speech = self.speech();
        speech.latest = speech.latest.max(by);
    }

    pub(crate) fn latest(&self) -> Duration {
        self.speech().latest
    }

    pub(crate) fn aim(&self) -> Aim {
        self.speech().aim
    }

    /// Queues a key; the receiver learns when its first end packet has left, and nothing if the call ends before.
    pub(crate) fn press(&self, digit: char, length: Duration) -> oneshot::Receiver<Instant> {
        let (done, left) = oneshot::channel();
        // an event's duration is 16 bits of samples: 8 s
        let frames = u32::try_from(length.as_millis().div_ceil(20)).unwrap_or(400).clamp(1, 400);
        self.speech().presses.push_back(Press { code_digit: digit, frames, done: Some(done) });
        left
    }

    /// Forgets the keys not sent yet, and is silent from now on.
    pub(crate) fn close(&self) {
        let mut speech = self.speech();
        (speech.aim, speech.pressing) = (Aim::default(), None);
        speech.presses.clear();
    }

    /// The next 20 ms: writes a packet into `out` unless there is nothing to send.
    pub(crate) fn next(&self, out: &mut [u8; 12 + FRAME]) -> Option<Outgoing> {
        let speech = &mut *self.speech();
        let now = speech.stream.timestamp;
        speech.stream.timestamp = now.wrapping_add(FRAME as u32);
        let to = speech.aim.peer.filter(|_| speech.aim.sends)?;
        if speech.pressing.is_none() && speech.rest == 0 {
            let begun = speech.presses.pop_front().map(|press| Pressing { press, timestamp: now, sent: 0 });
            speech.pressing = begun;
        }
        if let Some(outgoing) = speech.next_of_key(to, out) {
            return Some(outgoing);
        }
        speech.rest = speech.rest.saturating_sub(1);
        speech.next_of_voice(to, now, out)
    }

    fn speech(&self) -> MutexGuard<'_, Speech> {
        self.speech.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Speech {
    fn next_of_key(&mut self, to: SocketAddr, out: &mut [u8; 12 + FRAME]) -> Option<Outgoing> {
        let pressing = self.pressing.as_mut()?;
        let frames = pressing.press.frames;
        pressing.sent += 1;
        let event = KeyEvent {
            digit: pressing.press.code_digit,
            end: pressing.sent > frames,
            duration: (pressing.sent.min(frames) * FRAME as u32).min(u16::MAX.into()) as u16,
        };
        let kind = self.aim.keys_out.unwrap_or(EVENTS);
        let (first, timestamp) = (pressing.sent == 1, pressing.timestamp);
        let done = if event.end { pressing.press.done.take() } else { None };
        if pressing.sent == frames + ENDS {
            self.pressing = None;
            self.rest = REST;
        }
        out[..12].copy_from_slice(&self.head(kind, first, timestamp));
        out[12..16].copy_from_slice(&event.bytes()?);
        Some(Outgoing { to, length: 16, done })
    }

    fn next_of_voice(&mut self, to: SocketAddr, now: u32, out: &mut [u8; 12 + FRAME]) -> Option<Outgoing> {
        if self.octets.len() < FRAME {
            self.after_pause = true;
            return None;
        }
        let begin = self.position;
        self.position = (begin + FRAME) % self.octets.len();
        let first = std::mem::take(&mut self.after_pause);
        out[..12].copy_from_slice(&self.head(PCMA, first, now));
        out[12..].copy_from_slice(&self.octets[begin..begin + FRAME]);
        Some(Outgoing { to, length: 12 + FRAME, done: None })
    }

    fn head(&mut self, kind: u8, marker: bool, timestamp: u32) -> [u8; 12] {
        let head = header(kind, marker, self.stream, timestamp);
        self.stream.sequence = self.stream.sequence.wrapping_add(1);
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Packet;

    const START: Stream = Stream { sequence: 65534, timestamp: 1000, ssrc: 7 };

    fn aimed(voice: Voice) -> Mouth {
        let mouth = Mouth::new(voice, START);
        let peer = Some(([127, 0, 0, 1], 9).into());
        mouth.take_aim(Aim { peer, sends: true, keys_out: Some(96), keys_in: None });
        mouth
    }

    /// Type, marker, sequence, timestamp, octets of what is sent in the next 20 ms.
    fn next(mouth: &Mouth) -> Option<(u8, bool, u16, u32, Vec<u8>)> {
        let mut out = [0; 12 + FRAME];
        let outgoing = mouth.next(&mut out)?;
        let packet = Packet::parse(&out[..outgoing.length]).unwrap();
        let marker = out[1] & 0x80 != 0;
        if let Some(done) = outgoing.done {
            done.send(Instant::now()).ok();
        }
        Some((packet.payload_type, marker, packet.sequence, packet.timestamp, packet.payload.to_vec()))
    }

    #[test]
    fn numbers_begin_where_told_and_wrap() {
        let mouth = aimed(Voice::Silence);
        let sent: Vec<_> = (0..3).map(|_| next(&mouth).unwrap()).map(|p| (p.1, p.2, p.3)).collect();
        assert_eq!(sent, [(true, 65534, 1000), (false, 65535, 1160), (false, 0, 1320)]);
        mouth.speak(Voice::Nothing);
        assert_eq!(next(&mouth), None);
        mouth.speak(Voice::Tone(Tone::new(600)));
        let (kind, marker, sequence, timestamp, octets) = next(&mouth).unwrap();
        assert_eq!((kind, marker, sequence, timestamp), (PCMA, true, 1, 1640));
        assert_eq!(octets[..], Tone::new(600).octets()[..FRAME]);
    }

    #[test]
    fn a_key_has_one_timestamp_a_growing_length_and_three_ends() {
        let mouth = aimed(Voice::Silence);
        let mut left = mouth.press('*', Duration::from_millis(60));
        let mut sent = Vec::new();
        for n in 0..6 {
            let (kind, marker, sequence, timestamp, octets) = next(&mouth).unwrap();
            assert_eq!((kind, marker, timestamp), (96, n == 0, 1000));
            assert_eq!(left.try_recv().is_ok(), n == 3, "told at the first end packet");
            let event = KeyEvent::parse(&octets).unwrap();
            assert_eq!(event.digit, '*');
            sent.push((sequence, event.duration, event.end));
        }
        assert_eq!(
            sent,
            [
                (65534, 160, false),
                (65535, 320, false),
                (0, 480, false),
                (1, 480, true),
                (2, 480, true),
                (3, 480, true)
            ]
        );
        mouth.press('1', Duration::ZERO);
        let kinds: Vec<_> = (0..8).map(|_| next(&mouth).unwrap().0).collect();
        assert_eq!(kinds, [PCMA, PCMA, PCMA, 96, 96, 96, 96, PCMA]);
    }

    #[test]
    fn a_closed_mouth_tells_who_waits_for_a_key() {
        let mouth = aimed(Voice::Silence);
        let mut left = mouth.press('1', Duration::from_millis(100));
        next(&mouth);
        mouth.close();
        assert_eq!(next(&mouth), None);
        assert_eq!(left.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
