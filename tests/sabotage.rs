//! The tests are tested: a program that does one thing wrong on purpose must turn the laws, the simulation, a scenario and
//! the demo red.
//!
//! It is built once, with the feature `sabotage` and `TEMOIN_SABOTAGE` set (`connector/core/src/sabotage.rs`), beside what
//! is built anyway and without touching it; what it does wrong is said when it is run. Nothing is fetched: all that is
//! needed was fetched to build this test.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};

/// One thing that is done wrong.
struct Variant {
    name: &'static str,
    wrong: &'static str,
    /// The law of `connector/core/tests/laws` that must notice.
    law: &'static str,
    /// The scenario of `tests/scenarios` that must notice.
    scenario: &'static str,
    /// The story of the demo that must notice, by its title.
    story: &'static str,
}

const VARIANTS: [Variant; 5] = [
    Variant {
        name: "early-record",
        wrong: "takes the announcement for heard before it is played",
        law: "nothing_forbidden_is_kept",
        scenario: "prompt-missing",
        story: "13-nobody-tells",
    },
    Variant {
        name: "ignore-stop",
        wrong: "never orders a stop",
        law: "nothing_forbidden_is_kept",
        scenario: "transfer-exempt",
        story: "06-private",
    },
    Variant {
        name: "keep-after-objection",
        wrong: "erases nothing after a refusal",
        law: "nothing_forbidden_is_kept",
        scenario: "object-in-talk",
        story: "05-changes-his-mind",
    },
    Variant {
        name: "skip-exempt",
        wrong: "does not look for those who must never be recorded",
        law: "nothing_forbidden_is_kept",
        scenario: "exempt",
        story: "09-staff-representative",
    },
    Variant {
        name: "swallow-event",
        wrong: "does not hear what is pressed in the talk",
        law: "nothing_forbidden_is_kept",
        scenario: "pause",
        story: "05-changes-his-mind",
    },
];

/// What was built.
struct Built {
    /// The laws, that can be told to do wrong.
    laws: PathBuf,
    /// The simulation, that can be too.
    simulation: PathBuf,
    /// The demo, that can be too; it is its own sidecar.
    demo: PathBuf,
    /// A sidecar that can be told to do wrong.
    sidecar: PathBuf,
    /// The scenarios and their phones, as they are.
    scenarios: PathBuf,
}

/// One at a time: each plays calls, and fills folders of its own name.
static TURN: Mutex<()> = Mutex::new(());

fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sabotage/debug/examples");
        fs::create_dir_all(&folder).expect("a folder");
        let said = cargo(&["test", "--no-run", "--test", "asterisk"], None);
        let scenarios = executable(&said, "asterisk");
        // As its name says beside it, so that nobody runs the wrong one, and the next build does not replace it.
        let take = |said: &str, target: &str| {
            let to = folder.join(target);
            fs::copy(executable(said, target), &to).expect("a copy");
            to
        };
        let wanted =
            ["build", "--features", "temoin-core/sabotage", "--test", "laws", "--test", "simulation"];
        let wanted = [&wanted[..], &["--example", "demo"]].concat();
        let said = cargo(&wanted, Some("built-in"));
        let [laws, simulation, demo] = ["laws", "simulation", "demo"].map(|target| take(&said, target));
        let sidecar = folder.join("temoin");
        fs::write(&sidecar, format!("#!/bin/sh\nexec '{}' __temoin \"$@\"\n", demo.display()))
            .expect("a script");
        fs::set_permissions(&sidecar, fs::Permissions::from_mode(0o755)).expect("its mode");
        Built { laws, simulation, demo, sidecar, scenarios }
    })
}

