//! `temoin check --live` on a real Asterisk: content with what is shipped, and telling of one broken thing at a time.

#[path = "compiler/desk.rs"]
mod desk;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use desk::{Desk, ROOT, Told};
use temoin_lab::{AMI_SECRET, ARI_SECRET, Lab, LabOptions};

/// A machine beside the lab's Asterisk.
fn machine(lab: &Lab) -> Desk {
    let desk = Desk::new();
    let policy = fs::read(format!("{ROOT}/examples/policies/french-call-centre.toml")).expect("the example");
    let config = format!(
        r#"
policy = "policy.toml"
sampling_key = "sampling.key"
store = {{ path = "index.db" }}
vault = {{ path = "vault", key = "vault.key" }}
prompts = {{ folder = "{ROOT}/dialplans/sounds" }}
[asterisk]
spool = "spool"
ami = {{ port = {}, user = "temoin", secret = "{AMI_SECRET}" }}
ari = {{ url = "http://{}", user = "temoin", password = "{ARI_SECRET}" }}
allow_untested_version = true
"#,
        lab.ami.port(),
        lab.ari
    );
    desk.write("policy.toml", policy).write("temoin.toml", config);
    fs::create_dir(desk.path("spool")).expect("a folder");
    fs::set_permissions(desk.path("temoin.toml"), fs::Permissions::from_mode(0o600)).expect("a mode");
    desk
}

fn look(desk: &Desk) -> Told {
    let told = desk.run(&["check", "--live", "--config", "temoin.toml"]);
    assert!(!told.out.contains("lab-a"), "a secret is told: {told:#?}");
    told
}

/// The codes that are errors, with their files and paths.
fn errors(desk: &Desk) -> Vec<String> {
    let json = desk.run(&["check", "--live", "--config", "temoin.toml", "--json"]).json();
    let all = json["findings"].as_array().expect("a list").iter();
    let text = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    all.filter(|one| text(one, "code").starts_with('E'))
        .map(|one| format!("{} {} {}", text(one, "code"), text(one, "file"), text(one, "path")))
        .collect()
}

fn append(lab: &Lab, file: &str, text: &str) {
    let path = lab.dir().join("etc").join(file);
    let mut file = fs::OpenOptions::new().append(true).open(path).expect("the lab's file");
    file.write_all(text.as_bytes()).expect("written");
}

type Change = fn(&str) -> String;

fn older(_: &str) -> String {
    "18".into()
}

fn an_hour_ago(epoch: &str) -> String {
    epoch.parse::<i64>().map(|at| (at - 3600).to_string()).unwrap_or_default()
}

/// Passes everything on between us and Asterisk, and changes so many digits behind a mark in what it answers.
fn proxy(asterisk: SocketAddr, mark: &'static str, digits: usize, change: Change) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let here = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for ours in listener.incoming().flatten() {
            let Ok(theirs) = TcpStream::connect(asterisk) else { return };
            let (Ok(mut to), Ok(mut from)) = (theirs.try_clone(), ours.try_clone()) else { return };
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            std::thread::spawn(move || answer(theirs, ours, mark, digits, change));
        }
    });
    here
}

