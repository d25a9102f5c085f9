//! `calls`, `show`, `play`: what is found, told and heard, and readers that go away.

use super::*;

#[tokio::test]
async fn calls_are_found_by_whatever_is_known_of_them() {
    let site = Site::used().await;
    let found = |args: &[&str]| {
        let all: Vec<&str> = [&["calls", "--json"], args].concat();
        let told = site.run(&all).ends(0).json();
        let calls = told["calls"].as_array().expect("a list").clone();
        let mut ids: Vec<_> =
            calls.iter().map(|call| call["id"].as_str().expect("an id").to_owned()).collect();
        ids.sort();
        ids
    };
    for number in ["+33199001234", "0033199001234", "0199001234", "01 99 00 12 34", "1234"] {
        assert_eq!(found(&["--number", number]), ["call-1"], "{number}");
    }
    assert_eq!(found(&["--number", "+33199000077"]), ["call-2"]);
    assert_eq!(found(&["--number", "0199001235"]), Vec::<String>::new());
    assert_eq!(found(&[]), ["call-1", "call-2"]);
    assert_eq!(found(&["--agent", "amel"]), ["call-1"]);
    assert_eq!(found(&["--agent", "bruno"]), Vec::<String>::new());
    assert_eq!(found(&["--line", "accueil", "--state", "not-sampled"]), ["call-2"]);
    assert_eq!(found(&["--line", "elsewhere"]), Vec::<String>::new());
    assert_eq!(found(&["--limit", "1"]).len(), 1);
    assert_eq!(found(&["--from", "2026-10-05", "--until", "2026-10-05"]).len(), 2);
    assert_eq!(found(&["--from", "2026-10-06"]).len(), 0);
    assert_eq!(found(&["--until", "2026-10-04"]).len(), 0);
    assert_eq!(found(&["--from", "2026-10-05T08:30:00Z", "--until", "2026-10-05T08:30:01Z"]).len(), 2);
    assert_eq!(found(&["--until", "2026-10-05T08:30:00Z"]).len(), 0);
    site.run(&["calls", "--from", "yesterday"]).ends(2).says("`yesterday` is neither a day");
    let told = site.run(&["calls", "--count", "--json"]).ends(0).json();
    let counts = [("accueil", "not-sampled"), ("accueil", "recorded")];
    let counts = counts.map(|(line, outcome)| json!({ "line": line, "outcome": outcome, "calls": 1 }));
    assert_eq!(told, json!({ "counts": counts }));
    let told = site.run(&["calls", "--count", "--agent", "amel"]).ends(0).says("OUTCOME").says("recorded");
    assert!(!told.out.contains("not-sampled"), "{told:?}");
    site.run(&["calls", "--count", "--limit", "3"]).ends(2).says("--limit");
    // The time for people is the site's.
    site.run(&["calls"]).ends(0).says("2026-10-05 10:30:00").says("CALL");
}

/// A private call is found by its whole number, and shows it to nobody.
#[tokio::test]
async fn a_private_call_shows_no_whole_number() {
    let site = Site::used().await;
    let private = CallRecord { private: true, ..call("call-3", "+33199001239", "private-call") };
    site.store().await.commit(vec![Change::Call(private)]).await.expect("commit");
    let found = &["calls", "--number", "+33199001239"];
    for args in [&["calls"][..], &["calls", "--json"], &["show", "call-3", "--json"], found] {
        site.run(args).ends(0).says("call-3").says("+3319900****").never_says("1239");
    }
    site.run(&["show", "call-3"]).ends(0).never_says("1239");
    site.run(&["calls"]).ends(0).says(NUMBER);
    assert_eq!(site.run(&["show", "call-3", "--json"]).ends(0).json()["call"]["number"], "+3319900****");
}

#[tokio::test]
async fn a_call_s_story_is_told_and_an_unknown_one_is_not() {
    let site = Site::used().await;
    site.run(&["show", "call-1"])
        .ends(0)
        .says("call call-1 on accueil")
        .says("recording")
        .says(&format!("segment {}: kept", id(1)));
    let told = site.run(&["show", "call-1", "--json"]).ends(0).json();
    assert_eq!(told["segments"].as_array().map(Vec::len), Some(2));
    assert!(told["story"].as_array().is_some_and(|story| !story.is_empty()));
    site.run(&["show", "call-9"]).ends(3).says("no call call-9");
    site.run(&["show", "call-9", "--json"]).ends(3);
}

