//! All faults of a TOML file at once. A reader stops at the first fault; so the first is told and mended as well as can
//! be guessed, in memory alone, and the file is read again, until nothing more is found.

use std::ops::Range;

use serde::de::DeserializeOwned;
use temoin_core::finding::Code;
use temoin_core::spelling;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use crate::fault::Fault;

/// A file with more faults than this is told of so many.
const MOST: usize = 100;
/// Beyond every file: where the spans of values that are not in the file begin.
const BEYOND: usize = usize::MAX / 2;
/// What stands in for a value that is missing or wrong, one after the other, until one is taken.
const STAND_INS: [&str; 6] = ["''", "{}", "0", "false", "'1s'", "[]"];

/// Reads a file that had a fault; tells all of them, and what it says where that can be told. A key that is missing is
/// no fault where `given` says that it is given elsewhere.
pub fn read<T: DeserializeOwned>(
    file: &str,
    text: &str,
    given: impl Fn(&str) -> Option<String>,
) -> (Option<T>, Vec<Fault>) {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let fault = |code, hint: String| Fault::of(file, code, hint).barring();
    if !errors.is_empty() {
        let unread = |error: &Error| {
            let place = error.span().map(|span| place(text, span.start));
            fault(Code::Parse, format!("not TOML: {}", error.message())).at("", place)
        };
        return (None, errors.iter().map(unread).collect());
    }
    let mut mender =
        Mender { file, text, tree, stand_ins: Vec::new(), hopeless: Vec::new(), faults: Vec::new() };
    // Every turn tells a fault or tries the next thing that may stand in: both come to an end.
    for _ in 0..MOST * STAND_INS.len() {
        match T::deserialize(Deserializer::from(mender.tree.clone())) {
            Ok(read) => return (Some(read), mender.faults),
            Err(error) if mender.mend(&error, &given) => {}
            Err(_) => break,
        }
    }
    (None, mender.faults)
}

/// Where a key stands, from 1; none where it does not.
pub fn locate(text: &str, keys: &[&str]) -> Option<(u32, u32)> {
    let tree = DeTable::parse(text).ok()?.into_inner();
    let (last, tables) = keys.split_last()?;
    let table = tables.iter().try_fold(&tree, |table, key| table.get(*key)?.get_ref().as_table())?;
    let (key, _) = table.get_key_value(*last)?;
    Some(place(text, key.span().start))
}

struct Mender<'t> {
    file: &'t str,
    text: &'t str,
    tree: Spanned<DeTable<'t>>,
    /// Which stand-in is at `BEYOND + index`.
    stand_ins: Vec<usize>,
    /// For which nothing stands in.
    hopeless: Vec<Keys>,
    faults: Vec<Fault>,
}

/// Where in the tree something is: the keys that lead there.
type Keys = Vec<String>;

impl<'t> Mender<'t> {
    /// Tells the fault and mends it; false where that cannot be done.
    fn mend(&mut self, error: &Error, given: &impl Fn(&str) -> Option<String>) -> bool {
        let span = error.span().unwrap_or_else(|| self.tree.span());
        if let Some(missing) = between(error.message(), "missing field `", "`") {
            let mut keys = find(self.tree.get_ref(), &span, Vec::new()).unwrap_or_default();
            keys.push(missing.to_owned());
            return self.add(keys, span, given);
        }
        let Some(keys) = find(self.tree.get_ref(), &span, Vec::new()) else {
            self.tell(Code::BadValue, &[], &span, error.message().to_owned());
            return false;
        };
        if let Some(stand_in) = span.start.checked_sub(BEYOND) {
            return self.change(&keys, stand_in, error.message());
        }
        if error.message().starts_with("unknown field ") {
            return self.unknown(&keys, &span, error.message());
        }
        let secret = keys.last().is_some_and(|key| matches!(key.as_str(), "secret" | "password"));
        let what = if secret { "expected a string" } else { error.message().trim_end() };
        self.tell(Code::BadValue, &keys, &span, what.replace('\n', ": "));
        self.stand_in(&keys)
    }

