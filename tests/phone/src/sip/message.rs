//! SIP messages (RFC 3261, 7): a first line, headers in order, a body.
//!
//! Header names are kept in their long form, values as text (what is not UTF-8 is replaced). Values are written as they
//! are, so that a test can send what no proper phone would.

use std::fmt::Write as _;

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) start: Start,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Request { method: String, uri: String },
    Response { status: u16, reason: String },
}

/// A header under this name is a whole line of its own, written as it is.
pub(crate) const RAW: &str = "";

impl Message {
    pub(crate) fn request(method: &str, uri: &str) -> Self {
        let start = Start::Request { method: method.to_owned(), uri: uri.to_owned() };
        Self { start, headers: Vec::new(), body: Vec::new() }
    }

    /// A response to `request`: with its Via, From, To, Call-ID and CSeq; `tag` is added to a To without one.
    pub(crate) fn response(request: &Self, status: u16, tag: &str) -> Self {
        let start = Start::Response { status, reason: reason(status).to_owned() };
        let mut response = Self { start, headers: Vec::new(), body: Vec::new() };
        for (name, value) in &request.headers {
            match name.as_str() {
                "To" if status > 100 && super::address::tag(value).is_none() => {
                    response.add("To", format!("{value};tag={tag}"));
                }
                "Via" | "From" | "To" | "Call-ID" | "CSeq" => response.add(name, value.clone()),
                _ => {}
            }
        }
        response
    }

    /// The first line of a response, as a NOTIFY quotes it (RFC 3420).
    pub(crate) fn status_line(status: u16) -> String {
        format!("SIP/2.0 {status} {}\r\n", reason(status))
    }

    /// `None` for what is no SIP message: a keep-alive, RTCP, noise.
    pub(crate) fn parse(datagram: &[u8]) -> Option<Self> {
        let (head, body) = split(datagram);
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines();
        let start = Start::parse(lines.by_ref().find(|line| !line.is_empty())?)?;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                let (_, value) = headers.last_mut()?;
                write!(value, " {}", line.trim()).ok()?;
            } else {
                let (name, value) = line.split_once(':')?;
                headers.push((long_name(name.trim()), value.trim().to_owned()));
            }
        }
        let mut message = Self { start, headers, body: body.to_vec() };
        if let Some(length) = message.header("Content-Length").and_then(|value| value.parse().ok()) {
            message.body.truncate(length);
        }
        Some(message)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} SIP/2.0\r\n"),
            Start::Response { status, reason } => format!("SIP/2.0 {status} {reason}\r\n"),
        };
        for (name, value) in &self.headers {
            if name != RAW {
                text.push_str(name);
                text.push_str(": ");
            }
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend(&self.body);
        bytes
    }

    pub(crate) fn add(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    pub(crate) fn with_body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.add("Content-Type", kind);
        self.body = body.into();
        self
    }

    /// The first header of this (long) name, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The method of a request; of a response, that of the request which it answers.
    pub(crate) fn method(&self) -> &str {
        match &self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => self.cseq().map_or("", |(_, method)| method),
        }
    }

    pub(crate) fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or_default()
    }

    pub(crate) fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.split_once([' ', '\t'])?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The tag of From or To.
    pub(crate) fn tag(&self, header: &str) -> Option<String> {
        super::address::tag(self.header(header)?)
    }

    /// The topmost Via, without those that follow it after a comma.
    pub(crate) fn via(&self) -> Option<&str> {
        self.header("Via")?.split(',').next()
    }

    /// The branch of the topmost Via.
    pub(crate) fn branch(&self) -> Option<&str> {
        self.via()?.split(';').skip(1).find_map(|p| p.trim().strip_prefix("branch="))
    }

    /// The first line, for the log.
    pub(crate) fn title(&self) -> String {
        match &self.start {
            Start::Request { method, uri } => format!("{method} {uri}"),
            Start::Response { status, reason } => format!("{status} {reason} ({})", self.method()),
        }
    }
}

impl Start {
    fn parse(line: &str) -> Option<Self> {
        if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
            let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let status = status.parse().ok().filter(|status| (100..700).contains(status))?;
            return Some(Self::Response { status, reason: reason.to_owned() });
        }
        let (method, rest) = line.split_once(' ')?;
        let uri = rest.strip_suffix(" SIP/2.0")?.trim();
        let token =
            !method.is_empty() && method.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        (token && !uri.is_empty()).then(|| Self::Request { method: method.to_owned(), uri: uri.to_owned() })
    }
}

