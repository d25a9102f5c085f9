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
    findings(desk, |code| code.starts_with('E'))
}

/// What there is to say of recorders that are not ours, and of what could not be seen.
fn recorders(desk: &Desk) -> Vec<String> {
    findings(desk, |code| ["E-PBX-RECORDS", "W-PBX-MAY-RECORD", "W-PBX-UNSEEN"].contains(&code))
}

fn findings(desk: &Desk, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let json = desk.run(&["check", "--live", "--config", "temoin.toml", "--json"]).json();
    let all = json["findings"].as_array().expect("a list").iter();
    let text = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    all.filter(|one| wanted(&text(one, "code")))
        .map(|one| format!("{} {} {}", text(one, "code"), text(one, "file"), text(one, "path")))
        .collect()
}

/// A lab whose FreePBX was told to record nothing.
fn lab_without_recorders() -> Lab {
    let lab = Lab::start(LabOptions::default()).expect("an Asterisk");
    rewrite(&lab, "freepbx.conf", |text| text.replace("${EXTEN},force", "${EXTEN},dontcare"));
    lab
}

/// Changes one of the lab's files; the look reads files, nothing needs to be reloaded for it.
fn rewrite(lab: &Lab, file: &str, change: impl Fn(&str) -> String) {
    let path = lab.dir().join("etc").join(file);
    let (before, after) =
        fs::read_to_string(&path).map(|text| (text.clone(), change(&text))).expect("the lab's file");
    assert_ne!(before, after, "{file} is not changed");
    fs::write(path, after).expect("written");
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
    let mut lab = lab_without_recorders();
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
    lab.cli("dialplan remove extension s@temoin-exempt 5").expect("removed");
    assert_eq!(errors(&desk), ["E-PBX-DIALPLAN extensions.conf temoin-exempt"]);
    look(&desk).ends(1).says("the context `temoin-exempt` is of an older Témoin");
    lab.cli("dialplan reload").expect("reloaded");
    assert_eq!(errors(&desk), [""; 0]);
    let policy = fs::read_to_string(desk.path("policy.toml")).expect("a policy");
    desk.write("policy.toml", policy.replace("agent_stop = \"*9\"", "agent_stop = \"*4\""));
    assert_eq!(errors(&desk), ["E-PBX-DIALPLAN features.conf applicationmap.*4"]);
    look(&desk).ends(1).says("the code *4 (pause) does not lead to");
    desk.write("policy.toml", &policy);
    let own = |codes: &str| good.replace("[asterisk]", &format!("[codes]\n{codes}\n[asterisk]"));
    desk.write("temoin.toml", own("machine = \"*22\""));
    assert_eq!(errors(&desk), ["E-PBX-DIALPLAN features.conf applicationmap.*22"]);
    desk.write("temoin.toml", own("machine = \"*0\"\nregulated = \"off\""));
    assert_eq!(errors(&desk), [""; 0]);
    desk.write("temoin.toml", &good);

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

#[test]
fn what_else_records_is_told_until_it_is_mended() {
    let lab = Lab::start(LabOptions::default()).expect("an Asterisk");
    let desk = machine(&lab);

    // What could not be seen.
    let unseen = "W-PBX-UNSEEN modules.conf func_dialplan.so";
    let route = "E-PBX-RECORDS extensions.conf from-pstn";
    assert_eq!(recorders(&desk), [unseen, route]);
    look(&desk).ends(1).says("put `load => func_dialplan.so` into modules.conf");
    lab.cli("module load func_dialplan.so").expect("loaded");
    assert_eq!(recorders(&desk), [route]);

    // A route of FreePBX.
    look(&desk).ends(1).says("FreePBX records every call of 1 destination (${EXTEN}): Call Recording");
    rewrite(&lab, "freepbx.conf", |text| text.replace("${EXTEN},force", "${EXTEN},never"));
    assert_eq!(recorders(&desk), [""; 0]);
    look(&desk).ends(0).says("usable: 0 to mend");

    // Its extensions.
    let put = |key: &str, value: &str| {
        lab.cli(&format!("database put AMPUSER {key} {value}")).expect("put");
    };
    for extension in ["2101", "2102", "2103", "2104"] {
        put(&format!("{extension}/recording/in/external"), "force");
        put(&format!("{extension}/recording/out/internal"), "dontcare");
        put(&format!("{extension}/recording/ondemand"), "disabled");
    }
    put("2103/recording/out/external", "yes");
    assert_eq!(recorders(&desk), ["E-PBX-RECORDS AstDB AMPUSER/2101/recording/in/external"]);
    look(&desk)
        .ends(1)
        .says("every call of 4 extensions (2101, 2102, 2103, …): Extension → Recording Options");
    for (extension, mended) in [("2101", "never"), ("2102", "no"), ("2103", "dontcare"), ("2104", "dontcare")]
    {
        put(&format!("{extension}/recording/in/external"), mended);
    }
    assert_eq!(recorders(&desk), ["E-PBX-RECORDS AstDB AMPUSER/2103/recording/out/external"]);
    put("2103/recording/out/external", "dontcare");
    put("2104/recording/ondemand", "enabled");
    assert_eq!(recorders(&desk), ["W-PBX-MAY-RECORD AstDB AMPUSER/2104/recording/ondemand"]);
    look(&desk).ends(0).says("On Demand Recording → Disable");
    put("2104/recording/ondemand", "disabled");
    assert_eq!(recorders(&desk), [""; 0]);

    // Asterisk's own files; each is mended by writing it as it was.
    let featuremap = "\n[featuremap](+)\nautomixmon = *1\n";
    let one_touch = "\n[applicationmap](+)\napprecord => *1,self,Gosub,\"macro-one-touch-record,s,1\"\n";
    let straight = "\n[applicationmap](+)\nmine => *14,peer,MixMonitor,x.wav\n";
    for (file, text, wanted, says) in [
        ("features.conf", featuremap, "W-PBX-MAY-RECORD features.conf featuremap.automixmon", "with *1"),
        (
            "features.conf",
            one_touch,
            "W-PBX-MAY-RECORD features.conf applicationmap.apprecord",
            "the code *1",
        ),
        ("features.conf", straight, "W-PBX-MAY-RECORD features.conf applicationmap.mine", "the code *14"),
        (
            "pjsip.conf",
            "\n[2001](+)\none_touch_recording = yes\n",
            "W-PBX-MAY-RECORD pjsip.conf 2001.one_touch_recording",
            "the record button of 1 endpoint (2001)",
        ),
        (
            "queues.conf",
            "\n[400]\nmonitor-format = wav\n[401]\nmonitor-format = wav\n",
            "E-PBX-RECORDS queues.conf 400.monitor-format",
            "every call of 2 queues (400, 401)",
        ),
        (
            "extensions.conf",
            "\n[mine]\nexten => s,1,NoOp()\n same => n,ExecIf($[1]?MixMonitor(x.wav,b))\n same => n,StopMixMonitor()\n",
            "W-PBX-MAY-RECORD extensions.conf mine",
            "this context runs a recorder of its own",
        ),
    ] {
        let path = lab.dir().join("etc").join(file);
        let before = fs::read(&path).expect("the lab's file");
        append(&lab, file, text);
        assert_eq!(recorders(&desk), [wanted], "{text}");
        look(&desk).ends(i32::from(wanted.starts_with('E'))).says(says);
        fs::write(&path, before).expect("written");
        assert_eq!(recorders(&desk), [""; 0], "{text}");
    }
    append(&lab, "queues.conf", "\n[broken\n");
    assert_eq!(recorders(&desk), ["W-PBX-UNSEEN queues.conf "]);
}
