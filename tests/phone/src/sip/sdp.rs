//! Session descriptions (RFC 4566, RFC 3264) for one stream of A-law with telephone events.

use std::net::{IpAddr, SocketAddr};

use crate::rtp::PCMA;

/// What one side says about its sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sdp {
    pub(crate) address: SocketAddr,
    pub(crate) direction: Direction,
    /// Whether A-law is among its codecs.
    pub(crate) pcma: bool,
    /// The payload type of its telephone events.
    pub(crate) events: Option<u8>,
}

/// Who sends, as the writer of the description sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Direction {
    pub(crate) sends: bool,
    pub(crate) receives: bool,
}

impl Direction {
    pub(crate) const BOTH: Self = Self { sends: true, receives: true };
    pub(crate) const SEND_ONLY: Self = Self { sends: true, receives: false };

    /// The direction to answer with, where `self` is wanted and `offer` was offered.
    pub(crate) fn answer(self, offer: Self) -> Self {
        Self { sends: self.sends && offer.receives, receives: self.receives && offer.sends }
    }

    fn name(self) -> &'static str {
        match (self.sends, self.receives) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let all = [(true, true), (true, false), (false, true), (false, false)];
        all.map(|(sends, receives)| Self { sends, receives }).into_iter().find(|d| d.name() == name)
    }
}

impl Sdp {
    /// `None` when its first stream is no audio, or was refused (port 0), or no address can be read.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        let (mut ip, mut port, mut pcma, mut events) = (None, None, false, None);
        let (mut session, mut media) = (None, None);
        for line in text.lines() {
            let Some((kind, value)) = line.trim_end().split_once('=') else {
                continue;
            };
            match kind {
                "m" if port.is_some() => break,
                "m" => {
                    let mut words = value.strip_prefix("audio ")?.split_ascii_whitespace();
                    port = Some(words.next()?.split('/').next()?.parse::<u16>().ok()?);
                    pcma = words.skip(1).any(|word| word.parse() == Ok(PCMA));
                }
                "c" => ip = value.rsplit(' ').next().and_then(|ip| ip.parse::<IpAddr>().ok()).or(ip),
                "a" => {
                    if let Some(map) = value.strip_prefix("rtpmap:") {
                        let (number, name) = map.split_once(' ').unwrap_or((map, ""));
                        if name.to_ascii_lowercase().starts_with("telephone-event/8000") {
                            events = number.parse().ok().filter(|number: &u8| *number < 128);
                        }
                    } else if let Some(direction) = Direction::parse(value) {
                        *(if port.is_some() { &mut media } else { &mut session }) = Some(direction);
                    }
                }
                _ => {}
            }
        }
        let (ip, port) = (ip?, port.filter(|port| *port != 0)?);
        let mut direction = media.or(session).unwrap_or(Direction::BOTH);
        // the way of RFC 2543 to hold
        direction.receives &= !ip.is_unspecified();
        Some(Self { address: SocketAddr::new(ip, port), direction, pcma, events })
    }

    /// The text; `session` and `version` make up its origin.
    pub(crate) fn text(&self, session: u32, version: u32) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let (list, map) = match self.events {
            Some(n) => (format!(" {n}"), format!("a=rtpmap:{n} telephone-event/8000\r\na=fmtp:{n} 0-15\r\n")),
            None => (String::new(), String::new()),
        };
        format!(
            "v=0\r\no=- {session} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {PCMA}{list}\r\na=rtpmap:{PCMA} PCMA/8000\r\n{map}a=ptime:20\r\na={}\r\n",
            self.direction.name(),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (sends, receives) in [(true, true), (true, false), (false, true), (false, false)] {
            let direction = Direction { sends, receives };
            let sdp =
                Sdp { address: ([127, 0, 0, 2], 4000).into(), direction, pcma: true, events: Some(101) };
            assert_eq!(Sdp::parse(sdp.text(1, 2).as_bytes()), Some(sdp));
        }
    }

    #[test]
    fn offers_of_others() {
        let asterisk = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=Asterisk\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
            m=audio 10004 RTP/AVP 0 8 96\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
            a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\na=maxptime:140\r\na=sendonly\r\n\
            m=video 2 RTP/AVP 9\r\na=inactive\r\n";
        let sdp = Sdp::parse(asterisk.as_bytes()).unwrap();
        assert_eq!((sdp.address, sdp.pcma, sdp.events), (([127, 0, 0, 1], 10004).into(), true, Some(96)));
        assert_eq!(Direction::BOTH.answer(sdp.direction), Direction { sends: false, receives: true });
        let old_hold = Sdp::parse(b"c=IN IP4 0.0.0.0\nm=audio 4 RTP/AVP 0\n").unwrap();
        assert!(!old_hold.direction.receives && !old_hold.pcma);
        assert_eq!(Sdp::parse(b"c=IN IP4 127.0.0.1\nm=audio 0 RTP/AVP 8\n"), None);
        assert_eq!(Sdp::parse(b"m=audio 4 RTP/AVP 8\n"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            body in "(?s)((v|c|m|a|x)=(audio |rtpmap:|IN IP4 )?[0-9a-z./: ]{0,20}\n){0,8}.{0,20}",
            noise in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            Sdp::parse(body.as_bytes());
            Sdp::parse(&noise);
        }
    }
}
