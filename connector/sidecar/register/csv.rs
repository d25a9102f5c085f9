//! Lines of values with commas, semicolons or tabs between them, quoted or not, quotes doubled: as spreadsheets write
//! them. One line is in memory at a time. Left out: a line break inside quotes; such a line is told of as unreadable.

use std::io::{self, BufRead, Read as _};

/// A line with more bytes is not read.
const LONGEST: u64 = 64 * 1024;

/// A stream of lines, with the columns that the first one names.
pub(super) struct Sheet<R> {
    from: R,
    separator: u8,
    line: u64,
    bytes: Vec<u8>,
}

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The values of this line.
    Values(u64, Vec<String>),
    /// This line is none, and why.
    Bad(u64, String),
    /// Nothing.
    End,
}

impl<R: BufRead> Sheet<R> {
    /// Reads the first line: the columns. The sign between them is that of comma, semicolon and tab which it has most of.
    ///
    /// # Errors
    /// The file cannot be read, or its first line names nothing.
    pub(super) fn open(from: R) -> io::Result<(Self, Vec<String>)> {
        let mut sheet = Self { from, separator: b',', line: 0, bytes: Vec::new() };
        let nothing = || io::Error::other("its first line does not name the columns");
        if !sheet.read_line()? {
            return Err(nothing());
        }
        let first = String::from_utf8_lossy(&sheet.bytes).trim_start_matches('\u{feff}').to_owned();
        let count = |sign: u8| first.bytes().filter(|byte| *byte == sign).count();
        // Of several that are as many, the last: the comma.
        sheet.separator = [b'\t', b';', b','].into_iter().max_by_key(|sign| count(*sign)).unwrap_or(b',');
        let columns = split(&first, sheet.separator).map_err(io::Error::other)?;
        let columns: Vec<String> = columns.iter().map(|name| name.trim().to_lowercase()).collect();
        if columns.iter().all(String::is_empty) { Err(nothing()) } else { Ok((sheet, columns)) }
    }

    /// Reads the next line. Empty ones are passed over.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub(super) fn read(&mut self) -> io::Result<Next> {
        while self.read_line()? {
            if self.bytes.len() as u64 > LONGEST {
                return Ok(Next::Bad(self.line, "the line is longer than 64 KiB".into()));
            }
            let Ok(text) = std::str::from_utf8(&self.bytes) else {
                return Ok(Next::Bad(self.line, "not UTF-8".into()));
            };
            if text.trim().is_empty() {
                continue;
            }
            return Ok(match split(text, self.separator) {
                Ok(values) => Next::Values(self.line, values),
                Err(why) => Next::Bad(self.line, why.to_owned()),
            });
        }
        Ok(Next::End)
    }

    /// What it reads from.
    pub(super) fn into_inner(self) -> R {
        self.from
    }

    /// Whether there was another line. Of one that is too long a byte more than [`LONGEST`] is held.
    fn read_line(&mut self) -> io::Result<bool> {
        self.bytes.clear();
        if (&mut self.from).take(LONGEST + 1).read_until(b'\n', &mut self.bytes)? == 0 {
            return Ok(false);
        }
        self.line += 1;
        if self.bytes.len() as u64 > LONGEST && self.bytes.last() != Some(&b'\n') {
            self.skip_line()?;
            return Ok(true);
        }
        while matches!(self.bytes.last(), Some(b'\n' | b'\r')) {
            self.bytes.pop();
        }
        Ok(true)
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.from.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.from.consume(used);
            if end.is_some() || used == 0 {
                return Ok(());
            }
        }
    }
}

fn split(line: &str, separator: u8) -> Result<Vec<String>, &'static str> {
    let separator = char::from(separator);
    let mut values = vec![String::new()];
    let mut signs = line.chars().peekable();
    let mut quoted = false;
    while let Some(sign) = signs.next() {
        let Some(value) = values.last_mut() else { break };
        match sign {
            '"' if quoted && signs.next_if_eq(&'"').is_some() => value.push('"'),
            '"' if quoted => quoted = false,
            '"' if value.trim().is_empty() => {
                value.clear();
                quoted = true;
            }
            sign if sign == separator && !quoted => values.push(String::new()),
            sign => value.push(sign),
        }
    }
    if quoted { Err("a quote is not closed") } else { Ok(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<String>, Vec<Next>) {
        let (mut sheet, columns) = Sheet::open(bytes).expect("columns");
        let mut all = Vec::new();
        loop {
            match sheet.read().expect("bytes in memory") {
                Next::End => return (columns, all),
                next => all.push(next),
            }
        }
    }

    fn values(line: u64, values: &[&str]) -> Next {
        Next::Values(line, values.iter().map(|value| (*value).to_owned()).collect())
    }

    #[test]
    fn whatever_a_spreadsheet_puts_between_values() {
        for sign in [",", ";", "\t"] {
            let text = format!("\u{feff}Number{sign}How\r\n1{sign}\"a {sign} \"\"b\"\"\"\r\n\r\n2{sign}\n");
            let (columns, lines) = read(text.as_bytes());
            assert_eq!(columns, ["number", "how"]);
            assert_eq!(lines, [values(2, &["1", &format!("a {sign} \"b\"")]), values(4, &["2", ""])]);
        }
        assert_eq!(read(b"number\n1\n2").1, [values(2, &["1"]), values(3, &["2"])]);
    }

    #[test]
    fn a_line_that_is_none_is_told_and_the_next_one_is_read() {
        let long = [b"1,".as_slice(), &vec![b'x'; 70_000], b"\n"].concat();
        let bytes = [b"number,how\n\"open,a\n\xff,b\n".as_slice(), &long, b"3,c\n"].concat();
        let lines = read(&bytes).1;
        let told: Vec<_> = lines.iter().map(|next| matches!(next, Next::Bad(..))).collect();
        assert_eq!(told, [true, true, true, false]);
        assert_eq!(lines[3], values(5, &["3", "c"]));
    }

    #[test]
    fn a_file_without_columns_is_none() {
        for bytes in [b"".as_slice(), b"\n1\n", b"\"a\n"] {
            assert!(Sheet::open(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn any_bytes_end_without_a_panic() {
        let mut state = 7_u64;
        for _ in 0..2000 {
            let mut bytes = Vec::new();
            for _ in 0..60 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                bytes.push(b"ab\",;\n\r\t\xc3\xa9\0"[(state >> 33) as usize % 11]);
            }
            if let Ok((mut sheet, _)) = Sheet::open(bytes.as_slice()) {
                while sheet.read().expect("bytes in memory") != Next::End {}
            }
        }
    }
}
