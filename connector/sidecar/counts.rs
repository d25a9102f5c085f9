//! How many calls came to what, by line: what a supervisor or a regulator asks for without asking for anybody's call.
//!
//! Left out: calls that the index has forgotten, and the realised rates of campaigns (`temoin sampling audit`).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use temoin_core::ports::{CallQuery, CallRecord, Store, StoreError};

use crate::pages;
use crate::show::columns;

/// How many calls of a line had an outcome.
pub type Counts = BTreeMap<(String, String), u64>;

/// All calls that the query finds, whatever its limit.
///
/// # Errors
/// As the store's.
pub async fn of(store: &impl Store, query: &CallQuery) -> Result<Counts, StoreError> {
    let mut counts = Counts::new();
    let count = &mut |call: &CallRecord| {
        *counts.entry((call.line.clone(), call.outcome.clone())).or_default() += 1;
    };
    pages::each(store, query, count).await?;
    Ok(counts)
}

/// For machines: `{"counts": [{"line", "outcome", "calls"}]}`.
pub fn json(counts: &Counts) -> Value {
    let rows = counts
        .iter()
        .map(|((line, outcome), calls)| json!({ "line": line, "outcome": outcome, "calls": calls }));
    json!({ "counts": rows.collect::<Vec<_>>() })
}

/// For people.
pub fn table(counts: &Counts) -> String {
    let mut rows = vec!["LINE\tOUTCOME\tCALLS".to_owned()];
    rows.extend(counts.iter().map(|((line, outcome), calls)| format!("{line}\t{outcome}\t{calls}")));
    columns(&rows)
}
