//! A call in the hands of a test: what can be done in it, what can be waited for, what is heard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use crate::ear::{Ear, Way};
use crate::error::Error;
use crate::line::{Ask, Wish, refer_to};
use crate::mouth::Voice;
use crate::rtp::{Stream, key_code};
use crate::sip::address::Party;
use crate::sip::sdp::Direction;
use crate::state::{Ending, Shared, State, View};

/// Something that a test waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// The called side has said that it rings (180).
    Ringing,
    /// The called side has offered sound before the answer (183 with a description).
    EarlyMedia,
    /// The call was answered. As caller: the 200 arrived; as called: it left.
    Answered,
    /// The call is over.
    Ended,
    /// The other side has put us on hold.
    Held,
    /// The other side has taken us back from hold.
    Resumed,
    /// This frequency has been heard for the last 100 ms; the instant is that of the first packet of it.
    Hears(u32),
    /// This frequency was in nothing that came in the last 100 ms, or nothing came.
    Lacks(u32),
    /// So many RTP packets have arrived in the whole call.
    Packets(u64),
    /// The other side has pressed these keys, one after the other, at some time in the call.
    Keys(String),
    /// A transfer that we asked for has come about (NOTIFY with 2xx).
    Transferred,
    /// A transfer that we asked for has failed (NOTIFY with 300 or more).
    TransferFailed,
}

/// One call of a phone. Clones are handles of the same call.
#[derive(Clone, Debug)]
pub struct Call {
    shared: Arc<Shared>,
    wishes: mpsc::UnboundedSender<Wish>,
}

impl Call {
    pub(crate) fn new(shared: Arc<Shared>, wishes: mpsc::UnboundedSender<Wish>) -> Self {
        Self { shared, wishes }
    }

    /// Its SIP Call-ID.
    pub fn call_id(&self) -> &str {
        &self.shared.call_id
    }

    /// Whether the phone was called, or called itself.
    pub fn is_inbound(&self) -> bool {
        self.shared.called
    }

    /// Who called, as the From header of the INVITE has it.
    pub fn caller(&self) -> &Party {
        &self.shared.caller
    }

