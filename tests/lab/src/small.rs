//! A file system of its own, small enough to be filled: for what happens when there is no room left, and for a spool that
//! does not lie beside the vault.
//!
//! Two ways, neither of which needs rights: a tmpfs in a user and mount namespace that a sleeping child holds, reached
//! through `/proc/<child>/root`; or, where namespaces are forbidden as in most containers, a `/dev/shm` that is small by
//! itself (a container's has 64 MiB). What is written there meets the kernel's own `ENOSPC`. Where there is neither, the
//! error says so: nothing is passed over.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::{Doing, LabError};
use crate::guarded::Guarded;

/// So much room it has.
const ROOM: u64 = 4 << 20;
/// And so much when it is nearly full.
const LITTLE: u64 = 256 << 10;
/// A `/dev/shm` up to this size may be filled; a greater one is the machine's memory.
const SMALL: u64 = 256 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
const PAGE: u64 = 4096;

/// How much room is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// None at all.
    None,
    /// A quarter of a MiB.
    Little,
    /// 4 MiB.
    Enough,
}

/// The file system; gone with this.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    folder: PathBuf,
    ballast: PathBuf,
    /// What it hangs on: the mount's keeper, or a folder in `/dev/shm`.
    _keeper: Keeper,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held for their end")]
enum Keeper {
    Namespace(Guarded, TempDir),
    Folder(TempDir),
}

impl SmallDisk {
    /// One that is another file system than `other` lies on.
    pub(crate) fn start(other: &Path) -> Result<Self, LabError> {
        let (keeper, root) = match in_namespace() {
            Ok(found) => found,
            Err(why) => {
                eprintln!("temoin-lab: no small file system in a namespace ({why}); looking at /dev/shm");
                in_shared_memory().map_err(|also| none(&format!("{why}; {also}")))?
            }
        };
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev());
        let doing = || format!("looking at {}", root.display());
        if device(&root).doing(doing)? == device(other).doing(doing)? {
            return Err(none(&format!("{} lies where {} does", root.display(), other.display())));
        }
        let disk = Self { folder: root.join("spool"), ballast: root.join("ballast"), _keeper: keeper };
        fs::create_dir(&disk.folder).doing(|| format!("creating {}", disk.folder.display()))?;
        disk.leave(Room::Enough)?;
        Ok(disk)
    }

    /// A folder on it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Leaves so much room, whatever else lies there.
    pub(crate) fn leave(&self, room: Room) -> Result<(), LabError> {
        let doing = || format!("filling {}", self.ballast.display());
        let wanted = match room {
            Room::None => 0,
            Room::Little => LITTLE,
            Room::Enough => ROOM,
        };
        let mut ballast = File::options().create(true).append(true).open(&self.ballast).doing(doing)?;
        loop {
            let free = self.free().doing(doing)?;
            let length = ballast.metadata().doing(doing)?.len();
            if free < wanted {
                let shorter = length.saturating_sub(wanted - free) / PAGE * PAGE;
                ballast.set_len(shorter).doing(doing)?;
                return Ok(());
            }
            if free - wanted < PAGE {
                return Ok(());
            }
            match ballast.write_all(&vec![0; (free - wanted) as usize]) {
                // Somebody else was there first.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
                written => written.doing(doing)?,
            }
        }
    }

    fn free(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.folder)?;
        Ok(found.f_bavail * found.f_frsize)
    }
}

fn in_namespace() -> Result<(Keeper, PathBuf), String> {
    let folder = tempfile::Builder::new().prefix("temoin-small-").tempdir_in("/tmp").map_err(text)?;
    let here = fs::metadata(folder.path()).map_err(text)?.dev();
    // `read` waits for ever on a pipe that nobody writes into; its end is this process's end.
    let script = format!("mount -t tmpfs -o size={},mode=0700 tmpfs \"$0\" && read -r _", 2 * ROOM);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut keeper = Guarded::start(&mut command).map_err(text)?;
    let inside = PathBuf::from(format!("/proc/{}/root", keeper.id()));
    let root = inside.join(folder.path().strip_prefix("/").map_err(text)?);
    let deadline = Instant::now() + PATIENCE;
    while fs::metadata(&root).map_or(true, |found| found.dev() == here) {
        if let Some(status) = keeper.exited() {
            return Err(format!("unshare: {status}"));
        }
        if Instant::now() > deadline {
            return Err(format!("unshare: nothing mounted after {PATIENCE:?}"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok((Keeper::Namespace(keeper, folder), root))
}

fn in_shared_memory() -> Result<(Keeper, PathBuf), String> {
    let found = rustix::fs::statvfs("/dev/shm").map_err(|error| format!("/dev/shm: {error}"))?;
    let (all, free) = (found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize);
    if all > SMALL {
        return Err(format!("/dev/shm has {} MiB: that is memory of the whole machine", all >> 20));
    }
    if free < ROOM {
        return Err(format!("/dev/shm has {} KiB left", free >> 10));
    }
    let folder = tempfile::Builder::new().prefix("temoin-small-").tempdir_in("/dev/shm").map_err(text)?;
    let root = folder.path().to_owned();
    Ok((Keeper::Folder(folder), root))
}

fn none(why: &str) -> LabError {
    LabError::NoSmallDisk { why: why.to_owned() }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_filled_to_the_last_page_and_emptied_again() {
        let disk = SmallDisk::start(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let file = disk.folder().join("file");
        fs::write(&file, vec![1; 1 << 20]).unwrap();
        disk.leave(Room::None).unwrap();
        let full = File::options().append(true).open(&file).unwrap().write_all(&[1; 2 * PAGE as usize]);
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
        disk.leave(Room::Little).unwrap();
        fs::write(disk.folder().join("other"), vec![1; LITTLE as usize / 2]).unwrap();
        assert!(fs::write(disk.folder().join("third"), vec![1; LITTLE as usize]).is_err());
        disk.leave(Room::Enough).unwrap();
        fs::write(disk.folder().join("third"), vec![1; ROOM as usize / 2]).unwrap();
    }
}
