//! Packs: what a law, a regulator or an industry asks for, as data (`FORMAT.md`, section 1).
//!
//! A [`Pack`] is one parsed file; its rules are typed and need no further check. [`shipped`] has the packs that come
//! with the program. Which rules are in force for a call is found out in `force`, what they ask for together in
//! `combine`. Dates of validity and sources matter to [`lint`](crate::lint) alone.

mod parse;
mod shipped;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

use parse::parse;
pub use shipped::shipped;

use crate::document::Document;
use crate::finding::Findings;
use crate::policy::File;
use crate::time::{Period, Zone};
use crate::words::*;

/// Reads packs, the same file once. Those that cannot be read are left out, the reasons are among the findings.
pub(crate) fn read<'a>(files: &[File<'a>], findings: &Findings) -> Vec<(Document<'a>, Pack)> {
    let distinct: BTreeSet<File<'a>> = files.iter().copied().collect();
    let readable = distinct.into_iter().filter_map(|(file, text)| {
        let document = Document::parse(file, text).map_err(|finding| findings.add(finding)).ok()?;
        let pack = parse(&document, findings)?;
        Some((document, pack))
    });
    readable.collect()
}

/// One pack.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Its id, unique among the loaded packs.
    pub id: Arc<str>,
    /// Its version: three numbers with dots.
    pub version: String,
    /// What it is.
    pub kind: PackKind,
    /// How far it has come.
    pub status: Status,
    /// A name for people.
    pub title: Option<String>,
    /// The pack whose rules apply too.
    pub parent: Option<Arc<str>>,
    /// Where it applies; for a sector pack its legal order.
    pub territory: Vec<Territory>,
    /// The zone its periods are counted in; that of the line where absent.
    pub zone: Option<Zone>,
    /// The languages an announcement is made in there.
    pub languages: Vec<Arc<str>>,
    /// First day of validity.
    pub valid_from: Date,
    /// Last day of validity.
    pub valid_to: Option<Date>,
    /// The day somebody last checked it.
    pub reviewed_on: Date,
    /// The day by which it is to be checked again.
    pub review_due: Date,
    /// What is never recorded, beyond the product's own list.
    pub never: Vec<Arc<str>>,
    /// What it asks of those who sell by telephone.
    pub calling: Option<Calling>,
    /// What its rules rest on, by name.
    pub sources: BTreeMap<Arc<str>, Source>,
    /// Its rules, in the order of their names; shared with everything that was worked out from them.
    pub rules: Vec<Arc<Rule>>,
}

/// A text that a rule rests on.
#[derive(Clone, Debug)]
pub struct Source {
    /// How to cite it.
    pub cite: String,
    /// What kind of text it is.
    pub kind: SourceKind,
    /// How sure the author is of it.
    pub confidence: Confidence,
    /// Where it can be read.
    pub url: Option<String>,
    /// The day the author last read it there.
    pub seen_on: Option<Date>,
}

/// What a law asks of those who sell by telephone. About the call itself, not about its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calling {
    /// Whether the person must have agreed before.
    pub consent: PriorConsent,
    /// The first local day on which that counts; before it no consent is needed. Always, where absent.
    pub from: Option<Date>,
    /// Errands that it is not about, beside `service`.
    pub spares: BTreeSet<Errand>,
    /// How long the proof of a consent is kept once it has ended.
    pub proof: Option<Period>,
    /// The sources it cites, by name.
    pub sources: Vec<Arc<str>>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name in its file.
    pub name: Arc<str>,
    /// How decisions cite it: `fr/quality`.
    pub reference: Arc<str>,
    /// Whose side it protects, or that it regulates a trade.
    pub facet: Facet,
    /// The purposes it names.
    pub purposes: BTreeSet<Purpose>,
    /// Whether it is about every purpose that no rule of its file and facet names (`*`).
    pub star: bool,
    /// Whether it allows, orders or bans.
    pub duty: Duty,
    /// The legal basis.
    pub basis: Option<Basis>,
    /// What must have been offered.
    pub gate: Gate,
    /// Who must consent under opt-in.
    pub parties: Parties,
    /// What becomes of the service without a recording.
    pub refusal: Refusal,
    /// Whether people may object.
    pub objection_offered: bool,
    /// The part of the talk it is about.
    pub phase: Phase,
    /// Its cap on sampling.
    pub rate: Option<RateCap>,
    /// How long a campaign may be, in local days.
    pub campaign_max_days: Option<u16>,
    /// How long a recording is kept.
    pub retention: Retention,
    /// Whether a recording survives a request to erase it (legal claims).
    pub survives_erasure: bool,
    /// What must be said.
    pub announce: BTreeSet<Element>,
    /// What must be on file.
    pub prerequisites: BTreeSet<Prerequisite>,
    /// Who may hear it.
    pub access: Access,
    /// Duties of the site, in free words, handed through.
    pub obligations: Vec<Arc<str>>,
    /// The sources it cites; `None` where it cites none at all.
    pub sources: Option<Vec<Arc<str>>>,
}

