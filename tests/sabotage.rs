//! The tests are tested: builds that do one thing wrong on purpose must turn the laws, and the demo, red.
//!
//! `TEMOIN_SABOTAGE=<variant>` at build time makes `connector/core/build.rs` set `cfg(temoin_sabotage = "<variant>")`;
//! without the variable nothing is changed. What is built here lies in `target/sabotage`, so that nobody ever runs it by
//! mistake and the normal build stays as it is. All variants share that folder and replace each other's files, so one is
//! built and run at a time, under a lock that other processes respect too. Nothing is fetched: all that is needed was
//! fetched to build this test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Variant, what it does wrong, and the law of `connector/core/tests/laws` that must notice.
const VARIANTS: [(&str, &str, &str); 5] = [
    ("early-record", "takes the announcement for heard before it is played", "nothing_forbidden_is_kept"),
    ("ignore-stop", "never orders a stop", "nothing_forbidden_is_kept"),
    ("keep-after-objection", "erases nothing after a refusal", "nothing_forbidden_is_kept"),
    ("skip-exempt", "does not look for those who must never be recorded", "nothing_forbidden_is_kept"),
    ("swallow-event", "does not hear that somebody joined or left", "nothing_forbidden_is_kept"),
];

/// A demo that says nothing for so long hangs.
const DEMO_LIMIT: Duration = Duration::from_secs(300);

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

    /// `cargo` for a build that is sabotaged so, or not at all.
    fn cargo(&self, verb: &str, variant: Option<&str>) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args([verb, "--offline", "--target-dir"]).arg(&self.folder);
        cargo.env("CARGO_INCREMENTAL", "0").env("CARGO_TERM_COLOR", "never").env_remove("TEMOIN_SABOTAGE");
        if let Some(variant) = variant {
            cargo.env("TEMOIN_SABOTAGE", variant);
        }
        cargo
    }

    /// Runs the laws; the first call that breaks one is enough.
    fn laws(&self, variant: Option<&str>) -> Output {
        let build = self
            .cargo("test", variant)
            .args(["-p", "temoin-core", "--test", "laws", "--no-run"])
            .output()
            .expect("cargo");
        assert!(build.status.success(), "{variant:?} cannot be built:\n{}", text(&build));
        let mut laws = self.cargo("test", variant);
        laws.args(["-p", "temoin-core", "--test", "laws"]).env("PROPTEST_MAX_SHRINK_ITERS", "0");
        laws.output().expect("cargo")
    }

    /// Builds `--example demo`, sabotaged so or not at all, and gives a copy that later builds do not replace.
    fn demo(&self, variant: Option<&str>) -> PathBuf {
        let build =
            self.cargo("build", variant).args(["-p", "temoin", "--example", "demo"]).output().expect("cargo");
        assert!(build.status.success(), "{variant:?} cannot be built:\n{}", text(&build));
        let built = self.folder.join("debug/examples").join(format!("demo{}", std::env::consts::EXE_SUFFIX));
        let copy = self.folder.join(format!("demo-{}", variant.unwrap_or("sound")));
        fs::copy(&built, &copy).expect("the demo was built");
        copy
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether the demo exits with zero.
fn demo_passes(demo: &Path) -> bool {
    let mut running = Command::new(demo)
        .arg("--exit")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the demo can be run");
    let began = Instant::now();
    loop {
        if let Some(status) = running.try_wait().expect("a child") {
            return status.success();
        }
        if began.elapsed() > DEMO_LIMIT {
            let _ = running.kill();
            panic!("{} did not end within {DEMO_LIMIT:?}", demo.display());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn has_demo() -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo.rs").is_file()
}

/// A red law and nothing else: not a build that fails, not a test that is not there.
fn turns_the_laws_red(variant: &str) {
    let (_, wrong, law) = VARIANTS.into_iter().find(|(name, ..)| *name == variant).expect("a variant");
    eprintln!("building the core so that it {wrong}; `{law}` must notice");
    let output = Workshop::enter().laws(Some(variant));
    let said = text(&output);
    assert!(!output.status.success(), "a program that {wrong} passes the laws:\n{said}");
    assert!(said.contains(&format!("test {law} ... FAILED")), "`{law}` does not notice:\n{said}");
}

/// `demo --exit` ends with an error where the program is sabotaged.
fn turns_the_demo_red(variant: &str) {
    if !has_demo() {
        eprintln!("there is no examples/demo.rs to sabotage");
        return;
    }
    let demo = Workshop::enter().demo(Some(variant));
    assert!(!demo_passes(&demo), "the demo of a program sabotaged with {variant} says that all is well");
}

#[test]
fn the_laws_hold_without_sabotage() {
    let output = Workshop::enter().laws(None);
    assert!(output.status.success(), "the laws are broken without any sabotage:\n{}", text(&output));
}

#[test]
fn the_demo_passes_without_sabotage() {
    if has_demo() {
        let demo = Workshop::enter().demo(None);
        assert!(demo_passes(&demo), "the demo fails without any sabotage");
    }
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

        $(mod $name {
            #[test]
            fn turns_the_laws_red() {
                super::turns_the_laws_red($variant);
            }

            #[test]
            fn turns_the_demo_red() {
                super::turns_the_demo_red($variant);
            }
        })+
    };
}

variants! {
    early_record = "early-record",
    ignore_stop = "ignore-stop",
    keep_after_objection = "keep-after-objection",
    skip_exempt = "skip-exempt",
    swallow_event = "swallow-event",
}
