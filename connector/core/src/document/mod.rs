//! A TOML file as it is read: every value knows its path and its place, and every fault is collected.
//!
//! A [`Table`] hands out its keys; what nobody asked for is an unknown key when it is finished. A [`Node`] is read as
//! one type of value; anything else is a fault at its path. Readers return `None` for a value at fault and go on, so
//! that one look finds everything. What a value means is not known here.

mod path;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

pub(crate) use path::Path;
use path::Step;

use crate::finding::{Code, Finding, Findings};
use crate::spelling;
use crate::time::{Bound, Period, whole_local};
use crate::words::{Purpose, Territory, Word, is_e164, is_plain_name};

/// The largest file that is read. A policy for ten thousand agents has less than one megabyte.
const LARGEST: usize = 4 << 20;

/// Who misspells more keys of one table than this is not told what he meant by the others.
const MOST_GUESSED: usize = 100;

/// A file and what it holds.
pub(crate) struct Document<'a> {
    file: &'a str,
    text: &'a str,
    root: DeTable<'a>,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
}

impl<'a> Document<'a> {
    pub(crate) fn parse(file: &'a str, text: &'a str) -> Result<Self, Finding> {
        let unreadable = |at: Option<usize>, hint: String| {
            let (line, column) = at.map(|offset| place(text, &line_starts(text), offset)).unzip();
            Finding {
                file: file.to_owned(),
                path: String::new(),
                code: Code::Parse,
                line,
                column,
                hint,
                because: BTreeSet::new(),
            }
        };
        if text.len() > LARGEST {
            return Err(unreadable(None, format!("the file is larger than {} MiB", LARGEST >> 20)));
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        // Told as they are met, not as they stand.
        let first = errors.iter().min_by_key(|error| error.span().map_or(0, |span| span.start));
        if let Some(error) = first {
            let hint = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            return Err(unreadable(error.span().map(|span| span.start), format!("not TOML: {hint}")));
        }
        Ok(Self { file, text, root: table.into_inner(), lines: line_starts(text) })
    }

    /// The whole file, to be read.
    pub(crate) fn root<'d>(&'d self, findings: &'d Findings) -> Table<'d> {
        Table {
            document: self,
            findings,
            path: Path::default(),
            table: &self.root,
            asked: RefCell::default(),
        }
    }

    /// A fault at a path of this file: at the key itself, or at the nearest thing around it that exists.
    pub(crate) fn finding(&self, code: Code, path: &Path, hint: impl Into<String>) -> Finding {
        let (line, column) = place(self.text, &self.lines, self.offset(path));
        Finding {
            file: self.file.to_owned(),
            path: path.to_string(),
            code,
            line: Some(line),
            column: Some(column),
            hint: hint.into(),
            because: BTreeSet::new(),
        }
    }

    /// Whether something stands at a path.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.follow(path).1
    }

    fn offset(&self, path: &Path) -> usize {
        self.follow(path).0
    }

    /// The byte at which the last step of a path that exists begins, and whether that was the last of all.
    fn follow(&self, path: &Path) -> (usize, bool) {
        let mut offset = 0;
        let mut table = Some(&self.root);
        let mut array = None;
        for step in path.steps() {
            let value: &Spanned<DeValue<'_>> = match step {
                Step::Key(name) => match table.and_then(|t| t.get_key_value(&**name)) {
                    Some((key, value)) => {
                        offset = key.span().start;
                        value
                    }
                    None => return (offset, false),
                },
                Step::Index(index) => match array.and_then(|a: &toml::de::DeArray<'_>| a.get(*index)) {
                    Some(value) => {
                        offset = value.span().start;
                        value
                    }
                    None => return (offset, false),
                },
            };
            table = value.get_ref().as_table();
            array = value.get_ref().as_array();
        }
        (offset, true)
    }
}

/// The line and the column, both from 1, of a byte of a text.
fn place(text: &str, lines: &[usize], offset: usize) -> (u32, u32) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let line = lines.partition_point(|start| *start <= end);
    let start = line.checked_sub(1).and_then(|index| lines.get(index)).copied().unwrap_or(0);
    let column = text[start..end].chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// A table that is being read.
