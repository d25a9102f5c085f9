//! The README's way from an empty folder to a policy that is checked and tried, with its papers: its own commands, one
//! after the other, as they stand there.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use jiff::ToSpan as _;

use super::desk::{Desk, ROOT};

/// The commands of the README, without what is said of them.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(format!("{ROOT}/README.md")).expect("the README");
    let (_, section) = readme.split_once("\n## From an empty folder").expect("the section");
    let block = section.split("```").nth(1).expect("its commands");
    let lines = block.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What only people can supply.
const SUPPLIED: [(&str, &str, &str); 8] = [
    ("policy.toml", "site = \"TODO\"", "site = \"Durand\""),
    (
        "policy.toml",
        "name = \"TODO\", contact = \"TODO\"",
        "name = \"Durand SA\", contact = \"dpo@durand.example\"",
    ),
    ("policy.toml", "\nnecessity = \"\"", "\nnecessity = \"Why people call again is not in the tickets.\""),
    ("policy.toml", "\ndpia = \"\"", "\ndpia = \"AIPD-2026-03\""),
    ("policy.toml", "\nregister_entry = \"\"", "\nregister_entry = \"RT-014\""),
    (
        "policy.toml",
        "\nworks_council = {}",
        "\nworks_council = { consulted = 2026-06-18, minutes = \"CSE-2026-06\" }",
    ),
    ("policy.toml", "country = \"FR\" }", "country = \"FR\", notice = 2026-03-02 }"),
    ("temoin.toml", "folder = \"/var/lib/asterisk/sounds\"", "folder = \"SOUNDS\""),
];

#[test]
fn five_commands_lead_from_an_empty_folder_to_a_tried_policy_and_its_papers() {
    let desk = Desk::new();
    // Last month's calls, of a month in which the campaign is open.
    let day = jiff::Zoned::now().date().saturating_add(1.days());
    let call = |n: usize| {
        format!(
            "\"\",\"+33199000{n:03}\",\"+33199000100\",\"from-trunk\",\"\",\"PJSIP/trunk-{n:08x}\",\"PJSIP/2001-{n:08x}\",\"Dial\",\
             \"PJSIP/2001\",\"{day} 10:00:00\",\"{day} 10:00:05\",\"{day} 10:03:05\",185,180,\"ANSWERED\",\
             \"DOCUMENTATION\",\"{n}.1\",\"\"\n"
        )
    };
    desk.write("Master.csv", (1..=25).map(call).collect::<String>());

    let commands = commands();
    assert_eq!(commands.len(), 5, "{commands:#?}");
    let mut told = Vec::new();
    for command in &commands {
        let (program, args) = command.split_once(' ').expect("arguments");
        if program == "$EDITOR" {
            for (file, from, to) in SUPPLIED {
                let path = desk.path("site").join(file);
                let text = fs::read_to_string(&path).expect("a file that init wrote");
                assert!(text.contains(from), "{file} has no {from}:\n{text}");
                let to = to.replace("SOUNDS", &format!("{ROOT}/dialplans/sounds"));
                fs::write(&path, text.replace(from, &to)).expect("a file");
            }
            continue;
        }
        assert_eq!(program, "temoin");
        let mut running = Command::new(env!("CARGO_BIN_EXE_temoin"))
            .args(args.split_whitespace())
            .current_dir(desk.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        // Whoever is asked takes what is offered; who asks nothing may end before it has read this.
        let _ = running.stdin.take().expect("its input").write_all(&[b'\n'; 20]);
        let output = running.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}: {text}{}", String::from_utf8_lossy(&output.stderr));
        told.push(text);
    }
    let [made, checked, tried, papers] = told.as_slice() else { panic!("{told:#?}") };
    assert!(made.contains("Next: temoin check --config site/temoin.toml"), "{made}");
    assert!(checked.contains("usable: 0 to mend"), "{checked}");
    // One in five, and at no moment more.
    assert!(tried.contains("\n25 calls decided, 5 recorded, 25 heard an announcement\n"), "{tried}");
    for paper in ["D1 ", "D2 ", "D3 ", "D5 ", "D6 ", "D7 ", "D8 ", "D9 ", "D10 ", "D11 ", "D18 ", "D22 "] {
        assert!(papers.lines().filter(|line| line.starts_with(paper)).count() == 2, "{paper}: {papers}");
    }
    let register = desk.path("site/papers/fr/D01-registre-des-activites-de-traitement.md");
    let register = fs::read_to_string(register).expect("a register entry");
    assert!(
        register.contains("Durand SA") && register.contains("RT-014") && !register.contains("TODO"),
        "{register}"
    );
}
