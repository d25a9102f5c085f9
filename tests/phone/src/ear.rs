//! What a call has heard: packets as they came, with the instant of each, measured when asked.
//!
//! Packets are kept undecoded, so that listening costs next to nothing, and for at most [`MEMORY`] of them, the oldest
//! forgotten first. Nothing is reordered: on loopback what comes out of order was sent so.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::alaw;
use crate::rtp::{FRAME, KeyEvent, PCMA, Packet};
use crate::sound::{Filter, PRESENT, Sound};

/// How many packets of sound a call remembers: five minutes.
pub const MEMORY: usize = 15_000;

/// How many keys and breaks of the sequence a call remembers.
const NOTES: usize = 1_000;

/// How long something must be heard, or not be heard, until a wait for it is over.
pub(crate) const SURE: Duration = Duration::from_millis(100);

/// How a key came or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As telephone events in RTP (RFC 4733, formerly RFC 2833).
    Rtp,
    /// In SIP INFO requests with a body of application/dtmf-relay.
    Info,
}

/// A key that the other side pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// `0`-`9`, `*`, `#`, `A`-`D`.
    pub digit: char,
    /// How it came.
    pub way: Way,
    /// How long it was held down, by its own account.
    pub length: Duration,
    /// When its first end packet, or its INFO, arrived.
    pub at: Instant,
}

/// A break in the sequence numbers received: packets lost, doubled or out of order, or a stream that began anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// The last number before it.
    pub from: u16,
    /// The first number after it.
    pub to: u16,
    /// Whether the synchronisation source changed as well.
    pub new_source: bool,
    /// When it was seen.
    pub at: Instant,
}

/// What one call has heard.
#[derive(Debug)]
pub struct Ear {
    heard: Mutex<Heard>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Heard {
    frames: VecDeque<Frame>,
    packets: u64,
    strays: u64,
    last: Option<(u16, u32)>,
    jumps: VecDeque<Jump>,
    keys: VecDeque<Key>,
    /// Source and timestamp of the last key that came as telephone event: each has several end packets.
    ended_key: Option<(u32, u32)>,
}

#[derive(Debug)]
struct Frame {
    at: Instant,
    octets: Box<[u8]>,
}

impl Ear {
    pub(crate) fn new() -> Self {
        Self { heard: Mutex::default(), changed: watch::Sender::new(0) }
    }

    /// What arrived between two instants: decoded, and followed by silence where less arrived than the time would hold.
    pub fn between(&self, from: Instant, to: Instant) -> Sound {
        let mut samples: Vec<i16> = Vec::new();
        for frame in self.heard().frames.iter().filter(|f| f.at >= from && f.at < to) {
            samples.extend(frame.octets.iter().map(|octet| alaw::decode(*octet)));
        }
        let span = to.saturating_duration_since(from).min(Duration::from_millis(20) * MEMORY as u32);
        let whole = span.as_millis() as usize / 20 * FRAME;
        if samples.len() < whole {
            samples.resize(whole, 0);
        }
        Sound::new(samples, 8000)
    }

    /// The packets of sound that arrived between two instants: when each came, and its samples at 8 kHz.
    pub fn arrivals(&self, from: Instant, to: Instant) -> Vec<(Instant, Vec<i16>)> {
        let heard = self.heard();
        let frames = heard.frames.iter().filter(|f| f.at >= from && f.at < to);
        frames.map(|f| (f.at, f.decode())).collect()
    }

    /// The level of a frequency in what arrived between two instants, in dBFS; see [`Sound::tone_db`].
    pub fn tone_db(&self, hz: u32, from: Instant, to: Instant) -> f64 {
        self.between(from, to).tone_db(hz, Duration::ZERO, Duration::MAX)
    }

    /// The overall level of what arrived between two instants, in dBFS.
    pub fn rms_db(&self, from: Instant, to: Instant) -> f64 {
        self.between(from, to).rms_db(Duration::ZERO, Duration::MAX)
    }

    /// Whether a frequency was heard for at least half of the time; see [`Sound::has_tone`].
    pub fn has_tone(&self, hz: u32, from: Instant, to: Instant) -> bool {
        self.between(from, to).has_tone(hz, Duration::ZERO, Duration::MAX)
    }

    /// Whether a frequency was never heard between two instants; see [`Sound::lacks_tone`].
    pub fn lacks_tone(&self, hz: u32, from: Instant, to: Instant) -> bool {
        self.between(from, to).lacks_tone(hz, Duration::ZERO, Duration::MAX)
    }

