//! The task of a phone: one socket, all dialogs and transactions (RFC 3261, 12 and 17), wishes from the handles.
//!
//! Everything about signalling is decided here, one thing after the other, so nothing needs a lock. [`client`] holds what
//! we ask, [`server`] what we are asked, [`leg`] one call. Each call's sound has a task of its own.
//!
//! Left out: TCP, TLS, authentication, registration, routes through proxies, PRACK, session timers of our own.

mod client;
mod leg;
mod server;

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use self::client::Client;
pub(crate) use self::client::{raw, refer_to};
use self::leg::{Cancel, Leg};
use self::server::Server;
use crate::ear::Ear;
use crate::error::Error;
use crate::events::Log;
use crate::media::Media;
use crate::mouth::{Mouth, Voice};
use crate::phone::Settings;
use crate::rtp::Stream;
use crate::sip::address::{self, Party};
use crate::sip::message::{Message, Start};
use crate::sip::sdp::{Direction, Sdp};
use crate::state::{Ending, How, Shared, Side, State, View};

/// Timer T1 of RFC 3261: the estimate of a round trip, and the first interval between retransmissions.
const T1: Duration = Duration::from_millis(500);
/// Timer T2: the longest interval.
const T2: Duration = Duration::from_secs(4);
/// 64 T1: when to give up, and how long what is over is remembered.
const PATIENCE: Duration = Duration::from_secs(32);

const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY";

pub(crate) type Reply = oneshot::Sender<Result<(), Error>>;

/// What a handle asks of the task.
pub(crate) enum Wish {
    Call { call: Box<Outbound>, reply: oneshot::Sender<Result<Arc<Shared>, Error>> },
    Ask { call: u32, ask: Ask, reply: Reply },
}

/// What is asked of one call.
pub(crate) enum Ask {
    Ring,
    Progress,
    Answer,
    Refuse(u16),
    HangUp,
    Bye,
    Vanish,
    Direct(Direction),
    /// The value of the Refer-To header.
    Refer(String),
    Info {
        digit: char,
        length: Duration,
    },
}

/// A call to be made.
pub(crate) struct Outbound {
    pub(crate) uri: String,
    pub(crate) destination: SocketAddr,
    /// The From header without its tag.
    pub(crate) from: String,
    /// Further headers, as they are to be written.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) voice: Voice,
    pub(crate) stream: Option<Stream>,
    pub(crate) on_behalf: Option<u32>,
}

pub(crate) struct Line {
    name: String,
    local: SocketAddr,
    sender: UdpSocket,
    settings: Arc<Mutex<Settings>>,
    log: Arc<Log>,
    /// Calls that came in, for [`crate::Phone::next_call`].
    arrivals: mpsc::UnboundedSender<Arc<Shared>>,
    legs: HashMap<u32, Leg>,
    clients: HashMap<String, Client>,
    servers: HashMap<String, Server>,
    timers: BTreeMap<(Instant, u64), Timer>,
    /// Makes names unique among all phones and runs.
    nonce: u64,
    count: u64,
    calls: u32,
}

#[derive(Debug)]
enum Timer {
    /// Send a request again, or give it up.
    Client(String),
    /// Send a final response to an INVITE again, or give it up.
    Server(String),
    /// A called phone takes the receiver off.
    Answer(u32),
    ForgetClient(String),
    ForgetServer(String),
    ForgetLeg(u32),
}

impl Line {
    pub(crate) fn new(
        name: String,
        sender: UdpSocket,
        settings: Arc<Mutex<Settings>>,
        log: Arc<Log>,
        arrivals: mpsc::UnboundedSender<Arc<Shared>>,
        nonce: u64,
    ) -> std::io::Result<Self> {
        Ok(Self {
            name,
            local: sender.local_addr()?,
            sender,
            settings,
            log,
            arrivals,
            legs: HashMap::new(),
            clients: HashMap::new(),
            servers: HashMap::new(),
            timers: BTreeMap::new(),
            nonce,
            count: 0,
            calls: 0,
        })
    }

