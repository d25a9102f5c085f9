//! What is known of a call at a moment (`FORMAT.md`, section 3.1).
//!
//! [`Facts`] is read from JSON with unknown keys refused, and changed by the events of [`talk`](crate::talk). What is
//! absent is unknown, and the unknown never permits anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::policy::{Line, Policy};
use crate::sampling::{Counters, Draw};
use crate::time::{self, whole};
use crate::words::*;

/// What is known of a call at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The moment.
    #[serde(deserialize_with = "time::instant")]
    pub at: Timestamp,
    /// When the call began; the moment itself if absent.
    #[serde(default, deserialize_with = "time::optional_instant", skip_serializing_if = "Option::is_none")]
    pub call_start: Option<Timestamp>,
    /// The name of the line in the policy.
    pub line: Arc<str>,
    /// Which way the call goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The queue the call is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Arc<str>>,
    /// The language the caller chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Arc<str>>,
    /// Who is in the call.
    pub legs: Vec<Leg>,
    /// What is true of the call.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub flags: BTreeSet<Flag>,
    /// What has been drawn.
    #[serde(default, skip_serializing_if = "Sampling::is_empty")]
    pub sampling: Sampling,
}

/// One party's channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// Its id, unique in the call.
    pub id: Arc<str>,
    /// Whose phone it is.
    pub kind: LegKind,
    /// Its telephone number, as the PBX gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Arc<str>>,
    /// The market a campaign list or a CRM puts the person in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub market: Option<Territory>,
    /// Where the person may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// The purposes that were announced to this leg in full; `None` if no announcement was heard to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<BTreeSet<Purpose>>,
    /// What it objected to; `None` if it never said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objected: Option<Scope>,
    /// What it consented to; `None` if it never said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consented: Option<Scope>,
    /// The agent's id in the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
    /// The extension of the PBX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<Arc<str>>,
    /// Where the agent works today, in place of the policy's entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Territory>,
    /// Whether the leg is never to be recorded, whatever the policy's lists say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exempt: bool,
}

/// A reason to believe that a person is in a territory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The territory.
    pub territory: Territory,
    /// Where the belief comes from.
    pub source: EvidenceSource,
}

impl Evidence {
    /// Whether it can rule other territories out. The prefix of a mobile number cannot: phones travel.
    pub fn is_strong(&self) -> bool {
        self.source != EvidenceSource::MobilePrefix
    }
}

/// What an objection or a consent covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All purposes, whether they have been heard of or not.
    All,
    /// These.
    Only(BTreeSet<Purpose>),
}

impl Scope {
    /// Whether a purpose is covered.
    pub fn covers(&self, purpose: &Purpose) -> bool {
        match self {
            Self::All => true,
            Self::Only(purposes) => purposes.contains(purpose),
        }
    }
}

/// `true` for all, a list for some, `false` for none.
impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_bool(true),
            Self::Only(purposes) if purposes.is_empty() => serializer.serialize_bool(false),
            Self::Only(purposes) => purposes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "true, false or a list of purposes")]
        enum Written {
            Whole(bool),
            Some(BTreeSet<Purpose>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Whole(true) => Self::All,
            Written::Whole(false) => Self::Only(BTreeSet::new()),
            Written::Some(purposes) => Self::Only(purposes),
        })
    }
}

/// What has been drawn for a call, or what a draw is to be judged by (`FORMAT.md`, section 3.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// A draw that holds for all campaigns of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<Draw>,
    /// The calls of the campaign that counts, this one among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_calls: Option<u64>,
    /// The calls of that campaign that were drawn before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_recorded: Option<u64>,
    /// The calls of its agent or queue, this one among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stratum_calls: Option<u64>,
    /// The calls of that agent or queue that were drawn before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stratum_recorded: Option<u64>,
    /// Draws that are settled, by campaign: the answer holds for the whole call, whatever else stands here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drawn: BTreeMap<Arc<str>, bool>,
}

