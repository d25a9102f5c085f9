//! Compares what came of a call with what must come of it: what was heard, what the index says, what is in the audio.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use temoin_phone::{Audio, Ending, How, Side, Sound};
use tokio::time::sleep;

use super::bench::Bench;
use super::file::{Expected, PromptHeard, Scenario, SegmentExpected};
use super::sound::beside;
use super::stage::{Dial, Member, Run};

/// How long the index may take to come to rest after a call.
const REST: Duration = Duration::from_secs(60);
/// How far a segment's length may be from the time bridged (the flags `short` and `long` say when it is farther).
const TOLERANCE: i64 = 100;
/// How far the phones' view of an instant may be from the PBX's, where packets leave at their time.
const SEEING: Duration = Duration::from_millis(50);
/// And for each millisecond by which the machine was late for a packet: between a phone and a recorder there are so many
/// others that wait their turn.
const SEEING_LATE: u32 = 5;
/// For so long nobody is heard who presses a code: its keys, the rests between them, and a jitter.
const CODE: Duration = Duration::from_millis(450);

/// A call as it came out, for whoever tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallSeen {
    /// As `temoin show CALL --json` gives it; null where the sidecar knows nothing of it.
    pub story: Value,
    /// The recordings, by segment, as `temoin play` wrote them.
    pub recordings: BTreeMap<String, PathBuf>,
}

/// Judges the runs of one copy. Gives the calls, and all that is wrong with them.
pub(super) async fn judge(
    bench: &Bench,
    scenario: &Scenario,
    members: &BTreeMap<&str, Member>,
    runs: &[Run],
    folder: &Path,
) -> (Vec<CallSeen>, Vec<String>) {
    let judge = Judge { bench, scenario, members, folder };
    let (mut calls, mut wrong) = (Vec::new(), Vec::new());
    let mut stories = match judge.stories(runs).await {
        Ok(stories) => stories,
        Err(why) => return (calls, vec![why]),
    };
    for run in runs {
        for (name, cast) in &scenario.phones {
            let calls = run.taken.iter().filter(|(of, _)| of == name);
            let keys: String = calls.map(|(_, call)| call.ear().digits()).collect();
            if keys != cast.keys {
                wrong.push(differ(&format!("keys at {name}'s ear"), &cast.keys, &keys));
            }
        }
        for (dial, expected) in run.dials.iter().zip(&scenario.calls) {
            let mut faults = judge.heard(dial, expected);
            let story = if expected.indexed { stories.pop_front().unwrap_or_default() } else { Value::Null };
            let mut recordings = BTreeMap::new();
            if expected.indexed {
                faults.extend(judge.indexed(expected, &story));
                faults.extend(judge.segments(run, expected, &story, &mut recordings).await);
            }
            if let Some(wanted) = &expected.cdr_recordingfile {
                faults.extend(judge.detailed(&dial.by, wanted, runs).await);
            }
            let (no, of) = (calls.len() + 1, &dial.by);
            wrong.extend(faults.iter().map(|fault| format!("call {no} (by {of}): {fault}")));
            calls.push(CallSeen { story, recordings });
        }
    }
    (calls, wrong)
}

struct Judge<'a> {
    bench: &'a Bench,
    scenario: &'a Scenario,
    members: &'a BTreeMap<&'a str, Member>,
    folder: &'a Path,
}

