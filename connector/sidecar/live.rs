//! `temoin check --live`: what an admin can get wrong on the machine itself. What the PBX tells of itself comes from its
//! plugin; here are files, their owners and modes, the kind of their file systems and the room on them, the codes that the
//! policy names, and a clock that was set back. Nothing is changed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use temoin_core::desk::Codes;
use temoin_core::finding::Code;
use temoin_core::policy::Policy;
use temoin_core::ports::Clock as _;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::fault::Fault;
use crate::rules::Texts;
use crate::{dialplan, wiring};

mod place;

/// With less of a file system left than this, and less room than that, somebody is told.
const LEAST_SHARE: f64 = 0.05;
const LEAST_BYTES: u64 = 1 << 30;

/// Looks at the running PBX and at what it shares with us.
pub async fn look(config: &Config) -> Vec<Fault> {
    let probe = wiring::probe(config).await;
    let mut faults: Vec<Fault> = probe.findings.into_iter().map(Fault::from).collect();
    let user = probe.user.as_deref().map_or_else(|| owner_of_pbx(config), User::named);
    if let Some(user) = &user {
        faults.extend(shared(config, user));
    }
    let policy = Texts::read(config).ok().and_then(|texts| texts.policy().ok());
    if let (Some(policy), Some(codes)) = (&policy, &probe.codes) {
        faults.extend(missing_codes(policy, &config.codes.written(), codes));
    }
    faults.extend(place::taking_away(config, user.map(|user| user.id)));
    faults.extend(place::kinds(config));
    faults.extend(room(config));
    faults.extend(place::set_back(config, SystemClock.now()));
    faults
}

/// Codes that the policy tells agents and callers of, or that the machine's own file has (`[codes]`), and that the PBX does
/// not know. Those that `[codes]` has by default are on whether a site needs them or not, and so are not asked for.
fn missing_codes(policy: &Policy, own: &Codes, known: &BTreeSet<String>) -> Vec<Fault> {
    let wanted = dialplan::codes(policy, own);
    let missing = wanted.into_iter().filter(|code| !known.contains(&code.digits));
    let fault = |code: wiring::DialplanCode| {
        let hint = format!(
            "the code {} ({}) does not lead to Témoin in features.conf: write it there with `temoin dialplan --features`, and \
             `module reload features`",
            code.digits, code.name
        );
        Fault::of("features.conf", Code::PbxDialplan, hint)
            .at(format!("applicationmap.{}", code.digits), None)
    };
    missing.map(fault).collect()
}

/// Whether others than its owner and group can read a file with secrets.
pub fn secret(file: &Path) -> Option<Fault> {
    let mode = fs::metadata(file).ok()?.permissions().mode();
    let hint = format!("everybody on this machine can read the PBX's secrets: chmod 600 {}", file.display());
    (mode & 0o007 != 0).then(|| Fault::of(file.display(), Code::SecretOpen, hint))
}

/// Who the PBX runs as where it does not say: nobody else than us can be told.
fn owner_of_pbx(config: &Config) -> Option<User> {
    let owner = fs::metadata(&config.asterisk.spool).ok()?.uid();
    User::found(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(owner))
}

/// What the PBX's user cannot use of what it must share with us.
fn shared(config: &Config, user: &User) -> Vec<Fault> {
    let spool = &config.asterisk.spool;
    let mut faults = Vec::new();
    if let Err(why) = user.reaches(spool, 0o3) {
        let hint = format!("the PBX's user `{}` cannot write there: {why}", user.name);
        faults.push(Fault::of(spool.display(), Code::PbxFile, hint));
    }
    for sound in sounds(&config.prompts.folder) {
        if let Err(why) = user.reaches(&sound, 0o4) {
            let hint = format!("the PBX's user `{}` cannot read this sound: {why}", user.name);
            faults.push(Fault::of(sound.display(), Code::PbxFile, hint));
        }
    }
    faults
}

/// The sounds: `<folder>/<language>/<text>.wav`.
fn sounds(folder: &Path) -> Vec<std::path::PathBuf> {
    let list = |folder: &Path| -> Vec<_> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let mut sounds: Vec<_> = list(folder).iter().flat_map(|language| list(language)).collect();
    sounds.retain(|path| path.extension().is_some_and(|ending| ending == "wav"));
    sounds.sort();
    sounds
}

/// A user of this machine.
struct User {
    name: String,
    id: u32,
    groups: Vec<u32>,
}