/// Has cargo build something; gives what it says of that.
fn cargo(args: &[&str], sabotage: Option<&str>) -> String {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TERM_COLOR", "never")
        .env_remove("TEMOIN_SABOTAGE");
    cargo.args(args).args(["--offline", "--message-format=json-render-diagnostics"]);
    if let Some(sabotage) = sabotage {
        cargo.env("TEMOIN_SABOTAGE", sabotage);
    }
    let output = cargo.output().expect("cargo");
    assert!(output.status.success(), "cargo {args:?} fails:\n{}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The file that cargo says it built for a target.
fn executable(messages: &str, target: &str) -> PathBuf {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut of_target = messages.filter(|message| message["target"]["name"] == target);
    let file = of_target.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    file.unwrap_or_else(|| panic!("cargo does not say where `{target}` is"))
}

impl Built {
    /// The first call that breaks a law is enough, and nobody needs the shortest.
    fn laws(&self, sabotage: &str) -> Output {
        let mut laws = Command::new(&self.laws);
        laws.env("PROPTEST_MAX_SHRINK_ITERS", "0").env("PROPTEST_CASES", "300");
        run(&mut laws, sabotage)
    }

    /// It stops at the first world that is wrong.
    fn simulation(&self, sabotage: &str) -> Output {
        let mut simulation = Command::new(&self.simulation);
        simulation.arg("everything_holds").env("TEMOIN_SIM_CALLS", "5000");
        run(&mut simulation, sabotage)
    }

    fn scenario(&self, name: &str, sabotage: &str) -> Output {
        run(Command::new(&self.scenarios).arg(format!("={name}")).env("TEMOIN_BIN", &self.sidecar), sabotage)
    }

    fn demo(&self, sabotage: &str) -> Output {
        run(Command::new(&self.demo).args(["--exit", "--json"]), sabotage)
    }
}

fn run(command: &mut Command, sabotage: &str) -> Output {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    command
        .env("TEMOIN_SABOTAGE", sabotage)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("it runs")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A red law, a red scenario, a red story; each for what it is about.
fn is_noticed(name: &str) {
    let variant = VARIANTS.iter().find(|variant| variant.name == name).expect("a variant");
    let Variant { wrong, law, scenario, story, .. } = variant;

    let output = built().laws(name);
    let said = text(&output);
    assert!(!output.status.success(), "a program that {wrong} passes the laws:\n{said}");
    assert!(said.contains(&format!("test {law} ... FAILED")), "`{law}` does not notice:\n{said}");

    let output = built().simulation(name);
    let said = text(&output);
    assert!(!output.status.success(), "a program that {wrong} passes the simulation:\n{said}");
    assert!(said.contains("faults in the world of seed"), "the simulation does not notice:\n{said}");

    let output = built().scenario(scenario, name);
    let said = text(&output);
    assert!(!output.status.success(), "a program that {wrong} passes `{scenario}`:\n{said}");
    assert!(said.contains(&format!("\n{scenario} ... FAILED")), "`{scenario}` does not notice:\n{said}");

    let output = built().demo(name);
    let said = text(&output);
    assert!(!output.status.success(), "a program that {wrong} passes the demo:\n{said}");
    let noticed = stories(&output).into_iter().any(|(name, well)| name == *story && !well);
    assert!(noticed, "`{story}` does not notice:\n{said}");
}

/// The demo's stories, and whether they went well.
fn stories(output: &Output) -> Vec<(String, bool)> {
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("the demo does not tell in JSON: {error}\n{}", text(output));
    });
    let calls = told["calls"].as_array().cloned().unwrap_or_default();
    let story = |call: &serde_json::Value| {
        (call["scenario"].as_str().unwrap_or_default().to_owned(), call["well"] == true)
    };
    calls.iter().map(story).collect()
}

/// Else the others would prove nothing.
#[test]
fn all_is_green_without_sabotage() {
    let output = built().laws("");
    assert!(output.status.success(), "the laws are broken without any sabotage:\n{}", text(&output));
    let output = built().simulation("");
    assert!(output.status.success(), "the simulation fails without any sabotage:\n{}", text(&output));
    let output = built().scenario("recorded", "");
    assert!(output.status.success(), "a scenario fails without any sabotage:\n{}", text(&output));
    let output = built().demo("");
    assert!(output.status.success(), "the demo fails without any sabotage:\n{}", text(&output));
    assert!(stories(&output).len() >= 10, "the demo tells too little:\n{}", text(&output));
}

macro_rules! variants {
    ($($name:ident = $variant:literal),+ $(,)?) => {
        /// Every variant that the core knows is in the list, and has its tests.
        #[test]
        fn every_variant_is_tried() {
            let tried = [$($variant),+];
            assert_eq!(VARIANTS.each_ref().map(|variant| variant.name), tried);
            let session = Path::new(env!("CARGO_MANIFEST_DIR")).join("connector/core/src/session");
            let mut sources = String::new();
            for entry in fs::read_dir(session).expect("the session") {
                sources += &fs::read_to_string(entry.expect("a file").path()).expect("a source");
            }
            for known in sources.split("sabotage::is(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(tried.contains(&known), "nobody tries {known}");
            }
            for variant in tried {
                assert!(sources.contains(&format!("sabotage::is(\"{variant}\")")), "{variant} does nothing");
            }
        }

        $(
            #[test]
            fn $name() {
                is_noticed($variant);
            }
        )+
    };
}

variants! {
    early_record_is_noticed = "early-record",
    ignore_stop_is_noticed = "ignore-stop",
    keep_after_objection_is_noticed = "keep-after-objection",
    skip_exempt_is_noticed = "skip-exempt",
    swallow_event_is_noticed = "swallow-event",
}
