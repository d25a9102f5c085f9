//! The keeper on the fakes: what it keeps, cuts, loses, erases and waits for.

mod crash;
mod failing;
pub(super) mod house;
mod memory;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use jiff::SignedDuration;
use temoin_core::id::CallId;
use temoin_core::journal::{Entry, KeptNote, What};
use temoin_core::ports::{Change, Store, Vault};
use temoin_core::proof::{Breach, Span};
use temoin_core::segment::{Closing, Deadlines, Flag, Kept, Segment, State};

use super::*;
use crate::audio::tests::{tone, wav};
use house::{House, RATE, closing, decided, end, id, segment, sha256, start, until};

type Samples = Vec<i16>;

#[tokio::test]
async fn a_segment_is_kept_cut_and_proven() {
    let house = House::new();
    let closing = Closing { flags: vec![Flag::Unwatched], cut_tail: true, ..closing(2_000) };
    house.close(1, closing).await;
    house.record(1, &tone(RATE, 440.0, 0.5, 16_400), &tone(RATE, 620.0, 0.5, 16_400));
    assert_eq!(house.keeper.pass().await, Progress { kept: 1, ..Progress::default() });

    let row = house.row(1).await;
    assert_eq!(row.state, State::Kept);
    assert_eq!(row.millis, Some(1_900), "cut where it must end, and 100 ms before");
    assert_eq!(row.flags, [Flag::Unwatched]);
    let audio = house.read(&row).await;
    let mut reader = hound::WavReader::new(&audio[..]).expect("a WAV");
    let frames: Vec<i16> = reader.samples().map(|sample| sample.expect("sample")).collect();
    assert_eq!(frames.len(), 2 * 8 * 1_900);
    let (customer, agent) = (tone(RATE, 440.0, 0.5, 16_400), tone(RATE, 620.0, 0.5, 16_400));
    assert!(frames.chunks(2).zip(customer.iter().zip(&agent)).all(|(frame, (l, r))| frame == [*l, *r]));
    let sealed = row.sealed.as_ref().expect("sealed");
    let note = KeptNote {
        millis: 1_900,
        sha256: sha256(&audio),
        cipher_sha256: sealed.cipher_sha256.clone(),
        flags: vec![Flag::Unwatched],
    };
    assert_eq!(row.sha256, Some(note.sha256.clone()));
    assert_eq!(house.story().await, [What::Kept(note)]);
    assert_eq!(house.spool(), Vec::<String>::new());
    assert_eq!(house.keeper.alarms(), 0);
    assert_eq!(house.keeper.pass().await, Progress::default(), "and nothing is left to do");
}

#[tokio::test]
async fn flags_tell_what_a_listener_must_know() {
    let loud = |ms: usize| tone(RATE, 440.0, 0.5, 8 * ms);
    let silent = |ms: usize| vec![0; 8 * ms];
    let cases: Vec<(Samples, Samples, u64, Vec<Flag>)> = vec![
        (loud(2_000), loud(2_000), 2_000, vec![]),
        (loud(1_950), loud(1_950), 1_950, vec![]),
        (loud(1_899), loud(1_899), 1_899, vec![Flag::Short]),
        (loud(2_101), loud(2_101), 2_000, vec![Flag::Long]),
        (silent(2_000), loud(2_000), 2_000, vec![Flag::CustomerSilent]),
        (loud(2_000), silent(2_000), 2_000, vec![Flag::AgentSilent]),
        (silent(500), silent(500), 500, vec![Flag::Short, Flag::CustomerSilent, Flag::AgentSilent]),
        // Loud only in what is cut off.
        ([silent(2_000), loud(500)].concat(), loud(2_500), 2_000, vec![Flag::Long, Flag::CustomerSilent]),
    ];
    for (n, (customer, agent, millis, flags)) in (1..).zip(cases) {
        let house = House::new();
        house.close(1, closing(2_000)).await;
        house.record(1, &customer, &agent);
        house.keeper.pass().await;
        let row = house.row(1).await;
        assert_eq!((row.millis, row.flags), (Some(millis), flags), "case {n}");
    }
}

