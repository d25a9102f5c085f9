//! Texts filled in: what is known takes its place, what is not is an open field.

use std::collections::BTreeMap;

use super::template::{Line, Piece, Template, Text, What};
use crate::policy::filled_in;

/// What is known, by name.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub(super) values: BTreeMap<&'static str, Value>,
    pub(super) tables: BTreeMap<&'static str, Rows>,
    pub(super) flags: BTreeMap<&'static str, bool>,
    /// What a list without entries says.
    pub(super) none: String,
}

/// Something that is known, or the label of the field in which somebody writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Known(String),
    Open(String),
}

/// A table: its rows, or the label of the field in which somebody writes what they would be.
#[derive(Debug)]
pub(super) enum Rows {
    Known(Vec<Row>),
    Open(String),
}

/// A row: its values by column.
pub(super) type Row = BTreeMap<&'static str, Value>;

/// A part of a paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Heading(Filled),
    Paragraph(Filled),
    Note(Filled),
    List(Vec<Filled>),
    /// The head, if one of its cells says anything, and the rows.
    Table(Option<Vec<Filled>>, Vec<Vec<Filled>>),
}

/// A text without holes.
pub(super) type Filled = Vec<Bit>;

/// A piece of a text without holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bit {
    /// Of the text itself.
    Plain(String),
    /// Put in: of the policy or the index, and so of anybody.
    Value(String),
    /// To be filled by people.
    Open(String),
    /// Bold begins or ends.
    Bold,
}

impl Value {
    /// A text that may be missing, or not be filled in yet.
    pub(super) fn of(text: Option<&str>, label: &str) -> Self {
        match text.and_then(filled_in) {
            Some(text) => Self::Known(text.to_owned()),
            None => Self::Open(label.to_owned()),
        }
    }

    fn bit(&self) -> Bit {
        match self {
            Self::Known(text) => Bit::Value(text.clone()),
            Self::Open(label) => Bit::Open(label.clone()),
        }
    }
}

impl<T: ToString> From<T> for Value {
    fn from(text: T) -> Self {
        Self::Known(text.to_string())
    }
}

/// A text with everything that is known.
pub(super) fn fill(template: &Template, context: &Context) -> Vec<Block> {
    let holds = |line: &&Line| {
        line.when
            .iter()
            .all(|(flag, wanted)| context.flags.get(flag.as_str()).copied().unwrap_or(false) == *wanted)
    };
    let lines: Vec<&Line> = template.lines.iter().filter(holds).collect();
    let same_kind = |a: &&Line, b: &&Line| {
        let table = |what: &What| matches!(what, What::Head(_) | What::Row(_));
        match (&a.what, &b.what) {
            (What::Item(_), What::Item(_)) => true,
            (before, What::Row(_)) => table(before),
            _ => false,
        }
    };
    lines.chunk_by(same_kind).flat_map(|lines| context.group(lines)).collect()
}

impl Context {
    /// Lines that are one thing: a list, a table, or a single other line.
    fn group(&self, lines: &[&Line]) -> Vec<Block> {
        let items: Vec<Vec<&Text>> = lines.iter().map(|line| line.what.cells()).collect();
        match lines.first().map(|line| &line.what) {
            Some(What::Heading(text)) => {
                self.repeat(&[text]).into_iter().flatten().map(Block::Heading).collect()
            }
            Some(What::Note(text)) => self.repeat(&[text]).into_iter().flatten().map(Block::Note).collect(),
            Some(What::Paragraph(text)) => {
                self.repeat(&[text]).into_iter().flatten().map(Block::Paragraph).collect()
            }
            Some(What::Item(_)) => {
                let items: Vec<_> = items.iter().flat_map(|cells| self.repeat(cells)).flatten().collect();
                if items.is_empty() { self.nothing() } else { vec![Block::List(items)] }
            }
            Some(What::Head(head)) => {
                let head: Vec<Filled> = head.iter().map(|cell| self.put(cell, &Row::new())).collect();
                let rows: Vec<_> = items.iter().skip(1).flat_map(|cells| self.repeat(cells)).collect();
                if rows.is_empty() {
                    return self.nothing();
                }
                let says = head.iter().any(|cell| !cell.is_empty());
                vec![Block::Table(says.then_some(head), rows)]
            }
            Some(What::Row(_)) => {
                vec![Block::Table(None, items.iter().flat_map(|cells| self.repeat(cells)).collect())]
            }
            None => Vec::new(),
        }
    }

    fn nothing(&self) -> Vec<Block> {
        vec![Block::Paragraph(vec![Bit::Plain(self.none.clone())])]
    }

    /// Cells, once for every row of the table that one of them names.
    fn repeat(&self, cells: &[&Text]) -> Vec<Vec<Filled>> {
        let table = cells.iter().flat_map(|cell| cell.iter()).find_map(|piece| match piece {
            Piece::Hole(name) => name.split_once('.').map(|(table, _)| table),
            _ => None,
        });
        let put = |row: &Row| cells.iter().map(|cell| self.put(cell, row)).collect::<Vec<_>>();
        match table.map(|name| (name, self.tables.get(name))) {
            None => vec![put(&Row::new())],
            Some((_, Some(Rows::Known(rows)))) => rows.iter().map(put).collect(),
            Some((_, Some(Rows::Open(label)))) => {
                let rest = cells.iter().skip(1).map(|_| Vec::new());
                vec![std::iter::once(vec![Bit::Open(label.clone())]).chain(rest).collect()]
            }
            Some((name, None)) => vec![vec![vec![Bit::Open(format!("?{name}"))]]],
        }
    }

    fn put(&self, text: &Text, row: &Row) -> Filled {
        let bit = |piece: &Piece| match piece {
            Piece::Plain(text) => Bit::Plain(text.clone()),
            Piece::Bold => Bit::Bold,
            Piece::Open(_, label) => Bit::Open(label.clone()),
            Piece::Hole(name) => {
                let known = match name.split_once('.') {
                    Some((_, column)) => row.get(column),
                    None => self.values.get(name.as_str()),
                };
                known.map_or_else(|| Bit::Open(format!("?{name}")), Value::bit)
            }
        };
        text.iter().map(bit).collect()
    }
}

impl What {
    fn cells(&self) -> Vec<&Text> {
        match self {
            Self::Heading(text) | Self::Paragraph(text) | Self::Note(text) | Self::Item(text) => vec![text],
            Self::Head(cells) | Self::Row(cells) => cells.iter().collect(),
        }
    }
}

/// The labels of all open fields, in order, each once.
pub(super) fn open_fields(blocks: &[Block]) -> Vec<String> {
    let texts = blocks.iter().flat_map(|block| -> Vec<&Filled> {
        match block {
            Block::Heading(text) | Block::Paragraph(text) | Block::Note(text) => vec![text],
            Block::List(items) => items.iter().collect(),
            Block::Table(head, rows) => head.iter().flatten().chain(rows.iter().flatten()).collect(),
        }
    });
    let mut labels = Vec::new();
    for bit in texts.flatten() {
        if let Bit::Open(label) = bit
            && !labels.contains(label)
        {
            labels.push(label.clone());
        }
    }
    labels
}
