//! The papers that the law asks for, drawn up from what the program does: policy, packs and the figures of the index.
//!
//! [`draw_up`] gives them in a [`Language`], each as Markdown and as a page of HTML. The texts are data
//! (`connector/core/papers`), the same sections and fields in every language; `template` reads them, `fill` puts in what
//! is known, `write` makes text of it. What nobody told the program is an open field, marked where it stands and listed at
//! the top: nothing is invented. Every paper says from which policy, packs, program and day it is.
//!
//! Left out: papers about one person or one matter (deletion certificates, access bundles, legal holds, breaches).

mod counted;
mod figures;
mod fill;
mod law;
mod outbound;
mod phrases;
mod site;
mod template;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Date;
use sha2::{Digest as _, Sha256};

pub use figures::Figures;
use fill::{Block, Context, Row};
use phrases::Phrases;
use template::Template;

use crate::finding::Findings;
use crate::pack::{self, Pack};
use crate::policy::{File, Policy};
use crate::words::{Status, Word as _};

/// A language that papers are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// French.
    Fr,
    /// English.
    En,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Fr, Self::En];

    /// Two letters: `fr`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Fr => "fr",
            Self::En => "en",
        }
    }
}

/// What papers are drawn up from.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    /// The policy, with its packs.
    pub policy: &'a Policy,
    /// The texts of the packs, for their hashes.
    pub packs: &'a [File<'a>],
    /// What the index counts; none where no index was read.
    pub figures: Option<&'a Figures>,
    /// The day on which the papers are drawn up.
    pub on: Date,
    /// The version of the program.
    pub version: &'a str,
}

/// A paper.
#[derive(Clone, Debug)]
pub struct Paper {
    /// Its number: `D1`; `D0` for the list of the others.
    pub id: String,
    /// What its files are called, without an ending: `D01-registre-…`.
    pub file: String,
    /// Its title.
    pub title: String,
    /// The articles that ask for it.
    pub law: String,
    /// The labels of the fields that people have to fill in, in order, each once.
    pub open: Vec<String>,
    language: Language,
    blocks: Vec<Block>,
    origin: Origin,
}

/// What a paper comes from, in words.
#[derive(Clone, Debug)]
struct Origin {
    on: String,
    version: String,
    policy: String,
    packs: Vec<String>,
}

impl Paper {
    /// The paper as Markdown (CommonMark with tables).
    pub fn markdown(&self) -> String {
        write::markdown(self, Phrases::of(self.language))
    }

    /// The paper as a page of HTML that loads nothing.
    pub fn html(&self) -> String {
        write::html(self, Phrases::of(self.language))
    }

    /// Whether it is the list of the others.
    fn is_list(&self) -> bool {
        self.id == LIST
    }

    /// What it comes from: label and value.
    fn origin<'p>(&self, phrases: &'p Phrases) -> Vec<(&'p str, String)> {
        let Origin { on, version, policy, packs } = &self.origin;
        vec![
            (phrases.say("paper", "drawn-up"), on.clone()),
            (phrases.say("paper", "program"), version.clone()),
            (phrases.say("paper", "policy"), policy.clone()),
            (phrases.say("paper", "packs"), packs.join(" ; ")),
        ]
    }
}

/// The number of the list of papers.
const LIST: &str = "D0";

macro_rules! texts {
    ($language:literal: $($name:literal),+ $(,)?) => {
        &[$(include_str!(concat!("../../papers/", $language, "/", $name, ".md"))),+]
    };
}

/// The texts of a language, in the order of the papers.
fn texts(language: Language) -> &'static [&'static str] {
    match language {
        Language::Fr => {
            texts!["fr": "D01", "D02", "D03", "D04", "D05", "D06", "D07", "D08", "D09", "D10", "D11", "D18", "D21", "D22"]
        }
        Language::En => {
            texts!["en": "D01", "D02", "D03", "D04", "D05", "D06", "D07", "D08", "D09", "D10", "D11", "D18", "D21", "D22"]
        }
    }
}

