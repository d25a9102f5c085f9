//! Where a text is no TOML: every place, and what the rest of it says. A parser stops at the first, and a day that does
//! not exist would hide nine other faults.

use temoin_core::finding::Code;
use toml::de::DeTable;

use crate::fault::Fault;
use crate::reading::place;

/// A text with more places than this is told of so many.
const MOST: usize = 100;
/// Stands in for a day that does not exist.
const SOME_DAY: &str = "2000-01-01";

/// All places, in the order of the file: one a line, as one slip is often met again and again behind it.
pub fn faults(file: &str, text: &str) -> Vec<Fault> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let mut faults: Vec<Fault> = errors
        .iter()
        .map(|error| {
            let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            let place = error.span().map(|span| place(text, span.start));
            Fault::of(file, Code::Parse, format!("not TOML: {message}")).at("", place).barring()
        })
        .collect();
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults.dedup_by_key(|fault| fault.line);
    faults.truncate(MOST);
    faults
}

/// The text with days that exist, where days that do not are all that is wrong with it: what else it says can then be
/// looked at. Every place in it is where it was.
pub fn with_days(text: &str) -> Option<String> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let mut mended = text.to_owned();
    for error in &errors {
        let span = error.span()?;
        let is_day = |day: &str| {
            day.len() >= SOME_DAY.len()
                && day.starts_with(|c: char| c.is_ascii_digit())
                && day.bytes().all(|b| b.is_ascii_digit() || b"-:.TtZz+ ".contains(&b))
        };
        let day = text.get(span.clone()).filter(|day| is_day(day))?;
        mended.replace_range(span, &format!("{SOME_DAY:<width$}", width = day.len()));
    }
    (!errors.is_empty() && DeTable::parse(&mended).is_ok()).then_some(mended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<u32> {
        faults("f", text).iter().filter_map(|fault| fault.line).collect()
    }

    #[test]
    fn every_place_is_told_in_the_order_of_the_file() {
        assert_eq!(lines("a = 1\nb = \"x\nc = y\nd = 2\n[t\ne = 1\ne = 2\n"), [2, 3, 5]);
        assert_eq!(lines("a = 1\n"), [0; 0]);
        assert_eq!(lines("\u{0}"), [1]);
        assert!(lines(&"= 1\n".repeat(5000)).len() <= MOST);
    }

    #[test]
    fn days_that_do_not_exist_hide_nothing() {
        let text = "a = 2026-02-30\nb = { c = 2026-13-01T25:00:00, d = 99999-01-01 }\ne = 1\n";
        let mended = with_days(text).expect("only days are wrong");
        assert_eq!(mended, "a = 2000-01-01\nb = { c = 2000-01-01         , d = 2000-01-01  }\ne = 1\n");
        assert_eq!(lines(text), [1, 2]);
        for other in ["a = 1\n", "a = 2026-02-30\nb = \"x\n", "a = 1.2.3.4.5.6\n", "a = 2026-02-30\na = 1\n"]
        {
            assert_eq!(with_days(other), None, "{other}");
        }
    }
}
