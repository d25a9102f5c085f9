//! Which samples of a segment may be kept. Pure, and exact to the sample.

use jiff::{SignedDuration, Timestamp};
use temoin_core::segment::{Closing, Flag, Segment, TAIL};

/// A file may be so much shorter or longer than the time bridged.
pub const TOLERANCE: SignedDuration = SignedDuration::from_millis(100);

/// What is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// So many frames from the start.
    pub frames: u64,
    /// What the lengths tell.
    pub flags: Vec<Flag>,
}

/// Why nothing may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nothing {
    /// Nobody saw the recorder start, so nobody knows which sample is which moment.
    #[error("nobody knows when its audio began")]
    NoStart,
    /// It was shorter than what is cut off.
    #[error("nothing is left after the cut")]
    TooShort,
}

/// Audio starts at `closing.from`. Kept is what lies before `closing.until`; with `cut_tail`, 100 ms less, counted from
/// `until` AND from the end of the file: where the PBX lost time (both sides sent nothing), the file's end is
/// the later moment. Whether it is short is judged by the time bridged, from `segment.since` on: a recorder that began
/// late has missed words.
///
/// Without a start nothing can be placed: then nothing is kept, save where a law demands the recording; that one is
/// kept whole and flagged.
pub fn cut(segment: &Segment, closing: &Closing, frames: u64, rate: u32) -> Result<Cut, Nothing> {
    let Some(from) = closing.from else {
        let flags = vec![Flag::Unwatched];
        return if segment.mandatory { Ok(Cut { frames, flags }) } else { Err(Nothing::NoStart) };
    };
    let expected = frames_of(from, closing.until, rate);
    let bridged = frames_of(segment.since.min(from), closing.until, rate);
    let tolerance = frames_in(TOLERANCE, rate);
    let flags = if frames.saturating_add(tolerance) < bridged {
        vec![Flag::Short]
    } else if frames > expected + tolerance {
        vec![Flag::Long]
    } else {
        Vec::new()
    };
    let tail = if closing.cut_tail { frames_in(TAIL, rate) } else { 0 };
    match frames.min(expected).saturating_sub(tail) {
        0 => Err(Nothing::TooShort),
        frames => Ok(Cut { frames, flags }),
    }
}

/// Whole frames between two instants.
fn frames_of(from: Timestamp, until: Timestamp, rate: u32) -> u64 {
    frames_in(until.duration_since(from), rate)
}

pub fn frames_in(time: SignedDuration, rate: u32) -> u64 {
    let frames = time.as_nanos().max(0) * i128::from(rate) / 1_000_000_000;
    u64::try_from(frames).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use temoin_core::segment::{Deadlines, Ending};

    use super::*;

    const RATE: u32 = 8000;

    /// `until`, `cut_tail`, milliseconds in the file and kept, flags.
    type Case = (i64, bool, u64, Option<u64>, &'static [Flag]);

    #[test]
    fn nothing_is_kept_that_may_not_be() {
        let ms = |ms: u64| ms * 8;
        let cases: [Case; 14] = [
            (10_000, false, 10_000, Some(10_000), &[]),
            (10_000, false, 10_100, Some(10_000), &[]),
            (10_000, false, 10_101, Some(10_000), &[Flag::Long]),
            (10_000, false, 9_900, Some(9_900), &[]),
            (10_000, false, 9_899, Some(9_899), &[Flag::Short]),
            (10_000, true, 10_000, Some(9_900), &[]),
            (10_000, true, 10_050, Some(9_900), &[]),
            (10_000, true, 9_950, Some(9_850), &[]),
            (10_000, true, 4_096, Some(3_996), &[Flag::Short]),
            (10_000, true, 60_000, Some(9_900), &[Flag::Long]),
            (101, true, 101, Some(1), &[]),
            (100, true, 100, None, &[]),
            (10_000, true, 80, None, &[Flag::Short]),
            (-5, false, 1_000, None, &[Flag::Long]),
        ];
        for (until, cut_tail, file, kept, flags) in cases {
            let result = cut(&segment(0, true), &closing(Some(0), until, cut_tail), ms(file), RATE);
            let expected =
                kept.map(|kept| Cut { frames: ms(kept), flags: flags.to_vec() }).ok_or(Nothing::TooShort);
            assert_eq!(result, expected, "until {until}, cut {cut_tail}, {file} ms in the file");
        }
    }

    /// The recorder began at 0, and the people were bridged before, or were seen after it.
    #[test]
    fn what_was_said_before_the_recorder_ran_is_missed() {
        let cases: [(i64, u64, &[Flag]); 7] = [
            (0, 10_000, &[]),
            (-100, 10_000, &[]),
            (-101, 10_000, &[Flag::Short]),
            (-60, 9_960, &[]),
            (-60, 9_959, &[Flag::Short]),
            (-5_000, 10_000, &[Flag::Short]),
            (70, 10_000, &[]),
        ];
        for (since, file, flags) in cases {
            let cut = cut(&segment(since, false), &closing(Some(0), 10_000, false), file * 8, RATE);
            let expected = Cut { frames: file * 8, flags: flags.to_vec() };
            assert_eq!(cut, Ok(expected), "bridged at {since}, {file} ms in the file");
        }
    }

    #[test]
    fn without_a_start_only_a_mandatory_one_is_kept() {
        let closing = closing(None, 10_000, true);
        assert_eq!(cut(&segment(0, false), &closing, 800, RATE), Err(Nothing::NoStart));
        assert_eq!(
            cut(&segment(0, true), &closing, 800, RATE),
            Ok(Cut { frames: 800, flags: vec![Flag::Unwatched] })
        );
    }

    #[test]
    fn no_instants_overflow() {
        let all = Closing { from: Some(Timestamp::MIN), until: Timestamp::MAX, ..closing(None, 0, true) };
        let segment = Segment { since: Timestamp::MIN, ..segment(0, false) };
        assert_eq!(cut(&segment, &all, 8_000, 192_000), Err(Nothing::TooShort));
        assert!(cut(&segment, &all, 80_000, 192_000).is_ok());
    }

    fn segment(since: i64, mandatory: bool) -> Segment {
        Segment { since: at(since), mandatory, ..super::super::tests::house::segment(1) }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_793_600_000_000 + ms).expect("instant")
    }

    fn closing(from: Option<i64>, until: i64, cut_tail: bool) -> Closing {
        Closing {
            from: from.map(at),
            until: at(until),
            cut_tail,
            kept: vec!["proof".into()],
            ending: Ending::HungUp,
            flags: vec![],
            retention: Deadlines::default(),
        }
    }
}
