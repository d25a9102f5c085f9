//! A pack (`FORMAT.md`, section 1).

use serde_json::{Value, json};
use temoin_core::words::{
    Anchor, Approver, Basis, Confidence, Copying, Duty, Element, Erasure, Errand, Facet, Gate, Objection,
    PackKind, Parties, Phase, Prerequisite, PriorConsent, Refusal, SourceKind, Status,
};

use super::*;

pub(super) fn schema() -> Value {
    table([
        ("pack!", about("Its id.", pack_id())),
        ("version!", json!({ "type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$" })),
        ("kind!", word::<PackKind>()),
        ("status!", word::<Status>()),
        ("valid_from!", date()),
        ("valid_to", about("The last day.", date())),
        ("reviewed_on!", date()),
        ("review_due!", about("At most a year later.", date())),
        ("parent", about("A pack whose rules apply too.", pack_id())),
        ("territory", filled(territory())),
        ("timezone", zone()),
        ("languages", list(language())),
        ("never", about("What is never recorded.", list(text()))),
        ("title", text()),
        ("maintainers", list(text())),
        ("disclaimer", text()),
        ("calling", about("What is asked of those who sell by telephone.", calling())),
        ("sources", named(text(), source())),
        ("rules", named(text(), rule())),
    ])
}

fn calling() -> Value {
    table([
        ("consent!", word::<PriorConsent>()),
        ("from", about("The first day on which that counts.", date())),
        ("spares", about("Errands that it is not about.", list(word::<Errand>()))),
        ("proof", about("How long the proof of a consent is kept after its end.", period())),
        ("sources!", filled(text())),
    ])
}

fn source() -> Value {
    table([
        ("cite!", text()),
        ("kind!", word::<SourceKind>()),
        ("confidence!", word::<Confidence>()),
        ("url", text()),
        ("seen_on", date()),
    ])
}

fn rule() -> Value {
    let star = json!({ "anyOf": [{ "const": "*" }, purpose()] });
    table([
        ("facet!", word::<Facet>()),
        ("purposes!", filled(star)),
        ("duty", word::<Duty>()),
        ("basis", word::<Basis>()),
        ("gate", word::<Gate>()),
        ("parties", word::<Parties>()),
        ("refusal", word::<Refusal>()),
        ("objection", word::<Objection>()),
        ("phase", word::<Phase>()),
        ("rate", rate()),
        ("campaign_max_days", whole(1, 366)),
        ("retention", retention()),
        ("erasure", word::<Erasure>()),
        ("announce", list(word::<Element>())),
        ("prerequisites", list(word::<Prerequisite>())),
        ("access", access()),
        ("obligations", list(text())),
        ("sources", about("What it rests on.", list(text()))),
    ])
}

fn rate() -> Value {
    table([
        ("max!", whole(0, 1000)),
        ("exception_max", whole(0, 1000)),
        ("exception_days", whole(1, u16::MAX)),
        ("exception_needs", list(word::<Approver>())),
    ])
}

fn retention() -> Value {
    table([
        ("max", period()),
        ("hard_max", flag()),
        ("min", period()),
        ("extended", period()),
        ("exact", period()),
        ("anchor", word::<Anchor>()),
        ("provisional", period()),
        ("report_max", period()),
    ])
}

fn access() -> Value {
    table([("regulator_only", flag()), ("approval", text()), ("copy", word::<Copying>())])
}
