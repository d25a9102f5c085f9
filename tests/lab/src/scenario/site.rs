//! A site for the sidecar: its policy, its packs, its prompts and its `temoin.toml`, put into a bench's folder.
//!
//! A site is a folder with `policy.toml`, with `temoin.toml` as far as it does not depend on the machine (extensions,
//! lines, waits), and, where it does not use the shipped ones, with `packs/`. The campaigns of the policy are moved by
//! whole days so that today is in their middle; nothing else of it is changed. A scenario may put a policy of its own into
//! force ([`Site::policy_with`]), whose times are counted from that moment.

use std::f64::consts::TAU;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;
use jiff::{Span, Timestamp, Zoned};
use toml::{Table, Value};

use super::step::duration;

/// What prompts can say: the ending of their files' names, `temoin-<text>.wav`.
pub const TEXTS: [&str; 8] =
    ["opt-out", "opt-in", "notice", "info", "refused", "unavailable", "alternative", "contract"];

/// A site.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its folder.
    pub folder: PathBuf,
    /// What its customers hear.
    pub prompts: Prompts,
}

/// Where prompts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompts {
    /// Short tones, another one for each text and language.
    Tones,
    /// A folder of languages, as `dialplans/sounds`.
    Folder(PathBuf),
}

/// What `temoin.toml` says of the machine.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// Port of the manager interface, or of the proxy before it.
    pub ami: u16,
    /// The secret of the AMI user `temoin`.
    pub ami_secret: &'a str,
    /// Port of HTTP, or of the proxy before it.
    pub ari: u16,
    /// The password of the ARI user `temoin`.
    pub ari_secret: &'a str,
}

/// How long a generated prompt is: 60 packets.
pub(super) const TONE_LENGTH: Duration = Duration::from_millis(1200);

/// Languages of the generated prompts.
const LANGUAGES: [&str; 2] = ["fr", "de"];

/// For a line's own audio, under `broken/`: a file whose header promises what does not follow, and one that is
/// gone once the sidecar has seen it.
const TRUNCATED: &str = "truncated.wav";
const VANISHING: &str = "vanishing.wav";

impl Site {
    /// Puts the site into a folder; gives the path of its `temoin.toml`.
    ///
    /// # Errors
    /// A file of the site that cannot be read or is no TOML, a folder that cannot be written.
    pub fn install(&self, folder: &Path, machine: &Machine<'_>) -> io::Result<PathBuf> {
        fs::create_dir_all(folder.join("spool"))?;
        let mut policy = read(&self.folder.join("policy.toml"))?;
        move_campaigns(&mut policy, Zoned::now().date())?;
        fs::write(folder.join("policy.toml"), policy.to_string())?;
        let mut config = read(&self.folder.join("temoin.toml"))?;
        let packs = self.folder.join("packs");
        if packs.is_dir() {
            config.insert("packs".into(), text(&std::path::absolute(packs)?));
        }
        let prompts = match &self.prompts {
            Prompts::Tones => {
                write_tones(&folder.join("prompts"))?;
                folder.join("prompts")
            }
            Prompts::Folder(prompts) => std::path::absolute(prompts)?,
        };
        write_broken(folder, &prompts)?;
        for (key, value) in machine_half(folder, &prompts, machine) {
            config.insert(key, value);
        }
        let file = folder.join("temoin.toml");
        fs::write(&file, config.to_string())?;
        Ok(file)
    }

    /// The site's policy with these changes, table by table, and the instant that their times count from: the second
    /// that has begun, or, where one counts by `minute`, the first full minute at least 12 s ahead.
    ///
    /// A text that is a time, `{now + 6s}`, becomes a local date-time; within a text it becomes `HH:MM`.
    pub(super) fn policy_with(&self, changes: &Table, now: &Zoned) -> io::Result<(String, Timestamp)> {
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let mut policy = read(&self.folder.join("policy.toml"))?;
        move_campaigns(&mut policy, now.date())?;
        let zone = policy.get("timezone").and_then(Value::as_str).unwrap_or("UTC");
        let base = match changes.to_string().contains("{minute") {
            true => {
                let soon = now.timestamp().as_second() + 12;
                Timestamp::from_second(soon - soon.rem_euclid(60) + 60)
            }
            false => Timestamp::from_second(now.timestamp().as_second()),
        };
        let base = base.map_err(|error| wrong(error.to_string()))?;
        let local = base.in_tz(zone).map_err(|error| wrong(error.to_string()))?;
        let mut changes = Value::Table(changes.clone());
        tell_times(&mut changes, &local).map_err(wrong)?;
        let mut whole = Value::Table(policy);
        merge(&mut whole, changes);
        let text = toml::to_string(&whole).map_err(|error| wrong(error.to_string()))?;
        Ok((text, base))
    }