/// Head and body, parted at the first empty line.
fn split(datagram: &[u8]) -> (&[u8], &[u8]) {
    let begin = datagram.iter().position(|b| !b"\r\n".contains(b)).unwrap_or(datagram.len());
    let datagram = &datagram[begin..];
    for (separator, length) in [(&b"\r\n\r\n"[..], 4), (b"\n\n", 2)] {
        if let Some(at) = datagram.windows(length).position(|window| window == separator) {
            return (&datagram[..at], &datagram[at + length..]);
        }
    }
    (datagram, &[])
}

fn long_name(name: &str) -> String {
    const LONG: &[(&str, &str)] = &[
        ("v", "Via"),
        ("f", "From"),
        ("t", "To"),
        ("i", "Call-ID"),
        ("m", "Contact"),
        ("l", "Content-Length"),
        ("c", "Content-Type"),
        ("k", "Supported"),
        ("o", "Event"),
        ("r", "Refer-To"),
        ("b", "Referred-By"),
        ("via", "Via"),
        ("from", "From"),
        ("to", "To"),
        ("call-id", "Call-ID"),
        ("cseq", "CSeq"),
    ];
    let long = LONG.iter().find(|(short, _)| short.eq_ignore_ascii_case(name));
    long.map_or(name, |(_, long)| long).to_owned()
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        420 => "Bad Extension",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        500 => "Server Internal Error",
        603 => "Decline",
        _ if status < 200 => "Progress",
        _ if status < 300 => "Success",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INVITE: &str = "\r\nINVITE sip:x@127.0.0.1 SIP/2.0\r\nv: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1;rport, \
        SIP/2.0/UDP 127.0.0.1:1\r\nf: \"A;tag=no\" <sip:a@b>;tag=yes\r\nTo: <sip:x@127.0.0.1>\r\ni: 1@lab\r\n\
        cseq: 7  INVITE\r\nSubject: one\r\n two\r\nl: 4\r\n\r\nbodybeyond";

    #[test]
    fn an_invite_is_read_with_short_names_and_folded_lines() {
        let invite = Message::parse(INVITE.as_bytes()).unwrap();
        assert_eq!(
            (invite.method(), invite.call_id(), invite.cseq()),
            ("INVITE", "1@lab", Some((7, "INVITE")))
        );
        assert_eq!(
            (invite.branch(), invite.tag("From"), invite.tag("To")),
            (Some("z9hG4bK1"), Some("yes".into()), None)
        );
        assert_eq!((invite.header("subject"), &invite.body[..]), (Some("one two"), &b"body"[..]));
        assert_eq!(Message::parse(&invite.bytes()).map(|m| m.body), Some(invite.body));
    }

    #[test]
    fn a_response_mirrors_its_request_and_adds_the_tag_once() {
        let mut invite = Message::parse(INVITE.as_bytes()).unwrap();
        let busy = Message::parse(&Message::response(&invite, 486, "mine").bytes()).unwrap();
        assert_eq!(busy.start, Start::Response { status: 486, reason: "Busy Here".into() });
        assert_eq!((busy.tag("To"), busy.header("Via")), (Some("mine".into()), invite.header("Via")));
        assert_eq!((busy.method(), busy.call_id(), busy.branch()), ("INVITE", "1@lab", invite.branch()));
        assert_eq!(Message::response(&invite, 100, "mine").tag("To"), None);
        invite.headers.retain(|(name, _)| name != "To");
        invite.add("To", "<sip:x@127.0.0.1>;tag=theirs");
        assert_eq!(Message::response(&invite, 200, "mine").tag("To"), Some("theirs".into()));
    }

    #[test]
    fn noise_is_no_message() {
        for noise in [
            "",
            "\r\n\r\n",
            "INVITE\r\n\r\n",
            "SIP/2.0 99 x\r\n\r\n",
            "A B SIP/2.0\r\nno colon\r\n\r\n",
            "A B SIP/2.0\r\n folded nothing\r\n\r\n",
            "\u{80}\u{c9} x SIP/2.0\r\n\r\n",
        ] {
            assert_eq!(Message::parse(noise.as_bytes()), None, "{noise:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            Message::parse(&bytes);
        }

        #[test]
        fn a_message_with_any_damage_is_answered_without_panic(
            at in 0..INVITE.len(), damage in proptest::collection::vec(any::<u8>(), 0..8), cut in 0..40usize,
        ) {
            let mut bytes = INVITE.as_bytes().to_vec();
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, damage);
            if let Some(message) = Message::parse(&bytes) {
                let response = Message::response(&message, 200, "t");
                prop_assert!(Message::parse(&response.bytes()).is_some());
                message.cseq();
                message.branch();
                message.tag("From");
                message.title();
            }
        }
    }
}
