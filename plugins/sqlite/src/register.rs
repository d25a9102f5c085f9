//! The register: its rows, its queries, and what changes them.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};
use temoin_core::ports::{RegisterCount, RegisterQuery};
use temoin_core::register::{Entry, EntryId, NumberTag, Withdrawal};

use crate::row::{self, Fault, json, micros};

/// Writes an entry, unless it is there; then only where it was seen last.
pub async fn enter(
    db: &mut SqliteConnection,
    node: &str,
    site: &str,
    entry: &Entry,
    batch: Option<&str>,
) -> Result<(), Fault> {
    let like = RegisterCount::of(entry, entry.entered);
    sqlx::query(
        "INSERT INTO register (id, node, site, number, key_id, shown, kind, label, list, how, line, evidence, subject, \
         since, until, entered, withdrawn, withdrawal, ends, batch) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET batch = excluded.batch WHERE batch IS NOT excluded.batch",
    )
    .bind(&entry.id.0[..])
    .bind(node)
    .bind(site)
    .bind(&entry.number.0[..])
    .bind(&entry.key)
    .bind(&entry.shown)
    .bind(like.kind)
    .bind(like.label)
    .bind(entry.subject.list())
    .bind(like.how)
    .bind(like.line)
    .bind(like.evidence)
    .bind(json(&entry.subject)?)
    .bind(micros(entry.from))
    .bind(entry.until.map(micros))
    .bind(micros(entry.entered))
    .bind(entry.withdrawn.as_ref().map(|withdrawal| micros(withdrawal.at)))
    .bind(entry.withdrawn.as_ref().map(json).transpose()?)
    .bind(entry.ends().map(micros))
    .bind(batch)
    .execute(db)
    .await?;
    Ok(())
}

/// Withdraws an entry, where it can be.
pub async fn withdraw(db: &mut SqliteConnection, id: EntryId, withdrawal: &Withdrawal) -> Result<(), Fault> {
    let found = entries(&RegisterQuery::Ids(vec![id])).build().fetch_optional(&mut *db).await?;
    let Some(mut found) = found.as_ref().map(entry).transpose()? else { return Ok(()) };
    if found.withdraw(withdrawal.clone()) {
        sqlx::query("UPDATE register SET withdrawn = ?, withdrawal = ?, ends = ? WHERE id = ?")
            .bind(micros(withdrawal.at))
            .bind(json(withdrawal)?)
            .bind(found.ends().map(micros))
            .bind(&id.0[..])
            .execute(db)
            .await?;
    }
    Ok(())
}

/// Erases an entry; tells whether it was there.
pub async fn forget(db: &mut SqliteConnection, id: EntryId) -> Result<bool, Fault> {
    let done = sqlx::query("DELETE FROM register WHERE id = ?").bind(&id.0[..]).execute(db).await?;
    Ok(done.rows_affected() > 0)
}

pub fn entries(query: &RegisterQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT * FROM register WHERE ");
    match query {
        RegisterQuery::Number(number) => {
            sql.push("number = ").push_bind(number.0.to_vec()).push(" ORDER BY since, id");
        }
        RegisterQuery::Ids(ids) => {
            sql.push("id IN (");
            let mut list = sql.separated(", ");
            for id in ids {
                list.push_bind(id.0.to_vec());
            }
            sql.push(") ORDER BY id");
        }
        RegisterQuery::After(after, most) => {
            let after = after.map(|id| id.0.to_vec()).unwrap_or_default();
            sql.push("id > ").push_bind(after).push(" ORDER BY id LIMIT ").push_bind(*most);
        }
        RegisterQuery::Over { list, proof, most } => {
            let latest = micros(*list.max(proof));
            sql.push("ends <= ").push_bind(latest);
            sql.push(" AND ends <= CASE WHEN list IS NULL THEN ").push_bind(micros(*proof));
            sql.push(" ELSE ").push_bind(micros(*list)).push(" END");
            sql.push(" ORDER BY id LIMIT ").push_bind(*most);
        }
        RegisterQuery::NotSeen { list, batch, most } => {
            sql.push("list = ").push_bind(list.clone());
            sql.push(" AND batch IS NOT ").push_bind(batch.clone());
            sql.push(" ORDER BY id LIMIT ").push_bind(*most);
        }
    }
    sql
}

pub fn counts(at: Timestamp) -> QueryBuilder<Sqlite> {
    let at = micros(at);
    let mut sql = QueryBuilder::new(
        "SELECT kind, label, how, line, evidence, min(since) AS first, max(since) AS last, count(*) AS entries, \
         CASE WHEN withdrawn <= ",
    );
    sql.push_bind(at).push(" THEN 'withdrawn' WHEN until <= ").push_bind(at);
    sql.push(" THEN 'expired' WHEN since > ")
        .push_bind(at)
        .push(" THEN 'later' ELSE 'standing' END AS state");
    sql.push(" FROM register GROUP BY kind, label, how, line, evidence, state");
    sql
}

/// A row of `register`.
pub fn entry(row: &SqliteRow) -> Result<Entry, Fault> {
    let withdrawal: Option<String> = row.try_get("withdrawal")?;
    Ok(Entry {
        id: EntryId(row::bytes(row, "id")?),
        number: NumberTag(row::bytes(row, "number")?),
        key: row.try_get("key_id")?,
        shown: row.try_get("shown")?,
        subject: row::of_json(row, "subject")?,
        from: row::instant(row, "since")?,
        until: row::maybe_instant(row, "until")?,
        entered: row::instant(row, "entered")?,
        withdrawn: match withdrawal {
            Some(_) => Some(row::of_json(row, "withdrawal")?),
            None => None,
        },
    })
}

/// A row of [`counts`].
pub fn count(row: &SqliteRow) -> Result<RegisterCount, Fault> {
    Ok(RegisterCount {
        kind: row.try_get("kind")?,
        label: row.try_get("label")?,
        how: row.try_get("how")?,
        line: row.try_get("line")?,
        evidence: row.try_get("evidence")?,
        state: row::of_word(row, "state")?,
        first: row::instant(row, "first")?,
        last: row::instant(row, "last")?,
        entries: row::count(row, "entries")?,
    })
}