    fn add(&mut self, keys: Keys, span: Range<usize>, given: &impl Fn(&str) -> Option<String>) -> bool {
        if self.hopeless.contains(&keys) {
            return false;
        }
        match given(&keys.join(".")) {
            Some(_) => {}
            // What is missing in a table that is itself missing is told with it.
            None if span.start >= BEYOND => {}
            None => {
                let hint = "must be there; add it".to_owned();
                self.tell(Code::MissingKey, &keys, &span, hint);
            }
        }
        self.stand_in(&keys)
    }

    /// A key that is not known is taken as the nearest that is, or away.
    fn unknown(&mut self, keys: &[String], span: &Range<usize>, message: &str) -> bool {
        let Some((key, tables)) = keys.split_last() else {
            return false;
        };
        let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        let nearest = spelling::meant(key, known.iter().copied());
        let hint = match nearest {
            Some(nearest) => format!("no such key; did you mean `{nearest}`?"),
            None if known.is_empty() => "no such key; take it away".to_owned(),
            None => format!("no such key; there are {}", known.join(", ")),
        };
        self.tell(Code::UnknownKey, keys, span, hint);
        let Some(table) = self.table(tables) else {
            return false;
        };
        let Some(value) = table.remove(key.as_str()) else {
            return false;
        };
        if let Some(nearest) = nearest.filter(|nearest| !table.contains_key(*nearest)) {
            table.insert(Spanned::new(span.clone(), nearest.to_owned().into()), value);
        }
        true
    }

    fn stand_in(&mut self, keys: &[String]) -> bool {
        self.stand_ins.push(0);
        let index = self.stand_ins.len() - 1;
        self.put(keys, index)
    }

    fn change(&mut self, keys: &[String], index: usize, message: &str) -> bool {
        let Some(which) = self.stand_ins.get_mut(index) else {
            return false;
        };
        // Where only some words will do, the reader says which.
        if message.starts_with("unknown variant") && *which < STAND_INS.len() {
            *which = STAND_INS.len();
            let word = message.split('`').nth(3).unwrap_or_default().to_owned();
            return self.set(keys, index, DeValue::String(word.into()));
        }
        *which += 1;
        self.put(keys, index)
    }

    /// Puts the stand-in where it belongs; where none is taken, the key goes.
    fn put(&mut self, keys: &[String], index: usize) -> bool {
        let value = self.stand_ins.get(index).and_then(|which| STAND_INS.get(*which));
        if let Some(value) = value.and_then(|text| DeValue::parse(text).ok()) {
            return self.set(keys, index, value.into_inner());
        }
        self.hopeless.push(keys.to_vec());
        let Some((key, tables)) = keys.split_last() else {
            return false;
        };
        self.table(tables).is_some_and(|table| table.remove(key.as_str()).is_some())
    }

    fn set(&mut self, keys: &[String], index: usize, value: DeValue<'t>) -> bool {
        let at = BEYOND + index..BEYOND + index;
        let Some((key, tables)) = keys.split_last() else {
            return false;
        };
        let Some(table) = self.table(tables) else {
            return false;
        };
        let name = table.remove_entry(key.as_str()).map(|(name, _)| name);
        let name = name.unwrap_or_else(|| Spanned::new(at.clone(), key.clone().into()));
        table.insert(name, Spanned::new(at, value));
        true
    }

    fn table(&mut self, keys: &[String]) -> Option<&mut DeTable<'t>> {
        keys.iter().try_fold(self.tree.get_mut(), |table, key| match table.get_mut(key.as_str())?.get_mut() {
            DeValue::Table(table) => Some(table),
            _ => None,
        })
    }

    fn tell(&mut self, code: Code, keys: &[String], span: &Range<usize>, hint: String) {
        let place = (span.start < BEYOND).then(|| place(self.text, span.start));
        self.faults.push(Fault::of(self.file, code, hint).at(keys.join("."), place).barring());
    }
}