    /// When the first packet arrived, at or after `since`, in which a frequency is heard.
    pub fn first_heard(&self, hz: u32, since: Instant) -> Option<Instant> {
        self.heard().first_heard(hz, since)
    }

    /// How many packets of sound arrived between two instants (telephone events are none).
    pub fn packets(&self, from: Instant, to: Instant) -> usize {
        self.heard().frames.iter().filter(|f| f.at >= from && f.at < to).count()
    }

    /// How many RTP packets arrived in the whole call, of any kind.
    pub fn all_packets(&self) -> u64 {
        self.heard().packets
    }

    /// How many datagrams arrived that were no RTP of the other side: another sender, another shape. They are not heard.
    pub fn strays(&self) -> u64 {
        self.heard().strays
    }

    /// The keys pressed by the other side, in the order in which they ended.
    pub fn keys(&self) -> Vec<Key> {
        self.heard().keys.iter().copied().collect()
    }

    /// The digits of [`Ear::keys`].
    pub fn digits(&self) -> String {
        self.heard().keys.iter().map(|key| key.digit).collect()
    }

    /// The breaks in the sequence numbers received.
    pub fn jumps(&self) -> Vec<Jump> {
        self.heard().jumps.iter().copied().collect()
    }

    /// One line for the message of a failed test: what is heard now, and what was.
    pub fn summary(&self) -> String {
        let now = Instant::now();
        let (packets, strays, keys) = (self.all_packets(), self.strays(), self.digits());
        let strays = if strays > 0 { format!(" and {strays} of another sender") } else { String::new() };
        let last = self.heard().frames.back().map(|f| now.saturating_duration_since(f.at));
        let Some(age) = last else {
            return format!("{packets} packets heard{strays}, no sound, keys '{keys}'");
        };
        let recent = self.between(now.checked_sub(age + SURE).unwrap_or(now), now);
        let loudest = match recent.loudest(Duration::ZERO, Duration::MAX) {
            Some((hz, db)) => format!("about {hz} Hz at {db:.0} dB"),
            None => "no tone".to_owned(),
        };
        format!(
            "{packets} packets heard{strays}, the last {} ms ago with {loudest}, keys '{keys}'",
            age.as_millis()
        )
    }

