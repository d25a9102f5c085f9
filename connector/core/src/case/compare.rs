//! Whether an answer is as expected. What is expected is a part of the answer: the keys of an object must be there and
//! match, an array must match element by element, anything else must be equal.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// A place at which an answer is not as expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Where: `.purposes.quality.reason`, `.findings[2]`; empty for the whole answer.
    pub at: String,
    /// What should be there; none where something is too much.
    pub expected: Option<Value>,
    /// What is there; none where something is missing.
    pub got: Option<Value>,
}

/// All differences, in the order of what is expected.
pub fn compare(expected: &Value, got: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    collect(expected, got, "", &mut differences);
    differences
}

fn collect(expected: &Value, got: &Value, at: &str, differences: &mut Vec<Difference>) {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            for (key, value) in expected {
                let at = format!("{at}.{key}");
                match got.get(key) {
                    Some(found) => collect(value, found, &at, differences),
                    None => differences.push(Difference { at, expected: Some(value.clone()), got: None }),
                }
            }
        }
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                collect(expected, got, &format!("{at}[{index}]"), differences);
            }
        }
        (Value::Array(expected), Value::Array(got)) => unpaired(expected, got, at, differences),
        _ if expected == got => {}
        _ => differences.push(Difference {
            at: at.to_owned(),
            expected: Some(expected.clone()),
            got: Some(got.clone()),
        }),
    }
}

/// Of lists that are not of one length: what is missing, and what is too much.
fn unpaired(expected: &[Value], got: &[Value], at: &str, differences: &mut Vec<Difference>) {
    let mut left: Vec<(usize, &Value)> = got.iter().enumerate().collect();
    for (index, wanted) in expected.iter().enumerate() {
        match left.iter().position(|(_, found)| compare(wanted, found).is_empty()) {
            Some(paired) => drop(left.remove(paired)),
            None => differences.push(Difference {
                at: format!("{at}[{index}]"),
                expected: Some(wanted.clone()),
                got: None,
            }),
        }
    }
    differences.extend(left.into_iter().map(|(index, found)| Difference {
        at: format!("{at}[{index}]"),
        expected: None,
        got: Some(found.clone()),
    }));
}

impl fmt::Display for Difference {
    /// Three lines: where, what was expected, what was got.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.at.is_empty() { "the answer" } else { self.at.trim_start_matches('.') };
        let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), shortened);
        write!(f, "{whole}\n  expected  {}\n  got       {}", shown(&self.expected), shown(&self.got))
    }
}

/// A value on one line, cut where it is longer than anybody reads.
fn shortened(value: &Value) -> String {
    const LONGEST: usize = 400;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Comparing is itself to be trusted: it must be able to say no.
    #[test]
    fn differences_are_found() {
        for (expected, got) in [
            (json!({"a": 1}), json!({})),
            (json!([1, 2]), json!([1])),
            (json!([1]), json!([1, 2])),
            (json!([1, 1]), json!([1])),
            (json!([]), json!([1])),
            (json!([1, 2]), json!([2, 1])),
            (json!({"a": null}), json!({"a": false})),
            (json!({"a": []}), json!({"a": {}})),
            (json!({"a": [{"b": 1}]}), json!({"a": [{"b": 2, "c": 3}]})),
        ] {
            assert!(!compare(&expected, &got).is_empty(), "{expected} is not {got}");
        }
        let got = json!({"a": [{"b": 1, "c": 3}], "d": 4});
        assert_eq!(compare(&json!({"a": [{"b": 1}]}), &got), []);
    }

    #[test]
    fn of_two_lists_it_tells_what_is_missing_and_what_is_too_much() {
        let expected = json!({"f": [{"code": "A"}, {"code": "B"}]});
        let got = json!({"f": [{"code": "B", "line": 3}, {"code": "C"}, {"code": "D"}]});
        let told: Vec<String> = compare(&expected, &got).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "f[0]\n  expected  {\"code\":\"A\"}\n  got       nothing",
                "f[1]\n  expected  nothing\n  got       {\"code\":\"C\"}",
                "f[2]\n  expected  nothing\n  got       {\"code\":\"D\"}",
            ]
        );
    }
}
