//! `temoin register`, as an admin and a script meet it: what is entered, what a file may hold, what is answered and by
//! which exit code, and that no number is written down in clear anywhere.

#[path = "compiler/desk.rs"]
mod desk;

use std::fs;

use desk::{Desk, ROOT, Told};

/// Numbers that nobody has.
const AGREED: &str = "+33199000101";
const REFUSED: &str = "+33199000102";
const UNKNOWN: &str = "+33199000103";

/// A machine whose line calls out to sell.
fn machine() -> Desk {
    let desk = Desk::new();
    let policy =
        fs::read_to_string(format!("{ROOT}/examples/policies/french-call-centre.toml")).expect("the example");
    let policy = policy.replace("[lines.accueil]\n", "[lines.accueil]\noutbound = \"marketing\"\n");
    let config = format!(
        r#"
policy = "policy.toml"
sampling_key = "sampling.key"
store = {{ path = "index.db" }}
vault = {{ path = "vault", key = "vault.key" }}
prompts = {{ folder = "{ROOT}/dialplans/sounds" }}
[asterisk]
spool = "spool"
ami = {{ port = 1, user = "temoin", secret = "hush" }}
ari = {{ url = "http://127.0.0.1:1", user = "temoin", password = "hush" }}
"#
    );
    desk.write("policy.toml", policy).write("temoin.toml", config);
    desk
}

fn register(desk: &Desk, args: &[&str]) -> Told {
    let all: Vec<&str> =
        ["register"].iter().chain(args).chain(&["--config", "temoin.toml"]).copied().collect();
    desk.run(&all)
}

fn json(desk: &Desk, args: &[&str]) -> serde_json::Value {
    let all: Vec<&str> = args.iter().chain(&["--json"]).copied().collect();
    register(desk, &all).json()
}

fn agree(desk: &Desk, number: &str) {
    let args = [
        "add",
        number,
        "--consent",
        "marketing",
        "--how",
        "web-form",
        "--text",
        "v3",
        "--evidence",
        "form 12",
    ];
    register(desk, &[&args[..], &["--at", "2026-09-01"]].concat()).ends(0).says("consent marketing");
}

#[test]
fn who_agreed_may_be_called_until_he_withdraws_and_that_stays_as_evidence() {
    let desk = machine();
    agree(&desk, AGREED);
    let told = register(&desk, &["check", AGREED]);
    told.ends(0)
        .says("may be called: its owner agreed")
        .says("fr/calling asks for a prior consent")
        .says("L223-1");
    // As it is dialled at home, and before it was said.
    register(&desk, &["check", "01 99 00 01 01"]).ends(0);
    register(&desk, &["check", AGREED, "--at", "2026-08-31"]).ends(1).says("none stands");
    register(&desk, &["check", UNKNOWN]).ends(1).says("MUST NOT be called").says("none stands");
    register(&desk, &["check", UNKNOWN, "--for", "service"]).ends(0);
    register(&desk, &["check", "112"]).ends(0).says("no subscriber's number");
    register(&desk, &["check", AGREED, "--purpose", "quality"]).ends(1).says("not on the register");

    register(&desk, &["withdraw", AGREED, "--how", "call"]).ends(0).says("withdrawn");
    register(&desk, &["check", AGREED]).ends(1).says("none stands");
    register(&desk, &["withdraw", AGREED, "--how", "call"]).ends(3).says("nothing stands");
    let told = json(&desk, &["list", "--number", AGREED]);
    let entry = &told["entries"][0];
    assert_eq!(
        (&entry["state"], &entry["withdrawn"]["how"]),
        (&"withdrawn".into(), &"call".into()),
        "{told:#}"
    );
    assert_eq!(entry["subject"]["evidence"], "form 12");
    // What was withdrawn is not brought back by entering it again.
    agree(&desk, AGREED);
    register(&desk, &["check", AGREED]).ends(1);
}

#[test]
fn who_asked_not_to_be_called_is_not_and_consents_to_be_recorded_are_told() {
    let desk = machine();
    agree(&desk, REFUSED);
    register(&desk, &["add", REFUSED, "--do-not-call", "request", "--at", "2026-10-01"]).ends(0);
    register(&desk, &["check", REFUSED])
        .ends(1)
        .says("among those not to be called")
        .says("do-not-call request since 2026-09-30");
    register(&desk, &["check", REFUSED, "--for", "service"]).ends(1);
    register(&desk, &["withdraw", REFUSED, "--do-not-call", "--how", "e-mail"]).ends(0);
    register(&desk, &["check", REFUSED]).ends(0);

    let recording =
        ["add", AGREED, "--consent", "recording:quality+training", "--how", "paper", "--until", "2099-01-01"];
    register(&desk, &recording).ends(0).says("recording:quality+training");
    let told = json(&desk, &["check", AGREED, "--for", "service", "--purpose", "quality"]);
    assert_eq!((&told["agreed"], &told["may_dial"]), (&true.into(), &true.into()), "{told:#}");
    assert_eq!(
        json(&desk, &["check", AGREED, "--for", "service", "--purpose", "complaint"])["agreed"],
        false
    );
}

