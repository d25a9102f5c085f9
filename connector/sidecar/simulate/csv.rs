//! Lines of comma-separated values as PBXs write them: quoted or not, quotes doubled or (FreeSWITCH) simply left in, a
//! line break inside quotes, CRLF, any bytes. One record is in memory at a time, and none is longer than `LONGEST`.

use std::io::{self, BufRead, Read as _};
use std::ops::Range;

/// A record with more bytes is not read.
const LONGEST: usize = 64 * 1024;
/// Nor one with more fields,
const MOST_FIELDS: usize = 64;
/// nor one that goes on over more lines.
const MOST_LINES: u64 = 16;

/// A stream of records.
pub struct Records<R> {
    from: R,
    /// The record, as it stands in the file, without its line end.
    text: Vec<u8>,
    fields: Vec<Range<usize>>,
    /// A line that was read to see whether the one before goes on in it.
    ahead: Option<Vec<u8>>,
    line: u64,
    bytes: u64,
}

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A record, which begins in this line.
    Record(u64),
    /// Something that is none, in this line, and why.
    Unreadable(u64, &'static str),
    /// Nothing.
    End,
}

impl<R: BufRead> Records<R> {
    /// Reads from the beginning of a file.
    pub fn new(from: R) -> Self {
        Self { from, text: Vec::new(), fields: Vec::new(), ahead: None, line: 0, bytes: 0 }
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The fields of the record that was read last, quotes around them taken away.
    pub fn fields(&self) -> Fields<'_> {
        Fields { text: &self.text, fields: &self.fields }
    }

    /// Reads the next record. Empty lines are passed over.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub fn read(&mut self) -> io::Result<Next> {
        loop {
            match self.read_line()? {
                Line::End => return Ok(Next::End),
                Line::TooLong => return Ok(Next::Unreadable(self.line, "the line is longer than 64 KiB")),
                Line::Whole if self.text.is_empty() => {}
                Line::Whole => break,
            }
        }
        let line = self.line;
        loop {
            match split(&self.text, &mut self.fields) {
                Shape::Whole => return Ok(Next::Record(line)),
                Shape::TooMany => return Ok(Next::Unreadable(line, "more than 64 fields")),
                Shape::Open => {}
            }
            // A line break inside quotes, or a quote too many: the next line tells.
            let begun = std::mem::take(&mut self.text);
            let next = self.read_line()?;
            let stands_alone = matches!(split(&self.text, &mut self.fields), Shape::Whole)
                && self.text.first() == Some(&b'"');
            let goes_on = matches!(next, Line::Whole)
                && !stands_alone
                && begun.len() + self.text.len() < LONGEST
                && self.line - line < MOST_LINES;
            if !goes_on {
                match next {
                    Line::Whole => {
                        self.ahead = Some(std::mem::take(&mut self.text));
                        self.line -= 1;
                    }
                    Line::TooLong | Line::End => {}
                }
                return Ok(Next::Unreadable(line, "a quote is not closed"));
            }
            let rest = std::mem::replace(&mut self.text, begun);
            self.text.push(b'\n');
            self.text.extend_from_slice(&rest);
        }
    }

    fn read_line(&mut self) -> io::Result<Line> {
        self.text.clear();
        if let Some(ahead) = self.ahead.take() {
            self.text = ahead;
            self.line += 1;
            return Ok(Line::Whole);
        }
        let read = (&mut self.from).take(LONGEST as u64).read_until(b'\n', &mut self.text)?;
        if read == 0 {
            return Ok(Line::End);
        }
        self.line += 1;
        self.bytes += read as u64;
        if self.text.last() == Some(&b'\n') {
            self.text.pop();
            if self.text.last() == Some(&b'\r') {
                self.text.pop();
            }
        } else if read == LONGEST {
            self.skip_line()?;
            return Ok(Line::TooLong);
        }
        Ok(Line::Whole)
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.from.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |end| end + 1);
            let over = end.is_some() || used == 0;
            self.from.consume(used);
            self.bytes += used as u64;
            if over {
                return Ok(());
            }
        }
    }
}

enum Line {
    Whole,
    TooLong,
    End,
}

/// The fields of one record.
#[derive(Clone, Copy)]
pub struct Fields<'r> {
    text: &'r [u8],
    fields: &'r [Range<usize>],
}