    /// When the day ends where the site is.
    pub(super) fn midnight(&self, now: &Zoned) -> io::Result<Timestamp> {
        let policy = read(&self.folder.join("policy.toml"))?;
        let zone = policy.get("timezone").and_then(Value::as_str).unwrap_or("UTC");
        let here = now.in_tz(zone).map_err(io::Error::other)?;
        Ok(day_ends(&here).map_err(io::Error::other)?.timestamp())
    }

    /// The folders in which the WAV files of what customers may hear lie, one for each language.
    pub(super) fn sounds(&self, folder: &Path) -> Vec<PathBuf> {
        let prompts = match &self.prompts {
            Prompts::Tones => folder.join("prompts"),
            Prompts::Folder(prompts) => prompts.clone(),
        };
        let languages = fs::read_dir(prompts).into_iter().flatten().flatten();
        languages.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// Takes away the prompt that was there when the sidecar looked.
    pub(super) fn let_vanish(&self, folder: &Path) -> io::Result<()> {
        fs::remove_file(folder.join("broken").join(VANISHING)).or_else(|error| {
            // A second start of the sidecar finds it gone already.
            if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
        })
    }
}

/// What the changes say goes before what stands there; tables are merged.
pub(super) fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Table(into), Value::Table(changes)) => {
            for (key, change) in changes {
                match into.get_mut(&key) {
                    Some(there) => merge(there, change),
                    None => {
                        into.insert(key, change);
                    }
                }
            }
        }
        (into, change) => *into = change,
    }
}

