//! What the folders lie on, and whether files in the spool can be taken away.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use temoin_core::finding::Code;

use super::User;
use crate::config::Config;
use crate::fault::Fault;

/// Kinds of file systems by their magic number (`statfs(2)`), and what is wrong with them here.
const KINDS: [(u64, &str, &str); 12] = [
    (0x0102_1994, "tmpfs", FORGETS),
    (0x8584_58f6, "ramfs", FORGETS),
    (0x794c_7630, "overlayfs", "it is a layer of a container and goes with it: mount a volume there"),
    (0x6969, "NFS", AFAR),
    (0x517b, "SMB", AFAR),
    (0xff53_4d42, "CIFS", AFAR),
    (0xfe53_4d42, "SMB2", AFAR),
    (0x0102_1997, "9P", AFAR),
    (0x5346_414f, "AFS", AFAR),
    (0x00c3_6400, "Ceph", AFAR),
    (0x7461_636f, "OCFS2", AFAR),
    (0x6573_5546, "FUSE", "nobody knows whether it keeps what it says it kept: use a local disk"),
];
const FORGETS: &str = "what is there is gone after a restart: use a disk";
const AFAR: &str = "it lies on another machine: when that is away, calls wait for it, and locks and erasure are not sure; use \
                    a local disk";

/// File systems that are not made for what lies on them.
pub(super) fn kinds(config: &Config) -> Vec<Fault> {
    let places = [
        ("the spool", Some(&*config.asterisk.spool)),
        ("the index", config.store.path.parent()),
        ("the vault", Some(&*config.vault.path)),
    ];
    let kind = |(what, path): (&str, Option<&Path>)| {
        let there = path?.ancestors().find(|path| path.exists())?;
        let found = rustix::fs::statfs(there).ok()?.f_type;
        let (name, why) = named(u64::from_ne_bytes(found.to_ne_bytes()))?;
        let hint = format!("{what} is on {name}: {why}");
        Some(Fault::of(path?.display(), Code::FileSystem, hint))
    };
    places.into_iter().filter_map(kind).collect()
}

/// Magic numbers have 32 bits, whatever the platform makes of their sign.
fn named(magic: u64) -> Option<(&'static str, &'static str)> {
    let found = KINDS.iter().find(|(known, ..)| *known == magic & 0xffff_ffff)?;
    Some((found.1, found.2))
}

/// Whether the user that Témoin runs as can take the PBX's files out of the spool: who cannot keeps every recording
/// there in clear, for ever. That user is the one to whom the index belongs; before the first start nobody knows him.
pub(super) fn taking_away(config: &Config, pbx: Option<u32>) -> Option<Fault> {
    let spool = &config.asterisk.spool;
    let ours = fs::metadata(&config.store.path).ok()?.uid();
    let user = User::found(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(ours))
        .unwrap_or_else(|| User { name: ours.to_string(), id: ours, groups: Vec::new() });
    let fault = |why: String| {
        let hint = format!("Témoin's user `{}` cannot take recordings out of the spool: {why}", user.name);
        Some(Fault::of(spool.display(), Code::PbxFile, hint))
    };
    if user.id == 0 || !spool.exists() {
        return None;
    }
    if let Err(why) = user.reaches(spool, 0o3) {
        return fault(why);
    }
    let metadata = fs::metadata(spool).ok()?;
    let is_sticky = metadata.permissions().mode() & 0o1000 != 0;
    if is_sticky && metadata.uid() != user.id && pbx != Some(user.id) {
        return fault(
            "the folder is sticky, so that only owners can remove files: chmod -t it, or chown it".into(),
        );
    }
    None
}

/// Whether the clock was set back: what this program wrote last would then be written in the future.
pub(super) fn set_back(config: &Config, now: jiff::Timestamp) -> Option<Fault> {
    /// A file system may count in steps of two seconds, and clocks are slewed by less.
    const APART: i64 = 5;
    let alive = config.store.path.with_extension("alive");
    let written =
        [&alive, &config.store.path].into_iter().filter_map(|file| fs::metadata(file).ok()?.modified().ok());
    let last = written.filter_map(|at| jiff::Timestamp::try_from(at).ok()).max()?;
    let ahead = last.duration_since(now).as_secs();
    (ahead > APART).then(|| {
        let hint = format!(
            "the index was last written {ahead} seconds in the future: the clock was set back; let it be slewed by NTP, \
             not stepped, and wait until it is later than that before calls are recorded again"
        );
        Fault::of("the clock", Code::PbxClock, hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_whatever_the_sign_of_its_number() {
        assert_eq!(named(0x6969).map(|(name, _)| name), Some("NFS"));
        let negative = i64::from(0xff53_4d42_u32.cast_signed());
        assert_eq!(named(u64::from_ne_bytes(negative.to_ne_bytes())).map(|(name, _)| name), Some("CIFS"));
        assert_eq!(named(0xef53), None, "ext4 is fine");
    }
}
