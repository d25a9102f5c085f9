//! Counting, in memory that does not grow with the calls: a row for each line, queue, agent and day, a cell in it for
//! each purpose. Queues are named by the records, and days are as many as they say: of both only so many have a row, and
//! the rest share one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use temoin_core::words::{Reason, Word as _};

/// The row of all that have none of their own.
pub const OTHERS: &str = "(others)";

/// What became of the calls of one row for one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// By reason, in the order of [`Reason::ALL`].
    reasons: [u64; Reason::ALL.len()],
    /// Calls in which it was announced.
    pub announced: u64,
    /// Recorded seconds.
    pub seconds: u64,
}

impl Default for Cell {
    fn default() -> Self {
        Self { reasons: [0; Reason::ALL.len()], announced: 0, seconds: 0 }
    }
}

impl Cell {
    /// One more call.
    pub fn count(&mut self, reason: Reason, seconds: u64) {
        self.reasons[reason as usize] += 1;
        self.seconds += seconds;
    }

    /// The calls.
    pub fn calls(&self) -> u64 {
        self.reasons.iter().sum()
    }

    /// Those with a reason.
    pub fn of(&self, reason: Reason) -> u64 {
        self.reasons[reason as usize]
    }

    /// The reasons that were met.
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().copied().zip(self.reasons).filter(|(_, calls)| *calls > 0)
    }
}

/// The calls of one line, queue, agent or day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Calls that were decided.
    pub calls: u64,
    /// Those recorded for at least one purpose.
    pub recorded: u64,
    /// By purpose, in the order of the policy's names.
    pub cells: Vec<Cell>,
}

/// Rows by name.
#[derive(Clone, Debug)]
pub struct Table {
    rows: HashMap<Arc<str>, Row>,
    most: usize,
    purposes: usize,
}

impl Table {
    /// A table of so many rows at the most, with a cell for each purpose.
    pub fn new(most: usize, purposes: usize) -> Self {
        Self { rows: HashMap::new(), most, purposes }
    }

    /// The row of a name, or the one of all others.
    pub fn row(&mut self, name: &Arc<str>) -> &mut Row {
        let name = if self.rows.contains_key(name) || self.rows.len() < self.most {
            name.clone()
        } else {
            Arc::from(OTHERS)
        };
        let cells = self.purposes;
        self.rows.entry(name).or_insert_with(|| Row { cells: vec![Cell::default(); cells], ..Row::default() })
    }

    /// All rows, by name.
    pub fn sorted(&self) -> BTreeMap<&Arc<str>, &Row> {
        self.rows.iter().collect()
    }
}

/// What the recordings take, and until when.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    /// Recordings.
    pub recordings: u64,
    /// Seconds of audio.
    pub seconds: u64,
    /// Bytes by day: those that come and those that go. A day is UTC's.
    days: BTreeMap<Date, (u64, u64)>,
    /// By the month in which they are gone.
    months: BTreeMap<(i16, i8), Due>,
    /// Over all recordings, the seconds each is kept.
    kept: u128,
    /// The same, times the seconds of its audio.
    held: u128,
}

/// A way to keep audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// Bytes of a second, both sides.
    pub bytes_a_second: u64,
    /// Bytes of the header of each recording.
    pub header: u64,
}

/// As it is kept: two sides, 8000 samples each, two bytes a sample.
pub const KEPT: Format = Format { name: "wav, stereo, 16 bit, 8 kHz", bytes_a_second: 32_000, header: 44 };

/// As others keep it, for comparison: a byte a sample; GSM 06.10 in blocks of 65 bytes for 40 ms of each side, as
/// Asterisk's `wav49`; Opus at 16 kbit/s a side.
pub const OTHERWISE: [Format; 3] = [
    Format { name: "wav, stereo, A-law, 8 kHz", bytes_a_second: 16_000, header: 58 },
    Format { name: "wav49, a file for each side", bytes_a_second: 3250, header: 120 },
    Format { name: "Opus, stereo, 32 kbit/s", bytes_a_second: 4000, header: 0 },
];

/// What is gone in one month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Recordings.
    pub recordings: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their bytes times the seconds they are kept.
    pub held: u128,
}

/// Bytes times seconds as gigabytes (10⁹) times months.
pub fn gigabyte_months(held: u128) -> f64 {
    held as f64 / MONTH / 1e9
}

/// Seconds of the month that prices are for: 30.4375 days.
pub const MONTH: f64 = 30.437_5 * 86_400.0;
/// Far apart days that records may claim are not followed one by one.
const MOST_DAYS: usize = 20_000;

impl Storage {
    /// One more recording, kept from an instant to its scheduled end, gone by a limit.
    pub fn add(&mut self, seconds: u64, from: Timestamp, scheduled: Timestamp, gone_by: Timestamp) {
        let bytes = KEPT.header + KEPT.bytes_a_second * seconds;
        self.recordings += 1;
        self.seconds += seconds;
        let kept = u128::try_from(scheduled.as_second().saturating_sub(from.as_second())).unwrap_or(0);
        self.kept += kept;
        self.held += u128::from(seconds) * kept;
        let month = day(gone_by);
        let due = self.months.entry((month.year(), month.month())).or_default();
        due.recordings += 1;
        due.bytes += bytes;
        due.held += u128::from(bytes) * kept;
        if self.days.len() < MOST_DAYS {
            self.days.entry(day(from)).or_default().0 += bytes;
            self.days.entry(day(scheduled)).or_default().1 += bytes;
        }
    }

