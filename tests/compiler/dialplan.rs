//! `temoin dialplan`: what an admin includes, from his policy and his codes; and what `check` says of codes that clash.

use std::fs;

use super::desk::{Desk, ROOT, Told};

/// A policy with all of an agent's keys and with steps, and a machine with these codes.
fn site(codes: &str) -> Desk {
    let policy =
        fs::read_to_string(format!("{ROOT}/examples/policies/contract-proof.toml")).expect("the example");
    let keys = "agent_contract = \"*6\"";
    assert!(policy.contains(keys), "the example has no {keys}");
    let desk = Desk::new();
    desk.write("policy.toml", policy.replace(keys, &format!("{keys}, agent_told = \"*5\"")));
    let config = format!(
        "policy = \"policy.toml\"\nsampling_key = \"sampling.key\"\n[asterisk]\nspool = \"spool\"\n\
         [asterisk.ami]\nuser = \"temoin\"\nsecret = \"s\"\n[asterisk.ari]\nurl = \"http://127.0.0.1:1\"\n\
         user = \"temoin\"\npassword = \"s\"\n[store]\npath = \"index.db\"\n[vault]\npath = \"vault\"\n\
         key = \"vault.key\"\n[prompts]\nfolder = \"{ROOT}/dialplans/sounds\"\n{codes}"
    );
    desk.write("temoin.toml", config);
    desk
}

fn dialplan(desk: &Desk, more: &[&str]) -> Told {
    desk.run(&[&["--config", "temoin.toml", "dialplan"], more].concat())
}

fn check(codes: &str) -> Told {
    site(codes).run(&["check", "--config", "temoin.toml"])
}

#[test]
fn the_shipped_codes_are_what_it_prints() {
    let shipped =
        fs::read_to_string(format!("{ROOT}/dialplans/asterisk/temoin-features.conf")).expect("shipped");
    // Most PBXs transfer by *2.
    let told = dialplan(&site("[codes]\nregulated = \"off\"\n"), &["--features"]).ends(0);
    assert_eq!(told.out, shipped, "write it anew with `temoin dialplan --features`");
}

#[test]
fn codes_are_those_of_policy_and_machine() {
    let desk = site("[codes]\ntriggered = \"##\"\nregulated = \"*44\"\nmachine = \"off\"\n");
    let told = dialplan(&desk, &["--features"]).ends(0);
    let told = told
        .says("temoin-contract  => *6,peer,Gosub,\"temoin-code,s,1(*6,steps)\"")
        .says("temoin-triggered => ##,peer,Gosub,\"temoin-code,s,1(##)\"")
        .says("temoin-regulated => *44,peer,Gosub,\"temoin-code,s,1(*44)\"")
        .says("[temoin-customer]\ntemoin-object =>");
    assert!(!told.out.contains("machine"), "{told:?}");
}

#[test]
fn lines_with_other_keys_have_codes_of_their_own_and_what_stops_anywhere_stops() {
    let desk = site("[codes]\nregulated = \"off\"\n");
    let policy = fs::read_to_string(desk.path("policy.toml")).expect("the policy");
    let line = "\n[lines.sav]\nnumbers = [\"+33199000150\"]\nmarkets = [\"FR\"]\npurposes = [\"quality\"]\n\
                keys = { object = \"2\", agent_stop = \"*5\" }\n[lines.sav.prompts.fr]\nversion = \"1\"\n\
                purposes = [\"quality\"]\n";
    desk.write("policy.toml", policy + line);
    dialplan(&desk, &["--features"])
        .ends(0)
        .says("temoin-pause-2   => *9,peer,")
        .says("temoin-pause     => *5,peer,Gosub,\"temoin-code,s,1(*5)\"")
        .says("temoin-object-2  => *2,self,Gosub,\"temoin-code,s,1(*2,self)\"");
}

#[test]
fn each_line_has_its_hook_and_its_mode() {
    let desk = site("[lines.ventes]\nunavailable = \"refuse\"\n");
    let told = dialplan(&desk, &["--extensions"]).ends(0);
    let told = told.says("[temoin-line-ventes]\nexten => s,1,Gosub(temoin-inbound,s,1(ventes,refuse))\n");
    assert!(!told.out.contains("applicationmap"), "{told:?}");
    let json = dialplan(&desk, &["--json"]).ends(0).json();
    let names: Vec<&String> = json.as_object().expect("files").keys().collect();
    assert_eq!(names, ["temoin-features.conf", "temoin-lines.conf"]);
}

#[test]
fn a_file_of_somebody_else_is_left_as_it_is() {
    let desk = site("");
    dialplan(&desk, &["--write", "etc"]).ends(0).says("temoin-lines.conf");
    // Its own it writes again, also with other codes in it.
    dialplan(&desk, &["--write", "etc"]).ends(0);
    let file = desk.path("etc/temoin-features.conf");
    let mine = fs::read_to_string(&file).expect("the file") + "; mine\n";
    fs::write(&file, &mine).expect("a file");
    fs::remove_file(desk.path("etc/temoin-lines.conf")).expect("a file");
    dialplan(&desk, &["--write", "etc"]).ends(2).says("temoin-features.conf: not written by this command");
    assert_eq!(fs::read_to_string(&file).expect("the file"), mine);
    assert!(!desk.path("etc/temoin-lines.conf").exists(), "all or none");
    dialplan(&desk, &["--write", "etc", "--force"]).ends(0);
    assert_ne!(fs::read_to_string(&file).expect("the file"), mine);
}

#[test]
fn check_finds_codes_that_mean_something_else_already() {
    check("[codes]\nmachine = \"*9\"\n")
        .says("E-KEY-CLASH codes.machine: `*9` is `agent_stop` on the line ventes");
    check("[codes]\nregulated = \"*3\"\n")
        .says("E-KEY-CLASH codes.regulated: `*3` is codes.triggered already");
    // *1 is the customer's own here, and nobody presses another's.
    let told = check("[codes]\nregulated = \"*1\"\n");
    assert!(!told.out.contains("KEY-CLASH"), "{told:?}");
}

#[test]
fn codes_that_are_none_are_refused() {
    check("[codes]\nmachine = \"*00000\"\n").ends(1).says("write one to four of 0-9 * #");
    check("[codes]\nanswering = \"*0\"\n").ends(1).says("answering");
}

#[test]
fn steps_that_no_sound_says_are_found() {
    let desk = site("[lines.ventes.audio.fr]\ncontract = \"nowhere.wav\"\n");
    desk.run(&["check", "--config", "temoin.toml"]).says("E-SOUND lines.ventes.prompts.fr.steps");
}
