//! `temoin check`: all that is wrong with configuration, policy, packs, sounds, keys and folders, without changing
//! anything. What bars a start is told apart from what a call will merely be the worse for.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use temoin_core::finding::Code;
use temoin_core::lint;
use temoin_core::pack::Pack;
use temoin_core::policy::{Packs, Policy};
use temoin_core::spelling;
use temoin_core::words::{PackKind, Territory, codes_covering};

use crate::config::Config;
use crate::fault::Fault;
use crate::report::Report;
use crate::rules::{self, Texts};
use crate::{dialplan, live, reading, show, syntax, wiring};

/// Everything that is wrong now with a machine's configuration and all that it names: by file, then by line.
pub fn look(file: &Path, now: Timestamp) -> Report {
    let mut report = Report::default();
    let (config, faults, hash) = Config::look(file);
    report.faults = faults;
    let name = file.display().to_string();
    report.texts.insert(name.clone(), std::fs::read_to_string(file).unwrap_or_default());
    report.secret = Some(name);
    if let Some(config) = config {
        let texts = (!is_unset(&config.policy)).then(|| Texts::read(&config));
        let (policy, law) = match texts {
            Some(Ok(texts)) => look_at_law(texts, config.packs.is_none(), now, &mut report),
            Some(Err(fault)) => (None, vec![fault]),
            None => (None, Vec::new()),
        };
        if let Some(policy) = &policy {
            report.faults.extend(look_at_names(file, &config, policy));
            report.faults.extend(dialplan::look_at_codes(file, &config, policy));
        }
        report.faults.sort_by_key(|fault| (fault.line, fault.column));
        report.faults.extend(law);
        report.faults.extend(look_at_sounds(&config, policy.as_ref(), hash));
        report.faults.extend(live::secret(file));
        report.faults.extend(look_at_keys(&config));
        report.faults.extend(look_at_folders(&config));
    }
    report
}

/// Everything that is wrong now with a policy, and with the packs that it uses: those of a folder or the shipped ones.
/// No machine is needed for it, so that a repository of policies can have it looked at.
///
/// # Errors
/// The policy or the folder cannot be read.
pub fn look_at_policy(policy: &Path, packs: Option<&Path>, now: Timestamp) -> Result<Report, Fault> {
    let mut report = Report::default();
    let texts = Texts::of(policy, packs)?;
    let (_, faults) = look_at_law(texts, packs.is_none(), now, &mut report);
    report.faults = faults;
    Ok(report)
}

/// Of shipped packs (`ours`) only those are told of that the policy uses; none, where it cannot be read.
fn look_at_law(
    texts: Texts,
    ours: bool,
    now: Timestamp,
    report: &mut Report,
) -> (Option<Policy>, Vec<Fault>) {
    let (policy, bars) = match texts.policy() {
        Ok(policy) => (Some(policy), BTreeSet::new()),
        Err(faults) => (None, faults.into_iter().map(|fault| (fault.path, fault.code)).collect()),
    };
    let today = now.to_zoned(show::zone_of(&texts.site.1)).date();
    let of_use = |fault: &Fault| {
        !ours
            || fault.file == texts.site.0
            || policy.as_ref().is_some_and(|policy| is_used(policy, &fault.file))
    };
    let found = lint::check(Some(texts.site()), &texts.packs(), Some(today)).into_iter().map(Fault::from);
    let mut faults: Vec<Fault> = found
        .filter(of_use)
        .map(|fault| Fault { bars: bars.contains(&(fault.path.clone(), fault.code)), ..fault })
        .flat_map(|fault| look_at_syntax(fault, &texts))
        .collect();
    // The policy, then the packs.
    faults.sort_by(|a, b| {
        let key = |fault: &Fault| (fault.file != texts.site.0, fault.file.clone(), fault.line, fault.column);
        key(a).cmp(&key(b))
    });
    report.packs = Packs::load(&texts.packs()).0;
    report.texts.extend(texts.packs);
    report.texts.extend([texts.site]);
    (policy, faults)
}