pub(crate) struct Table<'d> {
    document: &'d Document<'d>,
    findings: &'d Findings,
    path: Path,
    table: &'d DeTable<'d>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'d> Table<'d> {
    /// The value of a key, if it is there.
    pub(crate) fn optional(&self, key: &'static str) -> Option<Node<'d>> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key).map(|value| self.node(key, value))
    }

    /// The value of a key; a fault if it is not there.
    pub(crate) fn required(&self, key: &'static str) -> Option<Node<'d>> {
        let node = self.optional(key);
        if node.is_none() {
            self.fault(Code::MissingKey, &(&self.path / key), format!("add the key `{key}`"));
        }
        node
    }

    /// All keys of a table whose keys are names, in the order of the file. An empty name is a fault.
    pub(crate) fn entries(&self) -> Vec<(&'d str, Node<'d>)> {
        let mut entries: Vec<(&Spanned<DeString<'_>>, _)> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let named =
            entries.into_iter().map(|(key, value)| (&**key.get_ref(), self.node(key.get_ref(), value)));
        named
            .filter(|(name, node)| {
                if name.is_empty() {
                    node.bad::<()>("give it a name");
                }
                !name.is_empty()
            })
            .collect()
    }

    /// Every key that nobody asked for is a fault.
    pub(crate) fn finish(self) {
        const SCREEN: [&str; 5] =
            ["screen_capture", "screenshot", "screenshots", "screen_recording", "screen_video"];
        let asked = self.asked.borrow();
        let unknown = self.table.keys().map(|key| &**key.get_ref()).filter(|key| !asked.contains(key));
        for (index, key) in unknown.enumerate() {
            let path = &self.path / key;
            if SCREEN.contains(&key) {
                self.fault(Code::ScreenCapture, &path, "screens are never recorded: remove the key");
            } else {
                let known = asked.iter().copied();
                let hint = || spelling::hint("no such key", key, known);
                self.fault(
                    Code::UnknownKey,
                    &path,
                    if index < MOST_GUESSED { hint() } else { "no such key".into() },
                );
            }
        }
    }

    fn node(&self, key: &str, value: &'d Spanned<DeValue<'d>>) -> Node<'d> {
        Node {
            document: self.document,
            findings: self.findings,
            path: &self.path / key,
            value: value.get_ref(),
        }
    }

    fn fault(&self, code: Code, path: &Path, hint: impl Into<String>) {
        self.findings.add(self.document.finding(code, path, hint));
    }
}

/// A value that is being read.
pub(crate) struct Node<'d> {
    document: &'d Document<'d>,
    findings: &'d Findings,
    path: Path,
    value: &'d DeValue<'d>,
}

impl<'d> Node<'d> {
    /// Reports the value as bad, and is `None`.
    pub(crate) fn bad<T>(&self, hint: impl Into<String>) -> Option<T> {
        self.findings.add(self.document.finding(Code::BadValue, &self.path, hint));
        None
    }

    fn or_bad<T>(&self, value: Option<T>, hint: &str) -> Option<T> {
        if value.is_some() { value } else { self.bad(hint) }
    }

