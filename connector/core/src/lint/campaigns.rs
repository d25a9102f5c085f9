//! Campaigns that last too long, take too much, or never end; and exceptions that do not count.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Lint, citing};
use crate::campaign::{cut, exception_terms, raised_cap};
use crate::combine::{Combined, because_of_cap, combine};
use crate::document::Path;
use crate::finding::Code;
use crate::force::Force;
use crate::pack::RateCap;
use crate::policy::{Campaign, Exception, Line, telling};
use crate::time::{Bound, Zone, days_after};
use crate::words::*;

/// So many days without recording make a new campaign of the next one.
const PAUSE_DAYS: u32 = 14;

impl<'a> Lint<'a> {
    pub(super) fn check_campaigns(&self) {
        for campaign in self.policy.site().campaigns.values() {
            let at = Path::of("campaigns") / &*campaign.name;
            if telling(&campaign.necessity).is_none() {
                self.report(Code::NoNecessity, &(&at / "necessity"), "say why it is needed");
            }
            if campaign.until.is_none() {
                let is_training = campaign.purpose.as_str() == "training";
                let code = if is_training { Code::PermanentTraining } else { Code::CampaignNoEnd };
                self.report(code, &(&at / "until"), "set an end: without one it is never open");
            }
            if self.zones(&campaign.purpose).any(|zone| is_empty(campaign.from, campaign.until, zone)) {
                self.report(Code::BadValue, &(&at / "until"), "it ends before it begins");
            }
        }
        for line in self.lines() {
            let whole = self.whole(line);
            for purpose in &line.purposes {
                let force = whole.rules_for(purpose);
                let combined = combine(&force);
                let mut campaigns: Vec<_> =
                    self.policy.site().campaigns.values().filter(|c| runs_on(c, line, purpose)).collect();
                campaigns.sort_by_key(|campaign| campaign.from.start(&line.zone));
                for campaign in &campaigns {
                    self.check_length(campaign, line, &force, &combined);
                    self.check_rate(campaign, line, &force, &combined);
                }
                self.check_chains(&campaigns, line, &force, &combined);
            }
        }
    }

    fn check_length(&self, campaign: &Campaign, line: &Line, force: &Force, combined: &Combined) {
        let (Some(until), Some(days)) = (campaign.until, combined.campaign_max_days) else {
            return;
        };
        if until.end(&line.zone) > cut(campaign.from, days, &line.zone) {
            let path = Path::of("campaigns") / &*campaign.name / "until";
            let hint = format!("at most {days} days are allowed");
            self.report_by(Code::CampaignTooLong, &path, hint, limiting(force, days));
        }
    }

    fn check_rate(&self, campaign: &Campaign, line: &Line, force: &Force, combined: &Combined) {
        let Some(cap) = combined.cap else { return };
        let zone = &line.zone;
        let covers = |exception: &&Exception| {
            exception.purpose == campaign.purpose
                && exception.from.start(zone) <= campaign.from.start(zone)
                && campaign.until.is_some_and(|until| until.end(zone) <= exception.until.end(zone))
        };
        let (raised, _) = raised_cap(self.policy, line, force, cap, covers);
        if campaign.rate > raised {
            let path = Path::of("campaigns") / &*campaign.name / "rate";
            let hint = format!("at most {raised} of a thousand are allowed");
            self.report_by(Code::RateAboveCap, &path, hint, because_of_cap(force, cap));
        }
    }

    /// Campaigns that follow one another with short pauses are one, and must not be longer than one may be.
    fn check_chains(&self, by_start: &[&Campaign], line: &Line, force: &Force, combined: &Combined) {
        let Some(days) = combined.campaign_max_days else {
            return;
        };
        let zone = &line.zone;
        let mut chain: Option<(Bound, Timestamp)> = None;
        for campaign in by_start {
            let Some(end) = campaign.until.map(|until| until.end(zone)) else {
                continue;
            };
            let first_free = |latest: Timestamp| zone.first_instant(days_after(zone.day(latest), PAUSE_DAYS));
            chain = match chain {
                Some((first, latest)) if campaign.from.start(zone) < first_free(latest) => {
                    let latest = latest.max(end);
                    if latest > cut(first, days, zone) {
                        self.report_chain(campaign, days, force);
                    }
                    Some((first, latest))
                }
                _ => Some((campaign.from, end)),
            };
        }
    }

    fn report_chain(&self, campaign: &Campaign, days: u16, force: &Force) {
        let is_training = campaign.purpose.as_str() == "training";
        let code = if is_training { Code::CampaignChainTraining } else { Code::CampaignChain };
        let path = Path::of("campaigns") / &*campaign.name / "from";
        let hint =
            format!("with those before it, it is longer than {days} days: pause for {PAUSE_DAYS} days");
        self.report_by(code, &path, hint, limiting(force, days));
    }

    pub(super) fn check_exceptions(&self) {
        for exception in self.policy.site().exceptions.values() {
            let at = Path::of("exceptions") / &*exception.name;
            if self
                .zones(&exception.purpose)
                .any(|zone| is_empty(exception.from, Some(exception.until), zone))
            {
                self.report(Code::BadValue, &(&at / "until"), "it ends before it begins");
            }
            for line in self.lines().filter(|line| line.purposes.contains(&exception.purpose)) {
                let force = self.whole(line).rules_for(&exception.purpose);
                let (needs, days) = exception_terms(&force);
                for who in needs.iter().filter(|who| !exception.approved_by(**who)) {
                    let path = &at / "approved" / who.as_str();
                    let asks = |cap: &RateCap| cap.exception_needs.contains(who);
                    let asking = citing(&force, |rule| rule.rate.as_ref().is_some_and(asks));
                    let hint = format!("{who} has to approve it");
                    self.report_by(Code::ExceptionNotApproved, &path, hint, asking);
                }
                let zone = &line.zone;
                if let Some(days) = days
                    && exception.until.end(zone) > cut(exception.from, days, zone)
                {
                    let hint = format!("at most {days} days are allowed");
                    let limits = |cap: &RateCap| cap.exception_days == Some(days);
                    let limiting = citing(&force, |rule| rule.rate.as_ref().is_some_and(limits));
                    self.report_by(Code::ExceptionTooLong, &(&at / "until"), hint, limiting);
                }
            }
        }
    }

    /// The zones a date for a purpose is read in: those of the lines that use it, or that of the site.
    fn zones(&self, purpose: &Purpose) -> impl Iterator<Item = &'a Zone> + use<'a> {
        let using: Vec<_> =
            self.lines().filter(|line| line.purposes.contains(purpose)).map(|line| &line.zone).collect();
        let none_uses = using.is_empty().then_some(&self.policy.site().zone);
        using.into_iter().chain(none_uses)
    }
}

/// The rules that allow a campaign so many days.
fn limiting(force: &Force, days: u16) -> BTreeSet<Arc<str>> {
    citing(force, |rule| rule.campaign_max_days == Some(days))
}

fn is_empty(from: Bound, until: Option<Bound>, zone: &Zone) -> bool {
    until.is_some_and(|until| until.end(zone) <= from.start(zone))
}

fn runs_on(campaign: &Campaign, line: &Line, purpose: &Purpose) -> bool {
    campaign.purpose == *purpose && campaign.lines.as_ref().is_none_or(|lines| lines.contains(&line.name))
}
