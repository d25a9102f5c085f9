//! The tests are tested: builds that do one thing wrong on purpose must turn the laws red.
//!
//! `TEMOIN_SABOTAGE=<variant>` at build time makes `connector/core/build.rs` set `cfg(temoin_sabotage = "<variant>")`;
//! without the variable nothing is changed. What is built here lies in `target/sabotage`, so that nobody ever runs it by
//! mistake and the normal build stays as it is. All variants share that folder and replace each other's files, so one is
//! built and run at a time, under a lock that other processes respect too. Nothing is fetched: all that is needed was
//! fetched to build this test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Variant, what it does wrong, and the law of `connector/core/tests/laws` that must notice.
const VARIANTS: [(&str, &str, &str); 5] = [
    ("early-record", "takes the announcement for heard before it is played", "nothing_forbidden_is_kept"),
    ("ignore-stop", "never orders a stop", "nothing_forbidden_is_kept"),
    ("keep-after-objection", "erases nothing after a refusal", "nothing_forbidden_is_kept"),
    ("skip-exempt", "does not look for those who must never be recorded", "nothing_forbidden_is_kept"),
    ("swallow-event", "does not hear that somebody joined or left", "nothing_forbidden_is_kept"),
];

/// Has `target/sabotage` for itself until it is dropped.
struct Workshop {
    folder: PathBuf,
    _lock: File,
}

impl Workshop {
    fn enter() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("sabotage");
        fs::create_dir_all(&folder).expect("target/sabotage");
        let lock = File::create(folder.join(".in-use")).expect("a lock");
        lock.lock().expect("the lock");
        Self { folder, _lock: lock }
    }

    /// Builds the laws, sabotaged so or not at all; without optimisation, because what is red is red at the first call.
    fn build(&self, variant: Option<&str>) -> Built {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.env("CARGO_INCREMENTAL", "0").env("CARGO_TERM_COLOR", "never").env_remove("TEMOIN_SABOTAGE");
        cargo.args(["build", "--offline", "--message-format=json-render-diagnostics", "--target-dir"]);
        cargo.arg(&self.folder);
        cargo.args(["--config", "profile.dev.package.temoin-core.opt-level=0"]);
        cargo.args(["--config", "profile.dev.debug=false"]);
        cargo.args(["-p", "temoin-core", "--test", "laws"]);
        if let Some(variant) = variant {
            cargo.env("TEMOIN_SABOTAGE", variant);
        }
        let output = cargo.output().expect("cargo");
        assert!(output.status.success(), "{variant:?} cannot be built:\n{}", text(&output));
        let built = text(&output);
        Built { laws: executable(&built, "laws").expect("the laws were built") }
    }
}

/// What was built; good while the workshop is held.
struct Built {
    laws: PathBuf,
}

impl Built {
    /// Runs the laws; the first call that breaks one is enough, and nobody needs the shortest.
    fn try_laws(&self) -> Output {
        let mut laws = Command::new(&self.laws);
        laws.env("PROPTEST_MAX_SHRINK_ITERS", "0").env("PROPTEST_CASES", "300");
        laws.output().expect("the laws can be run")
    }
}

/// The file that cargo says it built for a target.
fn executable(messages: &str, target: &str) -> Option<PathBuf> {
    let name = format!("\"name\":\"{target}\"");
    let message = messages.lines().filter(|line| line.contains(&name)).find_map(|line| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        rest.split_once('"')
    });
    message.map(|(path, _)| PathBuf::from(path.replace("\\\\", "\\")))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A red law and nothing else: not a build that fails, not a test that is not there.
fn is_noticed(variant: &str) {
    let (_, wrong, law) = VARIANTS.into_iter().find(|(name, ..)| *name == variant).expect("a variant");
    eprintln!("building a program that {wrong}; `{law}` must notice");
    let workshop = Workshop::enter();
    let built = workshop.build(Some(variant));
    let output = built.try_laws();
    let said = text(&output);
    assert!(!output.status.success(), "a program that {wrong} passes the laws:\n{said}");
    assert!(said.contains(&format!("test {law} ... FAILED")), "`{law}` does not notice:\n{said}");
}

/// Else the others would prove nothing.
#[test]
fn all_is_green_without_sabotage() {
    let workshop = Workshop::enter();
    let built = workshop.build(None);
    let output = built.try_laws();
    assert!(output.status.success(), "the laws are broken without any sabotage:\n{}", text(&output));
}

macro_rules! variants {
    ($($name:ident = $variant:literal),+ $(,)?) => {
        /// Every variant that the core knows is in the list, and has its tests.
        #[test]
        fn every_variant_is_tried() {
            let tried = [$($variant),+];
            assert_eq!(VARIANTS.map(|(name, ..)| name), tried);
            let session = Path::new(env!("CARGO_MANIFEST_DIR")).join("connector/core/src/session");
            let mut sources = String::new();
            for entry in fs::read_dir(session).expect("the session") {
                sources += &fs::read_to_string(entry.expect("a file").path()).expect("a source");
            }
            for known in sources.split("temoin_sabotage = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(tried.contains(&known), "nobody tries {known}");
            }
            for variant in tried {
                assert!(sources.contains(&format!("temoin_sabotage = \"{variant}\"")), "{variant} does nothing");
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
