//! Sampling (`FORMAT.md`, section 3.8): a reproducible draw and windows that keep a bound at every moment.
//!
//! Arithmetic is exact: a [`Draw`] is the decimal as it was written, a rate is per mille, and no floating point takes
//! part. Which calls are eligible is said by [`decide::stakes`](crate::decide::stakes); who keeps the counters is none
//! of this module's business: [`Counters::draws`] is a pure step, [`Tally`] a plain count.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::words::Stratify;

/// A number in [0, 1), exactly: the decimal digits after the point.
///
/// In JSON it is a number, kept as written. It must be read from JSON text, not through a buffer that keeps floats.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Draw(Box<[u8]>);

/// A text that is no [`Draw`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a draw is a decimal number from 0 to below 1, with at most 1000 digits")]
pub struct NotADraw;

impl Draw {
    /// The most digits a draw may have. A keyed draw has 64.
    const MOST_DIGITS: usize = 1000;

    /// The smallest draw, which every rate above 0 takes.
    pub fn zero() -> Self {
        Self(Box::default())
    }

    /// The draw of a call for a campaign: the first eight bytes of HMAC-SHA256(key, campaign, line feed, call id), as
    /// a fraction of 2^64. The same key draws the same calls again.
    pub fn keyed(key: &[u8], campaign: &str, call: &str) -> Self {
        let mac = hmac_sha256(key, &[campaign.as_bytes(), b"\n", call.as_bytes()]);
        let first = mac.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let mut digits = Vec::with_capacity(64);
        let mut rest = u128::from(first);
        while rest != 0 {
            rest *= 10;
            digits.push((rest >> 64) as u8);
            rest &= u128::from(u64::MAX);
        }
        Self(digits.into())
    }

    /// Whether a call is drawn at a rate without counters: draw times 1000 is below the rate.
    pub fn is_below(&self, rate: u16) -> bool {
        self.times(1000) < u128::from(rate)
    }

    /// The whole part of the draw times a number below 2^120. As the draw is below 1, it fits.
    ///
    /// A product is below a whole number just when its whole part is, so that comparing this is exact.
    fn times(&self, number: u128) -> u128 {
        // Nearly every number is small, and dividing small ones is twenty times as fast.
        match u64::try_from(number) {
            Ok(number) if number < u64::MAX / 10 => {
                let small = |carried, digit: &u8| (u64::from(*digit) * number + carried) / 10;
                self.0.iter().rev().fold(0, small).into()
            }
            _ => self.0.iter().rev().fold(0, |carried, digit| (u128::from(*digit) * number + carried) / 10),
        }
    }
}

/// A decimal as JSON writes numbers.
impl FromStr for Draw {
    type Err = NotADraw;

    fn from_str(text: &str) -> Result<Self, NotADraw> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().map_err(|_| NotADraw)?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if whole.is_empty() || digits.len() > Self::MOST_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
            return Err(NotADraw);
        }
        // The point stands before this many of the digits.
        let point = i64::from(exponent) + whole.len() as i64;
        let leading_zeros = digits.iter().take_while(|d| **d == b'0').count();
        let significant = &digits[leading_zeros..];
        if significant.is_empty() {
            return Ok(Self::zero());
        }
        let zeros = usize::try_from(leading_zeros as i64 - point).map_err(|_| NotADraw)?;
        if zeros + significant.len() > Self::MOST_DIGITS {
            return Err(NotADraw);
        }
        let mut all = vec![0; zeros];
        all.extend(significant.iter().map(|d| d - b'0'));
        while all.last() == Some(&0) {
            all.pop();
        }
        Ok(Self(all.into()))
    }
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "0.0" } else { "0." })?;
        self.0.iter().try_for_each(|digit| write!(f, "{digit}"))
    }
}

impl fmt::Debug for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Draw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = RawValue::from_string(self.to_string()).map_err(serde::ser::Error::custom)?;
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Draw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Box::<RawValue>::deserialize(deserializer)?;
        written.get().parse().map_err(serde::de::Error::custom)
    }
}

/// How many calls a campaign has had and how many were drawn: of the campaign as a whole, and of the stratum (agent
/// or queue) of the call in question. The calls count that call, the drawn do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls of the campaign, this one among them.
    pub total_calls: u64,
    /// Calls of the campaign that were drawn.
    pub total_recorded: u64,
    /// Calls of the stratum, this one among them.
    pub stratum_calls: u64,
    /// Calls of the stratum that were drawn.
    pub stratum_recorded: u64,
}

impl Counters {
    /// Whether the call is drawn at a rate per mille.
    ///
    /// The calls of a stratum fall into windows with one recording each. A call is drawn with the chance that spreads
    /// the recordings of its window evenly over what is left of it, and never beyond the campaign's own share.
    pub fn draws(&self, rate: u16, draw: &Draw) -> bool {
        if u128::from(self.total_recorded) >= share(rate, self.total_calls) {
            return false;
        }
        let window = share(rate, self.stratum_calls);
        let recorded = u128::from(self.stratum_recorded);
        if window <= recorded {
            return false;
        }
        let window_ends = 1000 * window / u128::from(rate);
        let left = window_ends + 1 - u128::from(self.stratum_calls);
        draw.times(left) < window - recorded
    }
}

/// How many of so many calls may be drawn at a rate: rate times calls per mille, rounded up.
pub fn share(rate: u16, calls: u64) -> u128 {
    (u128::from(rate) * u128::from(calls)).div_ceil(1000)
}

/// The counts of one campaign, and of each of its strata by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The campaign as a whole.
    pub total: Count,
    /// By agent or queue; one with an empty name where the campaign is not stratified.
    pub strata: BTreeMap<String, Count>,
}

