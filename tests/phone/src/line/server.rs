//! What others ask of this phone: server transactions (RFC 3261, 17.2), calls that come in, requests within a call.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::leg::Unacked;
use super::{ALLOW, Line, Opening, Outbound, PATIENCE, T1, T2, Timer};
use crate::ear::{Key, Way};
use crate::phone::Answering;
use crate::rtp::key_code;
use crate::sip::address;
use crate::sip::message::{Message, Start};
use crate::sip::sdp::Sdp;
use crate::state::{How, Side, State};

/// A request that came, and the last response to it.
pub(super) struct Server {
    pub(super) leg: Option<u32>,
    request: Message,
    from: SocketAddr,
    tag: String,
    last: Option<Vec<u8>>,
    status: u16,
    /// The final response to an INVITE is sent again until this is set.
    settled: bool,
    interval: Duration,
    deadline: Instant,
}

impl Line {
    pub(super) fn requested(&mut self, request: &Message, from: SocketAddr) {
        let Some((cseq, _)) = request.cseq() else { return };
        if request.method() == "ACK" {
            return self.acknowledged(request, cseq);
        }
        let key = key(request, request.method());
        if let Some(server) = self.servers.get(&key) {
            if let Some(last) = &server.last {
                self.put(server.leg.unwrap_or(0), last, server.from);
            }
            return;
        }
        let answering = self.settings.lock().unwrap_or_else(PoisonError::into_inner).answering;
        if answering == Answering::Dead {
            return;
        }
        let tag = self.unique();
        let leg = self.leg_of(request, "To");
        self.servers.insert(
            key.clone(),
            Server {
                leg,
                request: request.clone(),
                from,
                tag,
                last: None,
                status: 0,
                settled: false,
                interval: T1,
                deadline: Instant::now(),
            },
        );
        match (request.method(), leg) {
            ("CANCEL", _) => self.cancelled(&key, request),
            (_, Some(no)) => self.requested_within(no, &key, request, cseq),
            // a NOTIFY of a subscription that is over, or that nobody asked for, is harmless
            ("OPTIONS" | "NOTIFY", _) => self.respond(&key, 200, None),
            _ if request.tag("To").is_some() => self.respond(&key, 481, None),
            ("INVITE", _) => self.invited(&key, request, from, answering),
            ("BYE" | "INFO" | "UPDATE", _) => self.respond(&key, 481, None),
            ("REFER", _) => self.respond(&key, 403, None),
            _ => self.respond(&key, 405, None),
        }
    }

    /// Sends a response to a request that came, with our description if there is one.
    fn respond(&mut self, key: &str, status: u16, sdp: Option<String>) {
        let Some(server) = self.servers.get_mut(key) else {
            return;
        };
        let invite = server.request.method() == "INVITE";
        let leg = server.leg.and_then(|no| self.legs.get(&no));
        let tag = leg.map_or(&server.tag, |leg| &leg.local_tag);
        let mut response = Message::response(&server.request, status, tag);
        response.add("Allow", ALLOW);
        response.add("Supported", "replaces");
        if let Some(leg) = leg.filter(|_| invite && status < 300) {
            response.add("Contact", leg.contact.clone());
        }
        if status == 420 {
            response.add("Unsupported", server.request.header("Require").unwrap_or_default());
        }
        if let Some(sdp) = sdp {
            response = response.with_body("application/sdp", sdp);
        }
        let (no, from) = (server.leg.unwrap_or(0), server.from);
        let bytes = self.send(no, &response, from);
        let Some(server) = self.servers.get_mut(key) else {
            return;
        };
        (server.last, server.status) = (Some(bytes), status);
        if status < 200 {
            return;
        }
        if invite {
            server.deadline = Instant::now() + PATIENCE;
            self.later(T1, Timer::Server(key.to_owned()));
        }
        self.later(PATIENCE * 2, Timer::ForgetServer(key.to_owned()));
    }

    /// Sends the final response to an INVITE again until its ACK is there (RFC 3261, 13.3.1.4 and 17.2.1).
    pub(super) fn server_due(&mut self, key: &str, now: Instant) {
        let Some(server) = self.servers.get_mut(key).filter(|server| !server.settled) else {
            return;
        };
        let no = server.leg.unwrap_or(0);
        if now >= server.deadline {
            server.settled = true;
            self.log.note(no, "no ACK");
            if server.status < 300 && self.legs.get(&no).is_some_and(super::Leg::is_live) {
                self.bye(no, How::Unanswered, None);
            }
            return;
        }
        server.interval = (server.interval * 2).min(T2);
        let (interval, bytes, to) = (server.interval, server.last.clone().unwrap_or_default(), server.from);
        self.log.note(no, "> again");
        self.put(no, &bytes, to);
        self.later(interval, Timer::Server(key.to_owned()));
    }