#[tokio::test]
async fn a_file_that_nobody_closed_is_kept_once_it_has_stopped_growing() {
    let house = House::new();
    house.close(1, closing(4_096)).await;
    let file = |frames: usize| {
        let mut file = wav(&tone(RATE, 440.0, 0.5, frames));
        file[4..8].fill(0);
        file[40..44].fill(0);
        file
    };
    let waiting = Progress { waiting: 1, ..Progress::default() };
    for frames in [0, 16_384, 32_768] {
        house.write(1, "in", &file(frames));
        house.write(1, "out", &file(frames));
        assert_eq!(house.keeper.pass().await, waiting, "{frames} frames so far");
        house.clock.advance(Duration::from_secs(9));
        assert_eq!(house.keeper.pass().await, waiting, "9 s are not enough");
    }
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(house.keeper.pass().await, Progress { kept: 1, ..Progress::default() });
    let row = house.row(1).await;
    assert_eq!((row.millis, row.flags), (Some(4_096), vec![Flag::Repaired]));
}

#[tokio::test]
async fn a_file_that_grows_long_after_its_end_is_an_alarm_and_not_kept_half() {
    let house = House::new();
    house.close(1, closing(1_000)).await;
    let mut grow = {
        let mut frames = 8_000;
        move |house: &House| {
            frames += 8_000;
            let mut file = wav(&tone(RATE, 440.0, 0.5, frames));
            file[40..44].fill(0);
            house.write(1, "in", &file);
            house.write(1, "out", &file);
        }
    };
    while house.clock.now() < end(1_000) + SignedDuration::from_secs(60) {
        grow(&house);
        house.keeper.pass().await;
        house.clock.advance(Duration::from_secs(2));
    }
    assert_eq!(house.keeper.alarms(), 0, "a minute is given");
    for _ in 0..40 {
        grow(&house);
        house.keeper.pass().await;
        house.clock.advance(Duration::from_secs(2));
    }
    let alarms = house.keeper.alarms();
    assert!((1..=8).contains(&alarms), "told, and not at every look: {alarms}");
    assert_eq!(house.row(1).await.state, State::Closed);
    assert_eq!(house.vault.list().await, Ok(vec![]));
    house.clock.advance(Duration::from_secs(60));
    house.keeper.pass().await;
    house.clock.advance(Duration::from_secs(60));
    assert_eq!(house.keeper.pass().await.kept, 1, "once it stops it is kept");
    assert_eq!(house.row(1).await.flags, [Flag::Long, Flag::Repaired]);
}

#[tokio::test]
async fn what_cannot_be_kept_is_lost_and_the_journal_says_why() {
    type Prepare = fn(&House);
    let cases: [(&str, Closing, Prepare, &str); 5] = [
        ("no files", closing(2_000), |_| {}, "its recorder left no file"),
        ("empty files", closing(2_000), |house| house.record(1, &[], &[]), "its recorder wrote no audio"),
        (
            "just opened, then died",
            closing(2_000),
            |house| {
                house.write(1, "in", &wav(&[])[..20]);
                house.write(1, "out", b"");
            },
            "its recorder wrote no audio",
        ),
        (
            "all of it cut",
            Closing { cut_tail: true, ..closing(100) },
            |house| house.record(1, &[9; 800], &[9; 800]),
            "nothing is left after the cut",
        ),
        (
            "no start",
            Closing { from: None, ..closing(2_000) },
            |house| house.record(1, &[9; 800], &[9; 800]),
            "nobody knows when its audio began",
        ),
    ];
    for (what, closing, prepare, why) in cases {
        let house = House::new();
        house.close(1, closing).await;
        prepare(&house);
        house.keeper.pass().await;
        house.clock.advance(Duration::from_secs(61));
        house.keeper.pass().await;
        let story = house.story().await;
        let expected = [
            What::Lost { why: why.into() },
            What::Erasing { why: "no purpose remains".into() },
            What::Disposed,
        ];
        assert_eq!(story, expected, "{what}");
        assert_eq!(house.row(1).await.state, State::Disposed, "{what}");
        assert_eq!(house.spool(), Vec::<String>::new(), "{what}");
        assert_eq!(house.vault.list().await, Ok(vec![]), "{what}");
    }
}

