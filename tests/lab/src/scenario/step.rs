//! A line of a script: who does what. Parsed strictly; what it cannot be is an error that lists what it can be.
//!
//! `amel answers within 5s @up`: the actor, the act, how long it may take, and the name under which its instant is
//! remembered. [`GRAMMAR`] has all acts.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use temoin_phone::Way;

pub use crate::small::Room;

/// All that a script can say, for whoever writes one.
pub const GRAMMAR: &str = "\
PHONE dials NUMBER             calls; {amel} in a number stands for the last two digits of amel's extension, {caller}
                               for a customer's number and the port of his phone. A call that it is in becomes its other
PHONE turns to its other call  the one that it was in before
PHONE joins its calls          an attended transfer: REFER with Replaces on its other call, naming this one
PHONE is called                waits until a call comes in, and takes it up
PHONE is not called            no call came in since the last one was taken up
pbx connects PHONE to NUMBER [through a Local channel]
                               rings the phone and, once it answers, dials for it
PHONE must not be called       a customer's number is entered in the register
PHONE may be called again      and withdrawn
PHONE answers                  the call that came in
PHONE refuses STATUS           the call that came in
PHONE answers by itself        every call from now on
PHONE is busy | unplugged      for every call from now on
PHONE hears PROMPT             waits until a prompt has begun
PHONE hears PROMPT to its end  waits until it was heard whole
PHONE hears PHONE              waits until the other one's tone is there
PHONE no longer hears PHONE    waits until it is gone
PHONE is ringing | answered | held | resumed | transferred | over
PHONE presses KEYS [by info]   in RTP, 80 ms a key, unless told otherwise
PHONE talks DURATION           waits by its own RTP clock
PHONE and PHONE talk DURATION  each hears the other; then by the packets that both receive
PHONE holds | resumes | refers to EXTENSION | hangs up | vanishes
PHONE speaks HZ | again        another tone than its own; its own
PHONE goes on at SEQUENCE      its RTP sequence numbers jump
sidecar is killed | ends | freezes | thaws | starts
sidecar watches                waits until it has the PBX again
temoin halt stops N and spares N
                               recorders, while the sidecar is dead
pbx is killed | starts         as a power cut would; on the same ports
sidecar says WORDS             waits until its log has these words, later than what was last done to it or its machine
spool is gone | is back        something else is in its place
spool is full | is nearly full | has room
                               on a bench whose spool is small: nothing, 256 KiB, 4 MiB are left
vault is gone | is back        something else is in its place
clock is off by + | - DURATION from now on; on a bench with `clocks`
clock is DURATION before midnight
                               where the site is; up to a second less
clock is right
policy is NAME                 one of the scenario's `policies` is built, and in force for new calls. Its instant is
                               what `now` or `minute` stands for in it
store is locked | is free      another program holds the write lock of the index
ami | ari is cut | is split | is refused | is swallowed | is slow by DURATION | is well
at MARK + | - DURATION         waits for an instant
any of these … within DURATION … @MARK";

/// One line of a script.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Step {
    /// As it was written.
    pub line: String,
    /// What is done.
    pub act: Act,
    /// How long it may take.
    pub within: Option<Duration>,
    /// The name of its instant.
    pub mark: Option<String>,
}

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// By a phone.
    Phone(String, Does),
    /// Two phones talk.
    Talk(String, String, Duration),
    /// Click to dial: the PBX rings a phone, and dials for it; whether through a Local channel that stays.
    Connect(String, String, bool),
    /// The register: this customer must not be called (true), or that is withdrawn.
    DoNotCall(String, bool),
    /// To the sidecar.
    Sidecar(Fate),
    /// Waits until the sidecar has the PBX again.
    Watching,
    /// Waits until the sidecar's log says this.
    Says(String),
    /// So much room is left for the spool.
    Room(Room),
    /// The clock is set.
    Clock(Setting),
    /// The vault is gone (true), or back.
    Vault(bool),
    /// `temoin halt`, and what it says: recorders stopped, calls spared.
    Halt(u64, u64),
    /// The PBX is killed (true), or started again.
    Pbx(bool),
    /// The spool is gone (true), or back.
    Spool(bool),
    /// The index's write lock is held by somebody else (true), or free.
    Store(bool),
    /// To a link between sidecar and PBX.
    Link(Link, Trouble),
    /// A policy of the scenario's own comes into force.
    Policy(String),
    /// Waits for an instant: a mark and a while after it, or before.
    At(String, SignedDuration),
}