/// A cap on the rate of a campaign, per mille of the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateCap {
    /// The cap.
    pub max: u16,
    /// How far an exception may raise it.
    pub exception_max: Option<u16>,
    /// How long an exception may last, in local days.
    pub exception_days: Option<u16>,
    /// Who must approve an exception.
    pub exception_needs: BTreeSet<Approver>,
}

/// How long a recording is kept under a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// At most so long, from the start of the recording.
    pub max: Option<Period>,
    /// Whether the maximum is law, not advice.
    pub hard_max: Option<bool>,
    /// At least so long, from the end of the recording.
    pub min: Option<Period>,
    /// At least so long once the authority has asked; replaces `min`.
    pub extended: Option<Period>,
    /// Exactly so long: a minimum and a hard maximum.
    pub exact: Option<Period>,
    /// The event all of these count from instead.
    pub anchor: Option<Anchor>,
    /// The maximum as long as that event has not happened.
    pub provisional: Option<Period>,
    /// At most so long for a report on recordings.
    pub report_max: Option<Period>,
}

impl Retention {
    /// Whether it counts from an event that may never happen.
    pub fn waits(&self) -> bool {
        self.anchor.is_some_and(|anchor| anchor > Anchor::RecEnd)
    }

    /// Whether it limits the life of a recording, come what may.
    pub fn bounds(&self) -> bool {
        let has_period = self.max.or(self.min).or(self.exact).is_some();
        has_period && (!self.waits() || self.provisional.is_some())
    }
}

/// Who may hear a recording under a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Nobody but the regulator and the person recorded.
    pub regulator_only: bool,
    /// Whose approval is needed, in a free word.
    pub approval: Option<Arc<str>>,
    /// What the person recorded may have.
    pub copy: Option<Copying>,
}

impl Rule {
    /// A rule that asks for nothing.
    pub(crate) fn neutral(name: &str, reference: String, facet: Facet) -> Self {
        Self {
            name: name.into(),
            reference: reference.into(),
            facet,
            purposes: BTreeSet::new(),
            star: false,
            duty: Duty::May,
            basis: None,
            gate: Gate::Silent,
            parties: Parties::External,
            refusal: Refusal::Continue,
            objection_offered: true,
            phase: Phase::WholeCall,
            rate: None,
            campaign_max_days: None,
            retention: Retention::default(),
            survives_erasure: false,
            announce: BTreeSet::new(),
            prerequisites: BTreeSet::new(),
            access: Access::default(),
            obligations: Vec::new(),
            sources: None,
        }
    }

    /// Whether it names the purpose; a `*` names none.
    pub fn names(&self, purpose: &Purpose) -> bool {
        self.purposes.contains(purpose)
    }
}

impl Pack {
    /// The rules of one facet for one purpose: those that name it; if there are none, those for all others (`*`).
    pub fn rules_for<'p>(&'p self, facet: Facet, purpose: &Purpose) -> impl Iterator<Item = &'p Arc<Rule>> {
        let named = self.rules.iter().any(|rule| rule.facet == facet && rule.names(purpose));
        let purpose = purpose.clone();
        let applies = move |rule: &&Arc<Rule>| if named { rule.names(&purpose) } else { rule.star };
        self.rules.iter().filter(move |rule| rule.facet == facet).filter(applies)
    }

    /// Whether it has rules of the facet at all.
    pub(crate) fn speaks_of(&self, facet: Facet) -> bool {
        self.rules.iter().any(|rule| rule.facet == facet)
    }

    /// Whether it lists the territory or its country.
    pub(crate) fn covers(&self, territory: &Territory) -> bool {
        codes_covering(&self.territory, territory).next().is_some()
    }
}