#[tokio::test]
async fn a_missing_file_is_waited_for() {
    let house = House::new();
    house.close(1, closing(1_000)).await;
    house.write(1, "in", &wav(&tone(RATE, 440.0, 0.5, 8_000)));
    for _ in 0..5 {
        assert_eq!(house.keeper.pass().await.waiting, 1);
        house.clock.advance(Duration::from_secs(10));
    }
    house.write(1, "out", &wav(&tone(RATE, 620.0, 0.5, 8_000)));
    assert_eq!(house.keeper.pass().await.kept, 1);
    assert_eq!(house.row(1).await.flags, []);

    house.close(2, closing(1_000)).await;
    house.write(2, "out", &wav(&tone(RATE, 620.0, 0.5, 8_000)));
    house.clock.advance(Duration::from_secs(61));
    assert_eq!(house.keeper.pass().await.kept, 1, "one side is better than none");
    assert_eq!(house.row(2).await.flags, [Flag::CustomerSilent]);
}

#[tokio::test]
async fn a_mandatory_one_is_kept_whole_where_nobody_saw_its_start() {
    let house = House::new();
    let segment = Segment { mandatory: true, ..segment(1) };
    let closing = Closing { from: None, cut_tail: true, ..closing(1_000) };
    house.commit(vec![Change::Open(segment), Change::Close(id(1), closing)]).await;
    house.record(1, &tone(RATE, 440.0, 0.5, 24_000), &tone(RATE, 440.0, 0.5, 24_000));
    house.keeper.pass().await;
    let row = house.row(1).await;
    assert_eq!((row.millis, row.flags), (Some(3_000), vec![Flag::Unwatched]));
}

#[tokio::test]
async fn the_doomed_are_erased_wherever_they_are() {
    let house = House::new();
    // Never kept; kept, then doomed; doomed while it was still open, with a recorder that is late.
    house.close(1, Closing { kept: vec![], ..closing(1_000) }).await;
    house.record(1, &[9; 8_000], &[9; 8_000]);
    house.close(2, closing(1_000)).await;
    house.record(2, &tone(RATE, 440.0, 0.5, 8_000), &tone(RATE, 440.0, 0.5, 8_000));
    house.commit(vec![Change::Open(segment(3)), Change::Amend(id(3), vec![], Deadlines::default())]).await;
    assert_eq!(house.keeper.pass().await, Progress { kept: 1, disposed: 2, ..Progress::default() });
    assert_eq!(house.vault.list().await, Ok(vec![id(2)]));
    house.commit(vec![Change::Amend(id(2), vec![], Deadlines::default())]).await;
    assert_eq!(house.keeper.pass().await, Progress { disposed: 1, ..Progress::default() });
    assert_eq!(house.vault.list().await, Ok(vec![]));
    for n in 1..=3 {
        let row = house.row(n).await;
        assert_eq!((row.state, row.disposed, row.sealed), (State::Disposed, Some(house.clock.now()), None));
    }
    assert_eq!(house.spool(), Vec::<String>::new());

    house.record(3, &[9; 800], &[9; 800]);
    house.clock.advance(Duration::from_secs(60));
    assert_eq!(house.keeper.pass().await, Progress { tidied: 1, ..Progress::default() });
    assert_eq!(house.spool(), Vec::<String>::new(), "what comes after the end is removed");
    let story = house.story().await;
    assert_eq!(story.iter().filter(|what| **what == What::Disposed).count(), 3);
    assert_eq!(story.iter().filter(|what| matches!(what, What::Erasing { .. })).count(), 3);
}

