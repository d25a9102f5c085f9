//! The formats that are read, told apart by what the records look like, and what their fields mean.
//!
//! - **asterisk-cdr**: `Master.csv` of `cdr_csv`: accountcode, src, dst, dcontext, clid, channel, dstchannel, lastapp,
//!   lastdata, start, answer, end, duration, billsec, disposition, amaflags; then uniqueid and userfield where
//!   `cdr.conf` logs them, then peeraccount, linkedid and sequence where it asks for the new columns. Times are local
//!   (or UTC with `usegmtime`; say so by `--timezone UTC`). Talk is counted from the answer, so the wait in a queue
//!   that answers first is in it.
//! - **asterisk-cel**: `cel_custom` as in the sample configuration (module [`super::cel`]).
//! - **freeswitch-cdr**: `cdr_csv` with the template `example`: caller_id_name, caller_id_number, destination_number,
//!   context, start, answer, end, duration, billsec, hangup_cause, uuid, bleg_uuid, accountcode, read and write codec.
//!   One record for the a-leg of a call, as configured by default. Who called is its accountcode, who answered its
//!   destination_number: no endpoint of the b-leg is in it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use temoin_core::time::{Bound, Zone};

use super::cel;
use super::contact::{Contact, Endpoint};
use super::csv::Fields;

/// A format of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Asterisk's `Master.csv`.
    AsteriskCdr,
    /// Asterisk's channel events, by `cel_custom`.
    AsteriskCel,
    /// FreeSWITCH's `cdr_csv`.
    FreeswitchCdr,
}

impl Format {
    /// The format that a record is of; none where it is of none.
    pub fn detect(fields: Fields<'_>) -> Option<Self> {
        let is_time = |index: usize| digits(fields.at(index)).is_some();
        match fields.count() {
            20.. if cel::is_event(fields.at(0)) => Some(Self::AsteriskCel),
            16..=21 if is_time(9) && is_disposition(fields.at(14)) => Some(Self::AsteriskCdr),
            13..=15 if is_time(4) && is_time(6) => Some(Self::FreeswitchCdr),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsteriskCdr => "asterisk-cdr",
            Self::AsteriskCel => "asterisk-cel",
            Self::FreeswitchCdr => "freeswitch-cdr",
        }
    }
}

/// A record of Asterisk's `Master.csv`.
///
/// # Errors
/// What is wrong with it.
pub fn asterisk_cdr<'r>(fields: Fields<'r>, zone: &Zone) -> Result<Contact<'r>, &'static str> {
    if !(16..=21).contains(&fields.count()) {
        return Err("an Asterisk CDR has 16 to 21 fields");
    }
    let disposition = fields.at(14);
    if !is_disposition(disposition) {
        return Err("the disposition is none of Asterisk's");
    }
    let started = local(fields.at(9), zone).ok_or("the start is no time")?;
    let answered = if disposition == b"ANSWERED" { fields.at(10) } else { &[] };
    let answered =
        if answered.is_empty() { None } else { Some(local(answered, zone).ok_or("the answer is no time")?) };
    // A linkedid is in it with the new columns only; else the records of a call share the uniqueid of the caller's channel,
    // and where that is not logged, the channel.
    let linked = if fields.count() == 21 { fields.at(19) } else { &[] };
    let id = [linked, fields.at(16)].into_iter().find(|id| !id.is_empty()).unwrap_or(fields.at(5));
    let seconds = number(fields.at(13)).ok_or("the billed seconds are no number")?;
    let far = Endpoint::channel(fields.at(6));
    let queue = fields.at(8).split(|byte| *byte == b',').next().unwrap_or_default();
    Ok(Contact {
        call: short(id)?,
        started,
        talk: answered.filter(|_| far != Endpoint::Nobody && seconds > 0).map(|at| (at, seconds)),
        near: Endpoint::channel(fields.at(5)),
        far,
        more: Vec::new(),
        line: None,
        dialled: fields.at(2),
        context: fields.at(3),
        queue: if fields.at(7).eq_ignore_ascii_case(b"Queue") { short(queue)? } else { &[] },
        caller: fields.at(1),
        direction: None,
        refused: false,
        last: false,
    })
}