/// Calls that were eligible and those of them that were drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Eligible calls.
    #[serde(rename = "eligible")]
    pub calls: u64,
    /// Drawn calls.
    pub recorded: u64,
}

impl Count {
    /// Whether no more were drawn than the rate allows of so many calls.
    pub fn within(&self, rate: u16) -> bool {
        u128::from(self.recorded) <= share(rate, self.calls)
    }
}

impl Tally {
    /// Counts one more eligible call of a stratum and tells whether it is drawn. A call without a draw is counted and
    /// never drawn.
    pub fn count(&mut self, rate: u16, stratum: &str, draw: Option<&Draw>) -> bool {
        let of_stratum = self.strata.entry(stratum.to_owned()).or_default();
        self.total.calls += 1;
        of_stratum.calls += 1;
        let counters = Counters {
            total_calls: self.total.calls,
            total_recorded: self.total.recorded,
            stratum_calls: of_stratum.calls,
            stratum_recorded: of_stratum.recorded,
        };
        let drawn = draw.is_some_and(|draw| counters.draws(rate, draw));
        self.total.recorded += u64::from(drawn);
        of_stratum.recorded += u64::from(drawn);
        drawn
    }
}

/// The name of a call's stratum: its agent, its queue, or nothing.
pub fn stratum<'n>(by: Stratify, agent: Option<&'n str>, queue: Option<&'n str>) -> &'n str {
    match by {
        Stratify::Agent => agent.unwrap_or_default(),
        Stratify::Queue => queue.unwrap_or_default(),
        Stratify::None => "",
    }
}

/// HMAC (RFC 2104) with SHA-256.
pub(crate) fn hmac_sha256(key: &[u8], message: &[&[u8]]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36));
    message.iter().for_each(|part| inner.update(part));
    let mut outer = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_as_in_rfc_4231() {
        let hex = |bytes: [u8; 32]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"])),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            // A key that fills the block is taken as it is.
            hex(hmac_sha256(&[0xaa; 64], &[b"A key that fills the block"])),
            "2d7ce6d4004a56e716ea45e6e4afe3d213ff771cf93c0f585ca302bb1305a296"
        );
        assert_eq!(
            hex(hmac_sha256(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"])),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_draw_is_the_decimal_as_written() {
        for (written, plain) in [
            ("0", "0.0"),
            ("0.0500", "0.05"),
            ("5e-2", "0.05"),
            ("0.05E+1", "0.5"),
            ("12.5e-2", "0.125"),
            ("0e9", "0.0"),
        ] {
            assert_eq!(written.parse::<Draw>().unwrap().to_string(), plain);
        }
        for bad in [
            "1", "1.0", "-0.1", "10e-1", ".5", "", "e", "0.5e", "\"0.5\"", "1e-2000", "0x1", "null", "0.x5",
            "0.5 ",
        ] {
            assert_eq!(bad.parse::<Draw>(), Err(NotADraw), "{bad:?}");
        }
        assert_eq!(format!("{:?}", "5e-2".parse::<Draw>().unwrap()), "0.05");
        // As a float this would be 0.3.
        let just_below: Draw = serde_json::from_str("0.29999999999999999999").unwrap();
        assert!(just_below.is_below(300));
        assert_eq!(serde_json::to_string(&just_below).unwrap(), "0.29999999999999999999");
        assert!(!"0.3".parse::<Draw>().unwrap().is_below(300));
    }

    /// A text from outside asks for no more memory than that, however it is written.
    #[test]
    fn a_draw_has_at_most_a_thousand_digits() {
        let nines = |count| format!("0.{}", "9".repeat(count));
        // The zero before the point is one of them.
        for most in [nines(999), "1e-1000".to_owned(), "25e-1000".to_owned()] {
            assert!(most.parse::<Draw>().is_ok(), "{most}");
        }
        for too_long in [nines(1000), nines(1001), "1e-1001".to_owned(), "25e-1001".to_owned()] {
            assert_eq!(too_long.parse::<Draw>(), Err(NotADraw), "{too_long}");
        }
    }

    #[test]
    fn small_and_great_numbers_are_multiplied_alike() {
        let draw = Draw::keyed(b"k-2026", "autumn", "call-1");
        for number in
            [0, 1, 1000, u128::from(u64::MAX / 10) - 1, u128::from(u64::MAX / 10), u128::from(u64::MAX)]
        {
            let long = |carried, digit: &u8| (u128::from(*digit) * number + carried) / 10;
            assert_eq!(draw.times(number), draw.0.iter().rev().fold(0, long), "{number}");
        }
    }

    #[test]
    fn a_keyed_draw_is_exact() {
        let draw = Draw::keyed(b"k-2026", "autumn", "call-1");
        assert_eq!(draw, Draw::keyed(b"k-2026", "autumn", "call-1"));
        assert_ne!(draw, Draw::keyed(b"k-2026", "autumn", "call-2"));
        assert!(draw.0.len() <= 64);
        assert_eq!(draw.to_string().parse::<Draw>().unwrap(), draw);
    }

    #[test]
    fn a_share_that_was_exceeded_is_seen() {
        let within = |calls, recorded| Count { calls, recorded }.within(200);
        // A fifth, rounded up.
        assert!(within(10, 2) && within(11, 3) && within(0, 0));
        assert!(!within(10, 3) && !within(11, 4) && !within(0, 1));
    }

    #[test]
    fn absurd_counters_draw_nothing_and_do_not_panic() {
        let most = Counters {
            total_calls: u64::MAX,
            total_recorded: 0,
            stratum_calls: u64::MAX,
            stratum_recorded: 0,
        };
        most.draws(1000, &Draw::zero());
        assert!(!Counters::default().draws(1000, &Draw::zero()));
        assert!(!most.draws(0, &Draw::zero()));
    }
}
