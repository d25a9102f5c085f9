//! The text of a new `policy.toml`: every key with a comment, and every value that only people know marked `TODO(you)`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::ToSpan as _;
use jiff::civil::Date;
use temoin_core::policy::Policy;
use temoin_core::words::{Element, Gate, PackKind, Prerequisite, Purpose, Territory, codes_covering};

use super::answers::Answers;
use super::law::{self, Asked, Law};

/// The campaign of a probe.
pub const CAMPAIGN: &str = "probe";
/// The agent with whom a new policy begins.
pub const AGENT: &str = "agent-1";
/// How long a first campaign lasts.
const SEASON_DAYS: i64 = 55;
/// How long the site keeps what no pack limits, until somebody says better.
const OWN_LIMIT: &str = "6 months";

/// A policy for trying out what the law asks: with everything on file or nothing, and with a limit of its own or none.
pub fn probe(answers: &Answers, packs: &Policy, today: Date, filed: bool, limited: bool) -> String {
    let purposes = list(answers.purposes.iter().map(Purpose::as_str));
    let mut out =
        String::from("site = 'probe'\ncontroller = { name = 'x', contact = 'x', authority = 'x' }\n");
    let _ = writeln!(out, "timezone = {}\npurposes = {purposes}", quoted(&zone(&answers.country, packs).0));
    let before = today.yesterday().unwrap_or(today);
    for (name, _) in &answers.lines {
        let sectors = list(all_sectors(answers, packs).iter().map(String::as_str));
        let market = answers.country.as_str();
        let _ = write!(
            out,
            "[lines.{name}]\nnumbers = ['+0000001']\nmarkets = ['{market}']\nsectors = {sectors}\n\
             keys = {{ object = '1', accept = '2', info = '9' }}\n\
             [lines.{name}.prompts.en]\nversion = 'x'\npurposes = {purposes}\n"
        );
    }
    for purpose in &answers.purposes {
        let until = today.checked_add(1.day()).unwrap_or(today);
        let _ = write!(
            out,
            "[campaigns.{CAMPAIGN}]\npurpose = '{purpose}'\nfrom = {before}\nuntil = {until}\nrate = 1\nnecessity = 'x'\n"
        );
    }
    if filed {
        let _ = write!(
            out,
            "[prerequisites]\nregister_entry = 'x'\ndpia = 'x'\nno_other_proof = 'x'\n\
             works_council = {{ consulted = {before}, minutes = 'x' }}\n\
             [agents]\n{AGENT} = {{ country = '{}', notice = {before}, consent = {before} }}\n",
            answers.country
        );
    } else {
        let _ = write!(out, "[agents]\n{AGENT} = {{ country = '{}' }}\n", answers.country);
    }
    if limited {
        for purpose in &answers.purposes {
            let _ = writeln!(out, "[tighten.{purpose}]\nmax = '{OWN_LIMIT}'");
        }
    }
    out
}

/// The zone of a country by its packs, and whether it is only a guess.
fn zone(country: &Territory, packs: &Policy) -> (String, bool) {
    let of = |exact: bool| {
        packs.packs().iter().find_map(|pack| {
            let here = pack.territory.iter().any(|code| code == country)
                || (!exact && codes_covering(&pack.territory, country).next().is_some());
            (pack.kind == PackKind::Territory && here).then_some(pack.zone.as_ref()?)
        })
    };
    of(true)
        .or_else(|| of(false))
        .map_or_else(|| ("America/New_York".to_owned(), true), |zone| (zone.name().to_owned(), false))
}

fn all_sectors(answers: &Answers, packs: &Policy) -> BTreeSet<String> {
    answers.purposes.iter().flat_map(|purpose| law::sectors(purpose, &answers.country, packs)).collect()
}