/// The keys that lead to what lies at this span: a key or its value, the deepest first.
fn find(table: &DeTable<'_>, span: &Range<usize>, at: Keys) -> Option<Keys> {
    table.iter().find_map(|(key, value)| {
        let mut keys = at.clone();
        keys.push(key.get_ref().to_string());
        let here = key.span() == *span || value.span() == *span;
        let deeper = value.get_ref().as_table().and_then(|table| find(table, span, keys.clone()));
        deeper.or_else(|| here.then_some(keys))
    })
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.strip_prefix(before)?.split(after).next()
}

/// The line and the column of a byte, from 1.
pub(crate) fn place(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
    (number(before.matches('\n').count()), number(before[start..].chars().count()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct House {
        name: String,
        door: Door,
        #[serde(default)]
        rooms: BTreeMap<String, Room>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Door {
        colour: Colour,
        height: u16,
        secret: String,
        #[serde(with = "humantime_serde")]
        closes: Duration,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Colour {
        Red,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Room {
        #[serde(default)]
        beds: u8,
    }

    fn faults(text: &str) -> Vec<String> {
        let (_, faults) = read::<House>("f", text, |_| None);
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_file_has_none() {
        let text = "name = 'a'\n[door]\ncolour = 'red'\nheight = 2\nsecret = 's'\ncloses = '1s'\n";
        let (house, faults) = read::<House>("f", text, |_| None);
        assert!(house.is_some() && faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let text = "[door]\ncolor = 'red'\nheight = 'tall'\nsecret = 12345678\ncloses = 'soon'\n\
                    [rooms.north]\nbeds = -1\nwindow = 2\n[rooms.south]\nbedz = 2\n";
        let told = faults(text);
        for wanted in [
            "f:2:1: E-UNKNOWN-KEY door.color: no such key; did you mean `colour`?",
            "f:3:10: E-BAD-VALUE door.height: invalid type: string \"tall\", expected u16",
            "f:4:10: E-BAD-VALUE door.secret: expected a string",
            "f:5:10: E-BAD-VALUE door.closes: ",
            "f:7:8: E-BAD-VALUE rooms.north.beds: ",
            "f:8:1: E-UNKNOWN-KEY rooms.north.window: no such key; there are beds",
            "f:10:1: E-UNKNOWN-KEY rooms.south.bedz: no such key; did you mean `beds`?",
            "E-MISSING-KEY name: must be there",
        ] {
            assert!(told.iter().any(|fault| fault.contains(wanted)), "{wanted}: {told:#?}");
        }
        assert_eq!(told.len(), 8, "{told:#?}");
        assert!(!told.concat().contains("12345678"), "a secret is not told");
    }

    #[test]
    fn what_is_missing_in_a_missing_table_is_told_once() {
        let told = faults("name = 'a'\n");
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].contains("E-MISSING-KEY door"), "{told:#?}");
    }

    #[test]
    fn what_is_given_elsewhere_is_not_missing() {
        let text = "[door]\ncolour = 'red'\nheight = 2\nsecret = 's'\ncloses = '1s'\n";
        let (house, faults) = read::<House>("f", text, |key| (key == "name").then(String::new));
        assert!(house.is_some() && faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_place() {
        let told = faults("name = \n[door\n");
        assert!(told.iter().any(|fault| fault.starts_with("f:2:")), "{told:#?}");
        assert!(told.iter().all(|fault| fault.contains("E-PARSE")), "{told:#?}");
    }

    #[test]
    fn any_bytes_are_read_without_a_fall() {
        for text in
            ["", "\u{0}", "[[door]]", "door = [1]", "rooms = 'x'", "a.b.c = 1", "=", "é = 1\n[door]\né.é=2"]
        {
            assert!(!faults(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn a_key_is_found_where_it_stands() {
        let text = "a = 1\n[lines.north]\nx = 1\n[lines]\n  south = { x = 1 }\n";
        assert_eq!(locate(text, &["lines", "north"]), Some((2, 8)));
        assert_eq!(locate(text, &["lines", "south"]), Some((5, 3)));
        assert_eq!(locate(text, &["lines", "west"]), None);
        assert_eq!(locate("not toml", &["a"]), None);
    }
}
