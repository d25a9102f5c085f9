//! Lint: everything that a person should mend before a policy is used (`FORMAT.md`, section 4).
//!
//! Findings come in groups. A file that cannot be read as what it is (first group) is looked at no further. In a
//! policy whose names lead nowhere (second group) nothing is combined. Everything else (third group) is found by
//! combining the rules as a decision does, for every line and purpose. A decision never relies on lint.

mod campaigns;
mod lines;
mod names;
mod packs;
mod prompts;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Date;

use crate::document::{Document, Path};
use crate::finding::{Code, Finding, Findings};
use crate::force::{Force, Reach};
use crate::pack;
use crate::policy::{File, Line, Packs, Policy};
use crate::words::{PackKind, Territory};

/// All findings of packs and of a site policy, in the order of file, path and code. Without a day nothing is said of
/// the validity of packs.
pub fn check(site: Option<File<'_>>, packs: &[File<'_>], today: Option<Date>) -> Vec<Finding> {
    let findings = Findings::default();
    let read = pack::read(packs, &findings);
    let loaded = Packs::of(&read, &findings);
    for (document, pack) in &read {
        packs::check(document, pack, &loaded, today, &findings);
    }
    if let Some(site) = site {
        check_site(site, packs, &findings);
    }
    findings.sorted()
}

/// A policy that is fit to be used, and the warnings about it.
///
/// # Errors
/// All findings, if one of them is an error.
pub fn activate(
    site: File<'_>,
    packs: &[File<'_>],
    today: Date,
) -> Result<(Policy, Vec<Finding>), Vec<Finding>> {
    let findings = check(Some(site), packs, Some(today));
    if findings.iter().any(|finding| finding.code.is_error()) {
        return Err(findings);
    }
    Ok((Policy::load(site, packs)?, findings))
}

fn check_site(site: File<'_>, packs: &[File<'_>], findings: &Findings) {
    let policy = match Policy::load(site, packs) {
        Ok(policy) => policy,
        Err(unreadable) => return unreadable.into_iter().for_each(|finding| findings.add(finding)),
    };
    let Ok(document) = Document::parse(site.0, site.1) else {
        return;
    };
    let lint = Lint { policy: &policy, document: &document, findings };
    if lint.names_resolve() {
        lint.check_lines();
        lint.check_prompts();
        lint.check_campaigns();
        lint.check_exceptions();
    }
    lint.check_transfers();
    lint.check_placeholders();
}

/// A site policy under examination.
struct Lint<'a> {
    policy: &'a Policy,
    document: &'a Document<'a>,
    findings: &'a Findings,
}

impl<'a> Lint<'a> {
    fn report(&self, code: Code, path: &Path, hint: impl Into<String>) {
        self.report_by(code, path, hint, BTreeSet::new());
    }

    /// The same, with the rules that ask for it.
    fn report_by(&self, code: Code, path: &Path, hint: impl Into<String>, because: BTreeSet<Arc<str>>) {
        self.findings.add(Finding { because, ..self.document.finding(code, path, hint) });
    }

    fn lines(&self) -> impl Iterator<Item = &'a Line> + use<'a> {
        self.policy.site().lines.values()
    }

    /// The laws of a line as a whole: all its markets, and the employees of all countries the policy has agents in.
    fn whole(&self, line: &'a Line) -> Reach<'a> {
        let markets = line.markets.iter().cloned().collect();
        let agents = self.policy.site().agents.values().map(|agent| agent.country.clone()).collect();
        Reach::of_territories(self.policy, line, markets, agents, true)
    }

    /// The laws of one market of a line, without employees.
    fn market(&self, line: &'a Line, market: &Territory) -> Reach<'a> {
        Reach::of_territories(self.policy, line, BTreeSet::from([market.clone()]), BTreeSet::new(), true)
    }

    /// The same before the site tightens anything.
    fn market_untightened(&self, line: &'a Line, market: &Territory) -> Reach<'a> {
        Reach::of_territories(self.policy, line, BTreeSet::from([market.clone()]), BTreeSet::new(), false)
    }

    /// The territory packs of a market.
    fn territory_packs(&self, market: &'a Territory) -> impl Iterator<Item = &'a pack::Pack> {
        let packs = self.policy.packs().iter();
        packs.filter(move |pack| pack.kind == PackKind::Territory && pack.covers(market))
    }
}

/// How decisions cite the rules in force of which this is true.
fn citing(force: &Force, is_why: impl Fn(&pack::Rule) -> bool) -> BTreeSet<Arc<str>> {
    force.rules.iter().filter(|r| is_why(&r.rule)).map(|r| r.rule.reference.clone()).collect()
}