/// The authority that people complain to, where there is one for a whole country.
fn authority(country: &Territory) -> Option<&'static str> {
    const AUTHORITIES: [(&str, &str); 9] = [
        ("FR", "CNIL"),
        ("BE", "APD / GBA"),
        ("ES", "AEPD"),
        ("DK", "Datatilsynet"),
        ("CH", "PFPDT / EDÖB"),
        ("GB", "ICO"),
        ("CA-QC", "CAI"),
        ("CA", "Office of the Privacy Commissioner of Canada"),
        ("US-CA", "California Privacy Protection Agency"),
    ];
    AUTHORITIES.iter().find(|(code, _)| *code == country.as_str()).map(|(_, name)| *name)
}

/// The policy.
pub fn text(answers: &Answers, law: &Law, packs: &Policy, today: Date) -> String {
    let mut out = String::new();
    head(&mut out, answers, packs);
    for (at, (name, number)) in answers.lines.iter().enumerate() {
        line(&mut out, answers, law, packs, (at, name, number.as_deref()));
    }
    campaigns(&mut out, answers, law, today);
    prerequisites(&mut out, law);
    people(&mut out, answers, law);
    limits(&mut out, law);
    out
}

fn head(out: &mut String, answers: &Answers, packs: &Policy) {
    let (zone, guessed) = zone(&answers.country, packs);
    let name = answers.controller.as_deref();
    let authority = authority(&answers.country);
    let mut controller = Vec::new();
    controller.push(format!("name = {}", quoted(name.unwrap_or("TODO"))));
    controller.push(format!("contact = {}", quoted(answers.contact.as_deref().unwrap_or("TODO"))));
    controller.extend(authority.map(|authority| format!("authority = {}", quoted(authority))));
    let _ = write!(
        out,
        "# What may be recorded, of whom and why. Written by `temoin init` for {country}; read it through: it is yours.\n\
         # Lines with TODO(you) hold what only you can supply. `temoin check` tells what is still missing, and nothing is\n\
         # recorded for a purpose before everything that the law asks for it is there. It is no legal advice.\n\n\
         # The name of the site, for people.\nsite = {site}\n\
         # Days and hours are those of this zone.{zone_todo}\ntimezone = {zone}\n",
        country = answers.country,
        site = quoted(name.unwrap_or("TODO")),
        zone_todo = if guessed { "\n# TODO(you): the time zone of the site; this is a guess." } else { "" },
        zone = quoted(&zone),
    );
    let _ = writeln!(
        out,
        "# Who decides why calls are recorded, where people write about their rights, and whom they complain to."
    );
    if name.is_none() {
        let _ = writeln!(out, "# TODO(you): the controller's legal name, here and in `site`.");
    }
    if answers.contact.is_none() {
        let _ = writeln!(
            out,
            "# TODO(you): the address for rights: it is said in the announcement and in the papers."
        );
    }
    if authority.is_none() {
        let _ = writeln!(
            out,
            "# TODO(you): the authority one may complain to, as `authority = \"…\"`, if there is one."
        );
    }
    let _ = writeln!(out, "# TODO(you): the data protection officer, as `dpo = \"…\"`, if you have one.");
    let _ = writeln!(out, "controller = {{ {} }}", controller.join(", "));
    let _ = writeln!(out, "# What calls are recorded for. A new purpose is announced before it is used.");
    let _ = writeln!(out, "purposes = {}", list(answers.purposes.iter().map(Purpose::as_str)));
}