#[tokio::test]
async fn what_is_played_is_what_was_kept_and_the_journal_knows_first() {
    let site = Site::used().await;
    let segment = id(1).to_string();
    site.run(&["play", &segment, "-o", "out.wav"]).ends(2);
    site.run(&["play", &segment, "-o", "out.wav", "--reason", "  "]).ends(2).says("--reason is empty");
    site.run(&["play", "nonsense", "-o", "out.wav", "--reason", "r"]).ends(2).says("is not a segment");
    site.run(&["play", &id(9).to_string(), "-o", "out.wav", "--reason", "r"]).ends(3).says("no segment");
    assert!(!site.path("out.wav").exists());
    assert!(!site.journal().await.iter().any(|what| matches!(what, What::Listened { .. })));

    let told =
        site.run(&["play", &segment, "-o", "out.wav", "--reason", "complaint", "--json"]).ends(0).json();
    let bytes = fs::read(site.path("out.wav")).expect("a WAV");
    let known = site.segment(1).await.sha256.expect("a hash");
    assert_eq!(hex(&Sha256::digest(&bytes)), known);
    assert_eq!((told["sha256"].as_str(), told["bytes"].as_u64()), (Some(&*known), Some(bytes.len() as u64)));
    assert_eq!(hound::WavReader::new(&bytes[..]).expect("a WAV").spec().channels, 2);
    let mode = fs::metadata(site.path("out.wav")).expect("a file").mode();
    assert_eq!(mode & 0o077, 0, "only its owner hears it");

    // A pipe that nobody reads: the listening is written down, and not one byte is out.
    let pipe = site.path("pipe.wav");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let args = ["play", &segment, "-o", "pipe.wav", "--reason", "training", "--who", "amel"];
    let playing =
        Running(site.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs"));
    until("the listening is in the journal", async || {
        let listened = What::Listened { who: "amel".into(), reason: "training".into() };
        site.journal().await.contains(&listened).then_some(())
    })
    .await;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        fs::File::open(pipe).and_then(|mut pipe| pipe.read_to_end(&mut bytes)).map(|_| bytes)
    });
    assert_eq!(read.await.expect("a thread").expect("the pipe"), bytes);
    drop(playing);
}

#[tokio::test]
async fn a_damaged_recording_is_told_and_leaves_nothing() {
    let site = Site::used().await;
    let object = site.path("vault").join(id(1).to_string());
    let mut bytes = fs::read(&object).expect("the object");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&object, &bytes).expect("the object");
    let segment = id(1).to_string();
    site.run(&["play", &segment, "-o", "out.wav", "--reason", "r"]).ends(1).says("is damaged or was changed");
    assert!(!site.path("out.wav").exists(), "half a recording is none");
    fs::remove_file(&object).expect("the object");
    site.run(&["play", &segment, "-o", "out.wav", "--reason", "r"]).ends(1).says("the vault has no object");
    site.run(&["play", &id(2).to_string(), "-o", "no/such/folder.wav", "--reason", "r"]).ends(2);
}

#[tokio::test]
async fn what_waits_to_be_erased_is_not_to_be_heard() {
    let site = Site::used().await;
    let doomed = vec![Change::Amend(id(1), Vec::new(), Deadlines::default())];
    site.store().await.commit(doomed).await.expect("commit");
    let args = ["play", &id(1).to_string(), "-o", "out.wav", "--reason", "r"];
    site.run(&args).ends(3).says("cannot be listened to: it is waiting to be erased");
    assert!(!site.path("out.wav").exists());
}

#[tokio::test]
async fn a_reader_that_went_away_is_no_failure() {
    let site = Site::used().await;
    for args in [&["calls"][..], &["calls", "--json"], &["show", "call-1"], &["check"], &["verify", "--json"]]
    {
        let mut child =
            site.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        drop(child.stdout.take());
        Told::of(child.wait_with_output().expect("it ends")).ends(0);
    }
    // Nobody hears what went wrong, either.
    let mut child = site.command(&["show", "call-9"]).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stderr.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
}

#[tokio::test]
async fn a_full_disk_is_told() {
    let site = Site::used().await;
    let full = fs::File::create("/dev/full").expect("/dev/full");
    let told = Told::of(site.command(&["calls"]).stdout(full).output().expect("it runs"));
    told.ends(4).says("standard output");
}
