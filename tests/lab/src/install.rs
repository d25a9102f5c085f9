//! Which Asterisk the lab runs: one that is there, or one fetched once.
//!
//! In this order: the program named by `TEMOIN_ASTERISK`, an `asterisk` of version 20 or later on `PATH`, the one in the
//! cache folder, and else [fetched](crate::fetch) into it. The modules and data of an installed one are found beside its
//! program, so that neither its configuration nor its state is read or touched.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::LabError;
use crate::fetch;

/// The oldest major version whose functions (`EXPORT`) and AMI event filters the shipped dialplan uses.
const OLDEST: u32 = 20;

/// Where the lab's Asterisk comes from.
#[derive(Debug, Clone, Copy)]
pub struct Asterisk;

impl Asterisk {
    /// Takes an Asterisk that is there, or fetches one into the user's cache folder (some tens of seconds, once for the
    /// machine, without root; several processes may ask at once). Says on stderr when it fetches.
    ///
    /// # Errors
    /// [`LabError`], with what to do about it, when none is usable and none can be fetched.
    pub fn find_or_fetch() -> Result<Install, LabError> {
        if let Some(named) = env::var_os("TEMOIN_ASTERISK").filter(|value| !value.is_empty()) {
            let path = PathBuf::from(named);
            return Install::beside(&path).map_err(|why| LabError::Unusable { path, why });
        }
        match on_path("asterisk").map(|program| Install::beside(&program)) {
            Some(Ok(install)) => return Ok(install),
            Some(Err(why)) => eprintln!("temoin-lab: the asterisk on PATH is not used: {why}"),
            None => {}
        }
        let program = fetch::cached_or_fetched()?;
        Install::beside(&program)
            .map_err(|why| LabError::Fetch { step: format!("looking at {}", program.display()), why })
    }
}

/// An Asterisk that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// The program.
    pub program: PathBuf,
    /// The folder of its `.so` modules.
    pub modules: PathBuf,
    /// Its read-only data: `documentation`, `rest-api` and the like.
    pub data: PathBuf,
    /// What it says of itself, as `22.10.1~dfsg`.
    pub version: String,
}

impl Install {
    /// Looks at the program and around it; the error says what is missing.
    fn beside(program: &Path) -> Result<Self, String> {
        let program = program.canonicalize().map_err(|error| error.to_string())?;
        let said = Command::new(&program).arg("-V").output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        let (version, major) = version(&said).ok_or_else(|| format!("its -V says {said:?}"))?;
        if major < OLDEST {
            return Err(format!("it is version {version}, {OLDEST} or later is needed"));
        }
        // bin or sbin, and what that lies in: /usr/sbin/asterisk -> /usr
        let prefix = program.ancestors().nth(2).unwrap_or(Path::new("/"));
        let modules = [prefix.join("lib"), prefix.join("lib64"), prefix.join("usr/lib"), "/usr/lib".into()]
            .iter()
            .find_map(|lib| modules_below(lib))
            .ok_or("its modules were not found beside it")?;
        let data = ["share/asterisk", "usr/share/asterisk", "var/lib/asterisk"]
            .iter()
            .map(|data| prefix.join(data))
            .chain(["/var/lib/asterisk".into()])
            .find(|data| data.is_dir())
            .ok_or("its data folder was not found beside it")?;
        Ok(Self { program, modules, data, version: version.to_owned() })
    }

    /// Whether it has a module, as `app_queue.so`.
    pub(crate) fn has(&self, module: &str) -> bool {
        self.modules.join(module).exists()
    }
}

/// The first executable file of that name on `PATH`.
fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// `lib/asterisk/modules`, or the same one folder deeper (`lib/x86_64-linux-gnu/…`).
fn modules_below(lib: &Path) -> Option<PathBuf> {
    let deeper = lib.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    std::iter::once(lib.to_owned())
        .chain(deeper)
        .map(|lib| lib.join("asterisk/modules"))
        .find(|modules| modules.join("app_stasis.so").exists())
}

/// The version and its major number out of `Asterisk 22.10.1~dfsg-1` or `Asterisk certified/20.7-cert1`.
fn version(said: &str) -> Option<(&str, u32)> {
    let version = said.strip_prefix("Asterisk ")?.split_whitespace().next()?;
    let version = version.strip_prefix("certified/").unwrap_or(version);
    let major = version.split('.').next()?.parse().ok()?;
    Some((version, major))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_asterisk_calls_itself() {
        assert_eq!(version("Asterisk 22.10.1~dfsg+~cs6.17-1"), Some(("22.10.1~dfsg+~cs6.17-1", 22)));
        assert_eq!(version("Asterisk certified/20.7-cert1"), Some(("20.7-cert1", 20)));
        assert_eq!(version("Asterisk GIT-master-1234"), None);
        assert_eq!(version("FreeSWITCH 1.10"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn names_what_is_wrong_with_a_program() {
        assert!(Install::beside(Path::new("/nonexistent/asterisk")).is_err());
        let why = Install::beside(Path::new("/bin/true")).unwrap_err();
        assert!(why.contains("-V says"), "{why}");
    }
}
