//! The lab itself: that it is there, alone, fast, and gone afterwards.

mod support;

use std::net::TcpStream;
use std::path::Path;

use support::{Ami, ari, eventually};
use temoin_lab::{AMI_SECRET, Asterisk, Lab, LabError, LabOptions};

#[test]
fn asterisk_is_there_or_fetched_once_for_all() {
    let asked: Vec<_> = (0..3).map(|_| std::thread::spawn(Asterisk::find_or_fetch)).collect();
    let found: Vec<_> = asked.into_iter().map(|one| one.join().unwrap().unwrap()).collect();
    assert!(found.iter().all(|install| *install == found[0]), "{found:?}");
    assert!(found[0].modules.join("app_stasis.so").exists());
}

#[test]
fn starts_says_its_version_stops_and_starts_again() {
    let mut lab = Lab::start(LabOptions::default()).unwrap();
    let said = lab.cli("core show version").unwrap();
    assert!(said.starts_with("Asterisk ") && said.contains(lab.version()), "{said}");
    lab.stop().unwrap();
    assert_eq!(lab.pid(), None);
    assert!(matches!(lab.cli("core show version"), Err(LabError::Command { .. })));
    lab.restart().unwrap();
    lab.cli("core show version").unwrap();
    lab.kill9();
    assert!(TcpStream::connect(lab.ami).is_err());
    lab.restart().unwrap();
    Ami::admin(&lab);
}

#[test]
fn two_labs_stand_side_by_side_and_leave_nothing() {
    let one = Lab::start(LabOptions::default()).unwrap();
    let two = Lab::start(LabOptions::default()).unwrap();
    assert_ne!(one.sip, two.sip);
    let (pid, dir) = (one.pid().unwrap(), one.dir().to_owned());
    assert!(Path::new("/proc").join(pid.to_string()).exists());
    drop(one);
    assert!(!Path::new("/proc").join(pid.to_string()).exists());
    assert!(!dir.exists());
    two.cli("core show version").unwrap();
}

#[test]
fn the_shipped_files_load_without_a_word_of_complaint() {
    let lab =
        Lab::start(LabOptions { phones: vec![(2001, 5071)], trunk: Some(5072), ..LabOptions::default() })
            .unwrap();
    for context in ["temoin-inbound", "temoin-code", "temoin-exempt", "temoin-find", "temoin-stop"] {
        let shown = lab.cli(&format!("dialplan show {context}")).unwrap();
        assert!(shown.contains(&format!("Context '{context}' created by 'pbx_config'")), "{shown}");
        assert!(shown.contains("[temoin.conf:"), "it is the shipped file: {shown}");
    }
    let features = lab.cli("features show").unwrap();
    for line in ["===> Group: temoin-agent", "===> --> temoin-pause (*9)", "===> --> temoin-object (*1)"] {
        assert!(features.contains(line), "{line} in {features}");
    }
    let user = lab.cli("manager show user temoin").unwrap();
    assert!(user.contains("system,call"), "{user}");
    let endpoints = lab.cli("pjsip show endpoint 2001").unwrap();
    assert!(
        endpoints.contains("DYNAMIC_FEATURES=temoin-agent") || endpoints.contains("sip:2001@127.0.0.1:5071"),
        "{endpoints}"
    );
    let log = std::fs::read_to_string(lab.log()).unwrap();
    let complaints: Vec<&str> =
        log.lines().filter(|line| line.contains("] WARNING[") || line.contains("] ERROR[")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn the_shipped_accounts_may_what_the_sidecar_needs_and_no_more() {
    let lab = Lab::start(LabOptions::default()).unwrap();
    assert_eq!(ari(&lab, "GET", "/asterisk/ping").0, 200);
    let mut ami = Ami::login(lab.ami, "temoin", AMI_SECRET);
    for (allowed, action) in
        [(true, "CoreShowChannels"), (true, "Status"), (false, "Command"), (false, "Originate")]
    {
        let answer = ami.action(&[("Action", action)]);
        let denied = answer.field("Message").contains("Permission denied");
        assert_eq!(denied, !allowed, "{action}: {answer:?}");
    }
    let put = [("Action", "DBPut"), ("Family", "temoin-exempt"), ("Key", "4100"), ("Val", "1")];
    assert_eq!(ami.action(&put).field("Response"), "Success");
    assert!(lab.cli("database show temoin-exempt").unwrap().contains("/temoin-exempt/4100"));
}

#[test]
fn says_what_it_said_when_it_does_not_start() {
    let broken = ("modules.conf", "require = no_such_module.so\n".to_owned());
    match Lab::start(LabOptions { more: vec![broken], ..LabOptions::default() }) {
        Err(LabError::Start { log, .. }) => assert!(log.contains("no_such_module"), "{log}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn asterisk_does_not_outlive_the_process_that_started_it() {
    // This test starts itself once more and kills that one, which leaves no time for any destructor.
    const INNER: &str = "TEMOIN_LAB_INNER";
    if let Ok(file) = std::env::var(INNER) {
        let lab = Lab::start(LabOptions::default()).unwrap();
        std::fs::write(file, format!("{} {}\n", lab.pid().unwrap(), lab.dir().display())).unwrap();
        std::thread::park();
    }
    Asterisk::find_or_fetch().unwrap();
    let file = std::env::temp_dir().join(format!("temoin-lab-inner-{}", std::process::id()));
    let inner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "asterisk_does_not_outlive_the_process_that_started_it"])
        .env(INNER, &file)
        .spawn();
    let inner = Killed(inner.unwrap());
    let mut said = String::new();
    eventually("the inner lab is up", || {
        said = std::fs::read_to_string(&file).unwrap_or_default();
        said.ends_with('\n')
    });
    let (pid, dir) = said.trim_end().split_once(' ').unwrap();
    let process = Path::new("/proc").join(pid);
    assert!(process.exists());
    drop(inner);
    eventually("Asterisk is gone", || {
        // It may stay as a zombie where nobody reaps orphans.
        std::fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(") Z "))
    });
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
