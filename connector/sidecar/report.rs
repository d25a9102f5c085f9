//! What `check` found, as a compiler tells it: the place, the source with the fault underlined, whose rule it is, how
//! to mend it, and where to read more. The first line of each is `file:line:column: CODE path: what`, which editors
//! and CI can follow.
//!
//! Texts come from files that anybody may have written: control characters are shown as such, long lines are cut. A
//! line of temoin.toml is shown without its strings, unless it is known to hold no secret.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde_json::{Value, json};
use temoin_core::pack::{Pack, Rule};
use temoin_core::policy::Packs;

use crate::explain;
use crate::fault::Fault;

/// More are counted, not told: who has so many mends the first ones first.
const MOST: usize = 200;
/// So many characters of a line are shown.
const WIDEST: usize = 140;

/// Everything that was found, and what it was found in.
#[derive(Debug, Default)]
pub struct Report {
    /// What is wrong, in the order in which it is told.
    pub faults: Vec<Fault>,
    /// The texts of the files, by name.
    pub texts: BTreeMap<String, String>,
    /// Which of the files may hold secrets.
    pub secret: Option<String>,
    /// The packs whose rules are cited.
    pub packs: Packs,
}

impl Report {
    /// Whether something must be mended.
    pub fn has_errors(&self) -> bool {
        self.faults.iter().any(Fault::is_error)
    }

    /// Whether `serve` starts with it.
    pub fn is_usable(&self) -> bool {
        !self.faults.iter().any(|fault| fault.bars)
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let findings = self.faults.iter().map(|fault| {
            let about = explain::of(fault.code);
            let mut value = json!(fault);
            value["title"] = json!(about.map(|about| &about.title));
            value["mend"] = json!(about.map(|about| &about.mend));
            value["because"] = fault.because.iter().map(|rule| self.citation_json(rule)).collect();
            value
        });
        json!({ "usable": self.is_usable(), "findings": findings.collect::<Vec<_>>() })
    }

    /// For people; with colours for a terminal.
    pub fn page(&self, colours: bool) -> String {
        let paint = Paint(colours);
        let mut page = String::new();
        for fault in self.faults.iter().take(MOST) {
            let _ = self.tell(fault, &paint, &mut page);
        }
        let more = self.faults.len().saturating_sub(MOST);
        if more > 0 {
            let _ = writeln!(page, "… and {more} more\n");
        }
        page + &self.verdict()
    }

    fn verdict(&self) -> String {
        let errors = self.faults.iter().filter(|fault| fault.is_error()).count();
        let warnings = self.faults.len() - errors;
        match (self.is_usable(), self.faults.len()) {
            (_, 0) => "all well".to_owned(),
            (true, _) => format!("usable: {errors} to mend, {warnings} to think about"),
            (false, _) => format!("not usable: {errors} to mend, {warnings} to think about"),
        }
    }

    fn tell(&self, fault: &Fault, paint: &Paint, page: &mut String) -> fmt::Result {
        let code = fault.code.as_str();
        let head = printable(&fault.to_string());
        let painted = if fault.is_error() { paint.red(code) } else { paint.yellow(code) };
        writeln!(page, "{}", head.replacen(code, &painted, 1))?;
        let shown = self.source(fault);
        let width = shown.as_ref().map_or(1, |shown| shown.number.len());
        if let Some(Shown { number, line, before, marks }) = &shown {
            let bar = paint.blue("|");
            writeln!(page, "{:width$} {bar}", "")?;
            writeln!(page, "{} {bar} {line}", paint.blue(number))?;
            let marks = "^".repeat(*marks);
            let marks = if fault.is_error() { paint.red(&marks) } else { paint.yellow(&marks) };
            writeln!(page, "{:width$} {bar} {:before$}{marks}", "", "")?;
        }
        let note = |what: &str, text: &str| {
            format!("{:width$} {} {}: {}", "", paint.blue("="), paint.bold(what), printable(text))
        };
        for rule in &fault.because {
            let (rule, sources) = self.citation(rule);
            writeln!(page, "{}", note("because of", rule))?;
            for source in sources {
                writeln!(page, "{:width$}     {}", "", printable(&source))?;
            }
        }
        if let Some(about) = explain::of(fault.code) {
            writeln!(page, "{}", note("mend", &about.mend))?;
            writeln!(page, "{}", note("more", &format!("temoin explain {code}")))?;
        }
        page.push('\n');
        Ok(())
    }