impl Sampling {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the call is drawn for a campaign at a rate. Without a draw it is not; nor with some counters only, as
    /// the bound could not be kept.
    pub fn is_drawn(&self, campaign: &str, rate: u16) -> bool {
        if let Some(settled) = self.drawn.get(campaign) {
            return *settled;
        }
        let Some(draw) = &self.draw else { return false };
        match (self.total_calls, self.total_recorded, self.stratum_calls, self.stratum_recorded) {
            (None, None, None, None) => draw.is_below(rate),
            (Some(total_calls), Some(total_recorded), Some(stratum_calls), Some(stratum_recorded)) => {
                Counters { total_calls, total_recorded, stratum_calls, stratum_recorded }.draws(rate, draw)
            }
            _ => false,
        }
    }
}

impl Facts {
    /// Reads facts. Numbers are taken as they are written.
    ///
    /// # Errors
    /// What is wrong and where, in the words of the JSON reader: an unknown key, a missing one, a bad value.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The moment, in whole seconds.
    pub fn at(&self) -> Timestamp {
        whole(self.at)
    }

    /// When the call began, in whole seconds.
    pub fn call_start(&self) -> Timestamp {
        whole(self.call_start.unwrap_or(self.at))
    }

    /// A leg by its id.
    pub fn leg(&self, id: &str) -> Option<&Leg> {
        self.legs.iter().find(|leg| &*leg.id == id)
    }

    /// Whether no outside person is in the call.
    pub fn is_among_agents(&self) -> bool {
        !self.legs.iter().any(|leg| leg.kind.is_external())
    }

    /// The legs that announcements are made to and objections count from: the outside ones, and all of them in a call
    /// among agents.
    pub fn outer_legs(&self) -> impl Iterator<Item = &Leg> {
        self.legs.iter().filter(|leg| self.is_outer(leg))
    }

    /// Whether a leg is one of the [outer](Self::outer_legs) ones.
    pub fn is_outer(&self, leg: &Leg) -> bool {
        leg.kind.is_external() || self.is_among_agents()
    }

    /// The agents' legs.
    pub fn agent_legs(&self) -> impl Iterator<Item = &Leg> {
        self.legs.iter().filter(|leg| leg.kind == LegKind::Agent)
    }
}

impl Leg {
    /// A leg of which nothing else is known.
    pub fn new(id: impl Into<Arc<str>>, kind: LegKind) -> Self {
        Self {
            id: id.into(),
            kind,
            number: None,
            market: None,
            evidence: Vec::new(),
            heard: None,
            objected: None,
            consented: None,
            agent: None,
            extension: None,
            country: None,
            exempt: false,
        }
    }

    /// Whether it objected to a purpose.
    pub fn objects_to(&self, purpose: &Purpose) -> bool {
        self.objected.as_ref().is_some_and(|scope| scope.covers(purpose))
    }

    /// Whether it consented to a purpose itself.
    pub fn consents_to(&self, purpose: &Purpose) -> bool {
        self.consented.as_ref().is_some_and(|scope| scope.covers(purpose))
    }

    /// Whether it must never be recorded: marked so, or on a list of the policy.
    pub fn is_exempt(&self, policy: &Policy) -> bool {
        let lists = &policy.site().exempt;
        let listed = |list: &BTreeSet<Arc<str>>, name: &Option<Arc<str>>| {
            name.as_deref().is_some_and(|name| list.contains(name))
        };
        self.exempt
            || listed(&lists.extensions, &self.extension)
            || listed(&lists.agents, &self.agent)
            || self.number.as_deref().is_some_and(|number| {
                !lists.numbers.is_empty() && lists.numbers.contains(plain_number(number).as_str())
            })
    }

    /// Where an agent works: as the leg says, else as the policy says, else nobody knows.
    pub(crate) fn workplace(&self, policy: &Policy) -> Territory {
        let on_file = || Some(policy.agent(self.agent.as_deref()?)?.country.clone());
        self.country.clone().or_else(on_file).unwrap_or_else(Territory::unknown)
    }