    /// Bytes kept at the end of each day on which they change.
    pub fn curve(&self) -> Vec<(Date, u64)> {
        let mut now = 0_u64;
        let step = |(day, (come, go)): (&Date, &(u64, u64))| {
            now = (now + come).saturating_sub(*go);
            (*day, now)
        };
        self.days.iter().map(step).collect()
    }

    /// By the month in which they are gone.
    pub fn months(&self) -> impl Iterator<Item = ((i16, i8), Due)> + '_ {
        self.months.iter().map(|(month, due)| (*month, *due))
    }

    /// All bytes that were ever kept, in a format.
    pub fn bytes(&self, format: Format) -> u64 {
        self.recordings * format.header + self.seconds * format.bytes_a_second
    }

    /// The same times the months they are kept, in gigabytes (10⁹).
    pub fn gigabyte_months(&self, format: Format) -> f64 {
        let headers = self.kept * u128::from(format.header);
        gigabyte_months(headers + self.held * u128::from(format.bytes_a_second))
    }
}

fn day(at: Timestamp) -> Date {
    jiff::tz::TimeZone::UTC.to_datetime(at).date()
}

/// Names that records have and nobody knows, and how often; only the first `MOST_UNKNOWN` are remembered.
#[derive(Clone, Debug, Default)]
pub struct Unknown(BTreeMap<Box<[u8]>, u64>);

const MOST_UNKNOWN: usize = 200;

impl Unknown {
    /// One more.
    pub fn count(&mut self, name: &[u8]) {
        let name = name.get(..100).unwrap_or(name);
        if let Some(calls) = self.0.get_mut(name) {
            *calls += 1;
        } else if self.0.len() < MOST_UNKNOWN {
            self.0.insert(name.into(), 1);
        }
    }

    /// The most frequent, fit to be shown.
    pub fn top(&self, most: usize) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, calls)| (shown(name), *calls)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(most);
        all
    }
}

/// A name from a record as it may be shown: forty characters, none that steers a terminal, and no telephone number.
pub fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let plain = |c: char| if c.is_control() { '?' } else { c };
    let mut shown: Vec<char> = text.chars().take(40).map(plain).collect();
    // Seven digits in a row, with what people write between them, may be somebody's number.
    let mut at = 0;
    while at < shown.len() {
        let is_part = |c: &char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '(' | ')');
        let end = at + shown[at..].iter().take_while(|c| is_part(c)).count();
        if shown[at..end].iter().filter(|c| c.is_ascii_digit()).count() >= 7 {
            shown[at..end].iter_mut().for_each(|c| *c = '#');
        }
        at = end + 1;
    }
    shown.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_shown() {
        assert_eq!(shown(b"SIP/+33199001234"), "SIP/############");
        assert_eq!(shown(b"from-trunk"), "from-trunk");
        assert_eq!(
            shown(b"01 99 00 12 34 x"),
            "############### x".replacen("############### ", "###############", 1)
        );
        assert_eq!(shown(b"PJSIP/2001"), "PJSIP/2001");
        assert_eq!(shown(b"a\x1b[31m\0b"), "a?[31m?b");
        assert_eq!(shown("é".repeat(300).as_bytes()).chars().count(), 40);
    }

    #[test]
    fn rows_are_bounded() {
        let mut table = Table::new(2, 1);
        for name in ["a", "b", "c", "d", "a"] {
            table.row(&Arc::from(name)).calls += 1;
        }
        let calls: Vec<_> = table.sorted().iter().map(|(name, row)| (name.to_string(), row.calls)).collect();
        assert_eq!(calls, [(OTHERS.to_owned(), 2), ("a".into(), 2), ("b".into(), 1)]);
    }

    #[test]
    fn storage_comes_and_goes() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut storage = Storage::default();
        let month = (MONTH as i64).to_string();
        assert_eq!(month, "2629800");
        let from = at("2026-10-05T08:00:00Z");
        let scheduled = Timestamp::from_second(from.as_second() + 2_629_800).unwrap();
        storage.add(100, from, scheduled, at("2026-11-06T00:00:00Z"));
        // 44 + 100 s × 32,000 B/s = 3,200,044 bytes for one month.
        assert_eq!(storage.bytes(KEPT), 3_200_044);
        assert!((storage.gigabyte_months(KEPT) - 0.003_200_044).abs() < 1e-12);
        // 58 + 100 s × 16,000 B/s.
        assert_eq!(storage.bytes(OTHERWISE[0]), 1_600_058);
        assert!((storage.gigabyte_months(OTHERWISE[0]) - 0.001_600_058).abs() < 1e-12);
        let days: Vec<_> = storage.curve().into_iter().map(|(day, bytes)| (day.to_string(), bytes)).collect();
        assert_eq!(days, [("2026-10-05".to_owned(), 3_200_044), ("2026-11-04".to_owned(), 0)]);
        let due = Due { recordings: 1, bytes: 3_200_044, held: 3_200_044 * 2_629_800 };
        assert_eq!(storage.months().collect::<Vec<_>>(), [((2026, 11), due)]);
    }
}
