//! Engine, calls and outbox together, on fakes: a PBX that a test plays, an index in memory, and a clock that goes as
//! fast as the test does.

mod fakes;

use std::sync::Arc;
use std::time::Duration;

use fakes::{World, agent, at, call_id, policy, rules, rules_that_draw};
use jiff::SignedDuration;
use temoin::room::Lack;
use temoin_core::command::{Notice, Order, Release};
use temoin_core::event::PbxEvent;
use temoin_core::journal::{Entry, What};
use temoin_core::ports::{CallQuery, CallRecord, Change, Clock as _, LiveCall, SegmentQuery, Store as _};
use temoin_core::segment::{Deadlines, Ending, Segment, State};
use temoin_core::words::Direction;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_call_is_told_recorded_and_written_down() {
    let world = World::start(rules_that_draw("c1")).await;
    world.arrive("c1");
    world
        .until("it leaves the hook", || world.pbx.orders("c1").contains(&Order::Release(Release::Admitted)))
        .await;
    world.talk("c1", vec![agent("2001")]);
    let id = world.recorded("c1").await;
    world.end("c1");
    world.closed(id).await;
    let row = world.segment(id).await;
    assert_eq!((row.state, row.kept_for), (State::Closed, vec!["quality".to_owned()]));
    assert_eq!(row.closing.map(|closing| closing.ending), Some(Ending::HungUp));
    let story = world.story("c1").await;
    let at = |is: fn(&What) -> bool| story.iter().position(is).unwrap_or_else(|| panic!("{story:#?}"));
    let order = [
        at(|what| matches!(what, What::Arrived { .. })),
        at(|what| matches!(what, What::Announced { .. })),
        at(|what| matches!(what, What::Drawn(_))),
        at(|what| matches!(what, What::Opened { .. })),
        at(|what| matches!(what, What::Recording)),
        at(|what| matches!(what, What::Closed(_))),
    ];
    assert!(order.is_sorted(), "{story:#?}");
}

#[tokio::test(start_paused = true)]
async fn new_rules_are_for_new_calls_and_broken_ones_for_none() {
    let world = World::start(rules(&policy())).await;
    let text = std::fs::read_to_string(world.file("temoin.toml")).expect("the file");
    world.arrive("c1");
    world.until("it is announced", || !world.pbx.orders("c1").is_empty()).await;
    let first = world.arrived_under("c1").await;

    let exempt = || world.pbx.exempt_list().into_iter().collect::<Vec<_>>();
    assert_eq!(exempt(), ["4100"], "the PBX knows who is never recorded");

    let other = policy().replace("rate = 200", "rate = 100");
    let other = other.replace("extensions = [\"4100\"]", "extensions = [\"4101\"]\nagents = [\"amel\"]");
    world.write("policy.toml", &other);
    world.reload();
    world.until("the PBX knows the new list", || exempt() == ["2001", "4101"]).await;
    world.arrive("c2");
    let second = world.arrived_under("c2").await;
    assert_ne!(first, second, "new rules are for new calls");
    assert_eq!(
        world.journal_of(|what| matches!(what, What::Reloaded { policy, .. } if *policy == second)).await,
        1
    );

    for (broken, whole) in [("policy.toml", policy()), ("temoin.toml", text)] {
        world.write(broken, "colour = 1\n");
        world.reload();
        world.write(broken, &whole);
    }
    world.arrive("c3");
    assert_eq!(world.arrived_under("c3").await, second, "a broken file changes nothing");
    assert_eq!(world.journal_of(|what| matches!(what, What::Alarm(_))).await, 2, "and people are told");
    assert_eq!(world.journal_of(|what| matches!(what, What::Reloaded { .. })).await, 1);

    // The first call still follows the rules under which it came.
    world
        .until("it leaves the hook", || world.pbx.orders("c1").contains(&Order::Release(Release::Admitted)))
        .await;
    world.talk("c1", vec![agent("2001")]);
    let rate = async || {
        world.story("c1").await.into_iter().find_map(|what| match what {
            What::Drawn(drawn) => Some(drawn.ballot.rate),
            _ => None,
        })
    };
    assert_eq!(world.found("a lot", rate).await, 200);
}

