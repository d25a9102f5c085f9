//! `temoin schema`: JSON Schemas (2020-12) of a policy, a pack and temoin.toml, for editors and CI. They lie in
//! `examples/schemas`, too.
//!
//! Closed lists of words come from the vocabulary itself. That the keys are those of the readers, no more and no less,
//! is held by a test that asks the readers. What a schema cannot tell (names that lead nowhere, what the law asks) is
//! told by `temoin check`, and so is a zone that does not exist.

mod config;
mod pack;
mod policy;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};
use temoin_core::words::{Purpose, Word};

/// What there are schemas of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Of {
    /// A site policy.
    Policy,
    /// A pack.
    Pack,
    /// temoin.toml.
    Config,
}

impl Of {
    /// The schema.
    pub fn schema(self) -> Value {
        let (title, body) = match self {
            Self::Policy => ("Témoin: site policy", policy::schema()),
            Self::Pack => ("Témoin: pack", pack::schema()),
            Self::Config => ("Témoin: temoin.toml", config::schema()),
        };
        let mut schema = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "title": title });
        if let (Value::Object(schema), Value::Object(body)) = (&mut schema, body) {
            schema.extend(body);
        }
        schema
    }
}

/// A table with exactly these keys, those that must be there marked with `!`.
fn table<const N: usize>(keys: [(&str, Value); N]) -> Value {
    let required: Vec<&str> = keys.iter().filter_map(|(key, _)| key.strip_suffix('!')).collect();
    let properties: Map<String, Value> =
        keys.iter().map(|(key, value)| (key.trim_end_matches('!').to_owned(), value.clone())).collect();
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

/// A table whose keys are names.
fn named(name: Value, value: Value) -> Value {
    json!({ "type": "object", "propertyNames": name, "additionalProperties": value })
}

/// One word of a closed list.
fn word<W: Word>() -> Value {
    json!({ "enum": W::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>() })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// A list with something in it.
fn filled(items: Value) -> Value {
    json!({ "type": "array", "items": items, "minItems": 1 })
}

fn about(text: &str, mut value: Value) -> Value {
    value["description"] = json!(text);
    value
}

/// A text that may be empty.
fn any_text() -> Value {
    json!({ "type": "string" })
}

/// A text that is not empty.
fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn whole(from: u16, to: u16) -> Value {
    json!({ "type": "integer", "minimum": from, "maximum": to })
}

/// A local date, as TOML writes it: without quotes.
fn date() -> Value {
    json!({ "type": "string", "format": "date", "pattern": r"^\d{4}-\d{2}-\d{2}$" })
}

/// A local date or date-time.
fn bound() -> Value {
    json!({ "type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?$" })
}

fn period() -> Value {
    // At most 36525 days, 1200 months, 100 years.
    const DAYS: &str = "([1-9][0-9]{0,3}|[12][0-9]{4}|3[0-5][0-9]{3}|36[0-4][0-9]{2}|365[01][0-9]|3652[0-5])";
    const MONTHS: &str = "([1-9][0-9]{0,2}|1[01][0-9]{2}|1200)";
    const YEARS: &str = "([1-9][0-9]?|100)";
    let pattern = format!("^({DAYS} days?|{MONTHS} months?|{YEARS} years?)$");
    let form = json!({ "type": "string", "pattern": pattern });
    about("A whole number and a unit: \"6 months\".", form)
}

fn zone() -> Value {
    about(
        "The IANA name of a time zone.",
        json!({ "type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_+/-]*$" }),
    )
}

fn territory() -> Value {
    about("ISO 3166: FR or US-CA.", json!({ "type": "string", "pattern": "^[A-Z]{2}(-[A-Z0-9]{1,3})?$" }))
}

fn language() -> Value {
    json!({ "type": "string", "pattern": "^[a-z]{2}(-[A-Z]{2})?$" })
}

fn number() -> Value {
    about("E.164: + and 6 to 15 digits.", json!({ "type": "string", "pattern": r"^\+[0-9]{6,15}$" }))
}

fn pack_id() -> Value {
    json!({ "type": "string", "pattern": "^[a-z0-9-]+$" })
}

/// A purpose of the vocabulary, or one of one's own.
fn purpose() -> Value {
    json!({ "type": "string", "pattern": format!("^({}|x-[a-z0-9-]+)$", Purpose::KNOWN.join("|")) })
}
