//! What the rules of a line ask for together: contradictions, gaps, what is not on file, what is tightened in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Lint, citing};
use crate::combine::{Combined, combine, longest_minimum};
use crate::document::Path;
use crate::finding::Code;
use crate::force::Force;
use crate::pack::Rule;
use crate::policy::{Line, telling};
use crate::words::*;

impl<'a> Lint<'a> {
    pub(super) fn check_lines(&self) {
        let mut asked: BTreeMap<Prerequisite, BTreeSet<Arc<str>>> = BTreeMap::new();
        for line in self.lines() {
            let whole = self.whole(line);
            for purpose in &line.purposes {
                let force = whole.rules_for(purpose);
                let combined = combine(&force);
                self.check_duty(line, purpose, &force, &combined);
                self.check_retention(line, purpose, &force, &combined);
                for prerequisite in combined.prerequisites {
                    let rules = citing(&force, |rule| rule.prerequisites.contains(&prerequisite));
                    asked.entry(prerequisite).or_default().extend(rules);
                }
                let instrument = |rule: &Rule| rule.prerequisites.contains(&Prerequisite::TransferInstrument);
                self.check_instruments(&whole.transfers_asked(&force), &citing(&force, instrument));
            }
            self.check_markets(line);
            self.check_numbers(line);
        }
        self.check_files(&asked);
        self.check_tightening();
    }

    fn check_duty(&self, line: &Line, purpose: &Purpose, force: &Force, combined: &Combined) {
        let at_line = Path::of("lines") / &*line.name;
        if combined.duty == CombinedDuty::Conflict {
            let hint = format!("{purpose}: one rule orders it, another bans it");
            let because = citing(force, |rule| rule.duty != Duty::May);
            self.report_by(Code::DutyConflict, &at_line, hint, because);
        } else if combined.duty == CombinedDuty::Must && combined.gate == Gate::Forbidden {
            let own =
                self.policy.site().tighten.get(purpose).is_some_and(|rule| rule.gate == Gate::Forbidden);
            let path = if own { Path::of("tighten") / purpose.as_str() / "gate" } else { at_line };
            let hint = format!("{purpose}: a rule orders it, and it is forbidden");
            let because = citing(force, |rule| rule.duty == Duty::Must || rule.gate == Gate::Forbidden);
            self.report_by(Code::DutyConflict, &path, hint, because);
        }
    }

    fn check_retention(&self, line: &Line, purpose: &Purpose, force: &Force, combined: &Combined) {
        let at_line = Path::of("lines") / &*line.name;
        let rules = || force.rules.iter().map(|r| &*r.rule);
        let minimum = longest_minimum(rules());
        let outlasted = |rule: &Rule| rule.retention.max.is_some_and(|max| max.weight() < minimum);
        if combined.retention_conflict {
            let own = self.policy.site().tighten.get(purpose).is_some_and(outlasted);
            let path = if own { Path::of("tighten") / purpose.as_str() / "max" } else { at_line };
            let hint = format!("{purpose}: a hard maximum is shorter than a minimum");
            self.report_by(Code::RetentionConflict, &path, hint, citing(force, bounds_hard));
        } else if rules().any(|rule| rule.retention.hard_max != Some(true) && outlasted(rule)) {
            let hint = format!("{purpose}: a minimum outlasts the maximum, and decides alone");
            let because = citing(force, |rule| outlasted(rule) || has_minimum(rule));
            self.report_by(Code::SoftMaxOverridden, &at_line, hint, because);
        }
    }

    fn check_markets(&self, line: &'a Line) {
        for (index, market) in line.markets.iter().enumerate() {
            let path = Path::of("lines") / &*line.name / "markets" / index;
            let alone = self.market(line, market);
            for purpose in &line.purposes {
                let force = alone.rules_for(purpose);
                if !force.permitted {
                    let hint = format!("no rule of {market} speaks of {purpose}: it is never recorded");
                    self.report(Code::NoRule, &path, hint);
                } else if combine(&force).no_bound {
                    let hint =
                        format!("nothing limits how long {purpose} is kept: set `tighten.{purpose}.max`");
                    self.report(Code::NoBound, &path, hint);
                }
            }
            let languages: BTreeSet<&str> = self
                .territory_packs(market)
                .flat_map(|pack| &pack.languages)
                .filter_map(|language| language.get(..2))
                .collect();
            let spoken = |prompt: &crate::policy::Prompt| {
                prompt.language.get(..2).is_some_and(|language| languages.contains(language))
            };
            if !languages.is_empty() && !line.prompts.iter().any(spoken) {
                let list: Vec<_> = languages.iter().copied().collect();
                self.report(Code::Language, &path, format!("no prompt speaks one of: {}", list.join(", ")));
            }
        }
    }

    fn check_numbers(&self, line: &Line) {
        for (index, number) in line.numbers.iter().enumerate() {
            let elsewhere =
                self.lines().find(|other| other.name < line.name && other.numbers.contains(number));
            if let Some(other) = elsewhere {
                let path = Path::of("lines") / &*line.name / "numbers" / index;
                self.report(
                    Code::DuplicateNumber,
                    &path,
                    format!("the line `{}` has this number", other.name),
                );
            }
        }
    }

