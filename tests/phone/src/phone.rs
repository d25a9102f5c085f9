//! A phone: bound to an address, it calls, is called, and hands out its calls.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::call::Call;
use crate::error::Error;
use crate::events::{Event, Log};
use crate::line::{Line, Outbound, Wish, raw};
use crate::mouth::{Tone, Voice};
use crate::rtp::Stream;
use crate::sip::address;
use crate::state::Shared;

/// What a phone does when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// Leaves everything to the test ([`Call::ring`], [`Call::answer`], …).
    Manual,
    /// Rings (180), and never answers of itself.
    Ring,
    /// Rings (180), then answers after this time.
    After(Duration),
    /// Says 183 and is heard at once, then answers after this time.
    EarlyMedia(Duration),
    /// Refuses with this status: 486 busy, 603 declined, 480 not there, …
    Refuse(u16),
    /// Is unplugged: no request gets any answer.
    Dead,
}

impl Answering {
    /// The user is talking.
    pub const BUSY: Self = Self::Refuse(486);
    /// The user does not want to.
    pub const DECLINE: Self = Self::Refuse(603);
}

/// How a call is made. The default: the phone's name as user, no display name, the phone's own voice.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// The user part of From: any text, escaped as needed.
    pub user: Option<String>,
    /// The display name in From: any text, quoted and escaped as needed; controls are written out as `%0D`.
    pub display: Option<String>,
    /// The From header as it is to be written, line breaks and all; only a tag is added. Instead of `user` and `display`.
    pub raw_from: Option<String>,
    /// Further headers; line breaks and other controls in their values are written out as `%0D`.
    pub headers: Vec<(String, String)>,
    /// Further header lines, written as they are, without a line break at the end.
    pub raw_headers: Vec<String>,
    /// What is said, instead of the phone's voice.
    pub voice: Option<Voice>,
    /// Where RTP begins, instead of the phone's choice.
    pub stream: Option<Stream>,
}

/// A SIP phone on the loopback. It is gone, and says BYE to whoever is left, when the last of its handles and calls is.
#[derive(Clone, Debug)]
pub struct Phone {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    address: SocketAddr,
    wishes: mpsc::UnboundedSender<Wish>,
    arrivals: tokio::sync::Mutex<mpsc::UnboundedReceiver<Arc<Shared>>>,
    settings: Arc<Mutex<Settings>>,
    log: Arc<Log>,
}

/// What applies to the next calls.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) answering: Answering,
    voice: Voice,
    stream: Option<Stream>,
    lose: Vec<(String, u32)>,
}

