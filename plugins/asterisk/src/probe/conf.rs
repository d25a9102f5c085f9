//! A configuration file of Asterisk as `GetConfig` tells it (class `system`): its includes with it and its templates
//! applied, as the next reload will read it. What was loaded from an older text no interface tells.

use tokio::time::Instant;

use crate::ami::connection::{Handle, Urgency};
use crate::ami::frame::{Action, Message};

/// The sections of a file, in its order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Conf(pub Vec<Section>);

/// `[name]`, and `key = value` or `key => value` below it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Section {
    pub name: String,
    pub lines: Vec<(String, String)>,
}

/// Why a file could not be read.
#[derive(Debug, PartialEq)]
pub(super) enum Unread {
    /// There is none.
    Absent,
    /// Asterisk says why, or the link.
    Refused(String),
}

/// Reads a file, or of it the sections that match a filter (`name_regex=value_regex`).
pub(super) async fn read(
    ami: &Handle,
    file: &str,
    filter: Option<&str>,
    deadline: Instant,
) -> Result<Conf, Unread> {
    let ask = Action::new("GetConfig").with("Filename", file);
    let ask = match filter {
        Some(filter) => ask.with("Filter", filter),
        None => ask,
    };
    let answer = ami.send(ask, Urgency::Normal, None, deadline).await;
    let answer = answer.map_err(|error| Unread::Refused(error.to_string()))?;
    match (answer.first("Response"), answer.first("Message")) {
        (Some("Success"), _) => Ok(Conf::of(&answer)),
        (_, Some("Config file not found")) => Err(Unread::Absent),
        (_, why) => Err(Unread::Refused(why.unwrap_or("it does not say why").to_owned())),
    }
}

impl Conf {
    /// `Category-000000: applicationmap`, then `Line-000000-000001: temoin-pause=*9,peer,Gosub,…`.
    pub fn of(answer: &Message) -> Self {
        let mut sections: Vec<Section> = Vec::new();
        for (header, value) in &answer.headers {
            let header = header.to_ascii_lowercase();
            if header.starts_with("category-") {
                sections.push(Section { name: value.clone(), lines: Vec::new() });
            } else if header.starts_with("line-")
                && let Some(section) = sections.last_mut()
                && let Some((key, value)) = value.split_once('=')
            {
                let value = value.trim_start_matches('>').trim();
                section.lines.push((key.trim().to_owned(), value.to_owned()));
            }
        }
        Self(sections)
    }

    /// The lines of all sections of a name.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let sections = self.0.iter().filter(move |section| section.name == name);
        sections.flat_map(|section| &section.lines).map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

#[cfg(test)]
pub(super) fn told(lines: &[(&str, &str)]) -> Conf {
    let mut answer = Message::default();
    answer.headers.extend(lines.iter().map(|(key, value)| ((*key).into(), (*value).into())));
    Conf::of(&answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_belong_to_the_section_above_them() {
        let conf = told(&[
            ("Response", "Success"),
            ("Line-000000-000000", "lost=1"),
            ("Category-000000", "general"),
            ("Category-000001", "400"),
            ("Line-000001-000000", "monitor-format=wav"),
            ("Line-000001-000001", "odd"),
            ("Line-000001-000002", "member=> Local/2101@from-queue/n,0"),
            ("Category-000002", "400"),
            ("Line-000002-000000", "strategy=ringall"),
        ]);
        assert_eq!(conf.0.len(), 3);
        let lines: Vec<_> = conf.lines("400").collect();
        let member = ("member", "Local/2101@from-queue/n,0");
        assert_eq!(lines, [("monitor-format", "wav"), member, ("strategy", "ringall")]);
        assert_eq!(conf.lines("500").count(), 0);
    }
}
