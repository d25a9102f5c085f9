//! Finding a telephone number by its end, however it came: `+33 1 99 00 12 34`, `0199001234` or `sip:0199001234@…`.
//!
//! A store keeps the digits of a number in reverse, so that its end is a prefix and an ordinary index finds it. What is
//! left out: whose number it is, and any rule of any country beyond the leading zeros.

use crate::words::is_e164;

/// A subscriber's number in full: `+` and 6 to 15 digits (ITU-T E.164). [`origin::subscriber`](crate::origin::subscriber)
/// makes one of a number as dialled.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct E164(String);

impl E164 {
    /// The number, if the text is one in this very form.
    pub fn parse(text: &str) -> Option<Self> {
        is_e164(text).then(|| Self(text.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Never the number: whoever wants it written says so with [`E164::as_str`].
impl std::fmt::Debug for E164 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("E164(…)")
    }
}

/// The digits of a number, last first; at most [`LONGEST`] of them.
pub fn reversed(number: &str) -> String {
    let digits = || number.chars().rev().filter(char::is_ascii_digit);
    // The host of a SIP address may hold digits that are nobody's number.
    match number.split_once('@') {
        Some((user, _)) => reversed(user),
        None => digits().take(LONGEST).collect(),
    }
}

/// A number as reports on telephone use may show it: without its last four digits (CNIL, standard NS-47, kept as good
/// practice). Of an address the user alone counts; one that has fewer is hidden whole.
pub fn masked(number: &str) -> String {
    let (user, rest) = match number.find('@') {
        Some(at) => number.split_at(at),
        None => (number, ""),
    };
    let counts = |c: &char| c.is_alphanumeric();
    let shown = user.chars().filter(counts).count().saturating_sub(HIDDEN);
    let mut seen = 0;
    let hide = |c: char| {
        seen += usize::from(counts(&c));
        if counts(&c) && seen > shown { '*' } else { c }
    };
    user.chars().map(hide).collect::<String>() + rest
}

/// So many digits of a private number are not shown.
const HIDDEN: usize = 4;

/// More digits than any number has (ITU-T E.164 has 15, and prefixes come on top).
pub const LONGEST: usize = 32;

/// A national number has at least so many digits: fewer in common do not make two numbers the same.
const NATIONAL: usize = 8;

/// The end of a number as somebody typed it.
///
/// It finds every number that ends with these digits. A whole number, one of 8 digits or more, finds the same number
/// in its other forms too: with the country's code or with the zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// A number found begins, in reverse, with one of these.
    pub prefixes: Vec<String>,
    /// Or is, in reverse, one of these.
    pub whole: Vec<String>,
}

impl Tail {
    /// Reads what was typed; what is not a digit is passed over. Without any digit it finds nothing.
    pub fn new(typed: &str) -> Self {
        let typed = reversed(typed);
        let bare = typed.trim_end_matches('0');
        let (mut prefixes, mut whole) = (Vec::new(), Vec::new());
        if bare.len() >= NATIONAL {
            prefixes.push(bare.to_owned());
            for end in NATIONAL..bare.len() {
                whole.push(bare[..end].to_owned());
                whole.push(format!("{}0", &bare[..end]));
            }
        } else if !typed.is_empty() {
            prefixes.push(typed);
        }
        Self { prefixes, whole }
    }

    /// Whether it finds this number, given as [`reversed`] digits.
    pub fn finds(&self, reversed: &str) -> bool {
        self.prefixes.iter().any(|prefix| reversed.starts_with(prefix))
            || self.whole.iter().any(|whole| whole == reversed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_in_whatever_form_it_came_and_is_asked_for() {
        let forms =
            ["+33199001234", "0033199001234", "0199001234", "33 1 99 00 12 34", "sip:0199001234@192.0.2.9"];
        for stored in forms {
            for typed in forms.into_iter().chain(["1234", "001234", "99001234"]) {
                assert!(Tail::new(typed).finds(&reversed(stored)), "{typed} finds {stored}");
            }
        }
    }

    #[test]
    fn the_last_four_digits_are_hidden_however_it_is_written() {
        for (number, shown) in [
            ("+33199001234", "+3319900****"),
            ("0199001234", "019900****"),
            ("33 1 99 00 12 34", "33 1 99 00 ** **"),
            ("sip:0199001234@192.0.2.9", "sip:019900****@192.0.2.9"),
            ("12345", "1****"),
            ("1234", "****"),
            ("+12", "+**"),
            ("jeanne", "je****"),
            ("", ""),
        ] {
            assert_eq!(masked(number), shown);
        }
    }

    #[test]
    fn other_numbers_are_not_found() {
        for (typed, stored) in [
            ("+33199001234", "2001234"),
            ("1234", "0199001235"),
            ("0034", "0199001134"),
            ("0199001234", "0199011234"),
            ("", "0199001234"),
            ("anonymous", "0199001234"),
            ("1", "anonymous"),
            ("٣", "٣"),
        ] {
            assert!(!Tail::new(typed).finds(&reversed(stored)), "{typed} does not find {stored}");
        }
    }
}
