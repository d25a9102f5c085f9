//! Papers as Markdown and as HTML. What was put in comes from a policy or an index, and so from anybody: in both formats
//! it is only ever text. Markdown that a reader pastes elsewhere makes no heading, link, picture or HTML of it.

use std::fmt::Write as _;

use super::fill::{Bit, Block, Filled};
use super::{Language, Paper, Phrases};

/// The paper as Markdown (CommonMark with tables).
pub(super) fn markdown(paper: &Paper, phrases: &Phrases) -> String {
    let mut out = format!("# {}\n", paper.title);
    let mut line = |text: &str| {
        let _ = write!(out, "\n{text}\n");
    };
    line(&format!("*{}*", paper.law));
    line(
        &paper
            .origin(phrases)
            .into_iter()
            .map(|(_, value)| markdown_text(&value))
            .collect::<Vec<_>>()
            .join(" · "),
    );
    if paper.is_list() {
        // It has no fields of its own.
    } else if paper.open.is_empty() {
        line(phrases.say("paper", "whole"));
    } else {
        line(&format!("**{} ({})**", phrases.say("paper", "open"), paper.open.len()));
        let fields: Vec<_> = paper.open.iter().map(|label| format!("- {}", markdown_text(label))).collect();
        line(&fields.join("\n"));
    }
    for block in &paper.blocks {
        line(&markdown_block(block, phrases));
    }
    out
}

fn markdown_block(block: &Block, phrases: &Phrases) -> String {
    let text = |filled: &Filled| markdown_filled(filled, phrases);
    let row = |cells: &[Filled]| format!("| {} |", cells.iter().map(text).collect::<Vec<_>>().join(" | "));
    match block {
        Block::Heading(filled) => format!("## {}", text(filled)),
        Block::Paragraph(filled) => text(filled),
        Block::Note(filled) => format!("> {}", text(filled)),
        Block::List(items) => {
            items.iter().map(|item| format!("- {}", text(item))).collect::<Vec<_>>().join("\n")
        }
        Block::Table(head, rows) => {
            let width = rows.iter().chain(head).map(Vec::len).max().unwrap_or(0);
            let head = head.as_ref().map_or_else(|| format!("|{}", "   |".repeat(width)), |head| row(head));
            let rule = format!("|{}", "---|".repeat(width));
            let rows = rows.iter().map(|cells| row(cells));
            [head, rule].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
        }
    }
}

fn markdown_filled(filled: &Filled, phrases: &Phrases) -> String {
    let mut out = String::new();
    for bit in filled {
        match bit {
            Bit::Plain(text) => out.push_str(text),
            Bit::Value(text) => out.push_str(&markdown_text(text)),
            Bit::Open(label) => {
                let _ =
                    write!(out, "**\\[{}{}\\]**", phrases.say("paper", "to-complete"), markdown_text(label));
            }
            Bit::Bold => out.push_str("**"),
        }
    }
    out
}

/// A value as Markdown that shows it and does nothing else.
fn markdown_text(text: &str) -> String {
    let text = one_line(text);
    let mut out = String::with_capacity(text.len());
    let mut only_digits = true;
    for (at, sign) in text.char_indices() {
        let rest = &text[at..];
        let first = at == 0;
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '{' | '}' | '|' | '~' | '!' | '$' | '^' => {
                out.extend(['\\', sign])
            }
            // What begins a heading, a list, a quotation or a rule.
            '#' | '-' | '+' | '=' if first => out.extend(['\\', sign]),
            '.' | ')' if only_digits && !first => out.extend(['\\', sign]),
            // What would become a link by itself.
            ':' if rest.starts_with("://") => out.push_str(":\\"),
            '.' if out.to_ascii_lowercase().ends_with("www") => out.push_str("\\."),
            _ => out.push(sign),
        }
        only_digits &= sign.is_ascii_digit();
    }
    out
}

