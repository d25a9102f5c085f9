//! RTP packets (RFC 3550) and telephone events in them (RFC 4733), no more than the phone needs: no RTCP, no CSRC sent.

/// The static payload type of A-law.
pub(crate) const PCMA: u8 = 8;

/// The dynamic payload type under which this phone offers telephone events.
pub(crate) const EVENTS: u8 = 101;

/// Samples in a packet: 20 ms at 8 kHz.
pub(crate) const FRAME: usize = 160;

/// A packet as received; the payload borrowed from the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// `None` for what is not RTP: another version, RTCP (RFC 5761, 4), a length that does not hold together.
    pub(crate) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (head, rest) = datagram.split_first_chunk::<12>()?;
        let [flags, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *head;
        if flags >> 6 != 2 || (192..=223).contains(&kind) {
            return None;
        }
        let mut payload = rest.get(4 * usize::from(flags & 0x0f)..)?;
        if flags & 0x10 != 0 {
            let (extension, behind) = payload.split_first_chunk::<4>()?;
            let words = u16::from_be_bytes([extension[2], extension[3]]);
            payload = behind.get(4 * usize::from(words)..)?;
        }
        if flags & 0x20 != 0 {
            let padding = usize::from(*payload.last()?);
            payload = payload.get(..payload.len().checked_sub(padding)?)?;
        }
        Some(Self {
            payload_type: kind & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            payload,
        })
    }
}

/// Writes a header; the payload follows it.
pub(crate) fn header(kind: u8, marker: bool, stream: Stream, timestamp: u32) -> [u8; 12] {
    let mut head = [0; 12];
    head[0] = 0x80;
    head[1] = kind | if marker { 0x80 } else { 0 };
    head[2..4].copy_from_slice(&stream.sequence.to_be_bytes());
    head[4..8].copy_from_slice(&timestamp.to_be_bytes());
    head[8..].copy_from_slice(&stream.ssrc.to_be_bytes());
    head
}

/// Where an RTP stream stands: the numbers of its next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp, in samples.
    pub timestamp: u32,
    /// The synchronisation source.
    pub ssrc: u32,
}

/// The payload of one telephone-event packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyEvent {
    pub(crate) digit: char,
    pub(crate) end: bool,
    /// In samples.
    pub(crate) duration: u16,
}

const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// The event code of a key, `None` for what is no key.
pub(crate) fn key_code(digit: char) -> Option<u8> {
    let digit = u8::try_from(digit.to_ascii_uppercase()).ok()?;
    KEYS.iter().position(|key| *key == digit).and_then(|code| u8::try_from(code).ok())
}

impl KeyEvent {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let [code, flags, d0, d1] = *payload.first_chunk()?;
        let digit = char::from(*KEYS.get(usize::from(code))?);
        Some(Self { digit, end: flags & 0x80 != 0, duration: u16::from_be_bytes([d0, d1]) })
    }

    pub(crate) fn bytes(self) -> Option<[u8; 4]> {
        let [d0, d1] = self.duration.to_be_bytes();
        // volume 10: -10 dBm0, as common phones say
        Some([key_code(self.digit)?, if self.end { 0x8a } else { 0x0a }, d0, d1])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_datagram_is_parsed_or_refused(datagram in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(packet) = Packet::parse(&datagram) {
                prop_assert!(packet.payload.len() + 12 <= datagram.len());
                KeyEvent::parse(packet.payload);
            }
        }

        #[test]
        fn what_is_written_is_read(sequence: u16, timestamp: u32, ssrc: u32, marker: bool, payload: [u8; 4]) {
            let stream = Stream { sequence, timestamp: 7, ssrc };
            let mut datagram = header(PCMA, marker, stream, timestamp).to_vec();
            datagram.extend(payload);
            let wanted = Packet { payload_type: PCMA, sequence, timestamp, ssrc, payload: &payload };
            prop_assert_eq!(Packet::parse(&datagram), Some(wanted));
            prop_assert_eq!(datagram[1] & 0x80 != 0, marker);
        }
    }

    #[test]
    fn csrc_extension_and_padding_are_passed_over() {
        let mut datagram = vec![0x80 | 0x20 | 0x10 | 1, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        datagram.extend([9; 4]);
        datagram.extend([0, 0, 0, 1, 7, 7, 7, 7]);
        datagram.extend([0x55, 0x56, 0, 2]);
        assert_eq!(Packet::parse(&datagram).unwrap().payload, [0x55, 0x56]);
    }

    #[test]
    fn keys_have_the_codes_of_the_standard() {
        let codes: Vec<_> = "0159*#Dd".chars().map(key_code).collect();
        assert_eq!(codes, [0, 1, 5, 9, 10, 11, 15, 15].map(Some));
        assert_eq!((key_code('x'), key_code('é')), (None, None));
        let event = KeyEvent { digit: '#', end: true, duration: 800 };
        assert_eq!(KeyEvent::parse(&event.bytes().unwrap()), Some(event));
        assert_eq!(KeyEvent::parse(&[16, 0, 0, 0]), None);
    }
}