    /// Where an outside person may be (`FORMAT.md`, section 3.2, 1): where strong evidence or the market says, if the
    /// line serves that; else in any market of the line as well.
    pub(crate) fn whereabouts(&self, line: &Line) -> BTreeSet<Territory> {
        let strong = self.evidence.iter().filter(|e| e.is_strong()).map(|e| &e.territory);
        let served = strong.chain(&self.market).any(|t| codes_covering(&line.markets, t).next().is_some());
        let mut territories: BTreeSet<Territory> =
            self.evidence.iter().map(|e| &e.territory).chain(&self.market).cloned().collect();
        if !served {
            territories.extend(line.markets.iter().cloned());
        }
        let parts_served = line.markets.iter().filter(|market| !market.is_country());
        let brought: Vec<_> =
            parts_served.filter(|part| territories.contains(part.country())).cloned().collect();
        territories.extend(brought);
        territories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_bad_values_are_refused() {
        let good = r#"{"at":"2026-09-15T08:12:00.9Z","line":"l","legs":[{"id":"c1","kind":"customer","objected":true}]}"#;
        let facts = Facts::from_json(good).unwrap();
        assert_eq!(facts.at.to_string(), "2026-09-15T08:12:00Z");
        assert_eq!(facts.legs[0].objected, Some(Scope::All));
        for (part, bad, complaint) in [
            (r#""line""#, r#""lines""#, "unknown field `lines`"),
            (r#""legs""#, r#""leg""#, "unknown field `leg`"),
            ("customer", "client", "unknown variant `client`"),
            ("true", r#"["qualité"]"#, "true, false or a list of purposes"),
            ("T08:12:00.9Z", "", "required for parsing a timestamp"),
        ] {
            let error = Facts::from_json(&good.replacen(part, bad, 1)).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn facts_survive_being_written_down() {
        let text = r#"{"at":"2026-09-15T08:12:00Z","line":"l","legs":[{"id":"c1","kind":"customer","heard":[],"objected":["quality"],"consented":false}],"flags":["private"],"sampling":{"draw":0.05,"drawn":{"autumn":true}}}"#;
        let facts = Facts::from_json(text).unwrap();
        assert_eq!(serde_json::to_string(&facts).unwrap(), text);
    }

    #[test]
    fn a_settled_draw_goes_before_everything_else() {
        let sampling = |text: &str| serde_json::from_str::<Sampling>(text).unwrap();
        assert!(sampling(r#"{"draw":0.9,"drawn":{"autumn":true}}"#).is_drawn("autumn", 1));
        assert!(!sampling(r#"{"draw":0.0,"drawn":{"autumn":false}}"#).is_drawn("autumn", 1000));
        assert!(!sampling(r#"{"draw":0.9,"drawn":{"autumn":true}}"#).is_drawn("winter", 500));
        // Without all counters the bound could not be kept.
        assert!(!sampling(r#"{"draw":0.0,"total_calls":1}"#).is_drawn("autumn", 1000));
    }

    #[test]
    fn a_country_brings_the_parts_of_it_that_the_line_serves() {
        let policy = Policy::load(
            ("nord.toml", include_str!("../../../tests/cases/sites/nord.toml")),
            crate::pack::shipped(),
        );
        let policy = policy.unwrap();
        let territories = |codes: &[&str]| -> BTreeSet<Territory> {
            codes.iter().filter_map(|code| Territory::parse(code)).collect()
        };
        let seen = |line: &str, codes: &[&str]| {
            let evidence = codes.iter().filter_map(|code| {
                Some(Evidence { territory: Territory::parse(code)?, source: EvidenceSource::CrmAddress })
            });
            let leg = Leg { evidence: evidence.collect(), ..Leg::new("c1", LegKind::Customer) };
            leg.whereabouts(policy.line(line).unwrap())
        };
        assert_eq!(seen("usa", &["US-TX"]), territories(&["US-TX"]));
        assert_eq!(seen("usa", &["US"]), territories(&["US", "US-CA"]));
        assert_eq!(seen("usa", &["FR"]), territories(&["FR", "US", "US-CA"]));
    }
}