fn line(
    out: &mut String,
    answers: &Answers,
    law: &Law,
    packs: &Policy,
    (at, name, number): (usize, &str, Option<&str>),
) {
    let sectors = all_sectors(answers, packs);
    let _ = writeln!(
        out,
        "\n# A line: what a customer dials. The dialplan names it: Gosub(temoin-inbound,s,1({name})).\n[lines.{name}]"
    );
    if number.is_none() {
        let _ =
            writeln!(out, "# TODO(you): the numbers of the line `{name}`, as +33199000100; this is none.");
    }
    let none = format!("+000000{}", at + 1);
    let _ = writeln!(out, "numbers = [{}]", quoted(number.unwrap_or(&none)));
    let _ = writeln!(
        out,
        "# Whose law protects the callers, wherever the call is answered.\nmarkets = [{}]",
        quoted(answers.country.as_str())
    );
    if !sectors.is_empty() {
        let _ = writeln!(
            out,
            "# The packs of the trade.\nsectors = {}",
            list(sectors.iter().map(String::as_str))
        );
    }
    let asked: Vec<&Asked> = law.values().collect();
    let any = |what: &dyn Fn(&Asked) -> bool| asked.iter().any(|asked| what(asked));
    let mut keys = Vec::new();
    match (any(&|a| a.gate == Gate::OptIn), any(&|a| a.gate != Gate::OptIn)) {
        (true, false) => keys.extend(["accept = \"1\"", "object = \"2\""]),
        (true, true) => keys.extend(["object = \"1\"", "accept = \"2\""]),
        (false, _) => keys.push("object = \"1\""),
    }
    keys.extend([
        "info = \"9\"",
        "agent_stop = \"*9\"",
        "agent_object = \"*8\"",
        "agent_private = \"*7\"",
        "agent_told = \"*5\"",
    ]);
    if any(&|a| a.part) {
        keys.push("agent_contract = \"*6\"");
    }
    let _ = writeln!(
        out,
        "# Callers press object, accept and info. Agents dial: pause and resume, the customer objects, private call, \"I have\n\
         # told the customer\"{}. The codes must be those of temoin-features.conf.\nkeys = {{ {} }}",
        if any(&|a| a.part) { ", and the part to be recorded begins or ends" } else { "" },
        keys.join(", ")
    );
    for language in &answers.languages {
        prompt(out, answers, law, name, language);
    }
}

fn prompt(out: &mut String, answers: &Answers, law: &Law, line: &str, language: &str) {
    let elements: BTreeSet<Element> = law.values().flat_map(|asked| asked.elements.iter().copied()).collect();
    let asked: Vec<&Asked> = law.values().collect();
    let all = |what: &dyn Fn(&Asked) -> bool| asked.iter().all(|asked| what(asked));
    let any = |what: &dyn Fn(&Asked) -> bool| asked.iter().any(|asked| what(asked));
    let first = match () {
        () if all(&|a| a.must) => "must",
        () if all(&|a| a.gate == Gate::OptIn) => "ask",
        () => "may",
    };
    let refuses = any(&|a| a.refuses) || elements.contains(&Element::RefusalEffect);
    let objects = elements.contains(&Element::Object) || !all(&|a| a.must) || refuses;
    let sentences: [(&str, bool); 10] = [
        (first, true),
        ("listened", elements.contains(&Element::Listened)),
        ("accept", elements.contains(&Element::Accept)),
        ("object", objects),
        ("refusal-effect", refuses),
        ("retention", elements.contains(&Element::Retention)),
        ("copy", elements.contains(&Element::Copy)),
        ("complaint", elements.contains(&Element::Complaint)),
        ("rights", true),
        ("info", true),
    ];
    let said: Vec<&str> = sentences
        .iter()
        .filter(|(_, wanted)| *wanted)
        .map(|(what, _)| law::sentence(language, what))
        .collect();
    // What the text says in words and not by a placeholder.
    let spoken = [
        (Element::Copy, "copy"),
        (Element::Listened, "listened"),
        (Element::RefusalEffect, "refusal-effect"),
    ];
    let says: Vec<&str> =
        spoken.iter().filter(|(element, _)| elements.contains(element)).map(|(_, word)| *word).collect();
    let _ = write!(
        out,
        "\n# What callers of `{line}` hear before anything is recorded; a changed text gets a new version, so that a recording\n\
         # leads to what was heard.\n\
         # TODO(you): have a native speaker and a lawyer read this announcement ({line}, {language}), and record it as a sound.\n\
         [lines.{line}.prompts.{language}]\nversion = {}\npurposes = {}\ntext = {}\n",
        quoted(&format!("{language}-1")),
        list(answers.purposes.iter().map(Purpose::as_str)),
        quoted(&said.join(" ")),
    );
    if !says.is_empty() {
        let _ = writeln!(out, "# What the text says without a placeholder.\nsays = {}", list(says));
    }
    let proof = law.iter().find(|(purpose, asked)| purpose.as_str() == "contract-proof" && asked.part);
    if let Some((purpose, _)) = proof {
        let step = quoted(law::sentence(language, "contract-proof"));
        let _ = writeln!(
            out,
            "# What is said when that part of the talk begins.\nsteps = {{ {purpose} = {step} }}"
        );
    }
}