    fn acknowledged(&mut self, ack: &Message, cseq: u32) {
        // of a refusal: in the INVITE's own transaction
        if let Some(server) = self.servers.get_mut(&key(ack, "INVITE")) {
            server.settled = true;
            return;
        }
        let Some(no) = self.leg_of(ack, "To") else { return };
        let Some(leg) = self.legs.get_mut(&no) else { return };
        let Some(unacked) = leg.unacked.take_if(|unacked| unacked.cseq == cseq) else {
            return;
        };
        if let Some(server) = self.servers.get_mut(&unacked.key) {
            server.settled = true;
        }
        // the offer was ours, in the 2xx, and this is the answer
        if let Some(sdp) = Sdp::parse(&ack.body)
            && self.described(no, sdp)
            && let Some(leg) = self.legs.get(&no)
        {
            leg.take_aim();
        }
        let waiting = self.legs.get_mut(&no).and_then(|leg| leg.bye_after_ack.take());
        if let Some(reply) = waiting {
            self.bye(no, How::Bye, Some(reply));
        }
    }

    fn invited(&mut self, key: &str, invite: &Message, from: SocketAddr, answering: Answering) {
        let unknown = |option: &str| !option.trim().is_empty() && option.trim() != "replaces";
        if invite.header("Require").is_some_and(|options| options.split(',').any(unknown)) {
            return self.respond(key, 420, None);
        }
        let replaces = match invite.header("Replaces").map(|replaces| self.replaced_by(replaces)) {
            Some(None) => return self.respond(key, 481, None),
            Some(Some(no)) => Some(no),
            None => None,
        };
        let sdp = Sdp::parse(&invite.body);
        if sdp.is_none() && !invite.body.is_empty() {
            return self.respond(key, 488, None);
        }
        let contact = invite.header("Contact").map(address::uri).unwrap_or_default();
        let destination = address::destination(contact).filter(|d| d.ip().is_loopback()).unwrap_or(from);
        let (voice, stream) = self.settings.lock().unwrap_or_else(PoisonError::into_inner).sound();
        let opened = self.open(Opening {
            called: true,
            invite: invite.clone(),
            invite_key: key.to_owned(),
            local: invite.header("To").unwrap_or_default().to_owned(),
            remote: invite.header("From").unwrap_or_default().to_owned(),
            target: contact.to_owned(),
            destination,
            voice,
            stream,
            on_behalf: None,
        });
        let no = match opened {
            Ok(no) => no,
            Err(error) => {
                self.log.note(0, error.to_string());
                return self.respond(key, 500, None);
            }
        };
        if let Some(server) = self.servers.get_mut(key) {
            server.leg = Some(no);
        }
        let Some(leg) = self.legs.get_mut(&no) else { return };
        leg.replaces = replaces;
        leg.remote_cseq = invite.cseq().map_or(0, |(cseq, _)| cseq);
        leg.learn(invite, "From");
        self.log.note(no, format!("called by {:?}", leg.shared.caller));
        self.arrivals.send(Arc::clone(&leg.shared)).ok();
        if let Some(sdp) = sdp
            && !self.described(no, sdp)
        {
            return self.refuse(no, 488, Side::Us, How::Refused(488));
        }
        match answering {
            // who replaces a call goes on with a talk: there is nothing to ring for (RFC 3891, 3)
            _ if replaces.is_some() => self.answer(no),
            Answering::Manual | Answering::Dead => {}
            Answering::Ring => self.ring(no),
            Answering::Refuse(status) => self.refuse(no, status, Side::Us, How::Refused(status)),
            Answering::After(after) => {
                self.ring(no);
                self.later(after, Timer::Answer(no));
            }
            Answering::EarlyMedia(after) => {
                self.progress(no);
                self.later(after, Timer::Answer(no));
            }
        }
    }

