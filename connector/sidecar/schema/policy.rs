//! The site policy (`FORMAT.md`, section 2).

use serde_json::{Value, json};
use temoin_core::words::{Approver, Direction, Element, Errand, Function, Gate, Instrument, Stratify, Word};

use super::*;

pub(super) fn schema() -> Value {
    table([
        ("site!", about("Its name for people.", text())),
        ("timezone!", zone()),
        ("controller!", controller()),
        ("purposes!", about("What recordings are made for here.", filled(purpose()))),
        ("overlays", about("Packs that apply to every line.", list(pack_id()))),
        ("lines!", named(text(), line())),
        ("campaigns", named(text(), campaign())),
        ("prerequisites", prerequisites()),
        ("agents", named(text(), agent())),
        ("exempt", exempt()),
        ("exceptions", named(text(), exception())),
        ("roles", about("The purposes a role may hear.", roles())),
        ("tighten", about("What the site asks of itself beyond the packs.", named(purpose(), tighten()))),
    ])
}

fn controller() -> Value {
    about(
        "Who is responsible.",
        table([("name!", text()), ("contact!", text()), ("dpo", text()), ("authority", text())]),
    )
}

fn line() -> Value {
    table([
        ("numbers!", filled(number())),
        ("markets!", about("The territories it serves.", filled(territory()))),
        ("sectors", about("Packs of its trades.", list(pack_id()))),
        ("timezone", zone()),
        ("outbound", about("What it calls people for.", word::<Errand>())),
        ("purposes", filled(purpose())),
        ("keys", keys()),
        ("prompts!", named(language(), prompt())),
    ])
}

fn keys() -> Value {
    let keys = Function::ALL.iter().map(|function| {
        let most = if function.is_agents() { 4 } else { 1 };
        let key = json!({ "type": "string", "pattern": format!("^(off|[0-9*#]{{1,{most}}})$") });
        (function.as_str().to_owned(), key)
    });
    json!({ "type": "object", "properties": keys.collect::<Map<_, _>>(), "additionalProperties": false })
}

fn prompt() -> Value {
    table([
        ("version!", about("For the evidence.", text())),
        ("purposes!", filled(purpose())),
        (
            "text",
            about(
                "Placeholders: {controller} {purposes} {object} {accept} {info} {retention} {authority} {contact}.",
                text(),
            ),
        ),
        ("says", about("What an audio file speaks.", list(word::<Element>()))),
        ("steps", about("What is said later in the call, by purpose.", named(purpose(), text()))),
        ("keys", keys()),
    ])
}

fn campaign() -> Value {
    table([
        ("purpose!", purpose()),
        ("from!", bound()),
        ("until", bound()),
        ("rate!", about("Calls of a thousand.", whole(0, 1000))),
        ("lines", list(text())),
        ("queues", list(text())),
        ("agents", list(text())),
        ("direction", word::<Direction>()),
        ("daily", about("Two local times: \"09:00-18:00\".", daily())),
        ("necessity", about("Why it is needed.", any_text())),
        ("stratify", word::<Stratify>()),
    ])
}

fn daily() -> Value {
    const CLOCK: &str = "([01][0-9]|2[0-3]):[0-5][0-9]";
    json!({ "type": "string", "pattern": format!("^{CLOCK}-{CLOCK}$") })
}

fn prerequisites() -> Value {
    let council = table([("consulted", date()), ("minutes", any_text()), ("none", telling())]);
    let country = json!({ "type": "string", "pattern": "^[A-Z]{2}$" });
    table([
        ("register_entry", any_text()),
        ("dpia", any_text()),
        ("no_other_proof", any_text()),
        ("works_council", council),
        ("transfers", named(country, word::<Instrument>())),
    ])
}

/// A text that says something: not only blanks.
fn telling() -> Value {
    json!({ "type": "string", "pattern": r"\S" })
}

fn agent() -> Value {
    table([
        ("country!", territory()),
        ("notice", about("The day it was acknowledged.", date())),
        ("consent", about("The day of a standing consent.", date())),
    ])
}

fn exempt() -> Value {
    about(
        "Never recorded.",
        table([("extensions", list(text())), ("agents", list(text())), ("numbers", list(number()))]),
    )
}

fn exception() -> Value {
    let approved = Approver::ALL.iter().map(|who| (who.as_str().to_owned(), text()));
    let approved = json!({ "type": "object", "properties": approved.collect::<Map<_, _>>(), "additionalProperties": false });
    table([
        ("purpose!", purpose()),
        ("rate!", whole(0, 1000)),
        ("from!", bound()),
        ("until!", bound()),
        ("reason!", text()),
        ("requested_by", text()),
        ("approved", approved),
    ])
}

fn roles() -> Value {
    let name =
        json!({ "type": "string", "minLength": 1, "not": { "enum": ["legal", "subject", "regulator"] } });
    named(name, list(purpose()))
}

fn tighten() -> Value {
    table([("gate", word::<Gate>()), ("rate_max", whole(0, 1000)), ("max", period())])
}
