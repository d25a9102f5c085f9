//! `temoin init`: what it writes is clean but for what only people can supply, in every country that has a pack and for
//! every purpose; and the dialogue, as somebody at a keyboard has it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use temoin::check;
use temoin::fault::Fault;
use temoin::init::{InitArgs, InitError, Made, init, known};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn args(folder: &Path) -> InitArgs {
    InitArgs {
        folder: folder.to_owned(),
        country: None,
        pbx: None,
        controller: None,
        contact: None,
        lines: Vec::new(),
        purposes: Vec::new(),
        languages: Vec::new(),
        rate: None,
        sounds: Some(PathBuf::from(ROOT).join("dialplans/sounds")),
        state: None,
        yes: true,
    }
}

fn make(args: &InitArgs) -> Result<Made, InitError> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    init(args, &mut std::io::empty(), &mut std::io::sink(), today)
}

fn look(config: &Path) -> Vec<Fault> {
    check::look(config, Timestamp::now()).faults
}

/// What `check` finds, as code and path, beyond what only people can supply.
fn unexpected(config: &Path) -> Vec<String> {
    let faults = look(config);
    assert!(!faults.iter().any(|fault| fault.bars), "serve would not start: {faults:#?}");
    let peoples = ["E-PREREQUISITE", "E-NO-NECESSITY", "E-PLACEHOLDER", "W-AGENT-NO-NOTICE"];
    // What the packs say of themselves, and that a minimum of the FCA outlasts what is usual in the United Kingdom.
    let packs = [
        "W-PACK-STATUS",
        "W-SOURCE-UNVERIFIED",
        "W-SOURCE-DISPUTED",
        "W-PACK-REVIEW-DUE",
        "W-SOFT-MAX-OVERRIDDEN",
    ];
    let there = |fault: &Fault| {
        // There are sounds in French and English; the others somebody must record.
        let spoken = fault.path.ends_with(".fr") || fault.path.ends_with(".en");
        fault.code.as_str() == "E-SOUND" && !spoken
    };
    let expected = |fault: &&Fault| {
        !(peoples.contains(&fault.code.as_str()) || packs.contains(&fault.code.as_str()) || there(fault))
    };
    faults.iter().filter(expected).map(ToString::to_string).collect()
}

#[test]
fn in_every_country_and_for_every_purpose_the_real_check_finds_nothing_but_what_people_must_supply() {
    let (countries, purposes) = known().expect("the shipped packs");
    assert!(countries.len() >= 11 && purposes.len() == 12);
    let folder = tempfile::tempdir().expect("a folder");
    let (mut made, mut refused) = (0, Vec::new());
    for country in &countries {
        for purpose in &purposes {
            let site = folder.path().join(format!("{country}-{purpose}"));
            let told = InitArgs {
                country: Some(country.to_string()),
                purposes: vec![purpose.to_string()],
                ..args(&site)
            };
            match make(&told) {
                Ok(files) => {
                    let found = unexpected(&files.config);
                    assert!(
                        found.is_empty(),
                        "{country} {purpose}: {found:#?}\n{}",
                        fs::read_to_string(&files.policy).expect("it")
                    );
                    made += 1;
                }
                // What a law alone can order, where no pack does.
                Err(InitError::Bad(why)) => {
                    assert!(why.contains(country.as_str()), "{why}");
                    refused.push(format!("{country} {purpose}"));
                }
                Err(other) => panic!("{country} {purpose}: {other}"),
            }
        }
    }
    let ordered = ["regulated-order", "insurance-telesale", "emergency"];
    for case in &refused {
        let (country, purpose) = case.split_once(' ').expect("two words");
        let silent =
            country == "FR" && ["compliance", "security", "process", "contract-proof"].contains(&purpose);
        assert!(ordered.contains(&purpose) || silent, "{case} was refused");
    }
    assert!(made >= 90, "only {made} were made; refused: {refused:?}");
}

#[test]
fn several_purposes_of_different_kinds_stand_side_by_side() {
    let folder = tempfile::tempdir().expect("a folder");
    for (country, purposes) in [
        ("FR", &["quality", "training", "contract-proof", "regulated-order"][..]),
        ("FR", &["insurance-telesale", "complaint"]),
        ("CA-QC", &["quality", "evaluation"]),
        ("DE", &["quality", "evidence"]),
        ("DK", &["contract-proof", "training"]),
        ("BE", &["quality", "evidence"]),
        ("GB", &["quality", "regulated-order"]),
    ] {
        let site = folder.path().join(format!("{country}-{}", purposes.join("-")));
        let told = InitArgs {
            country: Some(country.to_owned()),
            purposes: purposes.iter().map(|purpose| (*purpose).to_owned()).collect(),
            lines: vec!["accueil=+33 1 99 00 01 00".into(), "ventes".into()],
            ..args(&site)
        };
        let made = make(&told).unwrap_or_else(|error| panic!("{country} {purposes:?}: {error}"));
        let found = unexpected(&made.config);
        assert!(found.is_empty(), "{country} {purposes:?}: {found:#?}");
    }
}