    /// The answered call that a Replaces header names (RFC 3891, 3).
    fn replaced_by(&self, replaces: &str) -> Option<u32> {
        let mut params = replaces.split(';').map(str::trim);
        let call_id = params.next()?;
        let (mut local, mut remote) = (None, None);
        for param in params {
            match param.split_once('=') {
                Some(("to-tag", tag)) => local = Some(tag),
                Some(("from-tag", tag)) => remote = Some(tag),
                _ => {}
            }
        }
        let (local, remote) = (local?, remote?);
        let found = self.legs.iter().find(|(_, leg)| {
            leg.shared.call_id == call_id
                && leg.local_tag == local
                && leg.remote_tag.as_deref() == Some(remote)
        });
        let up = |leg: &super::Leg| leg.shared.view.borrow().state == State::Up;
        found.filter(|(_, leg)| up(leg)).map(|(no, _)| *no)
    }

    pub(super) fn ring(&mut self, no: u32) {
        self.provisional(no, 180, None);
    }

    pub(super) fn progress(&mut self, no: u32) {
        let Some(leg) = self.legs.get_mut(&no) else { return };
        let sdp = leg.answer();
        leg.take_aim();
        self.provisional(no, 183, Some(sdp));
    }

    fn provisional(&mut self, no: u32, status: u16, sdp: Option<String>) {
        let Some(leg) = self.legs.get(&no) else { return };
        let key = leg.invite_key.clone();
        leg.shared.view.send_modify(|view| {
            view.state = State::Ringing;
            let first = if status == 180 { &mut view.rang } else { &mut view.early };
            *first = first.or(Some(Instant::now()));
        });
        self.respond(&key, status, sdp);
    }

    pub(super) fn answer(&mut self, no: u32) {
        let Some(leg) = self.legs.get_mut(&no) else { return };
        let (key, sdp, replaces) = (leg.invite_key.clone(), leg.answer(), leg.replaces);
        leg.unacked = Some(Unacked { cseq: leg.remote_cseq, key: key.clone() });
        self.respond(&key, 200, Some(sdp));
        self.is_up(no);
        if let Some(replaced) = replaces {
            self.bye(replaced, How::Replaced, None);
        }
    }

    /// Refuses a call that came in and is not answered yet.
    pub(super) fn refuse(&mut self, no: u32, status: u16, by: Side, how: How) {
        let Some(leg) = self.legs.get(&no) else { return };
        let key = leg.invite_key.clone();
        self.respond(&key, status, None);
        self.end(no, by, how, None);
    }

    fn cancelled(&mut self, key_of_cancel: &str, cancel: &Message) {
        let invite = self.servers.get(&key(cancel, "INVITE")).map(|server| (server.leg, server.status));
        let Some((leg, status)) = invite else {
            return self.respond(key_of_cancel, 481, None);
        };
        self.respond(key_of_cancel, 200, None);
        if let Some(no) = leg.filter(|_| status < 200) {
            self.respond(&key(cancel, "INVITE"), 487, None);
            self.end(no, Side::Them, How::Cancelled, Some(cancel));
        }
    }

    fn requested_within(&mut self, no: u32, key: &str, request: &Message, cseq: u32) {
        let Some(leg) = self.legs.get_mut(&no) else { return };
        let live = leg.is_live();
        if cseq < leg.remote_cseq {
            return self.respond(key, 500, None);
        }
        leg.remote_cseq = cseq;
        match request.method() {
            "BYE" => self.hung_up(no, key, request),
            "NOTIFY" => {
                self.respond(key, 200, None);
                self.notified(no, request);
            }
            "OPTIONS" => self.respond(key, 200, None),
            _ if !live => self.respond(key, 481, None),
            "INVITE" | "UPDATE" => self.reinvited(no, key, request, cseq),
            "INFO" => {
                self.informed(no, request);
                self.respond(key, 200, None);
            }
            "REFER" => self.referred(no, key, request),
            _ => self.respond(key, 405, None),
        }
    }

    fn hung_up(&mut self, no: u32, key: &str, bye: &Message) {
        self.respond(key, 200, None);
        let Some(leg) = self.legs.get_mut(&no) else { return };
        let (invite_key, called) = (leg.invite_key.clone(), leg.shared.called);
        let unanswered = leg.shared.view.borrow().answered.is_none();
        if let Some(unacked) = leg.unacked.take()
            && let Some(server) = self.servers.get_mut(&unacked.key)
        {
            // whoever hangs up has had our answer, though its ACK was lost
            server.settled = true;
        }
        if called && unanswered {
            self.respond(&invite_key, 487, None);
        }
        self.end(no, Side::Them, How::Bye, Some(bye));
    }

