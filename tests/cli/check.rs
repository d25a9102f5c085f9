//! `check`: all that is wrong, at once and with its place.

use super::*;

#[test]
fn check_is_content_and_leaves_nothing_behind() {
    let site = Site::new();
    site.run(&["check"]).ends(0).says("to think about");
    let told = site.run(&["check", "--json"]).ends(0).json();
    assert_eq!(told["usable"], true);
    assert!(told["findings"].as_array().is_some_and(|all| all.iter().all(|one| one["code"] != "E-SOUND")));
    // Only what the policy uses is told of.
    let files: Vec<_> = told["findings"].as_array().expect("a list").iter().map(|one| &one["file"]).collect();
    assert!(files.iter().all(|file| !file.as_str().is_some_and(|file| file.contains("us-"))), "{files:?}");
    let mut names: Vec<_> = fs::read_dir(site.dir.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["policy.toml", "temoin.toml"], "a check makes nothing");
}

#[test]
fn check_tells_everything_at_once_with_places() {
    let site = Site::new();
    site.edit("temoin.toml", "secret =", "secert =");
    site.edit("temoin.toml", "unavailable = \"admit\"", "unavailable = \"maybe\"\ncolour = 1");
    site.edit("temoin.toml", "\"2001\" = \"amel\"", "\"2001\" = \"nobody\"");
    site.edit("temoin.toml", "[lines.accueil]", "[lines.acueil]\n\n[lines.accueil]");
    site.edit("policy.toml", "rate = 200", "rate = 900");
    fs::create_dir(site.path("sounds")).expect("a folder");
    fs::create_dir(site.path("sounds/fr")).expect("a folder");
    site.edit("temoin.toml", &format!("{ROOT}/dialplans/sounds"), "sounds");
    site.write("sampling.key", "short");
    fs::set_permissions(site.path("sampling.key"), fs::Permissions::from_mode(0o644)).expect("a mode");
    let told = site.run(&["check"]).ends(1);
    let config = site.path("temoin.toml").display().to_string();
    for wanted in [
        &format!("{config}:12:36: E-UNKNOWN-KEY asterisk.ami.secert: no such key; did you mean `secret`?"),
        &format!("{config}:17:1: E-UNKNOWN-REF extensions.2001: the policy has no agent `nobody`"),
        &format!(
            "{config}:19:8: E-UNKNOWN-REF lines.acueil: the policy has no such line; did you mean `accueil`?"
        ),
        &format!("{config}:22:15: E-BAD-VALUE lines.accueil.unavailable: "),
        &format!("{config}:23:1: E-UNKNOWN-KEY lines.accueil.colour: no such key; "),
        "policy.toml:27:1: E-RATE-ABOVE-CAP campaigns.autumn.rate: ",
        "temoin-opt-out.wav: E-SOUND: not a readable WAV",
        "E-SOUND lines.accueil.prompts.fr: no sound says this prompt",
        "sampling.key: E-KEY: others can read the key of the draws: chmod 600 it",
        "not usable: ",
    ] {
        assert!(told.out.contains(wanted), "no {wanted}: {told:#?}");
    }
    let lines: Vec<&str> = told.out.lines().collect();
    let at = |text: &str| lines.iter().position(|line| line.contains(text));
    let order = ["secert", "nobody", "lines.acueil", "maybe", "colour", "RATE-ABOVE", "sampling.key"].map(at);
    assert!(order.is_sorted() && order[0].is_some(), "in the order of files and lines: {lines:#?}");
    assert_eq!(site.run(&["check", "--json"]).ends(1).json()["usable"], false);
}

#[test]
fn check_tells_of_folders_and_keys() {
    let site = Site::new();
    // A file where a folder should be: nobody can write there, root included.
    site.write("blocked", "");
    site.edit("temoin.toml", "spool = \"spool\"", "spool = \"blocked/spool\"");
    site.edit("temoin.toml", "path = \"vault\"", "path = \"blocked/vault\"");
    site.edit("temoin.toml", "index/index.db", "blocked/index.db");
    site.edit("temoin.toml", "\"sampling.key\"", "\"blocked/sampling.key\"");
    let told = site.run(&["check"]).ends(1);
    for what in [
        "the spool cannot be written",
        "the index cannot be written",
        "the vault cannot be written",
        "the key of the draws cannot be read",
    ] {
        assert!(told.out.contains(what), "{what}: {told:#?}");
    }
    let site = Site::new();
    fs::create_dir(site.path("vault")).expect("a folder");
    site.write("vault/object", "");
    site.run(&["check"]).ends(1).says("the vault holds recordings, and their key is not there: put it back");
}

#[test]
fn warnings_of_the_policy_do_not_keep_it_from_starting() {
    let site = Site::new();
    site.edit("policy.toml", "rate = 200", "rate = 900");
    assert_eq!(site.run(&["check", "--json"]).ends(1).json()["usable"], true);
    site.edit(
        "policy.toml",
        "purposes = [\"quality\"]\n\n[lines",
        "purposes = [\"quality\"]\ncolour = 1\n\n[lines",
    );
    site.run(&["check"]).ends(1).says("E-UNKNOWN-KEY colour").says("not usable");
}

#[test]
fn a_call_that_is_not_usable_ends_with_two() {
    let site = Site::new();
    site.run(&["check", "--no-such"]).ends(2);
    site.run(&["dance"]).ends(2);
    site.run(&[]).ends(2);
    fs::remove_file(site.path("temoin.toml")).expect("a file");
    for args in
        [&["check"][..], &["serve"], &["calls"], &["show", "x"], &["verify"], &["sampling", "audit", "x"]]
    {
        site.run(args).ends(2).says("temoin.toml").says("name the file with --config");
    }
}

#[test]
fn values_come_from_the_environment_too() {
    let site = Site::new();
    site.edit("temoin.toml", ", secret = \"hush-ami\"", "");
    site.run(&["check"]).ends(1).says("E-MISSING-KEY asterisk.ami.secret");
    let with = |name: &str, value: &str| {
        Told::of(site.command(&["check"]).env(name, value).output().expect("it runs"))
    };
    with("TEMOIN__ASTERISK__AMI__SECRET", "hush-env").ends(0);
    site.edit("temoin.toml", "user = \"temoin\" }", "user = \"temoin\", secret = \"hush-ami\" }");
    with("TEMOIN__ASTERISK__AMI__PORT", "many").ends(1).says("TEMOIN__");
    with("TEMOIN__COLOUR", "red").ends(1).says("TEMOIN__").says("colour");
}