/// What the clock shows from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// It is off by so much.
    Off(SignedDuration),
    /// So long before the site's next midnight, or up to a second less.
    BeforeMidnight(SignedDuration),
}

/// What a phone does, or waits for.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "GRAMMAR says it")]
pub enum Does {
    Dial(String),
    BeCalled,
    NotBeCalled,
    Answer,
    AnswerByItself,
    Refuse(u16),
    BeBusy,
    BeUnplugged,
    Hear(String),
    HearWhole(String),
    NoLongerHear(String),
    Be(Condition),
    Press(String, Way),
    Talk(Duration),
    Hold,
    Resume,
    Refer(String),
    TurnToOther,
    Join,
    HangUp,
    Vanish,
    Speak(Option<u32>),
    GoOnAt(u16),
}

/// Where a phone's call must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "GRAMMAR says it")]
pub enum Condition {
    Ringing,
    Answered,
    Held,
    Resumed,
    Transferred,
    Over,
}

/// What happens to the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// `SIGKILL`.
    Killed,
    /// `SIGTERM`, down to its end.
    Ended,
    /// `SIGSTOP`.
    Frozen,
    /// `SIGCONT`.
    Thawed,
    /// Started, up to its `READY=1`.
    Started,
}

/// A link between sidecar and PBX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The manager interface.
    Ami,
    /// HTTP and WebSocket.
    Ari,
}

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Connections are closed; new ones are taken.
    Cut,
    /// What passes comes in pieces of fifty bytes.
    Split,
    /// New connections are refused, and those that are there closed.
    Refused,
    /// What the PBX says gets lost, and nobody notices.
    Swallowed,
    /// What the PBX says comes late.
    Slow(Duration),
    /// Nothing any more.
    Well,
}

impl TryFrom<String> for Step {
    type Error = String;