/// With what people supply there is nothing left to mend.
#[test]
fn once_people_have_supplied_theirs_nothing_is_left_to_mend() {
    let folder = tempfile::tempdir().expect("a folder");
    let made =
        make(&InitArgs { purposes: vec!["quality".into()], ..args(folder.path()) }).expect("two files");
    let before = look(&made.config).iter().filter(|fault| fault.is_error()).count();
    assert_eq!(
        before, 8,
        "site, controller, contact and number; the necessity, the register, the impact assessment, the works council"
    );
    let policy = fs::read_to_string(&made.policy).expect("the policy");
    let supplied = policy
        .replace(
            "necessity = \"\"",
            "necessity = \"Les tickets ne disent pas pourquoi les clients rappellent.\"",
        )
        .replace("\"TODO\"", "\"Durand SA\"")
        .replace("+0000001", "+33199000100")
        .replace("register_entry = \"\"", "register_entry = \"RT-1\"")
        .replace("dpia = \"\"", "dpia = \"AIPD-1\"")
        .replace("works_council = {}", "works_council = { consulted = 2026-06-18, minutes = \"CSE-6\" }")
        .replace("country = \"FR\" }", "country = \"FR\", notice = 2026-06-30 }");
    fs::write(&made.policy, supplied).expect("the policy");
    let errors: Vec<_> = look(&made.config).into_iter().filter(|fault| fault.is_error()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn what_only_you_can_supply_is_marked_in_the_files_and_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = make(&args(folder.path())).expect("two files");
    let marks = |file: &Path| fs::read_to_string(file).expect("a file").matches("TODO(you): ").count();
    assert_eq!(made.todo.len(), marks(&made.policy) + marks(&made.config));
    for todo in &made.todo {
        let text = fs::read_to_string(&todo.file).expect("a file");
        let line = text.lines().nth(todo.line - 1).expect("the line");
        let begins: String = todo.what.chars().take(20).collect();
        assert!(line.contains(&begins), "{}:{}: {line}", todo.file.display(), todo.line);
        assert!(todo.what.ends_with('.'), "a whole sentence: {}", todo.what);
    }
    // Every key of both files has a comment of its own or stands under one.
    for file in [&made.policy, &made.config] {
        let text = fs::read_to_string(file).expect("a file");
        for group in text.split("\n\n").filter(|group| group.contains(" = ")) {
            assert!(group.contains('#'), "nothing explains:\n{group}");
        }
    }
}

#[test]
fn secrets_are_new_and_nobody_else_s_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let secret = |name: &str| {
        let made = make(&args(&folder.path().join(name))).expect("two files");
        let mode = fs::metadata(&made.config).expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "others can read the secrets");
        let text = fs::read_to_string(&made.config).expect("a file");
        let line = text.lines().find(|line| line.starts_with("secret = ")).expect("a secret").to_owned();
        assert_eq!(line.len(), "secret = \"\"".len() + 32, "{line}");
        line
    };
    assert_ne!(secret("one"), secret("two"));
}

#[test]
fn nothing_is_written_over_and_no_half_of_a_pair_is_left() {
    for there in ["policy.toml", "temoin.toml"] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(there), "mine").expect("a file");
        let error = make(&args(folder.path())).expect_err("it is there");
        assert!(matches!(&error, InitError::Exists(file) if file.ends_with(there)), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join(there)).expect("a file"), "mine");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}