fn answer(mut theirs: TcpStream, mut ours: TcpStream, mark: &str, digits: usize, change: Change) {
    let mut bytes = [0; 1 << 16];
    while let Ok(read @ 1..) = theirs.read(&mut bytes) {
        let mut text = String::from_utf8_lossy(&bytes[..read]).into_owned();
        if let Some(at) = text.find(mark).map(|at| at + mark.len())
            && let Some(value) = text.get(at..at + digits).map(str::to_owned)
        {
            text.replace_range(at..at + digits, &change(&value));
        }
        if ours.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
    let _ = ours.shutdown(Shutdown::Write);
}

#[test]
fn one_broken_thing_at_a_time_is_told_with_its_mend() {
    let mut lab = Lab::start(LabOptions::default()).expect("an Asterisk");
    let desk = machine(&lab);
    look(&desk).ends(0).says("usable: 0 to mend");

    // What we believe of it.
    let good = fs::read_to_string(desk.path("temoin.toml")).expect("a file");
    for (secret, wanted) in
        [(AMI_SECRET, "E-PBX-LOGIN manager.conf temoin"), (ARI_SECRET, "E-PBX-LOGIN ari.conf temoin")]
    {
        desk.write("temoin.toml", good.replace(secret, "wrong"));
        assert_eq!(errors(&desk), [wanted]);
        look(&desk).ends(1).says("Asterisk refuses the user `temoin`").says("temoin explain E-PBX-LOGIN");
    }
    desk.write("temoin.toml", &good);

    // What it has loaded.
    lab.cli("module unload app_userevent.so").expect("unloaded");
    assert_eq!(errors(&desk), ["E-PBX-MODULE modules.conf app_userevent.so"]);
    lab.cli("module load app_userevent.so").expect("loaded");
    assert_eq!(errors(&desk), [""; 0]);

    // What it lets us do.
    append(&lab, "manager.conf", "\n[temoin](+)\nwrite = call\n");
    lab.cli("manager reload").expect("reloaded");
    let told = errors(&desk);
    assert!(told.contains(&"E-PBX-PERMISSION manager.conf temoin.write.MixMonitor".to_owned()), "{told:?}");
    assert!(told.iter().all(|one| one.starts_with("E-PBX-PERMISSION manager.conf")), "{told:?}");
    look(&desk).ends(1).says("add `system` to its `write`");
    append(&lab, "manager.conf", "\n[temoin](+)\nwrite = system,call\n");
    lab.cli("manager reload").expect("reloaded");
    append(&lab, "ari.conf", "\n[temoin](+)\nread_only = yes\n");
    lab.cli("module reload res_ari.so").expect("reloaded");
    assert_eq!(errors(&desk), ["E-PBX-PERMISSION ari.conf temoin.read_only"]);
    append(&lab, "ari.conf", "\n[temoin](+)\nread_only = no\n");
    lab.cli("module reload res_ari.so").expect("reloaded");
    assert_eq!(errors(&desk), [""; 0]);

    // What it dials by; without this module, which Asterisk loads unless told not to, nobody can tell.
    lab.cli("module load func_dialplan.so").expect("loaded");
    lab.cli("dialplan remove context temoin-stop").expect("removed");
    assert_eq!(errors(&desk), ["E-PBX-DIALPLAN extensions.conf temoin-stop"]);
    look(&desk).ends(1).says("the context `temoin-stop` is not loaded: `#include temoin.conf`");
    lab.cli("dialplan reload").expect("reloaded");
    lab.cli("dialplan remove extension s@temoin-exempt 4").expect("removed");
    assert_eq!(errors(&desk), ["E-PBX-DIALPLAN extensions.conf temoin-exempt"]);
    look(&desk).ends(1).says("the context `temoin-exempt` is of an older Témoin");
    lab.cli("dialplan reload").expect("reloaded");
    assert_eq!(errors(&desk), [""; 0]);
    let policy = fs::read_to_string(desk.path("policy.toml")).expect("a policy");
    desk.write("policy.toml", policy.replace("agent_stop = \"*9\"", "agent_stop = \"*4\""));
    assert_eq!(errors(&desk), ["E-PBX-DIALPLAN features.conf applicationmap.*4"]);
    look(&desk).ends(1).says("the code *4 (pause) does not lead to");
    desk.write("policy.toml", &policy);

    // What it says of itself, and of the time: its own words, two of them changed on the way.
    for (mark, digits, change, wanted, says) in [
        ("\"version\":\"", 2, older as Change, "E-PBX-VERSION asterisk.conf ", "is too old: install 20"),
        ("\"value\":\"", 10, an_hour_ago, "E-PBX-CLOCK the clock ", "seconds from ours"),
    ] {
        let proxy = proxy(lab.ari, mark, digits, change);
        desk.write("temoin.toml", good.replace(&lab.ari.to_string(), &proxy.to_string()));
        assert_eq!(errors(&desk), [wanted]);
        look(&desk).ends(1).says(says);
    }
    desk.write("temoin.toml", &good);
    assert_eq!(errors(&desk), [""; 0]);

    // What it shares with us, and where that lies.
    let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let spool = memory.path().join("spool");
    fs::create_dir(&spool).expect("a folder");
    desk.write("temoin.toml", good.replace("spool = \"spool\"", &format!("spool = {:?}", spool)));
    look(&desk).ends(0).says("W-FILE-SYSTEM").says("the spool is on tmpfs");
    let (index, nobody) = (desk.path("index.db"), 65_534);
    fs::write(&index, "").expect("an index");
    // Only root can give files away.
    if std::os::unix::fs::chown(&index, Some(nobody), None).is_ok() {
        fs::set_permissions(memory.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        for (mode, says) in
            [(0o755, "cannot take recordings out of the spool"), (0o1777, "the folder is sticky")]
        {
            fs::set_permissions(&spool, fs::Permissions::from_mode(mode)).expect("a mode");
            assert_eq!(errors(&desk), [format!("E-PBX-FILE {} ", spool.display())], "{mode:o}");
            look(&desk).ends(1).says(says);
        }
        fs::set_permissions(&spool, fs::Permissions::from_mode(0o777)).expect("a mode");
        assert_eq!(errors(&desk), [""; 0]);
    }
    fs::remove_file(&index).expect("removed");
    desk.write("temoin.toml", &good).write("index.alive", "");
    let alive = fs::File::options().write(true).open(desk.path("index.alive")).expect("a file");
    alive.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(7200)).expect("a time");
    assert_eq!(errors(&desk), ["E-PBX-CLOCK the clock "]);
    look(&desk).ends(1).says("the clock was set back");
    fs::remove_file(desk.path("index.alive")).expect("removed");
    assert_eq!(errors(&desk), [""; 0]);

    // It is down.
    lab.kill9();
    assert_eq!(errors(&desk), ["E-PBX-AWAY manager.conf general", "E-PBX-AWAY http.conf general"]);
    look(&desk).ends(1).says("start Asterisk");
}