/// Puts times in the place of `{now + 6s}` and the like.
fn tell_times(value: &mut Value, base: &Zoned) -> Result<(), String> {
    match value {
        Value::Table(table) => table.iter_mut().try_for_each(|(_, value)| tell_times(value, base)),
        Value::Array(array) => array.iter_mut().try_for_each(|value| tell_times(value, base)),
        Value::String(text) => {
            let whole = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            if let Some(time) = whole.filter(|time| !time.contains('{')) {
                let local = time_of(time, base)?.datetime();
                *value = Value::Datetime(local.to_string().parse().map_err(|_| format!("{local}"))?);
                return Ok(());
            }
            while let Some((before, rest)) = text.split_once('{') {
                let (time, after) = rest.split_once('}').ok_or_else(|| format!("`{text}` has no end"))?;
                *text = format!("{before}{}{after}", time_of(time, base)?.strftime("%H:%M"));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The first instant of the next day.
fn day_ends(at: &Zoned) -> Result<Zoned, jiff::Error> {
    at.tomorrow()?.start_of_day()
}

/// `now + 6s`, `minute - 3600s`, `midnight`.
fn time_of(text: &str, base: &Zoned) -> Result<Zoned, String> {
    let words: Vec<&str> = text.split(' ').collect();
    let moved = match words[..] {
        ["midnight"] => day_ends(base),
        ["now" | "minute"] => Ok(base.clone()),
        ["now" | "minute", "+", by] => base.checked_add(duration(by)?),
        ["now" | "minute", "-", by] => base.checked_sub(duration(by)?),
        _ => return Err(format!("`{text}` is no time: `now + 6s`, `minute - 3600s`, `midnight`")),
    };
    moved.map_err(|error| format!("{text}: {error}"))
}

fn machine_half(folder: &Path, prompts: &Path, machine: &Machine<'_>) -> Table {
    let inside = |name: &str| text(&folder.join(name));
    let table = |pairs: Vec<(&str, Value)>| {
        Value::Table(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let ami = table(vec![
        ("host", "127.0.0.1".into()),
        ("port", i64::from(machine.ami).into()),
        ("user", "temoin".into()),
        ("secret", machine.ami_secret.into()),
    ]);
    let ari = table(vec![
        ("url", format!("http://127.0.0.1:{}", machine.ari).into()),
        ("user", "temoin".into()),
        ("password", machine.ari_secret.into()),
    ]);
    let keys = [
        ("policy", inside("policy.toml")),
        ("sampling_key", inside("sampling.key")),
        ("asterisk", table(vec![("spool", inside("spool")), ("ami", ami), ("ari", ari)])),
        ("store", table(vec![("path", inside("index.sqlite"))])),
        ("vault", table(vec![("path", inside("vault")), ("key", inside("vault.key"))])),
        ("prompts", table(vec![("folder", text(prompts))])),
    ];
    keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn read(file: &Path) -> io::Result<Table> {
    let wrong =
        |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", file.display()));
    fs::read_to_string(file)
        .map_err(|error| wrong(error.to_string()))?
        .parse()
        .map_err(|error: toml::de::Error| wrong(error.to_string()))
}

fn text(path: &Path) -> Value {
    Value::String(path.to_string_lossy().into_owned())
}

/// Moves every campaign with two dates so that `today` is in its middle, its length unchanged.
fn move_campaigns(policy: &mut Table, today: Date) -> io::Result<()> {
    let Some(Value::Table(campaigns)) = policy.get_mut("campaigns") else {
        return Ok(());
    };
    for (name, campaign) in campaigns {
        let day = |key: &str| campaign.get(key)?.as_datetime()?.to_string().parse::<Date>().ok();
        let (Some(from), Some(until)) = (day("from"), day("until")) else {
            continue;
        };
        let wrong = |error: jiff::Error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("campaign {name}: {error}"))
        };
        let days = (until - from).get_days();
        let from = today.checked_sub(Span::new().days(days / 2)).map_err(wrong)?;
        let until = from.checked_add(Span::new().days(days)).map_err(wrong)?;
        for (key, day) in [("from", from), ("until", until)] {
            let Ok(day) = day.to_string().parse::<toml::value::Datetime>() else {
                continue;
            };
            campaign[key] = Value::Datetime(day);
        }
    }
    Ok(())
}

fn write_tones(prompts: &Path) -> io::Result<()> {
    for (at, language) in LANGUAGES.iter().enumerate() {
        let folder = prompts.join(language);
        fs::create_dir_all(&folder)?;
        for (n, name) in TEXTS.iter().enumerate() {
            // Not a multiple of 50 Hz: each packet of a second is another one, so that it is known which was heard.
            let hz = 2003.0 + 250.0 * n as f64 + 100.0 * at as f64;
            write_tone(&folder.join(format!("temoin-{name}.wav")), hz)?;
        }
    }
    Ok(())
}

fn write_broken(folder: &Path, prompts: &Path) -> io::Result<()> {
    let broken = folder.join("broken");
    fs::create_dir_all(&broken)?;
    let whole = prompts.join(LANGUAGES[0]).join("temoin-opt-out.wav");
    fs::copy(&whole, broken.join(VANISHING))?;
    let bytes = fs::read(&whole)?;
    fs::write(broken.join(TRUNCATED), &bytes[..bytes.len() / 2])
}

fn write_tone(file: &Path, hz: f64) -> io::Result<()> {
    let value = |n: u128| (8000.0 * (TAU * hz * n as f64 / 8000.0).sin()) as i16;
    let samples: Vec<i16> = (0..8 * TONE_LENGTH.as_millis()).map(value).collect();
    write_wav(file, &samples)
}

/// Mono, 8 kHz, 16 bit.
pub(super) fn write_wav(file: &Path, samples: &[i16]) -> io::Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let wrong = |error: hound::Error| io::Error::other(format!("{}: {error}", file.display()));
    let mut wav = hound::WavWriter::create(file, spec).map_err(wrong)?;
    for sample in samples {
        wav.write_sample(*sample).map_err(wrong)?;
    }
    wav.finalize().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenarios_policy_says_only_what_it_changes_and_counts_from_now() {
        let folder = tempfile::tempdir().unwrap();
        let text = "timezone = \"Europe/Paris\"\n[lines.a]\nnumbers = []\n[campaigns.c]\nrate = 5\n";
        fs::write(folder.path().join("policy.toml"), text).unwrap();
        let site = Site { folder: folder.path().to_owned(), prompts: Prompts::Tones };
        let now = "2026-11-22T02:03:04.5+01:00[Europe/Paris]".parse().unwrap();
        let changes = "[campaigns.c]\nuntil = \"{now + 6s}\"\n".parse().unwrap();
        let (text, base) = site.policy_with(&changes, &now).unwrap();
        let policy: Table = text.parse().unwrap();
        assert_eq!(policy["campaigns"]["c"]["until"].to_string(), "2026-11-22T02:03:10");
        assert_eq!(policy["campaigns"]["c"]["rate"].as_integer(), Some(5));
        assert!(policy["lines"]["a"].is_table());
        assert_eq!(base.to_string(), "2026-11-22T01:03:04Z");
        let changes = "[campaigns.c]\ndaily = \"{minute - 7200s}-{minute}\"\n".parse().unwrap();
        let (text, base) = site.policy_with(&changes, &now).unwrap();
        assert!(text.contains("daily = \"00:04-02:04\""), "{text}");
        assert_eq!(base.to_string(), "2026-11-22T01:04:00Z");
        let changes = "site = \"{soon}\"\n".parse().unwrap();
        assert!(site.policy_with(&changes, &now).is_err());
    }

    #[test]
    fn campaigns_are_moved_around_today_and_nothing_else_is() {
        let text = "site = \"s\"\n[campaigns.a]\nfrom = 2026-09-01\nuntil = 2026-11-30\nrate = 200\n[campaigns.b]\nfrom = 2026-09-01\n";
        let mut policy: Table = text.parse().unwrap();
        move_campaigns(&mut policy, "2031-03-10".parse().unwrap()).unwrap();
        let of = |name: &str, key: &str| policy["campaigns"][name].get(key).unwrap().to_string();
        assert_eq!((of("a", "from"), of("a", "until")), ("2031-01-24".into(), "2031-04-24".into()));
        assert_eq!(of("b", "from"), "2026-09-01");
        assert_eq!(policy["site"].as_str(), Some("s"));
    }
}
