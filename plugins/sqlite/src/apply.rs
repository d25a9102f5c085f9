//! Changes and draws as SQL, within the writer's transaction.

use sqlx::SqliteConnection;
use temoin_core::journal::{self, Entry, GENESIS, Hash, What};
use temoin_core::number;
use temoin_core::ports::{Ballot, CallRecord, Change, Counters, Drawn, SegmentRecord};

use crate::read;
use crate::register;
use crate::row::{self, Fault, json, micros, word};

/// The end of the chain, and who writes on.
#[derive(Clone, Debug)]
pub struct Pen<'a> {
    node: &'a str,
    site: &'a str,
    seq: u64,
    hash: Hash,
    /// Whether something was destroyed that must not lie on in the log.
    pub destroyed: bool,
}

impl<'a> Pen<'a> {
    /// Reads where the chain ends. Not remembered from one transaction to the next: a second process (a command of the
    /// program) may have written in between.
    pub async fn load(
        connection: &mut SqliteConnection,
        node: &'a str,
        site: &'a str,
    ) -> Result<Self, Fault> {
        let row = sqlx::query("SELECT seq, hash FROM journal WHERE node = ? ORDER BY seq DESC LIMIT 1")
            .bind(node)
            .fetch_optional(connection)
            .await?;
        let (seq, hash) = row.as_ref().map_or(Ok((0, GENESIS)), row::head)?;
        Ok(Self { node, site, seq, hash, destroyed: false })
    }

    /// Applies changes in their order.
    pub async fn commit(&mut self, db: &mut SqliteConnection, changes: &[Change]) -> Result<(), Fault> {
        for change in changes {
            match change {
                Change::Journal(entry) => self.write(db, entry).await?,
                Change::Call(record) => self.put_call(db, record).await?,
                Change::Open(segment) => {
                    if read::segment(db, segment.id).await?.is_some() {
                        return Err(Fault::Refused(format!("segment {} exists", segment.id)));
                    }
                    self.put_segment(db, &SegmentRecord::open(segment.clone())).await?;
                }
                Change::Close(id, closing) => {
                    if let Some(mut row) = read::segment(db, *id).await?
                        && row.close(closing.clone())
                    {
                        self.put_segment(db, &row).await?;
                    }
                }
                Change::Amend(id, purposes, retention) => {
                    if let Some(mut row) = read::segment(db, *id).await?
                        && row.amend(purposes, *retention)
                    {
                        self.put_segment(db, &row).await?;
                    }
                }
                Change::Keep(id, kept) => {
                    if let Some(mut row) = read::segment(db, *id).await?
                        && row.keep(kept.clone())
                    {
                        self.put_segment(db, &row).await?;
                    }
                }
                Change::Dispose(id, at) => {
                    if let Some(mut row) = read::segment(db, *id).await?
                        && row.dispose(*at)
                    {
                        self.put_segment(db, &row).await?;
                        self.destroyed = true;
                    }
                }
                Change::Enter(entry, batch) => {
                    register::enter(db, self.node, self.site, entry, batch.as_deref()).await?;
                }
                Change::Withdraw(id, withdrawal) => register::withdraw(db, *id, withdrawal).await?,
                Change::Forget(id) => self.destroyed |= register::forget(db, *id).await?,
            }
        }
        Ok(())
    }

    /// Draws lots in their order.
    pub async fn draw(&mut self, db: &mut SqliteConnection, ballots: &[Ballot]) -> Result<Vec<Drawn>, Fault> {
        let mut all = Vec::with_capacity(ballots.len());
        for ballot in ballots {
            let old = sqlx::query("SELECT * FROM draws WHERE campaign = ? AND call = ?")
                .bind(&ballot.campaign)
                .bind(&ballot.call.0)
                .fetch_optional(&mut *db)
                .await?;
            if let Some(row) = old {
                all.push(row::drawn(&row)?);
                continue;
            }
            let before = self.counters(db, ballot).await?;
            let drawn = Drawn { ballot: ballot.clone(), before, selected: ballot.settle(&before) };
            self.put_draw(db, &drawn).await?;
            let entry = Entry {
                at: ballot.at,
                call: Some(ballot.call.clone()),
                segment: None,
                what: What::Drawn(drawn.clone()),
            };
            self.write(db, &entry).await?;
            all.push(drawn);
        }
        Ok(all)
    }

