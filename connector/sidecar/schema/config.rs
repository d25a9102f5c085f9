//! temoin.toml: how this machine does it.

use serde_json::{Value, json};

use super::*;

pub(super) fn schema() -> Value {
    table([
        ("node", about("This node's name in the journal.", any_text())),
        ("site", any_text()),
        ("policy!", about("The site policy.", any_text())),
        ("packs", about("A folder of packs instead of the shipped ones.", any_text())),
        ("asterisk!", asterisk()),
        ("store!", table([("path!", about("The index, an SQLite file.", any_text()))])),
        ("vault!", table([("path!", any_text()), ("key!", any_text())])),
        ("sampling_key!", about("The key of the draws; made at the first start.", any_text())),
        ("register_key", about("The key of the register; made at its first use.", any_text())),
        ("prompts!", table([("folder!", about("<folder>/<language>/temoin-<text>.wav", any_text()))])),
        ("extensions", about("Which agent sits where.", named(any_text(), any_text()))),
        ("codes", codes()),
        ("lines", named(any_text(), line())),
        ("wait", table([("opt_out", duration()), ("opt_in", duration())])),
        ("room", table(["spool", "index", "vault"].map(|key| (key, size())))),
        ("log", table([("format", json!({ "enum": ["text", "json"] })), ("level", any_text())])),
    ])
}

fn asterisk() -> Value {
    let deadlines = ["order", "connect", "snapshot", "ami_ping", "ami_idle", "ari_ping", "ari_idle"]
        .map(|key| (key, duration()));
    table([
        ("ami!", ami()),
        ("ari!", ari()),
        ("app", any_text()),
        ("spool!", about("Where recorders write.", any_text())),
        ("deadlines", table(deadlines)),
        ("allow_untested_version", flag()),
    ])
}

fn ami() -> Value {
    table([
        ("host", any_text()),
        ("port", whole(0, u16::MAX)),
        ("user!", any_text()),
        ("secret!", any_text()),
        ("tls", tls()),
    ])
}

fn ari() -> Value {
    table([("url!", any_text()), ("user!", any_text()), ("password!", any_text()), ("tls", tls())])
}

fn tls() -> Value {
    table([("ca!", any_text()), ("server_name", any_text())])
}

fn codes() -> Value {
    let code = |what| about(what, json!({ "type": "string", "pattern": "^([0-9*#]{1,4}|off)$" }));
    table([
        ("triggered", code("What is recorded at the agent's wish begins; again: ends.")),
        ("regulated", code("A regulated talk begins; again: ends.")),
        ("machine", code("An answering machine; again: somebody has picked up.")),
    ])
}

fn line() -> Value {
    const TEXTS: [&str; 8] =
        ["opt-out", "opt-in", "notice", "info", "refused", "unavailable", "alternative", "contract"];
    let audio = named(any_text(), named(json!({ "enum": TEXTS }), any_text()));
    table([
        (
            "unavailable",
            about(
                "Whether a call goes on when it cannot be recorded.",
                json!({ "enum": ["admit", "refuse"] }),
            ),
        ),
        ("announce", about("Who tells the customer.", json!({ "enum": ["prompt", "agent"] }))),
        (
            "machine",
            about(
                "How an answering machine is known when a customer is called.",
                json!({ "enum": ["code", "amd"] }),
            ),
        ),
        ("audio", about("Sounds of its own: language, text, file.", audio)),
    ])
}

fn size() -> Value {
    about(
        "With less left, nothing new is recorded.",
        json!({ "type": "string", "pattern": r"^\d+ *[KMG]iB$" }),
    )
}

fn duration() -> Value {
    json!({ "type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*[a-zµ]+(\s*\d+(\.\d+)?\s*[a-zµ]+)*\s*$" })
}
