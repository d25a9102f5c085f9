//! The texts of the papers, as people write and translate them (`connector/core/papers/<language>`).
//!
//! A text has a head of `key: value` lines, an empty line, and then headings (`##`), paragraphs, notes (`>`), lists
//! (`-`) and tables (`|`), each on a line of its own. In them:
//!
//! - `**bold**`;
//! - `{name}`: what the policy knows by that name, else an open field;
//! - `{table.column}`: the line is repeated for every row of the table;
//! - `{?name: label}`: an open field that only people can fill;
//! - `{if flag}`, `{if not flag}` … `{end}`, each alone on its line: what lies between holds only then.
//!
//! What is put in is never read as a text again. Reading refuses nothing: a name that nobody knows becomes an open
//! field, and a test looks that there is none.

/// A text, read.
#[derive(Debug)]
pub(super) struct Template {
    head: Vec<(String, String)>,
    pub(super) lines: Vec<Line>,
}

/// A line of a text, with the conditions under which it holds.
#[derive(Debug)]
pub(super) struct Line {
    /// Flags, and what each must be.
    pub(super) when: Vec<(String, bool)>,
    pub(super) what: What,
}

/// What a line is.
#[derive(Debug)]
pub(super) enum What {
    Heading(Text),
    Paragraph(Text),
    Note(Text),
    Item(Text),
    /// The head of a table: the row over a rule (`|---|`), or a row without a word for a table of fields.
    Head(Vec<Text>),
    Row(Vec<Text>),
}

/// A text with holes.
pub(super) type Text = Vec<Piece>;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Plain(String),
    /// Bold begins or ends.
    Bold,
    /// `{name}` or `{table.column}`.
    Hole(String),
    /// `{?name: label}`.
    Open(String, String),
}

impl Template {
    /// Reads a text.
    pub(super) fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let pair = |line: &str| {
            let (key, value) = line.split_once(':')?;
            Some((key.trim().to_owned(), value.trim().to_owned()))
        };
        let mut lines = Vec::new();
        let mut when = Vec::new();
        for line in body.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(flag) = between(line, "{if ", "}") {
                let (flag, wanted) = flag.strip_prefix("not ").map_or((flag, true), |flag| (flag, false));
                when.push((flag.to_owned(), wanted));
            } else if line == "{end}" {
                when.pop();
            } else if is_rule(line) {
                if let Some(Line { what, .. }) = lines.last_mut()
                    && let What::Row(cells) = what
                {
                    *what = What::Head(std::mem::take(cells));
                }
            } else {
                lines.push(Line { when: when.clone(), what: What::read(line) });
            }
        }
        Self { head: head.lines().filter_map(pair).collect(), lines }
    }

    /// What the head says under a key; empty where it says nothing.
    pub(super) fn head(&self, key: &str) -> &str {
        self.head.iter().find(|(known, _)| known == key).map_or("", |(_, value)| value)
    }
}

impl What {
    fn read(line: &str) -> Self {
        if let Some(row) = line.strip_prefix('|') {
            let cells = row.strip_suffix('|').unwrap_or(row).split('|');
            let cells: Vec<Text> = cells.map(|cell| text(cell.trim())).collect();
            return if cells.iter().all(Vec::is_empty) { Self::Head(cells) } else { Self::Row(cells) };
        }
        let marked = |mark: &str| line.strip_prefix(mark).map(text);
        marked("## ")
            .map(Self::Heading)
            .or_else(|| marked("- ").map(Self::Item))
            .or_else(|| marked("> ").map(Self::Note))
            .unwrap_or_else(|| Self::Paragraph(text(line)))
    }
}

/// The line under the head of a table.
fn is_rule(line: &str) -> bool {
    line.starts_with("|-") && line.chars().all(|c| matches!(c, '-' | '|'))
}

fn between<'t>(line: &'t str, before: &str, after: &str) -> Option<&'t str> {
    line.strip_prefix(before)?.strip_suffix(after)
}

fn text(line: &str) -> Text {
    let mut pieces = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let next = [rest.find("**"), rest.find('{')].into_iter().flatten().min().unwrap_or(rest.len());
        let (plain, marked) = rest.split_at(next);
        if !plain.is_empty() {
            pieces.push(Piece::Plain(plain.to_owned()));
        }
        rest = if let Some(after) = marked.strip_prefix("**") {
            pieces.push(Piece::Bold);
            after
        } else if let Some((hole, after)) = marked.strip_prefix('{').and_then(|m| m.split_once('}')) {
            pieces.push(match hole.strip_prefix('?').and_then(|open| open.split_once(':')) {
                Some((name, label)) => Piece::Open(name.trim().to_owned(), label.trim().to_owned()),
                None => Piece::Hole(hole.to_owned()),
            });
            after
        } else {
            // A brace without its other: a sign like others.
            pieces.extend((!marked.is_empty()).then(|| Piece::Plain(marked.to_owned())));
            ""
        };
    }
    pieces
}