/// All papers in a language, the list of them first. A paper that the policy gives no occasion for is not drawn up; the
/// list says why.
pub fn draw_up(material: &Material<'_>, language: Language) -> Vec<Paper> {
    let phrases = Phrases::of(language);
    let cases = law::cases(material.policy);
    let packs = Packs::of(material.packs, &law::used(material.policy, &cases));
    let mut context = Context { none: phrases.say("paper", "none").to_owned(), ..Context::default() };
    context.values.insert("date", phrases.date(material.on).into());
    law::put(&mut context, material.policy, &cases, &packs, phrases);
    site::put(&mut context, material.policy, &cases, phrases);
    counted::put(&mut context, material.policy, material.figures, phrases);
    outbound::put(&mut context, material, phrases);
    let origin = Origin {
        on: phrases.date(material.on),
        version: format!("Témoin {}", material.version),
        policy: format!("SHA-256 {}", material.policy.hash_hex()),
        packs: packs
            .0
            .iter()
            .map(|(pack, hash)| format!("{} {} (SHA-256 {hash})", pack.id, pack.version))
            .collect(),
    };
    let (mut papers, mut left_out) = (Vec::new(), Vec::new());
    for template in texts(language).iter().map(|text| Template::read(text)) {
        let wanted = template.head("if");
        let paper = paper(&template, &context, language, origin.clone());
        if wanted.is_empty() || context.flags.get(wanted).copied().unwrap_or(false) {
            papers.push(paper);
        } else {
            left_out.push((paper, template.head("else").to_owned()));
        }
    }
    papers.insert(0, contents(&papers, &left_out, language, origin));
    papers
}

fn paper(template: &Template, context: &Context, language: Language, origin: Origin) -> Paper {
    let blocks = fill::fill(template, context);
    Paper {
        id: template.head("id").to_owned(),
        file: template.head("file").to_owned(),
        title: template.head("title").to_owned(),
        law: template.head("law").to_owned(),
        open: fill::open_fields(&blocks),
        language,
        blocks,
        origin,
    }
}

/// The list of the papers.
fn contents(papers: &[Paper], left_out: &[(Paper, String)], language: Language, origin: Origin) -> Paper {
    use fill::Bit::{Plain, Value};
    let phrases = Phrases::of(language);
    let says = |word: &'static str| vec![Plain(phrases.say("paper", word).to_owned())];
    let value = |text: &str| vec![Value(text.to_owned())];
    let row = |paper: &Paper| {
        vec![value(&paper.id), value(&paper.title), value(&paper.law), value(&paper.open.len().to_string())]
    };
    let head = vec![
        says("contents-number"),
        says("contents-paper"),
        says("contents-law-column"),
        says("contents-open"),
    ];
    let mut blocks =
        vec![Block::Note(says("contents-note")), Block::Table(Some(head), papers.iter().map(row).collect())];
    if !left_out.is_empty() {
        let rows =
            left_out.iter().map(|(paper, why)| vec![value(&paper.id), value(&paper.title), value(why)]);
        let head = vec![says("contents-number"), says("contents-paper"), says("contents-why")];
        blocks.push(Block::Heading(says("contents-left")));
        blocks.push(Block::Table(Some(head), rows.collect()));
    }
    Paper {
        id: LIST.to_owned(),
        file: phrases.say("paper", "contents-file").to_owned(),
        title: phrases.say("paper", "contents").to_owned(),
        law: phrases.say("paper", "contents-law").to_owned(),
        open: Vec::new(),
        language,
        blocks,
        origin,
    }
}

/// The packs that count here, with the SHA-256 of their texts.
struct Packs(Vec<(Pack, String)>);

impl Packs {
    fn of(files: &[File<'_>], used: &BTreeSet<Arc<str>>) -> Self {
        let unread = Findings::default();
        let read = |file: &File<'_>| {
            let (_, pack) = pack::read(&[*file], &unread).pop()?;
            let hash = Sha256::digest(file.1).iter().map(|byte| format!("{byte:02x}")).collect();
            used.contains(&pack.id).then_some((pack, hash))
        };
        let mut packs: Vec<_> = files.iter().filter_map(read).collect();
        packs.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        Self(packs)
    }

    fn rows(&self, phrases: &Phrases) -> Vec<Row> {
        let row = |(pack, _): &(Pack, String)| {
            let status: Status = pack.status;
            Row::from([
                ("id", (&*pack.id).into()),
                ("title", pack.title.as_deref().unwrap_or("–").into()),
                ("version", pack.version.as_str().into()),
                ("status", phrases.say("status", status.as_str()).into()),
                ("reviewed", phrases.date(pack.reviewed_on).into()),
                ("due", phrases.date(pack.review_due).into()),
            ])
        };
        self.0.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests;
