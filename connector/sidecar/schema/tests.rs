//! The schemas are the readers': the same keys, and the same yes and no to every example.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use regex::Regex;
use temoin_core::finding::Code;
use temoin_core::lint;
use temoin_core::policy::{Packs, Policy};

use super::*;
use crate::config::Config;
use crate::explain::tests::{CONFIG, PACK, POLICY, merged};
use crate::explain::{self, PartOf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn file(of: Of) -> PathBuf {
    let name = of.to_possible_value().expect("a name");
    Path::new(ROOT).join(format!("examples/schemas/{}.json", name.get_name()))
}

/// With `TEMOIN_WRITE_SCHEMAS=1` the files are written anew.
#[test]
fn the_shipped_files_are_what_the_program_prints() {
    for of in Of::value_variants() {
        let text = format!("{:#}\n", of.schema());
        if std::env::var_os("TEMOIN_WRITE_SCHEMAS").is_some() {
            fs::write(file(*of), &text).expect("a file");
        }
        assert_eq!(fs::read_to_string(file(*of)).expect("a schema"), text, "{of:?}");
    }
}

#[test]
fn every_key_of_a_reader_is_in_its_schema_and_the_reverse() {
    for of in Of::value_variants() {
        let mut tables = Vec::new();
        collect(&of.schema(), Vec::new(), &mut tables);
        assert!(tables.len() >= 6, "{of:?} has {} tables", tables.len());
        for (path, keys) in tables {
            assert_eq!(keys_of_reader(*of, &path), keys, "{of:?} {path:?}");
        }
    }
}

/// All tables of a schema whose keys are closed: where they lie in a file, and their keys.
fn collect(schema: &Value, path: Vec<String>, tables: &mut Vec<(Vec<String>, BTreeSet<String>)>) {
    let deeper = |key: &str| [path.clone(), vec![key.to_owned()]].concat();
    if let Some(properties) = schema["properties"].as_object() {
        for (key, value) in properties {
            collect(value, deeper(key), tables);
        }
        tables.push((path.clone(), properties.keys().cloned().collect()));
    } else if schema["additionalProperties"].is_object() {
        // A name that is a purpose, a language and a name.
        let name =
            ["quality", "fr", "FR"].into_iter().find(|name| fits(&schema["propertyNames"], &json!(name)));
        collect(&schema["additionalProperties"], deeper(name.unwrap_or("opt-out")), tables);
    }
}

/// Asks the reader which keys a table can have, by a key that it cannot have.
fn keys_of_reader(of: Of, path: &[String]) -> BTreeSet<String> {
    const PROBE: &str = "zzqqzzqqzzqq";
    let header = if path.is_empty() { String::new() } else { format!("[{}]\n", path.join(".")) };
    let text = format!("{header}{PROBE} = 1\n");
    let wanted = [path, &[PROBE.to_owned()]].concat().join(".");
    let told: Vec<(String, String)> = match of {
        Of::Policy => {
            lint::check(Some(("f", &text)), &[], None).into_iter().map(|one| (one.path, one.hint)).collect()
        }
        Of::Pack => Packs::load(&[("f", &text)]).1.into_iter().map(|one| (one.path, one.hint)).collect(),
        Of::Config => config_faults(&text).into_iter().map(|one| (one.path, one.hint)).collect(),
    };
    let hint = told.into_iter().find(|(path, _)| *path == wanted).map(|(_, hint)| hint);
    let hint = hint.unwrap_or_else(|| panic!("{of:?}: nobody minds {wanted}"));
    let known = hint.split_once("there are: ").or_else(|| hint.split_once("there are "));
    known.unwrap_or_else(|| panic!("{hint}")).1.split(", ").map(str::to_owned).collect()
}

fn config_faults(text: &str) -> Vec<crate::fault::Fault> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("temoin.toml");
    fs::write(&file, text).expect("a file");
    Config::look(&file).1
}