#[test]
fn bad_flags_are_told_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = |change: &dyn Fn(&mut InitArgs)| {
        let mut args = args(&folder.path().join("site"));
        change(&mut args);
        make(&args).expect_err("it is bad").to_string()
    };
    for (reason, why) in [
        (told(&|a| a.country = Some("XX".into())), "no pack for customers in `XX`; there are BE, CA"),
        (told(&|a| a.pbx = Some("freeswitch".into())), "not supported yet"),
        (told(&|a| a.lines = vec!["Büro".into()]), "cannot name a line"),
        (told(&|a| a.lines = vec!["a=0199".into()]), "E.164"),
        (told(&|a| a.lines = vec!["a".into(), "a".into()]), "named twice"),
        (
            told(&|a| a.lines = vec!["a=+33199000100".into(), "b=+33199000100".into()]),
            "two lines have the number",
        ),
        (told(&|a| a.purposes = vec!["spying".into()]), "is no purpose"),
        (told(&|a| a.purposes = vec!["process".into()]), "no pack for FR speaks of `process`"),
        (told(&|a| a.languages = vec!["tlh".into()]), "no announcements in `tlh`"),
        (told(&|a| a.rate = Some("31".into())), "31 per cent is too much: at most 300 of a thousand"),
        (told(&|a| a.rate = Some("-1".into())), "is no share of the calls"),
        (told(&|a| a.rate = Some("0".into())), "is no share of the calls"),
    ] {
        assert!(reason.contains(why), "{reason}");
    }
    assert!(!folder.path().join("site").exists(), "nothing was written");
}

#[test]
fn hostile_names_stay_names() {
    let folder = tempfile::tempdir().expect("a folder");
    for (at, name) in ["\"]\n[evil]\nx = 1", "'''\"\"\"\\", "\u{1}\u{7f}", "x\" # y"].into_iter().enumerate()
    {
        let told = InitArgs {
            controller: Some(name.to_owned()),
            contact: Some(name.to_owned()),
            ..args(&folder.path().join(at.to_string()))
        };
        let made = make(&told).expect("two files");
        let policy: toml::Table = fs::read_to_string(&made.policy).expect("a file").parse().expect("TOML");
        assert_eq!(policy["controller"]["name"].as_str(), Some(name.trim()));
        assert!(unexpected(&made.config).is_empty());
    }
}

/// The program at a keyboard.
fn asked(folder: &Path, args: &[&str], answers: &[u8]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_temoin"));
    program.current_dir(folder).arg("init").args(args);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = program.spawn().expect("it runs");
    // It may end before it has read everything.
    let _ = running.stdin.take().expect("its input").write_all(answers);
    running.wait_with_output().expect("it ends")
}

#[test]
fn a_bad_answer_is_asked_again_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let answers = "IT\nfr\nfreeswitch\n\nDurand SA\ndpo@durand.example\nAccueil\naccueil=+33 1 99 00 01 00, ventes\n\
                   nonsense\nquality contract-proof\nxx\n\n45\n12,5\n";
    let told = asked(folder.path(), &["site"], answers.as_bytes());
    let (questions, out) = (String::from_utf8_lossy(&told.stderr), String::from_utf8_lossy(&told.stdout));
    assert!(told.status.success(), "{questions}");
    for reason in [
        "no pack for customers in `IT`",
        "FreeSWITCH is not supported yet",
        "`Accueil` cannot name a line",
        "`nonsense` is no purpose",
        "no announcements in `xx`",
        "45 per cent is too much: at most 300 of a thousand are allowed",
    ] {
        assert!(questions.contains(reason), "{reason}: {questions}");
    }
    assert!(out.starts_with("site/policy.toml\nsite/temoin.toml\n\nOnly you can supply:\n"), "{out}");
    assert!(out.ends_with("\nNext: temoin check --config site/temoin.toml\n"), "{out}");
    let policy: toml::Table =
        fs::read_to_string(folder.path().join("site/policy.toml")).expect("a file").parse().expect("TOML");
    assert_eq!(policy["controller"]["name"].as_str(), Some("Durand SA"));
    assert_eq!(policy["campaigns"]["quality-1"]["rate"].as_integer(), Some(125));
    assert_eq!(policy["lines"]["accueil"]["numbers"][0].as_str(), Some("+33199000100"));
    assert_eq!(policy["lines"]["ventes"]["sectors"][0].as_str(), Some("fr-contract"));
}

#[test]
fn answers_that_end_too_early_or_are_no_text_leave_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for answers in [&b""[..], b"FR\n", b"\xff\xfe\x00\n\xc3\n", b"FR\nasterisk\n\n\n\xff\n"] {
        let told = asked(folder.path(), &["site"], answers);
        assert_eq!(told.status.code(), Some(2));
        let error = String::from_utf8_lossy(&told.stderr);
        assert!(error.contains("the answers ended before the questions"), "{error}");
        assert!(!folder.path().join("site").exists());
    }
}

#[test]
fn flags_and_yes_ask_nothing_and_answer_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags =
        ["--country", "FR", "--line", "accueil=+33199000100", "--purpose", "quality", "--yes", "--json"];
    let told = asked(folder.path(), &flags, b"");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    assert!(told.stderr.is_empty(), "something was asked");
    let made: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(made["policy"], "./policy.toml");
    assert!(made["todo"].as_array().is_some_and(|todo| todo.len() > 10));
}