impl Phone {
    /// Opens a phone on a free port of a loopback address. It rings when called, and speaks silence.
    ///
    /// # Errors
    /// No loopback address, or no socket to be had.
    pub async fn bind(ip: impl Into<IpAddr>, name: &str) -> Result<Self, Error> {
        let ip = ip.into();
        if !ip.is_loopback() {
            return Err(Error::Address(ip.to_string()));
        }
        let socket = UdpSocket::bind((ip, 0))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let receiver = tokio::net::UdpSocket::from_std(socket.try_clone()?)?;
        let (wishes, to_do) = mpsc::unbounded_channel();
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let log = Arc::new(Log::new());
        let settings =
            Settings { answering: Answering::Ring, voice: Voice::Silence, stream: None, lose: Vec::new() };
        let settings = Arc::new(Mutex::new(settings));
        // unlike those of any other phone and run: a message of a call that is long over must not be taken for ours
        let nonce = RandomState::new().build_hasher().finish();
        let line =
            Line::new(name.to_owned(), socket, Arc::clone(&settings), Arc::clone(&log), arrived, nonce)?;
        tokio::spawn(line.run(receiver, to_do));
        let arrivals = tokio::sync::Mutex::new(arrivals);
        let inner = Inner { name: name.to_owned(), address, wishes, arrivals, settings, log };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Its name: the user part of its URI.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Where it takes SIP over UDP.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// `sip:name@ip:port`, by which others reach it.
    pub fn uri(&self) -> String {
        format!("sip:{}@{}", address::escape(self.name()), self.inner.address)
    }

    /// What it does from now on when it is called.
    pub fn answer_with(&self, answering: Answering) {
        self.settings().answering = answering;
    }

    /// The tone that it speaks in calls that begin from now on.
    pub fn speak(&self, tone: Tone) {
        self.settings().voice = Voice::Tone(tone);
    }

    /// Where RTP begins in calls that begin from now on; by default at sequence number 1000 and timestamp 0, with a
    /// synchronisation source for each call.
    pub fn begin_at(&self, stream: Stream) {
        self.settings().stream = Some(stream);
    }

    /// Loses the next `count` messages that arrive of a kind: a method as `BYE`, or a status as `200`. As if they had
    /// been lost on the way, so the other side sends them again.
    pub fn lose_next(&self, kind: &str, count: u32) {
        self.settings().lose.push((kind.to_owned(), count));
    }

    /// Calls `sip:user@ip:port`; comes back as soon as the INVITE has left.
    ///
    /// # Errors
    /// An address outside the loopback, or no socket for the sound.
    pub async fn call(&self, uri: &str, options: CallOptions) -> Result<Call, Error> {
        let destination = address::destination(uri).filter(|d| d.ip().is_loopback());
        let destination = destination.ok_or_else(|| Error::Address(uri.to_owned()))?;
        let from = options.raw_from.unwrap_or_else(|| {
            let user = options.user.as_deref().unwrap_or(self.name());
            address::name_addr(options.display.as_deref(), user, self.inner.address)
        });
        let clean = |(name, value): (String, String)| (address::one_line(&name), address::one_line(&value));
        let mut headers: Vec<_> = options.headers.into_iter().map(clean).collect();
        headers.extend(options.raw_headers.into_iter().map(raw));
        let (voice, stream) = self.settings().sound();
        let call = Outbound {
            uri: address::one_line(uri),
            destination,
            from,
            headers,
            voice: options.voice.unwrap_or(voice),
            stream: options.stream.or(stream),
            on_behalf: None,
        };
        let (reply, begun) = oneshot::channel();
        self.inner.wishes.send(Wish::Call { call: Box::new(call), reply }).map_err(|_| Error::Gone)?;
        let shared = begun.await.map_err(|_| Error::Gone)??;
        Ok(Call::new(shared, self.inner.wishes.clone()))
    }

    /// The next call that this phone did not make of itself: one that came in, whatever became of it, or one that it
    /// made because a REFER asked for it. Each is handed out once, in order.
    ///
    /// # Errors
    /// None within the limit.
    pub async fn next_call(&self, limit: Duration) -> Result<Call, Error> {
        let next = async { self.inner.arrivals.lock().await.recv().await };
        match timeout(limit, next).await {
            Ok(Some(shared)) => Ok(Call::new(shared, self.inner.wishes.clone())),
            Ok(None) => Err(Error::Gone),
            Err(_) => Err(Error::Missed {
                phone: self.name().to_owned(),
                wanted: "a call".to_owned(),
                limit,
                seen: format!("no call came{}", self.inner.log.tail(0)),
            }),
        }
    }

    /// What it sent, received and decided, oldest first; at most the last 2000.
    pub fn events(&self) -> Vec<Event> {
        self.inner.log.all()
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.inner.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    pub(crate) fn sound(&self) -> (Voice, Option<Stream>) {
        (self.voice, self.stream)
    }

    /// Whether the next message of this kind is to be lost; counts it.
    pub(crate) fn loses(&mut self, kind: &str) -> bool {
        let found = self.lose.iter_mut().find(|(lost, left)| lost == kind && *left > 0);
        found.is_some_and(|(_, left)| {
            *left -= 1;
            true
        })
    }
}
