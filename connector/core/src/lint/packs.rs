//! Findings of packs.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::{ToSpan, Unit};

use crate::document::{Document, Path};
use crate::finding::{Code, Findings};
use crate::pack::{Pack, Rule};
use crate::policy::{PARENTS, Packs};
use crate::spelling;
use crate::words::*;

/// Reports what is wrong with a pack that could be read.
pub(super) fn check(
    document: &Document<'_>,
    pack: &Pack,
    loaded: &Packs,
    today: Option<Date>,
    findings: &Findings,
) {
    let lint = PackLint { document, pack, findings };
    lint.check_parent(loaded);
    lint.check_head();
    pack.rules.iter().for_each(|rule| lint.check_rule(rule));
    lint.check_calling();
    lint.check_cited_sources();
    if let Some(today) = today {
        lint.check_validity(today);
    }
}

struct PackLint<'a> {
    document: &'a Document<'a>,
    pack: &'a Pack,
    findings: &'a Findings,
}

impl PackLint<'_> {
    fn report(&self, code: Code, path: Path, hint: impl Into<String>) {
        self.findings.add(self.document.finding(code, &path, hint));
    }

    fn is_about_a_trade(&self) -> bool {
        matches!(self.pack.kind, PackKind::Sector | PackKind::Overlay)
    }

    fn check_parent(&self, loaded: &Packs) {
        let Some(parent) = &self.pack.parent else { return };
        let path = || Path::of("parent");
        if self.is_about_a_trade() {
            self.report(Code::BadValue, path(), "a sector or overlay pack has no parent");
        }
        match loaded.named(parent) {
            None => {
                let packs =
                    loaded.iter().filter(|pack| PARENTS.contains(&pack.kind) && pack.id != self.pack.id);
                let what = format!("the pack `{parent}` is not loaded");
                self.report(
                    Code::UnknownRef,
                    path(),
                    spelling::hint(&what, parent, packs.map(|pack| &*pack.id)),
                );
            }
            Some(found) if !PARENTS.contains(&found.kind) => {
                self.report(
                    Code::BadValue,
                    path(),
                    format!("`{parent}` is a {} pack: it cannot be a parent", found.kind),
                );
            }
            Some(_) => {}
        }
        let is_own_ancestor =
            loaded.lineage(self.pack).last().and_then(|last| last.parent.as_ref()) == Some(&self.pack.id);
        if is_own_ancestor {
            self.report(Code::ParentCycle, path(), "the pack is its own ancestor");
        }
    }

    fn check_head(&self) {
        if matches!(self.pack.kind, PackKind::Territory | PackKind::Sector) && self.pack.territory.is_empty()
        {
            self.report(Code::MissingKey, Path::of("territory"), "say where it applies");
        }
        if self.pack.review_due > self.pack.reviewed_on.saturating_add(12.months()) {
            self.report(Code::BadValue, Path::of("review_due"), "at most twelve months after `reviewed_on`");
        }
    }

    fn check_rule(&self, rule: &Rule) {
        let at = || Path::of("rules") / &*rule.name;
        if (rule.facet == Facet::Sector) != self.is_about_a_trade() {
            self.report(
                Code::BadValue,
                at() / "facet",
                format!("a {} pack has no such rules", self.pack.kind),
            );
        }
        if rule.star && !rule.purposes.is_empty() {
            self.report(Code::BadValue, at() / "purposes", "`*` stands alone");
        }
        if !rule.objection_offered && rule.duty != Duty::Must {
            self.report(Code::BadValue, at() / "objection", "only a duty can withhold the objection");
        }
        self.check_retention(rule, at() / "retention");
        self.check_sources(rule, at());
    }

    fn check_retention(&self, rule: &Rule, at: Path) {
        let retention = &rule.retention;
        if retention.exact.is_some() {
            let beside = [
                ("max", retention.max.is_some()),
                ("hard_max", retention.hard_max.is_some()),
                ("min", retention.min.is_some()),
                ("extended", retention.extended.is_some()),
            ];
            for (key, _) in beside.into_iter().filter(|(_, set)| *set) {
                self.report(
                    Code::BadValue,
                    &at / key,
                    "`exact` is minimum and maximum: remove one of the two",
                );
            }
        }
        if retention.waits() && retention.provisional.is_none() {
            let hint = "say how long to keep it as long as the event has not happened";
            self.report(Code::MissingKey, &at / "provisional", hint);
        }
        if retention.extended.is_some() && retention.min.is_none() {
            self.report(Code::MissingKey, &at / "min", "`extended` replaces a minimum: say which");
        }
        if let (Some(max), Some(min)) = (retention.max, retention.min)
            && retention.hard_max == Some(true)
            && max.weight() < min.weight()
        {
            self.report(Code::RetentionConflict, &at / "max", "the hard maximum is shorter than the minimum");
        }
    }

    fn check_sources(&self, rule: &Rule, at: Path) {
        let cited = rule.sources.as_deref().unwrap_or_default();
        if cited.is_empty() {
            self.report(Code::NoSource, &at / "sources", "cite at least one source");
        }
        let found: Vec<_> = cited.iter().map(|name| self.pack.sources.get(name)).collect();
        for (index, name) in
            cited.iter().enumerate().filter(|(_, name)| !self.pack.sources.contains_key(*name))
        {
            self.report(Code::UnknownRef, &at / "sources" / index, self.no_such_source(name));
        }
        let binds = |kind| matches!(kind, SourceKind::Law | SourceKind::Regulator);
        if rule.duty == Duty::Must && !found.iter().flatten().any(|source| binds(source.kind)) {
            self.report(Code::MustWithoutLaw, &at / "duty", "a duty needs a source of kind law or regulator");
        }
        let from_memory = |source: &Option<&crate::pack::Source>| {
            source.is_some_and(|source| source.confidence == Confidence::Memory)
        };
        if self.pack.status == Status::Current && !found.is_empty() && found.iter().all(from_memory) {
            let hint = "somebody has to check a source before the pack is called current";
            self.report(Code::CurrentUnverified, &at / "sources", hint);
        }
    }

    fn check_calling(&self) {
        let at = || Path::of("calling") / "sources";
        let cited = self.pack.calling.iter().flat_map(|calling| &calling.sources);
        for (index, name) in cited.enumerate().filter(|(_, name)| !self.pack.sources.contains_key(*name)) {
            self.report(Code::UnknownRef, at() / index, self.no_such_source(name));
        }
    }

    fn no_such_source(&self, name: &str) -> String {
        spelling::hint("the file defines no such source", name, self.pack.sources.keys().map(|name| &**name))
    }

    fn check_cited_sources(&self) {
        let of_rules = self.pack.rules.iter().flat_map(|rule| rule.sources.iter().flatten());
        let of_calling = self.pack.calling.iter().flat_map(|calling| &calling.sources);
        let cited: BTreeSet<_> = of_rules.chain(of_calling).collect();
        for (name, source) in self.pack.sources.iter().filter(|(name, _)| cited.contains(name)) {
            let path = Path::of("sources") / &**name / "confidence";
            match source.confidence {
                Confidence::Verified => {}
                Confidence::Memory => {
                    self.report(Code::SourceUnverified, path, "cited from memory: somebody should check it");
                }
                Confidence::Disputed => {
                    self.report(Code::SourceDisputed, path, "disputed: take advice before relying on it");
                }
            }
        }
    }

    fn check_validity(&self, today: Date) {
        if today < self.pack.valid_from {
            self.report(Code::PackNotValid, Path::of("valid_from"), "not valid yet");
        }
        if self.pack.valid_to.is_some_and(|last| last < today) {
            self.report(Code::PackNotValid, Path::of("valid_to"), "not valid any more");
        }
        if self.pack.review_due < today {
            let overdue =
                today.since((Unit::Day, self.pack.review_due)).map(|span| span.get_days()).unwrap_or(0);
            let hint = format!("overdue for {overdue} days: have it reviewed");
            self.report(Code::PackReviewDue, Path::of("review_due"), hint);
        }
        if self.pack.status != Status::Current {
            let hint = format!("the pack is {}: take advice before relying on it", self.pack.status);
            self.report(Code::PackStatus, Path::of("status"), hint);
        }
    }
}
