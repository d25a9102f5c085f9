//! The queries. Each is built here, so that a test can ask SQLite by which index it would answer.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use temoin_core::id::{CallId, SegmentId};
use temoin_core::number::Tail;
use temoin_core::ports::{CallQuery, SegmentQuery, SegmentRecord, StoreError};
use temoin_core::segment::State;
use tokio::time::timeout;

use crate::row::{self, Fault, micros};
use crate::{SqliteStore, writer};

const CALLS: &str = "SELECT calls.*, (SELECT json_group_array(agent) FROM \
    (SELECT agent FROM call_agents WHERE call = calls.id ORDER BY place)) AS agents FROM calls";

const CHAIN: &str =
    "SELECT journal.*, salt, payload FROM journal LEFT JOIN journal_content USING (node, seq)";

/// Rows that are erased no longer tell their call.
const STORY: &str = "SELECT journal.*, salt, payload FROM journal_content JOIN journal USING (node, seq)";

impl SqliteStore {
    /// Runs a query and reads its rows.
    pub(crate) async fn read<T>(
        &self,
        mut query: QueryBuilder<Sqlite>,
        read: fn(&SqliteRow) -> Result<T, Fault>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = timeout(self.patience, query.build().fetch_all(&self.readers)).await;
        let rows = rows
            .map_err(|_| StoreError::Unavailable("the index did not answer in time".to_owned()))?
            .map_err(|error| writer::store_error(error.into()))?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(writer::store_error)
    }
}

pub fn draws(campaign: &str) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT * FROM draws WHERE campaign = ");
    sql.push_bind(campaign.to_owned()).push(" ORDER BY id");
    sql
}

pub fn call(id: &CallId) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(CALLS);
    sql.push(" WHERE id = ").push_bind(id.0.clone());
    sql
}

pub fn calls(query: &CallQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(CALLS);
    sql.push(" WHERE TRUE");
    if let Some(number) = &query.number {
        push_number(&mut sql, &Tail::new(number));
    }
    if let Some(agent) = &query.agent {
        sql.push(" AND id IN (SELECT call FROM call_agents WHERE agent = ")
            .push_bind(agent.clone())
            .push(")");
    }
    for (column, wanted) in [("line", &query.line), ("outcome", &query.outcome)] {
        if let Some(wanted) = wanted {
            sql.push(format_args!(" AND {column} = ")).push_bind(wanted.clone());
        }
    }
    for (compare, bound) in [(">=", query.from), ("<", query.until)] {
        if let Some(at) = bound {
            sql.push(format_args!(" AND started {compare} ")).push_bind(micros(at));
        }
    }
    let limit = if query.limit == 0 { 100 } else { query.limit };
    sql.push(" ORDER BY started DESC, id DESC LIMIT ").push_bind(limit);
    sql
}

fn push_number(sql: &mut QueryBuilder<Sqlite>, tail: &Tail) {
    if tail.prefixes.is_empty() && tail.whole.is_empty() {
        sql.push(" AND FALSE");
        return;
    }
    sql.push(" AND id IN (");
    let mut union = "";
    for prefix in &tail.prefixes {
        sql.push(union).push("SELECT id FROM calls WHERE number_end >= ").push_bind(prefix.clone());
        // After the digits comes the colon.
        sql.push(" AND number_end < ").push_bind(format!("{prefix}:"));
        union = " UNION ";
    }
    if !tail.whole.is_empty() {
        sql.push(union).push("SELECT id FROM calls WHERE number_end IN (");
        let mut list = sql.separated(", ");
        for whole in &tail.whole {
            list.push_bind(whole.clone());
        }
        sql.push(")");
    }
    sql.push(")");
}

pub fn segments(query: &SegmentQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT * FROM segments WHERE ");
    let in_state = |sql: &mut QueryBuilder<Sqlite>, state: State| {
        // A word of ours.
        sql.push(format_args!("state = '{}'", row::word(&state).unwrap_or_default()));
    };
    match query {
        SegmentQuery::Id(id) => {
            sql.push("id = ").push_bind(id.to_string());
        }
        SegmentQuery::Call(call) => {
            sql.push("call = ").push_bind(call.0.clone()).push(" ORDER BY opened, id");
        }
        SegmentQuery::In(state, most) => {
            in_state(&mut sql, *state);
            sql.push(" ORDER BY opened, id LIMIT ").push_bind(*most);
        }
        SegmentQuery::After(state, after, most) => {
            in_state(&mut sql, *state);
            let after = after.map(|id| id.to_string()).unwrap_or_default();
            sql.push(" AND id > ").push_bind(after).push(" ORDER BY id LIMIT ").push_bind(*most);
        }
        SegmentQuery::Due(at, most) => {
            in_state(&mut sql, State::Kept);
            sql.push(" AND scheduled <= ").push_bind(micros(*at));
            sql.push(" ORDER BY scheduled, id LIMIT ").push_bind(*most);
        }
    }
    sql
}

pub fn story(node: &str, call: &CallId) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(STORY);
    sql.push(" WHERE call = ").push_bind(call.0.clone());
    sql.push(" AND journal_content.node = ").push_bind(node.to_owned()).push(" ORDER BY journal_content.seq");
    sql
}

pub fn chain(node: &str, after: u64, limit: u32) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(CHAIN);
    sql.push(" WHERE node = ").push_bind(node.to_owned());
    sql.push(" AND seq > ").push_bind(i64::try_from(after).unwrap_or(i64::MAX));
    sql.push(" ORDER BY seq LIMIT ").push_bind(limit);
    sql
}

/// A segment as the writer sees it, within its transaction.
pub async fn segment(
    connection: &mut SqliteConnection,
    id: SegmentId,
) -> Result<Option<SegmentRecord>, Fault> {
    let row = segments(&SegmentQuery::Id(id)).build().fetch_optional(connection).await?;
    row.as_ref().map(row::segment).transpose()
}
