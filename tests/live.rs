//! `temoin check --live` on a real Asterisk: content with what is shipped, and telling of one broken thing at a time.

#[path = "compiler/desk.rs"]
mod desk;

use std::fs;
use std::io::Write as _;
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
    lab.cli("dialplan remove context temoin-inbound").expect("removed");
    assert_eq!(errors(&desk), ["E-PBX-DIALPLAN extensions.conf temoin-inbound"]);
    look(&desk).ends(1).says("#include temoin.conf");
    lab.cli("dialplan reload").expect("reloaded");
    assert_eq!(errors(&desk), [""; 0]);
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

    // It is down.
    lab.kill9();
    assert_eq!(errors(&desk), ["E-PBX-AWAY manager.conf general", "E-PBX-AWAY http.conf general"]);
    look(&desk).ends(1).says("start Asterisk");
}
