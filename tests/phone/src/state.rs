//! How a call stands, as its task writes it and its handles read it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::ear::Ear;
use crate::events::Log;
use crate::mouth::Mouth;
use crate::sip::address::Party;
use crate::sip::message::Message;

/// Where a call is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// We called; the other side does not ring yet.
    Calling,
    /// We are called, and have not said that we ring.
    Offered,
    /// The called side rings, or sends early media.
    Ringing,
    /// Answered.
    Up,
    /// Over, or never came about.
    Ended,
}

/// One of the two sides of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This phone.
    Us,
    /// The other one.
    Them,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By BYE.
    Bye,
    /// The caller gave up before the answer.
    Cancelled,
    /// The called side refused, with this SIP status: 486 busy, 603 declined, …
    Refused(u16),
    /// Requests or answers were not acknowledged for 32 s.
    Unanswered,
    /// This phone transferred the other side, and hung up when that had come about.
    Transferred,
    /// Another call took its place (INVITE with Replaces); BYE was sent.
    Replaced,
    /// This phone dropped it without a word, as the test asked for.
    Vanished,
    /// The other side says that it knows no such call (481), or its answer cannot be used.
    Broken,
}

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Who ended it.
    pub by: Side,
    /// How.
    pub how: How,
    /// The cause after Q.850 that the other side gave in a Reason header: 16 for a normal clearing, …
    pub cause: Option<u16>,
    /// When.
    pub at: Instant,
}

/// All that can change in a call, apart from its sound.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) state: State,
    pub(crate) rang: Option<Instant>,
    pub(crate) early: Option<Instant>,
    pub(crate) answered: Option<Instant>,
    pub(crate) ending: Option<Ending>,
    /// Whether the other side holds us, since its last word on it.
    pub(crate) held: Option<(bool, Instant)>,
    /// The last status that a NOTIFY told of our transfer.
    pub(crate) transfer: Option<(u16, Instant)>,
    /// The other side: Contact and tags, for a Replaces header.
    pub(crate) dialog: Option<Dialog>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialog {
    pub(crate) target: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
}

/// What a call's task and its handles have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) phone: String,
    pub(crate) no: u32,
    pub(crate) call_id: String,
    pub(crate) called: bool,
    /// The INVITE that began it.
    pub(crate) invite: Message,
    /// Who called.
    pub(crate) caller: Party,
    /// Where it takes RTP.
    pub(crate) rtp: SocketAddr,
    pub(crate) view: watch::Sender<View>,
    pub(crate) ear: Arc<Ear>,
    pub(crate) mouth: Arc<Mouth>,
    pub(crate) log: Arc<Log>,
}

impl View {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state,
            rang: None,
            early: None,
            answered: None,
            ending: None,
            held: None,
            transfer: None,
            dialog: None,
        }
    }
}

impl Shared {
    /// What was seen, for an error.
    pub(crate) fn seen(&self) -> String {
        let view = self.view.borrow().clone();
        let ending = view.ending.map(|e| format!(" ({:?} by {:?}, cause {:?})", e.how, e.by, e.cause));
        let transfer = view.transfer.map(|(status, _)| format!(", transfer {status}")).unwrap_or_default();
        let held = if view.held.is_some_and(|(held, _)| held) { ", held" } else { "" };
        format!(
            "it is {:?}{}{held}{transfer}, {}{}",
            view.state,
            ending.unwrap_or_default(),
            self.ear.summary(),
            self.log.tail(self.no),
        )
    }
}
