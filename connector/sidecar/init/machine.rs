//! The text of a new `temoin.toml`: every key with a comment.

use std::path::{Path, PathBuf};

use super::answers::Answers;
use super::policy::{AGENT, quoted};

/// Where things lie on this machine.
pub struct Places {
    /// The index, the vault, the keys and the spool.
    pub state: PathBuf,
    /// The sounds, and whether they are there.
    pub sounds: (PathBuf, bool),
}

impl Places {
    /// Where a new site's things lie: for one in `/etc` where a machine keeps such things, else beside the two files.
    pub fn of(folder: &Path, state: Option<PathBuf>, sounds: Option<PathBuf>) -> Self {
        let installed = std::path::absolute(folder).is_ok_and(|folder| folder.starts_with("/etc"));
        let state =
            state.unwrap_or_else(|| PathBuf::from(if installed { "/var/lib/temoin" } else { "state" }));
        let candidates = [
            "dialplans/sounds",
            "/usr/share/temoin/sounds",
            "/var/lib/asterisk/sounds",
            "/usr/share/asterisk/sounds",
        ];
        let has_ours = |folder: &Path| {
            std::fs::read_dir(folder).is_ok_and(|entries| {
                entries.flatten().any(|language| language.path().join("temoin-opt-out.wav").exists())
            })
        };
        let found = sounds.or_else(|| candidates.iter().map(PathBuf::from).find(|folder| has_ours(folder)));
        let sounds = match found {
            Some(folder) => {
                let there = has_ours(&folder);
                (std::path::absolute(&folder).unwrap_or(folder), there)
            }
            None => (PathBuf::from("/var/lib/asterisk/sounds"), false),
        };
        Self { state, sounds }
    }
}

/// The configuration. The secrets are new ones, of chance.
pub fn text(answers: &Answers, places: &Places, refuse: bool, secrets: &[String; 2]) -> String {
    let state = |what: &str| quoted(&places.state.join(what).display().to_string());
    let sounds = quoted(&places.sounds.0.display().to_string());
    let sounds_todo = if places.sounds.1 {
        ""
    } else {
        "# TODO(you): copy the sounds (dialplans/sounds of the sources) to where Asterisk reads them, and name that folder.\n"
    };
    let unavailable = if refuse {
        "# When it cannot be recorded the call does not go on, as a law orders the recording; give the hook `refuse`, too.\n\
         unavailable = \"refuse\"\n"
    } else {
        "# When it cannot be recorded the call goes on, unrecorded. \"refuse\" is for lines that must be recorded.\n\
         unavailable = \"admit\"\n"
    };
    let lines: String =
        answers.lines.iter().map(|(name, _)| format!("\n[lines.{name}]\n{unavailable}")).collect();
    let [ami, ari] = secrets.each_ref().map(|secret| quoted(secret));
    let spool = state("spool");
    format!(
        "# How this machine does it. What may be recorded, and why, is in the policy. Written by `temoin init`.\n\
         # Paths are relative to this file. Environment variables go before it: TEMOIN__ASTERISK__AMI__SECRET.\n\n\
         # This machine's name in the journal: one machine, one name, for ever.\nnode = \"temoin-1\"\n\
         # What may be recorded.\npolicy = \"policy.toml\"\n\
         # The key of the draws; made at the first start. Who has it can foretell who is recorded.\nsampling_key = {sampling}\n\n\
         [asterisk]\n\
         # The application that the dialplan's hook names.\napp = \"temoin\"\n\
         # TODO(you): the folder where Asterisk's recorder writes; Asterisk and Témoin must both be able to.\nspool = {spool}\n\n\
         # The manager interface.\n[asterisk.ami]\nhost = \"127.0.0.1\"\nport = 5038\nuser = \"temoin\"\n\
         # TODO(you): write this secret into temoin-manager.conf in the place of CHANGE-ME-AMI.\nsecret = {ami}\n\n\
         # The REST interface.\n[asterisk.ari]\nurl = \"http://127.0.0.1:8088\"\nuser = \"temoin\"\n\
         # TODO(you): write this password into temoin-ari.conf in the place of CHANGE-ME-ARI.\npassword = {ari}\n\n\
         # The index: calls, recordings, journal.\n[store]\npath = {index}\n\n\
         # The encrypted recordings, and the key that opens them, made at the first start.\n[vault]\npath = {vault}\n\
         # TODO(you): back this key up after the first start, and not beside the vault's backup.\nkey = {key}\n\n\
         # The sounds: <folder>/<language>/temoin-opt-out.wav and the others.\n[prompts]\n{sounds_todo}folder = {sounds}\n\n\
         # Who sits at which extension, unless the channel says it (TEMOIN_AGENT).\n\
         # TODO(you): your extensions, each with an agent of the policy.\n[extensions]\n\"2001\" = \"{AGENT}\"\n{lines}",
        sampling = state("sampling.key"),
        index = state("index.db"),
        vault = state("vault"),
        key = state("vault.key"),
    )
}