    /// A header of the INVITE that came in (long name, whatever the case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.shared.invite.header(name)
    }

    /// Where it takes RTP.
    pub fn rtp_address(&self) -> SocketAddr {
        self.shared.rtp
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.shared.view.borrow().state
    }

    /// How it ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        self.shared.view.borrow().ending
    }

    /// When it was answered: as caller when the 200 arrived, as called when it left.
    pub fn answered_at(&self) -> Option<Instant> {
        self.shared.view.borrow().answered
    }

    /// What it has heard.
    pub fn ear(&self) -> &Ear {
        &self.shared.ear
    }

    /// By how much a packet of its voice left too late, at the worst: the machine was busy. From 100 ms on a PBX that mixes
    /// both voices may throw sound away.
    pub fn latest(&self) -> Duration {
        self.shared.mouth.latest()
    }

    /// Says something else from now on.
    pub fn speak(&self, voice: Voice) {
        self.shared.mouth.speak(voice);
    }

    /// Where its own RTP stands: the numbers of the next packet.
    pub fn stream(&self) -> Stream {
        self.shared.mouth.stream()
    }

    /// Goes on with these numbers: a jump of the sequence, a new source.
    pub fn go_on_at(&self, stream: Stream) {
        self.shared.mouth.go_on_at(stream);
    }

    /// Says that it rings (180).
    ///
    /// # Errors
    /// [`Error::Unfit`] unless the phone is called and has not answered.
    pub async fn ring(&self) -> Result<(), Error> {
        self.ask(Ask::Ring).await
    }

    /// Sends early media: 183, and its voice.
    ///
    /// # Errors
    /// [`Error::Unfit`] unless the phone is called and has not answered.
    pub async fn progress(&self) -> Result<(), Error> {
        self.ask(Ask::Progress).await
    }

    /// Answers (200).
    ///
    /// # Errors
    /// [`Error::Unfit`] unless the phone is called and has not answered.
    pub async fn answer(&self) -> Result<(), Error> {
        self.ask(Ask::Answer).await
    }

    /// Refuses with this status: 486 busy, 603 declined, …
    ///
    /// # Errors
    /// [`Error::Unfit`] unless the phone is called and has not answered.
    pub async fn refuse(&self, status: u16) -> Result<(), Error> {
        self.ask(Ask::Refuse(status.clamp(300, 699))).await
    }

    /// Hangs up, as it is done in the state of the call: BYE, CANCEL, or a refusal with 480. Comes back when the other
    /// side has agreed. A call that is over already is no error.
    ///
    /// # Errors
    /// [`Error::Unanswered`] when the other side says nothing for 32 s.
    pub async fn hang_up(&self) -> Result<(), Error> {
        self.ask(Ask::HangUp).await
    }

    /// Sends BYE at once: before the answer, as a caller may, or before the ACK of its answer, as a called side must not
    /// (RFC 3261, 15).
    ///
    /// # Errors
    /// [`Error::Unfit`] when there is no dialog yet, or no more; [`Error::Unanswered`].
    pub async fn bye(&self) -> Result<(), Error> {
        self.ask(Ask::Bye).await
    }

    /// Drops the call without a word: no BYE, no more sound, 481 to whatever still comes.
    ///
    /// # Errors
    /// [`Error::Unfit`] when it is over.
    pub async fn vanish(&self) -> Result<(), Error> {
        self.ask(Ask::Vanish).await
    }

    /// Puts the other side on hold (re-INVITE, sendonly), and sends no sound meanwhile.
    ///
    /// # Errors
    /// [`Error::Unfit`] unless answered; [`Error::Refused`], also with 491 when both re-INVITE at once.
    pub async fn hold(&self) -> Result<(), Error> {
        self.ask(Ask::Direct(Direction::SEND_ONLY)).await
    }

    /// Takes the other side back from hold (re-INVITE, sendrecv).
    ///
    /// # Errors
    /// As [`Call::hold`].
    pub async fn resume(&self) -> Result<(), Error> {
        self.ask(Ask::Direct(Direction::BOTH)).await
    }

    /// Blind transfer: asks the other side to call `uri` (REFER). Comes back when it has agreed to try (202); the
    /// outcome is [`Until::Transferred`], upon which the phone hangs up of itself, or [`Until::TransferFailed`].
    ///
    /// # Errors
    /// [`Error::Unfit`] unless answered; [`Error::Refused`]; [`Error::Unanswered`].
    pub async fn refer(&self, uri: &str) -> Result<(), Error> {
        self.ask(Ask::Refer(format!("<{}>", crate::sip::address::one_line(uri)))).await
    }

    /// Attended transfer: asks the other side to take our place in another call (REFER with Replaces). The outcome is
    /// told as by [`Call::refer`].
    ///
    /// # Errors
    /// [`Error::Unfit`] unless both are answered; [`Error::Refused`]; [`Error::Unanswered`].
    pub async fn refer_to(&self, other: &Call) -> Result<(), Error> {
        let other_state = other.state();
        let dialog = other.shared.view.borrow().dialog.clone();
        let Some(dialog) = dialog.filter(|_| other_state == State::Up) else {
            return Err(Error::Unfit { wish: "transfer to", state: other_state });
        };
        // the tags as the far end of the other call sees them (RFC 3891, 6.1)
        let to = refer_to(&dialog.target, other.call_id(), &dialog.remote_tag, &dialog.local_tag);
        self.ask(Ask::Refer(to)).await
    }

    /// Presses keys (`0`-`9`, `*`, `#`, `A`-`D`) one after the other, each for `length`: at most 8 s in RTP, in steps
    /// of 20 ms. Comes back with the instant when the first end packet of the last key had left, or its INFO.
    ///
    /// # Errors
    /// [`Error::Key`]; [`Error::Unfit`] when the call is not there or ends meanwhile; for INFO [`Error::Refused`] and
    /// [`Error::Unanswered`].
    pub async fn press(&self, keys: &str, way: Way, length: Duration) -> Result<Instant, Error> {
        if let Some(wrong) = keys.chars().find(|key| key_code(*key).is_none()) {
            return Err(Error::Key(wrong));
        }
        let unfit = || Error::Unfit { wish: "press a key", state: self.state() };
        if keys.is_empty() || matches!(self.state(), State::Calling | State::Offered | State::Ended) {
            return Err(unfit());
        }
        let mut left = Instant::now();
        match way {
            Way::Rtp => {
                let sent: Vec<_> = keys.chars().map(|key| self.shared.mouth.press(key, length)).collect();
                for key in sent {
                    left = key.await.map_err(|_| unfit())?;
                }
            }
            Way::Info => {
                for digit in keys.chars() {
                    left = Instant::now();
                    self.ask(Ask::Info { digit, length }).await?;
                }
            }
        }
        Ok(left)
    }

    /// Waits for something, and says when it came about: at once if it has already.
    ///
    /// # Errors
    /// [`Error::Missed`] when it did not come within the limit, [`Error::Over`] when the call ended before it; both say
    /// what was seen instead.
    pub async fn wait_for(&self, until: Until, limit: Duration) -> Result<Instant, Error> {
        let deadline = tokio::time::Instant::now() + limit;
        let mut views = self.shared.view.subscribe();
        let mut sounds = self.shared.ear.changes();
        loop {
            let view = views.borrow_and_update().clone();
            sounds.borrow_and_update();
            if let Some(at) = self.came(&until, &view) {
                return Ok(at);
            }
            let phone = self.shared.phone.clone();
            let wanted = format!("{until:?}");
            if view.state == State::Ended {
                return Err(Error::Over { phone, wanted, seen: self.shared.seen() });
            }
            let change = async {
                tokio::select! {
                    _ = views.changed() => {}
                    _ = sounds.changed() => {}
                    // silence comes about without any packet
                    () = tokio::time::sleep(Duration::from_millis(20)), if matches!(until, Until::Lacks(_)) => {}
                }
            };
            if timeout_at(deadline, change).await.is_err() {
                return Err(Error::Missed { phone, wanted, limit, seen: self.shared.seen() });
            }
        }
    }

    /// Waits for the end of the call, and says how it ended.
    ///
    /// # Errors
    /// [`Error::Missed`].
    pub async fn ended(&self, limit: Duration) -> Result<Ending, Error> {
        self.wait_for(Until::Ended, limit).await?;
        self.ending().ok_or(Error::Gone)
    }

    fn came(&self, until: &Until, view: &View) -> Option<Instant> {
        let now = Instant::now();
        let ear = &self.shared.ear;
        let live = view.state != State::Ended;
        let transfer = |wanted: fn(u16) -> bool| view.transfer.filter(|(status, _)| wanted(*status));
        match until {
            Until::Ringing => view.rang,
            Until::EarlyMedia => view.early,
            Until::Answered => view.answered,
            Until::Ended => view.ending.map(|ending| ending.at),
            Until::Held => view.held.filter(|(held, _)| *held).map(|(_, at)| at),
            Until::Resumed => view.held.filter(|(held, _)| !*held).map(|(_, at)| at),
            Until::Hears(hz) => ear.hears(*hz, now).filter(|_| live),
            Until::Lacks(hz) => (live && ear.lacks(*hz, now)).then_some(now),
            Until::Packets(count) => (ear.all_packets() >= *count).then_some(now),
            Until::Keys(keys) => {
                let at = ear.digits().find(keys.as_str())? + keys.len();
                at.checked_sub(1).and_then(|last| ear.keys().get(last).map(|key| key.at))
            }
            Until::Transferred => transfer(|status| (200..300).contains(&status)).map(|(_, at)| at),
            Until::TransferFailed => transfer(|status| status >= 300).map(|(_, at)| at),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<(), Error> {
        let (reply, done) = oneshot::channel();
        let wish = Wish::Ask { call: self.shared.no, ask, reply };
        self.wishes.send(wish).map_err(|_| Error::Gone)?;
        done.await.map_err(|_| Error::Gone)?
    }
}
