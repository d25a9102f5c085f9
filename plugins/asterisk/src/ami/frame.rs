//! AMI on the wire: lines of `Key: value`, a blank line after each message, one banner at the start.
//!
//! Lenient in what it takes: `\n` for `\r\n`, keys repeated, bytes that are not UTF-8 (kept lossily), lines without a
//! colon (kept under the empty key), blank lines between messages. Strict in size: a peer that sends more than
//! [`MAX_BYTES`] or [`MAX_HEADERS`] in one message is no AMI, and the connection ends. Left out: the `Response: Follows`
//! form of command output, which Asterisk gave up in version 14; today it is a message with repeated `Output` keys.

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use tokio_util::codec::{Decoder, Encoder};

/// The largest message we take, in bytes, line ends included.
pub const MAX_BYTES: usize = 256 * 1024;
/// The most lines of one message.
pub const MAX_HEADERS: usize = 4096;

const BANNER: &[u8] = b"Asterisk Call Manager/";

/// What Asterisk sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first line: `Asterisk Call Manager/11.0.0`.
    Banner(String),
    /// A response or an event.
    Message(Message),
}

/// A response or an event: its lines in order, repeated keys included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Key and value of each line.
    pub headers: Vec<(String, String)>,
}

/// What we send: an action's name and its lines. `ActionID` is added when it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// As `MixMonitor`.
    pub name: &'static str,
    /// Key and value of each line.
    pub headers: Vec<(&'static str, String)>,
}

/// Why a connection cannot go on, or an action cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A message beyond [`MAX_BYTES`].
    #[error("a message of more than {MAX_BYTES} bytes")]
    TooLong,
    /// A message beyond [`MAX_HEADERS`].
    #[error("a message of more than {MAX_HEADERS} lines")]
    TooManyHeaders,
    /// A value with a line end in it would smuggle in a line of its own.
    #[error("the value of {0} has a line end in it")]
    LineEnd(&'static str),
}

impl Message {
    /// The first value under this key. The PBX's own keys come before what a dialplan may have added, so the first one
    /// is the one to believe.
    pub fn first(&self, key: &str) -> Option<&str> {
        self.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.as_str())
    }

    /// All values under this key.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.as_str())
    }

    /// A channel variable, as `ChanVariable: NAME=value` lines (with `prefix` before the key) carry it.
    pub fn variable<'a>(&'a self, prefix: &str, name: &str) -> Option<&'a str> {
        self.headers.iter().find_map(|(key, value)| {
            let (found, value) = value.split_once('=')?;
            (key.strip_prefix(prefix)? == "ChanVariable" && found == name).then_some(value)
        })
    }

    /// When it happened, by the PBX's clock: the `Timestamp` line, seconds with microseconds.
    pub fn timestamp(&self) -> Option<Timestamp> {
        timestamp(self.first("Timestamp")?)
    }
}

/// `1795282732.796304`, with up to nine decimals, as an instant.
pub fn timestamp(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanos).ok()
}

impl Action {
    /// An action without lines yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, headers: Vec::new() }
    }

    /// With one line more.
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((key, value.into()));
        self
    }

    /// As bytes; refused where a value has a line end in it.
    pub fn encode(&self, id: u64) -> Result<Bytes, FrameError> {
        let mut out = BytesMut::with_capacity(160);
        AmiCodec::default().encode((self, id), &mut out)?;
        Ok(out.freeze())
    }
}

/// The codec of one connection.
#[derive(Debug, Default)]
pub struct AmiCodec {
    /// The message whose end has not come yet, and the bytes that its lines took.
    message: Message,
    bytes: usize,
    /// How far the buffer was searched for a line end.
    searched: usize,
    greeted: bool,
}

impl Decoder for AmiCodec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        while let Some(end) = src[self.searched..].iter().position(|b| *b == b'\n') {
            let line = src.split_to(self.searched + end + 1);
            self.searched = 0;
            self.bytes += line.len();
            if self.bytes > MAX_BYTES {
                return Err(FrameError::TooLong);
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !std::mem::replace(&mut self.greeted, true) && line.starts_with(BANNER) {
                self.bytes = 0;
                return Ok(Some(Frame::Banner(String::from_utf8_lossy(line).into_owned())));
            }
            if !line.is_empty() {
                if self.message.headers.len() == MAX_HEADERS {
                    return Err(FrameError::TooManyHeaders);
                }
                self.message.headers.push(header(line));
                continue;
            }
            self.bytes = 0;
            let message = std::mem::take(&mut self.message);
            if !message.headers.is_empty() {
                return Ok(Some(Frame::Message(message)));
            }
        }
        self.searched = src.len();
        if self.bytes + src.len() > MAX_BYTES { Err(FrameError::TooLong) } else { Ok(None) }
    }

    /// What the end cut off is no message.
    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let frame = self.decode(src)?;
        if frame.is_none() {
            src.clear();
            self.searched = 0;
        }
        Ok(frame)
    }
}

impl Encoder<(&Action, u64)> for AmiCodec {
    type Error = FrameError;

    fn encode(&mut self, (action, id): (&Action, u64), out: &mut BytesMut) -> Result<(), FrameError> {
        if let Some((key, _)) = action.headers.iter().find(|(_, value)| value.contains(['\r', '\n', '\0'])) {
            return Err(FrameError::LineEnd(key));
        }
        let id = id.to_string();
        let own = [("Action", action.name), ("ActionID", id.as_str())];
        for (key, value) in own.into_iter().chain(action.headers.iter().map(|(k, v)| (*k, v.as_str()))) {
            for part in [key, ": ", value, "\r\n"] {
                out.put_slice(part.as_bytes());
            }
        }
        out.put_slice(b"\r\n");
        Ok(())
    }
}

/// All frames in these bytes, taken in pieces of `piece` bytes, and what ended them. For tests and fuzzing.
pub fn decode_all(bytes: &[u8], piece: usize) -> (Vec<Frame>, Option<FrameError>) {
    let (mut codec, mut buffer, mut frames) = (AmiCodec::default(), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    while let Ok(Some(frame)) = codec.decode_eof(&mut buffer) {
        frames.push(frame);
    }
    (frames, None)
}

fn header(line: &[u8]) -> (String, String) {
    let line = String::from_utf8_lossy(line);
    match line.split_once(':') {
        Some((key, value)) => (key.into(), value.strip_prefix(' ').unwrap_or(value).into()),
        None => (String::new(), line.into_owned()),
    }
}