    /// A text that may be empty.
    pub(crate) fn any_text(&self) -> Option<&'d str> {
        self.or_bad(self.value.as_str(), "write a text in quotes")
    }

    /// A text that is not empty.
    pub(crate) fn text(&self) -> Option<&'d str> {
        let text = self.any_text()?;
        self.or_bad((!text.is_empty()).then_some(text), "the text is empty")
    }

    /// A text that says something: not only blanks.
    pub(crate) fn telling_text(&self) -> Option<&'d str> {
        let text = self.any_text()?;
        self.or_bad((!text.trim().is_empty()).then_some(text), "the text is blank")
    }

    /// A text that becomes a name others refer to.
    pub(crate) fn name(&self) -> Option<Arc<str>> {
        self.text().map(Arc::from)
    }

    /// The id of a pack.
    pub(crate) fn pack_id(&self) -> Option<Arc<str>> {
        let id = self.text()?;
        self.or_bad(is_plain_name(id).then(|| id.into()), "ids have lower-case letters, digits and hyphens")
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        self.or_bad(self.value.as_bool(), "write true or false")
    }

    pub(crate) fn whole(&self, range: RangeInclusive<u16>) -> Option<u16> {
        let value =
            self.value.as_integer().and_then(|i| u16::from_str_radix(plain_digits(i)?, i.radix()).ok());
        let hint = || format!("write a whole number from {} to {}", range.start(), range.end());
        value.filter(|v| range.contains(v)).or_else(|| self.bad(hint()))
    }

    pub(crate) fn date(&self) -> Option<Date> {
        let date = match self.bound_or_none() {
            Some(Bound::Day(date)) => Some(date),
            _ => None,
        };
        self.or_bad(date, "write a date without quotes, such as 2026-11-21")
    }

    pub(crate) fn bound(&self) -> Option<Bound> {
        self.or_bad(
            self.bound_or_none(),
            "write a local date or date-time without quotes, such as 2026-11-21 or 2026-11-21T09:00:00",
        )
    }

    fn bound_or_none(&self) -> Option<Bound> {
        let value = self.value.as_datetime()?;
        if value.offset.is_some() {
            return None;
        }
        let date = value.date?;
        let small = |n: u8| i8::try_from(n).ok();
        let date = Date::new(i16::try_from(date.year).ok()?, small(date.month)?, small(date.day)?).ok()?;
        match value.time {
            None => Some(Bound::Day(date)),
            Some(time) => {
                let second = small(time.second.unwrap_or(0))?.min(59);
                let time = jiff::civil::Time::new(small(time.hour)?, small(time.minute)?, second, 0).ok()?;
                Some(Bound::Moment(whole_local(DateTime::from_parts(date, time))))
            }
        }
    }

    pub(crate) fn period(&self) -> Option<Period> {
        let period = self.any_text()?.parse().ok();
        self.or_bad(period, "write a whole number and a unit, such as \"6 months\", at most 100 years")
    }

    pub(crate) fn zone(&self) -> Option<crate::time::Zone> {
        let zone = crate::time::Zone::named(self.any_text()?);
        self.or_bad(zone, "write the IANA name of a time zone, such as \"Europe/Paris\"")
    }

    pub(crate) fn purpose(&self) -> Option<Purpose> {
        let text = self.any_text()?;
        Purpose::parse(text).or_else(|| self.no_such_purpose(text))
    }

    /// Reports a name that is no purpose's.
    pub(crate) fn no_such_purpose<T>(&self, name: &str) -> Option<T> {
        let hint = spelling::hint("no such purpose", name, Purpose::KNOWN);
        self.bad(format!("{hint} (one of your own begins with x-)"))
    }

    pub(crate) fn territory(&self) -> Option<Territory> {
        let territory = Territory::parse(self.any_text()?);
        self.or_bad(territory, "write a territory as ISO 3166 does, such as \"FR\" or \"US-CA\"")
    }

    /// A language, with a country or without: `fr`, `fr-BE`.
    pub(crate) fn language(&self) -> Option<Arc<str>> {
        let language = self.any_text()?;
        self.or_bad(
            is_language(language).then(|| language.into()),
            "write a language, such as \"fr\" or \"fr-BE\"",
        )
    }

    /// A telephone number in E.164 form.
    pub(crate) fn number(&self) -> Option<Arc<str>> {
        let number = self.any_text()?;
        self.or_bad(is_e164(number).then(|| number.into()), "write + and 6 to 15 digits, without spaces")
    }

    /// One word of a closed list.
    pub(crate) fn word<W: Word>(&self) -> Option<W> {
        let word = self.any_text()?;
        W::parse(word).or_else(|| {
            let all = || W::ALL.iter().map(|w| w.as_str());
            match spelling::meant(word, all()) {
                Some(meant) => self.bad(format!("no such word; did you mean `{meant}`?")),
                None => self.bad(format!("write one of: {}", all().collect::<Vec<_>>().join(", "))),
            }
        })
    }

    /// An array, each item read by `read`. Items at fault are left out.
    pub(crate) fn list<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        let array = self.or_bad(self.value.as_array(), "write a list in brackets")?;
        let items = array.iter().enumerate().map(|(index, item)| Self {
            document: self.document,
            findings: self.findings,
            path: &self.path / index,
            value: item.get_ref(),
        });
        Some(items.filter_map(|item| read(&item)).collect())
    }

    /// As [`Self::list`]; an empty array is a fault.
    pub(crate) fn filled_list<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        if self.value.as_array().is_some_and(|array| array.is_empty()) {
            return self.bad("the list is empty");
        }
        self.list(read)
    }

    pub(crate) fn table(&self) -> Option<Table<'d>> {
        let table = self.or_bad(self.value.as_table(), "write a table")?;
        Some(Table {
            document: self.document,
            findings: self.findings,
            path: self.path.clone(),
            table,
            asked: RefCell::default(),
        })
    }
}