#[test]
fn every_file_is_taken_by_schema_and_reader_or_refused_by_both() {
    let mut checked = 0;
    let mut all = |of: Of, folder: &str| {
        for entry in fs::read_dir(Path::new(ROOT).join(folder)).expect("a folder") {
            let path = entry.expect("a file").path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                let text = fs::read_to_string(&path).expect("a file");
                if text.parse::<toml::Table>().is_ok() {
                    let (schema, reader) = (refused(of, &text).is_some(), reader_refuses(of, &text));
                    // Which zones there are no schema tells.
                    let of_zone = text.contains("timezone = \"Europe/Lyon\"");
                    assert_eq!(schema, reader && !of_zone, "{}", path.display());
                    checked += 1;
                }
            }
        }
    };
    all(Of::Policy, "examples/policies");
    all(Of::Policy, "tests/cases/sites");
    all(Of::Pack, "connector/core/packs");
    all(Of::Pack, "tests/cases/packs");
    assert!(checked > 100, "{checked}");
    for (of, name) in
        [(Of::Config, "examples/temoin.toml"), (Of::Policy, "examples/policies/demo/policy.toml")]
    {
        let text = fs::read_to_string(Path::new(ROOT).join(name)).expect("an example");
        assert_eq!(refused(of, &text), None, "{name}");
    }
}

