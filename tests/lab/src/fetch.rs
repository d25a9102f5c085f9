//! Fetches an Asterisk for a machine whose own release has none, and touches nothing of that machine.
//!
//! apt, with a state of its own and an empty list of installed packages, downloads Asterisk from a newer suite of the
//! machine's own Debian mirror together with everything it depends on, its C library included; dpkg unpacks that into the
//! cache folder; a small wrapper runs it by that C library's own loader. No root, no chroot, no maintainer script. The
//! mirror is read from apt's source files, not asked from apt, which knows none before its first `update`.
//!
//! Left out: prompts and music of Asterisk (the lab plays only what is shipped in `dialplans/sounds`), other
//! distributions, updates (delete the folder to fetch anew).

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use crate::error::{Doing, LabError};

/// Suites to try, in order: testing may be without Asterisk for a while.
const SUITES: [&str; 2] = ["forky", "sid"];

/// Part of the folder's name: another layout is another folder.
const LAYOUT: &str = "debian-1";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Part of the folder's name of what sets clocks.
const FAKETIME: &str = "faketime-1";

/// Unpacked files that Asterisk never reads.
const UNREAD: [&str; 7] = [
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/locale/*",
    "./usr/share/info/*",
    "./usr/share/perl*",
    "./usr/lib/*/perl*",
    "./usr/share/asterisk/sounds/*",
];

/// The program in the cache folder. Who comes second waits for the first and finds it there.
pub(crate) fn cached_or_fetched() -> Result<PathBuf, LabError> {
    let cache = cache_folder()?;
    let home = cache.join(LAYOUT);
    let program = home.join("bin/asterisk");
    fs::create_dir_all(&cache).doing(|| format!("creating {}", cache.display()))?;
    let lock = cache.join("lock");
    let lock = File::create(&lock).doing(|| format!("creating {}", lock.display()))?;
    lock.lock().doing(|| "waiting for another process that fetches Asterisk".to_owned())?;
    if !program.exists() {
        eprintln!(
            "temoin-lab: no asterisk here; fetching one into {} (once, about a minute)",
            home.display()
        );
        let new = tempfile::Builder::new()
            .prefix("new-")
            .tempdir_in(&cache)
            .doing(|| format!("creating a folder in {}", cache.display()))?;
        let prefix = new.path().join("prefix");
        fetch_into(&prefix, &new.path().join("apt"))?;
        fs::rename(&prefix, &home).doing(|| format!("renaming to {}", home.display()))?;
    }
    Ok(program)
}

/// The library that sets a program's clock (`LD_PRELOAD`): installed, cached, or fetched from the machine's own suite, whose
/// C library the programs here are built for.
pub(crate) fn faketime() -> Result<PathBuf, LabError> {
    const NAME: &str = "faketime/libfaketime.so.1";
    let below = |lib: &Path| -> Option<PathBuf> {
        let folders = lib.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        std::iter::once(lib.to_owned()).chain(folders).map(|lib| lib.join(NAME)).find(|found| found.exists())
    };
    if let Some(installed) = below(Path::new("/usr/lib")) {
        return Ok(installed);
    }
    let cache = cache_folder()?;
    let home = cache.join(FAKETIME);
    fs::create_dir_all(&cache).doing(|| format!("creating {}", cache.display()))?;
    let lock = cache.join("lock");
    let lock = File::create(&lock).doing(|| format!("creating {}", lock.display()))?;
    lock.lock().doing(|| "waiting for another process that fetches".to_owned())?;
    if !home.exists() {
        eprintln!("temoin-lab: no libfaketime here; fetching it into {} (once)", home.display());
        let new = tempfile::Builder::new()
            .prefix("new-")
            .tempdir_in(&cache)
            .doing(|| format!("creating a folder in {}", cache.display()))?;
        let prefix = new.path().join("prefix");
        fs::create_dir(&prefix).doing(|| format!("creating {}", prefix.display()))?;
        let mirror = mirror().ok_or_else(|| missing("Debian mirror in apt's sources"))?;
        let arch = run(Command::new("dpkg").arg("--print-architecture"), "asking dpkg for the architecture")?;
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let suite = suite.ok_or_else(|| missing("VERSION_CODENAME in /etc/os-release"))?;
        let package = Apt::new(&new.path().join("apt"), arch.trim(), &mirror)?.one(suite, "libfaketime")?;
        let mut dpkg = Command::new("dpkg-deb");
        run(dpkg.arg("--extract").arg(&package).arg(&prefix), "unpacking libfaketime")?;
        fs::rename(&prefix, &home).doing(|| format!("renaming to {}", home.display()))?;
    }
    below(&home.join("usr/lib")).ok_or_else(|| missing("libfaketime.so.1 in the package"))
}

fn missing(what: &str) -> LabError {
    LabError::Fetch { step: "looking for libfaketime".to_owned(), why: format!("no {what}") }
}