/// A record of FreeSWITCH's `cdr_csv`.
///
/// # Errors
/// What is wrong with it.
pub fn freeswitch_cdr<'r>(fields: Fields<'r>, zone: &Zone) -> Result<Contact<'r>, &'static str> {
    if !(13..=15).contains(&fields.count()) {
        return Err("a FreeSWITCH CDR of the template `example` has 15 fields");
    }
    let started = local(fields.at(4), zone).ok_or("the start is no time")?;
    let answered = fields.at(5);
    let answered =
        if answered.is_empty() { None } else { Some(local(answered, zone).ok_or("the answer is no time")?) };
    let seconds = number(fields.at(8)).ok_or("the billed seconds are no number")?;
    Ok(Contact {
        call: short(fields.at(10))?,
        started,
        talk: answered.filter(|_| seconds > 0).map(|at| (at, seconds)),
        near: Endpoint::extension(fields.at(12)),
        far: Endpoint::extension(fields.at(2)),
        more: Vec::new(),
        line: None,
        dialled: fields.at(2),
        context: fields.at(3),
        queue: &[],
        caller: fields.at(1),
        direction: None,
        refused: false,
        last: true,
    })
}

/// A name that is remembered. One of a length that no PBX gives must not fill the memory.
pub(super) fn short(name: &[u8]) -> Result<&[u8], &'static str> {
    if name.len() <= 512 { Ok(name) } else { Err("a name or an id is longer than 512 bytes") }
}

fn is_disposition(text: &[u8]) -> bool {
    matches!(text, b"ANSWERED" | b"NO ANSWER" | b"BUSY" | b"FAILED" | b"CONGESTION" | b"UNKNOWN")
}

/// A local time as PBXs write it, `2026-10-05 10:30:00`. One that comes twice is taken as the later.
pub(super) fn local(text: &[u8], zone: &Zone) -> Option<Timestamp> {
    Some(Bound::Moment(digits(text)?).start(zone))
}

fn digits(text: &[u8]) -> Option<DateTime> {
    let two = |at: usize| match text.get(at..at + 2)? {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => i8::try_from((tens - b'0') * 10 + (ones - b'0')).ok(),
        _ => None,
    };
    // Some write a fraction of a second behind.
    let is_shaped = text.len() >= 19
        && text[4] == b'-'
        && text[7] == b'-'
        && matches!(text[10], b' ' | b'T')
        && text[13] == b':'
        && text[16] == b':'
        && text[19..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if !is_shaped {
        return None;
    }
    let year = i16::from(two(0)?) * 100 + i16::from(two(2)?);
    DateTime::new(year, two(5)?, two(8)?, two(11)?, two(14)?, two(17)?, 0).ok()
}

/// A number of seconds; a call of more than ten weeks is none.
pub(super) fn number(text: &[u8]) -> Option<u32> {
    let is_number = !text.is_empty() && text.len() <= 7 && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| text.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_local_and_whole() {
        let zone = Zone::named("Europe/Paris").unwrap();
        let read = |text: &str| local(text.as_bytes(), &zone).map(|at| at.to_string());
        assert_eq!(read("2026-10-05 10:30:00").as_deref(), Some("2026-10-05T08:30:00Z"));
        assert_eq!(read("2026-10-05 10:30:00.123456").as_deref(), Some("2026-10-05T08:30:00Z"));
        for bad in [
            "",
            "2026-10-05",
            "2026-13-05 10:30:00",
            "2026-10-05 10:30:0x",
            "2026-10-05 10:30:00Z",
            "½½½½½½½½½½",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!((number(b"0042"), number(b"-1"), number(b"99999999")), (Some(42), None, None));
    }
}