impl<'r> Fields<'r> {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.fields.len()
    }

    /// A field from 0, a doubled quote in it still doubled; empty where there is none.
    pub fn at(&self, index: usize) -> &'r [u8] {
        self.fields.get(index).map_or(&[], |range| &self.text[range.clone()])
    }
}

enum Shape {
    Whole,
    /// The text ends inside quotes.
    Open,
    TooMany,
}

fn split(text: &[u8], fields: &mut Vec<Range<usize>>) -> Shape {
    fields.clear();
    let mut at = 0;
    loop {
        if fields.len() == MOST_FIELDS {
            return Shape::TooMany;
        }
        let end = if text.get(at) == Some(&b'"') {
            at += 1;
            let Some(end) = closing_quote(text, at) else { return Shape::Open };
            fields.push(at..end);
            end + 1
        } else {
            let end = text[at..].iter().position(|byte| *byte == b',').map_or(text.len(), |comma| at + comma);
            fields.push(at..end);
            end
        };
        if end >= text.len() {
            return Shape::Whole;
        }
        at = end + 1;
    }
}

/// Where the quote is that closes a field: one before a comma or the end. Doubled ones, and those that stand anywhere
/// else, belong to the field.
fn closing_quote(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += text[at..].iter().position(|byte| *byte == b'"')?;
        match text.get(at + 1) {
            None | Some(b',') => return Some(at),
            Some(b'"') => at += 2,
            Some(_) => at += 1,
        }
        if at > text.len() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every record as its fields, every unreadable line as its number and reason.
    fn read(text: &[u8]) -> Vec<String> {
        let mut records = Records::new(text);
        let mut seen = Vec::new();
        loop {
            match records.read().expect("memory can be read") {
                Next::End => return seen,
                Next::Unreadable(line, why) => seen.push(format!("{line}: {why}")),
                Next::Record(line) => {
                    let fields = records.fields();
                    let of = |index| String::from_utf8_lossy(fields.at(index)).into_owned();
                    seen.push(format!("{line}: {:?}", (0..fields.count()).map(of).collect::<Vec<_>>()));
                }
            }
        }
    }

    #[test]
    fn quotes_commas_line_breaks_and_what_pbxs_make_of_them() {
        assert_eq!(read(b"a,b\r\n\n\"c\",\"d,e\"\n"), [r#"1: ["a", "b"]"#, r#"3: ["c", "d,e"]"#]);
        assert_eq!(read(b"a,,\n,\n"), [r#"1: ["a", "", ""]"#, r#"2: ["", ""]"#]);
        assert_eq!(read(br#""say ""hi""","x""#), [r#"1: ["say \"\"hi\"\"", "x"]"#]);
        assert_eq!(read(br#""Jo "the" Man","x""#), [r#"1: ["Jo \"the\" Man", "x"]"#]);
        assert_eq!(read(b"\"one\ntwo\",x\n\"y\",z\n"), [r#"1: ["one\ntwo", "x"]"#, r#"3: ["y", "z"]"#]);
        assert_eq!(read(b"\"a\0b\",\"\xff\"\n"), ["1: [\"a\\0b\", \"\u{fffd}\"]"]);
    }

    #[test]
    fn a_quote_that_is_not_closed_costs_its_own_line() {
        assert_eq!(
            read(b"\"broken,x\n\"good\",\"y\"\n"),
            ["1: a quote is not closed", r#"2: ["good", "y"]"#]
        );
        assert_eq!(read(b"\"broken"), ["1: a quote is not closed"]);
        let endless = [b"\"".as_slice(), &b"x\n".repeat(40)].concat();
        let seen = read(&endless);
        assert_eq!(seen[0], "1: a quote is not closed");
        assert_eq!(seen.last().map(String::as_str), Some(r#"40: ["x"]"#));
    }

    #[test]
    fn what_is_too_long_is_told_and_passed_over() {
        let long = [vec![b'x'; 3 * LONGEST], b"\na,b\n".to_vec()].concat();
        assert_eq!(read(&long), ["1: the line is longer than 64 KiB", r#"2: ["a", "b"]"#]);
        let many = [b",".repeat(100), b"\na,b\n".to_vec()].concat();
        assert_eq!(read(&many), ["1: more than 64 fields", r#"2: ["a", "b"]"#]);
    }
}