fn cache_folder() -> Result<PathBuf, LabError> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .map(|cache| cache.join("temoin/asterisk"))
        .ok_or_else(|| LabError::NoneToFetch {
            why: "no asterisk, and neither XDG_CACHE_HOME nor HOME says where to keep one".to_owned(),
        })
}

/// Downloads into `work` and unpacks into `prefix`.
fn fetch_into(prefix: &Path, work: &Path) -> Result<(), LabError> {
    let arch = run(Command::new("dpkg").arg("--print-architecture"), "asking dpkg for the architecture")
        .map_err(|error| match error {
            LabError::Io { .. } => {
                LabError::NoneToFetch { why: "no asterisk, and no dpkg and apt to fetch one".to_owned() }
            }
            other => other,
        })?;
    let mirror = mirror().ok_or_else(|| LabError::NoneToFetch {
        why: "no asterisk, and no Debian mirror in apt's sources".to_owned(),
    })?;
    let apt = Apt::new(work, arch.trim(), &mirror)?;
    let mut last = LabError::NoneToFetch { why: "no asterisk, and no suite to fetch it from".to_owned() };
    for suite in SUITES {
        match apt.download(suite) {
            Ok(packages) => {
                eprintln!("temoin-lab: unpacking {} packages of {suite}", packages.len());
                return unpack(&packages, prefix);
            }
            Err(error) => {
                eprintln!("temoin-lab: nothing from {suite}: {error}");
                last = error;
            }
        }
    }
    Err(last)
}

/// apt with everything of its own but the way to the network.
struct Apt<'a> {
    work: &'a Path,
    arch: &'a str,
    mirror: &'a str,
}

impl<'a> Apt<'a> {
    fn new(work: &'a Path, arch: &'a str, mirror: &'a str) -> Result<Self, LabError> {
        for dir in ["state/lists/partial", "cache/archives/partial"] {
            let dir = work.join(dir);
            fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
        }
        write(&work.join("status"), "")?;
        // The machine's proxies and certificates stay; its hooks, pins and sources do not.
        let network =
            run(Command::new("apt-config").args(["dump", "Acquire"]), "asking apt for its proxies")?;
        let work_dir = work.display();
        let config = format!(
            r#"{network}
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{work_dir}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{work_dir}/state";
Dir::State::status "{work_dir}/status";
Dir::Cache "{work_dir}/cache";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
APT::Get::Assume-Yes "true";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "true";
"#
        );
        write(&work.join("apt.conf"), &config)?;
        Ok(Self { work, arch, mirror })
    }

    /// The package files of Asterisk and of all it depends on.
    fn download(&self, suite: &str) -> Result<Vec<PathBuf>, LabError> {
        self.update(suite)?;
        self.get(&["--download-only", "install", "asterisk"])?;
        let archives = self.work.join("cache/archives");
        let mut packages: Vec<PathBuf> = archives
            .read_dir()
            .doing(|| format!("reading {}", archives.display()))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .collect();
        packages.sort();
        Ok(packages)
    }

    /// The file of one package, without what it depends on.
    fn one(&self, suite: &str, package: &str) -> Result<PathBuf, LabError> {
        self.update(suite)?;
        self.get(&["download", package])?;
        let files = self.work.read_dir().doing(|| format!("reading {}", self.work.display()))?;
        let deb = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "deb");
        files.flatten().map(|entry| entry.path()).find(deb).ok_or_else(|| missing("package downloaded"))
    }

    fn update(&self, suite: &str) -> Result<(), LabError> {
        let signed =
            if Path::new(KEYRING).exists() { format!("signed-by={KEYRING} ") } else { String::new() };
        let source = format!("deb [{signed}arch={}] {} {suite} main\n", self.arch, self.mirror);
        write(&self.work.join("sources.list"), &source)?;
        self.get(&["update"]).map(drop)
    }

    fn get(&self, words: &[&str]) -> Result<String, LabError> {
        let mut apt = Command::new("apt-get");
        apt.current_dir(self.work);
        apt.env("APT_CONFIG", self.work.join("apt.conf")).env("LC_ALL", "C").arg("-qq").args(words);
        run(&mut apt, &format!("apt-get {}", words.join(" ")))
    }
}

