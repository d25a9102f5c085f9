//! What this phone asks of others: client transactions (RFC 3261, 17.1) and what their answers mean for the call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::leg::{Cancel, Leg};
use super::{ALLOW, Ask, Line, Opening, Outbound, PATIENCE, Reply, T1, T2, Timer};
use crate::error::Error;
use crate::sip::address;
use crate::sip::message::{Message, RAW};
use crate::sip::sdp::{Direction, Sdp};
use crate::state::{How, Shared, Side, State};

/// A request under way, or a refused INVITE whose refusal may come again.
pub(super) struct Client {
    leg: u32,
    purpose: Purpose,
    reply: Option<Reply>,
    destination: SocketAddr,
    request: Message,
    bytes: Vec<u8>,
    interval: Duration,
    /// `None` while an INVITE rings: that may take its time.
    deadline: Option<Instant>,
    /// There was a provisional response, so nothing is sent again.
    proceeding: bool,
    /// The ACK of a refused INVITE.
    ack: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Invite,
    Reinvite(Direction),
    /// Anything whose answer changes nothing in the call.
    Other,
}

impl Line {
    /// Begins a call.
    pub(super) fn call(&mut self, call: Outbound) -> Result<Arc<Shared>, Error> {
        let branch = self.branch();
        let mut invite = Message::request("INVITE", &call.uri);
        invite.add("Call-ID", format!("{}@{}", self.unique(), self.local.ip()));
        invite.add("From", call.from.clone());
        let no = self.open(Opening {
            called: false,
            invite,
            invite_key: key(&branch, "INVITE"),
            local: call.from,
            remote: format!("<{}>", call.uri),
            target: call.uri,
            destination: call.destination,
            voice: call.voice,
            stream: call.stream,
            on_behalf: call.on_behalf,
        })?;
        let Some(leg) = self.legs.get_mut(&no) else {
            return Err(Error::Gone);
        };
        let cseq = leg.next_cseq();
        let mut invite = leg.request("INVITE", cseq);
        invite.headers.extend(call.headers);
        let offer = leg.offer(Direction::BOTH);
        let shared = Arc::clone(&leg.shared);
        self.start(no, &branch, invite.with_body("application/sdp", offer), Purpose::Invite, None);
        Ok(shared)
    }

    /// Does what a handle asks of a call, or says why not.
    pub(super) fn ask(&mut self, no: u32, ask: Ask, reply: Reply) {
        let Some(leg) = self.legs.get(&no) else {
            reply.send(Err(Error::Unfit { wish: ask.name(), state: State::Ended })).ok();
            return;
        };
        let state = leg.shared.view.borrow().state;
        let unanswered = leg.shared.called && matches!(state, State::Offered | State::Ringing);
        match ask {
            Ask::Ring if unanswered => self.ring(no),
            Ask::Progress if unanswered => self.progress(no),
            Ask::Answer if unanswered => self.answer(no),
            Ask::Refuse(status) if unanswered => self.refuse(no, status, Side::Us, How::Refused(status)),
            Ask::HangUp if unanswered => self.refuse(no, 480, Side::Us, How::Refused(480)),
            Ask::HangUp if state == State::Up && leg.unacked.is_some() => {
                if let Some(leg) = self.legs.get_mut(&no) {
                    let earlier = leg.bye_after_ack.replace(reply);
                    leg.closing.extend(earlier);
                }
                return;
            }
            Ask::HangUp if state == State::Up => return self.bye(no, How::Bye, Some(reply)),
            Ask::HangUp if state != State::Ended => return self.cancel(no, reply),
            Ask::Bye if state != State::Ended && !unanswered && leg.remote_tag.is_some() => {
                return self.bye(no, How::Bye, Some(reply));
            }
            Ask::Vanish if state != State::Ended => self.vanish(no),
            Ask::Direct(direction) if state == State::Up && !leg.reinviting => {
                return self.reinvite(no, direction, reply);
            }
            Ask::Refer(to) if state == State::Up => {
                let by = leg.contact.clone();
                return self.request(
                    no,
                    "REFER",
                    &[("Refer-To", to), ("Referred-By", by)],
                    None,
                    Some(reply),
                );
            }
            Ask::Info { digit, length } if state == State::Up => {
                let body = format!("Signal={digit}\r\nDuration={}\r\n", length.as_millis());
                return self.request(no, "INFO", &[], Some(("application/dtmf-relay", body)), Some(reply));
            }
            // hanging up what is over is no fault
            Ask::HangUp if state == State::Ended => {}
            ask => {
                reply.send(Err(Error::Unfit { wish: ask.name(), state })).ok();
                return;
            }
        }
        reply.send(Ok(())).ok();
    }

