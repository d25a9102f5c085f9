//! Why the driver does not start: what, where, and how to mend it.

use std::fmt;
use std::path::PathBuf;

/// The major versions of Asterisk that real calls were made on.
pub const TESTED_MAJORS: [u32; 1] = [22];

/// Which of the two interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The manager interface, `manager.conf`.
    Ami,
    /// The REST interface, `ari.conf` and `http.conf`.
    Ari,
}

/// A fault that waiting does not mend. A PBX that is merely absent is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The address cannot be used.
    #[error("{place}: {why}; set it as http://HOST:PORT without /ari, and `tls` exactly where it is https")]
    Address {
        /// Which interface.
        place: Place,
        /// What is wrong with it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("{place}: {path}: {why}; `tls.ca` must name a PEM file with the authority's certificates", path = path.display())]
    Tls {
        /// Which interface.
        place: Place,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// User or password are wrong.
    #[error("{place}: Asterisk refuses the user `{user}`: {how}")]
    Credentials {
        /// Which interface.
        place: Place,
        /// Who.
        user: String,
        /// How to mend it.
        how: String,
    },
    /// The user may not do what we need.
    #[error("{place}: the user `{user}` may not {what}: {how}")]
    Permission {
        /// Which interface.
        place: Place,
        /// Who.
        user: String,
        /// What it needs.
        what: String,
        /// How to mend it.
        how: String,
    },
    /// There is something else at the address, or the module is not loaded.
    #[error("{place}: {what}: {how}")]
    Missing {
        /// Which interface.
        place: Place,
        /// What is not there.
        what: String,
        /// How to mend it.
        how: String,
    },
    /// This version was never tested.
    #[error(
        "Asterisk {found} was never tested with Témoin (tested: {TESTED_MAJORS:?}): install a tested one, or set \
         `allow_untested_version = true` and test recordings, transfers and codes yourself"
    )]
    Version {
        /// As Asterisk says it.
        found: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ami => "AMI (manager.conf)",
            Self::Ari => "ARI (ari.conf, http.conf)",
        })
    }
}

/// Older ones lack what recorders and codes are built on, whatever the configuration allows.
pub(crate) const OLDEST_MAJOR: u32 = 20;

/// The major version: `22.10.1+dfsg` is of 22, and what comes from a repository (`GIT-master-…`) of none.
pub(crate) fn major(found: &str) -> Option<u32> {
    let digits = found.strip_prefix("certified/").unwrap_or(found);
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Refuses a version that was never tested: `22.10.1+dfsg`, `certified/20.7-cert3`, `GIT-master-…`.
pub(crate) fn check_version(found: &str, allow: bool) -> Result<(), StartError> {
    if major(found).is_some_and(|major| TESTED_MAJORS.contains(&major)) {
        return Ok(());
    }
    if allow {
        tracing::warn!(version = found, "this version of Asterisk was never tested; going on as configured");
        return Ok(());
    }
    Err(StartError::Version { found: found.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tested_versions_pass() {
        for good in ["22.10.1+dfsg+~cs6.17.60671434-1", "22.0.0", "certified/22.7-cert1"] {
            assert_eq!(check_version(good, false), Ok(()), "{good}");
        }
        for bad in ["16.28.0", "23.1.0", "GIT-master-1f0ac2", "", "221.0"] {
            let error = check_version(bad, false).unwrap_err();
            assert!(error.to_string().contains("allow_untested_version"), "{error}");
            assert_eq!(check_version(bad, true), Ok(()), "{bad}");
        }
    }
}
