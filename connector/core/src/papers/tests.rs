use super::template::{Line, Piece, Text, What};
use super::*;

const BOTH: [Language; 2] = Language::ALL;

fn templates(language: Language) -> Vec<Template> {
    texts(language).iter().map(|text| Template::read(text)).collect()
}

/// What a translation must leave as it is: the kind of every line, its conditions, its holes and its open fields.
fn bones(template: &Template) -> Vec<String> {
    let cells = |cells: &[Text]| cells.iter().map(holes).collect::<Vec<_>>().join(" | ");
    let line = |Line { when, what }: &Line| match what {
        What::Heading(text) => format!("{when:?} heading {}", holes(text)),
        What::Paragraph(text) => format!("{when:?} paragraph {}", holes(text)),
        What::Note(text) => format!("{when:?} note {}", holes(text)),
        What::Item(text) => format!("{when:?} item {}", holes(text)),
        What::Head(row) => format!("{when:?} head {}", cells(row)),
        What::Row(row) => format!("{when:?} row {}", cells(row)),
    };
    let head = ["id", "if"].map(|key| format!("{key}: {}", template.head(key)));
    head.into_iter().chain(template.lines.iter().map(line)).collect()
}

/// The holes of a text, in any order: languages differ in that.
fn holes(text: &Text) -> String {
    let hole = |piece: &Piece| match piece {
        Piece::Hole(name) => Some(name.clone()),
        Piece::Open(name, _) => Some(format!("?{name}")),
        Piece::Plain(_) | Piece::Bold => None,
    };
    let mut holes: Vec<_> = text.iter().filter_map(hole).collect();
    holes.sort();
    holes.join(" ")
}

#[test]
fn a_paper_has_the_same_sections_and_fields_in_every_language() {
    let [fr, en] = BOTH.map(templates);
    assert_eq!(fr.len(), 14);
    for (fr, en) in fr.iter().zip(&en) {
        assert_eq!(bones(fr), bones(en), "{}", fr.head("id"));
    }
}

#[test]
fn every_text_has_a_head_and_whole_tables() {
    for language in BOTH {
        for template in templates(language) {
            let id = template.head("id").to_owned();
            for key in ["id", "file", "title", "law"] {
                assert!(!template.head(key).is_empty(), "{language:?} {id}: no {key}");
            }
            assert_eq!(
                template.head("if").is_empty(),
                template.head("else").is_empty(),
                "{id}: a reason for each"
            );
            assert!(template.head("file").starts_with(&format!("D{:02}-", id[1..].parse::<u8>().unwrap())));
            let mut width = None;
            for line in &template.lines {
                match &line.what {
                    What::Head(cells) => width = Some(cells.len()),
                    What::Row(cells) => assert_eq!(Some(cells.len()), width, "{language:?} {id}: {cells:?}"),
                    _ => width = None,
                }
                let text = format!("{:?}", line.what);
                assert_eq!(text.matches("Bold").count() % 2, 0, "{id}: bold that does not end: {text}");
                assert!(!text.contains(['{', '}']) || !text.contains("Plain(\"{"), "{id}: {text}");
            }
        }
    }
}

#[test]
fn every_language_has_the_same_words_and_every_word_of_ours() {
    let [fr, en] = BOTH.map(|language| Phrases::of(language).names());
    assert_eq!(fr.symmetric_difference(&en).collect::<Vec<_>>(), Vec::<&String>::new());
    let words = |group: &str, words: Vec<&str>| {
        for word in words {
            assert!(fr.contains(&format!("{group}.{word}")), "no word for {group}.{word}");
        }
    };
    fn all<W: crate::words::Word>() -> Vec<&'static str> {
        W::ALL.iter().map(|word| word.as_str()).collect()
    }
    words("purpose", crate::words::Purpose::KNOWN.to_vec());
    words("never", crate::decide::NEVER.to_vec());
    words("basis", all::<crate::words::Basis>());
    words("gate", all::<crate::words::Gate>());
    words("duty", all::<crate::words::CombinedDuty>());
    words("refusal", all::<crate::words::Refusal>());
    words("phase", all::<crate::words::Phase>());
    words("anchor", all::<crate::words::Anchor>());
    words("approver", all::<crate::words::Approver>());
    words("instrument", all::<crate::words::Instrument>());
    words("function", all::<crate::words::Function>());
    words("element", all::<crate::words::Element>());
    words("status", all::<crate::words::Status>());
    words("confidence", all::<crate::words::Confidence>());
    words("stratify", all::<crate::words::Stratify>());
    words("errand", all::<crate::words::Errand>());
    words("direction", all::<crate::words::Direction>());
    for (_, pack) in crate::pack::read(crate::pack::shipped(), &Findings::default()) {
        words("country", pack.territory.iter().map(|territory| territory.as_str()).collect());
    }
}

#[test]
fn dates_rates_and_periods_are_written_as_the_language_writes_them() {
    use crate::time::Period;
    let [fr, en] = BOTH.map(Phrases::of);
    let first: Date = "2026-08-01".parse().unwrap();
    assert_eq!((fr.date(first), en.date(first)), ("1er août 2026".into(), "1 August 2026".into()));
    assert_eq!((fr.rate(200), en.rate(125)), ("20 %".into(), "12.5%".into()));
    assert_eq!((fr.rate(5), en.rate(1000)), ("0,5 %".into(), "100%".into()));
    assert_eq!(
        (fr.period(Period::Months(60)), en.period(Period::Months(1))),
        ("5 ans".into(), "1 month".into())
    );
    assert_eq!(
        (fr.period(Period::Months(18)), en.period(Period::Days(1))),
        ("18 mois".into(), "1 day".into())
    );
}

#[test]
fn a_text_is_read_whatever_it_says() {
    for text in
        ["", "id: D1", "id: D1\n\n{", "\n\n{end}\n{if}\n|\n|-|\n- \n**", "a\n\n| {x} | {y.z} |\n{?a}{?b:}"]
    {
        let template = Template::read(text);
        let context = Context::default();
        fill::fill(&template, &context);
    }
}
