//! What `temoin init` needs to know, and what answers are good: each is checked against the packs as soon as it is given,
//! so that a bad one can be asked again with the reason.

use std::collections::BTreeSet;

use temoin_core::pack::{Pack, shipped};
use temoin_core::policy::Policy;
use temoin_core::words::{Facet, PackKind, Purpose, Territory};

use super::law;

/// A whole set of answers.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Whose law customers are under.
    pub country: Territory,
    /// Who decides why calls are recorded; none: to be written later.
    pub controller: Option<String>,
    /// Where people write about their rights; none: to be written later.
    pub contact: Option<String>,
    /// Lines: name, and number where told.
    pub lines: Vec<(String, Option<String>)>,
    /// What is recorded for.
    pub purposes: Vec<Purpose>,
    /// Languages of the announcements.
    pub languages: Vec<String>,
    /// Calls of a thousand.
    pub rate: u16,
}

/// Why an answer is none, in a sentence.
pub type Bad = String;

/// The packs that come with the program.
pub fn packs() -> Result<Policy, Bad> {
    const NOBODY: &str = "site = 'x'\ntimezone = 'UTC'\ncontroller = { name = 'x', contact = 'x' }\n\
                          purposes = ['quality']\nlines = {}\n";
    // A policy of nobody's, for its packs.
    Policy::load(("nobody", NOBODY), shipped()).map_err(|findings| format!("the shipped packs: {findings:?}"))
}

fn speaks_to_customers(pack: &Pack) -> bool {
    pack.kind == PackKind::Territory && pack.rules.iter().any(|rule| rule.facet == Facet::Customer)
}

/// Territories whose law for customers a shipped pack knows.
pub fn countries(packs: &Policy) -> BTreeSet<Territory> {
    packs
        .packs()
        .iter()
        .filter(|pack| speaks_to_customers(pack))
        .flat_map(|pack| pack.territory.clone())
        .collect()
}

/// A territory that a pack knows.
pub fn country(text: &str, packs: &Policy) -> Result<Territory, Bad> {
    let known = countries(packs);
    let list = known.iter().map(Territory::as_str).collect::<Vec<_>>().join(", ");
    let code = text.trim().to_uppercase();
    let country = Territory::parse(&code);
    country.filter(|country| known.contains(country)).ok_or_else(|| {
        format!("there is no pack for customers in `{}`; there are {list}. For another country write a pack first", text.trim())
    })
}

/// The PBX: one is supported.
pub fn pbx(text: &str) -> Result<(), Bad> {
    match text.trim().to_lowercase().as_str() {
        "asterisk" => Ok(()),
        "freeswitch" => Err("FreeSWITCH is not supported yet; there is asterisk".into()),
        other => Err(format!("`{other}` is not known; there is asterisk")),
    }
}

/// A line: `accueil`, or `accueil=+33199000100`.
pub fn line(text: &str) -> Result<(String, Option<String>), Bad> {
    let (name, number) = match text.split_once('=') {
        Some((name, number)) => (name.trim(), Some(number.trim())),
        None => (text.trim(), None),
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!(
            "`{name}` cannot name a line: the dialplan names it too, so write lower-case letters, digits and hyphens"
        ));
    }
    let number = number.map(|number| {
        let digits: String = number.chars().filter(|c| !matches!(c, ' ' | '.' | '-' | '(' | ')')).collect();
        let whole = digits.strip_prefix('+').is_some_and(|rest| {
            (6..=15).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_digit())
        });
        if whole {
            Ok(digits)
        } else {
            Err(format!("`{number}` is no number in E.164 form, such as +33199000100"))
        }
    });
    Ok((name.to_owned(), number.transpose()?))
}

/// Lines, no name and no number twice.
pub fn lines(texts: &[String]) -> Result<Vec<(String, Option<String>)>, Bad> {
    let lines = texts.iter().map(|text| line(text)).collect::<Result<Vec<_>, _>>()?;
    let mut seen = BTreeSet::new();
    for (name, number) in &lines {
        if !seen.insert(name) {
            return Err(format!("the line `{name}` is named twice"));
        }
        if let Some(number) = number
            && !seen.insert(number)
        {
            return Err(format!("two lines have the number {number}"));
        }
    }
    if lines.is_empty() { Err("name at least one line".into()) } else { Ok(lines) }
}

/// Purposes that the law of the country knows what to do with.
pub fn purposes(texts: &[String], country: &Territory, packs: &Policy) -> Result<Vec<Purpose>, Bad> {
    let mut purposes = Vec::new();
    for text in texts {
        let purpose = Purpose::parse(text.trim()).ok_or_else(|| {
            format!(
                "`{}` is no purpose; there are {}, or one of your own that begins with x-",
                text.trim(),
                Purpose::KNOWN.join(", ")
            )
        })?;
        if !purposes.contains(&purpose) {
            law::can_be_recorded(&purpose, country, packs)?;
            purposes.push(purpose);
        }
    }
    if purposes.is_empty() { Err("name at least one purpose".into()) } else { Ok(purposes) }
}

/// Languages in which announcements are written here.
pub fn languages(texts: &[String]) -> Result<Vec<String>, Bad> {
    let known = law::languages();
    let mut languages = Vec::new();
    for text in texts {
        let language = text.trim().to_lowercase();
        if !known.contains(&language.as_str()) {
            return Err(format!(
                "there are no announcements in `{language}` yet; there are {}",
                known.join(", ")
            ));
        }
        if !languages.contains(&language) {
            languages.push(language);
        }
    }
    if languages.is_empty() { Err("name at least one language".into()) } else { Ok(languages) }
}

/// The languages of the country's packs, as far as there are announcements in them.
pub fn usual_languages(country: &Territory, packs: &Policy) -> Vec<String> {
    let covers =
        |pack: &&Pack| pack.territory.iter().any(|code| code == country) && pack.kind == PackKind::Territory;
    let spoken: Vec<String> = packs
        .packs()
        .iter()
        .filter(covers)
        .flat_map(|pack| &pack.languages)
        .map(ToString::to_string)
        .collect();
    let known = law::languages();
    let usual: Vec<String> =
        spoken.into_iter().filter(|language| known.contains(&language.as_str())).collect();
    if usual.is_empty() { vec!["en".to_owned()] } else { usual }
}

/// A share of the calls in per cent (`20`, `20 %`, `12.5`), as calls of a thousand.
pub fn rate(text: &str) -> Result<u16, Bad> {
    let bad = || format!("`{}` is no share of the calls; write per cent, such as 20 or 12.5", text.trim());
    let plain = text.trim().trim_end_matches('%').trim().replace(',', ".");
    let (whole, tenths) = plain.split_once('.').unwrap_or((&plain, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(whole, 3) || !digits(tenths, 1) {
        return Err(bad());
    }
    let whole: u16 = whole.parse().map_err(|_| bad())?;
    let tenths: u16 = tenths.parse().map_err(|_| bad())?;
    let rate = whole * 10 + tenths;
    if (1..=1000).contains(&rate) { Ok(rate) } else { Err(bad()) }
}

/// Words separated by commas or blanks.
pub fn words(text: &str) -> Vec<String> {
    split(text, &[',', ';', ' '])
}

/// Lines separated by commas: a number may have blanks in it.
pub fn parts(text: &str) -> Vec<String> {
    split(text, &[',', ';'])
}

fn split(text: &str, at: &[char]) -> Vec<String> {
    text.split(at).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
