//! Rows as SQL has them ↔ records as the core has them. Whatever a row holds, reading it ends in a record or an error.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row as _, Sqlite, Type};
use temoin_core::id::CallId;
use temoin_core::journal::{Content, Hash, Link};
use temoin_core::ports::{Ballot, CallRecord, Counters, Drawn, SegmentRecord};
use temoin_core::segment::{Deadlines, Sealed};

/// Why a statement came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// SQLite says so.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// A row or value is not what it should be, or contradicts what is there.
    #[error("{0}")]
    Refused(String),
}

/// Microseconds since 1970.
pub fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A value as the JSON that a column holds.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::Refused(error.to_string()))
}

/// A plain enum as the word that a column holds.
pub fn word<T: Serialize>(value: &T) -> Result<String, Fault> {
    Ok(json(value)?.trim_matches('"').to_owned())
}

/// A row of `draws`.
pub fn drawn(row: &SqliteRow) -> Result<Drawn, Fault> {
    let draw: String = row.try_get("draw")?;
    Ok(Drawn {
        ballot: Ballot {
            campaign: row.try_get("campaign")?,
            call: CallId(row.try_get("call")?),
            stratum: row.try_get("stratum")?,
            rate: row.try_get("rate")?,
            draw: draw.parse().map_err(|_| strange("draw"))?,
            at: instant(row, "at")?,
        },
        before: Counters {
            total_calls: count(row, "total_calls")?,
            total_recorded: count(row, "total_recorded")?,
            stratum_calls: count(row, "stratum_calls")?,
            stratum_recorded: count(row, "stratum_recorded")?,
        },
        selected: row.try_get("selected")?,
    })
}

/// A row of `calls` with its `agents` as a JSON list.
pub fn call(row: &SqliteRow) -> Result<CallRecord, Fault> {
    Ok(CallRecord {
        id: CallId(row.try_get("id")?),
        line: row.try_get("line")?,
        direction: of_word(row, "direction")?,
        number: row.try_get("number")?,
        queue: row.try_get("queue")?,
        agents: of_json(row, "agents")?,
        started: instant(row, "started")?,
        talked: maybe_instant(row, "talked")?,
        ended: maybe_instant(row, "ended")?,
        outcome: row.try_get("outcome")?,
        private: row.try_get("private")?,
    })
}

/// A row of `segments`.
pub fn segment(row: &SqliteRow) -> Result<SegmentRecord, Fault> {
    let wrapped: Option<Vec<u8>> = row.try_get("wrapped_key")?;
    let sealed = match wrapped {
        None => None,
        Some(wrapped_key) => Some(Sealed {
            wrapped_key,
            key_id: row.try_get("key_id")?,
            plain_len: count(row, "plain_len")?,
            cipher_len: count(row, "cipher_len")?,
            cipher_sha256: row.try_get("cipher_sha256")?,
        }),
    };
    let closing: Option<String> = row.try_get("closing")?;
    let millis: Option<i64> = row.try_get("millis")?;
    Ok(SegmentRecord {
        segment: of_json(row, "segment")?,
        state: of_word(row, "state")?,
        closing: closing
            .map(|text| serde_json::from_str(&text).map_err(|_| strange("closing")))
            .transpose()?,
        kept_for: of_json(row, "kept_for")?,
        retention: Deadlines {
            not_before: maybe_instant(row, "not_before")?,
            scheduled: maybe_instant(row, "scheduled")?,
            delete_by: maybe_instant(row, "delete_by")?,
        },
        millis: millis.map(i64::cast_unsigned),
        sha256: row.try_get("sha256")?,
        sealed,
        flags: of_json(row, "flags")?,
        disposed: maybe_instant(row, "disposed")?,
    })
}

/// A row of `journal` with its content, where it still has one.
pub fn link(row: &SqliteRow) -> Result<Link, Fault> {
    let payload: Option<Vec<u8>> = row.try_get("payload")?;
    let content = match payload {
        None => None,
        Some(payload) => Some(Content { salt: bytes(row, "salt")?, payload }),
    };
    Ok(Link {
        seq: count(row, "seq")?,
        node: row.try_get("node")?,
        site: row.try_get("site")?,
        digest: bytes(row, "digest")?,
        hash: bytes(row, "hash")?,
        content,
    })
}

/// The last row of a chain: its number and its hash.
pub fn head(row: &SqliteRow) -> Result<(u64, Hash), Fault> {
    Ok((count(row, "seq")?, bytes(row, "hash")?))
}

/// A column that never holds a negative number; one that does (changed by hand) shows as a huge one.
pub fn count(row: &SqliteRow, column: &str) -> Result<u64, Fault> {
    let count: i64 = row.try_get(column)?;
    Ok(count.cast_unsigned())
}

/// An instant.
pub fn instant(row: &SqliteRow, column: &str) -> Result<Timestamp, Fault> {
    Timestamp::from_microsecond(row.try_get(column)?).map_err(|_| strange(column))
}

/// An instant, where there is one.
pub fn maybe_instant(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, Fault> {
    let micros: Option<i64> = row.try_get(column)?;
    micros.map(|micros| Timestamp::from_microsecond(micros).map_err(|_| strange(column))).transpose()
}

/// A value as JSON.
pub fn of_json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, Fault> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|_| strange(column))
}

/// A plain enum by its word.
pub fn of_word<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, Fault> {
    let word: String = row.try_get(column)?;
    serde_json::from_value(serde_json::Value::String(word)).map_err(|_| strange(column))
}

/// Bytes of a fixed length.
pub fn bytes<const N: usize>(row: &SqliteRow, column: &str) -> Result<[u8; N], Fault>
where
    for<'r> Vec<u8>: Decode<'r, Sqlite> + Type<Sqlite>,
{
    let bytes: Vec<u8> = row.try_get(column)?;
    bytes.try_into().map_err(|_| strange(column))
}

/// Names the column, never the value: it may be personal.
fn strange(column: &str) -> Fault {
    Fault::Refused(format!("column {column} holds what this program never wrote"))
}