    fn try_from(line: String) -> Result<Self, String> {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let mark = match words.last().and_then(|word| word.strip_prefix('@')) {
            Some(mark) if !mark.is_empty() => {
                words.pop();
                Some(mark.to_owned())
            }
            _ => None,
        };
        let within = match words[..] {
            [.., "within", limit] => {
                words.truncate(words.len() - 2);
                Some(duration(limit)?)
            }
            _ => None,
        };
        let act =
            act(&words)?.ok_or_else(|| format!("`{line}` is no step of a script; these are:\n{GRAMMAR}"))?;
        Ok(Self { line, act, within, mark })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

fn act(words: &[&str]) -> Result<Option<Act>, String> {
    let phone = |name: &str, does| Some(Act::Phone(name.to_owned(), does));
    let link = |name: &str| if name == "ami" { Link::Ami } else { Link::Ari };
    Ok(match *words {
        ["sidecar", "is", "killed"] => Some(Act::Sidecar(Fate::Killed)),
        ["sidecar", "watches"] => Some(Act::Watching),
        ["sidecar", "says", ref words @ ..] if !words.is_empty() => Some(Act::Says(words.join(" "))),
        ["sidecar", "ends"] => Some(Act::Sidecar(Fate::Ended)),
        ["sidecar", "freezes"] => Some(Act::Sidecar(Fate::Frozen)),
        ["sidecar", "thaws"] => Some(Act::Sidecar(Fate::Thawed)),
        ["sidecar", "starts"] => Some(Act::Sidecar(Fate::Started)),
        ["temoin", "halt", "stops", stopped, "and", "spares", spared] => {
            let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
            Some(Act::Halt(number(stopped)?, number(spared)?))
        }
        ["pbx", "is", "killed"] => Some(Act::Pbx(true)),
        ["pbx", "starts"] => Some(Act::Pbx(false)),
        ["spool", "is", "gone"] => Some(Act::Spool(true)),
        ["spool", "is", "back"] => Some(Act::Spool(false)),
        ["spool", "is", "full"] => Some(Act::Room(Room::None)),
        ["spool", "is", "nearly", "full"] => Some(Act::Room(Room::Little)),
        ["spool", "has", "room"] => Some(Act::Room(Room::Enough)),
        ["clock", "is", "right"] => Some(Act::Clock(Setting::Off(SignedDuration::ZERO))),
        ["clock", "is", before, "before", "midnight"] => {
            let before = SignedDuration::try_from(duration(before)?).map_err(|error| error.to_string())?;
            Some(Act::Clock(Setting::BeforeMidnight(before)))
        }
        ["clock", "is", "off", "by", sign @ ("+" | "-"), by] => {
            let by = SignedDuration::try_from(duration(by)?).map_err(|error| error.to_string())?;
            Some(Act::Clock(Setting::Off(if sign == "+" { by } else { -by })))
        }
        ["vault", "is", "gone"] => Some(Act::Vault(true)),
        ["vault", "is", "back"] => Some(Act::Vault(false)),
        ["store", "is", "locked"] => Some(Act::Store(true)),
        ["store", "is", "free"] => Some(Act::Store(false)),
        [at @ ("ami" | "ari"), "is", "cut"] => Some(Act::Link(link(at), Trouble::Cut)),
        [at @ ("ami" | "ari"), "is", "split"] => Some(Act::Link(link(at), Trouble::Split)),
        [at @ ("ami" | "ari"), "is", "refused"] => Some(Act::Link(link(at), Trouble::Refused)),
        [at @ ("ami" | "ari"), "is", "swallowed"] => Some(Act::Link(link(at), Trouble::Swallowed)),
        [at @ ("ami" | "ari"), "is", "slow", "by", by] => {
            Some(Act::Link(link(at), Trouble::Slow(duration(by)?)))
        }
        [at @ ("ami" | "ari"), "is", "well"] => Some(Act::Link(link(at), Trouble::Well)),
        ["policy", "is", name] => Some(Act::Policy(name.to_owned())),
        ["pbx", "connects", phone, "to", number] => {
            Some(Act::Connect(phone.to_owned(), number.to_owned(), false))
        }
        ["pbx", "connects", phone, "to", number, "through", "a", "Local", "channel"] => {
            Some(Act::Connect(phone.to_owned(), number.to_owned(), true))
        }
        [
            "sidecar" | "policy" | "store" | "ami" | "ari" | "pbx" | "spool" | "vault" | "clock" | "temoin",
            ..,
        ] => None,
        [name, "must", "not", "be", "called"] => Some(Act::DoNotCall(name.to_owned(), true)),
        [name, "may", "be", "called", "again"] => Some(Act::DoNotCall(name.to_owned(), false)),
        ["at", mark, sign @ ("+" | "-"), by] => {
            let by = SignedDuration::try_from(duration(by)?).map_err(|error| error.to_string())?;
            Some(Act::At(mark.to_owned(), if sign == "+" { by } else { -by }))
        }
        [one, "and", other, "talk", long] => {
            Some(Act::Talk(one.to_owned(), other.to_owned(), duration(long)?))
        }
        [name, ref does @ ..] => does_what(does)?.and_then(|does| phone(name, does)),
        [] => None,
    })
}

fn does_what(words: &[&str]) -> Result<Option<Does>, String> {
    let be = |condition| Some(Does::Be(condition));
    Ok(match *words {
        ["dials", number] => Some(Does::Dial(number.to_owned())),
        ["is", "called"] => Some(Does::BeCalled),
        ["is", "not", "called"] => Some(Does::NotBeCalled),
        ["answers"] => Some(Does::Answer),
        ["answers", "by", "itself"] => Some(Does::AnswerByItself),
        ["refuses", status] => Some(Does::Refuse(number(status)?)),
        ["is", "busy"] => Some(Does::BeBusy),
        ["is", "unplugged"] => Some(Does::BeUnplugged),
        ["hears", what] => Some(Does::Hear(what.to_owned())),
        ["hears", what, "to", "its", "end"] => Some(Does::HearWhole(what.to_owned())),
        ["no", "longer", "hears", what] => Some(Does::NoLongerHear(what.to_owned())),
        ["is", "ringing"] => be(Condition::Ringing),
        ["is", "answered"] => be(Condition::Answered),
        ["is", "held"] => be(Condition::Held),
        ["is", "resumed"] => be(Condition::Resumed),
        ["is", "transferred"] => be(Condition::Transferred),
        ["is", "over"] => be(Condition::Over),
        ["presses", keys] => Some(Does::Press(keys.to_owned(), Way::Rtp)),
        ["presses", keys, "by", "info"] => Some(Does::Press(keys.to_owned(), Way::Info)),
        ["talks", long] => Some(Does::Talk(duration(long)?)),
        ["holds"] => Some(Does::Hold),
        ["resumes"] => Some(Does::Resume),
        ["turns", "to", "its", "other", "call"] => Some(Does::TurnToOther),
        ["joins", "its", "calls"] => Some(Does::Join),
        ["refers", "to", extension] => Some(Does::Refer(extension.to_owned())),
        ["hangs", "up"] => Some(Does::HangUp),
        ["vanishes"] => Some(Does::Vanish),
        ["speaks", "again"] => Some(Does::Speak(None)),
        ["speaks", hz] => Some(Does::Speak(Some(number(hz)?))),
        ["goes", "on", "at", sequence] => Some(Does::GoOnAt(number(sequence)?)),
        _ => None,
    })
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is not such a number"))
}

/// `1500ms` or `2s`.
pub(super) fn duration(word: &str) -> Result<Duration, String> {
    let millis = match (word.strip_suffix("ms"), word.strip_suffix('s')) {
        (Some(millis), _) => millis.parse::<u64>().ok(),
        (None, Some(seconds)) => seconds.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1000)),
        (None, None) => None,
    };
    millis.map(Duration::from_millis).ok_or_else(|| format!("`{word}` is no duration: 1500ms or 2s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(line: &str) -> Result<Step, String> {
        Step::try_from(line.to_owned())
    }

    #[test]
    fn limits_and_marks_stand_at_the_end() {
        let read = step("amel is called within 5s @rung").unwrap();
        assert_eq!(read.act, Act::Phone("amel".into(), Does::BeCalled));
        assert_eq!((read.within, read.mark.as_deref()), (Some(Duration::from_secs(5)), Some("rung")));
        let read = step("at told + 1980ms").unwrap();
        assert_eq!(read.act, Act::At("told".into(), SignedDuration::from_millis(1980)));
        let read = step("at told - 2s").unwrap();
        assert_eq!(read.act, Act::At("told".into(), SignedDuration::from_secs(-2)));
        let read = step("caller presses *1 by info").unwrap();
        assert_eq!(read.act, Act::Phone("caller".into(), Does::Press("*1".into(), Way::Info)));
    }

    #[test]
    fn what_is_no_step_is_refused_with_all_that_are() {
        for wrong in [
            "",
            "caller",
            "caller sings",
            "sidecar dials 8111",
            "policy dials 8111",
            "ami is slow by 3",
            "at told + soon",
            "amel refuses x",
        ] {
            assert!(step(wrong).is_err(), "{wrong}");
        }
        assert!(step("caller sings").unwrap_err().contains("PHONE hears PROMPT"));
    }
}