/// What bars a file from being read, the schema refuses, too; and nothing that the readers take.
#[test]
fn schema_and_reader_refuse_the_same_examples() {
    const FORM: [Code; 4] = [Code::UnknownKey, Code::MissingKey, Code::BadValue, Code::ScreenCapture];
    let mut tried = 0;
    for code in Code::ALL {
        let about = explain::of(*code).expect("explained");
        let (of, base) = match about.part_of {
            PartOf::Policy => (Of::Policy, POLICY),
            PartOf::Pack => (Of::Pack, PACK),
            PartOf::Config => (Of::Config, CONFIG),
            PartOf::Shell | PartOf::Pbx => continue,
        };
        assert_eq!(refused(of, &merged(base, &about.right)), None, "the right example of {code}");
        if *code == Code::Parse {
            continue;
        }
        let wrong = refused(of, &merged(base, &about.wrong));
        assert_eq!(wrong.is_some(), FORM.contains(code), "the wrong example of {code}: {wrong:?}");
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}

/// Values at the edge of what they may be: both say yes, or both say no.
#[test]
fn schema_and_reader_agree_on_values() {
    let policy = |from: &str, to: &str| {
        assert!(POLICY.contains(from), "{from}");
        POLICY.replacen(from, to, 1)
    };
    for (from, to) in [
        ("rate = 200", "rate = 1000"),
        ("rate = 200", "rate = 1001"),
        ("rate = 200", "rate = -1"),
        ("rate = 200", "rate = 2.5"),
        ("rate = 200", "rate = 200\nstratify = \"queue\""),
        ("rate = 200", "rate = 200\nstratify = \"line\""),
        ("rate = 200", "rate = 200\ndaily = \"22:00-06:00\""),
        ("rate = 200", "rate = 200\ndaily = \"9-17\""),
        ("rate = 200", "rate = 200\ndaily = \"24:00-06:00\""),
        ("object = \"1\"", "object = \"off\""),
        ("object = \"1\"", "object = \"11\""),
        ("object = \"1\"", "object = \"1\", agent_stop = \"*9\""),
        ("object = \"1\"", "object = \"1\", agent_stop = \"*9999\""),
        ("+33199000100", "+33 199000100"),
        ("+33199000100", "0199000100"),
        ("\"FR\"", "\"FR-IDF\""),
        ("\"FR\"", "\"fr\""),
        ("\"FR\"", ""),
        ("from = 2026-09-01", "from = 2026-09-01T08:00:00"),
        ("from = 2026-09-01", "from = 2026-09-01T08:00:00Z"),
        ("from = 2026-09-01", "from = \"soon\""),
        ("prompts.fr", "prompts.fr-BE"),
        ("prompts.fr", "prompts.french"),
        ("purpose = \"quality\"", "purpose = \"x-own\""),
        ("purpose = \"quality\"", "purpose = \"own\""),
        ("dpia = \"AIPD-2026-03\"", "dpia = \"\""),
        ("site = \"Durand\"", "site = \"\""),
        ("controller = {", "controller = { mail = \"x\","),
        ("[agents]", "[tighten.quality]\nmax = \"30 days\"\n[agents]"),
        ("[agents]", "[tighten.quality]\nmax = \"30\"\n[agents]"),
        ("[agents]", "[tighten.quality]\nmax = \"36525 days\"\n[agents]"),
        ("[agents]", "[tighten.quality]\nmax = \"36526 days\"\n[agents]"),
        ("[agents]", "[tighten.quality]\nmax = \"1200 months\"\n[agents]"),
        ("[agents]", "[tighten.quality]\nmax = \"1201 months\"\n[agents]"),
        ("[agents]", "[tighten.quality]\nmax = \"0 days\"\n[agents]"),
        ("[agents]", "[tighten.quality]\nmax = \"01 year\"\n[agents]"),
        ("[agents]", "[tighten.quality]\nmax = \"101 years\"\n[agents]"),
        ("[agents]", "[roles]\nlegal = [\"quality\"]\n[agents]"),
        ("[agents]", "[prerequisites.transfers]\nma = \"scc\"\n[agents]"),
    ] {
        let text = policy(from, to);
        let schema = refused(Of::Policy, &text);
        assert_eq!(schema.is_some(), reader_refuses(Of::Policy, &text), "{to}: schema {schema:?}");
    }
}

fn reader_refuses(of: Of, text: &str) -> bool {
    match of {
        Of::Policy => Policy::load(("f", text), &[]).is_err(),
        Of::Pack => Packs::load(&[("f", text)]).0.iter().next().is_none(),
        Of::Config => !config_faults(text).is_empty(),
    }
}

/// Why a schema refuses a file; nothing where it does not.
fn refused(of: Of, toml: &str) -> Option<String> {
    let table: toml::Table = toml.parse().expect("TOML");
    misfit(&of.schema(), &plain(&toml::Value::Table(table)))
}

/// As editors see TOML: dates are texts.
fn plain(value: &toml::Value) -> Value {
    match value {
        toml::Value::Datetime(date) => json!(date.to_string()),
        toml::Value::Array(items) => items.iter().map(plain).collect(),
        toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        other => json!(other),
    }
}

fn fits(schema: &Value, value: &Value) -> bool {
    misfit(schema, value).is_none()
}

/// Why a value is not of a schema: the keywords that ours use, and no other.
fn misfit(schema: &Value, value: &Value) -> Option<String> {
    for (keyword, says) in schema.as_object().expect("a schema") {
        let holds = match (keyword.as_str(), value) {
            ("$schema" | "title" | "description" | "format", _) => true,
            ("type", _) => match says.as_str().expect("a type") {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64(),
                other => panic!("type {other}"),
            },
            ("enum", _) => says.as_array().expect("a list").contains(value),
            ("const", _) => says == value,
            ("not", _) => !fits(says, value),
            ("anyOf", _) => says.as_array().expect("a list").iter().any(|one| fits(one, value)),
            ("pattern", Value::String(text)) => {
                Regex::new(says.as_str().expect("a pattern")).expect("a pattern").is_match(text)
            }
            ("minLength", Value::String(text)) => {
                text.chars().count() as u64 >= says.as_u64().expect("a number")
            }
            ("minimum", Value::Number(number)) => number.as_i64() >= says.as_i64(),
            ("maximum", Value::Number(number)) => number.as_i64() <= says.as_i64(),
            ("minItems", Value::Array(items)) => items.len() as u64 >= says.as_u64().expect("a number"),
            ("required", Value::Object(table)) => {
                let missing = says
                    .as_array()
                    .expect("a list")
                    .iter()
                    .find(|key| !table.contains_key(key.as_str().expect("a key")));
                match missing {
                    Some(missing) => return Some(format!("{missing} is missing")),
                    None => true,
                }
            }
            ("items", Value::Array(items)) => match items.iter().find_map(|item| misfit(says, item)) {
                Some(why) => return Some(why),
                None => true,
            },
            ("propertyNames", Value::Object(table)) => table.keys().all(|key| fits(says, &json!(key))),
            ("properties", Value::Object(table)) => {
                let wrong = table.iter().find_map(|(key, value)| Some((key, misfit(says.get(key)?, value)?)));
                match wrong {
                    Some((key, why)) => return Some(format!("{key}: {why}")),
                    None => true,
                }
            }
            ("additionalProperties", Value::Object(table)) => {
                let known = schema["properties"].as_object();
                let others =
                    table.iter().filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key)));
                let wrong = others.clone().find_map(|(key, value)| match says {
                    Value::Bool(allowed) => (!allowed).then(|| format!("no such key: {key}")),
                    schema => misfit(schema, value).map(|why| format!("{key}: {why}")),
                });
                match wrong {
                    Some(why) => return Some(why),
                    None => true,
                }
            }
            (
                "pattern"
                | "minLength"
                | "minimum"
                | "maximum"
                | "minItems"
                | "required"
                | "items"
                | "propertyNames"
                | "properties"
                | "additionalProperties",
                _,
            ) => true,
            (other, _) => panic!("keyword {other}"),
        };
        if !holds {
            return Some(format!("{keyword} {says} does not hold for {value}"));
        }
    }
    None
}