#[tokio::test]
async fn one_that_nobody_understands_holds_up_nobody() {
    let house = House::new();
    for n in 1..=4 {
        house.close(n, closing(1_000)).await;
        house.record(n, &tone(RATE, 440.0, 0.5, 8_000), &tone(RATE, 440.0, 0.5, 8_000));
    }
    house.write(1, "in", &[0xAA; 5_000]);
    let mut wideband = wav(&[9; 16_000]);
    wideband[24..28].copy_from_slice(&16_000_u32.to_le_bytes());
    house.write(2, "out", &wideband);
    fs::remove_file(house.path(3, "in")).expect("remove");
    symlink("/etc/hostname", house.path(3, "in")).expect("symlink");
    let first = house.keeper.pass().await;
    assert_eq!((first.kept, first.failed, first.waiting), (1, 2, 1), "one is not closed, so it waits first");
    house.clock.advance(Duration::from_secs(10));
    let second = house.keeper.pass().await;
    assert_eq!((second.kept, second.failed), (0, 3));
    assert_eq!(house.keeper.alarms(), 5);
    assert_eq!(house.keeper.pass().await.failed, 3);
    assert_eq!(house.keeper.alarms(), 5, "they rest before they are tried again");
    for n in 1..=3 {
        assert_eq!(house.row(n).await.state, State::Closed);
    }
    assert_eq!(house.spool().len(), 6, "nothing of them is touched");
    house.commit((1..=3).map(|n| Change::Amend(id(n), vec![], Deadlines::default())).collect()).await;
    house.clock.advance(Duration::from_secs(60));
    assert_eq!(house.keeper.pass().await.disposed, 3, "but what must not exist goes, understood or not");
    assert_eq!(house.spool(), Vec::<String>::new());
    assert!(Path::new("/etc/hostname").exists());
}

#[tokio::test]
async fn orphans_are_told_and_left_alone() {
    let house = House::new();
    assert_eq!(house.keeper.orphans().await.expect("orphans"), Orphans::default());
    house.record(1, &[9; 800], &[9; 800]);
    house.close(2, closing(1_000)).await;
    house.close(3, closing(1_000)).await;
    house.record(3, &[9; 800], &[9; 800]);
    fs::write(house.dir.path().join("spool/core.1234"), "x").expect("write");
    assert_eq!(house.keeper.orphans().await.expect("orphans").rows, [], "it may still come");
    house.clock.advance(Duration::from_secs(61));
    let orphans = house.keeper.orphans().await.expect("orphans");
    let expected = Orphans { files: vec![id(1)], rows: vec![id(2)], strangers: vec!["core.1234".into()] };
    assert_eq!(orphans, expected);
    house.keeper.pass().await;
    assert!(house.path(1, "in").exists() && house.dir.path().join("spool/core.1234").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_until_it_is_told_to_stop() {
    let house = Arc::new(House::new());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn({
        let house = house.clone();
        async move { house.keeper.run(async { drop(stopped.await) }).await }
    });
    for n in 1..=3 {
        house.record(n, &tone(RATE, 440.0, 0.5, 8_000), &tone(RATE, 440.0, 0.5, 8_000));
        house.close(n, closing(1_000)).await;
        house.keeper.notify();
        // The next look without a notification would be a minute later.
        until(|| block_on(house.row(n)).state == State::Kept).await;
    }
    stop.send(()).expect("send");
    tokio::time::timeout(Duration::from_secs(10), running).await.expect("it stops").expect("task");
}

#[tokio::test]
async fn verify_finds_what_is_wrong() {
    let house = House::new();
    for n in 1..=5 {
        house.tell(n, closing(1_000), &[]).await;
        house.record(n, &tone(RATE, 440.0, 0.5, 8_000), &tone(RATE, 440.0, 0.5, 8_000));
    }
    house.keeper.pass().await;
    let report = verify(&*house.store, &*house.vault).await.expect("verify");
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.rows, report.erased, report.kept, report.objects), (20, 0, 5, 5));
    assert_eq!((report.unseen, report.erased_until), (NotSeen::default(), 0));
    let head = house.store.chain(19, 1).await.expect("chain")[0].hash;
    assert_eq!(report.head, head);

    house.vault.damage(id(1));
    house.vault.shred(id(2)).await.expect("shred");
    let audio = house.read(&house.row(3).await).await;
    house.vault.seal(id(3), Box::new(std::io::Cursor::new(audio.clone()))).await.expect("sealed anew");
    house.vault.seal(id(9), Box::new(&b"x"[..])).await.expect("nobody's");
    house
        .commit(vec![
            Change::Amend(id(4), vec![], Deadlines::default()),
            Change::Dispose(id(4), house.clock.now()),
        ])
        .await;
    // Kept by somebody who did not write it down.
    house.commit(vec![Change::Open(segment(6)), Change::Close(id(6), closing(1_000))]).await;
    let sealed = house.vault.seal(id(6), Box::new(&b"x"[..])).await.expect("seal");
    let kept = Kept { millis: 1, sha256: "00".into(), sealed, flags: vec![] };
    house.commit(vec![Change::Keep(id(6), kept)]).await;
    let report = verify(&*house.store, &*house.vault).await.expect("verify");
    let faults = report.faults.iter().map(|fault| match fault {
        Fault::Damaged(id, _) => Fault::Damaged(*id, String::new()),
        fault => fault.clone(),
    });
    let expected = [
        Fault::Undead(id(4)),
        Fault::Stray(id(9)),
        Fault::Damaged(id(1), String::new()),
        Fault::Gone(id(2)),
        Fault::Damaged(id(3), String::new()),
        Fault::Unproven(id(6)),
    ];
    assert_eq!(faults.collect::<Vec<_>>(), expected);
    assert_eq!(report.broken, None);
}