    fn check_instruments(&self, asked: &BTreeSet<Territory>, because: &BTreeSet<Arc<str>>) {
        let transfers = &self.policy.site().prerequisites.transfers;
        for territory in asked.iter().filter(|t| !transfers.contains_key(t.country())) {
            let path = Path::of("prerequisites") / "transfers" / territory.country();
            let hint = "name the instrument that makes the transfer lawful";
            self.report_by(Code::Prerequisite, &path, hint, because.clone());
        }
    }

    fn check_files(&self, asked: &BTreeMap<Prerequisite, BTreeSet<Arc<str>>>) {
        let site = self.policy.site();
        let file = &site.prerequisites;
        for (prerequisite, because) in asked {
            let absent = |key: &str, hint: &str| {
                let path = Path::of("prerequisites") / key;
                self.report_by(Code::Prerequisite, &path, hint, because.clone());
            };
            match prerequisite {
                Prerequisite::RegisterEntry if telling(&file.register_entry).is_none() => {
                    absent("register_entry", "name the entry in the register of processing");
                }
                Prerequisite::Dpia if telling(&file.dpia).is_none() => {
                    absent("dpia", "name the impact assessment");
                }
                Prerequisite::NoOtherProofNote if telling(&file.no_other_proof).is_none() => {
                    absent("no_other_proof", "say why nothing else proves the contract");
                }
                Prerequisite::WorksCouncil if !file.works_council.settled(None) => {
                    let hint = "give the day of the consultation and the minutes, or alone the reason why there is none";
                    absent("works_council", hint);
                }
                Prerequisite::EmployeeNotice => {
                    for (id, _) in site.agents.iter().filter(|(_, agent)| agent.notice.is_none()) {
                        let path = Path::of("agents") / &**id / "notice";
                        let hint = "not recorded until the notice is acknowledged";
                        self.report_by(Code::AgentNoNotice, &path, hint, because.clone());
                    }
                }
                _ => {}
            }
        }
    }

    /// A limit of the site that is looser than the packs on every line and market does nothing.
    fn check_tightening(&self) {
        for (purpose, rule) in &self.policy.site().tighten {
            let using = self.lines().filter(|line| line.purposes.contains(purpose));
            let markets = using.flat_map(|line| line.markets.iter().map(move |market| (line, market)));
            let forces: Vec<_> = markets
                .map(|(line, market)| self.market_untightened(line, market).rules_for(purpose))
                .collect();
            let everywhere =
                |looser: &dyn Fn(&Force) -> bool| !forces.is_empty() && forces.iter().all(looser);
            let at = Path::of("tighten") / purpose.as_str();
            let hint = "looser than the packs everywhere: it does nothing";
            if let Some(gate) = self.written_gate(rule)
                && everywhere(&|force| gate < combine(force).gate)
            {
                let stricter = forces.iter().flat_map(|force| citing(force, |rule| rule.gate > gate));
                self.report_by(Code::LoosensPack, &(&at / "gate"), hint, stricter.collect());
            }
            if let Some(rate) = &rule.rate
                && everywhere(&|force| combine(force).cap.is_some_and(|cap| cap < rate.max))
            {
                let lower = |cap: &Rule| cap.rate.as_ref().is_some_and(|cap| cap.max < rate.max);
                let stricter = forces.iter().flat_map(|force| citing(force, lower));
                self.report_by(Code::LoosensPack, &(&at / "rate_max"), hint, stricter.collect());
            }
            if let Some(max) = rule.retention.max
                && everywhere(&|force| {
                    shortest_maximum(force).is_some_and(|shortest| shortest < max.weight())
                })
            {
                let shorter = |rule: &Rule| {
                    let maxima = [rule.retention.max, rule.retention.exact].into_iter().flatten();
                    maxima.into_iter().any(|shorter| shorter.weight() < max.weight())
                };
                let stricter = forces.iter().flat_map(|force| citing(force, shorter));
                self.report_by(Code::LoosensPack, &(&at / "max"), hint, stricter.collect());
            }
        }
    }

    /// The gate a site wrote: the neutral one if it wrote none, which no finding can be about.
    fn written_gate(&self, rule: &Rule) -> Option<Gate> {
        let path = Path::of("tighten") / &*rule.name / "gate";
        self.document.has(&path).then_some(rule.gate)
    }
}

fn has_minimum(rule: &Rule) -> bool {
    rule.retention.min.or(rule.retention.exact).is_some()
}

/// Whether a rule sets a minimum, or a maximum that must not be exceeded.
fn bounds_hard(rule: &Rule) -> bool {
    has_minimum(rule) || rule.retention.hard_max == Some(true)
}

/// The shortest maximum of the rules, as a weight.
fn shortest_maximum(force: &Force) -> Option<u32> {
    let maxima = force.rules.iter().flat_map(|r| [r.rule.retention.max, r.rule.retention.exact]);
    maxima.flatten().map(|period| period.weight()).min()
}