/// Of a text that is no TOML, all places at which it is none; and where only days that do not exist are wrong, what else
/// bars the policy from being read.
fn look_at_syntax(fault: Fault, texts: &Texts) -> Vec<Fault> {
    let named = |(name, _): &&(String, String)| *name == fault.file;
    let text = std::iter::once(&texts.site).chain(&texts.packs).find(named).map(|(_, text)| text.as_str());
    let (Code::Parse, Some(_), Some(text)) = (fault.code, fault.line, text) else {
        return vec![fault];
    };
    let mut faults = syntax::faults(&fault.file, text);
    faults.iter_mut().for_each(|one| one.bars = fault.bars);
    if fault.file == texts.site.0
        && let Some(mended) = syntax::with_days(text)
        && let Err(more) = Policy::load((&fault.file, &mended), &texts.packs())
    {
        let more = more.into_iter().filter(|finding| finding.file == fault.file);
        faults.extend(more.map(|finding| Fault::from(finding).barring()));
    }
    faults
}

/// Whether a shipped pack, by its file, counts for anything in a policy: what is disputed in the law of other countries
/// is nobody's business here.
fn is_used(policy: &Policy, file: &str) -> bool {
    let site = policy.site();
    let lands: BTreeSet<&Territory> = site
        .lines
        .values()
        .flat_map(|line| &line.markets)
        .chain(site.agents.values().map(|agent| &agent.country))
        .collect();
    let named: BTreeSet<&str> = site
        .lines
        .values()
        .flat_map(|line| &line.sectors)
        .chain(&site.overlays)
        .map(|name| &**name)
        .collect();
    let of_land = |pack: &Pack, land: &Territory| {
        pack.kind == PackKind::Territory && codes_covering(&pack.territory, land).next().is_some()
    };
    let is_lost = |land: &&Territory| !policy.packs().iter().any(|pack| of_land(pack, land));
    let lost = lands.iter().any(is_lost);
    let mut used: BTreeSet<&str> = policy
        .packs()
        .iter()
        .filter(|pack| {
            named.contains(&*pack.id)
                || lands.iter().any(|land| of_land(pack, land))
                || (lost && pack.kind == PackKind::Default)
        })
        .map(|pack| &*pack.id)
        .collect();
    for _ in 0..policy.packs().iter().count() {
        let parents = policy.packs().iter().filter(|pack| used.contains(&*pack.id));
        let parents: Vec<&str> = parents.filter_map(|pack| pack.parent.as_deref()).collect();
        used.extend(parents);
    }
    used.contains(file.trim_end_matches(".toml"))
}

/// Lines and agents that the configuration names and the policy does not have.
fn look_at_names(file: &Path, config: &Config, policy: &Policy) -> Vec<Fault> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let unknown = |table: &str, key: &str, hint: String| {
        let place = reading::locate(&text, &[table, key]);
        Fault::of(file.display(), Code::UnknownRef, hint).at(format!("{table}.{key}"), place)
    };
    let site = policy.site();
    let lines = config.lines.keys().filter(|line| policy.line(line).is_none()).map(|line| {
        let hint = match spelling::meant(line, site.lines.keys().map(|line| &**line)) {
            Some(meant) => format!("the policy has no such line; did you mean `{meant}`?"),
            None => "the policy has no such line; name one of its lines, or take this away".to_owned(),
        };
        unknown("lines", line, hint)
    });
    let agents = config.extensions.iter().filter(|(_, agent)| policy.agent(agent).is_none());
    let agents = agents.map(|(extension, agent)| {
        let what = format!("the policy has no agent `{agent}`, so nothing is recorded with him");
        let hint = match spelling::meant(agent, site.agents.keys().map(|agent| &**agent)) {
            Some(meant) => format!("{what}; did you mean `{meant}`?"),
            None => format!("{what}; add him to [agents]"),
        };
        unknown("extensions", extension, hint)
    });
    lines.chain(agents).collect()
}