pub(crate) fn is_language(text: &str) -> bool {
    let (language, country) = text.split_once('-').map_or((text, None), |(l, c)| (l, Some(c)));
    language.len() == 2
        && language.bytes().all(|b| b.is_ascii_lowercase())
        && country.is_none_or(|c| c.len() == 2 && c.bytes().all(|b| b.is_ascii_uppercase()))
}

/// The digits of an integer without a plus sign; `None` for a negative one.
fn plain_digits<'i>(integer: &'i toml::de::DeInteger<'_>) -> Option<&'i str> {
    let digits = integer.as_str();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    (!digits.starts_with('-') || digits.trim_start_matches(['-', '0']).is_empty())
        .then_some(digits)
        .map(|d| d.strip_prefix('-').unwrap_or(d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_the_line_of_its_key_or_of_what_is_around_it() {
        let text = "a = 1\n[t]\n  b = [1, 2]\n";
        let document = Document::parse("f.toml", text).unwrap();
        let at = |path: Path| {
            let finding = document.finding(Code::BadValue, &path, "");
            (finding.line.unwrap(), finding.column.unwrap())
        };
        assert_eq!(at(Path::of("t") / "b"), (3, 3));
        assert_eq!(at(Path::of("t") / "b" / 1), (3, 11));
        assert_eq!(at(Path::of("t") / "missing" / "deeper"), (2, 2));
        assert_eq!(at(Path::default()), (1, 1));
    }

    #[test]
    fn unknown_keys_are_faults_and_screens_are_never_recorded() {
        let document = Document::parse("f.toml", "gates = 1\nscreenshot = true").unwrap();
        let findings = Findings::default();
        let table = document.root(&findings);
        table.optional("gate");
        table.finish();
        let found = findings.sorted();
        assert_eq!(found.iter().map(|f| f.code).collect::<Vec<_>>(), [Code::UnknownKey, Code::ScreenCapture]);
        assert!(found[0].hint.contains("did you mean `gate`"), "{}", found[0].hint);
    }

    #[test]
    fn whole_numbers_are_read_as_toml_writes_them() {
        let text = "a = [300, 0x12c, 3_00, +300, -0, 301, -1, 3e2, 300.0, \"300\"]";
        let document = Document::parse("f.toml", text).unwrap();
        let findings = Findings::default();
        let read = document.root(&findings).required("a").and_then(|n| n.list(|item| item.whole(0..=300)));
        assert_eq!(read, Some(vec![300, 300, 300, 300, 0]));
        assert_eq!(findings.count(), 5);
    }

    #[test]
    fn what_is_no_toml_or_too_large_is_one_fault() {
        assert_eq!(Document::parse("f", "a = [1").err().unwrap().line, Some(1));
        let several = "a = 1\nb = \"x\nc = y\n[t\n";
        assert_eq!(Document::parse("f", several).err().unwrap().line, Some(2), "the first in the file");
        let large = "#".repeat(LARGEST + 1);
        assert_eq!(Document::parse("f", &large).err().unwrap().code, Code::Parse);
    }
}