    fn reinvited(&mut self, no: u32, key: &str, request: &Message, cseq: u32) {
        let Some(leg) = self.legs.get_mut(&no) else { return };
        let up = leg.shared.view.borrow().state == State::Up;
        let invite = request.method() == "INVITE";
        if leg.reinviting || invite && (!up || leg.unacked.is_some()) {
            return self.respond(key, 491, None);
        }
        leg.learn_contact(request);
        let offer = Sdp::parse(&request.body);
        if offer.is_none() && !request.body.is_empty() || offer.is_some_and(|sdp| !self.described(no, sdp)) {
            return self.respond(key, 488, None);
        }
        let Some(leg) = self.legs.get_mut(&no) else { return };
        leg.take_aim();
        // an UPDATE without an offer only refreshes; a re-INVITE without one asks for ours
        let sdp = match offer {
            Some(_) => Some(leg.answer()),
            None if invite => {
                let direction = leg.direction;
                Some(leg.offer(direction))
            }
            None => None,
        };
        if invite {
            leg.unacked = Some(Unacked { cseq, key: key.to_owned() });
        }
        self.respond(key, 200, sdp);
    }

    fn informed(&self, no: u32, info: &Message) {
        let Some(leg) = self.legs.get(&no) else { return };
        let body = String::from_utf8_lossy(&info.body);
        let field = |name: &str| {
            let mut fields = body.lines().filter_map(|line| line.split_once('='));
            fields
                .find(|(n, _)| n.trim().eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        let digit =
            field("Signal").and_then(|signal| signal.chars().next()).filter(|c| key_code(*c).is_some());
        let length = field("Duration").and_then(|millis| millis.parse().ok()).unwrap_or(0);
        if let Some(digit) = digit {
            let length = Duration::from_millis(length);
            leg.shared.ear.key(Key { digit, way: Way::Info, length, at: Instant::now() });
        }
    }

    /// The other side tells how our REFER goes (RFC 3515, 2.4.4). Once it has come about, whoever transferred hangs up
    /// (RFC 5589, 6.1): Asterisk waits for that, and keeps the dialog for long if it does not come.
    fn notified(&mut self, no: u32, notify: &Message) {
        let refer = notify.header("Event").is_some_and(|event| event.split(';').next() == Some("refer"));
        let Some(leg) = self.legs.get(&no).filter(|_| refer) else {
            return;
        };
        let quoted = Message::parse(&notify.body).map(|message| message.start);
        if let Some(Start::Response { status, .. }) = quoted {
            self.log.note(no, format!("transfer: {status}"));
            leg.shared.view.send_modify(|view| view.transfer = Some((status, Instant::now())));
            if (200..300).contains(&status) && leg.is_live() {
                self.bye(no, How::Transferred, None);
            }
        }
    }

    /// Does what a REFER asks for: calls its target, and tells the referrer how it goes.
    fn referred(&mut self, no: u32, key: &str, refer: &Message) {
        let (uri, embedded) =
            address::embedded(refer.header("Refer-To").map(address::uri).unwrap_or_default());
        let Some(destination) = address::destination(uri).filter(|d| d.ip().is_loopback()) else {
            return self.respond(key, 400, None);
        };
        self.respond(key, 202, None);
        self.tell_referrer(no, 100);
        let by = refer.header("Referred-By").map(|by| ("Referred-By".to_owned(), by.to_owned()));
        let replaces = embedded.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("Replaces"));
        let headers = [by, replaces.map(|(_, value)| ("Replaces".to_owned(), address::one_line(&value)))];
        let Some(leg) = self.legs.get(&no) else { return };
        let (voice, stream) = (leg.shared.mouth.voice(), None);
        let begun = self.call(Outbound {
            uri: uri.to_owned(),
            destination,
            from: address::name_addr(None, &self.name, self.local),
            headers: headers.into_iter().flatten().collect(),
            voice,
            stream,
            on_behalf: Some(no),
        });
        match begun {
            Ok(call) => drop(self.arrivals.send(call)),
            Err(error) => {
                self.log.note(no, error.to_string());
                self.tell_referrer(no, 503);
            }
        }
    }
}

/// What identifies the transaction of a request; for an ACK or a CANCEL with `INVITE` that of the INVITE (RFC 3261,
/// 17.2.3). CSeq and Call-ID tell apart requests of clients that do not make branches unique.
fn key(request: &Message, method: &str) -> String {
    let sent_by = request.via().and_then(|via| via.split(';').next()).unwrap_or_default();
    let (branch, cseq) = (request.branch().unwrap_or_default(), request.cseq().map_or(0, |(cseq, _)| cseq));
    format!("{branch} {sent_by} {method} {cseq} {}", request.call_id())
}