    /// Runs until all handles are gone; then says BYE once to whoever is still there.
    pub(crate) async fn run(
        mut self,
        socket: tokio::net::UdpSocket,
        mut wishes: mpsc::UnboundedReceiver<Wish>,
    ) {
        let mut datagram = vec![0; 65_535];
        loop {
            let due = self.timers.first_key_value().map(|((at, _), _)| *at);
            tokio::select! {
                received = socket.recv_from(&mut datagram) => {
                    if let Ok((length, from)) = received {
                        self.receive(&datagram[..length], from);
                    }
                }
                wish = wishes.recv() => match wish {
                    Some(Wish::Call { call, reply }) => { reply.send(self.call(*call)).ok(); }
                    Some(Wish::Ask { call, ask, reply }) => self.ask(call, ask, reply),
                    None => break,
                },
                () = until(due) => self.fire(Instant::now()),
            }
        }
        let live: Vec<u32> =
            self.legs.iter().filter(|(_, leg)| leg.media.is_some()).map(|(no, _)| *no).collect();
        for no in live {
            let (reply, _) = oneshot::channel();
            self.ask(no, Ask::HangUp, reply);
        }
    }

    fn receive(&mut self, datagram: &[u8], from: SocketAddr) {
        let Some(message) = Message::parse(datagram) else {
            if !datagram.iter().all(u8::is_ascii_whitespace) {
                self.log.note(0, format!("< {} octets that are no SIP message", datagram.len()));
            }
            return;
        };
        if self.is_lost(&message) {
            self.log.note(0, format!("x {}", message.title()));
            return;
        }
        let ours = if matches!(message.start, Start::Request { .. }) { "To" } else { "From" };
        let no = self.leg_of(&message, ours).unwrap_or(0);
        self.log.note(no, format!("< {}", message.title()));
        match message.start {
            Start::Request { .. } => self.requested(&message, from),
            Start::Response { status, .. } => self.responded(&message, status),
        }
    }

