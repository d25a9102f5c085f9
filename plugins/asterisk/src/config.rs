//! How this machine reaches its Asterisk. One struct per concern, unknown keys refused, secrets that do not print.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;

/// All that the driver needs to know.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsteriskConfig {
    /// The manager interface.
    pub ami: AmiConfig,
    /// The REST interface.
    pub ari: AriConfig,
    /// The Stasis application's name, as the dialplan's hook names it.
    #[serde(default = "app")]
    pub app: String,
    /// The folder, absolute and writable by Asterisk, where recorders put a segment's two files.
    pub spool: PathBuf,
    /// How long we wait, and for what.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// Go on although this major version of Asterisk was never tested (see [`crate::TESTED_MAJORS`]).
    #[serde(default)]
    pub allow_untested_version: bool,
}

/// Where the manager interface is and who we are there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmiConfig {
    /// Host name or address.
    #[serde(default = "localhost")]
    pub host: String,
    /// Port; Asterisk's own defaults are 5038, and 5039 with TLS.
    #[serde(default = "ami_port")]
    pub port: u16,
    /// The section's name in `manager.conf`.
    pub user: String,
    /// Its `secret`.
    pub secret: Secret,
    /// TLS, where `tlsenable=yes`.
    pub tls: Option<Tls>,
}

/// Where the REST interface is and who we are there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AriConfig {
    /// Root of Asterisk's web server, as `http://127.0.0.1:8088`; with its `prefix`, without `/ari`.
    pub url: String,
    /// The section's name in `ari.conf`.
    pub user: String,
    /// Its `password`.
    pub password: Secret,
    /// Needed for `https`, refused for `http`.
    pub tls: Option<Tls>,
}

/// Whom to believe. A PBX has a certificate of its own making, so the authority is always named.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificates of the authority.
    pub ca: PathBuf,
    /// The name in the certificate, where it is not the host we connect to.
    pub server_name: Option<String>,
}

/// How long we wait, and for what. Written as `"2s"`, `"500ms"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deadlines {
    /// For an order, from the asking to the answer.
    pub order: SignedDuration,
    /// For a connection and its login.
    pub connect: SignedDuration,
    /// For the look at the whole PBX after a gap.
    pub snapshot: SignedDuration,
    /// Between two AMI pings.
    pub ami_ping: SignedDuration,
    /// AMI silence after which the link counts as lost.
    pub ami_idle: SignedDuration,
    /// Between two WebSocket pings.
    pub ari_ping: SignedDuration,
    /// WebSocket silence after which the link counts as lost.
    pub ari_idle: SignedDuration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = SignedDuration::from_secs;
        Self {
            order: seconds(2),
            connect: seconds(5),
            snapshot: seconds(10),
            ami_ping: seconds(5),
            ami_idle: seconds(15),
            ari_ping: seconds(10),
            ari_idle: seconds(30),
        }
    }
}

/// A duration as tokio wants it; a negative one counts as none.
pub(crate) fn wait(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

/// A password: it does not print.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps one.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the wire alone.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

fn app() -> String {
    "temoin".into()
}

fn localhost() -> String {
    "127.0.0.1".into()
}

fn ami_port() -> u16 {
    5038
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        spool = "/var/spool/temoin"
        deadlines = { order = "1500ms" }
        ami = { user = "temoin", secret = "hush-ami" }
        ari = { url = "http://127.0.0.1:8088", user = "temoin", password = "hush-ari" }
    "#;

    #[test]
    fn reads_defaults_and_keeps_secrets() {
        let config: AsteriskConfig = toml::from_str(TEXT).unwrap();
        assert_eq!((config.app.as_str(), config.ami.port), ("temoin", 5038));
        assert_eq!(wait(config.deadlines.order), Duration::from_millis(1500));
        assert_eq!(wait(config.deadlines.ari_idle), Duration::from_secs(30));
        assert!(!config.allow_untested_version);
        let printed = format!("{config:?}");
        assert!(!printed.contains("hush"), "{printed}");
    }

    #[test]
    fn refuses_unknown_keys() {
        for wrong in ["colour = 1\n", "ami.colour = 1\n"] {
            let text = format!("{wrong}{TEXT}").replace("ami = {", "[ami]\n#");
            assert!(toml::from_str::<AsteriskConfig>(&text).is_err());
        }
        let text = TEXT.replace("password", "pasword");
        assert!(toml::from_str::<AsteriskConfig>(&text).unwrap_err().to_string().contains("pasword"));
    }
}
