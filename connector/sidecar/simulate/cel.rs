//! Asterisk's channel events, as the sample configuration of `cel_custom` writes them: from bridges entered and left to
//! talks, so that only the time people were connected counts.
//!
//! The fields are eventtype, eventtime, then the caller's name, number, ANI, RDNIS and DNID, exten, context, channel,
//! application, its data, AMA flags, account code, uniqueid, linkedid, peer, user field, the type of an event of one's
//! own, and more of the event as JSON. Newer samples have a literal word between the first two; it is passed over. Times
//! are seconds since 1970, or local where `cel.conf` sets a date format.
//!
//! The first channel of a linkedid is the customer's (or whoever called). Everybody in its bridge is in the talk; a
//! Local channel stands for whoever is in the bridge of its other half. A call is over with `LINKEDID_END`; of the calls
//! that are not, the [`MOST`] that began last are remembered.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;
use temoin_core::time::Zone;

use super::contact::{Contact, Endpoint};
use super::csv::Fields;
use super::format::{local, short};

/// So many calls may be going on at once.
pub const MOST: usize = 8192;
/// So many channels of one call may be in bridges at once.
const MOST_CHANNELS: usize = 32;

/// Whether it is the name of one of Asterisk's events.
pub fn is_event(name: &[u8]) -> bool {
    matches!(
        name,
        b"CHAN_START"
            | b"CHAN_END"
            | b"HANGUP"
            | b"ANSWER"
            | b"APP_START"
            | b"APP_END"
            | b"BRIDGE_ENTER"
            | b"BRIDGE_EXIT"
            | b"PARK_START"
            | b"PARK_END"
            | b"BLINDTRANSFER"
            | b"ATTENDEDTRANSFER"
            | b"PICKUP"
            | b"FORWARD"
            | b"LINKEDID_END"
            | b"LOCAL_OPTIMIZE"
            | b"LOCAL_OPTIMIZE_BEGIN"
            | b"USER_DEFINED"
            | b"STREAM_BEGIN"
            | b"STREAM_END"
            | b"DTMF"
    )
}

/// The calls that are going on.
#[derive(Debug, Default)]
pub struct Cel {
    calls: HashMap<Box<[u8]>, Call>,
    order: VecDeque<Box<[u8]>>,
}

#[derive(Debug)]
struct Call {
    customer: Box<[u8]>,
    started: Timestamp,
    dialled: Box<[u8]>,
    context: Box<[u8]>,
    caller: Box<[u8]>,
    queue: Box<[u8]>,
    /// Channels and the bridges they are in.
    inside: Vec<(Name, Name)>,
    talking: Option<(Timestamp, Vec<Name>)>,
}

/// A name as the file has it.
type Name = Box<[u8]>;