    /// Whether the test wants this message lost.
    fn is_lost(&self, message: &Message) -> bool {
        let kind = match &message.start {
            Start::Request { method, .. } => method.clone(),
            Start::Response { status, .. } => status.to_string(),
        };
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).loses(&kind)
    }

    /// The call that a message belongs to: by Call-ID and our own tag, in From or To.
    fn leg_of(&self, message: &Message, ours: &str) -> Option<u32> {
        let tag = message.tag(ours)?;
        let no = tag.rsplit_once('-')?.1.parse().ok()?;
        let leg = self.legs.get(&no)?;
        (leg.local_tag == tag && leg.shared.call_id == message.call_id()).then_some(no)
    }

    fn fire(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Timer::Client(key) => self.client_due(&key, now),
                Timer::Server(key) => self.server_due(&key, now),
                Timer::Answer(no) => {
                    if self.legs.get(&no).is_some_and(|leg| leg.shared.view.borrow().state == State::Ringing)
                    {
                        self.answer(no);
                    }
                }
                Timer::ForgetClient(key) => drop(self.clients.remove(&key)),
                Timer::ForgetServer(key) => drop(self.servers.remove(&key)),
                Timer::ForgetLeg(no) => drop(self.legs.remove(&no)),
            }
        }
    }

    fn later(&mut self, after: Duration, timer: Timer) {
        self.count += 1;
        self.timers.insert((Instant::now() + after, self.count), timer);
    }

    fn send(&self, no: u32, message: &Message, to: SocketAddr) -> Vec<u8> {
        let bytes = message.bytes();
        self.log.note(no, format!("> {}", message.title()));
        self.put(no, &bytes, to);
        bytes
    }

    fn put(&self, no: u32, bytes: &[u8], to: SocketAddr) {
        // as good as lost on the way: it will be sent again
        if let Err(error) = self.sender.send_to(bytes, to) {
            self.log.note(no, format!("not sent: {error}"));
        }
    }

    fn unique(&mut self) -> String {
        self.count += 1;
        format!("{:x}-{}", self.nonce, self.count)
    }

    fn contact(&self) -> String {
        format!("<sip:{}@{}>", address::escape(&self.name), self.local)
    }

    /// Makes room for a call and opens its sound.
    fn open(&mut self, opening: Opening) -> Result<u32, Error> {
        self.calls += 1;
        let no = self.calls;
        let local_tag = format!("{}-{no}", self.unique());
        let ear = Arc::new(Ear::new());
        let stream = opening.stream.unwrap_or(Stream {
            sequence: 1000,
            timestamp: 0,
            ssrc: u32::from(self.local.port()) << 16 | (no & 0xffff),
        });
        let mouth = Arc::new(Mouth::new(opening.voice, stream));
        let media = Media::open(self.local.ip(), Arc::clone(&ear), Arc::clone(&mouth))?;
        let state = if opening.called { State::Offered } else { State::Calling };
        let shared = Arc::new(Shared {
            phone: self.name.clone(),
            no,
            call_id: opening.invite.call_id().to_owned(),
            called: opening.called,
            caller: Party::parse(opening.invite.header("From").unwrap_or_default()),
            invite: opening.invite,
            rtp: media.address,
            view: watch::Sender::new(View::new(state)),
            ear,
            mouth,
            log: Arc::clone(&self.log),
        });
        let leg = Leg {
            shared,
            media: Some(media),
            local: format!("{};tag={local_tag}", opening.local),
            local_tag,
            remote: opening.remote,
            remote_tag: None,
            contact: self.contact(),
            target: opening.target,
            destination: opening.destination,
            cseq: 0,
            remote_cseq: 0,
            invite_key: opening.invite_key,
            cancel: Cancel::No,
            closing: Vec::new(),
            direction: Direction::BOTH,
            their_sdp: None,
            sdp_version: 0,
            unacked: None,
            bye_after_ack: None,
            acks: HashMap::new(),
            reinviting: false,
            on_behalf: opening.on_behalf,
            replaces: None,
        };
        self.legs.insert(no, leg);
        Ok(no)
    }

    /// Takes in what the other side says about its sound. `false` when it cannot be used.
    fn described(&mut self, no: u32, sdp: Sdp) -> bool {
        let Some(leg) = self.legs.get_mut(&no) else {
            return false;
        };
        if !sdp.pcma || !sdp.address.ip().is_loopback() {
            self.log.note(no, format!("their sound cannot be used: {sdp:?}"));
            return false;
        }
        let (held, was) = (!sdp.direction.receives, leg.shared.view.borrow().held);
        leg.their_sdp = Some(sdp);
        if held != was.is_some_and(|(held, _)| held) {
            leg.shared.view.send_modify(|view| view.held = Some((held, Instant::now())));
        }
        true
    }

    /// Notes the answer, and starts or redirects the sound.
    fn is_up(&mut self, no: u32) {
        let Some(leg) = self.legs.get(&no) else { return };
        leg.take_aim();
        leg.shared.view.send_modify(|view| {
            view.state = State::Up;
            view.answered = Some(Instant::now());
        });
    }

    /// Notes the end of a call. What it still owes to the network goes on: retransmissions, answers to late requests.
    fn end(&mut self, no: u32, by: Side, how: How, message: Option<&Message>) {
        let Some(leg) = self.legs.get_mut(&no) else { return };
        if leg.media.take().is_none() {
            return;
        }
        let cause = message.and_then(|m| m.header("Reason")).and_then(|reason| {
            let mut params = reason.split(';').map(str::trim);
            params.next().filter(|protocol| protocol.eq_ignore_ascii_case("Q.850"))?;
            params.find_map(|param| param.strip_prefix("cause="))?.parse().ok()
        });
        leg.shared.mouth.close();
        leg.shared.view.send_modify(|view| {
            view.state = State::Ended;
            view.ending = Some(Ending { by, how, cause, at: Instant::now() });
        });
        self.log.note(no, format!("ended: {how:?} by {by:?}"));
        for reply in leg.closing.drain(..).chain(leg.bye_after_ack.take()) {
            reply.send(Ok(())).ok();
        }
        self.later(PATIENCE, Timer::ForgetLeg(no));
    }
}

/// What is known of a call when it begins.
struct Opening {
    called: bool,
    invite: Message,
    invite_key: String,
    local: String,
    remote: String,
    target: String,
    destination: SocketAddr,
    voice: Voice,
    stream: Option<Stream>,
    on_behalf: Option<u32>,
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