    /// The line of a fault, and what of it is to be underlined.
    fn source(&self, fault: &Fault) -> Option<Shown> {
        let (number, column) = (fault.line?, fault.column?);
        let text = self.texts.get(&fault.file)?;
        let line = text.lines().nth(usize::try_from(number).ok()?.checked_sub(1)?)?;
        let from = usize::try_from(column).ok()?.checked_sub(1)?;
        let mut chars: Vec<char> = line.chars().collect();
        let from = from.min(chars.len());
        let marks = expression(&chars[from..]).max(1);
        if self.secret.as_ref() == Some(&fault.file) && may_hold_secrets(&fault.path) {
            hide_strings(&mut chars);
        }
        // A window around the fault where the line is too long.
        let start = if chars.len() > WIDEST { from.saturating_sub(WIDEST / 3) } else { 0 };
        let end = chars.len().min(start + WIDEST);
        let cut = |at: bool| if at { "…" } else { "" };
        let body: String = chars[start..end].iter().collect();
        let line = format!("{}{}{}", cut(start > 0), printable(&body), cut(end < chars.len()));
        let before = from - start + usize::from(start > 0);
        let marks = marks.min((start + WIDEST).saturating_sub(from)).max(1);
        Some(Shown { number: number.to_string(), line, before, marks })
    }

    fn rule(&self, reference: &str) -> Option<(&Pack, &Rule)> {
        let pack = self.packs.named(reference.split_once('/')?.0)?;
        Some((pack, pack.rules.iter().find(|rule| &*rule.reference == reference)?))
    }

    /// A rule, and what it rests on.
    fn citation<'r>(&self, reference: &'r str) -> (&'r str, Vec<String>) {
        let Some((pack, rule)) = self.rule(reference) else {
            return (own(reference), Vec::new());
        };
        let sources = rule.sources.iter().flatten().filter_map(|name| pack.sources.get(name));
        (reference, sources.map(|source| format!("{} ({})", source.cite, source.confidence)).collect())
    }

    fn citation_json(&self, reference: &str) -> Value {
        let Some((pack, rule)) = self.rule(reference) else {
            return json!({ "rule": reference, "sources": [] });
        };
        let sources = rule.sources.iter().flatten().filter_map(|name| pack.sources.get(name)).map(|source| {
            json!({ "cite": source.cite, "kind": source.kind, "confidence": source.confidence, "url": source.url })
        });
        json!({ "rule": reference, "pack": pack.id, "sources": sources.collect::<Vec<_>>() })
    }
}

/// A line of a file with its fault.
struct Shown {
    number: String,
    line: String,
    before: usize,
    marks: usize,
}

/// What is no rule of a pack.
fn own(reference: &str) -> &str {
    match reference {
        "product-floor" => "Témoin itself: nobody is recorded without being told",
        other => other,
    }
}

/// How many characters the thing has that stands at the beginning: a string, a key with its value, or a word.
fn expression(chars: &[char]) -> usize {
    let key = match chars.first() {
        Some(quote @ ('"' | '\'')) => 2 + chars[1..].iter().take_while(|c| *c != quote).count(),
        _ => chars.iter().take_while(|c| !c.is_whitespace() && !"=,]}#".contains(**c)).count(),
    };
    let key = key.min(chars.len());
    let blanks = |at: usize| chars[at..].iter().take_while(|c| **c == ' ' || **c == '\t').count();
    let equals = key + blanks(key);
    if chars.get(equals) != Some(&'=') {
        return key;
    }
    let value = equals + 1 + blanks(equals + 1);
    value + value_length(&chars[value..])
}

/// How many characters a value has: up to a comma, a bracket that closes what it does not open, or a comment.
fn value_length(chars: &[char]) -> usize {
    let (mut depth, mut quote, mut end) = (0_usize, None, 0);
    for (at, c) in chars.iter().enumerate() {
        match (quote, *c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, c @ ('"' | '\'')) => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') if depth > 0 => depth -= 1,
            (None, ']' | '}' | '#') => break,
            (None, ',') if depth == 0 => break,
            _ => {}
        }
        if !c.is_whitespace() {
            end = at + 1;
        }
    }
    end
}