    async fn write(&mut self, db: &mut SqliteConnection, entry: &Entry) -> Result<(), Fault> {
        let payload = json(entry)?.into_bytes();
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
        let digest = journal::digest(&salt, &payload);
        let seq = self.seq + 1;
        let hash = journal::chain(&self.hash, seq, self.node, self.site, &digest);
        sqlx::query("INSERT INTO journal (node, site, seq, digest, hash) VALUES (?, ?, ?, ?, ?)")
            .bind(self.node)
            .bind(self.site)
            .bind(seq.cast_signed())
            .bind(&digest[..])
            .bind(&hash[..])
            .execute(&mut *db)
            .await?;
        sqlx::query(
            "INSERT INTO journal_content (node, site, seq, at, call, salt, payload) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(self.node)
        .bind(self.site)
        .bind(seq.cast_signed())
        .bind(micros(entry.at))
        .bind(entry.call.as_ref().map(|call| &call.0))
        .bind(&salt[..])
        .bind(payload)
        .execute(db)
        .await?;
        (self.seq, self.hash) = (seq, hash);
        Ok(())
    }

    async fn put_call(&self, db: &mut SqliteConnection, record: &CallRecord) -> Result<(), Fault> {
        sqlx::query(
            "INSERT INTO calls \
             (id, node, site, line, direction, number, number_end, queue, started, talked, ended, outcome, private) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET node = excluded.node, site = excluded.site, line = excluded.line, \
             direction = excluded.direction, number = excluded.number, number_end = excluded.number_end, \
             queue = excluded.queue, started = excluded.started, talked = excluded.talked, ended = excluded.ended, \
             outcome = excluded.outcome, private = excluded.private",
        )
        .bind(&record.id.0)
        .bind(self.node)
        .bind(self.site)
        .bind(&record.line)
        .bind(word(&record.direction)?)
        .bind(&record.number)
        .bind(number::reversed(record.number.as_deref().unwrap_or_default()))
        .bind(&record.queue)
        .bind(micros(record.started))
        .bind(record.talked.map(micros))
        .bind(record.ended.map(micros))
        .bind(&record.outcome)
        .bind(record.private)
        .execute(&mut *db)
        .await?;
        sqlx::query("DELETE FROM call_agents WHERE call = ?").bind(&record.id.0).execute(&mut *db).await?;
        for (agent, place) in record.agents.iter().zip(0_i64..) {
            sqlx::query("INSERT INTO call_agents (call, node, site, place, agent) VALUES (?, ?, ?, ?, ?)")
                .bind(&record.id.0)
                .bind(self.node)
                .bind(self.site)
                .bind(place)
                .bind(agent)
                .execute(&mut *db)
                .await?;
        }
        Ok(())
    }

    async fn put_segment(&self, db: &mut SqliteConnection, row: &SegmentRecord) -> Result<(), Fault> {
        let sealed = row.sealed.as_ref();
        sqlx::query(
            "INSERT INTO segments \
             (id, node, site, call, opened, state, segment, closing, kept_for, not_before, scheduled, delete_by, \
             flags, millis, sha256, wrapped_key, key_id, plain_len, cipher_len, cipher_sha256, disposed) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET state = excluded.state, closing = excluded.closing, \
             kept_for = excluded.kept_for, not_before = excluded.not_before, scheduled = excluded.scheduled, \
             delete_by = excluded.delete_by, flags = excluded.flags, millis = excluded.millis, \
             sha256 = excluded.sha256, wrapped_key = excluded.wrapped_key, key_id = excluded.key_id, \
             plain_len = excluded.plain_len, cipher_len = excluded.cipher_len, \
             cipher_sha256 = excluded.cipher_sha256, disposed = excluded.disposed",
        )
        .bind(row.segment.id.to_string())
        .bind(self.node)
        .bind(self.site)
        .bind(&row.segment.call.0)
        .bind(micros(row.segment.opened))
        .bind(word(&row.state)?)
        .bind(json(&row.segment)?)
        .bind(row.closing.as_ref().map(json).transpose()?)
        .bind(json(&row.kept_for)?)
        .bind(row.retention.not_before.map(micros))
        .bind(row.retention.scheduled.map(micros))
        .bind(row.retention.delete_by.map(micros))
        .bind(json(&row.flags)?)
        .bind(row.millis.map(u64::cast_signed))
        .bind(&row.sha256)
        .bind(sealed.map(|sealed| &sealed.wrapped_key))
        .bind(sealed.map(|sealed| &sealed.key_id))
        .bind(sealed.map(|sealed| sealed.plain_len.cast_signed()))
        .bind(sealed.map(|sealed| sealed.cipher_len.cast_signed()))
        .bind(sealed.map(|sealed| &sealed.cipher_sha256))
        .bind(row.disposed.map(micros))
        .execute(db)
        .await?;
        Ok(())
    }

    async fn counters(&self, db: &mut SqliteConnection, ballot: &Ballot) -> Result<Counters, Fault> {
        let total = sqlx::query("SELECT calls, recorded FROM campaigns WHERE node = ? AND campaign = ?")
            .bind(self.node)
            .bind(&ballot.campaign)
            .fetch_optional(&mut *db)
            .await?;
        let stratum =
            sqlx::query("SELECT calls, recorded FROM strata WHERE node = ? AND campaign = ? AND stratum = ?")
                .bind(self.node)
                .bind(&ballot.campaign)
                .bind(&ballot.stratum)
                .fetch_optional(db)
                .await?;
        let mut counters = Counters::default();
        if let Some(row) = &total {
            counters.total_calls = row::count(row, "calls")?;
            counters.total_recorded = row::count(row, "recorded")?;
        }
        if let Some(row) = &stratum {
            counters.stratum_calls = row::count(row, "calls")?;
            counters.stratum_recorded = row::count(row, "recorded")?;
        }
        Ok(counters)
    }

    async fn put_draw(&self, db: &mut SqliteConnection, drawn: &Drawn) -> Result<(), Fault> {
        let Drawn { ballot, before, selected } = drawn;
        sqlx::query(
            "INSERT INTO draws (node, site, campaign, call, stratum, rate, draw, at, total_calls, total_recorded, \
             stratum_calls, stratum_recorded, selected) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(self.node)
        .bind(self.site)
        .bind(&ballot.campaign)
        .bind(&ballot.call.0)
        .bind(&ballot.stratum)
        .bind(ballot.rate)
        .bind(ballot.draw.to_string())
        .bind(micros(ballot.at))
        .bind(before.total_calls.cast_signed())
        .bind(before.total_recorded.cast_signed())
        .bind(before.stratum_calls.cast_signed())
        .bind(before.stratum_recorded.cast_signed())
        .bind(selected)
        .execute(&mut *db)
        .await?;
        sqlx::query(
            "INSERT INTO campaigns (node, site, campaign, calls, recorded) VALUES (?, ?, ?, 1, ?) \
             ON CONFLICT DO UPDATE SET calls = calls + 1, recorded = recorded + excluded.recorded",
        )
        .bind(self.node)
        .bind(self.site)
        .bind(&ballot.campaign)
        .bind(i64::from(*selected))
        .execute(&mut *db)
        .await?;
        sqlx::query(
            "INSERT INTO strata (node, site, campaign, stratum, calls, recorded) VALUES (?, ?, ?, ?, 1, ?) \
             ON CONFLICT DO UPDATE SET calls = calls + 1, recorded = recorded + excluded.recorded",
        )
        .bind(self.node)
        .bind(self.site)
        .bind(&ballot.campaign)
        .bind(&ballot.stratum)
        .bind(i64::from(*selected))
        .execute(db)
        .await?;
        Ok(())
    }
}