    /// A request within a dialog whose answer changes nothing in the call.
    pub(super) fn request(
        &mut self,
        no: u32,
        method: &str,
        headers: &[(&str, String)],
        body: Option<(&str, String)>,
        reply: Option<Reply>,
    ) {
        let branch = self.branch();
        let Some(leg) = self.legs.get_mut(&no) else { return };
        let cseq = leg.next_cseq();
        let mut request = leg.request(method, cseq);
        for (name, value) in headers {
            request.add(name, value.clone());
        }
        if let Some((kind, body)) = body {
            request = request.with_body(kind, body);
        }
        self.start(no, &branch, request, Purpose::Other, reply);
    }

    /// Ends a call by BYE; for the call it is over at once, for the transaction with the answer.
    pub(super) fn bye(&mut self, no: u32, how: How, reply: Option<Reply>) {
        self.request(no, "BYE", &[], None, reply);
        self.end(no, Side::Us, how, None);
    }

    fn reinvite(&mut self, no: u32, direction: Direction, reply: Reply) {
        let branch = self.branch();
        let Some(leg) = self.legs.get_mut(&no) else { return };
        leg.reinviting = true;
        let cseq = leg.next_cseq();
        let offer = leg.offer(direction);
        let invite = leg.request("INVITE", cseq).with_body("application/sdp", offer);
        self.start(no, &branch, invite, Purpose::Reinvite(direction), Some(reply));
    }

    fn cancel(&mut self, no: u32, reply: Reply) {
        let Some(leg) = self.legs.get_mut(&no) else { return };
        leg.closing.push(reply);
        if leg.cancel == Cancel::Sent {
            return;
        }
        leg.cancel = Cancel::Wanted;
        let invite_key = leg.invite_key.clone();
        if self.clients.get(&invite_key).is_some_and(|client| client.proceeding) {
            self.send_cancel(no);
        }
    }

    fn send_cancel(&mut self, no: u32) {
        let Some(leg) = self.legs.get_mut(&no) else { return };
        leg.cancel = Cancel::Sent;
        let key_of_invite = leg.invite_key.clone();
        let Some(invite) = self.clients.get_mut(&key_of_invite) else {
            return;
        };
        invite.deadline = Some(Instant::now() + PATIENCE);
        let request = invite.request.clone();
        self.later(PATIENCE, Timer::Client(key_of_invite));
        let branch = request.branch().unwrap_or_default().to_owned();
        let cancel = of_invite(&request, "CANCEL", request.header("To").unwrap_or_default());
        self.start(no, &branch, cancel, Purpose::Other, None);
    }

    /// Forgets a call without a word to the other side: from now on it knows nothing of it.
    fn vanish(&mut self, no: u32) {
        self.end(no, Side::Us, How::Vanished, None);
        self.clients.retain(|_, client| client.leg != no);
        self.servers.retain(|_, server| server.leg != Some(no));
        self.legs.remove(&no);
    }

    /// Sends a request in a transaction of its own, which is written on top of it unless its Via is there already.
    fn start(&mut self, no: u32, branch: &str, mut request: Message, purpose: Purpose, reply: Option<Reply>) {
        let Some(leg) = self.legs.get(&no) else { return };
        let destination = leg.destination;
        if request.via().is_none() {
            self.finish(&mut request, branch);
        }
        let key = key(branch, request.method());
        let bytes = self.send(no, &request, destination);
        let client = Client {
            leg: no,
            purpose,
            reply,
            destination,
            request,
            bytes,
            interval: T1,
            deadline: Some(Instant::now() + PATIENCE),
            proceeding: false,
            ack: None,
        };
        self.clients.insert(key.clone(), client);
        self.later(T1, Timer::Client(key));
    }

    fn finish(&self, request: &mut Message, branch: &str) {
        let via = format!("SIP/2.0/UDP {};branch={branch};rport", self.local);
        request.headers.insert(0, ("Via".to_owned(), via));
        if request.method() != "ACK" {
            request.add("Allow", ALLOW);
            request.add("Supported", "replaces");
            request.add("User-Agent", "temoin-phone");
        }
    }

    fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.unique())
    }

    pub(super) fn client_due(&mut self, key: &str, now: Instant) {
        let Some(client) = self.clients.get_mut(key).filter(|client| client.ack.is_none()) else {
            return;
        };
        let Some(deadline) = client.deadline else { return };
        if now >= deadline {
            let Some(client) = self.clients.remove(key) else {
                return;
            };
            self.concluded(client.leg, client.purpose, None);
            if let Some(reply) = client.reply {
                let method = client.request.method().to_owned();
                reply.send(Err(Error::Unanswered { method })).ok();
            }
            return;
        }
        if client.proceeding && client.purpose != Purpose::Other {
            return self.later(deadline - now, Timer::Client(key.to_owned()));
        }
        client.interval *= 2;
        if client.purpose == Purpose::Other {
            client.interval = client.interval.min(T2);
        }
        let after = client.interval.min(deadline - now);
        let (no, bytes, to) = (client.leg, client.bytes.clone(), client.destination);
        self.log.note(no, "> again");
        self.put(no, &bytes, to);
        self.later(after, Timer::Client(key.to_owned()));
    }

    pub(super) fn responded(&mut self, response: &Message, status: u16) {
        let Some(key) = response.branch().map(|branch| key(branch, response.method())) else {
            return;
        };
        let Some(client) = self.clients.get_mut(&key) else {
            return self.acknowledge_again(response, status);
        };
        let no = client.leg;
        if let Some(ack) = &client.ack {
            let (ack, to) = (ack.clone(), client.destination);
            return self.put(no, &ack, to);
        }
        if status < 200 {
            client.proceeding = true;
            if client.purpose == Purpose::Invite {
                if client.deadline.is_some()
                    && self.legs.get(&no).is_some_and(|leg| leg.cancel != Cancel::Sent)
                {
                    client.deadline = None;
                }
                self.progressed(no, response, status);
            }
            return;
        }
        let (purpose, reply, method) =
            (client.purpose, client.reply.take(), client.request.method().to_owned());
        if purpose != Purpose::Other && status >= 300 {
            let ack = of_invite(&client.request, "ACK", response.header("To").unwrap_or_default());
            let to = client.destination;
            let ack = self.send(no, &ack, to);
            if let Some(client) = self.clients.get_mut(&key) {
                client.ack = Some(ack);
            }
            self.later(PATIENCE, Timer::ForgetClient(key));
        } else {
            self.clients.remove(&key);
        }
        self.concluded(no, purpose, Some((response, status)));
        if let Some(reply) = reply {
            // a BYE is done when the other side knows no call any more, whatever its words for that
            let done = status < 300 || method == "BYE";
            reply.send(if done { Ok(()) } else { Err(Error::Refused { method, status }) }).ok();
        }
    }

    /// A 2xx to an INVITE comes again and again until its ACK has come through (RFC 3261, 13.2.2.4).
    fn acknowledge_again(&self, response: &Message, status: u16) {
        let Some(leg) = self.leg_of(response, "From").and_then(|no| self.legs.get(&no)) else {
            return;
        };
        if let (200..300, Some((cseq, "INVITE"))) = (status, response.cseq())
            && let Some(ack) = leg.acks.get(&cseq)
        {
            self.put(leg.shared.no, ack, leg.destination);
        }
    }

    fn progressed(&mut self, no: u32, response: &Message, status: u16) {
        let sdp = Sdp::parse(&response.body);
        let Some(leg) = self.legs.get_mut(&no) else { return };
        if status > 100 {
            leg.learn(response, "To");
        }
        let (cancel, on_behalf) = (leg.cancel, leg.on_behalf);
        if let Some(sdp) = sdp.filter(|_| status > 100)
            && self.described(no, sdp)
            && let Some(leg) = self.legs.get(&no)
        {
            leg.take_aim();
            leg.shared.view.send_modify(|view| view.early = view.early.or(Some(Instant::now())));
        }
        if let Some(leg) = self.legs.get(&no).filter(|_| status > 100) {
            leg.shared.view.send_modify(|view| {
                view.state = State::Ringing;
                if status == 180 {
                    view.rang = view.rang.or(Some(Instant::now()));
                }
            });
        }
        if cancel == Cancel::Wanted {
            self.send_cancel(no);
        }
        if let Some(referrer) = on_behalf.filter(|_| status > 100) {
            self.tell_referrer(referrer, status);
        }
    }

    /// A final response, or `None` for none within the time.
    fn concluded(&mut self, no: u32, purpose: Purpose, response: Option<(&Message, u16)>) {
        match (purpose, response) {
            (Purpose::Invite, Some((response, status @ ..300))) => self.connected(no, response, status),
            (Purpose::Invite, Some((response, status))) => self.refused(no, response, status),
            (Purpose::Invite, None) => self.end(no, Side::Them, How::Unanswered, None),
            (Purpose::Reinvite(direction), response) => self.redirected(no, direction, response),
            (Purpose::Other, _) => {}
        }
    }

    fn connected(&mut self, no: u32, response: &Message, status: u16) {
        let Some(leg) = self.legs.get_mut(&no) else { return };
        leg.learn(response, "To");
        self.acknowledge(no, response);
        let Some(leg) = self.legs.get(&no) else { return };
        // the answer may have crossed our CANCEL, or our early BYE
        let cancelled = leg.cancel != Cancel::No || !leg.is_live();
        let (on_behalf, known) = (leg.on_behalf, leg.their_sdp);
        let usable = match Sdp::parse(&response.body) {
            Some(sdp) => self.described(no, sdp),
            None => known.is_some(),
        };
        if usable && !cancelled {
            self.is_up(no);
        } else {
            // take it and hang up (RFC 3261, 15)
            self.bye(no, if cancelled { How::Cancelled } else { How::Broken }, None);
        }
        if let Some(referrer) = on_behalf {
            self.tell_referrer(referrer, status);
        }
    }

    fn refused(&mut self, no: u32, response: &Message, status: u16) {
        let Some(leg) = self.legs.get(&no) else { return };
        let on_behalf = leg.on_behalf;
        if leg.cancel == Cancel::Sent && status == 487 {
            self.end(no, Side::Us, How::Cancelled, Some(response));
        } else {
            self.end(no, Side::Them, How::Refused(status), Some(response));
        }
        if let Some(referrer) = on_behalf {
            self.tell_referrer(referrer, status);
        }
    }

    fn redirected(&mut self, no: u32, direction: Direction, response: Option<(&Message, u16)>) {
        let Some(leg) = self.legs.get_mut(&no) else { return };
        leg.reinviting = false;
        match response {
            Some((response, ..300)) => {
                leg.direction = direction;
                leg.learn_contact(response);
                self.acknowledge(no, response);
                let Some(sdp) = Sdp::parse(&response.body) else {
                    return;
                };
                if self.described(no, sdp)
                    && let Some(leg) = self.legs.get(&no)
                {
                    leg.take_aim();
                }
            }
            Some((response, 408 | 481)) => self.end(no, Side::Them, How::Broken, Some(response)),
            Some(_) => {}
            None => self.bye(no, How::Unanswered, None),
        }
    }

    fn acknowledge(&mut self, no: u32, response: &Message) {
        let branch = self.branch();
        let Some(leg) = self.legs.get(&no) else { return };
        let cseq = response.cseq().map_or(leg.cseq, |(cseq, _)| cseq);
        let (mut ack, to) = (leg.request("ACK", cseq), leg.destination);
        self.finish(&mut ack, &branch);
        let bytes = self.send(no, &ack, to);
        if let Some(leg) = self.legs.get_mut(&no) {
            leg.acks.insert(cseq, bytes);
        }
    }

    /// Tells whoever asked for this call by REFER how it goes (RFC 3515, 2.4.5).
    pub(super) fn tell_referrer(&mut self, referrer: u32, status: u16) {
        if !self.legs.get(&referrer).is_some_and(Leg::is_live) {
            return;
        }
        let subscription = if status < 200 { "active;expires=60" } else { "terminated;reason=noresource" };
        let headers = [("Event", "refer".to_owned()), ("Subscription-State", subscription.to_owned())];
        let line = Message::status_line(status);
        self.request(referrer, "NOTIFY", &headers, Some(("message/sipfrag;version=2.0", line)), None);
    }
}