impl Judge<'_> {
    /// The stories of all calls that the sidecar must know, in the order in which they were dialled, once they are over
    /// and nothing waits any more.
    async fn stories(&self, runs: &[Run]) -> Result<std::collections::VecDeque<Value>, String> {
        let deadline = Instant::now() + REST;
        let dialled = || runs.iter().flat_map(|run| run.dials.iter().zip(&self.scenario.calls));
        let wanted: Vec<&Dial> =
            dialled().filter(|(_, expected)| expected.indexed).map(|(dial, _)| dial).collect();
        if wanted.is_empty() {
            return self.unknown(runs).await.map(|()| Default::default());
        }
        loop {
            let missing = match self.look(&wanted).await {
                Ok(stories) => return Ok(stories),
                Err(missing) => missing,
            };
            if Instant::now() > deadline {
                return Err(format!("{REST:?} after the calls: {missing}"));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn look(&self, wanted: &[&Dial]) -> Result<std::collections::VecDeque<Value>, String> {
        let mut records = self.records().await?;
        let mut stories = std::collections::VecDeque::new();
        let mut found = Vec::new();
        for dial in wanted {
            let number =
                self.members.get(dial.by.as_str()).map(|member| member.number.as_str()).unwrap_or_default();
            // A hostile number may be stored in any shape; such a scenario plays alone.
            let hostile = self.scenario.phones.get(&dial.by).is_some_and(|cast| cast.raw_from.is_some());
            let since = |record: &Value| record["started"].as_str()?.parse::<Timestamp>().ok();
            let is = |record: &Value| match hostile {
                true => since(record).is_some_and(|started| started >= dial.when),
                false => record["number"] == number,
            };
            let record = match records.iter().position(is) {
                Some(at) => Some(records.remove(at)),
                None => self.private(number, &mut found).await?,
            };
            let record = record.ok_or_else(|| format!("no call of {} is known", dial.by))?;
            if record["ended"].is_null() {
                return Err(format!("the call of {} has not ended: {record}", dial.by));
            }
            let story = self.bench.cli.json(&["show", record["id"].as_str().unwrap_or_default()]).await?;
            let rests = |segment: &Value| matches!(segment["state"].as_str(), Some("kept" | "disposed"));
            if let Some(segment) = segments(&story).iter().find(|segment| !rests(segment)) {
                return Err(format!("a segment is still {}: {segment}", segment["state"]));
            }
            let is_private = |line: &Value| line["entry"]["meaning"] == "agent_private";
            let is_private = story["story"].as_array().is_some_and(|lines| lines.iter().any(is_private));
            if is_private && (record["private"] != true || record["number"] == number) {
                return Err(format!("the call of {} is private, and a list shows it so: {record}", dial.by));
            }
            stories.push_back(story);
        }
        Ok(stories)
    }

    /// The oldest private call of a number that was not found before. It is found by the whole number, which the list then
    /// shows without its end.
    async fn private(&self, number: &str, found: &mut Vec<Value>) -> Result<Option<Value>, String> {
        let Some(shown) = number.len().checked_sub(4).and_then(|end| number.get(..end)) else {
            return Ok(None);
        };
        let calls = self.bench.cli.json(&["calls", "--limit", "100000", "--number", number]).await?;
        let is = |record: &&Value| {
            record["private"] == true
                && record["number"] == format!("{shown}****")
                && !found.contains(&record["id"])
        };
        let record = calls["calls"].as_array().and_then(|calls| calls.iter().rev().find(is)).cloned();
        found.extend(record.iter().map(|record| record["id"].clone()));
        Ok(record)
    }

    /// All calls of the index, oldest first.
    async fn records(&self) -> Result<Vec<Value>, String> {
        let mut calls = self.bench.cli.json(&["calls", "--limit", "100000"]).await?;
        let mut records = calls["calls"].as_array_mut().map(std::mem::take).unwrap_or_default();
        records.reverse();
        Ok(records)
    }

    /// The sidecar, if there is one, knows none of these.
    async fn unknown(&self, runs: &[Run]) -> Result<(), String> {
        if !self.bench.needs.sidecar {
            return Ok(());
        }
        let records = self.records().await?;
        let known = |dial: &&Dial| {
            let number = self.members.get(dial.by.as_str()).map(|member| member.number.as_str());
            records.iter().any(|record| record["number"].as_str() == number)
        };
        match runs.iter().flat_map(|run| &run.dials).find(known) {
            Some(dial) => Err(format!("the sidecar knows of the call of {}, and should not", dial.by)),
            None => Ok(()),
        }
    }

    fn heard(&self, dial: &Dial, expected: &Expected) -> Vec<String> {
        let mut faults = Vec::new();
        let ear = dial.call.ear();
        let heard = self.bench.repertoire.heard(&mut dial.listener.clone(), ear, dial.at);
        let voices = beside(&heard, ear, dial.at);
        let heard: Vec<PromptHeard> = heard.iter().map(PromptHeard::from).collect();
        if heard != expected.prompts {
            faults.push(differ("prompts heard", &expected.prompts, &heard));
        }
        for (name, member) in self.members.iter().filter(|(name, _)| **name != dial.by) {
            let wanted = expected.hears.iter().any(|wanted| wanted == name);
            let lacks = voices.lacks_tone(member.tone, Duration::ZERO, Duration::MAX);
            if wanted == lacks {
                faults.push(format!("the customer {} {name}", if lacks { "did not hear" } else { "heard" }));
            }
        }
        let keys = ear.digits();
        if keys != expected.keys {
            faults.push(differ("keys at the customer's ear", &expected.keys, &keys));
        }
        let ending = dial.call.ending();
        if let Some(wanted) = &expected.ended {
            let seen = ending.map_or_else(|| "still up".to_owned(), how);
            if seen != *wanted {
                faults.push(differ("end", wanted, &seen));
            }
        }
        if let Some(wanted) = expected.cause {
            let seen = ending.and_then(|ending| ending.cause);
            if seen != Some(wanted) {
                faults.push(differ("cause of the end", &Some(wanted), &seen));
            }
        }
        faults
    }

    /// The PBX's own records of a customer's calls, once they are written.
    async fn detailed(&self, by: &str, wanted: &str, runs: &[Run]) -> Option<String> {
        let number = self.members.get(by).map(|member| member.number.as_str()).unwrap_or_default();
        // Of a call out the record is the agent's.
        let stated = self
            .scenario
            .calls
            .iter()
            .filter(|call| call.cdr_recordingfile.is_some() && self.scenario.customer_of(call) == by);
        let dials = stated.count() * runs.len();
        let deadline = Instant::now() + REST;
        loop {
            let seen = self.bench.detailed(number);
            // Those of Local channels beside them.
            if seen.iter().filter(|(channel, _)| channel.starts_with("PJSIP/trunk-")).count() >= dials {
                let is_well = seen.iter().all(|(_, file)| file == wanted);
                return (!is_well).then(|| differ("recordings in the CDR", &wanted, &seen));
            }
            if Instant::now() > deadline {
                return Some(format!(
                    "{REST:?} after the calls the PBX has written {seen:?} of {dials} of their CDRs"
                ));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn indexed(&self, expected: &Expected, story: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        let call = &story["call"];
        let drawn = !(expected.if_drawn && segments(story).is_empty());
        if let Some(outcome) = expected.outcome.as_deref().filter(|_| drawn)
            && call["outcome"] != outcome
        {
            faults.push(differ("outcome", &outcome, &call["outcome"]));
        }
        if let Some(agents) = &expected.agents
            && strings(&call["agents"]) != *agents
        {
            faults.push(differ("agents", agents, &strings(&call["agents"])));
        }
        let entries: Vec<&Value> =
            story["story"].as_array().into_iter().flatten().map(|link| &link["entry"]).collect();
        let mut left = entries.iter();
        for wanted in expected.journal.iter().filter(|_| drawn) {
            if !left.any(|entry| is(entry, wanted)) {
                let told: Vec<&str> = entries.iter().filter_map(|entry| entry["what"].as_str()).collect();
                faults.push(format!("the journal lacks `{wanted}` at its place: {}", told.join(", ")));
                break;
            }
        }
        for single in &expected.journal_once {
            let count = entries.iter().filter(|entry| is(entry, single)).count();
            if count != 1 {
                faults.push(format!("the journal has `{single}` {count} times, not once"));
            }
        }
        for unwanted in &expected.journal_lacks {
            if let Some(entry) = entries.iter().find(|entry| is(entry, unwanted)) {
                faults.push(format!("the journal has `{unwanted}`: {entry}"));
            }
        }
        faults
    }

    async fn segments(
        &self,
        run: &Run,
        expected: &Expected,
        story: &Value,
        recordings: &mut BTreeMap<String, PathBuf>,
    ) -> Vec<String> {
        let seen = segments(story);
        if expected.if_drawn && seen.is_empty() {
            return Vec::new();
        }
        let mut faults = Vec::new();
        if seen.len() != expected.segments.len() {
            let brief = |segment: &Value| format!("{} {}", segment["state"], segment["closing"]["ending"]);
            let seen: Vec<String> = seen.iter().map(brief).collect();
            faults.push(format!(
                "{} segments were to be there, {} are: {seen:?}",
                expected.segments.len(),
                seen.len()
            ));
        }
        for (no, segment) in seen.iter().enumerate() {
            let number = no + 1;
            let recording = self.export(segment).await;
            let recording = match recording {
                Ok(recording) => recording,
                Err(why) => {
                    faults.push(format!("segment {number}: {why}"));
                    continue;
                }
            };
            if let Some(file) = &recording {
                let id = segment["id"].as_str().unwrap_or_default().to_owned();
                recordings.insert(id, file.clone());
            }
            if let Some(wanted) = expected.segments.get(no) {
                let mut wrong = row(segment, wanted);
                wrong.extend(length(run, segment, wanted, self.scenario.late()));
                wrong.extend(recording.iter().flat_map(|file| self.audio(file, expected, wanted, run)));
                faults.extend(wrong.iter().map(|why| format!("segment {number}: {why}")));
            }
        }
        faults
    }

    /// Writes a kept segment out by `temoin play`; what is disposed of must not play.
    async fn export(&self, segment: &Value) -> Result<Option<PathBuf>, String> {
        let id = segment["id"].as_str().ok_or("without an id")?;
        let file = self.folder.join(format!("{id}.wav"));
        let name = file.to_string_lossy();
        let args = ["play", id, "--output", &name, "--reason", "scenario", "--who", "runner"];
        let output = self.bench.cli.ask(&args).await?;
        let kept = segment["state"] == "kept";
        if output.status.success() != kept {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("is {}, and temoin play says {}: {said}", segment["state"], output.status));
        }
        Ok(kept.then_some(file))
    }

    fn audio(&self, file: &Path, expected: &Expected, wanted: &SegmentExpected, run: &Run) -> Vec<String> {
        let customer = vec![self.scenario.customer_of(expected).to_owned()];
        let sides = [("left", wanted.left.as_ref().unwrap_or(&customer)), ("right", &wanted.right)];
        let audio = match Audio::wav(file) {
            Ok(audio) if audio.channels() == 2 => audio,
            Ok(audio) => return vec![format!("{} has {} channels", file.display(), audio.channels())],
            Err(error) => return vec![error.to_string()],
        };
        let channels = [audio.channel(0), audio.channel(1)];
        let mut faults = Vec::new();
        let lost = CODE * wanted.codes + seeing(run);
        for ((side, voices), sound) in sides.into_iter().zip(channels) {
            match sound {
                Ok(sound) => faults.extend(self.voices(side, sound, voices, lost)),
                Err(error) => faults.push(error.to_string()),
            }
        }
        faults
    }

    fn voices(&self, side: &str, sound: &Sound, wanted: &[String], lost: Duration) -> Vec<String> {
        let whole = sound.length();
        let never = self.scenario.never_recorded.iter();
        let spoken = never.map(|hz| (hz, sound.tone_time(*hz, Duration::ZERO, Duration::MAX)));
        let mut faults: Vec<String> = spoken
            .filter(|(_, heard)| !heard.is_zero())
            .map(|(hz, heard)| format!("the tone of {hz} Hz is on the {side} for {} ms", heard.as_millis()))
            .collect();
        for (name, member) in self.members {
            let heard = sound.tone_time(member.tone, Duration::ZERO, Duration::MAX);
            if !wanted.iter().any(|wanted| wanted == name) {
                if !heard.is_zero() {
                    faults.push(format!("{name} is heard on the {side} for {} ms", heard.as_millis()));
                }
            } else if heard + lost.max(whole / 10) < whole {
                let (heard, whole) = (heard.as_millis(), whole.as_millis());
                faults.push(format!("{name} is heard on the {side} for {heard} of {whole} ms only"));
            }
        }
        faults
    }
}

/// What the index says of a segment, against what it must say.
fn row(segment: &Value, wanted: &SegmentExpected) -> Vec<String> {
    let mut faults = Vec::new();
    if segment["state"] != *wanted.state {
        faults.push(differ("state", &wanted.state, &segment["state"]));
    }
    let ending = &segment["closing"]["ending"];
    if !wanted.ending.split(" | ").any(|wanted| ending == wanted) {
        faults.push(differ("ending", &wanted.ending, ending));
    }
    let kept_for = match (&wanted.kept_for, wanted.state.as_str()) {
        (Some(kept_for), _) => kept_for.clone(),
        (None, "kept") => wanted.purposes.clone(),
        (None, _) => Vec::new(),
    };
    for (what, wanted, seen) in
        [("purposes", &wanted.purposes, &segment["purposes"]), ("kept_for", &kept_for, &segment["kept_for"])]
    {
        if strings(seen) != *wanted {
            faults.push(differ(what, wanted, &strings(seen)));
        }
    }
    if let Some(least) = wanted.at_least.map(|least| least.0.as_millis())
        && segment["millis"].as_u64().is_none_or(|millis| u128::from(millis) < least)
    {
        faults.push(format!("{} ms long, not {least} at the least", segment["millis"]));
    }
    let timing = ["short", "long"].map(str::to_owned);
    let seen: BTreeSet<String> =
        strings(&segment["flags"]).into_iter().filter(|flag| !timing.contains(flag)).collect();
    let flags: BTreeSet<String> =
        wanted.flags.iter().filter(|flag| !timing.contains(flag)).cloned().collect();
    if seen != flags {
        faults.push(differ("flags", &flags, &seen));
    }
    if wanted.state == "kept" && segment["retention"]["delete_by"].is_null() {
        faults.push("it is not said until when it is kept".into());
    }
    faults
}

/// A segment begins when it was to begin, a little late at the most, and is as long as the people were bridged, or says
/// that it is not; and says so only then.
fn length(run: &Run, segment: &Value, wanted: &SegmentExpected, late: Duration) -> Option<String> {
    // The PBX tells by the wall's clock.
    let (now, wall) = (Instant::now(), Timestamp::now().as_millisecond());
    let instant = |of: &super::file::Instant| {
        let ago = now.saturating_duration_since(*run.marks.get(&of.mark)?).as_millis() as i64;
        Some(wall - ago + of.plus)
    };
    let (from, until) = instant(wanted.from.as_ref()?).zip(instant(wanted.until.as_ref()?))?;
    let started = segment["closing"]["from"].as_str()?.parse::<Timestamp>().ok()?.as_millisecond();
    let seeing = seeing(run).as_millis() as i64;
    if started - from > late.as_millis() as i64 + seeing {
        return Some(format!("begun {} ms late", started - from));
    }
    let bridged = until - from;
    let seen = segment["millis"].as_i64()?;
    let missed = bridged - seen;
    let flags = strings(&segment["flags"]);
    let has = |flag: &str| flags.iter().any(|found| found == flag);
    let says = |what: &str| format!("{seen} ms long where {bridged} ms were bridged, and {what}");
    if missed.abs() > TOLERANCE + seeing && !(has("short") || has("long")) {
        Some(says("not flagged"))
    // What was too long of a file is cut off, so that only the flag still tells of it.
    } else if missed.abs() < TOLERANCE - seeing && has("short") {
        Some(says("flagged short all the same"))
    } else {
        None
    }
}

/// What cannot be told of this run: a machine that stood still did so for the PBX and the sidecar, too.
fn seeing(run: &Run) -> Duration {
    SEEING + SEEING_LATE * run.latest().unwrap_or_default()
}

fn segments(story: &Value) -> &[Value] {
    story["segments"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// `released how=admitted`: an entry of that name, with these values.
fn is(entry: &Value, wanted: &str) -> bool {
    let mut words = wanted.split(' ');
    entry["what"].as_str() == words.next()
        && words.filter_map(|word| word.split_once('=')).all(|(key, value)| match &entry[key] {
            Value::String(text) => text == value,
            other => {
                let text = other.to_string();
                text == value
            }
        })
}

fn how(ending: Ending) -> String {
    match (ending.how, ending.by) {
        (How::Bye, Side::Us) => "hangs-up".into(),
        (How::Cancelled, Side::Us) => "gives-up".into(),
        (How::Bye, Side::Them) => "hung-up-on".into(),
        (How::Refused(status), _) => format!("refused {status}"),
        (how, by) => format!("{how:?} by {by:?}"),
    }
}

fn differ(what: &str, expected: &dyn std::fmt::Debug, seen: &dyn std::fmt::Debug) -> String {
    format!("{what}: expected {expected:?}, seen {seen:?}")
}