    /// Wakes for each packet and key.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes in a datagram that came from the other side; `events` is the payload type of its telephone events.
    pub(crate) fn hear(&self, at: Instant, datagram: &[u8], events: Option<u8>) {
        let mut heard = self.heard();
        let Some(packet) = Packet::parse(datagram) else {
            heard.strays += 1;
            return;
        };
        heard.packets += 1;
        heard.note_order(at, &packet);
        if packet.payload_type == PCMA {
            if heard.frames.len() == MEMORY {
                heard.frames.pop_front();
            }
            heard.frames.push_back(Frame { at, octets: packet.payload.into() });
        } else if events == Some(packet.payload_type) {
            heard.note_key(at, &packet);
        }
        drop(heard);
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Counts a datagram from somebody else.
    pub(crate) fn stray(&self) {
        self.heard().strays += 1;
    }

    /// Takes in a key that came in a SIP INFO.
    pub(crate) fn key(&self, key: Key) {
        push(&mut self.heard().keys, key);
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Whether the frequency fills the last moments up to `now`; then since when it does.
    pub(crate) fn hears(&self, hz: u32, now: Instant) -> Option<Instant> {
        let heard = self.heard();
        // a frame may be late by a scheduler's whim, but a voice that has stopped is not heard any more
        let fresh = heard.frames.back().filter(|f| now.saturating_duration_since(f.at) < SURE)?;
        let filter = Filter::new(hz, 8000, FRAME);
        let run = heard.frames.iter().rev().take_while(|f| filter.level(&f.decode()) >= PRESENT);
        let (frames, since) = run.fold((0, fresh.at), |(n, _), f| (n + 1, f.at));
        (frames * 20 >= SURE.as_millis()).then_some(since)
    }

    /// Whether the frequency was in nothing that came in the last moments before `now`.
    pub(crate) fn lacks(&self, hz: u32, now: Instant) -> bool {
        let since = now.checked_sub(SURE).unwrap_or(now);
        self.heard().first_heard(hz, since).is_none()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    fn first_heard(&self, hz: u32, since: Instant) -> Option<Instant> {
        let filter = Filter::new(hz, 8000, FRAME);
        let begin = self.frames.partition_point(|f| f.at < since);
        self.frames.range(begin..).find(|f| filter.level(&f.decode()) >= PRESENT).map(|f| f.at)
    }

    fn note_order(&mut self, at: Instant, packet: &Packet<'_>) {
        if let Some((from, ssrc)) = self.last {
            let new_source = ssrc != packet.ssrc;
            if new_source || packet.sequence != from.wrapping_add(1) {
                push(&mut self.jumps, Jump { from, to: packet.sequence, new_source, at });
            }
        }
        self.last = Some((packet.sequence, packet.ssrc));
    }

    fn note_key(&mut self, at: Instant, packet: &Packet<'_>) {
        let Some(event) = KeyEvent::parse(packet.payload).filter(|event| event.end) else {
            return;
        };
        let this = Some((packet.ssrc, packet.timestamp));
        if self.ended_key != this {
            self.ended_key = this;
            let length = Duration::from_micros(u64::from(event.duration) * 125);
            push(&mut self.keys, Key { digit: event.digit, way: Way::Rtp, length, at });
        }
    }
}

impl Frame {
    fn decode(&self) -> Vec<i16> {
        self.octets.iter().map(|octet| alaw::decode(*octet)).collect()
    }
}

fn push<T>(notes: &mut VecDeque<T>, note: T) {
    if notes.len() == NOTES {
        notes.pop_front();
    }
    notes.push_back(note);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mouth::Tone;
    use crate::rtp::{EVENTS, Stream, header};

    fn packet(kind: u8, sequence: u16, ssrc: u32, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let mut datagram = header(kind, false, Stream { sequence, timestamp, ssrc }, timestamp).to_vec();
        datagram.extend(payload);
        datagram
    }

    #[test]
    fn windows_jumps_and_memory() {
        let (ear, start) = (Ear::new(), Instant::now());
        let at = |n: u32| start + Duration::from_millis(20) * n;
        let (low, high) = (Tone::new(600).octets(), Tone::new(880).octets());
        for n in 0..200u16 {
            let voice = if n < 100 { &low } else { &high };
            let sequence = if n < 150 { n } else { n.wrapping_sub(1000) };
            let datagram = packet(PCMA, sequence, 1, 0, &voice[usize::from(n % 50) * FRAME..][..FRAME]);
            ear.hear(at(n.into()), &datagram, None);
        }
        assert!(ear.has_tone(600, at(0), at(100)) && ear.lacks_tone(600, at(101), at(200)));
        assert!(ear.has_tone(880, at(100), at(200)) && ear.lacks_tone(880, at(0), at(99)));
        assert!((ear.tone_db(600, at(0), at(100)) + 12.0).abs() < 0.3);
        assert_eq!((ear.first_heard(880, start), ear.packets(at(10), at(20))), (Some(at(100)), 10));
        assert_eq!(ear.first_heard(600, at(100)), None);
        let arrivals = ear.arrivals(at(99), at(101));
        let second = ear.between(at(100), at(101));
        assert_eq!(arrivals.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [at(99), at(100)]);
        assert_eq!(arrivals[1].1, second.samples());
        let jumps: Vec<_> = ear.jumps().iter().map(|j| (j.from, j.to, j.new_source)).collect();
        assert_eq!(jumps, [(149, 64686, false)]);
        // the voice stops: what is missing counts as silence
        assert!(!ear.has_tone(880, at(190), at(250)) && ear.packets(at(200), at(250)) == 0);
        assert_eq!(ear.hears(880, at(201)), Some(at(100)));
        assert_eq!(ear.hears(880, at(206)), None);
        assert!(ear.lacks(880, at(206)) && !ear.lacks(880, at(203)));
        for n in 0..MEMORY {
            ear.hear(at(300), &packet(PCMA, n as u16, 1, 0, &[0xd5; FRAME]), None);
        }
        assert_eq!(ear.packets(start, at(301)), MEMORY);
    }

    #[test]
    fn a_key_is_counted_once_whatever_its_end_packets() {
        let (ear, now) = (Ear::new(), Instant::now());
        let event = |digit, end| KeyEvent { digit, end, duration: 800 }.bytes().unwrap();
        for (sequence, (timestamp, digit, end)) in [
            (0, '1', false),
            (0, '1', true),
            (0, '1', true),
            (0, '1', true),
            (900, '1', true),
            (1800, '#', false),
        ]
        .into_iter()
        .enumerate()
        {
            ear.hear(now, &packet(EVENTS, sequence as u16, 1, timestamp, &event(digit, end)), Some(EVENTS));
        }
        assert_eq!(ear.digits(), "11");
        assert_eq!(ear.keys()[0].length, Duration::from_millis(100));
        ear.hear(now, b"not RTP", Some(EVENTS));
        assert_eq!((ear.strays(), ear.all_packets()), (1, 6));
    }
}