impl Cel {
    /// Takes an event; hands what came to an end to `tell`.
    ///
    /// # Errors
    /// What is wrong with the record.
    pub fn take(
        &mut self,
        fields: Fields<'_>,
        zone: &Zone,
        tell: &mut dyn FnMut(&Contact<'_>),
    ) -> Result<(), &'static str> {
        let name = fields.at(0);
        let literal = usize::from(time(fields.at(1), zone).is_none());
        let at = |index: usize| fields.at(index + literal);
        let Some(now) = time(at(1), zone) else { return Err("the time of the event is no time") };
        if fields.count() != 20 + literal {
            return Err("an event of the sample configuration has 20 or 21 fields");
        }
        let (channel, linked) = (short(at(9))?, short(at(15))?);
        if linked.is_empty() {
            return Err("the event has no linkedid");
        }
        if !self.calls.contains_key(linked) {
            if name != b"CHAN_START" {
                // The file begins in the middle of this call: who its customer is, nobody knows.
                return Ok(());
            }
            self.make_room(tell);
            let call = Call {
                customer: channel.into(),
                started: now,
                dialled: short(at(7))?.into(),
                context: short(at(8))?.into(),
                caller: short(at(3))?.into(),
                queue: Box::default(),
                inside: Vec::new(),
                talking: None,
            };
            self.calls.insert(linked.into(), call);
            self.order.push_back(linked.into());
            return Ok(());
        }
        let Some(call) = self.calls.get_mut(linked) else { return Ok(()) };
        match name {
            b"APP_START" if at(10).eq_ignore_ascii_case(b"Queue") && *channel == *call.customer => {
                call.queue = short(at(11).split(|byte| *byte == b',').next().unwrap_or_default())?.into();
            }
            b"BRIDGE_ENTER" if call.inside.len() < MOST_CHANNELS => {
                call.inside.retain(|(other, _)| **other != *channel);
                call.inside.push((channel.into(), short(bridge(at(19)))?.into()));
                call.change(linked, now, tell);
            }
            b"BRIDGE_EXIT" | b"CHAN_END" => {
                call.inside.retain(|(other, _)| **other != *channel);
                call.change(linked, now, tell);
            }
            b"LINKEDID_END" => {
                if let Some(mut call) = self.calls.remove(linked) {
                    call.inside.clear();
                    call.change(linked, now, tell);
                    tell(&call.contact(linked, None, &[], true));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The file is over: what still goes on is told as far as it went.
    pub fn finish(&mut self, tell: &mut dyn FnMut(&Contact<'_>)) {
        while let Some(id) = self.order.pop_front() {
            if let Some(call) = self.calls.remove(&id) {
                tell(&call.contact(&id, None, &[], true));
            }
        }
    }

    /// The oldest goes where there are too many.
    fn make_room(&mut self, tell: &mut dyn FnMut(&Contact<'_>)) {
        while self.calls.len() >= MOST {
            let Some(id) = self.order.pop_front() else { return };
            if let Some(call) = self.calls.remove(&id) {
                tell(&call.contact(&id, None, &[], true));
            }
        }
        // Those that are over leave their ids behind.
        if self.order.len() >= 4 * MOST {
            self.order.retain(|id| self.calls.contains_key(id));
        }
    }
}

impl Call {
    /// Who is connected changed: one talk is over, another may begin.
    fn change(&mut self, id: &[u8], now: Timestamp, tell: &mut dyn FnMut(&Contact<'_>)) {
        let others = self.others();
        if self.talking.as_ref().is_some_and(|(_, with)| *with == others) {
            return;
        }
        if let Some((since, with)) = self.talking.take() {
            let seconds = u32::try_from(now.as_second().saturating_sub(since.as_second())).unwrap_or(0);
            if seconds > 0 {
                tell(&self.contact(id, Some((since, seconds)), &with, false));
            }
        }
        self.talking = (!others.is_empty()).then_some((now, others));
    }

    /// The channels that the customer is connected with, sorted.
    fn others(&self) -> Vec<Name> {
        let bridge_of = |channel: &[u8]| self.inside.iter().find(|(other, _)| **other == *channel);
        let Some((_, home)) = bridge_of(&self.customer) else { return Vec::new() };
        let (mut bridges, mut seen, mut others) = (vec![home], vec![home], Vec::new());
        while let Some(bridge) = bridges.pop() {
            for (channel, _) in
                self.inside.iter().filter(|(other, of)| of == bridge && *other != self.customer)
            {
                match other_half(channel).map(|half| bridge_of(&half)) {
                    Some(Some((_, beyond))) if !seen.contains(&beyond) => {
                        bridges.push(beyond);
                        seen.push(beyond);
                    }
                    // Seen already, or nobody is behind it yet.
                    Some(_) => {}
                    None => others.push(channel.clone()),
                }
            }
        }
        others.sort();
        others
    }

    fn contact<'r>(
        &'r self,
        id: &'r [u8],
        talk: Option<(Timestamp, u32)>,
        with: &'r [Name],
        last: bool,
    ) -> Contact<'r> {
        let mut with = with.iter().map(|channel| Endpoint::channel(channel));
        Contact {
            call: id,
            started: self.started,
            talk,
            near: Endpoint::channel(&self.customer),
            far: with.next().unwrap_or(Endpoint::Nobody),
            more: with.collect(),
            line: None,
            dialled: &self.dialled,
            context: &self.context,
            queue: &self.queue,
            caller: &self.caller,
            direction: None,
            refused: false,
            last,
        }
    }
}

/// `Local/…;1` and `Local/…;2` are one.
fn other_half(name: &[u8]) -> Option<Vec<u8>> {
    let half = match name.strip_prefix(b"Local/")?.split_last_chunk::<2>()?.1 {
        b";1" => b'2',
        b";2" => b'1',
        _ => return None,
    };
    let mut other = name.to_vec();
    *other.last_mut()? = half;
    Some(other)
}

/// The bridge that an event's JSON names; doubled quotes may still be doubled.
fn bridge(extra: &[u8]) -> &[u8] {
    const KEY: &[u8] = b"bridge_id";
    let Some(at) = extra.windows(KEY.len()).position(|window| window == KEY) else { return &[] };
    let rest = &extra[at + KEY.len()..];
    let is_sign = |byte: &u8| matches!(byte, b'"' | b':' | b' ' | b'\\');
    let begin = rest.iter().position(|byte| !is_sign(byte)).unwrap_or(rest.len());
    let length = rest[begin..]
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | b','))
        .unwrap_or(rest.len() - begin);
    &rest[begin..begin + length]
}

fn time(text: &[u8], zone: &Zone) -> Option<Timestamp> {
    let seconds = text.split(|byte| *byte == b'.').next().unwrap_or_default();
    if seconds.is_empty() || seconds.len() > 11 || !seconds.iter().all(u8::is_ascii_digit) {
        return local(text, zone);
    }
    let seconds = seconds.iter().fold(0_i64, |number, digit| number * 10 + i64::from(digit - b'0'));
    Timestamp::from_second(seconds).ok()
}