#[test]
fn a_file_is_entered_line_by_line_and_its_bad_lines_are_told() {
    let desk = machine();
    let mut file = "number;kind;to;source;how;at;until\n".to_owned();
    file += "+33199000101;consent;marketing;;web-form;2026-09-01;\n";
    file += "01 99 00 01 02;do-not-call;;request;;2026-09-02;\n";
    file += "+33199000101;consent;everything;;web-form;2026-09-01;\n";
    for n in 0..30 {
        file += &format!("{n};consent;marketing;;paper;2026-09-01;\n");
    }
    file += "+33199000104;consent;recording;;paper;2026-09-01;2027-09-01\n";
    desk.write("consents.csv", &file);
    let told = register(&desk, &["import", "consents.csv"])
        .ends(1)
        .says("34 lines: 3 entered, 0 there already, 31 bad")
        .says("consents.csv:4: a consent is to `marketing`");
    let told = told.says("consents.csv:23: this is no subscriber's number").says("… and 11 other bad lines");
    assert!(!told.out.contains("consents.csv:24:"), "{told:#?}");
    assert!(!told.out.contains("199000101"), "a number is told: {told:#?}");
    register(&desk, &["check", AGREED]).ends(0);
    register(&desk, &["check", REFUSED]).ends(1);

    let before = (json(&desk, &["list"]), rows(&desk));
    register(&desk, &["import", "consents.csv"]).ends(1).says("34 lines: 0 entered, 3 there already, 31 bad");
    assert_eq!((json(&desk, &["list"]), rows(&desk)), before, "the same file again changes nothing");

    for (text, hint) in [
        ("number,kind,colour\n", "no column `colour` is known; known are: number, at"),
        ("kind\nconsent\n", "there is no column `number`"),
        ("number,number,kind\n", "the column `number` is there twice"),
        ("number\n+33199000101\n", "there is no column `kind`"),
        ("", "its first line does not name the columns"),
    ] {
        desk.write("bad.csv", text);
        register(&desk, &["import", "bad.csv"]).ends(2).says(hint);
    }
    register(&desk, &["import", "nowhere.csv"]).ends(2).says("nowhere.csv");
}

/// Rows of the journal.
fn rows(desk: &Desk) -> String {
    fs::create_dir_all(desk.path("vault")).expect("a folder");
    desk.run(&["verify", "--config", "temoin.toml", "--json"]).json()["rows"].to_string()
}

#[test]
fn a_list_is_replaced_by_the_next_but_not_by_a_damaged_one() {
    let desk = machine();
    let numbers = |range: std::ops::Range<u32>| {
        range.fold("number\n".to_owned(), |text, n| text + &format!("+3319900{n:04}\n"))
    };
    let import = |told: &str| {
        desk.write("list.csv", told);
        register(&desk, &["import", "list.csv", "--list", "bloctel"])
    };
    let barred = |number: &str| {
        let told = json(&desk, &["check", number, "--at", "2026-11-20"]);
        told["dial"]["reason"] == "do-not-call"
    };
    import(&numbers(0..1200)).ends(0).says("1200 lines: 1200 entered").says("0 taken off the list bloctel");
    let now = json(&desk, &["check", "+33199001199"]);
    assert_eq!(now["dial"]["reason"], "do-not-call", "{now:#}");
    let before = rows(&desk);
    import(&numbers(0..1200)).ends(0).says("0 entered, 1200 there already").says("0 taken off");
    assert_eq!(rows(&desk), before);
    // A consent that was given to this trader goes before the list.
    agree(&desk, "+33199001000");
    register(&desk, &["check", "+33199001000"]).ends(0);
    register(&desk, &["withdraw", "+33199001100", "--do-not-call", "--how", "call"])
        .ends(2)
        .says("not ours to withdraw");

    import(&(numbers(0..10) + "what\n")).ends(1).says("nobody was taken off the list bloctel");
    let told = json(&desk, &["check", "+33199001199"]);
    assert_eq!(told["dial"]["reason"], "do-not-call");
    import("number\nwhat\n").ends(2).says("the list stays as it is");
    import("number\n").ends(2).says("the list stays as it is");
    import(&numbers(0..10)).ends(0).says("1190 taken off the list bloctel");
    assert_eq!(json(&desk, &["check", "+33199001199"])["dial"]["reason"], "no-consent");
    assert_eq!(json(&desk, &["check", "+33199000009"])["dial"]["reason"], "do-not-call");
    assert!(!barred("+33199001199"));
    let journal = desk.run(&["verify", "--config", "temoin.toml"]);
    journal.ends(0);
}