impl User {
    fn named(name: &str) -> Option<Self> {
        Self::found(|fields| fields.first() == Some(&name))
    }

    fn found(is: impl Fn(&[&str]) -> bool) -> Option<Self> {
        let passwd = fs::read_to_string("/etc/passwd").ok()?;
        let fields =
            passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| is(fields))?;
        let (name, id, group) =
            (*fields.first()?, fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        let others = fs::read_to_string("/etc/group").unwrap_or_default();
        let others = others.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            fields.get(3)?.split(',').any(|member| member == name).then(|| fields.get(2)?.parse().ok())?
        });
        Some(Self { name: name.to_owned(), id, groups: others.chain([group]).collect() })
    }

    /// Whether the user can use a file (bits of `rwx`) and pass through all folders above it.
    fn reaches(&self, path: &Path, bits: u32) -> Result<(), String> {
        let path = path.canonicalize().map_err(|error| error.to_string())?;
        for folder in path.ancestors().skip(1) {
            self.may(folder, 0o1)?;
        }
        self.may(&path, bits)
    }

    fn may(&self, path: &Path, bits: u32) -> Result<(), String> {
        let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
        let mode = metadata.permissions().mode();
        let granted = match () {
            () if self.id == 0 => return Ok(()),
            () if metadata.uid() == self.id => mode >> 6,
            () if self.groups.contains(&metadata.gid()) => mode >> 3,
            () => mode,
        };
        if granted & bits == bits {
            return Ok(());
        }
        let path = path.display();
        Err(format!(
            "{path} has mode {:03o} and belongs to {}: chmod or chown it",
            mode & 0o777,
            metadata.uid()
        ))
    }
}

/// File systems that are nearly full.
fn room(config: &Config) -> Vec<Fault> {
    let places = [
        ("the spool", Some(&*config.asterisk.spool)),
        ("the index", config.store.path.parent()),
        ("the vault", Some(&*config.vault.path)),
    ];
    let places = places.into_iter().filter_map(|(what, path)| Some((what, path?)));
    places.filter_map(|(what, path)| nearly_full(what, path)).collect()
}

fn nearly_full(what: &str, path: &Path) -> Option<Fault> {
    let there = path.ancestors().find(|path| path.exists())?;
    let found = rustix::fs::statvfs(there).ok()?;
    let (free, all) =
        (found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize));
    is_nearly_full(free, all).then(|| {
        let hint = format!("{what} has {} MiB left of {}: make room", free >> 20, all >> 20);
        Fault::of(path.display(), Code::Disk, hint)
    })
}

#[allow(clippy::cast_precision_loss)]
fn is_nearly_full(free: u64, all: u64) -> bool {
    free < LEAST_BYTES || (free as f64) < all as f64 * LEAST_SHARE && free < 10 * LEAST_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_stopped_by_the_first_folder_that_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        };
        let (closed, file) = (folder.path().join("closed"), folder.path().join("closed/sound.wav"));
        fs::create_dir(&closed).expect("a folder");
        fs::write(&file, "").expect("a file");
        open(folder.path(), 0o755);
        let stranger = User { name: "pbx".into(), id: 4_000_000, groups: vec![4_000_000] };
        open(&closed, 0o755);
        open(&file, 0o644);
        assert_eq!(stranger.reaches(&file, 0o4), Ok(()));
        assert!(stranger.reaches(&closed, 0o3).is_err(), "nobody writes into another's folder");
        open(&closed, 0o700);
        assert!(stranger.reaches(&file, 0o4).is_err_and(|why| why.contains("closed has mode 700")));
        open(&closed, 0o755);
        open(&file, 0o600);
        assert!(stranger.reaches(&file, 0o4).is_err());
        let member = User { groups: vec![fs::metadata(&file).expect("a file").gid()], ..stranger };
        open(&file, 0o640);
        assert_eq!(member.reaches(&file, 0o4), Ok(()));
        assert!(member.reaches(Path::new("/nowhere"), 0o4).is_err());
    }

    #[test]
    fn little_room_is_told() {
        assert!(is_nearly_full(1 << 20, 1 << 40));
        assert!(is_nearly_full(5 << 30, 1 << 40));
        assert!(!is_nearly_full(500 << 30, 1 << 40));
        assert!(!is_nearly_full(20 << 30, 1 << 40));
    }
}