/// Sounds that are not there, and announcements that have none.
fn look_at_sounds(config: &Config, policy: Option<&Policy>, hash: String) -> Vec<Fault> {
    use temoin_core::desk::Text::{Contract, Notice, OptIn, OptOut};
    if is_unset(&config.prompts.folder) {
        return Vec::new();
    }
    let (desk, mut faults) = config.desk(hash);
    for line in policy.iter().flat_map(|policy| policy.site().lines.values()) {
        for prompt in &line.prompts {
            let step = desk.sound(&line.name, &prompt.language, Contract);
            if !prompt.steps.is_empty() && !step.is_some_and(|step| wiring::plays(&step.name)) {
                let hint = "no sound says these steps, so no contract talk ever begins; put temoin-contract.wav into \
                            the folder of that language, or name one in [lines.….audio] `contract`, on a path of \
                            letters, digits and / _ . + -";
                let path = format!("lines.{}.prompts.{}.steps", line.name, prompt.language);
                faults.push(Fault::of(config.prompts.folder.display(), Code::Sound, hint).at(path, None));
            }
            let speaks = |text| desk.sound(&line.name, &prompt.language, text).is_some();
            if ![OptOut, OptIn, Notice].into_iter().any(speaks) {
                let hint = "no sound says this prompt, so its calls are not announced and not recorded; add a folder \
                            of that language, or [lines.….audio]";
                let path = format!("lines.{}.prompts.{}", line.name, prompt.language);
                faults.push(Fault::of(config.prompts.folder.display(), Code::Sound, hint).at(path, None));
            }
        }
    }
    faults
}

fn look_at_keys(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    let register = config.register_key();
    for (path, what) in [
        (&config.sampling_key, "the key of the draws"),
        (&config.vault.key, "the key of the vault"),
        (&register, crate::register::KEY),
    ] {
        if is_unset(path) {
            continue;
        }
        match rules::look_at_key(path, what) {
            Ok(Some(_)) => {}
            // Made at the first start, where it can be.
            Ok(None) => faults.extend(path.parent().and_then(|folder| look_at_folder(folder, what))),
            Err(fault) => faults.push(fault),
        }
    }
    let vault = &config.vault;
    let has_objects = || std::fs::read_dir(&vault.path).is_ok_and(|mut entries| entries.next().is_some());
    if !is_unset(&vault.key) && !vault.key.exists() && has_objects() {
        let hint = "the vault holds recordings, and their key is not there: put it back";
        faults.push(Fault::of(vault.key.display(), Code::Key, hint).barring());
    }
    faults
}

fn look_at_folders(config: &Config) -> Vec<Fault> {
    let folders = [
        (Some(config.asterisk.spool.as_path()), "the spool"),
        (config.store.path.parent(), "the index"),
        (Some(config.vault.path.as_path()), "the vault"),
    ];
    let folders = folders.into_iter().filter_map(|(folder, what)| Some((folder?, what)));
    folders
        .filter(|(folder, _)| !is_unset(folder))
        .filter_map(|(folder, what)| look_at_folder(folder, what))
        .collect()
}

/// Whether something can be made in a folder, or the folder itself where it is not there yet. Tried with a folder,
/// which nobody takes for a recording.
fn look_at_folder(folder: &Path, what: &str) -> Option<Fault> {
    let there = folder.ancestors().find(|ancestor| ancestor.exists())?;
    let probe = there.join(format!(".temoin-check-{}", std::process::id()));
    let error = match std::fs::create_dir(&probe).and_then(|()| std::fs::remove_dir(&probe)) {
        Ok(()) => return None,
        Err(error) => error,
    };
    let hint = format!("{what} cannot be written there: {error}; make the folder and let this user own it");
    Some(Fault::of(folder.display(), Code::Unreadable, hint).barring())
}

/// Not told in the file; that was told already.
fn is_unset(path: &Path) -> bool {
    path.as_os_str().is_empty()
}