impl Ask {
    fn name(&self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Progress => "send early media",
            Self::Answer => "answer",
            Self::Refuse(_) => "refuse",
            Self::HangUp | Self::Bye => "hang up",
            Self::Vanish => "vanish",
            Self::Direct(_) => "hold or resume",
            Self::Refer(_) => "transfer",
            Self::Info { .. } => "press a key",
        }
    }
}

fn key(branch: &str, method: &str) -> String {
    format!("{branch} {method}")
}

/// An ACK for a refused INVITE, or a CANCEL: in the INVITE's own transaction (RFC 3261, 9.1 and 17.1.1.3).
fn of_invite(invite: &Message, method: &str, to: &str) -> Message {
    let crate::sip::message::Start::Request { uri, .. } = &invite.start else {
        return invite.clone();
    };
    let mut request = Message::request(method, uri);
    for name in ["Via", "From", "Call-ID", "Max-Forwards"] {
        request.add(name, invite.header(name).unwrap_or_default());
    }
    request.add("To", to);
    let cseq = invite.cseq().map_or(1, |(cseq, _)| cseq);
    request.add("CSeq", format!("{cseq} {method}"));
    request
}

/// A header line that is written as it is.
pub(crate) fn raw(line: String) -> (String, String) {
    (RAW.to_owned(), line)
}

/// The Refer-To of an attended transfer: the other call's far end, told to take the place of that call (RFC 3891).
pub(crate) fn refer_to(target: &str, call_id: &str, to_tag: &str, from_tag: &str) -> String {
    let replaces = format!("{call_id};to-tag={to_tag};from-tag={from_tag}");
    let target = address::embedded(target).0;
    format!("<{target}?Replaces={}>", address::escape(&replaces).replace('=', "%3D").replace('&', "%26"))
}
