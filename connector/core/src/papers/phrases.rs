//! The words of a language: how purposes, gates, dates, rates and periods are written in it
//! (`connector/core/papers/<language>/words.toml`). A word that the file does not have stands as it is.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Date;

use super::Language;
use crate::time::{Bound, Period, Zone};
use crate::words::Territory;

/// The words of one language.
#[derive(Debug)]
pub(super) struct Phrases {
    language: Language,
    words: toml::Table,
}

impl Phrases {
    /// The words of a language.
    pub(super) fn of(language: Language) -> &'static Self {
        static FR: LazyLock<Phrases> =
            LazyLock::new(|| Phrases::read(Language::Fr, include_str!("../../papers/fr/words.toml")));
        static EN: LazyLock<Phrases> =
            LazyLock::new(|| Phrases::read(Language::En, include_str!("../../papers/en/words.toml")));
        match language {
            Language::Fr => &FR,
            Language::En => &EN,
        }
    }

    fn read(language: Language, text: &str) -> Self {
        Self { language, words: text.parse().unwrap_or_default() }
    }

    /// The word of a group, as this language writes it.
    pub(super) fn say<'w>(&'w self, group: &str, word: &'w str) -> &'w str {
        let known = self.words.get(group).and_then(|words| words.get(word)).and_then(toml::Value::as_str);
        known.unwrap_or(word)
    }

    /// A phrase with `{}` replaced by what is given, in order.
    pub(super) fn with(&self, group: &str, word: &str, given: &[&str]) -> String {
        let mut parts = self.say(group, word).split("{}");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for (at, part) in parts.enumerate() {
            out.push_str(given.get(at).copied().unwrap_or_default());
            out.push_str(part);
        }
        out
    }

    /// A list in a sentence.
    pub(super) fn list(&self, things: impl IntoIterator<Item = impl AsRef<str>>) -> String {
        let things: Vec<_> = things.into_iter().collect();
        let things: Vec<&str> = things.iter().map(AsRef::as_ref).collect();
        things.join(self.say("paper", "list"))
    }

    /// A country by its name, a part of one with its code.
    pub(super) fn territory(&self, territory: &Territory) -> String {
        let country = self.say("country", territory.country());
        match territory.is_country() {
            true if country == territory.as_str() => country.to_owned(),
            true => format!("{country} ({territory})"),
            false if self.say("country", territory.as_str()) != territory.as_str() => {
                format!("{} ({territory})", self.say("country", territory.as_str()))
            }
            false => format!("{country} ({territory})"),
        }
    }

    /// `21 novembre 2026`, `21 November 2026`.
    pub(super) fn date(&self, date: Date) -> String {
        let month = date.month().to_string();
        let day = match (self.language, date.day()) {
            (Language::Fr, 1) => "1er".to_owned(),
            (_, day) => day.to_string(),
        };
        format!("{day} {} {}", self.say("month", &month), date.year())
    }

    /// The local day of an instant.
    pub(super) fn day(&self, at: Timestamp, zone: &Zone) -> String {
        self.date(zone.day(at))
    }

    /// A bound of an interval.
    pub(super) fn bound(&self, bound: Bound) -> String {
        match bound {
            Bound::Day(date) => self.date(date),
            Bound::Moment(local) => {
                format!("{}, {:02}:{:02}", self.date(local.date()), local.hour(), local.minute())
            }
        }
    }

    /// Per mille as per cent: `20 %`, `12,5 %`; `20%`, `12.5%`.
    pub(super) fn rate(&self, per_mille: u64) -> String {
        let (whole, tenths) = (per_mille / 10, per_mille % 10);
        let (comma, sign) = (self.say("paper", "decimal"), self.say("paper", "percent"));
        if tenths == 0 { format!("{whole}{sign}") } else { format!("{whole}{comma}{tenths}{sign}") }
    }

    /// `6 mois`, `5 ans`, `1 day`.
    pub(super) fn period(&self, period: Period) -> String {
        let (count, unit) = match period {
            Period::Days(days) => (days, "day"),
            Period::Months(months) if months % 12 == 0 => (months / 12, "year"),
            Period::Months(months) => (months, "month"),
        };
        let unit = if count == 1 { unit.to_owned() } else { format!("{unit}s") };
        format!("{count} {}", self.say("period", &unit))
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> std::collections::BTreeSet<String> {
        let groups = self.words.iter().filter_map(|(group, words)| Some((group, words.as_table()?)));
        groups.flat_map(|(group, words)| words.keys().map(move |word| format!("{group}.{word}"))).collect()
    }
}