fn campaigns(out: &mut String, answers: &Answers, law: &Law, today: Date) {
    let until = today.checked_add(SEASON_DAYS.days()).unwrap_or(today);
    for purpose in law.iter().filter(|(_, asked)| asked.campaign).map(|(purpose, _)| purpose) {
        let _ = write!(
            out,
            "\n# A campaign: a share of the calls, by lot, for a time. It is short and says why it is needed; recording for ever\n\
             # is refused. TODO(you): its first and last day.\n\
             # For a dry run with calls of the past (`temoin simulate`) it must be open on their days.\n[campaigns.{purpose}-1]\npurpose = {}\nfrom = {today}\nuntil = {until}\n\
             rate = {} # calls of a thousand\n\
             # TODO(you): why this campaign is needed, and why nothing that intrudes less would do.\nnecessity = \"\"\n",
            quoted(purpose.as_str()),
            answers.rate,
        );
    }
}

fn prerequisites(out: &mut String, law: &Law) {
    let asked: BTreeSet<Prerequisite> =
        law.values().flat_map(|asked| asked.missing.iter().copied()).collect();
    let keys: BTreeMap<Prerequisite, &str> = [
        (Prerequisite::RegisterEntry, "register_entry = \"\""),
        (Prerequisite::Dpia, "dpia = \"\""),
        (Prerequisite::WorksCouncil, "works_council = {} # { consulted = 2026-01-31, minutes = \"…\" }"),
        (Prerequisite::NoOtherProofNote, "no_other_proof = \"\""),
    ]
    .into();
    let wanted: Vec<_> = keys.iter().filter(|(what, _)| asked.contains(what)).collect();
    if wanted.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n# What must be on file before anything is recorded.\n[prerequisites]");
    for (what, key) in wanted {
        let _ = writeln!(out, "# TODO(you): {}.\n{key}", law::why(*what));
    }
}

fn people(out: &mut String, answers: &Answers, law: &Law) {
    let consents = law.values().any(|asked| asked.gate == Gate::OptIn);
    let consent = if consents {
        " Where consent of all is\n# needed, `consent = 2026-01-31` is the day of the agent's own; without it nothing is recorded with him."
    } else {
        ""
    };
    let _ = write!(
        out,
        "\n# TODO(you): your agents, each with the country where he works and the day on which he acknowledged the notice, as\n\
         # `notice = 2026-01-31`; before that day nothing is recorded with him where the law asks for it.{consent}\n\
         [agents]\n{AGENT} = {{ country = {} }}\n\n\
         # Never recorded, whatever else is said here.\n\
         # TODO(you): extensions of staff representatives, the doctor, whoever must be able to speak unheard; also `agents`, `numbers`.\n\
         [exempt]\nextensions = []\n\n\
         # Who may listen to what.\n# TODO(you): name the functions that may listen, and to recordings of which purposes.\n[roles]\n\
         supervisors = {}\n",
        quoted(answers.country.as_str()),
        list(answers.purposes.iter().map(Purpose::as_str)),
    );
}

fn limits(out: &mut String, law: &Law) {
    for (purpose, _) in law.iter().filter(|(_, asked)| asked.unbounded) {
        let _ = write!(
            out,
            "\n# No pack limits how long this is kept, so you do.\n# TODO(you): the period that you need, and can explain.\n\
             [tighten.{purpose}]\nmax = {}\n",
            quoted(OWN_LIMIT)
        );
    }
}

/// A text as TOML writes it.
pub fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list<'t>(words: impl IntoIterator<Item = &'t str>) -> String {
    let words: Vec<_> = words.into_iter().map(quoted).collect();
    format!("[{}]", words.join(", "))
}