#[tokio::test(start_paused = true)]
async fn while_the_index_is_away_everything_stops_and_goes_on_but_nothing_new_is_recorded() {
    let world = World::start(rules_that_draw("c1")).await;
    world.arrive("c1");
    world
        .until("it leaves the hook", || world.pbx.orders("c1").contains(&Order::Release(Release::Admitted)))
        .await;
    world.talk("c1", vec![agent("2001")]);
    let id = world.recorded("c1").await;

    world.store.away(true);
    let away = tokio::time::Instant::now();
    // The objection of one, the release of another, and the start of a third.
    let stops = world.pbx.count("c1", &Order::Stop);
    world.press("c1", "*1");
    world.arrive("c2");
    world.until("the recorder is stopped", || world.pbx.count("c1", &Order::Stop) > stops).await;
    assert!(away.elapsed() < Duration::from_millis(50), "a stop waits for no index: {:?}", away.elapsed());
    world
        .until("the next leaves the hook", || {
            world.pbx.orders("c2").contains(&Order::Release(Release::Admitted))
        })
        .await;
    assert!(away.elapsed() < 5 * SECOND, "nor does a release: {:?}", away.elapsed());
    world.talk("c2", vec![agent("2001")]);
    tokio::time::sleep(10 * SECOND).await;
    assert!(
        !world.pbx.orders("c2").iter().any(|order| matches!(order, Order::Record(_))),
        "no journal, no recording"
    );
    world.end("c1");
    tokio::time::sleep(SECOND).await;

    world.store.away(false);
    world
        .found("it is doomed", async || (world.segment(id).await.state == State::Doomed).then_some(()))
        .await;
    world.found("the call has its end", async || world.record("c1").await?.ended).await;
    let story = world.story("c1").await;
    let at = |is: fn(&What) -> bool| story.iter().position(is).unwrap_or_else(|| panic!("{story:#?}"));
    let order = [
        at(|what| matches!(what, What::Recording)),
        at(|what| matches!(what, What::Stopping { ending: Ending::Code, .. })),
        at(|what| matches!(what, What::Objected { .. })),
        at(|what| matches!(what, What::Closed(closing) if closing.kept.is_empty())),
        at(|what| matches!(what, What::Ended)),
    ];
    assert!(order.is_sorted(), "nothing is lost, nothing is out of order: {story:#?}");
    let told = world.story("c2").await;
    assert!(told.iter().any(|what| matches!(what, What::Released { .. })), "{told:#?}");
    assert!(told.iter().any(|what| matches!(what, What::Alarm(_))), "{told:#?}");
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_cuts_what_was_open_at_the_last_certain_moment_and_hears_what_was_pressed_meanwhile() {
    let (quiet, objects) = (segment("c1", 1), segment("c2", 2));
    let world = World::prepare(rules(&policy()));
    let (opened, watched) = (quiet.opened, at(60));
    std::fs::write(world.file("alive"), watched.to_string()).expect("a file");
    for old in [&quiet, &objects] {
        let recording =
            Entry { at: at(1), call: Some(old.call.clone()), segment: Some(old.id), what: What::Recording };
        let changes = vec![
            Change::Call(call_before(&old.call.0)),
            Change::Open(old.clone()),
            Change::Journal(recording),
        ];
        world.store.commit(changes).await.expect("commit");
    }
    // The customer of one objected while nobody listened.
    let key = format!("*1@{}.000", at(30).as_second());
    world.pbx.live(vec![live("c1", Some(String::new())), live("c2", Some(key))]);
    world.clock_goes_on(SignedDuration::from_secs(100));
    let world = world.run().await;

    world.closed(quiet.id).await;
    let row = world.segment(quiet.id).await;
    let closing = row.closing.expect("it is closed");
    assert_eq!((closing.from, closing.until, closing.ending), (Some(at(1)), watched, Ending::Gap));
    assert_eq!((row.state, row.kept_for), (State::Closed, vec!["quality".to_owned()]));
    assert!(opened < watched);

    world
        .found("the objection erases", async || {
            (world.segment(objects.id).await.state == State::Doomed).then_some(())
        })
        .await;
    let story = world.story("c2").await;
    assert!(story.contains(&What::Objected { by: "customer".into() }), "{story:#?}");
    for call in ["c1", "c2"] {
        assert!(world.pbx.orders(call).contains(&Order::Stop), "what records them is stopped");
        world.talk(call, vec![agent("2001")]);
    }
    tokio::time::sleep(10 * SECOND).await;
    for call in ["c1", "c2"] {
        let orders = world.pbx.orders(call);
        assert!(
            !orders.iter().any(|order| matches!(order, Order::Record(_))),
            "they are not recorded again: {orders:?}"
        );
        let record = world.record(call).await.expect("a record");
        assert_eq!((record.line.as_str(), record.number.as_deref()), ("accueil", Some("+33199001234")));
        world.end(call);
        world.found("its end is known", async || world.record(call).await?.ended).await;
    }
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_without_an_index_stops_at_once_and_remembers_later() {
    let old = segment("c1", 1);
    let world = World::prepare(rules(&policy()));
    let changes = vec![Change::Call(call_before("c1")), Change::Open(old.clone())];
    world.store.commit(changes).await.expect("commit");
    world.store.away(true);
    world.pbx.live(vec![live("c1", Some(String::new()))]);
    world.clock_goes_on(SignedDuration::from_secs(100));
    let world = world.run().await;
    let started = tokio::time::Instant::now();
    world.until("it is stopped", || world.pbx.orders("c1").contains(&Order::Stop)).await;
    assert!(started.elapsed() < Duration::from_millis(50));
    world.talk("c1", vec![agent("2001")]);
    // The engine goes on: others come and go.
    world.arrive("c2");
    world
        .until("another is served", || world.pbx.orders("c2").contains(&Order::Release(Release::Admitted)))
        .await;
    tokio::time::sleep(10 * SECOND).await;
    world.store.away(false);
    world.closed(old.id).await;
    world.end("c1");
    world.found("its end is known", async || world.record("c1").await?.ended).await;
    let record = world.record("c1").await.expect("a record");
    assert_eq!(
        (record.line.as_str(), record.number.as_deref()),
        ("accueil", Some("+33199001234")),
        "nothing is made up"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_closes_and_its_return_begins_anew() {
    let world = World::start(rules_that_draw("c1")).await;
    world.arrive("c1");
    world
        .until("it leaves the hook", || world.pbx.orders("c1").contains(&Order::Release(Release::Admitted)))
        .await;
    world.talk("c1", vec![agent("2001")]);
    let first = world.recorded("c1").await;
    tokio::time::sleep(10 * SECOND).await;
    let since = world.clock.now();
    tokio::time::sleep(2 * SECOND).await;
    world.pbx.tell(PbxEvent::LinkDown { since });
    tokio::time::sleep(2 * SECOND).await;
    let back = LiveCall { parties: vec![agent("2001")], ..live("c1", Some(String::new())) };
    world.pbx.live(vec![back.clone()]);
    world.pbx.tell(PbxEvent::LinkUp);
    world.closed(first).await;
    let closing = world.segment(first).await.closing.expect("closed");
    assert_eq!((closing.until, closing.ending), (since, Ending::Gap), "what nobody watched is cut off");
    let second = world
        .found("a new segment", async || world.pbx.records("c1").into_iter().find(|id| *id != first))
        .await;

    // The customer objects while the link is away: heard before anything is decided.
    let pressed = world.clock.now();
    world.pbx.tell(PbxEvent::LinkDown { since: pressed });
    tokio::time::sleep(SECOND).await;
    let keys = Some(format!("*1@{}.000", (pressed + SignedDuration::from_secs(1)).as_second()));
    world.pbx.live(vec![LiveCall { keys, ..back }]);
    world.pbx.tell(PbxEvent::LinkUp);
    world
        .found("both are erased", async || {
            let states = [world.segment(first).await.state, world.segment(second).await.state];
            (states == [State::Doomed, State::Doomed]).then_some(())
        })
        .await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(world.pbx.records("c1"), [first, second], "and nothing is recorded again");
    // What ended meanwhile is found to be over.
    world.pbx.tell(PbxEvent::LinkDown { since: world.clock.now() });
    world.pbx.live(Vec::new());
    world.pbx.tell(PbxEvent::LinkUp);
    world.found("its end is known", async || world.record("c1").await?.ended).await;
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_parts_what_is_recorded_and_every_time_is_of_one_clock() {
    // A year later the campaign is over.
    for (by, ending) in [(3_600, Ending::Gap), (-3_600, Ending::Gap), (400 * 86_400, Ending::NotAllowed)] {
        let world = World::start(rules_that_draw("c1")).await;
        world.arrive("c1");
        world
            .until("it is let go", || world.pbx.orders("c1").contains(&Order::Release(Release::Admitted)))
            .await;
        world.talk("c1", vec![agent("2001")]);
        let first = world.recorded("c1").await;
        tokio::time::sleep(10 * SECOND).await;
        world.pbx.live(vec![LiveCall { parties: vec![agent("2001")], ..live("c1", Some(String::new())) }]);
        let before = world.clock.now();
        world.clock_goes_on(SignedDuration::from_secs(by));
        world.closed(first).await;
        let closing = world.segment(first).await.closing.expect("closed");
        let (from, until) = (closing.from.expect("a beginning"), closing.until);
        assert_eq!(closing.ending, ending, "by {by}");
        let (long, late) = (until.duration_since(from).as_secs(), until.duration_since(before).as_secs());
        assert!((9..=11).contains(&long) && late <= 1, "by {by}: {from} to {until}");
        if ending != Ending::Gap {
            tokio::time::sleep(5 * SECOND).await;
            assert_eq!(world.pbx.records("c1"), [first], "the law follows the new clock");
            continue;
        }
        let second = world
            .found("a new segment", async || world.pbx.records("c1").into_iter().find(|id| *id != first))
            .await;
        tokio::time::sleep(5 * SECOND).await;
        world.end("c1");
        world.closed(second).await;
        let closing = world.segment(second).await.closing.expect("closed");
        let long = closing.until.duration_since(closing.from.expect("a beginning")).as_secs();
        assert!((4..=6).contains(&long), "by {by}: {long} s");
        let set = |what: &What| matches!(what, What::ClockSet { by_ms } if (by_ms - by * 1000).abs() < 100);
        assert_eq!(world.journal_of(set).await, 2, "by {by}: of the machine, and in the story of the call");
        world.verify().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pbx_that_does_not_tell_what_is_alive_is_asked_again() {
    let world = World::start(rules_that_draw("c1")).await;
    world.arrive("c1");
    world.until("it is let go", || world.pbx.orders("c1").contains(&Order::Release(Release::Admitted))).await;
    world.talk("c1", vec![agent("2001")]);
    let first = world.recorded("c1").await;
    tokio::time::sleep(10 * SECOND).await;
    world.pbx.live(vec![LiveCall { parties: vec![agent("2001")], ..live("c1", Some(String::new())) }]);
    world.pbx.mute(true);
    // The link is not lost, so nobody tells that it is back.
    world.clock_goes_on(SignedDuration::from_secs(3_600));
    world.closed(first).await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(world.pbx.records("c1"), [first], "nobody knows who is there");
    world.pbx.mute(false);
    world.found("a new segment", async || world.pbx.records("c1").into_iter().find(|id| *id != first)).await;
    world.end("c1");
    world.found("its end is known", async || world.record("c1").await?.ended).await;
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_has_his_time_whatever_the_clock_says() {
    let mut took = Vec::new();
    for by in [0, 3_600, -3_600] {
        let world = World::start(rules(&policy())).await;
        let begun = tokio::time::Instant::now();
        world.arrive("c1");
        world.until("it is announced", || !world.pbx.orders("c1").is_empty()).await;
        world.pbx.live(vec![LiveCall { in_hook: true, ..live("c1", None) }]);
        world.clock_goes_on(SignedDuration::from_secs(by));
        world
            .until("it is let go", || world.pbx.orders("c1").contains(&Order::Release(Release::Admitted)))
            .await;
        took.push(begun.elapsed().as_millis() / 20);
    }
    assert!(took.iter().all(|one| one.abs_diff(took[0]) <= 1), "in 20 ms: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn without_room_nothing_is_begun_and_what_runs_is_stopped_until_there_is_room() {
    let world = World::start(rules_that_draw("c1")).await;
    world.arrive("c1");
    world.until("it is let go", || world.pbx.orders("c1").contains(&Order::Release(Release::Admitted))).await;
    world.talk("c1", vec![agent("2001")]);
    let first = world.recorded("c1").await;
    let why = "the spool has 0 KiB left and needs 1024".to_owned();
    world.room.send_replace(Some(Lack { why: why.clone(), full: false }));
    world.closed(first).await;
    let row = world.segment(first).await;
    assert_eq!(row.closing.map(|closing| closing.ending), Some(Ending::NoRoom));
    assert_eq!(row.state, State::Closed, "what was recorded is kept");
    let told = |what: &What| *what == What::Alarm(Notice::NotStarted { why: why.clone() });
    assert_eq!(world.journal_of(told).await, 1);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(world.pbx.records("c1"), [first], "nothing is begun");
    assert_eq!(world.journal_of(told).await, 1, "and told once");
    world.room.send_replace(None);
    world.found("it goes on", async || world.pbx.records("c1").into_iter().find(|id| *id != first)).await;
    world.end("c1");
    world.found("its end is known", async || world.record("c1").await?.ended).await;
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_leave_nothing_behind() {
    let world = World::start(rules(&policy())).await;
    let before = Arc::strong_count(&world.pbx);
    for n in 0..1000 {
        let call = format!("c{n}");
        world.arrive(&call);
        if n % 50 == 49 {
            tokio::time::sleep(5 * SECOND).await;
            let bridged = (n - 49..=n).filter(|n| n % 3 != 0);
            bridged.for_each(|n| world.talk(&format!("c{n}"), vec![agent("2001")]));
        }
    }
    tokio::time::sleep(60 * SECOND).await;
    (0..1000).for_each(|n| world.end(&format!("c{n}")));
    world.until("no task is left", || Arc::strong_count(&world.pbx) == before).await;
    let all = CallQuery { limit: 2000, ..CallQuery::default() };
    let calls = world
        .found("all are written down", async || {
            let calls = world.store.calls(&all).await.expect("calls");
            (calls.len() == 1000 && calls.iter().all(|call| call.ended.is_some())).then_some(calls)
        })
        .await;
    assert!(calls.iter().any(|call| call.outcome == "recorded"), "some were drawn");
    let open = world.store.segments(SegmentQuery::In(State::Open, u32::MAX)).await.expect("segments");
    assert!(open.is_empty(), "{open:#?}");
    world.verify().await;
}

#[tokio::test(start_paused = true)]
async fn no_log_line_tells_who_called_or_what_was_pressed() {
    let lines = fakes::Lines::default();
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(log);
    let world = World::start(rules_that_draw("c1")).await;
    world.arrive("c1");
    world
        .until("it leaves the hook", || world.pbx.orders("c1").contains(&Order::Release(Release::Admitted)))
        .await;
    world.talk("c1", vec![agent("2001")]);
    world.recorded("c1").await;
    // A card number, pressed into the talk.
    world.press("c1", "4970100000000007");
    world.store.away(true);
    world.press("c1", "*1");
    tokio::time::sleep(2 * SECOND).await;
    world.store.away(false);
    world.pbx.tell(PbxEvent::LinkDown { since: world.clock.now() });
    world.pbx.live(vec![live("c1", Some("4970100000000007@1.0".into()))]);
    world.pbx.tell(PbxEvent::LinkUp);
    tokio::time::sleep(SECOND).await;
    world.end("c1");
    world.found("its end is known", async || world.record("c1").await?.ended).await;
    assert_eq!(world.record("c1").await.and_then(|record| record.number).as_deref(), Some("+33199001234"));
    let text = lines.text();
    assert!(
        text.contains("event=\"pressed\"") && text.contains("the journal cannot be written"),
        "it was listened at all: {text}"
    );
    for secret in ["33199001234", "0199001234", "4970100000000007"] {
        for part in secret.as_bytes().windows(6) {
            let part = std::str::from_utf8(part).expect("digits");
            assert!(!text.contains(part), "{part} of {secret} is told: {text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_engine_turns_unless_the_pbx_keeps_it_waiting() {
    let world = World::start(rules(&policy())).await;
    let before = world.turns();
    tokio::time::sleep(10 * SECOND).await;
    assert!(world.turns() - before >= 19, "it turns while nothing happens");
    world.store.away(true);
    let before = world.turns();
    tokio::time::sleep(10 * SECOND).await;
    assert!(world.turns() - before >= 19, "and while the index is away");
    world.pbx.wedge(true);
    world.pbx.tell(PbxEvent::LinkUp);
    tokio::time::sleep(SECOND).await;
    let before = world.turns();
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(world.turns(), before, "not while it waits for an answer");
    assert!(world.pbx.is_asked());
}

/// The real socket of a service manager: a child process whose engine is wedged stops feeding.
#[test]
fn a_wedged_loop_starves_the_watchdog_of_the_service_manager() {
    if std::env::var_os("TEMOIN_WEDGED_CHILD").is_some() {
        return fakes::be_fed_and_wedged();
    }
    let dir = tempfile::TempDir::new().expect("a folder");
    let socket = std::os::unix::net::UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
    socket.set_read_timeout(Some(2 * SECOND)).expect("a socket");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_wedged_loop_starves_the_watchdog_of_the_service_manager", "--nocapture"])
        .env("TEMOIN_WEDGED_CHILD", "1")
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .env("WATCHDOG_USEC", "300000")
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("a child");
    let hear = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    };
    let mut fed = 0;
    let limit = std::time::Instant::now() + 30 * SECOND;
    loop {
        assert!(std::time::Instant::now() < limit, "it is fed for ever");
        match hear() {
            Some(text) if text.contains("WATCHDOG=1") => fed += 1,
            Some(text) => assert!(text.contains("STATUS="), "{text}"),
            // Two seconds of silence where it was fed ten times a second.
            None => break,
        }
    }
    let alive = child.try_wait().expect("a child").is_none();
    let _ = child.kill();
    let _ = child.wait();
    assert!(alive, "it was alive, and said nothing");
    assert!(fed >= 3, "it was fed before: {fed}");
}

fn segment(call: &str, n: u8) -> Segment {
    let basis = serde_json::json!({ "facts": {
        "at": at(0), "line": "accueil", "direction": "inbound",
        "legs": [{ "id": format!("leg-{call}"), "kind": "customer", "heard": ["quality"] },
                 { "id": "leg-2001", "kind": "agent", "agent": "amel" }],
    }});
    Segment {
        id: temoin_core::id::SegmentId::new(at(0), [n; 10]),
        call: call_id(call),
        opened: at(0),
        since: at(0),
        agents: vec!["amel".into()],
        purposes: vec!["quality".into()],
        mandatory: false,
        basis,
        retention: Deadlines::default(),
    }
}

fn call_before(call: &str) -> CallRecord {
    CallRecord {
        id: call_id(call),
        line: "accueil".into(),
        direction: Direction::Inbound,
        number: Some("+33199001234".into()),
        queue: None,
        agents: vec!["amel".into()],
        started: at(0),
        talked: Some(at(0)),
        ended: None,
        outcome: "recorded".into(),
        private: false,
    }
}

fn live(call: &str, keys: Option<String>) -> LiveCall {
    LiveCall { call: call_id(call), leg: fakes::leg_id(call), parties: Vec::new(), keys, in_hook: false }
}