/// On one line, without anything that is not seen or turns the direction of what follows.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => {}
            _ if sign.is_control() || matches!(sign, ' ' | '\u{2028}' | '\u{2029}') => {
                out.extend((!out.is_empty() && !out.ends_with(' ')).then_some(' '));
            }
            _ => out.push(sign),
        }
    }
    out.truncate(out.trim_end_matches(' ').len());
    out
}

/// The paper as a page that needs nothing else, for the screen and for A4.
pub(super) fn html(paper: &Paper, phrases: &Phrases) -> String {
    let title = html_text(&paper.title);
    let origin: String = paper
        .origin(phrases)
        .into_iter()
        .map(|(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", html_text(&value)))
        .collect();
    let open = if paper.is_list() {
        String::new()
    } else if paper.open.is_empty() {
        format!("<p class=\"whole\">{}</p>", phrases.say("paper", "whole"))
    } else {
        let fields: String =
            paper.open.iter().map(|label| format!("<li>{}</li>", html_text(label))).collect();
        let heading = phrases.say("paper", "open");
        format!(
            "<section class=\"open\"><h2>{heading} ({})</h2><ul>{fields}</ul></section>",
            paper.open.len()
        )
    };
    let blocks: String = paper.blocks.iter().map(|block| html_block(block, phrases)).collect();
    let [open, blocks] =
        [open, blocks].map(|text| if paper.language == Language::Fr { spaced(&text) } else { text });
    format!(
        "<!doctype html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<p class=\"number\">{id}</p>\n<h1>{title}</h1>\n<p class=\"law\">{law}</p>\n\
         <dl>{origin}</dl>\n</header>\n{open}\n{blocks}</main>\n</body>\n</html>\n",
        language = paper.language.code(),
        id = paper.id,
        law = html_text(&paper.law),
    )
}

/// French sets high signs apart by a space at which no line breaks.
fn spaced(text: &str) -> String {
    let mut out = text.replace("« ", "«\u{a0}");
    for sign in [":", ";", "?", "!", "»", "%"] {
        out = out.replace(&format!(" {sign}"), &format!("\u{a0}{sign}"));
    }
    out
}

/// The looks: printable, nothing loaded.
const CSS: &str = include_str!("../../papers/style.css");

fn html_block(block: &Block, phrases: &Phrases) -> String {
    let text = |filled: &Filled| html_filled(filled, phrases);
    let row = |tag: &str, cells: &[Filled]| {
        let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", text(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    match block {
        Block::Heading(filled) => format!("<h2>{}</h2>\n", text(filled)),
        Block::Paragraph(filled) => format!("<p>{}</p>\n", text(filled)),
        Block::Note(filled) => format!("<p class=\"note\">{}</p>\n", text(filled)),
        Block::List(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}</li>\n", text(item))).collect();
            format!("<ul>\n{items}</ul>\n")
        }
        Block::Table(head, rows) => {
            let class = if head.is_some() { "list" } else { "fields" };
            let head = head
                .as_ref()
                .map(|head| format!("<thead>\n{}</thead>\n", row("th", head)))
                .unwrap_or_default();
            let rows: String = rows.iter().map(|cells| row("td", cells)).collect();
            format!("<table class=\"{class}\">\n{head}<tbody>\n{rows}</tbody>\n</table>\n")
        }
    }
}

fn html_filled(filled: &Filled, phrases: &Phrases) -> String {
    let mut out = String::new();
    let mut bold = false;
    for bit in filled {
        match bit {
            Bit::Plain(text) => out.push_str(&html_signs(text)),
            Bit::Value(text) => out.push_str(&html_text(text)),
            Bit::Open(label) => {
                let _ =
                    write!(out, "<mark>{}{}</mark>", phrases.say("paper", "to-complete"), html_text(label));
            }
            Bit::Bold => {
                out.push_str(if bold { "</strong>" } else { "<strong>" });
                bold = !bold;
            }
        }
    }
    out.push_str(if bold { "</strong>" } else { "" });
    out
}

/// A value as HTML that shows it and does nothing else.
fn html_text(text: &str) -> String {
    html_signs(&one_line(text))
}

fn html_signs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(sign),
        }
    }
    out
}