/// Nothing may be stored from an instant on, of which the closing knows nothing.
#[tokio::test]
async fn verify_holds_what_is_kept_against_what_was_decided() {
    for (at, millis) in [(2_000, 0), (1_999, 1), (1_000, 1_000)] {
        let house = House::new();
        house.tell(1, closing(2_000), &[(at, "exempt-leg")]).await;
        house.record(1, &tone(RATE, 440.0, 0.5, 16_000), &tone(RATE, 440.0, 0.5, 16_000));
        house.keeper.pass().await;
        let report = verify(&*house.store, &*house.vault).await.expect("verify");
        let (call, reason) = (segment(1).call, "exempt-leg".to_owned());
        let breach = Breach::Forbidden { at: end(at), millis, reason };
        let faults = if millis == 0 { vec![] } else { vec![Fault::Against(id(1), call, breach)] };
        assert_eq!(report.faults, faults, "from {at} ms on");
        assert_eq!(report.is_sound(), millis == 0);

        let mut calls = Vec::new();
        let found = exempt(&*house.store, &report, &mut |call| calls.push(call.clone())).await;
        let overlapping = u64::from(millis > 0);
        assert_eq!(found, Ok(Exempt { calls: 1, kept: 1, overlapping, unseen: 0 }));
        let span = Some(Span { from: start(), until: end(2_000) });
        let kept = vec![Beside { segment: id(1), span, overlap: Some(millis) }];
        let there = vec![(end(at), Some(end(9_000)))];
        assert_eq!(calls, [ExemptCall { call: segment(1).call, there, kept }]);
    }
}

/// Each call once, however often somebody exempt came and went, and across the pages of the journal.
#[tokio::test]
async fn exempt_calls_are_told_once_and_in_order() {
    let house = House::new();
    let calls: Vec<CallId> = (0..400).map(|n| CallId(format!("call-{n:03}"))).collect();
    for call in &calls {
        let lines = [(0, "exempt-rings"), (10, "exempt-leg"), (20, "ok"), (30, "exempt-leg"), (40, "held")];
        let entry = |(at, reason)| Change::Journal(Entry { call: Some(call.clone()), ..decided(at, reason) });
        house.commit(lines.map(entry).into()).await;
    }
    let report = verify(&*house.store, &*house.vault).await.expect("verify");
    let mut told = Vec::new();
    let each = &mut |call: &ExemptCall| {
        let there = [(end(0), Some(end(20))), (end(30), Some(end(40)))];
        assert_eq!(call.there, there);
        told.push(call.call.clone());
    };
    let found = exempt(&*house.store, &report, each).await;
    assert_eq!(found, Ok(Exempt { calls: 400, ..Exempt::default() }));
    assert_eq!(told, calls);
}