fn unpack(packages: &[PathBuf], prefix: &Path) -> Result<(), LabError> {
    for name in ["bin", "lib", "lib64", "sbin"] {
        let real = prefix.join("usr").join(name);
        fs::create_dir_all(&real).doing(|| format!("creating {}", real.display()))?;
        symlink(Path::new("usr").join(name), prefix.join(name)).doing(|| format!("linking {name}"))?;
    }
    for package in packages {
        let name = package.file_name().unwrap_or_default().to_string_lossy();
        let mut dpkg = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(package)
            .stdout(process::Stdio::piped())
            .spawn()
            .doing(|| "starting dpkg-deb".to_owned())?;
        let files = dpkg.stdout.take().map_or_else(process::Stdio::null, process::Stdio::from);
        let mut tar = Command::new("tar");
        tar.arg("-xC").arg(prefix).args(["--keep-directory-symlink", "--no-same-owner"]).stdin(files);
        tar.args(UNREAD.map(|path| format!("--exclude={path}")));
        run(&mut tar, &format!("unpacking {name}"))?;
        let status = dpkg.wait().doing(|| "waiting for dpkg-deb".to_owned())?;
        if !status.success() {
            return Err(LabError::Fetch { step: format!("reading {name}"), why: status.to_string() });
        }
    }
    // /bin is the wrapper's place from here on.
    fs::remove_file(prefix.join("bin")).doing(|| "removing the link bin".to_owned())?;
    write_wrapper(prefix)
}

/// `bin/asterisk`, which may be moved together with its folder.
fn write_wrapper(prefix: &Path) -> Result<(), LabError> {
    let missing =
        |what: &str| LabError::Fetch { step: "unpacking".to_owned(), why: format!("no {what} came with it") };
    let libraries = prefix.join("usr/lib");
    let folders: Vec<PathBuf> = fs::read_dir(&libraries)
        .doing(|| format!("reading {}", libraries.display()))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let triplet = folders
        .iter()
        .find(|folder| folder.join("asterisk/modules").is_dir())
        .and_then(|folder| folder.file_name())
        .ok_or_else(|| missing("module"))?
        .to_string_lossy()
        .into_owned();
    let loader = [format!("usr/lib/{triplet}"), "usr/lib64".to_owned(), "usr/lib".to_owned()]
        .iter()
        .flat_map(|folder| prefix.join(folder).read_dir().into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .find(|path| {
            path.is_file()
                && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux-"))
        })
        .and_then(|path| Some(path.strip_prefix(prefix).ok()?.to_owned()))
        .ok_or_else(|| missing("loader"))?;
    let script = format!(
        r#"#!/bin/sh
# Asterisk, run by the loader and the libraries that it came with.
p=$(dirname "$(dirname "$(readlink -f "$0")")")
exec "$p/{loader}" --argv0 asterisk \
  --library-path "$p/usr/lib/{triplet}:$p/usr/lib/{triplet}/pulseaudio:$p/usr/lib" \
  "$p/usr/sbin/asterisk" "$@"
"#,
        loader = loader.display()
    );
    let bin = prefix.join("bin");
    fs::create_dir(&bin).doing(|| format!("creating {}", bin.display()))?;
    let program = bin.join("asterisk");
    write(&program, &script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .doing(|| format!("making {} executable", program.display()))
}

/// The first Debian mirror in apt's source files.
fn mirror() -> Option<String> {
    let parts =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = parts.collect();
    files.sort();
    files.insert(0, "/etc/apt/sources.list".into());
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| mirror_in(&text))
}

/// Of a source file in either form, the first address whose path is `/debian`.
fn mirror_in(text: &str) -> Option<String> {
    text.lines()
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("http://") || word.starts_with("https://"))
        .map(|address| address.trim_end_matches('/'))
        .find(|address| address.ends_with("/debian"))
        .map(str::to_owned)
}

/// Runs a tool to its end; its stdout, or the end of what it said.
fn run(command: &mut Command, step: &str) -> Result<String, LabError> {
    let output = command.output().doing(|| step.to_owned())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    let why = last.into_iter().rev().collect::<Vec<_>>().join(" / ");
    Err(LabError::Fetch { step: step.to_owned(), why: format!("{}: {why}", output.status) })
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).doing(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_mirror_from_both_forms_of_source_files() {
        let new = "Types: deb\n# a snapshot\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\n\n\
                   Types: deb\nURIs: http://mirror.example/debian/\nSuites: bookworm\n";
        assert_eq!(mirror_in(new).as_deref(), Some("http://mirror.example/debian"));
        let old = "# deb http://old.example/debian bookworm main\n\
                   deb http://mirror.example/ubuntu noble main\n\
                   deb [arch=amd64 signed-by=/x.gpg] https://mirror.example/debian bookworm main\n";
        assert_eq!(mirror_in(old).as_deref(), Some("https://mirror.example/debian"));
        assert_eq!(mirror_in("deb cdrom:[Debian 12]/ bookworm main\n"), None);
    }

    #[test]
    fn a_failing_tool_is_named_with_its_last_words() {
        let error = run(Command::new("sh").args(["-c", "echo no such suite >&2; exit 7"]), "apt-get update")
            .unwrap_err();
        let said = error.to_string();
        assert!(said.contains("apt-get update") && said.contains("no such suite"), "{said}");
        assert!(said.contains("TEMOIN_ASTERISK"), "{said}");
    }
}