#[test]
fn no_number_is_written_down_and_the_key_must_be_the_same() {
    let desk = machine();
    let refused = register(&desk, &["list"]);
    refused.ends(4).says("no index");
    assert!(!desk.path("index.db").exists() && !desk.path("register.key").exists(), "looking makes nothing");
    agree(&desk, AGREED);
    register(&desk, &["add", REFUSED, "--do-not-call", "own"]).ends(0);
    let listed = register(&desk, &["list"]);
    listed.ends(0).says("+33…01").says("+33…02").says("form 12");
    for file in ["index.db", "index.db-wal"] {
        let bytes = fs::read(desk.path(file)).unwrap_or_default();
        for number in ["199000101", "101000991", "199000102", "201000991"] {
            let found = bytes.windows(number.len()).any(|window| window == number.as_bytes());
            assert!(!found, "{file} has the number");
        }
    }
    use std::os::unix::fs::PermissionsExt as _;
    let key = desk.path("register.key");
    assert_eq!(fs::metadata(&key).expect("a key").permissions().mode() & 0o777, 0o600);
    let kept = fs::read(&key).expect("a key");
    fs::remove_file(&key).expect("removed");
    register(&desk, &["check", AGREED]).ends(2).says("their key is not there: put it back");
    register(&desk, &["add", UNKNOWN, "--do-not-call", "own"]).ends(2).says("put it back");
    assert!(!key.exists(), "no other key is made");
    desk.write("register.key", [9; 32]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a mode");
    register(&desk, &["check", AGREED]).ends(2).says("written under another key");
    desk.write("register.key", kept);
    register(&desk, &["check", AGREED]).ends(0);
}

#[test]
fn what_is_not_usable_is_refused_with_its_mend() {
    let desk = machine();
    for (args, hint) in [
        (&["add", "12", "--do-not-call", "own"][..], "this is no subscriber's number"),
        (&["add", AGREED, "--do-not-call", "whim"], "neither own nor request"),
        (&["add", AGREED, "--consent", "marketing"], "--how"),
        (&["add", AGREED], "--consent"),
        (&["add", AGREED, "--consent", "recording:everything", "--how", "x"], "purposes with + between them"),
        (
            &["add", AGREED, "--consent", "marketing", "--how", "x", "--line", "y"],
            "the policy has no such line",
        ),
        (&["add", AGREED, "--do-not-call", "own", "--at", "2999-01-01"], "`at` lies in the future"),
        (&["add", AGREED, "--do-not-call", "own", "--until", "2020-01-01"], "`until` is not after `at`"),
        (&["add", AGREED, "--do-not-call", "own", "--until", "soon"], "neither a day"),
        (&["add", "0199000101", "--do-not-call", "own", "--country", "France"], "write two letters"),
        (&["add", "0199000101", "--do-not-call", "own", "--country", "DE"], "no subscriber's number"),
    ] {
        register(&desk, args).ends(2).says(hint);
    }
    assert!(!desk.path("index.db").exists() || json(&desk, &["list"])["entries"] == serde_json::json!([]));
    agree(&desk, AGREED);
    for (args, hint) in [
        (&["check", AGREED, "--for", "fun"][..], "write one of marketing"),
        (&["check", AGREED, "--purpose", "fun"], "no such purpose"),
        (&["list", "--state", "gone"], "write one of later"),
        (&["withdraw", "--id", "xyz", "--how", "call"], "not the id of an entry"),
        (&["withdraw", AGREED, "--how", " "], "--how is empty"),
        (&["import", "temoin.toml", "--list", "Bloc tel"], "lower-case letters"),
    ] {
        register(&desk, args).ends(2).says(hint);
    }
    register(&desk, &["check", AGREED, "--line", "nowhere"]).ends(3).says("it has accueil");
}

#[test]
fn the_paper_counts_what_was_entered_and_names_nobody() {
    let desk = machine();
    agree(&desk, AGREED);
    agree(&desk, UNKNOWN);
    register(&desk, &["add", REFUSED, "--do-not-call", "request"]).ends(0);
    register(&desk, &["withdraw", UNKNOWN, "--how", "call"]).ends(0);
    desk.run(&["papers", "papers", "--language", "en", "--config", "temoin.toml"]).ends(0);
    let folder = fs::read_dir(desk.path("papers/en")).expect("the papers").flatten();
    let file = folder
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains("D21") && path.extension().is_some_and(|e| e == "md"))
        .expect("the evidence of consents");
    let paper = fs::read_to_string(file).expect("a text");
    for row in [
        "| Standing consents to sales calls | 1 |",
        "| Withdrawn consents, kept as evidence | 1 |",
        "| Standing entries | 1 |",
    ] {
        assert!(paper.contains(row), "{row}: {paper}");
    }
    for number in [AGREED, REFUSED, UNKNOWN] {
        assert!(!paper.contains(&number[4..]), "{paper}");
    }
}
