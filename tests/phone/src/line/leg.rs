//! One call as its phone's task knows it: the dialog's identity, and the messages that belong to it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Reply;
use crate::media::Media;
use crate::mouth::Aim;
use crate::rtp::EVENTS;
use crate::sip::address;
use crate::sip::message::Message;
use crate::sip::sdp::{Direction, Sdp};
use crate::state::{Dialog, Shared};

pub(super) struct Leg {
    pub(super) shared: Arc<Shared>,
    /// `None` once the call has ended.
    pub(super) media: Option<Media>,
    pub(super) local_tag: String,
    pub(super) remote_tag: Option<String>,
    /// Our From (or To) with its tag, as the other side must see it in each message.
    pub(super) local: String,
    pub(super) remote: String,
    pub(super) contact: String,
    /// The URI for requests to the other side, and where they are sent.
    pub(super) target: String,
    pub(super) destination: SocketAddr,
    pub(super) cseq: u32,
    pub(super) remote_cseq: u32,
    /// The transaction of the INVITE that began the call: ours (client) or theirs (server).
    pub(super) invite_key: String,
    pub(super) cancel: Cancel,
    /// Who waits for the end of the call.
    pub(super) closing: Vec<Reply>,
    /// What we want: both, or send only while we hold.
    pub(super) direction: Direction,
    pub(super) their_sdp: Option<Sdp>,
    pub(super) sdp_version: u32,
    /// Our 2xx to an INVITE that waits for its ACK.
    pub(super) unacked: Option<Unacked>,
    /// Who wants to hang up as soon as that ACK is there: before it, a called side must not (RFC 3261, 15).
    pub(super) bye_after_ack: Option<Reply>,
    /// Our ACKs by CSeq, for a 2xx that is sent again.
    pub(super) acks: HashMap<u32, Vec<u8>>,
    pub(super) reinviting: bool,
    /// The call whose REFER began this one: it is told how this goes.
    pub(super) on_behalf: Option<u32>,
    /// The call that this one replaces when it is answered.
    pub(super) replaces: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancel {
    No,
    /// To be sent as soon as there is a provisional response (RFC 3261, 9.1).
    Wanted,
    Sent,
}

pub(super) struct Unacked {
    pub(super) cseq: u32,
    /// The server transaction.
    pub(super) key: String,
}

impl Leg {
    pub(super) fn is_live(&self) -> bool {
        self.media.is_some()
    }

    /// A request within the dialog, without Via.
    pub(super) fn request(&self, method: &str, cseq: u32) -> Message {
        let mut request = Message::request(method, &self.target);
        request.add("Max-Forwards", "70");
        request.add("From", self.local.clone());
        request.add("To", self.remote.clone());
        request.add("Call-ID", self.shared.call_id.clone());
        request.add("CSeq", format!("{cseq} {method}"));
        request.add("Contact", self.contact.clone());
        request
    }

    pub(super) fn next_cseq(&mut self) -> u32 {
        self.cseq += 1;
        self.cseq
    }

    /// Our offer in this direction.
    pub(super) fn offer(&mut self, direction: Direction) -> String {
        self.describe(direction, Some(EVENTS))
    }

    /// Our answer to their last offer, or an offer where they made none.
    pub(super) fn answer(&mut self) -> String {
        match self.their_sdp {
            Some(theirs) => self.describe(self.direction.answer(theirs.direction), theirs.events),
            None => self.describe(self.direction, Some(EVENTS)),
        }
    }

    fn describe(&mut self, direction: Direction, events: Option<u8>) -> String {
        self.sdp_version += 1;
        let sdp = Sdp { address: self.shared.rtp, direction, pcma: true, events };
        sdp.text(self.shared.no, self.sdp_version)
    }

    /// Sends our sound where their description says, if it may be sent. While we hold, nothing is sent, as most phones
    /// do it.
    pub(super) fn take_aim(&self) {
        let Some(theirs) = self.their_sdp else { return };
        self.shared.mouth.take_aim(Aim {
            peer: Some(theirs.address),
            sends: theirs.direction.receives && self.direction == Direction::BOTH,
            keys_out: theirs.events,
            keys_in: theirs.events.or(Some(EVENTS)),
        });
    }

    /// The other side's tag, Contact and To or From, from a message of the dialog.
    pub(super) fn learn(&mut self, message: &Message, header: &str) {
        if let Some(tag) = message.tag(header) {
            self.remote_tag = Some(tag);
            self.remote = message.header(header).unwrap_or_default().to_owned();
        }
        self.learn_contact(message);
    }

    pub(super) fn learn_contact(&mut self, message: &Message) {
        let target = message.header("Contact").map(address::uri).unwrap_or_default();
        if let Some(destination) = address::destination(target).filter(|d| d.ip().is_loopback()) {
            self.destination = destination;
            self.target = target.to_owned();
        }
        if let Some(remote_tag) = self.remote_tag.clone() {
            let (target, local_tag) = (self.target.clone(), self.local_tag.clone());
            let dialog = Some(Dialog { target, local_tag, remote_tag });
            self.shared.view.send_if_modified(|view| {
                let news = view.dialog != dialog;
                view.dialog = dialog;
                news
            });
        }
    }
}