/// Whether a line of the configuration may hold a secret: all may, but those of tables that are known to hold none.
fn may_hold_secrets(path: &str) -> bool {
    const OPEN: [&str; 13] = [
        "node",
        "site",
        "policy",
        "packs",
        "store",
        "vault",
        "sampling_key",
        "register_key",
        "prompts",
        "extensions",
        "lines",
        "wait",
        "log",
    ];
    !OPEN.contains(&path.split('.').next().unwrap_or_default())
}

/// Puts dots in the place of what stands in quotes, also where the quote does not end.
fn hide_strings(chars: &mut [char]) {
    let mut quote = None;
    for c in chars {
        match quote {
            None if *c == '"' || *c == '\'' => quote = Some(*c),
            Some(open) if *c == open => quote = None,
            None => {}
            Some(_) => *c = '·',
        }
    }
}

/// Without anything that a terminal would obey; one character stays one.
fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() || is_turning(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Characters that turn the direction of writing, so that a line reads as something else than it is.
fn is_turning(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// Colours, or none.
struct Paint(bool);

impl Paint {
    fn dress(&self, text: &str, code: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn red(&self, text: &str) -> String {
        self.dress(text, "1;31")
    }

    fn yellow(&self, text: &str) -> String {
        self.dress(text, "1;33")
    }

    fn blue(&self, text: &str) -> String {
        self.dress(text, "34")
    }

    fn bold(&self, text: &str) -> String {
        self.dress(text, "1")
    }
}

#[cfg(test)]
mod tests {
    use temoin_core::finding::Code;

    use super::*;

    fn length(text: &str) -> usize {
        expression(&text.chars().collect::<Vec<_>>())
    }

    #[test]
    fn what_is_underlined_is_the_thing_at_fault() {
        for (line, thing) in [
            ("rate = 900 # per mille", "rate = 900"),
            ("\"FR\", \"DE\"]", "\"FR\""),
            ("info = \"1\" }", "info = \"1\""),
            ("keys = { object = \"1\", info = \"#\" } # c", "keys = { object = \"1\", info = \"#\" }"),
            ("accueil]", "accueil"),
            ("amel = [", "amel = ["),
            ("\"open", "\"open"),
            ("", ""),
            ("=", "="),
            ("é = 'ü'", "é = 'ü'"),
        ] {
            assert_eq!(length(line), thing.chars().count(), "{line}");
        }
    }

    fn report(text: &str, path: &str, place: (u32, u32)) -> Report {
        let fault = Fault::of("f.toml", Code::BadValue, "bad").at(path, Some(place));
        let texts = [("f.toml".to_owned(), text.to_owned())].into();
        Report { faults: vec![fault], texts, ..Report::default() }
    }

    #[test]
    fn a_place_that_is_not_in_the_text_is_no_fall() {
        for (text, place) in
            [("", (1, 1)), ("a", (1, 99)), ("a", (9, 1)), ("a\nb", (0, 0)), ("é", (1, 2)), ("\r\n", (1, 2))]
        {
            assert!(report(text, "a", place).page(false).contains("E-BAD-VALUE"), "{text:?} {place:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_fault_and_nothing_reaches_the_terminal() {
        let text = format!("{}x = 1{}", " ".repeat(5000), "\u{1b}[2J\u{202e}".repeat(5000));
        let page = report(&text, "x", (1, 5001)).page(false);
        assert!(page.lines().all(|line| line.chars().count() < 200), "{page}");
        let under = page.lines().find(|line| line.contains('^')).unwrap();
        let source = page.lines().find(|line| line.contains("x = 1")).unwrap();
        let column =
            |line: &str, what: &str| line.chars().count() - line.split_once(what).unwrap().1.chars().count();
        assert_eq!(column(source, "x"), column(under, "^"), "{page}");
        assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'));
    }

    #[test]
    fn secrets_are_not_shown() {
        for (text, path) in [
            ("ami = { user = \"temoin\", secert = \"hush\" }", "asterisk.ami.secert"),
            ("asterik = { secret = 'hush' }", "asterik"),
            ("secret = \"hush", ""),
        ] {
            let secret = Some("f.toml".to_owned());
            let page = Report { secret, ..report(text, path, (1, 1)) }.page(false);
            assert!(!page.contains("hush") && page.contains("····"), "{page}");
        }
    }
}
